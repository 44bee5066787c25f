//! What observing costs the guest: the same work in the module as it was, in ours
//! under each kind of overhead, and in the way of observe-sdk.
//!
//! `cargo bench -p observe-benches --bench overhead -- [ROUNDS] [WORKLOAD...]`

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use observe_benches::{Args, NO_CORPUS, Spread, corpus, thread_time};
use observe_collector::event::Chunk;
use observe_collector::{Collector, Counts, Exporter};
use observe_host::{ObservedModule, Outcome, Overhead, Recorder, Report, TraceOptions};
use observe_instrumenter::{Cells, Module as Parsed, Plan, Selection, demangle};
use wasmtime::{Engine, FuncType, Linker, Module, Store, Val, ValType};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};

/// Makes `2 * fib(n + 1) - 1` calls, which is some tens of milliseconds.
const FIB: i32 = 33;
const FIB_CALLS: u64 = 11_405_773;

/// As above, for contenders that keep all calls in memory.
const SMALL_FIB: i32 = 22;
const SMALL_FIB_CALLS: u64 = 57_313;

/// The number of functions in the source that gofmt formats.
const GO_FUNCTIONS: usize = 600;

/// What a guest may write to standard output, in bytes.
const MAX_OUTPUT: usize = 64 << 20;

/// `fib` of `examples/compute.wasm`, with hooks as the compiler of observe-sdk writes
/// them: one call with the function's index at its start, one at its end.
const FIB_IN_THE_WAY_OF_OBSERVE_SDK: &str = r#"
(module
  (import "peer" "enter" (func $enter (param i32)))
  (import "peer" "exit" (func $exit (param i32)))
  (func $fib (export "fib") (param i32) (result i64) (local i64 i64 i64)
    (call $enter (i32.const 2))
    block $body (result i64)
      block
        (br_if 0 (i32.lt_s (local.get 0) (i32.const 2)))
        (local.tee 1 (call $fib (i32.add (local.get 0) (i32.const -1))))
        (local.tee 2 (call $fib (i32.add (local.get 0) (i32.const -2))))
        i64.add
        local.tee 3
        i64.const 63
        i64.shr_s
        i64.const -9223372036854775808
        i64.xor
        local.get 3
        (i64.lt_s (local.get 2) (i64.const 0))
        (i64.lt_s (local.get 3) (local.get 1))
        i32.xor
        select
        br $body
      end
      (select (local.get 0) (i32.const 0) (i32.gt_s (local.get 0) (i32.const 0)))
      i64.extend_i32_u
    end
    (call $exit (i32.const 2))))
"#;

/// The data of a store.
struct State {
    wasi: WasiP1Ctx,
    recorder: Recorder,
}

/// What a guest is asked to do.
#[derive(Clone)]
enum Work {
    Fib(i32),
    /// Runs a WASI command with this on standard input.
    Command(Vec<u8>),
}

/// One way to run a piece of work.
struct Contender {
    name: String,
    module: Module,
    /// Where recorders come from.
    observed: ObservedModule,
    linker: Linker<State>,
    /// How to make the trace, if there is one.
    trace: Option<TraceOptions>,
    /// Where the spans go, to wait until all have arrived before the next one runs.
    collector: Option<Collector>,
    /// How many calls its own hooks see.
    calls: u64,
    /// Forgets what the last run left.
    clear: Box<dyn Fn()>,
}

/// What came of a run.
struct Run {
    time: Duration,
    result: Vec<u8>,
    report: Option<Report>,
}

impl Contender {
    fn plain(engine: &Engine, name: &str, wasm: &[u8]) -> Result<Self, Box<dyn Error>> {
        let empty = wat::parse_str("(module)")?;
        Ok(Contender {
            name: name.to_owned(),
            module: Module::new(engine, wasm)?,
            observed: ObservedModule::new(engine, &empty, &Selection::default())?,
            linker: wasi(engine)?,
            trace: None,
            collector: None,
            calls: 0,
            clear: Box::new(|| {}),
        })
    }

    fn ours(
        engine: &Engine,
        name: String,
        observed: &ObservedModule,
        trace: TraceOptions,
    ) -> Result<Self, Box<dyn Error>> {
        let mut linker = wasi(engine)?;
        observe_host::add_to_linker(&mut linker, |state: &mut State| &mut state.recorder)?;
        Ok(Contender {
            name,
            module: observed.module().clone(),
            observed: observed.clone(),
            linker,
            trace: Some(trace),
            collector: None,
            calls: 0,
            clear: Box::new(|| {}),
        })
    }

    /// Ours with compact hooks, under each kind of overhead.
    fn compact(
        engine: &Engine,
        name: &str,
        wasm: &[u8],
        selection: &Selection,
    ) -> Result<Vec<Self>, Box<dyn Error>> {
        let module = Parsed::parse(wasm)?;
        let mut plan = Plan::new(&module, selection);
        (plan.compact, plan.cells) = (true, Cells::Memory);
        let observed = ObservedModule::planned(engine, &module, &plan)?;
        let kinds = [
            ("off", Overhead::off()),
            ("budget 5 %", Overhead::budget(5.0)),
            ("all", Overhead::all()),
        ];
        let ours = kinds.into_iter().map(|(kind, overhead)| {
            let options = TraceOptions::new("bench").overhead(overhead);
            Contender::ours(engine, format!("{name}{kind}"), &observed, options)
        });
        ours.collect()
    }

    /// Ours under each kind of overhead.
    fn all_of_ours(
        engine: &Engine,
        selection_name: &str,
        wasm: &[u8],
        selection: &Selection,
    ) -> Result<Vec<Self>, Box<dyn Error>> {
        let observed = ObservedModule::new(engine, wasm, selection)?;
        let ours = |name: &str, trace| {
            Contender::ours(engine, format!("{selection_name}{name}"), &observed, trace)
        };
        let trace = |overhead| TraceOptions::new("bench").overhead(overhead);
        let mut contenders = vec![
            ours("off", trace(Overhead::off()))?,
            ours("budget 5 %", trace(Overhead::budget(5.0)))?,
            ours("all", trace(Overhead::all()))?,
        ];
        for (name, min_duration) in [
            ("all, spans from 20 µs to a collector", observe_host::DEFAULT_MIN_DURATION),
            ("all, each a span to a collector", Duration::ZERO),
        ] {
            let collector = Collector::builder().exporter(Box::new(Counter::default())).start();
            let options = trace(Overhead::all()).min_duration(min_duration);
            let mut contender = ours(name, options.sink(collector.handle()))?;
            contender.collector = Some(collector);
            contenders.push(contender);
        }
        Ok(contenders)
    }

    /// A re-implementation of what observe-sdk does in a host.
    fn peer(engine: &Engine, tree: bool, calls: u64) -> Result<Self, Box<dyn Error>> {
        let wasm = wat::parse_str(FIB_IN_THE_WAY_OF_OBSERVE_SDK)?;
        let name = match tree {
            false => "observe-sdk's way, re-implemented, calls forgotten",
            true => "observe-sdk's way, re-implemented, with its tree",
        };
        let mut peer = Contender::plain(engine, name, &wasm)?;
        let shared = Arc::new(Mutex::new(Peer { tree, ..Peer::default() }));
        let names = HashMap::from([(2u32, "fib".to_owned())]);
        let hook = FuncType::new(engine, [ValType::I32], []);
        let context = Arc::clone(&shared);
        peer.linker.func_new("peer", "enter", hook.clone(), move |_, params, _| {
            let context = Arc::clone(&context);
            let index = index_of(params)?;
            let name = names.get(&index);
            if let Ok(mut peer) = context.lock() {
                peer.enter(index, name.map(String::as_str));
            }
            Ok(())
        })?;
        let context = Arc::clone(&shared);
        peer.linker.func_new("peer", "exit", hook, move |_, params, _| {
            let context = Arc::clone(&context);
            index_of(params)?;
            if let Ok(mut peer) = context.lock() {
                peer.exit();
            }
            Ok(())
        })?;
        peer.clear = Box::new(move || {
            if let Ok(mut peer) = shared.lock() {
                peer.done.clear();
            }
        });
        peer.calls = calls;
        Ok(peer)
    }

    /// Does the work once, in a store of its own.
    fn run(&self, work: &Work) -> Result<Run, Box<dyn Error>> {
        let stdout = MemoryOutputPipe::new(MAX_OUTPUT);
        let mut wasi = WasiCtxBuilder::new();
        wasi.allow_blocking_current_thread(true).arg("guest").stdout(stdout.clone());
        wasi.secure_random(Deterministic::new(vec![4]));
        if let Work::Command(input) = work {
            wasi.stdin(MemoryInputPipe::new(input.clone()));
        }
        let state = State { wasi: wasi.build_p1(), recorder: self.observed.recorder() };
        let mut store = Store::new(self.module.engine(), state);
        if let Some(trace) = &self.trace {
            store.data_mut().recorder.start(trace.clone());
        }
        let instance = self.linker.instantiate(&mut store, &self.module)?;
        let (time, result) = match work {
            Work::Fib(n) => {
                let fib = instance.get_typed_func::<i32, i64>(&mut store, "fib")?;
                let start = thread_time();
                let result = fib.call(&mut store, *n);
                (thread_time() - start, result?.to_le_bytes().to_vec())
            }
            Work::Command(_) => {
                let main = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
                let start = thread_time();
                let result = main.call(&mut store, ());
                let time = thread_time() - start;
                match result.map_err(wasmtime::Error::downcast::<I32Exit>) {
                    Ok(()) | Err(Ok(I32Exit(0))) => {}
                    Err(Ok(exit)) => return Err(exit.into()),
                    Err(Err(error)) => return Err(error.into()),
                }
                (time, stdout.contents().to_vec())
            }
        };
        let cells = self.observed.take_cells(&mut store, &instance)?;
        store.data_mut().recorder.settle(cells);
        let report = store.data_mut().recorder.finish(Outcome::Returned);
        if let Some(collector) = &self.collector {
            collector.flush(Duration::from_secs(10));
        }
        (self.clear)();
        Ok(Run { time, result, report })
    }
}

fn wasi(engine: &Engine) -> Result<Linker<State>, Box<dyn Error>> {
    let mut linker = Linker::new(engine);
    p1::add_to_linker_sync(&mut linker, |state: &mut State| &mut state.wasi)?;
    Ok(linker)
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

/// What observe-sdk 0.x keeps behind a mutex: the open calls, each of which
/// holds those that were made in it.
#[derive(Default)]
struct Peer {
    /// Whether a call that ends is copied into its caller, with all that is in it.
    tree: bool,
    open: Vec<PeerCall>,
    done: Vec<PeerCall>,
}

#[derive(Clone)]
#[expect(dead_code, reason = "what nobody reads is written all the same")]
struct PeerCall {
    index: u32,
    start: SystemTime,
    end: SystemTime,
    name: Option<String>,
    raw_name: Option<String>,
    within: Vec<PeerCall>,
}

impl Peer {
    fn enter(&mut self, index: u32, name: Option<&str>) {
        self.open.push(PeerCall {
            index,
            start: SystemTime::now(),
            end: SystemTime::now(),
            name: name.map(demangle),
            raw_name: name.map(str::to_owned),
            within: Vec::new(),
        });
    }

    fn exit(&mut self) {
        let Some(mut call) = self.open.pop() else { return };
        call.end = SystemTime::now();
        match self.open.last_mut() {
            Some(caller) if self.tree => caller.within.push(call.clone()),
            Some(_) => {}
            None => self.done.push(call),
        }
    }
}

fn index_of(params: &[Val]) -> wasmtime::Result<u32> {
    let index = params.first().and_then(Val::i32).map(i32::cast_unsigned);
    index.ok_or_else(|| wasmtime::format_err!("a hook takes one integer"))
}

/// A piece of work, and all who do it; the first is what the others are compared with.
struct Contest {
    name: String,
    work: Work,
    contenders: Vec<Contender>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::read(11);
    let engine = Engine::default();
    for contest in contests(&engine, &args)? {
        contest.hold(args.rounds)?;
    }
    Ok(())
}

fn contests(engine: &Engine, args: &Args) -> Result<Vec<Contest>, Box<dyn Error>> {
    let mut contests = Vec::new();
    let compute = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/compute.wasm");
    for (name, n, calls) in [("fib", FIB, FIB_CALLS), ("small fib", SMALL_FIB, SMALL_FIB_CALLS)] {
        if !args.wants(name) {
            continue;
        }
        let wasm = std::fs::read(compute)?;
        let mut contenders = vec![
            Contender::plain(engine, "uninstrumented", &wasm)?,
            Contender::plain(engine, "uninstrumented, again", &wasm)?,
        ];
        contenders.extend(Contender::all_of_ours(engine, "", &wasm, &Selection::default())?);
        contenders.extend(Contender::compact(engine, "compact: ", &wasm, &Selection::default())?);
        contenders.push(Contender::peer(engine, false, calls)?);
        if n == SMALL_FIB {
            contenders.push(Contender::peer(engine, true, calls)?);
        }
        let name = format!("{name}: fib({n}) of examples/compute.wasm");
        contests.push(Contest { name, work: Work::Fib(n), contenders });
    }
    if args.wants("gofmt") {
        let Some((_, path)) = corpus().into_iter().find(|(name, _)| name == "gofmt") else {
            eprintln!("gofmt is left out: {NO_CORPUS}");
            return Ok(contests);
        };
        let wasm = std::fs::read(path)?;
        let mut contenders = vec![
            Contender::plain(engine, "uninstrumented", &wasm)?,
            Contender::plain(engine, "uninstrumented, again", &wasm)?,
        ];
        for (name, selection) in
            [("default selection: ", Selection::default()), ("all functions: ", Selection::all())]
        {
            contenders.extend(Contender::all_of_ours(engine, name, &wasm, &selection)?);
        }
        let all = Selection::all();
        contenders.extend(Contender::compact(engine, "all functions, compact: ", &wasm, &all)?);
        let source = go_source();
        let name = format!("gofmt: {} kB of Go", source.len() / 1000);
        contests.push(Contest { name, work: Work::Command(source), contenders });
    }
    Ok(contests)
}

impl Contest {
    /// Runs the contenders in turn, and prints what they took.
    fn hold(self, rounds: usize) -> Result<(), Box<dyn Error>> {
        eprintln!("{}", self.name);
        let mut calls = Vec::new();
        let mut expected = None;
        // The first round warms up, and checks.
        for contender in &self.contenders {
            let run = contender.run(&self.work)?;
            if *expected.get_or_insert_with(|| run.result.clone()) != run.result {
                return Err(format!("{}: {} differs", self.name, contender.name).into());
            }
            let rows = || run.report.iter().flat_map(|report| &report.functions);
            let own = (contender.calls, contender.calls);
            calls.push(match run.report {
                None => own,
                Some(_) => {
                    (rows().map(|row| row.calls).sum(), rows().map(|row| row.timed_calls).sum())
                }
            });
        }
        let mut times = vec![Vec::with_capacity(rounds); self.contenders.len()];
        for round in 0..rounds {
            // Each takes each place in turn.
            for n in 0..self.contenders.len() {
                let place = (n + round) % self.contenders.len();
                let run = self.contenders[place].run(&self.work)?;
                times[place].push(run.time.as_secs_f64());
            }
        }

        println!("{}; median (min..max) of {rounds} rounds\n", self.name);
        println!("| contender | ms | ratio | calls | timed | ns a call |");
        println!("|---|---|---|---|---|---|");
        for ((contender, own), (calls, timed)) in self.contenders.iter().zip(&times).zip(calls) {
            let ms = Spread::of(own.iter().map(|time| time * 1e3)).median;
            let pairs = || own.iter().zip(&times[0]);
            let ratio = Spread::of(pairs().map(|(own, plain)| own / plain));
            print!("| {} | {ms:.1} | {ratio:.3} |", contender.name);
            if calls > 0 {
                let added = pairs().map(|(own, plain)| (own - plain) * 1e9 / calls as f64);
                println!(" {calls} | {timed} | {:.1} |", Spread::of(added));
            } else {
                println!(" | | |");
            }
        }
        println!();
        for contender in self.contenders {
            let Some(collector) = contender.collector else { continue };
            let report = collector.shutdown(Duration::from_secs(10));
            for Counts { accepted, delivered, dropped, .. } in
                report.exporters.iter().map(|exporter| exporter.counts)
            {
                println!(
                    "{}: {accepted} spans in all rounds, {delivered} delivered, {} dropped",
                    contender.name,
                    dropped.total()
                );
            }
        }
        println!();
        Ok(())
    }
}

/// Go source that compiles, in want of formatting. It is the same each time.
fn go_source() -> Vec<u8> {
    let mut text = String::from("package main\nimport (\n\"fmt\"\n\"errors\"\n)\n");
    let mut random = 1u32;
    for n in 0..GO_FUNCTIONS {
        // Numerical Recipes' generator, whose upper bits will do.
        let mut next = |below: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) % below
        };
        let _ = write!(
            text,
            "// F{n} has a comment.\nfunc  F{n}( a,b int,s []string ) (n int ,err error) {{\n\
             if a<{} {{ return b*a+{}<<2,nil }}\n",
            next(1000),
            next(9),
        );
        for _ in 0..next(6) {
            let _ = write!(
                text,
                "for i,x:=range s{{ switch {{\ncase i>{}: n+=len(x)*( a-b ) // why\n\
                 default: m:=map[string]int{{\"a\":{},  \"long\":i,}}\nn-=m[x] }} }}\n",
                next(50),
                next(90),
            );
        }
        let _ = writeln!(text, "if n==0{{ err=errors.New(fmt.Sprint(\"none\",a)) }}\nreturn }}");
    }
    text.into_bytes()
}
