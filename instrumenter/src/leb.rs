//! Unsigned LEB128, where the length of the encoding matters.

use wasmparser::BinaryReader;

/// Splits `bytes` after the integer that they begin with.
pub(crate) fn split(bytes: &[u8]) -> Result<(u32, &[u8]), wasmparser::Error> {
    let mut reader = BinaryReader::new(bytes, 0);
    let value = reader.read_var_u32()?;
    Ok((value, &bytes[reader.original_position()..]))
}

/// Writes an integer in `len` bytes, or in more where it must be.
///
/// Linkers pad the indices that they relocate. Keeping the length keeps most
/// code where it was relative to the start of its function.
pub(crate) fn write_padded(out: &mut Vec<u8>, mut value: u32, len: usize) {
    let mut written = 1;
    while value >= 0x80 || written < len {
        out.push(value as u8 | 0x80);
        value >>= 7;
        written += 1;
    }
    out.push(value as u8);
}

/// How many bytes an integer needs.
pub(crate) fn len(value: u32) -> usize {
    (32 - value.leading_zeros()).div_ceil(7).max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_keeps_its_length_where_it_fits() {
        for (value, len, expected) in [
            (0, 1, &[0][..]),
            (127, 1, &[0x7f]),
            (128, 1, &[0x80, 1]),
            (3, 5, &[0x83, 0x80, 0x80, 0x80, 0]),
            (u32::MAX, 1, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            write_padded(&mut out, value, len);
            assert_eq!(out, expected);
            out.push(9);
            assert_eq!(split(&out).expect("whole"), (value, &[9][..]));
            let mut least = Vec::new();
            write_padded(&mut least, value, 1);
            assert_eq!(super::len(value), least.len());
        }
    }
}
