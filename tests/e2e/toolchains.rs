//! The packages for guests in Go and in AssemblyScript: formatted, vetted and tested by the tools of
//! their languages, and held to the contract by a host that writes down what it is told.

mod told;

use std::path::Path;
use std::process::{Command, Output};

use observe_abi::guest;
use wasmtime::{Engine, Module};

use self::told::{EVERYTHING, told};
use crate::harness::{cache, here, output, repository, stderr, stdout};

fn succeed(command: &mut Command) -> Output {
    let result = output(command, b"");
    let said = format!("{}{}", stdout(&result), stderr(&result));
    assert!(result.status.success(), "{command:?}:\n{said}");
    result
}

/// Go, with nothing of the user's settings, and without a network.
fn go(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = here(cache().join("venv/bin/go"));
    command.current_dir(folder).args(arguments).env("GOENV", "off").env("GOFLAGS", "");
    command.env("GOTOOLCHAIN", "local").env("GOPROXY", "off").env("GOWORK", "off");
    command
}

fn for_wasi(mut command: Command) -> Command {
    command.env("GOOS", "wasip1").env("GOARCH", "wasm").env("CGO_ENABLED", "0");
    command
}

/// AssemblyScript's compiler, which finds our package.
fn asc(folder: &Path, source: &str) -> Command {
    let packages = folder.join("packages");
    let package = repository().join("guest-sdk/assemblyscript");
    std::fs::create_dir(&packages).expect("a new folder");
    std::os::unix::fs::symlink(package, packages.join("observe-guest")).expect("a link");
    let mut command = here(cache().join("assemblyscript/node_modules/.bin/asc"));
    command.current_dir(repository().join("tests/e2e/toolchains")).arg(source).arg("--path");
    command.arg(packages).args(["-O", "--use", "abort=observeAbort", "--outFile"]);
    command.arg(folder.join("out.wasm"));
    command
}

/// What the guest in AssemblyScript says.
fn edges(invoke: &str, arguments: &[i32], interest: u32) -> told::Told {
    let dir = tempfile::tempdir().expect("a folder");
    succeed(&mut asc(dir.path(), "edges.ts"));
    let module = std::fs::read(dir.path().join("out.wasm")).expect("it is built");
    told(&module, invoke, arguments, interest)
}

#[test]
fn go_modules_are_formatted_vetted_and_tested() {
    let modules = ["guest-sdk/go", "examples/guests/orders-go", "tests/e2e/toolchains/go"];
    for module in modules.map(|module| repository().join(module)) {
        let unformatted = succeed(here(cache().join("venv/bin/gofmt")).arg("-l").arg(&module));
        assert_eq!(stdout(&unformatted), "");
        succeed(&mut go(&module, &["vet", "./..."]));
        succeed(&mut for_wasi(go(&module, &["vet", "./..."])));
        succeed(&mut go(&module, &["test", "./..."]));
    }
}

#[test]
fn examples_import_what_the_contract_has() {
    let dir = tempfile::tempdir().expect("a folder");
    let build = repository().join("examples/guests/build");
    succeed(Command::new(build).arg(dir.path()).args(["orders-as", "orders-go"]));
    let engine = Engine::default();
    for (name, others) in [("orders-as", vec![]), ("orders-go", vec!["wasi_snapshot_preview1"])] {
        let module = Module::from_file(&engine, dir.path().join(name).with_extension("wasm"));
        let module = module.expect("a valid module");
        let (ours, theirs): (Vec<_>, Vec<_>) =
            module.imports().partition(|import| import.module() == guest::MODULE);
        assert!(ours.len() >= 15, "{name}: {ours:?}");
        for import in ours {
            let ty = import.ty().unwrap_func().clone();
            let expected = told::core_type(&engine, import.name());
            assert_eq!(Some(ty.to_string()), expected.map(|ty| ty.to_string()), "{import:?}");
        }
        let mut theirs: Vec<_> = theirs.iter().map(wasmtime::ImportType::module).collect();
        theirs.dedup();
        assert_eq!(theirs, others, "{name}");
    }
}

#[test]
fn assemblyscript_writes_any_text() {
    let long = "x".repeat(5000);
    assert_eq!(
        edges("texts", &[], EVERYTHING).calls,
        [
            "interest".to_owned(),
            "span-begin 1 \"ü€😀\u{fffd}!\"".to_owned(),
            format!("span-attributes -1 long={long:?}"),
            format!("span-attributes -1 several=[\"ü\", \"\", {long:?}]"),
            // It did not fit at first.
            "baggage".to_owned(),
            "baggage".to_owned(),
            format!("span-attributes -1 baggage={:?}", told::baggage()),
            "span-end -1".to_owned(),
        ]
    );
}

#[test]
fn assemblyscript_takes_all_kinds_of_values() {
    let current = |said: &str| format!("span-attributes {} {said}", guest::CURRENT);
    assert_eq!(
        edges("kinds", &[], EVERYTHING).calls[1..],
        [
            "u8=255",
            "i8=-1",
            "u32=4294967295",
            "f32=0.5",
            "bytes=bytes [0, 0]",
            "f32s=[0.0]",
            "i16s=[1, -2]",
            "none=[]",
            "something=true",
        ]
        .map(current)
    );
}

#[test]
fn assemblyscript_keeps_attributes_as_long_as_they_are_used() {
    let many: String = (0..20).map(|i| format!(" key {i}={:?}", "v".repeat(i))).collect();
    let current = guest::CURRENT;
    assert_eq!(
        edges("many", &[], EVERYTHING).calls[1..],
        [format!("span-attributes {current}{many}"), format!("span-attributes {current} one=1"),]
    );
}

#[test]
fn assemblyscript_gives_detached_spans_a_parent() {
    let root = guest::ROOT;
    assert_eq!(
        edges("detached", &[], EVERYTHING).calls[1..],
        [
            format!("span-open {root} 1 \"outer\""),
            "span-open 1 1 \"inner\"".to_owned(),
            "log 1 24 \"of the outer\"".to_owned(),
            "span-close 2".to_owned(),
            "span-close 1".to_owned(),
        ]
    );
}

#[test]
fn assemblyscript_tells_why_it_aborts() {
    let failed = edges("fails", &[2], EVERYTHING);
    let error = failed.error.expect("it traps");
    assert!(error.contains("unreachable"), "{error}");
    let [_, _, event, status] = &failed.calls[..] else { panic!("{:?}", failed.calls) };
    let expected = format!(
        "span-event {} \"exception\" exception.type=\"abort\" \
         exception.message=\"Index out of range\" code.file.path=\"~lib/array.ts\"",
        guest::CURRENT
    );
    assert!(event.starts_with(&expected), "{event}");
    assert_eq!(*status, format!("span-status {} 2 \"Index out of range\"", guest::CURRENT));
    assert_eq!(edges("fails", &[1], EVERYTHING).error, None);
}

#[test]
fn assemblyscript_tells_nothing_that_is_not_wanted() {
    let nothing = guest::interest::ANSWERED;
    assert_eq!(edges("everything", &[], nothing).calls, ["interest"]);
    let grave = guest::interest::LOGS | 24 << guest::interest::SEVERITY_SHIFT;
    let log = format!("log {} 24 \"l\"", guest::CURRENT);
    assert_eq!(edges("everything", &[], nothing | grave).calls, ["interest".to_owned(), log]);
    let graver = guest::interest::LOGS | 25 << guest::interest::SEVERITY_SHIFT;
    assert_eq!(edges("everything", &[], nothing | graver).calls, ["interest"]);
}

#[test]
fn assemblyscript_refuses_what_is_no_attribute_when_it_compiles() {
    let dir = tempfile::tempdir().expect("a folder");
    let refused = stderr(&output(&mut asc(dir.path(), "mistakes.ts"), b""));
    assert!(
        refused.contains("\"the value of an attribute is a string, bool, number,"),
        "{refused}"
    );
    assert!(refused.contains("\"a measurement is an integer or a float\""), "{refused}");
}

#[test]
fn go_tells_what_goroutines_do_and_why_it_panics() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out.wasm");
    let source = repository().join("tests/e2e/toolchains/go");
    let mut build = for_wasi(go(&source, &["build", "-trimpath", "-o"]));
    succeed(build.arg(&out).arg("."));
    let module = std::fs::read(&out).expect("it is built");
    let result = told(&module, "_start", &[], EVERYTHING);
    assert!(result.error.expect("it exits").contains("Exited with i32 exit status 2"));
    let many: String = (0..20).map(|i| format!(" key {i}=\"{}\"", i * i)).collect();
    let expected = format!(
        "baggage\n\
         baggage\n\
         interest\n\
         span-open {current} 1 \"main\" baggage={baggage:?}\n\
         span-enter 1\n\
         span-attributes 1{many}\n\
         span-open 1 1 \"ping\"\n\
         span-enter 2\n\
         log 2 9 \"turn of ping\"\n\
         span-open 1 1 \"pong\"\n\
         span-enter 3\n\
         log 3 9 \"turn of pong\"\n\
         log 2 9 \"turn of ping\"\n\
         span-close 2\n\
         log 3 9 \"turn of pong\"\n\
         span-close 3\n\
         log 1 13 \"hm\" shop=1 order.id=42\n\
         span-event 1 \"exception\" exception.type=\"*errors.errorString\" \
         exception.message=\"broken\"\n\
         span-event 1 \"exception\" exception.type=\"runtime.boundsError\" \
         exception.message=\"runtime error: index out of range [7] with length 0\"\n\
         span-status 1 2 \"panic\"\n\
         span-close 1",
        current = guest::CURRENT,
        baggage = told::baggage(),
    );
    assert_eq!(result.calls.join("\n"), expected);
}
