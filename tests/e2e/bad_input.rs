//! Bad input gets one clear line that names the file and the cause, exit status 2, and
//! no output file.

use std::path::Path;
use std::process::Output;

use crate::harness::{example, observe, output, stderr, stdout};

/// A folder with a file of each bad kind.
fn bad_files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(dir.path().join(name), bytes).expect("can be written");
    };
    let good = std::fs::read(example("vowels.wasm")).expect("an example");
    write("empty.wasm", b"");
    write("text.wasm", b"This is no module.\nNot at all.\n");
    write("truncated.wasm", &good[..good.len() / 2]);
    write("header.wasm", &good[..6]);
    write("garbage.wasm", &[b"\0asm\x01\0\0\0"[..].to_vec(), vec![0xff; 100]].concat());
    write("component.wasm", b"\0asm\x0d\0\x01\0");
    let object = "(module (@custom \"linking\" \"\\02\"))";
    write("object.wasm", &wat::parse_str(object).expect("valid"));
    let unknown = "(module (import \"env\" \"launch\" (func)) (func (export \"_start\") call 0))";
    write("unknown.wasm", &wat::parse_str(unknown).expect("valid"));
    write("broken.wat", b"(module\n  (func (i32.frobnicate)))\n");
    let invalid = "(module (func (export \"_start\") (drop (i32.add))))";
    write("invalid.wasm", &wat::parse_str(invalid).expect("can be encoded"));
    write("library.wat", b"(module (func (export \"f\") (param i32)))");
    dir
}

/// One line, with status 2, that begins with our name and holds all the words.
fn assert_one_line(output: &Output, words: &[&str], what: &str) {
    let line = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{what}: {line}");
    assert_eq!(line.trim_end().lines().count(), 1, "{what}: {line}");
    assert!(line.starts_with("observe: "), "{what}: {line}");
    for word in words {
        assert!(line.contains(word), "{what} does not say `{word}`: {line}");
    }
    assert_eq!(stdout(output), "", "{what}");
}

#[test]
fn instrument_refuses_it() {
    let dir = bad_files();
    for (file, cause) in [
        ("empty.wasm", "empty"),
        ("text.wasm", "not a WebAssembly binary"),
        ("truncated.wasm", "at offset"),
        ("header.wasm", "at offset"),
        ("garbage.wasm", "at offset"),
        ("component.wasm", "component"),
        ("object.wasm", "`linking`"),
        ("broken.wat", "2:"),
        ("invalid.wasm", "type mismatch"),
        ("missing.wasm", "No such file"),
    ] {
        let out = dir.path().join("out.wasm");
        let result = output(
            observe().current_dir(dir.path()).args(["instrument", file, "-o", "out.wasm"]),
            b"",
        );
        assert_one_line(&result, &[file, cause], file);
        assert!(!out.exists(), "{file} left an output");
        let left = std::fs::read_dir(dir.path()).expect("readable").count();
        assert_eq!(left, 11, "{file} left a file");
    }
}

#[test]
fn run_refuses_it() {
    let dir = bad_files();
    for (file, cause) in [
        ("empty.wasm", "empty"),
        ("text.wasm", "not a WebAssembly binary"),
        ("truncated.wasm", "at offset"),
        ("garbage.wasm", "at offset"),
        ("component.wasm", "component"),
        ("object.wasm", "`linking`"),
        ("unknown.wasm", "`env` `launch`"),
        ("invalid.wasm", "type mismatch"),
        ("library.wat", "--invoke"),
        ("missing.wasm", "No such file"),
    ] {
        let result = output(observe().current_dir(dir.path()).args(["run", file]), b"");
        assert_one_line(&result, &[file, cause], file);
    }
}

#[test]
fn inspect_refuses_it() {
    let dir = bad_files();
    for (file, cause) in [
        ("empty.wasm", "empty"),
        ("text.wasm", "not a WebAssembly binary"),
        ("truncated.wasm", "at offset"),
        ("missing.wasm", "No such file"),
    ] {
        let result = output(observe().current_dir(dir.path()).args(["inspect", file]), b"");
        assert_one_line(&result, &[file, cause], file);
    }
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let missing = dir.path().join("missing").join("out.wasm");
    for out in [missing.as_path(), dir.path()] {
        let out = out.to_str().expect("it is Unicode");
        let result = output(observe().args(["instrument", "examples/vowels.wasm", "-o", out]), b"");
        assert_one_line(&result, &[out, "cannot be written"], out);
    }
}

#[test]
fn an_output_that_was_there_survives_a_failure() {
    let dir = bad_files();
    let out = dir.path().join("out.wasm");
    std::fs::write(&out, "precious").expect("can be written");
    let result = output(
        observe().current_dir(dir.path()).args(["instrument", "truncated.wasm", "-o", "out.wasm"]),
        b"",
    );
    assert_eq!(result.status.code(), Some(2));
    assert_eq!(std::fs::read(&out).expect("it is there"), b"precious");
}

#[test]
fn what_is_instrumented_is_not_instrumented_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let once = dir.path().join("once.wasm");
    let once = once.to_str().expect("it is Unicode");
    let first = output(observe().args(["instrument", "examples/compute.wasm", "-o", once]), b"");
    assert!(first.status.success(), "{}", stderr(&first));
    let second = output(observe().args(["instrument", once]), b"");
    assert_one_line(&second, &[once, "instrumented already"], "twice");
}

#[test]
fn options_are_checked() {
    for (arguments, words) in [
        (&["run", "examples/compute.wasm"][..], &["exports no `_start`", "add"][..]),
        (&["run", "examples/compute.wasm", "--invoke", "sub", "1"], &["no function `sub`", "add"]),
        (
            &["run", "examples/compute.wasm", "--invoke", "add", "1"],
            &["2 arguments", "i32, i32", "given: 1"],
        ),
        (&["run", "examples/compute.wasm", "--invoke", "add", "1", "x"], &["`x`", "i32"]),
        (&["run", "examples/vowels.wasm", "--include", "(("], &["`((`"]),
        (&["run", "examples/vowels.wasm", "--exclude-source", "a["], &["`a[`", "glob"]),
        (
            &["run", "examples/vowels.wasm", "--config", "no/such.toml"],
            &["no/such.toml", "No such"],
        ),
        (&["instrument", "examples/vowels.wasm", "--config", "."], &[".: cannot be read"]),
        (&["run", "examples/vowels.wasm", "--min-instructions", "1", "--dir", "x::"], &["x::"]),
        (&["run", "examples/vowels.wasm", "--dir", "/does/not/exist"], &["/does/not/exist"]),
        (&["run", "examples/vowels.wasm", "--env", "NOT_SET_HERE"], &["NOT_SET_HERE"]),
        (&["run", "examples/vowels.wasm", "--otlp", "localhost:4318"], &["localhost:4318", "http"]),
        (&["run", "examples/vowels.wasm", "--otlp", "ftp://localhost"], &["ftp"]),
    ] {
        let result = output(observe().args(arguments), b"");
        assert_one_line(&result, words, &arguments.join(" "));
    }
}

#[test]
fn a_configuration_is_checked() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::copy(example("compute.wasm"), dir.path().join("app.wasm")).expect("can be copied");
    let long = " ".repeat(2 << 20);
    for (config, words) in [
        (&b"[select]\ninclde = []"[..], &["observe.toml:2:1: ", "`inclde`", "`include`"][..]),
        (b"[select]\nmin_instructions = 3", &["observe.toml:2:1: ", "`min-instructions`"]),
        (b"select.zzz = 1", &["observe.toml:1:8: ", "`zzz`, only include, exclude, "]),
        (b"[selct]", &["observe.toml:1:2: ", "`selct`", "`select`"]),
        (b"[select]\n\nall = 'yes'", &["observe.toml:3:7: ", "string", "a boolean"]),
        (b"select.include = 'x'", &["observe.toml:1:18: ", "string", "sequence"]),
        (b"select.exclude = ['a', 5]", &["observe.toml:1:24: ", "integer", "a string"]),
        (b"select.max-depth = -1", &["observe.toml:1:20: ", "-1"]),
        (b"select.max-growth = nan", &["observe.toml:1:21: ", "percent"]),
        (b"select.max-growth = -5", &["observe.toml:1:21: ", "percent"]),
        (b"select = {\n include = [\n  '((' ] }", &["observe.toml:3:3: ", "`((`"]),
        (b"select.exclude-source = ['a[']", &["observe.toml:1:26: ", "`a[`"]),
        (b"select = { all = true, loops = true }", &["observe.toml: ", "`all`", "`loops`"]),
        (b"select = { exports = true, max-depth = 1 }", &["`exports`", "`max-depth`"]),
        (b"[select", &["observe.toml:1:8: "]),
        (b"[select]\nall = true\nall = true", &["observe.toml:3:1: ", "duplicate"]),
        (b"\xff", &["observe.toml: is not UTF-8"]),
        (long.as_bytes(), &["observe.toml: is larger than 1 MiB"]),
    ] {
        std::fs::write(dir.path().join("observe.toml"), config).expect("can be written");
        let what = String::from_utf8_lossy(&config[..config.len().min(80)]);
        for command in [&["instrument", "app.wasm"][..], &["run", "app.wasm", "--invoke=add"]] {
            let result = output(observe().current_dir(dir.path()).args(command), b"");
            assert_one_line(&result, words, &what);
        }
    }
    let arrays = format!("select.include = {}", "[".repeat(100_000));
    std::fs::write(dir.path().join("observe.toml"), arrays).expect("can be written");
    let result = output(observe().current_dir(dir.path()).args(["instrument", "app.wasm"]), b"");
    assert_one_line(&result, &["observe.toml:"], "arrays in arrays");
    assert!(!dir.path().join("app.observed.wasm").exists());
}

/// What clap says takes several lines.
#[test]
fn options_that_contradict_each_other_are_refused() {
    for options in [
        &["--all", "--exports"][..],
        &["--loops", "--min-instructions", "3"],
        &["--exports", "--max-depth", "1"],
        &["--config", "x.toml", "--no-config"],
        &["--max-growth", "-1"],
        &["--max-growth=nan"],
        &["--max-depth", "x"],
    ] {
        let mut command = observe();
        let result = output(command.args(["run", "examples/vowels.wasm"]).args(options), b"");
        assert_eq!(result.status.code(), Some(2), "{options:?}: {}", stderr(&result));
    }
}

#[test]
fn a_variable_that_cannot_be_honoured_is_named() {
    let run = || {
        let mut command = observe();
        command.args(["run", "examples/vowels.wasm"]);
        command
    };
    let url = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let result = output(run().env(url.0, url.1).env("OTEL_EXPORTER_OTLP_PROTOCOL", "soap"), b"");
    assert_one_line(&result, &["OTEL_EXPORTER_OTLP_PROTOCOL", "soap", "http/protobuf"], "soap");
    for (variable, value, advice) in [
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "traceidratio"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many", "number"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "some", "trace_based"),
        ("OTEL_PROPAGATORS", "b3", "tracecontext"),
        ("OTEL_TRACES_EXPORTER", "console", "otlp"),
        ("OTEL_CONFIG_FILE", "otel.yaml", "unset"),
    ] {
        let result = output(run().env(url.0, url.1).env(variable, value), b"");
        let named = if variable == "OTEL_CONFIG_FILE" { variable } else { value };
        assert_one_line(&result, &[variable, named, advice], variable);
        // They say how to send, and nothing is sent.
        let result = output(run().env(variable, value), b"");
        assert!(result.status.success(), "{variable}: {}", stderr(&result));
    }
}

/// The program still runs, and the loss is counted and told.
#[test]
fn a_backend_that_cannot_be_reached_costs_nothing_but_the_spans() {
    // A port that was free a moment ago, on which nobody listens now.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("loopback")
        .port();
    let url = format!("http://127.0.0.1:{port}");
    for quiet in [&[][..], &["--quiet"]] {
        let mut command = observe();
        command.args(["run", "examples/vowels.wasm", "--otlp", &url]).args(quiet);
        let result = output(&mut command, b"Hello, world!");
        let shown = stderr(&result);
        assert_eq!((result.status.code(), stdout(&result).as_str()), (Some(0), "3\n"), "{shown}");
        let lines: Vec<_> = shown.lines().filter(|line| line.contains(&url)).collect();
        let [spans, metrics] = lines[..] else { panic!("one line a signal: {shown}") };
        for (line, path, items) in
            [(spans, "/v1/traces", " spans "), (metrics, "/v1/metrics", " metric points ")]
        {
            assert!(line.starts_with(&format!("observe: {url}{path}: 0 of ")), "{line}");
            assert!(line.contains(items) && line.contains(" undelivered"), "{line}");
            assert!(line.ends_with(" (connection refused)"), "{line}");
        }
    }
}

#[test]
fn the_reader_may_go_away() {
    let inspect = crate::harness::output(
        std::process::Command::new("sh").current_dir(crate::harness::repository()).arg("-c").arg(
            format!(
                "{} inspect examples/vowels.wasm | head -n 1",
                Path::new(observe().get_program()).display()
            ),
        ),
        b"",
    );
    assert_eq!(stderr(&inspect), "");
}
