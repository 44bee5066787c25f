//! Log records.

use core::fmt;

use crate::host::{self, Id};
use crate::{Attribute, SpanRef, Text};

/// How severe a log record is: numbers of the OpenTelemetry logs data model.
///
/// ```
/// use observe::Severity;
///
/// assert!(Severity::Warn > Severity::Info);
/// observe::log(Severity::Warn, "slow card", &[]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Severity {
    /// Of use only to follow every step.
    Trace = 1,
    /// Of use to developers.
    Debug = 5,
    /// Something of note happened.
    Info = 9,
    /// It may be no error, but deserves a look.
    Warn = 13,
    /// Something failed.
    Error = 17,
    /// All failed.
    Fatal = 21,
}

/// Logs a record that is tied to the innermost open span. Usually one of [`trace!`](crate::trace),
/// [`debug!`](crate::debug), [`info!`](crate::info), [`warn!`](crate::warn) and
/// [`error!`](crate::error!) does.
///
/// ```
/// use observe::{Severity, attributes};
///
/// observe::log(Severity::Fatal, "out of paper", &attributes![printer = 3]);
/// ```
#[inline(always)]
pub fn log(severity: Severity, body: &str, attributes: &[Attribute<'_>]) {
    crate::current().log(severity, body, attributes);
}

/// How many bytes of the text of a log macro are kept.
///
/// ```
/// let said = observe::native::capture();
/// let long = "x".repeat(observe::MAX_MESSAGE + 1);
/// observe::info!("{long}");
/// assert!(said.text().ends_with(" log.cut_bytes=1\n"));
/// ```
pub const MAX_MESSAGE: usize = 1024;

/// The key of the attribute that tells how many bytes of a message were cut: see [`MAX_MESSAGE`].
///
/// ```
/// assert_eq!(observe::CUT_BYTES, "log.cut_bytes");
/// ```
pub const CUT_BYTES: &str = "log.cut_bytes";

/// For the macros. `attributes` has one at its end that is for what was cut.
#[doc(hidden)]
#[inline(always)]
pub fn log_message<const N: usize>(
    severity: Severity,
    message: fmt::Arguments<'_>,
    mut attributes: [Attribute<'_>; N],
) {
    match message.as_str() {
        Some(message) => log_text(severity, message, &attributes),
        None => log_formatted(severity, message, &mut attributes),
    }
}

#[inline(always)]
fn log_text(severity: Severity, message: &str, attributes: &[Attribute<'_>]) {
    if let [attributes @ .., _] = attributes {
        host::log(Id::CURRENT, severity, message, attributes);
    }
}

#[inline(never)]
fn log_formatted(
    severity: Severity,
    message: fmt::Arguments<'_>,
    attributes: &mut [Attribute<'_>],
) {
    let text = Text::<MAX_MESSAGE>::format(message);
    log_cut(&crate::current(), severity, &text, attributes);
}

/// Logs what fitted; the last attribute is the one for what did not.
pub(crate) fn log_cut(
    span: &SpanRef,
    severity: Severity,
    text: &Text<MAX_MESSAGE>,
    attributes: &mut [Attribute<'_>],
) {
    if let [others @ .., last] = attributes {
        if text.cut() == 0 {
            span.log(severity, text.as_str(), others);
        } else {
            *last = Attribute::new(CUT_BYTES, text.cut());
            span.log(severity, text.as_str(), attributes);
        }
    }
}
