//! One guest in each language says the same of itself, and all of it arrives: spans, attributes, events,
//! links, logs and metrics, with the right types, parents and times.
//!
//! What is expected is written down once, from what the guests mean to say, as the independent decoder
//! puts it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use observe_abi::guest;
use serde_json::{Value as Json, json};
use wasmparser::{Parser, Payload};

use crate::harness::{here, observe, output, repository, stderr, stdout};
use crate::otlp::{capture, decode};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const BAGGAGE: &str = "tenant=acme,region=eu%20west";

/// A guest that says the scenario.
struct Guest {
    name: &'static str,
    /// Whether it is a program with WASI; otherwise its export `checkout` is called.
    is_command: bool,
    /// Whether it leaves a scoped span open.
    forgets: bool,
}

impl Guest {
    const fn library(name: &'static str) -> Self {
        Guest { name, is_command: false, forgets: true }
    }
}

#[test]
fn by_hand() {
    check(&Guest::library("orders"), &repository().join("tests/e2e/languages/orders.wat"));
}

#[test]
fn rust() {
    check_built(&Guest::library("orders-rust"));
}

#[test]
fn c() {
    check_built(&Guest::library("orders-c"));
}

#[test]
fn cpp() {
    check_built(&Guest::library("orders-cpp"));
}

#[test]
fn zig() {
    check_built(&Guest::library("orders-zig"));
}

#[test]
fn assembly_script() {
    check_built(&Guest::library("orders-as"));
}

/// Its functions return in their midst when goroutines switch, so it has detached spans only, and none
/// that a function would end.
#[test]
fn go() {
    check_built(&Guest { name: "orders-go", is_command: true, forgets: false });
}

/// Without a backend, as in the first minute.
#[test]
fn what_a_guest_says_is_shown() {
    let arguments = "run tests/e2e/languages/orders.wat --all --min-duration 0 --invoke checkout 3";
    let shown = stderr(&output(observe().args(arguments.split(' ')), b""));
    for line in [
        "─ POST /orders  order.id=42 customer=ada express=true discount=0.25 receipt=0x00ff10 ",
        "─ charge  ← error: card declined\n",
        "  INFO   order accepted  order.id=42  in POST /orders\n",
        "  EVENT  validated  rules=3  in POST /orders\n",
        "  ERROR  card declined  attempt=1  in charge\n",
        "\n  orders      3 {order}                             express=true\n",
        "\n  carts.open  -1\n",
        "\n  stock       7\n",
        "\n  price       2 values, 29.5 EUR in all, 9.5 to 20  currency=EUR\n",
    ] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
    let quiet = stderr(&output(observe().args(arguments.split(' ')).arg("--quiet"), b""));
    assert_eq!(quiet, "");
}

/// Builds a guest as its author would, and checks it.
fn check_built(guest: &Guest) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut build = here("examples/guests/build");
    let result = output(build.arg(folder.path()).arg(guest.name), b"");
    assert!(result.status.success(), "{}", stderr(&result));
    check(guest, &folder.path().join(format!("{}.wasm", guest.name)));
}

fn check(guest: &Guest, module: &Path) {
    let wasm = wat::parse_file(module).expect("a module");
    let mut expected = BTreeSet::from([guest::MODULE.to_owned()]);
    if guest.is_command {
        expected.insert("wasi_snapshot_preview1".to_owned());
    }
    assert_eq!(imports(&wasm), expected);

    let told = Told::by(guest, module);
    told.check_times(guest);
    told.check_spans(guest);
    told.check_logs();
    told.check_metrics();
}

/// The modules that a module imports from.
fn imports(wasm: &[u8]) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::ImportSection(section) = payload.expect("a valid module") {
            let imports = section.into_imports();
            modules.extend(imports.map(|import| import.expect("an import").module.to_owned()));
        }
    }
    modules
}

/// What arrived at the backend.
struct Told {
    /// By identity.
    spans: BTreeMap<String, Json>,
    logs: Vec<Json>,
    metrics: Vec<Json>,
}

fn text<'j>(json: &'j Json, field: &str) -> &'j str {
    json[field].as_str().unwrap_or_else(|| panic!("{field} is no text: {json}"))
}

fn id<'j>(json: &'j Json, field: &str) -> &'j str {
    text(&json[field], "hex")
}

fn time(json: &Json, field: &str) -> u64 {
    text(json, field).parse().expect("nanoseconds")
}

/// Attributes by their keys, without those of the host's.
fn attributes(of: &Json) -> BTreeMap<&str, &Json> {
    let pairs = of["attributes"].as_array().expect("a list").iter();
    let pairs = pairs.map(|pair| (pair[0].as_str().expect("a key"), &pair[1]));
    let attributes: BTreeMap<_, _> = pairs.clone().collect();
    assert_eq!(attributes.len(), pairs.count(), "a key is there twice: {of}");
    attributes.into_iter().filter(|(key, _)| !key.starts_with("wasm.")).collect()
}

/// Whether a span is that of a function, and no one's own.
fn is_function(span: &Json) -> bool {
    let attributes = span["attributes"].as_array().expect("a list");
    attributes.iter().any(|pair| pair[0] == "wasm.function.index")
}

impl Told {
    /// Runs a guest as a user does, and decodes what it sent.
    fn by(guest: &Guest, module: &Path) -> Told {
        let folder = tempfile::tempdir().expect("a folder");
        let (captor, port) = capture(folder.path());
        let mut command = observe();
        command.arg("run").arg(module).args(["--all", "--min-duration", "0"]);
        command.args(["--otlp", &format!("http://127.0.0.1:{port}")]);
        if !guest.is_command {
            command.args(["--invoke", "checkout", "3"]);
        }
        command.env("TRACEPARENT", format!("00-{TRACE}-{PARENT}-01")).env("BAGGAGE", BAGGAGE);
        let result = output(&mut command, b"");
        captor.terminate();
        let shown = stderr(&result);
        assert!(result.status.success(), "{shown}");
        assert!(!shown.contains("observe: "), "nothing is lost: {shown}");
        if !guest.is_command {
            assert_eq!(stdout(&result), "8\n", "{shown}");
        }
        let spans = decode("traces", folder.path()).into_iter();
        Told {
            spans: spans.map(|span| (id(&span, "span_id").to_owned(), span)).collect(),
            logs: decode("logs", folder.path()),
            metrics: decode("metrics", folder.path()),
        }
    }

    /// The guest's own span of this name.
    fn own(&self, name: &str) -> &Json {
        let own = self.spans.values().filter(|span| span["name"] == name && !is_function(span));
        let own: Vec<_> = own.collect();
        let [span] = own[..] else { panic!("{} spans are called {name}", own.len()) };
        span
    }

    fn parent(&self, span: &Json) -> Option<&Json> {
        self.spans.get(id(span, "parent_span_id"))
    }

    /// The next of the guest's own spans above this one, or the root.
    fn own_parent(&self, span: &Json) -> &Json {
        let mut above = self.parent(span);
        while let Some(span) = above.filter(|span| is_function(span)) {
            above = self.parent(span);
        }
        above.unwrap_or_else(|| panic!("nothing is above {span}"))
    }

    /// A span lies within its parent, and what happened in it within the span; nothing takes no time.
    /// Where all spans are detached, that holds of the guest's own among themselves: they outlast the
    /// functions that open them, and are closed by functions that stand under them.
    fn check_times(&self, guest: &Guest) {
        let within = |inner: (u64, u64), outer: &Json, what: &Json| {
            let (start, end) = ends(outer);
            assert!(start <= inner.0 && inner.1 <= end, "{what} is not within {outer}");
        };
        let mut roots = 0;
        for span in self.spans.values() {
            assert_eq!(id(span, "trace_id"), TRACE, "{span}");
            let (start, end) = ends(span);
            assert!(0 < start && start < end, "{span}");
            for event in span["events"].as_array().expect("a list") {
                let at = time(event, "time_unix_nano");
                within((at, at), span, event);
            }
            match self.parent(span) {
                Some(parent) if guest.forgets => within((start, end), parent, span),
                Some(parent) if is_function(span) => within((start, start), parent, span),
                Some(_) => within((start, end), self.own_parent(span), span),
                None => {
                    assert_eq!(id(span, "parent_span_id"), PARENT, "{span}");
                    roots += 1;
                }
            }
        }
        assert_eq!(roots, 1);
        for log in &self.logs {
            let at = time(log, "time_unix_nano");
            within((at, at), &self.spans[id(log, "span_id")], log);
        }
    }

    fn check_spans(&self, guest: &Guest) {
        let order = self.own("POST /orders");
        let traceparent = format!("00-{TRACE}-{}-01", id(order, "span_id"));
        let expected = expected_spans(guest, &traceparent);
        for (name, expected) in &expected {
            let span = self.own(name);
            let parent = self.own_parent(span);
            let told = json!({
                "kind": span["kind"],
                "parent": if self.parent(parent).is_some() { &parent["name"] } else { &Json::Null },
                "status": span["status"],
                "attributes": attributes(span),
                "events": span["events"].as_array().expect("a list").iter().map(|event| {
                    json!([event["name"], attributes(event)])
                }).collect::<Vec<_>>(),
                "links": span["links"].as_array().expect("a list").iter().map(|link| {
                    json!([id(link, "trace_id"), id(link, "span_id"), attributes(link)])
                }).collect::<Vec<_>>(),
            });
            assert_eq!(&told, expected, "{name}");
        }
        let own = self.spans.values().filter(|span| !is_function(span) && self.is_of_guest(span));
        let names: BTreeSet<_> = own.map(|span| text(span, "name")).collect();
        assert_eq!(names, expected.keys().copied().collect(), "there are no others");
        let sum = id(self.own("add up"), "span_id");
        let prices = self.spans.values().filter(|span| {
            is_function(span) && text(span, "name").contains("price") && self.is_under(span, sum)
        });
        assert_eq!(prices.count(), 3, "calls of `price`");
        if guest.forgets {
            // It ended with the function that left it open, and so is no parent of what came next.
            let left = self.own("left open");
            let function = self.parent(left).expect("a function");
            assert!(is_function(function), "{function}");
            assert!(text(function, "name").contains("forgetful"), "{function}");
            assert!(ends(left).1 <= ends(self.own("after")).0);
        }
    }

    /// Whether a span is neither the root nor what `observe run` does itself.
    fn is_of_guest(&self, span: &Json) -> bool {
        let is_ours = span["name"] == "instantiate";
        self.parent(span).is_some() && !is_ours
    }

    fn is_under(&self, span: &Json, above: &str) -> bool {
        let mut next = Some(span);
        while let Some(span) = next {
            if id(span, "span_id") == above {
                return true;
            }
            next = self.parent(span);
        }
        false
    }

    fn check_logs(&self) {
        let mut logs: Vec<_> = self.logs.iter().collect();
        logs.sort_by_key(|log| time(log, "time_unix_nano"));
        let told: Vec<_> = logs
            .iter()
            .map(|log| {
                assert_eq!(id(log, "trace_id"), TRACE, "{log}");
                json!([
                    log["severity_number"],
                    log["body"]["string"],
                    attributes(log),
                    self.spans[id(log, "span_id")]["name"],
                    is_function(&self.spans[id(log, "span_id")]),
                ])
            })
            .collect();
        let expected = [
            json!([
                "SEVERITY_NUMBER_INFO",
                "order accepted",
                { "order.id": { "int": "42" } },
                "POST /orders",
                false,
            ]),
            json!([
                "SEVERITY_NUMBER_ERROR",
                "card declined",
                { "attempt": { "int": "1" } },
                "charge",
                false,
            ]),
        ];
        assert_eq!(told, expected);
    }

    fn check_metrics(&self) {
        let own = self.metrics.iter().filter(|metric| !text(metric, "name").starts_with("wasm."));
        // What is sent is cumulative, so that the last word counts.
        let last: BTreeMap<_, _> = own.map(|metric| (text(metric, "name"), metric)).collect();
        let expected = expected_metrics();
        assert_eq!(last.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (name, metric) in last {
            let points = metric["points"].as_array().expect("a list");
            let [point] = &points[..] else { panic!("one point: {metric}") };
            assert!(time(point, "time_unix_nano") > 0, "{point}");
            let mut told = json!({
                "unit": metric["unit"],
                "description": metric["description"],
                "attributes": attributes(point),
            });
            match text(metric, "kind") {
                "gauge" => told["last"] = point["value"].clone(),
                "sum" => {
                    assert_eq!(metric["temporality"], "AGGREGATION_TEMPORALITY_CUMULATIVE");
                    told["sum"] = point["value"].clone();
                    told["rises"] = metric["monotonic"].clone();
                }
                "histogram" | "exponential_histogram" => {
                    for field in ["count", "sum", "min", "max"] {
                        told[field] = point[field].clone();
                    }
                }
                other => panic!("{name} is a {other}"),
            }
            assert_eq!(told, expected[name], "{name}");
        }
    }
}

fn ends(span: &Json) -> (u64, u64) {
    (time(span, "start_time_unix_nano"), time(span, "end_time_unix_nano"))
}

/// The spans of the guest's own, by their names.
fn expected_spans(guest: &Guest, traceparent: &str) -> BTreeMap<&'static str, Json> {
    let unset = json!({ "code": "STATUS_CODE_UNSET", "message": "" });
    let plain = |parent: &str| {
        json!({
            "kind": "SPAN_KIND_INTERNAL",
            "parent": parent,
            "status": unset,
            "attributes": {},
            "events": [],
            "links": [],
        })
    };
    let with = |mut span: Json, fields: Json| {
        let fields = fields.as_object().expect("an object").clone();
        span.as_object_mut().expect("an object").extend(fields);
        span
    };
    let order = "POST /orders";
    let mut spans = BTreeMap::from([
        (
            order,
            with(
                plain(order),
                json!({
                    "kind": "SPAN_KIND_SERVER",
                    // The root is the run itself.
                    "parent": null,
                    "attributes": {
                        "order.id": { "int": "42" },
                        "customer": { "string": "ada" },
                        "express": { "bool": true },
                        "discount": { "double": 0.25 },
                        "receipt": { "bytes": "00ff10" },
                        "items": { "array": [{ "string": "tea" }, { "string": "mug" }] },
                        "gifts": { "array": [{ "bool": true }, { "bool": false }] },
                        "quantities": { "array": [{ "int": "1" }, { "int": "2" }] },
                        "weights": { "array": [{ "double": 0.5 }, { "double": 1.5 }] },
                        "traceparent": { "string": traceparent },
                        "baggage": { "string": BAGGAGE },
                        "paid": { "bool": false },
                    },
                    "events": [["validated", { "rules": { "int": "3" } }]],
                    "links": [[
                        "0af7651916cd43dd8448eb211c80319c",
                        "b7ad6b7169203331",
                        { "why": { "string": "retry" } },
                    ]],
                }),
            ),
        ),
        ("add up", plain(order)),
        (
            "charge",
            with(
                plain(order),
                json!({
                    "kind": "SPAN_KIND_CLIENT",
                    "status": { "code": "STATUS_CODE_ERROR", "message": "card declined" },
                }),
            ),
        ),
        ("after", plain(order)),
        (
            "delivery",
            with(
                plain(order),
                json!({
                    "kind": "SPAN_KIND_PRODUCER",
                    "attributes": { "parcel": { "int": "7" } },
                }),
            ),
        ),
        ("pack", plain("delivery")),
    ]);
    if guest.forgets {
        spans.insert("left open", plain(order));
    }
    spans
}

/// The metrics of the guest's own, by their names.
fn expected_metrics() -> BTreeMap<&'static str, Json> {
    BTreeMap::from([
        (
            "orders",
            json!({
                "unit": "{order}",
                "description": "orders taken",
                "attributes": { "express": { "bool": true } },
                "sum": { "int": "3" },
                "rises": true,
            }),
        ),
        (
            "carts.open",
            json!({
                "unit": "",
                "description": "",
                "attributes": {},
                "sum": { "int": "-1" },
                "rises": false,
            }),
        ),
        (
            "stock",
            json!({ "unit": "", "description": "", "attributes": {}, "last": { "int": "7" } }),
        ),
        (
            "price",
            json!({
                "unit": "EUR",
                "description": "",
                "attributes": { "currency": { "string": "EUR" } },
                "count": "2",
                "sum": 29.5,
                "min": 9.5,
                "max": 20.0,
            }),
        ),
    ])
}
