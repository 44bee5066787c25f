//! The function map: which function an id stands for.
//!
//! It travels in the custom section [`SECTION`] of an instrumented module, so that
//! a host needs nothing but the module. Strings are UTF-8, integers unsigned
//! LEB128:
//!
//! ```text
//! map      := version:u8=2  cells:u8  imports:int  defined:int  files:int string*  functions:int function*
//! string   := length:int byte*         (at most 1,024 bytes)
//! function := skipped:int  shared:int  suffix:string  file:int  [line:int]
//! ```
//!
//! The id of a function is its place in the list. `skipped` is the number of
//! functions between it and its predecessor, which are not hooked; a name
//! shares its first `shared` bytes with the name before, and is empty where the function
//! has none, and so is called by its index, as in `wasm-function[7]`; `file` is 0 where no
//! position is known, otherwise one more than the index of the file.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The name of the custom section.
pub const SECTION: &str = "observe:map";

/// The version that this crate writes and reads.
pub const VERSION: u8 = 2;

/// The length in bytes that a name or a path may have.
pub const MAX_STRING: usize = 1024;

/// Where the cells of a module are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cells {
    /// In a memory of their own, exported as [`hooks::CELLS_MEMORY`](crate::hooks::CELLS_MEMORY).
    Memory,
    /// In globals, read by functions named [`hooks::CELLS_READER_PREFIX`](crate::hooks::CELLS_READER_PREFIX).
    Globals,
}

/// A place in the source that a function was compiled from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The index of the file in [`FunctionMap::files`].
    pub file: u32,
    /// The line, from 1; 0 where the compiler named none.
    pub line: u32,
}

/// A hooked function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its index in the module before instrumentation.
    pub index: u32,
    /// Its name, demangled; one without is called by [`index_name`].
    pub name: String,
    /// Where its source begins, where that is known.
    pub source: Option<Source>,
}

/// What the ids of an instrumented module stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionMap {
    /// Where the cells are.
    pub cells: Cells,
    /// How many functions the module imported before instrumentation. The functions below
    /// with lower indices are such imports, whose calls are hooked.
    pub imports: u32,
    /// How many functions the module defined before instrumentation.
    ///
    /// In the instrumented module the imported hooks stand between the imports and these;
    /// behind these stands, for each hooked import in turn, the function that is called in
    /// its place, and then what else the hooks need.
    pub defined: u32,
    /// Paths of source files.
    pub files: Vec<String>,
    /// The hooked functions, by id, in ascending order of their index.
    pub functions: Vec<Function>,
}

/// Why a section is not a function map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// It is of another version.
    Version(u8),
    /// It ends too early, or holds what no map holds, at this byte.
    Malformed(usize),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MapError::Version(version) => write!(
                f,
                "the function map is of version {version} and this host reads version {VERSION}; \
                 instrument the original module again"
            ),
            MapError::Malformed(at) => write!(f, "the function map is damaged at byte {at}"),
        }
    }
}

impl core::error::Error for MapError {}

impl FunctionMap {
    /// The contents of the custom section.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.push(VERSION);
        out.push(match self.cells {
            Cells::Memory => 0,
            Cells::Globals => 1,
        });
        write_int(&mut out, self.imports);
        write_int(&mut out, self.defined);
        write_int(&mut out, self.files.len() as u32);
        for file in &self.files {
            write_bytes(&mut out, file.as_bytes());
        }
        write_int(&mut out, self.functions.len() as u32);
        let mut next = 0u32;
        let mut previous: &[u8] = &[];
        for function in &self.functions {
            write_int(&mut out, function.index.wrapping_sub(next));
            next = function.index.wrapping_add(1);
            let name = match function.name == index_name(function.index) {
                true => &[],
                false => function.name.as_bytes(),
            };
            let shared = shared_prefix(previous, name);
            write_int(&mut out, shared as u32);
            write_bytes(&mut out, &name[shared..]);
            previous = name;
            match &function.source {
                None => write_int(&mut out, 0),
                Some(source) => {
                    write_int(&mut out, source.file + 1);
                    write_int(&mut out, source.line);
                }
            }
        }
        out
    }

    /// Reads the contents of the custom section.
    ///
    /// The result takes memory in proportion to the names that it spells out;
    /// `max_name_bytes` bounds their sum, since shared prefixes let a few bytes
    /// of a hostile map stand for many.
    ///
    /// # Errors
    ///
    /// [`MapError`] says whether the version or the contents are at fault.
    pub fn decode(section: &[u8], max_name_bytes: usize) -> Result<Self, MapError> {
        let mut reader = Reader { bytes: section, at: 0 };
        let version = reader.byte()?;
        if version != VERSION {
            return Err(MapError::Version(version));
        }
        let cells = match reader.byte()? {
            0 => Cells::Memory,
            1 => Cells::Globals,
            _ => return Err(MapError::Malformed(1)),
        };
        let imports = reader.int()?;
        let defined = reader.int()?;
        let count = reader.int()?;
        let mut files = Vec::new();
        for _ in 0..count {
            let at = reader.at;
            let file = core::str::from_utf8(reader.string()?);
            let file = file.ok().filter(|file| file.len() <= MAX_STRING);
            files.push(String::from(file.ok_or(MapError::Malformed(at))?));
        }
        let count = reader.int()?;
        let mut functions = Vec::<Function>::new();
        let mut previous = Vec::new();
        let mut next = 0u32;
        let mut name_bytes = 0;
        for _ in 0..count {
            let at = reader.at;
            let malformed = MapError::Malformed(at);
            let index = next.checked_add(reader.int()?).ok_or(malformed)?;
            next = index.checked_add(1).ok_or(malformed)?;
            let shared = reader.int()? as usize;
            let shared = previous.get(..shared).ok_or(malformed)?;
            let name = [shared, reader.string()?].concat();
            name_bytes += name.len();
            if name.len() > MAX_STRING || name_bytes > max_name_bytes {
                return Err(malformed);
            }
            previous.clone_from(&name);
            let name = match name.is_empty() {
                true => index_name(index),
                false => String::from_utf8(name).map_err(|_| malformed)?,
            };
            let source = match reader.int()? {
                0 => None,
                file if file as usize <= files.len() => {
                    Some(Source { file: file - 1, line: reader.int()? })
                }
                _ => return Err(malformed),
            };
            functions.push(Function { index, name, source });
        }
        if reader.at != section.len() {
            return Err(MapError::Malformed(reader.at));
        }
        Ok(FunctionMap { cells, imports, defined, files, functions })
    }
}

/// What a function without a name is called, as in the stack traces of the
/// [WebAssembly Web API](https://webassembly.github.io/spec/web-api/#conventions).
pub fn index_name(index: u32) -> String {
    alloc::format!("wasm-function[{index}]")
}

/// How many bytes the two names have in common from the start.
fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn write_int(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_int(out, bytes.len() as u32);
    out.extend_from_slice(bytes);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, MapError> {
        let byte = *self.bytes.get(self.at).ok_or(MapError::Malformed(self.at))?;
        self.at += 1;
        Ok(byte)
    }

    fn int(&mut self) -> Result<u32, MapError> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| MapError::Malformed(start));
            }
        }
        Err(MapError::Malformed(start))
    }

    fn string(&mut self) -> Result<&'a [u8], MapError> {
        let len = self.int()? as usize;
        let rest = &self.bytes[self.at..];
        let string = rest.get(..len).ok_or(MapError::Malformed(self.at))?;
        self.at += len;
        Ok(string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn sample() -> FunctionMap {
        let function = |index, name: &str, source| Function { index, name: name.into(), source };
        FunctionMap {
            cells: Cells::Globals,
            imports: 3,
            defined: 69_999,
            files: vec!["src/main.rs".into(), "src/größe.rs".into()],
            functions: vec![
                function(1, "env.clock", None),
                function(3, "main", Some(Source { file: 0, line: 7 })),
                function(4, "main::größe", Some(Source { file: 1, line: 70_000 })),
                function(200, "main::grün", None),
                function(70_000, "wasm-function[70000]", None),
                function(70_001, "main::x", None),
            ],
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let map = sample();
        assert_eq!(FunctionMap::decode(&map.encode(), 1000), Ok(map));
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let map = FunctionMap {
            cells: Cells::Memory,
            imports: 2,
            defined: 4,
            files: vec!["a.c".into()],
            functions: vec![
                Function { index: 2, name: "ab".into(), source: None },
                Function {
                    index: 5,
                    name: "ac".into(),
                    source: Some(Source { file: 0, line: 300 }),
                },
                Function { index: 6, name: "wasm-function[6]".into(), source: None },
            ],
        };
        let expected = [
            &[2, 0, 2, 4, 1, 3][..],
            b"a.c",
            &[3, 2, 0, 2],
            b"ab",
            &[0, 2, 1, 1],
            b"c",
            &[1, 0xac, 0x02, 0, 0, 0, 0],
        ]
        .concat();
        assert_eq!(map.encode(), expected);
    }

    #[test]
    fn no_prefix_and_no_flipped_byte_panics() {
        let bytes = sample().encode();
        for len in 0..bytes.len() {
            assert!(FunctionMap::decode(&bytes[..len], 1000).is_err(), "{len} bytes");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let _ = FunctionMap::decode(&damaged, 1000);
            }
        }
    }

    #[test]
    fn names_beyond_the_bound_are_refused() {
        let bytes = sample().encode();
        assert!(matches!(FunctionMap::decode(&bytes, 20), Err(MapError::Malformed(_))));
    }

    #[test]
    fn strings_beyond_the_bound_are_refused() {
        for (length, fits) in [(MAX_STRING, true), (MAX_STRING + 1, false)] {
            let mut named = sample();
            named.functions[4].name = "x".repeat(length);
            assert_eq!(FunctionMap::decode(&named.encode(), 10_000).is_ok(), fits);
            let mut filed = sample();
            filed.files[0] = "x".repeat(length);
            assert_eq!(FunctionMap::decode(&filed.encode(), 10_000).is_ok(), fits);
        }
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = sample().encode();
        bytes[0] = 9;
        let error = FunctionMap::decode(&bytes, 1000).expect_err("of version 9");
        assert_eq!(error, MapError::Version(9));
        assert!(error.to_string().contains("version 9"), "{error}");
    }
}
