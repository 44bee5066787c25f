//! Stopping a guest from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops the guest of a store, from any thread, as a signal handler wants to.
///
/// The guest traps with [`wasmtime::Trap::Interrupt`] when it next calls a hook: with
/// every call timed at once, otherwise after up to 65,536 calls of a hooked function.
/// A guest that calls none, since it waits in the host or stays in a loop, goes on; an
/// embedder who must stop it, too, uses wasmtime's epochs.
#[derive(Clone, Debug, Default)]
pub struct Interrupter(Arc<AtomicBool>);

impl Interrupter {
    /// Stops the guest, now and whenever it is called again.
    pub fn interrupt(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the guest was to be stopped.
    #[inline]
    pub fn is_interrupted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
