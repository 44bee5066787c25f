//! Rewriting, second part: the sections.
//!
//! Sections that name no function are copied. Imports are appended to the
//! imports, and types, functions, memories, globals and exports to theirs, so
//! that nothing but the indices of defined functions changes.

use std::collections::HashMap;

use observe_abi::{hooks, map};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{
    BlockType, ConstExpr, Encode, EntityType, ExportKind, FuncType, GlobalType, ImportSection,
    InstructionSink, MemoryType, Section as _, SectionId, TypeSection, ValType,
};
use wasmparser::BinaryReader;

use crate::body::{BodyWriter, CellPlace, Hooked, Hooks, Renumber};
use crate::custom::{self, Custom};
use crate::parse::{Function, Module, Section};
use crate::plan::{Decision, Plan};
use crate::{Error, Warning, leb};

/// An instrumented module.
#[derive(Clone, Debug)]
pub struct Instrumented {
    /// The bytes of the module.
    pub wasm: Vec<u8>,
    /// What did not survive.
    pub warnings: Vec<Warning>,
}

impl Plan {
    /// Carries the plan out on the module that it was made for.
    ///
    /// A plan that hooks nothing gives the same bytes back. The same module and
    /// plan give the same bytes each time.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`], where the module refers to what it does not have.
    pub fn apply(&self, module: &Module<'_>) -> Result<Instrumented, Error> {
        if self.hooked().next().is_none() {
            return Ok(Instrumented { wasm: module.bytes.to_vec(), warnings: Vec::new() });
        }
        Rewriter::new(module, self)?.rewrite()
    }
}

/// The order of sections ([WebAssembly specification, 5.5.2](https://webassembly.github.io/spec/core/binary/modules.html#sections)),
/// as far as one may have to be added.
const ORDER: [SectionId; 12] = [
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
];

pub(crate) struct Rewriter<'m, 'a> {
    pub(crate) module: &'m Module<'a>,
    pub(crate) plan: &'m Plan,
    pub(crate) renumber: Renumber,
    hooks: Hooks,
    /// Types to append, and how many.
    types: TypeSection,
    /// The type index of `() -> results`, for functions of several results.
    blocks: HashMap<Vec<wasmparser::ValType>, u32>,
    /// The type index of each function that reads cells, and how many it reads.
    readers: Vec<(u32, u32)>,
    pub(crate) warnings: Vec<Warning>,
    /// Names of custom sections that are left out.
    pub(crate) dropped: Vec<String>,
}

/// Gives functions their new indices wherever `wasm-encoder` finds one.
struct Shift(Renumber);

impl Reencode for Shift {
    type Error = Error;

    fn function_index(&mut self, index: u32) -> Result<u32, reencode::Error<Error>> {
        self.0.function(index).map_err(reencode::Error::UserError)
    }
}

impl From<reencode::Error<Error>> for Error {
    fn from(error: reencode::Error<Error>) -> Self {
        match error {
            reencode::Error::UserError(error) => error,
            reencode::Error::ParseError(error) => error.into(),
            other => Error::Invalid { message: other.to_string(), offset: 0 },
        }
    }
}

impl<'m, 'a> Rewriter<'m, 'a> {
    fn new(module: &'m Module<'a>, plan: &'m Plan) -> Result<Self, Error> {
        let imports = module.first_defined();
        let hooks = Hooks {
            enter: imports,
            exit: imports + 1,
            cells: match plan.cells {
                map::Cells::Memory => CellPlace::Memory(module.memories),
                map::Cells::Globals => CellPlace::Globals(module.globals),
            },
            exceptions: plan.exceptions,
        };
        let mut rewriter = Rewriter {
            module,
            plan,
            renumber: Renumber { first_defined: imports, added: 2 },
            hooks,
            types: TypeSection::new(),
            blocks: HashMap::new(),
            readers: Vec::new(),
            warnings: Vec::new(),
            dropped: Vec::new(),
        };
        rewriter.add_types()?;
        Ok(rewriter)
    }

    /// The index that the next appended type gets.
    fn next_type(&self) -> u32 {
        self.module.types.len() as u32 + self.types.len()
    }

    fn add_types(&mut self) -> Result<(), Error> {
        // `Hooks` are imported with the first two.
        self.types.ty().function([ValType::I32], [ValType::I32, ValType::I32]);
        self.types.ty().function([ValType::I32], []);
        if let CellPlace::Globals(_) = self.hooks.cells {
            let mut left = self.plan.hooked().count();
            let mut last = None;
            while left > 0 {
                let count = left.min(hooks::CELLS_PER_READER);
                let ty = match last {
                    Some((ty, same)) if same == count => ty,
                    _ => {
                        let ty = self.next_type();
                        self.types.ty().function([], vec![ValType::I32; count]);
                        ty
                    }
                };
                last = Some((ty, count));
                self.readers.push((ty, count as u32));
                left -= count;
            }
        }
        let (module, plan) = (self.module, self.plan);
        for (function, planned) in module.functions.iter().zip(&plan.functions) {
            let Some(ty) = module.function_type(function) else { continue };
            let results = ty.ty.results();
            if results.len() < 2
                || !matches!(planned.decision, Decision::Hook(..))
                || self.blocks.contains_key(results)
            {
                continue;
            }
            let same = |ty: &Option<crate::parse::FunctionType>| {
                ty.as_ref().is_some_and(|ty| {
                    ty.ty.params().is_empty() && ty.ty.results() == results && !ty.shared
                })
            };
            let index = match module.types.iter().position(same) {
                Some(index) => index as u32,
                None => {
                    let index = self.next_type();
                    let mut shift = Shift(self.renumber);
                    let encoded = results.iter().map(|&ty| shift.val_type(ty));
                    let encoded = encoded.collect::<Result<Vec<_>, _>>()?;
                    self.types.ty().func_type(&FuncType::new([], encoded));
                    index
                }
            };
            self.blocks.insert(results.to_vec(), index);
        }
        Ok(())
    }

    fn rewrite(mut self) -> Result<Instrumented, Error> {
        let module = self.module;
        let mut out = Vec::with_capacity(module.bytes.len() + module.bytes.len() / 16);
        out.extend_from_slice(&module.bytes[..8]);
        // Which of ORDER have been written or passed.
        let mut passed = 0;
        let mut producers = false;
        for section in &module.sections {
            if let Some(at) = ORDER.iter().position(|&id| id as u8 == section.id) {
                while passed < at {
                    self.write_section(&mut out, ORDER[passed], None)?;
                    passed += 1;
                }
                self.write_section(&mut out, ORDER[at], Some(section))?;
                passed = at + 1;
            } else if let Some((name, contents)) = section.custom {
                producers |= name == custom::PRODUCERS;
                if let Some(section) = self.custom_section(name, contents)? {
                    section.append_to(&mut out);
                }
            } else {
                write_raw(&mut out, section.id, module.contents(section));
            }
        }
        let map = self.plan.function_map(module).encode();
        Custom::new(map::SECTION, map).append_to(&mut out);
        if !producers {
            Custom::new(custom::PRODUCERS, custom::own_producers()).append_to(&mut out);
        }
        if !self.dropped.is_empty() {
            self.warnings.push(Warning::Dropped { sections: self.dropped });
        }
        Ok(Instrumented { wasm: out, warnings: self.warnings })
    }

    /// Writes a section that was there, or, where `section` is `None`, one that
    /// was not, if there is something to put in it.
    fn write_section(
        &mut self,
        out: &mut Vec<u8>,
        id: SectionId,
        section: Option<&Section<'_>>,
    ) -> Result<(), Error> {
        let range = section.map_or(0..0, |section| section.range.clone());
        let contents = &self.module.bytes[range.clone()];
        let reader = || BinaryReader::new(contents, range.start);
        let mut shift = Shift(self.renumber);
        match (id, section) {
            (SectionId::Type, _) => {
                append_items(out, id, contents, self.types.len(), &items(&self.types))?;
            }
            (SectionId::Import, _) => {
                let base = self.module.types.len() as u32;
                let mut added = ImportSection::new();
                added.import(hooks::MODULE, hooks::ENTER, EntityType::Function(base));
                added.import(hooks::MODULE, hooks::EXIT, EntityType::Function(base + 1));
                append_items(out, id, contents, added.len(), &items(&added))?;
            }
            (SectionId::Function, _) => {
                let mut added = Vec::new();
                self.readers.iter().for_each(|(ty, _)| ty.encode(&mut added));
                append_items(out, id, contents, self.readers.len() as u32, &added)?;
            }
            (SectionId::Memory, _) => {
                let mut added = Vec::new();
                let mut count = 0;
                if let CellPlace::Memory(_) = self.hooks.cells {
                    let pages = (self.plan.hooked().count() as u64 * 4).div_ceil(1 << 16);
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
                if let CellPlace::Globals(_) = self.hooks.cells {
                    let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
                    for _ in self.plan.hooked() {
                        globals.global(ty, &ConstExpr::i32_const(0));
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
                match self.hooks.cells {
                    CellPlace::Memory(memory) => {
                        exports.export(hooks::CELLS_MEMORY, ExportKind::Memory, memory);
                    }
                    CellPlace::Globals(_) => {
                        let first = self.first_reader();
                        for (n, index) in (0..self.readers.len()).zip(first..) {
                            exports.export(&reader_name(n), ExportKind::Func, index);
                        }
                    }
                }
                exports.append_to(out);
            }
            (SectionId::Code, Some(_)) => self.write_code(out)?,
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
                let function_index = self.renumber.function(leb::split(contents)?.0)?;
                wasm_encoder::StartSection { function_index }.append_to(out);
            }
            (_, Some(_)) => write_raw(out, id as u8, contents),
            (_, None) => {}
        }
        Ok(())
    }

    /// The new index of the first function that reads cells.
    pub(crate) fn first_reader(&self) -> u32 {
        let defined = self.module.functions.len() as u32;
        self.renumber.first_defined + self.renumber.added + defined
    }

    /// The names of the functions that read cells, in order.
    pub(crate) fn reader_names(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.readers.len()).map(reader_name)
    }

    fn write_code(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        out.push(SectionId::Code as u8);
        let length = out.len();
        // Filled in when it is known; five bytes hold any.
        out.extend_from_slice(&[0; 5]);
        let start = out.len();
        (self.module.functions.len() as u32 + self.readers.len() as u32).encode(out);
        let writer = self.body_writer();
        let mut body = Vec::new();
        for (function, planned) in self.module.functions.iter().zip(&self.plan.functions) {
            body.clear();
            let sites = &self.module.sites[function.body.sites.clone()];
            let hooked = self.hooked(function, planned.decision)?;
            writer.write(&mut body, &function.body, sites, hooked.as_ref(), None)?;
            body.encode(out);
        }
        if let CellPlace::Globals(first) = self.hooks.cells {
            let mut next = first;
            for &(_, count) in &self.readers {
                body.clear();
                0u32.encode(&mut body); // no locals
                let mut code = InstructionSink::new(&mut body);
                (next..next + count).for_each(|global| _ = code.global_get(global));
                code.end();
                body.encode(out);
                next += count;
            }
        }
        let size = u32::try_from(out.len() - start);
        let mut size = size.map_err(|_| Error::Limit("its code would pass 4 GiB"))?;
        for byte in &mut out[length..start - 1] {
            *byte = size as u8 | 0x80;
            size >>= 7;
        }
        out[start - 1] = size as u8;
        Ok(())
    }

    pub(crate) fn body_writer(&self) -> BodyWriter<'_> {
        BodyWriter { hooks: &self.hooks, renumber: self.renumber }
    }

    /// What a function's hooks need to know of it, if it gets any.
    pub(crate) fn hooked(
        &self,
        function: &Function<'_>,
        decision: Decision,
    ) -> Result<Option<Hooked>, Error> {
        let (Decision::Hook(id, _), Some(ty)) = (decision, self.module.function_type(function))
        else {
            return Ok(None);
        };
        let results = match ty.ty.results() {
            [] => BlockType::Empty,
            &[result] => BlockType::Result(Shift(self.renumber).val_type(result)?),
            several => {
                let index = self.blocks.get(several).copied();
                BlockType::FunctionType(index.ok_or(Error::Limit("the plan is another module's"))?)
            }
        };
        let live = function.body.locals + ty.ty.params().len() as u32;
        Ok(Some(Hooked { id, live, results }))
    }
}

/// The export name of the `n`th function that reads cells.
fn reader_name(n: usize) -> String {
    format!("{}{n}", hooks::CELLS_READER_PREFIX)
}

/// Writes a section with the given contents.
fn write_raw(out: &mut Vec<u8>, id: u8, contents: &[u8]) {
    out.push(id);
    contents.encode(out);
}

/// The items of a section that was built to be appended to another, without
/// the section's length and count.
fn items(section: &impl Encode) -> Vec<u8> {
    let mut bytes = Vec::new();
    section.encode(&mut bytes);
    // What was just encoded begins with both.
    let rest = leb::split(&bytes).and_then(|(_, rest)| leb::split(rest));
    rest.map_or_else(|_| Vec::new(), |(_, items)| items.to_vec())
}

/// Writes a section: the items of `contents`, which is a section's contents or
/// empty, and then `count` more.
fn append_items(
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
