//! Rewriting, fifth part: custom sections that speak of functions or of places in
//! the code, and so must follow the change or go.

use wasm_encoder::{Encode, IndirectNameMap, NameMap, ProducersField, ProducersSection};
use wasmparser::{
    BinaryReader, BranchHintSectionReader, IndirectNaming, Name, ProducersSectionReader,
};

use crate::body::renumber_label;
use crate::build_id;
use crate::companion::{self, Companions, DEBUG_INFO, DebugFile, Part, SOURCE_MAP};
use crate::dwarf::{self, Rewritten};
use crate::layout::Layout;
use crate::parse::Function;
use crate::plan::{Abi, PlannedFunction};
use crate::rewrite::Instrumented;
use crate::section::{Custom, contents_of, write_raw};
use crate::source_map::{self, Moved};
use crate::{Error, Warning};

pub(crate) const NAMES: &str = "name";
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

/// Whether what becomes of a section is known only when the code is written.
pub(crate) fn awaits_code(name: &str) -> bool {
    dwarf::is_dwarf(name) || matches!(name, SOURCE_MAP | DEBUG_INFO)
}

/// What becomes of a section that names a file.
#[derive(Default)]
enum Pointer {
    /// It is left out, to be listed with others.
    #[default]
    Dropped,
    /// It is left out, and a warning says so.
    Warned,
    /// It will hold this URL.
    To(String),
}

/// Carries custom sections over.
pub(crate) struct CustomSections<'l, 'm, 'a> {
    layout: &'l Layout<'m, 'a>,
    companions: Companions<'l>,
    /// The debug information, once it is known where the code went.
    dwarf: Option<Rewritten>,
    /// The sections that name a source map and a module with debug information, and what
    /// becomes of the files themselves.
    pointers: [Pointer; 2],
    source_map: Option<Vec<u8>>,
    debug_file: Option<(DebugFile<'l>, Rewritten)>,
    /// The id of the original, and where the new one will end.
    build_id: Option<(Vec<u8>, usize)>,
    /// What did not survive, but for whole sections.
    warnings: Vec<Warning>,
    /// Names of sections that are left out.
    dropped: Vec<String>,
}

impl<'l, 'm, 'a> CustomSections<'l, 'm, 'a> {
    pub(crate) fn new(layout: &'l Layout<'m, 'a>, companions: Companions<'l>) -> Self {
        CustomSections {
            layout,
            companions,
            dwarf: None,
            pointers: Default::default(),
            source_map: None,
            debug_file: None,
            build_id: None,
            warnings: Vec::new(),
            dropped: Vec::new(),
        }
    }

    /// Whether there is something beside the module's own debug information that has to
    /// know where the code went.
    pub(crate) fn follow_code(&self) -> bool {
        let Companions { source_map, debug_info } = self.companions;
        let url = self.layout.module.source_map_url();
        source_map.is_some() || debug_info.is_some() || url.is_some_and(companion::is_inline)
    }

    /// Rewrites what tells of the code, which went where `moved` says.
    pub(crate) fn rewrite_debug_info(&mut self, sections: &dwarf::Sections<'_>, moved: &Moved<'_>) {
        match sections.rewrite(moved.map) {
            Ok(rewritten) => self.dwarf = Some(rewritten),
            Err(dwarf::Unusable { section, message }) => {
                self.warnings.push(Warning::DebugInfo { section, message });
            }
        }
        self.pointers = [self.rewrite_source_map(moved), self.rewrite_debug_file(moved)];
    }

    fn rewrite_source_map(&mut self, moved: &Moved<'_>) -> Pointer {
        let rewritten = match (self.companions.source_map, self.layout.module.source_map_url()) {
            (Some(map), _) => source_map::rewrite(map.contents, moved).map(|new| {
                self.source_map = Some(new);
                map.url.to_owned()
            }),
            (None, Some(url)) if companion::is_inline(url) => companion::rewrite_inline(url, moved),
            (None, url) => return self.not_given(SOURCE_MAP, url),
        };
        rewritten.map_or_else(
            |message| {
                self.warnings.push(Warning::SourceMap { message });
                Pointer::Warned
            },
            Pointer::To,
        )
    }

    fn rewrite_debug_file(&mut self, moved: &Moved<'_>) -> Pointer {
        let module = self.layout.module;
        let Some(file) = self.companions.debug_info else {
            return self.not_given(DEBUG_INFO, module.debug_info_url());
        };
        match DebugFile::read(file.contents, module, moved.map) {
            Ok(rewritten) => {
                self.debug_file = Some(rewritten);
                Pointer::To(file.url.to_owned())
            }
            Err(message) => {
                self.warnings.push(Warning::ExternalDebugInfo { message });
                Pointer::Warned
            }
        }
    }

    /// What becomes of a section whose file is not there.
    fn not_given(&mut self, section: &str, url: Option<&str>) -> Pointer {
        let Some(url) = url else { return Pointer::Dropped };
        self.warnings.push(Warning::NotGiven { section: section.to_owned(), url: url.to_owned() });
        Pointer::Warned
    }

    /// Writes what becomes of a custom section, if it is not left out.
    pub(crate) fn carry_over(
        &mut self,
        out: &mut Vec<u8>,
        name: &str,
        contents: &[u8],
    ) -> Result<(), Error> {
        let mut id = None;
        let rewritten = match name {
            NAMES => Some(self.names(contents)),
            PRODUCERS => Some(producers(contents).unwrap_or_else(|| contents.to_vec())),
            BRANCH_HINTS => self.branch_hints(contents)?,
            SOURCE_MAP | DEBUG_INFO => {
                match std::mem::take(&mut self.pointers[usize::from(name == DEBUG_INFO)]) {
                    Pointer::Dropped => None,
                    Pointer::Warned => return Ok(()),
                    Pointer::To(url) => Some(pointer(&url)),
                }
            }
            build_id::SECTION if self.build_id.is_none() => {
                id = build_id::read(contents);
                id.map(|_| contents.to_vec())
            }
            build_id::SECTION => None,
            _ if dwarf::is_dwarf(name) => {
                self.dwarf.as_mut().and_then(|dwarf| dwarf.take(name, contents))
            }
            _ if name.starts_with("metadata.code.") => None,
            _ => Some(contents.to_vec()),
        };
        match rewritten {
            Some(contents) => Custom::new(name, contents).append_to(out),
            None => self.dropped.push(name.to_owned()),
        }
        if let Some(id) = id {
            self.build_id = Some((id.to_vec(), out.len()));
        }
        Ok(())
    }

    /// Finishes the module, of which all but what is named here is written.
    pub(crate) fn finish(mut self, mut out: Vec<u8>) -> Result<Instrumented, Error> {
        // The module itself need not have named a file.
        for (name, pointer) in [SOURCE_MAP, DEBUG_INFO].into_iter().zip(&self.pointers) {
            if let Pointer::To(url) = pointer {
                Custom::new(name, self::pointer(url)).append_to(&mut out);
            }
        }
        let id = self.set_build_id(&mut out, None);
        let debug_info = match self.debug_file.take() {
            Some((file, dwarf)) => Some(self.write_debug_file(&file, dwarf, &out, id)?),
            None => None,
        };
        if !self.dropped.is_empty() {
            self.warnings.push(Warning::Dropped { sections: self.dropped });
        }
        let CustomSections { source_map, warnings, .. } = self;
        Ok(Instrumented { wasm: out, warnings, source_map, debug_info })
    }

    /// Gives the module a new build id, if it had one: the one that is given, or one that
    /// depends on all that was written.
    fn set_build_id(&self, out: &mut [u8], given: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let &(ref old, end) = self.build_id.as_ref()?;
        let start = end - old.len();
        let id = given
            .filter(|given| given.len() == old.len())
            .unwrap_or_else(|| build_id::derive(old, [&out[..start], &out[end..]]));
        out[start..end].copy_from_slice(&id);
        Some(id)
    }

    /// The module with the debug information that goes with the instrumented one.
    fn write_debug_file(
        &mut self,
        file: &DebugFile<'_>,
        dwarf: Rewritten,
        instrumented: &[u8],
        id: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, Error> {
        let mut sections = CustomSections::new(self.layout, Companions::default());
        sections.dwarf = Some(dwarf);
        let mut out = file.bytes[..8].to_vec();
        for part in file.parts(self.layout.module, instrumented)? {
            match part {
                Part::Copy(id, contents) => write_raw(&mut out, id, contents),
                Part::Custom(name, contents) => sections.carry_over(&mut out, name, contents)?,
            }
        }
        sections.set_build_id(&mut out, id);
        self.warnings.append(&mut sections.warnings);
        let left_out = sections.dropped.into_iter();
        self.dropped.extend(left_out.map(|name| format!("{name} of the debug information")));
        Ok(out)
    }

    /// The name section with the new function indices and the names of what was
    /// added. A subsection that cannot be read is left out.
    fn names(&mut self, contents: &[u8]) -> Vec<u8> {
        let mut names = wasm_encoder::NameSection::new();
        // Hosts of observe-sdk know functions by nothing else, so that none may be missing.
        let complete = self.layout.plan.abi == Abi::Dylibso;
        let mut written = !complete;
        let reader = wasmparser::NameSectionReader::new(BinaryReader::new(contents, 0));
        for subsection in reader {
            // The specification wants them behind the name of the module.
            if !written && !matches!(subsection, Ok(Name::Module { .. })) {
                names.functions(&self.all_function_names());
                written = true;
            }
            let whole = subsection.and_then(|subsection| {
                match subsection {
                    Name::Module { name, .. } => names.module(name),
                    Name::Function(map) => {
                        let map = map.into_iter().collect::<Result<Vec<_>, _>>()?;
                        let map = map.iter().map(|naming| (naming.index, naming.name));
                        if !complete {
                            names.functions(&self.function_names(map));
                        }
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
        if !written {
            names.functions(&self.all_function_names());
        }
        contents_of(&names)
    }

    /// The names that the module has for functions, and of hooked ones without what else
    /// they are called.
    fn all_function_names(&self) -> NameMap {
        let Layout { module, plan, .. } = *self.layout;
        let names = &module.names;
        let has_none = |index| names.binary_search_by_key(&index, |&(named, _)| named).is_err();
        let others = plan.hooked().filter(|function| has_none(function.index.0)).map(|function| {
            let raw = module.raw_name(function.index);
            (function.index.0, raw.unwrap_or(&function.name))
        });
        self.function_names(names.iter().copied().chain(others))
    }

    fn function_names<'n>(&self, map: impl Iterator<Item = (u32, &'n str)>) -> NameMap {
        let mut imported = NameMap::new();
        let mut names: Vec<(u32, &str)> = Vec::new();
        for (index, name) in map {
            // An index that no function can have names nothing.
            if let Ok(index) = self.layout.renumber.own(index) {
                names.push((index, name));
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
            let writer = self.layout.body_writer(Some(planned));
            writer.write(&mut body, &function.body, sites, hooked.as_ref(), Some(&mut segments))?;
            let moved = hints.iter().map(|hint| {
                let at = segments.partition_point(|&(old, _)| old <= hint.func_offset);
                let (old, new) = segments[at.saturating_sub(1)];
                wasm_encoder::BranchHint {
                    branch_func_offset: new.saturating_add(hint.func_offset.saturating_sub(old)),
                    branch_hint_value: u32::from(hint.taken),
                }
            });
            out.function_hints(self.layout.renumber.own(hinted.func)?, moved.collect::<Vec<_>>());
        }
        Ok(Some(contents_of(&out)))
    }
}

/// The contents of a section that names a file.
fn pointer(url: &str) -> Vec<u8> {
    let mut contents = Vec::with_capacity(url.len() + 5);
    url.encode(&mut contents);
    contents
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
