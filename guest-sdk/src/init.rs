//! All that is to be set up, at once.

/// Sets up what the features of this crate are for: with `tracing` its layer, with `log` its logger, with
/// `std` its panic hook.
///
/// Call it at the start of `main`, or of each function that the module exports: from the second time
/// on it does nothing.
///
/// ```
/// observe::init();
/// ```
pub fn init() {
    #[cfg(feature = "tracing")]
    crate::tracing::init();
    #[cfg(feature = "log")]
    crate::log::init();
    #[cfg(feature = "std")]
    crate::panic::install();
}
