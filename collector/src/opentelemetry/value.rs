//! Our attributes as those of the SDK.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry::logs::AnyValue;
use opentelemetry::{Array, Key, KeyValue, StringValue};
use serde_json::Value as Json;

use crate::event::{self, Attribute, Value};

/// An attribute of a span. Those of the SDK's spans are texts, numbers, truth values, and arrays of
/// one of these; all else becomes text, as the [specification] has it for formats that know no more.
///
/// [specification]: https://opentelemetry.io/docs/specs/otel/common/#anyvalue-representation-for-non-otlp-protocols
pub(super) fn key_value(attribute: &Attribute) -> KeyValue {
    let value = match &attribute.value {
        Value::String(text) => text.clone().into(),
        Value::Bool(truth) => opentelemetry::Value::Bool(*truth),
        Value::Int(number) => opentelemetry::Value::I64(*number),
        Value::Double(number) => opentelemetry::Value::F64(*number),
        Value::Empty => String::new().into(),
        Value::Bytes(bytes) => STANDARD.encode(bytes).into(),
        Value::Array(array) => match array_of_one_kind(array) {
            Some(array) => opentelemetry::Value::Array(array),
            None => json(&attribute.value).to_string().into(),
        },
        Value::KeyValueList(_) => json(&attribute.value).to_string().into(),
    };
    KeyValue::new(attribute.key.clone(), value)
}

/// The value of an attribute of a log record, which can be anything but nothing.
pub(super) fn any_value(value: &Value) -> AnyValue {
    match value {
        Value::Empty => AnyValue::String(String::new().into()),
        Value::String(text) => AnyValue::String(text.clone().into()),
        Value::Bool(truth) => AnyValue::Boolean(*truth),
        Value::Int(number) => AnyValue::Int(*number),
        Value::Double(number) => AnyValue::Double(*number),
        Value::Bytes(bytes) => AnyValue::Bytes(Box::new(bytes.to_vec())),
        Value::Array(array) => {
            AnyValue::ListAny(Box::new(array.values().iter().map(any_value).collect()))
        }
        Value::KeyValueList(list) => {
            let entry = |item: &Attribute| (Key::from(item.key.clone()), any_value(&item.value));
            AnyValue::Map(Box::new(list.attributes().iter().map(entry).collect()))
        }
    }
}

fn array_of_one_kind(array: &event::Array) -> Option<Array> {
    fn all<T>(array: &event::Array, of: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
        array.values().iter().map(of).collect()
    }
    match array.values().first() {
        None => Some(Array::String(Vec::new())),
        Some(Value::String(_)) => all(array, |value| match value {
            Value::String(text) => Some(StringValue::from(text.clone())),
            _ => None,
        })
        .map(Array::String),
        Some(Value::Bool(_)) => all(array, |value| match value {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        })
        .map(Array::Bool),
        Some(Value::Int(_)) => all(array, |value| match value {
            Value::Int(number) => Some(*number),
            _ => None,
        })
        .map(Array::I64),
        Some(Value::Double(_)) => all(array, |value| match value {
            Value::Double(number) => Some(*number),
            _ => None,
        })
        .map(Array::F64),
        Some(_) => None,
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Empty => Json::Null,
        Value::String(text) => Json::from(text.as_str()),
        Value::Bool(truth) => Json::from(*truth),
        Value::Int(number) => Json::from(*number),
        // JSON has no infinity, and none that is no number.
        Value::Double(number) if !number.is_finite() => Json::from(number.to_string()),
        Value::Double(number) => Json::from(*number),
        Value::Bytes(bytes) => Json::from(STANDARD.encode(bytes)),
        Value::Array(array) => Json::Array(array.values().iter().map(json).collect()),
        Value::KeyValueList(list) => {
            let entry = |item: &Attribute| (item.key.to_string(), json(&item.value));
            Json::Object(list.attributes().iter().map(entry).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::{Array, Value as Theirs};

    use super::key_value;
    use crate::event::{self, Attribute, KeyValueList, Value};

    fn converted(value: impl Into<Value>) -> Theirs {
        key_value(&Attribute::new("key", value)).value
    }

    fn array(values: Vec<Value>) -> Value {
        event::Array::new(values).expect("flat").into()
    }

    #[test]
    fn what_the_sdk_has_is_kept() {
        assert_eq!(converted("text"), Theirs::from("text"));
        assert_eq!(converted(true), Theirs::Bool(true));
        assert_eq!(converted(-1), Theirs::I64(-1));
        assert_eq!(converted(1.5), Theirs::F64(1.5));
        let strings = array(vec!["a".into(), "b".into()]);
        let expected = Array::String(vec!["a".into(), "b".into()]);
        assert_eq!(converted(strings), Theirs::Array(expected));
        assert_eq!(converted(array(vec![1.into()])), Theirs::Array(Array::I64(vec![1])));
        assert_eq!(converted(array(vec![true.into()])), Theirs::Array(Array::Bool(vec![true])));
        assert_eq!(converted(array(vec![0.5.into()])), Theirs::Array(Array::F64(vec![0.5])));
        assert_eq!(converted(array(vec![])), Theirs::Array(Array::String(vec![])));
    }

    #[test]
    fn what_it_has_not_is_text() {
        assert_eq!(converted(Value::Empty), Theirs::from(""));
        assert_eq!(converted(vec![0xff_u8, 0]), Theirs::from("/wA="));
        let mixed = array(vec![1.into(), "a\"".into(), f64::INFINITY.into(), Value::Empty]);
        assert_eq!(converted(mixed.clone()), Theirs::from(r#"[1,"a\"","inf",null]"#));
        let list = vec![Attribute::new("k", mixed), Attribute::new("b", vec![1_u8])];
        let list: Value = KeyValueList::new(list).expect("flat").into();
        let expected = r#"{"b":"AQ==","k":[1,"a\"","inf",null]}"#;
        assert_eq!(converted(list), Theirs::from(expected));
    }
}
