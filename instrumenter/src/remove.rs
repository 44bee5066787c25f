//! Taking hooks out again: `rewrite`, backwards.
//!
//! The function map says which functions have hooks, and where what came with them begins.
//! What hooks look like, the code that writes them says: those of each function are written
//! once more, and what is in the module has to be the same, byte for byte. So a module that
//! something else has changed since is refused, and never taken apart wrongly.
//!
//! - `found` finds what was added, and knows what each index was.
//! - `body` takes the hooks out of one function body.
//!
//! What cannot come back is told by nothing in the instrumented module, and no engine tells it
//! either: where the body was wrapped, an `i32` local declared in a group of its own or with others,
//! and a `br` to the end of the function or a `return`; and integers in more bytes than they need
//! where the hooks gave them more. The shorter form is written. Line programs may become longer,
//! by some hundred bytes in ten million, since an advance of the address can be said in several
//! ways.

mod body;
mod found;

use std::ops::Range;

use observe_abi::hooks;
use observe_abi::map::{self, FunctionMap};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{Encode, Section as _, SectionId};
use wasmparser::{
    BinaryReader, ExternalKind, FromReader, Imports, SectionLimited, Validator, WasmFeatures,
};

use self::body::Notes;
use self::found::Found;
use crate::body::{CellPlace, Segments};
use crate::change::Change;
use crate::companion::Companions;
use crate::custom::{self, CustomSections};
use crate::dwarf::{self, CodeMap};
use crate::parse::{Module, Section, check_hooks_version, is_dylibso};
use crate::section::{Custom, write_raw};
use crate::source_map::Moved;
use crate::{Error, Warning, leb};

/// A module without its hooks.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The bytes of the module.
    pub wasm: Vec<u8>,
    /// What did not survive.
    pub warnings: Vec<Warning>,
    /// How many functions of the module had hooks.
    pub functions: usize,
    /// How many imported functions had hooks at their calls.
    pub imports: usize,
}

/// Takes the hooks out of an instrumented module.
///
/// The result does what the module did before it was instrumented, and is no larger, line
/// programs of debug information apart. Names, branch hints and debug information follow the
/// code, as they do when a module is instrumented. Time and memory are linear in the size of the
/// module.
///
/// # Errors
///
/// - [`Error::NotInstrumented`], where there is nothing to take out;
/// - [`Error::NoMap`], where nothing says where the hooks are;
/// - [`Error::HooksVersion`], where the hooks are of another version;
/// - [`Error::Map`], where what says so is of another version, or damaged;
/// - [`Error::Changed`], where something else has changed the module since;
/// - and what else can be wrong with the bytes, as for [`Module::parse`].
pub fn remove(wasm: &[u8]) -> Result<Restored, Error> {
    let module = Module::read(wasm, |_, _| Ok(()))?;
    module.imports.iter().try_for_each(|import| check_hooks_version(import.module))?;
    let section = module.custom(map::SECTION).ok_or_else(|| without_map(&module))?;
    // As many as `read_function_map` takes.
    let map = FunctionMap::decode(section, wasm.len().saturating_mul(64))?;
    let imports = map.functions.partition_point(|function| function.index < map.imports);
    let functions = map.functions.len() - imports;
    let found = Found::new(&module, map)?;
    let (wasm, warnings) = Remover { found }.write()?;
    // References to what is gone are in nothing that was valid before.
    let valid = Validator::new_with_features(WasmFeatures::all()).validate_all(&wasm);
    valid.map_err(|error| changed(format!("what is left is not valid ({})", error.message())))?;
    Ok(Restored { wasm, warnings, functions, imports })
}

/// Why there is nothing to go by.
fn without_map(module: &Module<'_>) -> Error {
    let mut imports = module.imports.iter();
    if imports.clone().any(|import| is_dylibso(import.module, import.name)) {
        Error::NoMap { hooks: "hooks of observe-sdk" }
    } else if imports.any(|import| import.module.starts_with(hooks::MODULE_PREFIX)) {
        Error::NoMap { hooks: "hooks" }
    } else {
        Error::NotInstrumented
    }
}

fn changed(what: impl Into<String>) -> Error {
    Error::Changed { what: what.into() }
}

/// Writes the module without its hooks.
struct Remover<'m, 'a> {
    found: Found<'m, 'a>,
}

/// Gives functions the indices that they had, wherever `wasm-encoder` finds one.
struct Back<'f, 'm, 'a>(&'f Found<'m, 'a>);

impl Reencode for Back<'_, '_, '_> {
    type Error = Error;

    fn function_index(&mut self, index: u32) -> Result<u32, reencode::Error<Error>> {
        self.0.referred(index).map_err(reencode::Error::UserError)
    }
}

impl Remover<'_, '_> {
    fn write(&self) -> Result<(Vec<u8>, Vec<Warning>), Error> {
        let module = self.found.module;
        let mut out = Vec::with_capacity(module.bytes.len());
        out.extend_from_slice(&module.bytes[..8]);
        let mut custom_sections = CustomSections::new(self, Companions::default());
        let dwarf = dwarf::Sections::new(module.sections.iter().filter_map(|s| s.custom));
        let mut code_map = None;
        // What tells of the code and comes before it has to wait for it.
        let mut waiting = Vec::new();
        for section in &module.sections {
            if let Some((name, contents)) = section.custom {
                if custom::awaits_code(name) && code_map.is_none() {
                    waiting.push((name, contents));
                } else if name == custom::PRODUCERS {
                    if let Some(contents) = custom::without_us(contents) {
                        Custom::new(name, contents).append_to(&mut out);
                    }
                } else if name != map::SECTION {
                    custom_sections.carry_over(&mut out, name, contents)?;
                }
            } else if section.id == SectionId::Code as u8 {
                let map = code_map.insert(CodeMap::new());
                let wanted = !dwarf.is_empty() || custom_sections.follow_code();
                let new = self.write_code(&mut out, wanted.then_some(&mut *map))?;
                let old = module.code.clone();
                custom_sections.rewrite_debug_info(&dwarf, &Moved { map, old, new });
            } else {
                self.write_section(&mut out, section)?;
            }
        }
        for (name, contents) in waiting {
            custom_sections.carry_over(&mut out, name, contents)?;
        }
        let done = custom_sections.finish(out)?;
        Ok((done.wasm, done.warnings))
    }

    /// Writes a section without what was added; where nothing else was in it, there was none.
    fn write_section(&self, out: &mut Vec<u8>, section: &Section<'_>) -> Result<(), Error> {
        let found = &self.found;
        let contents = found.module.contents(section);
        let reader = || BinaryReader::new(contents, 0);
        let mut back = Back(found);
        match section.id {
            id if id == SectionId::Type as u8 => {
                let groups = wasmparser::TypeSectionReader::new(reader())?;
                let (mut types, mut keep) = (0, 0);
                for group in groups.clone() {
                    // There are groups without types, too.
                    let with_group = types + group?.types().len() as u32;
                    if with_group > found.types {
                        break;
                    }
                    types = with_group;
                    keep += 1;
                }
                if types != found.types {
                    return Err(changed("its types are not as they were written"));
                }
                write_first(out, id, contents, groups, keep)?;
            }
            id if id == SectionId::Import as u8 => {
                let imports = wasmparser::ImportSectionReader::new(reader())?;
                let keep = imports.count().checked_sub(found.imported);
                let keep =
                    keep.ok_or_else(|| changed("its imports are not as they were written"))?;
                for import in imports.clone().into_iter().skip(keep as usize) {
                    match import? {
                        Imports::Single(_, import) if import.module == hooks::MODULE => {}
                        _ => return Err(changed("its last imports are not those of hooks")),
                    }
                }
                write_first(out, id, contents, imports, keep)?;
            }
            id if id == SectionId::Function as u8 => {
                let functions = wasmparser::FunctionSectionReader::new(reader())?;
                write_first(out, id, contents, functions, found.map.defined)?;
            }
            id if id == SectionId::Memory as u8 => {
                let memories = wasmparser::MemorySectionReader::new(reader())?;
                let cells = u32::from(matches!(
                    found.hooks.cells,
                    CellPlace::Memory(_) | CellPlace::Outlined(_)
                ));
                let keep = memories.count().checked_sub(cells);
                let keep = keep.ok_or_else(|| changed("the memory of its cells is not there"))?;
                write_first(out, id, contents, memories, keep)?;
            }
            id if id == SectionId::Global as u8 => {
                let section = wasmparser::GlobalSectionReader::new(reader())?;
                let cells = found.global_cells();
                let keep = section.count().checked_sub(cells);
                let keep = keep.ok_or_else(|| changed("the globals of its cells are not there"))?;
                let mut globals = wasm_encoder::GlobalSection::new();
                for global in section.into_iter().take(keep as usize) {
                    back.parse_global(&mut globals, global?)?;
                }
                if cells == 0 || keep > 0 {
                    globals.append_to(out);
                }
            }
            id if id == SectionId::Export as u8 => self.write_exports(out, contents)?,
            id if id == SectionId::Table as u8 => {
                let mut tables = wasm_encoder::TableSection::new();
                let section = wasmparser::TableSectionReader::new(reader())?;
                back.parse_table_section(&mut tables, section)?;
                tables.append_to(out);
            }
            id if id == SectionId::Element as u8 => {
                let mut elements = wasm_encoder::ElementSection::new();
                let section = wasmparser::ElementSectionReader::new(reader())?;
                back.parse_element_section(&mut elements, section)?;
                elements.append_to(out);
            }
            id if id == SectionId::Start as u8 => {
                let function_index = found.referred(leb::split(contents)?.0)?;
                wasm_encoder::StartSection { function_index }.append_to(out);
            }
            id => write_raw(out, id, contents),
        }
        Ok(())
    }

    /// Writes the exports but for those that lead to cells.
    fn write_exports(&self, out: &mut Vec<u8>, contents: &[u8]) -> Result<(), Error> {
        let found = &self.found;
        let section = wasmparser::ExportSectionReader::new(BinaryReader::new(contents, 0))?;
        let mut back = Back(found);
        let mut exports = wasm_encoder::ExportSection::new();
        let before = section.count();
        for export in section {
            let export = export?;
            if !export.name.starts_with(hooks::CELLS_MEMORY) {
                back.parse_export(&mut exports, export)?;
                continue;
            }
            let is_ours = match (export.kind, found.hooks.cells) {
                (ExternalKind::Memory, CellPlace::Memory(memory) | CellPlace::Outlined(memory)) => {
                    export.index == memory
                }
                (ExternalKind::Func, CellPlace::Globals(_)) => export.index >= found.first_added(),
                _ => false,
            };
            if !is_ours {
                let name = export.name;
                return Err(changed(format!("the export `{name:.100}` is not of its cells")));
            }
        }
        if before == 0 || !exports.is_empty() {
            exports.append_to(out);
        }
        Ok(())
    }

    /// Writes the code, and says where the contents of its section are; `map`, if given,
    /// learns where each body went.
    fn write_code(
        &self,
        out: &mut Vec<u8>,
        mut map: Option<&mut CodeMap>,
    ) -> Result<Range<usize>, Error> {
        let module = self.found.module;
        let count = self.found.map.defined;
        let mut contents = Vec::with_capacity(module.code.len());
        count.encode(&mut contents);
        if let Some(map) = map.as_deref_mut() {
            let old = &module.bytes[module.code.clone()];
            let (_, bodies) = leb::split(old)?;
            map.push((old.len() - bodies.len()) as u32, contents.len() as u32);
        }
        let mut body = Vec::new();
        for (place, function) in module.functions.iter().take(count as usize).enumerate() {
            body.clear();
            let mut notes = map.is_some().then(Notes::default);
            self.found.write_body(&mut body, place, notes.as_mut())?;
            body.encode(&mut contents);
            if let (Some(map), Some(notes)) = (map.as_deref_mut(), notes) {
                let old = function.body.offset.saturating_sub(module.code.start) as u32;
                let new = (contents.len() - body.len()) as u32;
                let lens = (function.body.bytes.len(), body.len());
                map.push_body((old, lens.0), (new, lens.1), &notes.segments);
            }
        }
        if let Some(map) = map {
            map.finish(module.code.len(), contents.len());
        }
        // Without functions there was no such section, but for the functions of ours.
        if count == 0 {
            return Ok(out.len()..out.len());
        }
        write_raw(out, SectionId::Code as u8, &contents);
        Ok(out.len() - contents.len()..out.len())
    }
}

/// Writes the first items of a section with these contents; no section, where others were the
/// only ones.
fn write_first<'a, T: FromReader<'a>>(
    out: &mut Vec<u8>,
    id: u8,
    contents: &[u8],
    section: SectionLimited<'a, T>,
    keep: u32,
) -> Result<(), Error> {
    if keep == section.count() {
        write_raw(out, id, contents);
        return Ok(());
    }
    let mut items = section.into_iter();
    let start = items.original_position();
    for _ in 0..keep {
        items.next().ok_or_else(|| changed("a section is too short"))??;
    }
    if keep > 0 {
        let mut kept = Vec::with_capacity(contents.len());
        keep.encode(&mut kept);
        kept.extend_from_slice(&contents[start..items.original_position()]);
        write_raw(out, id, &kept);
    }
    Ok(())
}

impl Change for Remover<'_, '_> {
    fn module(&self) -> &Module<'_> {
        self.found.module
    }

    fn function(&self, index: u32) -> Option<u32> {
        self.found.itself(index)
    }

    fn added_names(&self) -> Vec<(u32, String)> {
        Vec::new()
    }

    fn labels(&self, function: u32) -> Box<dyn Fn(u32) -> Option<u32> + '_> {
        let mut notes = Notes::default();
        let place = self.found.place(function);
        // What cannot be written is said when it is.
        let written = place.map(|at| self.found.write_body(&mut Vec::new(), at, Some(&mut notes)));
        if !matches!(written, Some(Ok(()))) {
            return Box::new(|_| None);
        }
        let Notes { labels, .. } = notes;
        Box::new(move |label| {
            let before = labels.partition_point(|&ours| ours < label);
            (labels.get(before) != Some(&label)).then(|| label - before as u32)
        })
    }

    fn segments(&self, function: u32) -> Result<Option<Segments>, Error> {
        let Some(place) = self.found.place(function) else { return Ok(None) };
        let mut notes = Notes::default();
        self.found.write_body(&mut Vec::new(), place, Some(&mut notes))?;
        Ok(Some(notes.segments))
    }
}
