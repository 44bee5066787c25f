//! Spans as OTLP protobuf.
//!
//! Field numbers are those of [`trace.proto`] and [`trace_service.proto`] of
//! opentelemetry-proto; within a message, fields come in the order of their numbers, so the
//! bytes are those that a generated encoder would write. Nearly all bytes of a span
//! are those of the span before it of the same symbol, so they are copied from
//! a [`Template`](super::template::Template), and only ids and times are filled in.
//!
//! [`trace.proto`]: https://github.com/open-telemetry/opentelemetry-proto/blob/v1.7.0/opentelemetry/proto/trace/v1/trace.proto
//! [`trace_service.proto`]: https://github.com/open-telemetry/opentelemetry-proto/blob/v1.7.0/opentelemetry/proto/collector/trace/v1/trace_service.proto

use super::attributes::put_last_of_each_key;
use super::detail::{put_detail, span_flags};
use super::proto::{FIXED32, FIXED64, LEN, VARINT, put_message, put_string, tag};
use super::template::{TemplateCache, Templates};
use crate::event::{Attribute, SpanDetail, SpanRecord, Status, TraceInfo};

/// `ScopeSpans.spans`.
const SPANS: u8 = 2;
/// `Span.trace_id`.
const TRACE_ID: u8 = 1;
/// `Span.span_id`.
const SPAN_ID: u8 = 2;
/// `Span.trace_state`.
const TRACE_STATE: u8 = 3;
/// `Span.parent_span_id`.
const PARENT_SPAN_ID: u8 = 4;
/// `Span.name`.
pub(super) const NAME: u8 = 5;
/// `Span.kind`.
const KIND: u8 = 6;
/// `Span.start_time_unix_nano`.
const START: u8 = 7;
/// `Span.end_time_unix_nano`.
const END: u8 = 8;
/// `Span.attributes`.
pub(super) const ATTRIBUTES: u8 = 9;
/// `Span.flags`, field 16, so that its tag takes two bytes.
const FLAGS: [u8; 2] = [0x80 | FIXED32, 1];

/// The name of a span to which the host gave neither a symbol nor a name. The
/// specification wants one that is not empty.
pub(super) const UNNAMED: &str = "unknown";

/// That of spans without one.
pub(super) static NO_DETAIL: SpanDetail = SpanDetail::NONE;

/// Where in an encoded span its fixed-size fields have their bytes, counted from the first byte
/// of its content, after its tag and length.
#[derive(Clone, Copy)]
pub(super) struct SpanShape {
    trace_id: usize,
    span_id: usize,
    parent_span_id: Option<usize>,
    start: usize,
    end: usize,
    flags: usize,
    /// Where the name field begins.
    pub(super) name: usize,
    /// Where the attribute fields begin.
    pub(super) attributes: usize,
}

/// What a span says, beside ids and times.
pub(super) struct Said<'a> {
    pub(super) trace_state: &'a str,
    pub(super) has_parent: bool,
    /// The encoded name of its symbol.
    pub(super) name: &'a [u8],
    /// The encoded attributes of its symbol.
    pub(super) attributes: &'a [u8],
    /// The same, for a span that has some of its own.
    pub(super) shared: &'a [Attribute],
    pub(super) status: Status,
    pub(super) detail: &'a SpanDetail,
}

/// Appends a span, with zeros for ids, times and flags. Returns where its content begins.
pub(super) fn put_span(
    out: &mut Vec<u8>,
    said: &Said<'_>,
    order: &mut Vec<u32>,
) -> (usize, SpanShape) {
    let mut shape = SpanShape {
        trace_id: 0,
        span_id: 0,
        parent_span_id: None,
        start: 0,
        end: 0,
        flags: 0,
        name: 0,
        attributes: 0,
    };
    let content = put_message(out, SPANS, |out| {
        let base = out.len();
        let hole = |out: &mut Vec<u8>, head: &[u8], size: usize| {
            out.extend_from_slice(head);
            let at = out.len() - base;
            out.resize(out.len() + size, 0);
            at
        };
        let detail = said.detail;
        shape.trace_id = hole(out, &[tag(TRACE_ID, LEN), 16], 16);
        shape.span_id = hole(out, &[tag(SPAN_ID, LEN), 8], 8);
        put_string(out, TRACE_STATE, said.trace_state);
        shape.parent_span_id =
            said.has_parent.then(|| hole(out, &[tag(PARENT_SPAN_ID, LEN), 8], 8));
        shape.name = out.len() - base;
        match &detail.name {
            Some(name) => put_string(out, NAME, name),
            None => out.extend_from_slice(said.name),
        }
        out.extend_from_slice(&[tag(KIND, VARINT), detail.kind as u8]);
        shape.start = hole(out, &[tag(START, FIXED64)], 8);
        shape.end = hole(out, &[tag(END, FIXED64)], 8);
        shape.attributes = out.len() - base;
        if detail.attributes.is_empty() {
            out.extend_from_slice(said.attributes);
        } else {
            put_last_of_each_key(out, ATTRIBUTES, said.shared, &detail.attributes, order);
        }
        put_detail(out, detail, said.status);
        shape.flags = hole(out, &FLAGS, 4);
    });
    (content, shape)
}

/// Writes spans as fields of a `ScopeSpans` message.
#[derive(Default)]
pub struct Encoder {
    cache: TemplateCache,
    order: Vec<u32>,
}

impl Encoder {
    /// An encoder for the spans of one trace.
    pub fn of_trace<'a>(&'a mut self, trace: &'a TraceInfo) -> TraceEncoder<'a> {
        let flags = trace.trace_flags();
        // A span without a parent has none of another process.
        let is_remote = trace.parent.as_ref().map_or(Some(false), |parent| parent.is_remote);
        let filler = Filler {
            trace,
            root_flags: span_flags(flags, is_remote).to_le_bytes(),
            flags: span_flags(flags, Some(false)).to_le_bytes(),
        };
        let templates = self.cache.get(&trace.symbols);
        let (trace_state, order) = (trace.trace_state(), &mut self.order);
        TraceEncoder { filler, trace_state, templates, order }
    }
}

/// See [`Encoder::of_trace`].
pub struct TraceEncoder<'a> {
    filler: Filler<'a>,
    trace_state: &'a str,
    templates: &'a mut Templates,
    /// Memory to be used again.
    order: &'a mut Vec<u32>,
}

impl TraceEncoder<'_> {
    /// Appends a span to `out`.
    ///
    /// # Overhead
    ///
    /// For a span without detail, a copy of its template and six small stores. Nothing is
    /// allocated but what `out` grows by and, at first, a template for each symbol.
    pub fn put(&mut self, span: &SpanRecord, out: &mut Vec<u8>) {
        let trace = self.filler.trace;
        let template = self.templates.get(&trace.symbols, span.symbol);
        let has_parent = span.parent.is_some() || trace.parent.is_some();
        let is_plain = span.detail.is_none()
            && span.status == Status::Unset
            && has_parent
            && self.trace_state.is_empty();
        if is_plain {
            let content = out.len() + template.head;
            out.extend_from_slice(&template.bytes);
            return self.filler.fill(&mut out[content..], &template.shape, span);
        }
        let symbol = span.symbol.and_then(|id| trace.symbols.get(id));
        let said = Said {
            trace_state: self.trace_state,
            has_parent,
            name: template.name(),
            attributes: template.attributes(),
            shared: symbol.map_or(&[][..], |symbol| &symbol.attributes),
            status: span.status,
            detail: span.detail.as_deref().unwrap_or(&NO_DETAIL),
        };
        let (content, shape) = put_span(out, &said, self.order);
        self.filler.fill(&mut out[content..], &shape, span);
    }
}

/// Fills in what differs between spans that look the same.
struct Filler<'a> {
    trace: &'a TraceInfo,
    /// Of spans without a parent in the trace.
    root_flags: [u8; 4],
    flags: [u8; 4],
}

impl Filler<'_> {
    /// Fills in the ids, times and flags of a span that [`put_span`] wrote.
    fn fill(&self, content: &mut [u8], shape: &SpanShape, span: &SpanRecord) {
        let trace = self.trace;
        content[shape.trace_id..][..16].copy_from_slice(&trace.trace_id.0);
        content[shape.span_id..][..8].copy_from_slice(&trace.span_id(span.number).0);
        if let (Some(at), Some(parent)) = (shape.parent_span_id, trace.parent_id(span)) {
            content[at..][..8].copy_from_slice(&parent.0);
        }
        content[shape.start..][..8].copy_from_slice(&span.start_unix_nanos.to_le_bytes());
        content[shape.end..][..8].copy_from_slice(&span.end_unix_nanos.to_le_bytes());
        let flags = if span.parent.is_some() { &self.flags } else { &self.root_flags };
        content[shape.flags..][..4].copy_from_slice(flags);
    }
}
