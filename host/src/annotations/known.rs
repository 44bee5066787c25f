//! Texts that a guest says again and again, and what was found out about each.
//!
//! Names and keys are mostly constants of the guest's, at one place of its memory. So what is
//! known of a text is found by its place and believed if its bytes are the same: then nothing is
//! hashed, checked or copied.

use std::borrow::Cow;

use crate::constants;
use crate::stats::RowId;

/// Texts that are known at a time; one in the place of another is forgotten.
const PLACES: usize = 128;

/// The texts of one trace.
#[derive(Default)]
pub(crate) struct Known {
    /// None as long as nothing is said.
    texts: Vec<Text>,
}

#[derive(Clone)]
struct Text {
    bytes: Box<[u8]>,
    row: RowId,
    key: Option<Key>,
}

/// A key that a guest may use.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) text: Cow<'static, str>,
    /// Whether its values are secrets.
    pub(crate) is_secret: bool,
}

impl Known {
    /// Where spans of a name are counted.
    #[inline]
    pub(crate) fn row(&self, name: &[u8]) -> Option<RowId> {
        self.get(name).map(|text| text.row).filter(|row| *row != RowId::NONE)
    }

    /// What is known of a key.
    #[inline]
    pub(crate) fn key(&self, key: &[u8]) -> Option<Key> {
        self.get(key)?.key.clone()
    }

    pub(crate) fn remember_row(&mut self, name: &[u8], row: RowId) {
        if let Some(text) = self.put(name) {
            text.row = row;
        }
    }

    /// Remembers a key, if all hosts can share it.
    pub(crate) fn remember_key(&mut self, key: &str, is_secret: bool) {
        if let Some(shared) = constants::share(key)
            && let Some(text) = self.put(key.as_bytes())
        {
            text.key = Some(Key { text: Cow::Borrowed(shared), is_secret });
        }
    }

    #[inline]
    fn get(&self, bytes: &[u8]) -> Option<&Text> {
        self.texts.get(place(bytes)).filter(|text| *text.bytes == *bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Option<&mut Text> {
        let none = Text { bytes: Box::default(), row: RowId::NONE, key: None };
        if self.texts.is_empty() {
            self.texts = vec![none.clone(); PLACES];
        }
        let text = self.texts.get_mut(place(bytes))?;
        if *text.bytes != *bytes {
            *text = Text { bytes: bytes.into(), ..none };
        }
        Some(text)
    }
}

/// The place of a text among those that are known.
#[inline]
fn place(bytes: &[u8]) -> usize {
    // Fibonacci hashing of the address, whose lower bits differ most.
    let address = bytes.as_ptr().addr() as u64;
    let mixed = address.wrapping_add(bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_by_its_bytes_wherever_it_is() {
        let mut known = Known::default();
        let mut memory = b"key".to_vec();
        assert!(known.key(&memory).is_none());
        known.remember_key("key", true);
        // What stands at one place may change.
        known.put(&memory).expect("a place").row = RowId::NONE;
        let key = std::str::from_utf8(&memory).expect("text").to_owned();
        let at = known.put(&memory).expect("a place");
        at.key = Some(Key { text: Cow::Owned(key), is_secret: true });
        assert!(known.key(&memory).is_some_and(|key| key.text == "key" && key.is_secret));
        memory[0] = b'p';
        assert!(known.key(&memory).is_none());
    }
}
