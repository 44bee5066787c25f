//! How well a sampled trace tells what functions take: durations and numbers of calls under a
//! budget of 5 %, beside the truth.
//!
//! `cargo bench -p observe-benches --bench accuracy -- [ROUNDS] [PROGRAM...]`
//!
//! A run in which everything is timed takes some five times as long, and so is no truth to
//! compare with. The truth of a function is what all of its calls take in a module in
//! which it alone is hooked. Since that takes a module for each function, not all are
//! compared, but some from each part of the ranking.

use std::collections::HashMap;
use std::time::Duration;

use observe_benches::{Args, Program, Result, Spread};
use observe_host::{
    FunctionRow, ObservedModule, Observer, Overhead, Recorder, TraceOptions, Tracer,
};
use observe_instrumenter::{
    Cells, Decision, HookId, Module as Parsed, Omission, Plan, Reason, Selection,
};
use wasmtime::{Engine, InstancePre, Linker, Store};
use wasmtime_wasi::p1::{self, WasiP1Ctx};

/// Functions count that take at least this part of the run.
const MIN_SHARE: f64 = 0.01;

/// How many functions of a program are compared, at most.
const FUNCTIONS: usize = 16;

/// Runs of which the truth is the median.
const RUNS_FOR_TRUTH: usize = 5;

/// What is compared of a function.
const FIGURES: [&str; 2] = ["duration", "share of the run"];

/// The parts of the functions that are told about.
const QUANTILES: [(f64, &str); 3] = [(0.5, "median"), (0.9, "p90"), (1.0, "worst")];

/// The data of a store.
struct State {
    wasi: WasiP1Ctx,
    recorder: Recorder,
}

/// A program with hooks.
struct Subject<'p> {
    program: &'p Program,
    observed: ObservedModule,
    tracer: Tracer<State>,
    linked: InstancePre<State>,
}

/// What one run told.
struct Told {
    time: Duration,
    functions: Vec<FunctionRow>,
}

/// What is told, or true, of a function.
#[derive(Clone, Copy, Default)]
struct Figures {
    calls: f64,
    /// Nanoseconds of all its calls.
    duration: f64,
    /// The same as a part of the run.
    share: f64,
}

fn main() -> Result<()> {
    let args = Args::read(9);
    let heads = FIGURES.map(|figure| QUANTILES.map(|(_, part)| format!("{figure}, {part}")));
    println!("In percent, of {} runs under a budget of 5 %.\n", args.rounds);
    println!("| program | functions | {} | calls, worst |", heads.concat().join(" | "));
    println!("|---|---|{}---|", "---|".repeat(FIGURES.len() * QUANTILES.len()));
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
            println!("{}", judge(&program, args.rounds)?);
        }
    }
    Ok(())
}

/// A row of the table.
fn judge(program: &Program, rounds: usize) -> Result<String> {
    let engine = Engine::default();
    let parsed = Parsed::parse(&program.wasm)?;
    let plan = Plan { cells: Cells::Memory, ..Plan::new(&parsed, &Selection::all()) };
    let all = Subject::new(&engine, program, &parsed, &plan)?;
    let mut truth = HashMap::new();
    for name in candidates(&all.run(Overhead::all())?) {
        let Some(only) = only(&plan, &name) else { continue };
        let subject = Subject::new(&engine, program, &parsed, &only)?;
        let runs = (0..RUNS_FOR_TRUTH).map(|_| Ok(subject.run(Overhead::all())?.figures(&name)));
        let runs = runs.collect::<Result<Vec<_>>>()?;
        let median = |of: fn(&Figures) -> f64| Spread::of(runs.iter().map(of)).median;
        let figures = Figures {
            calls: median(|run| run.calls),
            duration: median(|run| run.duration),
            share: median(|run| run.share),
        };
        if figures.share >= MIN_SHARE {
            truth.insert(name, figures);
        }
    }

    // Of each figure and each quantile, in percent, what it came to in each run.
    let mut errors = [const { Vec::new() }; FIGURES.len() * QUANTILES.len()];
    let mut calls = Vec::new();
    for _ in 0..rounds {
        let told = all.run(Overhead::budget(5.0))?;
        let mut of_run = [const { Vec::new() }; FIGURES.len()];
        let mut worst_count = 0.0f64;
        for (name, truth) in &truth {
            let figures = told.figures(name);
            worst_count = worst_count.max(error(figures.calls, truth.calls));
            of_run[0].push(error(figures.duration, truth.duration));
            of_run[1].push(error(figures.share, truth.share));
        }
        calls.push(worst_count);
        let mut next = errors.iter_mut();
        for mut figure in of_run {
            figure.sort_by(f64::total_cmp);
            for ((part, _), errors) in QUANTILES.iter().zip(next.by_ref()) {
                errors.push(quantile(&figure, *part));
            }
        }
    }
    let errors = errors.map(|errors| format!("{:.1}", Spread::of(errors)));
    let (about, functions) = (&program.about, truth.len());
    Ok(format!("| {about} | {functions} | {} | {:.3} |", errors.join(" | "), Spread::of(calls)))
}

/// Functions that may take part, from each part of the ranking: a run in which all is timed
/// ranks them well enough.
fn candidates(told: &Told) -> Vec<String> {
    let run = told.time.as_nanos() as f64;
    let mut named: HashMap<&str, Vec<&FunctionRow>> = HashMap::new();
    for row in &told.functions {
        named.entry(&row.name).or_default().push(row);
    }
    let mut ranked: Vec<_> = named
        .into_iter()
        // Which is which of those that share a name is not known.
        .filter_map(|(name, rows)| match rows[..] {
            [row] if row.sum_nanos as f64 >= MIN_SHARE * run => Some((row.sum_nanos, name)),
            _ => None,
        })
        .collect();
    ranked.sort_unstable();
    let count = ranked.len().min(FUNCTIONS);
    (0..count).map(|n| ranked[n * ranked.len() / count].1.to_owned()).collect()
}

/// The plan that hooks one function only; `None` where the name is that of none or of several.
fn only(plan: &Plan, name: &str) -> Option<Plan> {
    let mut only = plan.clone();
    let mut found = false;
    for function in only.imports.iter_mut().chain(&mut only.functions) {
        let Decision::Hook(..) = function.decision else { continue };
        function.decision = Decision::Leave(Omission::Excluded);
        if function.name == name {
            if found {
                return None;
            }
            found = true;
            function.decision = Decision::Hook(HookId(0), Reason::Included);
        }
    }
    found.then_some(only)
}

impl<'p> Subject<'p> {
    fn new(
        engine: &Engine,
        program: &'p Program,
        parsed: &Parsed<'_>,
        plan: &Plan,
    ) -> Result<Self> {
        let observed = ObservedModule::planned(engine, parsed, plan)?;
        let mut linker = Linker::new(engine);
        p1::add_to_linker_sync(&mut linker, |state: &mut State| &mut state.wasi)?;
        let tracer = Observer::default().tracer(&mut linker, |state| &mut state.recorder)?;
        let linked = linker.instantiate_pre(observed.module())?;
        Ok(Subject { program, observed, tracer, linked })
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

impl Told {
    fn figures(&self, name: &str) -> Figures {
        let row = self.functions.iter().find(|row| row.name == name);
        let Some(row) = row else { return Figures::default() };
        let duration = row.sum_nanos as f64;
        let share = duration / self.time.as_nanos() as f64;
        Figures { calls: row.calls as f64, duration, share }
    }
}

/// By how much of the truth a figure misses it, in percent.
fn error(told: f64, truth: f64) -> f64 {
    100.0 * (told / truth - 1.0).abs()
}

/// The value that the given part of sorted values does not exceed; 0 where there are none.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}
