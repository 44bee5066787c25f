//! What an instrumentation will do, as plain data, before a byte is rewritten.

use observe_abi::map;

use crate::allocations::{self, Allocator};
use crate::growth;
use crate::parse::{FuncIndex, Function, Module};
use crate::scan::Exceptions;
use crate::select::{Omission, Reason, Selection};
use crate::source::{SourceLocation, Sources};
use crate::warning::Warning;

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

/// The size of a module, in bytes, from the same place. Nothing that is written of one within
/// it comes near the 4 GiB that the length of a section can tell.
pub(crate) const MAX_MODULE: usize = 1 << 30;

/// The number of memories that engines accept.
const MAX_MEMORIES: usize = 100;

/// More bytes than the hooks add to a body beside what they add at each exit.
const HOOK_BYTES: usize = 128;

/// More bytes than the hooks add to a body at one exit, and for one parameter.
const HOOK_BYTES_PER_SITE: usize = 32;
const HOOK_BYTES_PER_PARAMETER: u64 = 4;

/// A hooked function's place in the function map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HookId(pub u32);

/// What an instrumentation will do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// A decision for each function that the module imports, in order of the index: whether
    /// its calls get hooks.
    pub imports: Vec<PlannedFunction>,
    /// A decision for each function that the module defines, in order of the index.
    pub functions: Vec<PlannedFunction>,
    /// Functions whose calls will be told for the heap's sake, by index.
    pub allocators: Vec<Allocator>,
    /// Whose hooks will be called.
    pub abi: Abi,
    /// Whether cells in a memory are counted down by a function of their own: hooks take
    /// half the room, and each call of a hooked function one call more. Nor do they ask more
    /// of the engine than a second memory, while others need tail calls.
    pub compact: bool,
    /// Where the cells will be.
    pub cells: map::Cells,
    /// How hooked functions catch exceptions that leave them.
    pub exceptions: Exceptions,
    /// What the selection asked that the module does not answer.
    pub warnings: Vec<Warning>,
}

/// Whose hooks an instrumented module calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Abi {
    /// Ours: `observe:hooks`.
    #[default]
    Observe,
    /// Those that the hosts of observe-sdk provide: `dylibso:observe/instrument`. Each call
    /// is told, so there are no cells; growing tables and the heap are not.
    Dylibso,
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
    /// How many instructions it has; an import has none.
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
        let judge = selection.judge(module, &sources);
        let mut verdicts: Vec<_> = module
            .functions
            .iter()
            .enumerate()
            .map(|(place, function)| {
                let name = module.name(FuncIndex(module.first_defined() + place as u32));
                let verdict = judge.judge(place, function, &name);
                (name, verdict.and_then(|reason| can_have_hooks(module, function).map(|()| reason)))
            })
            .collect();
        if let Some(percent) = selection.growth_limit() {
            growth::limit(module, percent, &mut verdicts);
        }
        let mut next = 0;
        let imports = (0..)
            .zip(&module.imports)
            .map(|(index, import)| {
                let index = FuncIndex(index);
                let name = module.name(index);
                let verdict = judge.judge_import(import.module, &name);
                let ty = module.function_type(import.type_index);
                let decision = match verdict {
                    Ok(_) if ty.is_none_or(|ty| ty.shared) => Decision::Leave(Omission::Shared),
                    Ok(_) if !import.exact && ty.is_some_and(|ty| !ty.is_final) => {
                        Decision::Leave(Omission::Open)
                    }
                    Ok(reason) => hook(&mut next, reason),
                    Err(omission) => Decision::Leave(omission),
                };
                PlannedFunction { index, name, source: None, instructions: 0, decision }
            })
            .collect();
        let functions = (module.first_defined()..)
            .zip(module.functions.iter().zip(verdicts).enumerate())
            .map(|(index, (place, (function, (name, verdict))))| {
                let (decision, source) = match verdict {
                    Ok(reason) => (hook(&mut next, reason), sources.of(place)),
                    Err(omission) => (Decision::Leave(omission), None),
                };
                let (index, instructions) = (FuncIndex(index), function.body.instructions);
                PlannedFunction { index, name, source, instructions, decision }
            })
            .collect();
        let room = module.memories.len() < MAX_MEMORIES;
        let cells = match next as usize >= CELLS_IN_MEMORY_FROM && room {
            true => map::Cells::Memory,
            false => map::Cells::Globals,
        };
        let allocators = match selection.tells_allocations() {
            true => allocations::find(module),
            false => Vec::new(),
        };
        let unanswered = selection.asks_for_sources() && sources.is_empty();
        let warnings = unanswered.then_some(Warning::NoSources).into_iter().collect();
        Plan {
            imports,
            functions,
            allocators,
            abi: Abi::default(),
            compact: false,
            cells,
            exceptions: module.exceptions,
            warnings,
        }
    }

    /// The functions of the module that get hooks.
    pub fn hooked(&self) -> impl Iterator<Item = &PlannedFunction> {
        self.functions.iter().filter(|function| function.is_hooked())
    }

    /// The imported functions whose calls get hooks.
    pub fn hooked_imports(&self) -> impl Iterator<Item = &PlannedFunction> {
        self.imports.iter().filter(|import| import.is_hooked())
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.hooks().next().is_none() && self.allocators.is_empty()
    }

    /// All that get hooks, by id.
    pub(crate) fn hooks(&self) -> impl Iterator<Item = &PlannedFunction> {
        self.hooked_imports().chain(self.hooked())
    }

    /// How many functions of the module stay as they are for the given reason.
    pub fn left_out(&self, omission: Omission) -> usize {
        let is = |function: &&PlannedFunction| function.decision == Decision::Leave(omission);
        self.functions.iter().filter(is).count()
    }

    /// The function map that will travel in the module that the plan was made for.
    pub fn function_map(&self, module: &Module<'_>) -> map::FunctionMap {
        let mut files = Vec::new();
        let mut indices = std::collections::HashMap::new();
        let functions = self
            .hooks()
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
        map::FunctionMap {
            cells: self.cells,
            imports: module.first_defined(),
            defined: module.functions.len() as u32,
            files,
            functions,
        }
    }
}

impl PlannedFunction {
    pub(crate) fn is_hooked(&self) -> bool {
        matches!(self.decision, Decision::Hook(..))
    }
}

/// Hooks, with the next id.
fn hook(next: &mut u32, reason: Reason) -> Decision {
    let id = HookId(*next);
    *next += 1;
    Decision::Hook(id, reason)
}

/// Whether hooks in a function would be valid and leave it within the limits of engines.
fn can_have_hooks(module: &Module<'_>, function: &Function<'_>) -> Result<(), Omission> {
    let body = &function.body;
    let Some(ty) = module.function_type(function.type_index).filter(|ty| !ty.shared) else {
        return Err(Omission::Shared);
    };
    let params = ty.ty.params().len() as u64;
    let locals = u64::from(body.locals) + params;
    let hooks = HOOK_BYTES as u64
        + HOOK_BYTES_PER_SITE as u64 * body.sites.len() as u64
        + HOOK_BYTES_PER_PARAMETER * params;
    let size = body.bytes.len() as u64 + hooks;
    match locals >= MAX_LOCALS || size > MAX_BODY as u64 {
        true => Err(Omission::TooLarge),
        false => Ok(()),
    }
}
