//! What a program says by `tracing` and `log`, and how it panics, is in its trace.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::harness::{here, observe, output, stderr};
use crate::otlp::{capture, decode};

/// A span or a log record that arrived.
struct Told {
    json: Json,
    attributes: BTreeMap<String, Json>,
}

impl Told {
    fn new(json: Json) -> Told {
        let pairs = json["attributes"].as_array().expect("a list").iter();
        let pairs = pairs.map(|pair| (text(&pair[0]), pair[1].clone()));
        Told { attributes: pairs.collect(), json }
    }

    fn name(&self) -> String {
        text(&self.json["name"])
    }

    fn id(&self) -> String {
        text(&self.json["span_id"]["hex"])
    }

    fn body(&self) -> &str {
        self.json["body"]["string"].as_str().expect("a text")
    }

    /// Nanoseconds from when to when.
    fn times(&self) -> (u64, u64) {
        let time = |key: &str| text(&self.json[key]).parse().expect("a number");
        (time("start_time_unix_nano"), time("end_time_unix_nano"))
    }

    fn failed(&self) -> Option<&str> {
        let status = &self.json["status"];
        (status["code"] == "STATUS_CODE_ERROR").then(|| status["message"].as_str().expect("a text"))
    }

    /// The attributes that are the author's own, not the host's or of the place in the source.
    fn own(&self) -> Json {
        let place =
            |key: &str| key.starts_with("code.") || key.starts_with("wasm.") || key == "target";
        let own = self.attributes.iter().filter(|(key, _)| !place(key));
        own.map(|(key, value)| (key.clone(), value.clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

fn text(json: &Json) -> String {
    json.as_str().unwrap_or_else(|| panic!("no text: {json}")).to_owned()
}

/// All that arrived of a run.
struct Trace {
    spans: Vec<Told>,
    logs: Vec<Told>,
    status: Option<i32>,
    shown: String,
}

impl Trace {
    /// Builds the example as its author would, and runs it with an argument.
    fn of(what: &str) -> Trace {
        let folder = tempfile::tempdir().expect("a folder");
        let mut build = here("examples/guests/build");
        let built = output(build.arg(folder.path()).arg("traced"), b"");
        assert!(built.status.success(), "{}", stderr(&built));
        let (captor, port) = capture(folder.path());
        let mut command = observe();
        command.arg("run").arg(folder.path().join("traced.wasm"));
        let url = format!("http://127.0.0.1:{port}");
        command.args(["--all", "--min-duration", "0", "--otlp", &url, "--", what]);
        let run = output(&mut command, b"");
        captor.terminate();
        let told = |signal| decode(signal, folder.path()).into_iter().map(Told::new).collect();
        let (status, shown) = (run.status.code(), stderr(&run));
        Trace { spans: told("traces"), logs: told("logs"), status, shown }
    }

    fn named(&self, name: &str) -> Vec<&Told> {
        let mut spans: Vec<_> = self.spans.iter().filter(|span| span.name() == name).collect();
        spans.sort_by_key(|span| span.times());
        spans
    }

    fn span(&self, name: &str) -> &Told {
        let spans = self.named(name);
        assert_eq!(spans.len(), 1, "{name}: {}", self.shown);
        spans[0]
    }

    /// The span under which a span stands.
    fn parent(&self, span: &Told) -> &Told {
        let parent = text(&span.json["parent_span_id"]["hex"]);
        let found = self.spans.iter().find(|span| span.id() == parent);
        found.unwrap_or_else(|| panic!("{} has no parent", span.name()))
    }

    /// The names of the spans under which a span stands, from the innermost on.
    fn around(&self, span: &Told) -> Vec<String> {
        let mut names = Vec::new();
        let mut span = span;
        while span.json["parent_span_id"]["bytes"] != 0 {
            span = self.parent(span);
            names.push(span.name());
        }
        names
    }

    /// The log record with a body, and the span that it is tied to.
    fn log(&self, body: &str) -> (&Told, &Told) {
        let mut found = self.logs.iter().filter(|log| log.body() == body);
        let log = found.next().unwrap_or_else(|| panic!("nothing says {body}: {}", self.shown));
        assert!(found.next().is_none(), "{body} is said twice");
        let span = self.spans.iter().find(|span| span.id() == log.id());
        (log, span.unwrap_or_else(|| panic!("{body} is tied to no span")))
    }
}

/// tower-http knows nothing of Observe: what it tells of requests is in the trace, and so is what
/// happens within them, although they take turns.
#[test]
fn a_crate_that_knows_tracing_alone_shows_its_spans() {
    let trace = Trace::of("serve");
    assert_eq!(trace.status, Some(0), "{}", trace.shown);
    let requests = trace.named("request");
    let uris: Vec<_> = requests.iter().map(|span| &span.attributes["uri"]["string"]).collect();
    assert_eq!(uris, ["/tea", "/coffee"]);
    let expected = json!({
        "method": { "string": "GET" },
        "uri": { "string": "/tea" },
        "version": { "string": "HTTP/1.1" },
    });
    assert_eq!(requests[0].own(), expected);
    let target = json!({ "string": "tower_http::trace::make_span" });
    assert_eq!(requests[0].attributes["target"], target);

    let [(tea, tea_end), (coffee, coffee_end)] = [requests[0].times(), requests[1].times()];
    assert!(tea < coffee && coffee < tea_end, "they take turns");
    assert!(tea < tea_end && coffee < coffee_end);
    for request in &requests {
        assert!(!trace.around(request).contains(&"request".to_owned()), "neither is in the other");
    }

    // Each has its own brew, each brew its own waits, whoever had a turn in between.
    let brews = trace.named("brew");
    assert_eq!(brews.len(), 2);
    for (brew, request) in brews.iter().zip(&requests) {
        assert_eq!(brew.attributes["what"], request.attributes["uri"]);
        assert_eq!(nearest(&trace, brew, &["request"]).id(), request.id());
        let (start, end) = request.times();
        assert!(start <= brew.times().0 && brew.times().1 <= end);
        let waits = trace.named("wait");
        let waits = waits.iter().filter(|wait| nearest(&trace, wait, &["brew"]).id() == brew.id());
        let minutes: Vec<_> = waits.map(|wait| wait.own()).collect();
        assert_eq!(minutes, ["0", "1", "2"].map(|minute| json!({ "minute": { "int": minute } })));
        let stirs = trace.named("traced::web::stir");
        let stirs =
            stirs.iter().filter(|stir| nearest(&trace, stir, &["brew", "wait"]).id() == brew.id());
        assert_eq!(stirs.count(), 3, "calls of functions stand under what is entered");
    }
    // A wait lasts while the other has its turn.
    let waits = trace.named("wait");
    assert!(waits[0].times().1 > waits[1].times().0);

    // What is said of them, and which failed.
    assert_eq!(brews[0].failed(), None);
    assert_eq!(brews[1].failed(), Some("out of beans"));
    assert_eq!(requests[0].failed(), None);
    assert_eq!(requests[1].failed(), Some("response failed"));
    let (log, span) = trace.log("response failed");
    assert_eq!(log.json["severity_number"], "SEVERITY_NUMBER_ERROR");
    let expected = json!({ "string": "Status code: 500 Internal Server Error" });
    assert_eq!(log.attributes["classification"], expected);
    assert_eq!(nearest_or_self(&trace, span, &["request"]).id(), requests[1].id());
    let finished = trace.logs.iter().filter(|log| log.body() == "finished processing request");
    let mut statuses: Vec<_> = finished.map(|log| &log.attributes["status"]).collect();
    statuses.sort_by_key(ToString::to_string);
    assert_eq!(statuses, [&json!({ "int": "200" }), &json!({ "int": "500" })]);
}

/// The innermost span around one that has one of the names.
fn nearest<'a>(trace: &'a Trace, span: &'a Told, names: &[&str]) -> &'a Told {
    nearest_or_self(trace, trace.parent(span), names)
}

fn nearest_or_self<'a>(trace: &'a Trace, mut span: &'a Told, names: &[&str]) -> &'a Told {
    while !names.contains(&span.name().as_str()) {
        span = trace.parent(span);
    }
    span
}

/// What spans and events of `tracing` may have arrives as what it is.
#[test]
fn what_tracing_may_say_arrives() {
    let trace = Trace::of("fields");
    assert_eq!(trace.status, Some(0), "{}", trace.shown);
    let order = trace.span("POST /orders");
    assert_eq!(order.json["kind"], "SPAN_KIND_SERVER");
    assert_eq!(order.json["status"]["code"], "STATUS_CODE_OK");
    let expected = json!({
        "customer": { "string": "ada" },
        "discount": { "double": 0.25 },
        "express": { "bool": true },
        "huge": { "string": "18446744073709551615" },
        "id": { "int": "42" },
        "items": { "string": "[\"tea\", \"mug\"]" },
        "small": { "string": "-170141183460469231731687303715884105728" },
        "total": { "double": 9.5 },
    });
    assert_eq!(order.own(), expected);
    assert_eq!(order.attributes["target"], json!({ "string": "traced::fields" }));
    let file = order.attributes["code.file.path"]["string"].as_str().expect("a path");
    assert!(file.ends_with("traced/src/fields.rs"), "{file}");
    assert!(order.attributes.contains_key("code.line.number"));

    for (body, severity) in [
        ("looked", "TRACE"),
        ("counted", "DEBUG"),
        ("took 2 items", "INFO"),
        ("odd", "WARN"),
        ("nameless", "INFO"),
    ] {
        let (log, span) = trace.log(body);
        assert_eq!(log.json["severity_number"], format!("SEVERITY_NUMBER_{severity}"));
        assert_eq!(nearest_or_self(&trace, span, &["POST /orders"]).id(), order.id());
    }
    assert_eq!(trace.log("odd").0.attributes["bytes"], json!({ "bytes": "00ff" }));

    let pick = trace.span("pick");
    assert_eq!(trace.log("picked").1.id(), pick.id(), "tied to what is entered");
    let pack = trace.span("pack");
    let links = pack.json["links"].as_array().expect("a list");
    assert_eq!(links.len(), 1);
    assert_eq!(links[0]["span_id"], pick.json["span_id"]);
    let late = "too late: an error occurred when formatting an argument";
    assert_eq!(pack.failed(), Some(late));
    let (log, span) = trace.log("not packed");
    assert_eq!((&log.attributes["error"], span.id()), (&json!({ "string": late }), pack.id()));

    assert_eq!(trace.around(trace.span("aside")), ["run traced.wasm"]);
    let bill = trace.span("bill");
    let line = trace.span("line");
    assert_eq!((trace.parent(line).id(), line.failed()), (bill.id(), Some("no price")));
    assert_eq!(trace.log("billed").1.id(), bill.id());
    assert_eq!(trace.span("nothing").own(), json!({ "note": { "string": "told" } }));
}

#[test]
fn what_log_may_say_arrives() {
    let trace = Trace::of("logs");
    assert_eq!(trace.status, Some(0), "{}", trace.shown);
    let logs = trace.span("logs");
    for (body, severity) in
        [("looked", "TRACE"), ("counted 2", "DEBUG"), ("took", "INFO"), ("low", "WARN")]
    {
        let (log, span) = trace.log(body);
        assert_eq!(log.json["severity_number"], format!("SEVERITY_NUMBER_{severity}"));
        assert_eq!(nearest_or_self(&trace, span, &["logs"]).id(), logs.id());
    }
    let (took, _) = trace.log("took");
    let expected = json!({
        "customer": { "string": "ada" },
        "discount": { "double": 0.25 },
        "express": { "bool": true },
        "items": { "string": "[\"tea\", \"mug\"]" },
        "order": { "int": "42" },
    });
    assert_eq!(took.own(), expected);
    assert_eq!(took.attributes["target"], json!({ "string": "traced::logs" }));
    let (low, _) = trace.log("low");
    assert_eq!(low.own(), json!({ "huge": { "string": "18446744073709551615" } }));
    assert_eq!(low.attributes["target"], json!({ "string": "stock" }));
    assert_eq!(low.attributes["code.module.name"], json!({ "string": "traced::logs" }));
    let long = trace.logs.iter().find(|log| log.body().starts_with("long")).expect("it is there");
    assert!(long.body().len() == 4096 && long.body().ends_with(" lon…"), "{}", long.body());
}

/// The hook that was there before still says what it said, the trap ends the spans, and the trace has
/// the reason.
#[test]
fn a_panic_says_why_the_guest_trapped() {
    let trace = Trace::of("panic");
    assert_eq!(trace.status, Some(134), "{}", trace.shown);
    assert!(trace.shown.contains("panicked at traced/src/logs.rs"), "{}", trace.shown);
    let message = "an order of 0 items";
    let (log, span) = trace.log(message);
    assert_eq!(log.json["severity_number"], "SEVERITY_NUMBER_FATAL");
    let own = json!({
        "exception.message": { "string": message },
        "exception.type": { "string": "panic" },
    });
    assert_eq!(log.own(), own);
    for key in ["code.file.path", "code.line.number", "code.column.number"] {
        assert!(log.attributes.contains_key(key), "{key}");
    }
    // It is tied to what failed, not to the machinery of panics.
    assert_eq!(span.name(), "traced::logs::charge");
    assert_eq!(span.failed(), Some(message));
    assert_eq!(trace.parent(span).name(), "doomed");
    assert!(trace.span("doomed").failed().is_some());
}
