//! Guests' traces among the spans of OpenTelemetry's SDK and of `tracing`.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use observe_collector::event::{Chunk, SpanId, TraceId};
use observe_collector::{Collector, Counts, Exporter};
use observe_host::{
    ObservedModule, Observer, Overhead, Recorder, Report, TraceContext, TraceOptions, Tracer,
};
use observe_instrumenter::Selection;
use opentelemetry::trace::{
    SpanContext, TraceContextExt, TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, Sampler, SdkTracer, SdkTracerProvider, ShouldSample, SpanData,
};
use tracing_subscriber::layer::SubscriberExt;
use wasmtime::{Caller, Engine, Linker, Store};

/// An SDK whose spans are kept.
struct Sdk {
    kept: InMemorySpanExporter,
    provider: SdkTracerProvider,
}

impl Sdk {
    fn new(sampler: impl ShouldSample + 'static) -> Self {
        let kept = InMemorySpanExporter::default();
        let sampler: Box<dyn ShouldSample> = Box::new(sampler);
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(kept.clone())
            .with_sampler(sampler)
            .build();
        Sdk { kept, provider }
    }

    fn tracer(&self) -> SdkTracer {
        self.provider.tracer("test")
    }

    /// Does something with a subscriber that makes spans of this SDK.
    fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        let layer = tracing_opentelemetry::layer().with_tracer(self.tracer());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work)
    }

    fn span(&self, name: &str) -> Option<SpanData> {
        let spans = self.kept.get_finished_spans().expect("it keeps them");
        spans.into_iter().find(|span| span.name == name)
    }
}

/// A span of a guest: its trace, its own id, that of its parent, and its name.
type GuestSpan = (TraceId, SpanId, Option<SpanId>, String);

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<GuestSpan>>>);

impl Exporter for Kept {
    fn name(&self) -> &str {
        "kept"
    }

    fn export(&mut self, chunk: &Chunk) {
        let trace = &chunk.trace;
        self.0.lock().expect("whole").extend(chunk.spans.iter().map(|span| {
            let symbol = span.symbol.and_then(|id| trace.symbols.get(id));
            let own = span.detail.as_ref().and_then(|detail| detail.name.clone());
            let name =
                symbol.map(|symbol| symbol.name.clone()).or(own.map(Into::into)).expect("a name");
            (trace.trace_id, trace.span_id(span.number), trace.parent_id(span), name)
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

/// Traces a guest that calls `host.out`, which calls out as a span of `sdk`; also the spans.
fn trace(sdk: &Sdk, parent: Option<TraceContext>) -> (Report, Vec<GuestSpan>) {
    let wasm = wat::parse_str(
        r#"(module (import "host" "out" (func $out)) (func (export "go") (call $out)))"#,
    );
    let kept = Kept::default();
    let collector = Collector::builder().exporter(Box::new(kept.clone())).start();
    let observer = Observer::builder()
        .overhead(Overhead::all())
        .min_duration(Duration::ZERO)
        .sink(collector.handle())
        .build();
    let engine = Engine::default();
    let module = ObservedModule::new(&engine, &wasm.expect("valid"), &Selection::all());
    let module = module.expect("it can be observed");
    let mut linker: Linker<Recorder> = Linker::new(&engine);
    let tracer: Tracer<Recorder> =
        observer.tracer(&mut linker, |recorder| recorder).expect("an empty linker");
    let calls_out = sdk.tracer();
    linker
        .func_wrap("host", "out", move |mut caller: Caller<'_, Recorder>| {
            let context = caller.data_mut().context().expect("a trace is under way");
            let parent = context.to_context();
            assert!(parent.span().span_context().is_remote());
            drop(calls_out.span_builder("call out").start_with_context(&calls_out, &parent));
        })
        .expect("not there yet");
    let linked = linker.instantiate_pre(module.module()).expect("it links");
    let mut store = Store::new(&engine, observer.recorder(&module));
    let traced = tracer.trace(&mut store, TraceOptions::new("guest").parent(parent), |store| {
        let instance = tracer.instantiate(store, &linked)?;
        instance.get_typed_func::<(), ()>(&mut *store, "go")?.call(store, ())
    });
    traced.result.expect("it returns");
    assert!(collector.flush(Duration::from_secs(10)));
    let spans = std::mem::take(&mut *kept.0.lock().expect("whole"));
    (traced.report.expect("a trace"), spans)
}

fn find<'a>(spans: &'a [GuestSpan], name: &str) -> &'a GuestSpan {
    let found = spans.iter().find(|(.., other)| other == name);
    found.unwrap_or_else(|| panic!("no {name}: {spans:?}"))
}

#[test]
fn the_current_tracing_span_is_the_parent() {
    let sdk = Sdk::new(Sampler::AlwaysOn);
    let (report, spans) = sdk.within(|| {
        tracing::info_span!("outer").in_scope(|| {
            tracing::info_span!("request").in_scope(|| trace(&sdk, TraceContext::current()))
        })
    });
    let request = sdk.span("request").expect("the SDK has it").span_context;
    let (trace_id, _, parent, _) = find(&spans, "guest");
    assert_eq!(trace_id.0, request.trace_id().to_bytes());
    assert_eq!(parent.map(|id| id.0), Some(request.span_id().to_bytes()));
    assert_eq!(report.trace_id, *trace_id);
    assert!(spans.iter().all(|(other, ..)| other == trace_id), "{spans:?}");
}

#[test]
fn under_a_span_that_is_not_sampled_nothing_is_sent() {
    let sdk = Sdk::new(Sampler::AlwaysOff);
    let (parent, (report, spans)) = sdk.within(|| {
        tracing::info_span!("request").in_scope(|| {
            let parent = TraceContext::current().expect("it has an identity");
            (parent, trace(&sdk, Some(parent)))
        })
    });
    assert!(!parent.sampled);
    assert_eq!(report.trace_id, parent.trace_id);
    assert_eq!(spans, []);
    assert!(report.functions.iter().any(|row| row.name == "go" && row.calls == 1));
}

#[test]
fn there_is_no_current_span_outside_of_spans() {
    assert_eq!(TraceContext::current(), None);
    let sdk = Sdk::new(Sampler::AlwaysOn);
    assert_eq!(sdk.within(TraceContext::current), None);
    // A subscriber that knows nothing of OpenTelemetry.
    let found = tracing::subscriber::with_default(tracing_subscriber::registry(), || {
        tracing::info_span!("request").in_scope(TraceContext::current)
    });
    assert_eq!(found, None);
    assert_eq!(TraceContext::from_context(&opentelemetry::Context::current()), None);
    assert_eq!(TraceContext::from_span_context(&SpanContext::NONE), None);
}

#[test]
fn the_current_context_is_the_parent() {
    let sdk = Sdk::new(Sampler::AlwaysOn);
    let tracer = sdk.tracer();
    let (_, spans) = tracer.in_span("request", |context| {
        let parent = TraceContext::from_context(&context).expect("it has an identity");
        assert_eq!(TraceContext::from_context(&opentelemetry::Context::current()), Some(parent));
        trace(&sdk, Some(parent))
    });
    let request = sdk.span("request").expect("the SDK has it").span_context;
    let (trace_id, _, parent, _) = find(&spans, "guest");
    assert_eq!(trace_id.0, request.trace_id().to_bytes());
    assert_eq!(parent.map(|id| id.0), Some(request.span_id().to_bytes()));
}

#[test]
fn what_a_host_function_calls_stands_under_the_guests_call() {
    // It records what is under a span that is sampled, and nothing else.
    let sdk = Sdk::new(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)));
    let (report, spans) = trace(&sdk, None);
    let call = sdk.span("call out").expect("the guest's trace is sampled");
    let (trace_id, span_id, ..) = find(&spans, "host.out");
    assert_eq!(call.span_context.trace_id().to_bytes(), report.trace_id.0);
    assert_eq!((trace_id.0, span_id.0), (report.trace_id.0, call.parent_span_id.to_bytes()));
    assert!(call.parent_span_is_remote);

    let unsampled =
        TraceContext { trace_id: TraceId([1; 16]), span_id: SpanId([2; 8]), sampled: false };
    let sdk = Sdk::new(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
    trace(&sdk, Some(unsampled));
    assert!(sdk.span("call out").is_none(), "its trace is not sampled");
}

#[test]
fn a_context_survives_the_way_there_and_back() {
    for sampled in [true, false] {
        let context = TraceContext {
            trace_id: TraceId(std::array::from_fn(|at| at as u8)),
            span_id: SpanId(std::array::from_fn(|at| 0xf8 + at as u8)),
            sampled,
        };
        let span = context.to_span_context();
        assert_eq!(span.trace_id().to_string(), context.trace_id.to_string());
        assert_eq!(span.span_id().to_string(), context.span_id.to_string());
        assert_eq!((span.is_remote(), span.trace_state()), (true, &TraceState::default()));
        assert_eq!(TraceContext::from_span_context(&span), Some(context));
        assert_eq!(TraceContext::from_context(&context.to_context()), Some(context));
    }
}
