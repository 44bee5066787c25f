//! What is counted of each function while a trace runs.

use std::collections::HashMap;

use crate::growth::Growth;
use crate::heap::Heap;
use crate::histogram::{Head, Histograms};

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

/// What every timed call touches: one line of the cache.
#[derive(Clone)]
#[repr(align(64))]
pub(crate) struct Row {
    /// Calls, but for those since the last timed one that only the cell knows of.
    pub(crate) calls: u64,
    /// Timed calls.
    pub(crate) timed: u64,
    /// Calls that the timed ones stand for.
    represented: u64,
    /// Ticks in calls that are not within another one of the same function.
    total: u64,
    /// Ticks in all calls.
    sum: u64,
    /// Ticks in all calls less those in what they called.
    own: u64,
    max: u64,
    durations: Head,
}

/// What fewer calls touch.
pub(crate) struct More {
    pub(crate) what: What,
    pub(crate) errors: u64,
    /// Ticks in which timed calls waited, each times those that it stands for.
    pub(crate) suspended: u64,
    pub(crate) growth: Growth,
    pub(crate) heap: Heap,
    /// Whether a timed call stood within another.
    recursive: bool,
    /// The row of the timed call in which this one last stood.
    pub(crate) within: RowId,
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
    /// By function, one more than the place of its row; 0 where it was not met.
    places: Vec<u32>,
    rows: Vec<Row>,
    /// Of each row, how many of its activations are open, so that recursion is not counted twice.
    open: Vec<u32>,
    more: Vec<More>,
    /// The rows of names of the guest's own.
    named: HashMap<u32, RowId>,
    durations: Histograms,
}

impl Stats {
    /// Makes room for so many functions, none of them met.
    pub(crate) fn begin(&mut self, functions: usize) {
        self.places.clear();
        self.places.resize(functions, 0);
        self.rows.clear();
        self.open.clear();
        self.more.clear();
        self.named.clear();
        self.durations.clear();
    }

    /// The row of a function, which has an id below the number that
    /// [`begin`](Self::begin) was told.
    #[inline]
    pub(crate) fn function(&mut self, id: u32) -> RowId {
        match self.places.get(id as usize) {
            Some(&place) if place > 0 => RowId(place - 1),
            _ => self.meet(What::Function(id)),
        }
    }

    /// Whether it is known in which other function one is called.
    pub(crate) fn knows_caller(&self, id: u32) -> bool {
        let row = self.places.get(id as usize).and_then(|place| place.checked_sub(1));
        let more = row.and_then(|row| self.more.get(row as usize));
        more.is_some_and(|more| more.within != RowId::NONE)
    }

    /// The row of a name.
    pub(crate) fn named(&mut self, name: u32) -> RowId {
        match self.named.get(&name) {
            Some(&row) => row,
            None => self.meet(What::Named(name)),
        }
    }

    #[cold]
    #[inline(never)]
    fn meet(&mut self, what: What) -> RowId {
        let row = RowId(self.rows.len() as u32);
        match what {
            What::Function(id) => match self.places.get_mut(id as usize) {
                Some(place) => *place = row.0 + 1,
                None => return RowId::NONE,
            },
            What::Named(name) => {
                self.named.insert(name, row);
            }
        }
        self.rows.push(Row {
            calls: 0,
            timed: 0,
            represented: 0,
            total: 0,
            sum: 0,
            own: 0,
            max: 0,
            durations: Head::default(),
        });
        self.open.push(0);
        self.more.push(More {
            what,
            errors: 0,
            suspended: 0,
            growth: Growth::default(),
            heap: Heap::default(),
            recursive: false,
            within: RowId::NONE,
            explained: 0,
        });
        row
    }

    /// Counts calls that are over, or one that begins.
    #[inline]
    pub(crate) fn count(&mut self, row: RowId, calls: u64) {
        if let Some(row) = self.rows.get_mut(row.0 as usize) {
            row.calls += calls;
        }
    }

    /// A timed call begins.
    #[inline]
    pub(crate) fn open(&mut self, row: RowId) {
        if let Some(open) = self.open.get_mut(row.0 as usize) {
            *open += 1;
        }
    }

    /// A timed call ends.
    #[inline]
    pub(crate) fn close(&mut self, id: RowId, call: &Timed) {
        let Some(row) = self.rows.get_mut(id.0 as usize) else { return };
        let weight = u64::from(call.weight);
        let ticks = call.ticks.wrapping_mul(weight);
        row.timed += 1;
        row.represented += weight;
        row.sum = row.sum.wrapping_add(ticks);
        row.own = row.own.wrapping_add(call.own.wrapping_mul(weight));
        row.max = row.max.max(call.ticks);
        self.durations.record(&mut row.durations, call.ticks, call.weight);
        if let Some(open) = self.open.get_mut(id.0 as usize) {
            *open = open.wrapping_sub(1);
            match *open {
                0 => row.total = row.total.wrapping_add(ticks),
                _ => self.more[id.0 as usize].recursive = true,
            }
        }
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
        rows.map(|(row, more)| Met { row, more, durations: &self.durations })
    }

    /// The functions whose last timed call stood in one of the given row.
    pub(crate) fn called_by(&self, caller: RowId) -> impl Iterator<Item = u32> {
        self.more.iter().filter(move |more| more.within == caller).filter_map(|more| {
            match more.what {
                What::Function(id) => Some(id),
                What::Named(_) => None,
            }
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
        let found = self.durations.quantiles(self.row.durations, parts);
        found.map(|ticks| ticks.min(self.row.max))
    }

    pub(crate) fn max(&self) -> u64 {
        self.row.max
    }

    /// A sum over timed calls as an estimate for all: those that came after the last timed
    /// one have nobody that stands for them.
    fn for_all(&self, sum: u64) -> u64 {
        let Row { calls, represented, .. } = *self.row;
        match represented {
            0 => 0,
            _ if represented == calls => sum,
            _ => (u128::from(sum) * u128::from(calls) / u128::from(represented)) as u64,
        }
    }

    pub(crate) fn sum(&self) -> u64 {
        self.for_all(self.row.sum)
    }

    /// Ticks in which calls waited.
    pub(crate) fn suspended(&self) -> u64 {
        self.for_all(self.more.suspended)
    }

    /// `None` where which calls are outermost is not known, since not all were timed.
    pub(crate) fn total(&self) -> Option<u64> {
        let sampled = self.row.represented != self.row.timed;
        (!(sampled && self.more.recursive)).then(|| self.for_all(self.row.total))
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
    fn a_row_fills_a_line_of_the_cache() {
        assert_eq!(size_of::<Row>(), 64);
    }
}
