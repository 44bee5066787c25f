//! What is recorded of guests whose calls wait.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use observe_collector::event::{Chunk, Status, Value};
use observe_collector::{Collector, Counts, Exporter};
use observe_host::{
    FunctionRow, ObservedModule, Observer, Overhead, Recorder, Report, TraceOptions, Traced, Tracer,
};
use observe_instrumenter::Selection;
use wasmtime::{
    Caller, Config, Engine, InstanceAllocationStrategy, Linker, PoolingAllocationConfig, Store,
};

/// For how long a guest waits that waits.
const PAUSE: Duration = Duration::from_millis(50);

/// What a guest has waited for at least, however clocks differ.
const WAITED: u64 = 40_000_000;

/// Waits once, within `waits`, and works ten times.
const GUEST: &str = r#"(module
    (import "host" "pause" (func $pause))
    (import "host" "traced pause" (func $traced))
    (import "host" "for ever" (func $for_ever))
    (memory 1)
    (func $works)
    (func $waits (call $pause))
    (func (export "go") (local $left i32)
      (call $waits)
      (local.set $left (i32.const 10))
      (loop
        (call $works)
        (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
    (func (export "traced") (call $traced))
    (func (export "for ever") (call $for_ever)))"#;

struct Guest {
    observer: Observer,
    tracer: Tracer<Recorder>,
    store: Store<Recorder>,
    instance: wasmtime::Instance,
}

impl Guest {
    async fn new(engine: &Engine, observer: Observer) -> Self {
        let wasm = wat::parse_str(GUEST).expect("valid text");
        let module = ObservedModule::new(engine, &wasm, &Selection::all()).expect("valid");
        let mut linker = Linker::new(engine);
        let tracer: Tracer<Recorder> =
            observer.tracer(&mut linker, |recorder| recorder).expect("an empty linker");
        let inner = tracer.clone();
        linker
            .func_wrap_async("host", "pause", |_: Caller<'_, Recorder>, (): ()| {
                Box::new(tokio::time::sleep(PAUSE))
            })
            .and_then(|linker| {
                linker.func_wrap_async("host", "for ever", |_: Caller<'_, Recorder>, (): ()| {
                    Box::new(std::future::pending::<()>())
                })
            })
            .and_then(|linker| {
                linker.func_wrap_async(
                    "host",
                    "traced pause",
                    move |mut caller: Caller<'_, Recorder>, (): ()| {
                        let tracer = inner.clone();
                        Box::new(async move {
                            let options = TraceOptions::new("inner");
                            let pause = tracer.trace_async(&mut caller, options, async |_| {
                                tokio::time::sleep(PAUSE).await;
                                Ok(())
                            });
                            pause.await.result
                        })
                    },
                )
            })
            .expect("not there yet");
        let mut store = Store::new(engine, observer.recorder(&module));
        let instance = linker.instantiate_async(&mut store, module.module()).await;
        Guest { observer, tracer, store, instance: instance.expect("it links") }
    }

    async fn trace(&mut self, export: &str) -> Report {
        let instance = self.instance;
        let traced: Traced<()> = self
            .tracer
            .trace_async(&mut self.store, TraceOptions::new("root"), async |mut store| {
                let function = instance.get_typed_func::<(), ()>(&mut store, export)?;
                function.call_async(store, ()).await
            })
            .await;
        traced.result.expect("it returns");
        traced.report.expect("a trace of its own")
    }
}

fn row<'a>(report: &'a Report, name: &str) -> &'a FunctionRow {
    let row = report.functions.iter().find(|row| row.name == name);
    row.unwrap_or_else(|| panic!("no {name}: {report:?}"))
}

fn timing_all() -> Observer {
    Observer::builder().overhead(Overhead::all()).build()
}

/// Does something on another thread, as servers do.
fn spawned<R: Send + 'static>(work: impl Future<Output = R> + Send + 'static) -> R {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async { tokio::spawn(work).await.expect("no panic") })
}

#[test]
fn waiting_is_told_apart() {
    let report = spawned(async {
        let mut guest = Guest::new(&Engine::default(), timing_all()).await;
        guest.trace("go").await
    });
    assert!(report.resources.suspended_nanos >= WAITED, "{report:?}");
    assert!(report.resources.wall_nanos >= report.resources.suspended_nanos);
    for waiting in ["host.pause", "waits", "go"] {
        assert!(row(&report, waiting).suspended_nanos >= WAITED, "{waiting}: {report:?}");
    }
    assert_eq!(row(&report, "works").suspended_nanos, 0);
}

#[test]
fn waiting_in_a_trace_within_is_told_once() {
    let report = spawned(async {
        let mut guest = Guest::new(&Engine::default(), timing_all()).await;
        guest.trace("traced").await
    });
    assert!(report.resources.suspended_nanos >= WAITED, "{report:?}");
    assert!(report.resources.suspended_nanos <= report.resources.wall_nanos, "{report:?}");
}

#[test]
fn calls_are_counted_where_the_cells_can_only_be_read_by_asynchronous_calls() {
    let mut pooling = PoolingAllocationConfig::default();
    // Not what it is about, and a terabyte of addresses otherwise.
    pooling.total_memories(1).total_core_instances(1).total_tables(1).total_stacks(2);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
    let engine = Engine::new(&config).expect("an engine");
    let observer = Observer::builder().overhead(Overhead::off()).build();
    let reports = spawned(async move {
        let mut guest = Guest::new(&engine, observer).await;
        let first = guest.trace("go").await;
        let second = guest.trace("go").await;
        // From here on each call is timed, so the cells must be set to zero first.
        guest.observer.set_overhead(Overhead::all());
        [first, second, guest.trace("go").await]
    });
    for report in &reports {
        assert_eq!(row(report, "works").calls, 10, "{report:?}");
        assert_eq!(row(report, "go").calls, 1, "{report:?}");
    }
    let timed = reports.each_ref().map(|report| row(report, "works").timed_calls);
    assert_eq!(timed, [0, 0, 10]);
}

/// Of the root spans that arrived: whether they failed, and the seconds that they waited.
#[derive(Clone, Default)]
struct Roots(Arc<Mutex<Vec<(bool, f64)>>>);

impl Exporter for Roots {
    fn name(&self) -> &str {
        "roots"
    }

    fn export(&mut self, chunk: &Chunk) {
        let roots = chunk.spans.iter().filter(|span| span.parent.is_none());
        self.0.lock().expect("whole").extend(roots.map(|span| {
            let attributes = span.detail.iter().flat_map(|detail| &detail.attributes);
            let waited = attributes.clone().find(|found| found.key == "wasm.suspended.time");
            let waited = waited.map_or(0.0, |found| match found.value {
                Value::Double(seconds) => seconds,
                ref other => panic!("no seconds: {other:?}"),
            });
            (span.status == Status::Error, waited)
        }));
    }

    fn flush(&mut self, _: Instant) {}

    fn counts(&self) -> Counts {
        Counts::default()
    }

    fn last_error(&self) -> Option<String> {
        None
    }
}

#[test]
fn what_is_dropped_ends_with_what_it_waited_and_the_next_trace_starts_clean() {
    let roots = Roots::default();
    let collector = Collector::builder().exporter(Box::new(roots.clone())).start();
    let observer = Observer::builder().overhead(Overhead::all()).sink(collector.handle()).build();
    let report = spawned(async {
        let mut guest = Guest::new(&Engine::default(), observer).await;
        // Not `timeout`, which asks the trace once more before it drops it.
        tokio::select! {
            biased;
            () = tokio::time::sleep(PAUSE) => {}
            report = guest.trace("for ever") => panic!("it waits for ever: {report:?}"),
        }
        guest.trace("go").await
    });
    assert!(!report.functions.iter().any(|row| row.name == "for ever"), "{report:?}");
    assert!(collector.flush(Duration::from_secs(10)));
    let roots = roots.0.lock().expect("whole");
    let [(failed, waited), (next_failed, _)] = roots[..] else { panic!("{roots:?}") };
    assert!(failed && !next_failed, "{roots:?}");
    assert!(waited * 1e9 >= WAITED as f64, "{roots:?}");
}
