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
//! The added local takes the rest of the period, which is positive, or the token of a
//! call that is timed, which is negative. Branches to the function's own label need no
//! change, since the block takes its place. A tail call gets the last `if` just before
//! it. Where the module uses exceptions, the block is one that catches them all on the
//! way: `exceptions.wat` and `legacy_exceptions.wat` beside the files above show both
//! forms.

use wasm_encoder::{BlockType, Catch, Encode, InstructionSink, MemArg, RefType, ValType};

use crate::plan::HookId;
use crate::scan::{Body, Exceptions, Site, SiteKind};
use crate::{Error, leb};

/// What the injected code of a module refers to.
pub(crate) struct Hooks {
    /// Function indices of the imported hooks.
    pub(crate) enter: u32,
    pub(crate) exit: u32,
    /// Imported if `exceptions` says that there are any.
    pub(crate) unwind: u32,
    pub(crate) cells: CellPlace,
    pub(crate) exceptions: Exceptions,
}

/// Where the cells of a module are.
#[derive(Clone, Copy)]
pub(crate) enum CellPlace {
    /// In the memory with this index, 4 bytes for each id.
    Memory(u32),
    /// In globals, that of id 0 at this index.
    Globals(u32),
}

/// What differs from one hooked function to the next.
pub(crate) struct Hooked {
    pub(crate) id: HookId,
    /// The index of the added local.
    pub(crate) live: u32,
    /// The type of the block that the body is wrapped in.
    pub(crate) results: BlockType,
}

/// New function indices: imports are appended to the imported functions, so all
/// others move up.
#[derive(Clone, Copy)]
pub(crate) struct Renumber {
    pub(crate) first_defined: u32,
    pub(crate) added: u32,
}

impl Renumber {
    pub(crate) fn function(self, index: u32) -> Result<u32, Error> {
        if index < self.first_defined {
            return Ok(index);
        }
        index.checked_add(self.added).ok_or_else(|| Error::Invalid {
            message: format!("function index {index} does not exist"),
            offset: 0,
        })
    }
}

/// The index that a label of a hooked function gets: labels are numbered as they are
/// opened, and the hooks open some before the body and one before each tail call.
pub(crate) fn renumber_label(label: u32, exceptions: Exceptions, sites: &[Site]) -> Option<u32> {
    let before_body = match exceptions {
        Exceptions::None | Exceptions::Legacy => 2,
        Exceptions::Exnref => 3,
    };
    let is_before = |site: &&Site| match site.kind {
        SiteKind::TailCall { labels } => labels <= label,
        SiteKind::FunctionIndex | SiteKind::Return { .. } => false,
    };
    label.checked_add(before_body + sites.iter().filter(is_before).count() as u32)
}

/// Offsets before and after a rewrite, in bytes from the start of the body.
///
/// Each entry holds for the bytes from its old offset to that of the next.
pub(crate) type Segments = Vec<(u32, u32)>;

/// Writes function bodies.
pub(crate) struct BodyWriter<'a> {
    pub(crate) hooks: &'a Hooks,
    pub(crate) renumber: Renumber,
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
                let (_, groups) = leb::split(&body.bytes[..code_start])?;
                (body.local_groups + 1).encode(out);
                out.extend_from_slice(groups);
                1u32.encode(out);
                ValType::I32.encode(out);
                self.enter(out, hooked);
                self.open(out, hooked);
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
                    leb::write_padded(out, self.renumber.function(index)?, copied - offset);
                    note(out, copied);
                }
                (SiteKind::Return { depth }, Some(_)) => {
                    InstructionSink::new(out).br(depth);
                    copied += 1;
                    note(out, copied);
                }
                (SiteKind::TailCall { .. }, Some(hooked)) => {
                    self.leave(out, hooked, self.hooks.exit);
                    note(out, copied);
                }
                (SiteKind::Return { .. } | SiteKind::TailCall { .. }, None) => {}
            }
        }
        out.extend_from_slice(&body.bytes[copied..]);
        if let Some(hooked) = hooked {
            self.close(out, hooked);
        }
        Ok(())
    }

    /// Counts the cell down and, where it is used up, asks the host for a new
    /// period and a token.
    fn enter(&self, out: &mut Vec<u8>, hooked: &Hooked) {
        let HookId(id) = hooked.id;
        let live = hooked.live;
        let cell = |memory_index| MemArg { offset: 4 * u64::from(id), align: 2, memory_index };
        let mut code = InstructionSink::new(out);
        match self.hooks.cells {
            // The address of the store comes before the value.
            CellPlace::Memory(memory) => code.i32_const(0).i32_const(0).i32_load(cell(memory)),
            CellPlace::Globals(first) => code.global_get(first + id),
        };
        code.i32_const(1).i32_sub().local_tee(live);
        match self.hooks.cells {
            CellPlace::Memory(memory) => code.i32_store(cell(memory)),
            CellPlace::Globals(first) => code.global_set(first + id),
        };
        code.local_get(live).i32_const(0).i32_le_s().if_(BlockType::Empty);
        if let CellPlace::Memory(_) = self.hooks.cells {
            code.i32_const(0);
        }
        code.i32_const(id as i32).call(self.hooks.enter).local_set(live);
        match self.hooks.cells {
            CellPlace::Memory(memory) => code.i32_store(cell(memory)),
            CellPlace::Globals(first) => code.global_set(first + id),
        };
        code.end();
    }

    /// Tells the host that the function ends, if this call is timed. `hook` says how it
    /// does.
    fn leave(&self, out: &mut Vec<u8>, hooked: &Hooked, hook: u32) {
        InstructionSink::new(out)
            .local_get(hooked.live)
            .i32_const(0)
            .i32_lt_s()
            .if_(BlockType::Empty)
            .local_get(hooked.live)
            .call(hook)
            .end();
    }

    /// Opens the block that the body's final `end` closes.
    fn open(&self, out: &mut Vec<u8>, hooked: &Hooked) {
        let mut code = InstructionSink::new(out);
        match self.hooks.exceptions {
            Exceptions::None => code.block(hooked.results),
            Exceptions::Exnref => code
                .block(BlockType::Result(ValType::Ref(RefType::EXNREF)))
                .try_table(hooked.results, [Catch::AllRef { label: 0 }]),
            Exceptions::Legacy => code.try_(hooked.results),
        };
    }

    /// Writes what follows the body.
    fn close(&self, out: &mut Vec<u8>, hooked: &Hooked) {
        let Hooks { exit, unwind, .. } = *self.hooks;
        match self.hooks.exceptions {
            Exceptions::None => self.leave(out, hooked, exit),
            Exceptions::Exnref => {
                self.leave(out, hooked, exit);
                InstructionSink::new(out).return_().end();
                self.leave(out, hooked, unwind);
                InstructionSink::new(out).throw_ref();
            }
            Exceptions::Legacy => {
                // The final `end` of the body belongs behind the handler.
                out.pop();
                InstructionSink::new(out).catch_all();
                self.leave(out, hooked, unwind);
                InstructionSink::new(out).rethrow(0).end();
                self.leave(out, hooked, exit);
            }
        }
        InstructionSink::new(out).end();
    }
}
