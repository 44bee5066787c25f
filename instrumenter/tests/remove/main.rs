//! What was instrumented can be freed of its hooks again.

mod same;

use std::cell::Cell;
use std::path::Path;

use observe_abi::map::{self, Cells};
use observe_instrumenter::{Abi, Error, Module, Plan, Restored, Selection, remove};
use same::{room, same};

/// The modules of the tests of the rewrite.
fn modules() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rewrite");
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| {
        let path = entry.expect("readable").path();
        let is_input = path.extension().is_some_and(|extension| extension == "wat");
        is_input.then(|| (path.display().to_string(), wat::parse_file(&path).expect("a module")))
    });
    let mut modules: Vec<_> = files.flatten().collect();
    modules.sort();
    assert!(modules.len() > 10, "there are cases");
    modules
}

/// Where cells may be, and whether a function counts them down.
const FORMS: [(Cells, bool); 3] =
    [(Cells::Globals, false), (Cells::Memory, false), (Cells::Memory, true)];

fn instrument(wasm: &[u8], selection: &Selection, cells: Cells) -> Vec<u8> {
    instrument_as(wasm, selection, cells, false)
}

fn instrument_as(wasm: &[u8], selection: &Selection, cells: Cells, compact: bool) -> Vec<u8> {
    let module = Module::parse(wasm).expect("a module");
    let mut plan = Plan::new(&module, selection);
    (plan.cells, plan.compact) = (cells, compact);
    plan.apply(&module).expect("can be instrumented").wasm
}

fn assemble(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("a module")
}

/// The custom sections of a module.
fn custom(wasm: &[u8]) -> Vec<(&str, &[u8])> {
    let payloads = wasmparser::Parser::new(0).parse_all(wasm);
    let sections = payloads.filter_map(|payload| match payload.expect("a module") {
        wasmparser::Payload::CustomSection(section) => Some((section.name(), section.data())),
        _ => None,
    });
    sections.collect()
}

/// What is left out by the instrumentation does not come back.
fn is_left_out(name: &str) -> bool {
    let name = Path::new(name).file_stem().expect("a name");
    name == "stale_sections"
}

#[test]
fn hooks_of_every_form_go() {
    let (mut removed, mut identical) = (0, 0);
    for (name, wasm) in modules() {
        for selection in [
            Selection::all(),
            Selection::default(),
            Selection::exports(),
            Selection::all().allocations(true),
        ] {
            for (cells, compact) in FORMS {
                let instrumented = instrument_as(&wasm, &selection, cells, compact);
                if instrumented == wasm {
                    continue;
                }
                let Restored { wasm: restored, warnings, functions, .. } =
                    remove(&instrumented).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(restored.len() <= wasm.len() + room(&wasm), "{name}");
                removed += functions;
                if is_left_out(&name) {
                    continue;
                }
                assert_eq!(warnings, [], "{name}");
                same(&wasm, &restored).unwrap_or_else(|what| panic!("{name}: {what}"));
                identical += usize::from(restored == wasm);
            }
        }
    }
    println!("{removed} functions, {identical} modules are the same byte for byte");
    assert!(removed > 100 && identical > 40, "{removed}, {identical}");
}

/// Names, labels, branch hints and producers come back as they were, and so does all else
/// that an assembler writes.
#[test]
fn what_tells_of_code_comes_back() {
    let modules = modules();
    for name in ["label_names", "branch_hints", "every_reference", "growth", "tail_calls"] {
        let find = |module: &&(String, Vec<u8>)| module.0.ends_with(&format!("{name}.wat"));
        let (_, wasm) = modules.iter().find(find).expect("it is there");
        for (cells, compact) in FORMS {
            let instrumented = instrument_as(wasm, &Selection::all(), cells, compact);
            let restored = remove(&instrumented).expect("has hooks");
            assert_eq!(custom(&restored.wasm), custom(wasm), "{name}");
        }
    }
    let ours = |text: &str| {
        let wasm = assemble(text);
        let instrumented = instrument(&wasm, &Selection::all(), Cells::Globals);
        assert_eq!(remove(&instrumented).expect("has hooks").wasm, wasm, "{text}");
    };
    ours("(module (func) (@producers (processed-by \"x\" \"1\") (language \"C\" \"\")))");
    ours("(module (func) (@producers (sdk \"x\" \"1\")))");
    // A group without types before those of the hooks.
    ours("(module (type (func)) (func (type 0)) (rec))");
    ours("(module (func (local i32 i32) loop end) (func (local i64)) (func (local f32 i32)))");
}

/// A build without hooks is not the build with them.
#[test]
fn a_build_id_is_that_of_another_build() {
    let wasm = assemble("(module (func) (@custom \"build_id\" \"\\04abcd\"))");
    let instrumented = instrument(&wasm, &Selection::all(), Cells::Globals);
    let restored = remove(&instrumented).expect("has hooks").wasm;
    let ids = [&wasm, &instrumented, &restored].map(|wasm| {
        let section = custom(wasm).into_iter().find(|section| section.0 == "build_id");
        section.expect("it is kept").1.to_vec()
    });
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    assert!(ids.iter().all(|id| id.len() == 5), "{ids:?}");
}

#[test]
fn what_has_no_hooks_is_refused() {
    let plain = assemble("(module (func (export \"f\")))");
    assert!(matches!(remove(&plain), Err(Error::NotInstrumented)));
    assert!(matches!(remove(b""), Err(Error::Empty)));
    assert!(matches!(remove(b"\0asm\x0d\0\x01\0"), Err(Error::Component)));
    let module = Module::parse(&plain).expect("a module");
    let mut plan = Plan::new(&module, &Selection::all());
    plan.abi = Abi::Dylibso;
    let dylibso = plan.apply(&module).expect("can be instrumented").wasm;
    assert!(matches!(remove(&dylibso), Err(Error::NoMap { .. })));
}

/// A section with this name and these contents in place of the one that is there; none for
/// `None`.
fn with_map(wasm: &[u8], contents: Option<&[u8]>) -> Vec<u8> {
    let mut changed = wasm[..8].to_vec();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        let payload = payload.expect("a module");
        let is_map = matches!(&payload, wasmparser::Payload::CustomSection(section)
            if section.name() == map::SECTION);
        let Some((id, range)) = payload.as_section() else { continue };
        let section = wasm_encoder::RawSection { id, data: &wasm[range] };
        if !is_map {
            wasm_encoder::Section::append_to(&section, &mut changed);
        } else if let Some(data) = contents {
            let section =
                wasm_encoder::CustomSection { name: map::SECTION.into(), data: data.into() };
            wasm_encoder::Section::append_to(&section, &mut changed);
        }
    }
    changed
}

#[test]
fn a_map_that_is_not_the_modules_is_refused() {
    let wasm = assemble("(module (import \"\" \"\" (func)) (func loop end) (func call 0))");
    let instrumented = instrument(&wasm, &Selection::all(), Cells::Globals);
    assert!(
        remove(&with_map(&instrumented, None))
            .is_err_and(|error| { matches!(error, Error::NoMap { .. }) })
    );
    assert!(remove(&with_map(&instrumented, Some(&[9]))).is_err_and(|error| {
        matches!(error, Error::Map(_)) && error.to_string().contains("version 9")
    }));
    assert!(matches!(remove(&with_map(&instrumented, Some(&[2]))), Err(Error::Map(_))));
    // Each number in it matters, or the result is the same.
    let found = observe_instrumenter::read_function_map(&instrumented);
    let map = found.expect("it is there").expect("it is whole");
    let refused = Cell::new(0);
    let check = |change: &dyn Fn(&mut map::FunctionMap)| {
        let mut map = map.clone();
        change(&mut map);
        match remove(&with_map(&instrumented, Some(&map.encode()))) {
            Err(error) => {
                assert!(matches!(error, Error::Changed { .. }), "{error}");
                refused.set(refused.get() + 1);
            }
            Ok(restored) => same(&wasm, &restored.wasm).expect("the same"),
        }
    };
    check(&|map| map.imports = 0);
    check(&|map| map.imports = 2);
    check(&|map| map.imports = u32::MAX);
    check(&|map| map.defined = 1);
    check(&|map| map.defined = 3);
    check(&|map| map.defined = u32::MAX);
    check(&|map| map.cells = Cells::Memory);
    check(&|map| drop(map.functions.pop()));
    check(&|map| drop(map.functions.remove(0)));
    check(&|map| map.functions.clear());
    check(&|map| map.functions[2].index = 3);
    check(&|map| map.functions[2].index = u32::MAX - 1);
    assert_eq!(refused.get(), 12);
    check(&|map| map.functions[0].name = "other".to_owned());
}

/// Whatever byte of it is changed: what comes out is valid, and does not call hooks.
#[test]
fn a_module_that_was_changed_is_refused_or_right() {
    let (mut refused, mut restored) = (0, 0);
    for (_, wasm) in modules() {
        let instrumented = instrument(&wasm, &Selection::all(), Cells::Globals);
        for at in 8..instrumented.len() {
            for bit in [0, 3, 6] {
                let mut changed = instrumented.clone();
                changed[at] ^= 1 << bit;
                let Ok(Restored { wasm: left, .. }) = remove(&changed) else {
                    refused += 1;
                    continue;
                };
                restored += 1;
                wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
                    .validate_all(&left)
                    .expect("it is valid");
                let module = Module::parse(&left);
                assert!(!matches!(module, Err(Error::AlreadyInstrumented { .. })), "{at}");
            }
        }
    }
    println!("{refused} refused, {restored} restored");
    assert!(refused > restored && restored > 1000, "{refused} refused, {restored} restored");
}

/// The line names the function.
#[test]
fn a_function_that_was_changed_is_named() {
    let wasm = assemble("(module (func $first nop) (func $second (result i32) i32.const 77))");
    let mut instrumented = instrument(&wasm, &Selection::all(), Cells::Globals);
    // The `i32.clz` of its end.
    let at = instrumented.iter().rposition(|&byte| byte == 0x67).expect("it has hooks");
    instrumented[at] = 0x69;
    let error = remove(&instrumented).expect_err("it was changed").to_string();
    assert!(error.contains("`second`") && error.contains("nothing else has changed"), "{error}");
    assert_eq!(error.lines().count(), 1);
}
