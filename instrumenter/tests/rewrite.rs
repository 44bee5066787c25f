//! Each `rewrite/*.wat` is instrumented and printed; what is expected stands beside it
//! in `*.wat.out`. `BLESS=1 cargo test -p observe-instrumenter --test rewrite` writes
//! what comes out, to be read before it is committed.
//!
//! The first line of an input may begin with `;; plan:` and name `default` instead of
//! all functions, `memory` for cells in a memory, `compact` for such that a function counts
//! down, `allocations` to be told of the heap, `dylibso` for the hooks of observe-sdk, or
//! `flat` for a result that is not printed as nested expressions.

use std::path::Path;

use observe_abi::map::{Cells, FunctionMap};
use observe_instrumenter::{Abi, Module, Plan, Selection, read_function_map};
use wasmparser::{Validator, WasmFeatures};

#[test]
fn rewrites_are_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rewrite");
    let bless = std::env::var_os("BLESS").is_some();
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of cases")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wat"))
        .collect();
    files.sort();
    assert!(files.len() > 10, "there are cases");
    let mut failed = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("readable");
        let printed = rewrite(&text, &file);
        let expected = file.with_extension("wat.out");
        if bless {
            std::fs::write(&expected, &printed).expect("can be written");
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != printed {
            failed.push(format!("{}:\n{printed}", file.display()));
        }
    }
    assert!(failed.is_empty(), "not as expected:\n{}", failed.join("\n"));
}

fn rewrite(text: &str, file: &Path) -> String {
    let wasm = wat::parse_str(text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let directive = text.lines().next().and_then(|line| line.strip_prefix(";; plan:"));
    let words: Vec<_> = directive.unwrap_or_default().split_whitespace().collect();
    let selection = match words.contains(&"default") {
        true => Selection::default(),
        false => Selection::all(),
    };
    let selection = selection.allocations(words.contains(&"allocations"));
    let module = Module::parse(&wasm).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut plan = Plan::new(&module, &selection);
    if words.contains(&"memory") {
        plan.cells = Cells::Memory;
    }
    if words.contains(&"compact") {
        (plan.cells, plan.compact) = (Cells::Memory, true);
    }
    if words.contains(&"dylibso") {
        plan.abi = Abi::Dylibso;
    }
    let instrumented = plan.apply(&module).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    Validator::new_with_features(WasmFeatures::all())
        .validate_all(&instrumented.wasm)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut printed = String::new();
    wasmprinter::Config::new()
        .fold_instructions(!words.contains(&"flat"))
        .print(&instrumented.wasm, &mut wasmprinter::PrintFmtWrite(&mut printed))
        .expect("what is valid can be printed");
    // The bytes of our own sections say nothing to a reader; the map is decoded.
    let own = |line: &&str| {
        !line.contains("(@custom \"observe:map\"") && !line.contains("\"observe\" \"")
    };
    let mut printed: String = printed.lines().filter(own).map(|line| format!("{line}\n")).collect();
    match read_function_map(&instrumented.wasm) {
        Some(map) => {
            let FunctionMap { functions, .. } = map.expect("what was just written");
            for (id, function) in functions.iter().enumerate() {
                printed += &format!(";; id {id}: function {}, {}\n", function.index, function.name);
            }
        }
        None if plan.abi == Abi::Dylibso => {}
        None => assert_eq!(instrumented.wasm, wasm, "no hooks, no change"),
    }
    for warning in &instrumented.warnings {
        printed += &format!(";; {warning}\n");
    }
    printed
}
