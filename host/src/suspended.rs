//! For how long a trace was being worked on, and for how long it was not, since an asynchronous
//! call of it waited.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The ticks in which a trace waited, and the time for which threads worked on it.
///
/// It is written by whoever polls the trace, and read by the hooks, on the same thread: a task
/// that moves to another thread takes the order of its memory along.
#[derive(Debug, Default)]
pub(crate) struct Suspended {
    ticks: AtomicU64,
    worked_nanos: AtomicU64,
    /// Whether somebody polls it who writes. Work within work waits no second time.
    watched: AtomicBool,
}

impl Suspended {
    #[inline]
    pub(crate) fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    pub(crate) fn worked(&self) -> Duration {
        Duration::from_nanos(self.worked_nanos.load(Ordering::Relaxed))
    }

    /// Begins to watch; `false` where somebody does.
    pub(crate) fn watch(&self) -> bool {
        !self.watched.swap(true, Ordering::Relaxed)
    }

    /// Ends what [`watch`](Self::watch) began.
    pub(crate) fn unwatch(&self) {
        self.watched.store(false, Ordering::Relaxed);
    }

    // Nobody but the one who watches writes, so a store will do for each of these.

    pub(crate) fn wait(&self, ticks: u64) {
        self.ticks.store(self.ticks().wrapping_add(ticks), Ordering::Relaxed);
    }

    pub(crate) fn work(&self, time: Duration) {
        let sum = self.worked().saturating_add(time).as_nanos();
        self.worked_nanos.store(u64::try_from(sum).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Begins anew. Whoever watched is gone.
    pub(crate) fn reset(&self) {
        self.unwatch();
        self.ticks.store(0, Ordering::Relaxed);
        self.worked_nanos.store(0, Ordering::Relaxed);
    }
}
