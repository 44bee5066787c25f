//! What holds for any bytes. Run by `main.rs` beside this file on damaged modules, and by
//! the targets in `/fuzz` on whatever libFuzzer thinks of.

use observe_abi::map::{Cells, FunctionMap};
use observe_instrumenter::{
    Abi, Error, Module, Plan, Selection, demangle, read_function_map, remove,
};
use wasmparser::{Validator, WasmFeatures};

/// What came of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// They were refused.
    Refused,
    /// They were instrumented, and are not valid, before or after.
    Invalid,
    /// They are valid, and instrumented they are valid too.
    Valid,
}

/// Instruments a module, if the bytes are one, in three ways. What is valid stays valid,
/// is refused only for what the documentation names, and can be freed of its hooks.
pub(crate) fn module(bytes: &[u8]) -> Outcome {
    let is_valid = validate(bytes).is_ok();
    let module = match Module::parse(bytes) {
        Ok(module) => module,
        Err(error) => {
            let named = matches!(
                error,
                Error::Component
                    | Error::ObjectFile { .. }
                    | Error::AlreadyInstrumented { .. }
                    | Error::Reserved { .. }
            );
            assert!(named || !is_valid, "valid, and refused: {error}");
            return Outcome::Refused;
        }
    };
    for (selection, abi, cells) in [
        (Selection::all().allocations(true), Abi::Observe, Cells::Memory),
        (Selection::default(), Abi::Observe, Cells::Globals),
        (Selection::all(), Abi::Dylibso, Cells::Globals),
    ] {
        let mut plan = Plan::new(&module, &selection);
        plan.abi = abi;
        // A memory more than engines take is the caller's own doing.
        if plan.cells == Cells::Memory || bytes.len() < 1000 {
            plan.cells = cells;
        }
        match plan.apply(&module) {
            Ok(instrumented) if is_valid => {
                validate(&instrumented.wasm).expect("what is valid stays valid");
                let hooked = plan.hooked().chain(plan.hooked_imports()).count();
                let map = read_function_map(&instrumented.wasm);
                let map = map.map(|map| map.expect("what was just written").functions.len());
                let with_map = abi == Abi::Observe && (hooked > 0 || !plan.allocators.is_empty());
                assert_eq!(map, with_map.then_some(hooked), "the map has what the plan has");
                if with_map {
                    let restored = remove(&instrumented.wasm).expect("it has hooks").wasm;
                    // Line programs may be said otherwise.
                    let has_lines = bytes.windows(11).any(|name| name == b".debug_line");
                    assert!(restored.len() <= bytes.len() || has_lines, "it has grown");
                }
            }
            Err(error) if is_valid && !matches!(error, Error::Limit(_)) => {
                panic!("valid, and cannot be instrumented: {error}")
            }
            _ => {}
        }
    }
    if is_valid { Outcome::Valid } else { Outcome::Invalid }
}

/// Takes the hooks out of a module, if the bytes are one that has them. What comes out is
/// valid and has none, and so can be instrumented.
pub(crate) fn without_hooks(bytes: &[u8]) -> Outcome {
    let Ok(restored) = remove(bytes) else { return Outcome::Refused };
    validate(&restored.wasm).expect("what comes out is valid");
    match Module::parse(&restored.wasm) {
        Err(error @ Error::AlreadyInstrumented { .. }) => panic!("there are hooks left: {error}"),
        // It would be refused before it was instrumented, too.
        _ => Outcome::Valid,
    }
}

/// Looks for a function map in a module, and reads the bytes as one. A map that can be
/// read can be written, and is the same when it is read again.
pub(crate) fn function_map(bytes: &[u8]) {
    let _ = read_function_map(bytes);
    if let Ok(map) = FunctionMap::decode(bytes, bytes.len() * 64) {
        assert_eq!(FunctionMap::decode(&map.encode(), bytes.len() * 64), Ok(map));
    }
}

/// Spells a name out: it is never longer than the documentation says.
pub(crate) fn name(bytes: &[u8]) {
    let name = demangle(&String::from_utf8_lossy(bytes));
    assert!(name.len() <= 1024, "{} bytes", name.len());
}

/// Checks a module against all that there is, not only what engines run.
fn validate(wasm: &[u8]) -> Result<(), wasmparser::Error> {
    Validator::new_with_features(WasmFeatures::all()).validate_all(wasm).map(drop)
}
