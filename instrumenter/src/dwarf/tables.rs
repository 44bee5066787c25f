//! `.debug_rnglists` and `.debug_loclists`, the lists of DWARF 5. Their integers are as
//! short as they can be, so lists are written anew, and what refers to them follows.

use gimli::constants as dw;
use wasm_encoder::Encode;

use super::addr::Addresses;
use super::cursor::{Cursor, put, put_unit_length};
use super::info::{Reference, Unit, Units};
use super::map::{CodeMap, Lookup, is_tombstone};
use super::{Unusable, new_offset};

/// A rewritten section.
#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) bytes: Vec<u8>,
    /// Where each list begins, before and after.
    lists: Vec<(u32, u32)>,
    /// Where the first byte behind each table's header is, before and after.
    bases: Vec<(u32, u32)>,
}

impl Tables {
    /// The new offset of a list.
    pub(crate) fn list(&self, old: u32) -> Option<u64> {
        new_offset(&self.lists, u64::from(old))
    }

    /// The new offset of a table, behind its header.
    pub(crate) fn base(&self, old: u32) -> Option<u64> {
        new_offset(&self.bases, u64::from(old))
    }
}

/// An entry of a list, as both sections have them.
enum Entry {
    End,
    BaseIndex,
    StartEndIndex,
    StartLengthIndex,
    Offsets,
    Default,
    Base,
    StartEnd,
    StartLength,
    Views,
}

impl Entry {
    fn of_range(kind: u8) -> Option<Self> {
        Some(match dw::DwRle(kind) {
            dw::DW_RLE_end_of_list => Entry::End,
            dw::DW_RLE_base_addressx => Entry::BaseIndex,
            dw::DW_RLE_startx_endx => Entry::StartEndIndex,
            dw::DW_RLE_startx_length => Entry::StartLengthIndex,
            dw::DW_RLE_offset_pair => Entry::Offsets,
            dw::DW_RLE_base_address => Entry::Base,
            dw::DW_RLE_start_end => Entry::StartEnd,
            dw::DW_RLE_start_length => Entry::StartLength,
            _ => return None,
        })
    }

    fn of_location(kind: u8) -> Option<Self> {
        Some(match dw::DwLle(kind) {
            dw::DW_LLE_end_of_list => Entry::End,
            dw::DW_LLE_base_addressx => Entry::BaseIndex,
            dw::DW_LLE_startx_endx => Entry::StartEndIndex,
            dw::DW_LLE_startx_length => Entry::StartLengthIndex,
            dw::DW_LLE_offset_pair => Entry::Offsets,
            dw::DW_LLE_default_location => Entry::Default,
            dw::DW_LLE_base_address => Entry::Base,
            dw::DW_LLE_start_end => Entry::StartEnd,
            dw::DW_LLE_start_length => Entry::StartLength,
            dw::DW_LLE_GNU_view_pair => Entry::Views,
            _ => return None,
        })
    }
}

/// Rewrites a section.
pub(crate) fn rewrite<'a>(
    name: &'static str,
    section: &'a [u8],
    has_locations: bool,
    references: &[Reference],
    units: &Units,
    map: &CodeMap,
    addresses: &mut Addresses<'a>,
) -> Result<Tables, Unusable> {
    let mut tables = Tables::default();
    let mut writer =
        Writer { section, has_locations, lookup: map.lookup(), addresses, out: Vec::new() };
    let mut cursor = Cursor::new(name, section);
    while !cursor.is_at_end() {
        let (start, new_start) = (cursor.at, writer.out.len());
        let (mut table, offset_size) = cursor.unit()?;
        let version = table.u16()?;
        let address_size = table.u8()?;
        table.skip(1)?; // segment selectors, which WebAssembly has none of
        if version != 5 || !matches!(address_size, 4 | 8) {
            return table.fail("a header is not one for WebAssembly");
        }
        let count = table.uint(4)?;
        let (base, mut offsets) = (table.at, table);
        let new_base = new_start + (base - start);
        tables.bases.push((base as u32, new_base as u32));
        table.skip(count.saturating_mul(offset_size.into()))?;
        writer.out.extend_from_slice(&section[start..table.at]);
        let first_list = tables.lists.len();
        // A list that nothing refers to is taken to be of the same unit as the one before.
        let mut unit = None;
        while !table.is_at_end() {
            let old = table.at as u32;
            tables.lists.push((old, writer.out.len() as u32));
            let from = references.partition_point(|reference| reference.offset < old);
            for reference in references[from..].iter().take_while(|r| r.offset == old) {
                let other = *units.get(reference.unit);
                let means = |unit: Unit| (unit.low, unit.addresses, unit.encoding.address_size);
                match unit {
                    Some((at, unit)) if at == old && means(unit) != means(other) => {
                        return table.fail("units share a list that means another thing to each");
                    }
                    _ => unit = Some((old, other)),
                }
            }
            writer.list(&mut table, address_size, unit.map(|(_, unit)| unit))?;
        }
        for n in 0..count as usize {
            let place = new_base + n * usize::from(offset_size);
            let old = (base as u64).saturating_add(offsets.offset(offset_size)?);
            let Some(new) = new_offset(&tables.lists[first_list..], old) else {
                return offsets.fail("an offset does not lead to the start of a list");
            };
            put(&mut writer.out, place, offset_size, new - new_base as u64);
        }
        put_unit_length(&mut writer.out, new_start, offset_size);
    }
    tables.bytes = writer.out;
    Ok(tables)
}

struct Writer<'w, 'a, 'm> {
    section: &'a [u8],
    has_locations: bool,
    lookup: Lookup<'m>,
    addresses: &'w mut Addresses<'a>,
    out: Vec<u8>,
}

impl Writer<'_, '_, '_> {
    /// Rewrites a list, of which `unit` is the unit, if that is known.
    fn list(
        &mut self,
        cursor: &mut Cursor<'_>,
        size: u8,
        unit: Option<Unit>,
    ) -> Result<(), Unusable> {
        let mut base = unit.map(|unit| unit.low);
        let mask = if size == 8 { u64::MAX } else { u64::from(u32::MAX) };
        loop {
            let kind = cursor.u8()?;
            let entry =
                if self.has_locations { Entry::of_location(kind) } else { Entry::of_range(kind) };
            let Some(entry) = entry else {
                return cursor.fail(format!("entries of kind {kind:#x} are not known"));
            };
            self.out.push(kind);
            match entry {
                Entry::End => return Ok(()),
                Entry::BaseIndex => base = self.index(cursor, unit)?,
                Entry::StartEndIndex => {
                    self.index(cursor, unit)?;
                    self.index(cursor, unit)?;
                }
                Entry::StartLengthIndex => {
                    let start = self.index(cursor, unit)?;
                    self.length(cursor, start, size)?;
                }
                Entry::Offsets => {
                    for _ in 0..2 {
                        let by = cursor.uleb()?;
                        let new = match base.filter(|&base| !is_tombstone(base, size)) {
                            Some(base) => {
                                let address = base.wrapping_add(by) & mask;
                                let new_base = self.lookup.address(base);
                                self.lookup.address(address).wrapping_sub(new_base) & mask
                            }
                            None => by,
                        };
                        new.encode(&mut self.out);
                    }
                }
                Entry::Default => {}
                Entry::Base => base = Some(self.address(cursor, size)?),
                Entry::StartEnd => {
                    self.address(cursor, size)?;
                    self.address(cursor, size)?;
                }
                Entry::StartLength => {
                    let start = self.address(cursor, size)?;
                    self.length(cursor, Some(start), size)?;
                }
                Entry::Views => {
                    let from = cursor.at;
                    cursor.skip_leb()?;
                    cursor.skip_leb()?;
                    self.out.extend_from_slice(&self.section[from..cursor.at]);
                }
            }
            let has_expression = !matches!(entry, Entry::BaseIndex | Entry::Base | Entry::Views);
            if self.has_locations && has_expression {
                let from = cursor.at;
                let len = cursor.uleb()?;
                cursor.skip(len)?;
                self.out.extend_from_slice(&self.section[from..cursor.at]);
            }
        }
    }

    /// Copies the index of an address, and rewrites the address; the old one.
    fn index(
        &mut self,
        cursor: &mut Cursor<'_>,
        unit: Option<Unit>,
    ) -> Result<Option<u64>, Unusable> {
        let index = cursor.uleb()?;
        index.encode(&mut self.out);
        // What is not known belongs to a list that nobody can read.
        let Some(unit) = unit else { return Ok(None) };
        self.addresses.rewrite(&unit, index, &mut self.lookup).map(Some)
    }

    /// Rewrites an address; the old one.
    fn address(&mut self, cursor: &mut Cursor<'_>, size: u8) -> Result<u64, Unusable> {
        let old = cursor.uint(size)?;
        let new = self.lookup.address(old);
        self.out.extend_from_slice(&new.to_le_bytes()[..usize::from(size)]);
        Ok(old)
    }

    /// Rewrites the length of what begins at `start`.
    fn length(
        &mut self,
        cursor: &mut Cursor<'_>,
        start: Option<u64>,
        size: u8,
    ) -> Result<(), Unusable> {
        let len = cursor.uleb()?;
        start.map_or(len, |start| self.lookup.length(start, len, size)).encode(&mut self.out);
        Ok(())
    }
}
