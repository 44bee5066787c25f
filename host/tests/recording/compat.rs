//! Modules made for observe-sdk, as they are.

use std::time::Duration;

use observe_collector::event::{MetricData, Number, Severity};
use observe_host::{Growth, Lost, ObservedModule, Observer, Overhead, Quotas, TraceOptions};
use observe_instrumenter::{Abi, Module as Parsed, Plan, Selection};

use crate::guest::{Guest, assemble, engine, module, observer, row, span, spans_of};

/// What modules of Dylibso's instrumenter begin with, and so the index of the first
/// function behind it: 8.
pub(crate) const IMPORTS: &str = r#"
    (import "dylibso:observe/instrument" "enter" (func $enter (param i32)))
    (import "dylibso:observe/instrument" "exit" (func $exit (param i32)))
    (import "dylibso:observe/instrument" "memory-grow" (func $memory_grow (param i32)))
    (import "dylibso:observe/api" "span-enter" (func $span_enter (param i32 i32)))
    (import "dylibso:observe/api" "span-exit" (func $span_exit))
    (import "dylibso:observe/api" "span-tags" (func $span_tags (param i32 i32)))
    (import "dylibso:observe/api" "metric" (func $metric (param i32 i32 i32)))
    (import "dylibso:observe/api" "log" (func $log (param i32 i32 i32)))"#;

/// A guest that imports all of these, and has the functions and fields of the text behind them.
pub(crate) fn theirs(text: &str) -> Guest {
    Guest::new(&format!("(module {IMPORTS} {text})"))
}

/// The same module with our hooks and with those of observe-sdk.
fn both(wat: &str) -> [Guest; 2] {
    let wasm = assemble(wat);
    let parsed = Parsed::parse(&wasm).expect("valid");
    let mut plan = Plan::new(&parsed, &Selection::all().imports(false));
    let ours = ObservedModule::planned(&engine(), &parsed, &plan).expect("it can be observed");
    plan.abi = Abi::Dylibso;
    let wasm = plan.apply(&parsed).expect("it can be instrumented").wasm;
    let theirs = ObservedModule::new(&engine(), &wasm, &Selection::all()).expect("it has hooks");
    let planned = ObservedModule::planned(&engine(), &parsed, &plan).expect("it can be observed");
    assert_eq!(theirs.hooked_functions(), planned.hooked_functions());
    [ours, planned].map(|module| Guest::of(module, observer()))
}

#[test]
fn modules_for_observe_sdk_give_the_same_spans() {
    let [mut ours, mut theirs] = both(
        r#"(module
             (tag $e)
             (type $t (func))
             (table funcref (elem $pointed_to))
             (func $pointed_to)
             (func $throws (throw $e))
             (func $passes (call $throws))
             (func $down (param i32)
               (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))))
             (func (export "trap") (call $down (i32.const 1)) unreachable)
             (func (export "go")
               (block $h (try_table (catch $e $h) (call $passes)))
               (call $down (i32.const 2))
               (call_indirect (type $t) (i32.const 0))))"#,
    );
    for export in ["go", "trap", "go"] {
        let [(_, expected), (report, told)] =
            [&mut ours, &mut theirs].map(|guest| spans_of(guest, export));
        let names = |spans: &[(String, Option<String>, bool)]| -> Vec<_> {
            spans.iter().map(|(name, parent, _)| (name.clone(), parent.clone())).collect()
        };
        assert_eq!(names(&told), names(&expected));
        assert!(told.len() >= 4, "{told:?}");
        assert_eq!(report.lost, Lost::default());
        assert_eq!(row(&report, "down").calls, row(&report, "down").timed_calls);
    }
}

const LOOP: &str = r#"(module
    (func $leaf)
    (func $twice (call $leaf) (call $leaf))
    (func (export "go") (local i32)
      (loop $l
        (call $twice)
        (br_if $l
          (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 50000))))))"#;

#[test]
fn counts_are_exact_at_any_overhead() {
    let [_, mut guest] = both(LOOP);
    let modes =
        [Overhead::budget(5.0), Overhead::off(), Overhead::all(), Overhead::off(), Overhead::all()];
    for overhead in modes {
        guest.call("go").expect("outside of a trace");
        let report = guest.trace("go", TraceOptions::new("root").overhead(overhead));
        let counts = ["go", "twice", "leaf"].map(|name| row(&report, name).calls);
        assert_eq!(counts, [1, 50_000, 100_000], "{overhead:?}");
        let timed = row(&report, "leaf").timed_calls;
        match overhead {
            _ if overhead == Overhead::all() => assert_eq!(timed, 100_000),
            _ if overhead == Overhead::off() => assert_eq!(timed, 0),
            _ => assert!((1..50_000).contains(&timed), "{timed}"),
        }
        assert_eq!(report.lost, Lost::default(), "{overhead:?}");
    }
}

#[test]
fn the_older_import_module_is_the_same() {
    let mut guest = Guest::new(
        r#"(module
             (import "dylibso_observe" "instrument_enter" (func $enter (param i32)))
             (import "dylibso_observe" "instrument_exit" (func $exit (param i32)))
             (import "dylibso_observe" "instrument_memory_grow" (func $grow (param i32)))
             (import "dylibso_observe" "span_enter" (func $span_enter (param i64 i32)))
             (import "dylibso_observe" "span_exit" (func $span_exit))
             (import "dylibso_observe" "span_tags" (func $span_tags (param i64 i32)))
             (import "dylibso_observe" "metric" (func $metric (param i32 i64 i32)))
             (import "dylibso_observe" "log" (func $log (param i32 i64 i32)))
             (memory (export "memory") 1)
             (data (i32.const 0) "a span, k:v, hits:2|c")
             (func $inner
               (call $enter (i32.const 8))
               (call $log (i32.const 2) (i64.const 0) (i32.const 6))
               (call $log (i32.const 2) (i64.const 0x100000000) (i32.const 6))
               (call $exit (i32.const 8)))
             (func $go (export "go")
               (call $enter (i32.const 9))
               (call $span_enter (i64.const 0) (i32.const 6))
               (call $span_tags (i64.const 8) (i32.const 3))
               (call $metric (i32.const 1) (i64.const 13) (i32.const 8))
               (call $inner)
               (call $span_exit)
               (drop (memory.grow (i32.const 1)))
               (call $grow (i32.const 1))
               (call $exit (i32.const 9))))"#,
    );
    let report = guest.trace("go", TraceOptions::new("root").min_duration(Duration::ZERO));
    let arrived = guest.arrived();
    let expected = [
        span("root", "", false),
        span("go", "root", false),
        span("a span", "go", false),
        span("inner", "a span", false),
    ];
    assert_eq!(arrived.arrived(), expected);
    assert_eq!(arrived.span("a span").attribute("k"), Some(&"v".into()));
    let logs = arrived.logs();
    assert_eq!(logs.len(), 1, "one is beyond the memory");
    assert_eq!((logs[0].severity, logs[0].body.as_str()), (Severity::Warn, "a span"));
    assert_eq!(logs[0].span, Some(arrived.span("inner").number));
    assert_eq!(row(&report, "go").growth.memory_bytes, 1 << 16);
    assert_eq!((report.lost.total(), report.lost.unreadable), (1, 1), "{}", report.lost);
}

#[test]
fn exits_that_are_missing_wrong_or_unknown_are_mended_and_counted() {
    let mut guest = theirs(
        r#"(func $left (call $enter (i32.const 8)))
           (func $leaves (call $enter (i32.const 9)) (call $left))
           (func $after (call $enter (i32.const 10)) (call $exit (i32.const 10)))
           (func $catches
             (call $enter (i32.const 11))
             (call $leaves)
             (call $exit (i32.const 11)))
           (func (export "go")
             (call $enter (i32.const 12))
             (call $catches)
             (call $after)
             ;; Of functions that are not open, imported, or not there.
             (call $exit (i32.const 8))
             (call $exit (i32.const 0))
             (call $exit (i32.const 13))
             (call $enter (i32.const -1))
             (call $exit (i32.const 12)))"#,
    );
    let (report, spans) = spans_of(&mut guest, "go");
    let expected = [
        span("root", "", false),
        span("go", "root", false),
        span("catches", "go", false),
        span("leaves", "catches", false),
        span("left", "leaves", false),
        span("after", "go", false),
    ];
    assert_eq!(spans, expected);
    assert_eq!((report.lost.stale_exits, report.lost.unknown_ids), (1, 3));
    assert_eq!(report.lost.total(), 4);
}

#[test]
fn calls_past_the_quota_of_depth_end_as_they_began() {
    let mut quotas = Quotas::default();
    quotas.depth = 10;
    let module = module(&format!(
        r#"(module {IMPORTS}
             (func $down (param i32)
               (call $enter (i32.const 8))
               (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1)))))
               (call $exit (i32.const 8)))
             (func $after (call $enter (i32.const 9)) (call $exit (i32.const 9)))
             (func (export "go")
               (call $enter (i32.const 10))
               (call $down (i32.const 99))
               (call $after)
               (call $exit (i32.const 10))))"#
    ));
    let mut guest = Guest::of(module.expect("valid"), observer().quotas(quotas));
    let (report, spans) = spans_of(&mut guest, "go");
    // The root and nine calls of them.
    assert_eq!(spans.iter().filter(|(name, ..)| name == "down").count(), 8);
    assert!(spans.contains(&span("after", "go", false)), "{spans:?}");
    assert_eq!((row(&report, "down").calls, report.lost.stale_exits), (100, 0));
    assert_eq!(report.lost.too_deep, report.lost.total());
}

#[test]
fn memory_that_did_not_grow_is_no_growth_whenever_it_is_told() {
    let mut guest = theirs(
        r#"(memory (export "memory") 1 4)
           (func $asks_first (param i32)
             (call $enter (i32.const 8))
             (call $memory_grow (local.get 0))
             (drop (memory.grow (local.get 0)))
             (call $exit (i32.const 8)))
           (func $tells_after (param i32)
             (call $enter (i32.const 9))
             (drop (memory.grow (local.get 0)))
             (call $memory_grow (local.get 0))
             (call $exit (i32.const 9)))
           (func (export "go")
             (call $enter (i32.const 10))
             (call $asks_first (i32.const 1))
             (call $tells_after (i32.const 2))
             (call $asks_first (i32.const 1))
             (call $tells_after (i32.const 70000))
             (call $asks_first (i32.const 0))
             (call $exit (i32.const 10)))
           (func (export "traps")
             (call $enter (i32.const 11))
             (call $memory_grow (i32.const 1))
             unreachable)"#,
    );
    let report = guest.trace("go", TraceOptions::new("root"));
    let growth = |memory_bytes, failures| {
        let mut growth = Growth::default();
        (growth.memory_bytes, growth.failures) = (memory_bytes, failures);
        growth
    };
    assert_eq!(row(&report, "asks_first").growth, growth(1 << 16, 1));
    assert_eq!(row(&report, "tells_after").growth, growth(2 << 16, 1));
    assert_eq!(row(&report, "go").growth, Growth::default());
    assert_eq!(report.growth, growth(3 << 16, 2));
    assert_eq!(report.resources.memory_bytes, Some(4 << 16));
    // What did not come to be is told in the trace in which it was to.
    let report = guest.trace("traps", TraceOptions::new("root"));
    assert_eq!(row(&report, "traps").growth, growth(0, 1));
    assert_eq!(guest.trace("go", TraceOptions::new("root")).growth, growth(0, 4));
}

/// What a guest's SDK is compiled to: functions of its own around those that it imports.
const WRAPPERS: &str = r#"
    (memory (export "memory") 1)
    (data (i32.const 0) "outerinnercolour:red,alone")
    (func $observe_api_span_enter (param i32 i32)
      (call $span_enter (local.get 0) (local.get 1)))
    (func $observe_api_span_exit (call $span_exit))
    (func $observe_api_span_tags (param i32 i32)
      (call $span_tags (local.get 0) (local.get 1)))
    (func $within)
    (func $new (call $observe_api_span_enter (i32.const 0) (i32.const 5)))
    (func $drop (call $observe_api_span_exit))
    (func (export "go")
      (call $new)
      (call $within)
      (call $observe_api_span_enter (i32.const 5) (i32.const 5))
      (call $observe_api_span_tags (i32.const 10) (i32.const 16))
      (call $within)
      (call $drop)
      (call $within)
      (call $drop)
      (call $within))"#;

#[test]
fn spans_outlive_the_wrappers_that_begin_and_end_them() {
    const API: usize = 3;
    let api: Vec<_> = IMPORTS.lines().filter(|line| line.contains("/api")).collect();
    let wat = format!("(module {} {WRAPPERS})", api.join("\n"));
    assert_eq!(IMPORTS.lines().count() - 1 - api.len(), API);
    for mut guest in both(&wat) {
        let report = guest.trace("go", TraceOptions::new("root").min_duration(Duration::ZERO));
        let arrived = guest.arrived();
        let expected = [
            ("root", ""),
            ("go", "root"),
            ("new", "go"),
            ("observe_api_span_enter", "new"),
            ("outer", "go"),
            ("within", "outer"),
            ("observe_api_span_enter", "outer"),
            ("inner", "outer"),
            ("observe_api_span_tags", "inner"),
            ("within", "inner"),
            ("drop", "inner"),
            ("observe_api_span_exit", "drop"),
            ("within", "outer"),
            ("drop", "outer"),
            ("observe_api_span_exit", "drop"),
            ("within", "go"),
        ];
        assert_eq!(arrived.arrived(), expected.map(|(name, parent)| span(name, parent, false)));
        assert_eq!(report.lost, Lost::default());
        let inner = arrived.span("inner");
        assert_eq!(inner.attribute("colour"), Some(&"red".into()));
        assert_eq!(inner.attribute("alone"), Some(&true.into()));
        // Short wrappers vanish, and the spans stay where they are.
        let hour = Duration::from_secs(3600);
        let report = guest.trace("go", TraceOptions::new("root").min_duration(hour));
        assert_eq!(report.lost, Lost::default());
        let expected = ["root", "go", "outer", "inner"];
        let spans = guest.arrived().spans();
        assert_eq!(spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_span_that_nobody_ends_is_over_when_the_host_gets_control_back() {
    let mut guest = Guest::new(
        r#"(module
             (import "host" "try" (func $try (param i32) (result i32)))
             (import "dylibso:observe/api" "span-enter" (func $span_enter (param i32 i32)))
             (import "dylibso:observe/api" "span-exit" (func $span_exit))
             (memory (export "memory") 1)
             (data (i32.const 0) "left open")
             (func (export "export 0") (call $span_enter (i32.const 0) (i32.const 9)))
             (func (export "export 1")
               (call $span_enter (i32.const 0) (i32.const 9)) unreachable)
             (func $after)
             (func (export "go")
               (drop (call $try (i32.const 0)))
               (call $after)
               (drop (call $try (i32.const 1)))
               (call $after)
               ;; There is none.
               (call $span_exit)))"#,
    );
    let (report, spans) = spans_of(&mut guest, "go");
    assert_eq!(spans.iter().filter(|s| **s == span("after", "go", false)).count(), 2, "{spans:?}");
    assert_eq!((report.lost.stale_exits, report.lost.total()), (1, 1));
}

#[test]
fn a_module_that_only_speaks_for_itself_is_instrumented() {
    let mut guest = Guest::new(
        r#"(module
             (import "dylibso_observe" "span_enter" (func $span_enter (param i64 i32)))
             (import "dylibso_observe" "span_exit" (func $span_exit))
             (memory (export "memory") 1)
             (data (i32.const 0) "said")
             (func $within)
             (func (export "go")
               (call $span_enter (i64.const 0) (i32.const 4))
               (call $within)
               (call $span_exit)))"#,
    );
    let (report, spans) = spans_of(&mut guest, "go");
    let expected = [
        span("root", "", false),
        span("go", "root", false),
        span("said", "go", false),
        span("within", "said", false),
    ];
    assert_eq!(spans, expected);
    assert_eq!(report.lost, Lost::default());
}

#[test]
fn metrics_are_added_up_over_traces_by_tenant() {
    let module = module(&format!(
        r#"(module {IMPORTS}
             (memory (export "memory") 1)
             (data (i32.const 0) "hits:2|c|#k:v\0alatency:5|ms\0anonsense\0awasm.traces:9|c")
             (func (export "go")
               (call $enter (i32.const 8))
               (call $metric (i32.const 1) (i32.const 0) (i32.const 52))
               (call $metric (i32.const 0) (i32.const 0) (i32.const 13))
               (call $exit (i32.const 8))))"#
    ));
    let mut guest = Guest::of(module.expect("valid"), observer());
    for _ in 0..3 {
        let report = guest.trace("go", TraceOptions::new("root").tenant("acme"));
        assert_eq!((report.lost.malformed_metrics, report.lost.total()), (3, 3));
    }
    let metrics = guest.tracer.observer().metrics();
    let value = |name: &str| {
        let metric = metrics.iter().find(|metric| metric.name == name).expect("it is there");
        let MetricData::Sum { monotonic: true, points, .. } = &metric.data else { panic!() };
        let [point] = &points[..] else { panic!("{points:?}") };
        let tenant = point.attributes.iter().find(|attribute| attribute.key == "wasm.tenant");
        assert_eq!(tenant.map(|tenant| &tenant.value), Some(&"acme".into()));
        point.value
    };
    assert_eq!(value("hits"), Number::Double(6.0));
    let latency = metrics.iter().find(|metric| metric.name == "latency").expect("it is there");
    assert_eq!(latency.unit, "ms");
    let MetricData::ExponentialHistogram { points, .. } = &latency.data else { panic!() };
    let [point] = &points[..] else { panic!("{points:?}") };
    assert_eq!((point.count, point.sum), (3, Some(15.0)));
    assert_eq!(value("wasm.traces"), Number::Int(3));
}

#[test]
fn a_host_that_does_not_observe_runs_them_too() {
    let wasm = assemble(&format!(
        r#"(module {IMPORTS}
             (memory (export "memory") 1)
             (func (export "go")
               (call $enter (i32.const 8))
               (call $span_enter (i32.const 0) (i32.const -1))
               (call $span_tags (i32.const 0) (i32.const -1))
               (call $metric (i32.const 1) (i32.const 0) (i32.const -1))
               (call $log (i32.const 99) (i32.const 0) (i32.const -1))
               (call $span_exit)
               (call $memory_grow (i32.const 1))
               (call $exit (i32.const 8))))"#
    ));
    let old = assemble(
        r#"(module
             (import "dylibso_observe" "instrument_enter" (func (param i32)))
             (import "dylibso_observe" "instrument_exit" (func (param i32)))
             (import "dylibso_observe" "instrument_memory_grow" (func (param i32)))
             (import "dylibso_observe" "span_enter" (func (param i64 i32)))
             (import "dylibso_observe" "span_exit" (func))
             (import "dylibso_observe" "span_tags" (func (param i64 i32)))
             (import "dylibso_observe" "metric" (func (param i32 i64 i32)))
             (import "dylibso_observe" "log" (func (param i32 i64 i32)))
             (func (export "go")))"#,
    );
    for wasm in [wasm, old] {
        let module = ObservedModule::new(&engine(), &wasm, &Selection::all()).expect("valid");
        let observer = Observer::disabled();
        let mut linker = wasmtime::Linker::new(module.module().engine());
        let tracer = observer.tracer(&mut linker, |recorder| recorder).expect("an empty linker");
        let mut store = wasmtime::Store::new(module.module().engine(), observer.recorder(&module));
        let instance = linker.instantiate(&mut store, module.module()).expect("it links");
        let traced = tracer.trace(&mut store, TraceOptions::new("root"), |store| {
            instance.get_typed_func::<(), ()>(&mut *store, "go")?.call(store, ())
        });
        traced.result.expect("it returns");
        assert!(traced.report.is_none());
    }
}
