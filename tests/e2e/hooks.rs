//! Hooks that check the instrumenter and nothing else, and what they run in.

use std::sync::{Arc, Mutex};

use observe_abi::hooks;
use observe_abi::map::Cells;
use observe_instrumenter::{Module, Plan, Selection};
use wasmtime::{AsContextMut, Config, Instance, Linker, Val};

/// A token for each timed entry, to be handed back in reverse order.
#[derive(Default)]
pub(crate) struct Balance {
    /// The tokens of calls that have not ended.
    pub(crate) open: Vec<i32>,
    pub(crate) entered: u64,
    /// How many calls ended with an exception.
    pub(crate) unwound: u64,
    /// How many ends were not that of the innermost open call.
    pub(crate) unbalanced: u64,
    /// How the last call ended that had no other around it.
    pub(crate) outermost: Option<End>,
    /// The periods given to each function by id, added up; 0 where it was never entered.
    periods: Vec<u64>,
    next: i32,
    /// From which the periods follow.
    random: u32,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Returned,
    Unwound,
}

impl Balance {
    pub(crate) fn new() -> Self {
        Balance { random: 7, ..Balance::default() }
    }

    fn enter(&mut self, id: i32, every_call: bool) -> (i32, i32) {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let period = if every_call { 1 } else { (self.random >> 29) as i32 + 1 };
        let id = id as usize;
        self.periods.resize(self.periods.len().max(id + 1), 0);
        self.periods[id] += period as u64;
        if !every_call && self.random & 0x8000 == 0 {
            return (period, 1);
        }
        self.entered += 1;
        self.next -= 1;
        self.open.push(self.next);
        (period, self.next)
    }

    fn leave(&mut self, token: i32, end: End) {
        if self.open.pop() != Some(token) {
            self.unbalanced += 1;
        }
        self.unwound += u64::from(end == End::Unwound);
        if self.open.is_empty() {
            self.outermost = Some(end);
        }
    }

    /// How often each function was called, given what is left in its cell: the calls of its
    /// last period that did not come.
    pub(crate) fn calls(&self, cells: &[i32]) -> Vec<u64> {
        let periods = self.periods.iter().copied().chain(std::iter::repeat(0));
        let calls = periods.zip(cells).map(|(periods, &cell)| match periods {
            0 => 0,
            // More in a cell than it ever got is a number that no other will match.
            _ => periods.wrapping_sub(cell as u64),
        });
        calls.collect()
    }
}

/// Adds the hooks, all that an instrumented module may import, to a linker.
pub(crate) fn provide<T: 'static>(
    linker: &mut Linker<T>,
    balance: &Arc<Mutex<Balance>>,
    every_call: bool,
) {
    let shared = Arc::clone(balance);
    let enter = move |id: i32| shared.lock().expect("whole").enter(id, every_call);
    linker.func_wrap(hooks::MODULE, hooks::ENTER, enter).expect("shadowing is allowed");
    for hook in [hooks::MEMORY_GROW, hooks::TABLE_GROW] {
        let grown = |_: i32, _: i32, _: i64| ();
        linker.func_wrap(hooks::MODULE, hook, grown).expect("shadowing is allowed");
    }
    for (hook, end) in [(hooks::EXIT, End::Returned), (hooks::UNWIND, End::Unwound)] {
        let balance = Arc::clone(balance);
        let leave = move |token: i32| {
            // Calls that an exception leaves are not asked first whether they are timed.
            if end == End::Returned || token < 0 {
                balance.lock().expect("whole").leave(token, end);
            }
        };
        linker.func_wrap(hooks::MODULE, hook, leave).expect("shadowing is allowed");
    }
}

/// What is left in the cells of an instance, by id; the readers set them to zero.
pub(crate) fn take_cells(mut store: impl AsContextMut, instance: Instance) -> Vec<i32> {
    if let Some(memory) = instance.get_memory(&mut store, hooks::CELLS_MEMORY) {
        let cells = memory.data(&store).as_chunks().0;
        return cells.iter().map(|&cell| i32::from_le_bytes(cell)).collect();
    }
    let mut cells = Vec::new();
    for n in 0.. {
        let name = format!("{}{n}", hooks::CELLS_READER_PREFIX);
        let Some(reader) = instance.get_func(&mut store, &name) else { break };
        let mut values = vec![Val::I32(0); reader.ty(&store).results().len()];
        reader.call(&mut store, &[], &mut values).expect("it only reads");
        cells.extend(values.iter().filter_map(Val::i32));
    }
    cells
}

/// A way to instrument modules, and to time them.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) selection: Selection,
    pub(crate) cells: Cells,
    /// Whether a function counts the cells in a memory down.
    pub(crate) compact: bool,
    /// Whether the hooks ask for every call, or for some.
    pub(crate) every_call: bool,
}

impl Way {
    /// A plan for a module, and the module that comes of it.
    pub(crate) fn instrument(&self, module: &Module<'_>) -> Result<(Plan, Vec<u8>), String> {
        let mut plan = Plan::new(module, &self.selection);
        (plan.cells, plan.compact) = (self.cells, self.compact);
        let wasm = plan.apply(module).map_err(|error| error.to_string())?.wasm;
        Ok((plan, wasm))
    }
}

/// The settings of an engine with all that wasmtime can run.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_custom_page_sizes(true)
        .wasm_exceptions(true)
        .wasm_function_references(true)
        .wasm_gc(true)
        .wasm_memory64(true)
        .wasm_multi_memory(true)
        .wasm_tail_call(true)
        .wasm_threads(true)
        .shared_memory(true)
        .wasm_wide_arithmetic(true)
        // NaNs would otherwise depend on how code is compiled.
        .cranelift_nan_canonicalization(true);
    config
}
