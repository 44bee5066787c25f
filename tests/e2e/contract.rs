//! Modules that ask for more than this version has: a newer guest, newer hooks, a function that is
//! not there or has another type. Whoever meets one says what it asks for and what there is.

use std::path::Path;

use serde_json::Value;

use crate::harness::{observe, output, stderr, stdout};

/// Exports a program, and imports what is given.
fn module(dir: &Path, name: &str, import: &str) {
    let wat = format!("(module (import {import}) (func (export \"_start\")))");
    std::fs::write(dir.join(name), wat::parse_str(wat).expect("valid")).expect("can be written");
}

/// What the command says, if it fails as bad input does.
fn refusal(dir: &Path, arguments: &[&str]) -> String {
    let result = output(observe().current_dir(dir).args(arguments), b"");
    let line = stderr(&result);
    assert_eq!(result.status.code(), Some(2), "{arguments:?}: {line}");
    assert_eq!(line.trim_end().lines().count(), 1, "{arguments:?}: {line}");
    assert_eq!(stdout(&result), "", "{arguments:?}");
    line
}

#[test]
fn what_a_host_does_not_have_is_said_before_it_compiles() {
    let dir = tempfile::tempdir().expect("a folder");
    for (import, words) in [
        (
            r#""observe:guest@3" "span-begin" (func)"#,
            &["`observe:guest@3`", "`observe:guest@1`", "`observe:guest@2`", "update the host"][..],
        ),
        (r#""observe:guest@" "log" (func)"#, &["`observe:guest@`", "`observe:guest@2`"]),
        (r#""observe:hooks@2" "enter" (func)"#, &["`observe:hooks@2`", "`observe:hooks@1`"]),
        (
            r#""observe:guest@2" "span-pause" (func (param i32))"#,
            &["`span-pause`", "`observe:guest@2`", "no such function", "correct the import"],
        ),
        (
            r#""observe:guest@2" "span-begin" (func (param i32 i32) (result i32))"#,
            &[
                "`span-begin`",
                "`observe:guest@2`",
                "as (i32, i32) -> (i32)",
                "it is (i32, i32, i32, i32, i32) -> (i32)",
                "correct the declaration",
            ],
        ),
        (
            r#""observe:guest@2" "log" (memory 1)"#,
            &["`log`", "`observe:guest@2`", "as no function"],
        ),
    ] {
        module(dir.path(), "app.wasm", import);
        let line = refusal(dir.path(), &["run", "app.wasm"]);
        assert!(line.starts_with("observe: app.wasm: "), "{line}");
        for word in words {
            assert!(line.contains(word), "no {word}: {line}");
        }
    }
}

#[test]
fn newer_hooks_are_neither_added_to_nor_taken_out() {
    let dir = tempfile::tempdir().expect("a folder");
    module(dir.path(), "app.wasm", r#""observe:hooks@2" "enter" (func (param i32))"#);
    for arguments in [&["instrument", "app.wasm"][..], &["instrument", "--remove", "app.wasm"]] {
        let line = refusal(dir.path(), arguments);
        assert!(line.contains("`observe:hooks@2`") && line.contains("`observe:hooks@1`"), "{line}");
        assert!(line.contains("the original"), "{line}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 1, "nothing is written");
}

/// The host that it is for may be a newer one.
#[test]
fn a_newer_guest_can_be_instrumented() {
    let dir = tempfile::tempdir().expect("a folder");
    module(dir.path(), "app.wasm", r#""observe:guest@3" "span-begin" (func (result i32))"#);
    let result = output(observe().current_dir(dir.path()).args(["instrument", "app.wasm"]), b"");
    assert!(result.status.success(), "{}", stderr(&result));
}

#[test]
fn inspect_tells_what_a_module_says_of_itself_and_in_which_version() {
    let dir = tempfile::tempdir().expect("a folder");
    let inspect = |arguments: &[&str]| {
        let mut command = observe();
        let result =
            output(command.arg("inspect").arg(dir.path().join("app.wasm")).args(arguments), b"");
        assert!(result.status.success(), "{}", stderr(&result));
        stdout(&result)
    };
    for (import, label, said) in [
        (
            r#""observe:guest@1" "span-end" (func (param i32))"#,
            "annotations",
            "by 1 function of observe:guest@1",
        ),
        (
            r#""dylibso:observe/api" "span-exit" (func)"#,
            "annotations",
            "by 1 function of dylibso:observe/api",
        ),
        (r#""dylibso:observe/api" "span-exit" (func)"#, "instrumented", "no"),
        (
            r#""observe:guest@2" "span-pause" (func)"#,
            "annotations",
            "by 1 function of observe:guest@2, of which this version does not know span-pause",
        ),
        (
            r#""observe:guest@3" "log" (func)"#,
            "annotations",
            "by 1 function of observe:guest@3 (not known; this version knows observe:guest@1, \
             observe:guest@2)",
        ),
        (
            r#""observe:hooks@2" "enter" (func)"#,
            "instrumented",
            "by another version of observe (observe:hooks@2; this one knows observe:hooks@1)",
        ),
    ] {
        module(dir.path(), "app.wasm", import);
        let text = inspect(&[]);
        let line = text.lines().find_map(|line| line.strip_prefix(label));
        assert_eq!(line.map(str::trim), Some(said), "{text}");
    }
    module(dir.path(), "app.wasm", r#""observe:guest@3" "log" (func)"#);
    let json: Value = serde_json::from_str(&inspect(&["--format", "json"])).expect("JSON");
    let annotations = &json["annotations"][0];
    assert_eq!(annotations["module"], "observe:guest@3");
    assert_eq!(
        (&annotations["functions"][0], &annotations["unknown"][0]),
        (&"log".into(), &"log".into())
    );
}
