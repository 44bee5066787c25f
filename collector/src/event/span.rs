//! Spans: what each has, and what only few have.

use std::borrow::Cow;

use super::{Attribute, SpanId, SpanNumber, SymbolId, TraceFlags, TraceId};

/// The status of a span, as OpenTelemetry defines it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing was said.
    #[default]
    Unset,
    /// Somebody says that the operation went well, so that nobody is to look further.
    Ok,
    /// The operation failed.
    Error,
}

/// What a span is to others, as OpenTelemetry defines it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpanKind {
    /// A part of a program.
    #[default]
    Internal = 1,
    /// The answer to a request.
    Server = 2,
    /// A request of another program.
    Client = 3,
    /// A message that is handed to a broker.
    Producer = 4,
    /// A message that came from a broker.
    Consumer = 5,
}

/// One span that has ended.
#[derive(Debug, PartialEq)]
pub struct SpanRecord {
    /// Nanoseconds since the Unix epoch at which it began.
    pub start_unix_nanos: u64,
    /// Nanoseconds since the Unix epoch at which it ended; never before its start.
    pub end_unix_nanos: u64,
    /// Which span of its trace.
    pub number: SpanNumber,
    /// The span that was open when it began; `None` for the root of the trace.
    pub parent: Option<SpanNumber>,
    /// The function; `None` where [`SpanDetail::name`] names the span.
    pub symbol: Option<SymbolId>,
    /// Whether it failed.
    pub status: Status,
    /// What only this span has.
    pub detail: Option<Box<SpanDetail>>,
}

/// What only few spans have.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanDetail {
    /// The name of a span that stands for no function.
    pub name: Option<Cow<'static, str>>,
    /// What it is to others.
    pub kind: SpanKind,
    /// Why it failed; counts for [`Status::Error`] only.
    pub status_message: String,
    /// Attributes beside those of its [`Symbol`](super::Symbol).
    pub attributes: Vec<Attribute>,
    /// How many attributes it had beside these, before a limit.
    pub dropped_attributes: u32,
    /// What happened while it was open.
    pub events: Vec<SpanEvent>,
    /// How many events it had beside these.
    pub dropped_events: u32,
    /// Spans, often of other traces, that it has to do with.
    pub links: Vec<SpanLink>,
    /// How many links it had beside these.
    pub dropped_links: u32,
}

impl SpanDetail {
    /// That of a span without any.
    pub(crate) const NONE: SpanDetail = SpanDetail {
        name: None,
        kind: SpanKind::Internal,
        status_message: String::new(),
        attributes: Vec::new(),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
    };
}

impl Default for SpanDetail {
    fn default() -> Self {
        SpanDetail::NONE
    }
}

/// Something that happened at a moment within a span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanEvent {
    /// Nanoseconds since the Unix epoch at which it happened.
    pub time_unix_nanos: u64,
    /// What happened, such as `cache.miss`.
    pub name: String,
    /// What else is known of it.
    pub attributes: Vec<Attribute>,
    /// How many attributes it had beside these, before a limit.
    pub dropped_attributes: u32,
}

/// A span, often of another trace, that has to do with this one, though it is not its parent.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanLink {
    /// The trace of that span.
    pub trace_id: TraceId,
    /// That span.
    pub span_id: SpanId,
    /// The `tracestate` of that span, as W3C Trace Context writes it; may be empty.
    pub trace_state: String,
    /// Its trace flags.
    pub trace_flags: TraceFlags,
    /// Whether that span is of another process, where that is known.
    pub is_remote: Option<bool>,
    /// What the link means.
    pub attributes: Vec<Attribute>,
    /// How many attributes it had beside these, before a limit.
    pub dropped_attributes: u32,
}

impl SpanLink {
    /// A link of which nothing more is known.
    pub fn new(trace_id: TraceId, span_id: SpanId) -> Self {
        SpanLink {
            trace_id,
            span_id,
            trace_state: String::new(),
            trace_flags: TraceFlags::default(),
            is_remote: None,
            attributes: Vec::new(),
            dropped_attributes: 0,
        }
    }
}
