//! About how many bytes values of the SDK take with all that they own.

use opentelemetry::logs::AnyValue;
use opentelemetry::trace::{Event, Link, Status};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sdk::logs::SdkLogRecord;
use opentelemetry_sdk::trace::SpanData;

use super::queue::Weigh;

impl Weigh for SpanData {
    fn weight(&self) -> usize {
        let message = match &self.status {
            Status::Error { description } => description.len(),
            _ => 0,
        };
        let event =
            |event: &Event| size_of::<Event>() + event.name.len() + attributes(&event.attributes);
        let link = |link: &Link| size_of::<Link>() + attributes(&link.attributes);
        size_of::<Self>()
            + self.name.len()
            + message
            + attributes(&self.attributes)
            + self.events.iter().map(event).sum::<usize>()
            + self.links.iter().map(link).sum::<usize>()
    }
}

impl Weigh for SdkLogRecord {
    fn weight(&self) -> usize {
        let attribute = |(key, value): &(opentelemetry::Key, AnyValue)| {
            size_of_val(key) + key.as_str().len() + any_value(value)
        };
        size_of::<Self>()
            + self.body().map_or(0, any_value)
            + self.attributes_iter().map(attribute).sum::<usize>()
    }
}

fn attributes(attributes: &[KeyValue]) -> usize {
    let of = |attribute: &KeyValue| {
        size_of::<KeyValue>() + attribute.key.as_str().len() + value(&attribute.value)
    };
    attributes.iter().map(of).sum()
}

fn value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::Bool(array)) => size_of_val(&**array),
        Value::Array(Array::I64(array)) => size_of_val(&**array),
        Value::Array(Array::F64(array)) => size_of_val(&**array),
        Value::Array(Array::String(array)) => {
            array.iter().map(|text| size_of_val(text) + text.as_str().len()).sum()
        }
        _ => 0,
    }
}

fn any_value(value: &AnyValue) -> usize {
    size_of::<AnyValue>()
        + match value {
            AnyValue::String(text) => text.as_str().len(),
            AnyValue::Bytes(bytes) => bytes.len(),
            AnyValue::ListAny(list) => list.iter().map(any_value).sum(),
            AnyValue::Map(map) => {
                map.iter().map(|(key, value)| key.as_str().len() + any_value(value)).sum()
            }
            _ => 0,
        }
}
