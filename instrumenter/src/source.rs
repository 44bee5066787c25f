//! Where a function's source is, as the module's own line tables tell.
//!
//! One pass over `.debug_line`, which is all that is needed: no other section is
//! read, so the time is linear in that one, however the others refer to it.

use std::collections::HashMap;
use std::sync::Arc;

use gimli::{
    AttributeValue, DebugLine, DebugLineOffset, DebugLineStr, DebugStr, EndianSlice, FileEntry,
    LineProgramHeader, LittleEndian, Section as _, SectionId,
};
use observe_abi::map::MAX_STRING;

use crate::Module;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLocation {
    /// The path as the line table has it: where it is relative, it is so to the folder
    /// that the compiler ran in.
    pub file: Arc<str>,
    /// The line, from 1; 0 where the compiler named none.
    pub line: u32,
}

/// Source positions of the functions that a module defines, by their place.
pub(crate) struct Sources(HashMap<usize, SourceLocation>);

impl Sources {
    /// Reads the line tables. Without usable ones there are no positions.
    pub(crate) fn new(module: &Module<'_>) -> Self {
        let mut lines = Lines::new(module);
        // What cannot be read any further is as good as not there: debug information
        // is not part of what a module means.
        let _ = lines.read_all();
        Sources(lines.found)
    }

    /// Whether nothing is known of any function.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The path of the file in which the function at the given place begins.
    pub(crate) fn path(&self, function: usize) -> Option<&str> {
        self.0.get(&function).map(|location| &*location.file)
    }

    /// The line that the function at the given place begins with.
    pub(crate) fn of(&self, function: usize) -> Option<SourceLocation> {
        self.0.get(&function).cloned()
    }
}

/// A walk through the line tables.
struct Lines<'a> {
    debug_line: DebugLine<Bytes<'a>>,
    debug_line_str: DebugLineStr<Bytes<'a>>,
    debug_str: DebugStr<Bytes<'a>>,
    /// The addresses at which functions begin, in ascending order, and that of the
    /// first instruction.
    starts: Vec<(u64, u64)>,
    found: HashMap<usize, SourceLocation>,
    /// How many times more a row may be held against a function. Rows of real tables
    /// cover few functions each; hostile ones might all cover all.
    patience: usize,
}

impl<'a> Lines<'a> {
    fn new(module: &Module<'a>) -> Self {
        let custom = |id: SectionId| {
            let mut sections = module.sections.iter().filter_map(|section| section.custom);
            sections.find(|&(name, _)| name == id.name()).map_or(&[][..], |(_, bytes)| bytes)
        };
        // DWARF for WebAssembly counts from the start of the code section's contents
        // (https://yurydelendik.github.io/webassembly-dwarf/#pc).
        let starts = module.functions.iter().map(|function| {
            let start = function.body.offset.saturating_sub(module.code.start) as u64;
            (start, start + u64::from(function.body.code_start))
        });
        let bytes = custom(SectionId::DebugLine);
        Lines {
            debug_line_str: DebugLineStr::new(custom(SectionId::DebugLineStr), LittleEndian),
            debug_str: DebugStr::new(custom(SectionId::DebugStr), LittleEndian),
            patience: 16 * (module.functions.len() + bytes.len()),
            debug_line: DebugLine::new(bytes, LittleEndian),
            starts: starts.collect(),
            found: HashMap::new(),
        }
    }

    fn read_all(&mut self) -> Result<(), gimli::Error> {
        let size = self.debug_line.reader().len();
        let mut offset = 0;
        while offset < size {
            let program =
                self.debug_line.clone().program(DebugLineOffset(offset), 4, None, None)?;
            let header = program.header();
            let length = usize::from(header.format().initial_length_size()) + header.unit_length();
            self.read(program)?;
            offset = offset.saturating_add(length.max(1));
        }
        Ok(())
    }

    /// Reads the table of one compilation unit.
    fn read(
        &mut self,
        program: gimli::IncompleteLineProgram<Bytes<'a>>,
    ) -> Result<(), gimli::Error> {
        let mut paths = HashMap::new();
        let mut rows = program.rows();
        // The address, file and line of the row before, within a sequence.
        let mut before: Option<(u64, u64, u32)> = None;
        while let Some((header, row)) = rows.next_row()? {
            if let Some((address, file, line)) = before.take() {
                let end = row.address();
                let first = self.starts.partition_point(|&(_, code)| code < address);
                for place in first..self.starts.len() {
                    let (start, code) = self.starts[place];
                    if start >= end {
                        break;
                    }
                    let Some(patience) = self.patience.checked_sub(1) else { return Ok(()) };
                    self.patience = patience;
                    // A row belongs to the functions that begin in its range, or whose
                    // first instruction does.
                    let begins = start >= address || (code >= address && code < end);
                    if !begins || self.found.contains_key(&place) {
                        continue;
                    }
                    let path = paths.entry(file).or_insert_with(|| {
                        let entry = header.file(file)?;
                        self.path(header, entry)
                    });
                    if let Some(path) = path {
                        let file = Arc::clone(path);
                        self.found.insert(place, SourceLocation { file, line });
                    }
                }
            }
            // Address 0 marks code that the linker has left out.
            if !row.end_sequence() && row.address() > 0 {
                let line = row.line().map_or(0, |line| u32::try_from(line.get()).unwrap_or(0));
                before = Some((row.address(), row.file_index(), line));
            }
        }
        Ok(())
    }

    /// The path of a file; `None` where it cannot be read, or is longer than 1,024 bytes.
    fn path(
        &self,
        header: &LineProgramHeader<Bytes<'a>>,
        file: &FileEntry<Bytes<'a>>,
    ) -> Option<Arc<str>> {
        let name = self.string(&file.path_name())?;
        // In DWARF 4 and before, directory 0 is the one that the compiler ran in, which
        // stands elsewhere.
        let directory = match file.directory_index() {
            0 if header.version() <= 4 => None,
            _ => file.directory(header).and_then(|directory| self.string(&directory)),
        };
        let is_whole = name.starts_with('/') || name.contains("://") || name.contains(":\\");
        let path = match directory {
            Some(directory) if !is_whole && !directory.is_empty() => format!("{directory}/{name}"),
            _ => name.to_owned(),
        };
        (path.len() <= MAX_STRING).then(|| path.into())
    }

    fn string(&self, value: &AttributeValue<Bytes<'a>>) -> Option<&'a str> {
        let bytes = match value {
            AttributeValue::String(bytes) => *bytes,
            AttributeValue::DebugLineStrRef(offset) => self.debug_line_str.get_str(*offset).ok()?,
            AttributeValue::DebugStrRef(offset) => self.debug_str.get_str(*offset).ok()?,
            _ => return None,
        };
        std::str::from_utf8(bytes.slice()).ok()
    }
}
