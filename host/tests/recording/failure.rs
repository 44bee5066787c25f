//! Guests that fail, in each way that there is: what is open ends at that moment, the innermost
//! span and one log record tell why, and the next trace starts clean.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use observe_collector::event::{Severity, Value};
use observe_host::{Lost, Overhead, Report, TraceOptions, Traced};
use observe_instrumenter::Cells;
use wasmtime::{Caller, Config, Instance, Store, StoreLimitsBuilder, Trap};

use crate::guest::{Kept, State, observer, row, span};
use crate::host::{Host, call, call_back};

fn host() -> Host {
    Host::new(
        Config::new().wasm_exceptions(true).wasm_function_references(true).wasm_gc(true),
        observer().min_duration(Duration::ZERO),
    )
}

fn traced(host: &Host, store: &mut Store<State>, instance: Instance, export: &str) -> Traced<()> {
    host.tracer.trace(store, TraceOptions::new("root"), |store| call(store, instance, export))
}

fn report(traced: Traced<()>) -> Report {
    traced.report.expect("a trace of its own")
}

/// Checks that exactly one span tells of the failure, and one log record that is tied to it.
fn is_told_once(arrived: &Kept, name: &str, error_type: &str) {
    let spans = arrived.spans();
    let telling = spans.iter().filter(|span| span.attribute("error.type").is_some());
    let telling: Vec<_> = telling.map(|span| span.name.as_str()).collect();
    assert_eq!(telling, [name], "{error_type}");
    let span = arrived.span(name);
    assert_eq!(span.attribute("error.type"), Some(&error_type.into()));
    let [log] = &arrived.logs()[..] else { panic!("{} logs", arrived.logs().len()) };
    assert_eq!((log.span, log.severity), (Some(span.number), Severity::Error));
    let said = |key| log.attributes.iter().find(|said| said.key == key).map(|said| &said.value);
    assert_eq!(said("exception.type"), Some(&error_type.into()));
    assert_eq!(said("exception.message"), Some(&Value::from(log.body.as_str())));
    assert_eq!(said("exception.stacktrace"), span.attribute("code.stacktrace"));
}

#[test]
fn each_trap_is_told_where_it_happened() {
    let traps = [
        ("unreachable", "unreachable"),
        ("integer_division_by_zero", "(drop (i32.div_u (i32.const 1) (global.get $zero)))"),
        (
            "integer_overflow",
            "(drop (i32.div_s (i32.const 0x80000000) (i32.sub (global.get $zero) (i32.const 1))))",
        ),
        ("bad_conversion_to_integer", "(drop (i32.trunc_f32_s (f32.const nan)))"),
        ("memory_out_of_bounds", "(drop (i32.load (i32.const -1)))"),
        ("table_out_of_bounds", "(call_indirect (i32.const 100))"),
        ("indirect_call_to_null", "(call_indirect (i32.const 1))"),
        ("bad_signature", "(call_indirect (param i32) (i32.const 0) (i32.const 0))"),
        ("null_reference", "(call_ref $plain (ref.null $plain))"),
        ("array_out_of_bounds", "(drop (array.get $bytes (call $array) (i32.const 9)))"),
        ("cast_failure", "(drop (ref.cast (ref i31) (call $array)))"),
        ("stack_overflow", "(call $inner)"),
    ];
    for (error_type, body) in traps {
        let host = host();
        let wat = format!(
            r#"(module
                 (type $plain (func))
                 (type $bytes (array (mut i32)))
                 (global $zero (mut i32) (i32.const 0))
                 (memory 1)
                 (table 2 funcref)
                 (elem (i32.const 0) $done)
                 (func $array (result (ref $bytes)) (array.new $bytes (i32.const 7) (i32.const 3)))
                 (func $done)
                 (func $inner (call $done) {body})
                 (func (export "go") (call $inner))
                 (func (export "fine")))"#
        );
        let (mut store, instance) = host.guest(&wat, Cells::Memory);
        let failed = traced(&host, &mut store, instance, "go");
        let error = failed.result.as_ref().expect_err("it traps");
        assert!(error.downcast_ref::<Trap>().is_some(), "{error:?}");
        let told = report(failed);
        let arrived = host.arrived();
        assert_eq!(arrived.spans().len() as u64, told.spans, "{error_type}");
        let spans = arrived.spans();
        let mut open = spans.iter().filter(|span| ["root", "go", "inner"].contains(&&*span.name));
        assert!(open.all(|span| span.failed), "{error_type}");
        assert!(spans.iter().any(|span| span.name == "done" && !span.failed), "{error_type}");
        if error_type == "stack_overflow" {
            // Whichever call was the last.
            let telling = spans.iter().filter(|span| span.attribute("error.type").is_some());
            let telling: Vec<_> = telling.map(|span| span.number).collect();
            assert_eq!(
                arrived.logs().iter().filter_map(|log| log.span).collect::<Vec<_>>(),
                telling
            );
        } else {
            is_told_once(&arrived, "inner", error_type);
            let Some(Value::String(stack)) =
                arrived.span("inner").attribute("code.stacktrace").cloned()
            else {
                panic!("no backtrace of {error_type}");
            };
            assert_eq!(stack, "inner\ngo");
        }
        let after = report(traced(&host, &mut store, instance, "fine"));
        assert_eq!(after.functions.len(), 1, "{error_type}");
        assert_eq!(after.lost, Lost::default(), "{error_type}");
        let expected = [span("root", "", false), span("fine", "root", false)];
        assert_eq!(host.arrived().arrived(), expected, "{error_type}");
    }
}

#[test]
fn an_error_of_the_host_is_told_by_the_call_that_gave_it() {
    let mut host = host();
    let refuses = |_: Caller<'_, State>| -> wasmtime::Result<()> {
        std::thread::sleep(Duration::from_millis(5));
        Err(wasmtime::Error::msg("refused,\nas ever").context("while it was asked"))
    };
    host.linker.func_wrap("host", "refuse", refuses).expect("not there yet");
    let wat = r#"(module
        (import "host" "refuse" (func $refuse))
        (func $inner (call $refuse))
        (func (export "go") (call $inner)))"#;
    let (mut store, instance) = host.guest(wat, Cells::Memory);
    let told = report(traced(&host, &mut store, instance, "go"));
    let arrived = host.arrived();
    is_told_once(&arrived, "host.refuse", "error");
    assert_eq!(arrived.logs()[0].body, "refused,: as ever");
    // The call that failed is in the time that the host took.
    assert!(told.resources.host_nanos >= 5_000_000, "{:?}", told.resources);
    let said = arrived.span("root").attribute("wasm.host.time").cloned();
    assert_eq!(said, Some(Value::Double(told.resources.host_nanos as f64 / 1e9)));
}

#[test]
fn a_guest_that_exits_fails_by_its_status_only() {
    #[derive(Debug, thiserror::Error)]
    #[error("exit {0}")]
    struct Exit(i32);

    let observer = observer().min_duration(Duration::ZERO);
    let exit_status = |error: &wasmtime::Error| error.downcast_ref::<Exit>().map(|exit| exit.0);
    let mut host = Host::new(&Config::new(), observer.exit_status(exit_status));
    let exits = |_: Caller<'_, State>, status: i32| -> wasmtime::Result<()> {
        Err(wasmtime::Error::new(Exit(status)))
    };
    host.linker.func_wrap("wasi", "proc_exit", exits).expect("not there yet");
    let wat = r#"(module
        (import "wasi" "proc_exit" (func $exit (param i32)))
        (func (export "well") (call $exit (i32.const 0)))
        (func (export "badly") (call $exit (i32.const 3))))"#;
    let (mut store, instance) = host.guest(wat, Cells::Memory);
    for (export, status) in [("well", 0), ("badly", 3)] {
        let told = report(traced(&host, &mut store, instance, export));
        assert_eq!(told.lost, Lost::default());
        let arrived = host.arrived();
        let failed = status != 0;
        let expected = [
            span("root", "", failed),
            span(export, "root", failed),
            span("wasi.proc_exit", export, failed),
        ];
        assert_eq!(arrived.arrived(), expected);
        let root = arrived.span("root");
        assert_eq!(root.attribute("process.exit.code"), Some(&i64::from(status).into()));
        let said = arrived.span("wasi.proc_exit").attribute("error.type").cloned();
        assert_eq!(said, failed.then(|| "exit".into()));
        assert!(arrived.logs().is_empty(), "to exit is no exception");
    }
    let metrics = host.observer.metrics();
    let failures = metrics.iter().find(|metric| metric.name == "wasm.failures");
    assert!(format!("{failures:?}").contains("Int(1)"), "{failures:?}");
}

#[test]
fn an_exception_that_leaves_the_guest_is_told_by_the_root() {
    let host = host();
    let wat = r#"(module
        (tag $e)
        (func $inner (throw $e))
        (func (export "go") (call $inner)))"#;
    let (mut store, instance) = host.guest(wat, Cells::Memory);
    let told = report(traced(&host, &mut store, instance, "go"));
    let arrived = host.arrived();
    let expected = [span("root", "", true), span("go", "root", true), span("inner", "go", true)];
    assert_eq!(arrived.arrived(), expected);
    assert_eq!(arrived.span("root").attribute("error.type"), Some(&"exception".into()));
    let [log] = &arrived.logs()[..] else { panic!("{} logs", arrived.logs().len()) };
    assert_eq!(log.span, Some(arrived.span("root").number));
    assert_eq!((row(&told, "inner").errors, told.lost), (1, Lost::default()));
}

/// Calls a function many times, and then loops without end.
const ENDLESS: &str = r#"(module
    (import "host" "tick" (func $tick))
    (func $leaf)
    (func $calls (local $n i32)
      (loop $l
        (call $leaf)
        (br_if $l (i32.lt_u
          (local.tee $n (i32.add (local.get $n) (i32.const 1)))
          (i32.const 5000)))))
    (func $loops (call $tick) (loop $l (br $l)))
    (func (export "calls") (call $calls))
    (func (export "go") (call $calls) (call $loops)))"#;

#[test]
fn a_guest_whose_time_is_up_is_counted_to_the_end() {
    for cells in [Cells::Memory, Cells::Globals] {
        for overhead in [Overhead::all(), Overhead::budget(1.0), Overhead::off()] {
            let observer = observer().overhead(overhead).min_duration(Duration::ZERO);
            let mut host = Host::new(Config::new().epoch_interruption(true), observer);
            let engine = host.engine.clone();
            let tick = move || engine.increment_epoch();
            host.linker.func_wrap("host", "tick", tick).expect("not there yet");
            let module = host.module(ENDLESS, cells);
            let mut store = host.store(&module);
            store.set_epoch_deadline(1);
            let instance = host.linked(&module).instantiate(&mut store).expect("it links");
            for _ in 0..2 {
                store.set_epoch_deadline(1);
                let failed = traced(&host, &mut store, instance, "go");
                let error = failed.result.as_ref().expect_err("it is interrupted");
                assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::Interrupt));
                let told = report(failed);
                let counts = ["go", "calls", "leaf", "loops", "host.tick"];
                let counts = counts.map(|name| row(&told, name).calls);
                assert_eq!(counts, [1, 1, 5000, 1, 1], "{cells:?} {overhead:?}");
                assert_eq!(host.arrived().logs().len(), 1);
            }
            // The deadline is still behind: nobody gave the guest more time.
            let failed = traced(&host, &mut store, instance, "calls");
            assert!(failed.result.is_err(), "{cells:?} {overhead:?}");
        }
    }
}

#[test]
fn a_guest_whose_fuel_is_spent_is_counted_to_the_end_and_charged_for_nothing_else() {
    for cells in [Cells::Memory, Cells::Globals] {
        for overhead in [Overhead::all(), Overhead::budget(1.0), Overhead::off()] {
            let observer = observer().overhead(overhead);
            let mut host = Host::new(Config::new().consume_fuel(true), observer);
            host.linker.func_wrap("host", "tick", || {}).expect("not there yet");
            let module = host.module(ENDLESS, cells);
            let mut store = host.store(&module);
            store.set_fuel(u64::MAX).expect("it counts");
            let instance = host.linked(&module).instantiate(&mut store).expect("it links");
            for _ in 0..2 {
                store.set_fuel(1_000_000).expect("it counts");
                let failed = traced(&host, &mut store, instance, "go");
                let error = failed.result.as_ref().expect_err("it has not enough");
                assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::OutOfFuel));
                let told = report(failed);
                assert_eq!(row(&told, "leaf").calls, 5000, "{cells:?} {overhead:?}");
                assert_eq!(told.resources.fuel, Some(1_000_000));
                assert_eq!(store.get_fuel().expect("it counts"), 0);
            }
            // A trace takes what its work takes, to the last unit.
            store.set_fuel(10_000_000).expect("it counts");
            let told = report(traced(&host, &mut store, instance, "calls"));
            let left = store.get_fuel().expect("it counts");
            assert_eq!(told.resources.fuel, Some(10_000_000 - left), "{cells:?} {overhead:?}");
            call(&mut store, instance, "calls").expect("it returns");
            let again = left - store.get_fuel().expect("it counts");
            let took = 10_000_000 - left;
            assert!(again.abs_diff(took) <= took / 2, "{again} outside of a trace, {took} in one");
        }
    }
}

#[test]
fn a_host_function_that_panics_leaves_a_store_that_works() {
    let mut host = host();
    host.linker
        .func_wrap("host", "panic", || -> () { panic!("as a host may") })
        .expect("not there yet");
    let wat = r#"(module
        (import "host" "panic" (func $panic))
        (func $inner (call $panic))
        (func (export "go") (call $inner))
        (func (export "fine")))"#;
    for cells in [Cells::Memory, Cells::Globals] {
        let (mut store, instance) = host.guest(wat, cells);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _ = traced(&host, &mut store, instance, "go");
        }));
        assert!(panicked.is_err());
        let arrived = host.arrived();
        is_told_once(&arrived, "host.panic", "panic");
        assert_eq!(arrived.spans().iter().filter(|span| span.failed).count(), 4);
        let told = report(traced(&host, &mut store, instance, "fine"));
        assert_eq!((row(&told, "fine").calls, told.lost), (1, Lost::default()));
        assert_eq!(host.arrived().spans().len(), 2);
    }
}

#[test]
fn an_instantiation_that_fails_ends_there_and_is_told_once() {
    let host = host();
    let starts =
        host.module(r#"(module (func $begins (unreachable)) (start $begins))"#, Cells::Memory);
    let mut store = host.store(&starts);
    let linked = host.linked(&starts);
    let failed = host.tracer.trace(&mut store, TraceOptions::new("root"), |store| {
        host.tracer.instantiate(store, &linked).map(drop)
    });
    assert!(failed.result.is_err());
    let told = report(failed);
    assert!(told.resources.instantiation_nanos > 0, "{:?}", told.resources);
    let arrived = host.arrived();
    let expected = [
        span("root", "", true),
        span("instantiate", "root", true),
        span("begins", "instantiate", true),
    ];
    assert_eq!(arrived.arrived(), expected);
    is_told_once(&arrived, "begins", "unreachable");

    // Whoever goes on does so under the root.
    let wat = r#"(module (memory 1) (func (export "go")))"#;
    let large = host.module(wat, Cells::Globals);
    let (state, linked) = (State { recorder: host.recorder(&large) }, host.linked(&large));
    let mut store =
        Store::new(&host.engine, (state, StoreLimitsBuilder::new().memory_size(0).build()));
    let mut linker = wasmtime::Linker::new(&host.engine);
    let tracer = host
        .observer
        .tracer(&mut linker, |(state, _): &mut (State, wasmtime::StoreLimits)| &mut state.recorder)
        .expect("an empty linker");
    drop(linked);
    let linked = linker.instantiate_pre(large.module()).expect("it links");
    store.limiter(|(_, limits)| limits);
    let traced = tracer.trace(&mut store, TraceOptions::new("root"), |store| {
        assert!(tracer.instantiate(store, &linked).is_err(), "no memory is allowed");
        store.data_mut().1 = StoreLimitsBuilder::new().memory_size(1 << 16).build();
        let instance = tracer.instantiate(store, &linked)?;
        instance.get_typed_func::<(), ()>(&mut *store, "go")?.call(store, ())
    });
    traced.result.expect("the second one works");
    let arrived = host.arrived();
    let spans = arrived.arrived();
    assert_eq!(spans[0], span("root", "", false));
    assert!(spans.contains(&span("instantiate", "root", true)), "{spans:?}");
    assert!(spans.contains(&span("instantiate", "root", false)), "{spans:?}");
    assert!(spans.contains(&span("go", "root", false)), "{spans:?}");
    assert_eq!(arrived.logs().len(), 1);
}

#[test]
fn work_within_work_fails_by_itself() {
    let mut host = host();
    let tracer = host.tracer.clone();
    let nested = move |mut caller: Caller<'_, State>, passes_on: i32| -> wasmtime::Result<()> {
        let traced = tracer
            .trace(&mut caller, TraceOptions::new("nested"), |caller| call_back(caller, "fails"));
        assert!(traced.report.is_none(), "it is a part of the trace");
        if passes_on == 1 { traced.result } else { Ok(()) }
    };
    host.linker.func_wrap("host", "nested", nested).expect("not there yet");
    let wat = r#"(module
        (import "host" "nested" (func $nested (param i32)))
        (func $deep unreachable)
        (func (export "fails") (call $deep))
        (func $after)
        (func (export "goes on") (call $nested (i32.const 0)) (call $nested (i32.const 0)) (call $after))
        (func (export "passes on") (call $nested (i32.const 1))))"#;
    let (mut store, instance) = host.guest(wat, Cells::Memory);

    let told = report(traced(&host, &mut store, instance, "goes on"));
    let arrived = host.arrived();
    let part = [
        span("host.nested", "goes on", false),
        span("nested", "host.nested", true),
        span("fails", "nested", true),
        span("deep", "fails", true),
    ];
    let mut expected = vec![span("root", "", false), span("goes on", "root", false)];
    expected.extend(part.clone());
    expected.extend(part);
    expected.push(span("after", "goes on", false));
    assert_eq!(arrived.arrived(), expected);
    // Each is a failure of its own.
    let deep: Vec<_> =
        arrived.spans().iter().filter(|s| s.name == "deep").map(|s| Some(s.number)).collect();
    let logs: Vec<_> = arrived.logs().iter().map(|log| log.span).collect();
    assert_eq!(logs, deep);
    assert_eq!((row(&told, "deep").errors, told.lost), (2, Lost::default()));

    // On its way out a failure is told once.
    let told = report(traced(&host, &mut store, instance, "passes on"));
    let arrived = host.arrived();
    assert!(arrived.spans().iter().all(|span| span.failed), "{:?}", arrived.arrived());
    is_told_once(&arrived, "deep", "unreachable");
    assert_eq!(row(&told, "host.nested").errors, 1);
}

#[test]
fn logs_arrive_before_any_span_has_ended() {
    let mut host = host();
    host.linker
        .func_wrap("host", "log", |mut caller: Caller<'_, State>| {
            for n in 0..200 {
                caller.data_mut().recorder.log(Severity::Info, format!("{n}"), Vec::new());
            }
        })
        .expect("not there yet");
    let wat = r#"(module (import "host" "log" (func $log)) (func (export "go") (call $log)))"#;
    let (mut store, instance) = host.guest(wat, Cells::Memory);
    report(traced(&host, &mut store, instance, "go"));
    let arrived = host.arrived();
    assert_eq!(arrived.logs().len(), 200);
    let span = Some(arrived.span("host.log").number);
    assert!(arrived.logs().iter().all(|log| log.span == span));
}
