//! What is counted of each function while a trace runs.

use std::collections::HashMap;

use crate::growth::Growth;
use crate::heap::Heap;
use crate::histogram::{Histograms, NO_PLACES, Places};

/// The place of a function, or of a span name of the guest's own, among those that a trace has
/// met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RowId(u32);

impl RowId {
    /// That of frames which stand for nothing that is counted.
    pub(crate) const NONE: RowId = RowId(u32::MAX);
}

/// What a row is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A hooked function, by id.
    Function(u32),
    /// A name that the guest gave spans of its own, by its place.
    Named(u32),
}

/// What every timed call touches: a line of the cache, and one word of those behind it.
#[derive(Clone)]
#[repr(C, align(64))]
pub(crate) struct Row {
    /// Timed calls.
    timed: u64,
    /// Calls that the timed ones stand for beside themselves.
    beside: u64,
    /// Other calls.
    others: u64,
    /// Ticks in all calls.
    sum: u64,
    /// Ticks in calls that are within another one of the same function.
    inner: u64,
    /// Ticks in all calls less those in what they called.
    own: u64,
    max: u64,
    /// Activations that are open, so that recursion is not counted twice.
    open: u32,
    /// The row of the timed call in which this one last stood, where calls are sampled.
    pub(crate) within: RowId,
    durations: Places,
}

/// How much of a trace a function is.
#[derive(Clone, Copy, Default)]
pub(crate) struct Matter {
    /// Whether it takes so little that nobody will ask how much.
    pub(crate) is_minor: bool,
    /// How often it was timed.
    pub(crate) samples: u64,
}

/// Timed calls before a function can be minor.
const MINOR_SAMPLES: u64 = 8;

/// A function is minor if it takes less than one part in so many of the trace.
const MINOR_SHARE: u64 = 250;

/// What fewer calls touch.
pub(crate) struct More {
    pub(crate) what: What,
    pub(crate) errors: u64,
    /// Ticks in which timed calls waited, each times those that it stands for.
    pub(crate) suspended: u64,
    pub(crate) growth: Growth,
    pub(crate) heap: Heap,
    /// How often its callees were looked at, since it took long by itself.
    pub(crate) explained: u32,
}

/// A call that has ended. All times are in ticks.
pub(crate) struct Timed {
    pub(crate) ticks: u64,
    pub(crate) own: u64,
    pub(crate) weight: u32,
}

/// The functions that a trace has met.
#[derive(Default)]
pub(crate) struct Stats {
    rows: Vec<Row>,
    more: Vec<More>,
    /// The rows of names of the guest's own.
    named: HashMap<u32, RowId>,
    durations: Histograms,
}

impl Stats {
    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        *self = Stats::default();
    }

    /// The row of the timed call in which a function's last one stood; `NONE` where there was none.
    pub(crate) fn caller(&self, row: RowId) -> RowId {
        self.rows.get(row.0 as usize).map_or(RowId::NONE, |row| row.within)
    }

    /// The row of a name.
    pub(crate) fn named(&mut self, name: u32) -> RowId {
        match self.named.get(&name) {
            Some(&row) => row,
            None => self.meet(What::Named(name)),
        }
    }

    /// A row for something that was not met before.
    #[cold]
    #[inline(never)]
    pub(crate) fn meet(&mut self, what: What) -> RowId {
        let row = RowId(self.rows.len() as u32);
        if let What::Named(name) = what {
            self.named.insert(name, row);
        }
        self.rows.push(Row {
            timed: 0,
            beside: 0,
            others: 0,
            sum: 0,
            inner: 0,
            own: 0,
            max: 0,
            open: 0,
            within: RowId::NONE,
            durations: NO_PLACES,
        });
        self.more.push(More {
            what,
            errors: 0,
            suspended: 0,
            growth: Growth::default(),
            heap: Heap::default(),
            explained: 0,
        });
        row
    }

    /// Counts calls that no timed one stands for.
    pub(crate) fn count(&mut self, row: RowId, calls: u64) {
        if let Some(row) = self.rows.get_mut(row.0 as usize) {
            row.others += calls;
        }
    }

    /// A sampled call begins within a timed one. Says how much its function matters, given the
    /// ticks and timed calls of the trace so far.
    pub(crate) fn weigh(&mut self, row: RowId, within: RowId, elapsed: u64) -> Matter {
        let Some(row) = self.rows.get_mut(row.0 as usize) else { return Matter::default() };
        row.within = within;
        Matter {
            is_minor: row.timed >= MINOR_SAMPLES && row.sum.saturating_mul(MINOR_SHARE) < elapsed,
            samples: row.timed,
        }
    }

    /// A timed call begins.
    #[inline]
    pub(crate) fn open(&mut self, row: RowId) {
        if let Some(row) = self.rows.get_mut(row.0 as usize) {
            row.open += 1;
        }
    }

    /// A timed call ends.
    #[inline]
    pub(crate) fn close(&mut self, id: RowId, call: &Timed) {
        let Some(row) = self.rows.get_mut(id.0 as usize) else { return };
        let (mut ticks, mut own) = (call.ticks, call.own);
        // Where every call is timed, each stands for itself.
        if call.weight != 1 {
            let weight = u64::from(call.weight);
            row.beside += weight - 1;
            (ticks, own) = (ticks.wrapping_mul(weight), own.wrapping_mul(weight));
        }
        row.timed += 1;
        row.sum = row.sum.wrapping_add(ticks);
        row.own = row.own.wrapping_add(own);
        row.open = row.open.wrapping_sub(1);
        if row.open > 0 {
            row.inner = row.inner.wrapping_add(ticks);
        }
        if call.ticks > row.max {
            row.max = call.ticks;
        }
        self.durations.record(&mut row.durations, call.ticks, call.weight);
    }

    /// What fewer calls touch, of a row that is not [`RowId::NONE`].
    pub(crate) fn more(&mut self, row: RowId) -> Option<&mut More> {
        self.more.get_mut(row.0 as usize)
    }

    /// What a row is of; `None` for [`RowId::NONE`].
    pub(crate) fn what(&self, row: RowId) -> Option<What> {
        self.more.get(row.0 as usize).map(|more| more.what)
    }

    /// All rows.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Met<'_>> {
        let rows = self.rows.iter().zip(&self.more);
        let durations = &self.durations;
        rows.map(|(row, more)| Met { row, more, durations })
    }

    /// The functions whose last timed call stood in one of the given row.
    pub(crate) fn called_by(&self, caller: RowId) -> impl Iterator<Item = u32> {
        let rows = self.rows.iter().zip(&self.more);
        rows.filter(move |(row, _)| row.within == caller).filter_map(|(_, more)| match more.what {
            What::Function(id) => Some(id),
            What::Named(_) => None,
        })
    }
}

/// A row, when the trace is over.
pub(crate) struct Met<'s> {
    pub(crate) row: &'s Row,
    pub(crate) more: &'s More,
    durations: &'s Histograms,
}

impl Met<'_> {
    /// The durations, in ticks, that the parts of the calls did not exceed, and the longest.
    pub(crate) fn quantiles<const N: usize>(&self, parts: [f64; N]) -> [u64; N] {
        let found = self.durations.quantiles(&self.row.durations, parts);
        found.map(|ticks| ticks.min(self.row.max))
    }

    pub(crate) fn max(&self) -> u64 {
        self.row.max
    }

    pub(crate) fn calls(&self) -> u64 {
        self.represented() + self.row.others
    }

    pub(crate) fn timed(&self) -> u64 {
        self.row.timed
    }

    /// Calls that the timed ones stand for.
    fn represented(&self) -> u64 {
        self.row.timed + self.row.beside
    }

    /// A sum over timed calls as an estimate for all: those that came after the last timed
    /// one have nobody that stands for them.
    fn for_all(&self, sum: u64) -> u64 {
        let represented = self.represented();
        match (represented, self.row.others) {
            (0, _) => 0,
            (_, 0) => sum,
            _ => (u128::from(sum) * u128::from(self.calls()) / u128::from(represented)) as u64,
        }
    }

    pub(crate) fn sum(&self) -> u64 {
        self.for_all(self.row.sum)
    }

    /// Ticks in which calls waited.
    pub(crate) fn suspended(&self) -> u64 {
        self.for_all(self.more.suspended)
    }

    /// Ticks in the outermost calls. `None` where which calls are outermost is not known, since not all were timed.
    pub(crate) fn total(&self) -> Option<u64> {
        let sampled = self.row.beside > 0;
        let outermost = self.row.sum.wrapping_sub(self.row.inner);
        (!(sampled && self.row.inner > 0)).then(|| self.for_all(outermost))
    }

    /// What timed calls took themselves.
    pub(crate) fn own(&self) -> u64 {
        self.row.own
    }

    /// The same as an estimate for all calls, of a function that calls no others.
    pub(crate) fn own_of_all(&self) -> u64 {
        self.for_all(self.row.own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_call_touches_is_a_line_of_the_cache() {
        assert_eq!(std::mem::offset_of!(Row, durations), 64);
        assert_eq!(size_of::<Row>() % 64, 0);
    }
}
