//! Spans that belong to no function.

use std::time::Duration;

use observe_abi::guest::kind;
use observe_collector::event::{SpanKind, Status};
use observe_host::{Lost, Quotas, TraceOptions};

use crate::guest::{Guest, module, observer, row, span};
use crate::script::{CURRENT, Given, NONE, Script, assert_lost};

/// A guest with `$open` and so on in functions of its own, which have hooks, as the wrappers of an SDK
/// may. `$say` begins and ends a span.
fn wrapped() -> (Script, String, String) {
    let mut script = Script::default();
    let (d, e) = (script.text("d"), script.text("e"));
    let said = script.text("said");
    let script = script
        .function("$enter_it (param i32)", "(call $enter (local.get 0))")
        .function("$exit_it (param i32)", "(call $exit (local.get 0))")
        .function("$say", &format!("(call $end (call $begin (i32.const 1) {said} {NONE}))"))
        .function("$work", "(call $say)");
    (script, d, e)
}

fn open(parent: &str, name: &str) -> String {
    format!("(call $open {parent} (i32.const 4) {name} {NONE})")
}

#[test]
fn what_begins_while_it_is_entered_stands_under_it() {
    let (mut script, delivery, _) = wrapped();
    let parcel = script.attributes(&[("parcel", Given::I64(7))]);
    let body = format!(
        "(local.set $s (call $open {CURRENT} (i32.const {}) {delivery} {parcel}))
         (call $say)
         (call $enter_it (local.get $s))
         (call $work)
         (call $attributes (local.get $s) {parcel})
         (call $exit_it (local.get $s))
         (call $say)
         (call $close (local.get $s))",
        kind::PRODUCER
    );
    let (report, arrived) = script.function(r#"$go (export "go")"#, &body).run();
    assert_eq!(report.lost, Lost::default());
    let spans = arrived.arrived();
    let parents_of = |name: &str| -> Vec<_> {
        let of = spans.iter().filter(|span| span.0 == name);
        of.map(|span| span.1.clone().unwrap_or_default()).collect()
    };
    assert_eq!(parents_of("d"), ["go"]);
    assert_eq!(parents_of("work"), ["d"]);
    assert_eq!(parents_of("say"), ["go", "work", "go"]);
    assert_eq!(parents_of("enter_it"), ["go"]);
    let (d, work) = (arrived.span("d"), arrived.span("work"));
    assert_eq!((d.detail.kind, d.attribute("parcel")), (SpanKind::Producer, Some(&7.into())));
    assert!(d.start <= work.start && work.end <= d.end);
    assert_eq!((row(&report, "d").calls, row(&report, "said").calls), (1, 3));
}

#[test]
fn spans_are_exited_in_any_order() {
    let (script, d, e) = wrapped();
    let body = format!(
        "(local.set $s {}) (local.set $t {})
         (call $enter (local.get $s))
         (call $enter_it (local.get $t))
         (call $exit_it (local.get $s))
         (call $say)
         (call $exit_it (local.get $t))
         (call $work)
         (call $enter (local.get $t)) (call $enter (local.get $s)) (call $enter (local.get $t))
         (call $exit (local.get $t)) (call $exit (local.get $t))
         (call $work)
         (call $close (local.get $t))
         (call $exit (local.get $s))
         (call $work)
         (call $close (local.get $s))",
        open(CURRENT, &d),
        open(CURRENT, &e),
    );
    let (report, arrived) = script.function(r#"$go (export "go")"#, &body).run();
    assert_eq!(report.lost, Lost::default());
    let spans = arrived.arrived();
    let parents: Vec<_> = ["say", "work"]
        .iter()
        .flat_map(|name| spans.iter().filter(move |span| span.0 == *name))
        .map(|span| span.1.as_deref().unwrap_or_default())
        .collect();
    assert_eq!(parents, ["e", "work", "work", "work", "go", "d", "go"]);
}

#[test]
fn a_parent_is_any_span_or_the_root() {
    let (script, d, e) = wrapped();
    let body = format!(
        "(local.set $s {})
         (call $close {})
         (local.set $t (call $begin (i32.const 1) {e} {NONE}))
         (call $close {})
         (call $close {})
         (call $close {})
         (call $end (local.get $t))",
        open("(i32.const 0x7ffffffe)", &d),
        open("(local.get $s)", &e),
        open("(local.get $t)", &d),
        open("(i32.const 0)", &d),
        open("(i32.const 77)", &d),
    );
    let (report, arrived) = script.function(r#"$go (export "go")"#, &body).run();
    assert_lost(&report, report.lost.unknown_spans, 1);
    let spans = arrived.arrived();
    let count = |name, parent| spans.iter().filter(|s| **s == span(name, parent, false)).count();
    assert_eq!(count("d", "root"), 1);
    assert_eq!(count("e", "d"), 1);
    assert_eq!(count("d", "e"), 3);
}

#[test]
fn it_outlives_calls_and_is_exited_with_them() {
    let (script, d, _) = wrapped();
    let first =
        format!("(global.set $g {}) (call $enter (global.get $g)) (call $work)", open(CURRENT, &d));
    let wat = script
        .function(r#"$first (export "first")"#, &first)
        .function(r#"$second (export "second")"#, "(call $work) (call $close (global.get $g))")
        .wat();
    let mut guest = Guest::new(&wat);
    let (tracer, instance) = (guest.tracer.clone(), guest.instance);
    let options = TraceOptions::new("root").min_duration(Duration::ZERO);
    let traced = tracer.trace(&mut guest.store, options, |store| {
        for export in ["first", "second"] {
            instance.get_typed_func::<(), ()>(&mut *store, export)?.call(&mut *store, ())?;
        }
        Ok(())
    });
    let report = traced.report.expect("a trace of its own");
    assert_eq!(report.lost, Lost::default());
    let arrived = guest.arrived();
    let spans = arrived.arrived();
    for expected in
        [span("d", "first", false), span("work", "d", false), span("work", "second", false)]
    {
        assert!(spans.contains(&expected), "{expected:?}: {spans:?}");
    }
    assert!(arrived.span("d").end > arrived.span("first").end);
    // Of another trace.
    let report = guest.trace("second", TraceOptions::new("root"));
    assert_lost(&report, report.lost.unknown_spans, 1);
}

#[test]
fn what_is_open_ends_with_the_trace() {
    for (how, fails) in [("", false), ("(unreachable)", true)] {
        let (script, d, e) = wrapped();
        let body = format!(
            "(local.set $s {}) (drop {}) (call $enter (local.get $s)) {how}",
            open(CURRENT, &d),
            open(CURRENT, &e)
        );
        let (report, arrived) = script.function(r#"$go (export "go")"#, &body).run();
        assert_eq!(report.lost, Lost::default());
        let (d, e, root) = (arrived.span("d"), arrived.span("e"), arrived.span("root"));
        assert_eq!((d.failed, e.failed, root.failed), (fails, false, fails));
        assert!(d.end <= root.end && e.end <= root.end);
        let error_type = fails.then(|| "unreachable".into());
        assert_eq!(d.attribute("error.type"), error_type.as_ref());
        assert_eq!(row(&report, "d").errors, u64::from(fails));
    }
}

#[test]
fn an_exception_exits_what_it_leaves() {
    let (script, d, _) = wrapped();
    let go = format!(
        "(local.set $s {})
         (block $h (try_table (catch $e $h) (call $throws (local.get $s))))
         (call $work)
         (call $close (local.get $s))",
        open(CURRENT, &d)
    );
    let throws = "(call $enter (local.get 0)) (call $work) (throw $e)";
    let script = script.function("$throws (param i32)", throws);
    let (report, arrived) = script.function(r#"$go (export "go")"#, &go).run();
    assert_eq!(report.lost, Lost::default());
    let spans = arrived.arrived();
    let of_work: Vec<_> = spans.iter().filter(|span| span.0 == "work").collect();
    assert_eq!(of_work, [&span("work", "d", false), &span("work", "go", false)]);
    assert_eq!(arrived.span("d").status, Status::Unset);
}

#[test]
fn a_scoped_span_that_is_left_open_ends_and_an_entry_stays() {
    let (script, d, e) = wrapped();
    let careless = format!(
        "(drop (call $begin (i32.const 1) {e} {NONE}))
         (call $enter (local.get 0))
         (drop (call $begin (i32.const 1) {e} {NONE}))"
    );
    let go = format!(
        "(local.set $s {}) (call $careless (local.get $s)) (call $work) (call $close (local.get $s))
         (call $work)",
        open(CURRENT, &d)
    );
    let script = script.function("$careless (param i32)", &careless);
    let (report, arrived) = script.function(r#"$go (export "go")"#, &go).run();
    assert_eq!(report.lost, Lost::default());
    let spans = arrived.arrived();
    for expected in [
        span("e", "careless", false),
        span("e", "d", false),
        span("work", "d", false),
        span("work", "go", false),
    ] {
        assert!(spans.contains(&expected), "{expected:?}: {spans:?}");
    }
}

#[test]
fn what_stands_on_a_span_that_is_closed_stays_as_it_is() {
    let (script, d, e) = wrapped();
    let go = format!(
        "(local.set $s {}) (call $enter (local.get $s))
         (local.set $t (call $begin (i32.const 1) {e} {NONE}))
         (call $close (local.get $s))
         (call $say)
         (call $end (local.get $t))
         (call $work)",
        open(CURRENT, &d)
    );
    let (report, arrived) = script.function(r#"$go (export "go")"#, &go).run();
    assert_eq!(report.lost, Lost::default());
    let spans = arrived.arrived();
    for expected in [span("e", "d", false), span("say", "e", false), span("work", "go", false)] {
        assert!(spans.contains(&expected), "{expected:?}: {spans:?}");
    }
}

#[test]
fn handles_that_are_none_are_counted() {
    let (script, d, _) = wrapped();
    let body = format!(
        "(local.set $s {})
         (call $exit (local.get $s))
         (call $close (local.get $s))
         (call $close (local.get $s))
         (call $enter (local.get $s))
         (call $exit (i32.const 77))
         (call $enter (i32.const -1))
         (call $attributes (local.get $s) {NONE})
         (call $end (i32.const 77))
         (call $enter (i32.const 0)) (call $exit (i32.const 0)) (call $close (i32.const 0))
         (call $end (i32.const 0))",
        open(CURRENT, &d)
    );
    let (report, arrived) = script.function(r#"$go (export "go")"#, &body).run();
    assert_eq!((report.lost.stale_exits, report.lost.unknown_spans), (1, 6), "{}", report.lost);
    assert_eq!(report.lost.total(), 7);
    assert_eq!(arrived.spans().len(), 3);
}

#[test]
fn open_ones_have_a_quota_and_make_room() {
    let (script, d, _) = wrapped();
    let body = format!("(drop {0}) (drop {0}) (drop {0})", open(CURRENT, &d));
    let mut quotas = Quotas::default();
    quotas.open_spans = 2;
    let (_, report, arrived) =
        script.function(r#"$go (export "go")"#, &body).with(observer().quotas(quotas));
    assert_lost(&report, report.lost.excess_open_spans, 1);
    assert_eq!(arrived.spans().len(), 4);

    let (script, d, _) = wrapped();
    let body = format!(
        "(loop $l
           (local.set $s {})
           (call $enter (local.get $s))
           (call $close (local.get $s))
           (br_if $l (i32.lt_u
             (local.tee $t (i32.add (local.get $t) (i32.const 1))) (i32.const 9000))))",
        open(CURRENT, &d)
    );
    let (_, report, _) =
        script.function(r#"$go (export "go")"#, &body).with(observer().quotas(quotas));
    assert_eq!(report.lost, Lost::default());
    assert_eq!((row(&report, "d").calls, report.spans), (9000, 9002));
}

#[test]
fn entries_without_end_are_bounded() {
    let (script, d, _) = wrapped();
    let body = format!(
        "(local.set $s {})
         (loop $l
           (call $enter (local.get $s))
           (br_if $l (i32.lt_u
             (local.tee $t (i32.add (local.get $t) (i32.const 1))) (i32.const 300))))",
        open(CURRENT, &d)
    );
    let script = script.function(r#"$go (export "go")"#, &body);
    let (_, report, _) = script.with(observer());
    assert_lost(&report, report.lost.excess_open_spans, 300 - 256);
    let mut quotas = Quotas::default();
    quotas.open_spans = 5;
    let (_, report, _) = script.with(observer().quotas(quotas));
    assert_lost(&report, report.lost.excess_open_spans, 300 - 5);
    // The root and the call stand below.
    quotas = Quotas::default();
    quotas.depth = 10;
    let (_, report, _) = script.with(observer().quotas(quotas));
    assert_eq!(report.lost.too_deep, 300 - 8);
}

#[test]
fn a_short_one_is_folded_unless_something_is_known_of_it() {
    let (mut script, d, e) = wrapped();
    let given = script.attributes(&[("k", Given::Bool(true))]);
    let child = script.text("child");
    let body = format!(
        "(call $close {})
         (call $close (call $open {CURRENT} (i32.const 1) {e} {given}))
         (local.set $s (call $open {CURRENT} (i32.const 1) {child} {NONE}))
         (call $enter (local.get $s))
         (call $end (call $begin (i32.const 1) {e} {given}))
         (call $close (local.get $s))",
        open(CURRENT, &d)
    );
    let wat = script.function(r#"$go (export "go")"#, &body).wat();
    let mut guest = Guest::of(module(&wat).expect("valid"), observer());
    let hour = Duration::from_secs(3600);
    let report = guest.trace("go", TraceOptions::new("root").min_duration(hour));
    let spans = guest.arrived().arrived();
    let expected = [
        span("root", "", false),
        span("go", "root", false),
        span("e", "go", false),
        span("child", "go", false),
        span("e", "child", false),
    ];
    assert_eq!(spans, expected);
    assert_eq!(row(&report, "d").calls, 1);
}

#[test]
fn time_in_which_it_waits_is_told() {
    let (script, d, e) = wrapped();
    let wait = "(loop $l (br_if $l (i32.lt_u
        (local.tee $t (i32.add (local.get $t) (i32.const 1))) (i32.const 1000000))))";
    let body = format!(
        "(local.set $s {}) (call $enter (local.get $s)) (call $exit (local.get $s)) {wait}
         (call $close (local.get $s))
         (local.set $s {}) {wait} (call $close (local.get $s))",
        open(CURRENT, &d),
        open(CURRENT, &e),
    );
    let (_, arrived) = script.function(r#"$go (export "go")"#, &body).run();
    let is_told = |name| arrived.span(name).attribute("wasm.span.idle.time").is_some();
    assert!(is_told("d") && !is_told("e"), "the other was never entered");
}
