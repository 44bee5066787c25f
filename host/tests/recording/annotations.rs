//! What guests say of themselves through `observe:guest@2`.

use observe_abi::guest::{self, attribute, kind, status};
use observe_collector::event::{Array, Attribute, Severity, SpanKind, Status, Value};
use observe_host::{Lost, Quotas, Redaction};

use crate::guest::{Guest, observer, row, span};
use crate::script::{CURRENT, Given, NONE, Script, assert_lost, within_span, words};

#[test]
fn attributes_of_each_type_arrive_as_they_are() {
    let mut script = Script::default();
    let name = script.text("POST /orders");
    let given = script.attributes(&[
        ("order.id", Given::I64(-42)),
        ("customer", Given::String("ada ä")),
        ("express", Given::Bool(true)),
        ("discount", Given::F64(0.25)),
        ("receipt", Given::Bytes(&[0, 0xff, 0x10])),
        ("items", Given::Strings(&["tea", "", "mug"])),
        ("gifts", Given::Bools(&[true, false])),
        ("quantities", Given::I64s(&[1, i64::MIN])),
        ("weights", Given::F64s(&[0.5, -1.5])),
        ("empty", Given::Strings(&[])),
    ]);
    let body = format!("(call $end (call $begin (i32.const {}) {name} {given}))", kind::SERVER);
    let (report, arrived) = script.function(r#"$go (export "go")"#, &body).run();
    assert_eq!(report.lost, Lost::default());
    let span = arrived.span("POST /orders");
    assert_eq!(span.detail.kind, SpanKind::Server);
    let strings = ["tea", "", "mug"].map(str::to_owned).to_vec();
    let expected: [(&str, Value); 10] = [
        ("order.id", (-42).into()),
        ("customer", "ada ä".into()),
        ("express", true.into()),
        ("discount", 0.25.into()),
        ("receipt", vec![0_u8, 0xff, 0x10].into()),
        ("items", strings.into()),
        ("gifts", vec![true, false].into()),
        ("quantities", vec![1, i64::MIN].into()),
        ("weights", vec![0.5, -1.5].into()),
        ("empty", Array::default().into()),
    ];
    let expected = expected.map(|(key, value)| Attribute::new(key, value));
    assert_eq!(span.detail.attributes, expected);
}

#[test]
fn attributes_are_of_the_span_that_is_meant_and_the_last_stays() {
    let mut script = Script::default();
    let (outer, inner) = (script.text("outer"), script.text("inner"));
    let first = script.attributes(&[("k", Given::I64(1)), ("n", Given::I64(1))]);
    let second = script.attributes(&[("k", Given::String("two"))]);
    let body = format!(
        "(call $attributes {CURRENT} {first})
         (call $attributes {CURRENT} {second})
         (local.set $s (call $begin (i32.const 3) {outer} {first}))
         (drop (call $begin (i32.const 5) {inner} {NONE}))
         (call $attributes (local.get $s) {second})
         (call $attributes {CURRENT} {first})
         (call $attributes (i32.const 0) {first})
         (call $end (local.get $s))"
    );
    let (report, arrived) = script.function(r#"$go (export "go")"#, &body).run();
    assert_eq!(report.lost, Lost::default());
    let said = |name| {
        let span = arrived.span(name);
        ["k", "n"].map(|key| span.attribute(key).cloned())
    };
    assert_eq!(said("go"), [Some("two".into()), Some(1.into())]);
    assert_eq!(said("outer"), [Some("two".into()), Some(1.into())]);
    assert_eq!(said("inner"), [Some(1.into()), Some(1.into())]);
    assert_eq!(arrived.span("inner").detail.kind, SpanKind::Consumer);
    assert_eq!(arrived.span("outer").detail.kind, SpanKind::Client);
}

#[test]
fn events_links_and_a_status_are_on_their_span() {
    let to = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let script = within_span(|script| {
        let (validated, to, why) = (script.text("validated"), script.text(to), script.text("no"));
        let rules = script.attributes(&[("rules", Given::I64(3))]);
        let retry = script.attributes(&[("why", Given::String("retry"))]);
        format!(
            "(call $event (local.get $s) {validated} {rules})
             (call $link {CURRENT} {to} {retry})
             (call $status (local.get $s) (i32.const {}) {why})",
            status::ERROR
        )
    });
    let (report, arrived) = script.run();
    assert_eq!(report.lost, Lost::default());
    assert_eq!(row(&report, "s").errors, 1);
    let span = arrived.span("s");
    let [event] = &span.detail.events[..] else { panic!("one event: {:?}", span.detail) };
    assert_eq!(
        (event.name.as_str(), &*event.attributes),
        ("validated", &[Attribute::new("rules", 3)][..])
    );
    assert!((span.start..=span.end).contains(&event.time_unix_nanos));
    let [link] = &span.detail.links[..] else { panic!("one link: {:?}", span.detail) };
    assert_eq!(link.trace_id.to_string(), to[3..35]);
    assert_eq!(link.span_id.to_string(), to[36..52]);
    assert!(link.trace_flags.is_sampled());
    assert_eq!(link.attributes, [Attribute::new("why", "retry")]);
    assert_eq!((span.status, span.detail.status_message.as_str()), (Status::Error, "no"));
    assert_eq!(arrived.span("go").status, Status::Unset);
}

#[test]
fn a_span_that_went_well_stays_so() {
    for (said, expected, message) in [
        (&[status::OK, status::ERROR][..], Status::Ok, ""),
        (&[status::ERROR, status::UNSET], Status::Error, "no"),
        (&[status::ERROR, status::OK], Status::Ok, ""),
    ] {
        let script = within_span(|script| {
            let why = script.text("no");
            let say = |status| format!("(call $status {CURRENT} (i32.const {status}) {why})");
            said.iter().map(say).collect()
        });
        let (report, arrived) = script.run();
        assert_eq!(report.lost, Lost::default());
        let span = arrived.span("s");
        assert_eq!((span.status, span.detail.status_message.as_str()), (expected, message));
    }
}

#[test]
fn logs_are_tied_to_the_span_that_is_meant() {
    let script = within_span(|script| {
        let (outer, inner, body) =
            (script.text("outer"), script.text("inner"), script.text("order accepted"));
        let order = script.attributes(&[("order.id", Given::I64(42))]);
        format!(
            "(drop (call $begin (i32.const 1) {inner} {NONE}))
             (call $log {CURRENT} (i32.const 9) {body} {order})
             (call $log (local.get $s) (i32.const 20) {outer} {NONE})"
        )
    });
    let (report, arrived) = script.run();
    assert_eq!(report.lost, Lost::default());
    let logs = arrived.logs();
    let said: Vec<_> = logs.iter().map(|log| (log.body.as_str(), log.severity, log.span)).collect();
    let (outer, inner) = (arrived.span("s").number, arrived.span("inner").number);
    let expected =
        [("order accepted", Severity::Info, Some(inner)), ("outer", Severity::Error, Some(outer))];
    assert_eq!(said, expected);
    assert_eq!(logs[0].attributes, [Attribute::new("order.id", 42)]);
}

#[test]
fn what_is_out_of_reach_is_counted() {
    let far = "(i32.const 0xfffffff0)";
    let script = within_span(|script| {
        let key = script.text("k");
        let (text, to) = (script.text("x"), script.text("00-00"));
        let mut record = |kind: u32, len: u32, value: u64| {
            let mut record = words(&[0, 1, kind as usize, len as usize]);
            record.extend(value.to_le_bytes());
            let (at, _) = script.place(record);
            format!("(call $attributes {CURRENT} (i32.const {at}) (i32.const 1))")
        };
        let records = [
            record(attribute::STRING, 1, u64::MAX),
            record(attribute::BYTES, u32::MAX, 0),
            record(attribute::I64S, u32::MAX, 0),
            record(attribute::STRINGS, 1, 0x00ff_ffff_0000),
        ];
        format!(
            "(drop (call $begin (i32.const 1) {far} (i32.const 99) {NONE}))
             (call $attributes {CURRENT} {far} (i32.const 1))
             (call $attributes {CURRENT} (i32.const 0) (i32.const 0xffffffff))
             (call $event {CURRENT} (i32.const 0) (i32.const -1) {NONE})
             (call $event {CURRENT} {text} {far} (i32.const 1))
             (call $status {CURRENT} (i32.const 2) {far} (i32.const 99))
             (call $link {CURRENT} {far} (i32.const 55) {NONE})
             (call $link {CURRENT} {to} {NONE})
             (call $log {CURRENT} (i32.const 9) {far} (i32.const 99) {NONE})
             {} {key}",
            records.join("\n")
        )
        .replace(&key, "")
    });
    let mut quotas = Quotas::default();
    quotas.events_per_second = u32::MAX;
    let (_, report, arrived) = script.with(observer().quotas(quotas));
    assert_eq!((report.lost.unreadable, report.lost.malformed_links), (12, 1), "{}", report.lost);
    assert_eq!(report.lost.total(), 13);
    let span = arrived.span("s");
    assert_eq!(span.detail.dropped_attributes, u32::MAX, "four billion, and some");
    assert_eq!(span.detail.events.len(), 1);
    assert_eq!(span.detail.events[0].dropped_attributes, 1);
}

#[test]
fn what_nobody_knows_is_counted() {
    let script = within_span(|script| {
        let x = script.text("x");
        let (at, _) = script.place(words(&[0, 1, 77, 0, 0, 0]));
        let (empty, _) = script.place(words(&[0, 0, 1, 0, 0, 0]));
        format!(
            "(call $end (call $begin (i32.const 77) {x} {NONE}))
             (call $attributes {CURRENT} (i32.const {at}) (i32.const 1))
             (call $attributes {CURRENT} (i32.const {empty}) (i32.const 1))
             (call $status {CURRENT} (i32.const 3) {x})
             (call $log {CURRENT} (i32.const 25) {x} {NONE})
             (call $log {CURRENT} (i32.const 0) {x} {NONE})
             (call $event (i32.const -77) {x} {NONE})
             (call $event (i32.const 77) {x} {NONE})
             (call $log (i32.const -1) (i32.const 9) {x} {NONE})
             (call $end (i32.const -5))"
        )
    });
    let (report, arrived) = script.run();
    let Lost { unknown_kinds, unknown_levels, unknown_spans, stale_exits, .. } = report.lost;
    let counts = (unknown_kinds, unknown_levels, unknown_spans, stale_exits);
    assert_eq!(counts, (4, 2, 3, 1), "{}", report.lost);
    assert_eq!(report.lost.total(), 10);
    assert_eq!(arrived.span("x").detail.kind, SpanKind::Internal);
    assert!(arrived.logs().iter().all(|log| log.severity == Severity::Info));
}

#[test]
fn ten_thousand_attributes_are_as_many_as_the_quota_says() {
    let keys: Vec<_> = (0..10_000).map(|n| n.to_string()).collect();
    let script = within_span(|script| {
        let given: Vec<_> = keys.iter().map(|key| (key.as_str(), Given::Bool(true))).collect();
        let given = script.attributes(&given);
        format!("(call $attributes {CURRENT} {given})")
    });
    let mut quotas = Quotas::default();
    // Those that are left out are no events.
    quotas.events_per_second = 65;
    let (_, report, arrived) = script.with(observer().quotas(quotas));
    assert_lost(&report, report.lost.excess_attributes, 10_000 - 64);
    let detail = arrived.span("s").detail;
    assert_eq!((detail.attributes.len(), detail.dropped_attributes), (64, 10_000 - 64));
    quotas.events_per_second = 10;
    let (_, report, arrived) = script.with(observer().quotas(quotas));
    assert_eq!((report.lost.excess_events, report.lost.excess_attributes), (64 - 9, 10_000 - 64));
    assert_eq!(arrived.span("s").detail.attributes.len(), 9);
}

#[test]
fn numbers_take_nothing_of_the_quota_of_text() {
    let script = within_span(|script| {
        let long = "x".repeat(200);
        let given = [
            ("text", Given::String(&long)),
            ("number", Given::I64(42)),
            ("bool", Given::Bool(true)),
            ("more", Given::String("y")),
        ];
        let given = script.attributes(&given);
        format!("(call $attributes {CURRENT} {given})")
    });
    let mut quotas = Quotas::default();
    quotas.span_value_chars = 200;
    let (_, report, arrived) = script.with(observer().quotas(quotas));
    assert_lost(&report, report.lost.excess_attributes, 1);
    let span = arrived.span("s");
    assert_eq!((span.attribute("number"), span.attribute("more")), (Some(&42.into()), None));
}

#[test]
fn values_are_cut_whatever_their_type() {
    let long = "ä".repeat(201);
    let script = within_span(|script| {
        let given = script.attributes(&[
            ("text", Given::String(&long)),
            ("bytes", Given::Bytes(&[7; 201])),
            ("doubles", Given::F64s(&[0.5; 201])),
            ("texts", Given::Strings(&["", "ab", &long, "more"])),
        ]);
        format!("(call $attributes {CURRENT} {given})")
    });
    let (report, arrived) = script.run();
    assert_lost(&report, report.lost.cut_texts, 4);
    let span = arrived.span("s");
    assert_eq!(span.attribute("text"), Some(&"ä".repeat(200).into()));
    assert_eq!(span.attribute("bytes"), Some(&vec![7_u8; 200].into()));
    assert_eq!(span.attribute("doubles"), Some(&vec![0.5; 200].into()));
    let texts = vec![String::new(), "ab".to_owned(), "ä".repeat(197)];
    assert_eq!(span.attribute("texts"), Some(&texts.into()));
}

#[test]
fn what_is_no_utf_8_is_mended_in_values_too() {
    let script = within_span(|script| {
        let (at, len) = script.place(b"a\xffb");
        let (key, key_len) = script.place(b"k\xfe");
        let mut record = words(&[key, key_len, attribute::STRING as usize, len]);
        record.extend((at as u64).to_le_bytes());
        let (at, _) = script.place(record);
        format!("(call $attributes {CURRENT} (i32.const {at}) (i32.const 1))")
    });
    let (report, arrived) = script.run();
    assert_lost(&report, report.lost.malformed_texts, 2);
    assert_eq!(arrived.span("s").attribute("k\u{fffd}"), Some(&"a\u{fffd}b".into()));
}

#[test]
fn secrets_and_what_is_the_hosts_stay_where_they_are() {
    let script = within_span(|script| {
        let given = script.attributes(&[
            ("api_key", Given::I64(7)),
            ("Password", Given::Strings(&["hunter2"])),
            ("wasm.cpu.time", Given::F64(0.0)),
            ("other", Given::Bool(true)),
        ]);
        format!("(call $attributes {CURRENT} {given})")
    });
    let redaction = Redaction::allow_only(["api_*", "Password", "wasm.*"]);
    let (_, report, arrived) = script.with(observer().redaction(redaction));
    assert_eq!((report.lost.redacted, report.lost.excess_attributes), (1, 1));
    let detail = arrived.span("s").detail;
    let redacted = ["api_key", "Password"].map(|key| Attribute::new(key, "<redacted>"));
    assert_eq!((&detail.attributes[..], detail.dropped_attributes), (&redacted[..], 2));
}

#[test]
fn a_guest_cannot_say_where_its_functions_are() {
    let mut script = Script::default();
    let given = script.attributes(&[
        ("wasm.function.index", Given::I64(7)),
        ("code.function.name", Given::String("another")),
        ("mine", Given::Bool(true)),
    ]);
    let body = format!("(call $attributes {CURRENT} {given})");
    let (report, arrived) = script.function(r#"$go (export "go")"#, &body).run();
    assert_lost(&report, report.lost.excess_attributes, 2);
    assert_eq!(arrived.span("go").detail.attributes, [Attribute::new("mine", true)]);
}

#[test]
fn events_and_links_past_the_quota_are_counted_on_their_span() {
    let to = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let script = within_span(|script| {
        let (name, to) = (script.text("e"), script.text(to));
        let event = format!("(call $event {CURRENT} {name} {NONE})");
        let link = format!("(call $link {CURRENT} {to} {NONE})");
        event.repeat(130) + &link.repeat(129)
    });
    let (report, arrived) = script.run();
    assert_lost(&report, report.lost.excess_span_events, 3);
    let detail = arrived.span("s").detail;
    assert_eq!((detail.events.len(), detail.dropped_events), (128, 2));
    assert_eq!((detail.links.len(), detail.dropped_links), (128, 1));
}

#[test]
fn what_open_spans_hold_has_a_quota_and_is_given_back() {
    let script = within_span(|script| {
        let given = script.attributes(&[("k", Given::String("0123456789"))]);
        let name = script.text("e");
        let inner = format!(
            "(call $attributes {CURRENT} {given})
             (call $attributes {CURRENT} {given})
             (call $event {CURRENT} {name} {given})
             (call $end (call $begin (i32.const 1) {name} {given}))"
        );
        let begin = format!("(local.set $s (call $begin (i32.const 1) {name} {NONE}))");
        format!(
            "(call $end (local.get $s)) {begin} {inner} (call $end (local.get $s)) {begin} {inner}"
        )
    });
    let mut quotas = Quotas::default();
    // An attribute takes 75, an event with one 204.
    quotas.open_bytes = 75 + 204 + 75;
    let (_, report, _) = script.with(observer().quotas(quotas));
    assert_eq!(report.lost, Lost::default());
    quotas.open_bytes -= 1;
    let (_, report, _) = script.with(observer().quotas(quotas));
    assert_lost(&report, report.lost.excess_attributes, 2);
    quotas.open_bytes = 203;
    let (_, report, _) = script.with(observer().quotas(quotas));
    assert_eq!((report.lost.excess_span_events, report.lost.excess_attributes), (2, 0));
}

#[test]
fn a_scoped_span_ends_with_its_function_however_that_ends() {
    for (how, failed) in [("(return)", false), ("(throw $e)", true), ("(unreachable)", true)] {
        let mut script = Script::default();
        let (left, after) = (script.text("left open"), script.text("after"));
        let given = script.attributes(&[("k", Given::Bool(true))]);
        let careless = format!("(drop (call $begin (i32.const 1) {left} {given})) {how}");
        let go = format!(
            "(block $h (try_table (catch $e $h) (call $careless)))
             (call $end (call $begin (i32.const 1) {after} {NONE}))"
        );
        let script = script.function("$careless", &careless).function(r#"(export "go")"#, &go);
        let (report, arrived) = script.run();
        assert_eq!(report.lost, Lost::default());
        let spans = arrived.arrived();
        assert!(spans.contains(&span("left open", "careless", failed)), "{how}: {spans:?}");
        let is_after = spans.contains(&span("after", "go", false));
        assert_eq!(is_after, how != "(unreachable)", "{how}: {spans:?}");
        assert_eq!(arrived.span("left open").attribute("k"), Some(&true.into()));
    }
}

/// As a panic hook does before the trap.
#[test]
fn why_a_span_fails_the_guest_knows_better_than_the_trap() {
    for (said, expected) in
        [("no such order", "no such order"), ("", "wasm `unreachable` instruction executed")]
    {
        let script = within_span(|script| {
            let why = script.text(said);
            format!("(call $status {CURRENT} (i32.const 2) {why}) (unreachable)")
        });
        let (_, arrived) = script.run();
        assert_eq!(arrived.span("s").detail.status_message, expected);
    }
}

#[test]
fn nothing_is_said_outside_of_a_trace() {
    let script = within_span(|script| {
        let given = script.attributes(&[("k", Given::Bool(true))]);
        let name = script.text("e");
        format!(
            "(if (local.get $s) (then (unreachable)))
             (call $attributes {CURRENT} {given})
             (call $event {CURRENT} {name} {given})
             (call $status {CURRENT} (i32.const 2) {name})
             (call $log {CURRENT} (i32.const 9) {name} {NONE})"
        )
    });
    let mut guest = Guest::new(&script.wat());
    guest.call("go").expect("it returns");
    assert_eq!(guest.arrived().spans().len() + guest.arrived().logs().len(), 0);
}

#[test]
fn a_guest_is_told_what_the_host_wants() {
    use guest::interest::{ANSWERED, LOGS, METRICS, SEVERITY_SHIFT, SPANS};
    let body = "(if (i32.ne (call $interest) (i32.const %)) (then (unreachable)))";
    let wanted = ANSWERED | SPANS | LOGS | METRICS | 1 << SEVERITY_SHIFT;
    let body = body.replace('%', &wanted.to_string());
    let script = Script::default().function(r#"(export "go")"#, &body);
    Guest::new(&script.wat()).call("go").expect("it is as expected");
}
