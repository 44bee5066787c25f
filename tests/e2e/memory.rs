//! What a guest asks the host for: calls, room in its memory, and what its allocators do with it.

use crate::harness::{observe, output, stderr, stdout};

/// What `observe run` shows of a module, with these options.
fn shown(file: &str, options: &[&str], stdin: &[u8]) -> String {
    let result = output(observe().args(["run", file]).args(options), stdin);
    let shown = stderr(&result);
    assert!(result.status.success(), "{shown}");
    shown
}

#[test]
fn calls_of_the_host_have_rows_of_their_own() {
    let row = "wasi_snapshot_preview1.fd_write";
    let with = shown("examples/vowels.wasm", &[], b"Hello");
    assert!(with.lines().any(|line| line.ends_with(row)), "{with}");
    let without = shown("examples/vowels.wasm", &["--no-imports"], b"Hello");
    assert!(!without.contains(row), "{without}");
    let exports = shown("examples/vowels.wasm", &["--exports"], b"Hello");
    assert!(!exports.contains(row), "{exports}");
}

#[test]
fn what_grows_is_told_with_who_made_it() {
    let wat = r#"(module (memory 1 2)
        (func $grows (drop (memory.grow (i32.const 1))))
        (func (export "go") (call $grows) (call $grows)))"#;
    let file = tempfile::Builder::new().suffix(".wat").tempfile().expect("a file");
    std::fs::write(file.path(), wat).expect("can be written");
    let file = file.path().to_str().expect("it is Unicode");
    for trace in ["all", "budget", "off"] {
        let shown = shown(file, &["--trace", trace, "--invoke", "go"], b"");
        let expected = "growth: memory +64.0 KiB, 1 attempt failed\n  \
                        by grows (memory +64.0 KiB, 1 attempt failed)\n";
        assert!(shown.contains(expected), "{shown}");
    }
}

#[test]
fn the_heap_of_rust_and_c_is_told_when_asked_for() {
    // Rust's standard input keeps its buffer of 8 KiB; the C program frees what it takes.
    for (file, expected) in [
        ("examples/vowels.wasm", "; 1 block of 8.0 KiB left\n"),
        ("examples/vowels-c.wasm", "heap: 1 block of 4.0 KiB, at most 4.0 KiB at a time; 0 blocks"),
    ] {
        let told = shown(file, &["--allocations"], b"Hello");
        assert!(told.contains(expected), "{told}");
        assert!(!shown(file, &[], b"Hello").contains("heap:"), "{file}");
    }
}

#[test]
fn compact_hooks_do_the_same_in_less_room() {
    let dir = tempfile::tempdir().expect("a folder");
    let written = |options: &[&str]| {
        let path = dir.path().join("out.wasm");
        let mut command = observe();
        command.args(["instrument", "examples/vowels.wasm", "-o"]).arg(&path).args(options);
        let result = output(&mut command, b"");
        assert!(result.status.success(), "{}", stderr(&result));
        let size = std::fs::metadata(&path).expect("it is there").len();
        // What others take beside this may push a function down the table.
        let run = output(observe().args(["run", "--top", "100"]).arg(&path), b"Hello");
        (size, stdout(&run), stderr(&run))
    };
    let (plain, compact) = (written(&[]), written(&["--compact"]));
    assert!(compact.0 < plain.0, "{} and {} bytes", compact.0, plain.0);
    assert_eq!((&*plain.1, &*compact.1), ("2\n", "2\n"), "{}", compact.2);
    let counted = |shown: &str| shown.lines().any(|line| line.ends_with("vowels::count_vowels"));
    assert!(counted(&plain.2) && counted(&compact.2), "{}", compact.2);
}
