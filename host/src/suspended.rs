//! For how long a trace was not being worked on, since an asynchronous call of it waited.

use std::sync::atomic::{AtomicU64, Ordering};

/// The ticks in which a trace waited.
///
/// It is written by whoever polls the trace, and read by the hooks, on the same thread: a task
/// that moves to another thread takes the order of its memory along.
#[derive(Debug, Default)]
pub(crate) struct Suspended(AtomicU64);

impl Suspended {
    #[inline]
    pub(crate) fn ticks(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, ticks: u64) {
        // Nobody else writes.
        self.0.store(self.ticks().wrapping_add(ticks), Ordering::Relaxed);
    }

    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
