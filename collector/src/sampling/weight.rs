//! About how much memory a record takes.

use crate::event::{Attribute, LogRecord, SpanDetail, SpanEvent, SpanLink, SpanRecord, Value};

/// The bytes of a span, with what only it has.
pub(super) fn span_bytes(span: &SpanRecord) -> usize {
    size_of::<SpanRecord>() + span.detail.as_deref().map_or(0, detail_bytes)
}

fn detail_bytes(detail: &SpanDetail) -> usize {
    let event = |event: &SpanEvent| event.name.len() + attribute_bytes(&event.attributes);
    let link = |link: &SpanLink| link.trace_state.len() + attribute_bytes(&link.attributes);
    size_of::<SpanDetail>()
        + detail.name.as_ref().map_or(0, |name| name.len())
        + detail.status_message.len()
        + attribute_bytes(&detail.attributes)
        + size_of_val(detail.events.as_slice())
        + detail.events.iter().map(event).sum::<usize>()
        + size_of_val(detail.links.as_slice())
        + detail.links.iter().map(link).sum::<usize>()
}

/// The bytes of a log record.
pub(super) fn log_bytes(log: &LogRecord) -> usize {
    size_of::<LogRecord>() + log.body.len() + attribute_bytes(&log.attributes)
}

fn attribute_bytes(attributes: &[Attribute]) -> usize {
    let own = |attribute: &Attribute| attribute.key.len() + value_bytes(&attribute.value);
    size_of_val(attributes) + attributes.iter().map(own).sum::<usize>()
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(array) => {
            size_of_val(array.values()) + array.values().iter().map(value_bytes).sum::<usize>()
        }
        Value::KeyValueList(list) => attribute_bytes(list.attributes()),
        Value::Empty | Value::Bool(_) | Value::Int(_) | Value::Double(_) => 0,
    }
}
