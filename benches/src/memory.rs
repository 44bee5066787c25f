//! Counting what is allocated.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

/// An allocator that counts the bytes that are allocated while it is switched on.
///
/// A benchmark makes it its `#[global_allocator]`.
pub struct Counting;

static SWITCHED_ON: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

fn note(bytes: isize) {
    if SWITCHED_ON.load(Ordering::Relaxed) {
        let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
        PEAK.fetch_max(live, Ordering::Relaxed);
    }
}

// SAFETY: all is left to the system's allocator, with the arguments as they came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(-layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// Bytes that were allocated in the meantime.
#[derive(Clone, Copy, Debug)]
pub struct Allocated {
    /// Those that still are, less those that were freed of before.
    pub left: isize,
    /// The most at a time.
    pub peak: usize,
}

/// What `work` gives, and what all threads allocated meanwhile, if [`Counting`] is the
/// allocator.
pub fn allocated_in<R>(work: impl FnOnce() -> R) -> (R, Allocated) {
    LIVE.store(0, Ordering::Relaxed);
    PEAK.store(0, Ordering::Relaxed);
    SWITCHED_ON.store(true, Ordering::Relaxed);
    let result = work();
    SWITCHED_ON.store(false, Ordering::Relaxed);
    let left = LIVE.load(Ordering::Relaxed);
    (result, Allocated { left, peak: PEAK.load(Ordering::Relaxed).unsigned_abs() })
}

/// The bytes that are allocated within [`allocated_in`] up to now, less those that were freed.
pub fn allocated_now() -> isize {
    LIVE.load(Ordering::Relaxed)
}
