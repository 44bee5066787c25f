//! Rewriting, second part: where everything that is added goes, the indices of the hooks, of the types and
//! cells that they need, and of the functions that read the cells.

use std::collections::HashMap;

use observe_abi::{hooks, map};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{BlockType, FuncType, TypeSection, ValType};

use crate::Error;
use crate::added::{Added, What};
use crate::body::{BodyWriter, CellPlace, Hooked, Hooks, Renumber};
use crate::parse::{Function, Module};
use crate::plan::{Decision, HookId, Plan};
use crate::scan::Exceptions;
use crate::section::items;

/// The indices of what a plan adds to a module.
pub(crate) struct Layout<'m, 'a> {
    pub(crate) module: &'m Module<'a>,
    pub(crate) plan: &'m Plan,
    pub(crate) renumber: Renumber,
    pub(crate) hooks: Hooks,
    /// Names and type indices of the hooks to import.
    pub(crate) imports: Vec<(&'static str, u32)>,
    pub(crate) types: Types,
    /// The type index of `() -> results`, for functions of several results.
    blocks: HashMap<Vec<wasmparser::ValType>, u32>,
    /// Functions to add behind those of the module.
    pub(crate) added: Vec<Added>,
}

/// Function types to append.
#[derive(Default)]
pub(crate) struct Types {
    /// How many types the module has.
    before: u32,
    added: Vec<FuncType>,
}

impl Types {
    /// The index of a type, which is added where it was not yet.
    fn get(
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

/// Gives functions their new indices wherever `wasm-encoder` finds one.
pub(crate) struct Shift(pub(crate) Renumber);

impl Reencode for Shift {
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
        let first_defined = module.first_defined();
        let mut types = Types { before: module.types.len() as u32, added: Vec::new() };
        let enter = types.get([ValType::I32], [ValType::I32, ValType::I32]);
        let leave = types.get([ValType::I32], []);
        let mut imports = vec![(hooks::ENTER, enter), (hooks::EXIT, leave)];
        if plan.exceptions != Exceptions::None {
            imports.push((hooks::UNWIND, leave));
        }
        let mut layout = Layout {
            module,
            plan,
            renumber: Renumber { first_defined, added: imports.len() as u32 },
            hooks: Hooks {
                enter: first_defined,
                exit: first_defined + 1,
                unwind: first_defined + 2,
                cells: match plan.cells {
                    map::Cells::Memory => CellPlace::Memory(module.memories),
                    map::Cells::Globals => CellPlace::Globals(module.globals),
                },
            },
            imports,
            types,
            blocks: HashMap::new(),
            added: Vec::new(),
        };
        layout.add_cells();
        layout.add_block_types()?;
        Ok(layout)
    }

    /// Adds a function, and gives its index.
    fn add(&mut self, ty: u32, name: String, what: What) -> u32 {
        let index = self.first_added() + self.added.len() as u32;
        self.added.push(Added { ty, name, what });
        index
    }

    /// Adds the functions that the cells need.
    fn add_cells(&mut self) {
        match self.hooks.cells {
            CellPlace::Memory(memory) => {
                let ty = self.types.get([ValType::I32], [ValType::I32]);
                let what = What::Enter { hook: self.hooks.enter, memory };
                self.hooks.enter = self.add(ty, "observe:sample".to_owned(), what);
            }
            CellPlace::Globals(mut first) => {
                let end = first + self.plan.hooked().count() as u32;
                while first < end {
                    let count = (end - first).min(hooks::CELLS_PER_READER as u32);
                    let ty = self.types.get([], vec![ValType::I32; count as usize]);
                    let name = reader_name(self.readers().count());
                    self.add(ty, name, What::Reader { first, count });
                    first += count;
                }
            }
        }
    }

    /// Finds a type for the block in each hooked function of several results.
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
        for (function, planned) in module.functions.iter().zip(&plan.functions) {
            let Some(ty) = module.function_type(function) else { continue };
            let results = ty.ty.results();
            if results.len() < 2
                || !matches!(planned.decision, Decision::Hook(..))
                || self.blocks.contains_key(results)
            {
                continue;
            }
            let index = match present.get(results) {
                Some(&index) => index,
                None => {
                    let mut shift = Shift(self.renumber);
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
        self.renumber.first_defined + self.renumber.added + defined
    }

    /// The functions that read the cells: index and export name.
    pub(crate) fn readers(&self) -> impl Iterator<Item = (u32, &str)> {
        (self.first_added()..)
            .zip(&self.added)
            .filter(|(_, added)| matches!(added.what, What::Reader { .. }))
            .map(|(index, added)| (index, &*added.name))
    }

    pub(crate) fn body_writer(&self) -> BodyWriter<'_> {
        BodyWriter { hooks: &self.hooks, renumber: self.renumber }
    }

    /// How exceptions can leave a function, if it is hooked.
    pub(crate) fn exceptions(&self, function: &Function<'_>) -> Exceptions {
        if function.body.may_throw { self.plan.exceptions } else { Exceptions::None }
    }

    /// What a function's hooks need to know of it, if it gets any.
    pub(crate) fn hooked(
        &self,
        function: &Function<'_>,
        decision: Decision,
    ) -> Result<Option<Hooked>, Error> {
        let (Decision::Hook(id, _), Some(ty)) = (decision, self.module.function_type(function))
        else {
            return Ok(None);
        };
        let results = match ty.ty.results() {
            [] => BlockType::Empty,
            &[result] => BlockType::Result(Shift(self.renumber).val_type(result)?),
            several => {
                let index = self.blocks.get(several).copied();
                BlockType::FunctionType(index.ok_or(Error::Plan)?)
            }
        };
        let live = function.body.locals + ty.ty.params().len() as u32;
        let exceptions = self.exceptions(function);
        Ok(Some(Hooked { id, live, results, exceptions }))
    }
}

/// The name, also for exports, of the `n`th function that reads cells.
fn reader_name(n: usize) -> String {
    format!("{}{n}", hooks::CELLS_READER_PREFIX)
}

/// Whether a plan is one for the module: a decision for each function, ids in
/// ascending order from 0, and no hooks where they cannot be.
fn fits(plan: &Plan, module: &Module<'_>) -> bool {
    let mut ids = 0..;
    plan.functions.len() == module.functions.len()
        && plan.functions.iter().zip(&module.functions).zip(module.first_defined()..).all(
            |((planned, function), index)| {
                planned.index.0 == index
                    && match planned.decision {
                        Decision::Hook(HookId(id), _) => {
                            ids.next() == Some(id)
                                && module.function_type(function).is_some_and(|ty| !ty.shared)
                        }
                        Decision::Leave(_) => true,
                    }
            },
        )
}
