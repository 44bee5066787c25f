//! Annotations for observed WebAssembly guests.
//!
//! Instrumentation tells where time goes without any change to a program; a span of
//! the author's own tells what it was for. It begins with [`span`] and ends when the
//! value is dropped, and nests with instrumented functions in both directions:
//!
//! ```
//! #[observe_guest::instrument]
//! fn checkout(items: &[u32]) -> u32 {
//!     let sum = {
//!         let _span = observe_guest::span("add up");
//!         items.iter().sum::<u32>()
//!     };
//!     sum + shipping()
//! }
//!
//! #[observe_guest::instrument(name = "shipping")]
//! fn shipping() -> u32 {
//!     5
//! }
//!
//! assert_eq!(checkout(&[1, 2]), 8);
//! ```
//!
//! On `wasm32` this imports two functions from the host, `observe:guest@1`, and
//! nothing else: no clock, no I/O, no allocator. On other targets spans do nothing,
//! so that the same code runs in native tests.
#![no_std]

mod host;

pub use observe_guest_macros::instrument;

/// An open span; it ends when this is dropped.
///
/// Spans end in the reverse order in which they began: one that is dropped early
/// ends those that began after it, too.
#[must_use = "a span that is not kept ends at once"]
#[derive(Debug)]
pub struct Span {
    token: i32,
}

/// Begins a span under the innermost open one.
///
/// The host takes the first 256 bytes of the name, and at most 1,000 different names
/// in a trace; so the name says what is done, and not with what.
///
/// # Overhead
///
/// Two calls of the host, which copy the name and read the clock.
// A span ends with the hooked function that it began in, which must be the author's
// and not this one.
#[inline(always)]
pub fn span(name: &str) -> Span {
    Span { token: host::span_begin(name) }
}

impl Drop for Span {
    #[inline(always)]
    fn drop(&mut self) {
        host::span_end(self.token);
    }
}
