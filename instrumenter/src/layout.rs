//! Rewriting, third part: where everything that is added goes, the indices of the types and
//! cells that the hooks need, and of the functions that come with them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use observe_abi::{dylibso, hooks, map};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{BlockType, ValType};

use crate::Error;
use crate::added::{Added, What};
use crate::body::{BodyWriter, CellPlace, Hooked, Hooks, Prefix, Renumber, Wrap};
use crate::imports::{Hook, Imported, Types};
use crate::parse::{Function, Module};
use crate::plan::{Abi, Decision, HookId, Plan, PlannedFunction};
use crate::rewrite::version_copies;
use crate::scan::{Exceptions, SiteKind};

/// The indices of what a plan adds to a module.
pub(crate) struct Layout<'m, 'a> {
    pub(crate) module: &'m Module<'a>,
    pub(crate) plan: &'m Plan,
    pub(crate) renumber: Renumber,
    pub(crate) hooks: Hooks,
    /// The hooks to import.
    pub(crate) imports: Vec<Hook>,
    pub(crate) types: Types,
    /// The type index of `() -> results`, for functions of several results.
    blocks: HashMap<Vec<wasmparser::ValType>, u32>,
    /// Functions to add behind those of the module.
    pub(crate) added: Vec<Added>,
    /// Whether functions have timers, unless something in them is against it.
    with_timers: bool,
    /// The timer of each function that the module defines, where it has one.
    timers: Vec<Option<u32>>,
}

/// How many globals, and how many functions of its own, a module may have: see
/// [WebAssembly JavaScript Interface, "Implementation-defined Limits"](https://webassembly.github.io/spec/js-api/#limits).
const MAX_ITEMS: usize = 1_000_000;

/// Gives functions their new indices wherever `wasm-encoder` finds one.
pub(crate) struct Shift<'r>(pub(crate) &'r Renumber);

impl Reencode for Shift<'_> {
    type Error = Error;

    fn function_index(&mut self, index: u32) -> Result<u32, reencode::Error<Error>> {
        self.0.function(index).map_err(reencode::Error::UserError)
    }
}

impl From<reencode::Error<Error>> for Error {
    fn from(error: reencode::Error<Error>) -> Self {
        match error {
            reencode::Error::UserError(error) => error,
            reencode::Error::ParseError(error) => error.into(),
            other => Error::Invalid { message: other.to_string(), offset: 0 },
        }
    }
}

impl<'m, 'a> Layout<'m, 'a> {
    pub(crate) fn new(module: &'m Module<'a>, plan: &'m Plan) -> Result<Self, Error> {
        if !fits(plan, module) {
            return Err(Error::Plan);
        }
        if u64::from(module.globals) + globals(plan, module) > MAX_ITEMS as u64 {
            return Err(Error::Limit("it would have more globals than engines accept"));
        }
        let mut types = Types::new(module);
        let (memories, tables) = grown(plan, module);
        let imported = Imported::new(plan, module, &mut types, (&memories, &tables));
        // They take at most half of the room that there is, so that the rest goes in, too.
        let hooked = plan.hooked().count();
        let with_timers =
            imported.hooks.cells.are_inline() && module.functions.len() + 2 * hooked <= MAX_ITEMS;
        let mut layout = Layout {
            module,
            plan,
            renumber: Renumber {
                added: imported.list.len() as u32,
                imports: (0..module.first_defined()).collect(),
                replaced: BTreeMap::new(),
            },
            hooks: imported.hooks,
            imports: imported.list,
            types,
            blocks: HashMap::new(),
            added: Vec::new(),
            with_timers,
            timers: Vec::new(),
        };
        layout.add_block_types()?;
        layout.add_imports()?;
        layout.add_timers()?;
        layout.add_cells();
        if let Some(hook) = imported.memory_grow {
            memories.into_iter().try_for_each(|memory| layout.add_memory_grow(memory, hook))?;
        }
        if let Some(hook) = imported.table_grow {
            tables.into_iter().try_for_each(|table| layout.add_table_grow(table, hook))?;
        }
        if let Some(hook) = imported.allocation {
            layout.add_allocators(hook)?;
        }
        if module.functions.len() + layout.added.len() > MAX_ITEMS {
            return Err(Error::Limit("it would have more functions than engines accept"));
        }
        Ok(layout)
    }

    /// Adds a function, and gives its index.
    fn add(&mut self, ty: u32, name: impl Into<Option<String>>, what: What) -> u32 {
        let index = self.next_added();
        self.added.push(Added { ty, name: name.into(), what });
        index
    }

    /// Adds the functions that are called in place of imports.
    fn add_imports(&mut self) -> Result<(), Error> {
        let plan = self.plan;
        for planned in plan.hooked_imports() {
            let at = planned.index.0 as usize;
            let ty = self.module.imports.get(at).ok_or(Error::Plan)?.type_index;
            let params = self.params(ty);
            let Decision::Hook(id, _) = planned.decision else { continue };
            let wrap = self.wrap(id, self.next_added(), ty, 0, plan.exceptions)?;
            let what = What::Import { import: planned.index.0, params, wrap };
            self.renumber.imports[at] = self.add(ty, planned.name.clone(), what);
        }
        Ok(())
    }

    /// Adds the timers. They have no names, which would take as much room as they do.
    fn add_timers(&mut self) -> Result<(), Error> {
        let (module, plan) = (self.module, self.plan);
        for (function, planned) in module.functions.iter().zip(&plan.functions) {
            let timer = match planned.decision {
                Decision::Hook(id, _) if self.gets_timer(function) => {
                    let ty = function.type_index;
                    let exceptions = self.exceptions(function);
                    let wrap = self.wrap(id, self.next_added(), ty, 0, exceptions)?;
                    let function = self.renumber.own(planned.index.0)?;
                    let what = What::Timer { function, params: self.params(ty), wrap };
                    Some(self.add(ty, None, what))
                }
                _ => None,
            };
            self.timers.push(timer);
        }
        Ok(())
    }

    /// Whether a function has a timer if it is hooked. In a loop of tail calls the timers would
    /// fill the stack.
    fn gets_timer(&self, function: &Function<'_>) -> bool {
        self.with_timers && !function.body.tail_calls
    }

    /// How many parameters the functions of a type have.
    fn params(&self, ty: u32) -> u32 {
        self.module.function_type(ty).map_or(0, |ty| ty.ty.params().len()) as u32
    }

    /// Adds the function that grows a memory, and tells a hook.
    fn add_memory_grow(&mut self, memory: u32, hook: u32) -> Result<(), Error> {
        let ty = self.module.memories.get(memory as usize);
        let ty = ty.ok_or_else(|| missing(format!("memory index {memory} does not exist")))?;
        let address = if ty.memory64 { ValType::I64 } else { ValType::I32 };
        // 64 KiB, where the memory does not say.
        let page_size_log2 = ty.page_size_log2.unwrap_or(16);
        let ty = self.types.get([address, ValType::I32], [address]);
        let name = format!("observe:memory.grow/{memory}");
        let what = match self.plan.abi {
            Abi::Observe => What::MemoryGrow { hook, memory, address, page_size_log2 },
            Abi::Dylibso => What::MemoryGrowPages { hook, memory, address },
        };
        let function = self.add(ty, name, what);
        self.hooks.memory_grow.insert(memory, function);
        Ok(())
    }

    /// Adds the function that grows a table, and tells a hook.
    fn add_table_grow(&mut self, table: u32, hook: u32) -> Result<(), Error> {
        let ty = self.module.tables.get(table as usize);
        let ty = ty.ok_or_else(|| missing(format!("table index {table} does not exist")))?;
        let address = if ty.table64 { ValType::I64 } else { ValType::I32 };
        let element = ValType::Ref(Shift(&self.renumber).ref_type(ty.element_type)?);
        let ty = self.types.get([element, address, ValType::I32], [address]);
        let name = format!("observe:table.grow/{table}");
        let function = self.add(ty, name, What::TableGrow { hook, table, address });
        self.hooks.table_grow.insert(table, function);
        Ok(())
    }

    /// Adds the functions that are called in place of those that allocate and free.
    fn add_allocators(&mut self, hook: u32) -> Result<(), Error> {
        let plan = self.plan;
        let address = match self.module.memories.first() {
            Some(memory) if memory.memory64 => ValType::I64,
            _ => ValType::I32,
        };
        for allocator in &plan.allocators {
            let index = allocator.index.0;
            let at = index.checked_sub(self.module.first_defined()).ok_or(Error::Plan)?;
            let function = self.module.functions.get(at as usize).ok_or(Error::Plan)?;
            let ty = function.type_index;
            let what = What::Allocator {
                hook,
                function: self.renumber.own(index)?,
                params: self.params(ty),
                address,
                shape: allocator.shape,
            };
            let name = format!("observe:heap/{}", allocator.name);
            let added = self.add(ty, name, what);
            self.renumber.replaced.insert(index, added);
        }
        Ok(())
    }

    /// Adds the functions that the cells need.
    fn add_cells(&mut self) {
        match self.hooks.cells {
            CellPlace::Outlined(memory) => {
                let ty = self.types.get([ValType::I32], [ValType::I32]);
                let what = What::Count { hook: self.hooks.enter, memory };
                self.hooks.enter = self.add(ty, "observe:count".to_owned(), what);
            }
            CellPlace::Globals(mut first) => {
                let end = first + self.plan.hooks().count() as u32;
                while first < end {
                    let count = (end - first).min(hooks::CELLS_PER_READER as u32);
                    let ty = self.types.get([], vec![ValType::I32; count as usize]);
                    let name = reader_name(self.readers().count());
                    self.add(ty, name, What::Reader { first, count });
                    first += count;
                }
            }
            CellPlace::Memory(_) | CellPlace::Nowhere => {}
        }
    }

    /// Finds a type for each block that hooks open for several results.
    fn add_block_types(&mut self) -> Result<(), Error> {
        let (module, plan) = (self.module, self.plan);
        // Types that need not be added: those without parameters, by their results.
        let mut present = HashMap::new();
        for (index, ty) in (0..).zip(&module.types) {
            if let Some(ty) = ty
                && ty.ty.params().is_empty()
                && !ty.shared
            {
                present.entry(ty.ty.results()).or_insert(index);
            }
        }
        let imports = module.imports.iter().map(|import| (import.type_index, true));
        let functions = module.functions.iter().map(|function| {
            let in_block =
                !self.gets_timer(function) || self.exceptions(function) != Exceptions::None;
            (function.type_index, in_block)
        });
        let types: Vec<_> = imports.chain(functions).collect();
        for ((ty, in_block), planned) in
            types.into_iter().zip(plan.imports.iter().chain(&plan.functions))
        {
            let Some(ty) = module.function_type(ty) else { continue };
            let results = ty.ty.results();
            let wanted = in_block && planned.is_hooked() && results.len() > 1;
            if !wanted || self.blocks.contains_key(results) {
                continue;
            }
            let index = match present.get(results) {
                Some(&index) => index,
                None => {
                    let mut shift = Shift(&self.renumber);
                    let encoded = results.iter().map(|&ty| shift.val_type(ty));
                    self.types.get([], encoded.collect::<Result<Vec<_>, _>>()?)
                }
            };
            self.blocks.insert(results.to_vec(), index);
        }
        Ok(())
    }

    /// The new index of the first function that is added.
    pub(crate) fn first_added(&self) -> u32 {
        let defined = self.module.functions.len() as u32;
        self.renumber.first_defined() + self.renumber.added + defined
    }

    /// The index of the next function that is added.
    fn next_added(&self) -> u32 {
        self.first_added() + self.added.len() as u32
    }

    /// The functions that read the cells: index and export name.
    pub(crate) fn readers(&self) -> impl Iterator<Item = (u32, &str)> {
        (self.first_added()..)
            .zip(&self.added)
            .filter(|(_, added)| matches!(added.what, What::Reader { .. }))
            .filter_map(|(index, added)| Some((index, added.name.as_deref()?)))
    }

    /// What writes the body of the function of the module that a decision is about; without
    /// one, that of a function of ours.
    pub(crate) fn body_writer(&self, planned: Option<&PlannedFunction>) -> BodyWriter<'_> {
        let replaced = &self.renumber.replaced;
        let allocates = planned.is_some_and(|planned| replaced.contains_key(&planned.index.0));
        BodyWriter { hooks: &self.hooks, renumber: &self.renumber, allocates }
    }

    /// How exceptions can leave a function, if it is hooked.
    pub(crate) fn exceptions(&self, function: &Function<'_>) -> Exceptions {
        if function.body.may_throw { self.plan.exceptions } else { Exceptions::None }
    }

    /// What the hooks of a function of the module need to know of it, if it gets any.
    pub(crate) fn hooked(
        &self,
        function: &Function<'_>,
        planned: &PlannedFunction,
    ) -> Result<Option<Hooked>, Error> {
        let Decision::Hook(id, _) = planned.decision else { return Ok(None) };
        let ty = function.type_index;
        let place = planned.index.0.checked_sub(self.renumber.first_defined());
        let timer = place.and_then(|place| *self.timers.get(place as usize)?);
        if let Some(timer) = timer {
            return Ok(Some(Hooked::Prefixed(Prefix { id, timer, params: self.params(ty) })));
        }
        let index = self.renumber.own(planned.index.0)?;
        let wrap = self.wrap(id, index, ty, function.body.locals, self.exceptions(function))?;
        Ok(Some(Hooked::Wrapped(wrap)))
    }

    /// What is around something in a function of this type that declares so many locals.
    fn wrap(
        &self,
        id: HookId,
        function: u32,
        ty: u32,
        locals: u32,
        exceptions: Exceptions,
    ) -> Result<Wrap, Error> {
        let ty = self.module.function_type(ty).ok_or(Error::Plan)?;
        let results = match ty.ty.results() {
            [] => BlockType::Empty,
            &[result] => BlockType::Result(Shift(&self.renumber).val_type(result)?),
            // Where it has no type there is no such block.
            several => self
                .blocks
                .get(several)
                .map_or(BlockType::Empty, |&index| BlockType::FunctionType(index)),
        };
        // No plan of `Plan::new` hooks a function of so many, but plans can be changed.
        let live = locals.checked_add(ty.ty.params().len() as u32).ok_or(Error::Plan)?;
        Ok(Wrap { id, function, live, results, exceptions })
    }
}

/// How many globals are added.
fn globals(plan: &Plan, module: &Module<'_>) -> u64 {
    match (plan.abi, plan.cells) {
        (Abi::Dylibso, _) => u64::from(version_copies(module)) * dylibso::VERSION.len() as u64,
        (Abi::Observe, map::Cells::Globals) => plan.hooks().count() as u64,
        (Abi::Observe, map::Cells::Memory) => 0,
    }
}

/// The memories and tables that hooked functions grow.
fn grown(plan: &Plan, module: &Module<'_>) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let (mut memories, mut tables) = (BTreeSet::new(), BTreeSet::new());
    let functions = module.functions.iter().zip(&plan.functions);
    for (function, _) in functions.filter(|(f, planned)| f.body.grows && planned.is_hooked()) {
        for site in &module.sites[function.body.sites.clone()] {
            match site.kind {
                SiteKind::MemoryGrow { memory } => _ = memories.insert(memory),
                SiteKind::TableGrow { table } => _ = tables.insert(table),
                _ => {}
            }
        }
    }
    (memories, tables)
}

fn missing(message: String) -> Error {
    Error::Invalid { message, offset: 0 }
}

/// The name, also for exports, of the `n`th function that reads cells.
fn reader_name(n: usize) -> String {
    format!("{}{n}", hooks::CELLS_READER_PREFIX)
}

/// Whether a plan is one for the module: a decision for each function, ids in
/// ascending order from 0, and no hooks where they cannot be.
fn fits(plan: &Plan, module: &Module<'_>) -> bool {
    let imports = module.imports.iter().map(|import| import.type_index);
    let types = imports.chain(module.functions.iter().map(|function| function.type_index));
    let mut ids = 0..;
    plan.imports.len() == module.imports.len()
        && plan.functions.len() == module.functions.len()
        && plan.imports.iter().chain(&plan.functions).zip(types).zip(0..).all(
            |((planned, ty), index)| {
                planned.index.0 == index
                    && match planned.decision {
                        Decision::Hook(HookId(id), _) => {
                            ids.next() == Some(id)
                                && module.function_type(ty).is_some_and(|ty| !ty.shared)
                        }
                        Decision::Leave(_) => true,
                    }
            },
        )
}
