//! The parts of the [protobuf wire format] that OTLP needs to be written.
//!
//! As proto3 wants it, fields that hold their default are left out, except in a `oneof`.
//!
//! [protobuf wire format]: https://protobuf.dev/programming-guides/encoding/

/// Wire type of integers.
pub(super) const VARINT: u8 = 0;
/// Wire type of 8 bytes.
pub(super) const FIXED64: u8 = 1;
/// Wire type of strings, bytes and messages.
pub(super) const LEN: u8 = 2;
/// Wire type of 4 bytes.
pub(super) const FIXED32: u8 = 5;

/// The tag of a field from 1 to 15, which is one byte long.
pub(super) const fn tag(field: u8, wire_type: u8) -> u8 {
    assert!(field > 0 && field < 16);
    field << 3 | wire_type
}

/// How many bytes [`put_varint`] writes.
pub(super) fn varint_len(value: u64) -> usize {
    // Seven bits a byte, and one byte for zero.
    ((u64::BITS - (value | 1).leading_zeros()) as usize).div_ceil(7)
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The length of a field of wire type [`LEN`] with its tag, given that of its content.
pub(super) fn field_len(content: usize) -> usize {
    1 + varint_len(content as u64) + content
}

/// Writes the tag and length of a field of wire type [`LEN`].
pub(super) fn put_head(out: &mut Vec<u8>, field: u8, content: usize) {
    out.push(tag(field, LEN));
    put_varint(out, content as u64);
}

/// Writes a field that holds a message, of which `content` appends what is in it.
///
/// The length comes first and is known last. It has one byte for most messages, so one is left
/// for it; a longer message is moved to make room for the others. Returns where the content
/// begins.
pub(super) fn put_message(
    out: &mut Vec<u8>,
    field: u8,
    content: impl FnOnce(&mut Vec<u8>),
) -> usize {
    out.push(tag(field, LEN));
    let at = out.len();
    out.push(0);
    let start = out.len();
    content(out);
    let end = out.len();
    let mut length = (end - start) as u64;
    let more = varint_len(length) - 1;
    if more > 0 {
        out.resize(end + more, 0);
        out.copy_within(start..end, start + more);
    }
    for byte in &mut out[at..at + more] {
        *byte = length as u8 | 0x80;
        length >>= 7;
    }
    out[at + more] = length as u8;
    start + more
}

/// Writes a field of wire type [`VARINT`], unless it is zero.
pub(super) fn put_uint(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(tag(field, VARINT));
        put_varint(out, value);
    }
}

/// Writes a field of wire type [`FIXED32`], unless it is zero.
pub(super) fn put_fixed32(out: &mut Vec<u8>, field: u8, value: u32) {
    if value != 0 {
        out.push(tag(field, FIXED32));
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Writes a field of wire type [`FIXED64`], unless it is zero.
pub(super) fn put_fixed64(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(tag(field, FIXED64));
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// The length of a string field, none if it is empty.
pub(super) fn string_len(text: &str) -> usize {
    if text.is_empty() { 0 } else { field_len(text.len()) }
}

pub(super) fn put_string(out: &mut Vec<u8>, field: u8, text: &str) {
    if !text.is_empty() {
        put_head(out, field, text.len());
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{put_varint, varint_len};

    #[test]
    fn varints_are_as_long_as_announced() {
        // The examples and widths of the encoding guide: 150 is 96 01.
        for (value, bytes) in [
            (0, &[0_u8][..]),
            (1, &[1]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (150, &[0x96, 1]),
            (16_383, &[0xff, 0x7f]),
            (16_384, &[0x80, 0x80, 1]),
            (u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(varint_len(value), bytes.len());
        }
    }
}
