//! Many stores at a time, some of which trap, and a collector that may not keep up: every span
//! arrives once, in its trace, or is counted.
//!
//! By hand for as long as one says:
//!
//! ```sh
//! OBSERVE_LOAD_SECONDS=60 cargo nextest run --release --workspace \
//!     --run-ignored only --no-capture -E 'test(load::by_hand)'
//! ```

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use observe_collector::event::{Chunk, Severity, Status, TraceId};
use observe_collector::{Collector, Counts, Exporter, OnFull};
use observe_host::{Lost, ObservedModule, Observer, Overhead, Report, TraceOptions, Tracer};
use observe_instrumenter::Selection;
use wasmtime::{Engine, InstancePre, Linker, Store, StoreContextMut};

use crate::counts::Random;
use crate::guest::{State, assemble};

const STORES: u64 = 64;

/// One call of the host, and a number of others below a function; may trap within.
const WORK: &str = r#"(module
    (import "host" "log" (func $log))
    (func $leaf)
    (func $inner (param $traps i32)
      (call $leaf)
      (if (local.get $traps) (then (call $log) unreachable)))
    (func (export "go") (param $calls i32) (param $traps i32)
      (loop $l
        (call $inner (i32.const 0))
        (br_if $l (local.tee $calls (i32.sub (local.get $calls) (i32.const 1)))))
      (call $log)
      (call $inner (local.get $traps))))"#;

/// What arrived of a trace.
#[derive(Default)]
struct Arrived {
    /// Numbers, and those of their parents.
    spans: HashMap<u32, Option<u32>>,
    errors: u64,
    /// The spans of logs.
    logs: Vec<(Option<u32>, Severity)>,
}

/// What arrived of all traces that it was not yet asked for.
#[derive(Clone, Default)]
struct Checked(Arc<Mutex<HashMap<TraceId, Arrived>>>);

impl Exporter for Checked {
    fn name(&self) -> &str {
        "checked"
    }

    fn export(&mut self, chunk: &Chunk) {
        let mut traces = self.0.lock().expect("whole");
        let trace = traces.entry(chunk.trace.trace_id).or_default();
        for span in &chunk.spans {
            assert!(span.end_unix_nanos >= span.start_unix_nanos);
            trace.errors += u64::from(span.status == Status::Error);
            let before = trace.spans.insert(span.number.0, span.parent.map(|parent| parent.0));
            assert!(before.is_none(), "a number is given once");
        }
        trace.logs.extend(chunk.logs.iter().map(|log| (log.span.map(|span| span.0), log.severity)));
    }

    fn flush(&mut self, _: Instant) {}

    fn counts(&self) -> Counts {
        Counts::default()
    }

    fn last_error(&self) -> Option<String> {
        None
    }
}

/// What stores told.
#[derive(Default)]
struct Told {
    traces: u64,
    trapped: u64,
    spans: u64,
    /// Of those that are not looked at yet.
    reports: Vec<(Report, bool)>,
}

struct Load {
    engine: Engine,
    module: ObservedModule,
    linked: InstancePre<State>,
    observer: Observer,
    tracer: Tracer<State>,
    collector: Collector,
    checked: Checked,
    told: Mutex<Told>,
    ids: Mutex<HashSet<TraceId>>,
}

impl Load {
    fn new(on_full: OnFull, capacity: usize) -> Self {
        let checked = Checked::default();
        let collector = Collector::builder()
            .exporter(Box::new(checked.clone()))
            .on_full(on_full)
            .capacity(capacity)
            .start();
        let observer = Observer::builder()
            .overhead(Overhead::all())
            .min_duration(Duration::ZERO)
            .sink(collector.handle())
            .build();
        let engine = Engine::default();
        let module = ObservedModule::new(&engine, &assemble(WORK), &Selection::all());
        let module = module.expect("it can be observed");
        let mut linker = Linker::new(&engine);
        let tracer = observer
            .tracer(&mut linker, |state: &mut State| &mut state.recorder)
            .expect("an empty linker");
        linker
            .func_wrap_async("host", "log", |mut caller: wasmtime::Caller<'_, State>, (): ()| {
                caller.data_mut().recorder.log(Severity::Info, "so far", Vec::new());
                Box::new(Turn(false))
            })
            .expect("not there yet");
        let linked = linker.instantiate_pre(module.module()).expect("it links");
        let (told, ids) = (Mutex::default(), Mutex::default());
        Load { engine, module, linked, observer, tracer, collector, checked, told, ids }
    }

    /// What one store does: traces until it is time. A trap ends the store, as it would in a
    /// real host.
    async fn work(&self, number: u64, until: Instant) {
        let mut random = Random::new(number);
        while Instant::now() < until {
            let recorder = self.observer.recorder(&self.module);
            let mut store = Store::new(&self.engine, State { recorder });
            let mut instance = None;
            let mut fails = false;
            while !fails && Instant::now() < until {
                let calls = 1 + random.below(200) as u32;
                fails = random.below(10) == 0;
                let overhead = match random.below(4) {
                    0 => Overhead::budget(5.0),
                    1 => Overhead::off(),
                    _ => Overhead::all(),
                };
                let options = TraceOptions::new("root").overhead(overhead);
                let options = options.tenant(format!("tenant {}", number % 7));
                let work = async |mut store: StoreContextMut<'_, State>| {
                    let instance = match instance {
                        Some(instance) => instance,
                        None => {
                            let new =
                                self.tracer.instantiate_async(&mut store, &self.linked).await?;
                            *instance.insert(new)
                        }
                    };
                    let go = instance.get_typed_func::<(u32, u32), ()>(&mut store, "go")?;
                    go.call_async(store, (calls, u32::from(fails))).await
                };
                let traced = self.tracer.trace_async(&mut store, options, work).await;
                assert_eq!(traced.result.is_err(), fails);
                let report = traced.report.expect("a trace of its own");
                assert_eq!(report.lost, Lost::default());
                let leaf = report.functions.iter().find(|row| row.name == "leaf");
                assert_eq!(leaf.expect("it is called").calls, u64::from(calls) + 1);
                assert!(self.ids.lock().expect("whole").insert(report.trace_id));
                let mut told = self.told.lock().expect("whole");
                told.traces += 1;
                told.trapped += u64::from(fails);
                told.spans += report.spans;
                told.reports.push((report, fails));
            }
        }
    }

    /// Compares what arrived of the traces that have ended with what they told. Gives how many
    /// spans did not arrive.
    fn check(&self, is_whole: bool) -> u64 {
        let reports = std::mem::take(&mut self.told.lock().expect("whole").reports);
        assert!(self.collector.flush(Duration::from_secs(60)));
        let mut missing = 0;
        for (report, fails) in reports {
            let arrived = self.checked.0.lock().expect("whole").remove(&report.trace_id);
            let arrived = arrived.unwrap_or_default();
            let here = arrived.spans.len() as u64;
            assert!(here <= report.spans, "{here} of {}", report.spans);
            missing += report.spans - here;
            if here < report.spans {
                assert!(!is_whole, "{here} of {} without a word", report.spans);
                continue;
            }
            let roots = arrived.spans.iter().filter(|(_, parent)| parent.is_none());
            assert_eq!(roots.map(|(number, _)| *number).collect::<Vec<_>>(), [0]);
            let parents = arrived.spans.values().flatten();
            assert!(parents.clone().all(|parent| arrived.spans.contains_key(parent)));
            assert_eq!(arrived.errors > 0, fails);
            let spans = arrived.logs.iter().map(|(span, _)| span.expect("of a span"));
            assert!(spans.clone().all(|span| arrived.spans.contains_key(&span)));
            let errors = arrived.logs.iter().filter(|(_, severity)| *severity == Severity::Error);
            assert_eq!(errors.count(), usize::from(fails));
        }
        missing
    }

    /// All of it, on so many threads.
    fn run(self, threads: u64, time: Duration, on_full: OnFull) -> String {
        let until = Instant::now() + time;
        let mut missing = 0;
        thread::scope(|scope| {
            let threads: Vec<_> = (0..threads)
                .map(|thread| {
                    let ours = (0..STORES).filter(move |store| store % threads == thread);
                    let load = &self;
                    scope.spawn(move || take_turns(ours.map(|number| load.work(number, until))))
                })
                .collect();
            // While they go on, so that what is kept stays small.
            while Instant::now() < until {
                thread::sleep(Duration::from_millis(200).min(time));
                missing += self.check(on_full == OnFull::Block);
            }
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        });
        missing += self.check(on_full == OnFull::Block);
        assert!(self.checked.0.lock().expect("whole").is_empty(), "spans of no trace");
        let Told { traces, trapped, spans, .. } = self.told.into_inner().expect("whole");
        let dropped = self.collector.handle().dropped();
        assert_eq!((missing, dropped.closed), (dropped.channel_full, 0));
        if on_full == OnFull::Block {
            assert_eq!(missing, 0);
        }
        // What stores told is what the metrics add up.
        let mut metrics =
            [("wasm.traces", traces), ("wasm.failures", trapped), ("wasm.spans", spans)];
        for (name, expected) in &mut metrics {
            assert_eq!(sum(&self.observer, name), *expected as i64, "{name}");
        }
        let mut told = String::new();
        let _ = write!(
            told,
            "{on_full:?}, {threads} threads, {STORES} stores, {time:?}: {traces} traces, {trapped} \
             trapped, {spans} spans, {missing} dropped and counted"
        );
        told
    }
}

/// The sum over all tenants.
fn sum(observer: &Observer, name: &str) -> i64 {
    use observe_collector::event::{MetricData, Number};
    let metric = observer.metrics().into_iter().find(|metric| metric.name == name);
    let Some(MetricData::Sum { points, .. }) = metric.map(|metric| metric.data) else {
        panic!("no sum {name}");
    };
    let values = points.iter().map(|point| match point.value {
        Number::Int(value) => value,
        Number::Double(_) => panic!("a number of something"),
    });
    values.sum()
}

/// Waits for one turn.
struct Turn(bool);

impl Future for Turn {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Polls all in turn until they are done.
fn take_turns(work: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut work: Vec<_> = work.map(Box::pin).collect();
    let mut context = Context::from_waker(Waker::noop());
    while !work.is_empty() {
        work.retain_mut(|work| pin!(work).poll(&mut context).is_pending());
    }
}

fn load(time: Duration) {
    for (on_full, capacity, threads) in
        [(OnFull::Block, 1024, STORES), (OnFull::Block, 2, 3), (OnFull::Drop, 2, STORES)]
    {
        println!("{}", Load::new(on_full, capacity).run(threads, time, on_full));
    }
}

#[test]
fn nothing_is_lost_without_a_word_nor_mixed() {
    load(Duration::from_secs(1));
}

#[test]
#[ignore = "runs for as long as one says"]
fn by_hand() {
    let seconds = std::env::var("OBSERVE_LOAD_SECONDS").ok();
    let seconds = seconds.map_or(60, |seconds| seconds.parse().expect("a number of seconds"));
    load(Duration::from_secs(seconds));
}
