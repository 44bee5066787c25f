//! Rewriting, second part: which hooks a module imports.

use std::collections::{BTreeMap, BTreeSet};

use observe_abi::{dylibso, hooks, map};
use wasm_encoder::{FuncType, TypeSection, ValType};

use crate::body::{CellPlace, Hooks};
use crate::parse::Module;
use crate::plan::{Abi, Plan};
use crate::scan::Exceptions;
use crate::section::items;

/// The hooks that a module imports, behind the functions that it imported before.
pub(crate) struct Imported {
    first: u32,
    pub(crate) list: Vec<Hook>,
    /// What function bodies need to know.
    pub(crate) hooks: Hooks,
    /// The indices of hooks that functions of ours call.
    pub(crate) memory_grow: Option<u32>,
    pub(crate) table_grow: Option<u32>,
    pub(crate) allocation: Option<u32>,
}

/// A hook to import.
pub(crate) struct Hook {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    /// The index of its type.
    pub(crate) ty: u32,
}

impl Imported {
    /// The hooks that a plan needs, where hooked functions grow these memories and tables.
    pub(crate) fn new(
        plan: &Plan,
        module: &Module<'_>,
        types: &mut Types,
        (memories, tables): (&BTreeSet<u32>, &BTreeSet<u32>),
    ) -> Self {
        let hooks = Hooks {
            enter: 0,
            exit: 0,
            unwind: 0,
            memory_grow: BTreeMap::new(),
            table_grow: BTreeMap::new(),
            cells: match (plan.abi, plan.cells) {
                (Abi::Dylibso, _) => CellPlace::Nowhere,
                (Abi::Observe, map::Cells::Memory) => {
                    let memory = module.memories.len() as u32;
                    if plan.compact {
                        CellPlace::Outlined(memory)
                    } else {
                        CellPlace::Memory(memory)
                    }
                }
                (Abi::Observe, map::Cells::Globals) => CellPlace::Globals(module.globals),
            },
        };
        let mut imported = Imported {
            first: module.first_defined(),
            list: Vec::new(),
            hooks,
            memory_grow: None,
            table_grow: None,
            allocation: None,
        };
        match plan.abi {
            Abi::Observe => imported.observe(plan, types, !memories.is_empty(), !tables.is_empty()),
            Abi::Dylibso => imported.dylibso(types, !memories.is_empty()),
        }
        imported
    }

    fn observe(&mut self, plan: &Plan, types: &mut Types, memory_grow: bool, table_grow: bool) {
        let enter = types.get([ValType::I32], [ValType::I32, ValType::I32]);
        let leave = types.get([ValType::I32], []);
        self.hooks.enter = self.add(hooks::MODULE, hooks::ENTER, enter);
        self.hooks.exit = self.add(hooks::MODULE, hooks::EXIT, leave);
        if plan.exceptions != Exceptions::None {
            self.hooks.unwind = self.add(hooks::MODULE, hooks::UNWIND, leave);
        }
        let grow = [ValType::I32, ValType::I32, ValType::I64];
        if memory_grow {
            let ty = types.get(grow, []);
            self.memory_grow = Some(self.add(hooks::MODULE, hooks::MEMORY_GROW, ty));
        }
        if table_grow {
            let ty = types.get(grow, []);
            self.table_grow = Some(self.add(hooks::MODULE, hooks::TABLE_GROW, ty));
        }
        if !plan.allocators.is_empty() {
            let ty = types.get([ValType::I64; 3], []);
            self.allocation = Some(self.add(hooks::MODULE, hooks::ALLOCATION, ty));
        }
    }

    fn dylibso(&mut self, types: &mut Types, memory_grow: bool) {
        let ty = types.get([ValType::I32], []);
        self.hooks.enter = self.add(dylibso::MODULE, dylibso::ENTER, ty);
        self.hooks.exit = self.add(dylibso::MODULE, dylibso::EXIT, ty);
        self.hooks.unwind = self.hooks.exit;
        if memory_grow {
            self.memory_grow = Some(self.add(dylibso::MODULE, dylibso::MEMORY_GROW, ty));
        }
    }

    /// Adds a hook, and gives its index.
    fn add(&mut self, module: &'static str, name: &'static str, ty: u32) -> u32 {
        self.list.push(Hook { module, name, ty });
        self.first + self.list.len() as u32 - 1
    }
}

/// Function types to append.
pub(crate) struct Types {
    /// How many types the module has.
    before: u32,
    added: Vec<FuncType>,
}

impl Types {
    pub(crate) fn new(module: &Module<'_>) -> Self {
        Types { before: module.types.len() as u32, added: Vec::new() }
    }

    /// The index of a type, which is added where it was not yet.
    pub(crate) fn get(
        &mut self,
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> u32 {
        let ty = FuncType::new(params, results);
        let at = self.added.iter().position(|added| *added == ty).unwrap_or_else(|| {
            self.added.push(ty);
            self.added.len() - 1
        });
        self.before + at as u32
    }

    /// The items of a type section, and how many they are.
    pub(crate) fn encode(&self) -> (Vec<u8>, u32) {
        let mut section = TypeSection::new();
        self.added.iter().for_each(|ty| section.ty().func_type(ty));
        (items(&section), section.len())
    }
}
