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

use super::attributes::put_own_attributes;
use super::proto::{
    FIXED32, FIXED64, LEN, VARINT, field_len, put_head, put_string, string_len, tag, varint_len,
};
use super::template::{TemplateCache, Templates};
use crate::event::{SpanRecord, Status, TraceInfo};

/// `ScopeSpans.spans`.
const SPANS: u8 = 2;
/// `Span.trace_id`.
const TRACE_ID: u8 = 1;
/// `Span.span_id`.
const SPAN_ID: u8 = 2;
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
/// `Span.status`.
const STATUS: u8 = 15;
/// `Status.message`.
const STATUS_MESSAGE: u8 = 2;
/// `Status.code`.
const STATUS_CODE: u8 = 3;

/// `SPAN_KIND_INTERNAL`: a call inside of a program.
const KIND_INTERNAL: u8 = 1;
/// `STATUS_CODE_ERROR`.
const CODE_ERROR: u8 = 2;

/// `Span.flags`, field 16, so that its tag takes two bytes, and its value: the
/// `sampled` flag of W3C Trace Context. Whether the parent is remote is left unsaid.
const FLAGS: [u8; 6] = [0x80 | FIXED32, 1, 0x01, 0, 0, 0];

/// The name of a span to which the host gave neither a symbol nor a name. The
/// specification wants one that is not empty.
pub(super) const UNNAMED: &str = "unknown";

/// Where in an encoded span its fixed-size fields have their bytes.
#[derive(Clone, Copy)]
pub(super) struct SpanShape {
    trace_id: usize,
    span_id: usize,
    parent_span_id: Option<usize>,
    start: usize,
    end: usize,
    /// Where the name field begins.
    pub(super) name: usize,
    /// Where the attribute fields begin.
    pub(super) attributes: usize,
}

/// Appends a span, with zeros for ids and times. The positions returned count from its
/// first byte.
pub(super) fn put_span(
    out: &mut Vec<u8>,
    has_parent: bool,
    name: &[u8],
    attributes: &[&[u8]],
    status: Status,
    message: &str,
) -> SpanShape {
    let status_len = match status {
        Status::Unset => None,
        Status::Error => Some(string_len(message) + 2),
    };
    let content = field_len(16)
        + field_len(8)
        + if has_parent { field_len(8) } else { 0 }
        + name.len()
        + 2
        + 9
        + 9
        + attributes.iter().map(|bytes| bytes.len()).sum::<usize>()
        + status_len.map_or(0, field_len)
        + FLAGS.len();
    let base = out.len();
    out.reserve(1 + varint_len(content as u64) + content);
    put_head(out, SPANS, content);
    let hole = |out: &mut Vec<u8>, head: &[u8], size: usize| {
        out.extend_from_slice(head);
        let at = out.len() - base;
        out.resize(out.len() + size, 0);
        at
    };
    let trace_id = hole(out, &[tag(TRACE_ID, LEN), 16], 16);
    let span_id = hole(out, &[tag(SPAN_ID, LEN), 8], 8);
    let parent_span_id = has_parent.then(|| hole(out, &[tag(PARENT_SPAN_ID, LEN), 8], 8));
    let name_at = out.len() - base;
    out.extend_from_slice(name);
    out.extend_from_slice(&[tag(KIND, VARINT), KIND_INTERNAL]);
    let start = hole(out, &[tag(START, FIXED64)], 8);
    let end = hole(out, &[tag(END, FIXED64)], 8);
    let attributes_at = out.len() - base;
    for bytes in attributes {
        out.extend_from_slice(bytes);
    }
    if let Some(len) = status_len {
        put_head(out, STATUS, len);
        put_string(out, STATUS_MESSAGE, message);
        out.extend_from_slice(&[tag(STATUS_CODE, VARINT), CODE_ERROR]);
    }
    out.extend_from_slice(&FLAGS);
    SpanShape {
        trace_id,
        span_id,
        parent_span_id,
        start,
        end,
        name: name_at,
        attributes: attributes_at,
    }
}

/// Fills in the ids and times of a span that [`put_span`] wrote.
fn fill(bytes: &mut [u8], shape: &SpanShape, trace: &TraceInfo, span: &SpanRecord) {
    bytes[shape.trace_id..][..16].copy_from_slice(&trace.trace_id.0);
    bytes[shape.span_id..][..8].copy_from_slice(&trace.span_id(span.number).0);
    if let Some(at) = shape.parent_span_id {
        let parent = match span.parent {
            Some(number) => Some(trace.span_id(number)),
            None => trace.parent,
        };
        if let Some(parent) = parent {
            bytes[at..][..8].copy_from_slice(&parent.0);
        }
    }
    bytes[shape.start..][..8].copy_from_slice(&span.start_unix_nanos.to_le_bytes());
    bytes[shape.end..][..8].copy_from_slice(&span.end_unix_nanos.to_le_bytes());
}

/// Writes spans as fields of a `ScopeSpans` message.
#[derive(Default)]
pub struct Encoder {
    cache: TemplateCache,
    scratch: Scratch,
}

/// Buffers for what only one span has.
#[derive(Default)]
struct Scratch {
    name: Vec<u8>,
    attributes: Vec<u8>,
}

impl Encoder {
    /// An encoder for the spans of one trace.
    pub fn of_trace<'a>(&'a mut self, trace: &'a TraceInfo) -> TraceEncoder<'a> {
        let templates = self.cache.get(&trace.symbols);
        TraceEncoder { trace, templates, scratch: &mut self.scratch }
    }
}

/// See [`Encoder::of_trace`].
pub struct TraceEncoder<'a> {
    trace: &'a TraceInfo,
    templates: &'a mut Templates,
    scratch: &'a mut Scratch,
}

impl TraceEncoder<'_> {
    /// Appends a span to `out`.
    ///
    /// # Overhead
    ///
    /// For a span without detail, a copy of its template and five small stores.
    pub fn put(&mut self, span: &SpanRecord, out: &mut Vec<u8>) {
        let base = out.len();
        let template = self.templates.get(&self.trace.symbols, span.symbol);
        let has_parent = span.parent.is_some() || self.trace.parent.is_some();
        let shape = match &span.detail {
            None if has_parent && span.status == Status::Unset => {
                out.extend_from_slice(&template.bytes);
                template.shape
            }
            None => put_span(
                out,
                has_parent,
                template.name(),
                &[template.attributes()],
                span.status,
                "",
            ),
            Some(detail) => {
                self.scratch.name.clear();
                self.scratch.attributes.clear();
                let name = match &detail.name {
                    Some(name) => {
                        put_string(&mut self.scratch.name, NAME, name);
                        &self.scratch.name
                    }
                    None => template.name(),
                };
                let symbol = span.symbol.and_then(|id| self.trace.symbols.get(id));
                let shared = symbol.map_or(&[][..], |symbol| &symbol.attributes);
                let own = &mut self.scratch.attributes;
                let inherits = put_own_attributes(own, ATTRIBUTES, shared, detail);
                let inherited = if inherits { template.attributes() } else { &[] };
                let attributes = [inherited, self.scratch.attributes.as_slice()];
                let message = &detail.status_message;
                put_span(out, has_parent, name, &attributes, span.status, message)
            }
        };
        fill(&mut out[base..], &shape, self.trace, span);
    }
}
