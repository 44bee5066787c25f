//! `observe instrument` and `observe inspect`, as scripts use them.

use crate::harness::{example, observe, output, stderr, stdout};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_pipe_carries_the_module() {
    let wasm = std::fs::read(example("vowels.wasm")).expect("an example");
    let result = output(observe().args(["instrument", "-"]), &wasm);
    assert!(result.status.success(), "{}", stderr(&result));
    wasmparser::validate(&result.stdout).expect("it is valid");
    let again = output(observe().args(["instrument", "-", "-o", "-"]), &wasm);
    assert_eq!(again.stdout, result.stdout, "the same input gives the same bytes");
    let inspected = output(observe().args(["inspect", "-", "--format", "json"]), &result.stdout);
    let inspected = json(&stdout(&inspected));
    assert_eq!(inspected["instrumentation"]["observe"]["hooks"], "observe:hooks@1");
    assert_eq!(inspected["instrumentation"]["observe"]["cells"], "globals");
    assert!(inspected["producers"]["processed-by"].to_string().contains("observe "));
}

#[test]
fn the_result_stands_beside_the_input() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::copy(example("compute.wasm"), dir.path().join("app.wasm")).expect("can be copied");
    let result = output(observe().current_dir(dir.path()).args(["instrument", "app.wasm"]), b"");
    let said = stderr(&result);
    assert!(said.starts_with("app.observed.wasm: "), "{said}");
    assert!(said.contains("hooked") && said.contains("--all"), "{said}");
    wasmparser::validate(&std::fs::read(dir.path().join("app.observed.wasm")).expect("written"))
        .expect("it is valid");
}

#[test]
fn the_plan_tells_each_function_and_writes_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::copy(example("compute.wasm"), dir.path().join("app.wasm")).expect("can be copied");
    let plan = |options: &[&str]| {
        let mut command = observe();
        command.current_dir(dir.path()).args(["instrument", "app.wasm", "--dry-run"]);
        let result = output(command.args(options), b"");
        assert!(result.status.success(), "{}", stderr(&result));
        stdout(&result)
    };
    let default = json(&plan(&["--format", "json"]));
    let functions = default["functions"].as_array().expect("a list");
    let find = |name: &str| {
        let found = functions.iter().find(|function| function["name"] == name);
        found.unwrap_or_else(|| panic!("{name}: {default:#}"))
    };
    assert_eq!(
        (&find("add")["hooked"], &find("add")["reason"]),
        (&true.into(), &"exported".into())
    );
    assert_eq!(find("compute::is_prime")["reason"], "loop");
    let small = functions.iter().filter(|function| function["reason"] == "small").count();
    assert!(small > 0, "the default leaves trivial functions out: {default:#}");
    let all = json(&plan(&["--format", "json", "--all"]));
    let hooked = all["functions"].as_array().expect("a list").iter();
    assert!(hooked.clone().all(|function| function["hooked"] == true), "{all:#}");
    let text = plan(&[]);
    assert!(text.contains("compute::is_prime") && text.contains("+ loop"), "{text}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 1);
}

#[test]
fn a_script_gets_the_summary_as_json() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out.wasm");
    let mut command = observe();
    command.args(["instrument", "examples/vowels.wasm", "--format", "json", "-o"]).arg(&out);
    let summary = json(&stdout(&output(&mut command, b"")));
    let size = std::fs::metadata(&out).expect("written").len();
    assert_eq!(summary["bytes_after"], size);
    assert_eq!(summary["hooked"].as_u64().map(|hooked| hooked > 0), Some(true));
}

#[test]
fn inspect_tells_what_a_module_is() {
    let text = |file: &str| {
        let result = output(observe().args(["inspect", file]), b"");
        assert!(result.status.success(), "{}", stderr(&result));
        stdout(&result)
    };
    let vowels = text("examples/vowels.wasm");
    for words in ["core module", "rustc", "wasi_snapshot_preview1: ", "fd_read", "_start", "no\n"] {
        assert!(vowels.contains(words), "{words}: {vowels}");
    }
    let component = output(observe().args(["inspect", "-"]), b"\0asm\x0d\0\x01\0");
    assert!(stdout(&component).contains("component"), "{}", stderr(&component));
    let sdk = "(module (import \"dylibso:observe/instrument\" \"enter\" (func (param i32))))";
    let sdk = output(observe().args(["inspect", "-"]), sdk.as_bytes());
    assert!(stdout(&sdk).contains("observe-sdk"), "{}", stdout(&sdk));
}
