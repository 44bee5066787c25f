//! Files beside a module that tell of its code, and the sections that name them: a source
//! map, and another module with the debug information.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use wasm_encoder::SectionId;
use wasmparser::BinaryReader;

use crate::dwarf::{self, CodeMap};
use crate::parse::{Module, Section};
use crate::source_map::{self, Moved};
use crate::{build_id, leb};

/// The section that names the source map:
/// [ECMA-426, "Extraction Methods for WebAssembly Binaries"](https://tc39.es/ecma426/).
pub(crate) const SOURCE_MAP: &str = "sourceMappingURL";

/// The section that names the module with the debug information:
/// [WebAssembly tool conventions, "Debugging"](https://github.com/WebAssembly/tool-conventions/blob/main/Debugging.md).
pub(crate) const DEBUG_INFO: &str = "external_debug_info";

/// Any padding will do, or none.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The files beside a module that are to follow its code.
///
/// A source map inside the module, in a `data:` URL, need not be named here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Companions<'a> {
    /// A [source map](https://tc39.es/ecma426/).
    pub source_map: Option<Companion<'a>>,
    /// A module that holds the debug information (DWARF), as
    /// `emcc -gseparate-dwarf` writes it. It may have its own code section, which must be
    /// the same, or none.
    pub debug_info: Option<Companion<'a>>,
}

/// A file beside a module.
#[derive(Clone, Copy, Debug)]
pub struct Companion<'a> {
    /// What is in it, for the module as it was.
    pub contents: &'a [u8],
    /// What the instrumented module will call the rewritten file: a URL, relative to its own.
    pub url: &'a str,
}

impl Module<'_> {
    /// The URL of the source map, where the module names one in `sourceMappingURL`.
    pub fn source_map_url(&self) -> Option<&str> {
        url(self.custom(SOURCE_MAP)?)
    }

    /// The URL of a module with the debug information, where the module names one in
    /// `external_debug_info`.
    pub fn debug_info_url(&self) -> Option<&str> {
        url(self.custom(DEBUG_INFO)?)
    }

    /// The contents of the first custom section of a name.
    pub(crate) fn custom(&self, wanted: &str) -> Option<&[u8]> {
        let mut sections = self.sections.iter().filter_map(|section| section.custom);
        sections.find(|&(name, _)| name == wanted).map(|(_, contents)| contents)
    }
}

/// The URL that a section consists of.
fn url(contents: &[u8]) -> Option<&str> {
    let (len, url) = leb::split(contents).ok()?;
    (url.len() == len as usize).then(|| str::from_utf8(url).ok()).flatten()
}

/// Whether a URL holds what it names.
pub(crate) fn is_inline(url: &str) -> bool {
    url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// The `data:` URL of the rewritten source map in `url`; or, to stand after a colon, why
/// there is none.
pub(crate) fn rewrite_inline(url: &str, moved: &Moved<'_>) -> Result<String, String> {
    let header = url.find(',').map(|comma| url.split_at(comma + 1));
    let (header, data) = header
        .filter(|(header, _)| header.to_ascii_lowercase().ends_with(";base64,"))
        .ok_or("its URL is not one in base64")?;
    let json = BASE64.decode(data).map_err(|error| format!("its URL is wrong: {error}"))?;
    let mut url = header.to_owned();
    BASE64.encode_string(source_map::rewrite(&json, moved)?, &mut url);
    Ok(url)
}

/// A module beside that holds the debug information.
pub(crate) struct DebugFile<'a> {
    pub(crate) bytes: &'a [u8],
    sections: Vec<Section<'a>>,
}

/// A section of the debug file to be.
pub(crate) enum Part<'a> {
    /// As the instrumented module has it, or as the file has it.
    Copy(u8, &'a [u8]),
    /// A custom section of the file, by name and contents.
    Custom(&'a str, &'a [u8]),
}

impl<'a> DebugFile<'a> {
    /// Reads the file, and the debug information in it for code that went where `map` says.
    pub(crate) fn read(
        bytes: &'a [u8],
        module: &Module<'_>,
        map: &CodeMap,
    ) -> Result<(Self, dwarf::Rewritten), String> {
        Module::check(bytes).map_err(|error| format!("the file {error}"))?;
        let sections = sections(bytes).map_err(|error| format!("the file is damaged: {error}"))?;
        let file = DebugFile { bytes, sections };
        let dwarf = dwarf::Sections::new(file.sections.iter().filter_map(|s| s.custom));
        if dwarf.is_empty() {
            return Err("the file has none".to_owned());
        }
        for id in [SectionId::Type, SectionId::Function, SectionId::Code].map(|id| id as u8) {
            let theirs = file.find(id).filter(|contents| !is_omitted(id, contents));
            let ours = module.sections.iter().find(|section| section.id == id);
            if theirs.is_some() && theirs != ours.map(|section| module.contents(section)) {
                return Err("the file is that of another module".to_owned());
            }
        }
        let mut custom = file.sections.iter().filter_map(|section| section.custom);
        let theirs = custom.find(|&(name, _)| name == build_id::SECTION);
        if let (Some((_, theirs)), Some(ours)) = (theirs, module.custom(build_id::SECTION))
            && theirs != ours
        {
            return Err("the file is that of another build".to_owned());
        }
        match dwarf.rewrite(map) {
            Ok(rewritten) => Ok((file, rewritten)),
            Err(dwarf::Unusable { section, message }) => Err(format!("{section}: {message}")),
        }
    }

    /// What the file will be beside the module that was instrumented. It has the kinds of
    /// sections that it had, and those that instrumenting added.
    pub(crate) fn parts<'b>(
        &self,
        module: &Module<'_>,
        instrumented: &'b [u8],
    ) -> Result<Vec<Part<'b>>, wasmparser::Error>
    where
        'a: 'b,
    {
        let is_custom = |section: &&Section<'_>| section.custom.is_some();
        let custom = |section: &Section<'a>| {
            section.custom.map(|(name, contents)| Part::Custom(name, contents))
        };
        // `dylink.0` has to come first.
        let leading = self.sections.iter().take_while(is_custom).count();
        let leading = if leading == self.sections.len() { 0 } else { leading };
        let mut parts: Vec<_> = self.sections[..leading].iter().filter_map(custom).collect();
        let has_core = self.sections.iter().any(|section| section.custom.is_none());
        for section in sections(instrumented)?.iter().filter(|section| section.custom.is_none()) {
            let id = section.id;
            let added = has_core && module.sections.iter().all(|section| section.id != id);
            match self.find(id) {
                Some(contents) if is_omitted(id, contents) => parts.push(Part::Copy(id, contents)),
                None if !added => {}
                _ => parts.push(Part::Copy(id, &instrumented[section.range.clone()])),
            }
        }
        parts.extend(self.sections[leading..].iter().filter_map(custom));
        Ok(parts)
    }

    /// The contents of the section with an id.
    fn find(&self, id: u8) -> Option<&'a [u8]> {
        let section = self.sections.iter().find(|section| section.id == id);
        section.map(|section| &self.bytes[section.range.clone()])
    }
}

/// Whether the code is left out, as tools do that keep nothing but what debuggers need.
fn is_omitted(id: u8, contents: &[u8]) -> bool {
    id == SectionId::Code as u8 && leb::split(contents).is_ok_and(|(count, _)| count == 0)
}

/// The sections of a module, whatever is in them: a parser of modules takes functions
/// without code for an error.
fn sections(bytes: &[u8]) -> Result<Vec<Section<'_>>, wasmparser::Error> {
    let mut sections = Vec::new();
    let mut reader = BinaryReader::new(bytes, 0);
    reader.read_bytes(8)?;
    while !reader.eof() {
        let id = reader.read_u8()?;
        let mut contents = reader.read_reader()?;
        let range = contents.range();
        let custom = match id {
            0 => Some((contents.read_string()?, contents.read_bytes(contents.bytes_remaining())?)),
            _ => None,
        };
        sections.push(Section { id, range, custom });
    }
    Ok(sections)
}
