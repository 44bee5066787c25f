//! The assembler: traces by key, and what bounds them all.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counts::AssemblyCounts;
use super::events::{Event, StreamId, TraceKey};
use super::trace::{Trace, Why};
use crate::event::{Chunk, Exemplar, Number, SpanNumber, TraceInfo};

/// What an [`Assembler`] holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Traces that have begun and not ended.
    pub traces: usize,
    /// Spans that are not complete, of all traces together.
    pub open_spans: usize,
    /// Attributes of a span. What goes beyond is counted on the span, as with events and links.
    pub attributes: usize,
    /// Events of a span.
    pub events: usize,
    /// Links of a span.
    pub links: usize,
    /// Spans and log records of a trace that wait for their chunk.
    pub chunk: usize,
    /// How long they wait.
    pub delay: Duration,
    /// How long a span may be open, and a trace quiet.
    pub timeout: Duration,
}

impl Default for Limits {
    /// Attributes, events and links as the [specification] has them: 128 each. 65,536 open spans
    /// are 30 MB without what is set on them; 1,024 traces; chunks of 512, after a second. A span
    /// is given an hour, since it may stand for a session of somebody.
    ///
    /// [specification]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#span-limits
    fn default() -> Self {
        Limits {
            traces: 1_024,
            open_spans: 65_536,
            attributes: 128,
            events: 128,
            links: 128,
            chunk: 512,
            delay: Duration::from_secs(1),
            timeout: Duration::from_secs(3_600),
        }
    }
}

/// What all traces share.
pub(super) struct Common {
    pub(super) limits: Limits,
    pub(super) counts: AssemblyCounts,
    /// Spans that are not complete, and what may become some, of all traces.
    pub(super) entries: usize,
    /// The trace at hand.
    key: TraceKey,
    /// By when they are to be complete, the first first. Some are, already.
    expiry: VecDeque<Expiry>,
}

#[derive(Clone, Copy)]
struct Expiry {
    since: Instant,
    key: TraceKey,
    span: SpanNumber,
}

impl Common {
    /// Something new is heard of a span.
    pub(super) fn added(&mut self, since: Instant, span: SpanNumber) {
        self.entries += 1;
        self.expiry.push_back(Expiry { since, key: self.key, span });
    }
}

/// Makes spans of what it is told. See the [module page](super).
///
/// `now` may stand still, but not go back.
pub struct Assembler {
    traces: HashMap<TraceKey, Trace>,
    common: Common,
    /// Before this moment no trace has waited or been quiet for too long.
    next_look: Option<Instant>,
}

impl Assembler {
    /// An assembler that knows of no trace.
    pub fn new(limits: Limits) -> Self {
        let common = Common {
            limits,
            counts: AssemblyCounts::default(),
            entries: 0,
            key: TraceKey(0),
            expiry: VecDeque::new(),
        };
        Assembler { traces: HashMap::new(), common, next_look: None }
    }

    /// A trace begins. Returns whether it does: there may be too many, or one of this key.
    pub fn begin(&mut self, now: Instant, key: TraceKey, info: Arc<TraceInfo>) -> bool {
        let defects = &mut self.common.counts.defects;
        if self.traces.contains_key(&key) {
            defects.duplicate_trace += 1;
            return false;
        }
        if self.traces.len() >= self.common.limits.traces {
            defects.too_many_traces += 1;
            return false;
        }
        self.traces.insert(key, Trace::new(now, info));
        self.look_at(now.checked_add(self.common.limits.timeout));
        true
    }

    /// Something happened. Chunks that are full go to `out`.
    ///
    /// # Overhead
    ///
    /// Some look-ups in hash tables; hosts that make millions of spans a second do better to
    /// keep a stack of their own and send chunks.
    pub fn push(
        &mut self,
        now: Instant,
        key: TraceKey,
        stream: StreamId,
        event: Event,
        out: &mut impl FnMut(Chunk),
    ) {
        let Some(trace) = self.traces.get_mut(&key) else {
            return self.push_unknown(&event);
        };
        self.common.key = key;
        let was_waiting = trace.waiting.is_some();
        trace.push(&mut self.common, now, stream, event);
        if trace.waiting_records() >= self.common.limits.chunk.max(1) {
            trace.take().into_iter().for_each(out);
        } else if !was_waiting && trace.waiting.is_some() {
            self.look_at(now.checked_add(self.common.limits.delay));
        }
        self.forget_complete();
    }

    fn push_unknown(&mut self, event: &Event) {
        let counts = &mut self.common.counts;
        match event {
            Event::Start(_) => {
                counts.started += 1;
                counts.dropped.unknown_trace += 1;
            }
            Event::Log(_) => counts.dropped_logs += 1,
            Event::End(_) => counts.defects.late += 1,
            _ => counts.defects.unplaced += 1,
        }
    }

    /// A trace is over: what is open ends, and all of it goes to `out`.
    pub fn end(&mut self, key: TraceKey, out: &mut impl FnMut(Chunk)) {
        if let Some(mut trace) = self.traces.remove(&key) {
            let now = trace.touched;
            trace.close_all(&mut self.common, now);
            trace.take().into_iter().for_each(out);
            self.forget_complete();
        }
    }

    /// All traces are over.
    pub fn finish(&mut self, out: &mut impl FnMut(Chunk)) {
        let mut keys: Vec<_> = self.traces.keys().copied().collect();
        keys.sort_unstable();
        keys.into_iter().for_each(|key| self.end(key, out));
    }

    /// Closes what has been open or quiet for too long, and gives what has waited long enough to
    /// `out`.
    pub fn tick(&mut self, now: Instant, out: &mut impl FnMut(Chunk)) {
        let Limits { timeout, delay, .. } = self.common.limits;
        let is_over =
            |since: Instant, time: Duration| since.checked_add(time).is_some_and(|end| end <= now);
        while let Some(&Expiry { since, key, span }) = self.common.expiry.front()
            && is_over(since, timeout)
        {
            self.common.expiry.pop_front();
            self.common.key = key;
            if let Some(trace) = self.traces.get_mut(&key)
                && trace.open_since(span) == Some(since)
            {
                trace.close(&mut self.common, now, span, Why::TimedOut);
                self.look_at(now.checked_add(delay));
            }
        }
        if self.next_look.is_none_or(|next| next > now) {
            return;
        }
        let quiet: Vec<_> = self
            .traces
            .iter()
            .filter(|(_, trace)| is_over(trace.touched, timeout))
            .map(|(key, _)| *key)
            .collect();
        quiet.into_iter().for_each(|key| self.end(key, out));
        let mut next: Option<Instant> = None;
        for trace in self.traces.values_mut() {
            if trace.waiting.is_some_and(|since| is_over(since, delay)) {
                trace.take().into_iter().for_each(&mut *out);
            }
            let waits = trace.waiting.and_then(|since| since.checked_add(delay));
            let quiet = trace.touched.checked_add(timeout);
            next = [next, waits, quiet].into_iter().flatten().min();
        }
        self.next_look = next;
    }

    /// When [`Assembler::tick`] has something to do, at the earliest; never if `None`.
    pub fn due(&self) -> Option<Instant> {
        let expiry = self.common.expiry.front();
        let expiry = expiry.and_then(|first| first.since.checked_add(self.common.limits.timeout));
        [expiry, self.next_look].into_iter().flatten().min()
    }

    /// A value that is measured now in this stream, as an exemplar of a metric: with the trace,
    /// and the innermost span that is open.
    pub fn exemplar(
        &self,
        key: TraceKey,
        stream: StreamId,
        time_unix_nanos: u64,
        value: Number,
    ) -> Exemplar {
        let trace = self.traces.get(&key);
        let span_id = trace.and_then(|trace| Some(trace.info.span_id(trace.current(stream)?)));
        Exemplar {
            time_unix_nanos,
            value,
            trace_id: trace.map(|trace| trace.info.trace_id),
            span_id,
            filtered_attributes: Vec::new(),
        }
    }

    /// What became of all that was told so far.
    pub fn counts(&self) -> AssemblyCounts {
        self.common.counts
    }

    fn look_at(&mut self, moment: Option<Instant>) {
        self.next_look = [self.next_look, moment].into_iter().flatten().min();
    }

    /// Keeps the list of what is open in proportion to what is open.
    fn forget_complete(&mut self) {
        let Common { expiry, entries, .. } = &mut self.common;
        if expiry.len() > 2 * *entries + 64 {
            let traces = &self.traces;
            expiry.retain(|Expiry { since, key, span }| {
                traces.get(key).is_some_and(|trace| trace.open_since(*span) == Some(*since))
            });
        }
    }
}
