//! What guests are told: of their trace, by what they lose, and at once, where the host is strict.

use std::time::Duration;

use observe_collector::event::{Severity, Value};
use observe_collector::propagation::Propagators;
use observe_host::{Lost, Misuse, Quotas, TraceOptions};

use crate::guest::{Guest, module, observer};
use crate::script::{CURRENT, Given, NONE, Script, assert_lost, within_span, words};

/// What comes of a guest whose host is strict.
fn strictly(body: &str, script: Script) -> Result<(), Misuse> {
    let wat = script.function(r#"$go (export "go")"#, body).wat();
    let mut guest = Guest::of(module(&wat).expect("valid"), observer().strict(true));
    let traced = guest.traced("go", TraceOptions::new("root"));
    let misuse = |error: wasmtime::Error| error.downcast_ref::<Misuse>().expect("a misuse").clone();
    traced.result.map_err(misuse)
}

#[test]
fn a_strict_host_traps_for_what_it_would_count() {
    let far = "(i32.const -16) (i32.const 99)";
    let to = "(i32.const 0) (i32.const 1)";
    let cases = [
        (
            format!("(drop (call $begin (i32.const 1) {far} {NONE}))"),
            "span-begin",
            "texts out of reach",
        ),
        (format!("(call $attributes {CURRENT} {far})"), "span-attributes", "texts out of reach"),
        (format!("(call $event {CURRENT} {to} {far})"), "span-event", "texts out of reach"),
        (format!("(call $link {CURRENT} {to} {NONE})"), "span-link", "malformed links"),
        (
            format!("(call $log (i32.const 3) (i32.const 9) {to} {NONE})"),
            "log",
            "words about unknown spans",
        ),
        (
            format!("(call $status {CURRENT} (i32.const 9) {to})"),
            "span-status",
            "unknown kinds or types",
        ),
        (
            format!("(drop (call $open {CURRENT} (i32.const 9) {to} {NONE}))"),
            "span-open",
            "unknown kinds or types",
        ),
        ("(call $end (i32.const -3))".to_owned(), "span-end", "exits of no open call"),
        ("(call $enter (i32.const 3))".to_owned(), "span-enter", "words about unknown spans"),
        ("(call $exit (i32.const 3))".to_owned(), "span-exit", "words about unknown spans"),
        ("(call $close (i32.const 3))".to_owned(), "span-close", "words about unknown spans"),
        (format!("(drop (call $context {far}))"), "context", "texts out of reach"),
        (format!("(drop (call $baggage {far}))"), "baggage", "texts out of reach"),
        ("(call $submit (i32.const 0) (i32.const -1))".to_owned(), "submit", "texts out of reach"),
    ];
    for (body, name, reason) in cases {
        let misuse = strictly(&body, Script::default()).expect_err(&body);
        assert_eq!((misuse.module, misuse.name), ("observe:guest@2", name));
        let said = misuse.to_string();
        assert!(said.contains(&format!("1 {reason}")) && said.contains(name), "{said}");
    }
    let body = format!("(call $end (call $begin (i32.const 1) {to} {NONE}))");
    assert_eq!(strictly(&body, Script::default()), Ok(()));
}

#[test]
fn a_strict_host_fails_the_span() {
    let wat = within_span(|_| "(call $close (i32.const 3))".to_owned()).wat();
    let mut guest = Guest::of(module(&wat).expect("valid"), observer().strict(true));
    let traced = guest.traced("go", TraceOptions::new("root").min_duration(Duration::ZERO));
    assert_eq!(traced.report.expect("a trace").lost.unknown_spans, 1);
    let span = guest.arrived().span("s");
    assert!(span.failed && span.detail.status_message.contains("span-close"), "{:?}", span.detail);
    // Outside of a trace nothing is wrong.
    guest.call("go").expect("it returns");
}

#[test]
fn the_root_tells_what_was_lost_and_why() {
    let script = within_span(|script| {
        let name = script.text("e");
        format!("(call $close (i32.const 3)) (call $link {CURRENT} {name} {NONE})")
    });
    let (_, arrived) = script.run();
    let root = arrived.span("root");
    assert_eq!(root.attribute("wasm.events.lost"), Some(&2.into()));
    let reasons = ["1 words about unknown spans", "1 malformed links"].map(str::to_owned);
    let reasons: Value = reasons.to_vec().into();
    assert_eq!(root.attribute("wasm.events.lost_reasons"), Some(&reasons));
    let (_, arrived) = within_span(|_| String::new()).run();
    let root = arrived.span("root");
    assert_eq!(root.attribute("wasm.events.lost_reasons"), None);
}

#[test]
fn a_guest_is_given_its_context_and_baggage() {
    let mut script = Script::default();
    let name = script.text("d");
    let log = |length: &str| {
        format!("(call $log {CURRENT} (i32.const 9) (i32.const 4096) {length} {NONE})")
    };
    let body = format!(
        "(drop (call $begin (i32.const 1) {name} {NONE}))
         {}
         (local.set $s (call $open {CURRENT} (i32.const 1) {name} {NONE}))
         (call $enter (local.get $s))
         {} {}
         ;; Too small.
         (i64.store (i32.const 4096) (i64.const 0))
         (if (i32.ne (call $context (i32.const 4096) (i32.const 54)) (i32.const 55))
           (then (unreachable)))
         (if (i32.ne (call $baggage (i32.const 4096) (i32.const 0)) (i32.const 15))
           (then (unreachable)))
         (if (i64.ne (i64.load (i32.const 4096)) (i64.const 0)) (then (unreachable)))
         ;; At the end of the memory, and past it.
         (drop (call $baggage (i32.const 0xffff1) (i32.const 15)))
         (drop (call $baggage (i32.const 0xffff2) (i32.const 15)))
         (drop (call $context (i32.const -1) (i32.const -1)))",
        log("(call $context (i32.const 4096) (i32.const 55))"),
        log("(call $context (i32.const 4096) (i32.const 99))"),
        log("(call $baggage (i32.const 4096) (i32.const 15))"),
    );
    let wat = script.function(r#"$go (export "go")"#, &body).wat();
    let mut guest = Guest::of(module(&wat).expect("valid"), observer());
    let get = |name: &str| (name == "baggage").then(|| "a=b,user=ada%20".to_owned());
    let baggage = Propagators::default().extract(&get).baggage;
    let options = TraceOptions::new("root").min_duration(Duration::ZERO).baggage(&baggage);
    let report = guest.trace("go", options);
    assert_lost(&report, report.lost.unreadable, 2);
    let arrived = guest.arrived();
    let spans = arrived.spans();
    let of_d: Vec<_> = spans.iter().filter(|span| span.name == "d").collect();
    let expected: Vec<_> =
        of_d.iter().map(|span| format!("00-{}-{}-01", report.trace_id, span.id)).collect();
    let bodies: Vec<_> = arrived.logs().into_iter().map(|log| log.body).collect();
    assert_eq!(bodies, [&expected[0], &expected[1], "a=b,user=ada%20"]);

    let body = "(if (i32.or (call $context (i32.const 0) (i32.const 55))
        (call $baggage (i32.const 0) (i32.const 0))) (then (unreachable)))";
    let wat = Script::default().function(r#"(export "go")"#, body).wat();
    Guest::new(&wat).call("go").expect("there is none outside of a trace");
}

#[test]
fn a_batch_says_what_its_records_do() {
    let script = within_span(|script| {
        let (name, key) = (script.place("happened"), script.attributes(&[("k", Given::I64(1))]));
        let key: Vec<usize> = key
            .split(|byte: char| !byte.is_ascii_digit())
            .filter_map(|word| word.parse().ok())
            .filter(|word| *word != 32)
            .collect();
        let record = |what: usize, value: usize| {
            words(&[what, i32::MAX as usize, name.0, name.1, key[0], key[1], value, 0])
        };
        let all = [record(1, 0), record(2, 0), record(3, 17), record(99, 0)].concat();
        let (at, _) = script.place(all);
        format!("(call $submit (i32.const {at}) (i32.const 4))")
    });
    let (report, arrived) = script.run();
    assert_lost(&report, report.lost.unknown_kinds, 1);
    let span = arrived.span("s");
    assert_eq!(span.attribute("k"), Some(&1.into()));
    let [event] = &span.detail.events[..] else { panic!("one event") };
    assert_eq!((event.name.as_str(), event.attributes.len()), ("happened", 1));
    let [log] = &arrived.logs()[..] else { panic!("one log") };
    assert_eq!((log.body.as_str(), log.severity), ("happened", Severity::Error));
}

#[test]
fn a_batch_of_nothing_has_an_end() {
    let script = within_span(|_| "(call $submit (i32.const 65536) (i32.const 20000))".to_owned());
    let mut quotas = Quotas::default();
    quotas.events_per_second = 10;
    let (_, report, _) = script.with(observer().quotas(quotas));
    assert_eq!(report.lost.unknown_kinds + report.lost.excess_events, 20_000);
    assert!((1..100).contains(&report.lost.unknown_kinds), "{}", report.lost);
}

#[test]
fn what_is_less_grave_is_not_taken() {
    let script = within_span(|script| {
        let name = script.text("e");
        [1, 9, 12, 13, 24]
            .map(|number| format!("(call $log {CURRENT} (i32.const {number}) {name} {NONE})"))
            .concat()
    });
    let (_, report, arrived) = script.with(observer().min_severity(Severity::Warn));
    assert_eq!(report.lost, Lost::default());
    let severities: Vec<_> = arrived.logs().iter().map(|log| log.severity).collect();
    assert_eq!(severities, [Severity::Warn, Severity::Fatal]);
    let wanted = "(if (i32.ne (i32.and (i32.shr_u (call $interest) (i32.const 8)) (i32.const 255))
        (i32.const 13)) (then (unreachable)))";
    let wat = Script::default().function(r#"(export "go")"#, wanted).wat();
    let observer = observer().min_severity(Severity::Warn);
    Guest::of(module(&wat).expect("valid"), observer).call("go").expect("as expected");
}
