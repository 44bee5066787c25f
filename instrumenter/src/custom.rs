//! Rewriting, sixth part: custom sections that speak of functions or of places in
//! the code, and so must follow the change or go.

use wasm_encoder::{Encode, IndirectNameMap, NameMap, ProducersField, ProducersSection};
use wasmparser::{
    BinaryReader, BranchHintSectionReader, IndirectNaming, Name, ProducersSectionReader,
};

use crate::build_id;
use crate::change::Change;
use crate::companion::{self, Companions, DEBUG_INFO, DebugFile, Part, SOURCE_MAP};
use crate::dwarf::{self, Rewritten};
use crate::rewrite::Instrumented;
use crate::section::{Custom, contents_of, write_raw};
use crate::source_map::{self, Moved};
use crate::{Error, Warning};

pub(crate) const NAMES: &str = "name";
pub(crate) const PRODUCERS: &str = "producers";
/// The field of tools that changed a module, and what we are called in it.
const PROCESSED_BY: &str = "processed-by";
const OWN_NAME: &str = "observe";
pub(crate) const TARGET_FEATURES: &str = "target_features";
const BRANCH_HINTS: &str = "metadata.code.branch_hint";

/// A `producers` section that names nobody but us.
pub(crate) fn own_producers() -> Custom {
    let field = field(&[(OWN_NAME, env!("CARGO_PKG_VERSION"))]);
    let contents = contents_of(ProducersSection::new().field(PROCESSED_BY, &field));
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
pub(crate) struct CustomSections<'l> {
    change: &'l dyn Change,
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

impl<'l> CustomSections<'l> {
    pub(crate) fn new(change: &'l dyn Change, companions: Companions<'l>) -> Self {
        CustomSections {
            change,
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
        let url = self.change.module().source_map_url();
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
        let rewritten = match (self.companions.source_map, self.change.module().source_map_url()) {
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
        let module = self.change.module();
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
        let mut sections = CustomSections::new(self.change, Companions::default());
        sections.dwarf = Some(dwarf);
        let mut out = file.bytes[..8].to_vec();
        for part in file.parts(self.change.module(), instrumented)? {
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
        let wanted = self.change.names_wanted();
        let mut written = wanted.is_none();
        let reader = wasmparser::NameSectionReader::new(BinaryReader::new(contents, 0));
        for subsection in reader {
            // The specification wants them behind the name of the module.
            if let Some(wanted) = wanted.as_ref().filter(|_| !written)
                && !matches!(subsection, Ok(Name::Module { .. }))
            {
                names.functions(&self.all_function_names(wanted));
                written = true;
            }
            let whole = subsection.and_then(|subsection| {
                match subsection {
                    Name::Module { name, .. } => names.module(name),
                    Name::Function(map) => {
                        let map = map.into_iter().collect::<Result<Vec<_>, _>>()?;
                        let map = map.iter().map(|naming| (naming.index, naming.name));
                        if wanted.is_none() {
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
        if let Some(wanted) = wanted.filter(|_| !written) {
            names.functions(&self.all_function_names(&wanted));
        }
        contents_of(&names)
    }

    /// The names that the module has for functions, and those that others have to get.
    fn all_function_names(&self, wanted: &[(u32, String)]) -> NameMap {
        let names = self.change.module().names.iter().copied();
        let wanted = wanted.iter().map(|(index, name)| (*index, name.as_str()));
        self.function_names(names.chain(wanted))
    }

    fn function_names<'n>(&self, map: impl Iterator<Item = (u32, &'n str)>) -> NameMap {
        let mut names: Vec<(u32, &str)> = Vec::new();
        for (index, name) in map {
            if let Some(index) = self.change.function(index) {
                names.push((index, name));
            }
        }
        let added = self.change.added_names();
        names.extend(added.iter().map(|(index, name)| (*index, name.as_str())));
        // The specification wants ascending indices, which not all files have.
        names.sort_by_key(|&(index, _)| index);
        names.dedup_by_key(|&mut (index, _)| index);
        let mut map = NameMap::new();
        names.iter().for_each(|&(index, name)| map.append(index, name));
        map
    }

    fn indirect_names(
        &self,
        map: wasmparser::IndirectNameMap<'_>,
    ) -> Result<IndirectNameMap, wasmparser::Error> {
        let map = map.into_iter().collect::<Result<Vec<_>, _>>()?;
        indirect(&map, |index| self.change.function(index))
    }

    fn label_names(
        &self,
        map: wasmparser::IndirectNameMap<'_>,
    ) -> Result<IndirectNameMap, wasmparser::Error> {
        let mut names = IndirectNameMap::new();
        for function in map {
            let function = function?;
            let Some(index) = self.change.function(function.index) else { continue };
            let renumber = self.change.labels(function.index);
            let mut labels = NameMap::new();
            for label in function.names {
                let label = label?;
                if let Some(index) = renumber(label.index) {
                    labels.append(index, label.name);
                }
            }
            names.append(index, &labels);
        }
        Ok(names)
    }

    /// The branch hints at the new offsets of their instructions; `None` where
    /// they cannot be read.
    fn branch_hints(&self, contents: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let reader = BinaryReader::new(contents, 0);
        let read = BranchHintSectionReader::new(reader)
            .and_then(|section| section.into_iter().collect::<Result<Vec<_>, _>>());
        let Ok(functions) = read else { return Ok(None) };
        let mut out = wasm_encoder::BranchHints::new();
        // The proposal wants functions in ascending order, which keeps this linear.
        if !functions.is_sorted_by(|a, b| a.func < b.func) {
            return Ok(None);
        }
        for hinted in functions {
            let Ok(hints) = hinted.hints.into_iter().collect::<Result<Vec<_>, _>>() else {
                return Ok(None);
            };
            let segments = self.change.segments(hinted.func)?;
            let (Some(segments), Some(index)) = (segments, self.change.function(hinted.func))
            else {
                return Ok(None);
            };
            let module = self.change.module();
            let at = hinted.func.wrapping_sub(module.first_defined()) as usize;
            let length = module.functions.get(at).map_or(0, |function| function.body.bytes.len());
            if hints.iter().any(|hint| hint.func_offset as usize >= length) {
                return Ok(None);
            }
            let moved = hints.iter().map(|hint| {
                let at = segments.partition_point(|&(old, _)| old <= hint.func_offset);
                let (old, new) = segments[at.saturating_sub(1)];
                wasm_encoder::BranchHint {
                    branch_func_offset: new.saturating_add(hint.func_offset.saturating_sub(old)),
                    branch_hint_value: u32::from(hint.taken),
                }
            });
            out.function_hints(index, moved.collect::<Vec<_>>());
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
    let mut section = ProducersSection::new();
    let mut named = false;
    for (name, mut values) in producer_fields(contents)? {
        if name == PROCESSED_BY {
            values.push((OWN_NAME, env!("CARGO_PKG_VERSION")));
            named = true;
        }
        section.field(name, &field(&values));
    }
    if !named {
        section.field(PROCESSED_BY, &field(&[(OWN_NAME, env!("CARGO_PKG_VERSION"))]));
    }
    Some(contents_of(&section))
}

/// The section `producers` without our entry; `None` where no other was in it.
pub(crate) fn without_us(contents: &[u8]) -> Option<Vec<u8>> {
    let Some(fields) = producer_fields(contents) else { return Some(contents.to_vec()) };
    let mut section = ProducersSection::new();
    let mut count = 0;
    for (name, mut values) in fields {
        let before = values.len();
        if name == PROCESSED_BY {
            values.retain(|&(tool, _)| tool != OWN_NAME);
        }
        // A field without values was there before.
        if before == 0 || !values.is_empty() {
            section.field(name, &field(&values));
            count += 1;
        }
    }
    (count > 0).then(|| contents_of(&section))
}

/// The tools that a `producers` section names, with their versions.
type Tools<'a> = Vec<(&'a str, &'a str)>;

/// The fields of a `producers` section; `None` where it cannot be read.
fn producer_fields(contents: &[u8]) -> Option<Vec<(&str, Tools<'_>)>> {
    let reader = ProducersSectionReader::new(BinaryReader::new(contents, 0)).ok()?;
    let fields = reader.into_iter().map(|field| {
        let field = field.ok()?;
        let values = field.values.into_iter();
        let values = values.map(|value| value.ok().map(|value| (value.name, value.version)));
        Some((field.name, values.collect::<Option<_>>()?))
    });
    fields.collect()
}

fn field(values: &[(&str, &str)]) -> ProducersField {
    let mut field = ProducersField::new();
    values.iter().for_each(|(name, version)| _ = field.value(name, version));
    field
}
