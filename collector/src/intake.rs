//! What is counted where chunks enter.
//!
//! The module is checked by loom, too (`tests/interleavings.rs`), which brings atomics of its own
//! as `super::atomic`.

use super::atomic::{AtomicBool, AtomicU64, Ordering};
use super::stats::Dropped;

/// What is counted where chunks enter.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    spans: Tally,
    logs: Tally,
    closing: AtomicBool,
}

/// The part of [`Intake`] that is of one signal.
///
/// `offered` is raised before a chunk is sent and the drops after that failed, so
/// whoever reads the drops first and `offered` second never sees more dropped
/// than offered.
#[derive(Debug, Default)]
struct Tally {
    offered: AtomicU64,
    full: AtomicU64,
    closed: AtomicU64,
}

/// Why a chunk is not sent.
#[derive(Clone, Copy)]
pub(crate) enum Refusal {
    Full,
    Closed,
}

impl Tally {
    fn offer(&self, number: u64) {
        // Most chunks have no log records.
        if number > 0 {
            self.offered.fetch_add(number, Ordering::AcqRel);
        }
    }

    fn refuse(&self, number: u64, why: Refusal) {
        let counter = match why {
            Refusal::Full => &self.full,
            Refusal::Closed => &self.closed,
        };
        counter.fetch_add(number, Ordering::AcqRel);
    }

    fn read(&self) -> Offered {
        let channel_full = self.full.load(Ordering::Acquire);
        let closed = self.closed.load(Ordering::Acquire);
        let number = self.offered.load(Ordering::Acquire);
        Offered { number, dropped: Dropped { channel_full, closed, ..Dropped::default() } }
    }
}

/// How much of one signal was offered, and what did not enter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offered {
    pub(crate) number: u64,
    pub(crate) dropped: Dropped,
}

impl Intake {
    /// Counts what is about to be sent.
    pub(crate) fn offer(&self, spans: u64, logs: u64) {
        self.spans.offer(spans);
        self.logs.offer(logs);
    }

    /// Counts what was offered and could not be sent.
    pub(crate) fn refuse(&self, spans: u64, logs: u64, why: Refusal) {
        self.spans.refuse(spans, why);
        self.logs.refuse(logs, why);
    }

    pub(crate) fn spans(&self) -> Offered {
        self.spans.read()
    }

    pub(crate) fn logs(&self) -> Offered {
        self.logs.read()
    }

    /// From now on nothing is sent.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}
