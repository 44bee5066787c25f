//! The host, where there is one: each function is one call of it.

use core::sync::atomic::{AtomicU32, Ordering};

use observe_abi::guest;

pub(crate) use self::instrument::{Instrument, Record};
#[cfg(not(target_arch = "wasm32"))]
use crate::native::host as imports;
use crate::value::Attribute;
use crate::{Kind, Severity, Status};

#[cfg(target_arch = "wasm32")]
mod imports;

mod instrument;

/// What stands for a span: the token of a scoped one, the handle of a detached one, or a number
/// that stands for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(i32);

impl Id {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const CURRENT: Self = Self(guest::CURRENT);
    pub(crate) const ROOT: Self = Self(guest::ROOT);

    #[inline(always)]
    pub(crate) fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// What the host wants to be told, or 0 as long as it was not asked.
static INTEREST: AtomicU32 = AtomicU32::new(0);

#[inline(always)]
fn interest() -> u32 {
    match INTEREST.load(Ordering::Relaxed) {
        0 => ask(),
        interest => interest,
    }
}

#[cold]
#[inline(never)]
fn ask() -> u32 {
    // SAFETY: takes nothing.
    let interest = unsafe { imports::interest() };
    INTEREST.store(interest, Ordering::Relaxed);
    interest
}

/// Native programs may want to be told after the first question.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn ask_again() {
    INTEREST.store(0, Ordering::Relaxed);
}

#[inline(always)]
pub(crate) fn wants_spans() -> bool {
    interest() & guest::interest::SPANS != 0
}

#[inline(always)]
pub(crate) fn wants_spans_of(severity: Severity) -> bool {
    let interest = interest();
    interest & guest::interest::SPANS != 0 && severe_enough(interest, severity)
}

#[inline(always)]
pub(crate) fn wants_logs(severity: Severity) -> bool {
    let interest = interest();
    interest & guest::interest::LOGS != 0 && severe_enough(interest, severity)
}

#[inline(always)]
fn severe_enough(interest: u32, severity: Severity) -> bool {
    severity as u32 >= interest >> guest::interest::SEVERITY_SHIFT & 0xff
}

#[inline(always)]
pub(crate) fn wants_metrics() -> bool {
    interest() & guest::interest::METRICS != 0
}

// In all that follow, SAFETY: the host reads the texts and attributes, which are borrowed for the
// call, before it returns; it takes any number as a span, and writes no more than the buffer has
// room for.

// The hooked function that calls this one begins the span, so it must be part of the caller: see
// `observe_abi::guest`, "Spans".
#[inline(always)]
pub(crate) fn span_begin(kind: Kind, name: &str, attributes: &[Attribute<'_>]) -> Id {
    // SAFETY: see above.
    Id(unsafe {
        imports::span_begin(
            kind as i32,
            name.as_ptr(),
            name.len(),
            attributes.as_ptr(),
            attributes.len(),
        )
    })
}

// As `span_begin`.
#[inline(always)]
pub(crate) fn span_end(id: Id) {
    // SAFETY: see above.
    unsafe { imports::span_end(id.0) }
}

#[inline(always)]
pub(crate) fn span_open(parent: Id, kind: Kind, name: &str, attributes: &[Attribute<'_>]) -> Id {
    // SAFETY: see above.
    Id(unsafe {
        imports::span_open(
            parent.0,
            kind as i32,
            name.as_ptr(),
            name.len(),
            attributes.as_ptr(),
            attributes.len(),
        )
    })
}

#[inline(always)]
pub(crate) fn span_enter(id: Id) {
    // SAFETY: see above.
    unsafe { imports::span_enter(id.0) }
}

#[inline(always)]
pub(crate) fn span_exit(id: Id) {
    // SAFETY: see above.
    unsafe { imports::span_exit(id.0) }
}

#[inline(always)]
pub(crate) fn span_close(id: Id) {
    // SAFETY: see above.
    unsafe { imports::span_close(id.0) }
}

#[inline(always)]
pub(crate) fn span_attributes(id: Id, attributes: &[Attribute<'_>]) {
    // SAFETY: see above.
    unsafe { imports::span_attributes(id.0, attributes.as_ptr(), attributes.len()) }
}

#[inline(always)]
pub(crate) fn span_event(id: Id, name: &str, attributes: &[Attribute<'_>]) {
    // SAFETY: see above.
    unsafe {
        imports::span_event(id.0, name.as_ptr(), name.len(), attributes.as_ptr(), attributes.len());
    }
}

#[inline(always)]
pub(crate) fn span_status(id: Id, status: Status, message: &str) {
    // SAFETY: see above.
    unsafe { imports::span_status(id.0, status as i32, message.as_ptr(), message.len()) }
}

#[inline(always)]
pub(crate) fn span_link(id: Id, traceparent: &str, attributes: &[Attribute<'_>]) {
    // SAFETY: see above.
    unsafe {
        imports::span_link(
            id.0,
            traceparent.as_ptr(),
            traceparent.len(),
            attributes.as_ptr(),
            attributes.len(),
        );
    }
}

#[inline(always)]
pub(crate) fn log(id: Id, severity: Severity, body: &str, attributes: &[Attribute<'_>]) {
    // SAFETY: see above.
    unsafe {
        imports::log(
            id.0,
            severity as i32,
            body.as_ptr(),
            body.len(),
            attributes.as_ptr(),
            attributes.len(),
        );
    }
}

#[inline(always)]
pub(crate) fn context(buffer: &mut [u8]) -> usize {
    // SAFETY: see above.
    unsafe { imports::context(buffer.as_mut_ptr(), buffer.len()) }
}

#[inline(always)]
pub(crate) fn baggage(buffer: &mut [u8]) -> usize {
    // SAFETY: see above.
    unsafe { imports::baggage(buffer.as_mut_ptr(), buffer.len()) }
}

#[inline(always)]
pub(crate) fn submit(records: &[Record<'_>]) {
    // SAFETY: see above.
    unsafe { imports::submit(records.as_ptr(), records.len()) }
}

#[cfg(test)]
mod tests {
    use observe_abi::guest::interest::{ANSWERED, LOGS, SEVERITY_SHIFT};

    use super::severe_enough;
    use crate::Severity;

    #[test]
    fn only_records_of_the_least_severity_and_above_are_wanted() {
        let all = ANSWERED | LOGS;
        assert!(severe_enough(all, Severity::Trace));
        let warnings = all | 13 << SEVERITY_SHIFT;
        assert!(severe_enough(warnings, Severity::Warn));
        assert!(severe_enough(warnings, Severity::Fatal));
        assert!(!severe_enough(warnings, Severity::Info));
    }
}
