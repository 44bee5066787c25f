//! `.debug_abbrev`: how entries are laid out, reduced to what a rewrite has to look at.

use std::ops::Range;

use gimli::constants::{self as dw, DwAt, DwForm};

use super::Unusable;
use super::cursor::Cursor;

const SECTION: &str = ".debug_abbrev";

/// What decides how large the forms of a unit are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encoding {
    pub(crate) version: u16,
    pub(crate) address_size: u8,
    pub(crate) offset_size: u8,
}

/// What a part of an entry is to a rewrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// This many bytes that stay as they are.
    Skip(u32),
    /// An integer in LEB128 that stays as it is.
    Leb,
    /// A string that ends in 0.
    String,
    /// Bytes after their number, which takes this many bytes.
    Block(u8),
    /// Bytes after their number in LEB128.
    BlockLeb,
    /// An address in the code.
    Address { low: bool },
    /// The index of an address in the code, in so many bytes; 0 for LEB128.
    AddressIndex { low: bool, size: u8 },
    /// A distance from the entry's low address, in so many bytes; 0 for LEB128.
    Distance { size: u8 },
    /// A distance from the entry's low address that is in the abbreviation.
    FixedDistance(u64),
    /// An offset into another section.
    Offset(Target),
    /// The index of an offset into another section, in LEB128.
    ListIndex(Target),
    /// The attribute's form stands in the entry.
    Indirect(DwAt),
}

/// What an offset leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Lines,
    Ranges,
    Locations,
    Macros,
    AddressBase,
    RangesBase,
    LocationsBase,
}

/// The abbreviations of a unit.
#[derive(Default)]
pub(crate) struct Abbreviations {
    /// Sorted by code, mostly 1, 2, 3 and so on.
    entries: Vec<(u64, Range<u32>)>,
    steps: Vec<Step>,
    /// Which these are.
    key: Option<(u64, Encoding)>,
    /// How many bytes have been read, over all units.
    read: usize,
}

impl Abbreviations {
    /// Reads the abbreviations at `offset`, unless that is what was read last.
    pub(crate) fn read(
        &mut self,
        section: &[u8],
        offset: u64,
        encoding: Encoding,
    ) -> Result<(), Unusable> {
        if self.key == Some((offset, encoding)) {
            return Ok(());
        }
        self.key = None;
        self.entries.clear();
        self.steps.clear();
        let mut cursor = Cursor::new(SECTION, section).at(offset)?;
        let start = cursor.at;
        let mut sorted = true;
        loop {
            let code = cursor.uleb()?;
            if code == 0 {
                break;
            }
            cursor.uleb()?; // tag
            cursor.skip(1)?; // whether there are children
            let first = self.steps.len() as u32;
            loop {
                let attribute = cursor.uleb()?;
                let form = cursor.uleb()?;
                if (attribute, form) == (0, 0) {
                    break;
                }
                let attribute = DwAt(u16::try_from(attribute).unwrap_or(0));
                let form = DwForm(u16::try_from(form).unwrap_or(0));
                if form == dw::DW_FORM_implicit_const {
                    let value = signed(&mut cursor)?;
                    if relative(attribute, encoding) {
                        self.steps.push(Step::FixedDistance(value as u64));
                    }
                    continue;
                }
                let step = step(attribute, form, encoding).or_else(|m| cursor.fail(m))?;
                match (step, self.steps[first as usize..].last_mut()) {
                    (Step::Skip(0), _) => {}
                    (Step::Skip(more), Some(Step::Skip(len))) => *len = len.saturating_add(more),
                    (step, _) => self.steps.push(step),
                }
            }
            sorted &= self.entries.last().is_none_or(|last| last.0 < code);
            self.entries.push((code, first..self.steps.len() as u32));
        }
        if !sorted {
            self.entries.sort_by_key(|entry| entry.0);
        }
        // Units may share their abbreviations, but not so that reading them takes
        // more time than the size of the module can explain.
        self.read += cursor.at - start;
        if self.read / 64 > section.len() {
            return cursor.fail("units share parts of their abbreviations");
        }
        self.key = Some((offset, encoding));
        Ok(())
    }

    /// The layout of the entries with this code.
    pub(crate) fn steps(&self, code: u64) -> Option<&[Step]> {
        let expected = usize::try_from(code).ok()?.checked_sub(1)?;
        let (_, steps) = match self.entries.get(expected) {
            Some(entry) if entry.0 == code => entry,
            _ => {
                let at = self.entries.binary_search_by_key(&code, |entry| entry.0).ok()?;
                self.entries.get(at)?
            }
        };
        self.steps.get(steps.start as usize..steps.end as usize)
    }
}

/// What a rewrite does with an attribute of a form.
pub(crate) fn step(attribute: DwAt, form: DwForm, encoding: Encoding) -> Result<Step, String> {
    let Encoding { version, address_size, offset_size } = encoding;
    let low = attribute == dw::DW_AT_low_pc;
    let is_relative = relative(attribute, encoding);
    let fixed = |size: u8| match old_offset(attribute, size, encoding) {
        Some(target) => Step::Offset(target),
        None if is_relative => Step::Distance { size },
        None => Step::Skip(u32::from(size)),
    };
    let step = match form {
        // A constant that is an address is one of data.
        dw::DW_FORM_addr if attribute == dw::DW_AT_const_value => {
            Step::Skip(u32::from(address_size))
        }
        dw::DW_FORM_addr => Step::Address { low },
        dw::DW_FORM_addrx => Step::AddressIndex { low, size: 0 },
        dw::DW_FORM_addrx1 => Step::AddressIndex { low, size: 1 },
        dw::DW_FORM_addrx2 => Step::AddressIndex { low, size: 2 },
        dw::DW_FORM_addrx3 => Step::AddressIndex { low, size: 3 },
        dw::DW_FORM_addrx4 => Step::AddressIndex { low, size: 4 },
        dw::DW_FORM_data1 => fixed(1),
        dw::DW_FORM_data2 => fixed(2),
        dw::DW_FORM_data4 => fixed(4),
        dw::DW_FORM_data8 => fixed(8),
        dw::DW_FORM_udata | dw::DW_FORM_sdata if is_relative => {
            if form == dw::DW_FORM_sdata {
                return Err("a length is signed".to_owned());
            }
            Step::Distance { size: 0 }
        }
        dw::DW_FORM_flag_present => Step::Skip(0),
        dw::DW_FORM_flag | dw::DW_FORM_ref1 | dw::DW_FORM_strx1 => Step::Skip(1),
        dw::DW_FORM_ref2 | dw::DW_FORM_strx2 => Step::Skip(2),
        dw::DW_FORM_strx3 => Step::Skip(3),
        dw::DW_FORM_ref4 | dw::DW_FORM_strx4 | dw::DW_FORM_ref_sup4 => Step::Skip(4),
        dw::DW_FORM_ref8 | dw::DW_FORM_ref_sig8 | dw::DW_FORM_ref_sup8 => Step::Skip(8),
        dw::DW_FORM_data16 => Step::Skip(16),
        dw::DW_FORM_strp
        | dw::DW_FORM_line_strp
        | dw::DW_FORM_strp_sup
        | dw::DW_FORM_GNU_ref_alt
        | dw::DW_FORM_GNU_strp_alt => Step::Skip(u32::from(offset_size)),
        dw::DW_FORM_ref_addr if version < 3 => Step::Skip(u32::from(address_size)),
        dw::DW_FORM_ref_addr => Step::Skip(u32::from(offset_size)),
        dw::DW_FORM_sec_offset => match target(attribute)? {
            Some(target) => Step::Offset(target),
            None => Step::Skip(u32::from(offset_size)),
        },
        dw::DW_FORM_rnglistx => Step::ListIndex(Target::Ranges),
        dw::DW_FORM_loclistx => Step::ListIndex(Target::Locations),
        dw::DW_FORM_udata | dw::DW_FORM_sdata | dw::DW_FORM_ref_udata | dw::DW_FORM_strx => {
            Step::Leb
        }
        dw::DW_FORM_string => Step::String,
        dw::DW_FORM_block1 => Step::Block(1),
        dw::DW_FORM_block2 => Step::Block(2),
        dw::DW_FORM_block4 => Step::Block(4),
        dw::DW_FORM_block | dw::DW_FORM_exprloc => Step::BlockLeb,
        dw::DW_FORM_indirect => Step::Indirect(attribute),
        dw::DW_FORM_GNU_addr_index | dw::DW_FORM_GNU_str_index => {
            return Err("a part of it is in another file (split DWARF)".to_owned());
        }
        other => return Err(format!("the form {:#x} is not known", other.0)),
    };
    if matches!(attribute, dw::DW_AT_dwo_name | dw::DW_AT_GNU_dwo_name) {
        return Err("a part of it is in another file (split DWARF)".to_owned());
    }
    Ok(step)
}

/// Whether a constant of this attribute is a distance from the low address.
fn relative(attribute: DwAt, encoding: Encoding) -> bool {
    match attribute {
        dw::DW_AT_high_pc => true,
        dw::DW_AT_entry_pc => encoding.version >= 5,
        _ => false,
    }
}

/// What a constant is an offset to, where it is one: before DWARF 4, offsets had no
/// form of their own.
fn old_offset(attribute: DwAt, size: u8, encoding: Encoding) -> Option<Target> {
    if encoding.version >= 4 || size != encoding.offset_size {
        return None;
    }
    // Constants of this attribute are constants, whatever the standard of the time says.
    if attribute == dw::DW_AT_data_member_location {
        return None;
    }
    target(attribute).ok()?
}

/// What an offset of this attribute leads to; `None` where that stays where it is.
fn target(attribute: DwAt) -> Result<Option<Target>, String> {
    Ok(match attribute {
        dw::DW_AT_stmt_list => Some(Target::Lines),
        dw::DW_AT_ranges | dw::DW_AT_start_scope => Some(Target::Ranges),
        dw::DW_AT_location
        | dw::DW_AT_string_length
        | dw::DW_AT_return_addr
        | dw::DW_AT_data_member_location
        | dw::DW_AT_frame_base
        | dw::DW_AT_segment
        | dw::DW_AT_static_link
        | dw::DW_AT_use_location
        | dw::DW_AT_vtable_elem_location => Some(Target::Locations),
        dw::DW_AT_macros | dw::DW_AT_GNU_macros => Some(Target::Macros),
        dw::DW_AT_addr_base => Some(Target::AddressBase),
        dw::DW_AT_rnglists_base => Some(Target::RangesBase),
        dw::DW_AT_loclists_base => Some(Target::LocationsBase),
        dw::DW_AT_macro_info | dw::DW_AT_str_offsets_base => None,
        other => return Err(format!("the attribute {:#x} leads to an unknown place", other.0)),
    })
}

/// A signed integer in LEB128; of one that is too large, the low bits.
fn signed(cursor: &mut Cursor<'_>) -> Result<i64, Unusable> {
    let mut value = 0i64;
    let mut shift = 0u32;
    loop {
        let byte = cursor.u8()?;
        value |= i64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        shift = shift.saturating_add(7);
        if byte < 0x80 {
            if byte & 0x40 != 0 {
                value |= (-1i64).checked_shl(shift).unwrap_or(0);
            }
            return Ok(value);
        }
    }
}
