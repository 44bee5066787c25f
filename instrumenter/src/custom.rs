//! Rewriting, fifth part: custom sections that speak of functions or of places in
//! the code, and so must follow the change or go.

use wasm_encoder::{IndirectNameMap, NameMap, ProducersField, ProducersSection};
use wasmparser::{
    BinaryReader, BranchHintSectionReader, IndirectNaming, Name, Naming, ProducersSectionReader,
};

use crate::body::renumber_label;
use crate::dwarf::{self, CodeMap, Rewritten};
use crate::layout::Layout;
use crate::parse::Function;
use crate::plan::PlannedFunction;
use crate::section::{Custom, contents_of};
use crate::{Error, Warning};

pub(crate) const PRODUCERS: &str = "producers";
pub(crate) const TARGET_FEATURES: &str = "target_features";
const BRANCH_HINTS: &str = "metadata.code.branch_hint";

/// A `producers` section that names nobody but us.
pub(crate) fn own_producers() -> Custom {
    let mut field = ProducersField::new();
    field.value("observe", env!("CARGO_PKG_VERSION"));
    let contents = contents_of(ProducersSection::new().field("processed-by", &field));
    Custom::new(PRODUCERS, contents)
}

/// Whether a section holds offsets into the code, or a digest of the module,
/// which would no longer be true.
fn goes_stale(name: &str) -> bool {
    name.starts_with("metadata.code.")
        || matches!(name, "sourceMappingURL" | "external_debug_info" | "build_id")
}

/// Carries custom sections over.
pub(crate) struct CustomSections<'l, 'm, 'a> {
    layout: &'l Layout<'m, 'a>,
    /// The debug information, once it is known where the code went.
    dwarf: Option<Rewritten>,
    /// What did not survive, but for whole sections.
    warnings: Vec<Warning>,
    /// Names of sections that are left out.
    dropped: Vec<String>,
}

impl<'l, 'm, 'a> CustomSections<'l, 'm, 'a> {
    pub(crate) fn new(layout: &'l Layout<'m, 'a>) -> Self {
        CustomSections { layout, dwarf: None, warnings: Vec::new(), dropped: Vec::new() }
    }

    /// Rewrites the debug information of a module whose code went where `map` says.
    pub(crate) fn rewrite_dwarf(&mut self, sections: &dwarf::Sections<'_>, map: &CodeMap) {
        match sections.rewrite(map) {
            Ok(rewritten) => self.dwarf = Some(rewritten),
            Err(dwarf::Unusable { section, message }) => {
                self.warnings.push(Warning::DebugInfo { section, message });
            }
        }
    }

    /// What did not survive.
    pub(crate) fn into_warnings(mut self) -> Vec<Warning> {
        if !self.dropped.is_empty() {
            self.warnings.push(Warning::Dropped { sections: self.dropped });
        }
        self.warnings
    }

    /// What becomes of a custom section; `None` where it is left out.
    pub(crate) fn carry_over(
        &mut self,
        name: &str,
        contents: &[u8],
    ) -> Result<Option<Custom>, Error> {
        let rewritten = match name {
            "name" => Some(self.names(contents)),
            PRODUCERS => Some(producers(contents).unwrap_or_else(|| contents.to_vec())),
            BRANCH_HINTS => self.branch_hints(contents)?,
            _ if dwarf::is_dwarf(name) => {
                self.dwarf.as_mut().and_then(|dwarf| dwarf.take(name, contents))
            }
            _ if goes_stale(name) => None,
            _ => Some(contents.to_vec()),
        };
        if rewritten.is_none() {
            self.dropped.push(name.to_owned());
        }
        Ok(rewritten.map(|contents| Custom::new(name, contents)))
    }

    /// The name section with the new function indices and the names of what was
    /// added. A subsection that cannot be read is left out.
    fn names(&mut self, contents: &[u8]) -> Vec<u8> {
        let mut names = wasm_encoder::NameSection::new();
        let reader = wasmparser::NameSectionReader::new(BinaryReader::new(contents, 0));
        for subsection in reader {
            let whole = subsection.and_then(|subsection| {
                match subsection {
                    Name::Module { name, .. } => names.module(name),
                    Name::Function(map) => {
                        let map = map.into_iter().collect::<Result<Vec<_>, _>>()?;
                        names.functions(&self.function_names(&map));
                    }
                    Name::Local(map) => names.locals(&self.indirect_names(map)?),
                    Name::Label(map) => names.labels(&self.label_names(map)?),
                    Name::Type(map) => names.types(&same_names(map)?),
                    Name::Table(map) => names.tables(&same_names(map)?),
                    Name::Memory(map) => names.memories(&same_names(map)?),
                    Name::Global(map) => names.globals(&same_names(map)?),
                    Name::Element(map) => names.elements(&same_names(map)?),
                    Name::Data(map) => names.data(&same_names(map)?),
                    Name::Tag(map) => names.tags(&same_names(map)?),
                    Name::Field(map) => {
                        let map = map.into_iter().collect::<Result<Vec<_>, _>>()?;
                        names.fields(&indirect(&map, Some)?);
                    }
                    Name::Unknown { ty, data, .. } => names.raw(ty, data),
                }
                Ok(())
            });
            if let Err(error) = whole {
                self.warnings.push(Warning::Names { message: error.message().to_owned() });
            }
        }
        contents_of(&names)
    }

    fn function_names(&self, map: &[Naming<'_>]) -> NameMap {
        let mut imported = NameMap::new();
        let mut names: Vec<(u32, &str)> = Vec::with_capacity(map.len() + 2);
        for naming in map {
            // An index that no function can have names nothing.
            if let Ok(index) = self.layout.renumber.own(naming.index) {
                names.push((index, naming.name));
            }
        }
        let hooks: Vec<_> =
            self.layout.imports.iter().map(|hook| format!("observe:{}", hook.name)).collect();
        names
            .extend((self.layout.renumber.first_defined()..).zip(hooks.iter().map(String::as_str)));
        let added = self.layout.added.iter().map(|added| &*added.name);
        names.extend((self.layout.first_added()..).zip(added));
        // The specification wants ascending indices, which not all files have.
        names.sort_by_key(|&(index, _)| index);
        names.dedup_by_key(|&mut (index, _)| index);
        names.iter().for_each(|&(index, name)| imported.append(index, name));
        imported
    }

    fn indirect_names(
        &self,
        map: wasmparser::IndirectNameMap<'_>,
    ) -> Result<IndirectNameMap, wasmparser::Error> {
        let map = map.into_iter().collect::<Result<Vec<_>, _>>()?;
        indirect(&map, |index| self.layout.renumber.own(index).ok())
    }

    fn label_names(
        &self,
        map: wasmparser::IndirectNameMap<'_>,
    ) -> Result<IndirectNameMap, wasmparser::Error> {
        let mut names = IndirectNameMap::new();
        for function in map {
            let function = function?;
            let Ok(index) = self.layout.renumber.own(function.index) else { continue };
            let labels = match self.function_at(function.index) {
                Some((hooked, planned)) if planned.is_hooked() => {
                    let sites = &self.layout.module.sites[hooked.body.sites.clone()];
                    let mut labels = NameMap::new();
                    for label in function.names {
                        let label = label?;
                        let cells = self.layout.hooks.cells;
                        let exceptions = self.layout.exceptions(hooked);
                        if let Some(index) = renumber_label(label.index, cells, exceptions, sites) {
                            labels.append(index, label.name);
                        }
                    }
                    labels
                }
                _ => same_names(function.names)?,
            };
            names.append(index, &labels);
        }
        Ok(names)
    }

    /// A function and what is planned for it, by its old index.
    fn function_at(&self, index: u32) -> Option<(&Function<'_>, &PlannedFunction)> {
        let at = index.checked_sub(self.layout.renumber.first_defined())? as usize;
        Some((self.layout.module.functions.get(at)?, self.layout.plan.functions.get(at)?))
    }

    /// The branch hints at the new offsets of their instructions; `None` where
    /// they cannot be read.
    fn branch_hints(&self, contents: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let reader = BinaryReader::new(contents, 0);
        let read = BranchHintSectionReader::new(reader)
            .and_then(|section| section.into_iter().collect::<Result<Vec<_>, _>>());
        let Ok(functions) = read else { return Ok(None) };
        let mut out = wasm_encoder::BranchHints::new();
        let mut body = Vec::new();
        // The proposal wants functions in ascending order, which keeps this linear.
        if !functions.is_sorted_by(|a, b| a.func < b.func) {
            return Ok(None);
        }
        for hinted in functions {
            let Ok(hints) = hinted.hints.into_iter().collect::<Result<Vec<_>, _>>() else {
                return Ok(None);
            };
            let Some((function, planned)) = self.function_at(hinted.func) else {
                return Ok(None);
            };
            if hints.iter().any(|hint| hint.func_offset as usize >= function.body.bytes.len()) {
                return Ok(None);
            }
            let mut segments = Vec::new();
            body.clear();
            let sites = &self.layout.module.sites[function.body.sites.clone()];
            let hooked = self.layout.hooked(function, planned)?;
            let writer = self.layout.body_writer();
            writer.write(&mut body, &function.body, sites, hooked.as_ref(), Some(&mut segments))?;
            let moved = hints.iter().map(|hint| {
                let at = segments.partition_point(|&(old, _)| old <= hint.func_offset);
                let (old, new) = segments[at.saturating_sub(1)];
                wasm_encoder::BranchHint {
                    branch_func_offset: new + hint.func_offset.saturating_sub(old),
                    branch_hint_value: u32::from(hint.taken),
                }
            });
            out.function_hints(self.layout.renumber.own(hinted.func)?, moved.collect::<Vec<_>>());
        }
        Ok(Some(contents_of(&out)))
    }
}

/// The name map, unchanged.
fn same_names(map: wasmparser::NameMap<'_>) -> Result<NameMap, wasmparser::Error> {
    let mut names = NameMap::new();
    for naming in map {
        let naming = naming?;
        names.append(naming.index, naming.name);
    }
    Ok(names)
}

/// The names within each thing that `renumber` gives a new index.
fn indirect(
    map: &[IndirectNaming<'_>],
    renumber: impl Fn(u32) -> Option<u32>,
) -> Result<IndirectNameMap, wasmparser::Error> {
    let mut names = IndirectNameMap::new();
    for naming in map {
        if let Some(index) = renumber(naming.index) {
            names.append(index, &same_names(naming.names.clone())?);
        }
    }
    Ok(names)
}

/// The section with one entry more; `None` where it cannot be read.
fn producers(contents: &[u8]) -> Option<Vec<u8>> {
    let reader = ProducersSectionReader::new(BinaryReader::new(contents, 0)).ok()?;
    let mut section = ProducersSection::new();
    let mut named = false;
    for field in reader {
        let field = field.ok()?;
        let mut values = ProducersField::new();
        for value in field.values {
            let value = value.ok()?;
            values.value(value.name, value.version);
        }
        if field.name == "processed-by" {
            values.value("observe", env!("CARGO_PKG_VERSION"));
            named = true;
        }
        section.field(field.name, &values);
    }
    if !named {
        let mut values = ProducersField::new();
        values.value("observe", env!("CARGO_PKG_VERSION"));
        section.field("processed-by", &values);
    }
    Some(contents_of(&section))
}
