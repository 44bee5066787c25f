//! What is known of spans that have not come.

use std::mem;

use super::super::numbers::{NumberMap, table_bytes};
use crate::assembly::Folded;
use crate::event::SpanNumber;

/// Parents that have not come yet and of which nothing but folded spans is known, beyond the cap.
/// In a host's trace they are the calls that are open, of which there are few.
const MAX_ABSENT: usize = 4_096;

/// What is known of a span before it comes, which is after those under it.
#[derive(Default)]
pub(super) struct Known {
    /// How many spans under it are kept.
    pub(super) children: u32,
    pub(super) folded: Folded,
}

/// The parents of a trace that have not come.
pub(super) struct Absent {
    /// The cap on the spans of the trace.
    cap: usize,
    spans: NumberMap<Known>,
    /// Of spans whose parents nobody knows any more.
    stray: Folded,
}

impl Absent {
    pub(super) fn new(cap: usize) -> Self {
        Absent { cap, spans: NumberMap::default(), stray: Folded::default() }
    }

    pub(super) fn cap(&self) -> usize {
        self.cap
    }

    /// What is known of a span that came.
    pub(super) fn remove(&mut self, span: SpanNumber) -> Known {
        self.spans.remove(&span).unwrap_or_default()
    }

    /// Notes that a kept span stands under one that has not come.
    pub(super) fn adopt(&mut self, parent: SpanNumber) {
        self.spans.entry(parent).or_default().children += 1;
    }

    /// Notes that a span under one that has not come is kept no more.
    pub(super) fn disown(&mut self, parent: SpanNumber) {
        let is_full = self.is_full();
        let Some(above) = self.spans.get_mut(&parent) else { return };
        above.children = above.children.saturating_sub(1);
        if above.children == 0 && (above.folded.spans == 0 || is_full) {
            self.stray.add(above.folded);
            self.spans.remove(&parent);
        }
    }

    /// Counts what was folded into a span that is not held, and if too many have not come into none.
    pub(super) fn count_into(&mut self, parent: Option<SpanNumber>, folded: Folded) {
        let is_full = self.is_full();
        let place = parent.filter(|parent| !is_full || self.spans.contains_key(parent));
        match place {
            Some(parent) => self.spans.entry(parent).or_default().folded.add(folded),
            None => self.stray.add(folded),
        }
    }

    /// What belongs to no span that is known.
    pub(super) fn take_stray(&mut self) -> Folded {
        mem::take(&mut self.stray)
    }

    /// All that was folded, when no more parents are to come.
    pub(super) fn take_all(&mut self) -> Folded {
        mem::take(&mut self.spans).into_values().for_each(|known| self.stray.add(known.folded));
        self.take_stray()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.stray == Folded::default()
    }

    /// Gives back memory that is not in use.
    pub(super) fn shrink(&mut self) {
        self.spans.shrink_to_fit();
    }

    pub(super) fn bytes(&self) -> usize {
        table_bytes::<(SpanNumber, Known)>(self.spans.capacity())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    fn is_full(&self) -> bool {
        self.spans.len() >= self.cap.saturating_add(MAX_ABSENT)
    }
}
