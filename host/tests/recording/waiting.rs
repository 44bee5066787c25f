//! Calls that wait: many at a time on one thread, one on many threads, and some that are given up.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use observe_collector::event::{MetricData, Number, Value};
use observe_host::{
    Interrupter, Lost, ObservedModule, Observer, Overhead, Recorder, Report, TraceOptions, Traced,
    Tracer,
};
use observe_instrumenter::Cells;
use wasmtime::{Caller, Config, Extern, Instance, Store, StoreContextMut};

use crate::guest::{State, observer, row, span};
use crate::host::Host;

/// How long whoever polls does something else.
const PAUSE: Duration = Duration::from_millis(5);

/// Is ready when it is polled for the given time.
struct Polled(u32);

impl Future for Polled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        context.waker().wake_by_ref();
        self.0 = self.0.saturating_sub(1);
        if self.0 == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A host whose function waits so many times, and one that does so within work of its own.
fn host(config: &Config, observer: observe_host::Builder) -> Host {
    let mut host = Host::new(config, observer);
    let tracer = host.tracer.clone();
    host.linker
        .func_wrap_async("host", "wait", |_: Caller<'_, State>, (times,): (u32,)| {
            Box::new(Polled(times + 1))
        })
        .expect("not there yet")
        .func_wrap_async("host", "nested", move |mut caller: Caller<'_, State>, (): ()| {
            let tracer = tracer.clone();
            Box::new(async move {
                let back = caller.get_export("back").and_then(Extern::into_func);
                let back = back.expect("an export").typed::<(), ()>(&caller)?;
                let options = TraceOptions::new("nested");
                let work =
                    async |store: StoreContextMut<'_, State>| back.call_async(store, ()).await;
                tracer.trace_async(&mut caller, options, work).await.result
            })
        })
        .expect("not there yet");
    host
}

fn all() -> observe_host::Builder {
    observer().min_duration(Duration::ZERO)
}

const WAITS: &str = r#"(module
    (import "host" "wait" (func $wait (param i32)))
    (import "host" "nested" (func $nested))
    (global $times (mut i32) (i32.const 0))
    (func $busy)
    (func $waits (param i32) (call $busy) (call $wait (local.get 0)) (call $busy))
    (func (export "back") (call $wait (global.get $times)))
    (func (export "go") (param i32) (call $waits (local.get 0)))
    (func (export "nests") (param i32) (global.set $times (local.get 0)) (call $nested))
    (func (export "leaves") (param i32) (local $n i32)
      (loop $l
        (call $busy)
        (br_if $l (i32.lt_u
          (local.tee $n (i32.add (local.get $n) (i32.const 1)))
          (local.get 0))))
      (call $wait (i32.const 2))))"#;

async fn instantiate(host: &Host, module: &ObservedModule) -> (Store<State>, Instance) {
    let mut store = host.store(module);
    let instance = host.linked(module).instantiate_async(&mut store).await.expect("it links");
    (store, instance)
}

async fn traced(
    tracer: &Tracer<State>,
    store: &mut Store<State>,
    instance: Instance,
    export: &str,
    number: u32,
) -> Traced<()> {
    let options = TraceOptions::new("root").tenant("ours");
    let work = async |mut store: StoreContextMut<'_, State>| {
        let call = instance.get_typed_func::<u32, ()>(&mut store, export)?;
        call.call_async(store, number).await
    };
    tracer.trace_async(store, options, work).await
}

/// Polls to the end, with pauses between; gives how many there were.
fn run<R>(future: impl Future<Output = R>, pause: Duration) -> (R, u32) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    let mut pauses = 0;
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return (result, pauses);
        }
        thread::sleep(pause);
        pauses += 1;
    }
}

fn report(traced: Traced<()>) -> Report {
    traced.result.expect("it returns");
    traced.report.expect("a trace of its own")
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("short")
}

/// The sum of a metric of the tenant of these tests.
fn metric(observer: &Observer, name: &str) -> f64 {
    let metric = observer.metrics().into_iter().find(|metric| metric.name == name);
    let Some(MetricData::Sum { points, .. }) = metric.map(|metric| metric.data) else {
        panic!("no sum {name}");
    };
    let point = points.iter().find(|point| point.attributes[0].value == Value::from("ours"));
    match point.expect("a trace has ended").value {
        Number::Int(value) => value as f64,
        Number::Double(value) => value,
    }
}

#[test]
fn waiting_is_told_apart_from_work() {
    let host = host(&Config::new(), all());
    let module = host.module(WAITS, Cells::Memory);
    for export in ["go", "nests"] {
        let (told, pauses) = run(
            async {
                let (mut store, instance) = instantiate(&host, &module).await;
                report(traced(&host.tracer, &mut store, instance, export, 3).await)
            },
            PAUSE,
        );
        assert_eq!(pauses, 3, "{export}");
        let waited = nanos(pauses * PAUSE);
        // A span within a trace does not wait once more.
        let resources = told.resources;
        let range = waited..=resources.wall_nanos;
        assert!(range.contains(&resources.suspended_nanos), "{export}: {resources:?}");
        for name in [export, "host.wait"] {
            let row = row(&told, name);
            let range = waited..=row.sum_nanos + row.sum_nanos / 100;
            assert!(range.contains(&row.suspended_nanos), "{row:?}");
        }
        let arrived = host.arrived();
        for span in arrived.spans() {
            let said = span.attribute("wasm.suspended.time");
            assert_eq!(said.is_some(), span.name != "busy", "{}", span.name);
            if let Some(Value::Double(seconds)) = said {
                let within = (span.end - span.start) as f64 / 1e9;
                assert!(*seconds <= within + 1e-6, "{}: {seconds} of {within}", span.name);
            }
        }
        assert_eq!(told.lost, Lost::default());
    }
}

#[test]
fn a_call_that_never_waits_says_nothing_of_it() {
    let host = host(&Config::new(), all());
    let module = host.module(WAITS, Cells::Memory);
    let (told, pauses) = run(
        async {
            let (mut store, instance) = instantiate(&host, &module).await;
            report(traced(&host.tracer, &mut store, instance, "go", 0).await)
        },
        PAUSE,
    );
    assert_eq!((pauses, told.resources.suspended_nanos), (0, 0));
    assert!(told.resources.cpu_nanos.is_none_or(|cpu| cpu > 0));
    let said = host.arrived().spans();
    assert!(said.iter().all(|span| span.attribute("wasm.suspended.time").is_none()));
}

#[test]
fn short_waits_count_where_they_make_no_span() {
    let host = host(&Config::new(), observer().min_duration(Duration::from_secs(3600)));
    let module = host.module(WAITS, Cells::Memory);
    let (told, pauses) = run(
        async {
            let (mut store, instance) = instantiate(&host, &module).await;
            report(traced(&host.tracer, &mut store, instance, "go", 2).await)
        },
        PAUSE,
    );
    assert!(row(&told, "host.wait").suspended_nanos >= nanos(pauses * PAUSE), "{told:?}");
    assert_eq!((told.spans, row(&told, "busy").suspended_nanos), (1, 0));
}

#[test]
fn traces_that_take_turns_on_a_thread_do_not_mix() {
    let host = host(&Config::new(), all());
    let module = host.module(WAITS, Cells::Memory);
    let work = |n: u32| {
        let (host, module) = (&host, &module);
        Box::pin(async move {
            let (mut store, instance) = instantiate(host, module).await;
            let export = if n.is_multiple_of(2) { "go" } else { "nests" };
            report(traced(&host.tracer, &mut store, instance, export, n).await)
        })
    };
    let mut running: Vec<_> = (0..20).map(|n| (n, work(n))).collect();
    let mut told = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    while !running.is_empty() {
        running.retain_mut(|(n, work)| match work.as_mut().poll(&mut context) {
            Poll::Ready(report) => {
                told.push((*n, report));
                false
            }
            Poll::Pending => true,
        });
    }
    let spans = host.arrived().spans();
    for (n, report) in told {
        assert_eq!(report.lost, Lost::default());
        let trace = report.trace_id.to_string();
        let of: Vec<_> = spans.iter().filter(|span| span.trace == trace).collect();
        let parent = |number: u32| of.iter().find(|span| span.number == number);
        let mut names: Vec<_> = of
            .iter()
            .map(|s| (&*s.name, s.parent.map(|n| &*parent(n).expect("of the same trace").name)))
            .collect();
        names.sort_unstable();
        let expected = match n.is_multiple_of(2) {
            true => vec![
                ("busy", Some("waits")),
                ("busy", Some("waits")),
                ("go", Some("root")),
                ("host.wait", Some("waits")),
                ("root", None),
                ("waits", Some("go")),
            ],
            false => vec![
                ("back", Some("nested")),
                ("host.nested", Some("nests")),
                ("host.wait", Some("back")),
                ("nested", Some("host.nested")),
                ("nests", Some("root")),
                ("root", None),
            ],
        };
        assert_eq!(names, expected);
        assert_eq!(of.len() as u64, report.spans);
    }
}

#[test]
fn a_trace_moves_between_threads() {
    let host = Arc::new(host(&Config::new(), all()));
    let (ours, done) = (Arc::clone(&host), Arc::new(AtomicBool::new(false)));
    let mut work: Pin<Box<dyn Future<Output = Report> + Send>> = Box::pin(async move {
        let module = ours.module(WAITS, Cells::Memory);
        let (mut store, instance) = instantiate(&ours, &module).await;
        report(traced(&ours.tracer, &mut store, instance, "nests", 20).await)
    });
    let mut threads = 0;
    let told = loop {
        let is_done = Arc::clone(&done);
        let polled = thread::spawn(move || {
            let polled = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            is_done.store(polled.is_ready(), Ordering::Relaxed);
            (polled, work)
        });
        let (polled, rest) = polled.join().expect("no panic");
        (work, threads) = (rest, threads + 1);
        if let Poll::Ready(report) = polled {
            break report;
        }
    };
    assert_eq!(threads, 21);
    assert_eq!(told.lost, Lost::default());
    let resources = told.resources;
    assert!(resources.suspended_nanos <= resources.wall_nanos, "{resources:?}");
    assert!(resources.cpu_nanos.is_none_or(|cpu| cpu > 0));
    let arrived = host.arrived();
    let names = ["root", "nests", "host.nested", "nested", "back", "host.wait"];
    let mut expected = vec![span("root", "", false)];
    expected.extend(names.windows(2).map(|pair| span(pair[1], pair[0], false)));
    assert_eq!(arrived.arrived(), expected);
}

#[test]
fn what_is_given_up_ends_then_and_is_charged_for() {
    let mut config = Config::new();
    config.consume_fuel(true);
    for export in ["go", "nests"] {
        let host = host(&config, all());
        let module = host.module(WAITS, Cells::Memory);
        let ((mut store, instance), _) = run(
            async {
                let mut store = host.store(&module);
                store.set_fuel(1 << 30).expect("it counts");
                let linked = host.linked(&module);
                let instance = linked.instantiate_async(&mut store).await.expect("it links");
                (store, instance)
            },
            PAUSE,
        );
        {
            let mut work = pin!(traced(&host.tracer, &mut store, instance, export, 100));
            for _ in 0..2 {
                assert!(work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            thread::sleep(PAUSE);
        }
        let arrived = host.arrived();
        let spans = arrived.spans();
        assert!(spans.iter().all(|span| span.failed || span.name == "busy"), "{export}");
        let telling = spans.iter().filter(|span| span.attribute("error.type").is_some());
        let telling: Vec<_> = telling.map(|span| span.name.as_str()).collect();
        assert_eq!(telling, ["host.wait"], "{export}");
        let innermost = arrived.span("host.wait");
        assert_eq!(innermost.attribute("error.type"), Some(&"cancelled".into()));
        assert_eq!(arrived.logs().len(), 1);
        assert_eq!(arrived.logs()[0].span, Some(innermost.number));
        // The time since it was last polled was spent waiting.
        let waited = PAUSE.as_secs_f64();
        assert!(metric(&host.observer, "wasm.suspended.time") >= waited, "{export}");
        assert!(metric(&host.observer, "wasm.cpu.time") > 0.0, "{export}");
        let took = (1 << 30) - store.get_fuel().expect("it counts");
        assert_eq!(metric(&host.observer, "wasm.fuel.consumed"), took as f64, "{export}");
        assert_eq!(metric(&host.observer, "wasm.failures"), 1.0);

        let (told, _) =
            run(async { report(traced(&host.tracer, &mut store, instance, "go", 1).await) }, PAUSE);
        assert_eq!((told.spans, told.lost), (6, Lost::default()));
        assert!(told.resources.suspended_nanos > 0, "{:?}", told.resources);
    }
}

#[test]
fn an_instantiation_that_is_given_up_ends_then() {
    let host = host(&Config::new(), all());
    let starts = r#"(module
        (import "host" "wait" (func $wait (param i32)))
        (func $starts (call $wait (i32.const 9)))
        (start $starts))"#;
    let module = host.module(starts, Cells::Memory);
    let linked = host.linked(&module);
    let mut store = host.store(&module);
    let (traced, _) = run(
        host.tracer.trace_async(&mut store, TraceOptions::new("root"), async |mut store| {
            {
                let mut instance = pin!(host.tracer.instantiate_async(&mut store, &linked));
                let polled = instance.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(polled.is_pending());
            }
            assert!(store.data_mut().recorder.context().is_some());
            Ok(())
        }),
        PAUSE,
    );
    assert!(report(traced).resources.instantiation_nanos > 0);
    let expected = [
        span("root", "", false),
        span("instantiate", "root", true),
        span("starts", "instantiate", true),
        span("host.wait", "starts", true),
    ];
    assert_eq!(host.arrived().arrived(), expected);
}

#[test]
fn counts_are_exact_in_stores_that_take_asynchronous_calls_only() {
    let mut config = Config::new();
    config.consume_fuel(true);
    for cells in [Cells::Memory, Cells::Globals] {
        let host = host(&config, observer().overhead(Overhead::budget(1.0)));
        let module = host.module(WAITS, cells);
        let (told, _) = run(
            async {
                let mut store = host.store(&module);
                store.set_fuel(1 << 40).expect("it counts");
                store.fuel_async_yield_interval(Some(10_000)).expect("it counts");
                let linked = host.linked(&module);
                let instance = linked.instantiate_async(&mut store).await.expect("it links");
                let mut told = Vec::new();
                for n in [10_000, 7, 20_000, 1] {
                    let call = instance.get_typed_func::<u32, ()>(&mut store, "leaves");
                    let call = call.expect("an export");
                    call.call_async(&mut store, n + 5).await.expect("outside of a trace");
                    let traced = traced(&host.tracer, &mut store, instance, "leaves", n).await;
                    told.push(row(&report(traced), "busy").calls);
                }
                told
            },
            Duration::ZERO,
        );
        assert_eq!(told, [10_000, 7, 20_000, 1], "{cells:?}");
    }
}

/// The lines of `/proc/self/status` that end in a number of threads or of kilobytes.
#[cfg(target_os = "linux")]
fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("it is there");
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {key}"))
}

#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_stores_wait_without_a_thread_each() {
    const STORES: u64 = 10_000;
    let mut config = Config::new();
    config.memory_reservation(0).memory_guard_size(0).memory_reservation_for_growth(0);
    config.max_wasm_stack(32 << 10).async_stack_size(64 << 10);
    let host = host(&config, all());
    let module = host.module(WAITS, Cells::Memory);
    let linked = host.linked(&module);
    let work = || {
        let (host, module, linked) = (&host, &module, &linked);
        Box::pin(async move {
            let mut store = host.store(module);
            let instance = linked.instantiate_async(&mut store).await.expect("it links");
            report(traced(&host.tracer, &mut store, instance, "go", 1).await)
        })
    };
    let mut context = Context::from_waker(Waker::noop());
    let mut one_more = || {
        let mut work = work();
        assert!(work.as_mut().poll(&mut context).is_pending());
        work
    };
    let first = one_more();
    let (threads, before) = (status("Threads"), status("VmRSS"));
    let waiting: Vec<_> = (0..STORES).map(|_| one_more()).collect();
    assert_eq!(status("Threads"), threads);
    let each = (status("VmRSS") - before) / STORES;
    println!("a store whose trace waits takes {each} KiB, its stack and its instance included");
    assert!(each < 128, "{each} KiB each");
    for work in waiting.into_iter().chain([first]) {
        let (told, _) = run(work, Duration::ZERO);
        assert_eq!((told.spans, told.lost), (6, Lost::default()));
    }
    let spans = host.arrived().spans();
    assert_eq!(spans.len() as u64, 6 * (STORES + 1));
    let roots = spans.iter().filter(|span| span.parent.is_none()).count();
    assert_eq!(roots as u64, STORES + 1);
}

#[test]
fn recorders_go_where_their_stores_go() {
    fn goes<T: Send + 'static>() {}
    goes::<Recorder>();
    goes::<Store<State>>();
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Observer>();
    is_shared::<Tracer<State>>();
    is_shared::<ObservedModule>();
    is_shared::<Interrupter>();
}
