//! `observe instrument` and `observe inspect`, as scripts use them.

use std::collections::HashMap;

use crate::harness::{example, observe, output, stderr, stdout};
use serde_json::Value;
use wasmparser::{KnownCustom, Name, Payload};

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
    assert_eq!(inspected["instrumentation"]["hooks"], "observe:hooks@1");
    assert_eq!(inspected["instrumentation"]["cells"], "globals");
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

/// Names as compilers make them, and as people read them.
const NAMES: [(&str, &str); 5] = [
    ("_ZN4core3fmt9Formatter3pad17h1a2b3c4d5e6f7a8bE", "core::fmt::Formatter::pad"),
    ("_RNvCskwGfYPst2Cb_3foo16example_function", "foo::example_function"),
    ("_ZN3Foo3barEi", "Foo::bar"),
    ("$s4main5helloSSyYaKF", "$s4main5helloSSyYaKF"),
    ("main", "main"),
];

#[test]
fn a_name_is_demangled_and_the_raw_one_kept() {
    let functions = NAMES.map(|(raw, _)| format!("(func (@name \"{raw}\") (loop))"));
    let wat = format!("(module (import \"env\" \"f\" (func)) {} (func))", functions.concat());
    let plan = output(
        observe().args(["instrument", "-", "--dry-run", "--format", "json"]),
        wat.as_bytes(),
    );
    let plan = json(&stdout(&plan));
    let functions = plan["functions"].as_array().expect("a list");
    for (function, (raw, name)) in functions.iter().zip(NAMES) {
        assert_eq!((&function["raw_name"], &function["name"]), (&raw.into(), &name.into()));
    }
    let nameless = functions.last().expect("functions");
    assert_eq!(
        (&nameless["raw_name"], &nameless["name"]),
        (&Value::Null, &"wasm-function[6]".into())
    );

    let result = output(observe().args(["instrument", "-", "--all"]), wat.as_bytes());
    let map = observe_instrumenter::read_function_map(&result.stdout);
    let map = map.expect("it is instrumented").expect("it can be read");
    // The hooks `enter` and `exit` come after the import.
    let mut expected = NAMES.iter().zip(3..).zip(&map.functions);
    let kept = raw_names(&result.stdout);
    assert!(expected.all(|((&(raw, name), index), function)| {
        kept.get(&index).is_some_and(|kept| kept == raw) && function.name == name
    }));
    assert_eq!(map.functions.len(), NAMES.len() + 1);
    assert_eq!(kept.get(&8), None);
}

/// What the name section of a module calls its functions.
fn raw_names(wasm: &[u8]) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        let Payload::CustomSection(section) = payload.expect("a module") else { continue };
        let KnownCustom::Name(section) = section.as_known() else { continue };
        for subsection in section {
            let Name::Function(map) = subsection.expect("it can be read") else { continue };
            let read = map.into_iter().map(|naming| naming.expect("it can be read"));
            names.extend(read.map(|naming| (naming.index, naming.name.to_owned())));
        }
    }
    names
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
    for component in [&b"\0asm\x0d\0\x01\0"[..], b"(component)"] {
        let result = output(observe().args(["inspect", "-"]), component);
        assert!(stdout(&result).contains("component"), "{}", stderr(&result));
    }
    let sdk = "(module (import \"dylibso:observe/instrument\" \"enter\" (func (param i32))))";
    let sdk = output(observe().args(["inspect", "-"]), sdk.as_bytes());
    assert!(stdout(&sdk).contains("observe-sdk"), "{}", stdout(&sdk));
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link_and_a_mode_stays_a_mode() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().expect("a folder");
    let (target, link) = (dir.path().join("target.wasm"), dir.path().join("link.wasm"));
    std::fs::write(&target, "old").expect("can be written");
    std::fs::set_permissions(&target, PermissionsExt::from_mode(0o640)).expect("it is ours");
    symlink("target.wasm", &link).expect("can be made");
    let mut command = observe();
    command.args(["instrument", "examples/compute.wasm", "-o"]).arg(&link);
    let result = output(&mut command, b"");
    assert!(result.status.success(), "{}", stderr(&result));
    assert!(link.symlink_metadata().expect("it is there").is_symlink());
    wasmparser::validate(&std::fs::read(&target).expect("it is there")).expect("it is valid");
    assert_eq!(target.metadata().expect("it is there").permissions().mode() & 0o777, 0o640);
}

#[test]
fn names_that_hooks_need_are_not_the_guest_s() {
    for name in ["observe:cells", "observe:cells/0"] {
        let wat = format!("(module (func (export \"{name}\")))");
        let result = output(observe().args(["instrument", "-"]), wat.as_bytes());
        assert_eq!(result.status.code(), Some(2));
        assert!(stderr(&result).contains(name), "{}", stderr(&result));
    }
}
