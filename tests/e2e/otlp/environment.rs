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
