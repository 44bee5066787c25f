//! `.debug_line`: the programs that give code its lines.
//!
//! Only what moves the address is written anew. Where the bytes between two rows did
//! not change, neither does the program.

use gimli::constants as dw;
use wasm_encoder::Encode;

use super::cursor::{Cursor, put_unit_length};
use super::map::{CodeMap, Lookup, is_tombstone};
use super::{Unusable, new_offset};

const SECTION: &str = ".debug_line";

/// How many operands the standard opcodes take ([DWARF 5, 6.2.5.2](https://dwarfstd.org/dwarf5std.html)).
const OPERANDS: [u8; 12] = [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];

/// The rewritten section.
#[derive(Default)]
pub(crate) struct Lines {
    pub(crate) bytes: Vec<u8>,
    /// Where each program begins, before and after.
    programs: Vec<(u32, u32)>,
}

impl Lines {
    /// The new offset of a program.
    pub(crate) fn program(&self, old: u64) -> Option<u64> {
        new_offset(&self.programs, old)
    }
}

/// Rewrites the section.
pub(crate) fn rewrite(section: &[u8], map: &CodeMap) -> Result<Lines, Unusable> {
    let mut lines =
        Lines { bytes: Vec::with_capacity(section.len() + section.len() / 16), ..Lines::default() };
    let mut cursor = Cursor::new(SECTION, section);
    while !cursor.is_at_end() {
        let (old, new) = (cursor.at, lines.bytes.len());
        let (mut unit, offset_size) = cursor.unit()?;
        lines.programs.push((old as u32, new as u32));
        let header = Header::read(&mut unit, offset_size)?;
        lines.bytes.extend_from_slice(&section[old..unit.at]);
        let mut program = Program {
            header,
            section,
            out: &mut lines.bytes,
            copied: unit.at,
            map,
            lookup: map.lookup(),
            last_row: None,
            opening: None,
            old: 0,
            new: 0,
            dead: false,
            pending: false,
        };
        program.rewrite(&mut unit)?;
        put_unit_length(&mut lines.bytes, new, offset_size);
    }
    Ok(lines)
}

/// What a program's opcodes mean.
struct Header {
    /// Of the last opcode that sets the address, if there was one.
    address_size: u8,
    line_range: u8,
    opcode_base: u8,
    /// Operands of standard opcodes, that with number 1 first.
    operands: Vec<u8>,
}

impl Header {
    /// Reads a header, and moves on to the program's first opcode.
    fn read(unit: &mut Cursor<'_>, offset_size: u8) -> Result<Self, Unusable> {
        let version = unit.u16()?;
        if !(2..=5).contains(&version) {
            return unit.fail(format!("version {version} is not known"));
        }
        let mut address_size = 4;
        if version >= 5 {
            address_size = unit.u8()?;
            unit.skip(1)?; // segment selectors, which WebAssembly has none of
        }
        let len = unit.offset(offset_size)?;
        let mut program = *unit;
        program.skip(len)?;
        let min_instruction = unit.u8()?;
        let max_operations = if version >= 4 { unit.u8()? } else { 1 };
        unit.skip(2)?; // default of is_stmt, line_base
        let line_range = unit.u8()?;
        let opcode_base = unit.u8()?;
        if min_instruction != 1 || max_operations > 1 || line_range == 0 || opcode_base == 0 {
            return unit.fail("a header is not one for WebAssembly");
        }
        let mut operands = Vec::with_capacity(usize::from(opcode_base));
        for _ in 1..opcode_base {
            operands.push(unit.u8()?);
        }
        if operands.iter().zip(OPERANDS).any(|(&operands, standard)| operands != standard)
            || operands.len() < usize::from(dw::DW_LNS_fixed_advance_pc.0)
            || unit.at > program.at
        {
            return unit.fail("the opcodes are not the standard ones");
        }
        *unit = program;
        Ok(Header { address_size, line_range, opcode_base, operands })
    }
}

struct Program<'a, 'm> {
    header: Header,
    section: &'a [u8],
    out: &'a mut Vec<u8>,
    /// How far the section has been copied.
    copied: usize,
    map: &'m CodeMap,
    lookup: Lookup<'m>,
    /// The old address of the last row of the sequence.
    last_row: Option<u64>,
    /// What the map says is the next opening, where that has been asked.
    opening: Option<(u64, u64)>,
    /// The address register at this place of the old program.
    old: u64,
    /// The address register at this place of the new program.
    new: u64,
    /// Whether the sequence is of code that is not in the module.
    dead: bool,
    /// Whether an advance was left out since the last row.
    pending: bool,
}

impl Program<'_, '_> {
    fn rewrite(&mut self, unit: &mut Cursor<'_>) -> Result<(), Unusable> {
        while !unit.is_at_end() {
            let at = unit.at;
            let opcode = unit.u8()?;
            if let Some(special) = opcode.checked_sub(self.header.opcode_base) {
                self.special(at, special);
                continue;
            }
            match dw::DwLns(opcode) {
                dw::DwLns(0) => self.extended(unit, at)?,
                dw::DW_LNS_copy => {
                    if !self.dead {
                        let target = self.row();
                        if self.pending || target != self.new {
                            self.copy_to(at);
                            self.advance(target);
                        }
                    }
                }
                dw::DW_LNS_advance_pc => {
                    let by = unit.uleb()?;
                    self.defer(at, unit.at, by);
                }
                dw::DW_LNS_const_add_pc => {
                    let by = u64::from(self.const_add());
                    self.defer(at, unit.at, by);
                }
                dw::DW_LNS_fixed_advance_pc => {
                    let by = u64::from(unit.u16()?);
                    self.defer(at, unit.at, by);
                }
                _ => {
                    // `Header::read` made sure that there is an entry.
                    let operands = self.header.operands.get(usize::from(opcode) - 1);
                    for _ in 0..operands.copied().unwrap_or(0) {
                        unit.skip_leb()?;
                    }
                }
            }
        }
        self.copy_to(unit.end());
        Ok(())
    }

    fn extended(&mut self, unit: &mut Cursor<'_>, at: usize) -> Result<(), Unusable> {
        let len = unit.uleb()?;
        let mut operation = *unit;
        unit.skip(len)?;
        if len == 0 {
            return Ok(());
        }
        match dw::DwLne(operation.u8()?) {
            dw::DW_LNE_set_address => {
                let size = match len {
                    5 => 4,
                    9 => 8,
                    _ => return unit.fail("an address has an odd size"),
                };
                self.copy_to(operation.at);
                self.old = operation.uint(size)?;
                self.header.address_size = size;
                self.dead = is_tombstone(self.old, size);
                self.pending = false;
                self.opening = None;
                self.new = self.target();
                self.out.extend_from_slice(&self.new.to_le_bytes()[..usize::from(size)]);
                self.copied = unit.at;
            }
            dw::DW_LNE_end_sequence => {
                if !self.dead && self.pending {
                    self.copy_to(at);
                    let target = self.lookup.address(self.old);
                    self.advance(target);
                }
                self.last_row = None;
                self.opening = None;
                self.old = 0;
                self.new = 0;
                self.dead = false;
                self.pending = false;
            }
            _ => {}
        }
        Ok(())
    }

    /// Copies what has not been copied, up to `end`.
    fn copy_to(&mut self, end: usize) {
        self.out.extend_from_slice(&self.section[self.copied..end]);
        self.copied = end;
    }

    /// The opcode between `at` and `end` advances the address, which is done anew
    /// before the next row.
    fn defer(&mut self, at: usize, end: usize, by: u64) {
        if self.dead {
            return;
        }
        self.copy_to(at);
        self.copied = end;
        self.old = self.old.wrapping_add(by);
        self.pending = true;
    }

    /// By how much `DW_LNS_const_add_pc` advances the address.
    fn const_add(&self) -> u8 {
        (255 - self.header.opcode_base) / self.header.line_range
    }

    /// A special opcode at `at`, without the opcode base.
    fn special(&mut self, at: usize, special: u8) {
        if self.dead {
            return;
        }
        let (by, line) = (special / self.header.line_range, special % self.header.line_range);
        self.old = self.old.wrapping_add(u64::from(by));
        let target = self.row();
        if !self.pending && target.checked_sub(self.new) == Some(u64::from(by)) {
            self.new = target;
            return;
        }
        self.copy_to(at);
        self.copied = at + 1;
        let highest = (255 - self.header.opcode_base - line) / self.header.line_range;
        let (base, range) = (self.header.opcode_base, self.header.line_range);
        let opcode = |by: u8| base + line + by * range;
        let const_add = self.const_add();
        match target.checked_sub(self.new).and_then(|by| u8::try_from(by).ok()) {
            Some(by) if by <= highest => self.out.push(opcode(by)),
            Some(by) if by.checked_sub(const_add).is_some_and(|by| by <= highest) => {
                self.out.push(dw::DW_LNS_const_add_pc.0);
                self.out.push(opcode(by - const_add));
            }
            _ => {
                self.advance(target);
                self.out.push(opcode(0));
            }
        }
        self.new = target;
        self.pending = false;
    }

    /// Where a row goes that belongs to the address.
    ///
    /// The first row of a function often belongs to its first instruction. It takes the
    /// hooks before that with it, unless there is a row for them: they are part of the
    /// function's opening line.
    fn target(&mut self) -> u64 {
        if self.opening.is_none_or(|(code, _)| code < self.old) {
            self.opening = Some(self.map.opening(self.old).unwrap_or((u64::MAX, u64::MAX)));
        }
        match self.opening {
            Some((code, start))
                if code == self.old && self.last_row.is_none_or(|last| last < start) =>
            {
                self.lookup.address(start)
            }
            _ => self.lookup.address(self.old),
        }
    }

    /// Notes a row, and says where it goes.
    fn row(&mut self) -> u64 {
        let target = self.target();
        self.last_row = Some(self.old);
        target
    }

    /// Advances the address to `target`.
    fn advance(&mut self, target: u64) {
        match target.checked_sub(self.new) {
            Some(0) => {}
            Some(by) => {
                self.out.push(dw::DW_LNS_advance_pc.0);
                by.encode(self.out);
            }
            // Only where the old address went past the largest.
            None => {
                let size = usize::from(self.header.address_size).min(8);
                self.out.extend_from_slice(&[0, 1 + size as u8, dw::DW_LNE_set_address.0]);
                self.out.extend_from_slice(&target.to_le_bytes()[..size]);
            }
        }
        self.new = target;
        self.pending = false;
    }
}
