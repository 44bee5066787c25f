//! What is known of each function when a trace ends.

use crate::clock::Scale;
use crate::growth::Growth;
use crate::heap::Heap;
use crate::histogram::Histogram;

/// Where a function's calls are counted.
#[derive(Clone, Default)]
pub(crate) struct FunctionStats {
    /// Calls, but for those since the last timed one that only the cell knows of.
    pub(crate) calls: u64,
    /// The period in force: calls from the last timed one to the next. 0 before
    /// the first call, whose cell is 0 too.
    pub(crate) period: u32,
    /// Whether the period in force began before this trace.
    began_before: bool,
    /// The period that the controller last chose, before jitter.
    pub(crate) nominal: u32,
    /// Activations that are open, so that recursion is not counted twice in the total.
    pub(crate) open: u32,
    /// Whether a timed call stood within another, and whether one stood for several.
    recursive: bool,
    sampled: bool,
    pub(crate) timed: u64,
    pub(crate) errors: u64,
    pub(crate) total: u64,
    pub(crate) own: u64,
    pub(crate) max: u64,
    pub(crate) growth: Growth,
    pub(crate) heap: Heap,
    min: u64,
    histogram: Option<Histogram>,
}

/// A call that has ended.
pub(crate) struct Timed {
    pub(crate) ticks: u64,
    pub(crate) children: u64,
    pub(crate) weight: u32,
    pub(crate) failed: bool,
}

impl FunctionStats {
    pub(crate) fn record(&mut self, call: &Timed) {
        let weight = u64::from(call.weight);
        self.timed += 1;
        self.errors += u64::from(call.failed);
        self.open -= 1;
        if self.open == 0 {
            self.total = self.total.saturating_add(call.ticks.saturating_mul(weight));
        } else {
            self.recursive = true;
        }
        let own = call.ticks.saturating_sub(call.children);
        self.own = self.own.saturating_add(own.saturating_mul(weight));
        self.sampled |= call.weight > 1;
        self.max = self.max.max(call.ticks);
        self.min = if self.timed == 1 { call.ticks } else { self.min.min(call.ticks) };
        self.histogram.get_or_insert_default().record(call.ticks, call.weight);
    }

    /// Counts the calls of the period that has run out, and says how many of them were
    /// in this trace: the cell starts at 0, so that the first call is a period of one.
    pub(crate) fn end_period(&mut self) -> u32 {
        let period = self.period.max(1);
        self.calls += u64::from(period);
        match std::mem::take(&mut self.began_before) {
            // Nobody knows how many; the one that comes now was.
            true => 1,
            false => period,
        }
    }

    /// Counts the calls since the last timed one, given how many the cell, which is now 0,
    /// would have let pass before the next.
    pub(crate) fn settle(&mut self, left: i32) {
        let left = u32::try_from(left).unwrap_or(0);
        self.calls += u64::from(self.period.saturating_sub(1).saturating_sub(left));
        self.period = 0;
        self.began_before = false;
    }

    /// Forgets the calls, but not the period that a cell is counting down.
    pub(crate) fn reset(&mut self) {
        *self = FunctionStats {
            period: self.period,
            nominal: self.nominal,
            began_before: self.period > 0,
            ..Default::default()
        };
    }

    pub(crate) fn row(
        &self,
        name: &str,
        source: Option<String>,
        scale: &Scale,
        sampling: bool,
    ) -> FunctionRow {
        let quantile = |part| {
            let ticks = self.histogram.as_ref().map_or(0, |histogram| histogram.quantile(part));
            scale.nanos(ticks.clamp(self.min, self.max))
        };
        FunctionRow {
            name: name.to_owned(),
            source,
            calls: self.calls,
            timed_calls: self.timed,
            errors: self.errors,
            // Which calls are outermost is not known where not all were timed, nor what the
            // others took of their callers' time.
            total_nanos: (!(self.sampled && self.recursive)).then(|| scale.nanos(self.total)),
            self_nanos: (!sampling).then(|| scale.nanos(self.own)),
            p50_nanos: quantile(0.5),
            p95_nanos: quantile(0.95),
            max_nanos: scale.nanos(self.max),
            growth: self.growth,
            heap: self.heap,
        }
    }
}

/// What a trace tells of one function, or of one span name of the guest's own.
///
/// Where not every call was timed, the durations are estimates: each timed call
/// stands for those since the one before.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FunctionRow {
    /// The function's name, demangled.
    pub name: String,
    /// Where its source begins, as `file:line`, where that is known.
    pub source: Option<String>,
    /// How often it was called.
    pub calls: u64,
    /// How many of the calls were timed.
    pub timed_calls: u64,
    /// How many of the timed calls ended with an exception, or a failure of the trace.
    pub errors: u64,
    /// Nanoseconds in the function and what it called; of a function that calls
    /// itself, the outermost calls only. `None` where not every call was timed and the
    /// function was seen to call itself, so that which are outermost is not known.
    pub total_nanos: Option<u64>,
    /// Nanoseconds in the function less those in hooked functions that it called.
    /// `None` where not every call was timed.
    pub self_nanos: Option<u64>,
    /// The median duration of a call in nanoseconds, to within 3 %.
    pub p50_nanos: u64,
    /// The duration that 95 % of the calls did not exceed, to within 3 %.
    pub p95_nanos: u64,
    /// The longest duration of a timed call.
    pub max_nanos: u64,
    /// What the function itself made grow, in all of its calls.
    pub growth: Growth,
    /// What it allocated while it was the innermost timed call, in a module whose allocators
    /// tell. Only blocks and bytes allocated and live are known for one function.
    pub heap: Heap,
}
