//! What is known of each function when a trace ends.

use crate::clock::Scale;
use crate::histogram::Histogram;

/// Where a function's calls are counted.
#[derive(Clone, Default)]
pub(crate) struct FunctionStats {
    /// Calls, but for those since the last timed one that only the cell knows of.
    pub(crate) calls: u64,
    /// The period in force: calls from the last timed one to the next. 0 before
    /// the first call, whose cell is 0 too.
    pub(crate) period: u32,
    /// Calls of the period in force that are in `calls` already.
    settled: u32,
    /// The period that the controller last chose, before jitter.
    pub(crate) nominal: u32,
    /// Activations that are open, so that recursion is not counted twice in the total.
    pub(crate) open: u32,
    pub(crate) timed: u64,
    pub(crate) errors: u64,
    pub(crate) total: u64,
    pub(crate) own: u64,
    pub(crate) max: u64,
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
            self.total += call.ticks * weight;
        }
        self.own += call.ticks.saturating_sub(call.children) * weight;
        self.max = self.max.max(call.ticks);
        self.min = if self.timed == 1 { call.ticks } else { self.min.min(call.ticks) };
        self.histogram.get_or_insert_default().record(call.ticks, call.weight);
    }

    /// Counts the calls of the period that has run out, and says how many calls it
    /// stood for: the cell starts at 0, so that the first call is a period of one.
    pub(crate) fn end_period(&mut self) -> u32 {
        let period = self.period.max(1);
        self.calls += u64::from(period - self.settled.min(period));
        self.settled = 0;
        period
    }

    /// Counts the calls since the last timed one, given what is left in the cell.
    pub(crate) fn settle(&mut self, left: i32) {
        let left = u32::try_from(left).unwrap_or(0);
        let used = self.period.saturating_sub(left);
        self.calls += u64::from(used.saturating_sub(self.settled));
        self.settled = self.settled.max(used);
    }

    /// Forgets the calls, but not the period that a cell is counting down.
    pub(crate) fn reset(&mut self) {
        *self = FunctionStats {
            period: self.period,
            settled: self.settled,
            nominal: self.nominal,
            ..Default::default()
        };
    }

    pub(crate) fn row(&self, name: &str, source: Option<String>, scale: &Scale) -> FunctionRow {
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
            total_nanos: scale.nanos(self.total),
            self_nanos: scale.nanos(self.own),
            p50_nanos: quantile(0.5),
            p95_nanos: quantile(0.95),
            max_nanos: scale.nanos(self.max),
        }
    }
}

/// What a trace tells of one function, or of one span name of the guest's own.
///
/// Where not every call was timed, the durations are estimates: each timed call
/// stands for those since the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionRow {
    /// The function's name, demangled.
    pub name: String,
    /// Where its source begins, as `file:line`, where that is known.
    pub source: Option<String>,
    /// How often it was called.
    pub calls: u64,
    /// How many of the calls were timed.
    pub timed_calls: u64,
    /// How many of the timed calls ended with a failure of the whole trace.
    pub errors: u64,
    /// Nanoseconds in the function and what it called; of a function that calls
    /// itself, the outermost calls only.
    pub total_nanos: u64,
    /// Nanoseconds in the function less those in hooked functions that it called.
    pub self_nanos: u64,
    /// The median duration of a call in nanoseconds, to within 3 %.
    pub p50_nanos: u64,
    /// The duration that 95 % of the calls did not exceed, to within 3 %.
    pub p95_nanos: u64,
    /// The longest duration of a timed call.
    pub max_nanos: u64,
}
