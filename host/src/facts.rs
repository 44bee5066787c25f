//! What the host wants to know of a module and wasmtime does not tell.

use observe_abi::hooks;
use wasmparser::{ExternalKind, MemoryType, Parser, Payload, TypeRef};
use wasmtime::{Engine, Module};

/// The exports and memories of a module.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The indices of exported functions.
    pub(crate) exports: Vec<u32>,
    /// Whether it imports a memory.
    imports_memory: bool,
    /// The bytes that the memories it defines begin with, those of cells left out.
    defined_bytes: u64,
    /// How many memories it has, imported ones included.
    pub(crate) memories: u32,
}

impl Facts {
    /// Reads a module that is valid; of another one, some of it.
    pub(crate) fn read(wasm: &[u8]) -> Facts {
        let mut facts = Facts::default();
        let mut memories: Vec<Option<MemoryType>> = Vec::new();
        let mut parser = Parser::new(0);
        let mut rest = wasm;
        while let Ok(wasmparser::Chunk::Parsed { consumed, payload }) = parser.parse(rest, true) {
            rest = &rest[consumed..];
            match payload {
                Payload::ImportSection(section) => {
                    for import in section.into_imports().flatten() {
                        if let TypeRef::Memory(_) = import.ty {
                            facts.imports_memory = true;
                            memories.push(None);
                        }
                    }
                }
                Payload::MemorySection(section) => {
                    memories.extend(section.into_iter().flatten().map(Some));
                }
                Payload::ExportSection(section) => {
                    for export in section.into_iter().flatten() {
                        match export.kind {
                            ExternalKind::Func => facts.exports.push(export.index),
                            ExternalKind::Memory if export.name == hooks::CELLS_MEMORY => {
                                if let Some(memory) = memories.get_mut(export.index as usize) {
                                    *memory = None;
                                }
                            }
                            _ => {}
                        }
                    }
                }
                // Nothing of interest stands behind these.
                Payload::CodeSectionStart { .. } | Payload::End(_) => break,
                _ => {}
            }
        }
        facts.memories = memories.len() as u32;
        facts.defined_bytes = memories.iter().flatten().fold(0, |sum: u64, memory| {
            let page = 1u64.checked_shl(memory.page_size_log2.unwrap_or(16)).unwrap_or(0);
            sum.saturating_add(memory.initial.saturating_mul(page))
        });
        facts
    }

    /// The bytes of all memories of the module at first; `None` where one is imported.
    pub(crate) fn initial_memory_bytes(&self) -> Option<u64> {
        (!self.imports_memory).then_some(self.defined_bytes)
    }

    /// Whether an engine takes modules with one memory more than this one has: the pooling
    /// allocator's default takes one in all.
    pub(crate) fn takes_one_memory_more(&self, engine: &Engine) -> bool {
        let memories = self.memories.saturating_add(1).min(127) as u8;
        // A memory section of so many, each of no pages.
        let mut wasm = b"\0asm\x01\0\0\0\x05".to_vec();
        let section: Vec<u8> =
            std::iter::once(memories).chain((0..memories).flat_map(|_| [0, 0])).collect();
        let length = section.len() as u16;
        wasm.extend([length as u8 & 0x7f | 0x80, (length >> 7) as u8]);
        wasm.extend(section);
        Module::from_binary(engine, &wasm).is_ok()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.imports_memory)];
        bytes.extend(self.defined_bytes.to_le_bytes());
        bytes.extend(self.memories.to_le_bytes());
        bytes.extend(self.exports.iter().flat_map(|export| export.to_le_bytes()));
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Facts> {
        let (&[imports_memory], rest) = bytes.split_first_chunk()?;
        let (defined_bytes, rest) = rest.split_first_chunk()?;
        let (memories, rest) = rest.split_first_chunk()?;
        let (exports, []) = rest.as_chunks() else { return None };
        Some(Facts {
            exports: exports.iter().map(|export| u32::from_le_bytes(*export)).collect(),
            imports_memory: imports_memory != 0,
            defined_bytes: u64::from_le_bytes(*defined_bytes),
            memories: u32::from_le_bytes(*memories),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_and_come_back() {
        let wasm = wat::parse_str(
            r#"(module
                 (memory 2)
                 (memory (export "observe:cells") 9)
                 (func) (func $f) (export "f" (func $f)))"#,
        );
        let facts = Facts::read(&wasm.expect("valid text"));
        assert_eq!(facts.initial_memory_bytes(), Some(2 << 16));
        assert_eq!((&*facts.exports, facts.memories), (&[1][..], 2));
        assert_eq!(Facts::decode(&facts.encode()), Some(facts));
        assert_eq!(Facts::decode(b"\0\0"), None);
    }

    #[test]
    fn what_an_engine_takes_is_asked_of_it() {
        let facts = Facts { memories: 1, ..Facts::default() };
        assert!(facts.takes_one_memory_more(&Engine::default()));
        let mut config = wasmtime::Config::new();
        config.allocation_strategy(wasmtime::InstanceAllocationStrategy::pooling());
        let pooling = Engine::new(&config).expect("an engine");
        assert!(!facts.takes_one_memory_more(&pooling));
        assert!(Facts::default().takes_one_memory_more(&pooling));
    }
}
