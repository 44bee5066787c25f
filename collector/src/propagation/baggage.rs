//! The header `baggage`.

use std::fmt::{self, Write as _};

use crate::env;

/// Entries that are carried ([W3C Baggage, "Limits"]: at least so many).
///
/// [W3C Baggage, "Limits"]: https://www.w3.org/TR/baggage/#limits
const MAX_ENTRIES: usize = 64;

/// Bytes of the header (as above).
const MAX_BYTES: usize = 8_192;

/// What a caller tells beside its trace: keys and values, each key once. At most 64 entries and
/// 8,192 bytes are carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baggage(Vec<Entry>);

/// An entry of [`Baggage`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// What is known of it, as the header has it (`key;key=value`); may be empty.
    pub properties: String,
}

impl Baggage {
    /// The entries, in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }

    /// Sets the value of a key. Says whether there was room for it.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) -> bool {
        self.put(Entry { key: key.into(), value: value.into(), properties: String::new() })
    }

    fn put(&mut self, entry: Entry) -> bool {
        let is_key = |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
        if entry.key.is_empty() || !entry.key.bytes().all(is_key) {
            return false;
        }
        if self.0.len() >= MAX_ENTRIES && self.get(&entry.key).is_none() {
            return false;
        }
        let mut after: Vec<_> = self.0.iter().filter(|own| own.key != entry.key).cloned().collect();
        after.push(entry);
        let after = Baggage(after);
        let fits = after.to_string().len() <= MAX_BYTES;
        if fits {
            *self = after;
        }
        fits
    }

    /// What a header says. Entries that are malformed, or for which there is no room, are left out.
    pub(super) fn read(text: &str) -> Self {
        let mut baggage = Baggage::default();
        if text.len() > MAX_BYTES {
            return baggage;
        }
        for member in text.split(',') {
            let (pair, properties) = member.split_once(';').unwrap_or((member, ""));
            let properties = properties.trim();
            let is_plain = properties.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            let Some((key, value)) = pair.split_once('=') else { continue };
            if let Some(value) = env::percent_decode(value.trim()).filter(|_| is_plain) {
                let (key, properties) = (key.trim().to_owned(), properties.to_owned());
                baggage.put(Entry { key, value, properties });
            }
        }
        baggage
    }
}

impl fmt::Display for Baggage {
    /// As the header has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, entry) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_char(',')?;
            }
            write!(f, "{}=", entry.key)?;
            for byte in entry.value.bytes() {
                // `baggage-octet` of the specification, without the percent sign.
                match byte {
                    b'!' | b'#' | b'$' | b'&'..=b'+' | b'-'..=b':' | b'<'..=b'[' | b']'..=b'~' => {
                        f.write_char(byte.into())?;
                    }
                    _ => write!(f, "%{byte:02X}")?,
                }
            }
            if !entry.properties.is_empty() {
                write!(f, ";{}", entry.properties)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Baggage, MAX_BYTES, MAX_ENTRIES};

    /// The example of the specification, section 3.2.
    #[test]
    fn what_the_specification_gives_is_read_and_written() {
        let text = "key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue";
        let baggage = Baggage::read(text);
        assert_eq!(baggage.get("key2"), Some("value2"));
        let expected =
            "key1=value1;property1;property2,key2=value2,key3=value3;propertyKey=propertyValue";
        assert_eq!(baggage.to_string(), expected);
        assert_eq!(Baggage::read(expected), baggage);
    }

    #[test]
    fn values_of_any_text_come_back() {
        for value in ["", "a b", "größe", "a,b;c=d", "100%", "\"\\", "\r\nx: y", "~!+"] {
            let mut baggage = Baggage::default();
            assert!(baggage.set("k", value));
            let text = baggage.to_string();
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
            assert_eq!(Baggage::read(&text), baggage, "{value}");
        }
    }

    #[test]
    fn what_is_malformed_is_left_out_and_the_last_of_a_key_counts() {
        let baggage = Baggage::read("a=1,b,=2,c=%zz,d d=3,a=4,e=5;\u{7f}");
        assert_eq!(baggage.to_string(), "a=4");
        for text in ["a=1;p=\r\nEvil: 2", "\r\nEvil: a=1", "a=1;\u{a0}p\nq"] {
            assert_eq!(Baggage::read(text), Baggage::default(), "{text:?}");
        }
        // What is around an entry is not carried.
        assert_eq!(Baggage::read("a=1,\r\nb=2\r\n;\r\np").to_string(), "a=1,b=2;p");
        assert!(!Baggage::default().set("a=b", "1"));
    }

    #[test]
    fn there_is_room_for_so_much() {
        let mut baggage = Baggage::default();
        let kept = (0..2 * MAX_ENTRIES).filter(|n| baggage.set(n.to_string(), "v")).count();
        assert_eq!(kept, MAX_ENTRIES);
        assert!(baggage.set("0", "other"), "in the place of one that is there");
        assert!(!Baggage::default().set("k", "v".repeat(MAX_BYTES)));
        assert_eq!(Baggage::read(&format!("k={}", "v".repeat(MAX_BYTES))), Baggage::default());
    }
}
