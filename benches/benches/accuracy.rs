//! How well a sampled trace tells what functions take: durations and numbers of calls under a
//! budget of 5 %, beside the truth.
//!
//! `cargo bench -p observe-benches --bench accuracy -- [ROUNDS] [PROGRAM...]`

use std::collections::HashMap;
use std::time::Duration;

use observe_benches::{Args, Program, Result, Spread};
use observe_host::{
    FunctionRow, ObservedModule, Observer, Overhead, Recorder, TraceOptions, Tracer,
};
use observe_instrumenter::Selection;
use wasmtime::{Engine, InstancePre, Linker, Store};
use wasmtime_wasi::p1::{self, WasiP1Ctx};

/// Functions count that take at least this part of the run.
const MIN_SHARE: f64 = 0.01;

/// Runs of which the truth is the median.
const RUNS_FOR_TRUTH: usize = 5;

/// The data of a store.
struct State {
    wasi: WasiP1Ctx,
    recorder: Recorder,
}

/// A program with hooks in all functions.
struct Subject {
    program: Program,
    observed: ObservedModule,
    tracer: Tracer<State>,
    linked: InstancePre<State>,
}

/// What one run told.
struct Told {
    time: Duration,
    functions: Vec<FunctionRow>,
}

/// What is true of a function.
#[derive(Clone, Copy)]
struct Truth {
    calls: u64,
    nanos: f64,
}

fn main() -> Result<()> {
    let args = Args::read(9);
    println!("Of {} runs under a budget of 5 %.\n", args.rounds);
    println!("| program | functions | error, median | p90 | worst | calls, worst |");
    println!("|---|---|---|---|---|---|");
    for (name, program) in [
        ("gofmt", (|| Program::gofmt(Program::FORMATTED)) as fn() -> Result<Option<Program>>),
        ("nextpnr", || Program::nextpnr(Program::PLACED)),
        ("ripgrep", || Program::ripgrep(Program::SEARCHED)),
    ] {
        if !args.wants(name) {
            continue;
        }
        if let Some(program) = program()? {
            eprintln!("{name}");
            println!("{}", Subject::new(program)?.judge(args.rounds)?);
        }
    }
    Ok(())
}

impl Subject {
    fn new(program: Program) -> Result<Self> {
        let observed = ObservedModule::new(&Engine::default(), &program.wasm, &Selection::all())?;
        let mut linker = Linker::new(observed.module().engine());
        p1::add_to_linker_sync(&mut linker, |state: &mut State| &mut state.wasi)?;
        let tracer = Observer::default().tracer(&mut linker, |state| &mut state.recorder)?;
        let linked = linker.instantiate_pre(observed.module())?;
        Ok(Subject { program, observed, tracer, linked })
    }

    /// A row of the table.
    fn judge(&self, rounds: usize) -> Result<String> {
        let truth = self.truth()?;
        let mut errors = [const { Vec::new() }; 3];
        let mut calls = Vec::new();
        for _ in 0..rounds {
            let told = self.run(Overhead::budget(5.0))?;
            let rows = by_name(&told.functions);
            let mut of_run = Vec::new();
            let mut worst_count = 0.0f64;
            for (name, truth) in &truth {
                let row = rows.get(name.as_str());
                let count = row.map_or(0, |row| row.calls);
                worst_count = worst_count.max(error(count as f64, truth.calls as f64));
                let nanos = row.map_or(0, |row| row.sum_nanos);
                of_run.push(error(nanos as f64, truth.nanos));
            }
            of_run.sort_by(f64::total_cmp);
            for (errors, part) in errors.iter_mut().zip([0.5, 0.9, 1.0]) {
                errors.push(100.0 * quantile(&of_run, part));
            }
            calls.push(100.0 * worst_count);
        }
        let [median, p90, worst] = errors.map(Spread::of);
        Ok(format!(
            "| {} | {} | {median:.1} % | {p90:.1} % | {worst:.1} % | {:.3} % |",
            self.program.about,
            truth.len(),
            Spread::of(calls),
        ))
    }

    /// What the functions take that take most, by name.
    fn truth(&self) -> Result<HashMap<String, Truth>> {
        let runs: Vec<_> =
            (0..RUNS_FOR_TRUTH).map(|_| self.run(Overhead::all())).collect::<Result<_>>()?;
        let run = Spread::of(runs.iter().map(|run| run.time.as_nanos() as f64)).median;
        let tables: Vec<_> = runs.iter().map(|run| by_name(&run.functions)).collect();
        let first = tables.first().ok_or("there was no run")?;
        let truth = first.iter().map(|(name, row)| {
            let nanos = tables.iter().filter_map(|table| Some(table.get(name)?.sum_nanos));
            let nanos = Spread::of(nanos.map(|nanos| nanos as f64)).median;
            ((*name).to_owned(), Truth { calls: row.calls, nanos })
        });
        Ok(truth.filter(|(_, truth)| truth.nanos >= MIN_SHARE * run).collect())
    }

    fn run(&self, overhead: Overhead) -> Result<Told> {
        let sandbox = self.program.sandbox()?;
        let recorder = self.tracer.observer().recorder(&self.observed);
        let engine = self.linked.module().engine();
        let mut store = Store::new(engine, State { wasi: sandbox.wasi, recorder });
        let options = TraceOptions::new("bench").overhead(overhead);
        let traced = self.tracer.trace(&mut store, options, |store| {
            let instance = self.tracer.instantiate(store, &self.linked)?;
            Ok(self.program.run(store, &instance, &sandbox.stdout))
        });
        let report = traced.report.ok_or("there was a trace already")?;
        Ok(Told { time: traced.result??.time, functions: report.functions })
    }
}

/// The rows of functions with a name of their own.
fn by_name(rows: &[FunctionRow]) -> HashMap<&str, &FunctionRow> {
    let mut named = HashMap::new();
    let mut shared = Vec::new();
    for row in rows {
        if named.insert(row.name.as_str(), row).is_some() {
            shared.push(row.name.as_str());
        }
    }
    named.retain(|name, _| !shared.contains(name));
    named
}

/// By which part of the truth a figure misses it.
fn error(told: f64, truth: f64) -> f64 {
    (told / truth - 1.0).abs()
}

/// The value that the given part of sorted values does not exceed; 0 where there are none.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}
