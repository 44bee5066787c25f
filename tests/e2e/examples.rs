//! The examples do what their README says, as committed and as built from source.

use std::path::Path;
use std::process::Command;

use crate::harness::{example, observe, output, repository, stderr, stdout};

fn run(directory: &Path, module: &str, arguments: &[&str], stdin: &[u8]) -> String {
    let mut command = observe();
    command.arg("run").arg(directory.join(module)).args(arguments);
    let result = output(&mut command, stdin);
    assert!(result.status.success(), "{}", stderr(&result));
    stdout(&result)
}

fn check(directory: &Path) {
    for module in ["vowels.wasm", "vowels-c.wasm"] {
        assert_eq!(run(directory, module, &[], b"Hello, world!"), "3\n");
        assert_eq!(run(directory, module, &[], b""), "0\n");
        let long = "Aeiou, xyz! ".repeat(100_000);
        assert_eq!(run(directory, module, &[], long.as_bytes()), "500000\n");
    }
    assert_eq!(run(directory, "compute.wasm", &["--invoke", "add", "2", "3"], b""), "5\n");
    assert_eq!(run(directory, "compute.wasm", &["--invoke", "fib", "20"], b""), "6765\n");
    assert_eq!(run(directory, "annotated.wasm", &["--invoke", "checkout", "0"], b""), "5\n");
}

#[test]
fn the_committed_modules_work() {
    check(&repository().join("examples"));
}

#[test]
fn the_sources_build_and_work() {
    let dir = tempfile::tempdir().expect("a folder");
    let build = repository().join("examples/guests/build");
    let built = output(Command::new(build).arg(dir.path()), b"");
    assert!(built.status.success(), "{}", stderr(&built));
    check(dir.path());
}

#[test]
fn the_annotations_are_those_of_the_contract() {
    use observe_abi::guest;
    let wasm = std::fs::read(example("annotated.wasm")).expect("an example");
    let mut imports = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(&wasm) {
        if let wasmparser::Payload::ImportSection(section) = payload.expect("valid") {
            for import in section.into_imports() {
                let import = import.expect("valid");
                imports.push((import.module.to_owned(), import.name.to_owned()));
            }
        }
    }
    imports.sort();
    let expected = [guest::INTEREST, guest::SPAN_BEGIN, guest::SPAN_END]
        .map(|name| (guest::MODULE.to_owned(), name.to_owned()));
    assert_eq!(imports, expected);
}
