//! What only few spans have, as OTLP protobuf, by [`trace.proto`].
//!
//! [`trace.proto`]: https://github.com/open-telemetry/opentelemetry-proto/blob/v1.7.0/opentelemetry/proto/trace/v1/trace.proto

use super::attributes::put_attributes;
use super::proto::{LEN, VARINT, put_fixed32, put_fixed64, put_message, put_string, put_uint, tag};
use crate::event::{SpanDetail, SpanEvent, SpanLink, Status, TraceFlags};

/// `Span.dropped_attributes_count`.
const DROPPED_ATTRIBUTES: u8 = 10;
/// `Span.events`.
const EVENTS: u8 = 11;
/// `Span.dropped_events_count`.
const DROPPED_EVENTS: u8 = 12;
/// `Span.links`.
const LINKS: u8 = 13;
/// `Span.dropped_links_count`.
const DROPPED_LINKS: u8 = 14;
/// `Span.status`.
const STATUS: u8 = 15;
/// `Status.message`.
const STATUS_MESSAGE: u8 = 2;
/// `Status.code`.
const STATUS_CODE: u8 = 3;
/// `STATUS_CODE_OK`.
const CODE_OK: u8 = 1;
/// `STATUS_CODE_ERROR`.
const CODE_ERROR: u8 = 2;

/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK`: the next flag means something.
const HAS_IS_REMOTE: u32 = 0x100;
/// `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`.
const IS_REMOTE: u32 = 0x200;

/// `Span.flags` and `Link.flags`: the flags of the trace, and whether the parent, or the linked
/// span, is of another process.
pub(super) fn span_flags(trace: TraceFlags, is_remote: Option<bool>) -> u32 {
    let is_remote = match is_remote {
        None => 0,
        Some(false) => HAS_IS_REMOTE,
        Some(true) => HAS_IS_REMOTE | IS_REMOTE,
    };
    u32::from(trace.0) | is_remote
}

/// Writes the fields of a span that follow its attributes, but for the flags.
pub(super) fn put_detail(out: &mut Vec<u8>, detail: &SpanDetail, status: Status) {
    put_uint(out, DROPPED_ATTRIBUTES, detail.dropped_attributes.into());
    detail.events.iter().for_each(|event| put_event(out, event));
    put_uint(out, DROPPED_EVENTS, detail.dropped_events.into());
    detail.links.iter().for_each(|link| put_link(out, link));
    put_uint(out, DROPPED_LINKS, detail.dropped_links.into());
    // Only a failure has a message, by the specification.
    let (message, code) = match status {
        Status::Unset => return,
        Status::Ok => ("", CODE_OK),
        Status::Error => (detail.status_message.as_str(), CODE_ERROR),
    };
    put_message(out, STATUS, |out| {
        put_string(out, STATUS_MESSAGE, message);
        out.extend_from_slice(&[tag(STATUS_CODE, VARINT), code]);
    });
}

/// Writes a `Span.Event`.
fn put_event(out: &mut Vec<u8>, event: &SpanEvent) {
    put_message(out, EVENTS, |out| {
        put_fixed64(out, 1, event.time_unix_nanos);
        put_string(out, 2, &event.name);
        put_attributes(out, 3, &event.attributes);
        put_uint(out, 4, event.dropped_attributes.into());
    });
}

/// Writes a `Span.Link`.
fn put_link(out: &mut Vec<u8>, link: &SpanLink) {
    put_message(out, LINKS, |out| {
        out.extend_from_slice(&[tag(1, LEN), 16]);
        out.extend_from_slice(&link.trace_id.0);
        out.extend_from_slice(&[tag(2, LEN), 8]);
        out.extend_from_slice(&link.span_id.0);
        put_string(out, 3, &link.trace_state);
        put_attributes(out, 4, &link.attributes);
        put_uint(out, 5, link.dropped_attributes.into());
        put_fixed32(out, 6, span_flags(link.trace_flags, link.is_remote));
    });
}
