//! What a delivery took, apart from what became of the items: requests, bytes and time.

use std::time::{Duration, SystemTime};

/// What the delivery of one signal took so far, and what waits for it.
///
/// These are numbers of requests and bytes; what became of spans, log records and points is in
/// [`Counts`](crate::Counts).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfers {
    /// Requests that ended, with or without an answer.
    pub requests: u64,
    /// Of these, those of a batch that had been sent before.
    pub retries: u64,
    /// The encoded bytes of these requests, before compression.
    pub bytes: u64,
    /// When a request was last taken by the receiver.
    pub last_success: Option<SystemTime>,
    /// How long requests took, from the first byte to the answer or the failure.
    pub latency: Latency,
    /// What waits to be sent.
    pub queue: QueueState,
    /// How the disk queue is, if there is one.
    pub disk: Option<DiskState>,
}

/// A histogram of how long requests took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many requests took at most as many seconds as the bound of the same place in
    /// [`Latency::BOUNDS`] and more than the one before; the last number is of those beyond all.
    pub buckets: [u64; Latency::BOUNDS.len() + 1],
    /// Of all requests together.
    pub total: Duration,
}

impl Latency {
    /// Upper bounds of the buckets in seconds, inclusive: those that the semantic conventions
    /// give for [`http.client.request.duration`].
    ///
    /// [`http.client.request.duration`]: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpclientrequestduration
    pub const BOUNDS: [f64; 14] =
        [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

    pub(crate) fn record(&mut self, took: Duration) {
        let bucket = Self::BOUNDS.partition_point(|bound| *bound < took.as_secs_f64());
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.total = self.total.saturating_add(took);
    }

    /// How many requests are in it.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// How full a queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueState {
    /// Finished batches that wait, without the one that is being sent.
    pub batches: u64,
    /// The items in them.
    pub items: u64,
    /// Their encoded bytes.
    pub bytes: u64,
    /// How many encoded bytes the queue holds at the most.
    pub capacity_bytes: u64,
}

/// What a disk queue did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskState {
    /// Files that are written or wait to be sent.
    pub segments: u64,
    /// Items of earlier processes that this one took up. They count as accepted by this one.
    pub recovered: u64,
    /// Items that this process wrote, in the order in which they came.
    pub written: u64,
    /// How many of these are known to be on the disk, or settled: nothing but the disk's own
    /// failure can lose them. They are the first of those written, unless the disk failed.
    pub synced: u64,
    /// Whether the disk could not be written when that was last tried, so that memory takes its
    /// place.
    pub is_failing: bool,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Latency;

    #[test]
    fn bounds_are_inclusive_and_the_last_bucket_has_none() {
        let mut latency = Latency::default();
        for millis in [0, 5, 6, 10_000, 10_001, 1_000_000] {
            latency.record(Duration::from_millis(millis));
        }
        let mut expected = [0; 15];
        (expected[0], expected[1], expected[13], expected[14]) = (2, 1, 1, 2);
        assert_eq!(latency.buckets, expected);
        assert_eq!(latency.count(), 6);
        assert_eq!(latency.total, Duration::from_millis(1_020_012));
    }
}
