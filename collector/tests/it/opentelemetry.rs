//! Spans and log records that exporters and processors of OpenTelemetry's SDK are given.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use observe_collector::event::Chunk;
use observe_collector::opentelemetry::{SdkBuilder, SdkExporter, SharedProcessor};
use observe_collector::{Collector, Counts, Dropped, ExporterReport, Resource};
use opentelemetry::trace::TraceState;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord as OtlpLog;
use opentelemetry_proto::tonic::trace::v1::Span as OtlpSpan;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::InMemoryLogExporter;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, InMemorySpanExporter, SdkTracerProvider, SpanData, SpanExporter,
};

use crate::fixtures::{
    chunk_from, expected_log, expected_span, logging_chunk, random_chunk, settled,
};

const LONG: Duration = Duration::from_secs(20);

/// `SpanFlags::ContextHasIsRemoteMask` of OTLP: the SDK always says whether the parent is
/// remote.
const HAS_IS_REMOTE: u32 = 0x100;

/// What an exporter does with a batch.
#[derive(Clone, Copy, Debug)]
enum Act {
    Take,
    Fail,
    AlreadyShutdown,
    Hang,
    Panic,
}

/// An exporter that acts by script; the last act stays.
#[derive(Clone, Debug)]
struct Scripted {
    acts: Arc<[Act]>,
    calls: Arc<AtomicU64>,
    taken: Arc<AtomicU64>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    fn new(acts: &[Act]) -> Self {
        let (calls, taken, log) = Default::default();
        Scripted { acts: acts.into(), calls, taken, log }
    }

    fn note(&self, what: String) {
        self.log.lock().expect("log").push(what);
    }
}

impl SpanExporter for Scripted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.note(format!("export {}", batch.len()));
        let call = self.calls.fetch_add(1, Ordering::SeqCst) as usize;
        match self.acts[call.min(self.acts.len() - 1)] {
            Act::Take => {
                self.taken.fetch_add(batch.len() as u64, Ordering::SeqCst);
                Ok(())
            }
            Act::Fail => Err(OTelSdkError::InternalFailure("no\nroute".to_owned())),
            Act::AlreadyShutdown => Err(OTelSdkError::AlreadyShutdown),
            Act::Hang => pending().await,
            Act::Panic => panic!("the exporter's own fault"),
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.note("flush".to_owned());
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        self.note("shutdown".to_owned());
        Ok(())
    }

    fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource) {
        let mut attributes: Vec<_> = resource.iter().map(|(k, v)| format!("{k}={v}")).collect();
        attributes.sort();
        self.note(attributes.join(" "));
    }
}

fn builder() -> SdkBuilder {
    SdkExporter::builder(&Resource::new().with_default("service.name", "tests"))
}

fn start(builder: SdkBuilder) -> Collector {
    Collector::builder().exporter(Box::new(builder.build())).start()
}

/// Ends a collector with one exporter, whose account has to be whole.
fn end(collector: Collector, timeout: Duration) -> ExporterReport {
    let mut report = settled(collector.shutdown(timeout));
    report.exporters.remove(0)
}

/// As OTLP has it, but for what the SDK cannot tell apart.
fn otlp_span(span: SpanData) -> OtlpSpan {
    let mut span = OtlpSpan::from(span);
    span.status = span.status.filter(|status| status.code != 0);
    span
}

/// What the SDK can have of what OTLP should say.
fn sdk_span(mut span: OtlpSpan) -> OtlpSpan {
    let trace_state = |text: &mut String| {
        *text = text.parse::<TraceState>().map(|state| state.header()).unwrap_or_default();
    };
    let plain = |attributes: &mut Vec<KeyValue>| {
        for attribute in attributes {
            let Some(AnyValue { value: Some(value) }) = attribute.value.take() else {
                attribute.value = Some(text(String::new()));
                continue;
            };
            let kind = |value: &AnyValue| value.value.as_ref().map(std::mem::discriminant);
            let is_plain = match &value {
                Any::BytesValue(_) | Any::KvlistValue(_) => false,
                Any::ArrayValue(array) => array.values.iter().all(|item| {
                    kind(item) == kind(&array.values[0])
                        && !matches!(
                            item.value,
                            None | Some(
                                Any::BytesValue(_) | Any::KvlistValue(_) | Any::ArrayValue(_)
                            )
                        )
                }),
                _ => true,
            };
            let value = if is_plain { AnyValue { value: Some(value) } } else { text(TEXT.into()) };
            attribute.value = Some(value);
        }
    };
    trace_state(&mut span.trace_state);
    span.flags |= HAS_IS_REMOTE;
    plain(&mut span.attributes);
    span.events.iter_mut().for_each(|event| plain(&mut event.attributes));
    for link in &mut span.links {
        trace_state(&mut link.trace_state);
        link.flags |= HAS_IS_REMOTE;
        plain(&mut link.attributes);
    }
    span
}

/// What stands for the text that a value becomes; which, unit tests say.
const TEXT: &str = "(text)";

fn text(text: String) -> AnyValue {
    AnyValue { value: Some(Any::StringValue(text)) }
}

/// Replaces by [`TEXT`] what is text where another has that.
fn hide_texts(span: &mut OtlpSpan, expected: &OtlpSpan) {
    let hide = |attributes: &mut Vec<KeyValue>, expected: &[KeyValue]| {
        for (attribute, expected) in attributes.iter_mut().zip(expected) {
            let is_text = |value: &Option<AnyValue>| {
                matches!(value, Some(AnyValue { value: Some(Any::StringValue(_)) }))
            };
            if expected.value == Some(text(TEXT.to_owned())) && is_text(&attribute.value) {
                attribute.value = expected.value.clone();
            }
        }
    };
    hide(&mut span.attributes, &expected.attributes);
    for (event, expected) in span.events.iter_mut().zip(&expected.events) {
        hide(&mut event.attributes, &expected.attributes);
    }
    for (link, expected) in span.links.iter_mut().zip(&expected.links) {
        hide(&mut link.attributes, &expected.attributes);
    }
}

/// What the SDK can have of what OTLP should say; a map of the SDK has no order.
fn sdk_log(mut log: OtlpLog) -> OtlpLog {
    fn simple(value: &mut AnyValue) {
        match &mut value.value {
            None => *value = text(String::new()),
            Some(Any::ArrayValue(array)) => array.values.iter_mut().for_each(simple),
            Some(Any::KvlistValue(list)) => {
                list.values.sort_by(|a, b| a.key.cmp(&b.key));
                list.values.iter_mut().filter_map(|item| item.value.as_mut()).for_each(simple);
            }
            Some(_) => {}
        }
    }
    if log.span_id.is_empty() {
        log.span_id = vec![0; 8];
    }
    log.dropped_attributes_count = 0;
    log.attributes.iter_mut().filter_map(|item| item.value.as_mut()).for_each(simple);
    log
}

#[test]
fn all_that_a_span_and_a_log_record_have_arrives() {
    let (spans, logs) = (InMemorySpanExporter::default(), InMemoryLogExporter::default());
    let collector = start(builder().spans(spans.clone()).logs(logs.clone()));
    let chunks: Vec<Chunk> = (0..200).map(random_chunk).collect();
    let expected_spans: Vec<_> = chunks
        .iter()
        .flat_map(|chunk| chunk.spans.iter().map(|span| expected_span(&chunk.trace, span)))
        .map(sdk_span)
        .collect();
    let expected_logs: Vec<_> = chunks
        .iter()
        .flat_map(|chunk| chunk.logs.iter().map(|log| expected_log(&chunk.trace, log)))
        .map(sdk_log)
        .collect();
    assert!(expected_spans.len() > 512 && expected_logs.len() > 512, "more than one batch");
    for chunk in chunks {
        collector.handle().send(chunk);
    }
    assert!(collector.flush(LONG));

    let spans = spans.get_finished_spans().expect("spans");
    for span in &spans {
        assert_eq!(span.instrumentation_scope.name(), "observe");
        assert!(span.span_context.is_sampled() && !span.span_context.is_remote());
    }
    assert_eq!(spans.len(), expected_spans.len());
    for (span, expected) in spans.into_iter().zip(&expected_spans) {
        let mut span = otlp_span(span);
        hide_texts(&mut span, expected);
        assert_eq!(span, *expected);
    }

    let logs = logs.get_emitted_logs().expect("log records");
    let resource = logs[0].resource.clone().into_owned();
    assert_eq!(resource, (&Resource::new().with_default("service.name", "tests")).into());
    assert!(logs.iter().all(|log| log.instrumentation.name() == "observe"));
    let logs: Vec<_> = logs.iter().map(|log| sdk_log(OtlpLog::from(&log.record))).collect();
    assert_eq!(logs, expected_logs);

    let report = end(collector, LONG);
    assert_eq!(report.counts.delivered, expected_spans.len() as u64);
    assert_eq!(report.logs.delivered, expected_logs.len() as u64);
    assert_eq!(report.last_error, None);
}

#[test]
fn an_exporter_is_told_of_the_resource_and_of_the_end() {
    let exporter = Scripted::new(&[Act::Take]);
    let collector = start(builder().spans(exporter.clone()));
    collector.handle().send(chunk_from(0, 1_100));
    assert!(collector.flush(LONG));
    let report = end(collector, LONG);
    assert_eq!((report.counts.delivered, report.name.as_str()), (1_100, "opentelemetry-sdk"));
    let log = exporter.log.lock().expect("log").clone();
    assert!(log[0].starts_with("service.name=tests telemetry.sdk.language=rust"), "{log:?}");
    assert_eq!(log.iter().filter(|line| line.starts_with("export")).count(), 3, "{log:?}");
    assert!(log.iter().any(|line| line == "export 512"), "{log:?}");
    assert!(log.contains(&"flush".to_owned()), "{log:?}");
    assert_eq!(log.last().map(String::as_str), Some("shutdown"));
}

#[test]
fn signals_for_which_there_is_nothing_are_not_taken() {
    let collector = start(builder().logs(InMemoryLogExporter::default()));
    collector.handle().send(logging_chunk(3, 2));
    let report = end(collector, LONG);
    assert_eq!((report.counts, report.logs.delivered), (Counts::default(), 2));
}

#[test]
fn what_an_exporter_fails_to_export_is_counted_by_reason() {
    let exporter = Scripted::new(&[Act::Fail, Act::Take, Act::AlreadyShutdown]);
    let collector = start(builder().spans(exporter));
    for first in [0, 10, 20] {
        collector.handle().send(chunk_from(first, 10));
        assert!(collector.flush(LONG));
    }
    let dropped = Dropped { retries_exhausted: 10, closed: 10, ..Dropped::default() };
    let report = end(collector, LONG);
    assert_eq!(report.counts, Counts { accepted: 30, delivered: 10, dropped, ..Counts::default() });
    assert_eq!(report.last_error.as_deref(), Some("Shutdown already invoked"));
}

#[test]
fn an_error_is_one_line() {
    let collector = start(builder().spans(Scripted::new(&[Act::Fail])));
    collector.handle().send(chunk_from(0, 1));
    let report = end(collector, LONG);
    assert_eq!(report.last_error.as_deref(), Some("Operation failed: no route"));
}

#[test]
fn an_exporter_that_hangs_holds_up_nobody() {
    let exporter = Scripted::new(&[Act::Hang]);
    let memory = InMemorySpanExporter::default();
    let other = builder().spans(memory.clone()).build();
    let collector = Collector::builder()
        .exporter(Box::new(builder().spans(exporter.clone()).build()))
        .exporter(Box::new(other))
        .start();
    collector.handle().send(chunk_from(0, 600));
    while memory.get_finished_spans().expect("spans").len() < 512 {
        std::thread::yield_now();
    }
    assert!(!collector.flush(Duration::from_millis(20)));
    let counts = collector.report(LONG).expect("an answer").exporters[0].counts;
    assert_eq!((counts.queued, counts.is_balanced()), (600, true));
    // The end of the shutdown ends the future, too: its exporter is dropped with the thread.
    let report = settled(collector.shutdown(Duration::from_millis(50)));
    let dropped = report.exporters[0].counts.dropped;
    assert_eq!(dropped.total(), 600, "{report:?}");
    assert_eq!(report.exporters[1].counts.delivered, 600);
    while Arc::strong_count(&exporter.log) > 1 {
        std::thread::yield_now();
    }
}

#[test]
fn an_exporter_that_panics_loses_what_it_had_and_no_more_than_is_said() {
    let collector = start(builder().spans(Scripted::new(&[Act::Panic])));
    collector.handle().send(chunk_from(0, 10));
    collector.flush(LONG);
    collector.handle().send(chunk_from(10, 5));
    let report = end(collector, LONG);
    let dropped = Dropped { undelivered: 15, ..Dropped::default() };
    assert_eq!(report.counts, Counts { accepted: 15, dropped, ..Counts::default() });
    assert_eq!(report.last_error.as_deref(), Some("the exporter of the SDK panicked"));
}

#[test]
fn a_full_queue_drops_the_newest_and_counts() {
    let exporter = Scripted::new(&[Act::Hang]);
    let collector = start(builder().spans(exporter).queue_bytes(100_000));
    collector.handle().send(chunk_from(0, 10_000));
    let counts = collector.report(LONG).expect("an answer").exporters[0].counts;
    assert!(counts.is_balanced(), "{counts:?}");
    assert!(counts.dropped.queue_full > 8_000 && counts.queued > 0, "{counts:?}");
    end(collector, Duration::from_millis(20));
}

#[test]
fn a_processor_has_spans_of_the_embedder_and_of_guests() {
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    let memory = InMemorySpanExporter::default();
    let processor = SharedProcessor::new(BatchSpanProcessor::builder(memory.clone()).build());
    let provider = SdkTracerProvider::builder().with_span_processor(processor.clone()).build();
    let collector = start(builder().processor(processor));
    provider.tracer("embedder").in_span("request", |_| {
        collector.handle().send(chunk_from(0, 3));
    });
    assert!(collector.flush(LONG));
    let report = end(collector, LONG);
    assert_eq!(report.counts.delivered, 3);
    // The processor is not ours to end.
    provider.tracer("embedder").in_span("later", |_| {});
    provider.force_flush().expect("flushed");
    let mut names: Vec<_> =
        memory.get_finished_spans().expect("spans").into_iter().map(|span| span.name).collect();
    names.sort();
    assert_eq!(names, ["function", "function", "function", "later", "request"]);
    provider.shutdown().expect("the provider's own");
}

/// What an exporter does is not traced by itself.
#[test]
fn exporters_run_with_telemetry_suppressed() {
    #[derive(Debug)]
    struct Suppressed(Arc<AtomicU64>);
    impl SpanExporter for Suppressed {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            if opentelemetry::Context::is_current_telemetry_suppressed() {
                self.0.fetch_add(batch.len() as u64, Ordering::SeqCst);
            }
            Ok(())
        }
    }
    let seen = Arc::<AtomicU64>::default();
    let collector = start(builder().spans(Suppressed(Arc::clone(&seen))));
    collector.handle().send(chunk_from(0, 7));
    assert_eq!(end(collector, LONG).counts.delivered, 7);
    assert_eq!(seen.load(Ordering::SeqCst), 7);
}
