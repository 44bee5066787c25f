//! Rewriting, first part: one function body.
//!
//! The bytes between [sites](crate::scan::Site) are copied. With cells in globals, the
//! module
//!
//! ```wat
#![doc = include_str!("../tests/rewrite/plain.wat")]
//! ```
//!
//! becomes
//!
//! ```wat
#![doc = include_str!("../tests/rewrite/plain.wat.out")]
//! ```
//!
//! A cell holds the number of calls to let pass. At zero the added local takes what `enter`
//! answers, the token, which is negative if the call is timed; otherwise it takes what
//! the cell held, which is positive. So one question at the end, whether it has no leading
//! zeros, tells whether to call `exit`. Branches to the function's own label need no
//! change, since the block takes its place. A tail call gets its exit just before
//! it. With cells in a memory, `enter` is called by a function of ours that stores the
//! period (`memory_cells.wat`). Where the module uses exceptions, the block of a function
//! that one may leave catches them all on the way: `exceptions.wat` and
//! `legacy_exceptions.wat` beside the files above show both forms.

use std::collections::BTreeMap;

use wasm_encoder::{BlockType, Catch, Encode, InstructionSink, MemArg, RefType, ValType};

use crate::plan::HookId;
use crate::scan::{Body, Exceptions, Site, SiteKind};
use crate::{Error, leb};

/// What the injected code of a module refers to.
pub(crate) struct Hooks {
    /// The function to call when a cell is used up: `enter`, or with cells in a memory the
    /// one of ours that calls it. Where cells are counted down by a function, that one.
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

/// What differs from one hooked function to the next.
#[derive(Clone, Copy)]
pub(crate) struct Hooked {
    pub(crate) id: HookId,
    /// Its new index.
    pub(crate) function: u32,
    /// The index of the added local.
    pub(crate) live: u32,
    /// The type of the block that the body is wrapped in.
    pub(crate) results: BlockType,
    /// How exceptions can leave the function.
    pub(crate) exceptions: Exceptions,
}

/// New function indices: imports are appended to the imported functions, so all
/// others move up.
pub(crate) struct Renumber {
    /// How many imports there are to append.
    pub(crate) added: u32,
    /// For each function that was imported before, the function to call in its place.
    pub(crate) imports: Vec<u32>,
    /// The same for those that were defined and allocate or free, but for calls of one
    /// another.
    pub(crate) replaced: BTreeMap<u32, u32>,
}

impl Renumber {
    /// The index that something refers to a function by.
    pub(crate) fn function(&self, index: u32) -> Result<u32, Error> {
        match self.replaced.get(&index) {
            Some(&index) => Ok(index),
            None => self.not_replaced(index),
        }
    }

    /// The index that a function which is [replaced](Self::replaced) refers to one by.
    fn not_replaced(&self, index: u32) -> Result<u32, Error> {
        match self.imports.get(index as usize) {
            Some(&index) => Ok(index),
            None => self.own(index),
        }
    }

    /// The index of a function itself.
    pub(crate) fn own(&self, index: u32) -> Result<u32, Error> {
        if index < self.first_defined() {
            return Ok(index);
        }
        index.checked_add(self.added).ok_or_else(|| Error::Invalid {
            message: format!("function index {index} does not exist"),
            offset: 0,
        })
    }

    /// The first index that was not an import's.
    pub(crate) fn first_defined(&self) -> u32 {
        self.imports.len() as u32
    }
}

/// The index that a label of a hooked function gets: labels are numbered as they are
/// opened, and the hooks open some before the body, and where there are cells one before
/// each tail call.
pub(crate) fn renumber_label(
    label: u32,
    cells: CellPlace,
    exceptions: Exceptions,
    sites: &[Site],
) -> Option<u32> {
    let around_body = match exceptions {
        Exceptions::None | Exceptions::Legacy => 1,
        Exceptions::Exnref => 2,
    };
    let at_entry = match cells {
        CellPlace::Nowhere => return label.checked_add(around_body),
        CellPlace::Outlined(_) => 0,
        CellPlace::Memory(_) | CellPlace::Globals(_) => 1,
    };
    let is_before = |site: &&Site| match site.kind {
        SiteKind::TailCall { labels } => labels <= label,
        _ => false,
    };
    label.checked_add(at_entry + around_body + sites.iter().filter(is_before).count() as u32)
}

/// Offsets before and after a rewrite, in bytes from the start of the body.
///
/// Each entry holds for the bytes from its old offset to that of the next.
pub(crate) type Segments = Vec<(u32, u32)>;

/// Writes function bodies.
pub(crate) struct BodyWriter<'a> {
    pub(crate) hooks: &'a Hooks,
    pub(crate) renumber: &'a Renumber,
    /// Whether the function allocates or frees and tells of it. What it calls of its like is
    /// part of its own work, and not told again.
    pub(crate) allocates: bool,
}

impl BodyWriter<'_> {
    /// Writes `body`, without its length, to the end of `out`; `segments`, if
    /// given, learns where the bytes went.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        body: &Body<'_>,
        sites: &[Site],
        hooked: Option<&Hooked>,
        mut segments: Option<&mut Segments>,
    ) -> Result<(), Error> {
        let code_start = body.code_start as usize;
        let start = out.len();
        let mut note = |out: &Vec<u8>, old: usize| {
            if let Some(segments) = segments.as_deref_mut() {
                segments.push((old as u32, (out.len() - start) as u32));
            }
        };
        match hooked {
            None => out.extend_from_slice(&body.bytes[..code_start]),
            Some(hooked) => {
                match self.hooks.cells {
                    CellPlace::Nowhere => out.extend_from_slice(&body.bytes[..code_start]),
                    _ => add_local(out, body)?,
                }
                self.hooks.enter(out, hooked);
                self.hooks.open(out, hooked);
            }
        }
        note(out, code_start);
        let mut copied = code_start;
        for site in sites {
            let offset = site.offset as usize;
            out.extend_from_slice(&body.bytes[copied..offset]);
            copied = offset;
            match (site.kind, hooked) {
                (SiteKind::FunctionIndex, _) => {
                    let (index, rest) = leb::split(&body.bytes[offset..])?;
                    copied = body.bytes.len() - rest.len();
                    let index = match self.allocates {
                        true => self.renumber.not_replaced(index)?,
                        false => self.renumber.function(index)?,
                    };
                    leb::write_padded(out, index, copied - offset);
                    note(out, copied);
                }
                (SiteKind::Return { depth }, Some(_)) => {
                    InstructionSink::new(out).br(depth);
                    copied += 1;
                    note(out, copied);
                }
                (SiteKind::TailCall { .. }, Some(hooked)) => {
                    self.hooks.leave_for_good(out, hooked);
                    note(out, copied);
                }
                (SiteKind::MemoryGrow { memory }, Some(hooked)) => {
                    if let Some(&function) = self.hooks.memory_grow.get(&memory) {
                        // One byte, and the index.
                        let (_, rest) = leb::split(&body.bytes[offset + 1..])?;
                        copied = body.bytes.len() - rest.len();
                        self.hooks.grow(out, hooked, function);
                        note(out, copied);
                    }
                }
                (SiteKind::TableGrow { table }, Some(hooked)) => {
                    if let Some(&function) = self.hooks.table_grow.get(&table) {
                        // A prefix, the number of the instruction, and the index.
                        let (_, rest) = leb::split(&body.bytes[offset + 1..])?;
                        let (_, rest) = leb::split(rest)?;
                        copied = body.bytes.len() - rest.len();
                        self.hooks.grow(out, hooked, function);
                        note(out, copied);
                    }
                }
                _ => {}
            }
        }
        out.extend_from_slice(&body.bytes[copied..]);
        if let Some(hooked) = hooked {
            self.hooks.close(out, hooked);
        }
        Ok(())
    }
}

/// The injected code.
impl Hooks {
    /// Counts the cell down or, where it is used up, asks the host for a new period and
    /// a token.
    pub(crate) fn enter(&self, out: &mut Vec<u8>, hooked: &Hooked) {
        let HookId(id) = hooked.id;
        let live = hooked.live;
        let mut code = InstructionSink::new(out);
        match self.cells {
            CellPlace::Memory(memory) => {
                let cell = MemArg { offset: 4 * u64::from(id), align: 2, memory_index: memory };
                // The address of the store comes before the value.
                code.i32_const(0).i32_const(0).i32_load(cell).local_tee(live);
                code.i32_const(1).i32_sub().i32_store(cell);
                code.local_get(live).i32_eqz().if_(BlockType::Empty);
                code.i32_const(id as i32).call(self.enter).local_set(live).end();
            }
            CellPlace::Globals(first) => {
                let cell = first + id;
                code.global_get(cell).local_tee(live);
                code.i32_const(1).i32_sub().global_set(cell);
                code.local_get(live).i32_eqz().if_(BlockType::Empty);
                code.i32_const(id as i32).call(self.enter).local_set(live);
                code.i32_const(1).i32_sub().global_set(cell).end();
            }
            CellPlace::Outlined(_) => {
                code.i32_const(id as i32).call(self.enter).local_set(live);
            }
            CellPlace::Nowhere => {
                code.i32_const(hooked.function as i32).call(self.enter);
            }
        }
    }

    /// Tells the host that the function ends, if this call is timed, and otherwise branches to
    /// the label of the function, which is this far out.
    fn leave(&self, out: &mut Vec<u8>, hooked: &Hooked, label: u32) {
        let mut code = InstructionSink::new(out);
        match self.cells {
            CellPlace::Nowhere => code.i32_const(hooked.function as i32),
            _ => code.local_get(hooked.live).i32_clz().br_if(label).local_get(hooked.live),
        };
        code.call(self.exit);
    }

    /// The same, before a tail call.
    pub(crate) fn leave_for_good(&self, out: &mut Vec<u8>, hooked: &Hooked) {
        let mut code = InstructionSink::new(out);
        if let CellPlace::Nowhere = self.cells {
            code.i32_const(hooked.function as i32).call(self.exit);
            return;
        }
        code.local_get(hooked.live).i32_const(0).i32_lt_s().if_(BlockType::Empty);
        code.local_get(hooked.live).call(self.exit).end();
    }

    /// Tells the host that an exception leaves the function; it knows whether the call
    /// was timed.
    fn unwind(&self, out: &mut Vec<u8>, hooked: &Hooked) {
        let mut code = InstructionSink::new(out);
        match self.cells {
            CellPlace::Nowhere => code.i32_const(hooked.function as i32),
            _ => code.local_get(hooked.live),
        };
        code.call(self.unwind);
    }

    /// Calls a function that grows something in place of the instruction.
    fn grow(&self, out: &mut Vec<u8>, hooked: &Hooked, function: u32) {
        let HookId(id) = hooked.id;
        InstructionSink::new(out).i32_const(id as i32).call(function);
    }

    /// Opens the block that the body's final `end` closes.
    pub(crate) fn open(&self, out: &mut Vec<u8>, hooked: &Hooked) {
        let mut code = InstructionSink::new(out);
        match hooked.exceptions {
            Exceptions::None => code.block(hooked.results),
            Exceptions::Exnref => code
                .block(BlockType::Result(ValType::Ref(RefType::EXNREF)))
                .try_table(hooked.results, [Catch::AllRef { label: 0 }]),
            Exceptions::Legacy => code.try_(hooked.results),
        };
    }

    /// Writes what follows the body.
    pub(crate) fn close(&self, out: &mut Vec<u8>, hooked: &Hooked) {
        match hooked.exceptions {
            Exceptions::None => self.leave(out, hooked, 0),
            Exceptions::Exnref => {
                self.leave(out, hooked, 1);
                InstructionSink::new(out).return_().end();
                self.unwind(out, hooked);
                InstructionSink::new(out).throw_ref();
            }
            Exceptions::Legacy => {
                // The final `end` of the body belongs behind the handler.
                out.pop();
                InstructionSink::new(out).catch_all();
                self.unwind(out, hooked);
                InstructionSink::new(out).rethrow(0).end();
                self.leave(out, hooked, 0);
            }
        }
        InstructionSink::new(out).end();
    }
}

/// Writes the declarations of the locals with one `i32` more, behind the others.
fn add_local(out: &mut Vec<u8>, body: &Body<'_>) -> Result<(), Error> {
    let declared = &body.bytes[..body.code_start as usize];
    match body.last_group {
        // One more of the same.
        Some(at) => {
            let (before, group) = declared.split_at(at as usize);
            let (count, ty) = leb::split(group)?;
            out.extend_from_slice(before);
            count.checked_add(1).ok_or(Error::Plan)?.encode(out);
            out.extend_from_slice(ty);
        }
        None => {
            let (groups, rest) = leb::split(declared)?;
            groups.checked_add(1).ok_or(Error::Plan)?.encode(out);
            out.extend_from_slice(rest);
            1u32.encode(out);
            ValType::I32.encode(out);
        }
    }
    Ok(())
}
