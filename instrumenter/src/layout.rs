//! Rewriting, second part: where everything that is added goes, the indices of the hooks, of the types and
//! cells that they need, and of the functions that read the cells.

use std::collections::HashMap;

use observe_abi::{hooks, map};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{BlockType, FuncType, TypeSection, ValType};

use crate::Error;
use crate::body::{BodyWriter, CellPlace, Hooked, Hooks, Renumber};
use crate::parse::{Function, Module};
use crate::plan::{Decision, HookId, Plan};
use crate::scan::Exceptions;

/// The indices of what a plan adds to a module.
pub(crate) struct Layout<'m, 'a> {
    pub(crate) module: &'m Module<'a>,
    pub(crate) plan: &'m Plan,
    pub(crate) renumber: Renumber,
    pub(crate) hooks: Hooks,
    /// Types to append. The hooks are imported with the first two.
    pub(crate) types: TypeSection,
    /// The type index of `() -> results`, for functions of several results.
    blocks: HashMap<Vec<wasmparser::ValType>, u32>,
    /// The type index of each function that reads cells, and how many it reads.
    pub(crate) readers: Vec<(u32, u32)>,
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
        let imports = module.first_defined();
        let hooks = Hooks {
            enter: imports,
            exit: imports + 1,
            unwind: imports + 2,
            cells: match plan.cells {
                map::Cells::Memory => CellPlace::Memory(module.memories),
                map::Cells::Globals => CellPlace::Globals(module.globals),
            },
            exceptions: plan.exceptions,
        };
        let mut layout = Layout {
            module,
            plan,
            renumber: Renumber {
                first_defined: imports,
                added: if plan.exceptions == Exceptions::None { 2 } else { 3 },
            },
            hooks,
            types: TypeSection::new(),
            blocks: HashMap::new(),
            readers: Vec::new(),
        };
        layout.add_types()?;
        Ok(layout)
    }

    /// The index that the next appended type gets.
    fn next_type(&self) -> u32 {
        self.module.types.len() as u32 + self.types.len()
    }

    fn add_types(&mut self) -> Result<(), Error> {
        self.types.ty().function([ValType::I32], [ValType::I32, ValType::I32]);
        self.types.ty().function([ValType::I32], []);
        if let CellPlace::Globals(_) = self.hooks.cells {
            let mut left = self.plan.hooked().count();
            let mut last = None;
            while left > 0 {
                let count = left.min(hooks::CELLS_PER_READER);
                let ty = match last {
                    Some((ty, same)) if same == count => ty,
                    _ => {
                        let ty = self.next_type();
                        self.types.ty().function([], vec![ValType::I32; count]);
                        ty
                    }
                };
                last = Some((ty, count));
                self.readers.push((ty, count as u32));
                left -= count;
            }
        }
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
                    let index = self.next_type();
                    let mut shift = Shift(self.renumber);
                    let encoded = results.iter().map(|&ty| shift.val_type(ty));
                    let encoded = encoded.collect::<Result<Vec<_>, _>>()?;
                    self.types.ty().func_type(&FuncType::new([], encoded));
                    index
                }
            };
            self.blocks.insert(results.to_vec(), index);
        }
        Ok(())
    }

    /// The new index of the first function that reads cells.
    pub(crate) fn first_reader(&self) -> u32 {
        let defined = self.module.functions.len() as u32;
        self.renumber.first_defined + self.renumber.added + defined
    }

    /// The names of the functions that read cells, in order.
    pub(crate) fn reader_names(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.readers.len()).map(reader_name)
    }

    pub(crate) fn body_writer(&self) -> BodyWriter<'_> {
        BodyWriter { hooks: &self.hooks, renumber: self.renumber }
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
        Ok(Some(Hooked { id, live, results }))
    }
}

/// The export name of the `n`th function that reads cells.
pub(crate) fn reader_name(n: usize) -> String {
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
