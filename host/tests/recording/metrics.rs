//! What guests measure.

use std::time::Duration;

use observe_collector::event::{
    Attribute, ExponentialHistogramPoint, Metric, MetricData, Number, Point, Temporality,
};
use observe_host::{Lost, Misuse, Quotas, Recorder, Redaction, TraceContext, TraceOptions};
use wasmtime::{Linker, Store};

use crate::guest::{Guest, module, observer};
use crate::quotas::Words;

/// The imports of a guest that measures, and a memory with its texts: a name of eight bytes at 0,
/// 16, and so on.
fn measuring(names: &[&str], body: &str) -> String {
    let texts: String = names.iter().map(|name| format!("{name:\0<16}")).collect();
    let texts = texts.replace('\0', "\\00");
    format!(
        r#"(module
             (import "observe:guest@2" "instrument"
               (func $instrument (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
             (import "observe:guest@2" "record-i64" (func $i64 (param i32 i64 i32 i32)))
             (import "observe:guest@2" "record-f64" (func $f64 (param i32 f64 i32 i32)))
             (import "observe:guest@2" "submit" (func $submit (param i32 i32)))
             (memory (export "memory") 1)
             (data (i32.const 0) "{texts}")
             (func $named (param $kind i32) (param $at i32) (param $len i32) (result i32)
               (call $instrument (local.get $kind) (local.get $at) (local.get $len)
                 (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
             {body})"#
    )
}

fn metric(metrics: &[Metric], name: &str) -> Metric {
    let found = metrics.iter().find(|metric| metric.name == name);
    found.unwrap_or_else(|| panic!("no {name}: {metrics:?}")).clone()
}

fn guest_metric(guest: &Guest, name: &str) -> Metric {
    metric(&guest.tracer.observer().metrics(), name)
}

#[track_caller]
fn the_sum(metric: &Metric, monotonic: bool) -> Number {
    let MetricData::Sum { points, monotonic: is_monotonic, temporality, start_unix_nanos } =
        &metric.data
    else {
        panic!("{metric:?}")
    };
    assert_eq!((*is_monotonic, *temporality), (monotonic, Temporality::Cumulative));
    let [Point { value, time_unix_nanos, .. }] = &points[..] else { panic!("{points:?}") };
    assert!(time_unix_nanos >= start_unix_nanos && *start_unix_nanos > 1 << 60);
    *value
}

#[track_caller]
fn the_gauge(metric: &Metric) -> Number {
    let MetricData::Gauge(points) = &metric.data else { panic!("{metric:?}") };
    let [point] = &points[..] else { panic!("{points:?}") };
    point.value
}

#[track_caller]
fn the_histogram(metric: &Metric) -> ExponentialHistogramPoint {
    let MetricData::ExponentialHistogram { points, temporality, .. } = &metric.data else {
        panic!("{metric:?}")
    };
    assert_eq!(*temporality, Temporality::Cumulative);
    let [point] = &points[..] else { panic!("{points:?}") };
    point.clone()
}

const OF_EACH_KIND: &str = r#"
  (global $counter (mut i32) (i32.const 0))
  (global $updown (mut i32) (i32.const 0))
  (global $gauge (mut i32) (i32.const 0))
  (global $histo (mut i32) (i32.const 0))
  ;; Outside of any trace.
  (func $start
    (global.set $counter (call $instrument (i32.const 1) (i32.const 0) (i32.const 6)
      (i32.const 64) (i32.const 7) (i32.const 80) (i32.const 12)))
    (global.set $updown (call $named (i32.const 2) (i32.const 16) (i32.const 5)))
    (global.set $gauge (call $named (i32.const 3) (i32.const 32) (i32.const 5)))
    (global.set $histo (call $named (i32.const 4) (i32.const 48) (i32.const 5)))
    (call $i64 (global.get $counter) (i64.const 1000) (i32.const 0) (i32.const 0)))
  (start $start)
  (func (export "ints")
    (call $i64 (global.get $counter) (i64.const 1) (i32.const 0) (i32.const 0))
    (call $i64 (global.get $counter) (i64.const 2) (i32.const 0) (i32.const 0))
    (call $i64 (global.get $updown) (i64.const 5) (i32.const 0) (i32.const 0))
    (call $i64 (global.get $updown) (i64.const -7) (i32.const 0) (i32.const 0))
    (call $i64 (global.get $gauge) (i64.const 9) (i32.const 0) (i32.const 0))
    (call $i64 (global.get $gauge) (i64.const 7) (i32.const 0) (i32.const 0))
    (call $f64 (global.get $histo) (f64.const 9.5) (i32.const 0) (i32.const 0))
    (call $i64 (global.get $histo) (i64.const 20) (i32.const 0) (i32.const 0)))
  (func (export "floats")
    (call $f64 (global.get $counter) (f64.const 0.5) (i32.const 0) (i32.const 0))
    (call $f64 (global.get $updown) (f64.const -0.5) (i32.const 0) (i32.const 0))
    (call $f64 (global.get $gauge) (f64.const 0.25) (i32.const 0) (i32.const 0)))
  (func (export "wrongs")
    (call $i64 (global.get $counter) (i64.const -1) (i32.const 0) (i32.const 0))
    (call $f64 (global.get $counter) (f64.const -0.5) (i32.const 0) (i32.const 0))
    (call $f64 (global.get $counter) (f64.const nan) (i32.const 0) (i32.const 0))
    (call $f64 (global.get $updown) (f64.const inf) (i32.const 0) (i32.const 0))
    (call $f64 (global.get $gauge) (f64.const -inf) (i32.const 0) (i32.const 0))
    (call $f64 (global.get $histo) (f64.const nan) (i32.const 0) (i32.const 0))
    ;; None of these is one, and 0 is known to be none.
    (call $i64 (i32.const 0) (i64.const 1) (i32.const 0) (i32.const 0))
    (call $i64 (i32.const 5) (i64.const 1) (i32.const 0) (i32.const 0))
    (call $f64 (i32.const -1) (f64.const 1) (i32.const 0) (i32.const 0))
    (call $i64 (i32.const 0x7fffffff) (i64.const 1) (i32.const -1) (i32.const -1)))
"#;

fn of_each_kind() -> Guest {
    let names = ["orders", "carts", "stock", "price", "{order}", "orders taken"];
    Guest::new(&measuring(&names, OF_EACH_KIND))
}

#[test]
fn instruments_of_each_kind_are_added_up_over_traces() {
    let mut guest = of_each_kind();
    // What is measured outside of a trace is nobody's.
    guest.call("ints").expect("it returns");
    for _ in 0..2 {
        let report = guest.trace("ints", TraceOptions::new("root").tenant("acme"));
        assert_eq!(report.lost, Lost::default());
    }
    let orders = guest_metric(&guest, "orders");
    assert_eq!((&*orders.unit, &*orders.description), ("{order}", "orders taken"));
    assert_eq!(the_sum(&orders, true), Number::Int(6));
    let MetricData::Sum { points, .. } = &orders.data else { panic!("{orders:?}") };
    assert_eq!(points[0].attributes, [Attribute::new("wasm.tenant", "acme")]);
    assert_eq!(the_sum(&guest_metric(&guest, "carts"), false), Number::Int(-4));
    assert_eq!(the_gauge(&guest_metric(&guest, "stock")), Number::Int(7));
    let price = the_histogram(&guest_metric(&guest, "price"));
    assert_eq!((price.count, price.sum, price.min), (4, Some(59.0), Some(9.5)));

    guest.trace("floats", TraceOptions::new("root").tenant("acme"));
    assert_eq!(the_sum(&guest_metric(&guest, "orders"), true), Number::Double(6.5));
    assert_eq!(the_sum(&guest_metric(&guest, "carts"), false), Number::Double(-4.5));
    assert_eq!(the_gauge(&guest_metric(&guest, "stock")), Number::Double(0.25));
}

#[test]
fn measurements_that_cannot_be_are_counted() {
    let mut guest = of_each_kind();
    let report = guest.trace("wrongs", TraceOptions::new("root"));
    assert_eq!((report.lost.invalid_measurements, report.lost.unknown_instruments), (6, 3));
    assert_eq!(report.lost.total(), 9);
    let metrics = guest.tracer.observer().metrics();
    assert!(metrics.iter().all(|metric| metric.name.starts_with("wasm.")), "{metrics:?}");
}

#[test]
fn instruments_that_cannot_be_are_none_and_the_same_is_given_twice() {
    let mut guest = Guest::new(&measuring(
        &["a", "wasm.x"],
        r#"(func $same (param $a i32) (param $b i32)
             (if (i32.ne (local.get $a) (local.get $b)) (then unreachable)))
           (func (export "go")
             ;; Of no kind, without a name, with one of the host's, out of reach.
             (call $same (call $named (i32.const 0) (i32.const 0) (i32.const 1)) (i32.const 0))
             (call $same (call $named (i32.const 5) (i32.const 0) (i32.const 1)) (i32.const 0))
             (call $same (call $named (i32.const 1) (i32.const 0) (i32.const 0)) (i32.const 0))
             (call $same (call $named (i32.const 1) (i32.const 16) (i32.const 6)) (i32.const 0))
             (call $same (call $named (i32.const 1) (i32.const -1) (i32.const 6)) (i32.const 0))
             (call $same (call $named (i32.const 1) (i32.const 0) (i32.const 1)) (i32.const 1))
             (call $same (call $named (i32.const 1) (i32.const 0) (i32.const 1)) (i32.const 1))
             ;; Of another kind.
             (call $same (call $named (i32.const 2) (i32.const 0) (i32.const 1)) (i32.const 2))
             (call $same (call $named (i32.const 2) (i32.const 0) (i32.const 1)) (i32.const 2))
             (call $i64 (i32.const 1) (i64.const 3) (i32.const 0) (i32.const 0))
             (call $i64 (i32.const 2) (i64.const -3) (i32.const 0) (i32.const 0)))"#,
    ));
    let report = guest.trace("go", TraceOptions::new("root"));
    let lost = report.lost;
    assert_eq!((lost.malformed_metrics, lost.unreadable, lost.conflicting_metrics), (4, 1, 1));
    assert_eq!(lost.total(), 6);
    let metrics = guest.tracer.observer().metrics();
    let both: Vec<_> = metrics.into_iter().filter(|metric| metric.name == "a").collect();
    let [rising, other] = &both[..] else { panic!("{both:?}") };
    assert_eq!((the_sum(rising, true), the_sum(other, false)), (Number::Int(3), Number::Int(-3)));
}

#[test]
fn instruments_past_the_quota_of_names_share_one_of_their_kind() {
    let wat = measuring(
        &["a", "b", "c", "d"],
        r#"(func (export "go")
             (call $i64 (call $named (i32.const 1) (i32.const 0) (i32.const 1)) (i64.const 1) (i32.const 0) (i32.const 0))
             (call $i64 (call $named (i32.const 1) (i32.const 16) (i32.const 1)) (i64.const 2) (i32.const 0) (i32.const 0))
             (call $i64 (call $named (i32.const 1) (i32.const 32) (i32.const 1)) (i64.const 4) (i32.const 0) (i32.const 0))
             (call $i64 (call $named (i32.const 2) (i32.const 48) (i32.const 1)) (i64.const 8) (i32.const 0) (i32.const 0)))"#,
    );
    let mut quotas = Quotas::default();
    quotas.names = 1;
    let mut guest = Guest::of(module(&wat).expect("valid"), observer().quotas(quotas));
    let report = guest.trace("go", TraceOptions::new("root"));
    assert_eq!((report.lost.excess_names, report.lost.total()), (3, 3), "{}", report.lost);
    assert_eq!(the_sum(&guest_metric(&guest, "a"), true), Number::Int(1));
    assert_eq!(the_sum(&guest_metric(&guest, "(more names)"), true), Number::Int(6));
}

#[test]
fn measurements_for_a_series_that_is_known_have_no_quota() {
    let wat = measuring(
        &["a"],
        r#"(func (export "go") (local $n i32) (local $a i32)
             (local.set $a (call $named (i32.const 1) (i32.const 0) (i32.const 1)))
             (loop $l
               (call $i64 (local.get $a) (i64.const 1) (i32.const 0) (i32.const 0))
               (br_if $l (i32.lt_u
                 (local.tee $n (i32.add (local.get $n) (i32.const 1)))
                 (i32.const 1000)))))"#,
    );
    let mut quotas = Quotas::default();
    quotas.events_per_second = 1;
    let mut guest = Guest::of(module(&wat).expect("valid"), observer().quotas(quotas));
    let report = guest.trace("go", TraceOptions::new("root"));
    assert_eq!(report.lost, Lost::default());
    assert_eq!(the_sum(&guest_metric(&guest, "a"), true), Number::Int(1000));
}

#[test]
fn what_is_measured_is_told_while_the_trace_goes_on_and_after_a_trap() {
    let wat = measuring(
        &["a"],
        r#"(func (export "go") (local $a i32)
             (local.set $a (call $named (i32.const 1) (i32.const 0) (i32.const 1)))
             (call $i64 (local.get $a) (i64.const 1) (i32.const 0) (i32.const 0))
             (call $i64 (local.get $a) (i64.const 2) (i32.const 0) (i32.const 0))
             unreachable)"#,
    );
    let mut guest = Guest::new(&wat);
    let tracer = guest.tracer.clone();
    let instance = guest.instance;
    let traced = tracer.trace(&mut guest.store, TraceOptions::new("root"), |store| {
        let trapped = instance.get_typed_func::<(), ()>(&mut *store, "go")?.call(store, ());
        assert!(trapped.is_err());
        let metrics = tracer.observer().metrics();
        assert_eq!(the_sum(&metric(&metrics, "a"), true), Number::Int(3));
        Ok(())
    });
    traced.result.expect("it is caught");
    assert_eq!(the_sum(&guest_metric(&guest, "a"), true), Number::Int(3));
}

#[test]
fn exemplars_lead_to_the_span_in_which_a_value_was_measured() {
    let wat = measuring(
        &["a"],
        r#"(func $inner
             (call $f64 (call $named (i32.const 4) (i32.const 0) (i32.const 1))
               (f64.const 0.5) (i32.const 0) (i32.const 0)))
           (func (export "go") (call $inner))"#,
    );
    let mut guest = Guest::new(&wat);
    // However short the span is.
    let hour = TraceOptions::new("root").min_duration(Duration::from_secs(3600));
    guest.trace("go", hour);
    let span = guest.arrived().span("inner");
    let point = the_histogram(&guest_metric(&guest, "a"));
    let [exemplar] = &point.exemplars[..] else { panic!("{point:?}") };
    assert_eq!(exemplar.value, Number::Double(0.5));
    assert_eq!(exemplar.trace_id.map(|id| id.to_string()), Some(span.trace));
    assert_eq!(exemplar.span_id.map(|id| id.to_string()), Some(span.id));
    assert!((span.start..=span.end).contains(&exemplar.time_unix_nanos));

    // A trace that is not sent has none.
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let parent: TraceContext = parent.parse().expect("it is one");
    guest.trace("go", TraceOptions::new("root").parent(parent));
    let point = the_histogram(&guest_metric(&guest, "a"));
    assert_eq!((point.count, point.exemplars.len()), (2, 1));
}

/// Records of attributes: `express` is true, `customer` is `ada`, and both the other way round, in
/// which `ada` stands elsewhere; then `n`, an integer, whose value the guest sets.
const ATTRIBUTES: &str = r#"
  (data (i32.const 1024) "expresscustomerada_adan")
  (data (i32.const 2048)
    "\00\04\00\00\07\00\00\00\01\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00"
    "\07\04\00\00\08\00\00\00\00\00\00\00\03\00\00\00\0f\04\00\00\00\00\00\00"
    "\07\04\00\00\08\00\00\00\00\00\00\00\03\00\00\00\13\04\00\00\00\00\00\00"
    "\00\04\00\00\07\00\00\00\01\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00"
    "\16\04\00\00\01\00\00\00\02\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")"#;

/// Records with attributes, so many times.
fn with_attributes(times: u32, calls: &str) -> String {
    let body = format!(
        r#"{ATTRIBUTES}
           (func (export "go") (local $a i32) (local $h i32) (local $times i32)
             (local.set $a (call $named (i32.const 1) (i32.const 0) (i32.const 1)))
             (local.set $h (call $named (i32.const 4) (i32.const 16) (i32.const 1)))
             (loop $l
               {calls}
               (br_if $l (i32.lt_u
                 (local.tee $times (i32.add (local.get $times) (i32.const 1)))
                 (i32.const {times})))))"#
    );
    measuring(&["a", "h"], &body)
}

fn sums(metric: &Metric) -> Vec<(Vec<Attribute>, Number)> {
    let MetricData::Sum { points, .. } = &metric.data else { panic!("{metric:?}") };
    points.iter().map(|point| (point.attributes.clone(), point.value)).collect()
}

#[test]
fn attributes_tell_series_apart_and_known_ones_have_no_quota() {
    let wat = with_attributes(
        100,
        "(call $i64 (local.get $a) (i64.const 1) (i32.const 2048) (i32.const 2))
         (call $i64 (local.get $a) (i64.const 1) (i32.const 2096) (i32.const 2))
         (call $i64 (local.get $a) (i64.const 1) (i32.const 2048) (i32.const 1))
         (call $i64 (local.get $a) (i64.const 1) (i32.const 0) (i32.const 0))
         (call $f64 (local.get $h) (f64.const 0.5) (i32.const 2048) (i32.const 2))",
    );
    let mut quotas = Quotas::default();
    // Two series are asked for in two orders.
    quotas.events_per_second = 5;
    let mut guest = Guest::of(module(&wat).expect("valid"), observer().quotas(quotas));
    let report = guest.trace("go", TraceOptions::new("root"));
    assert_eq!(report.lost, Lost::default());
    let express = Attribute::new("express", true);
    let both = vec![Attribute::new("customer", "ada"), express.clone()];
    let mut sums = sums(&guest_metric(&guest, "a"));
    sums.sort_by_key(|(attributes, _)| attributes.len());
    let [none, one, two] = &sums[..] else { panic!("{sums:?}") };
    assert_eq!(none, &(vec![], Number::Int(100)));
    assert_eq!(one, &(vec![express], Number::Int(100)));
    assert_eq!(two, &(both.clone(), Number::Int(200)));
    let point = the_histogram(&guest_metric(&guest, "h"));
    assert_eq!((point.attributes, point.count), (both, 100));
}

#[test]
fn new_series_have_the_quota_of_events_and_that_of_series() {
    let wat = with_attributes(
        100,
        "(i64.store (i32.const 2160) (i64.extend_i32_u (local.get $times)))
         (call $i64 (local.get $a) (i64.const 1) (i32.const 2144) (i32.const 1))",
    );
    let traced = |change: fn(&mut Quotas)| {
        let mut quotas = Quotas::default();
        change(&mut quotas);
        let mut guest = Guest::of(module(&wat).expect("valid"), observer().quotas(quotas));
        let report = guest.trace("go", TraceOptions::new("root"));
        (report.lost, sums(&guest_metric(&guest, "a")))
    };
    let (lost, sums) = traced(|quotas| quotas.metric_series = 10);
    assert_eq!((lost.excess_series, lost.total()), (90, 90));
    let overflow = vec![Attribute::new("otel.metric.overflow", true)];
    assert!(sums.contains(&(overflow, Number::Int(90))), "{sums:?}");
    assert!(sums.contains(&(vec![Attribute::new("n", 9_i64)], Number::Int(1))), "{sums:?}");

    let (lost, sums) = traced(|quotas| quotas.events_per_second = 10);
    // However long it takes.
    let kept = 100 - lost.excess_events;
    assert_eq!((lost.total(), sums.len() as u64), (lost.excess_events, kept));
    assert!((10..100).contains(&kept), "{lost}");
}

#[test]
fn attributes_that_are_lost_are_counted_once_for_a_series() {
    let wat = with_attributes(
        100,
        "(call $i64 (local.get $a) (i64.const 1) (i32.const 2048) (i32.const 2))",
    );
    let redaction = Redaction::allow_only(["express"]);
    let mut guest = Guest::of(module(&wat).expect("valid"), observer().redaction(redaction));
    let report = guest.trace("go", TraceOptions::new("root"));
    assert_eq!((report.lost.redacted, report.lost.total()), (1, 1));
    let expected = (vec![Attribute::new("express", true)], Number::Int(100));
    assert_eq!(sums(&guest_metric(&guest, "a")), [expected]);
}

#[test]
fn a_measurement_whose_attributes_are_out_of_reach_is_counted() {
    let wat = with_attributes(
        3,
        "(call $i64 (local.get $a) (i64.const 1) (i32.const -1) (i32.const 2))
         (call $i64 (local.get $a) (i64.const 1) (i32.const 0) (i32.const -1))
         ;; One that is only in part is left out.
         (i64.store (i32.const 2160) (i64.const 7))
         (i32.store (i32.const 2144) (i32.const -1))
         (call $i64 (local.get $a) (i64.const 1) (i32.const 2120) (i32.const 2))",
    );
    let mut guest = Guest::new(&wat);
    let report = guest.trace("go", TraceOptions::new("root"));
    assert_eq!((report.lost.unreadable, report.lost.total()), (9, 9));
    let expected = (vec![Attribute::new("express", true)], Number::Int(3));
    assert_eq!(sums(&guest_metric(&guest, "a")), [expected]);
}

#[test]
fn measurements_in_a_batch_are_those_of_calls() {
    let wat = with_attributes(
        3,
        "(i64.store (i32.const 4096) (i64.const 0x1_0000_0004)) ;; for instrument 1,
         (i64.store (i32.const 4112) (i64.const 0x1_0000_0800)) ;; with an attribute,
         (i64.store (i32.const 4120) (i64.const 5))
         (i64.store (i32.const 4128) (i64.const 0x2_0000_0005)) ;; and for instrument 2
         (f64.store (i32.const 4152) (f64.const 0.5))
         (call $submit (i32.const 4096) (i32.const 2))",
    );
    let mut guest = Guest::new(&wat);
    let report = guest.trace("go", TraceOptions::new("root"));
    assert_eq!(report.lost, Lost::default());
    let expected = (vec![Attribute::new("express", true)], Number::Int(15));
    assert_eq!(sums(&guest_metric(&guest, "a")), [expected]);
    let point = the_histogram(&guest_metric(&guest, "h"));
    assert_eq!((point.count, point.sum), (3, Some(1.5)));
}

#[test]
fn a_strict_host_traps_for_measurements_that_cannot_be() {
    let names = ["orders", "carts", "stock", "price", "{order}", "orders taken"];
    let wat = measuring(&names, OF_EACH_KIND);
    let strict = observer().strict(true);
    let mut guest = Guest::of(module(&wat).expect("valid"), strict);
    for (export, expected) in [("ints", None), ("wrongs", Some("record-i64"))] {
        let result = guest.traced(export, TraceOptions::new("root")).result;
        let misuse = result.err().and_then(|error| error.downcast_ref::<Misuse>().cloned());
        assert_eq!(misuse.map(|misuse| misuse.name), expected);
    }
}

#[test]
fn sums_over_many_stores_are_exact_while_metrics_are_asked_for() {
    const THREADS: i64 = 4;
    const TRACES: i64 = 20;
    let wat = with_attributes(
        1000,
        "(call $i64 (local.get $a) (i64.const 1) (i32.const 2048) (i32.const 2))
         (call $f64 (local.get $h) (f64.const 0.5) (i32.const 0) (i32.const 0))",
    );
    let module = module(&wat).expect("valid");
    let observer = observer().build();
    let mut linker = Linker::new(module.module().engine());
    let tracer = observer.tracer(&mut linker, |recorder: &mut Recorder| recorder);
    let (tracer, expected) = (tracer.expect("an empty linker"), THREADS * TRACES * 1000);
    let linked = linker.instantiate_pre(module.module()).expect("it links");
    let so_far = || {
        let metrics = observer.metrics();
        let is_there = metrics.iter().any(|metric| metric.name == "a");
        if is_there { the_sum(&metric(&metrics, "a"), true) } else { Number::Int(0) }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..TRACES {
                    let recorder = observer.recorder(&module);
                    let mut store = Store::new(module.module().engine(), recorder);
                    let traced = tracer.trace(&mut store, TraceOptions::new("root"), |store| {
                        let instance = tracer.instantiate(store, &linked)?;
                        instance.get_typed_func::<(), ()>(&mut *store, "go")?.call(store, ())
                    });
                    traced.result.expect("it returns");
                }
            });
        }
        let mut before = 0;
        while before < expected {
            let Number::Int(now) = so_far() else { panic!("no integer") };
            assert!((before..=expected).contains(&now), "{now} after {before}");
            before = now;
        }
    });
    assert_eq!(so_far(), Number::Int(expected));
    let point = the_histogram(&metric(&observer.metrics(), "h"));
    assert_eq!((point.count, point.sum), (80_000, Some(40_000.0)));
}

/// What comes of lines of statsd.
fn statsd(lines: &str) -> Vec<Metric> {
    let wat = Words::default().metric(lines).wat();
    let mut guest = Guest::of(module(&wat).expect("valid"), observer());
    let report = guest.trace("go", TraceOptions::new("root"));
    assert_eq!(report.lost, Lost::default());
    guest.tracer.observer().metrics()
}

#[test]
fn lines_of_statsd_of_each_type_become_metrics() {
    let metrics = statsd(
        "counter:2|c|@0.5\ncounter:1|c|#k:v\n\
         gauge:7|g\ngauge:+2|g\ngauge:-4|g\n\
         timer:320:80|ms|@0.1\n\
         histo:3|h\nhisto:5|h|T1656581400|c:ci-0123\n\
         dist:-1.5|d|@0.25\n\
         set:ada|s\nset:grace|s\nset:ada|s\nset:a:b|s",
    );
    let counter = metric(&metrics, "counter");
    let MetricData::Sum { monotonic: true, points, .. } = &counter.data else {
        panic!("{counter:?}")
    };
    let points: Vec<_> = points.iter().map(|point| (&point.attributes[..], point.value)).collect();
    let tags = [Attribute::new("k", "v")];
    assert_eq!(points, [(&[][..], Number::Double(4.0)), (&tags, Number::Double(1.0))]);
    assert_eq!(the_gauge(&metric(&metrics, "gauge")), Number::Double(5.0));
    let timer = metric(&metrics, "timer");
    let point = the_histogram(&timer);
    assert_eq!((&*timer.unit, point.count, point.sum), ("ms", 20, Some(4000.0)));
    assert_eq!((point.min, point.max), (Some(80.0), Some(320.0)));
    let histogram = metric(&metrics, "histo");
    let point = the_histogram(&histogram);
    assert_eq!((&*histogram.unit, point.count, point.sum), ("", 2, Some(8.0)));
    let point = the_histogram(&metric(&metrics, "dist"));
    assert_eq!((point.count, point.sum, point.negative.counts), (4, Some(-6.0), vec![4]));
    assert_eq!(the_gauge(&metric(&metrics, "set")), Number::Int(3));
}
