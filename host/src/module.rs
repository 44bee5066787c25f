//! A module that can be observed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use observe_abi::map;
use observe_instrumenter::{
    Abi, Cells, Module as Parsed, Plan, Selection, Warning, read_function_map,
};
use wasmtime::{Engine, Module, ModuleExport};

use crate::Error;
use crate::contract;
use crate::facts::Facts;
use crate::functions::Functions;
use crate::observe_sdk;

/// An instrumented module, compiled, and what the ids of its hooks stand for.
///
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct ObservedModule(Arc<ModuleInfo>);

/// What is known of a module, and shared by all its stores.
pub(crate) struct ModuleInfo {
    pub(crate) module: Module,
    pub(crate) functions: Functions,
    facts: Facts,
    pub(crate) initial_memory_bytes: Option<u64>,
    /// The memory that guests' addresses are of.
    pub(crate) memory_export: Option<ModuleExport>,
    /// Whether it was made for observe-sdk, and so has no cells of its own.
    pub(crate) tells_each_call: bool,
    /// How many functions the hooks added to the imported ones.
    added: u32,
    /// By id, whether calls of it cross the boundary of the guest.
    boundary: Box<[bool]>,
    /// By id, the period that traces of this module found for it, as a power of two: where
    /// new instances begin.
    learned: Box<[AtomicU8]>,
    /// By id, the function in which traces of this module last timed a call of it.
    callers: Box<[AtomicU32]>,
    warnings: Vec<Warning>,
}

impl fmt::Debug for ModuleInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModuleInfo")
            .field("module", &self.module)
            .field("functions", &self.functions)
            .finish_non_exhaustive()
    }
}

impl ObservedModule {
    /// Compiles a module, and instruments it first if it is not instrumented yet.
    ///
    /// One that was made for observe-sdk, which tells each call to `dylibso:observe/instrument` or
    /// `dylibso_observe`, is taken as it is. Its functions have the names of its name section.
    ///
    /// `selection` says which functions get hooks; it is not used for a module that
    /// has them already. Cells go into a memory of their own if the engine takes modules with one
    /// memory more, and otherwise into globals.
    ///
    /// # Errors
    ///
    /// [`Error`], where the bytes are no module that can be instrumented, the hooks or annotations
    /// in them are not what this host provides, or the engine does not take the result.
    pub fn new(engine: &Engine, wasm: &[u8], selection: &Selection) -> Result<Self, Error> {
        Self::in_steps(engine, wasm, selection, &mut || {})
    }

    /// The same, and says when it is instrumented, if it was not before.
    pub(crate) fn in_steps(
        engine: &Engine,
        wasm: &[u8],
        selection: &Selection,
        is_instrumented: &mut dyn FnMut(),
    ) -> Result<Self, Error> {
        contract::check(wasm)?;
        if let Some(map) = read_function_map(wasm) {
            return Self::instrumented(engine, wasm, map?, Vec::new());
        }
        if observe_sdk::may_have_hooks(wasm) {
            let module = Module::new(engine, wasm).map_err(Error::Compile)?;
            let map = observe_sdk::function_map(wasm);
            return Ok(Self::assemble(module, map, Facts::read(wasm), Vec::new()));
        }
        let module = Parsed::parse(wasm)?;
        let mut plan = Plan::new(&module, selection);
        plan.cells = match Facts::read(wasm).takes_one_memory_more(engine) {
            true => Cells::Memory,
            false => Cells::Globals,
        };
        let instrumented = plan.apply(&module)?;
        is_instrumented();
        let map = plan.function_map(&module);
        Self::instrumented(engine, &instrumented.wasm, map, instrumented.warnings)
    }

    /// Instruments a module by a plan of the embedder's own, and compiles it.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn planned(engine: &Engine, module: &Parsed<'_>, plan: &Plan) -> Result<Self, Error> {
        let instrumented = plan.apply(module)?;
        contract::check(&instrumented.wasm)?;
        let map = match plan.abi {
            Abi::Observe => plan.function_map(module),
            Abi::Dylibso => observe_sdk::function_map(&instrumented.wasm),
        };
        Self::instrumented(engine, &instrumented.wasm, map, instrumented.warnings)
    }

    fn instrumented(
        engine: &Engine,
        wasm: &[u8],
        map: map::FunctionMap,
        warnings: Vec<Warning>,
    ) -> Result<Self, Error> {
        let module = Module::new(engine, wasm).map_err(Error::Compile)?;
        Ok(Self::assemble(module, map, Facts::read(wasm), warnings))
    }

    fn assemble(
        module: Module,
        map: map::FunctionMap,
        facts: Facts,
        warnings: Vec<Warning>,
    ) -> Self {
        let imports = module.imports().filter(|import| import.ty().func().is_some()).count();
        let added = (imports as u32).saturating_sub(map.imports);
        let functions = Functions::new(map);
        let mut info = ModuleInfo {
            initial_memory_bytes: facts.initial_memory_bytes(),
            memory_export: module.get_export_index("memory"),
            tells_each_call: observe_sdk::has_hooks(&module),
            boundary: (0..functions.len() as u32).map(|id| functions.is_import(id)).collect(),
            learned: (0..functions.len()).map(|_| AtomicU8::new(0)).collect(),
            callers: (0..functions.len()).map(|_| AtomicU32::new(NOBODY)).collect(),
            module,
            functions,
            facts,
            added,
            warnings,
        };
        for export in &info.facts.exports {
            let original = info.original_index(*export);
            let id = original.and_then(|index| info.functions.by_original_index(index));
            if let Some(id) = id {
                info.boundary[id] = true;
            }
        }
        ObservedModule(Arc::new(info))
    }

    /// The compiled module, and what goes with it, as bytes for
    /// [`deserialize`](Self::deserialize): a cache that spares instrumenting and compiling.
    ///
    /// # Errors
    ///
    /// [`Error::Compile`], where wasmtime cannot serialise the module.
    pub fn serialize(&self) -> Result<Vec<u8>, Error> {
        let compiled = self.0.module.serialize().map_err(Error::Compile)?;
        let mut bytes = SERIALIZED.to_vec();
        for part in [self.0.functions.map.encode(), self.0.facts.encode()] {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part);
        }
        bytes.extend(compiled);
        Ok(bytes)
    }

    /// Takes up what [`serialize`](Self::serialize) gave, for an engine of the same
    /// configuration.
    ///
    /// # Safety
    ///
    /// That of [`Module::deserialize`]: the bytes must be what `serialize` gave, since they hold
    /// machine code that will run.
    ///
    /// # Errors
    ///
    /// [`Error::Serialized`], where the bytes are of no such module; [`Error::Compile`], where
    /// the engine differs; and where the module imports what this host does not provide, as for
    /// [`new`](Self::new).
    pub unsafe fn deserialize(engine: &Engine, bytes: &[u8]) -> Result<Self, Error> {
        let mut rest = bytes.strip_prefix(SERIALIZED).ok_or(Error::Serialized)?;
        let mut part = || {
            let (length, after) = rest.split_first_chunk().ok_or(Error::Serialized)?;
            let length = usize::try_from(u64::from_le_bytes(*length));
            let length = length.map_err(|_| Error::Serialized)?;
            let (part, after) = after.split_at_checked(length).ok_or(Error::Serialized)?;
            rest = after;
            Ok::<_, Error>(part)
        };
        let map = map::FunctionMap::decode(part()?, usize::MAX)?;
        let facts = Facts::decode(part()?).ok_or(Error::Serialized)?;
        // SAFETY: the caller's to uphold.
        let module = unsafe { Module::deserialize(engine, rest) }.map_err(Error::Compile)?;
        contract::check_compiled(&module)?;
        Ok(Self::assemble(module, map, facts, Vec::new()))
    }

    /// The compiled module, to be instantiated.
    pub fn module(&self) -> &Module {
        &self.0.module
    }

    /// What of the original module did not survive its instrumentation.
    pub fn warnings(&self) -> &[Warning] {
        &self.0.warnings
    }

    /// How many functions have hooks.
    pub fn hooked_functions(&self) -> usize {
        self.0.functions.len()
    }

    pub(crate) fn info(&self) -> Arc<ModuleInfo> {
        Arc::clone(&self.0)
    }
}

/// What no function has as its id.
const NOBODY: u32 = u32::MAX;

/// What serialised modules begin with; the last byte is a version.
const SERIALIZED: &[u8] = b"observe module\0\x01";

impl ModuleInfo {
    /// The bytes that the one memory of the module begins with; `None` where it has others, or
    /// imports it.
    pub(crate) fn only_memory_bytes(&self) -> Option<u64> {
        self.initial_memory_bytes.filter(|_| self.facts.memories == 1)
    }

    /// Whether calls of a function cross the boundary of the guest: those of exports, and of
    /// imports.
    pub(crate) fn is_boundary(&self, id: u32) -> bool {
        self.boundary.get(id as usize).is_some_and(|is| *is)
    }

    /// The period that traces so far found for a function, as a power of two.
    pub(crate) fn learned(&self) -> impl Iterator<Item = u8> {
        self.learned.iter().map(|power| power.load(Ordering::Relaxed))
    }

    /// Remembers what a trace found.
    pub(crate) fn learn(&self, id: u32, power: u8) {
        if let Some(learned) = self.learned.get(id as usize) {
            learned.store(power, Ordering::Relaxed);
        }
    }

    /// Remembers in which function another one was called.
    pub(crate) fn learn_caller(&self, id: u32, caller: u32) {
        if let Some(learned) = self.callers.get(id as usize) {
            learned.store(caller, Ordering::Relaxed);
        }
    }

    /// The functions that were last timed in the given one.
    pub(crate) fn called_by(&self, caller: u32) -> impl Iterator<Item = u32> {
        let callers = (0..).zip(&self.callers);
        let called = callers.filter(move |(_, by)| by.load(Ordering::Relaxed) == caller);
        called.map(|(id, _)| id)
    }

    /// The index that a function of the instrumented module had before; `None` for one that
    /// came with the hooks.
    pub(crate) fn original_index(&self, index: u32) -> Option<u32> {
        let map = &self.functions.map;
        if index < map.imports {
            return Some(index);
        }
        let own = map.imports..map.imports.saturating_add(map.defined);
        let before = index.checked_sub(self.added).filter(|before| *before >= map.imports)?;
        if own.contains(&before) {
            return Some(before);
        }
        // Those that are called in place of imports come first behind them.
        let import = map.functions.get((before - own.end) as usize)?.index;
        (import < map.imports).then_some(import)
    }
}
