//! Rewriting, first part: one function body.
//!
//! The bytes between [sites](crate::scan::Site) are copied, and those of the locals, too. With
//! cells in globals, the module
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
//! A cell holds the number of calls to let pass. At zero the function hands the call over to its
//! *timer*, by a tail call, so that the frame of the function is free again. The timer
//! asks `enter` for a period and a token, and calls the function once more, which counts
//! itself down. A token is negative if the call is timed, so that one question, whether it has
//! no leading zeros, tells whether to call `exit`. The body stays as it is, and all that it has
//! to bear is a prefix with nothing to keep: no local lives on, no argument has to be saved, and
//! what is rare is at the end of the machine code. With cells in a memory,
//! `memory_cells.wat` shows the same.
//!
//! A function with tail calls of its own gets no timer: in a loop of them each call would
//! leave a timer on the stack. It is *wrapped*: the body stands in a block, to which a
//! `return` branches, and an added local takes the token over to the exit; a tail call gets
//! its exit just before it (`tail_calls.wat`). So are calls of the host, and all functions where
//! a cell is counted down by a function of ours (`compact.wat`) or there are none
//! (`dylibso.wat`).
//!
//! Where the module uses exceptions, what is around the call in a timer, or around a wrapped
//! body that one may leave, catches them all on the way: `exceptions.wat` and
//! `legacy_exceptions.wat` show both forms.
//!
//! - `hooks` is the injected code.
//! - `renumber` knows the new indices of functions.

mod hooks;
mod renumber;

use wasm_encoder::{BlockType, Encode, InstructionSink, ValType};

pub(crate) use self::hooks::{CellPlace, Hooks};
pub(crate) use self::renumber::{Renumber, renumber_label};
use crate::plan::HookId;
use crate::scan::{Body, Exceptions, Site, SiteKind};
use crate::{Error, leb};

/// How the calls of a function are told, and what differs in that from one to the next.
#[derive(Clone, Copy)]
pub(crate) enum Hooked {
    /// It begins with a prefix.
    Prefixed(Prefix),
    /// Its body is in a block.
    Wrapped(Wrap),
}

impl Hooked {
    pub(crate) fn id(&self) -> HookId {
        match self {
            Hooked::Prefixed(prefix) => prefix.id,
            Hooked::Wrapped(wrap) => wrap.id,
        }
    }
}

/// What counts a call, or hands it over.
#[derive(Clone, Copy)]
pub(crate) struct Prefix {
    pub(crate) id: HookId,
    /// The function to hand it over to.
    pub(crate) timer: u32,
    /// How many parameters the function takes.
    pub(crate) params: u32,
}

/// What is around something that may be timed.
#[derive(Clone, Copy)]
pub(crate) struct Wrap {
    pub(crate) id: HookId,
    /// The new index of the function that it is in.
    pub(crate) function: u32,
    /// The index of the added local.
    pub(crate) live: u32,
    /// The type of the block, where there is one.
    pub(crate) results: BlockType,
    /// How exceptions can leave what is in it.
    pub(crate) exceptions: Exceptions,
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
            Some(Hooked::Wrapped(_)) if !matches!(self.hooks.cells, CellPlace::Nowhere) => {
                add_local(out, body)?;
            }
            _ => out.extend_from_slice(&body.bytes[..code_start]),
        }
        if let Some(hooked) = hooked {
            self.hooks.open(out, hooked);
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
                (SiteKind::Return { depth }, Some(Hooked::Wrapped(_))) => {
                    InstructionSink::new(out).br(depth);
                    copied += 1;
                    note(out, copied);
                }
                (SiteKind::TailCall { .. }, Some(Hooked::Wrapped(wrap))) => {
                    self.hooks.leave_for_good(out, wrap);
                    note(out, copied);
                }
                (SiteKind::MemoryGrow { memory }, Some(hooked)) => {
                    if let Some(&function) = self.hooks.memory_grow.get(&memory) {
                        // One byte, and the index.
                        let (_, rest) = leb::split(&body.bytes[offset + 1..])?;
                        copied = body.bytes.len() - rest.len();
                        Hooks::grow(out, hooked.id(), function);
                        note(out, copied);
                    }
                }
                (SiteKind::TableGrow { table }, Some(hooked)) => {
                    if let Some(&function) = self.hooks.table_grow.get(&table) {
                        // A prefix, the number of the instruction, and the index.
                        let (_, rest) = leb::split(&body.bytes[offset + 1..])?;
                        let (_, rest) = leb::split(rest)?;
                        copied = body.bytes.len() - rest.len();
                        Hooks::grow(out, hooked.id(), function);
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
