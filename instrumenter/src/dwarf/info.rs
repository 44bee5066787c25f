//! `.debug_info` and `.debug_types`: addresses and lengths are written over the old
//! ones, so no entry moves and all references among entries hold.

use gimli::constants as dw;

use super::abbrev::{Abbreviations, Encoding, Step, Target, step};
use super::addr::Addresses;
use super::cursor::{Cursor, put};
use super::lines::Lines;
use super::map::{CodeMap, Lookup};
use super::{Sections, Unusable};
use crate::leb;

/// What lists need to know of the unit that refers to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) encoding: Encoding,
    /// The low address, from which lists count.
    pub(crate) low: u64,
    pub(crate) addresses: Option<u64>,
    ranges: Option<u64>,
    locations: Option<u64>,
}

/// The units of a module that refer to lists.
#[derive(Default)]
pub(crate) struct Units(Vec<Unit>);

impl Units {
    pub(crate) fn get(&self, index: u32) -> &Unit {
        // References are made with the index of a unit that is there.
        &self.0[index as usize]
    }
}

/// That a unit refers to the list at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    pub(crate) offset: u32,
    pub(crate) unit: u32,
}

/// An offset in `.debug_info` to be written when it is known what moved.
pub(crate) struct Fixup {
    at: u32,
    size: u8,
    pub(crate) target: Target,
    pub(crate) old: u32,
}

impl Fixup {
    pub(crate) fn write(&self, info: &mut [u8], new: u64) {
        put(info, self.at as usize, self.size, new);
    }
}

/// A rewritten section, and what else there is to do.
pub(crate) struct Info<'a, 'm> {
    sections: &'a Sections<'a>,
    lines: &'a Lines,
    lookup: Lookup<'m>,
    pub(crate) units: Units,
    pub(crate) out: Vec<u8>,
    /// Lists of DWARF 2 to 4.
    pub(crate) ranges: Vec<Reference>,
    pub(crate) locations: Vec<Reference>,
    /// Lists of DWARF 5.
    pub(crate) range_lists: Vec<Reference>,
    pub(crate) location_lists: Vec<Reference>,
    /// Headers of `.debug_macro`.
    pub(crate) macros: Vec<u32>,
    pub(crate) fixups: Vec<Fixup>,
}

impl<'a, 'm> Info<'a, 'm> {
    pub(crate) fn new(sections: &'a Sections<'a>, lines: &'a Lines, map: &'m CodeMap) -> Self {
        Info {
            sections,
            lines,
            lookup: map.lookup(),
            units: Units::default(),
            out: Vec::new(),
            ranges: Vec::new(),
            locations: Vec::new(),
            range_lists: Vec::new(),
            location_lists: Vec::new(),
            macros: Vec::new(),
            fixups: Vec::new(),
        }
    }

    /// Rewrites a section of units; those of `.debug_types` have another header.
    pub(crate) fn rewrite(
        &mut self,
        name: &'static str,
        section: &[u8],
        addresses: &mut Addresses<'_>,
    ) -> Result<(), Unusable> {
        self.out = section.to_vec();
        let mut abbreviations = Abbreviations::default();
        let mut cursor = Cursor::new(name, section);
        while !cursor.is_at_end() {
            let (mut unit, offset_size) = cursor.unit()?;
            let version = unit.u16()?;
            let mut encoding = Encoding { version, address_size: 0, offset_size };
            let (mut kind, mut offset) = (dw::DW_UT_compile, 0);
            if version >= 5 {
                kind = dw::DwUt(unit.u8()?);
            } else {
                offset = unit.offset(offset_size)?;
                if name == super::TYPES {
                    kind = dw::DW_UT_type;
                }
            }
            encoding.address_size = unit.u8()?;
            match (version, encoding.address_size) {
                (2..=5, 4 | 8) => {}
                (2..=5, size) => return unit.fail(format!("addresses are {size} bytes long")),
                _ => return unit.fail(format!("version {version} is not known")),
            }
            if version >= 5 {
                offset = unit.offset(offset_size)?;
            }
            match kind {
                dw::DW_UT_compile | dw::DW_UT_partial => {}
                dw::DW_UT_type => unit.skip(8 + u64::from(offset_size))?,
                dw::DW_UT_skeleton | dw::DW_UT_split_compile | dw::DW_UT_split_type => {
                    return unit.fail("a part of it is in another file (split DWARF)");
                }
                other => return unit.fail(format!("units of type {:#x} are not known", other.0)),
            }
            abbreviations.read(self.sections.get(super::ABBREV), offset, encoding)?;
            let root = self.root(unit, &abbreviations, encoding, addresses)?;
            self.units.0.push(root);
            while !unit.is_at_end() {
                let code = unit.uleb()?;
                if code == 0 {
                    continue;
                }
                match abbreviations.steps(code) {
                    Some(steps) => self.entry(&mut unit, steps, &root, addresses)?,
                    None => return unit.fail("an entry has an abbreviation that is not there"),
                }
            }
        }
        Ok(())
    }

    /// Reads what the first entry of a unit says of all others.
    fn root(
        &self,
        mut cursor: Cursor<'_>,
        abbreviations: &Abbreviations,
        encoding: Encoding,
        addresses: &Addresses<'_>,
    ) -> Result<Unit, Unusable> {
        let mut unit = Unit { encoding, low: 0, addresses: None, ranges: None, locations: None };
        if cursor.is_at_end() {
            return Ok(unit);
        }
        let code = cursor.uleb()?;
        let mut index = None;
        for &step in abbreviations.steps(code).unwrap_or(&[]) {
            let step = resolve(step, &mut cursor, encoding)?;
            match step {
                Step::Address { low: true } => unit.low = cursor.uint(encoding.address_size)?,
                Step::AddressIndex { low: true, size } => {
                    index = Some(integer(&mut cursor, size)?);
                }
                Step::Offset(target) => {
                    let offset = Some(cursor.offset(encoding.offset_size)?);
                    match target {
                        Target::AddressBase => unit.addresses = offset,
                        Target::RangesBase => unit.ranges = offset,
                        Target::LocationsBase => unit.locations = offset,
                        _ => {}
                    }
                }
                step => pass(step, &mut cursor, encoding)?,
            }
        }
        if let Some(index) = index {
            unit.low = addresses.get(&unit, index)?.1;
        }
        Ok(unit)
    }

    fn entry(
        &mut self,
        cursor: &mut Cursor<'_>,
        steps: &[Step],
        unit: &Unit,
        addresses: &mut Addresses<'_>,
    ) -> Result<(), Unusable> {
        let Encoding { version, address_size, offset_size } = unit.encoding;
        let mut low = None;
        // Distances from `low`, which may come after them: where, and how large.
        let mut distances = [None; 2];
        for &step in steps {
            let step = resolve(step, cursor, unit.encoding)?;
            match step {
                Step::Skip(len) => cursor.skip(u64::from(len))?,
                Step::Address { low: is_low } => {
                    let at = cursor.at;
                    let old = cursor.uint(address_size)?;
                    put(&mut self.out, at, address_size, self.lookup.address(old));
                    if is_low {
                        low = Some(old);
                    }
                }
                Step::AddressIndex { low: is_low, size } => {
                    let index = integer(cursor, size)?;
                    let old = addresses.rewrite(unit, index, &mut self.lookup)?;
                    if is_low {
                        low = Some(old);
                    }
                }
                Step::Distance { size } => {
                    match distances.iter_mut().find(|place| place.is_none()) {
                        Some(place) => *place = Some((*cursor, size)),
                        None => return cursor.fail("an entry has several lengths"),
                    }
                    integer(cursor, size)?;
                }
                Step::FixedDistance(old) => {
                    // Other entries share it, so it cannot change.
                    if low.is_none_or(|low| self.lookup.length(low, old, address_size) != old) {
                        return cursor.fail("a length is in an abbreviation");
                    }
                }
                Step::Offset(target) => {
                    let at = cursor.at;
                    let old = cursor.offset(offset_size)?;
                    let Ok(old) = u32::try_from(old) else {
                        return cursor.fail("an offset leads out of its section");
                    };
                    let reference = self.reference(old);
                    let fixup = match target {
                        Target::Lines => {
                            let Some(new) = self.lines.program(u64::from(old)) else {
                                return cursor.fail("a unit has no line program where it says");
                            };
                            put(&mut self.out, at, offset_size, new);
                            false
                        }
                        Target::Ranges if version < 5 => {
                            self.ranges.push(reference);
                            false
                        }
                        Target::Locations if version < 5 => {
                            self.locations.push(reference);
                            false
                        }
                        Target::Ranges => {
                            self.range_lists.push(reference);
                            true
                        }
                        Target::Locations => {
                            self.location_lists.push(reference);
                            true
                        }
                        Target::Macros => {
                            self.macros.push(old);
                            false
                        }
                        Target::RangesBase | Target::LocationsBase => true,
                        Target::AddressBase => false,
                    };
                    if fixup {
                        let at = at as u32;
                        self.fixups.push(Fixup { at, size: offset_size, target, old });
                    }
                }
                Step::ListIndex(target) => {
                    let index = cursor.uleb()?;
                    let (name, base) = match target {
                        Target::Ranges => (super::RNGLISTS, unit.ranges),
                        _ => (super::LOCLISTS, unit.locations),
                    };
                    let Some(base) = base else {
                        return cursor.fail("a unit refers to a list, but not to a table of them");
                    };
                    let place = index.checked_mul(offset_size.into());
                    let place = place.and_then(|place| place.checked_add(base));
                    let offset = Cursor::new(name, self.sections.get(name))
                        .at(place.unwrap_or(u64::MAX))?
                        .offset(offset_size)?;
                    let Ok(offset) = u32::try_from(base.saturating_add(offset)) else {
                        return cursor.fail("an offset leads out of its section");
                    };
                    let reference = self.reference(offset);
                    match target {
                        Target::Ranges => self.range_lists.push(reference),
                        _ => self.location_lists.push(reference),
                    }
                }
                step => pass(step, cursor, unit.encoding)?,
            }
        }
        let Some(low) = low else { return Ok(()) };
        for (mut place, size) in distances.into_iter().flatten() {
            let at = place.at;
            let old = integer(&mut place, size)?;
            let new = self.lookup.length(low, old, address_size);
            if !overwrite(&mut self.out[at..place.at], size, new) {
                return place.fail("a length does not fit where it was");
            }
        }
        Ok(())
    }

    /// A reference from the current unit.
    fn reference(&self, offset: u32) -> Reference {
        Reference { offset, unit: (self.units.0.len() as u32).saturating_sub(1) }
    }
}

/// Reads the form of an attribute that has it in the entry.
#[inline]
fn resolve(what: Step, cursor: &mut Cursor<'_>, encoding: Encoding) -> Result<Step, Unusable> {
    let Step::Indirect(attribute) = what else { return Ok(what) };
    let form = dw::DwForm(u16::try_from(cursor.uleb()?).unwrap_or(0));
    match step(attribute, form, encoding) {
        Ok(Step::Indirect(_)) => cursor.fail("the form of a form is indirect"),
        Ok(step) => Ok(step),
        Err(message) => cursor.fail(message),
    }
}

/// Moves past what a step stands for.
fn pass(step: Step, cursor: &mut Cursor<'_>, encoding: Encoding) -> Result<(), Unusable> {
    match step {
        Step::Skip(len) => cursor.skip(u64::from(len)),
        Step::Leb | Step::ListIndex(_) => cursor.skip_leb(),
        Step::String => cursor.skip_string(),
        Step::Block(size) => {
            let len = cursor.uint(size)?;
            cursor.skip(len)
        }
        Step::BlockLeb => {
            let len = cursor.uleb()?;
            cursor.skip(len)
        }
        Step::Address { .. } => cursor.skip(u64::from(encoding.address_size)),
        Step::AddressIndex { size, .. } | Step::Distance { size } => {
            integer(cursor, size).map(|_| ())
        }
        Step::Offset(_) => cursor.skip(u64::from(encoding.offset_size)),
        Step::FixedDistance(_) | Step::Indirect(_) => Ok(()),
    }
}

/// An integer of so many bytes; 0 for LEB128.
fn integer(cursor: &mut Cursor<'_>, size: u8) -> Result<u64, Unusable> {
    if size == 0 { cursor.uleb() } else { cursor.uint(size) }
}

/// Writes an integer where one of the same form was; false if it does not fit.
fn overwrite(place: &mut [u8], size: u8, new: u64) -> bool {
    if size == 0 {
        let Ok(new) = u32::try_from(new) else { return false };
        let mut encoded = Vec::with_capacity(place.len());
        leb::write_padded(&mut encoded, new, place.len());
        if encoded.len() != place.len() {
            return false;
        }
        place.copy_from_slice(&encoded);
        return true;
    }
    put(place, 0, size, new);
    size >= 8 || new >> (8 * size) == 0
}
