//! Sections as bytes.

use wasm_encoder::{Encode, SectionId};

use crate::{Error, leb};

/// Writes a section with the given contents.
pub(crate) fn write_raw(out: &mut Vec<u8>, id: u8, contents: &[u8]) {
    out.push(id);
    contents.encode(out);
}

/// The items of a section that was built to be appended to another, without
/// the section's length and count.
pub(crate) fn items(section: &impl Encode) -> Vec<u8> {
    let mut bytes = Vec::new();
    section.encode(&mut bytes);
    // What was just encoded begins with both.
    let rest = leb::split(&bytes).and_then(|(_, rest)| leb::split(rest));
    rest.map_or_else(|_| Vec::new(), |(_, items)| items.to_vec())
}

/// Writes a section: the items of `contents`, which is a section's contents or
/// empty, and then `count` more.
pub(crate) fn append_items(
    out: &mut Vec<u8>,
    id: SectionId,
    contents: &[u8],
    count: u32,
    added: &[u8],
) -> Result<(), Error> {
    if contents.is_empty() && count == 0 {
        return Ok(());
    }
    let (before, items) = if contents.is_empty() { (0, contents) } else { leb::split(contents)? };
    let total = before.checked_add(count).ok_or(Error::Limit("a section would be too long"))?;
    let mut section = Vec::with_capacity(contents.len() + added.len() + 5);
    total.encode(&mut section);
    section.extend_from_slice(items);
    section.extend_from_slice(added);
    write_raw(out, id as u8, &section);
    Ok(())
}
/// A custom section to be written.
pub(crate) struct Custom {
    name: String,
    contents: Vec<u8>,
}

impl Custom {
    pub(crate) fn new(name: &str, contents: Vec<u8>) -> Self {
        Custom { name: name.to_owned(), contents }
    }

    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        let mut name = Vec::with_capacity(self.name.len() + 5);
        self.name.encode(&mut name);
        out.push(SectionId::Custom as u8);
        (name.len() + self.contents.len()).encode(out);
        out.extend_from_slice(&name);
        out.extend_from_slice(&self.contents);
    }
}

/// The contents of a custom section of `wasm-encoder`, without length and name.
pub(crate) fn contents_of(section: &impl Encode) -> Vec<u8> {
    let mut bytes = Vec::new();
    section.encode(&mut bytes);
    // What was just encoded begins with its length, and that of its name.
    let name = leb::split(&bytes).and_then(|(_, rest)| leb::split(rest));
    name.map_or_else(|_| Vec::new(), |(len, rest)| rest[len as usize..].to_vec())
}
