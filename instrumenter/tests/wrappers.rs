//! A span of the guest's own ends with the hooked function in which it began: so wrappers of the
//! annotations get no hooks, and those who call them do.

use observe_instrumenter::{Decision, Module, Omission, Plan, Reason, Selection};

const IMPORTS: &str = r#"
    (import "observe:guest@2" "span-begin" (func $begin (param i32 i32 i32 i32 i32) (result i32)))
    (import "observe:guest@2" "span-end" (func $end (param i32)))
    (import "observe:guest@2" "log" (func $log (param i32 i32 i32 i32 i32 i32)))
    (import "observe:guest@1" "span-begin" (func $begin_1 (param i32 i32) (result i32)))
    (import "env" "clock" (func $clock))
    (type $t (func (param i32)))
    (table 1 funcref)
    (memory (export "memory") 1)
    (global $kept (mut i32) (i32.const 0))"#;

/// Has a token as its result.
const BEGIN: &str =
    "(call $begin (i32.const 1) (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 0))";

/// What a plan for everything leaves out, by name.
fn wrappers(functions: &str) -> String {
    let wasm = wat::parse_str(format!("(module {IMPORTS} {functions})")).expect("valid");
    let module = Module::parse(&wasm).expect("valid");
    let plan = Plan::new(&module, &Selection::all());
    let mut names = Vec::new();
    for function in &plan.functions {
        match function.decision {
            Decision::Hook(..) => {}
            Decision::Leave(Omission::Wrapper) => names.push(function.name.as_str()),
            Decision::Leave(other) => panic!("{}: {other:?}", function.name),
        }
    }
    names.join(" ")
}

#[test]
fn what_begins_or_ends_a_span_for_its_caller_has_no_hooks() {
    for (what, functions, expected) in [
        (
            "wrappers and who uses them",
            format!(
                "(func $b (param i32) (result i32) {BEGIN})
                 (func $e (param i32) (call $end (local.get 0)))
                 (func $use (param i32) (result i32)
                   (call $e (call $b (local.get 0))) (i32.const 7))"
            ),
            "b e",
        ),
        (
            "the first version of the contract",
            "(func $b (param i32 i32) (result i32) (call $begin_1 (local.get 0) (local.get 1)))"
                .to_owned(),
            "b",
        ),
        (
            "a constructor that keeps the token behind its parameter",
            format!("(func $b (param i32) (i32.store (local.get 0) {BEGIN}))"),
            "b",
        ),
        (
            "tail calls",
            "(func $b (param i32 i32) (result i32)
               (return_call $begin_1 (local.get 0) (local.get 1)))
             (func $e (param i32) (return_call $end (local.get 0)))"
                .to_owned(),
            "b e",
        ),
        (
            "wrappers of wrappers, in any order",
            format!(
                "(func $use (param i32) (call $glue (call $outer (local.get 0))))
                 (func $outer (param i32) (result i32) (call $inner (local.get 0)))
                 (func $inner (param i32) (result i32) {BEGIN})
                 (func $glue (param i32) (call $drop (local.get 0)))
                 (func $drop (param i32) (call $end (local.get 0)))"
            ),
            "outer inner glue drop",
        ),
        (
            "an end on one way out is an end",
            format!(
                "(func $f (param i32) (result i32) (local $t i32)
                   (local.set $t {BEGIN})
                   (if (local.get 0) (then (return (i32.const 1))))
                   (call $end (local.get $t))
                   (i32.const 0))"
            ),
            "",
        ),
        (
            "two begins and one end, in a loop",
            format!(
                "(func $f (param i32) (loop (drop {BEGIN}) (call $end {BEGIN})
                   (br_if 0 (local.get 0))))"
            ),
            "",
        ),
        (
            "a state machine that begins in one state and ends in another",
            format!(
                "(func $poll (param i32)
                   (block (block (br_table 0 1 (i32.load (local.get 0))))
                     (i32.store (local.get 0) {BEGIN}) (return))
                   (call $end (i32.load (local.get 0))))"
            ),
            "",
        ),
        (
            "a token that is dropped is handed to nobody",
            format!("(func $f (param i32) (result i32) (drop {BEGIN}) (local.get 0))"),
            "",
        ),
        (
            "nor is one that is forgotten by what neither takes nor gives anything",
            format!("(func $f (local $t i32) (local.set $t {BEGIN}))"),
            "",
        ),
        (
            "a span that a callee forgot is not its caller's either",
            format!(
                "(func $begins (global.set $kept {BEGIN}))
                 (func $ends (call $end (global.get $kept)))
                 (func $use (param i32) (call $begins) (call $ends))"
            ),
            "ends",
        ),
        (
            "what the host calls with nothing",
            "(func $f (export \"f\") (call $end (i32.const 0)))".to_owned(),
            "",
        ),
        (
            "a reference is no call",
            "(elem declare func $end $begin)
             (func $f (param i32) (result funcref) (ref.func $end))
             (func $g (param i32) (result funcref) (ref.func $begin))"
                .to_owned(),
            "",
        ),
        (
            "other annotations",
            "(func $f (param i32) (call $log (i32.const 0) (i32.const 9) (i32.const 0)
               (i32.const 0) (i32.const 0) (i32.const 0)))"
                .to_owned(),
            "",
        ),
        (
            "recursion",
            format!(
                "(func $f (param i32) (result i32) (call $g (local.get 0)))
                 (func $g (param i32) (result i32) (drop (call $f (local.get 0))) {BEGIN})"
            ),
            "f g",
        ),
    ] {
        assert_eq!(wrappers(&functions), expected, "{what}");
    }
}

#[test]
fn a_rule_that_leaves_them_out_before_comes_first() {
    let wat = format!("(module {IMPORTS} (func $b (param i32) (result i32) {BEGIN}))");
    let wasm = wat::parse_str(wat).expect("valid");
    let module = Module::parse(&wasm).expect("valid");
    let included = Selection::default().include("b").expect("a pattern");
    let excluded = Selection::default().exclude("b").expect("a pattern");
    for (selection, expected) in [
        (included, Omission::Wrapper),
        (excluded, Omission::Excluded),
        (Selection::exports(), Omission::NotExported),
    ] {
        let plan = Plan::new(&module, &selection);
        assert_eq!(plan.functions[0].decision, Decision::Leave(expected));
        assert_eq!(plan.left_out(expected), 1);
    }
}

/// To call annotations is no reason for hooks, as it is to call the host.
#[test]
fn what_only_annotates_counts_by_its_size() {
    let log = "(call $log (i32.const 0) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0))";
    let wat = format!(
        "(module {IMPORTS}
           (func $says {log})
           (func $says_and_asks {log} (call $clock))
           (func $says_much {log} {log} {log}))"
    );
    let wasm = wat::parse_str(wat).expect("valid");
    let module = Module::parse(&wasm).expect("valid");
    let plan = Plan::new(&module, &Selection::default());
    let reasons = plan.functions.iter().map(|function| match function.decision {
        Decision::Hook(_, reason) => Ok(reason),
        Decision::Leave(omission) => Err(omission),
    });
    let expected = [Err(Omission::Small), Ok(Reason::CallsHost), Ok(Reason::Size)];
    assert_eq!(reasons.collect::<Vec<_>>(), expected);
}

/// Each is looked through once, though it is called twice, and none by a call of our own.
#[test]
fn a_long_chain_of_wrappers_is_followed_to_its_end() {
    const LENGTH: usize = 20_000;
    let mut functions = String::new();
    // Callers come first, so that what they call is not known yet.
    for n in (1..LENGTH).rev() {
        let callee = n - 1;
        functions += &format!(
            "(func $f{n} (param i32) (result i32)
               (call $f{callee} (local.get 0)) (call $f{callee} (local.get 0)) drop)"
        );
    }
    functions += &format!("(func $f0 (param i32) (result i32) {BEGIN})");
    assert_eq!(wrappers(&functions).split(' ').count(), LENGTH);
}
