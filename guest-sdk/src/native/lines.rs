//! Where lines go.

use std::cell::RefCell;
use std::string::String;
use std::sync::atomic::{AtomicBool, Ordering};
use std::vec::Vec;

static PRINTING: AtomicBool = AtomicBool::new(false);
/// Whether any thread ever captured.
static CAPTURING: AtomicBool = AtomicBool::new(false);

std::thread_local! {
    /// The innermost is the last.
    static CAPTURED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn print() {
    PRINTING.store(true, Ordering::Relaxed);
}

pub(super) fn capture() {
    CAPTURING.store(true, Ordering::Relaxed);
    CAPTURED.with_borrow_mut(|captured| captured.push(String::new()));
}

pub(super) fn captured() -> String {
    CAPTURED.with_borrow(|captured| captured.last().cloned()).unwrap_or_default()
}

pub(super) fn end_capture() {
    // At the end of a thread there may be nothing left to end.
    let _ = CAPTURED.try_with(|captured| captured.borrow_mut().pop());
}

#[cfg(not(feature = "off"))]
pub(super) fn are_wanted() -> bool {
    if std::env::var_os("OBSERVE_STDERR").is_some_and(|value| value == "1") {
        print();
    }
    PRINTING.load(Ordering::Relaxed) || CAPTURING.load(Ordering::Relaxed)
}

/// Takes a line to where this thread's go.
#[cfg(not(feature = "off"))]
pub(super) fn write(depth: usize, line: std::fmt::Arguments<'_>) {
    use std::fmt::Write as _;

    let indentation = 2 * depth;
    let captured = CAPTURED.try_with(|captured| match captured.borrow_mut().last_mut() {
        // Nothing goes wrong in writing to a string.
        Some(captured) => writeln!(captured, "{:indentation$}{line}", "").is_ok(),
        None => false,
    });
    if !captured.unwrap_or(false) && PRINTING.load(Ordering::Relaxed) {
        std::eprintln!("{:indentation$}{line}", "");
    }
}
