//! Attributes and their values: all that OTLP's `AnyValue` can be.

use std::borrow::Cow;

use thiserror::Error;

/// Arrays and lists that may stand one within another.
///
/// Readers of protobuf stop at a hundred messages within one another, and a list within a list
/// takes three; so any value can be read. Without a bound, it would take whoever copies, compares
/// or drops a value as much stack as the value is deep.
pub const MAX_NESTING: usize = 16;

/// The value of an [`Attribute`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// None, which is something else than an empty text.
    Empty,
    /// UTF-8 text.
    String(String),
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An IEEE 754 double.
    Double(f64),
    /// Bytes that are no text.
    Bytes(Box<[u8]>),
    /// Values in an order.
    Array(Array),
    /// Values by key.
    KeyValueList(KeyValueList),
}

/// Values within values deeper than [`MAX_NESTING`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a value has more than {MAX_NESTING} arrays and lists within one another")]
pub struct TooDeep;

/// Values in an order, with at most [`MAX_NESTING`] arrays and lists within one another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Array(Box<[Value]>);

impl Array {
    /// An array of these values.
    ///
    /// # Errors
    ///
    /// With this array around them, more than [`MAX_NESTING`] would be within one another.
    pub fn new(values: Vec<Value>) -> Result<Self, TooDeep> {
        has_room(values.iter())?;
        Ok(Array(values.into()))
    }

    /// The values.
    pub fn values(&self) -> &[Value] {
        &self.0
    }

    /// The values, of which none may become deeper.
    pub(crate) fn values_mut(&mut self) -> &mut [Value] {
        &mut self.0
    }
}

/// Values by key, each key once, with at most [`MAX_NESTING`] arrays and lists within one another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyValueList(Box<[Attribute]>);

impl KeyValueList {
    /// A list of these; of those with the same key, the last.
    ///
    /// # Errors
    ///
    /// With this list around them, more than [`MAX_NESTING`] would be within one another.
    pub fn new(mut attributes: Vec<Attribute>) -> Result<Self, TooDeep> {
        has_room(attributes.iter().map(|attribute| &attribute.value))?;
        let mut order: Vec<_> = (0..attributes.len()).collect();
        order.sort_by(|&a, &b| attributes[a].key.cmp(&attributes[b].key));
        let mut is_last = vec![true; attributes.len()];
        for pair in order.windows(2) {
            // The order keeps equal keys as they came.
            is_last[pair[0]] = attributes[pair[0]].key != attributes[pair[1]].key;
        }
        let mut is_last = is_last.into_iter();
        attributes.retain(|_| is_last.next().unwrap_or(true));
        Ok(KeyValueList(attributes.into()))
    }

    /// The keys and values.
    pub fn attributes(&self) -> &[Attribute] {
        &self.0
    }

    /// The values, of which none may become deeper.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.0.iter_mut().map(|attribute| &mut attribute.value)
    }
}

/// Whether one array or list more may be around the values.
fn has_room<'a>(mut values: impl Iterator<Item = &'a Value>) -> Result<(), TooDeep> {
    if values.all(|value| value.nesting() < MAX_NESTING) { Ok(()) } else { Err(TooDeep) }
}

impl Value {
    /// The arrays and lists within one another, at most [`MAX_NESTING`].
    fn nesting(&self) -> usize {
        match self {
            Value::Array(array) => 1 + array.0.iter().map(Value::nesting).max().unwrap_or_default(),
            Value::KeyValueList(list) => {
                1 + list.0.iter().map(|item| item.value.nesting()).max().unwrap_or_default()
            }
            _ => 0,
        }
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::String(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Double(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Value::Bytes(value.into())
    }
}

impl From<Array> for Value {
    fn from(value: Array) -> Self {
        Value::Array(value)
    }
}

impl From<KeyValueList> for Value {
    fn from(value: KeyValueList) -> Self {
        Value::KeyValueList(value)
    }
}

/// Arrays of one type, which are all that most readers take in an attribute of a span.
macro_rules! from_vec {
    ($($item:ty),*) => {$(
        impl From<Vec<$item>> for Value {
            fn from(values: Vec<$item>) -> Self {
                Value::Array(Array(values.into_iter().map(Value::from).collect()))
            }
        }
    )*};
}

from_vec!(String, bool, i64, f64);

/// A key and a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// A name, such as `code.function.name`.
    pub key: Cow<'static, str>,
    /// What it is.
    pub value: Value,
}

impl Attribute {
    /// An attribute of the given key and value.
    pub fn new(key: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        Attribute { key: key.into(), value: value.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Array, Attribute, KeyValueList, MAX_NESTING, TooDeep, Value};

    #[test]
    fn nesting_is_bounded() {
        let mut value = Value::Empty;
        for depth in 0..MAX_NESTING {
            value = if depth % 2 == 0 {
                Array::new(vec![1_i64.into(), value]).expect("room").into()
            } else {
                let list = vec![Attribute::new("a", true), Attribute::new("b", value)];
                KeyValueList::new(list).expect("room").into()
            };
        }
        assert_eq!(Array::new(vec![value.clone()]), Err(TooDeep));
        assert_eq!(KeyValueList::new(vec![Attribute::new("a", value)]), Err(TooDeep));
    }

    #[test]
    fn the_last_of_each_key_is_kept_where_it_stood() {
        let list = [("a", 1), ("b", 2), ("a", 3), ("c", 4), ("b", 5)]
            .map(|(key, value)| Attribute::new(key, i64::from(value)));
        let list = KeyValueList::new(list.to_vec()).expect("flat");
        let expected = [("a", 3), ("c", 4), ("b", 5)]
            .map(|(key, value)| Attribute::new(key, i64::from(value)));
        assert_eq!(list.attributes(), expected);
    }

    #[test]
    fn a_value_is_as_large_as_a_text() {
        assert_eq!(size_of::<Value>(), size_of::<String>());
    }
}
