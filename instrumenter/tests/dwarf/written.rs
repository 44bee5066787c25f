//! Debug information that gimli writes, in the forms that no compiler here does: offsets
//! of 8 bytes, lists of DWARF 5 without their table, lengths in LEB128, call sites.

use std::fmt::Write as _;

use gimli::write::{
    Address, AttributeValue, DwarfUnit, EndianVec, Expression, LineProgram, LineString, Location,
    LocationList, Range, RangeList, Sections,
};
use gimli::{Encoding, Format, LittleEndian, constants as dw};

use crate::align::functions;

/// A module in which many call instructions grow.
pub(crate) fn module() -> Vec<u8> {
    module_with("")
}

/// The same with something more in it.
fn module_with(more: &str) -> Vec<u8> {
    let mut text = format!("(module {more} ");
    for n in 0..140 {
        write!(text, "(func $f{n} (param i32) (result i32) (local i64 f32) ").expect("a string");
        for other in 0..12 + n % 30 {
            let callee = (n + other) % 140;
            write!(text, "local.get 0 call $f{callee} local.set 0 ").expect("a string");
            if other % 5 == 0 {
                write!(text, "local.get 0 if i32.const {n} return end ").expect("a string");
            }
        }
        text += "local.get 0 i32.const 1 i32.add) ";
    }
    text += "(func (export \"run\") nop nop nop nop nop nop nop nop nop))";
    wat::parse_str(&text).expect("a module")
}

/// Adds a custom section to a module.
pub(crate) fn add_section(wasm: &mut Vec<u8>, name: &str, contents: &[u8]) {
    use wasm_encoder::{CustomSection, Encode, Section as _, SectionId};
    let section = CustomSection { name: name.into(), data: contents.into() };
    assert_eq!(section.id(), SectionId::Custom as u8);
    wasm.push(SectionId::Custom as u8);
    section.encode(wasm);
}

/// The module with debug information.
pub(crate) fn write(format: Format, version: u16, address_size: u8) -> Vec<u8> {
    write_with("", format, version, address_size)
}

/// The module with something more in it and debug information.
pub(crate) fn write_with(more: &str, format: Format, version: u16, address_size: u8) -> Vec<u8> {
    let mut wasm = module_with(more);
    for (name, contents) in sections(&wasm, Encoding { format, version, address_size }) {
        add_section(&mut wasm, name, &contents);
    }
    wasm
}

fn sections(wasm: &[u8], encoding: Encoding) -> Vec<(&'static str, Vec<u8>)> {
    let address = Address::Constant;
    let functions = functions(wasm);
    let low = functions[3].0.start;
    let mut dwarf = DwarfUnit::new(encoding);
    let string = |text: &str| LineString::String(text.as_bytes().to_vec());
    let lines = gimli::LineEncoding::default();
    let mut program = LineProgram::new(encoding, lines, string("/src"), None, string("a.c"), None);
    let file = program.add_file(string("a.c"), program.default_directory(), None);
    for (n, (body, operators)) in functions.iter().enumerate() {
        // The later functions share a sequence.
        let shared = functions.len() / 2;
        if n <= shared {
            program.begin_sequence(Some(address(body.start)));
        }
        let base = functions[n.min(shared)].0.start;
        // Some functions have a row for their start, some for their first instruction.
        let start = (n % 3 != 0).then_some(&body.start).into_iter();
        for (line, at) in start.chain(operators.iter().step_by(1 + n % 4)).enumerate() {
            program.row().file = file;
            program.row().address_offset = at - base;
            program.row().line = (n + line * (1 + n % 7) * 3) as u64;
            program.row().column = line as u64 % 5;
            program.generate_row();
        }
        if n < shared || n + 1 == functions.len() {
            program.end_sequence(body.end - base);
        }
    }
    dwarf.unit.line_program = program;
    let root = dwarf.unit.root();
    dwarf.unit.get_mut(root).set(dw::DW_AT_low_pc, AttributeValue::Address(address(low)));
    let last = functions.last().expect("functions").0.end;
    let all = RangeList(vec![
        Range::OffsetPair { begin: 0, end: last - low },
        Range::BaseAddress { address: address(functions[0].0.start) },
        Range::OffsetPair { begin: 0, end: low - functions[0].0.start },
    ]);
    let all = dwarf.unit.ranges.add(all);
    dwarf.unit.get_mut(root).set(dw::DW_AT_ranges, AttributeValue::RangeListRef(all));
    dwarf.unit.get_mut(root).set(dw::DW_AT_name, AttributeValue::String(b"a.c".to_vec()));
    for (n, (body, operators)) in functions.iter().enumerate() {
        let id = dwarf.unit.add(root, dw::DW_TAG_subprogram);
        let len = body.end - body.start;
        let entry = dwarf.unit.get_mut(id);
        let name = format!("f{n}").into_bytes();
        entry.set(dw::DW_AT_name, AttributeValue::String(name));
        // A length may come before the address that it counts from.
        let fits = (128..8192).contains(&len);
        let high = match n % 4 {
            _ if encoding.version < 4 => AttributeValue::Address(address(body.end)),
            0 => AttributeValue::Data4(len as u32),
            1 => AttributeValue::Data8(len),
            2 if fits => AttributeValue::Udata(len),
            _ => AttributeValue::Address(address(body.end)),
        };
        entry.set(dw::DW_AT_high_pc, high);
        entry.set(dw::DW_AT_low_pc, AttributeValue::Address(address(body.start)));
        if encoding.version >= 5 {
            let entry_pc = operators[operators.len() / 2] - body.start;
            entry.set(dw::DW_AT_entry_pc, AttributeValue::Data4(entry_pc as u32));
            entry.set(
                dw::DW_AT_call_return_pc,
                AttributeValue::Address(address(operators[operators.len() - 1])),
            );
        }
        let at = |part: usize| operators[operators.len() * part / 8];
        let data = || Expression::raw(vec![dw::DW_OP_stack_value.0, n as u8]);
        let mut locations = vec![
            Location::BaseAddress { address: address(body.start) },
            Location::OffsetPair {
                begin: at(1) - body.start,
                end: at(3) - body.start,
                data: data(),
            },
            Location::OffsetPair { begin: at(5) - body.start, end: len, data: data() },
        ];
        let mut ranges = vec![
            Range::BaseAddress { address: address(body.start) },
            Range::OffsetPair { begin: at(1) - body.start, end: at(2) - body.start },
        ];
        if encoding.version >= 5 {
            let (begin, end) = (address(at(3)), address(at(6)));
            locations.push(Location::StartEnd { begin, end, data: data() });
            ranges.push(Range::StartEnd { begin, end });
            let length = at(7) - at(2);
            locations.push(Location::StartLength { begin: address(at(2)), length, data: data() });
            ranges.push(Range::StartLength { begin: address(at(2)), length });
            locations.push(Location::DefaultLocation { data: data() });
            // Code that is not there.
            ranges.push(Range::StartLength { begin: address(u32::MAX.into()), length });
        }
        let locations = dwarf.unit.locations.add(LocationList(locations));
        let ranges = dwarf.unit.ranges.add(RangeList(ranges));
        let variable = dwarf.unit.add(id, dw::DW_TAG_variable);
        let location = AttributeValue::LocationListRef(locations);
        dwarf.unit.get_mut(variable).set(dw::DW_AT_location, location);
        let block = dwarf.unit.add(id, dw::DW_TAG_lexical_block);
        dwarf.unit.get_mut(block).set(dw::DW_AT_ranges, AttributeValue::RangeListRef(ranges));
    }
    let mut sections = Sections::new(EndianVec::new(LittleEndian));
    dwarf.write(&mut sections).expect("can be written");
    let mut all = Vec::new();
    let each = |id: gimli::SectionId, data: &EndianVec<LittleEndian>| {
        if !data.slice().is_empty() {
            all.push((id.name(), data.slice().to_vec()));
        }
        Ok::<_, gimli::Error>(())
    };
    sections.for_each(each).expect("nothing fails");
    let ranges = functions.iter().map(|(body, _)| (body.start, body.end - body.start));
    all.push((".debug_aranges", aranges(ranges, encoding)));
    all
}

/// `.debug_aranges`, which gimli does not write.
fn aranges(ranges: impl Iterator<Item = (u64, u64)>, encoding: Encoding) -> Vec<u8> {
    let address_size = usize::from(encoding.address_size);
    let offset_size = usize::from(encoding.format.word_size());
    let mut set = vec![2, 0]; // version
    set.resize(set.len() + offset_size, 0); // the unit
    set.extend([encoding.address_size, 0]);
    let field = encoding.format.initial_length_size() as usize;
    let start = (field + set.len()).next_multiple_of(2 * address_size);
    set.resize(start - field, 0);
    for (address, len) in ranges.chain([(0, 0)]) {
        set.extend(&address.to_le_bytes()[..address_size]);
        set.extend(&len.to_le_bytes()[..address_size]);
    }
    let mut section = vec![0xff; field - offset_size];
    section.extend(&set.len().to_le_bytes()[..offset_size]);
    section.extend(set);
    section
}
