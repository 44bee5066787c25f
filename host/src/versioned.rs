//! A number that all stores look at, and that few change.
//!
//! The module is checked by loom, too (`tests/interleavings.rs`), which brings atomics of its own
//! as `super::atomic`.

use super::atomic::{AtomicU32, AtomicU64, Ordering};

/// A number, and how often it was changed.
pub(crate) struct Versioned {
    bits: AtomicU64,
    version: AtomicU32,
}

impl Versioned {
    pub(crate) fn new(bits: u64) -> Self {
        Versioned { bits: AtomicU64::new(bits), version: AtomicU32::new(0) }
    }

    pub(crate) fn set(&self, bits: u64) {
        self.bits.store(bits, Ordering::Relaxed);
        // Whoever sees this version sees these bits, or later ones.
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The version in force; what is read by [`get`](Self::get) later is as new.
    #[inline]
    pub(crate) fn version(&self) -> u32 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn get(&self) -> u64 {
        self.bits.load(Ordering::Relaxed)
    }
}
