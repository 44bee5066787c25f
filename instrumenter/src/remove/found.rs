//! What was added to a module, found by what it has to be.

use std::collections::{BTreeMap, HashMap};
use std::iter::Peekable;

use observe_abi::hooks;
use observe_abi::map::{Cells, FunctionMap};
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{BlockType, ValType};
use wasmparser::{BinaryReader, Operator, OperatorsReader};

use super::changed;
use crate::added::{Added, What};
use crate::allocations;
use crate::body::{BodyWriter, CellPlace, Hooked, Hooks, Prefix, Renumber, Wrap};
use crate::parse::{Function, Module};
use crate::plan::HookId;
use crate::scan::{Exceptions, SiteKind};
use crate::{Error, leb};

/// The hooks in the order in which they are imported; the first two always are.
const ORDER: [&str; 6] = [
    hooks::ENTER,
    hooks::EXIT,
    hooks::UNWIND,
    hooks::MEMORY_GROW,
    hooks::TABLE_GROW,
    hooks::ALLOCATION,
];

/// Something that a function of ours grows in place of an instruction.
#[derive(Clone, Copy)]
pub(super) enum Grown {
    Memory(u32),
    Table(u32),
}

/// What was added to a module.
pub(super) struct Found<'m, 'a> {
    pub(super) module: &'m Module<'a>,
    pub(super) map: FunctionMap,
    pub(super) hooks: Hooks,
    /// How many hooks are imported.
    pub(super) imported: u32,
    /// How many types there were.
    pub(super) types: u32,
    /// What grows in each of the functions that do so for others, by index.
    pub(super) growers: HashMap<u32, Grown>,
    /// What each of the module's own functions begins with that has a timer, by its place.
    pub(super) prefixes: HashMap<usize, Prefix>,
    /// For each function that stands for another, that other's index, as it was.
    stands_for: HashMap<u32, u32>,
    /// The type index of `() -> results`, for several results.
    blocks: HashMap<&'m [wasmparser::ValType], u32>,
}

impl<'m, 'a> Found<'m, 'a> {
    pub(super) fn new(module: &'m Module<'a>, map: FunctionMap) -> Result<Self, Error> {
        let imports = module.imports.get(map.imports as usize..).unwrap_or_default();
        let names: Vec<_> = imports.iter().map(|import| import.name).collect();
        let known = ORDER.into_iter().filter(|name| names.contains(name));
        let are_ours = imports.iter().all(|import| import.module == hooks::MODULE);
        if !are_ours || !names.starts_with(&ORDER[..2]) || !known.eq(names.iter().copied()) {
            return Err(changed("the hooks that it imports are not where they were"));
        }
        let hook = |wanted: &str| {
            let at = names.iter().position(|&name| name == wanted);
            at.map(|at| map.imports + at as u32)
        };
        let ids = map.functions.len() as u32;
        let last = map.functions.last().map_or(0, |function| u64::from(function.index) + 1);
        let before = u64::from(map.imports) + u64::from(map.defined);
        if module.functions.len() < map.defined as usize || last > before {
            return Err(changed("it has fewer functions than its function map"));
        }
        let cells = match map.cells {
            Cells::Memory => (module.memories.len() as u32).checked_sub(1).map(CellPlace::Memory),
            Cells::Globals => module.globals.checked_sub(ids).map(CellPlace::Globals),
        };
        let hooks = Hooks {
            enter: map.imports,
            exit: map.imports + 1,
            // No hook has this index, since others come first.
            unwind: hook(hooks::UNWIND).unwrap_or(0),
            memory_grow: BTreeMap::new(),
            table_grow: BTreeMap::new(),
            cells: cells.ok_or_else(|| changed("its cells are not there"))?,
        };
        let mut blocks = HashMap::new();
        for (index, ty) in (0..).zip(&module.types) {
            if let Some(ty) = ty.as_ref().filter(|ty| ty.ty.params().is_empty() && !ty.shared) {
                blocks.entry(ty.ty.results()).or_insert(index);
            }
        }
        let mut found = Found {
            module,
            imported: imports.len() as u32,
            // The type of the first hook is the first that was added.
            types: imports[0].type_index,
            map,
            hooks,
            growers: HashMap::new(),
            prefixes: HashMap::new(),
            stands_for: HashMap::new(),
            blocks,
        };
        found.find_added(names)?;
        Ok(found)
    }

    /// Finds out what each of the functions is that came with the hooks.
    fn find_added(&mut self, names: Vec<&str>) -> Result<(), Error> {
        let module = self.module;
        let first = self.first_added();
        let added = (first..).zip(&module.functions[self.map.defined as usize..]);
        let mut added = added.peekable();
        let gone = || changed("functions of its hooks are gone");
        let imports = self.map.functions.iter().take_while(|f| f.index < self.map.imports);
        let imports: Vec<_> = imports.map(|function| function.index).collect();
        // What counts cells down stands behind what is called in place of imports, and is
        // called by that, too. If it is there, the hooks call it in place of `enter`.
        if let CellPlace::Memory(memory) = self.hooks.cells {
            let counts = module.functions.get(self.map.defined as usize + imports.len());
            let count = What::Count { hook: self.hooks.enter, memory };
            if counts.is_some_and(|counts| self.check(0, counts, count).is_ok()) {
                self.hooks.enter = first + imports.len() as u32;
                self.hooks.cells = CellPlace::Outlined(memory);
            }
        }
        for (id, &import) in (0..).zip(&imports) {
            let (index, function) = added.next().ok_or_else(gone)?;
            self.find_import(index, function, HookId(id), import)?;
        }
        match self.hooks.cells {
            CellPlace::Outlined(_) => _ = added.next(),
            _ => self.find_timers(&mut added)?,
        }
        if let CellPlace::Globals(mut cell) = self.hooks.cells {
            let end = cell + self.global_cells();
            while cell < end {
                let count = (end - cell).min(hooks::CELLS_PER_READER as u32);
                let (index, function) = added.next().ok_or_else(gone)?;
                self.check(index, function, What::Reader { first: cell, count })?;
                cell += count;
            }
        }
        for (index, function) in added {
            let hook = self.hook_of(function);
            let name = hook.and_then(|hook| names.get((hook - self.map.imports) as usize));
            match (hook, name) {
                (Some(hook), Some(&hooks::MEMORY_GROW)) => {
                    self.find_memory_grow(index, function, hook)?;
                }
                (Some(hook), Some(&hooks::TABLE_GROW)) => {
                    self.find_table_grow(index, function, hook)?;
                }
                (Some(hook), Some(&hooks::ALLOCATION)) => {
                    self.find_allocator(index, function, hook)?;
                }
                _ => return Err(self.foreign(index)),
            }
        }
        Ok(())
    }

    /// The hook that a function calls.
    fn hook_of(&self, function: &Function<'_>) -> Option<u32> {
        let first = self.map.imports;
        self.calls(function).find(|call| (first..first + self.imported).contains(call))
    }

    /// The functions that a function names.
    fn calls<'f>(&self, function: &'f Function<'_>) -> impl Iterator<Item = u32> + use<'f, 'm> {
        let sites = &self.module.sites[function.body.sites.clone()];
        sites.iter().filter(|site| site.kind == SiteKind::FunctionIndex).filter_map(|site| {
            let index = leb::split(&function.body.bytes[site.offset as usize..]);
            index.ok().map(|(index, _)| index)
        })
    }

    /// The first number that a function of ours pushes: it tells what it grows.
    fn constant(function: &Function<'_>) -> Option<u32> {
        let code = &function.body.bytes[function.body.code_start as usize..];
        let mut operators = OperatorsReader::new(BinaryReader::new(code, 0));
        operators.read().ok()?;
        match operators.read().ok()? {
            Operator::I32Const { value } => u32::try_from(value).ok(),
            _ => None,
        }
    }

    fn find_import(
        &mut self,
        index: u32,
        function: &Function<'_>,
        id: HookId,
        import: u32,
    ) -> Result<(), Error> {
        let ty = self.module.imports.get(import as usize).map(|import| import.type_index);
        if ty != Some(function.type_index) {
            return Err(self.foreign(index));
        }
        let params = self.params(function);
        let is_it = self.ways().into_iter().any(|exceptions| {
            let wrap = self.wrap(id, index, function, params, exceptions);
            wrap.is_ok_and(|wrap| {
                self.check(index, function, What::Import { import, params, wrap }).is_ok()
            })
        });
        if !is_it {
            return Err(self.foreign(index));
        }
        self.stands_for.insert(index, import);
        Ok(())
    }

    /// Finds the timers, which stand in the order of their functions; some have none.
    fn find_timers<'f>(
        &mut self,
        added: &mut Peekable<impl Iterator<Item = (u32, &'f Function<'f>)>>,
    ) -> Result<(), Error> {
        for (id, hooked) in (0..).map(HookId).zip(&self.map.functions) {
            let Some(place) = hooked.index.checked_sub(self.map.imports) else { continue };
            let function = &self.module.functions[place as usize];
            let Some(&(timer, times)) = added.peek() else { return Ok(()) };
            let params = self.params(function);
            let prefix = Prefix { id, timer, params };
            if !self.begins_with(function, &prefix) {
                continue;
            }
            let own = self.module.first_defined() + place;
            let is_it = self.ways().into_iter().any(|exceptions| {
                let wrap = self.wrap(id, timer, function, params, exceptions);
                wrap.is_ok_and(|wrap| {
                    let what = What::Timer { function: own, params, wrap };
                    self.check(timer, times, what).is_ok()
                })
            });
            if !is_it || times.type_index != function.type_index {
                return Err(self.not_as_written(place as usize));
            }
            self.prefixes.insert(place as usize, prefix);
            added.next();
        }
        Ok(())
    }

    /// Whether the code of a function begins with a prefix.
    fn begins_with(&self, function: &Function<'_>, prefix: &Prefix) -> bool {
        let mut bytes = Vec::new();
        self.hooks.open(&mut bytes, &Hooked::Prefixed(*prefix));
        function.body.bytes[function.body.code_start as usize..].starts_with(&bytes)
    }

    fn find_memory_grow(
        &mut self,
        index: u32,
        function: &Function<'_>,
        hook: u32,
    ) -> Result<(), Error> {
        let memory = Self::constant(function).unwrap_or(u32::MAX);
        let ty = self.module.memories.get(memory as usize).ok_or_else(|| self.foreign(index))?;
        let address = if ty.memory64 { ValType::I64 } else { ValType::I32 };
        let page_size_log2 = ty.page_size_log2.unwrap_or(16);
        self.check(index, function, What::MemoryGrow { hook, memory, address, page_size_log2 })?;
        self.growers.insert(index, Grown::Memory(memory));
        Ok(())
    }

    fn find_table_grow(
        &mut self,
        index: u32,
        function: &Function<'_>,
        hook: u32,
    ) -> Result<(), Error> {
        let table = Self::constant(function).unwrap_or(u32::MAX);
        let ty = self.module.tables.get(table as usize).ok_or_else(|| self.foreign(index))?;
        let address = if ty.table64 { ValType::I64 } else { ValType::I32 };
        self.check(index, function, What::TableGrow { hook, table, address })?;
        self.growers.insert(index, Grown::Table(table));
        Ok(())
    }

    fn find_allocator(
        &mut self,
        index: u32,
        function: &Function<'_>,
        hook: u32,
    ) -> Result<(), Error> {
        let callee = self.calls(function).find(|&callee| self.place(callee).is_some());
        let callee = callee.ok_or_else(|| self.foreign(index))?;
        let place = callee - self.module.first_defined();
        if self.module.functions[place as usize].type_index != function.type_index {
            return Err(self.foreign(index));
        }
        let address = match self.module.memories.first() {
            Some(memory) if memory.memory64 => ValType::I64,
            _ => ValType::I32,
        };
        let params = self.params(function);
        let is_it = allocations::shapes(params as usize).any(|shape| {
            let what = What::Allocator { hook, function: callee, params, address, shape };
            self.check(index, function, what).is_ok()
        });
        if !is_it {
            return Err(self.foreign(index));
        }
        self.stands_for.insert(index, callee - self.imported);
        Ok(())
    }

    /// Checks that a function is what was added.
    fn check(&self, index: u32, function: &Function<'_>, what: What) -> Result<(), Error> {
        let added = Added { ty: function.type_index, name: None, what };
        // Nothing in it is numbered anew.
        let renumber = Renumber { added: 0, imports: Vec::new(), replaced: BTreeMap::new() };
        let mut body = Vec::new();
        added.write(
            &mut body,
            &BodyWriter { hooks: &self.hooks, renumber: &renumber, allocates: false },
        )?;
        if body == function.body.bytes { Ok(()) } else { Err(self.foreign(index)) }
    }

    fn foreign(&self, index: u32) -> Error {
        changed(format!("function {index} is not what came with them"))
    }

    /// The forms that hooks can have here, as exceptions leave a function.
    pub(super) fn ways(&self) -> Vec<Exceptions> {
        match self.hooks.unwind {
            0 => vec![Exceptions::None],
            _ => vec![Exceptions::None, Exceptions::Exnref, Exceptions::Legacy],
        }
    }

    /// How many parameters a function has.
    pub(super) fn params(&self, function: &Function<'_>) -> u32 {
        let ty = self.module.function_type(function.type_index);
        ty.map_or(0, |ty| ty.ty.params().len()) as u32
    }

    /// What is around something in a function of ours, or around a body.
    pub(super) fn wrap(
        &self,
        id: HookId,
        function: u32,
        of: &Function<'_>,
        live: u32,
        exceptions: Exceptions,
    ) -> Result<Wrap, Error> {
        let ty = self.module.function_type(of.type_index);
        let results = match ty.ok_or_else(|| self.foreign(function))?.ty.results() {
            [] => BlockType::Empty,
            &[result] => {
                let ty = RoundtripReencoder.val_type(result);
                BlockType::Result(ty.map_err(|error| changed(error.to_string()))?)
            }
            // Where it has no type there is no such block.
            several => match self.blocks.get(several) {
                Some(&index) => BlockType::FunctionType(index),
                None => BlockType::Empty,
            },
        };
        Ok(Wrap { id, function, live, results, exceptions })
    }

    /// How many globals hold cells.
    pub(super) fn global_cells(&self) -> u32 {
        match self.hooks.cells {
            CellPlace::Globals(_) => self.map.functions.len() as u32,
            CellPlace::Memory(_) | CellPlace::Outlined(_) | CellPlace::Nowhere => 0,
        }
    }

    /// The index of the first function that was added.
    pub(super) fn first_added(&self) -> u32 {
        self.module.first_defined() + self.map.defined
    }

    /// The place of a function among those of the module's own that it defines.
    pub(super) fn place(&self, index: u32) -> Option<usize> {
        let place = index.checked_sub(self.module.first_defined())?;
        (place < self.map.defined).then_some(place as usize)
    }

    /// The index that a function had, if it was there.
    pub(super) fn itself(&self, index: u32) -> Option<u32> {
        if index < self.map.imports {
            return Some(index);
        }
        self.place(index).map(|place| self.map.imports + place as u32)
    }

    /// The index by which something referred to what it refers to by this one.
    pub(super) fn referred(&self, index: u32) -> Result<u32, Error> {
        let before = self.stands_for.get(&index).copied().or_else(|| self.itself(index));
        before.ok_or_else(|| changed(format!("something refers to function {index}, a hook")))
    }
}
