//! `observe instrument --remove`, as people and scripts use it.

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{example, observe, output, stderr, stdout};
use crate::same::same;

/// A folder with an example as `app.wasm`, and with hooks as `app.observed.wasm`.
fn folder(name: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(example(name), folder.path().join("app.wasm")).expect("can be copied");
    let result = instrument(folder.path(), &["app.wasm", "--all"]);
    assert!(result.status.success(), "{}", stderr(&result));
    folder
}

fn instrument(folder: &Path, arguments: &[&str]) -> Output {
    output(observe().current_dir(folder).arg("instrument").args(arguments), b"")
}

fn read(folder: &Path, file: &str) -> Vec<u8> {
    std::fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// One line, with status 2, that holds all the words.
fn assert_refused(result: &Output, words: &[&str]) {
    let line = stderr(result);
    assert_eq!(result.status.code(), Some(2), "{line}");
    assert_eq!(line.trim_end().lines().count(), 1, "{line}");
    for word in words {
        assert!(line.contains(word), "it does not say `{word}`: {line}");
    }
}

#[test]
fn a_module_does_the_same_without_its_hooks() {
    let folder = folder("vowels.wasm");
    let folder = folder.path();
    let result = instrument(folder, &["--remove", "app.observed.wasm"]);
    assert!(result.status.success(), "{}", stderr(&result));
    let said = stderr(&result);
    assert!(said.starts_with("app.plain.wasm: ") && said.contains("freed of hooks"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let (before, after) = (read(folder, "app.wasm"), read(folder, "app.plain.wasm"));
    same(&before, &after).expect("the same");
    assert!(after.len() <= before.len());
    let run = |file: &str| {
        let mut command = observe();
        command.current_dir(folder).args(["run", "--trace", "off", file]);
        let result = output(&mut command, b"hello there\n");
        (result.status.code(), result.stdout)
    };
    let (status, text) = run("app.wasm");
    assert!(status == Some(0) && !text.is_empty());
    assert_eq!(run("app.plain.wasm"), (status, text));
    // It can be instrumented again.
    let again = instrument(folder, &["app.plain.wasm", "--all", "-o", "again.wasm"]);
    assert!(again.status.success(), "{}", stderr(&again));
}

#[test]
fn scripts_can_use_it_too() {
    let folder = folder("compute.wasm");
    let folder = folder.path();
    let options = ["--remove", "app.observed.wasm", "-o", "out.wasm", "--format", "json"];
    let result = instrument(folder, &options);
    let summary: Value = serde_json::from_str(&stdout(&result)).expect("JSON");
    assert_eq!(summary["output"], "out.wasm");
    assert_eq!(summary["bytes_after"], read(folder, "out.wasm").len());
    assert_eq!(summary["bytes_before"], read(folder, "app.observed.wasm").len());
    assert!(summary["freed"].as_u64() > Some(5), "{summary}");
    assert_eq!(summary["warnings"], serde_json::json!([]));
    // From a pipe to a pipe.
    let observed = read(folder, "app.observed.wasm");
    let piped = output(observe().args(["instrument", "--remove", "-"]), &observed);
    assert!(piped.status.success(), "{}", stderr(&piped));
    assert_eq!(piped.stdout, read(folder, "out.wasm"));
}

#[test]
fn what_cannot_be_taken_apart_is_left_alone() {
    let folder = folder("compute.wasm");
    let folder = folder.path();
    let refused = |file: &str, words: &[&str]| {
        let result = instrument(folder, &["--remove", file, "-o", "out.wasm"]);
        assert_refused(&result, words);
        assert!(!folder.join("out.wasm").exists(), "{file}");
    };
    refused("app.wasm", &["app.wasm", "has no hooks of observe"]);
    refused("missing.wasm", &["missing.wasm", "cannot be read"]);
    let observed = read(folder, "app.observed.wasm");
    std::fs::write(folder.join("half.wasm"), &observed[..observed.len() / 2]).expect("written");
    refused("half.wasm", &["half.wasm", "at offset"]);
    // The `i32.clz` at the end of some function.
    let mut edited = observed;
    let at = edited.windows(2).rposition(|bytes| bytes == [0x67, 0x0d]).expect("it has hooks");
    edited[at] = 0x69;
    std::fs::write(folder.join("edited.wasm"), &edited).expect("written");
    refused("edited.wasm", &["edited.wasm", "function ", "nothing else has changed since"]);
    let result = instrument(folder, &["app.wasm", "--abi", "dylibso", "-o", "other.wasm"]);
    assert!(result.status.success(), "{}", stderr(&result));
    refused("other.wasm", &["observe-sdk", "use the original"]);
    // Who instruments twice is told.
    let result = instrument(folder, &["app.observed.wasm"]);
    assert_refused(&result, &["instrumented already", "observe instrument --remove"]);
    let result = instrument(folder, &["--remove", "app.observed.wasm", "--all"]);
    assert_refused(&result, &["--remove", "nothing to select"]);
    for options in [&["--dry-run"][..], &["--abi", "dylibso"], &["--source-map", "x"]] {
        let result = instrument(folder, &[&["--remove", "app.observed.wasm"], options].concat());
        assert_eq!(result.status.code(), Some(2), "{options:?}");
        assert!(stderr(&result).contains("cannot be used with"), "{}", stderr(&result));
    }
}
