//! `observe run`: the guest's own input, output and status pass through, and what is
//! shown is what happened.

use crate::harness::{observe, output, stderr, stdout};

/// Writes a module to a file that lives as long as the test.
fn module(wat: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".wat").tempfile().expect("a file");
    std::fs::write(file.path(), wat).expect("can be written");
    file
}

fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().expect("it is Unicode")
}

/// The row of the table for a function: its calls and its name.
fn calls(shown: &str, function: &str) -> Option<u64> {
    let row = shown
        .lines()
        .skip_while(|line| !line.contains("p95"))
        .find(|line| line.trim_end().ends_with(function))?;
    row.split_whitespace().next()?.replace(',', "").parse().ok()
}

#[test]
fn a_function_without_wasi_is_invoked() {
    for (arguments, expected) in [
        (&["--invoke", "add", "2", "3"][..], "5\n"),
        (&["--invoke", "add", "-2", "-3"], "-5\n"),
        (&["--invoke", "add", "4294967295", "1"], "0\n"),
        (&["--invoke", "primes", "1000"], "168\n"),
        (&["--invoke", "mandelbrot", "60", "40"], "170581\n"),
    ] {
        let mut command = observe();
        command.args(["run", "examples/compute.wasm"]).args(arguments);
        let result = output(&mut command, b"");
        assert!(result.status.success(), "{}", stderr(&result));
        assert_eq!(stdout(&result), expected);
    }
}

#[test]
fn calls_are_counted_exactly_however_few_are_timed() {
    // 2 · fib(21) − 1 by the recurrence of the calls.
    for trace in ["all", "budget", "off"] {
        let arguments = ["run", "examples/compute.wasm", "--trace", trace, "--invoke", "fib", "20"];
        let result = output(observe().args(arguments), b"");
        let shown = stderr(&result);
        assert_eq!(stdout(&result), "6765\n", "{shown}");
        assert_eq!(calls(&shown, " fib"), Some(21_891), "{trace}: {shown}");
    }
}

#[test]
fn calls_are_counted_in_a_module_of_many_functions() {
    // Enough functions that cells live in a memory.
    let mut wat = String::from("(module (func (export \"_start\")\n");
    for n in 0..1500 {
        wat += &format!("(call $f{n}) (call $f{n})\n");
    }
    wat += ")\n";
    for n in 0..1500 {
        wat += &format!("(func $f{n} (loop))\n");
    }
    let file = module(&(wat + ")"));
    for trace in ["all", "budget", "off"] {
        let result = output(observe().args(["run", path(&file), "--trace", trace]), b"");
        let shown = stderr(&result);
        assert!(result.status.success(), "{shown}");
        assert!(shown.contains("… 1,481 more functions"), "{shown}");
        // `_start` may be one of the 20 that are shown.
        let twos = shown.lines().filter(|line| line.trim_start().starts_with("2 ")).count();
        assert!(twos >= 19, "{trace}: {shown}");
    }
}

#[test]
fn the_exit_status_is_the_guest_s() {
    let file = module(
        r#"(module
             (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
             (memory (export "memory") 1)
             (func $leave (call $exit (i32.const 42)))
             (func (export "_start") (call $leave)))"#,
    );
    let result = output(observe().args(["run", path(&file)]), b"");
    let shown = stderr(&result);
    assert_eq!(result.status.code(), Some(42), "{shown}");
    assert!(!shown.contains("observe:"), "an exit code is no trouble of ours: {shown}");
    assert_eq!(calls(&shown, " leave"), Some(1), "{shown}");
}

#[test]
fn arguments_environment_and_folders_reach_the_guest() {
    // Prints what args_get and environ_get put in memory, zero bytes and all.
    let file = module(
        r#"(module
             (import "wasi_snapshot_preview1" "args_sizes_get" (func $asz (param i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "environ_sizes_get" (func $esz (param i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
             (memory (export "memory") 1)
             (func $print (param $len i32)
               (i32.store (i32.const 0) (i32.const 4096))
               (i32.store (i32.const 4) (local.get $len))
               (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
             (func (export "_start")
               (drop (call $asz (i32.const 16) (i32.const 20)))
               (drop (call $args (i32.const 64) (i32.const 4096)))
               (call $print (i32.load (i32.const 20)))
               (drop (call $esz (i32.const 16) (i32.const 20)))
               (drop (call $env (i32.const 64) (i32.const 4096)))
               (call $print (i32.load (i32.const 20)))))"#,
    );
    let name = file.path().file_name().and_then(|name| name.to_str()).expect("it is Unicode");
    let mut command = observe();
    command.env("PASSED", "ours").args(["run", path(&file), "--env", "KEY=a=b", "--env", "PASSED"]);
    let result = output(command.args(["--", "-x", "two words"]), b"");
    let expected = format!("{name}\0-x\0two words\0KEY=a=b\0PASSED=ours\0");
    assert_eq!(stdout(&result), expected, "{}", stderr(&result));
}

#[test]
fn a_trap_shows_where_and_has_a_status_of_its_own() {
    let file = module(
        r#"(module
             (func $inner (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
             (func $outer (loop) (drop (call $inner (i32.const 0))))
             (func (export "_start") (call $outer)))"#,
    );
    let result = output(observe().args(["run", path(&file), "--all"]), b"");
    let shown = stderr(&result);
    assert_eq!(result.status.code(), Some(134), "{shown}");
    assert!(shown.contains("integer divide by zero"), "{shown}");
    assert!(shown.contains("integer_division_by_zero"), "{shown}");
    let frames: Vec<_> = shown.lines().filter_map(|line| line.trim().split_once(": ")).collect();
    assert_eq!(frames[1..4], [("0", "inner"), ("1", "outer"), ("2", "_start")], "{shown}");
    for function in ["_start", "outer", "inner"] {
        let line = shown.lines().find(|line| line.contains('└') && line.contains(function));
        assert!(line.is_some_and(|line| line.contains("error")), "{function}: {shown}");
    }
}

#[test]
fn a_trap_in_the_start_function_is_told_too() {
    let file = module("(module (func $go unreachable) (start $go) (func (export \"_start\")))");
    let result = output(observe().args(["run", path(&file)]), b"");
    let shown = stderr(&result);
    assert_eq!(result.status.code(), Some(134), "{shown}");
    assert!(shown.contains("0: go"), "{shown}");
    assert_eq!(calls(&shown, " go"), Some(1), "{shown}");
}

#[test]
fn a_stack_overflow_is_told_in_a_screenful() {
    let file = module("(module (func $f (export \"_start\") (call $f)))");
    let result = output(observe().args(["run", path(&file)]), b"");
    let shown = stderr(&result);
    assert_eq!(result.status.code(), Some(134), "{shown}");
    assert!(shown.contains("stack_overflow"), "{shown}");
    assert!(shown.lines().count() < 120, "{} lines", shown.lines().count());
}

#[test]
fn any_exit_status_passes() {
    for (code, expected) in
        [(0, 0), (1, 1), (125, 125), (126, 126), (255, 255), (-1, 255), (256, 0)]
    {
        let file = module(&format!(
            r#"(module
                 (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                 (memory (export "memory") 1)
                 (func (export "_start") (call $exit (i32.const {code}))))"#
        ));
        let result = output(observe().args(["run", "--quiet", path(&file)]), b"");
        assert_eq!(
            (result.status.code(), stderr(&result)),
            (Some(expected), String::new()),
            "{code}"
        );
    }
}

#[test]
fn an_exception_that_nobody_catches_is_told() {
    let file = module(
        r#"(module
             (tag $t)
             (func $throws (loop) (throw $t))
             (func (export "_start") (loop) (call $throws)))"#,
    );
    let result = output(observe().args(["run", "--min-duration", "0", path(&file)]), b"");
    let shown = stderr(&result);
    assert_eq!(result.status.code(), Some(134), "{shown}");
    assert!(shown.contains("exception was thrown"), "{shown}");
    for function in ["_start", "throws"] {
        let line = shown.lines().find(|line| line.contains('└') && line.contains(function));
        assert!(line.is_some_and(|line| line.contains("error")), "{function}: {shown}");
    }
}

#[test]
fn a_long_backtrace_is_shown_from_both_ends() {
    let file = module(
        r#"(module
             (func $down (param i32)
               (if (i32.eqz (local.get 0)) (then unreachable))
               (call $down (i32.sub (local.get 0) (i32.const 1))))
             (func (export "_start") (call $down (i32.const 99))))"#,
    );
    let result = output(observe().args(["run", "--quiet", path(&file)]), b"");
    let shown = stderr(&result);
    for words in [" 0: down", "… 69 frames", " 99: down", "100: _start"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[test]
fn a_deep_recursion_has_room() {
    // Deeper than wasmtime alone would let it go, with an exception handler in each frame.
    let file = module(
        r#"(module
             (tag $t)
             (func $down (param i32)
               (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))))
             (func (export "_start") (call $down (i32.const 30000))))"#,
    );
    let result = output(observe().args(["run", "--all", path(&file)]), b"");
    let shown = stderr(&result);
    assert!(result.status.success(), "{shown}");
    assert_eq!(calls(&shown, " down"), Some(30_001), "{shown}");
    assert!(shown.contains("levels deep"), "one line for all: {shown}");
}

#[test]
fn names_cannot_steer_the_terminal() {
    let file = module(
        r#"(module
             (func $f (@name "\1b[2J\0aobserve: forged\07\e2\80\ae") unreachable)
             (func (export "_start") (call $f)))"#,
    );
    for arguments in [&["run", "--all"][..], &["instrument", "--dry-run"], &["inspect"]] {
        let result = output(observe().args(arguments).arg(file.path()), b"");
        let shown = stderr(&result) + &stdout(&result);
        assert!(!shown.contains(['\x1b', '\x07', '\u{202e}']), "{shown:?}");
        assert!(!shown.lines().any(|line| line.starts_with("observe: forged")), "{shown:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_costs_no_status() {
    use std::process::Stdio;
    let full =
        || Stdio::from(std::fs::File::options().write(true).open("/dev/full").expect("linux"));
    let invoke = ["run", "examples/compute.wasm", "--invoke", "add", "2", "3"];
    let unread = observe().args(invoke).stdout(Stdio::null()).stderr(full()).status();
    assert_eq!(unread.expect("it runs").code(), Some(0));
    let child = observe().args(invoke).stdout(full()).stderr(Stdio::piped()).spawn();
    let result = child.and_then(std::process::Child::wait_with_output).expect("it runs");
    assert_eq!(result.status.code(), Some(2), "{}", stderr(&result));
    assert!(stderr(&result).contains("standard output: cannot be written"), "{}", stderr(&result));
}

#[cfg(unix)]
#[test]
fn a_signal_stops_the_guest_and_shows_what_it_did() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    // Calls something, says that it runs, and goes on for ever. The signal may come while it
    // still says so.
    let file = module(
        r#"(module
             (import "wasi_snapshot_preview1" "fd_write"
               (func $write (param i32 i32 i32 i32) (result i32)))
             (memory (export "memory") 1)
             (data (i32.const 0) "\10\00\00\00\01\00\00\00")
             (data (i32.const 16) "!")
             (func $step (loop))
             (func (export "_start")
               (call $step)
               (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
               (loop $l (call $step) (br $l))))"#,
    );
    for trace in ["all", "budget"] {
        let mut command = observe();
        command.args(["run", "--trace", trace, path(&file)]);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
        let mut sign = [0];
        child.stdout.as_mut().expect("piped").read_exact(&mut sign).expect("it says so");
        let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
        let result = child.wait_with_output().expect("it ends");
        let shown = stderr(&result);
        assert_eq!(result.status.code(), Some(130), "{shown}");
        assert!(shown.contains("interrupt"), "{shown}");
        assert!(calls(&shown, " step").is_some_and(|calls| calls > 0), "{shown}");
    }
}

#[test]
fn results_of_every_type_are_printed() {
    let file = module(
        r#"(module (func (export "f") (param f32 f64) (result i32 i64 f32 f64 f32 externref)
             (i32.const -1) (i64.const -2) (local.get 0) (local.get 1)
             (f32.const -nan:0x200001) (ref.null extern)))"#,
    );
    let mut command = observe();
    command.args(["run", "--quiet", path(&file), "--invoke", "f", "--", "-inf", "1e300"]);
    let expected = "-1\n-2\n-inf\n1e300\n-nan:0x200001\nnull\n";
    assert_eq!(stdout(&output(&mut command, b"")), expected);
}

#[test]
fn a_module_of_the_older_wasi_runs() {
    let file = module(
        r#"(module
             (import "wasi_unstable" "proc_exit" (func $exit (param i32)))
             (memory (export "memory") 1)
             (func (export "_start") (call $exit (i32.const 7))))"#,
    );
    assert_eq!(output(observe().args(["run", path(&file)]), b"").status.code(), Some(7));
}

#[test]
fn quiet_says_nothing_when_all_is_well() {
    let arguments = ["run", "--quiet", "examples/vowels.wasm"];
    let result = output(observe().args(arguments), b"Hello, world!");
    assert_eq!((stdout(&result), stderr(&result)), ("3\n".to_owned(), String::new()));
}

#[test]
fn a_module_comes_from_standard_input_in_either_format() {
    let wat = b"(module (func (export \"seven\") (result i32) i32.const 7))";
    for wasm in [wat.to_vec(), wat::parse_bytes(wat).expect("valid").into_owned()] {
        let result = output(observe().args(["run", "-", "--invoke", "seven"]), &wasm);
        assert_eq!(stdout(&result), "7\n", "{}", stderr(&result));
    }
}

#[test]
fn an_instrumented_module_runs_as_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out.wasm");
    let out = out.to_str().expect("it is Unicode");
    let written = output(observe().args(["instrument", "examples/vowels.wasm", "-o", out]), b"");
    assert!(written.status.success(), "{}", stderr(&written));
    let result = output(observe().args(["run", out, "--top", "100"]), b"Hello, world!");
    assert_eq!(stdout(&result), "3\n", "{}", stderr(&result));
    assert_eq!(calls(&stderr(&result), " vowels::is_vowel"), Some(13), "{}", stderr(&result));
}

#[test]
fn spans_of_the_guest_s_own_nest_among_functions() {
    let arguments = ["run", "examples/annotated.wasm", "--min-duration", "0", "--invoke"];
    let result = output(observe().args(arguments).args(["checkout", "3"]), b"");
    let shown = stderr(&result);
    // (0 + 1 + 2), each xored with 0 to 99, which is the same as with 0: 99·100/2 is
    // even in every bit but those of 100 numbers, so by the source: price(n) = n ^ x.
    let x = (0..100).fold(0, |x, n| x ^ n);
    let price = |n: u32| (n ^ x) % 100;
    assert_eq!(stdout(&result), format!("{}\n", price(0) + price(1) + price(2) + 5), "{shown}");
    let at = |text: &str| {
        let line = shown.lines().find(|line| line.contains(text));
        line.and_then(|line| line.find(text)).unwrap_or_else(|| panic!("{text}: {shown}"))
    };
    let tree = ["└─ checkout", "─ add up", "─ annotated::price ×3"].map(at);
    assert!(tree.is_sorted() && tree[0] < tree[1] && tree[1] < tree[2], "{shown}");
}

#[test]
fn strict_stops_a_guest_for_what_is_otherwise_counted() {
    let file = module(
        r#"(module
             (import "observe:guest@2" "span-begin"
               (func $begin (param i32 i32 i32 i32 i32) (result i32)))
             (import "observe:guest@2" "span-end" (func $end (param i32)))
             (memory (export "memory") 1)
             (func (export "_start")
               (call $end (call $begin (i32.const 0)
                 (i32.const 65530) (i32.const 7) (i32.const 0) (i32.const 0)))))"#,
    );
    let lost = "observe: not recorded as said: 1 texts out of reach\n";
    let result = output(observe().args(["run", path(&file), "--quiet"]), b"");
    assert!(result.status.success(), "{}", stderr(&result));
    assert_eq!(stderr(&result), lost);

    let result = output(observe().args(["run", path(&file), "--quiet", "--strict"]), b"");
    let shown = stderr(&result);
    assert_eq!(result.status.code(), Some(134), "{shown}");
    let named: Vec<_> = shown.lines().filter(|line| line.contains("span-begin")).collect();
    let [named] = named[..] else { panic!("one line names the import: {shown}") };
    for part in ["observe: ", "`observe:guest@2`", "texts out of reach", "strict"] {
        assert!(named.contains(part), "no {part}: {shown}");
    }
}

#[test]
fn selection_decides_what_is_seen() {
    let run = |options: &[&str]| {
        let mut command = observe();
        command
            .args(["run", "examples/compute.wasm"])
            .args(options)
            .args(["--invoke", "primes", "100"]);
        stderr(&output(&mut command, b""))
    };
    let default = run(&[]);
    assert_eq!(calls(&default, " compute::is_prime"), Some(99), "{default}");
    let excluded = run(&["--exclude", "is_prime"]);
    assert_eq!(calls(&excluded, "is_prime"), None, "{excluded}");
    assert!(excluded.contains("1 excluded"), "{excluded}");
    let included = run(&["--include", "is_prime$"]);
    assert_eq!(calls(&included, " compute::is_prime"), Some(99), "{included}");
    assert_eq!(calls(&included, " primes"), None, "{included}");
}
