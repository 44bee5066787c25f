//! What the environment says of sampling and limits, and `observe run` does.

use serde_json::Value as Json;

use super::{capture, decode};
use crate::harness::{observe, output, stderr, stdout};

/// A run with some variables: what it said, and the spans and metrics that arrived.
fn run(options: &[&str], variables: &[(&str, &str)]) -> (String, String, Vec<Json>, Vec<Json>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (captor, port) = capture(folder.path());
    let url = format!("http://127.0.0.1:{port}");
    let mut command = observe();
    command.args(["run", "examples/vowels.wasm", "--min-duration", "0", "--otlp", &url]);
    command.args(options).envs(variables.iter().copied());
    let result = output(&mut command, b"Hello, world!");
    captor.terminate();
    let shown = stderr(&result);
    assert_eq!((result.status.code(), &*stdout(&result)), (Some(0), "3\n"), "{shown}");
    (url, shown, decode("traces", folder.path()), decode("metrics", folder.path()))
}

#[test]
fn a_trace_that_is_not_sampled_is_shown_and_not_sent() {
    let off = [("OTEL_TRACES_SAMPLER", "always_off")];
    let (url, shown, spans, metrics) = run(&[], &off);
    assert!(spans.is_empty(), "{spans:?}");
    assert!(metrics.iter().any(|metric| metric["name"] == "wasm.traces"), "{metrics:?}");
    let lines: Vec<_> = shown.lines().filter(|line| line.contains(&url)).collect();
    let [line] = lines[..] else { panic!("one line: {shown}") };
    let number = line
        .strip_prefix(&format!("{url}/v1/traces: "))
        .and_then(|rest| rest.strip_suffix(" spans left out by OTEL_TRACES_SAMPLER"));
    let number: u64 = number.and_then(|number| number.parse().ok()).expect("a number");
    assert!(shown.contains(&format!(": {number} spans\n")), "those of the trace: {shown}");
    assert!(shown.contains("─ vowels::main\n"), "the tree is whole: {shown}");

    let (url, shown, spans, _) = run(&["--quiet"], &off);
    assert!(spans.is_empty() && !shown.contains(&url), "{shown}");

    let (url, shown, spans, _) = run(&[], &[("OTEL_TRACES_SAMPLER", "parentbased_always_on")]);
    let line = format!("{url}/v1/traces: {} spans delivered\n", spans.len());
    assert!(spans.len() > 10 && shown.contains(&line), "{shown}");
}

#[test]
fn what_is_sent_keeps_to_the_limits_of_the_environment() {
    let limits =
        [("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1"), ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")];
    let (_, shown, spans, _) = run(&[], &limits);
    let name = |span: &Json| span["name"].as_str().expect("a name").to_owned();
    let names: Vec<_> = spans.iter().map(name).collect();
    assert!(
        names.contains(&"vowels::count_vowels".to_owned()),
        "a name is no attribute: {names:?}"
    );
    for span in &spans {
        let attributes = span["attributes"].as_array().expect("a list");
        assert!(attributes.len() <= 1, "{span}");
        let texts = attributes.iter().filter_map(|pair| pair[1]["string"].as_str());
        assert!(texts.clone().all(|text| text.chars().count() <= 3), "{span}");
    }
    let root = spans.iter().find(|span| span["name"] == "run vowels.wasm").expect("a root");
    assert_eq!(root["attributes"][0][1]["string"], "vow", "{root}");
    assert!(root["dropped_attributes_count"].as_u64() > Some(1), "{root}");
    assert!(shown.contains("─ vowels::main\n"), "{shown}");
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn under(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

#[test]
fn a_run_stands_under_the_span_that_the_environment_names() {
    let (_, shown, spans, _) = run(&[], &[("TRACEPARENT", &under("01"))]);
    assert!(shown.contains(&format!("trace {TRACE}: ")), "{shown}");
    assert!(spans.iter().all(|span| span["trace_id"]["hex"] == TRACE));
    let root = spans.iter().find(|span| span["name"] == "run vowels.wasm").expect("a root");
    assert_eq!(root["parent_span_id"]["hex"], PARENT);
    // Whoever says which contexts are read says so of these, too.
    let variables = [("TRACEPARENT", under("01")), ("OTEL_PROPAGATORS", "none".to_owned())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let (_, shown, ..) = run(&[], &variables);
    assert!(!shown.contains(TRACE), "{shown}");
}

#[test]
fn a_parent_that_is_none_is_said_and_left_out() {
    let (_, shown, spans, _) = run(&["--quiet"], &[("TRACEPARENT", "00-4bf92f\u{1b}")]);
    let expected = "observe: TRACEPARENT: `00-4bf92f\\u{1b}` is no traceparent: expected \
                    `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`; the trace has no parent\n";
    assert_eq!(shown, expected);
    let root = spans.iter().find(|span| span["name"] == "run vowels.wasm").expect("a root");
    assert_eq!(root["parent_span_id"]["hex"], "");
}

#[test]
fn what_the_parent_leaves_out_is_shown_and_not_sent() {
    let (url, shown, spans, _) = run(&[], &[("TRACEPARENT", &under("00"))]);
    assert!(spans.is_empty(), "{spans:?}");
    assert!(shown.contains("─ vowels::main\n"), "the tree is whole: {shown}");
    let by = "spans left out by TRACEPARENT, which is not sampled\n";
    assert!(shown.contains(&url) && shown.contains(by), "{shown}");
    // A sampler that asks no parent keeps it.
    let variables = [("TRACEPARENT", under("00")), ("OTEL_TRACES_SAMPLER", "always_on".to_owned())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let (_, _, spans, _) = run(&[], &variables);
    assert!(!spans.is_empty());
}
