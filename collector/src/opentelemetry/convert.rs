//! Our records as values of the SDK.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::{Event, Link, SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger, SdkLoggerProvider};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::value::{any_value, key_value};
use crate::event::{self, Attribute, SpanDetail, SpanEvent, SpanLink, SpanRecord, TraceInfo};
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
    let none = SpanDetail::NONE;
    let detail = span.detail.as_deref().unwrap_or(&none);
    let name = detail.name.as_deref().or(symbol.map(|symbol| symbol.name.as_str()));
    let above = trace.parent.as_ref();
    let (parent, is_remote) = match (span.parent, above) {
        (Some(number), _) => (span_id(trace.span_id(number)), None),
        (None, Some(above)) => (span_id(above.span_id), above.is_remote),
        (None, None) => (opentelemetry::SpanId::INVALID, None),
    };
    let shared = symbol.map_or(&[][..], |symbol| &symbol.attributes);
    let mut events = SpanEvents::default();
    events.events = detail.events.iter().map(event).collect();
    events.dropped_count = detail.dropped_events;
    let mut links = SpanLinks::default();
    links.links = detail.links.iter().map(link).collect();
    links.dropped_count = detail.dropped_links;
    SpanData {
        span_context: SpanContext::new(
            trace_id(trace.trace_id),
            span_id(trace.span_id(span.number)),
            trace_flags(trace),
            false,
            trace_state(above.map_or("", |above| &above.trace_state)),
        ),
        parent_span_id: parent,
        // The SDK does not know that this is not known.
        parent_span_is_remote: is_remote.unwrap_or(false),
        span_kind: match detail.kind {
            event::SpanKind::Internal => SpanKind::Internal,
            event::SpanKind::Server => SpanKind::Server,
            event::SpanKind::Client => SpanKind::Client,
            event::SpanKind::Producer => SpanKind::Producer,
            event::SpanKind::Consumer => SpanKind::Consumer,
        },
        name: name.unwrap_or(UNNAMED).to_owned().into(),
        start_time: time(span.start_unix_nanos),
        end_time: time(span.end_unix_nanos),
        attributes: last_of_each_key(shared, &detail.attributes).map(key_value).collect(),
        dropped_attributes_count: detail.dropped_attributes,
        events,
        links,
        status: match span.status {
            event::Status::Unset => Status::Unset,
            event::Status::Ok => Status::Ok,
            event::Status::Error => Status::error(detail.status_message.clone()),
        },
        instrumentation_scope: scope.clone(),
    }
}

fn event(event: &SpanEvent) -> Event {
    let attributes = last_of_each_key(&[], &event.attributes).map(key_value).collect();
    let time = time(event.time_unix_nanos);
    Event::new(event.name.clone(), time, attributes, event.dropped_attributes)
}

fn link(link: &SpanLink) -> Link {
    let context = SpanContext::new(
        trace_id(link.trace_id),
        span_id(link.span_id),
        TraceFlags::new(link.trace_flags.0),
        link.is_remote.unwrap_or(false),
        trace_state(&link.trace_state),
    );
    let attributes = last_of_each_key(&[], &link.attributes).map(key_value).collect();
    Link::new(context, attributes, link.dropped_attributes)
}

/// Makes log records, which only a logger of the SDK can.
pub(super) struct LogMaker(SdkLogger);

impl LogMaker {
    pub(super) fn new() -> Self {
        // Its provider has no processors: nothing is sent this way.
        LogMaker(SdkLoggerProvider::builder().build().logger("observe"))
    }

    /// A log record, observed when it was written. How many attributes were dropped, the SDK's have no
    /// place for.
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
            trace_id(trace.trace_id),
            span.unwrap_or(opentelemetry::SpanId::INVALID),
            Some(trace_flags(trace)),
        );
        record
    }
}

fn trace_id(id: event::TraceId) -> opentelemetry::TraceId {
    opentelemetry::TraceId::from_bytes(id.0)
}

/// Those of the parent; what is exported is sampled.
fn trace_flags(trace: &TraceInfo) -> TraceFlags {
    TraceFlags::new(trace.parent.as_ref().map_or(0, |parent| parent.trace_flags.0))
        | TraceFlags::SAMPLED
}

/// One that is malformed is dropped, as W3C Trace Context has it.
fn trace_state(text: &str) -> TraceState {
    text.parse().unwrap_or(TraceState::NONE)
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
    let mut keys = HashSet::with_capacity(shared.len() + own.len());
    let all = shared.iter().chain(own).rev();
    let mut last: Vec<_> = all.filter(|attribute| keys.insert(&attribute.key)).collect();
    last.reverse();
    last.into_iter()
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
