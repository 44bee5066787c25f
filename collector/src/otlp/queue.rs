//! Finished batches that wait for the receiver.

use std::collections::VecDeque;

use super::batch::Batch;
use crate::transfers::QueueState;

/// What becomes of a batch for which the queue has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// It is dropped: what is there stays, from the beginning of an outage on.
    #[default]
    DropNew,
    /// The oldest batches are dropped until it fits: what comes last stays.
    DropOld,
    /// It waits for room, and with it the collector's thread: so does everything behind it, also
    /// for other exporters, until the channel is full and the host's
    /// [`OnFull`](crate::OnFull) decides. The queue may exceed its bounds by one chunk.
    ///
    /// A shutdown ends the wait at its deadline; what finds no room by then counts as
    /// `undelivered`.
    Block,
}

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    pub(crate) items: usize,
    /// Encoded bytes.
    pub(crate) bytes: usize,
    pub(crate) when_full: WhenFull,
}

impl Default for QueueLimits {
    /// The specification's 2,048 spans are what a server with a few hundred spans a second
    /// needs. A guest makes millions of calls a second: with 2,048 the SDK lost 15.6 % in
    /// a tight loop. 262,144 spans are a quarter of a second of a million spans each,
    /// which covers a slow answer or a collection pause of the receiver, and at
    /// some 240 bytes each they just fit into the 64 MiB that bound the memory. Log records and
    /// points of metrics, of about the same size, get the same.
    fn default() -> Self {
        QueueLimits { items: 262_144, bytes: 64 << 20, when_full: WhenFull::default() }
    }
}

/// A bounded queue. Whoever pushes counts what it does not take.
pub(crate) struct Queue {
    limits: QueueLimits,
    batches: VecDeque<Batch>,
    items: u64,
    bytes: usize,
}

impl Queue {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Queue { limits, batches: VecDeque::new(), items: 0, bytes: 0 }
    }

    /// Appends a batch. Gives back what there is no room for: older batches, or this one.
    pub(crate) fn push(&mut self, batch: Batch) -> Vec<Batch> {
        let mut dropped = Vec::new();
        match self.limits.when_full {
            WhenFull::DropNew => {}
            // One that would not fit into an empty queue pushes nothing out.
            WhenFull::DropOld if exceeds(&self.limits, batch.items, batch.body().len()) => {}
            WhenFull::DropOld => {
                while !self.fits(&batch) {
                    dropped.extend(self.pop());
                }
            }
            WhenFull::Block => {
                self.append(batch);
                return dropped;
            }
        }
        if self.fits(&batch) {
            self.append(batch);
        } else {
            dropped.push(batch);
        }
        dropped
    }

    /// Whether whoever blocks may go on.
    pub(crate) fn has_room(&self) -> bool {
        self.limits.when_full != WhenFull::Block
            || (self.items < self.limits.items as u64 && self.bytes < self.limits.bytes)
    }

    fn fits(&self, batch: &Batch) -> bool {
        !exceeds(&self.limits, self.items + batch.items, self.bytes + batch.body().len())
    }

    fn append(&mut self, batch: Batch) {
        self.items += batch.items;
        self.bytes += batch.body().len();
        self.batches.push_back(batch);
    }

    /// Gives back a batch that was popped.
    pub(crate) fn push_front(&mut self, batch: Batch) {
        self.items += batch.items;
        self.bytes += batch.body().len();
        self.batches.push_front(batch);
    }

    /// Takes the batch that has waited longest.
    pub(crate) fn pop(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.items -= batch.items;
        self.bytes -= batch.body().len();
        Some(batch)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The items of all batches.
    pub(crate) fn items(&self) -> u64 {
        self.items
    }

    pub(crate) fn state(&self) -> QueueState {
        QueueState {
            batches: self.batches.len() as u64,
            items: self.items,
            bytes: self.bytes as u64,
            capacity_bytes: self.limits.bytes as u64,
        }
    }

    /// Throws everything away.
    pub(crate) fn clear(&mut self) {
        *self = Queue::new(self.limits);
    }
}

fn exceeds(limits: &QueueLimits, items: u64, bytes: usize) -> bool {
    items > limits.items as u64 || bytes > limits.bytes
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Queue, QueueLimits, WhenFull};
    use crate::otlp::batch::{Batch, BatchLimits, Batcher};
    use crate::resource::Resource;

    /// A batch of this many items of 100 bytes.
    fn batch(items: usize) -> Batch {
        let limits = BatchLimits { items, bytes: usize::MAX, delay: Duration::ZERO };
        let mut batcher = Batcher::new(limits, &Resource::new());
        let mut push = || batcher.push(Instant::now(), 1, |out| out.resize(out.len() + 100, 0));
        std::iter::repeat_with(&mut push).flatten().next().expect("filled")
    }

    fn queue(items: usize, when_full: WhenFull) -> Queue {
        Queue::new(QueueLimits { items, bytes: usize::MAX, when_full })
    }

    /// Pushes a batch of so many items. Returns the items of each that is dropped.
    fn push(queue: &mut Queue, items: usize) -> Vec<u64> {
        queue.push(batch(items)).iter().map(|batch| batch.items).collect()
    }

    #[test]
    fn items_are_bounded() {
        let mut queue = queue(5, WhenFull::DropNew);
        assert!(push(&mut queue, 3).is_empty());
        assert_eq!(push(&mut queue, 3), [3]);
        assert!(push(&mut queue, 2).is_empty());
        assert_eq!(queue.items(), 5);
        assert_eq!(queue.pop().map(|batch| batch.items), Some(3));
        assert_eq!(queue.items(), 2);
        assert!(push(&mut queue, 3).is_empty());
    }

    #[test]
    fn bytes_are_bounded() {
        let size = batch(2).body().len();
        let limits = QueueLimits { items: usize::MAX, bytes: 2 * size, ..QueueLimits::default() };
        let mut queue = Queue::new(limits);
        assert!(push(&mut queue, 2).is_empty());
        assert!(push(&mut queue, 2).is_empty());
        let state = queue.state();
        assert_eq!((state.batches, state.items, state.bytes), (2, 4, 2 * size as u64));
        assert_eq!(push(&mut queue, 1), [1]);
        queue.pop();
        assert!(push(&mut queue, 1).is_empty());
        queue.clear();
        assert_eq!((queue.items(), queue.is_empty()), (0, true));
        assert!(push(&mut queue, 2).is_empty());
    }

    #[test]
    fn the_oldest_make_room_where_they_should() {
        let mut queue = queue(5, WhenFull::DropOld);
        for items in [1, 2, 2] {
            assert!(push(&mut queue, items).is_empty());
        }
        assert_eq!(push(&mut queue, 2), [1, 2]);
        assert_eq!(queue.items(), 4);
        // In vain would everything else be lost, too.
        assert_eq!(push(&mut queue, 6), [6]);
        assert_eq!(queue.items(), 4);
    }

    #[test]
    fn where_one_waits_for_room_all_is_taken() {
        let mut queue = queue(5, WhenFull::Block);
        assert!(push(&mut queue, 4).is_empty() && queue.has_room());
        assert!(push(&mut queue, 4).is_empty() && !queue.has_room());
        queue.pop();
        assert!(queue.has_room());
        assert_eq!(queue.items(), 4);
    }
}
