//! Rewriting, last part: the module, section by section.
//!
//! Sections that name no function are copied. Imports are appended to the
//! imports, and types, functions, memories, globals and exports to theirs, so
//! that nothing but the indices of defined functions changes.

use std::ops::Range;

use observe_abi::{dylibso, hooks, map};
use wasm_encoder::reencode::Reencode;
use wasm_encoder::{
    ConstExpr, Encode, EntityType, ExportKind, GlobalType, ImportSection, MemoryType, Section as _,
    SectionId, ValType,
};
use wasmparser::BinaryReader;

use crate::body::CellPlace;
use crate::companion::Companions;
use crate::custom::{self, CustomSections};
use crate::dwarf::{self, CodeMap};
use crate::layout::{Layout, Shift};
use crate::parse::{Module, Section};
use crate::plan::{Abi, MAX_BODY, MAX_MODULE, Plan};
use crate::section::{Custom, append_items, items, write_raw};
use crate::source_map::Moved;
use crate::{Error, Warning, leb};

/// An instrumented module.
#[derive(Clone, Debug)]
pub struct Instrumented {
    /// The bytes of the module.
    pub wasm: Vec<u8>,
    /// What did not survive.
    pub warnings: Vec<Warning>,
    /// The source map that was given, for the new code; `None` where none was given or a
    /// warning says why it is not there, or where no function got hooks, since it is
    /// right as it is.
    pub source_map: Option<Vec<u8>>,
    /// The module with debug information that was given, likewise.
    pub debug_info: Option<Vec<u8>>,
}

impl Plan {
    /// Carries the plan out on the module that it was made for, without regard for files
    /// beside it: see [`apply_with`](Self::apply_with).
    ///
    /// # Errors
    ///
    /// As for [`apply_with`](Self::apply_with).
    pub fn apply(&self, module: &Module<'_>) -> Result<Instrumented, Error> {
        self.apply_with(module, Companions::default())
    }

    /// Carries the plan out on the module that it was made for, and rewrites the files
    /// beside it that are given.
    ///
    /// A plan that hooks nothing gives the same bytes back. The same module and
    /// plan give the same bytes each time.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`], where the module refers to what it does not have; [`Error::Limit`],
    /// where it is longer, or would have more of something, than engines accept; and
    /// [`Error::Plan`], where the plan is not one for this module.
    pub fn apply_with(
        &self,
        module: &Module<'_>,
        companions: Companions<'_>,
    ) -> Result<Instrumented, Error> {
        if self.is_empty() {
            let wasm = module.bytes.to_vec();
            let warnings = Vec::new();
            return Ok(Instrumented { wasm, warnings, source_map: None, debug_info: None });
        }
        if module.bytes.len() > MAX_MODULE {
            return Err(Error::Limit("it is longer than engines accept"));
        }
        Rewriter { layout: Layout::new(module, self)? }.rewrite(companions)
    }
}

/// The order of sections ([WebAssembly specification, 5.5.2](https://webassembly.github.io/spec/core/binary/modules.html#sections)),
/// as far as one may have to be added.
const ORDER: [SectionId; 13] = [
    SectionId::Type,
    SectionId::Import,
    SectionId::Function,
    SectionId::Table,
    SectionId::Memory,
    SectionId::Tag,
    SectionId::Global,
    SectionId::Export,
    SectionId::Start,
    SectionId::Element,
    SectionId::DataCount,
    SectionId::Code,
    SectionId::Data,
];

/// How often each number of observe-sdk's version is written, one global behind the other.
///
/// Hosts take the index of an exported global for its place among those that the module
/// defines, and look as many globals too far as it imports.
pub(crate) fn version_copies(module: &Module<'_>) -> u32 {
    module.imported_globals.saturating_add(1)
}

/// Writes the instrumented module.
struct Rewriter<'m, 'a> {
    layout: Layout<'m, 'a>,
}

impl Rewriter<'_, '_> {
    fn rewrite(&self, companions: Companions<'_>) -> Result<Instrumented, Error> {
        let module = self.layout.module;
        let mut out = Vec::with_capacity(module.bytes.len() + module.bytes.len() / 16);
        out.extend_from_slice(&module.bytes[..8]);
        // Which of ORDER have been written or passed.
        let mut passed = 0;
        let named =
            |wanted| module.sections.iter().any(|s| s.custom.is_some_and(|c| c.0 == wanted));
        let mut producers = named(custom::PRODUCERS);
        // Hosts of observe-sdk refuse a module without.
        let mut names = self.layout.plan.abi == Abi::Observe || named(custom::NAMES);
        let mut custom_sections = CustomSections::new(&self.layout, companions);
        let dwarf = dwarf::Sections::new(module.sections.iter().filter_map(|s| s.custom));
        let mut code_map = None;
        // What tells of the code and comes before it has to wait for it.
        let mut waiting = Vec::new();
        for section in &module.sections {
            if let Some(at) = ORDER.iter().position(|&id| id as u8 == section.id) {
                for id in &ORDER[passed..at] {
                    self.write_missing(&mut out, *id)?;
                }
                if ORDER[at] == SectionId::Code {
                    let map = code_map.insert(CodeMap::new());
                    let wanted = !dwarf.is_empty() || custom_sections.follow_code();
                    let new = self.write_code(&mut out, wanted.then_some(&mut *map))?;
                    let old = module.code.clone();
                    custom_sections.rewrite_debug_info(&dwarf, &Moved { map, old, new });
                } else {
                    self.write_section(&mut out, ORDER[at], Some(section))?;
                }
                passed = at + 1;
            } else if let Some((name, contents)) = section.custom {
                if custom::awaits_code(name) && code_map.is_none() {
                    waiting.push((name, contents));
                    continue;
                }
                // LLVM's tools read no module that has these three the other way round.
                if !names && matches!(name, custom::PRODUCERS | custom::TARGET_FEATURES) {
                    custom_sections.carry_over(&mut out, custom::NAMES, &[])?;
                    names = true;
                }
                if name == custom::TARGET_FEATURES && !producers {
                    custom::own_producers().append_to(&mut out);
                    producers = true;
                }
                custom_sections.carry_over(&mut out, name, contents)?;
            } else {
                write_raw(&mut out, section.id, module.contents(section));
            }
        }
        for id in &ORDER[passed..] {
            self.write_missing(&mut out, *id)?;
        }
        for (name, contents) in waiting {
            custom_sections.carry_over(&mut out, name, contents)?;
        }
        if !names {
            custom_sections.carry_over(&mut out, custom::NAMES, &[])?;
        }
        if let Abi::Observe = self.layout.plan.abi {
            let map = self.layout.plan.function_map(module).encode();
            Custom::new(map::SECTION, map).append_to(&mut out);
        }
        if !producers {
            custom::own_producers().append_to(&mut out);
        }
        custom_sections.finish(out)
    }

    /// Writes a section that was not there, if there is something to put in it.
    fn write_missing(&self, out: &mut Vec<u8>, id: SectionId) -> Result<(), Error> {
        match id {
            SectionId::Code if self.layout.added.is_empty() => Ok(()),
            SectionId::Code => self.write_code(out, None).map(drop),
            _ => self.write_section(out, id, None),
        }
    }

    /// Writes a section that was there, or, where `section` is `None`, one that
    /// was not, if there is something to put in it.
    fn write_section(
        &self,
        out: &mut Vec<u8>,
        id: SectionId,
        section: Option<&Section<'_>>,
    ) -> Result<(), Error> {
        let range = section.map_or(0..0, |section| section.range.clone());
        let contents = &self.layout.module.bytes[range.clone()];
        let reader = || BinaryReader::new(contents, range.start);
        let mut shift = Shift(&self.layout.renumber);
        match (id, section) {
            (SectionId::Type, _) => {
                let (added, count) = self.layout.types.encode();
                append_items(out, id, contents, count, &added)?;
            }
            (SectionId::Import, _) => {
                let mut added = ImportSection::new();
                for hook in &self.layout.imports {
                    added.import(hook.module, hook.name, EntityType::Function(hook.ty));
                }
                append_items(out, id, contents, added.len(), &items(&added))?;
            }
            (SectionId::Function, _) => {
                let mut added = Vec::new();
                self.layout.added.iter().for_each(|function| function.ty.encode(&mut added));
                append_items(out, id, contents, self.layout.added.len() as u32, &added)?;
            }
            (SectionId::Memory, _) => {
                let mut added = Vec::new();
                let mut count = 0;
                if let CellPlace::Memory(_) | CellPlace::Outlined(_) = self.layout.hooks.cells {
                    let pages = (self.layout.plan.hooks().count() as u64 * 4).div_ceil(1 << 16);
                    let ty = MemoryType {
                        minimum: pages,
                        maximum: Some(pages),
                        memory64: false,
                        shared: false,
                        page_size_log2: None,
                    };
                    ty.encode(&mut added);
                    count = 1;
                }
                append_items(out, id, contents, count, &added)?;
            }
            (SectionId::Global, _) => {
                let mut globals = wasm_encoder::GlobalSection::new();
                if section.is_some() {
                    let section = wasmparser::GlobalSectionReader::new(reader())?;
                    shift.parse_global_section(&mut globals, section)?;
                }
                if let CellPlace::Globals(_) = self.layout.hooks.cells {
                    let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
                    for _ in self.layout.plan.hooks() {
                        globals.global(ty, &ConstExpr::i32_const(0));
                    }
                }
                if let Abi::Dylibso = self.layout.plan.abi {
                    let ty = GlobalType { val_type: ValType::I32, mutable: false, shared: false };
                    for (_, version) in dylibso::VERSION {
                        for _ in 0..version_copies(self.layout.module) {
                            globals.global(ty, &ConstExpr::i32_const(version));
                        }
                    }
                }
                if !globals.is_empty() {
                    globals.append_to(out);
                }
            }
            (SectionId::Export, _) => {
                let mut exports = wasm_encoder::ExportSection::new();
                if section.is_some() {
                    let section = wasmparser::ExportSectionReader::new(reader())?;
                    shift.parse_export_section(&mut exports, section)?;
                }
                if let CellPlace::Memory(memory) | CellPlace::Outlined(memory) =
                    self.layout.hooks.cells
                {
                    exports.export(hooks::CELLS_MEMORY, ExportKind::Memory, memory);
                }
                if let Abi::Dylibso = self.layout.plan.abi {
                    let module = self.layout.module;
                    let indices = (module.globals..).step_by(version_copies(module) as usize);
                    for ((name, _), index) in dylibso::VERSION.iter().zip(indices) {
                        exports.export(name, ExportKind::Global, index);
                    }
                }
                for (index, name) in self.layout.readers() {
                    exports.export(name, ExportKind::Func, index);
                }
                exports.append_to(out);
            }
            (SectionId::Table, Some(_)) => {
                let mut tables = wasm_encoder::TableSection::new();
                let section = wasmparser::TableSectionReader::new(reader())?;
                shift.parse_table_section(&mut tables, section)?;
                tables.append_to(out);
            }
            (SectionId::Element, Some(_)) => {
                let mut elements = wasm_encoder::ElementSection::new();
                let section = wasmparser::ElementSectionReader::new(reader())?;
                shift.parse_element_section(&mut elements, section)?;
                elements.append_to(out);
            }
            (SectionId::Start, Some(_)) => {
                let function_index = self.layout.renumber.function(leb::split(contents)?.0)?;
                wasm_encoder::StartSection { function_index }.append_to(out);
            }
            (_, Some(_)) => write_raw(out, id as u8, contents),
            (_, None) => {}
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
        out.push(SectionId::Code as u8);
        let length = out.len();
        // Filled in when it is known; five bytes hold any.
        out.extend_from_slice(&[0; 5]);
        let start = out.len();
        (self.layout.module.functions.len() + self.layout.added.len()).encode(out);
        let mut body = Vec::new();
        let mut segments = Vec::new();
        let code = self.layout.module.code.clone();
        if let Some(map) = map.as_deref_mut() {
            let contents = &self.layout.module.bytes[code.clone()];
            let (_, bodies) = leb::split(contents)?;
            map.push((contents.len() - bodies.len()) as u32, (out.len() - start) as u32);
        }
        for (function, planned) in
            self.layout.module.functions.iter().zip(&self.layout.plan.functions)
        {
            body.clear();
            let sites = &self.layout.module.sites[function.body.sites.clone()];
            let hooked = self.layout.hooked(function, planned)?;
            segments.clear();
            let noted = map.is_some().then_some(&mut segments);
            let writer = self.layout.body_writer(Some(planned));
            writer.write(&mut body, &function.body, sites, hooked.as_ref(), noted)?;
            if body.len() > MAX_BODY {
                return Err(Error::Limit("a function would be longer than engines accept"));
            }
            body.encode(out);
            if let Some(map) = map.as_deref_mut() {
                let old = function.body.offset.saturating_sub(code.start) as u32;
                let new = (out.len() - body.len() - start) as u32;
                map.push_body((old, function.body.bytes.len()), (new, body.len()), &segments);
            }
        }
        let writer = self.layout.body_writer(None);
        for added in &self.layout.added {
            body.clear();
            added.write(&mut body, &writer)?;
            body.encode(out);
        }
        if let Some(map) = map {
            map.finish(code.len(), out.len() - start);
        }
        let size = u32::try_from(out.len() - start);
        let mut size = size.map_err(|_| Error::Limit("its code would pass 4 GiB"))?;
        for byte in &mut out[length..start - 1] {
            *byte = size as u8 | 0x80;
            size >>= 7;
        }
        out[start - 1] = size as u8;
        Ok(start..out.len())
    }
}
