//! One function body without its hooks.

use std::borrow::Cow;

use wasm_encoder::{Encode, InstructionSink};
use wasmparser::{BinaryReader, Operator, OperatorsReader};

use super::changed;
use super::found::{Found, Grown};
use crate::body::{Hooked, Segments, Wrap};
use crate::parse::{FuncIndex, Function};
use crate::plan::HookId;
use crate::scan::Exceptions;
use crate::{Error, leb};

/// `end`, which the body of a function ends with.
const END: u8 = 0x0b;

/// What a body was made of.
#[derive(Default)]
pub(super) struct Notes {
    /// Where its bytes went.
    pub(super) segments: Segments,
    /// The labels that hooks opened, in ascending order.
    pub(super) labels: Vec<u32>,
}

/// What is inside the hooks of a body, as a function's code.
struct Inner<'a> {
    code: Cow<'a, [u8]>,
    /// Where it was, in bytes from the start of the body.
    start: usize,
    hooked: Option<Hooked>,
}

impl<'a> Found<'_, 'a> {
    /// Writes the body of a function of the module's own, without its length, to the end of
    /// `out`.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] names the function where the hooks are not as they were written.
    pub(super) fn write_body(
        &self,
        out: &mut Vec<u8>,
        place: usize,
        notes: Option<&mut Notes>,
    ) -> Result<(), Error> {
        let function = &self.module.functions[place];
        let body_start = out.len();
        let inner = self.unwrap(out, place, function)?;
        let mut writer = Writer {
            found: self,
            place,
            inner: &inner,
            out,
            body_start,
            copied: 0,
            passed: 0,
            depth: 0,
            labels: 0,
            notes,
        };
        writer.note_labels();
        if let Some(notes) = &mut writer.notes {
            let code = (writer.out.len() - body_start) as u32;
            notes.segments.push((function.body.code_start, code));
            notes.segments.push((inner.start as u32, code));
        }
        writer.write()
    }

    /// Writes the locals of a body, and takes off what is around its code.
    fn unwrap(
        &self,
        out: &mut Vec<u8>,
        place: usize,
        function: &Function<'a>,
    ) -> Result<Inner<'a>, Error> {
        let body = &function.body;
        let (locals, code) = body.bytes.split_at(body.code_start as usize);
        let before = self.map.imports + place as u32;
        let Ok(id) = self.map.functions.binary_search_by_key(&before, |hooked| hooked.index) else {
            out.extend_from_slice(locals);
            let (code, start) = (Cow::Borrowed(code), locals.len());
            return Ok(Inner { code, start, hooked: None });
        };
        if let Some(prefix) = self.prefixes.get(&place) {
            let hooked = Hooked::Prefixed(*prefix);
            let mut opening = Vec::new();
            self.hooks.open(&mut opening, &hooked);
            let inner =
                code.strip_prefix(&opening[..]).ok_or_else(|| self.not_as_written(place))?;
            out.extend_from_slice(locals);
            let (code, start) = (Cow::Borrowed(inner), locals.len() + opening.len());
            return Ok(Inner { code, start, hooked: Some(hooked) });
        }
        let live = (self.params(function) + body.locals).wrapping_sub(1);
        let group = body.last_group.ok_or_else(|| self.not_as_written(place))?;
        drop_local(out, locals, group as usize)?;
        let index = self.module.first_defined() + place as u32;
        for exceptions in self.ways() {
            let wrap = self.wrap(HookId(id as u32), index, function, live, exceptions)?;
            let hooked = Hooked::Wrapped(wrap);
            let (mut opening, mut closing) = (Vec::new(), vec![END]);
            self.hooks.open(&mut opening, &hooked);
            self.hooks.close(&mut closing, &hooked);
            let inner = code.strip_prefix(&opening[..]).and_then(|c| c.strip_suffix(&closing[..]));
            if let Some(inner) = inner {
                let mut code = inner.to_vec();
                code.push(END);
                let (code, start) = (Cow::Owned(code), locals.len() + opening.len());
                return Ok(Inner { code, start, hooked: Some(hooked) });
            }
        }
        Err(self.not_as_written(place))
    }

    pub(super) fn not_as_written(&self, place: usize) -> Error {
        let index = self.module.first_defined() + place as u32;
        let name = self.module.name(FuncIndex(index));
        changed(format!("function {index}, `{name}`, does not have them as they were written"))
    }
}

/// Writes the declarations of the locals without the last, an `i32` whose group is at `at`.
fn drop_local(out: &mut Vec<u8>, declared: &[u8], at: usize) -> Result<(), Error> {
    let (count, ty) = leb::split(&declared[at..])?;
    let (groups, rest) = leb::split(declared)?;
    match count {
        0 => return Err(changed("a function has lost a local")),
        1 => {
            groups.saturating_sub(1).encode(out);
            out.extend_from_slice(&rest[..at - (declared.len() - rest.len())]);
        }
        _ => {
            out.extend_from_slice(&declared[..at]);
            (count - 1).encode(out);
            out.extend_from_slice(ty);
        }
    }
    Ok(())
}

/// Writes the code of a body.
struct Writer<'w, 'f, 'a, 'm> {
    found: &'f Found<'m, 'a>,
    place: usize,
    inner: &'w Inner<'a>,
    out: &'w mut Vec<u8>,
    /// Where the body begins in `out`.
    body_start: usize,
    /// How far the code has been copied, or passed over.
    copied: usize,
    /// Where the last hooks before a tail call ended, if there were any.
    passed: usize,
    /// How many blocks are open.
    depth: u32,
    /// How many labels were opened.
    labels: u32,
    notes: Option<&'w mut Notes>,
}

impl Writer<'_, '_, '_, '_> {
    /// Notes the labels that the hooks opened around the code.
    fn note_labels(&mut self) {
        let Some(hooked) = &self.inner.hooked else { return };
        let around_body = match hooked {
            Hooked::Prefixed(_) => 0,
            Hooked::Wrapped(wrap) => match wrap.exceptions {
                Exceptions::None | Exceptions::Legacy => 1,
                Exceptions::Exnref => 2,
            },
        };
        // An `if` asks whether the cell is used up, unless another function does.
        self.labels = around_body + u32::from(self.found.hooks.cells.are_inline());
        if let Some(notes) = &mut self.notes {
            notes.labels.extend(0..self.labels);
        }
    }

    /// What is around the body, if it is wrapped.
    fn wrap(&self) -> Option<&Wrap> {
        match &self.inner.hooked {
            Some(Hooked::Wrapped(wrap)) => Some(wrap),
            Some(Hooked::Prefixed(_)) | None => None,
        }
    }

    fn write(&mut self) -> Result<(), Error> {
        let code = &*self.inner.code;
        let offset = self.found.module.functions[self.place].body.offset + self.inner.start;
        let mut operators = OperatorsReader::new(BinaryReader::new(code, offset));
        // The last instruction, if it was an `i32.const`: where it is, and its number.
        let mut constant = None;
        while !operators.eof() {
            let at = operators.original_position() - offset;
            let operator = operators.read()?;
            let end = operators.original_position() - offset;
            let before = constant.take();
            if let Operator::I32Const { value } = operator {
                constant = Some((at, value));
            }
            if at >= self.passed {
                self.operator(&operator, at..end, before)?;
            }
        }
        operators.finish()?;
        self.skip_to(code.len(), code.len());
        Ok(())
    }

    fn operator(
        &mut self,
        operator: &Operator<'_>,
        range: std::ops::Range<usize>,
        before: Option<(usize, i32)>,
    ) -> Result<(), Error> {
        let wrap = self.wrap();
        let is_tail_call = matches!(
            operator,
            Operator::ReturnCall { .. }
                | Operator::ReturnCallIndirect { .. }
                | Operator::ReturnCallRef { .. }
        );
        // Before each there are hooks, and they are before nothing else; a function with a timer
        // has none.
        let follows_hooks = self.passed > 0 && self.passed == range.start;
        if self.inner.hooked.is_some() && is_tail_call != follows_hooks {
            return Err(self.found.not_as_written(self.place));
        }
        match *operator {
            Operator::Call { function_index } => {
                match self.found.growers.get(&function_index).copied() {
                    Some(grown) => self.grow(grown, range.end, before)?,
                    None => self.index(range.start)?,
                }
            }
            Operator::ReturnCall { .. } | Operator::RefFunc { .. } => self.index(range.start)?,
            Operator::Br { relative_depth } if relative_depth == self.depth && wrap.is_some() => {
                // The shorter way to say it.
                self.copy_to(range.start);
                InstructionSink::new(self.out).return_();
                self.resume_at(range.end);
            }
            Operator::LocalGet { local_index }
            | Operator::LocalSet { local_index }
            | Operator::LocalTee { local_index }
                if wrap.is_some_and(|wrap| wrap.live == local_index) =>
            {
                self.pass_hooks(range.start)?;
            }
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. }
            | Operator::Try { .. } => {
                self.depth += 1;
                self.labels += 1;
            }
            Operator::End | Operator::Delegate { .. } => {
                self.depth = self.depth.saturating_sub(1);
            }
            _ => {}
        }
        Ok(())
    }

    /// Passes over the hooks before a tail call.
    fn pass_hooks(&mut self, at: usize) -> Result<(), Error> {
        let mut hooks = Vec::new();
        if let Some(wrap) = self.wrap() {
            self.found.hooks.leave_for_good(&mut hooks, wrap);
        }
        if !self.inner.code[at..].starts_with(&hooks) {
            return Err(self.found.not_as_written(self.place));
        }
        // There is one block among them.
        if let Some(notes) = &mut self.notes {
            notes.labels.push(self.labels);
        }
        self.labels += 1;
        self.passed = at + hooks.len();
        self.skip_to(at, self.passed);
        Ok(())
    }

    /// Writes the instruction that grows something, in place of a call with the function's id.
    fn grow(
        &mut self,
        grown: Grown,
        end: usize,
        before: Option<(usize, i32)>,
    ) -> Result<(), Error> {
        let id = self.inner.hooked.as_ref().map(|hooked| hooked.id().0 as i32);
        let at = before.filter(|&(_, value)| Some(value) == id).map(|(at, _)| at);
        self.copy_to(at.ok_or_else(|| self.found.not_as_written(self.place))?);
        let mut code = InstructionSink::new(self.out);
        match grown {
            Grown::Memory(memory) => code.memory_grow(memory),
            Grown::Table(table) => code.table_grow(table),
        };
        self.resume_at(end);
        Ok(())
    }

    /// Writes the index that follows the opcode at `at`.
    fn index(&mut self, at: usize) -> Result<(), Error> {
        let (index, rest) = leb::split(&self.inner.code[at + 1..])?;
        let end = self.inner.code.len() - rest.len();
        let (len, least) = (end - (at + 1), leb::len(index));
        self.copy_to(at + 1);
        // It was padded if it is, and is now as long as it has to be if not.
        let len = if len > least { len } else { 1 };
        leb::write_padded(self.out, self.found.referred(index)?, len);
        self.resume_at(end);
        Ok(())
    }

    fn copy_to(&mut self, at: usize) {
        self.out.extend_from_slice(&self.inner.code[self.copied..at]);
        self.copied = at;
    }

    /// Goes on with what is at `at`, since what is before it has been written.
    fn resume_at(&mut self, at: usize) {
        self.copied = at;
        if let Some(notes) = &mut self.notes {
            let new = self.out.len() - self.body_start;
            notes.segments.push(((self.inner.start + at) as u32, new as u32));
        }
    }

    /// Copies up to `at`, and goes on at `to`.
    fn skip_to(&mut self, at: usize, to: usize) {
        self.copy_to(at);
        self.resume_at(to);
    }
}
