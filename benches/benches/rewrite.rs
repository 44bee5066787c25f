//! How fast modules are rewritten, how much larger they get, and what memory it
//! takes: ours, by default and for all functions, and two that decode every function
//! and write it anew: walrus, which builds a tree of it, and wirm, which keeps a list.
//!
//! `cargo bench -p observe-benches --bench rewrite -- [ROUNDS] [NAME...]`

use std::error::Error;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use observe_benches::memory::{Counting, allocated_in};
use observe_benches::{Args, NO_CORPUS, Spread, corpus, thread_time};
use observe_instrumenter::{Module, Plan, Selection};
use walrus::ir::{Br, Call, Const, Instr, InstrLocId, InstrSeq, InstrSeqId, Value, VisitorMut};
use walrus::{FunctionId, ValType};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};
use wirm::opcode::{Instrumenter, Opcode};

/// Smaller modules are rewritten before a clock can tell.
const MIN_BYTES: usize = 1_000_000;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Clone, Copy, PartialEq)]
enum Contender {
    OursByDefault,
    OursAll,
    WalrusRoundTrip,
    WalrusHooks,
    WirmHooks,
}

impl Contender {
    const ALL: [Contender; 5] = [
        Contender::OursByDefault,
        Contender::OursAll,
        Contender::WalrusRoundTrip,
        Contender::WalrusHooks,
        Contender::WirmHooks,
    ];

    fn name(self) -> &'static str {
        match self {
            Contender::OursByDefault => "ours, default selection",
            Contender::OursAll => "ours, all functions",
            Contender::WalrusRoundTrip => "walrus, nothing inserted",
            Contender::WalrusHooks => "walrus, enter and exit in all",
            Contender::WirmHooks => "wirm, enter and exit in all",
        }
    }

    fn rewrite(self, wasm: &[u8]) -> Result<Rewritten, Box<dyn Error>> {
        match self {
            Contender::OursByDefault => ours(wasm, &Selection::default()),
            Contender::OursAll => ours(wasm, &Selection::all()),
            Contender::WalrusRoundTrip => walrus(wasm, |_| {}),
            Contender::WalrusHooks => walrus(wasm, insert_hooks),
            Contender::WirmHooks => wirm(wasm),
        }
    }
}

/// A rewritten module, and how long each of the three steps took.
struct Rewritten {
    wasm: Vec<u8>,
    steps: [Duration; 3],
}

impl Rewritten {
    fn time(&self) -> Duration {
        self.steps.iter().sum()
    }
}

fn ours(wasm: &[u8], selection: &Selection) -> Result<Rewritten, Box<dyn Error>> {
    let start = thread_time();
    let module = Module::parse(black_box(wasm))?;
    let parsed = thread_time();
    let plan = Plan::new(&module, selection);
    let planned = thread_time();
    let wasm = black_box(plan.apply(&module)?.wasm);
    let applied = thread_time();
    Ok(Rewritten { wasm, steps: [parsed - start, planned - parsed, applied - planned] })
}

fn walrus(
    wasm: &[u8],
    insert: impl FnOnce(&mut walrus::Module),
) -> Result<Rewritten, Box<dyn Error>> {
    let start = thread_time();
    let mut module = walrus::ModuleConfig::new().parse(black_box(wasm))?;
    let parsed = thread_time();
    insert(&mut module);
    let inserted = thread_time();
    let wasm = black_box(module.emit_wasm());
    let emitted = thread_time();
    Ok(Rewritten { wasm, steps: [parsed - start, inserted - parsed, emitted - inserted] })
}

/// A call of `enter` at the start of each function, and one of `exit` wherever it
/// returns. Conditional branches to the end of the function pass `exit` by: what is
/// compared is the time, and less work is to the advantage of walrus.
fn insert_hooks(module: &mut walrus::Module) {
    let ty = module.types.add(&[ValType::I32], &[]);
    let (enter, _) = module.add_import_func("hooks", "enter", ty);
    let (exit, _) = module.add_import_func("hooks", "exit", ty);
    for (n, (_, function)) in module.funcs.iter_local_mut().enumerate() {
        let hook = |func: FunctionId| {
            let id = Instr::Const(Const { value: Value::I32(n as i32) });
            let call = Instr::Call(Call { func });
            [(id, InstrLocId::default()), (call, InstrLocId::default())]
        };
        let entry = function.entry_block();
        let mut exits = Exits { entry, hook: hook(exit) };
        walrus::ir::dfs_pre_order_mut(&mut exits, function, entry);
        let body = &mut function.block_mut(entry).instrs;
        body.splice(0..0, hook(enter));
        body.extend(hook(exit));
    }
}

struct Exits {
    entry: InstrSeqId,
    hook: [(Instr, InstrLocId); 2],
}

impl VisitorMut for Exits {
    fn start_instr_seq_mut(&mut self, seq: &mut InstrSeq) {
        for at in (0..seq.instrs.len()).rev() {
            let leaves = match &seq.instrs[at].0 {
                Instr::Return(_)
                | Instr::ReturnCall(_)
                | Instr::ReturnCallIndirect(_)
                | Instr::ReturnCallRef(_) => true,
                Instr::Br(Br { block }) => *block == self.entry,
                _ => false,
            };
            if leaves {
                seq.instrs.splice(at..at, self.hook.clone());
            }
        }
    }
}

/// The same hooks as wirm's own modes for the entry and the exits of a function write
/// them: that at the end stands behind a block around the body, so that branches reach
/// it, and others stand before what returns and what traps.
fn wirm(wasm: &[u8]) -> Result<Rewritten, Box<dyn Error>> {
    let start = thread_time();
    let mut module = wirm::Module::parse(black_box(wasm), true, false)?;
    let parsed = thread_time();
    let ty = module.types.add_func_type(&[wirm::DataType::I32], &[]);
    let mut import = |name: &str| module.add_import_func("hooks".into(), name.into(), ty).0;
    let (enter, exit) = (import("enter"), import("exit"));
    for (n, (function, _)) in module.get_func_metadata().into_iter().enumerate() {
        let mut function = module.functions.get_fn_modifier(function)?;
        function.func_entry().i32_const(n as i32).call(enter);
        function.func_exit().i32_const(n as i32).call(exit);
        function.finish_instr();
    }
    let inserted = thread_time();
    let wasm = black_box(module.encode()?);
    let encoded = thread_time();
    Ok(Rewritten { wasm, steps: [parsed - start, inserted - parsed, encoded - inserted] })
}

/// What a contender made of a module in all rounds.
struct Outcome {
    contender: Contender,
    peak: usize,
    growth: f64,
    code_growth: f64,
    valid: bool,
    rounds: Vec<[Duration; 3]>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::read(9);
    // A contender that panics is reported in the table.
    std::panic::set_hook(Box::new(|_| {}));
    let mut modules = Vec::new();
    for (name, path) in corpus() {
        if args.wants(&name) {
            modules.push((name, std::fs::read(path)?));
        }
    }
    modules.retain(|(_, wasm)| wasm.len() >= MIN_BYTES);
    if modules.is_empty() {
        return Err(NO_CORPUS.into());
    }
    let results: Vec<_> = modules
        .iter()
        .map(|(name, wasm)| {
            eprintln!("{name}");
            measure(wasm, args.rounds)
        })
        .collect();

    println!("MB/s of input; median (min..max) of {} rounds\n", args.rounds);
    println!(
        "| module | contender | MB/s | time, ours (all) = 1 | size | code | peak memory / input |"
    );
    println!("|---|---|---|---|---|---|---|");
    for ((name, wasm), outcomes) in modules.iter().zip(&results) {
        let all = outcomes.iter().flatten().find(|outcome| outcome.contender == Contender::OursAll);
        for outcome in outcomes {
            match outcome {
                Ok(outcome) => print_speed(name, wasm, outcome, all),
                Err((contender, error)) => {
                    println!("| {name} | {} | fails: {error} | | | | |", contender.name());
                }
            }
        }
    }

    println!("\nmilliseconds of each step; DWARF and code in MB\n");
    println!("| module | MB | code | DWARF | contender | parse | plan or insert | apply or emit |");
    println!("|---|---|---|---|---|---|---|---|");
    for ((name, wasm), outcomes) in modules.iter().zip(&results) {
        let (code, dwarf) = section_sizes(wasm);
        let [size, code, dwarf] = [wasm.len(), code, dwarf].map(|bytes| bytes as f64 / 1e6);
        for outcome in outcomes.iter().flatten() {
            let [parse, plan, apply] = [0, 1, 2].map(|step| {
                Spread::of(outcome.rounds.iter().map(|steps| steps[step].as_secs_f64() * 1e3))
            });
            println!(
                "| {name} | {size:.1} | {code:.1} | {dwarf:.1} | {} | {parse:.1} | {plan:.1} | {apply:.1} |",
                outcome.contender.name()
            );
        }
    }
    Ok(())
}

fn print_speed(name: &str, wasm: &[u8], outcome: &Outcome, all: Option<&Outcome>) {
    let seconds = |outcome: &Outcome| {
        let totals = outcome.rounds.iter().map(|steps| steps.iter().sum::<Duration>());
        totals.map(|time| time.as_secs_f64()).collect::<Vec<_>>()
    };
    let times = seconds(outcome);
    let speed = Spread::of(times.iter().map(|time| wasm.len() as f64 / 1e6 / time));
    let all = all.map(seconds).unwrap_or_default();
    let ratio = Spread::of(times.iter().zip(all).map(|(time, all)| time / all));
    println!(
        "| {name} | {}{} | {speed:.0} | {ratio:.2} | {:+.1} % | {:+.1} % | {:.2} |",
        outcome.contender.name(),
        if outcome.valid { "" } else { " (output is invalid)" },
        100.0 * outcome.growth,
        100.0 * outcome.code_growth,
        outcome.peak as f64 / wasm.len() as f64,
    );
}

/// Runs all contenders on a module, in turn.
fn measure(wasm: &[u8], rounds: usize) -> Vec<Result<Outcome, (Contender, String)>> {
    // The first round measures memory, and so does not count for time.
    let mut outcomes: Vec<_> = Contender::ALL
        .into_iter()
        .map(|contender| {
            let (rewritten, memory) = allocated_in(|| attempt(contender, wasm));
            let rewritten = rewritten.map_err(|error| (contender, error))?;
            let (before, _) = section_sizes(wasm);
            let (after, _) = section_sizes(&rewritten.wasm);
            let growth = |before: usize, after: usize| after as f64 / before as f64 - 1.0;
            let mut validator = Validator::new_with_features(WasmFeatures::all());
            Ok(Outcome {
                contender,
                peak: memory.peak,
                growth: growth(wasm.len(), rewritten.wasm.len()),
                code_growth: growth(before, after),
                valid: validator.validate_all(&rewritten.wasm).is_ok(),
                rounds: Vec::with_capacity(rounds),
            })
        })
        .collect();
    for round in 0..rounds {
        // Each takes each place in turn.
        for n in 0..outcomes.len() {
            let place = (n + round) % outcomes.len();
            if let Ok(outcome) = &mut outcomes[place]
                && let Ok(rewritten) = attempt(outcome.contender, wasm)
            {
                debug_assert!(rewritten.time() > Duration::ZERO);
                outcome.rounds.push(rewritten.steps);
            }
        }
    }
    outcomes
}

/// Rewrites a module, or says in a word why that is not possible.
fn attempt(contender: Contender, wasm: &[u8]) -> Result<Rewritten, String> {
    match catch_unwind(AssertUnwindSafe(|| contender.rewrite(wasm))) {
        Ok(Ok(rewritten)) => Ok(rewritten),
        Ok(Err(error)) => {
            let mut causes = String::new();
            let mut next: Option<&dyn Error> = Some(&*error);
            while let Some(error) = next {
                let separator = if causes.is_empty() { "" } else { ": " };
                causes = format!("{causes}{separator}{error}");
                next = error.source();
            }
            Err(causes.replace('\n', " ").replace('|', "\\|").chars().take(100).collect())
        }
        Err(_) => Err("it panics".to_owned()),
    }
}

/// The bytes of the code section, and those of the DWARF sections.
fn section_sizes(wasm: &[u8]) -> (usize, usize) {
    let (mut code, mut dwarf) = (0, 0);
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        match payload {
            Payload::CodeSectionStart { range, .. } => code = range.len(),
            Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                dwarf += section.data().len();
            }
            _ => {}
        }
    }
    (code, dwarf)
}
