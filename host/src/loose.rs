//! Spans that a guest opens and closes with no token, as the interface of observe-sdk has it.
//!
//! They begin and end in small functions of the guest's, which may have hooks themselves. So
//! the stack is not always closed in order: a span outlives the function in which it began, up to
//! the end of the host's call, and it ends, if not at once, with the function in which its end was
//! told.

use crate::clock::Ticks;
use crate::frame::{End, Extra, Kind};
use crate::recorder::Inner;
use crate::stats::What;

impl Inner {
    /// The guest ends the innermost of these spans that the host's own do not shield.
    pub(crate) fn end_loose(&mut self) {
        if self.trace.is_none() {
            return;
        }
        let now = self.now();
        let Some((depth, extra)) = self.innermost_loose() else {
            self.lost.stale_exits += 1;
            return;
        };
        if depth + 1 == self.stack.len() {
            self.close(now, End::Returned);
            return self.close_loose_that_are_over(now);
        }
        self.guarded.loose = self.guarded.loose.saturating_sub(1);
        self.end_later(depth, extra);
    }

    /// Has what is at a place of the stack, with what only few frames have, end with what stands
    /// on it.
    pub(crate) fn end_later(&mut self, depth: usize, extra: usize) {
        self.extras[extra].is_over = true;
        // So that its end is taken care of.
        if let Some(above) = self.stack.get_mut(depth + 1)
            && !above.has_extra()
        {
            above.set_has_extra();
            self.extras.insert(extra + 1, Extra::at(depth + 1));
        }
    }

    /// The place of such a span on the stack, and that of what only few frames have.
    fn innermost_loose(&self) -> Option<(usize, usize)> {
        if self.guarded.loose == 0 {
            return None;
        }
        let mut extra = self.extras.len();
        let inside = self.stack.iter().enumerate().rev();
        for (depth, frame) in inside.take_while(|(_, frame)| frame.kind != Kind::Host) {
            extra -= usize::from(frame.has_extra());
            if frame.kind == Kind::Loose && !self.extras[extra].is_over {
                return Some((depth, extra));
            }
        }
        None
    }

    /// What tags are for: the innermost of these spans, or else the innermost of all. Gives the
    /// place of what only few frames have.
    pub(crate) fn tagged(&mut self) -> Option<usize> {
        if let Some((_, extra)) = self.innermost_loose() {
            return Some(extra);
        }
        self.extra()?;
        self.extras.len().checked_sub(1)
    }

    /// Closes a call, or a span of the guest's, above which nothing but spans of the guest's are
    /// open. Those that survive it are left to the call around it, the others end with it.
    /// Whether it was such a call.
    pub(crate) fn close_below_loose(&mut self, depth: usize, now: Ticks) -> bool {
        let first = depth + 1;
        let above = self.stack.get(first..).unwrap_or_default();
        let is_such = above.iter().any(|frame| frame.kind.is_loose())
            && above.iter().all(|frame| frame.kind.is_loose() || frame.kind == Kind::Guest);
        if !is_such || self.leaves_guest(depth) {
            return false;
        }
        let outermost = above.iter().find(|frame| frame.kind.is_loose());
        let both = outermost.map_or(0, |frame| now.since(frame.start));
        let mut left = Vec::new();
        while self.stack.len() > first {
            match self.stack.last() {
                Some(frame) if frame.kind.is_loose() => {
                    left.extend(self.stack.pop().zip(self.extras.pop()));
                }
                _ => self.close(now, End::Returned),
            }
        }
        self.close(now, End::Returned);
        // Its caller will be told of that time twice.
        if let Some(caller) = self.stack.last_mut() {
            caller.children = caller.children.saturating_sub(both);
        }
        for (frame, mut extra) in left.into_iter().rev() {
            extra.depth = self.stack.len() as u32;
            self.stack.push(frame);
            self.extras.push(extra);
        }
        self.close_loose_that_are_over(now);
        true
    }

    /// Whether the host called what is at a place of the stack, or was called by it.
    fn leaves_guest(&self, depth: usize) -> bool {
        let function = |at: usize| match self.stats.what(self.stack.get(at)?.row) {
            Some(What::Function(id)) => Some(id),
            _ => None,
        };
        let is_import = |id| self.module.functions.is_import(id);
        let Some(called) = function(depth) else { return false };
        let by_host = || {
            let caller = depth.checked_sub(1);
            caller.is_none_or(|at| {
                self.stack[at].kind == Kind::Host || function(at).is_some_and(is_import)
            })
        };
        is_import(called) || self.module.is_boundary(called) && by_host()
    }

    /// Closes such spans, and entries, that are innermost now, and were ended before.
    pub(crate) fn close_loose_that_are_over(&mut self, now: Ticks) {
        while self.stack.last().is_some_and(|frame| frame.kind.is_loose())
            && self.extras.last().is_some_and(|extra| extra.is_over)
        {
            self.close(now, End::Returned);
        }
    }
}
