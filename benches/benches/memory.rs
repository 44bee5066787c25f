//! What observing takes in memory beside the guest's own, for each store that is live.
//!
//! `cargo bench -p observe-benches --bench memory -- [PROGRAM...] [many]`
//!
//! Each row is of a process of its own, in which nothing else was allocated before. In it so
//! many stores are made, in each of which the program runs in a trace, and all are kept. What
//! the heap holds is counted by the allocator; what is resident, by the system, which also has
//! what is mapped: the memory with the cells, say.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use observe_benches::memory::{Counting, allocated_in, allocated_now};
use observe_benches::{Args, Program, Result, status};
use observe_collector::event::Chunk;
use observe_collector::{Collector, Counts, Exporter};
use observe_host::{ObservedModule, Observer, Overhead, Recorder, TraceOptions, Tracer};
use observe_instrumenter::Selection;
use serde::{Deserialize, Serialize};
use wasmtime::{Engine, InstancePre, Linker, Module, Store};
use wasmtime_wasi::p1::{self, WasiP1Ctx};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tells a process of its own which row it is to measure.
const ROW: &str = "OBSERVE_BENCHES_ROW";

/// As many stores as a host may well have at a time.
const MANY: usize = 10_000;

/// What one process measures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Job {
    program: Guest,
    way: Way,
    stores: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Guest {
    Vowels,
    Gofmt,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Way {
    Uninstrumented,
    Off,
    Budget,
    All,
    /// All, with a collector.
    Collected,
}

/// What came of it, in bytes a store if not said otherwise.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Taken {
    /// What the heap holds at the end of the work, when the trace is still open.
    heap_in_trace: f64,
    /// What it holds when the trace has ended, and the store is still there.
    heap: f64,
    resident: f64,
    /// Of the process, in all.
    resident_in_all: f64,
    /// Threads that came with the stores, that of the collector included.
    threads: usize,
}

impl Guest {
    const ALL: [Guest; 2] = [Guest::Vowels, Guest::Gofmt];

    fn name(self) -> &'static str {
        match self {
            Guest::Vowels => "vowels (Rust)",
            Guest::Gofmt => "gofmt (Go)",
        }
    }

    fn program(self) -> Result<Option<Program>> {
        match self {
            Guest::Vowels => Program::vowels().map(Some),
            Guest::Gofmt => Program::gofmt(20),
        }
    }

    /// Enough that the pages of one do not matter.
    fn stores(self) -> usize {
        match self {
            Guest::Vowels => 1000,
            Guest::Gofmt => 40,
        }
    }
}

impl Way {
    const ALL: [Way; 5] = [Way::Uninstrumented, Way::Off, Way::Budget, Way::All, Way::Collected];

    fn name(self) -> &'static str {
        match self {
            Way::Uninstrumented => "uninstrumented",
            Way::Off => "off",
            Way::Budget => "budget 5 %",
            Way::All => "all",
            Way::Collected => "all, spans from 20 µs to a collector",
        }
    }

    fn overhead(self) -> Option<Overhead> {
        match self {
            Way::Uninstrumented => None,
            Way::Off => Some(Overhead::off()),
            Way::Budget => Some(Overhead::budget(5.0)),
            Way::All | Way::Collected => Some(Overhead::all()),
        }
    }
}

fn main() -> Result<()> {
    if let Some(row) = std::env::var_os(ROW) {
        let job: Job = serde_json::from_str(&row.to_string_lossy())?;
        println!("{}", serde_json::to_string(&measure(job)?)?);
        return Ok(());
    }
    let args = Args::read(1);
    let programs: Vec<_> =
        Guest::ALL.into_iter().filter(|program| args.wants(program.name())).collect();
    if !programs.is_empty() {
        println!("beside the guest's, a live store; all functions hooked\n");
        println!(
            "| program | contender | heap, in a trace | heap, after it | resident, after it |"
        );
        println!("|---|---|---|---|---|");
    }
    for program in programs {
        let mut plain = Taken::default();
        for way in Way::ALL {
            let taken = in_a_process(Job { program, way, stores: program.stores() })?;
            if way == Way::Uninstrumented {
                plain = taken;
            }
            let beside = |of: fn(&Taken) -> f64| match way {
                Way::Uninstrumented => format!("(the guest's own: {})", kib(of(&taken))),
                _ => kib(of(&taken) - of(&plain)),
            };
            println!(
                "| {} | {} | {} | {} | {} |",
                program.name(),
                way.name(),
                beside(|taken| taken.heap_in_trace),
                beside(|taken| taken.heap),
                beside(|taken| taken.resident),
            );
        }
    }
    if args.wants("many") {
        println!("\n{MANY} live stores of examples/vowels.wasm\n");
        println!("| contender | resident in all | a store | threads that came with them |");
        println!("|---|---|---|---|");
        for way in [Way::Uninstrumented, Way::Budget, Way::Collected] {
            let taken = in_a_process(Job { program: Guest::Vowels, way, stores: MANY })?;
            println!(
                "| {} | {:.0} MiB | {} | {} |",
                way.name(),
                taken.resident_in_all / f64::from(1 << 20),
                kib(taken.resident),
                taken.threads
            );
        }
    }
    Ok(())
}

fn kib(bytes: f64) -> String {
    format!("{:.1} KiB", bytes / 1024.0)
}

fn in_a_process(job: Job) -> Result<Taken> {
    eprintln!("{} {}", job.program.name(), job.way.name());
    let mut command = Command::new(std::env::current_exe()?);
    command.env(ROW, serde_json::to_string(&job)?).stderr(Stdio::inherit());
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{job:?} fails: {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The data of a store.
struct State {
    wasi: WasiP1Ctx,
    recorder: Recorder,
}

/// What makes stores in which the program has run.
struct Maker {
    program: Program,
    linked: InstancePre<State>,
    observed: Option<(Tracer<State>, ObservedModule)>,
}

fn measure(job: Job) -> Result<Taken> {
    let program = job.program.program()?.ok_or(observe_benches::NO_CORPUS)?;
    let engine = Engine::default();
    let observed = match job.way {
        Way::Uninstrumented => None,
        _ => Some(ObservedModule::new(&engine, &program.wasm, &Selection::all())?),
    };
    let module = match &observed {
        None => Module::new(&engine, &program.wasm)?,
        Some(observed) => observed.module().clone(),
    };
    let threads = status("Threads")?;
    let collector = match job.way {
        Way::Collected => Some(Collector::builder().exporter(Box::new(Forgetful)).start()),
        _ => None,
    };
    let of_collector = status("Threads")?.saturating_sub(threads);
    let mut builder = Observer::builder();
    if let Some(overhead) = job.way.overhead() {
        builder = builder.overhead(overhead);
    }
    if let Some(collector) = &collector {
        builder = builder.sink(collector.handle());
    }
    let mut linker = Linker::new(&engine);
    p1::add_to_linker_sync(&mut linker, |state: &mut State| &mut state.wasi)?;
    let tracer = builder.build().tracer(&mut linker, |state| &mut state.recorder)?;
    let linked = linker.instantiate_pre(&module)?;
    let maker = Maker { program, linked, observed: observed.map(|observed| (tracer, observed)) };
    // What is made once in a process does not count.
    drop(maker.stores(2)?);

    let (threads, resident) = (status("Threads")?, status("VmRSS")? * 1024);
    let (made, allocated) = allocated_in(|| maker.stores(job.stores));
    let made = made?;
    if let Some(collector) = &collector {
        collector.flush(Duration::from_secs(10));
    }
    let (threads_now, resident_in_all) = (status("Threads")?, status("VmRSS")? * 1024);
    let a_store = |bytes: f64| bytes / job.stores as f64;
    Ok(Taken {
        heap_in_trace: a_store(made.iter().map(|(_, in_trace)| *in_trace as f64).sum()),
        heap: a_store(allocated.left as f64),
        resident: a_store(resident_in_all as f64 - resident as f64),
        resident_in_all: resident_in_all as f64,
        threads: of_collector + threads_now.saturating_sub(threads),
    })
}

impl Maker {
    /// Stores in which the program has run, and what each held on the heap before its trace ended.
    fn stores(&self, count: usize) -> Result<Vec<(Store<State>, isize)>> {
        (0..count).map(|_| self.store()).collect()
    }

    fn store(&self) -> Result<(Store<State>, isize)> {
        let before = allocated_now();
        let sandbox = self.program.sandbox()?;
        let recorder = match &self.observed {
            None => Recorder::default(),
            Some((tracer, observed)) => tracer.observer().recorder(observed),
        };
        let state = State { wasi: sandbox.wasi, recorder };
        let mut store = Store::new(self.linked.module().engine(), state);
        let Some((tracer, _)) = &self.observed else {
            let instance = self.linked.instantiate(&mut store)?;
            self.program.run(&mut store, &instance, &sandbox.stdout)?;
            return Ok((store, allocated_now() - before));
        };
        let traced = tracer.trace(&mut store, TraceOptions::new("bench"), |store| {
            let instance = tracer.instantiate(store, &self.linked)?;
            let done = self.program.run(store, &instance, &sandbox.stdout);
            Ok(done.map(|_| allocated_now() - before))
        });
        let in_trace = traced.result??;
        Ok((store, in_trace))
    }
}

/// Takes spans and keeps nothing.
struct Forgetful;

impl Exporter for Forgetful {
    fn name(&self) -> &'static str {
        "forgetful"
    }
    fn export(&mut self, _chunk: &Chunk) {}
    fn flush(&mut self, _deadline: Instant) {}
    fn counts(&self) -> Counts {
        Counts::default()
    }
    fn last_error(&self) -> Option<String> {
        None
    }
}
