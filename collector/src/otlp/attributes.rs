//! Attributes as OTLP protobuf, by [`common.proto`], and which of them are written: OTLP wants
//! each key once.
//!
//! [`common.proto`]: https://github.com/open-telemetry/opentelemetry-proto/blob/v1.7.0/opentelemetry/proto/common/v1/common.proto

use super::proto::{
    FIXED64, VARINT, field_len, put_head, put_string, put_varint, string_len, tag, varint_len,
};
use crate::event::{Attribute, Value};

/// `KeyValue.key`.
const KEY: u8 = 1;
/// `KeyValue.value`.
const VALUE: u8 = 2;
/// `AnyValue.string_value`.
const STRING: u8 = 1;
/// `AnyValue.bool_value`.
const BOOL: u8 = 2;
/// `AnyValue.int_value`.
const INT: u8 = 3;
/// `AnyValue.double_value`.
const DOUBLE: u8 = 4;
/// `AnyValue.array_value`.
const ARRAY: u8 = 5;
/// `AnyValue.kvlist_value`.
const KEY_VALUE_LIST: u8 = 6;
/// `AnyValue.bytes_value`.
const BYTES: u8 = 7;
/// `ArrayValue.values` and `KeyValueList.values`.
const VALUES: u8 = 1;

/// Up to so many attributes are compared each with each, which takes no memory.
const FEW: usize = 16;

/// Writes attributes as fields of this number: of those with the same key, the last.
pub(super) fn put_attributes(out: &mut Vec<u8>, field: u8, attributes: &[Attribute]) {
    put_last_of_each_key(out, field, &[], attributes, &mut Vec::new());
}

/// Writes the attributes of a symbol and then those that a span has of its own: of those with the
/// same key, the last. `order` is memory to be used again.
pub(super) fn put_last_of_each_key(
    out: &mut Vec<u8>,
    field: u8,
    shared: &[Attribute],
    own: &[Attribute],
    order: &mut Vec<u32>,
) {
    let all = || shared.iter().chain(own);
    let number = shared.len() + own.len();
    if number <= FEW {
        for (at, attribute) in all().enumerate() {
            if !all().skip(at + 1).any(|later| later.key == attribute.key) {
                put_attribute(out, field, attribute);
            }
        }
        return;
    }
    let get = |at: u32| {
        let at = at as usize;
        shared.get(at).or_else(|| own.get(at - shared.len()))
    };
    let key = |at: u32| get(at).map(|attribute| &attribute.key);
    order.clear();
    // Nobody has four milliards of attributes.
    order.extend(0..u32::try_from(number).unwrap_or(u32::MAX));
    order.sort_unstable_by(|&a, &b| key(a).cmp(&key(b)).then(b.cmp(&a)));
    order.dedup_by(|later, first| key(*later) == key(*first));
    order.sort_unstable();
    for attribute in order.iter().filter_map(|&at| get(at)) {
        put_attribute(out, field, attribute);
    }
}

/// The length of a field that holds a `KeyValue`.
pub(super) fn attribute_len(attribute: &Attribute) -> usize {
    field_len(key_value_len(attribute))
}

/// Writes a field that holds a `KeyValue`.
pub(super) fn put_attribute(out: &mut Vec<u8>, field: u8, attribute: &Attribute) {
    put_head(out, field, key_value_len(attribute));
    put_string(out, KEY, &attribute.key);
    put_any_value(out, VALUE, &attribute.value);
}

/// Writes a field that holds an `AnyValue`: a `oneof`, so that an empty string and a zero are
/// written.
pub(super) fn put_any_value(out: &mut Vec<u8>, field: u8, value: &Value) {
    put_head(out, field, any_value_len(value));
    match value {
        Value::Empty => {}
        Value::String(text) => {
            put_head(out, STRING, text.len());
            out.extend_from_slice(text.as_bytes());
        }
        Value::Bool(truth) => out.extend_from_slice(&[tag(BOOL, VARINT), u8::from(*truth)]),
        Value::Int(number) => {
            out.push(tag(INT, VARINT));
            put_varint(out, number.cast_unsigned());
        }
        Value::Double(number) => {
            out.push(tag(DOUBLE, FIXED64));
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::Bytes(bytes) => {
            put_head(out, BYTES, bytes.len());
            out.extend_from_slice(bytes);
        }
        Value::Array(array) => {
            put_head(out, ARRAY, values_len(array.values()));
            array.values().iter().for_each(|value| put_any_value(out, VALUES, value));
        }
        Value::KeyValueList(list) => {
            put_head(out, KEY_VALUE_LIST, list.attributes().iter().map(attribute_len).sum());
            list.attributes().iter().for_each(|item| put_attribute(out, VALUES, item));
        }
    }
}

fn key_value_len(attribute: &Attribute) -> usize {
    string_len(&attribute.key) + field_len(any_value_len(&attribute.value))
}

fn values_len(values: &[Value]) -> usize {
    values.iter().map(|value| field_len(any_value_len(value))).sum()
}

/// The length of an `AnyValue`. Values are not deep, so those within others are measured again
/// at each level.
fn any_value_len(value: &Value) -> usize {
    match value {
        Value::Empty => 0,
        Value::String(text) => field_len(text.len()),
        Value::Bool(_) => 2,
        Value::Int(number) => 1 + varint_len(number.cast_unsigned()),
        Value::Double(_) => 9,
        Value::Bytes(bytes) => field_len(bytes.len()),
        Value::Array(array) => field_len(values_len(array.values())),
        Value::KeyValueList(list) => field_len(list.attributes().iter().map(attribute_len).sum()),
    }
}
