//! Attributes that a guest gives, cut to its quotas and cleaned of secrets.

use observe_collector::event::{Attribute, Value};

use super::{Key, Rules};
use crate::records::{Raw, Record, Records, Unfit};
use crate::redaction::REDACTED;

/// The bytes that an attribute takes beside its key and its value, and an element of an array,
/// about.
const ATTRIBUTE_BYTES: usize = 64;

/// What a guest says of a span, an event, a link, a log record or a metric in attributes.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) attributes: Vec<Attribute>,
    /// How many there were beside these.
    pub(crate) dropped: u32,
    /// The characters of all values.
    chars: usize,
    /// The bytes that all of it takes, about.
    pub(crate) bytes: u64,
}

impl Said {
    /// Adds what the guest gives, of which so many may be. What is past the quota of one thing is
    /// counted.
    pub(crate) fn read(&mut self, rules: &mut Rules<'_>, records: &Records<'_>, may: u32) {
        let count = records.count();
        let Some(given) = records.iter() else {
            rules.lost.unreadable += 1;
            self.dropped = self.dropped.saturating_add(count);
            return;
        };
        let limit = count.min(rules.quotas.attributes);
        rules.lost.excess_attributes += u64::from(count - limit);
        let most = may.min(limit);
        self.dropped = self.dropped.saturating_add(count - most);
        self.attributes.reserve_exact(most as usize);
        for Record { key, value } in given.take(most as usize) {
            self.add(rules, key, value);
        }
    }

    /// Adds one, in place of another with the same key.
    pub(crate) fn add(
        &mut self,
        rules: &mut Rules<'_>,
        key: Option<&[u8]>,
        value: Result<Raw<'_>, Unfit>,
    ) {
        let added = self.try_add(rules, key, value);
        self.dropped = self.dropped.saturating_add(u32::from(added.is_none()));
    }

    fn try_add(
        &mut self,
        rules: &mut Rules<'_>,
        key: Option<&[u8]>,
        value: Result<Raw<'_>, Unfit>,
    ) -> Option<()> {
        let Key { text: key, is_secret } = rules.key(key)?;
        let replaced = self.attributes.iter().position(|said| said.key == key);
        let before = replaced.map(|at| &self.attributes[at]);
        let others = self.attributes.len() - usize::from(replaced.is_some());
        let chars = self.chars - before.map_or(0, |said| weight(&said.value));
        let bytes = self.bytes - before.map_or(0, size);
        let left = (rules.quotas.span_value_chars as usize).saturating_sub(chars);
        // Numbers take nothing of it.
        let is_number = matches!(value, Ok(Raw::Bool(_) | Raw::I64(_) | Raw::F64(_)));
        if others >= rules.quotas.attributes as usize || left == 0 && !is_number {
            rules.lost.excess_attributes += 1;
            return None;
        }
        let limit = left.min(rules.quotas.value_chars as usize);
        let value = match is_secret {
            true => REDACTED.into(),
            false => rules.value(value, limit)?,
        };
        let attribute = Attribute { key, value };
        let more = size(&attribute);
        if !rules.hold(self.bytes, bytes + more) {
            rules.lost.excess_attributes += 1;
            return None;
        }
        (self.bytes, self.chars) = (bytes + more, chars + weight(&attribute.value));
        match replaced {
            Some(at) => self.attributes[at] = attribute,
            None => self.attributes.push(attribute),
        }
        Some(())
    }
}

impl Rules<'_> {
    /// A text that tells more than a name, cut as the value of an attribute is.
    pub(super) fn message(&mut self, text: Option<&[u8]>) -> Option<String> {
        let Some(text) = text else {
            self.lost.unreadable += 1;
            return None;
        };
        let (text, is_cut) = self.chars(text, self.quotas.value_chars as usize);
        self.lost.cut_texts += u64::from(is_cut);
        Some(text)
    }

    /// A value, of which no more is kept than so many characters, bytes, or elements; `None`, and
    /// counted, where there is none.
    fn value(&mut self, value: Result<Raw<'_>, Unfit>, limit: usize) -> Option<Value> {
        let value = match value {
            Ok(value) => value,
            Err(Unfit::Unreadable) => {
                self.lost.unreadable += 1;
                return None;
            }
            Err(Unfit::UnknownType) => {
                self.lost.unknown_kinds += 1;
                return None;
            }
        };
        let whole = |len: usize| len.min(limit);
        let (value, is_cut) = match value {
            Raw::Bool(value) => (value.into(), false),
            Raw::I64(value) => (value.into(), false),
            Raw::F64(value) => (value.into(), false),
            Raw::String(text) => {
                let (text, is_cut) = self.chars(text, limit);
                (text.into(), is_cut)
            }
            Raw::Bytes(bytes) => (bytes[..whole(bytes.len())].to_vec().into(), bytes.len() > limit),
            Raw::Bools(bools) => {
                let values: Vec<_> = bools.iter().take(limit).map(|&value| value != 0).collect();
                (values.into(), bools.len() > limit)
            }
            Raw::I64s(values) => {
                let kept = values.iter().take(limit).map(|bytes| i64::from_le_bytes(*bytes));
                (kept.collect::<Vec<_>>().into(), values.len() > limit)
            }
            Raw::F64s(values) => {
                let kept = values.iter().take(limit).map(|bytes| f64::from_le_bytes(*bytes));
                (kept.collect::<Vec<_>>().into(), values.len() > limit)
            }
            Raw::Strings(texts) => {
                let (mut kept, mut left, mut is_cut) = (Vec::new(), limit, false);
                for text in texts.iter() {
                    if left == 0 {
                        is_cut = true;
                        break;
                    }
                    let Some(text) = text else {
                        self.lost.unreadable += 1;
                        return None;
                    };
                    let (text, is_shorter) = self.chars(text, left);
                    is_cut |= is_shorter;
                    left -= text_weight(&text).min(left);
                    kept.push(text);
                }
                (kept.into(), is_cut)
            }
        };
        self.lost.cut_texts += u64::from(is_cut);
        Some(value)
    }

    /// At most so many characters of a text, and whether there are more.
    fn chars(&mut self, text: &[u8], limit: usize) -> (String, bool) {
        // No character has more bytes. What is cut through here is cut off below.
        let bytes = &text[..text.len().min(limit.saturating_mul(4))];
        let is_cut = bytes.len() < text.len();
        let mut kept = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(error) => {
                self.lost.malformed_texts += u64::from(!is_cut || error.error_len().is_some());
                String::from_utf8_lossy(bytes).into_owned()
            }
        };
        if kept.len() > limit
            && let Some((end, _)) = kept.char_indices().nth(limit)
        {
            kept.truncate(end);
            return (kept, true);
        }
        (kept, is_cut)
    }
}

/// What a value takes of the quota of characters: those of texts, bytes as such, and elements
/// as one at least.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(array) => array.values().iter().map(element_weight).sum(),
        _ => 0,
    }
}

fn element_weight(value: &Value) -> usize {
    if let Value::String(text) = value { text_weight(text) } else { 1 }
}

fn text_weight(text: &str) -> usize {
    text.chars().count().max(1)
}

/// The bytes that an attribute takes, about.
fn size(attribute: &Attribute) -> u64 {
    let value = match &attribute.value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(array) => array
            .values()
            .iter()
            .map(|value| if let Value::String(text) = value { text.len() } else { 0 })
            .fold(0, |sum, len| sum + len + ATTRIBUTE_BYTES),
        _ => 0,
    };
    (ATTRIBUTE_BYTES + attribute.key.len() + value) as u64
}
