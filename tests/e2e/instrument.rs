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
    assert_eq!(map.functions[0].name, "env.f");
    let mut expected = NAMES.iter().zip(3..).zip(&map.functions[1..]);
    let kept = raw_names(&result.stdout);
    assert!(expected.all(|((&(raw, name), index), function)| {
        kept.get(&index).is_some_and(|kept| kept == raw) && function.name == name
    }));
    assert_eq!(map.functions.len(), 1 + NAMES.len() + 1);
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

/// A folder with a module and the given `observe.toml`, and what the plan is there.
fn plan_with(config: &str, options: &[&str]) -> Value {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("app.wat"), MODULE).expect("can be written");
    std::fs::write(dir.path().join("observe.toml"), config).expect("can be written");
    let mut command = observe();
    command.current_dir(dir.path()).args(["instrument", "app.wat", "--dry-run", "--format=json"]);
    let result = output(command.args(options), b"");
    assert!(result.status.success(), "{config}: {}", stderr(&result));
    json(&stdout(&result))
}

const MODULE: &str = "(module
    (func $app::main (export \"run\") call $app::loops)
    (func $app::loops loop end call $app::small)
    (func $app::small call $lib::small)
    (func $lib::small))";

fn hooked(plan: &Value) -> String {
    let functions = plan["functions"].as_array().expect("a list").iter();
    let names = functions.filter(|function| function["hooked"] == true);
    names.map(|function| function["name"].as_str().expect("a name")).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_configuration_says_what_options_do() {
    const EACH: &str = "app::main app::loops app::small lib::small";
    for (config, options, expected) in [
        ("", &[][..], "app::main app::loops"),
        ("[select]\nall = true", &[], EACH),
        ("select.exports = true", &[], "app::main"),
        ("select.loops = true", &[], "app::main app::loops"),
        ("select.min-instructions = 1", &[], "app::main app::loops app::small"),
        ("select.include = ['small']", &[], "app::small lib::small"),
        ("select.include-prefix = ['lib']", &[], "lib::small"),
        ("select = { all = true, exclude-prefix = ['app'] }", &[], "lib::small"),
        ("select = { all = true, exclude = ['::s'] }", &[], "app::main app::loops"),
        ("select = { all = true, max-depth = 2 }", &[], "app::main app::loops app::small"),
        ("select = { all = true, max-growth = 5 }", &[], "app::main app::loops"),
        ("select = { all = true, max-growth = 5 }", &["--max-growth=1000"], EACH),
        // Lists of both count; of all else the command line's comes first.
        ("select.include = ['main']", &["--include=loops"], "app::main app::loops"),
        ("select.exports = true", &["--min-instructions=1"], "app::main app::loops app::small"),
        ("select.exports = true", &["--max-depth=1"], "app::main app::loops"),
        ("select = { all = true, max-depth = 3 }", &["--max-depth=0"], "app::main"),
        ("select = { max-depth = 3 }", &["--exports"], "app::main"),
        ("select.exports = true", &["--no-config"], "app::main app::loops"),
        ("nonsense", &["--no-config"], "app::main app::loops"),
    ] {
        let plan = plan_with(config, options);
        assert_eq!(hooked(&plan), expected, "{config} {options:?}");
        let read = (!options.contains(&"--no-config")).then_some("observe.toml");
        assert_eq!(plan["config"].as_str(), read, "{config}");
    }
}

#[test]
fn a_configuration_is_found_beside_the_module_then_above_the_working_directory() {
    let dir = tempfile::tempdir().expect("a folder");
    let (repository, modules) = (dir.path().join("repository"), dir.path().join("modules"));
    let working = repository.join("a/b");
    for folder in [&working, &modules, &repository.join(".git")] {
        std::fs::create_dir_all(folder).expect("can be made");
    }
    let module = modules.join("app.wat");
    std::fs::write(&module, MODULE).expect("can be written");
    let plan = |options: &[&str]| {
        let mut command = observe();
        command.current_dir(&working).arg("instrument").arg(&module);
        let result = output(command.args(["--dry-run"]).args(options), b"");
        assert!(result.status.success(), "{}", stderr(&result));
        let text = stdout(&result);
        text.lines().last().unwrap_or_default().to_owned()
    };
    let write = |folder: &std::path::Path, config: &str| {
        std::fs::write(folder.join("observe.toml"), config).expect("can be written");
    };
    // What is outside of the repository is not its business.
    write(dir.path(), "select.include = ['nothing']");
    let none = plan(&[]);
    assert!(none.starts_with("2 of 4 functions hooked (") && !none.contains("says"), "{none}");
    write(&repository, "select.exports = true");
    let above = plan(&[]);
    assert!(
        above.starts_with("1 of 4 ") && above.contains("/repository/observe.toml says"),
        "{above}"
    );
    write(&modules, "select.all = true");
    let beside = plan(&[]);
    assert!(
        beside.starts_with("4 of 4 ") && beside.contains("/modules/observe.toml says"),
        "{beside}"
    );
    write(&working, "select.min-instructions = 1");
    let given = plan(&["--config", "observe.toml"]);
    assert!(given.starts_with("3 of 4 ") && given.contains("as observe.toml says"), "{given}");
}

#[test]
fn the_coverage_adds_up_and_is_told_by_owner() {
    let plan = plan_with("", &[]);
    let coverage = &plan["coverage"];
    assert_eq!((&coverage["functions"], &coverage["hooked"]), (&4.into(), &2.into()));
    assert_eq!(coverage["hooked_for"]["loop"], 1);
    assert_eq!(coverage["left_out"]["small"], 2);
    assert_eq!(plan["functions"][3]["owner"], "lib");
    let owners = coverage["owners"].as_array().expect("a list");
    assert_eq!(owners.iter().map(|part| &part["owner"]).collect::<Vec<_>>(), ["app", "lib"]);
    for key in ["functions", "hooked", "instructions", "hooked_instructions"] {
        let sum: u64 = owners.iter().filter_map(|part| part[key].as_u64()).sum();
        assert_eq!(coverage[key], sum, "{key}");
    }
    let text = output(observe().args(["instrument", "--dry-run", "-"]), MODULE.as_bytes());
    let text = stdout(&text);
    let line = "        3         2     100 %      75 %  app";
    assert!(text.contains(line), "{text}");
}

#[test]
fn a_rule_by_source_says_that_there_are_none() {
    let options = ["instrument", "-", "--exclude-source", "*.rs", "-o", "-"];
    let result = output(observe().args(options), MODULE.as_bytes());
    let said = stderr(&result);
    assert!(
        result.status.success() && said.contains("standard input: has no debug info"),
        "{said}"
    );
    let result =
        output(observe().args(["run", "-", "--invoke", "run", options[2], "x"]), MODULE.as_bytes());
    let said = stderr(&result);
    assert!(
        result.status.success() && said.contains("standard input: has no debug info"),
        "{said}"
    );
}
