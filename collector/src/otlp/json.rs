//! OTLP as JSON: the bytes of a batch, told in the [protobuf JSON format] with what OTLP makes
//! different, ids in hex and enumerations as numbers ([OTLP, "JSON Protobuf Encoding"]).
//!
//! [protobuf JSON format]: https://protobuf.dev/programming-guides/json/
//! [OTLP, "JSON Protobuf Encoding"]: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding

mod schema;

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use self::schema::{Field, Kind, Message};
use super::wire::{Content, fields, varint};
use crate::stats::Signal;

/// How deep messages may be nested, as a guard of the stack. Values in values take two levels each.
const MAX_DEPTH: u32 = 200;

/// Bytes that are not a message of OTLP.
#[derive(Clone, Copy, Debug, Error)]
#[error("the batch has a {0} that is none, which is a bug of whoever encoded it")]
pub(super) struct Malformed(&'static str);

/// Appends the JSON of a request that is encoded as protobuf.
pub(super) fn transcode(signal: Signal, body: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let request = match signal {
        Signal::Traces => &schema::EXPORT_TRACE_SERVICE_REQUEST,
        Signal::Logs => &schema::EXPORT_LOGS_SERVICE_REQUEST,
        Signal::Metrics => &schema::EXPORT_METRICS_SERVICE_REQUEST,
    };
    message(At { message: request, depth: 0 }, body, out)
}

/// Where in a request.
#[derive(Clone, Copy)]
struct At {
    message: &'static Message,
    depth: u32,
}

impl At {
    fn malformed(self) -> Malformed {
        Malformed(self.message.name)
    }
}

fn message(at: At, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let malformed = at.malformed();
    if at.depth > MAX_DEPTH {
        return Err(malformed);
    }
    out.push(b'{');
    let mut seen = 0_u64;
    let mut rest = fields(bytes);
    while let Some(field) = rest.next() {
        let (number, content) = field.ok_or(malformed)?;
        let known = at.message.fields.iter().position(|field| u64::from(field.number) == number);
        let Some(index) = known else { continue };
        let field = &at.message.fields[index];
        if seen & (1 << index) != 0 {
            // The others of a repeated field were told with its first.
            if field.is_repeated {
                continue;
            }
            return Err(malformed);
        }
        if seen != 0 {
            out.push(b',');
        }
        seen |= 1 << index;
        out.push(b'"');
        out.extend_from_slice(field.name.as_bytes());
        out.extend_from_slice(b"\":");
        if !field.is_repeated {
            value(at, field, content, out)?;
            continue;
        }
        out.push(b'[');
        let start = out.len();
        elements(at, field, content, start, out)?;
        for other in rest.clone() {
            let (other, content) = other.ok_or(malformed)?;
            if other == number {
                elements(at, field, content, start, out)?;
            }
        }
        out.push(b']');
    }
    out.push(b'}');
    Ok(())
}

/// What one occurrence of a repeated field holds, in an array that began at `start`: one element, or
/// all of those that are packed.
fn elements(
    at: At,
    field: &Field,
    content: Content<'_>,
    start: usize,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let comma = |out: &mut Vec<u8>| {
        if out.len() > start {
            out.push(b',');
        }
    };
    let Content::Bytes(mut packed) = content else {
        comma(out);
        return value(at, field, content, out);
    };
    match field.kind {
        Kind::Text | Kind::Bytes | Kind::Id | Kind::Nested(_) => {
            comma(out);
            value(at, field, content, out)
        }
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => {
            while !packed.is_empty() {
                let (number, rest) = packed.split_first_chunk().ok_or(at.malformed())?;
                packed = rest;
                comma(out);
                value(at, field, Content::Fixed64(u64::from_le_bytes(*number)), out)?;
            }
            Ok(())
        }
        Kind::Fixed32 => {
            while !packed.is_empty() {
                let (number, rest) = packed.split_first_chunk().ok_or(at.malformed())?;
                packed = rest;
                comma(out);
                value(at, field, Content::Fixed32(u32::from_le_bytes(*number)), out)?;
            }
            Ok(())
        }
        Kind::Bool | Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Int64 | Kind::Uint64 => {
            while !packed.is_empty() {
                let number = varint(&mut packed).ok_or(at.malformed())?;
                comma(out);
                value(at, field, Content::Varint(number), out)?;
            }
            Ok(())
        }
    }
}

fn value(at: At, field: &Field, content: Content<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
    // Writing to memory does not fail.
    let written = match (field.kind, content) {
        (Kind::Nested(nested), Content::Bytes(bytes)) => {
            let at = At { message: nested, depth: at.depth + 1 };
            return message(at, bytes, out);
        }
        (Kind::Text, Content::Bytes(bytes)) => {
            let text = String::from_utf8_lossy(bytes);
            return serde_json::to_writer(out, &*text).map_err(|_| at.malformed());
        }
        (Kind::Bytes, Content::Bytes(bytes)) => write!(out, "\"{}\"", STANDARD.encode(bytes)),
        (Kind::Id, Content::Bytes(bytes)) => {
            hex(bytes, out);
            Ok(())
        }
        (Kind::Bool, Content::Varint(number)) => write!(out, "{}", number != 0),
        // What is longer than 32 bits is cut, as protobuf has it.
        (Kind::Int32, Content::Varint(number)) => write!(out, "{}", number as u32 as i32),
        (Kind::Uint32, Content::Varint(number)) => write!(out, "{}", number as u32),
        (Kind::Sint32, Content::Varint(number)) => {
            let number = number as u32;
            write!(out, "{}", (number >> 1).cast_signed() ^ -(number & 1).cast_signed())
        }
        // As text, since the numbers of JSON often end at 53 bits.
        (Kind::Int64, Content::Varint(number)) => write!(out, "\"{}\"", number.cast_signed()),
        (Kind::Uint64, Content::Varint(number)) => write!(out, "\"{number}\""),
        (Kind::Fixed64, Content::Fixed64(number)) => write!(out, "\"{number}\""),
        (Kind::Sfixed64, Content::Fixed64(number)) => write!(out, "\"{}\"", number.cast_signed()),
        (Kind::Fixed32, Content::Fixed32(number)) => write!(out, "{number}"),
        (Kind::Double, Content::Fixed64(bits)) => match f64::from_bits(bits) {
            number if number.is_nan() => write!(out, "\"NaN\""),
            f64::INFINITY => write!(out, "\"Infinity\""),
            f64::NEG_INFINITY => write!(out, "\"-Infinity\""),
            // The shortest that reads back as the same, with an exponent where that is shorter.
            number => write!(out, "{number:?}"),
        },
        _ => return Err(at.malformed()),
    };
    written.map_err(|_| at.malformed())
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    out.push(b'"');
    for byte in bytes {
        out.extend([byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]));
    }
    out.push(b'"');
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
