//! A backend that is away: what `observe run` keeps, `observe queue` shows and sends.

use std::path::Path;
use std::process::Output;

use serde_json::Value as Json;
use tempfile::TempDir;

use super::{capture, decode, free_port};
use crate::harness::{example, observe, output, stderr, stdout};

fn run(dir: &Path, url: &str) -> Output {
    let mut command = observe();
    command.arg("run").arg(example("compute.wasm")).args(["--invoke", "fib", "10", "--all"]);
    command.args(["--min-duration", "0", "--otlp", url, "--queue-dir"]).arg(dir);
    output(&mut command, b"")
}

fn queue(verb: &str, dir: &Path, more: &[&str]) -> Output {
    output(observe().args(["queue", verb]).arg(dir).args(more), b"")
}

/// How many spans wait.
fn waiting(dir: &Path) -> u64 {
    let result = queue("ls", dir, &["--format", "json"]);
    assert!(result.status.success(), "{}", stderr(&result));
    let json: Json = serde_json::from_str(&stdout(&result)).expect("JSON");
    assert_eq!(json[0]["signal"], "traces");
    json[0]["items"].as_u64().expect("a number")
}

#[test]
fn what_a_run_cannot_deliver_is_kept_and_sent_later() {
    let folder = TempDir::new().expect("a folder");
    let dir = folder.path().join("a queue");
    let away = format!("http://127.0.0.1:{}", free_port());
    for runs in 1..3 {
        let result = run(&dir, &away);
        assert_eq!(stdout(&result), "55\n", "{}", stderr(&result));
        assert!(result.status.success(), "the guest's own status");
        let said = stderr(&result);
        let kept = format!(
            "observe: kept in {0}; to deliver it: observe queue drain '{0}' --otlp {away}\n",
            dir.display()
        );
        assert_eq!(said.matches(&kept).count(), 1, "{said}");
        assert!(waiting(&dir) > 100 * runs, "the second adds to the first");
    }
    let spans = waiting(&dir);

    let result = queue("drain", &dir, &["--otlp", &away, "--timeout", "200ms"]);
    assert_eq!(result.status.code(), Some(3), "{}", stderr(&result));
    assert!(stderr(&result).contains("observe: kept in "), "{}", stderr(&result));
    assert_eq!(waiting(&dir), spans);

    // What is set not to be sent is no reason to say that nothing waits.
    let mut only_logs = observe();
    only_logs.args(["queue", "drain"]).arg(&dir).env("OTEL_TRACES_EXPORTER", "none");
    let result = output(
        only_logs.env("OTEL_EXPORTER_OTLP_ENDPOINT", &away).env("OTEL_METRICS_EXPORTER", "none"),
        b"",
    );
    assert_eq!(result.status.code(), Some(3), "{}", stderr(&result));
    let said = stderr(&result);
    assert!(said.contains("spans wait, but traces are set not to be sent"), "{said}");
    assert_eq!(waiting(&dir), spans);

    let received = TempDir::new().expect("a folder");
    let (_server, port) = capture(received.path());
    let here = format!("http://127.0.0.1:{port}");
    let result = queue("drain", &dir, &["--otlp", &here]);
    assert_eq!(result.status.code(), Some(0), "{}", stderr(&result));
    assert!(stderr(&result).contains(" delivered\n"), "{}", stderr(&result));
    assert_eq!(decode("traces", received.path()).len() as u64, spans);
    assert_eq!(waiting(&dir), 0);

    let result = queue("drain", &dir, &["--otlp", &here]);
    assert_eq!(result.status.code(), Some(0));
    assert!(stderr(&result).ends_with("queue: nothing waits\n"), "{}", stderr(&result));
    let table = stdout(&queue("ls", &dir, &[]));
    assert!(table.starts_with("signal ") && table.lines().count() == 4, "{table}");
}

#[test]
fn what_is_no_queue_is_refused_in_one_line() {
    let folder = TempDir::new().expect("a folder");
    let missing = folder.path().join("missing");
    for (verb, dir) in [("ls", &*missing), ("drain", &missing), ("ls", folder.path())] {
        let more: &[&str] = if verb == "drain" { &["--otlp", "http://127.0.0.1:1"] } else { &[] };
        let result = queue(verb, dir, more);
        let said = stderr(&result);
        assert_eq!(result.status.code(), Some(2), "{said}");
        assert!(said.contains("is no queue: ") && said.lines().count() == 1, "{said}");
    }
    let result = queue("drain", folder.path(), &[]);
    assert!(stderr(&result).contains("give --otlp"), "{}", stderr(&result));

    let mut command = observe();
    command.arg("run").arg(example("compute.wasm")).args(["--invoke", "add", "2", "3"]);
    let result = output(command.arg("--queue-dir").arg(folder.path()), b"");
    assert_eq!(result.status.code(), Some(2));
    assert!(stderr(&result).contains("--queue-dir: there is no backend"), "{}", stderr(&result));
}
