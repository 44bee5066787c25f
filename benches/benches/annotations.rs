//! What it costs a guest to say something of itself: a span, a measurement, a log record.
//!
//! `cargo bench -p observe-benches --bench annotations -- [ROUNDS] [OPERATION...]`
//!
//! The guest is written in the text format, with a loop for each operation and nothing else in it, so that
//! what is measured is the host and the way to it, and no package for guests. An empty loop is
//! subtracted; an empty call of the host is the floor. In each round every observer has a store of
//! its own and does every operation.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use observe_benches::{Args, Result, Spread, thread_time};
use observe_collector::event::Chunk;
use observe_collector::{Collector, Counts, Exporter, OnFull};
use observe_host::{
    ObservedModule, Observer, Overhead, Quotas, Recorder, TraceOptions, Traced, Tracer,
};
use observe_instrumenter::Selection;
use wasmtime::{Engine, Instance, InstancePre, Linker, Store};

/// How long the collector may take for what is left.
const PATIENCE: Duration = Duration::from_secs(10);

/// Records in a batch.
const BATCH: u32 = 64;

/// Something that a guest does in a loop.
struct Operation {
    name: &'static str,
    body: &'static str,
    /// How often in a round.
    times: u32,
    /// How many of what it is named by are done at once.
    each: u32,
}

const fn operation(name: &'static str, times: u32, body: &'static str) -> Operation {
    Operation { name, body, times, each: 1 }
}

const NOTHING: usize = 0;
const CALL: usize = 1;

const OPERATIONS: [Operation; 16] = [
    operation("an empty loop", 400_000, ""),
    operation("an empty call of the host", 400_000, "(call $nothing)"),
    operation(
        "a span",
        20_000,
        "(call $span-end (call $span-begin (i32.const 1) (i32.const 0) (i32.const 5)
           (i32.const 0) (i32.const 0)))",
    ),
    operation(
        "a span, two attributes",
        20_000,
        "(call $span-end (call $span-begin (i32.const 1) (i32.const 0) (i32.const 5)
           (i32.const 64) (i32.const 2)))",
    ),
    operation(
        "a detached span",
        20_000,
        "(call $span-close (call $span-open (i32.const 0x7fffffff) (i32.const 1)
           (i32.const 0) (i32.const 5) (i32.const 0) (i32.const 0)))",
    ),
    operation(
        "a counter",
        100_000,
        "(call $record-i64 (global.get $counter) (i64.const 1) (i32.const 0) (i32.const 0))",
    ),
    operation(
        "a counter, one attribute",
        50_000,
        "(call $record-i64 (global.get $counter) (i64.const 1) (i32.const 64) (i32.const 1))",
    ),
    operation(
        "a histogram",
        100_000,
        "(call $record-f64 (global.get $histogram) (f64.const 9.5) (i32.const 0) (i32.const 0))",
    ),
    operation(
        "a log record, one attribute",
        10_000,
        "(call $log (i32.const 0x7fffffff) (i32.const 9) (i32.const 0) (i32.const 5)
           (i32.const 64) (i32.const 1))",
    ),
    Operation {
        each: BATCH,
        ..operation(
            "a counter, in a batch of 64",
            2_000,
            "(call $submit (i32.const 1024) (i32.const 64))",
        )
    },
    operation(
        "a span, asked for first",
        20_000,
        "(if (i32.and (global.get $wants) (i32.const 1)) (then
           (call $span-end (call $span-begin (i32.const 1) (i32.const 0) (i32.const 5)
             (i32.const 64) (i32.const 2)))))",
    ),
    operation(
        "a counter, asked for first",
        100_000,
        "(if (i32.and (global.get $wants) (i32.const 4)) (then
           (call $record-i64 (global.get $counter) (i64.const 1) (i32.const 0) (i32.const 0))))",
    ),
    operation(
        "observe-sdk: a span",
        20_000,
        "(call $sdk-span-enter (i32.const 0) (i32.const 5)) (call $sdk-span-exit)",
    ),
    operation(
        "observe-sdk: a span, two tags",
        20_000,
        "(call $sdk-span-enter (i32.const 0) (i32.const 5))
         (call $sdk-span-tags (i32.const 16) (i32.const 11)) (call $sdk-span-exit)",
    ),
    operation(
        "observe-sdk: a counter",
        20_000,
        "(call $sdk-metric (i32.const 1) (i32.const 32) (i32.const 10))",
    ),
    operation(
        "observe-sdk: a log",
        10_000,
        "(call $sdk-log (i32.const 3) (i32.const 0) (i32.const 5))",
    ),
];

/// What the guest is, but for its loops.
const GUEST: &str = r#"
  (import "bench" "nothing" (func $nothing))
  (import "observe:guest@2" "interest" (func $interest (result i32)))
  (import "observe:guest@2" "span-begin"
    (func $span-begin (param i32 i32 i32 i32 i32) (result i32)))
  (import "observe:guest@2" "span-end" (func $span-end (param i32)))
  (import "observe:guest@2" "span-open"
    (func $span-open (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "observe:guest@2" "span-close" (func $span-close (param i32)))
  (import "observe:guest@2" "log" (func $log (param i32 i32 i32 i32 i32 i32)))
  (import "observe:guest@2" "instrument"
    (func $instrument (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "observe:guest@2" "record-i64" (func $record-i64 (param i32 i64 i32 i32)))
  (import "observe:guest@2" "record-f64" (func $record-f64 (param i32 f64 i32 i32)))
  (import "observe:guest@2" "submit" (func $submit (param i32 i32)))
  (import "dylibso:observe/api" "span-enter" (func $sdk-span-enter (param i32 i32)))
  (import "dylibso:observe/api" "span-exit" (func $sdk-span-exit))
  (import "dylibso:observe/api" "span-tags" (func $sdk-span-tags (param i32 i32)))
  (import "dylibso:observe/api" "metric" (func $sdk-metric (param i32 i32 i32)))
  (import "dylibso:observe/api" "log" (func $sdk-log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "ordercosts")
  (data (i32.const 16) "order:1,a:2")
  (data (i32.const 32) "orders:1|c")
  ;; order = 42, costs = true
  (data (i32.const 64) "\00\00\00\00\05\00\00\00" "\02\00\00\00\00\00\00\00" "\2a\00\00\00\00\00\00\00")
  (data (i32.const 88) "\05\00\00\00\05\00\00\00" "\01\00\00\00\00\00\00\00" "\01\00\00\00\00\00\00\00")
  (global $wants (mut i32) (i32.const 0))
  (global $counter (mut i32) (i32.const 0))
  (global $histogram (mut i32) (i32.const 0))
  (func (export "prepare")
    (local $record i32)
    (global.set $wants (call $interest))
    (global.set $counter (call $instrument (i32.const 1) (i32.const 0) (i32.const 5)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
    (global.set $histogram (call $instrument (i32.const 4) (i32.const 5) (i32.const 5)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
    ;; The batch: the counter, 64 times.
    (local.set $record (i32.const 1024))
    (loop $more
      (i32.store (local.get $record) (i32.const 4))
      (i32.store offset=4 (local.get $record) (global.get $counter))
      (i64.store offset=24 (local.get $record) (i64.const 1))
      (local.set $record (i32.add (local.get $record) (i32.const 32)))
      (br_if $more (i32.lt_u (local.get $record) (i32.const 3072)))))
"#;

/// Who listens.
#[derive(Clone, Copy, PartialEq)]
enum Listener {
    /// An observer whose spans go to a collector with an exporter that counts them.
    Sent,
    /// An observer without a sink.
    Kept,
    /// An observer that is disabled.
    Disabled,
}

impl Listener {
    const ALL: [Listener; 3] = [Listener::Sent, Listener::Kept, Listener::Disabled];

    fn name(self) -> &'static str {
        match self {
            Listener::Sent => "with a sink",
            Listener::Kept => "without a sink",
            Listener::Disabled => "disabled",
        }
    }
}

struct Contender {
    listener: Listener,
    tracer: Tracer<Recorder>,
    observed: ObservedModule,
    linked: InstancePre<Recorder>,
    collector: Option<Collector>,
    /// For each round, the nanoseconds of each operation.
    rounds: Vec<[f64; OPERATIONS.len()]>,
}

impl Contender {
    fn new(engine: &Engine, wasm: &[u8], listener: Listener) -> Result<Self> {
        // What is measured is what quotas let through.
        let mut quotas = Quotas::default();
        (quotas.events_per_second, quotas.log_bytes) = (u32::MAX, u64::MAX);
        let builder = Observer::builder().overhead(Overhead::all()).quotas(quotas);
        let builder = builder.min_duration(Duration::ZERO);
        let collector = (listener == Listener::Sent).then(|| {
            let collector = Collector::builder().on_full(OnFull::Block);
            collector.exporter(Box::new(Counter::default())).start()
        });
        let observer = match (&collector, listener) {
            (_, Listener::Disabled) => Observer::disabled(),
            (Some(collector), _) => builder.sink(collector.handle()).build(),
            (None, _) => builder.build(),
        };
        let mut linker = Linker::new(engine);
        linker.func_wrap("bench", "nothing", || {})?;
        let tracer = observer.tracer(&mut linker, |recorder| recorder)?;
        // The host's functions are what is measured, and are no spans of their own.
        let selection = Selection::default().imports(false);
        let observed = ObservedModule::new(engine, wasm, &selection)?;
        let linked = linker.instantiate_pre(observed.module())?;
        Ok(Contender { listener, tracer, observed, linked, collector, rounds: Vec::new() })
    }

    /// Does each operation that is wanted, and tells the nanoseconds that each took.
    fn round(&self, args: &Args) -> Result<[f64; OPERATIONS.len()]> {
        let recorder = self.tracer.observer().recorder(&self.observed);
        let mut store = Store::new(self.linked.module().engine(), recorder);
        let options = TraceOptions::new("bench");
        let Traced { result, report, .. } = self.tracer.trace(&mut store, options, |store| {
            let instance = self.tracer.instantiate(store, &self.linked)?;
            instance.get_typed_func::<(), ()>(&mut *store, "prepare")?.call(&mut *store, ())?;
            let mut nanos = [0.0; OPERATIONS.len()];
            for (number, operation) in OPERATIONS.iter().enumerate() {
                if number > CALL && !args.wants(operation.name) {
                    continue;
                }
                repeat(store, instance, number, operation.times / 20)?;
                let start = thread_time();
                repeat(store, instance, number, operation.times)?;
                let done = f64::from(operation.times * operation.each);
                nanos[number] = (thread_time() - start).as_nanos() as f64 / done;
            }
            Ok(nanos)
        });
        if let Some(report) = report
            && report.lost.total() > 0
        {
            return Err(format!("{}: not recorded: {}", self.listener.name(), report.lost).into());
        }
        if let Some(collector) = &self.collector {
            collector.flush(PATIENCE);
        }
        Ok(result?)
    }
}

fn repeat(
    store: &mut Store<Recorder>,
    instance: Instance,
    operation: usize,
    times: u32,
) -> wasmtime::Result<()> {
    let function = instance.get_typed_func::<u32, ()>(&mut *store, &operation.to_string())?;
    function.call(store, times)
}

/// The guest, with a loop for each operation, exported by its number.
fn guest() -> String {
    let mut wat = format!("(module {GUEST}");
    for (number, Operation { body, .. }) in OPERATIONS.iter().enumerate() {
        let _ = write!(
            wat,
            r#"
  (func (export "{number}") (param $times i32)
    (loop $more
      {body}
      (local.set $times (i32.sub (local.get $times) (i32.const 1)))
      (br_if $more (local.get $times))))"#
        );
    }
    wat + ")"
}

fn main() -> Result<()> {
    let args = Args::read(15);
    let engine = Engine::default();
    let wasm = wat::parse_str(guest())?;
    let mut contenders = Vec::new();
    for listener in Listener::ALL {
        contenders.push(Contender::new(&engine, &wasm, listener)?);
    }
    for round in 0..args.rounds {
        eprintln!("round {} of {}", round + 1, args.rounds);
        // Each takes each place in turn.
        for n in 0..contenders.len() {
            let place = (n + round) % contenders.len();
            let nanos = contenders[place].round(&args)?;
            contenders[place].rounds.push(nanos);
        }
    }
    println!("nanoseconds each; median (min..max) of {} rounds\n", args.rounds);
    println!("| operation | observer | ns | of an empty call |");
    println!("|---|---|---|---|");
    for (number, operation) in OPERATIONS.iter().enumerate().skip(CALL) {
        if !args.wants(operation.name) {
            continue;
        }
        for contender in &contenders {
            let net = |number: usize, nanos: &[f64; OPERATIONS.len()]| {
                let each = f64::from(OPERATIONS[number].each);
                nanos[number] - nanos[NOTHING] / each
            };
            let own = Spread::of(contender.rounds.iter().map(|nanos| net(number, nanos)));
            let rounds = contender.rounds.iter();
            let ratio = Spread::of(rounds.map(|nanos| net(number, nanos) / net(CALL, nanos)));
            let (name, listener) = (operation.name, contender.listener.name());
            println!("| {name} | {listener} | {own:.1} | {ratio:.2} |");
        }
    }
    for contender in contenders {
        let Some(report) = contender.collector.map(|collector| collector.shutdown(PATIENCE)) else {
            continue;
        };
        for exporter in report.exporters {
            eprintln!("{}: {} spans", exporter.name, exporter.counts.delivered);
        }
    }
    Ok(())
}

/// Counts spans.
#[derive(Default)]
struct Counter(u64);

impl Exporter for Counter {
    fn name(&self) -> &'static str {
        "counter"
    }
    fn export(&mut self, chunk: &Chunk) {
        self.0 += chunk.spans.len() as u64;
    }
    fn flush(&mut self, _deadline: Instant) {}
    fn counts(&self) -> Counts {
        Counts { accepted: self.0, delivered: self.0, ..Counts::default() }
    }
    fn last_error(&self) -> Option<String> {
        None
    }
}
