//! What crosses the boundary of a guest: calls of the host, and room that it asks for.

use std::collections::BTreeSet;
use std::time::Duration;

use observe_collector::Collector;
use observe_collector::event::{Attribute, Value};
use observe_host::{Growth, Overhead, TraceOptions};
use observe_instrumenter::Selection;

use crate::guest::{Guest, Kept, assemble, engine, observer, row, span, spans_of};

#[test]
fn calls_of_the_host_are_spans_under_their_callers() {
    let mut guest = Guest::new(
        r#"(module
             (import "host" "try" (func $try (param i32) (result i32)))
             (table funcref (elem $try))
             (type $t (func (param i32) (result i32)))
             (func $indirectly (drop (call_indirect (type $t) (i32.const 2) (i32.const 0))))
             (func (export "export 1") (call $indirectly))
             (func (export "export 2"))
             (func (export "go") (drop (call $try (i32.const 1)))))"#,
    );
    let (report, spans) = spans_of(&mut guest, "go");
    let expected = [
        span("root", "", false),
        span("go", "root", false),
        span("host.try", "go", false),
        // The host calls back.
        span("export 1", "host.try", false),
        span("indirectly", "export 1", false),
        span("host.try", "indirectly", false),
        span("export 2", "host.try", false),
    ];
    assert_eq!(spans, expected);
    assert_eq!(row(&report, "host.try").calls, 2);
}

#[test]
fn a_call_of_the_host_that_fails_is_where_the_guest_failed() {
    let mut guest = Guest::new(
        r#"(module
             (import "other" "boom" (func $boom))
             (func $calls (call $boom))
             (func (export "go") (call $calls)))"#,
    );
    let (_, spans) = spans_of(&mut guest, "go");
    let expected = [
        span("root", "", true),
        span("go", "root", true),
        span("calls", "go", true),
        span("other.boom", "calls", true),
    ];
    assert_eq!(spans, expected);
}

/// Grows a memory by three pages, and then by more than it may.
const GROWS: &str = r#"(module
    (memory 1 4)
    (table 1 2 funcref)
    (func $failing (drop (memory.grow (i32.const 1))))
    (func $growing (param i32)
      (drop (memory.grow (local.get 0)))
      (drop (table.grow (ref.null func) (i32.const 1))))
    (func (export "go")
      (call $growing (i32.const 2))
      (call $growing (i32.const 1))
      (call $failing)
      (call $failing)))"#;

#[test]
fn memory_grow_is_charged_by_what_really_grew() {
    for overhead in [Overhead::all(), Overhead::off()] {
        let mut guest = Guest::new(GROWS);
        let report = guest.trace("go", TraceOptions::new("root").overhead(overhead));
        let growth = |memory_bytes, table_elements, failures| {
            let mut growth = Growth::default();
            (growth.memory_bytes, growth.table_elements) = (memory_bytes, table_elements);
            growth.failures = failures;
            growth
        };
        // The table has room for one element more, the memory for three pages.
        assert_eq!(row(&report, "growing").growth, growth(3 << 16, 1, 1));
        assert_eq!(row(&report, "failing").growth, growth(0, 0, 2));
        assert_eq!(row(&report, "go").growth, Growth::default());
        assert_eq!(report.growth, growth(3 << 16, 1, 3));
    }
}

/// An allocator that gives out addresses in turn, none above 4,096.
const ALLOCATES: &str = r#"(module
    (memory 1)
    (global $next (mut i32) (i32.const 16))
    (func $malloc (param i32) (result i32)
      (if (i32.gt_u (i32.add (global.get $next) (local.get 0)) (i32.const 4096))
        (then (return (i32.const 0))))
      (global.get $next)
      (global.set $next (i32.add (global.get $next) (local.get 0))))
    (func $calloc (param i32 i32) (result i32)
      (call $malloc (i32.mul (local.get 0) (local.get 1))))
    (func $realloc (param i32 i32) (result i32)
      (call $free (local.get 0))
      (call $malloc (local.get 1)))
    (func $free (param i32))
    (func $leaks (drop (call $malloc (i32.const 100))))
    (func $tidy (call $free (call $calloc (i32.const 10) (i32.const 20))))
    (func $moves (call $free (call $realloc (call $malloc (i32.const 30)) (i32.const 50))))
    (func $asks_too_much (drop (call $malloc (i32.const 5000))))
    (func (export "go")
      (call $leaks) (call $tidy) (call $moves) (call $leaks) (call $asks_too_much)))"#;

#[test]
fn the_heap_is_told_by_function_and_nothing_twice() {
    let mut guest = Guest::selected(ALLOCATES, &Selection::all().allocations(true));
    let report = guest.trace("go", TraceOptions::new("root"));
    let told = [
        report.heap.allocations,
        report.heap.allocated_bytes,
        report.heap.frees,
        report.heap.live_blocks,
        report.heap.live_bytes,
        report.heap.peak_bytes,
        report.heap.failures,
    ];
    // 100 twice, 200, 30 that became 50. At most 100 and 200 were there at a time.
    let expected = [4, 100 + 200 + 50 + 100, 2, 2, 200, 300, 1];
    assert_eq!(told, expected, "{report:#?}");
    let live = |name| row(&report, name).heap.live_bytes;
    assert_eq!(["leaks", "tidy", "moves"].map(live), [200, 0, 0]);
    assert_eq!(row(&report, "leaks").heap.allocations, 2);
    let leak = &report.heap_paths[0];
    assert_eq!(leak.functions, ["go", "leaks"], "what leaks most is first");
    assert_eq!((leak.allocations, leak.live_blocks, leak.live_bytes), (2, 2, 200));

    // What an earlier trace left and a later one frees is the earlier one's.
    let again = guest.trace("go", TraceOptions::new("root"));
    assert_eq!((again.heap.live_blocks, again.heap.failures), (2, 1));
}

#[test]
fn a_function_of_a_subtype_that_is_imported_stays_one() {
    let mut guest = Guest::new(
        r#"(module
             (type $super (sub (func (result i32))))
             (type $sub (sub $super (func (result i32))))
             (import "other" "of a subtype" (func $import (type $super)))
             (table funcref (elem $import))
             (func (export "go") (drop (call_indirect (type $sub) (i32.const 0)))))"#,
    );
    guest.call("go").expect("it is of that type");
}

#[test]
fn an_allocator_that_calls_others_tells_for_its_caller() {
    let mut guest = Guest::selected(
        r#"(module
             (memory 1)
             (func $dlmalloc (param i32) (result i32) (i32.const 16))
             (func $malloc (param i32) (result i32) (call $dlmalloc (local.get 0)))
             (func $__rdl_alloc (param i32 i32) (result i32) (call $malloc (local.get 0)))
             (func $__rust_alloc (param i32 i32) (result i32)
               (call $__rdl_alloc (local.get 0) (local.get 1)))
             (func $leaks (drop (call $__rust_alloc (i32.const 100) (i32.const 1))))
             (func (export "go") (call $leaks)))"#,
        &Selection::all().allocations(true),
    );
    let report = guest.trace("go", TraceOptions::new("root"));
    assert_eq!((report.heap.allocations, report.heap.allocated_bytes), (1, 100));
    let leaks = row(&report, "leaks").heap;
    assert_eq!((leaks.allocated_bytes, leaks.live_blocks, leaks.live_bytes), (100, 1, 100));
}

#[test]
fn making_a_module_ready_is_a_trace() {
    let kept = Kept::default();
    let collector = Collector::builder().exporter(Box::new(kept.clone())).start();
    let observer = observer().sink(collector.handle()).build();
    let wasm = assemble("(module (func $f) (func (export \"go\") (call $f)))");
    let options = || TraceOptions::new("load go").attribute(Attribute::new("name", "go"));
    let made = observer.compile(&engine(), &wasm, &Selection::all(), options());
    assert_eq!(made.expect("it compiles").hooked_functions(), 2);
    observer.compile(&engine(), b"none", &Selection::all(), options()).expect_err("no module");
    drop(observer);
    collector.shutdown(Duration::from_secs(10));
    let spans = kept.spans();
    let (traces, names): (BTreeSet<_>, Vec<_>) =
        spans.iter().map(|span| (span.trace.clone(), span.name.as_str())).unzip();
    assert_eq!(traces.len(), 2);
    assert_eq!(names, ["load go", "instrument", "compile", "load go"]);
    assert_eq!(spans[0].attribute("wasm.functions.hooked"), Some(&Value::Int(2)));
    assert_eq!(spans[0].attribute("name"), Some(&"go".into()));
    assert!(spans.iter().all(|span| span.parent.is_none() == (span.name == "load go")));
    let failed: Vec<_> = spans.iter().map(|span| span.failed).collect();
    assert_eq!(failed, [false, false, false, true]);
}
