//! The injected code.

use std::collections::BTreeMap;

use wasm_encoder::{BlockType, Catch, InstructionSink, MemArg, RefType, ValType};

use super::{Hooked, Prefix, Wrap};
use crate::plan::HookId;
use crate::scan::Exceptions;

/// What the injected code of a module refers to.
pub(crate) struct Hooks {
    /// The function to call when a cell is used up: `enter`, or where cells are counted down
    /// by a function of ours, that one.
    pub(crate) enter: u32,
    /// Function indices of imported hooks.
    pub(crate) exit: u32,
    /// Imported if the module uses exceptions.
    pub(crate) unwind: u32,
    /// The functions to call in place of instructions that grow a memory or a table, by its
    /// index.
    pub(crate) memory_grow: BTreeMap<u32, u32>,
    pub(crate) table_grow: BTreeMap<u32, u32>,
    pub(crate) cells: CellPlace,
}

/// Where the cells of a module are.
#[derive(Clone, Copy)]
pub(crate) enum CellPlace {
    /// In the memory with this index, 4 bytes for each id.
    Memory(u32),
    /// In globals, that of id 0 at this index.
    Globals(u32),
    /// In the memory with this index, and counted down by a function of ours.
    Outlined(u32),
    /// There are none: each call is told, by the function's index.
    Nowhere,
}

impl CellPlace {
    /// The cell of a function, where its own code is what counts it down.
    fn cell(self, HookId(id): HookId) -> Option<Cell> {
        match self {
            CellPlace::Memory(memory) => {
                let offset = 4 * u64::from(id);
                Some(Cell::Memory(MemArg { offset, align: 2, memory_index: memory }))
            }
            CellPlace::Globals(first) => Some(Cell::Global(first + id)),
            CellPlace::Outlined(_) | CellPlace::Nowhere => None,
        }
    }

    /// Whether the code of a function counts its own cell down.
    pub(crate) fn are_inline(self) -> bool {
        matches!(self, CellPlace::Memory(_) | CellPlace::Globals(_))
    }
}

/// A cell.
#[derive(Clone, Copy)]
enum Cell {
    Memory(MemArg),
    Global(u32),
}

impl Cell {
    fn load(self, code: &mut InstructionSink<'_>) {
        match self {
            Cell::Memory(at) => code.i32_const(0).i32_load(at),
            Cell::Global(index) => code.global_get(index),
        };
    }

    /// Pushes what a store wants to find below the value.
    fn address(self, code: &mut InstructionSink<'_>) {
        if let Cell::Memory(_) = self {
            code.i32_const(0);
        }
    }

    fn store(self, code: &mut InstructionSink<'_>) {
        match self {
            Cell::Memory(at) => code.i32_store(at),
            Cell::Global(index) => code.global_set(index),
        };
    }

    /// Opens a block for the case that it is used up.
    fn if_used_up(self, code: &mut InstructionSink<'_>) {
        self.load(code);
        code.i32_eqz().if_(BlockType::Empty);
    }

    fn count_down(self, code: &mut InstructionSink<'_>) {
        self.address(code);
        self.load(code);
        code.i32_const(1).i32_sub();
        self.store(code);
    }
}

impl Hooks {
    /// Writes what comes before a body.
    pub(crate) fn open(&self, out: &mut Vec<u8>, hooked: &Hooked) {
        match hooked {
            Hooked::Prefixed(prefix) => self.prefix(out, prefix),
            Hooked::Wrapped(wrap) => {
                self.enter(out, wrap);
                self.open_block(out, wrap);
            }
        }
    }

    /// Writes what follows a body.
    pub(crate) fn close(&self, out: &mut Vec<u8>, hooked: &Hooked) {
        match hooked {
            Hooked::Prefixed(_) => {}
            Hooked::Wrapped(wrap) => self.close_block(out, wrap),
        }
    }

    /// Counts the cell down or, where it is used up, hands the call over.
    fn prefix(&self, out: &mut Vec<u8>, prefix: &Prefix) {
        let Some(cell) = self.cells.cell(prefix.id) else { return };
        let mut code = InstructionSink::new(out);
        cell.if_used_up(&mut code);
        (0..prefix.params).for_each(|param| _ = code.local_get(param));
        code.return_call(prefix.timer).end();
        // An engine knows by now what the cell holds, so that to load it again is free.
        cell.count_down(&mut code);
    }

    /// Writes a timer, behind its locals: calls this function of so many parameters.
    pub(crate) fn time(&self, out: &mut Vec<u8>, wrap: &Wrap, function: u32, params: u32) {
        self.ask(out, wrap);
        // Nothing branches out of it.
        let block = wrap.exceptions != Exceptions::None;
        if block {
            self.open_block(out, wrap);
        }
        let mut code = InstructionSink::new(out);
        (0..params).for_each(|param| _ = code.local_get(param));
        code.call(function);
        if block {
            code.end();
        }
        self.close_block(out, wrap);
    }

    /// Counts the cell down and, where it is used up, first asks the host for a new period
    /// and a token.
    fn enter(&self, out: &mut Vec<u8>, wrap: &Wrap) {
        let mut code = InstructionSink::new(out);
        match self.cells.cell(wrap.id) {
            Some(cell) => {
                cell.if_used_up(&mut code);
                self.ask(out, wrap);
                let mut code = InstructionSink::new(out);
                code.end();
                cell.count_down(&mut code);
            }
            None => self.ask(out, wrap),
        }
    }

    /// Calls `enter`, or what counts a cell down and does so where that is used up.
    fn ask(&self, out: &mut Vec<u8>, wrap: &Wrap) {
        let HookId(id) = wrap.id;
        let mut code = InstructionSink::new(out);
        match self.cells {
            CellPlace::Nowhere => _ = code.i32_const(wrap.function as i32).call(self.enter),
            _ => match self.cells.cell(wrap.id) {
                Some(cell) => {
                    cell.address(&mut code);
                    code.i32_const(id as i32).call(self.enter).local_set(wrap.live);
                    cell.store(&mut code);
                }
                None => _ = code.i32_const(id as i32).call(self.enter).local_set(wrap.live),
            },
        }
    }

    /// Tells the host that the function ends, if this call is timed, and otherwise branches to
    /// the label of the function, which is this far out.
    fn leave(&self, out: &mut Vec<u8>, wrap: &Wrap, label: u32) {
        let mut code = InstructionSink::new(out);
        match self.cells {
            CellPlace::Nowhere => code.i32_const(wrap.function as i32),
            _ => code.local_get(wrap.live).i32_clz().br_if(label).local_get(wrap.live),
        };
        code.call(self.exit);
    }

    /// The same, before a tail call.
    pub(crate) fn leave_for_good(&self, out: &mut Vec<u8>, wrap: &Wrap) {
        let mut code = InstructionSink::new(out);
        if let CellPlace::Nowhere = self.cells {
            code.i32_const(wrap.function as i32).call(self.exit);
            return;
        }
        code.local_get(wrap.live).i32_const(0).i32_lt_s().if_(BlockType::Empty);
        code.local_get(wrap.live).call(self.exit).end();
    }

    /// Tells the host that an exception leaves the function; it knows whether the call
    /// was timed.
    fn unwind(&self, out: &mut Vec<u8>, wrap: &Wrap) {
        let mut code = InstructionSink::new(out);
        match self.cells {
            CellPlace::Nowhere => code.i32_const(wrap.function as i32),
            _ => code.local_get(wrap.live),
        };
        code.call(self.unwind);
    }

    /// Calls a function that grows something in place of the instruction.
    pub(crate) fn grow(out: &mut Vec<u8>, HookId(id): HookId, function: u32) {
        InstructionSink::new(out).i32_const(id as i32).call(function);
    }

    /// Opens the block that the final `end` of what is in it closes.
    fn open_block(&self, out: &mut Vec<u8>, wrap: &Wrap) {
        let mut code = InstructionSink::new(out);
        match wrap.exceptions {
            Exceptions::None => code.block(wrap.results),
            Exceptions::Exnref => code
                .block(BlockType::Result(ValType::Ref(RefType::EXNREF)))
                .try_table(wrap.results, [Catch::AllRef { label: 0 }]),
            Exceptions::Legacy => code.try_(wrap.results),
        };
    }

    /// Writes what follows that block.
    fn close_block(&self, out: &mut Vec<u8>, wrap: &Wrap) {
        match wrap.exceptions {
            Exceptions::None => self.leave(out, wrap, 0),
            Exceptions::Exnref => {
                self.leave(out, wrap, 1);
                InstructionSink::new(out).return_().end();
                self.unwind(out, wrap);
                InstructionSink::new(out).throw_ref();
            }
            Exceptions::Legacy => {
                // The final `end` of what is in it belongs behind the handler.
                out.pop();
                InstructionSink::new(out).catch_all();
                self.unwind(out, wrap);
                InstructionSink::new(out).rethrow(0).end();
                self.leave(out, wrap, 0);
            }
        }
        InstructionSink::new(out).end();
    }
}
