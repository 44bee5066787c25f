//! The others, by what their documentation recommends.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrace::collector::{Config, SpanContext as FastraceContext};
use fastrace::local::LocalSpan;
use fastrace_opentelemetry::OpenTelemetryReporter;
use futures_executor::block_on;
use observe_benches::Result;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
    Tracer, TracerProvider,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter as OtlpExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData, SpanEvents, SpanExporter,
    SpanLinks,
};
use tokio::runtime::Runtime;

use crate::Sender;
use crate::spans::{BATCH, FILE, FUNCTIONS, TRACE, WAVE, in_parts, index, times};

/// Over the client that it has by default, which blocks.
pub(crate) fn http_exporter(url: &str) -> Result<OtlpExporter> {
    let builder = OtlpExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
    Ok(builder.with_endpoint(format!("{url}/v1/traces")).build()?)
}

/// With the runtime on which it works.
fn grpc_exporter(url: &str) -> Result<(OtlpExporter, Runtime)> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let exporter = {
        let _entered = runtime.enter();
        OtlpExporter::builder().with_tonic().with_endpoint(url).build()?
    };
    Ok((exporter, runtime))
}

pub(crate) fn otlp_http(url: &str) -> Result<Sender> {
    let exporter = http_exporter(url)?;
    let scope = scope();
    Ok(Box::new(move |spans| {
        in_parts(spans, BATCH, |batch| Ok(block_on(exporter.export(span_data(batch, &scope)))?))
    }))
}

pub(crate) fn otlp_grpc(url: &str) -> Result<Sender> {
    let (exporter, runtime) = grpc_exporter(url)?;
    let scope = scope();
    Ok(Box::new(move |spans| {
        let export = |batch| Ok(runtime.block_on(exporter.export(span_data(batch, &scope)))?);
        in_parts(spans, BATCH, export)
    }))
}

pub(crate) fn sdk_http(url: &str) -> Result<Sender> {
    Ok(sdk(http_exporter(url)?, ()))
}

pub(crate) fn sdk_grpc(url: &str) -> Result<Sender> {
    let (exporter, runtime) = grpc_exporter(url)?;
    Ok(sdk(exporter, runtime))
}

/// Spans by its tracer, with a queue in which a wave has room: that of 2,048 would lose some.
fn sdk(exporter: OtlpExporter, runtime: impl Send + 'static) -> Sender {
    let limits = BatchConfigBuilder::default().with_max_queue_size(WAVE as usize).build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(limits).build();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let tracer = provider.tracer("observe");
    Box::new(move |spans| {
        let _works_on = &runtime;
        in_parts(spans, WAVE, |wave| {
            in_parts(wave, TRACE, |trace| {
                let root = tracer.start_with_context("root", &Context::new());
                let context = Context::new().with_span(root);
                for number in 1..trace {
                    let builder = tracer.span_builder(FUNCTIONS[index(number)].name);
                    let builder = builder.with_attributes(attributes(number));
                    drop(tracer.build_with_context(builder, &context));
                }
                Ok::<_, String>(())
            })?;
            Ok(provider.force_flush()?)
        })
    })
}

pub(crate) fn fastrace_grpc(url: &str) -> Result<Sender> {
    let (exporter, runtime) = grpc_exporter(url)?;
    let resource = Cow::Owned(Resource::builder().build());
    let reporter = OpenTelemetryReporter::new(exporter, resource, scope());
    fastrace::set_reporter(reporter, Config::default());
    Ok(Box::new(move |spans| {
        let _works_on = &runtime;
        // Less than a wave: what goes beyond its own queues is lost.
        in_parts(spans, 16 * TRACE, |wave| {
            in_parts(wave, TRACE, |trace| {
                let root = fastrace::Span::root("root", FastraceContext::random());
                let _guard = root.set_local_parent();
                for number in 1..trace {
                    let function = &FUNCTIONS[index(number)];
                    let _span =
                        LocalSpan::enter_with_local_parent(function.name).with_properties(|| {
                            [
                                ("code.function.name", function.name),
                                ("code.file.path", FILE),
                                ("code.line.number", function.line_text),
                                ("wasm.function.index", function.line_text),
                            ]
                        });
                }
                Ok::<_, String>(())
            })?;
            fastrace::flush();
            Ok(())
        })
    }))
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("observe").build()
}

fn attributes(number: u64) -> Vec<KeyValue> {
    let function = &FUNCTIONS[index(number)];
    vec![
        KeyValue::new("code.function.name", function.name),
        KeyValue::new("code.file.path", FILE),
        KeyValue::new("code.line.number", function.line),
        KeyValue::new("wasm.function.index", function.line),
    ]
}

fn span_data(spans: u64, scope: &InstrumentationScope) -> Vec<SpanData> {
    let time = |nanos| -> SystemTime { UNIX_EPOCH + Duration::from_nanos(nanos) };
    let span = |number| {
        let (start, end) = times(number);
        let (trace, id) = (TraceId::from(7_u128), SpanId::from(number + 1));
        let flags = TraceFlags::SAMPLED;
        SpanData {
            span_context: SpanContext::new(trace, id, flags, false, TraceState::NONE),
            parent_span_id: SpanId::from(number / 2 + 1),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: FUNCTIONS[index(number)].name.into(),
            start_time: time(start),
            end_time: time(end),
            attributes: attributes(number),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: scope.clone(),
        }
    };
    (0..spans).map(span).collect()
}
