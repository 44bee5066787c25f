//! Modules at the limits of what engines accept, and plans that do not fit: an error or
//! a valid module, never anything else.

use observe_abi::map::Cells;
use observe_instrumenter::{
    Abi, Decision, Error, HookId, Instrumented, Module, Omission, Plan, Reason, Selection, Warning,
    remove,
};
use wasm_encoder::{
    CodeSection, ConstExpr, ExportKind, ExportSection, Function, FunctionSection, GlobalSection,
    GlobalType, ImportSection, MemorySection, MemoryType, TypeSection, ValType,
};
use wasmparser::{Validator, WasmFeatures};

fn validate(wasm: &[u8]) {
    Validator::new_with_features(WasmFeatures::all()).validate_all(wasm).expect("valid");
}

/// Instruments a valid module, and validates what comes out.
fn instrument(wasm: &[u8], selection: &Selection) -> Result<Instrumented, Error> {
    validate(wasm);
    let module = Module::parse(wasm)?;
    let instrumented = Plan::new(&module, selection).apply(&module)?;
    validate(&instrumented.wasm);
    Ok(instrumented)
}

/// A module of functions without parameters, with the given bodies.
fn module(memories: u64, bodies: impl IntoIterator<Item = Function>) -> Vec<u8> {
    let (mut types, mut functions) = (TypeSection::new(), FunctionSection::new());
    let (mut exports, mut code) = (ExportSection::new(), CodeSection::new());
    types.ty().function([], []);
    for body in bodies {
        functions.function(0);
        code.function(&body);
    }
    exports.export("f", ExportKind::Func, 0);
    let mut memory = MemorySection::new();
    for _ in 0..memories {
        memory.memory(MemoryType {
            minimum: 0,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
    }
    let mut module = wasm_encoder::Module::new();
    module.section(&types).section(&functions).section(&memory).section(&exports).section(&code);
    module.finish()
}

fn empty() -> Function {
    let mut function = Function::new([]);
    function.instructions().end();
    function
}

#[test]
fn a_function_that_would_grow_too_long_is_an_error() {
    // Its calls take two bytes each until the index passes 127, and then three.
    let mut long = Function::new([]);
    for _ in 0..3_800_000 {
        long.instructions().call(127);
    }
    long.instructions().end();
    let bodies = std::iter::repeat_with(empty).take(128).chain([long]);
    let wasm = module(0, bodies);
    let error = instrument(&wasm, &Selection::all()).expect_err("it does not fit");
    assert!(matches!(error, Error::Limit(_)), "{error}");
}

#[test]
fn a_function_of_the_most_locals_is_left_alone() {
    let mut full = Function::new([(50_000, ValType::I64)]);
    full.instructions().end();
    let wasm = module(0, [empty(), full]);
    let parsed = Module::parse(&wasm).expect("a module");
    let plan = Plan::new(&parsed, &Selection::all());
    assert_eq!(plan.left_out(Omission::TooLarge), 1);
    instrument(&wasm, &Selection::all()).expect("it can be instrumented");
}

#[test]
fn a_module_of_the_most_memories_keeps_its_cells_in_globals() {
    for (memories, cells) in [(99, Cells::Memory), (100, Cells::Globals)] {
        let wasm = module(memories, std::iter::repeat_with(empty).take(1_500));
        let parsed = Module::parse(&wasm).expect("a module");
        assert_eq!(Plan::new(&parsed, &Selection::all()).cells, cells);
        instrument(&wasm, &Selection::all()).expect("it can be instrumented");
    }
}

#[test]
fn where_timers_would_be_too_many_there_are_none() {
    let wasm = module(0, std::iter::repeat_with(empty).take(400_000));
    let instrumented = instrument(&wasm, &Selection::all()).expect("it can be instrumented");
    let code = wasmparser::Parser::new(0).parse_all(&instrumented.wasm);
    let count = code.filter_map(|payload| match payload.expect("valid") {
        wasmparser::Payload::CodeSectionStart { count, .. } => Some(count),
        _ => None,
    });
    assert_eq!(count.sum::<u32>(), 400_000);
    assert!(remove(&instrumented.wasm).expect("it has hooks").wasm.len() <= wasm.len());
}

#[test]
fn a_module_longer_than_engines_accept_is_an_error() {
    let mut wasm = wat::parse_str("(module (func (export \"f\")))").expect("valid");
    // A custom section with no name to the end; what nobody reads takes no memory.
    let whole = wasm.len() + 6 + (1 << 30);
    let mut longer = vec![0; whole];
    wasm.extend([0, 0x80, 0x80, 0x80, 0x80, 4]);
    longer[..wasm.len()].copy_from_slice(&wasm);
    let module = Module::parse(&longer).expect("a module");
    let plan = Plan::new(&module, &Selection::all());
    let error = plan.apply(&module).expect_err("it is too long");
    assert!(matches!(error, Error::Limit(_)), "{error}");
}

/// A module of one function with a parameter, and of globals.
fn with_globals(imported: u32, defined: u32, body: &Function) -> Vec<u8> {
    let (mut types, mut imports) = (TypeSection::new(), ImportSection::new());
    let (mut functions, mut globals) = (FunctionSection::new(), GlobalSection::new());
    let mut code = CodeSection::new();
    let ty = GlobalType { val_type: ValType::I32, mutable: false, shared: false };
    (0..imported).for_each(|_| _ = imports.import("", "", ty));
    (0..defined).for_each(|_| _ = globals.global(ty, &ConstExpr::i32_const(0)));
    types.ty().function([ValType::I32], []);
    functions.function(0);
    code.function(body);
    let mut module = wasm_encoder::Module::new();
    module.section(&types).section(&imports).section(&functions).section(&globals).section(&code);
    module.finish()
}

#[test]
fn a_module_of_the_most_globals_gets_no_more() {
    for (imported, defined, abi, fits) in [
        (0, 999_999, Abi::Observe, true),
        (0, 1_000_000, Abi::Observe, false),
        (300_000, 0, Abi::Dylibso, true),
        (400_000, 0, Abi::Dylibso, false),
    ] {
        let wasm = with_globals(imported, defined, &empty());
        validate(&wasm);
        let module = Module::parse(&wasm).expect("a module");
        let mut plan = Plan::new(&module, &Selection::all());
        plan.abi = abi;
        match plan.apply(&module) {
            Ok(instrumented) => {
                assert!(fits, "{imported} and {defined} for {abi:?}");
                validate(&instrumented.wasm);
            }
            Err(error) => assert!(!fits && matches!(error, Error::Limit(_)), "{error}"),
        }
    }
}

#[test]
fn a_plan_that_was_changed_is_an_error_at_the_worst() {
    let mut full = Function::new([(u32::MAX, ValType::I64)]);
    full.instructions().end();
    let wasm = with_globals(0, 0, &full);
    let module = Module::parse(&wasm).expect("it can be read");
    let mut plan = Plan::new(&module, &Selection::all());
    assert_eq!(plan.left_out(Omission::TooLarge), 1);
    plan.functions[0].decision = Decision::Hook(HookId(0), Reason::Size);
    (plan.compact, plan.cells) = (true, Cells::Memory);
    // With the parameter it is one more local than can be counted.
    assert!(matches!(plan.apply(&module), Err(Error::Plan)));
}

#[test]
fn hints_that_hint_at_nothing_are_left_out() {
    let hints = |contents: &[u8]| {
        let mut wasm = wat::parse_str("(module (func (export \"f\")))").expect("valid");
        // Before the code, which is the last section and 6 bytes long.
        let section = wasm_encoder::CustomSection {
            name: "metadata.code.branch_hint".into(),
            data: contents.into(),
        };
        let mut bytes = Vec::new();
        wasm_encoder::Section::append_to(&section, &mut bytes);
        let at = wasm.len() - 6;
        wasm.splice(at..at, bytes);
        wasm
    };
    for contents in [
        // One function, one hint at the last offset that there can be.
        &[1, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1][..],
        // The same function twice.
        &[2, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1],
        // A function that is not there.
        &[1, 9, 1, 1, 1, 1],
    ] {
        let instrumented = instrument(&hints(contents), &Selection::all()).expect("valid");
        let sections = vec!["metadata.code.branch_hint".to_owned()];
        assert_eq!(instrumented.warnings, [Warning::Dropped { sections }]);
    }
}

#[test]
fn names_that_hooks_need_are_kept_for_them() {
    for (module, reserved) in [
        ("(module (func (export \"observe:cells/0\")))", true),
        ("(module (memory (export \"observe:cells\") 1) (func))", true),
        ("(module (func (export \"observe\")))", false),
    ] {
        let wasm = wat::parse_str(module).expect("valid");
        let refused = matches!(instrument(&wasm, &Selection::all()), Err(Error::Reserved { .. }));
        assert_eq!(refused, reserved, "{module}");
    }
}

#[test]
fn hooks_are_known_with_and_without_their_map() {
    let wasm = wat::parse_str("(module (func (export \"f\")))").expect("valid");
    let instrumented = instrument(&wasm, &Selection::all()).expect("valid").wasm;
    let again = instrument(&instrumented, &Selection::all()).expect_err("it has hooks");
    let with_map = "a section `observe:map`";
    assert!(
        matches!(again, Error::AlreadyInstrumented { sign, .. } if sign == with_map),
        "{again}"
    );
    // As tools do that take all custom sections out.
    let mut stripped = wasm_encoder::Module::new();
    for payload in wasmparser::Parser::new(0).parse_all(&instrumented) {
        if let Some((id, range)) = payload.expect("valid").as_section()
            && id != 0
        {
            let data = &instrumented[range];
            stripped.section(&wasm_encoder::RawSection { id, data });
        }
    }
    let stripped = instrument(&stripped.finish(), &Selection::all()).expect_err("it has hooks");
    let without = "hooks, but no longer the map that goes with them";
    assert!(
        matches!(stripped, Error::AlreadyInstrumented { sign, .. } if sign == without),
        "{stripped}"
    );
}

#[test]
fn a_plan_goes_with_its_module_only() {
    let two = wat::parse_str("(module (func (loop)) (func (loop)))").expect("valid");
    let three = wat::parse_str("(module (func (loop)) (func) (func (loop)))").expect("valid");
    let (two, three) = (Module::parse(&two).expect("valid"), Module::parse(&three).expect("valid"));
    let plan = Plan::new(&two, &Selection::all());
    assert!(matches!(plan.apply(&three), Err(Error::Plan)));
    // An id that nobody has would leave a gap in the cells.
    let mut gap = plan.clone();
    gap.functions[0].decision = Decision::Leave(Omission::Excluded);
    assert!(matches!(gap.apply(&two), Err(Error::Plan)));
    // The last may go.
    let mut shorter = plan.clone();
    shorter.functions[1].decision = Decision::Leave(Omission::Excluded);
    validate(&shorter.apply(&two).expect("it fits").wasm);
}
