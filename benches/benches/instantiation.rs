//! What observing costs before a guest runs and after: its recorder, its store, its instance,
//! its trace, and what it takes to drop them.
//!
//! `cargo bench -p observe-benches --bench instantiation -- [ROUNDS] [MODULE...]`
//!
//! These steps take so little that asking for the thread's time would be half of it. So it is
//! the time that passed, and of the stores of a round the median counts.

use std::fmt::Write as _;
use std::time::Instant;

use observe_benches::{Args, Program, Result, Spread};
use observe_host::{ObservedModule, Observer, Recorder, TraceOptions, Tracer};
use observe_instrumenter::{Cells, Module as Parsed, Plan, Selection};
use wasmtime::{Config, Engine, InstancePre, Linker, Module, PoolingAllocationConfig, Store};
use wasmtime_wasi::p1::{self, WasiP1Ctx};

/// Stores made and dropped one after the other in a round.
const STORES: usize = 50;

/// What is measured of a store, in this order.
const STEPS: [&str; 5] = ["recorder", "store", "instance", "trace", "drop"];

/// Which step is the instantiation proper.
const INSTANCE: usize = 2;

const GLOBALS: (&str, Cells) = ("ours, cells in globals", Cells::Globals);
const MEMORY: (&str, Cells) = ("ours, cells in a memory", Cells::Memory);

/// The allocator of which a memory of cells asks more than its default.
const TWO_MEMORIES: &str = "pooling, two memories a module";

/// The data of a store.
struct State {
    wasi: WasiP1Ctx,
    recorder: Recorder,
}

/// One way to have a module.
struct Contender {
    allocator: &'static str,
    name: &'static str,
    /// What observes it, where the module has hooks.
    observed: Option<(Tracer<State>, ObservedModule)>,
    linked: InstancePre<State>,
    /// The place of the uninstrumented module in the same engine.
    baseline: usize,
    /// For each round, nanoseconds a store of each step.
    rounds: Vec<[f64; STEPS.len()]>,
}

impl Contender {
    fn new(
        allocator: &'static str,
        name: &'static str,
        module: &Module,
        observed: Option<ObservedModule>,
        baseline: usize,
    ) -> Result<Self> {
        let mut linker = Linker::new(module.engine());
        p1::add_to_linker_sync(&mut linker, |state: &mut State| &mut state.wasi)?;
        let tracer = Observer::default().tracer(&mut linker, |state| &mut state.recorder)?;
        let linked = linker.instantiate_pre(module)?;
        let observed = observed.map(|observed| (tracer, observed));
        Ok(Contender { allocator, name, observed, linked, baseline, rounds: Vec::new() })
    }

    /// Makes stores and instances, one after the other.
    fn round(&self, program: &Program, stores: usize) -> Result<[f64; STEPS.len()]> {
        let mut steps = [const { Vec::new() }; STEPS.len()];
        for _ in 0..stores {
            let wasi = program.sandbox()?.wasi;
            let mut last = Instant::now();
            let mut step = |number: usize| {
                let now = Instant::now();
                steps[number].push((now - last).as_nanos() as f64);
                last = now;
            };
            let recorder = match &self.observed {
                None => Recorder::default(),
                Some((tracer, observed)) => tracer.observer().recorder(observed),
            };
            step(0);
            let mut store = Store::new(self.linked.module().engine(), State { wasi, recorder });
            step(1);
            self.linked.instantiate(&mut store)?;
            step(2);
            if let Some((tracer, _)) = &self.observed {
                let options = TraceOptions::new("bench");
                let traced = tracer.trace(&mut store, options, |_| Ok(()));
                traced.result?;
            }
            step(3);
            drop(store);
            step(4);
        }
        Ok(steps.map(|nanos| Spread::of(nanos).median))
    }
}

fn main() -> Result<()> {
    let args = Args::read(21);
    let mut programs = Vec::new();
    if args.wants("vowels") {
        programs.push(("vowels (Rust)", Program::vowels()?));
    }
    for (name, program) in [
        ("gofmt (Go)", Program::gofmt as fn(usize) -> Result<Option<Program>>),
        ("python (C)", |_| Program::idle("python")),
    ] {
        if args.wants(name)
            && let Some(program) = program(1)?
        {
            programs.push((name, program));
        }
    }
    println!(
        "microseconds a store; median (min..max) of {} rounds of {STORES} stores\n",
        args.rounds
    );
    let steps = STEPS.join(" | ");
    println!("| module | allocator | contender | {steps} | instance, ratio | all, ratio |");
    println!("|---|---|---|{}---|---|", "---|".repeat(STEPS.len()));
    for (name, program) in &programs {
        eprintln!("{name}");
        measure(name, program, args.rounds)?;
    }
    Ok(())
}

/// The engines that instances are made in.
fn engines() -> Result<[(&'static str, Engine); 3]> {
    let pooling =
        |pool: PoolingAllocationConfig| Engine::new(Config::new().allocation_strategy(pool));
    let mut two_memories = PoolingAllocationConfig::new();
    two_memories.max_memories_per_module(2);
    Ok([
        ("on demand", Engine::default()),
        ("pooling, default limits", pooling(PoolingAllocationConfig::new())?),
        (TWO_MEMORIES, pooling(two_memories)?),
    ])
}

fn measure(name: &str, program: &Program, rounds: usize) -> Result<()> {
    let parsed = Parsed::parse(&program.wasm)?;
    let plan = Plan::new(&parsed, &Selection::all());
    let mut contenders: Vec<Contender> = Vec::new();
    let mut refusals = String::new();
    for (allocator, engine) in engines()? {
        let plain = Module::new(&engine, &program.wasm);
        let plain = match plain {
            Ok(plain) => plain,
            Err(error) => {
                let _ =
                    writeln!(refusals, "{}", refusal(name, allocator, "uninstrumented", &error));
                continue;
            }
        };
        let baseline = contenders.len();
        contenders.push(Contender::new(allocator, "uninstrumented", &plain, None, baseline)?);
        for (contender, cells) in [GLOBALS, MEMORY] {
            // Globals are the same with either limit.
            if allocator == TWO_MEMORIES && cells == Cells::Globals {
                continue;
            }
            let plan = Plan { cells, ..plan.clone() };
            match ObservedModule::planned(&engine, &parsed, &plan) {
                Ok(observed) => {
                    let module = observed.module().clone();
                    let observed = Some(observed);
                    contenders
                        .push(Contender::new(allocator, contender, &module, observed, baseline)?);
                }
                Err(error) => {
                    let _ = writeln!(
                        refusals,
                        "{}",
                        refusal(name, allocator, contender, &error.into())
                    );
                }
            }
        }
    }
    for contender in &contenders {
        contender.round(program, 3)?;
    }
    for round in 0..rounds {
        // Each takes each place in turn.
        for n in 0..contenders.len() {
            let place = (n + round) % contenders.len();
            let steps = contenders[place].round(program, STORES)?;
            contenders[place].rounds.push(steps);
        }
    }
    for contender in &contenders {
        print_row(name, contender, &contenders[contender.baseline].rounds);
    }
    print!("{refusals}");
    Ok(())
}

fn print_row(name: &str, contender: &Contender, baseline: &[[f64; STEPS.len()]]) {
    let steps: Vec<_> = (0..STEPS.len())
        .map(|step| {
            let micros = Spread::of(contender.rounds.iter().map(|steps| steps[step] / 1e3));
            format!("{:.1}", micros.median)
        })
        .collect();
    let ratio = |of: fn(&[f64; STEPS.len()]) -> f64| {
        Spread::of(contender.rounds.iter().zip(baseline).map(|(own, plain)| of(own) / of(plain)))
    };
    println!(
        "| {name} | {} | {} | {} | {} | {} |",
        contender.allocator,
        contender.name,
        steps.join(" | "),
        ratio(|steps| steps[INSTANCE]),
        ratio(|steps| steps.iter().sum()),
    );
}

/// A row for what an engine does not take.
fn refusal(name: &str, allocator: &str, contender: &str, error: &wasmtime::Error) -> String {
    let rest = "| ".repeat(STEPS.len() + 1);
    format!("| {name} | {allocator} | {contender} | refused: {error:#} {rest}|")
}
