//! Reads protobuf. The bytes are not trusted: no length is believed that goes beyond them, and
//! nothing panics.

/// What a field holds.
#[derive(Clone, Copy)]
pub(crate) enum Content<'a> {
    Varint(u64),
    #[cfg_attr(not(feature = "http-json"), expect(dead_code, reason = "only JSON tells them"))]
    Fixed32(u32),
    #[cfg_attr(not(feature = "http-json"), expect(dead_code, reason = "only JSON tells them"))]
    Fixed64(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message with their numbers; a last `None` if the message is malformed.
pub(crate) fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Option<(u64, Content<'_>)>> + Clone {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let field = field(&mut bytes);
        if field.is_none() {
            bytes = &[];
        }
        Some(field)
    })
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Content<'a>)> {
    let tag = varint(bytes)?;
    let number = tag >> 3;
    let content = match tag & 7 {
        0 => Content::Varint(varint(bytes)?),
        1 => {
            let (number, rest) = bytes.split_first_chunk()?;
            *bytes = rest;
            Content::Fixed64(u64::from_le_bytes(*number))
        }
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            let (content, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Content::Bytes(content)
        }
        5 => {
            let (number, rest) = bytes.split_first_chunk()?;
            *bytes = rest;
            Content::Fixed32(u32::from_le_bytes(*number))
        }
        // Groups, which no message of OTLP has, and what does not exist.
        _ => return None,
    };
    (number > 0).then_some((number, content))
}

/// A number at the beginning of the bytes, which then begin behind it.
pub(crate) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}
