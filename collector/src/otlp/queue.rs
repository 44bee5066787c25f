//! Finished batches that wait for the receiver.

use std::collections::VecDeque;

use super::batch::Batch;

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    pub(crate) items: usize,
    /// Encoded bytes.
    pub(crate) bytes: usize,
}

impl Default for QueueLimits {
    /// The specification's 2,048 spans are what a server with a few hundred spans a second
    /// needs. A guest makes millions of calls a second: with 2,048 the SDK lost 15.6 % in
    /// a tight loop. 262,144 spans are a quarter of a second of a million spans each,
    /// which covers a slow answer or a collection pause of the receiver, and at
    /// some 240 bytes each they just fit into the 64 MiB that bound the memory. Log records and
    /// points of metrics, of about the same size, get the same.
    fn default() -> Self {
        QueueLimits { items: 262_144, bytes: 64 << 20 }
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

    /// Appends a batch, or gives it back if it does not fit.
    pub(crate) fn push(&mut self, batch: Batch) -> Result<(), Batch> {
        let items = self.items + batch.items;
        let bytes = self.bytes + batch.body().len();
        if items > self.limits.items as u64 || bytes > self.limits.bytes {
            return Err(batch);
        }
        (self.items, self.bytes) = (items, bytes);
        self.batches.push_back(batch);
        Ok(())
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

    /// Throws everything away.
    pub(crate) fn clear(&mut self) {
        *self = Queue::new(self.limits);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Queue, QueueLimits};
    use crate::otlp::batch::{Batch, BatchLimits, Batcher};
    use crate::resource::Resource;

    /// A batch of this many items of 100 bytes.
    fn batch(items: usize) -> Batch {
        let limits = BatchLimits { items, bytes: usize::MAX, delay: Duration::ZERO };
        let mut batcher = Batcher::new(limits, &Resource::new());
        let mut push = || batcher.push(Instant::now(), 1, |out| out.resize(out.len() + 100, 0));
        std::iter::repeat_with(&mut push).flatten().next().expect("filled")
    }

    #[test]
    fn items_are_bounded() {
        let mut queue = Queue::new(QueueLimits { items: 5, bytes: usize::MAX });
        assert!(queue.push(batch(3)).is_ok());
        assert_eq!(queue.push(batch(3)).map_err(|batch| batch.items), Err(3));
        assert!(queue.push(batch(2)).is_ok());
        assert_eq!(queue.items(), 5);
        assert_eq!(queue.pop().map(|batch| batch.items), Some(3));
        assert_eq!(queue.items(), 2);
        assert!(queue.push(batch(3)).is_ok());
    }

    #[test]
    fn bytes_are_bounded() {
        let size = batch(2).body().len();
        let mut queue = Queue::new(QueueLimits { items: usize::MAX, bytes: 2 * size });
        assert!(queue.push(batch(2)).is_ok());
        assert!(queue.push(batch(2)).is_ok());
        assert!(queue.push(batch(1)).is_err());
        queue.pop();
        assert!(queue.push(batch(1)).is_ok());
        queue.clear();
        assert_eq!((queue.items(), queue.is_empty()), (0, true));
        assert!(queue.push(batch(2)).is_ok());
    }
}
