//! Modules from a seed.

use arbitrary::Unstructured;
use wasm_smith::{Config, InstructionKind, InstructionKinds, MemoryOffsetChoices};
use wasmparser::{Operator, Parser, Payload};

use super::values::Random;

/// The bytes of memory that one may begin with.
const MEMORY: u64 = 2 << 16;

/// The kinds of instructions that a module may have beside those of control.
const KINDS: [InstructionKind; 8] = [
    InstructionKind::Aggregate,
    InstructionKind::Memory,
    InstructionKind::Numeric,
    InstructionKind::Parametric,
    InstructionKind::Reference,
    InstructionKind::Table,
    InstructionKind::Variable,
    InstructionKind::Vector,
];

/// A module that goes with the seed; each uses some of the proposals.
pub(super) fn module(seed: u64) -> Option<Vec<u8>> {
    let mut random = Random::new(seed);
    // Fewer kinds of instructions at a time leave room for calls.
    let mut kinds = vec![InstructionKind::Control];
    kinds.extend(KINDS.into_iter().filter(|_| random.percent(60)));
    let mut on = |percent| random.percent(percent);
    let config = Config {
        allow_start_export: on(25),
        allowed_instructions: InstructionKinds::new(&kinds),
        bulk_memory_enabled: on(90),
        custom_page_sizes_enabled: on(25),
        disallow_traps: on(60),
        exceptions_enabled: on(65),
        // What is not exported is small enough to be left alone now and then.
        export_everything: on(70),
        extended_const_enabled: on(80),
        gc_enabled: on(60),
        generate_custom_sections: on(20),
        memory64_enabled: on(50),
        memory_max_size_required: on(50),
        multi_value_enabled: on(90),
        reference_types_enabled: on(95),
        relaxed_simd_enabled: on(50),
        simd_enabled: on(60),
        tail_call_enabled: on(70),
        threads_enabled: on(25),
        wide_arithmetic_enabled: on(50),
        max_data_segments: 4,
        max_element_segments: 6,
        max_elements: 12,
        max_funcs: 16,
        max_globals: 8,
        max_imports: 8,
        max_instructions: if on(50) { 30 } else { 200 },
        max_memories: if on(30) { 3 } else { 1 },
        max_memory32_bytes: MEMORY,
        max_memory64_bytes: MEMORY.into(),
        max_table_elements: 40,
        max_tables: 3,
        max_tags: 3,
        max_types: 12,
        // Offsets that are mostly within.
        memory_offset_choices: MemoryOffsetChoices(95, 4, 1),
        min_exports: 4,
        min_funcs: if on(30) { 2 } else { 8 },
        min_globals: 2,
        min_imports: if on(50) { 2 } else { 0 },
        min_tags: 1,
        min_types: if on(50) { 4 } else { 10 },
        // Integers as linkers pad them.
        min_uleb_size: if on(20) { 5 } else { 1 },
        ..Config::default()
    };
    let mut bytes = vec![0; 2048 << random.below(5)];
    for word in bytes.as_chunks_mut().0 {
        *word = random.next().to_le_bytes();
    }
    let module = wasm_smith::Module::new(config, &mut Unstructured::new(&bytes)).ok()?;
    Some(module.to_bytes())
}

/// What is in a module.
#[derive(Default)]
pub(super) struct Contents {
    /// The proposals that its instructions and memories are of, as wasmparser calls them.
    pub(super) proposals: Vec<&'static str>,
    /// Whether it may wait for another thread, for ever.
    pub(super) waits: bool,
}

impl Contents {
    fn has(&mut self, proposal: &'static str, has: bool) {
        if has && !self.proposals.contains(&proposal) {
            self.proposals.push(proposal);
        }
    }
}

/// Looks through a module's memories and its code.
pub(super) fn contents(wasm: &[u8]) -> Result<Contents, wasmparser::Error> {
    let mut contents = Contents::default();
    for payload in Parser::new(0).parse_all(wasm) {
        let body = match payload? {
            Payload::CodeSectionEntry(body) => body,
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory?;
                    contents.has("memory64", memory.memory64);
                    contents.has("custom_page_sizes", memory.page_size_log2.is_some());
                }
                continue;
            }
            _ => continue,
        };
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            contents.waits |= matches!(
                operator,
                Operator::MemoryAtomicWait32 { .. } | Operator::MemoryAtomicWait64 { .. }
            );
            contents.has(proposal(&operator), true);
        }
    }
    Ok(contents)
}

macro_rules! proposals {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $ty:ty),* })? => $visit:ident ($($ann:tt)*) )*) => {
        /// The proposal that an instruction is of.
        fn proposal(operator: &Operator<'_>) -> &'static str {
            match operator {
                $( Operator::$op { .. } => stringify!($proposal), )*
                _ => "other",
            }
        }
    };
}
wasmparser::for_each_operator!(proposals);
