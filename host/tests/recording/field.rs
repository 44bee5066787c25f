//! What is known to go wrong with observe-sdk, each by its name, on guests that use its hooks.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use observe_collector::event::{Chunk, MetricData, Number, Severity, Value};
use observe_collector::{Collector, Counts, Exporter};
use observe_host::{Lost, ObservedModule, TraceContext, TraceOptions};
use observe_instrumenter::{Abi, Module as Parsed, Plan, Selection};
use wasmtime::{Linker, Store, Trap};

use crate::compat::{IMPORTS, theirs};
use crate::guest::{Guest, State, assemble, engine, module, observer, row, span, spans_of};
use crate::quotas::Words;

/// Not that a test could step the clock back; but if spans had more of it than one reading in a
/// trace, they would not fit into each other to the nanosecond.
#[test]
fn a_wall_clock_that_steps_back_does_not_trap_the_guest() {
    let mut guest = theirs(
        r#"(func $leaf (call $enter (i32.const 8)) (call $exit (i32.const 8)))
           (func $twice
             (call $enter (i32.const 9))
             (call $leaf) (call $leaf)
             (call $exit (i32.const 9)))
           (func (export "go") (local i32)
             (call $enter (i32.const 10))
             (loop $l
               (call $twice)
               (br_if $l
                 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 1000))))
             (call $exit (i32.const 10)))"#,
    );
    let report = guest.trace("go", TraceOptions::new("root").min_duration(Duration::ZERO));
    let spans = guest.arrived().spans();
    assert_eq!((spans.len() as u64, report.lost), (3002, Lost::default()));
    let find = |number| spans.iter().find(|span| span.number == number).expect("no orphan");
    let mut ends = std::collections::HashMap::new();
    for span in &spans {
        assert!(span.start <= span.end);
        let Some(parent) = span.parent.map(find) else { continue };
        assert!(parent.start <= span.start && span.end <= parent.end);
        // Those of one parent follow each other.
        let before = ends.insert(parent.number, span.end);
        assert!(before.is_none_or(|end| end <= span.start));
    }
}

#[test]
fn a_log_level_the_host_does_not_know_does_not_trap() {
    let levels = [0, 1, 2, 3, 4, 5, 6, -1, i32::MIN];
    let words = levels.iter().fold(Words::default(), |words, &level| words.log(level, "said"));
    let mut guest = Guest::new(&words.wat());
    let traced = guest.traced("go", TraceOptions::new("root"));
    traced.result.expect("it does not trap");
    let report = traced.report.expect("a trace of its own");
    assert_eq!((report.lost.unknown_levels, report.lost.total()), (4, 4));
    let severities: Vec<_> = guest.arrived().logs().iter().map(|log| log.severity).collect();
    let known = {
        use Severity::{Debug, Error, Info, Trace, Warn};
        [Info, Error, Warn, Info, Debug, Trace, Info, Info, Info]
    };
    assert_eq!(severities, known);
}

#[test]
fn a_negative_or_huge_length_neither_allocates_nor_panics() {
    // Its memory has four pages.
    let places = [
        (0, -1),
        (-1, 1),
        (-1, -1),
        (0, i32::MIN),
        (i32::MIN, i32::MIN),
        (1, i32::MAX),
        (0x3_ffff, 2),
        (0x4_0000, 1),
    ];
    let calls = places.iter().map(|(at, len)| {
        let text = format!("(i32.const {at}) (i32.const {len})");
        format!(
            r#"(call $span_enter {text}) (call $span_tags {text})
               (call $metric (i32.const 1) {text}) (call $log (i32.const 1) {text})"#
        )
    });
    let calls: String = calls.collect();
    let mut guest = theirs(&format!(
        r#"(memory (export "memory") 4)
           (func (export "go")
             (call $enter (i32.const 8))
             {calls}
             ;; All of it: in reach, and too long.
             (call $span_enter (i32.const 0) (i32.const 0x40000))
             (call $metric (i32.const 1) (i32.const 0) (i32.const 0x40000))
             (call $exit (i32.const 8)))"#
    ));
    let report = guest.trace("go", TraceOptions::new("root"));
    assert_eq!(report.lost.unreadable, 4 * places.len() as u64);
    assert_eq!((report.lost.cut_texts, report.lost.malformed_metrics), (1, 1));
    // Memory that nobody exports is none.
    let mut guest = theirs(
        r#"(memory 1)
           (func (export "go")
             (call $span_enter (i32.const 0) (i32.const 1)))"#,
    );
    assert_eq!(guest.trace("go", TraceOptions::new("root")).lost.unreadable, 1);
}

#[test]
fn after_a_trap_or_proc_exit_nothing_stays_open() {
    let wat = format!(
        r#"(module {IMPORTS}
             (memory (export "memory") 1)
             (data (i32.const 0) "open")
             (func $leaves (param i32)
               (call $enter (i32.const 8))
               (call $span_enter (i32.const 0) (i32.const 4))
               (if (local.get 0) (then unreachable))
               (drop (i32.div_u (i32.const 1) (i32.const 0))))
             (func (export "trap")
               (call $enter (i32.const 9))
               (call $leaves (i32.const 1))
               (call $exit (i32.const 9)))
             (func (export "exit")
               (call $enter (i32.const 10))
               (call $leaves (i32.const 0))
               (call $exit (i32.const 10)))
             (func (export "fine")
               (call $enter (i32.const 11))
               (call $exit (i32.const 11))))"#
    );
    // A trap stands for what `proc_exit` gives.
    let status = |error: &wasmtime::Error| match error.downcast_ref() {
        Some(Trap::IntegerDivisionByZero) => Some(0),
        _ => None,
    };
    let mut guest = Guest::of(module(&wat).expect("valid"), observer().exit_status(status));
    for (export, failed) in [("trap", true), ("exit", false)] {
        let (report, spans) = spans_of(&mut guest, export);
        let expected = [
            span("root", "", failed),
            span(export, "root", failed),
            span("leaves", export, failed),
            span("open", "leaves", failed),
        ];
        assert_eq!(spans, expected);
        assert_eq!(report.lost, Lost::default());
        let (report, spans) = spans_of(&mut guest, "fine");
        assert_eq!(spans, [span("root", "", false), span("fine", "root", false)]);
        assert_eq!(report.lost, Lost::default());
    }
    // The same without a trace that ends: the host catches it, and calls again.
    let (instance, tracer) = (guest.instance, guest.tracer.clone());
    drop(guest.arrived());
    let options = TraceOptions::new("root").min_duration(Duration::ZERO);
    let traced = tracer.trace(&mut guest.store, options, |store| {
        for export in ["trap", "fine"] {
            let scope = tracer.trace(store, TraceOptions::new(format!("{export}s")), |store| {
                instance.get_typed_func::<(), ()>(&mut *store, export)?.call(store, ())
            });
            assert_eq!(scope.result.is_err(), export == "trap");
        }
        Ok(())
    });
    assert_eq!(traced.report.expect("a trace").lost, Lost::default());
    let spans = guest.arrived().arrived();
    assert!(spans.contains(&span("fines", "root", false)), "{spans:?}");
    assert!(spans.contains(&span("fine", "fines", false)), "{spans:?}");
}

/// An exporter that waits for the test, and counts roots.
struct Slow {
    go: Receiver<()>,
    roots: Arc<Mutex<u64>>,
}

impl Exporter for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    fn export(&mut self, chunk: &Chunk) {
        // Nobody sends: it is over when the test lets go.
        let _ = self.go.recv();
        let roots = chunk.spans.iter().filter(|span| span.parent.is_none()).count();
        *self.roots.lock().expect("whole") += roots as u64;
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
fn root_spans_are_not_dropped_without_a_count() {
    const TRACES: u64 = 300;
    let (let_go, go) = mpsc::channel();
    let roots = Arc::new(Mutex::new(0));
    let slow = Slow { go, roots: Arc::clone(&roots) };
    let collector = Collector::builder().capacity(4).exporter(Box::new(slow)).start();
    let handle = collector.handle();
    let observer = observer().sink(handle.clone()).build();
    let module = module(&format!(
        r#"(module {IMPORTS}
             (func (export "go") (call $enter (i32.const 8)) (call $exit (i32.const 8))))"#
    ));
    let module = module.expect("valid");
    let mut linker: Linker<State> = Linker::new(module.module().engine());
    let tracer = observer.tracer(&mut linker, |state| &mut state.recorder).expect("empty");
    let linked = linker.instantiate_pre(module.module()).expect("it links");
    let mut spans = 0;
    for _ in 0..TRACES {
        let state = State { recorder: observer.recorder(&module) };
        let mut store = Store::new(module.module().engine(), state);
        let options = TraceOptions::new("root").min_duration(Duration::from_secs(3600));
        let traced = tracer.trace(&mut store, options, |store| {
            let instance = tracer.instantiate(store, &linked)?;
            instance.get_typed_func::<(), ()>(&mut *store, "go")?.call(store, ())
        });
        spans += traced.report.expect("a trace").spans;
    }
    drop(let_go);
    assert!(collector.flush(Duration::from_secs(10)));
    let (arrived, dropped) = (*roots.lock().expect("whole"), handle.dropped().channel_full);
    assert_eq!(spans, TRACES, "each trace is its root");
    assert_eq!(arrived + dropped, TRACES);
    assert!(arrived >= 4 && dropped > 200, "{arrived} and {dropped}");
}

/// The name of a Rust function, mangled.
const MANGLED: &str = "_ZN3app5inner17h0123456789abcdefE";

#[test]
fn names_are_demangled_once_and_the_module_is_parsed_once() {
    let module = module(&format!(
        r#"(module {IMPORTS}
             (memory (export "memory") 1 2)
             (func ${MANGLED}
               (call $enter (i32.const 8))
               (call $memory_grow (i32.const 1))
               (drop (memory.grow (i32.const 1)))
               (call $exit (i32.const 8)))
             (func (export "go")
               (call $enter (i32.const 9))
               (call ${MANGLED})
               (call $exit (i32.const 9))))"#
    ));
    let bytes = module.expect("valid").serialize().expect("it can be kept");
    // Whoever starts it now has nothing to parse, and no mangled name.
    let after_names = bytes.windows(4).position(|bytes| bytes == b"\x7fELF").expect("code");
    let has = |name: &str| bytes[..after_names].windows(name.len()).any(|b| b == name.as_bytes());
    assert!(has("app::inner") && !has(MANGLED));
    // SAFETY: these are the bytes that `serialize` gave.
    let module = unsafe { ObservedModule::deserialize(&engine(), &bytes) }.expect("the same");
    let mut guest = Guest::of(module, observer());
    let (report, spans) = spans_of(&mut guest, "go");
    assert_eq!(spans[2], span("app::inner", "go", false));
    assert_eq!(row(&report, "app::inner").growth.memory_bytes, 1 << 16);
    assert_eq!(report.lost, Lost::default());
}

#[test]
fn short_spans_keep_their_logs_tags_metrics_and_children() {
    let words = Words::default();
    let words = words.begin("outer").begin("inner").tags("k:v").log(2, "said").metric("m:1|c");
    // One of them has nothing but a tag, and one nothing at all.
    let words = words.end().begin("tagged").tags("k:v").end().begin("gone").end().end();
    let mut guest = Guest::new(&words.wat());
    let hour = Duration::from_secs(3600);
    let report = guest.trace("go", TraceOptions::new("root").min_duration(hour));
    let arrived = guest.arrived();
    let expected = [
        span("root", "", false),
        span("go", "root", false),
        span("outer", "go", false),
        span("inner", "outer", false),
        span("tagged", "outer", false),
    ];
    assert_eq!(arrived.arrived(), expected);
    let inner = arrived.span("inner");
    assert_eq!(inner.attribute("k"), Some(&"v".into()));
    assert_eq!(arrived.logs()[0].span, Some(inner.number));
    let metrics = guest.tracer.observer().metrics();
    assert!(metrics.iter().any(|metric| metric.name == "m"));
    assert_eq!(report.lost, Lost::default());
}

#[test]
fn allocation_is_charged_to_the_right_span_and_a_failed_memory_grow_is_no_growth() {
    let mut guest = theirs(
        r#"(memory (export "memory") 1 3)
           (func $grows (param i32)
             (call $enter (i32.const 8))
             (call $memory_grow (local.get 0))
             (drop (memory.grow (local.get 0)))
             (call $exit (i32.const 8)))
           (func $idle (call $enter (i32.const 9)) (call $exit (i32.const 9)))
           (func (export "go")
             (call $enter (i32.const 10))
             (call $idle)
             (call $grows (i32.const 2))
             (call $idle)
             (call $grows (i32.const 1))
             (call $idle)
             (call $exit (i32.const 10)))"#,
    );
    guest.trace("go", TraceOptions::new("root").min_duration(Duration::ZERO));
    let told: Vec<_> = guest
        .arrived()
        .spans()
        .iter()
        .map(|span| {
            let number = |key| match span.attribute(key) {
                Some(Value::Int(number)) => *number,
                _ => 0,
            };
            (span.name.clone(), number("wasm.memory.growth"), number("wasm.growth.failures"))
        })
        .collect();
    let expected = [
        ("root", 0, 0),
        ("go", 0, 0),
        ("idle", 0, 0),
        ("grows", 2 << 16, 0),
        ("idle", 0, 0),
        ("grows", 0, 1),
        ("idle", 0, 0),
    ];
    assert_eq!(told, expected.map(|(name, bytes, failures)| (name.to_owned(), bytes, failures)));
}

#[test]
fn ids_are_binary_and_contexts_are_given() {
    let mut guest =
        theirs(r#"(func (export "go") (call $enter (i32.const 8)) (call $exit (i32.const 8)))"#);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let parent: TraceContext = parent.parse().expect("it is one");
    assert_eq!(parent.trace_id.0[..2], [0x4b, 0xf9]);
    assert_eq!(parent.span_id.0, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
    let (tracer, instance) = (guest.tracer.clone(), guest.instance);
    let options = TraceOptions::new("root").parent(parent).min_duration(Duration::ZERO);
    let traced = tracer.trace(&mut guest.store, options, |store| {
        instance.get_typed_func::<(), ()>(&mut *store, "go")?.call(&mut *store, ())?;
        Ok(store.data_mut().recorder.context())
    });
    let context = traced.result.expect("it returns").expect("there is one");
    assert_eq!(traced.report.expect("a trace").trace_id, parent.trace_id);
    let arrived = guest.arrived();
    let (root, go) = (arrived.span("root"), arrived.span("go"));
    assert_eq!(root.remote, Some(parent.span_id.to_string()));
    assert_eq!(context.to_string(), format!("00-{}-{}-01", parent.trace_id, root.id));
    assert_eq!((go.trace, go.parent), (parent.trace_id.to_string(), Some(root.number)));
    assert_ne!(go.id, root.id);
    assert_eq!(guest.recorder().context(), None, "it is over");
}

#[test]
fn tags_metrics_and_logs_reach_the_sink() {
    let words = Words::default().begin("s").tags("user_id:123,world:hello");
    let words = words.metric("worlds.helloed:1|c").log(2, "Hello World").end();
    let mut guest = Guest::new(&words.wat());
    let report = guest.trace("go", TraceOptions::new("root"));
    let arrived = guest.arrived();
    let span = arrived.span("s");
    assert_eq!(span.attribute("user_id"), Some(&"123".into()));
    assert_eq!(span.attribute("world"), Some(&"hello".into()));
    let [log] = &arrived.logs()[..] else { panic!("one log") };
    assert_eq!((log.severity, log.body.as_str()), (Severity::Warn, "Hello World"));
    assert!(log.attributes.is_empty());
    assert_eq!(log.span, Some(span.number));
    let metrics = guest.tracer.observer().metrics();
    let metric = metrics.iter().find(|metric| metric.name == "worlds.helloed");
    let Some(MetricData::Sum { points, monotonic: true, .. }) = metric.map(|metric| &metric.data)
    else {
        panic!("{metric:?}")
    };
    assert_eq!(points[0].value, Number::Double(1.0));
    assert_eq!(report.lost, Lost::default());
}

#[test]
fn logs_of_a_span_that_is_open_for_long_reach_the_sink_before_it() {
    let words = (0..100).fold(Words::default(), |words, _| words.log(3, "said"));
    let mut guest = Guest::new(&words.wat());
    guest.trace("go", TraceOptions::new("root"));
    assert_eq!(guest.arrived().logs().len(), 100);
}

/// A module with our hooks and with those of observe-sdk.
fn instrumented(wasm: &[u8]) -> [Vec<u8>; 2] {
    let parsed = Parsed::parse(wasm).expect("valid");
    [Abi::Observe, Abi::Dylibso].map(|abi| {
        let mut plan = Plan::new(&parsed, &Selection::all());
        plan.abi = abi;
        plan.apply(&parsed).expect("it can be instrumented").wasm
    })
}

#[test]
fn function_pointers_vtables_and_closures_are_seen() {
    let wasm = assemble(
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
    for wasm in instrumented(&wasm) {
        let module = ObservedModule::new(&engine(), &wasm, &Selection::all()).expect("valid");
        let (_, spans) = spans_of(&mut Guest::of(module, observer()), "go");
        let seen = ["pointed_to", "referred_to"].map(|name| span(name, "go", false));
        assert_eq!(spans[2..], seen);
    }
}

#[test]
fn the_module_does_not_double_in_size() {
    for example in ["vowels.wasm", "vowels-c.wasm"] {
        let path = format!("{}/../examples/{example}", env!("CARGO_MANIFEST_DIR"));
        let wasm = std::fs::read(path).expect("an example");
        for after in instrumented(&wasm) {
            let grown = after.len() as f64 / wasm.len() as f64;
            assert!((1.0..1.6).contains(&grown), "{example}: {grown}");
        }
    }
}

#[test]
fn a_module_with_no_name_section_can_be_used() {
    let wat = r#"(module
        (import "dylibso:observe/instrument" "enter" (func (param i32)))
        (import "dylibso:observe/instrument" "exit" (func (param i32)))
        (func (call 0 (i32.const 2)) (call 1 (i32.const 2)))
        (func (export "go") (call 0 (i32.const 3)) (call 2) (call 1 (i32.const 3))))"#;
    assert!(!assemble(wat).windows(5).any(|bytes| bytes == b"\x04name"));
    let (report, spans) = spans_of(&mut Guest::new(wat), "go");
    let expected =
        [span("root", "", false), span("go", "root", false), span("wasm-function[2]", "go", false)];
    assert_eq!(spans, expected);
    assert_eq!(report.lost, Lost::default());
}
