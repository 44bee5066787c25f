//! What is known of a trace while it is assembled.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;
use std::time::Instant;

use super::assembler::Common;
use super::entry::Entry;
use super::events::{End, Event, Folded, Start, StreamId};
use super::seen::Seen;
use crate::event::{Chunk, LogRecord, SpanNumber, SpanRecord, TraceInfo};

/// Room for an answer about a span.
enum Place<'a> {
    /// Here it is.
    Entry(&'a mut Entry),
    /// It has gone out.
    Gone,
    /// There is no room for it.
    Full,
}

/// What is open in a stream.
#[derive(Default)]
struct Stream {
    /// The innermost last. Some in between may have gone out, but not the last.
    stack: Vec<SpanNumber>,
    /// How many have not.
    open: usize,
}

/// Why a span is closed that nobody has ended.
#[derive(Clone, Copy)]
pub(super) enum Why {
    TimedOut,
    TraceIsOver,
}

pub(super) struct Trace {
    pub(super) info: Arc<TraceInfo>,
    /// When the last was heard of it.
    pub(super) touched: Instant,
    entries: HashMap<SpanNumber, Entry>,
    seen: Seen,
    /// A stream in which nothing is open is not there.
    streams: HashMap<StreamId, Stream>,
    /// The first span without a parent.
    root: Option<SpanNumber>,
    /// The latest moment of which was told.
    latest_unix_nanos: u64,
    spans: Vec<SpanRecord>,
    logs: Vec<LogRecord>,
    /// Since when the first of them has waited.
    pub(super) waiting: Option<Instant>,
}

impl Trace {
    pub(super) fn new(now: Instant, info: Arc<TraceInfo>) -> Self {
        Trace {
            info,
            touched: now,
            entries: HashMap::new(),
            seen: Seen::default(),
            streams: HashMap::new(),
            root: None,
            latest_unix_nanos: 0,
            spans: Vec::new(),
            logs: Vec::new(),
            waiting: None,
        }
    }

    /// The innermost span that is open in a stream, or else the root.
    pub(super) fn current(&self, stream: StreamId) -> Option<SpanNumber> {
        let innermost = self.streams.get(&stream).and_then(|stream| stream.stack.last());
        innermost.copied().or(self.root)
    }

    /// When the first was heard of a span that is not complete.
    pub(super) fn open_since(&self, span: SpanNumber) -> Option<Instant> {
        self.entries.get(&span).map(|entry| entry.since)
    }

    pub(super) fn push(
        &mut self,
        common: &mut Common,
        now: Instant,
        stream: StreamId,
        event: Event,
    ) {
        self.touched = now;
        match event {
            Event::Start(start) => self.start(common, now, stream, start),
            Event::End(end) => self.end(common, now, end),
            Event::Attribute { span, attribute } => {
                self.annotate(common, now, stream, span, |common, entry| {
                    entry.set(&common.limits, attribute);
                });
            }
            Event::SpanEvent { span, event } => {
                self.latest_unix_nanos = self.latest_unix_nanos.max(event.time_unix_nanos);
                self.annotate(common, now, stream, span, |common, entry| {
                    entry.happened(&common.limits, event);
                });
            }
            Event::Link { span, link } => {
                self.annotate(common, now, stream, span, |common, entry| {
                    entry.link(&common.limits, link);
                });
            }
            Event::Folded { span, folded } => {
                self.annotate(common, now, stream, span, |_, entry| entry.fold(folded));
            }
            Event::Log(mut log) => {
                self.latest_unix_nanos = self.latest_unix_nanos.max(log.time_unix_nanos);
                log.span = log.span.or_else(|| self.current(stream));
                self.logs.push(log);
                self.waiting.get_or_insert(now);
                common.counts.logs += 1;
            }
        }
    }

    fn start(&mut self, common: &mut Common, now: Instant, stream: StreamId, mut start: Start) {
        let number = start.span;
        self.latest_unix_nanos = self.latest_unix_nanos.max(start.time_unix_nanos);
        let current = self.current(stream);
        let is_own_parent = start.parent == Some(number);
        start.parent = start.parent.filter(|_| !is_own_parent).or(current);
        let above = start.parent;
        let entry = match place(&mut self.entries, &self.seen, common, now, number) {
            Place::Entry(entry) => entry,
            Place::Gone => return common.counts.defects.duplicate += 1,
            Place::Full => {
                self.drop_span(common, number);
                if let Some(above) = above.and_then(|above| self.entries.get_mut(&above)) {
                    above.fold(Folded { spans: 1, ..Folded::default() });
                }
                return;
            }
        };
        if entry.start.is_some() {
            common.counts.defects.duplicate += 1;
            return entry.mark("duplicate");
        }
        if is_own_parent {
            common.counts.defects.disorder += 1;
            entry.mark("disorder");
        }
        if !entry.is_span() {
            common.counts.started += 1;
            common.counts.open += 1;
        }
        entry.start = Some(start);
        if entry.end.is_some() {
            common.counts.defects.disorder += 1;
            entry.mark("disorder");
            return self.complete(common, now, number);
        }
        entry.stream = Some(stream);
        if above.is_none() {
            self.root = Some(number);
        }
        let stream = self.streams.entry(stream).or_default();
        stream.stack.push(number);
        stream.open += 1;
    }

    fn end(&mut self, common: &mut Common, now: Instant, end: End) {
        let number = end.span;
        self.latest_unix_nanos = self.latest_unix_nanos.max(end.time_unix_nanos);
        let entry = match place(&mut self.entries, &self.seen, common, now, number) {
            Place::Entry(entry) => entry,
            Place::Gone => return common.counts.defects.late += 1,
            Place::Full => return self.drop_span(common, number),
        };
        if entry.end.is_some() {
            common.counts.defects.duplicate += 1;
            return entry.mark("duplicate");
        }
        let Some(start) = &entry.start else {
            if !entry.is_span() {
                common.counts.started += 1;
                common.counts.open += 1;
            }
            entry.end = Some(end);
            return;
        };
        if end.time_unix_nanos < start.time_unix_nanos {
            common.counts.defects.disorder += 1;
            entry.mark("disorder");
        }
        entry.end = Some(end);
        self.complete(common, now, number);
    }

    /// Does something to the span that is meant.
    fn annotate(
        &mut self,
        common: &mut Common,
        now: Instant,
        stream: StreamId,
        span: Option<SpanNumber>,
        change: impl FnOnce(&Common, &mut Entry),
    ) {
        let Some(number) = span.or_else(|| self.current(stream)) else {
            return common.counts.defects.unplaced += 1;
        };
        match place(&mut self.entries, &self.seen, common, now, number) {
            Place::Entry(entry) => change(common, entry),
            Place::Gone => common.counts.defects.late += 1,
            Place::Full => common.counts.defects.unplaced += 1,
        }
    }

    /// A span did not fit.
    fn drop_span(&mut self, common: &mut Common, number: SpanNumber) {
        common.counts.started += 1;
        common.counts.dropped.too_many_open += 1;
        self.seen.insert(number.0);
    }

    /// Makes a span of what is known.
    fn complete(&mut self, common: &mut Common, now: Instant, number: SpanNumber) {
        let Some(entry) = self.entries.remove(&number) else { return };
        common.entries -= 1;
        if let Some(stream) = entry.stream {
            self.leave(stream, number);
        }
        self.seen.insert(number.0);
        self.spans.push(entry.into_record(number));
        self.waiting.get_or_insert(now);
        common.counts.open -= 1;
        common.counts.emitted += 1;
    }

    /// Takes a span that has gone out off its stream. Nearly always it is the innermost; one that is
    /// not stays until it is, or until such are more than the others, so that it is not searched for.
    fn leave(&mut self, stream: StreamId, number: SpanNumber) {
        if self.root == Some(number) {
            self.root = None;
        }
        let Slot::Occupied(mut slot) = self.streams.entry(stream) else { return };
        let Stream { stack, open } = slot.get_mut();
        *open -= 1;
        if *open == 0 {
            slot.remove();
            return;
        }
        while stack.pop_if(|last| !self.entries.contains_key(last)).is_some() {}
        if stack.len() > 2 * *open + 16 {
            stack.retain(|number| self.entries.contains_key(number));
        }
    }

    /// Closes what is not complete.
    pub(super) fn close(
        &mut self,
        common: &mut Common,
        now: Instant,
        number: SpanNumber,
        why: Why,
    ) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        if entry.start.is_none() && entry.end.is_none() {
            // It was only spoken of.
            self.entries.remove(&number);
            common.entries -= 1;
            common.counts.defects.unplaced += 1;
            return;
        }
        if let Some(end) = entry.end.as_ref().filter(|_| entry.start.is_none()) {
            common.counts.defects.missing_start += 1;
            let (parent, time_unix_nanos) = (self.root, end.time_unix_nanos);
            entry.start = Some(Start { parent, time_unix_nanos, ..Start::unnamed(number) });
            entry.mark("missing_start");
        } else {
            let defects = &mut common.counts.defects;
            let (count, defect) = match why {
                Why::TimedOut => (&mut defects.timed_out, "timed_out"),
                Why::TraceIsOver => (&mut defects.missing_end, "missing_end"),
            };
            *count += 1;
            entry.mark(defect);
            let time_unix_nanos = self.latest_unix_nanos;
            entry.end = Some(End { time_unix_nanos, ..End::of(number) });
        }
        self.complete(common, now, number);
    }

    /// Closes everything, the innermost first.
    pub(super) fn close_all(&mut self, common: &mut Common, now: Instant) {
        let mut open: Vec<_> = self
            .entries
            .iter()
            .map(|(number, entry)| {
                let start = entry.start.as_ref().map(|start| start.time_unix_nanos);
                (start.is_some(), Reverse(start), Reverse(*number))
            })
            .collect();
        open.sort_unstable();
        for (_, _, Reverse(number)) in open {
            self.close(common, now, number, Why::TraceIsOver);
        }
    }

    /// What is complete, as a chunk, if there is something.
    pub(super) fn take(&mut self) -> Option<Chunk> {
        self.waiting.take()?;
        let (spans, logs) = (std::mem::take(&mut self.spans), std::mem::take(&mut self.logs));
        Some(Chunk { trace: Arc::clone(&self.info), spans, logs })
    }

    /// How many spans and log records wait.
    pub(super) fn waiting_records(&self) -> usize {
        self.spans.len() + self.logs.len()
    }
}

/// What is known of a span, with room for what will be.
fn place<'a>(
    entries: &'a mut HashMap<SpanNumber, Entry>,
    seen: &Seen,
    common: &mut Common,
    now: Instant,
    number: SpanNumber,
) -> Place<'a> {
    match entries.entry(number) {
        Slot::Occupied(entry) => Place::Entry(entry.into_mut()),
        Slot::Vacant(_) if seen.contains(number.0) => Place::Gone,
        Slot::Vacant(_) if common.entries >= common.limits.open_spans => Place::Full,
        Slot::Vacant(slot) => {
            common.added(now, number);
            Place::Entry(slot.insert(Entry::new(now)))
        }
    }
}
