//! The cap on the spans of one trace: the largest and the failed stay, the others become counts.

mod absent;
mod late;
mod moved;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::mem;

use self::absent::{Absent, Known};
use self::late::tell;
use self::moved::Moved;
use super::numbers::{NumberMap, table_bytes};
use super::weight::span_bytes;
use crate::assembly::Folded;
use crate::event::{LogRecord, SpanNumber, SpanRecord, Status};

pub(super) use self::late::Late;

/// What a span that is folded leaves to its parent.
fn of(span: &SpanRecord, within: Folded) -> Folded {
    Folded {
        spans: within.spans + 1,
        errors: within.errors + u64::from(span.status == Status::Error),
        // Those within it took part of its own time.
        nanos: nanos(span),
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

/// The spans of one trace, of which at most so many are held.
///
/// One with kept spans under it is never folded, so that what is kept is always a tree. Of the others,
/// the least goes first. Each is looked at when it comes, so the memory is bounded by the cap however
/// many there are.
pub(super) struct Fold {
    cap: usize,
    held: NumberMap<Node>,
    absent: Absent,
    /// Held spans without kept spans under them, the least first, and some that are no more.
    leaves: BinaryHeap<Reverse<Rank>>,
    /// Of held spans.
    bytes: usize,
    came: u64,
    moved: Moved,
}

impl Fold {
    pub(super) fn new(cap: usize) -> Self {
        Fold {
            cap,
            held: NumberMap::default(),
            absent: Absent::new(cap),
            leaves: BinaryHeap::new(),
            bytes: 0,
            came: 0,
            moved: Moved::default(),
        }
    }

    /// Takes note of a log record, which must come before its span.
    pub(super) fn log(&mut self, log: &LogRecord) {
        self.moved.log(log);
    }

    /// Adds a span, for which another may be folded.
    pub(super) fn push(&mut self, span: SpanRecord) {
        let Known { children, folded } = self.absent.remove(span.number);
        if self.held.contains_key(&span.number) {
            // Told twice: the second goes into the first.
            let number = span.number;
            return self.count_into(Some(number), of(&span, folded));
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

    /// All held spans, in the order in which they came, with the counts of what was folded, and what
    /// has to be known when more of the trace comes.
    pub(super) fn release(mut self) -> (Vec<SpanRecord>, Late) {
        let mut nodes: Vec<_> = mem::take(&mut self.held).into_values().collect();
        nodes.sort_unstable_by_key(|node| node.order);
        if let Some(root) = nodes.iter_mut().find(|node| node.span.parent.is_none()) {
            // The trace is over, so whose parent has not come is an orphan.
            root.folded.add(self.absent.take_all());
        }
        let told = |mut node: Node| {
            tell(node.folded, &mut node.span);
            node.span
        };
        let spans: Vec<_> = nodes.into_iter().map(told).collect();
        let late = Late::new(spans.len(), self.absent, self.moved);
        (spans, late)
    }

    /// The span under which a log record is told: that in which it was written or, where that was
    /// folded, the next one above.
    pub(super) fn span_of_log(&self, number: SpanNumber) -> Option<SpanNumber> {
        self.moved.span_of_log(number)
    }

    /// How many spans are held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// What they take, and what is known of others.
    pub(super) fn bytes(&self) -> usize {
        let leaves = self.leaves.capacity() * size_of::<Reverse<Rank>>();
        let nodes = table_bytes::<(SpanNumber, Node)>(self.held.capacity());
        // The spans themselves are counted with what they have.
        let nodes = nodes.saturating_sub(self.held.len() * size_of::<SpanRecord>());
        self.bytes + nodes + leaves + self.absent.bytes() + self.moved.bytes()
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
            self.absent.disown(parent);
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

    /// Makes a count of a span that is not held.
    fn fold(&mut self, span: &SpanRecord, within: Folded) {
        self.moved.fold(span);
        self.count_into(span.parent, of(span, within));
    }

    fn count_into(&mut self, parent: Option<SpanNumber>, folded: Folded) {
        match parent.and_then(|parent| self.held.get_mut(&parent)) {
            Some(node) => node.folded.add(folded),
            None => self.absent.count_into(parent, folded),
        }
    }

    /// Notes that a kept span stands under another.
    fn adopt(&mut self, parent: Option<SpanNumber>) {
        let Some(parent) = parent else { return };
        match self.held.get_mut(&parent) {
            Some(above) => above.children += 1,
            None => self.absent.adopt(parent),
        }
    }
}
