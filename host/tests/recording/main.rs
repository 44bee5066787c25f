//! What is recorded of guests that return, throw, trap, recurse, or lie.

mod annotations;
mod boundary;
mod compat;
mod contract;
mod counts;
mod detached;
mod failure;
mod field;
mod guest;
mod host;
mod hostile;
mod load;
mod metrics;
mod quotas;
mod sampling;
mod script;
mod scripted;
mod strict;
mod tenants;
mod waiting;

use std::time::Duration;

use observe_host::{Failure, Lost, Observer, Overhead, Recorder, TraceContext, TraceOptions};
use wasmtime::{Linker, Trap};

use crate::guest::{Guest, State, engine, module, row, span, spans_of};

#[test]
fn calls_nest() {
    let mut guest = Guest::new(
        r#"(module
             (func $leaf)
             (func $middle (call $leaf) (call $leaf))
             (func (export "go") (call $middle) (call $leaf)))"#,
    );
    let (report, spans) = spans_of(&mut guest, "go");
    let expected = [
        span("root", "", false),
        span("go", "root", false),
        span("middle", "go", false),
        span("leaf", "middle", false),
        span("leaf", "middle", false),
        span("leaf", "go", false),
    ];
    assert_eq!(spans, expected);
    assert_eq!((row(&report, "leaf").calls, row(&report, "leaf").timed_calls), (3, 3));
    let (go, middle) = (row(&report, "go"), row(&report, "middle"));
    let (inside, own) = (middle.total_nanos.unwrap_or(0), go.self_nanos.unwrap_or(0));
    assert!(go.total_nanos >= Some(inside + own) && own > 0, "{report:?}");
    assert_eq!(report.lost, Lost::default());
}

#[test]
fn indirect_calls_are_seen() {
    let mut guest = Guest::new(
        r#"(module
             (type $t (func))
             (table funcref (elem $pointed_to))
             (elem declare func $referred_to)
             (func $pointed_to)
             (func $referred_to)
             (func (export "go")
               (call_indirect (type $t) (i32.const 0))
               (call_ref $t (ref.func $referred_to))))"#,
    );
    let (_, spans) = spans_of(&mut guest, "go");
    assert!(spans.contains(&span("pointed_to", "go", false)), "{spans:?}");
    assert!(spans.contains(&span("referred_to", "go", false)), "{spans:?}");
}

#[test]
fn exceptions_close_what_they_leave_and_nothing_else() {
    let mut guest = Guest::new(
        r#"(module
             (tag $e)
             (func $throws (throw $e))
             (func $passes (call $throws))
             (func $after)
             (func $inside (block $h (try_table (catch $e $h) (throw $e))) (call $after))
             (func (export "go")
               (block $h (try_table (catch $e $h) (call $passes)))
               (call $after)
               (call $inside)))"#,
    );
    let (report, spans) = spans_of(&mut guest, "go");
    let expected = [
        span("root", "", false),
        span("go", "root", false),
        span("passes", "go", true),
        span("throws", "passes", true),
        span("after", "go", false),
        span("inside", "go", false),
        span("after", "inside", false),
    ];
    assert_eq!(spans, expected);
    assert_eq!(report.lost, Lost::default());
}

#[test]
fn a_loop_of_tail_calls_leaves_one_frame_at_a_time() {
    let mut guest = Guest::new(
        r#"(module
             (func $even (param i32)
               (if (local.get 0) (then (return_call $odd (i32.sub (local.get 0) (i32.const 1))))))
             (func $odd (param i32)
               (return_call $even (i32.sub (local.get 0) (i32.const 1))))
             (func (export "go") (call $even (i32.const 200000))))"#,
    );
    let report = guest.trace("go", TraceOptions::new("root"));
    assert_eq!((row(&report, "even").calls, row(&report, "odd").calls), (100_001, 100_000));
    assert_eq!(report.lost, Lost::default());
}

#[test]
fn a_trap_closes_every_open_span_and_the_next_trace_starts_clean() {
    let mut guest = Guest::new(
        r#"(module
             (func $done)
             (func $inner (call $done) unreachable)
             (func (export "trap") (call $inner))
             (func (export "fine")))"#,
    );
    let (report, spans) = spans_of(&mut guest, "trap");
    let expected = [
        span("root", "", true),
        span("trap", "root", true),
        span("inner", "trap", true),
        span("done", "inner", false),
    ];
    assert_eq!(spans, expected);
    assert_eq!((row(&report, "inner").errors, row(&report, "done").errors), (1, 0));
    let (report, spans) = spans_of(&mut guest, "fine");
    assert_eq!(spans, [span("root", "", false), span("fine", "root", false)]);
    assert_eq!(report.functions.len(), 1, "counts start anew: {report:?}");
}

#[test]
fn a_trap_that_the_host_catches_closes_what_it_left() {
    let mut guest = Guest::new(
        r#"(module
             (import "host" "try" (func $try (param i32) (result i32)))
             (func $deep unreachable)
             (func (export "export 0") (call $deep))
             (func $after)
             (func $outer (drop (call $try (i32.const 0))))
             (func (export "go") (call $outer) (call $after)))"#,
    );
    let (report, spans) = spans_of(&mut guest, "go");
    assert!(spans.contains(&span("deep", "export 0", false)), "{spans:?}");
    // Its caller's exit closes it, so that what comes later is not under it.
    assert!(spans.contains(&span("after", "go", false)), "{spans:?}");
    assert_eq!(report.lost, Lost::default());
}

#[test]
fn a_failure_tells_its_kind_and_its_backtrace() {
    let mut guest = Guest::new(
        r#"(module
             (func $inner (drop (i32.load (i32.const -1))))
             (memory 1)
             (func (export "go") (call $inner)))"#,
    );
    let error = guest.call("go").expect_err("it traps");
    assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::MemoryOutOfBounds));
    let failure = Failure::new(&guest.module, &error);
    assert_eq!(failure.error_type, "memory_out_of_bounds");
    let frames: Vec<_> =
        failure.backtrace.iter().map(|frame| (frame.function.as_str(), frame.index)).collect();
    assert_eq!(frames, [("inner", 0), ("go", 1)], "with the indices of the original");
}

#[test]
fn recursion_is_not_counted_twice() {
    let mut guest = Guest::new(
        r#"(module
             (func $down (param i32)
               (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))))
             (func (export "go") (call $down (i32.const 1000))))"#,
    );
    let report = guest.trace("go", TraceOptions::new("root"));
    let (go, down) = (row(&report, "go"), row(&report, "down"));
    assert_eq!(down.calls, 1001);
    assert!(down.total_nanos <= go.total_nanos, "{report:?}");
    assert!(down.self_nanos <= down.total_nanos, "{report:?}");
}

const MANY_CALLS: &str = r#"(module
  (func $leaf)
  (func $twice (call $leaf) (call $leaf))
  (func (export "go") (local i32)
    (loop $l
      (call $twice)
      (br_if $l
        (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 50000))))))"#;

#[test]
fn counts_are_exact_at_any_overhead_and_in_any_order() {
    let mut guest = Guest::new(MANY_CALLS);
    let modes = [
        Overhead::budget(5.0),
        Overhead::off(),
        Overhead::all(),
        Overhead::off(),
        Overhead::budget(0.1),
        Overhead::all(),
    ];
    for overhead in modes {
        let report = guest.trace("go", TraceOptions::new("root").overhead(overhead));
        let counts = ["go", "twice", "leaf"].map(|name| row(&report, name).calls);
        assert_eq!(counts, [1, 50_000, 100_000], "{overhead:?}");
        if overhead == Overhead::all() {
            assert_eq!(row(&report, "leaf").timed_calls, 100_000, "after any other mode");
        }
    }
}

#[test]
fn calls_before_a_trace_are_not_in_it() {
    // Enough calls to be near the end of the period that a call outside a trace gets.
    let mut guest = Guest::new(
        r#"(module
             (func $leaf)
             (func (export "warm up") (local i32)
               (loop $l
                 (call $leaf)
                 (br_if $l
                   (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 65530)))))
             (func (export "go")
               (call $leaf) (call $leaf) (call $leaf) (call $leaf) (call $leaf)
               (call $leaf) (call $leaf) (call $leaf) (call $leaf) (call $leaf)))"#,
    );
    for _ in 0..2 {
        guest.call("warm up").expect("it returns");
        let report = guest.trace("go", TraceOptions::new("root"));
        let leaf = row(&report, "leaf");
        assert_eq!((leaf.calls, leaf.timed_calls), (10, 10));
    }
}

#[test]
fn what_sampling_cannot_tell_is_left_out() {
    let mut guest = Guest::new(
        r#"(module
             (func $down (param i32)
               (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))))
             (func (export "go") (local $n i32)
               (loop $l
                 (call $down (i32.const 500))
                 (br_if $l (i32.lt_u
                   (local.tee $n (i32.add (local.get $n) (i32.const 1)))
                   (i32.const 200))))))"#,
    );
    let report = guest.trace("go", TraceOptions::new("root").overhead(Overhead::budget(5.0)));
    let (go, down) = (row(&report, "go"), row(&report, "down"));
    assert_eq!(down.calls, 200 * 501);
    assert_eq!((down.total_nanos, down.self_nanos, go.self_nanos), (None, None, None));
    assert!(go.total_nanos.is_some());
}

#[test]
fn a_backtrace_through_another_module_names_its_functions() {
    let mut guest = Guest::new(
        r#"(module
             (import "other" "boom" (func $boom))
             (func $padding) (func $more_padding)
             (func (export "go") (call $boom)))"#,
    );
    let error = guest.call("go").expect_err("it traps");
    let failure = Failure::new(&guest.module, &error);
    let names: Vec<_> = failure.backtrace.iter().map(|frame| frame.function.as_str()).collect();
    assert_eq!(names, ["other_boom", "other.boom", "go"]);
}

#[test]
fn a_budget_times_some_and_off_times_none() {
    let timed = |overhead| {
        let mut guest = Guest::new(MANY_CALLS);
        let report = guest.trace("go", TraceOptions::new("root").overhead(overhead));
        row(&report, "leaf").timed_calls
    };
    assert_eq!(timed(Overhead::all()), 100_000);
    assert!((1..50_000).contains(&timed(Overhead::budget(5.0))));
    assert_eq!(timed(Overhead::off()), 0);
}

#[test]
fn short_calls_are_folded_and_counted() {
    let mut guest = Guest::new(MANY_CALLS);
    let report =
        guest.trace("go", TraceOptions::new("root").min_duration(Duration::from_secs(3600)));
    assert_eq!((report.spans, report.folded), (1, 150_001));
    assert_eq!(row(&report, "leaf").timed_calls, 100_000);
}

#[test]
fn a_host_that_panics_closes_what_is_open() {
    let mut guest = Guest::new("(module (func (export \"go\")))");
    let tracer = guest.tracer.clone();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let instance = guest.instance;
        let _ = tracer.trace(&mut guest.store, TraceOptions::new("root"), |store| {
            instance.get_typed_func::<(), ()>(&mut *store, "go")?.call(store, ())?;
            panic!("as a host may");
            #[expect(unreachable_code, reason = "the type of the closure")]
            Ok(())
        });
    }));
    assert!(panicked.is_err());
    let arrived = guest.arrived();
    assert_eq!(arrived.span("root").attribute("error.type"), Some(&"panic".into()));
    // The next trace starts clean.
    assert_eq!(spans_of(&mut guest, "go").1.len(), 2);
}

#[test]
fn a_guest_that_calls_the_hooks_itself_distorts_its_own_trace_at_most() {
    let mut guest = Guest::new(
        r#"(module
             (import "observe:hooks@1" "enter" (func $enter (param i32) (result i32 i32)))
             (import "observe:hooks@1" "exit" (func $exit (param i32)))
             (import "observe:guest@1" "span-begin" (func $begin (param i32 i32) (result i32)))
             (import "observe:guest@1" "span-end" (func $end (param i32)))
             (memory (export "memory") 1)
             (func (export "go") (local $n i32)
               ;; Ids that no function has, tokens that nobody gave, the root's among them.
               (drop (drop (call $enter (i32.const 99))))
               (drop (drop (call $enter (i32.const -1))))
               (call $exit (i32.const 0))
               (call $exit (i32.const 1))
               (call $exit (i32.const -1))
               (call $exit (i32.const 0x80000000))
               (call $exit (i32.const 0x7fffffff))
               (call $exit (i32.const -1048577))
               ;; Names beyond the memory, and of no length that could be.
               (drop (call $begin (i32.const -1) (i32.const 1)))
               (drop (call $begin (i32.const 65530) (i32.const 100)))
               (drop (call $begin (i32.const 0) (i32.const -1)))
               (call $end (i32.const -5))
               ;; A name with bytes that are no UTF-8.
               (i32.store (i32.const 0) (i32.const 0xff41fe42))
               (call $end (call $begin (i32.const 0) (i32.const 4)))
               ;; Entries without end.
               (loop $l
                 (drop (drop (call $enter (i32.const 0))))
                 (br_if $l (i32.lt_u
                   (local.tee $n (i32.add (local.get $n) (i32.const 1)))
                   (i32.const 100000))))))"#,
    );
    let report = guest.trace("go", TraceOptions::new("root"));
    assert_eq!(report.lost.unknown_ids, 2);
    assert!(report.lost.stale_exits >= 5, "{report:?}");
    assert_eq!(report.lost.unreadable, 3);
    assert_eq!(report.lost.malformed_texts, 1);
    assert!(report.lost.too_deep > 30_000, "{report:?}");
    assert_eq!(row(&report, "B\u{fffd}A\u{fffd}").calls, 1);
    let (_, spans) = spans_of(&mut guest, "go");
    assert_eq!(spans.iter().filter(|span| span.1.is_none()).count(), 1, "one root");
}

#[test]
fn a_span_that_is_left_open_ends_with_its_function() {
    let mut guest = Guest::new(
        r#"(module
             (import "observe:guest@1" "span-begin" (func $begin (param i32 i32) (result i32)))
             (memory (export "memory") 1)
             (data (i32.const 0) "left open")
             (func $careless (drop (call $begin (i32.const 0) (i32.const 9))))
             (func $after)
             (func (export "go") (call $careless) (call $after)))"#,
    );
    let (_, spans) = spans_of(&mut guest, "go");
    assert!(spans.contains(&span("left open", "careless", false)), "{spans:?}");
    assert!(spans.contains(&span("after", "go", false)), "{spans:?}");
}

#[test]
fn names_without_end_are_cut_to_the_quota() {
    let mut guest = Guest::new(
        r#"(module
             (import "observe:guest@1" "span-begin" (func $begin (param i32 i32) (result i32)))
             (import "observe:guest@1" "span-end" (func $end (param i32)))
             (memory (export "memory") 1)
             (func (export "go") (local $n i32)
               (loop $l
                 (i32.store (i32.const 0) (i32.or (local.get $n) (i32.const 0x40404040)))
                 (i32.store8 (i32.const 1) (i32.add (i32.const 33) (i32.and (local.get $n) (i32.const 63))))
                 (i32.store8 (i32.const 2) (i32.add (i32.const 33) (i32.shr_u (local.get $n) (i32.const 6))))
                 (call $end (call $begin (i32.const 1) (i32.const 2)))
                 (br_if $l (i32.lt_u
                   (local.tee $n (i32.add (local.get $n) (i32.const 1)))
                   (i32.const 2000))))))"#,
    );
    let report = guest.trace("go", TraceOptions::new("root"));
    assert_eq!(report.lost.excess_names, 1000);
    assert_eq!(row(&report, "(more names)").calls, 1000);
}

#[test]
fn a_contract_of_another_version_is_named() {
    for contract in ["hooks", "guest"] {
        let wat = format!(
            r#"(module (import "observe:{contract}@99" "enter" (func (param i32)))
                       (func (export "go")))"#
        );
        let error = module(&wat).expect_err("it is refused").to_string();
        for version in [99, 1] {
            assert!(error.contains(&format!("observe:{contract}@{version}")), "{error}");
        }
    }
}

#[test]
fn hooks_are_added_once() {
    fn recorder(state: &mut State) -> &mut Recorder {
        &mut state.recorder
    }
    for observer in [Observer::default(), Observer::disabled()] {
        let mut linker: Linker<State> = Linker::new(&engine());
        observer.tracer(&mut linker, recorder).expect("an empty linker");
        let error = observer.tracer(&mut linker, recorder).expect_err("they are there");
        assert!(error.to_string().contains("observe:hooks@1"), "{error}");
    }
}

#[test]
fn a_parent_of_another_process_is_kept() {
    let mut guest = Guest::new("(module (func (export \"go\")))");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let parent: TraceContext = parent.parse().expect("it is one");
    let report = guest.trace("go", TraceOptions::new("root").parent(parent));
    assert_eq!(report.trace_id, parent.trace_id);
    let root = guest.arrived().span("root");
    assert_eq!(root.trace, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(root.remote.as_deref(), Some("00f067aa0ba902b7"));

    // One that is not sampled is not recorded, but for the statistics.
    let parent = TraceContext { sampled: false, ..parent };
    let report = guest.trace("go", TraceOptions::new("root").parent(parent));
    assert_eq!(row(&report, "go").calls, 1);
    assert!(guest.arrived().spans().is_empty());
}
