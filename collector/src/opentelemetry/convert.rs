//! Our records as values of the SDK.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::{SpanContext, SpanKind, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger, SdkLoggerProvider};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::queue::Weigh;
use crate::event::{self, Attribute, SpanRecord, Status, TraceInfo, Value};
use crate::resource::Resource;

/// The name of a span to which the host gave neither a symbol nor a name.
const UNNAMED: &str = "unknown";

/// The instrumentation scope of all that comes from us.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("observe").with_version(env!("CARGO_PKG_VERSION")).build()
}

impl From<&Resource> for opentelemetry_sdk::Resource {
    fn from(resource: &Resource) -> Self {
        let attributes = resource.attributes().iter().map(key_value);
        opentelemetry_sdk::Resource::builder_empty().with_attributes(attributes).build()
    }
}

/// A span, with all that is known of it.
pub(super) fn span(trace: &TraceInfo, span: &SpanRecord, scope: &InstrumentationScope) -> SpanData {
    let symbol = span.symbol.and_then(|id| trace.symbols.get(id));
    let detail = span.detail.as_deref();
    let name = detail.and_then(|detail| detail.name.as_deref());
    let name = name.or(symbol.map(|symbol| symbol.name.as_str())).unwrap_or(UNNAMED);
    let parent = match span.parent {
        Some(number) => Some(trace.span_id(number)),
        None => trace.parent,
    };
    let shared = symbol.map_or(&[][..], |symbol| &symbol.attributes);
    let own = detail.map_or(&[][..], |detail| &detail.attributes);
    SpanData {
        span_context: SpanContext::new(
            opentelemetry::TraceId::from_bytes(trace.trace_id.0),
            span_id(trace.span_id(span.number)),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: parent.map_or(opentelemetry::SpanId::INVALID, span_id),
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.to_owned().into(),
        start_time: time(span.start_unix_nanos),
        end_time: time(span.end_unix_nanos),
        attributes: last_of_each_key(shared, own).map(key_value).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: match span.status {
            Status::Unset => opentelemetry::trace::Status::Unset,
            Status::Error => opentelemetry::trace::Status::error(
                detail.map(|detail| detail.status_message.clone()).unwrap_or_default(),
            ),
        },
        instrumentation_scope: scope.clone(),
    }
}

/// Makes log records, which only a logger of the SDK can.
pub(super) struct LogMaker(SdkLogger);

impl LogMaker {
    pub(super) fn new() -> Self {
        // Its provider has no processors: nothing is sent this way.
        LogMaker(SdkLoggerProvider::builder().build().logger("observe"))
    }

    /// A log record, observed when it was written.
    pub(super) fn log(&self, trace: &TraceInfo, log: &event::LogRecord) -> SdkLogRecord {
        let mut record = self.0.create_log_record();
        record.set_timestamp(time(log.time_unix_nanos));
        record.set_observed_timestamp(time(log.time_unix_nanos));
        record.set_severity_number(severity(log.severity));
        record.set_severity_text(log.severity.text());
        record.set_body(AnyValue::from(log.body.clone()));
        for attribute in last_of_each_key(&[], &log.attributes) {
            record.add_attribute(attribute.key.clone(), any_value(&attribute.value));
        }
        let span = log.span.map(|number| span_id(trace.span_id(number)));
        record.set_trace_context(
            opentelemetry::TraceId::from_bytes(trace.trace_id.0),
            span.unwrap_or(opentelemetry::SpanId::INVALID),
            Some(TraceFlags::SAMPLED),
        );
        record
    }
}

fn span_id(id: event::SpanId) -> opentelemetry::SpanId {
    opentelemetry::SpanId::from_bytes(id.0)
}

fn time(unix_nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(unix_nanos)
}

/// Of several attributes with the same key the last, and of these one of the span's own.
fn last_of_each_key<'a>(
    shared: &'a [Attribute],
    own: &'a [Attribute],
) -> impl Iterator<Item = &'a Attribute> {
    let mut keys = HashSet::with_capacity(own.len());
    let mut last: Vec<_> =
        own.iter().rev().filter(|attribute| keys.insert(&attribute.key)).collect();
    let shared = shared.iter().filter(|attribute| !keys.contains(&attribute.key));
    let shared: Vec<_> = shared.collect();
    last.reverse();
    shared.into_iter().chain(last)
}

fn key_value(attribute: &Attribute) -> KeyValue {
    let value = match &attribute.value {
        Value::String(text) => opentelemetry::Value::String(text.clone().into()),
        Value::Bool(truth) => opentelemetry::Value::Bool(*truth),
        Value::Int(number) => opentelemetry::Value::I64(*number),
        Value::Double(number) => opentelemetry::Value::F64(*number),
    };
    KeyValue::new(attribute.key.clone(), value)
}

fn any_value(value: &Value) -> AnyValue {
    match value {
        Value::String(text) => AnyValue::String(text.clone().into()),
        Value::Bool(truth) => AnyValue::Boolean(*truth),
        Value::Int(number) => AnyValue::Int(*number),
        Value::Double(number) => AnyValue::Double(*number),
    }
}

fn severity(severity: event::Severity) -> Severity {
    match severity {
        event::Severity::Trace => Severity::Trace,
        event::Severity::Debug => Severity::Debug,
        event::Severity::Info => Severity::Info,
        event::Severity::Warn => Severity::Warn,
        event::Severity::Error => Severity::Error,
        event::Severity::Fatal => Severity::Fatal,
    }
}

impl Weigh for SpanData {
    fn weight(&self) -> usize {
        let attribute = |attribute: &KeyValue| {
            let value = match &attribute.value {
                opentelemetry::Value::String(text) => text.as_str().len(),
                _ => 0,
            };
            size_of::<KeyValue>() + attribute.key.as_str().len() + value
        };
        let message = match &self.status {
            opentelemetry::trace::Status::Error { description } => description.len(),
            _ => 0,
        };
        size_of::<Self>()
            + self.name.len()
            + message
            + self.attributes.iter().map(attribute).sum::<usize>()
    }
}

impl Weigh for SdkLogRecord {
    fn weight(&self) -> usize {
        let value = |value: &AnyValue| match value {
            AnyValue::String(text) => text.as_str().len(),
            _ => 0,
        };
        let attributes = self.attributes_iter();
        size_of::<Self>()
            + self.body().map_or(0, value)
            + attributes
                .map(|(key, any)| {
                    size_of_val(key) + size_of_val(any) + key.as_str().len() + value(any)
                })
                .sum::<usize>()
    }
}
