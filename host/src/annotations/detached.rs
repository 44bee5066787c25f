//! Spans that belong to no function: a guest opens, enters, exits and closes them when it likes.
//!
//! While one is entered, a frame of its own kind stands on the stack, which makes no span. What
//! begins meanwhile is a child of the detached span. Like a [loose](crate::loose) span the frame
//! survives the function in which it was entered, and it need not be the innermost when it is
//! exited: then it is gone as soon as what stands on it is.

use std::cmp::Reverse;

use observe_abi::guest;
use observe_collector::event::{Attribute, SpanNumber, Status};

use crate::clock::Ticks;
use crate::frame::{End, Extra, Frame, Kind, Token};
use crate::recorder::Inner;
use crate::records::Records;
use crate::spans::Kept;
use crate::stats::{RowId, Timed};

/// The bits of a handle that hold the place; the rest tells spans at one place apart.
const PLACE_BITS: u32 = 20;

/// Generations are from 1 to this: handles are positive, and none stands for
/// [`ROOT`](guest::ROOT) or [`CURRENT`](guest::CURRENT).
const MAX_GENERATION: u32 = (1 << (31 - PLACE_BITS)) - 2;

/// Entries that may be open at a time: a call that returns below them moves all of them.
const MAX_ENTRIES: u32 = 256;

/// Nanoseconds from which on it is worth a word that an entered span was open and not entered:
/// less than that passes between the calls that open, enter, exit and close it.
const IDLE_NANOS: u64 = 1000;

/// The detached spans that are open.
#[derive(Default)]
pub(crate) struct Detached {
    spans: Vec<Option<Box<Span>>>,
    free: Vec<u32>,
    generation: u32,
}

/// A detached span that is open.
struct Span {
    handle: i32,
    row: RowId,
    start: Ticks,
    /// Ticks for which the trace had been suspended when it began.
    suspended: u64,
    number: SpanNumber,
    parent: Option<SpanNumber>,
    /// Whether something refers to it, so that it must be kept.
    is_parent: bool,
    extra: Extra,
    /// How often it is entered now, and since when.
    entered: u32,
    since: Ticks,
    /// Frames of it on the stack, of which some may be exited.
    frames: u32,
    /// Ticks in which it was entered; `None` where it never was.
    busy: Option<u64>,
    /// Of these, those in which nothing else was open within it.
    own: u64,
}

impl Detached {
    /// Takes a place for a span, and gives its handle.
    fn reserve(&mut self) -> Option<i32> {
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.spans.len() < 1 << PLACE_BITS => {
                self.spans.push(None);
                self.spans.len() as u32 - 1
            }
            None => return None,
        };
        self.generation = self.generation % MAX_GENERATION + 1;
        Some((self.generation << PLACE_BITS | place).cast_signed())
    }

    fn place(handle: i32) -> usize {
        handle as usize & ((1 << PLACE_BITS) - 1)
    }

    fn get(&mut self, handle: i32) -> Option<&mut Span> {
        let span = self.spans.get_mut(Detached::place(handle))?.as_deref_mut()?;
        (span.handle == handle).then_some(span)
    }

    fn take(&mut self, handle: i32) -> Option<Box<Span>> {
        self.get(handle)?;
        let place = Detached::place(handle);
        self.free.push(place as u32);
        self.spans.get_mut(place)?.take()
    }

    pub(super) fn is_open(&mut self, handle: i32) -> bool {
        self.get(handle).is_some()
    }

    /// What is said of a span.
    pub(super) fn extra(&mut self, handle: i32) -> Option<&mut Extra> {
        Some(&mut self.get(handle)?.extra)
    }

    /// The number of a span, which is kept then.
    pub(crate) fn refer(&mut self, handle: i32) -> Option<SpanNumber> {
        let span = self.get(handle)?;
        span.is_parent = true;
        Some(span.number)
    }

    /// Those that are open, the last that began first.
    fn handles(&self) -> Vec<i32> {
        let open = self.spans.iter().flatten();
        let mut open: Vec<_> = open.map(|span| (Reverse(span.start), span.handle)).collect();
        open.sort_unstable();
        open.into_iter().map(|(_, handle)| handle).collect()
    }
}

impl Span {
    /// One entry of it ends.
    fn exit(&mut self, now: Ticks) {
        self.entered = self.entered.saturating_sub(1);
        if self.entered == 0 {
            *self.busy.get_or_insert(0) += now.since(self.since);
        }
    }

    /// For how long it was open and not entered, if it ever was.
    fn idle(&self, elapsed: u64) -> Option<u64> {
        self.busy.map(|busy| elapsed.saturating_sub(busy))
    }
}

impl Frame {
    /// The detached span that the frame is an entry of.
    pub(crate) fn entered(&self) -> Option<i32> {
        (self.kind == Kind::Entry).then(|| self.token.to_guest())
    }
}

impl Inner {
    /// The guest begins a detached span.
    pub(crate) fn open_detached(
        &mut self,
        parent: i32,
        kind: i32,
        name: Option<&[u8]>,
        attributes: &Records<'_>,
    ) -> i32 {
        let Some(row) = self.begin(name) else { return 0 };
        let kind = self.kind(kind);
        let parent = match parent {
            guest::ROOT => self.number_up_to(1),
            0 => self.number_open(),
            parent => match self.place_of(parent) {
                Some(place) => self.number_of(place),
                None => self.number_open(),
            },
        };
        let number = self.trace.as_mut().and_then(|trace| trace.next_number());
        let (Ok(parent), Some(number)) = (parent, number) else {
            self.lost.too_many += 1;
            return 0;
        };
        let Some(handle) = self.detached.reserve() else {
            self.lost.excess_open_spans += 1;
            return 0;
        };
        let mut extra = Extra { said: self.said(attributes), ..Extra::default() };
        extra.detail.kind = kind;
        self.guarded.open += 1;
        self.stats.open(row);
        let span = Span {
            handle,
            row,
            start: self.now(),
            suspended: self.suspended.ticks(),
            number,
            parent,
            is_parent: false,
            extra,
            entered: 0,
            since: Ticks(0),
            frames: 0,
            busy: None,
            own: 0,
        };
        if let Some(place) = self.detached.spans.get_mut(Detached::place(handle)) {
            *place = Some(Box::new(span));
        }
        handle
    }

    /// What is to stand under a detached span begins.
    pub(crate) fn enter_detached(&mut self, handle: i32) {
        if self.is_nothing(handle) {
            return;
        }
        if self.guarded.entries >= self.shared.quotas.open_spans.min(MAX_ENTRIES) {
            self.lost.excess_open_spans += 1;
            return;
        }
        if self.open(Kind::Entry, RowId::NONE, 1).is_none() {
            return;
        }
        self.guarded.entries += 1;
        // So that its end is taken care of.
        let _ = self.extra();
        let (Some(frame), Some(span)) = (self.stack.last_mut(), self.detached.get(handle)) else {
            return;
        };
        frame.token = Token::from_guest(handle);
        if span.entered == 0 {
            span.since = frame.start;
        }
        span.entered += 1;
        span.frames += 1;
        span.busy.get_or_insert(0);
    }

    /// The innermost entry of a detached span ends.
    pub(crate) fn exit_detached(&mut self, handle: i32) {
        if self.is_nothing(handle) {
            return;
        }
        let now = self.now();
        if !self.exit_entry(handle, now) {
            self.lost.stale_exits += 1;
        }
        self.close_loose_that_are_over(now);
    }

    /// A detached span ends.
    pub(crate) fn close_detached(&mut self, handle: i32) {
        if self.is_nothing(handle) {
            return;
        }
        let now = self.now();
        while self.exit_entry(handle, now) {}
        self.close_loose_that_are_over(now);
        self.end_detached(handle, now);
    }

    /// Ends all detached spans: the trace does.
    pub(crate) fn end_all_detached(&mut self, now: Ticks) {
        for handle in self.detached.handles() {
            self.end_detached(handle, now);
        }
        let generation = self.detached.generation;
        self.detached = Detached { generation, ..Detached::default() };
    }

    /// Whether a handle is of no open span, which is counted unless it is 0 or the trace is over.
    fn is_nothing(&mut self, handle: i32) -> bool {
        let is_open = self.detached.is_open(handle);
        self.lost.unknown_spans += u64::from(!is_open && handle != 0 && self.trace.is_some());
        !is_open
    }

    /// Ends the innermost entry of a span that the host's own do not shield; `false` where there
    /// is none.
    fn exit_entry(&mut self, handle: i32, now: Ticks) -> bool {
        let Some(span) = self.detached.get(handle).filter(|span| span.entered > 0) else {
            return false;
        };
        let mut extra = self.extras.len();
        let open = self.stack.iter().enumerate().rev();
        for (depth, frame) in open.take_while(|(_, frame)| frame.kind != Kind::Host) {
            extra -= usize::from(frame.has_extra());
            if frame.entered() == Some(handle) && !self.extras[extra].is_over {
                if depth + 1 == self.stack.len() {
                    self.close(now, End::Returned);
                } else {
                    span.exit(now);
                    self.end_later(depth, extra);
                }
                return true;
            }
        }
        false
    }

    /// A frame that stood for an entry is not on the stack any more.
    #[cold]
    pub(crate) fn entry_is_gone(&mut self, frame: &Frame, extra: Extra, now: Ticks, end: End) {
        self.guarded.entries = self.guarded.entries.saturating_sub(1);
        let Some(span) = frame.entered().and_then(|handle| self.detached.get(handle)) else {
            return;
        };
        if !extra.is_over {
            span.exit(now);
        }
        span.frames = span.frames.saturating_sub(1);
        span.own += now.since(frame.start).saturating_sub(frame.children);
        span.extra.growth += extra.growth;
        if end == End::Failed {
            span.extra.status = Status::Error;
        }
    }

    fn end_detached(&mut self, handle: i32, now: Ticks) {
        let Some(mut span) = self.detached.take(handle) else { return };
        if span.frames > 0 {
            // What is still open on it stands under it, and the host's spans may shield an entry.
            for extra in &mut self.extras {
                if let Some(frame) = self.stack.get_mut(extra.depth as usize)
                    && frame.entered() == Some(handle)
                {
                    extra.is_over = true;
                    span.is_parent = true;
                    frame.set_number(span.number);
                }
            }
        }
        let elapsed = now.since(span.start);
        self.stats.close(span.row, &Timed { ticks: elapsed, own: span.own, weight: 1 });
        self.guarded.open = self.guarded.open.saturating_sub(1);
        self.guarded.held = self.guarded.held.saturating_sub(span.extra.held());
        if let Some(more) = self.stats.more(span.row) {
            more.errors += u64::from(span.extra.status == Status::Error);
        }
        let is_of_interest = span.is_parent || span.extra.is_of_interest();
        let Some(trace) = &self.trace else { return };
        if elapsed < self.min_ticks && !is_of_interest {
            return;
        }
        let idle = span.idle(elapsed).map(|ticks| trace.scale.nanos(ticks));
        if let Some(idle) = idle.filter(|nanos| *nanos >= IDLE_NANOS) {
            let seconds = idle as f64 / 1e9;
            span.extra.detail.attributes.push(Attribute::new("wasm.span.idle.time", seconds));
        }
        let kept = Kept {
            start: span.start,
            row: span.row,
            number: span.number,
            parent: span.parent,
            suspended: self.suspended.ticks().wrapping_sub(span.suspended),
            end: End::Returned,
        };
        self.record(kept, span.extra, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_positive_and_stand_for_nothing_else() {
        let mut detached = Detached::default();
        let mut last = 0;
        for _ in 0..10_000 {
            let handle = detached.reserve().expect("room");
            assert!(handle > 0 && handle < guest::ROOT && handle != last);
            assert_eq!(Detached::place(handle), 0);
            (last, detached.free) = (handle, vec![0]);
        }
        let most = (MAX_GENERATION << PLACE_BITS | ((1 << PLACE_BITS) - 1)).cast_signed();
        assert!(most < guest::ROOT);
        assert!(detached.get(last).is_none(), "nothing was opened");
    }
}
