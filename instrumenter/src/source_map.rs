//! Rewriting, fifth part: a source map ([ECMA-426](https://tc39.es/ecma426/)), which speaks
//! of code by its offset in the module's file: a module is one line, and an offset is a
//! column of it.
//!
//! Only `mappings` are written anew, in their place: all else stays byte for byte. Of a
//! mapping, only the column changes; the rest is relative to the mapping before and is
//! copied. So the time and the memory that it takes are linear in the size of the map.
//!
//! The hooks at the start of a function count as part of what its first instruction
//! maps to, those before a return or at the end as part of the mapping before.

use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::dwarf::{CodeMap, Lookup};

/// The digits of an integer, which hold 5 bits each, least significant first.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The most digits that an offset of 32 bits and its sign can need.
const MAX_DIGITS: usize = 7;

/// Where the contents of the code section are in the file, and what is in them.
#[derive(Clone)]
pub(crate) struct Moved<'m> {
    pub(crate) map: &'m CodeMap,
    pub(crate) old: Range<usize>,
    pub(crate) new: Range<usize>,
}

/// The parts of a source map that say where code is.
#[derive(Deserialize)]
struct SourceMap<'a> {
    version: Option<u32>,
    #[serde(borrow)]
    mappings: Option<&'a RawValue>,
    #[serde(borrow)]
    sections: Option<Vec<Section<'a>>>,
    // Proposals that are not in the standard yet.
    scopes: Option<IgnoredAny>,
    #[serde(rename = "rangeMappings")]
    range_mappings: Option<IgnoredAny>,
}

/// A map of a part of the module, in an index map.
#[derive(Deserialize)]
struct Section<'a> {
    #[serde(borrow)]
    offset: Offset<'a>,
    #[serde(borrow)]
    map: Option<SourceMap<'a>>,
}

#[derive(Deserialize)]
struct Offset<'a> {
    line: u32,
    #[serde(borrow)]
    column: &'a RawValue,
}

/// The source map of a module whose code has moved; or, to stand after a colon, why
/// there is none.
pub(crate) fn rewrite(json: &[u8], moved: &Moved<'_>) -> Result<Vec<u8>, String> {
    let map: SourceMap<'_> =
        serde_json::from_slice(json).map_err(|error| format!("it is no source map: {error}"))?;
    if map.version != Some(3) {
        return Err("it is no source map of version 3".to_owned());
    }
    let mut changes = Vec::new();
    match (&map.mappings, &map.sections) {
        (Some(_), None) => changes.push(new_mappings(&map, 0, moved)?),
        (None, Some(sections)) => {
            for Section { offset, map } in sections {
                let Some(map) = map.as_ref().filter(|map| map.sections.is_none()) else {
                    return Err("a section of it holds no mappings".to_owned());
                };
                let column: u32 = serde_json::from_str(offset.column.get())
                    .map_err(|error| format!("the offset of a section is wrong: {error}"))?;
                if offset.line != 0 {
                    return Err(not_one_line(offset.line as usize));
                }
                let new = moved.lookup().offset(column.into());
                changes.push((offset.column, new.to_string()));
                changes.push(new_mappings(map, column, moved)?);
            }
        }
        _ => return Err("it has either no mappings or two kinds of them".to_owned()),
    }
    // What was read is borrowed from the text, so that it tells where it stands.
    let start = json.as_ptr().addr();
    let mut changes: Vec<_> = changes
        .into_iter()
        .map(|(old, new)| (old.get().as_ptr().addr() - start, old.get().len(), new))
        .collect();
    changes.sort_unstable_by_key(|&(at, ..)| at);
    let mut out = Vec::with_capacity(json.len() + json.len() / 8);
    let mut copied = 0;
    for (at, len, new) in changes {
        out.extend_from_slice(&json[copied..at]);
        out.extend_from_slice(new.as_bytes());
        copied = at + len;
    }
    out.extend_from_slice(&json[copied..]);
    Ok(out)
}

/// The mappings of a map for what begins at `base`, and what takes their place.
fn new_mappings<'a>(
    map: &SourceMap<'a>,
    base: u32,
    moved: &Moved<'_>,
) -> Result<(&'a RawValue, String), String> {
    if map.scopes.is_some() || map.range_mappings.is_some() {
        return Err("it has `scopes` or `rangeMappings`, which are not known here".to_owned());
    }
    let mappings = map.mappings.ok_or("a section of it holds no mappings")?;
    let text: String = serde_json::from_str(mappings.get())
        .map_err(|error| format!("its mappings are wrong: {error}"))?;
    let mut out = String::with_capacity(text.len() + text.len() / 8 + 2);
    // No character of it needs an escape in JSON.
    out.push('"');
    for (line, text) in text.split(';').enumerate() {
        if line > 0 {
            out.push(';');
        }
        if line == 0 {
            translate(&mut out, text, base, moved)?;
        } else if !text.is_empty() {
            return Err(not_one_line(line));
        }
    }
    out.push('"');
    Ok((mappings, out))
}

fn not_one_line(line: usize) -> String {
    format!("it tells of line {}, and a module is one line", line + 1)
}

/// Writes the mappings of a line, whose first column is `base`, with new columns.
fn translate(out: &mut String, text: &str, base: u32, moved: &Moved<'_>) -> Result<(), String> {
    let mut lookup = moved.lookup();
    let base = i64::from(base);
    // Columns count from the base, before and after.
    let new_base = lookup.offset(base as u64) as i64;
    let (mut old, mut last) = (0, 0);
    let mut before = None;
    for (n, segment) in text.split(',').enumerate() {
        if n > 0 {
            out.push(',');
        }
        if segment.is_empty() {
            continue;
        }
        let wrong = || format!("mapping {} is wrong: `{segment:.40}`", n + 1);
        let (delta, rest) = integer(segment).ok_or_else(wrong)?;
        let mut fields = 0;
        let mut left = rest;
        while !left.is_empty() {
            (_, left) = integer(left).ok_or_else(wrong)?;
            fields += 1;
        }
        // A column; a source, with a line and a column in it; a name.
        let same = match fields {
            0 => "",
            3 => "AAA",
            4 => "AAAA",
            _ => return Err(wrong()),
        };
        old += delta;
        let place = u32::try_from(base + old).ok().filter(|_| old >= 0).ok_or_else(wrong)?;
        let mut fields = rest;
        if let Some(opening) = lookup.opening(place.into())
            && before.is_none_or(|before| before < opening.old)
            && opening.old >= base as u64
        {
            let new = opening.new as i64 - new_base;
            write_integer(out, new - last);
            out.push_str(rest);
            out.push(',');
            fields = same;
            last = new;
        }
        let new = lookup.offset(place.into()) as i64 - new_base;
        write_integer(out, new - last);
        out.push_str(fields);
        last = new;
        before = Some(u64::from(place));
    }
    Ok(())
}

/// An integer at the start of a text, and what follows it.
fn integer(text: &str) -> Option<(i64, &str)> {
    let mut value = 0;
    for (at, byte) in text.bytes().take(MAX_DIGITS).enumerate() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        value |= i64::from(digit & 31) << (5 * at);
        if digit < 32 {
            // The sign is the lowest bit.
            let integer = if value & 1 == 0 { value >> 1 } else { -(value >> 1) };
            return Some((integer, &text[at + 1..]));
        }
    }
    None
}

fn write_integer(out: &mut String, value: i64) {
    let mut left = value.unsigned_abs() << 1 | u64::from(value < 0);
    loop {
        let more = left >= 32;
        let digit = left & 31 | if more { 32 } else { 0 };
        out.push(char::from(DIGITS[digit as usize]));
        left >>= 5;
        if !more {
            return;
        }
    }
}

impl<'m> Moved<'m> {
    fn lookup(&self) -> Offsets<'m> {
        Offsets { moved: self.clone(), lookup: self.map.lookup() }
    }
}

/// Looks up offsets in the module's file.
struct Offsets<'m> {
    moved: Moved<'m>,
    lookup: Lookup<'m>,
}

/// Where a function with hooks began, and where it begins.
struct Opening {
    old: u64,
    new: u64,
}

impl Offsets<'_> {
    /// The new offset of what was at `old`. What comes before the code stays before it,
    /// and what comes after it stays as far after it.
    fn offset(&mut self, old: u64) -> u64 {
        let Moved { old: before, new: after, .. } = &self.moved;
        let [old_start, old_end, start, end] =
            [before.start, before.end, after.start, after.end].map(|offset| offset as u64);
        if old < old_start {
            old.min(start)
        } else if old > old_end {
            end + (old - old_end)
        } else {
            start + self.lookup.address(old - old_start)
        }
    }

    /// The function whose first instruction was at `old`, if there are hooks before it.
    fn opening(&mut self, old: u64) -> Option<Opening> {
        let start = self.moved.old.start as u64;
        let (code, function) = self.moved.map.opening(old.checked_sub(start)?)?;
        (code + start == old)
            .then(|| Opening { old: function + start, new: self.offset(function + start) })
    }
}
