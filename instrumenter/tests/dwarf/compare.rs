//! Compares debug information before and after, as gimli and addr2line read it.

use std::borrow::Cow;
use std::ops::Range;

use addr2line::Context;
use gimli::{AttributeValue, Dwarf, EndianSlice, LittleEndian, Unit, constants as dw};
use wasmparser::{Parser, Payload};

use crate::align::{Alignment, functions};

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) rows: usize,
    /// Rows whose address is not that of an instruction, before either.
    pub(crate) stale: usize,
    pub(crate) entries: usize,
    pub(crate) addresses: usize,
    pub(crate) lengths: usize,
    pub(crate) ranges: usize,
    pub(crate) locations: usize,
    pub(crate) aranges: usize,
    pub(crate) macros: usize,
    pub(crate) lookups: usize,
    /// Rows not looked up, since units disagree about their function ([`disputed`]).
    pub(crate) disputed: usize,
    pub(crate) prologues: usize,
    /// Rows at a function's first instruction that took its hooks along.
    pub(crate) openings: usize,
}

/// What differs, as far as it is worth printing.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) counts: Counts,
    pub(crate) wrong: usize,
    pub(crate) messages: Vec<String>,
}

impl Report {
    fn check(&mut self, right: bool, message: impl FnOnce() -> String) {
        if !right {
            self.wrong += 1;
            if self.messages.len() < 10 {
                self.messages.push(message());
            }
        }
    }
}

pub(crate) fn sections(wasm: &[u8]) -> Vec<(&str, &[u8])> {
    Parser::new(0)
        .parse_all(wasm)
        .filter_map(|payload| match payload.expect("a module") {
            Payload::CustomSection(section) => Some((section.name(), section.data())),
            _ => None,
        })
        .collect()
}

pub(crate) fn load(wasm: &[u8]) -> Dwarf<Slice<'_>> {
    let sections = sections(wasm);
    let find = |id: gimli::SectionId| {
        let found = sections.iter().find(|(name, _)| *name == id.name());
        Ok::<_, gimli::Error>(EndianSlice::new(found.map_or(&[][..], |s| s.1), LittleEndian))
    };
    Dwarf::load(find).expect("loading cannot fail")
}

/// Compares all that `old` and `new` say; looks up each `stride`th row's address.
pub(crate) fn compare(old_wasm: &[u8], new_wasm: &[u8], stride: usize) -> Report {
    let alignment = Alignment::of(old_wasm, new_wasm);
    let (old, new) = (load(old_wasm), load(new_wasm));
    let mut report = Report::default();
    let (mut rows, mut stale) = (Vec::new(), Vec::new());
    let (mut old_units, mut new_units) = (units(&old), units(&new));
    assert_eq!(old_units.len(), new_units.len());
    for (old_unit, new_unit) in old_units.drain(..).zip(new_units.drain(..)) {
        lines(&old_unit, &new_unit, &alignment, &mut report, &mut rows, &mut stale);
        let pair = Pair { old: &old, new: &new, old_unit: &old_unit, new_unit: &new_unit };
        pair.entries(&alignment, &mut report);
    }
    macros(old_wasm, &old, &mut report);
    macros(new_wasm, &new, &mut report);
    aranges(&old, &new, &alignment, &mut report);
    let disputed = disputed(old_wasm, &stale);
    lookups(old, new, &alignment, &rows, &disputed, stride, &mut report);
    // They are few, or the rest says little.
    let Counts { disputed, lookups, .. } = report.counts;
    report.check(disputed * 100 <= lookups, || format!("{disputed} rows are disputed"));
    report
}

/// The functions, in order, some of whose rows are at no instruction.
///
/// Of an inline function that several objects bring, the linker keeps one, and lets the units
/// of the others describe the kept one, too. Where theirs was compiled otherwise, as that of
/// a library is, what is found at an address is one unit's word against another's.
fn disputed(wasm: &[u8], stale: &[u64]) -> Vec<Range<u64>> {
    let ranges = functions(wasm).into_iter().map(|(range, _)| range);
    ranges.filter(|range| stale.iter().any(|address| range.contains(address))).collect()
}

fn units<'a>(dwarf: &Dwarf<Slice<'a>>) -> Vec<Unit<Slice<'a>>> {
    let mut units = Vec::new();
    let mut headers = dwarf.units();
    while let Some(header) = headers.next().expect("a unit") {
        units.push(dwarf.unit(header).expect("a unit"));
    }
    let mut headers = dwarf.type_units();
    while let Some(header) = headers.next().expect("a unit") {
        units.push(dwarf.unit(header).expect("a unit"));
    }
    units
}

fn lines(
    old: &Unit<Slice<'_>>,
    new: &Unit<Slice<'_>>,
    alignment: &Alignment,
    report: &mut Report,
    all: &mut Vec<(u64, u64)>,
    stale: &mut Vec<u64>,
) {
    let (Some(old), Some(new)) = (&old.line_program, &new.line_program) else {
        return report.check(old.line_program.is_none() && new.line_program.is_none(), || {
            "a line program is missing".to_owned()
        });
    };
    let (mut old, mut new) = (old.clone().rows(), new.clone().rows());
    // The address of the row before, if there is one in the sequence.
    let mut before: Option<u64> = None;
    loop {
        let old = old.next_row().expect("a row").map(|(_, row)| *row);
        let new = new.next_row().expect("a row").map(|(_, row)| *row);
        let (Some(old), Some(new)) = (old, new) else {
            return report.check(old.is_none() && new.is_none(), || "rows are missing".to_owned());
        };
        report.counts.rows += 1;
        let expected = alignment.exact(old.address());
        if expected.is_none() {
            report.counts.stale += 1;
            stale.push(old.address());
        }
        let says = |row: &gimli::LineRow| {
            (
                (row.file_index(), row.line(), row.column(), row.is_stmt(), row.basic_block()),
                (row.prologue_end(), row.epilogue_begin(), row.isa(), row.discriminator()),
                row.end_sequence(),
            )
        };
        // The first row of a function, at its first instruction, takes the hooks along.
        let opening = alignment.opening(old.address()).filter(|opening| {
            !old.end_sequence() && before.is_none_or(|before| before < opening.old)
        });
        let moved = match opening {
            // What is between the start and the first instruction belongs to no instruction.
            Some(opening) if opening.new.is_empty() => {
                new.address() == opening.new_start || alignment.agrees(old.address(), new.address())
            }
            Some(opening) => new.address() == opening.new_start,
            None => alignment.agrees(old.address(), new.address()),
        };
        report.counts.openings += usize::from(opening.is_some());
        let right = says(&old) == says(&new) && moved;
        report.check(right, || format!("row {old:x?} became {new:x?}"));
        before = Some(old.address()).filter(|_| !old.end_sequence());
        // Between a function's start and its first instruction there is nothing to find.
        if let Some(expected) = expected.filter(|_| !old.end_sequence()) {
            all.push((old.address(), expected));
        }
    }
}

struct Pair<'p, 'a> {
    old: &'p Dwarf<Slice<'a>>,
    new: &'p Dwarf<Slice<'a>>,
    old_unit: &'p Unit<Slice<'a>>,
    new_unit: &'p Unit<Slice<'a>>,
}

impl<'a> Pair<'_, 'a> {
    fn entries(&self, alignment: &Alignment, report: &mut Report) {
        let (mut old, mut new) = (self.old_unit.entries(), self.new_unit.entries());
        loop {
            let (old, new) = (old.next_dfs().expect("an entry"), new.next_dfs().expect("an entry"));
            let (Some(old), Some(new)) = (old, new) else {
                return report.check(old.is_none() && new.is_none(), || "entries".to_owned());
            };
            report.counts.entries += 1;
            let same = old.tag() == new.tag()
                && old.depth() == new.depth()
                && old.offset() == new.offset()
                && old.attrs().len() == new.attrs().len();
            report.check(same, || format!("entry {:x?} is another", old.offset()));
            let lows = (
                old.attr_value(dw::DW_AT_low_pc)
                    .and_then(|low| address(self.old, self.old_unit, low)),
                new.attr_value(dw::DW_AT_low_pc)
                    .and_then(|low| address(self.new, self.new_unit, low)),
            );
            for (old_attr, new_attr) in old.attrs().iter().zip(new.attrs()) {
                let name = old_attr.name();
                let values = (plain(old_attr), plain(new_attr));
                let right = name == new_attr.name()
                    && self.value(name, values, lows, alignment, &mut report.counts);
                report.check(right, || {
                    let unit = self.old_unit.header.offset();
                    format!("{unit:x?} {:x?} {name}: {values:x?} {lows:x?}", old.offset())
                });
            }
        }
    }

    fn value(
        &self,
        name: gimli::DwAt,
        values: (AttributeValue<Slice<'a>>, AttributeValue<Slice<'a>>),
        lows: (Option<u64>, Option<u64>),
        alignment: &Alignment,
        counts: &mut Counts,
    ) -> bool {
        use AttributeValue as Value;
        match values {
            (Value::Addr(_) | Value::DebugAddrIndex(_), _) => {
                let old = address(self.old, self.old_unit, values.0);
                let new = address(self.new, self.new_unit, values.1);
                counts.addresses += 1;
                old.zip(new).is_some_and(|(old, new)| alignment.agrees(old, new))
            }
            (Value::Udata(old), Value::Udata(new))
                if matches!(name, dw::DW_AT_high_pc | dw::DW_AT_entry_pc) =>
            {
                counts.lengths += 1;
                match lows {
                    (Some(low), _) if low >= u64::from(u32::MAX - 1) => old == new,
                    (Some(old_low), Some(new_low)) => {
                        alignment.agrees(old_low + old, new_low + new)
                    }
                    _ => false,
                }
            }
            (Value::RangeListsRef(_) | Value::DebugRngListsIndex(_), _) => {
                let ranges = |dwarf: &Dwarf<Slice<'a>>, unit: &Unit<Slice<'a>>, value| {
                    let mut ranges = dwarf.attr_ranges(unit, value).expect("ranges")?;
                    let mut all = Vec::new();
                    while let Some(range) = ranges.next().expect("a range") {
                        all.push((range.begin, range.end));
                    }
                    Some(all)
                };
                let old = ranges(self.old, self.old_unit, values.0).expect("ranges");
                let new = ranges(self.new, self.new_unit, values.1).expect("ranges");
                counts.ranges += old.len();
                old.len() == new.len()
                    && old.iter().zip(&new).all(|(old, new)| {
                        alignment.agrees(old.0, new.0) && alignment.agrees(old.1, new.1)
                    })
            }
            (Value::LocationListsRef(_) | Value::DebugLocListsIndex(_), _) => {
                let locations = |dwarf: &Dwarf<Slice<'a>>, unit: &Unit<Slice<'a>>, value| {
                    let mut locations = dwarf.attr_locations(unit, value).expect("locations")?;
                    let mut all = Vec::new();
                    while let Some(location) = locations.next().expect("a location") {
                        all.push((location.range.begin, location.range.end, location.data));
                    }
                    Some(all)
                };
                let old = locations(self.old, self.old_unit, values.0).expect("locations");
                let new = locations(self.new, self.new_unit, values.1).expect("locations");
                counts.locations += old.len();
                old.len() == new.len()
                    && old.iter().zip(&new).all(|(old, new)| {
                        alignment.agrees(old.0, new.0)
                            && alignment.agrees(old.1, new.1)
                            && old.2 == new.2
                    })
            }
            (Value::DebugLineRef(_), Value::DebugLineRef(_)) => true, // `lines` compares
            (Value::DebugRngListsBase(_), Value::DebugRngListsBase(_)) => true,
            (Value::DebugLocListsBase(_), Value::DebugLocListsBase(_)) => true,
            (old, new) => old == new,
        }
    }
}

/// The value of an attribute; one that may be a distance is one integer, whatever its size.
fn plain<'a>(attribute: &gimli::Attribute<Slice<'a>>) -> AttributeValue<Slice<'a>> {
    match (attribute.name(), attribute.udata_value()) {
        (dw::DW_AT_entry_pc, Some(distance)) => AttributeValue::Udata(distance),
        _ => attribute.value(),
    }
}

/// The address that an attribute gives, directly or by its index.
fn address(
    dwarf: &Dwarf<Slice<'_>>,
    unit: &Unit<Slice<'_>>,
    value: AttributeValue<Slice<'_>>,
) -> Option<u64> {
    match value {
        AttributeValue::Addr(address) => Some(address),
        AttributeValue::DebugAddrIndex(index) => dwarf.address(unit, index).ok(),
        _ => None,
    }
}

/// Whether what `.debug_macro` says of line programs is what the units say.
fn macros(wasm: &[u8], dwarf: &Dwarf<Slice<'_>>, report: &mut Report) {
    let sections = sections(wasm);
    let Some((_, section)) = sections.iter().find(|(name, _)| *name == ".debug_macro") else {
        return;
    };
    for unit in units(dwarf) {
        let mut entries = unit.entries();
        let root = entries.next_dfs().expect("an entry").expect("an entry");
        let at = match root.attr_value(dw::DW_AT_macros) {
            Some(AttributeValue::DebugMacroRef(offset)) => offset.0,
            _ => continue,
        };
        let program = unit.line_program.as_ref().expect("a program").header().offset().0;
        let says = u32::from_le_bytes(section[at + 3..at + 7].try_into().expect("4 bytes"));
        report.counts.macros += 1;
        report.check(says as usize == program, || format!("macros at {at:#x} say {says:#x}"));
    }
}

fn aranges(
    old: &Dwarf<Slice<'_>>,
    new: &Dwarf<Slice<'_>>,
    alignment: &Alignment,
    report: &mut Report,
) {
    let all = |dwarf: &Dwarf<Slice<'_>>| {
        let mut all = Vec::new();
        let mut headers = dwarf.debug_aranges.headers();
        while let Some(header) = headers.next().expect("a header") {
            let mut entries = header.entries();
            while let Some(entry) = entries.next().expect("an entry") {
                all.push((header.debug_info_offset(), entry.address(), entry.range().end));
            }
        }
        all
    };
    let (old, new) = (all(old), all(new));
    report.check(old.len() == new.len(), || "entries of .debug_aranges are missing".to_owned());
    report.counts.aranges = old.len();
    for (old, new) in old.iter().zip(&new) {
        let right =
            old.0 == new.0 && alignment.agrees(old.1, new.1) && alignment.agrees(old.2, new.2);
        report.check(right, || format!("arange {old:x?} became {new:x?}"));
    }
}

/// A function, a file and a line.
type Frame = (Option<String>, Option<String>, Option<u32>);

/// The functions, files and lines that an address resolves to, innermost first.
fn frames(context: &Context<Slice<'_>>, address: u64) -> Vec<Frame> {
    let mut all = Vec::new();
    let mut frames = context.find_frames(address).skip_all_loads().expect("frames");
    while let Some(frame) = frames.next().expect("a frame") {
        let function = frame.function.and_then(|f| f.raw_name().ok().map(Cow::into_owned));
        let (file, line) = frame.location.map_or((None, None), |l| (l.file, l.line));
        all.push((function, file.map(str::to_owned), line));
    }
    all
}

fn lookups(
    old: Dwarf<Slice<'_>>,
    new: Dwarf<Slice<'_>>,
    alignment: &Alignment,
    rows: &[(u64, u64)],
    disputed: &[Range<u64>],
    stride: usize,
    report: &mut Report,
) {
    let old = Context::from_dwarf(old).expect("a context");
    let new = Context::from_dwarf(new).expect("a context");
    let is_disputed = |at| disputed.iter().any(|function| function.contains(&at));
    for &(at, to) in rows.iter().step_by(stride) {
        if is_disputed(at) {
            report.counts.disputed += 1;
            continue;
        }
        let frames = (frames(&old, at), frames(&new, to));
        report.counts.lookups += 1;
        report.check(frames.0 == frames.1, || format!("{at:#x} → {to:#x}: {frames:?}"));
    }
    let mut starts: Vec<u64> = rows.iter().map(|row| row.0).collect();
    starts.sort_unstable();
    for prologue in alignment.prologues.iter().step_by(stride) {
        let old_at = [prologue.old, prologue.old_code];
        let Some(old_at) = old_at.into_iter().find(|at| starts.binary_search(at).is_ok()) else {
            continue;
        };
        if is_disputed(old_at) {
            continue;
        }
        report.counts.prologues += 1;
        let opening = frames(&old, old_at);
        // What is inlined into the first instruction is not the hooks' matter.
        let place = |frames: &[Frame]| match old_at == prologue.old {
            true => frames.to_vec(),
            false => {
                let last = frames.last().map(|last| last.0.clone());
                let first = frames.first().map(|first| (None, first.1.clone(), first.2));
                first.into_iter().chain(last.map(|last| (last, None, None))).collect()
            }
        };
        for &at in &prologue.new {
            let frames = frames(&new, at);
            report.check(place(&frames) == place(&opening), || {
                format!("hook at {at:#x} of {:#x}: {frames:?}, not {opening:?}", prologue.old)
            });
        }
    }
}
