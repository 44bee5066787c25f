//! The cap on the spans of one trace: the largest and the failed stay, the others become counts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::mem;

use super::numbers::{NumberMap, NumberSet};
use super::weight::span_bytes;
use crate::event::{Attribute, LogRecord, SpanNumber, SpanRecord, Status};

/// Parents that have not come yet and of which nothing but folded spans is known, beyond the cap.
/// In a host's trace they are the calls that are open, of which there are few.
const MAX_ABSENT: usize = 4_096;

/// What was folded into a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Folded {
    /// Spans, those folded into folded spans included.
    spans: u64,
    /// How many of them failed.
    failed: u64,
    /// How long those took that stood directly under the span or under nothing that was kept.
    nanos: u64,
}

impl Folded {
    fn add(&mut self, other: Folded) {
        self.spans += other.spans;
        self.failed += other.failed;
        self.nanos = self.nanos.saturating_add(other.nanos);
    }

    fn plus(mut self, other: Folded) -> Self {
        self.add(other);
        self
    }

    /// What a span that is folded leaves to its parent.
    fn of(span: &SpanRecord, within: Folded) -> Self {
        Folded {
            spans: within.spans + 1,
            failed: within.failed + u64::from(span.status == Status::Error),
            // Those within it took part of its own time.
            nanos: nanos(span),
        }
    }

    fn tell(self, span: &mut SpanRecord) {
        if self.spans == 0 {
            return;
        }
        let int = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let attributes = &mut span.detail.get_or_insert_default().attributes;
        attributes.push(Attribute::new("observe.folded.spans", int(self.spans)));
        attributes.push(Attribute::new("observe.folded.time", self.nanos as f64 / 1e9));
        if self.failed > 0 {
            attributes.push(Attribute::new("observe.folded.errors", int(self.failed)));
        }
    }
}

fn nanos(span: &SpanRecord) -> u64 {
    span.end_unix_nanos.saturating_sub(span.start_unix_nanos)
}

/// What stays longest: failed spans, and of others the larger.
type Rank = (bool, u64, SpanNumber);

fn rank(span: &SpanRecord) -> Rank {
    (span.status == Status::Error, nanos(span), span.number)
}

struct Node {
    span: SpanRecord,
    /// As the how manieth it came.
    order: u64,
    /// How many spans under it are kept.
    children: u32,
    folded: Folded,
}

/// What is known of a span before it comes, which is after those under it.
#[derive(Default)]
struct Absent {
    children: u32,
    folded: Folded,
}

/// The spans of one trace, of which at most so many are held.
///
/// One with kept spans under it is never folded, so that what is kept is always a tree. Of the others,
/// the least goes first. Each is looked at when it comes, so the memory is bounded by the cap however
/// many there are.
pub(super) struct Fold {
    cap: usize,
    held: NumberMap<Node>,
    absent: NumberMap<Absent>,
    /// Held spans without kept spans under them, the least first, and some that are no more.
    leaves: BinaryHeap<Reverse<Rank>>,
    bytes: usize,
    came: u64,
    gone_out: usize,
    /// Of spans whose parents nobody knows any more.
    stray: Folded,
    /// Spans in which something was logged.
    logged: NumberSet,
    /// Of folded ones, under which span each stood.
    moved: NumberMap<Option<SpanNumber>>,
}

impl Fold {
    pub(super) fn new(cap: usize) -> Self {
        Fold {
            cap,
            held: NumberMap::default(),
            absent: NumberMap::default(),
            leaves: BinaryHeap::new(),
            bytes: 0,
            came: 0,
            gone_out: 0,
            stray: Folded::default(),
            logged: NumberSet::default(),
            moved: NumberMap::default(),
        }
    }

    /// Takes note of a log record, which must come before its span.
    pub(super) fn log(&mut self, log: &LogRecord) {
        self.logged.extend(log.span);
    }

    /// Adds a span, for which another may be folded.
    pub(super) fn push(&mut self, span: SpanRecord) {
        let Absent { children, folded } = self.absent.remove(&span.number).unwrap_or_default();
        if self.held.contains_key(&span.number) {
            // Told twice: the second goes into the first.
            let number = span.number;
            return self.count_into(Some(number), Folded::of(&span, folded));
        }
        if children == 0 && self.held.len() >= self.cap && self.is_least(&span) {
            return self.fold(&span, folded);
        }
        self.came += 1;
        self.adopt(span.parent);
        if children == 0 {
            self.leaves.push(Reverse(rank(&span)));
        }
        self.bytes += span_bytes(&span);
        self.held.insert(span.number, Node { span, order: self.came, children, folded });
        while self.held.len() > self.cap {
            self.fold_least();
        }
    }

    /// Gives a span of a trace that went out before its end: what is left of the cap is for
    /// those, and parents of what went out are never folded.
    pub(super) fn push_late(&mut self, mut span: SpanRecord) -> Option<SpanRecord> {
        let Absent { children, folded } = self.absent.remove(&span.number).unwrap_or_default();
        if children == 0 && self.gone_out >= self.cap {
            self.fold(&span, folded);
            return None;
        }
        self.gone_out += 1;
        self.adopt(span.parent);
        let stray =
            if span.parent.is_none() { mem::take(&mut self.stray) } else { Folded::default() };
        folded.plus(stray).tell(&mut span);
        Some(span)
    }

    /// Takes all held spans, when log records have been asked for theirs, in the order in which they came, with the counts of what was folded.
    pub(super) fn take(&mut self) -> Vec<SpanRecord> {
        let mut nodes: Vec<_> = mem::take(&mut self.held).into_values().collect();
        nodes.sort_unstable_by_key(|node| node.order);
        if let Some(root) = nodes.iter_mut().find(|node| node.span.parent.is_none()) {
            // The trace is over, so whose parent has not come is an orphan.
            self.absent.drain().for_each(|(_, absent)| self.stray.add(absent.folded));
            root.folded.add(mem::take(&mut self.stray));
        }
        (self.leaves, self.bytes) = (BinaryHeap::new(), 0);
        (self.logged, self.moved) = (NumberSet::default(), NumberMap::default());
        self.gone_out += nodes.len();
        let told = |mut node: Node| {
            node.folded.tell(&mut node.span);
            node.span
        };
        nodes.into_iter().map(told).collect()
    }

    /// The span under which a log record is told: that in which it was written or, where that was
    /// folded, the next one above.
    pub(super) fn span_of_log(&self, number: SpanNumber) -> Option<SpanNumber> {
        let mut number = number;
        // Spans that stand under one another lead nowhere.
        for _ in 0..=self.moved.len() {
            match self.moved.get(&number) {
                Some(parent) => number = (*parent)?,
                None => return Some(number),
            }
        }
        None
    }

    /// How many spans are held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// What they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A held span.
    pub(super) fn get(&self, number: SpanNumber) -> Option<&SpanRecord> {
        self.held.get(&number).map(|node| &node.span)
    }

    #[cfg(test)]
    pub(super) fn parents_known(&self) -> usize {
        self.absent.len()
    }

    /// Whether a span without kept spans under it would be the first to go.
    fn is_least(&mut self, span: &SpanRecord) -> bool {
        self.least().is_none_or(|least| rank(span) <= least)
    }

    /// The held span that goes first; `None` if all have others under them.
    fn least(&mut self) -> Option<Rank> {
        loop {
            let Reverse(least) = *self.leaves.peek()?;
            let is_leaf = self.held.get(&least.2).is_some_and(|node| node.children == 0);
            if is_leaf {
                return Some(least);
            }
            self.leaves.pop();
        }
    }

    /// Folds the least of the held spans.
    fn fold_least(&mut self) {
        let least = self.least().map(|(.., number)| number);
        // If each stands under another, they stand in a ring, and any is as good.
        let Some(number) = least.or_else(|| self.held.keys().next().copied()) else { return };
        let Some(node) = self.held.remove(&number) else { return };
        self.bytes -= span_bytes(&node.span);
        let parent = node.span.parent;
        if let Some(above) = parent.and_then(|parent| self.held.get_mut(&parent)) {
            above.children = above.children.saturating_sub(1);
            if above.children == 0 {
                self.leaves.push(Reverse(rank(&above.span)));
                self.tidy_leaves();
            }
        } else if let Some(parent) = parent {
            self.disown(parent);
        }
        self.fold(&node.span, node.folded);
    }

    /// Forgets what are leaves no more, when they are the most: spans that come after those above
    /// them make many.
    fn tidy_leaves(&mut self) {
        if self.leaves.len() > 2 * self.held.len() + 64 {
            let leaves = self.held.values().filter(|node| node.children == 0);
            self.leaves = leaves.map(|node| Reverse(rank(&node.span))).collect();
        }
    }

    /// Notes that a span under one that has not come is kept no more.
    fn disown(&mut self, parent: SpanNumber) {
        let is_full = self.is_full_of_absent();
        let Some(above) = self.absent.get_mut(&parent) else { return };
        above.children = above.children.saturating_sub(1);
        if above.children == 0 && (above.folded.spans == 0 || is_full) {
            self.stray.add(above.folded);
            self.absent.remove(&parent);
        }
    }

    /// Makes a count of a span that is not held.
    fn fold(&mut self, span: &SpanRecord, within: Folded) {
        if self.logged.remove(&span.number) {
            self.moved.insert(span.number, span.parent);
            self.logged.extend(span.parent);
        }
        self.count_into(span.parent, Folded::of(span, within));
    }

    fn count_into(&mut self, parent: Option<SpanNumber>, folded: Folded) {
        let place = match parent {
            Some(parent) => match self.held.get_mut(&parent) {
                Some(node) => Some(&mut node.folded),
                None => self.absent(parent).map(|absent| &mut absent.folded),
            },
            None => None,
        };
        match place {
            Some(place) => place.add(folded),
            None => self.stray.add(folded),
        }
    }

    /// Notes that a kept span stands under another.
    fn adopt(&mut self, parent: Option<SpanNumber>) {
        let Some(parent) = parent else { return };
        match self.held.get_mut(&parent) {
            Some(above) => above.children += 1,
            None => self.absent.entry(parent).or_default().children += 1,
        }
    }

    /// What is known of a parent that has not come; `None` if too many have not.
    fn absent(&mut self, parent: SpanNumber) -> Option<&mut Absent> {
        if self.is_full_of_absent() && !self.absent.contains_key(&parent) {
            return None;
        }
        Some(self.absent.entry(parent).or_default())
    }

    fn is_full_of_absent(&self) -> bool {
        self.absent.len() >= self.cap.saturating_add(MAX_ABSENT)
    }
}
