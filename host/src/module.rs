//! A module that can be observed.

use std::sync::Arc;

use observe_abi::{guest, hooks, map};
use observe_instrumenter::{Module as Parsed, Plan, Selection, Warning, read_function_map};
use wasmtime::{AsContextMut, Engine, Instance, Module, Val};

use crate::Error;
use crate::functions::Functions;
use crate::recorder::Recorder;

/// An instrumented module, compiled, and what the ids of its hooks stand for.
///
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct ObservedModule {
    module: Module,
    pub(crate) functions: Arc<Functions>,
    /// How many functions the hooks added to the imported ones.
    added: u32,
    warnings: Arc<[Warning]>,
}

/// What was left in the cells of an instance when they were [taken](ObservedModule::take_cells).
#[derive(Debug)]
pub struct Cells(pub(crate) Vec<i32>);

impl ObservedModule {
    /// Compiles a module, and instruments it first if it is not instrumented yet.
    ///
    /// `selection` says which functions get hooks; it is not used for a module that
    /// has them already.
    ///
    /// # Errors
    ///
    /// [`Error`], where the bytes are no module that can be instrumented, the hooks
    /// in them are of another version, or the engine does not take the result.
    pub fn new(engine: &Engine, wasm: &[u8], selection: &Selection) -> Result<Self, Error> {
        if let Some(map) = read_function_map(wasm) {
            return Self::instrumented(engine, wasm, map?, Arc::new([]));
        }
        let module = Parsed::parse(wasm)?;
        let plan = Plan::new(&module, selection);
        Self::planned(engine, &module, &plan)
    }

    /// Instruments a module by a plan of the embedder's own, and compiles it.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn planned(engine: &Engine, module: &Parsed<'_>, plan: &Plan) -> Result<Self, Error> {
        let map = plan.function_map(module);
        let instrumented = plan.apply(module)?;
        Self::instrumented(engine, &instrumented.wasm, map, instrumented.warnings.into())
    }

    fn instrumented(
        engine: &Engine,
        wasm: &[u8],
        map: map::FunctionMap,
        warnings: Arc<[Warning]>,
    ) -> Result<Self, Error> {
        let module = Module::new(engine, wasm).map_err(Error::Compile)?;
        let contracts =
            [(hooks::MODULE_PREFIX, hooks::MODULE), (guest::MODULE_PREFIX, guest::MODULE)];
        for import in module.imports() {
            for (prefix, supported) in contracts {
                if import.module().starts_with(prefix) && import.module() != supported {
                    return Err(Error::Version { found: import.module().to_owned(), supported });
                }
            }
        }
        let functions = module.imports().filter(|import| import.ty().func().is_some()).count();
        let added = (functions as u32).saturating_sub(map.imports);
        Ok(ObservedModule { module, functions: Arc::new(Functions::new(map)), added, warnings })
    }

    /// The compiled module, to be instantiated.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// What of the original module did not survive its instrumentation.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// How many functions have hooks.
    pub fn hooked_functions(&self) -> usize {
        self.functions.len()
    }

    /// A recorder for the data of a store in which this module will be instantiated,
    /// once.
    pub fn recorder(&self) -> Recorder {
        Recorder::new(Arc::clone(&self.functions))
    }

    /// Takes what is left in the cells of an instance, for [`Recorder::settle`], and
    /// leaves zeros, so that the next call of each function is timed.
    ///
    /// Where the cells are globals this calls the instance, which takes fuel if the
    /// store counts it.
    ///
    /// # Errors
    ///
    /// [`Error::Cells`], where the instance is another module's; [`Error::Reader`], where
    /// the store does not let it run.
    pub fn take_cells(
        &self,
        mut store: impl AsContextMut,
        instance: &Instance,
    ) -> Result<Cells, Error> {
        let count = self.functions.len();
        if count == 0 {
            return Ok(Cells(Vec::new()));
        }
        let mut store = store.as_context_mut();
        match self.functions.map.cells {
            map::Cells::Memory => {
                let memory = instance.get_memory(&mut store, hooks::CELLS_MEMORY);
                let memory = memory.ok_or(Error::Cells("it exports no memory of cells"))?;
                let bytes = memory.data_mut(&mut store).get_mut(..4 * count);
                let bytes = bytes.ok_or(Error::Cells("its memory of cells is too small"))?;
                let cells = bytes.as_chunks().0.iter().map(|&cell| i32::from_le_bytes(cell));
                let cells = cells.collect();
                bytes.fill(0);
                Ok(Cells(cells))
            }
            map::Cells::Globals => {
                let mut cells = Vec::with_capacity(count);
                for n in 0..count.div_ceil(hooks::CELLS_PER_READER) {
                    let name = format!("{}{n}", hooks::CELLS_READER_PREFIX);
                    let reader = instance.get_func(&mut store, &name);
                    let reader = reader.ok_or(Error::Cells("it exports no reader of cells"))?;
                    let mut values = vec![Val::I32(0); reader.ty(&store).results().len()];
                    reader.call(&mut store, &[], &mut values).map_err(Error::Reader)?;
                    cells.extend(values.iter().filter_map(Val::i32));
                }
                Ok(Cells(cells))
            }
        }
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
