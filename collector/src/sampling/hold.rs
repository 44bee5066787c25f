//! Traces that wait to be decided on. Reads no clock.

mod decided;
mod held;

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::decided::{Decided, Decision};
use self::held::Held;
use super::policy::{Policy, TraceView, Verdict};
use super::ratio::Ratio;
use super::tail::TailSampling;
use crate::event::{Chunk, TraceId, TraceInfo};
use crate::stats::{Early, StageReport};

/// How much is held. Whatever goes beyond is decided on early, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) traces: usize,
    pub(crate) spans: usize,
    /// As estimated, of spans and log records.
    pub(crate) bytes: usize,
    /// `None` waits for the root as long as there is room.
    pub(crate) wait: Option<Duration>,
}

impl Default for Bounds {
    /// As many traces as the OpenTelemetry Collector holds; spans and bytes as the queue of
    /// an exporter.
    fn default() -> Self {
        Bounds { traces: 50_000, spans: 262_144, bytes: 64 << 20, wait: None }
    }
}

/// What one host recorded of a trace: ids of spans follow from the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    trace_id: TraceId,
    seed: u64,
}

impl Key {
    fn of(trace: &TraceInfo) -> Self {
        Key { trace_id: trace.trace_id, seed: trace.seed }
    }
}

/// Holds chunks until their traces are decided on.
pub(crate) struct Hold {
    policies: Vec<Box<dyn Policy>>,
    bounds: Bounds,
    keeps_logs: bool,
    /// The most spans of a trace that are sent.
    cap: Option<usize>,
    traces: HashMap<Key, Held>,
    /// In the order in which they came, with some that are decided on already.
    order: VecDeque<Place>,
    /// How many traces came.
    came: u64,
    decided: Decided,
    spans: usize,
    logs: usize,
    bytes: usize,
}

/// A trace in the order of all.
#[derive(Clone, Copy)]
struct Place {
    key: Key,
    /// As the how manieth it came.
    number: u64,
    /// When it is decided on at the latest.
    due: Option<Instant>,
}

impl Hold {
    pub(crate) fn new(tail: Option<TailSampling>, cap: Option<usize>) -> Self {
        // A cap alone has nothing to decide, and so no reason not to wait for the root.
        let (policies, bounds, keeps_logs) = match tail {
            Some(tail) => (tail.policies, tail.bounds, tail.keeps_logs),
            None => (Vec::new(), Bounds::default(), false),
        };
        Hold {
            policies,
            bounds,
            keeps_logs,
            cap: cap.map(|cap| cap.max(1)),
            traces: HashMap::new(),
            order: VecDeque::new(),
            came: 0,
            decided: Decided::default(),
            spans: 0,
            logs: 0,
            bytes: 0,
        }
    }

    /// Takes a chunk, and calls `out` with all that is decided on by it. `ratio` is the share that
    /// head sampling kept of such traces.
    pub(crate) fn push(
        &mut self,
        now: Instant,
        mut chunk: Chunk,
        ratio: Ratio,
        report: &mut StageReport,
        out: &mut dyn FnMut(Chunk),
    ) {
        if self.keeps_logs && !chunk.logs.is_empty() {
            let logs = mem::take(&mut chunk.logs);
            out(Chunk { trace: Arc::clone(&chunk.trace), spans: Vec::new(), logs });
        }
        if chunk.spans.is_empty() && chunk.logs.is_empty() {
            return;
        }
        let key = Key::of(&chunk.trace);
        if self.decided.contains(&key) {
            return self.decided.update(&key, |decision| late(chunk, decision, report, out));
        }
        let is_new = !self.traces.contains_key(&key);
        if is_new {
            self.came += 1;
            let due = self.bounds.wait.and_then(|wait| now.checked_add(wait));
            self.order.push_back(Place { key, number: self.came, due });
        }
        let new = || Held::new(Arc::clone(&chunk.trace), self.came, self.cap, ratio);
        let held = self.traces.entry(key).or_insert_with(new);
        let before = held.size();
        let root_came = held.push(chunk.spans, chunk.logs, &mut report.spans.folded);
        let after = held.size();
        self.spans = self.spans + after.spans - before.spans;
        self.logs = self.logs + after.logs - before.logs;
        self.bytes = self.bytes + after.bytes - before.bytes;
        if root_came {
            self.decide(key, now, report, out);
        }
        self.keep_bounds(now, report, out);
        self.tidy();
    }

    /// When a trace is to be decided on even if nothing more comes.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.order.front()?.due
    }

    /// Decides on the traces that have waited long enough.
    pub(crate) fn tick(
        &mut self,
        now: Instant,
        report: &mut StageReport,
        out: &mut dyn FnMut(Chunk),
    ) {
        while let Some(place) = self.order.front().copied()
            && place.due.is_some_and(|due| due <= now)
        {
            self.order.pop_front();
            self.decide_early(place, now, report, out, |early| &mut early.waited);
        }
        self.tidy();
    }

    /// Decides on all traces.
    pub(crate) fn flush(
        &mut self,
        now: Instant,
        report: &mut StageReport,
        out: &mut dyn FnMut(Chunk),
    ) {
        while let Some(place) = self.order.pop_front() {
            self.decide_early(place, now, report, out, |early| &mut early.flushed);
        }
    }

    /// Spans that are held.
    pub(crate) fn spans(&self) -> u64 {
        self.spans as u64
    }

    /// Log records that are held.
    pub(crate) fn logs(&self) -> u64 {
        self.logs as u64
    }

    #[cfg(test)]
    pub(crate) fn traces_held(&self) -> usize {
        self.traces.len()
    }

    /// What is held and remembered, as counted.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> (usize, usize) {
        (self.bytes, self.decided.bytes())
    }

    /// How many spans are remembered that did not come.
    #[cfg(test)]
    pub(crate) fn parents_known(&self) -> usize {
        self.traces.values().map(Held::parents_known).sum()
    }

    fn keep_bounds(&mut self, now: Instant, report: &mut StageReport, out: &mut dyn FnMut(Chunk)) {
        while self.traces.len() > self.bounds.traces
            || self.spans > self.bounds.spans
            || self.bytes > self.bounds.bytes
        {
            let Some(place) = self.order.pop_front() else { return };
            self.decide_early(place, now, report, out, |early| &mut early.full);
        }
    }

    /// Decides on the trace in this place, unless that has been done.
    fn decide_early(
        &mut self,
        place: Place,
        now: Instant,
        report: &mut StageReport,
        out: &mut dyn FnMut(Chunk),
        why: fn(&mut Early) -> &mut u64,
    ) {
        if self.is_held(&place) {
            *why(&mut report.early) += 1;
            self.decide(place.key, now, report, out);
        }
    }

    fn is_held(&self, place: &Place) -> bool {
        self.traces.get(&place.key).is_some_and(|held| held.number == place.number)
    }

    /// Forgets places of traces that are decided on: at the front, where they would be due, and all
    /// of them when they are the most.
    fn tidy(&mut self) {
        while self.order.front().is_some_and(|place| !self.is_held(place)) {
            self.order.pop_front();
        }
        if self.order.len() > 2 * self.traces.len() + 64 {
            let mut order = mem::take(&mut self.order);
            order.retain(|place| self.is_held(place));
            self.order = order;
        }
    }

    fn decide(
        &mut self,
        key: Key,
        now: Instant,
        report: &mut StageReport,
        out: &mut dyn FnMut(Chunk),
    ) {
        let Some(held) = self.traces.remove(&key) else { return };
        let size = held.size();
        self.spans -= size.spans;
        self.logs -= size.logs;
        self.bytes -= size.bytes;
        match judge(&mut self.policies, &held.view(), now) {
            Verdict::Keep { ratio } => {
                report.traces_kept += 1;
                let ratio = ratio.map(|ratio| ratio.min(held.ratio));
                let (chunk, late) = held.release(ratio);
                self.decided.insert(key, Decision::Keep { ratio, late });
                out(chunk);
            }
            Verdict::Drop | Verdict::Next => {
                report.traces_sampled_out += 1;
                report.spans.sampled_out += size.spans as u64;
                report.logs.sampled_out += size.logs as u64;
                self.decided.insert(key, Decision::Drop);
            }
        }
    }
}

/// What the policies say; without policies all is kept.
fn judge(policies: &mut [Box<dyn Policy>], trace: &TraceView<'_>, now: Instant) -> Verdict {
    if policies.is_empty() {
        return Verdict::KEEP;
    }
    let mut verdicts = policies.iter_mut().map(|policy| policy.decide(trace, now));
    verdicts.find(|verdict| *verdict != Verdict::Next).unwrap_or(Verdict::Next)
}

/// What comes of a trace that was decided on follows it.
fn late(
    chunk: Chunk,
    decision: &mut Decision,
    report: &mut StageReport,
    out: &mut dyn FnMut(Chunk),
) {
    let Chunk { trace, spans, mut logs } = chunk;
    match decision {
        Decision::Drop => {
            report.spans.sampled_out += spans.len() as u64;
            report.logs.sampled_out += logs.len() as u64;
        }
        Decision::Keep { ratio, late } => {
            let mut spans = match late {
                Some(late) => {
                    for log in &mut logs {
                        log.span = log.span.and_then(|span| late.span_of_log(span));
                    }
                    let came = spans.len();
                    let spans: Vec<_> =
                        spans.into_iter().filter_map(|span| late.push(span)).collect();
                    report.spans.folded += (came - spans.len()) as u64;
                    spans
                }
                None => spans,
            };
            if let Some(ratio) = ratio {
                spans.iter_mut().for_each(|span| ratio.tell(span));
            }
            if !(spans.is_empty() && logs.is_empty()) {
                out(Chunk { trace, spans, logs });
            }
        }
    }
}
