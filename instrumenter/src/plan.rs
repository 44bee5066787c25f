//! What an instrumentation will do, as plain data, before a byte is rewritten.

use observe_abi::map;

use crate::parse::{FuncIndex, Module};
use crate::scan::Exceptions;
use crate::select::{Candidate, Omission, Reason, Selection};
use crate::source::{SourceLocation, Sources};

/// The number of hooked functions from which cells live in a memory.
///
/// Globals cost every instance 16 bytes and 1.45 ns each; a memory 0.2 µs pooled
/// and 3 µs on demand at any number, but the default limits of wasmtime's pooling
/// allocator allow a module one memory only.
const CELLS_IN_MEMORY_FROM: usize = 1000;

/// The number of locals that a function may have, and the size of its body: see
/// [WebAssembly JavaScript Interface, "Implementation-defined Limits"](https://webassembly.github.io/spec/js-api/#limits).
const MAX_LOCALS: u64 = 50_000;
pub(crate) const MAX_BODY: usize = 7_654_321;

/// The number of memories that engines accept.
const MAX_MEMORIES: u32 = 100;

/// More bytes than the hooks add to a body beside what they add at each exit.
const HOOK_BYTES: usize = 128;

/// More bytes than the hooks add to a body at one exit.
const HOOK_BYTES_PER_SITE: usize = 32;

/// A hooked function's place in the function map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HookId(pub u32);

/// What an instrumentation will do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// A decision for each function that the module defines, in order of the index.
    pub functions: Vec<PlannedFunction>,
    /// Where the cells will be.
    pub cells: map::Cells,
    /// How hooked functions catch exceptions that leave them.
    pub exceptions: Exceptions,
}

/// A decision for one function.
#[derive(Clone, Debug)]
pub struct PlannedFunction {
    /// Which function.
    pub index: FuncIndex,
    /// Its name, demangled.
    pub name: String,
    /// Where its source begins, where that is known and the function is hooked.
    pub source: Option<SourceLocation>,
    /// How many instructions it has.
    pub instructions: u32,
    /// What will be done with it.
    pub decision: Decision,
}

/// What will be done with a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It gets hooks.
    Hook(HookId, Reason),
    /// It stays as it is, but for the indices that it names.
    Leave(Omission),
}

impl Plan {
    /// Decides for each function of a module.
    pub fn new(module: &Module<'_>, selection: &Selection) -> Self {
        let sources = Sources::new(module);
        let mut next = 0;
        let functions: Vec<_> = (module.first_defined()..)
            .zip(module.functions.iter().enumerate())
            .map(|(index, (place, function))| {
                let index = FuncIndex(index);
                let body = &function.body;
                let name = module.name(index);
                let exported =
                    module.start == Some(index) || module.export_names(index).next().is_some();
                let candidate =
                    Candidate { name: &name, raw_name: module.raw_name(index), exported, body };
                let ty = module.function_type(function);
                let params = ty.map_or(0, |ty| ty.ty.params().len());
                let size = body.bytes.len() + HOOK_BYTES + HOOK_BYTES_PER_SITE * body.sites.len();
                let decision = match selection.judge(&candidate) {
                    Err(omission) => Decision::Leave(omission),
                    Ok(_) if ty.is_none_or(|ty| ty.shared) => Decision::Leave(Omission::Shared),
                    Ok(_) if u64::from(body.locals) + params as u64 >= MAX_LOCALS => {
                        Decision::Leave(Omission::TooLarge)
                    }
                    Ok(_) if size > MAX_BODY => Decision::Leave(Omission::TooLarge),
                    Ok(reason) => {
                        let id = HookId(next);
                        next += 1;
                        Decision::Hook(id, reason)
                    }
                };
                let source = match decision {
                    Decision::Hook(..) => sources.of(place),
                    Decision::Leave(_) => None,
                };
                PlannedFunction { index, name, source, instructions: body.instructions, decision }
            })
            .collect();
        let cells = match next as usize >= CELLS_IN_MEMORY_FROM && module.memories < MAX_MEMORIES {
            true => map::Cells::Memory,
            false => map::Cells::Globals,
        };
        Plan { functions, cells, exceptions: module.exceptions }
    }

    /// The functions that get hooks, by id.
    pub fn hooked(&self) -> impl Iterator<Item = &PlannedFunction> {
        self.functions.iter().filter(|function| matches!(function.decision, Decision::Hook(..)))
    }

    /// How many functions stay as they are for the given reason.
    pub fn left_out(&self, omission: Omission) -> usize {
        let is = |function: &&PlannedFunction| function.decision == Decision::Leave(omission);
        self.functions.iter().filter(is).count()
    }

    /// The function map that will travel in the module that the plan was made for.
    pub fn function_map(&self, module: &Module<'_>) -> map::FunctionMap {
        let mut files = Vec::new();
        let mut indices = std::collections::HashMap::new();
        let functions = self
            .hooked()
            .map(|function| map::Function {
                index: function.index.0,
                name: function.name.clone(),
                source: function.source.as_ref().map(|source| {
                    let file = *indices.entry(&*source.file).or_insert_with(|| {
                        files.push(source.file.to_string());
                        files.len() as u32 - 1
                    });
                    map::Source { file, line: source.line }
                }),
            })
            .collect();
        map::FunctionMap { cells: self.cells, imports: module.first_defined(), files, functions }
    }
}
