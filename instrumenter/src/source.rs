//! Where a function's source is, as the module's own DWARF tells.

use gimli::{EndianSlice, LittleEndian, SectionId};

use crate::Module;
use crate::parse::Function;

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLocation {
    /// The path as the compiler recorded it.
    pub file: String,
    /// The line, from 1; 0 where the compiler named none.
    pub line: u32,
}

/// Finds source positions; without usable DWARF it finds none.
pub(crate) struct Sources<'a> {
    context: Option<addr2line::Context<EndianSlice<'a, LittleEndian>>>,
    code_start: usize,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(module: &Module<'a>) -> Self {
        let custom = |wanted: &str| {
            let mut sections = module.sections.iter().filter_map(|section| section.custom);
            sections.find(|&(name, _)| name == wanted).map(|(_, contents)| contents)
        };
        let section = |id: SectionId| -> Result<_, gimli::Error> {
            Ok(EndianSlice::new(custom(id.name()).unwrap_or_default(), LittleEndian))
        };
        // Debug information that cannot be read is as good as none: it is not
        // part of what the module means.
        let context = gimli::Dwarf::load(section)
            .and_then(addr2line::Context::from_dwarf)
            .ok()
            .filter(|_| custom(SectionId::DebugLine.name()).is_some());
        Sources { context, code_start: module.code.start }
    }

    /// The line that the first instruction of a function was compiled from.
    pub(crate) fn of(&self, function: &Function<'_>) -> Option<SourceLocation> {
        // DWARF for WebAssembly counts from the start of the code section's
        // contents (https://yurydelendik.github.io/webassembly-dwarf/#pc).
        let body = &function.body;
        let start = body.offset.checked_sub(self.code_start)? as u64;
        let find = |address| self.context.as_ref()?.find_location(address).ok()?;
        let location = find(start).or_else(|| find(start + u64::from(body.code_start)))?;
        Some(SourceLocation {
            file: location.file?.to_owned(),
            line: location.line.unwrap_or_default(),
        })
    }
}
