//! Panics are told before they end the guest.
//!
//! ```
//! observe::panic::install();
//! ```
//!
//! A panic of a guest ends in a trap, which the host tells without knowing why. With the hook, the
//! innermost open span fails with the panic's message, and a log record has message and
//! location by "Semantic conventions for exceptions in logs"; then the hook that was there before
//! goes on as if nothing had been. The trap that follows ends the spans.

use core::sync::atomic::{AtomicBool, Ordering};
use std::boxed::Box;
use std::panic::{self, PanicHookInfo};

use crate::host::{self, Id};
use crate::{Attribute, Severity, Status};

/// Tells panics to the host, from now on, and has the hook that was there before go on with them.
///
/// Call it at the start of `main`, or of each function that the module exports: from the second time
/// on it does nothing, and neither does it while the thread panics.
pub fn install() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if cfg!(feature = "off") || std::thread::panicking() || DONE.swap(true, Ordering::Relaxed) {
        return;
    }
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        tell(panic);
        previous(panic);
    }));
}

/// Tells one panic.
fn tell(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("a panic with a value that is no text");
    host::span_status(Id::CURRENT, Status::Error, message);
    let exception =
        [Attribute::new("exception.type", "panic"), Attribute::new("exception.message", message)];
    let Some(place) = panic.location() else {
        return host::log(Id::CURRENT, Severity::Fatal, message, &exception);
    };
    let [kind, text] = exception;
    let attributes = [
        kind,
        text,
        Attribute::new("code.file.path", place.file()),
        Attribute::new("code.line.number", i64::from(place.line())),
        Attribute::new("code.column.number", i64::from(place.column())),
    ];
    host::log(Id::CURRENT, Severity::Fatal, message, &attributes);
}
