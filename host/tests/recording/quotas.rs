//! What guests say of themselves, and how much of it is kept.

use std::fmt::Write as _;
use std::time::Duration;

use observe_collector::event::{Attribute, MetricData, Severity, Value};
use observe_host::{Lost, Quotas, Redaction, Report, TraceOptions};
use observe_instrumenter::Selection;

use crate::compat::IMPORTS;
use crate::guest::{Guest, Kept, module, observer, row};

/// A guest that calls what observe-sdk's hosts provide, once for each thing that it says.
#[derive(Default)]
pub(crate) struct Words {
    data: String,
    len: usize,
    calls: String,
}

impl Words {
    /// Calls an import with some arguments and a text.
    fn say(mut self, import: &str, arguments: &str, text: &[u8]) -> Self {
        let (at, len) = (self.len, text.len());
        text.iter().for_each(|byte| write!(self.data, "\\{byte:02x}").expect("room"));
        self.len += len;
        let text = format!("(i32.const {at}) (i32.const {len})");
        writeln!(self.calls, "(call ${import} {arguments} {text})").expect("room");
        self
    }

    pub(crate) fn begin(self, name: impl AsRef<[u8]>) -> Self {
        self.say("span_enter", "", name.as_ref())
    }

    pub(crate) fn end(mut self) -> Self {
        self.calls += "(call $span_exit)\n";
        self
    }

    pub(crate) fn tags(self, tags: impl AsRef<[u8]>) -> Self {
        self.say("span_tags", "", tags.as_ref())
    }

    pub(crate) fn metric(self, lines: impl AsRef<[u8]>) -> Self {
        self.say("metric", "(i32.const 1)", lines.as_ref())
    }

    pub(crate) fn log(self, level: i32, text: impl AsRef<[u8]>) -> Self {
        self.say("log", &format!("(i32.const {level})"), text.as_ref())
    }

    /// The guest, which says it all in `go`.
    pub(crate) fn wat(&self) -> String {
        let Words { data, calls, .. } = self;
        let hook = |call: &str| format!("(call ${call} (i32.const 8))");
        format!(
            r#"(module {IMPORTS}
                 (memory (export "memory") 4)
                 (data (i32.const 0) "{data}")
                 (func $go (export "go") {} {calls} {}))"#,
            hook("enter"),
            hook("exit"),
        )
    }

    /// What comes of it.
    fn traced(&self, quotas: Quotas, redaction: Redaction) -> (Guest, Report, Kept) {
        let module = module(&self.wat()).expect("valid");
        let mut guest = Guest::of(module, observer().quotas(quotas).redaction(redaction));
        let options = TraceOptions::new("root").min_duration(Duration::ZERO);
        let report = guest.trace("go", options);
        let arrived = guest.arrived();
        (guest, report, arrived)
    }

    fn with(&self, change: impl FnOnce(&mut Quotas)) -> (Guest, Report, Kept) {
        let mut quotas = Quotas::default();
        change(&mut quotas);
        self.traced(quotas, Redaction::default())
    }
}

#[track_caller]
fn assert_lost(report: &Report, count: u64, expected: u64) {
    assert_eq!((count, report.lost.total()), (expected, expected), "{}", report.lost);
}

#[test]
fn names_past_the_quota_share_one() {
    let words = ["a", "b", "c", "a", "d"];
    let words = words.iter().fold(Words::default(), |words, name| words.begin(name).end());
    let (_, report, _) = words.metric("e:1|c").with(|quotas| quotas.names = 2);
    assert_lost(&report, report.lost.excess_names, 3);
    assert_eq!((row(&report, "a").calls, row(&report, "(more names)").calls), (2, 2));
}

#[test]
fn names_are_cut_between_characters() {
    let words = Words::default().begin("a€€".as_bytes()).tags("€€€:v").end();
    let (_, report, arrived) = words.with(|quotas| quotas.name_bytes = 6);
    assert_lost(&report, report.lost.cut_texts, 2);
    assert_eq!(arrived.span("a€").attribute("€€"), Some(&"v".into()));
}

#[test]
fn a_span_has_as_many_attributes_as_the_quota_says() {
    let words = Words::default().begin("s").tags("a:1,b:2,c:3").tags("a:4,d:5").end();
    let (_, report, arrived) = words.with(|quotas| quotas.attributes = 2);
    assert_lost(&report, report.lost.excess_attributes, 2);
    let span = arrived.span("s");
    let values = ["a", "b", "c", "d"].map(|key| span.attribute(key).cloned());
    assert_eq!(values, [Some("4".into()), Some("2".into()), None, None]);
}

#[test]
fn values_are_cut_at_200_characters_and_at_1000_in_all() {
    let long = "ä".repeat(201);
    let tags: Vec<_> = ["a", "b", "c", "d"].iter().map(|key| format!("{key}:{long}")).collect();
    let tags = format!("{},e:{},f:{long},g:one more", tags.join(","), "x".repeat(150));
    let words = Words::default().begin("s").tags(tags.as_bytes()).end();
    let (_, report, arrived) = words.with(|_| ());
    let span = arrived.span("s");
    let chars = |key| match span.attribute(key) {
        Some(Value::String(text)) => text.chars().count(),
        _ => 0,
    };
    assert_eq!(["a", "d", "e", "f", "g"].map(chars), [200, 200, 150, 50, 0]);
    assert_eq!((report.lost.cut_texts, report.lost.excess_attributes), (5, 1));
    assert_eq!(report.lost.total(), 6);
}

#[test]
fn series_of_metrics_past_the_quota_are_one() {
    let lines: Vec<_> = (0..5).map(|n| format!("m:1|c|#n:{n}")).collect();
    let words = Words::default().metric(lines.join("\n").as_bytes());
    let (guest, report, _) = words.with(|quotas| quotas.metric_series = 3);
    assert_lost(&report, report.lost.excess_series, 2);
    let metrics = guest.tracer.observer().metrics();
    let metric = metrics.iter().find(|metric| metric.name == "m").expect("it is there");
    let MetricData::Sum { points, .. } = &metric.data else { panic!("no sum") };
    let overflow = Attribute::new("otel.metric.overflow", true);
    assert!(points.iter().any(|point| point.attributes.contains(&overflow)), "{points:?}");
    assert_eq!(points.len(), 4);
}

#[test]
fn logs_past_the_quota_of_bytes_are_counted() {
    let words = Words::default().log(3, "12345").log(3, "67890").log(3, "more").log(3, "");
    let (_, report, arrived) = words.with(|quotas| quotas.log_bytes = 8);
    let bodies: Vec<_> = arrived.logs().into_iter().map(|log| log.body).collect();
    assert_eq!(bodies, ["12345", "678"]);
    assert_eq!((report.lost.cut_texts, report.lost.excess_log_bytes), (1, 2));
    assert_eq!(report.lost.total(), 3);
}

#[test]
fn events_past_the_quota_of_a_second_are_counted() {
    let words = (0..100).fold(Words::default(), |words, n| match n % 4 {
        0 => words.begin("s"),
        1 => words.tags("k:v"),
        2 => words.metric("m:1|c"),
        _ => words.log(3, "said"),
    });
    let (_, report, arrived) = words.with(|quotas| quotas.events_per_second = 10);
    // However long it takes.
    let kept = 100 - report.lost.excess_events;
    assert!((10..100).contains(&kept), "{report:?}");
    let logs = arrived.logs().len() as u64;
    assert!((1..=kept / 2).contains(&logs), "{logs}");
    assert_eq!(report.lost.excess_events, report.lost.total());
}

#[test]
fn open_spans_past_the_quota_are_counted() {
    let words = ["a", "b", "c", "d"];
    let words = words.iter().fold(Words::default(), Words::begin);
    let (_, report, arrived) = words.with(|quotas| quotas.open_spans = 3);
    assert_lost(&report, report.lost.excess_open_spans, 1);
    assert_eq!(arrived.spans().len(), 5, "the root, the call, and three");
    // Those that are ended make room.
    let words = (0..9).fold(Words::default(), |words, _| words.begin("a").end());
    let (_, report, _) = words.with(|quotas| quotas.open_spans = 1);
    assert_eq!(report.lost, Lost::default());
}

#[test]
fn calls_past_the_quota_of_depth_are_counted() {
    let mut quotas = Quotas::default();
    quotas.depth = 10;
    let down = r#"(module
        (func $down (param i32)
          (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))))
        (func (export "go") (call $down (i32.const 99))))"#;
    let mut guest = Guest::of(module(down).expect("valid"), observer().quotas(quotas));
    let report = guest.trace("go", TraceOptions::new("root"));
    // The root, and nine calls.
    assert_lost(&report, report.lost.too_deep, 101 - 9);
    assert_eq!(row(&report, "down").calls, 100);
}

#[test]
fn blocks_and_paths_past_their_quotas_are_counted() {
    let mut quotas = Quotas::default();
    (quotas.blocks, quotas.paths) = (3, 2);
    let wat = r#"(module
        (memory 1)
        (global $next (mut i32) (i32.const 16))
        (func $malloc (param i32) (result i32)
          (global.set $next (i32.add (global.get $next) (local.get 0)))
          (global.get $next))
        (func $a (drop (call $malloc (i32.const 8))))
        (func $b (drop (call $malloc (i32.const 8))))
        (func $c (drop (call $malloc (i32.const 8))))
        (func (export "go") (call $a) (call $b) (call $c) (call $a) (call $b)))"#;
    let wasm = crate::guest::assemble(wat);
    let selection = Selection::all().allocations(true);
    let module = observe_host::ObservedModule::new(&crate::guest::engine(), &wasm, &selection);
    let mut guest = Guest::of(module.expect("valid"), observer().quotas(quotas));
    let report = guest.trace("go", TraceOptions::new("root"));
    assert_eq!(report.lost.untracked_blocks, 2, "{report:#?}");
    // `go`, `go` and `a`, and no more.
    assert!(report.lost.excess_paths > 0, "{report:#?}");
    assert_eq!(report.lost.untracked_blocks + report.lost.excess_paths, report.lost.total());
    assert_eq!(report.heap.allocations, 5);
}

#[test]
fn what_is_no_utf_8_is_mended_and_counted() {
    let words = Words::default().begin(b"s\xff").tags(b"k:\xff").log(3, b"\xc3\x28").end();
    let (_, report, arrived) = words.metric(b"m\xff:1|c").with(|_| ());
    assert_lost(&report, report.lost.malformed_texts, 4);
    assert_eq!(arrived.span("s\u{fffd}").attribute("k"), Some(&"\u{fffd}".into()));
    assert_eq!(arrived.logs()[0].body, "\u{fffd}(");
}

#[test]
fn secrets_are_redacted_and_only_what_is_allowed_passes() {
    let words = Words::default().begin("s").tags("plan:gold,api_key:hunter2,other:x").end();
    let words = words.metric("m:1|c|#plan:gold,api_key:hunter2,other:x");
    let (_, report, arrived) = words.with(|_| ());
    assert_eq!(report.lost, Lost::default());
    let span = arrived.span("s");
    assert_eq!(span.attribute("plan"), Some(&"gold".into()));
    assert_eq!(span.attribute("api_key"), Some(&"<redacted>".into()));
    assert_eq!(span.attribute("other"), Some(&"x".into()));

    let redaction = Redaction::allow_only(["plan", "api_*"]);
    let (guest, report, arrived) = words.traced(Quotas::default(), redaction);
    assert_lost(&report, report.lost.redacted, 2);
    let span = arrived.span("s");
    assert_eq!(span.attribute("api_key"), Some(&"<redacted>".into()));
    assert_eq!(span.attribute("other"), None);
    let metrics = guest.tracer.observer().metrics();
    let metric = metrics.iter().find(|metric| metric.name == "m").expect("it is there");
    let MetricData::Sum { points, .. } = &metric.data else { panic!("no sum") };
    let expected = [Attribute::new("api_key", "<redacted>"), Attribute::new("plan", "gold")];
    assert_eq!(points[0].attributes, expected);
}

#[test]
fn what_is_said_in_a_call_that_is_folded_is_kept() {
    let words = Words::default().tags("k:v").log(2, "said");
    let module = module(&words.wat()).expect("valid");
    let mut guest = Guest::of(module, observer());
    let hour = Duration::from_secs(3600);
    guest.trace("go", TraceOptions::new("root").min_duration(hour));
    let arrived = guest.arrived();
    assert_eq!(arrived.span("go").attribute("k"), Some(&"v".into()));
    let [log] = &arrived.logs()[..] else { panic!("one log") };
    assert_eq!((log.severity, log.span), (Severity::Warn, Some(arrived.span("go").number)));
}

#[test]
fn a_guest_cannot_change_what_the_host_said() {
    let words = Words::default().tags("wasm.tenant:another,wasm.cpu.time:0,mine:1");
    let words = words.metric("m:1|c|#wasm.tenant:another,mine:1\nwasm.traces:1|c");
    // Outside of any call of its own, and so on the root.
    let wat = words.wat().replace("(call $enter (i32.const 8))", "");
    let mut guest = Guest::of(module(&wat).expect("valid"), observer());
    let report = guest.trace("go", TraceOptions::new("root").tenant("acme"));
    let root = guest.arrived().span("root");
    assert_eq!(root.attribute("wasm.tenant"), Some(&"acme".into()));
    assert_eq!(root.attribute("mine"), Some(&"1".into()));
    assert_ne!(root.attribute("wasm.cpu.time"), Some(&"0".into()));
    assert_eq!((report.lost.excess_attributes, report.lost.malformed_metrics), (3, 1));
    let metrics = guest.tracer.observer().metrics();
    let metric = metrics.iter().find(|metric| metric.name == "m").expect("it is there");
    let MetricData::Sum { points, .. } = &metric.data else { panic!("no sum") };
    let expected = [Attribute::new("wasm.tenant", "acme"), Attribute::new("mine", "1")];
    assert_eq!(points[0].attributes, expected);
}
