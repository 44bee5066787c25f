//! Attributes as a guest lays them out in its memory. Nothing that it says of addresses, lengths
//! and types is believed, and nothing is copied before a quota is known.

use observe_abi::guest::attribute;

/// An array of records, of which no more is read than somebody asks for.
#[derive(Clone, Copy)]
pub(crate) struct Records<'m> {
    memory: &'m [u8],
    /// `None` where they are not all in memory.
    records: Option<&'m [[u8; attribute::SIZE]]>,
    count: u32,
}

/// What one record says.
#[derive(Debug, PartialEq)]
pub(crate) struct Record<'m> {
    /// The bytes of its key; `None` where they are not all in memory.
    pub(crate) key: Option<&'m [u8]>,
    pub(crate) value: Result<Raw<'m>, Unfit>,
}

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is not all in memory.
    Unreadable,
    /// Nobody knows its type.
    UnknownType,
}

/// A value, most of which is still in the guest's memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Raw<'m> {
    String(&'m [u8]),
    Bool(bool),
    I64(i64),
    F64(f64),
    Bytes(&'m [u8]),
    Strings(Strings<'m>),
    Bools(&'m [u8]),
    I64s(&'m [[u8; 8]]),
    F64s(&'m [[u8; 8]]),
}

/// The elements of an array of texts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Strings<'m> {
    memory: &'m [u8],
    elements: &'m [[u8; 8]],
}

impl<'m> Records<'m> {
    /// No attributes.
    pub(crate) const NONE: Records<'static> = Records { memory: &[], records: Some(&[]), count: 0 };

    /// So many records at an address.
    pub(crate) fn at(memory: &'m [u8], at: u32, count: u32) -> Self {
        match count {
            0 => Records::NONE,
            _ => Records { memory, records: array(memory, at.into(), count), count },
        }
    }

    /// How many there are, as the guest says.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// How many of them can be read: all or none.
    pub(crate) fn within_reach(&self) -> u32 {
        if self.records.is_some() { self.count } else { 0 }
    }

    /// What they say; `None` where they are not all in memory.
    pub(crate) fn iter(&self) -> Option<impl Iterator<Item = Record<'m>>> {
        let memory = self.memory;
        Some(self.records?.iter().map(move |record| Record::read(memory, record)))
    }
}

impl<'m> Record<'m> {
    fn read(memory: &'m [u8], record: &[u8; attribute::SIZE]) -> Self {
        let word = |at: usize| {
            let bytes = [record[at], record[at + 1], record[at + 2], record[at + 3]];
            u32::from_le_bytes(bytes)
        };
        let (kind, len) = (word(8), word(12));
        let value = u64::from(word(16)) | u64::from(word(20)) << 32;
        let key = bytes(memory, word(0).into(), word(4));
        let read = match kind {
            attribute::BOOL => Some(Raw::Bool(value != 0)),
            attribute::I64 => Some(Raw::I64(value.cast_signed())),
            attribute::F64 => Some(Raw::F64(f64::from_bits(value))),
            attribute::STRING => bytes(memory, value, len).map(Raw::String),
            attribute::BYTES => bytes(memory, value, len).map(Raw::Bytes),
            attribute::BOOLS => bytes(memory, value, len).map(Raw::Bools),
            attribute::I64S => array(memory, value, len).map(Raw::I64s),
            attribute::F64S => array(memory, value, len).map(Raw::F64s),
            attribute::STRINGS => {
                array(memory, value, len).map(|elements| Raw::Strings(Strings { memory, elements }))
            }
            _ => return Record { key, value: Err(Unfit::UnknownType) },
        };
        Record { key, value: read.ok_or(Unfit::Unreadable) }
    }
}

impl<'m> Strings<'m> {
    /// The bytes of each element; `None` for one that is not all in memory.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<&'m [u8]>> {
        let memory = self.memory;
        self.elements.iter().map(move |&[a, b, c, d, rest @ ..]| {
            let (at, len) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(rest));
            bytes(memory, at.into(), len)
        })
    }
}

/// The bytes at an address; `None` where they are not all in memory.
pub(crate) fn bytes(memory: &[u8], at: u64, len: u32) -> Option<&[u8]> {
    let at = usize::try_from(at).ok()?;
    memory.get(at..)?.get(..usize::try_from(len).ok()?)
}

/// So many elements of a size at an address; `None` where they are not all in memory.
pub(crate) fn array<const SIZE: usize>(
    memory: &[u8],
    at: u64,
    count: u32,
) -> Option<&[[u8; SIZE]]> {
    let size = usize::try_from(count).ok()?.checked_mul(SIZE)?;
    let at = usize::try_from(at).ok()?;
    let (elements, _) = memory.get(at..)?.get(..size)?.as_chunks();
    Some(elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: (u32, u32), kind: u32, len: u32, value: u64) -> Vec<u8> {
        let words = [key.0, key.1, kind, len];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(value.to_le_bytes());
        bytes
    }

    /// What a record says that stands behind some bytes of memory.
    fn read(memory: &[u8], record: &[u8]) -> (Option<Vec<u8>>, Result<String, Unfit>) {
        let all = [memory, record].concat();
        let records = Records::at(&all, memory.len() as u32, 1);
        let mut records = records.iter().expect("in memory");
        let Record { key, value } = records.next().expect("one");
        (key.map(<[u8]>::to_vec), value.map(|value| format!("{value:?}")))
    }

    #[test]
    fn values_are_read_by_their_types() {
        let memory = b"key\x01\x00text\x07\0\0\0\0\0\0\0";
        let cases = [
            (attribute::STRING, 4, 5, "String([116, 101, 120, 116])"),
            (attribute::BOOL, 0, 2, "Bool(true)"),
            (attribute::I64, 0, u64::MAX, "I64(-1)"),
            (attribute::F64, 0, 0.5_f64.to_bits(), "F64(0.5)"),
            (attribute::BYTES, 2, 3, "Bytes([1, 0])"),
            (attribute::BOOLS, 2, 3, "Bools([1, 0])"),
            (attribute::I64S, 1, 9, "I64s([[7, 0, 0, 0, 0, 0, 0, 0]])"),
            (attribute::F64S, 0, 17, "F64s([])"),
        ];
        for (kind, len, value, expected) in cases {
            let (key, value) = read(memory, &record((0, 3), kind, len, value));
            assert_eq!(key.as_deref(), Some(&b"key"[..]));
            assert_eq!(value.as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_out_of_reach_is_said_to_be() {
        for kind in [attribute::STRING, attribute::BYTES, attribute::BOOLS, attribute::I64S] {
            for (len, value) in [(100, 0), (u32::MAX, 0), (1, u64::MAX), (0, 1 << 40)] {
                let (key, value) = read(b"", &record((0, 1), kind, len, value));
                assert_eq!((key.is_some(), value), (true, Err(Unfit::Unreadable)));
            }
        }
        let (key, value) = read(b"", &record((u32::MAX, u32::MAX), 77, 0, 0));
        assert_eq!((key, value), (None, Err(Unfit::UnknownType)));
        assert!(Records::at(&[0; 100], 0, u32::MAX).iter().is_none());
        assert!(Records::at(&[0; 100], 77, 1).iter().is_none());
        assert_eq!(Records::at(&[], u32::MAX, 0).iter().map(Iterator::count), Some(0));
    }

    #[test]
    fn elements_are_in_reach_or_not_each_by_itself() {
        let elements = [(0, 2), (u32::MAX, 1), (1, 1)];
        let bytes = |(at, len): (u32, u32)| [at.to_le_bytes(), len.to_le_bytes()].concat();
        let elements = elements.map(|element| bytes(element).try_into().expect("eight"));
        let strings = Strings { memory: b"ab", elements: &elements };
        let read: Vec<_> = strings.iter().collect();
        assert_eq!(read, [Some(&b"ab"[..]), None, Some(&b"b"[..])]);
    }
}
