//! Analysis, first part: what is in the module, section by section.

use std::ops::Range;

use observe_abi::map::{self, FunctionMap, MapError};
use observe_abi::{dylibso, hooks};
use wasmparser::{
    CompositeInnerType, ExternalKind, FuncType, KnownCustom, MemoryType, Name, Parser, Payload,
    TableType, TypeRef,
};

use crate::scan::{Body, Exceptions, Scanner, Site};
use crate::{Error, leb};

/// What can be done with a module whose hooks cannot be taken out.
const INSTRUMENT_ORIGINAL: &str = "instrument the original";

/// What is wrong with a module whose hooks can be taken out.
const WITH_MAP: Error = Error::AlreadyInstrumented {
    sign: "a section `observe:map`",
    remedy: "instrument the original, or take the hooks out with `observe instrument --remove`",
};

/// An index into a module's function index space, imports first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FuncIndex(pub u32);

/// A module that has been read, and whose functions have been looked through.
///
/// It borrows the bytes; beside them it takes about 12 bytes of memory for each
/// call in the code and 100 for each function.
pub struct Module<'a> {
    pub(crate) bytes: &'a [u8],
    /// Sections in file order, those of code bodies left out.
    pub(crate) sections: Vec<Section<'a>>,
    /// The function type at each type index, where it is one.
    pub(crate) types: Vec<Option<FunctionType>>,
    /// The functions that the module imports.
    pub(crate) imports: Vec<Import<'a>>,
    /// The functions that the module defines.
    pub(crate) functions: Vec<Function<'a>>,
    /// Places in the bodies that may need a change, all functions in turn.
    pub(crate) sites: Vec<Site>,
    /// The names under which functions are exported, sorted by index.
    pub(crate) exports: Vec<(&'a str, FuncIndex)>,
    pub(crate) start: Option<FuncIndex>,
    /// Memories and tables, imports included.
    pub(crate) memories: Vec<MemoryType>,
    pub(crate) tables: Vec<TableType>,
    /// How many globals there are, imports included.
    pub(crate) globals: u32,
    pub(crate) imported_globals: u32,
    /// How the module uses exceptions.
    pub(crate) exceptions: Exceptions,
    /// Where the contents of the code section are.
    pub(crate) code: Range<usize>,
    /// Function names of the name section, sorted by index.
    pub(crate) names: Vec<(u32, &'a str)>,
}

/// A section as it stands in the file.
pub(crate) struct Section<'a> {
    pub(crate) id: u8,
    /// The contents, without id and length.
    pub(crate) range: Range<usize>,
    /// Name and contents of a custom section.
    pub(crate) custom: Option<(&'a str, &'a [u8])>,
}

pub(crate) struct FunctionType {
    pub(crate) ty: FuncType,
    /// Of the shared-everything-threads proposal; such a function can call only its like.
    pub(crate) shared: bool,
    /// Whether it can have no subtypes.
    pub(crate) is_final: bool,
}

/// A function that the module imports.
pub(crate) struct Import<'a> {
    pub(crate) module: &'a str,
    pub(crate) name: &'a str,
    pub(crate) type_index: u32,
    /// Whether the host must give it a function of this very type, and not of a subtype.
    pub(crate) exact: bool,
}

/// A function that the module defines.
pub(crate) struct Function<'a> {
    pub(crate) type_index: u32,
    pub(crate) body: Body<'a>,
}

impl<'a> Module<'a> {
    /// Reads a module.
    ///
    /// This decodes every instruction but does not validate: what is read here
    /// may still be rejected by an engine. It takes time and memory linear in the
    /// size of the module.
    ///
    /// # Errors
    ///
    /// [`Error`] names what else the bytes are, or what is wrong with them.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::read(bytes, Self::refuse_hooks)
    }

    /// Reads a module; `check` may refuse what it has, before each section is read.
    pub(crate) fn read(
        bytes: &'a [u8],
        check: impl Fn(&Self, &Payload<'a>) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        Self::check(bytes)?;
        let mut module = Module {
            bytes,
            sections: Vec::new(),
            types: Vec::new(),
            imports: Vec::new(),
            functions: Vec::new(),
            sites: Vec::new(),
            exports: Vec::new(),
            start: None,
            memories: Vec::new(),
            tables: Vec::new(),
            globals: 0,
            imported_globals: 0,
            exceptions: Exceptions::None,
            code: 0..0,
            names: Vec::new(),
        };
        let mut types_of_functions = Vec::new();
        let mut scanner = Scanner::default();
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload?;
            check(&module, &payload)?;
            if let Some((id, range)) = payload.as_section() {
                let custom = match &payload {
                    Payload::CustomSection(custom) => Some((custom.name(), custom.data())),
                    _ => None,
                };
                module.sections.push(Section { id, range, custom });
            }
            match payload {
                Payload::CodeSectionStart { range, .. } => module.code = range,
                Payload::CodeSectionEntry(body) => {
                    let type_index: u32 = *types_of_functions
                        .get(module.functions.len())
                        .ok_or_else(|| missing("a function has no type", body.range().start))?;
                    let imports = module.imports.len() as u32;
                    let body = scanner.scan(&body, imports, &mut module.sites)?;
                    module.functions.push(Function { type_index, body });
                }
                Payload::FunctionSection(section) => {
                    types_of_functions = section.into_iter().collect::<Result<_, _>>()?;
                }
                other => module.section(other)?,
            }
        }
        if module.functions.len() != types_of_functions.len() {
            return Err(missing("a function has no body", bytes.len()));
        }
        module.exports.sort_by_key(|&(_, index)| index);
        module.exceptions = module.exceptions.max(scanner.exceptions);
        Ok(module)
    }

    /// Checks that the bytes begin as a core module does.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`], [`Error::NotWasm`] or [`Error::Component`].
    pub fn check(bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            Err(Error::Empty)
        } else if !bytes.starts_with(b"\0asm") {
            Err(Error::NotWasm)
        } else if Parser::is_component(bytes) {
            Err(Error::Component)
        } else {
            Ok(())
        }
    }

    /// Refuses a module that has hooks, or names that they need.
    fn refuse_hooks(&self, payload: &Payload<'a>) -> Result<(), Error> {
        match payload {
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    let import = import?;
                    check_hooks_version(import.module)?;
                    let is_function = matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_));
                    if is_function && is_dylibso(import.module, import.name) {
                        return Err(Error::AlreadyInstrumented {
                            sign: "hooks of observe-sdk",
                            remedy: INSTRUMENT_ORIGINAL,
                        });
                    }
                }
            }
            Payload::ExportSection(section) => {
                for export in section.clone() {
                    let export = export?;
                    if !export.name.starts_with(hooks::CELLS_MEMORY) {
                        continue;
                    }
                    if self.imports.iter().any(|import| import.module == hooks::MODULE) {
                        // The map stands further on.
                        return Err(match read_function_map(self.bytes) {
                            Some(_) => WITH_MAP,
                            None => Error::AlreadyInstrumented {
                                sign: "hooks, but no longer the map that goes with them",
                                remedy: INSTRUMENT_ORIGINAL,
                            },
                        });
                    }
                    return Err(Error::Reserved { export: export.name.to_owned() });
                }
            }
            Payload::CustomSection(section) if section.name() == map::SECTION => {
                return Err(WITH_MAP);
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes what the sections other than those of functions say.
    fn section(&mut self, payload: Payload<'a>) -> Result<(), Error> {
        match payload {
            Payload::TypeSection(section) => {
                let end = section.range().end;
                let mut groups = section.into_iter();
                loop {
                    check_group(self.bytes, groups.original_position()..end)?;
                    let Some(group) = groups.next() else { break };
                    for ty in group?.into_types() {
                        let (shared, is_final) = (ty.composite_type.shared, ty.is_final);
                        self.types.push(match ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => {
                                Some(FunctionType { ty, shared, is_final })
                            }
                            _ => None,
                        });
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    match import.ty {
                        TypeRef::Func(type_index) | TypeRef::FuncExact(type_index) => {
                            let (module, name) = (import.module, import.name);
                            let exact = matches!(import.ty, TypeRef::FuncExact(_));
                            self.imports.push(Import { module, name, type_index, exact });
                        }
                        TypeRef::Memory(ty) => self.memories.push(ty),
                        TypeRef::Table(ty) => self.tables.push(ty),
                        TypeRef::Global(_) => {
                            self.globals = self.globals.saturating_add(1);
                            self.imported_globals += 1;
                        }
                        TypeRef::Tag(_) => self.exceptions = Exceptions::Exnref,
                    }
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    self.memories.push(memory?);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    self.tables.push(table?.ty);
                }
            }
            Payload::GlobalSection(section) => {
                self.globals = self.globals.saturating_add(section.count());
            }
            Payload::TagSection(section) if section.count() > 0 => {
                self.exceptions = Exceptions::Exnref;
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    if matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact) {
                        self.exports.push((export.name, FuncIndex(export.index)));
                    }
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(FuncIndex(func)),
            Payload::CustomSection(section) => {
                if section.name() == "linking" || section.name().starts_with("reloc.") {
                    return Err(Error::ObjectFile { section: section.name().to_owned() });
                }
                if let KnownCustom::Name(names) = section.as_known() {
                    self.names = function_names(names);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The function type at an index, where the module is consistent.
    pub(crate) fn function_type(&self, type_index: u32) -> Option<&FunctionType> {
        self.types.get(type_index as usize)?.as_ref()
    }

    /// The first index that is not an import's.
    pub(crate) fn first_defined(&self) -> u32 {
        self.imports.len() as u32
    }

    /// The contents of a section.
    pub(crate) fn contents(&self, section: &Section<'_>) -> &'a [u8] {
        &self.bytes[section.range.clone()]
    }
}

/// Checks that a group of types, if one begins here, claims no more of them than can follow:
/// the reader makes room for all before it reads the first, 88 MB for the most there can be.
fn check_group(bytes: &[u8], at: Range<usize>) -> Result<(), Error> {
    /// What begins a group ([WebAssembly specification, 5.3.9](https://webassembly.github.io/spec/core/binary/types.html#recursive-types)).
    const GROUP: u8 = 0x4e;
    /// The length in bytes of a structure without fields; no type is shorter.
    const SHORTEST: usize = 2;
    let start = at.start;
    let Some([GROUP, group @ ..]) = bytes.get(at) else { return Ok(()) };
    // What is wrong with the count, the reader will say.
    let Ok((count, types)) = leb::split(group) else { return Ok(()) };
    match count as usize > types.len() / SHORTEST {
        true => Err(missing("a group claims more types than follow", start)),
        false => Ok(()),
    }
}

/// Checks that an import module is not one of hooks of another version.
pub(crate) fn check_hooks_version(module: &str) -> Result<(), Error> {
    match module.starts_with(hooks::MODULE_PREFIX) && module != hooks::MODULE {
        true => Err(Error::HooksVersion { found: module.to_owned(), known: hooks::MODULE }),
        false => Ok(()),
    }
}

/// Whether an import is a hook of observe-sdk.
pub(crate) fn is_dylibso(module: &str, name: &str) -> bool {
    // The old module held what guests say of themselves, too.
    module == dylibso::MODULE || module == dylibso::OLD_MODULE && dylibso::OLD_HOOKS.contains(&name)
}

fn missing(message: &str, offset: usize) -> Error {
    Error::Invalid { message: message.to_owned(), offset }
}

/// Reads function names as far as they can be read: names are no part of a
/// module's meaning, and real modules have damaged ones.
fn function_names<'a>(section: wasmparser::NameSectionReader<'a>) -> Vec<(u32, &'a str)> {
    let mut names = Vec::new();
    for subsection in section {
        if let Ok(Name::Function(map)) = subsection {
            names.extend(map.into_iter().map_while(Result::ok).map(|name| (name.index, name.name)));
        }
    }
    names.sort_by_key(|&(index, _)| index);
    names.dedup_by_key(|&mut (index, _)| index);
    names
}

/// The function map of an instrumented module; `None` where the bytes are no such
/// module.
///
/// # Errors
///
/// [`MapError`], where the map cannot be read. Names are taken up to 64 times the
/// length of the module, so that a hostile map cannot exhaust the host.
pub fn read_function_map(wasm: &[u8]) -> Option<Result<FunctionMap, MapError>> {
    Parser::new(0).parse_all(wasm).find_map(|payload| match payload.ok()? {
        Payload::CustomSection(section) if section.name() == map::SECTION => {
            Some(FunctionMap::decode(section.data(), wasm.len().saturating_mul(64)))
        }
        _ => None,
    })
}
