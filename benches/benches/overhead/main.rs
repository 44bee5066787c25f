//! What observing costs the guest: the same work in the module as it was, in ours
//! under each kind of overhead, and in what others do.
//!
//! ```sh
//! cargo bench -p observe-benches --bench overhead -- [ROUNDS] [--processes N] [PROGRAM...]
//! ```
//!
//! A `contender` is a module, a linker, and an observer around each run: one of `ours`,
//! or one of the `peers`. A `contest` lets contenders do the work of one program in turn;
//! its `table` is printed, or merged with those of other `processes`.

mod clock;
mod contender;
mod contest;
mod ours;
mod peers;
mod processes;
mod table;

use observe_benches::{Args, Program, Result};
use observe_instrumenter::Selection;
use wasmtime::Engine;

use crate::contender::Contender;
use crate::contest::Contest;
use crate::ours::{Ours, Way};
use crate::peers::{floor, guest_profiler, observe_sdk};

/// Makes `2 * fib(n + 1) - 1` calls, which is some tens of milliseconds.
const FIB: i32 = 33;

/// As above, for contenders that keep all calls in memory.
const SMALL_FIB: i32 = 22;

fn main() -> Result<()> {
    let args = Args::read(9);
    if args.processes > 1 {
        return processes::run(&args);
    }
    let engine = Engine::default();
    if args.wants("clock") {
        processes::give(&clock::table(args.rounds))?;
    }
    for (name, contest) in CONTESTS {
        if !args.wants(name) {
            continue;
        }
        if let Some(contest) = contest(&engine)? {
            eprintln!("{name}");
            processes::give(&contest.hold(args.rounds)?)?;
        }
    }
    Ok(())
}

/// What makes a contest, unless its program is not there.
type Make = fn(&Engine) -> Result<Option<Contest>>;

const CONTESTS: [(&str, Make); 5] = [
    ("fib", fib),
    ("small fib", small_fib),
    ("gofmt", gofmt),
    ("nextpnr", nextpnr),
    ("ripgrep", ripgrep),
];

fn fib(engine: &Engine) -> Result<Option<Contest>> {
    let program = Program::fib(FIB)?;
    let ours = Ours::new(engine, "", &program.wasm, &Selection::default())?;
    let compact = Ours::compact(engine, "compact: ", &program.wasm, &Selection::default())?;
    let mut contest = Contest::new(engine, program)?;
    contest.add_floor(floor::contenders("", ours.observed())?);
    contest.add(ours.contenders(&Way::ALL)?);
    contest.add(compact.contenders(&Way::WITHOUT_SPANS)?);
    contest.add([observe_sdk::contender(engine, contest.program(), false)?]);
    contest.add_with_its_own_baseline(guest_profiler::contenders(contest.program())?);
    Ok(Some(contest))
}

fn small_fib(engine: &Engine) -> Result<Option<Contest>> {
    let program = Program::fib(SMALL_FIB)?;
    let ours = Ours::new(engine, "", &program.wasm, &Selection::default())?;
    let mut contest = Contest::new(engine, program)?;
    contest.add(ours.contenders(&[Way::All, Way::EachASpan])?);
    for tree in [false, true] {
        contest.add([observe_sdk::contender(engine, contest.program(), tree)?]);
    }
    Ok(Some(contest))
}

fn gofmt(engine: &Engine) -> Result<Option<Contest>> {
    let Some(program) = Program::gofmt(Program::FORMATTED)? else { return Ok(None) };
    let compact =
        Ours::compact(engine, "all functions, compact: ", &program.wasm, &Selection::all())?;
    let mut contest = real_program(engine, program, &Way::ALL)?;
    contest.add(compact.contenders(&Way::WITHOUT_SPANS)?);
    Ok(Some(contest))
}

fn nextpnr(engine: &Engine) -> Result<Option<Contest>> {
    let program = Program::nextpnr(Program::PLACED)?;
    program.map(|program| real_program(engine, program, &Way::WITHOUT_SPANS)).transpose()
}

fn ripgrep(engine: &Engine) -> Result<Option<Contest>> {
    let program = Program::ripgrep(Program::SEARCHED)?;
    program.map(|program| real_program(engine, program, &Way::WITHOUT_SPANS)).transpose()
}

/// A contest over a real program; with all functions hooked traces are made in the given ways.
fn real_program(engine: &Engine, program: Program, ways: &[Way]) -> Result<Contest> {
    let default = Ours::new(engine, "default selection: ", &program.wasm, &Selection::default())?;
    let all = Ours::new(engine, "all functions: ", &program.wasm, &Selection::all())?;
    let mut contest = Contest::new(engine, program)?;
    contest.add_floor(floor::contenders("all functions: ", all.observed())?);
    contest.add(default.contenders(&Way::WITHOUT_SPANS)?);
    contest.add(all.contenders(ways)?);
    contest.add([observe_sdk::contender(engine, contest.program(), false)?]);
    contest.add_with_its_own_baseline(guest_profiler::contenders(contest.program())?);
    Ok(contest)
}

/// The module as it was: what the others are compared with, and a second time, compiled
/// anew, to show what is noise.
fn uninstrumented(engine: &Engine, wasm: &[u8]) -> Result<[Contender; 2]> {
    Ok([
        Contender::plain(engine, "uninstrumented", wasm)?,
        Contender::plain(engine, "uninstrumented, again", wasm)?,
    ])
}
