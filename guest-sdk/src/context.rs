//! The trace, for calls that go out.

use core::fmt;

use observe_abi::guest::TRACEPARENT_LEN;

use crate::{ToValue, Value, host};

/// The `traceparent` of the innermost open span, as the W3C's Trace Context has it.
///
/// ```
/// if let Some(traceparent) = observe::traceparent() {
///     assert_eq!(traceparent.as_str().len(), 55);
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Traceparent {
    bytes: [u8; TRACEPARENT_LEN],
}

/// What an outgoing request carries as its header `traceparent`, so that what is done elsewhere
/// stands under the innermost open span; nothing outside of a trace.
///
/// ```
/// fn headers(mut set: impl FnMut(&str, &str)) {
///     if let Some(traceparent) = observe::traceparent() {
///         set("traceparent", traceparent.as_str());
///     }
/// }
/// ```
pub fn traceparent() -> Option<Traceparent> {
    if !host::wants_spans() {
        return None;
    }
    let mut bytes = [0; TRACEPARENT_LEN];
    let len = host::context(&mut bytes);
    (len == TRACEPARENT_LEN && bytes.is_ascii()).then_some(Traceparent { bytes })
}

impl Traceparent {
    /// The header's value, 55 bytes.
    ///
    /// ```
    /// let header = observe::traceparent();
    /// let header = header.as_ref().map_or("", |traceparent| traceparent.as_str());
    /// ```
    pub fn as_str(&self) -> &str {
        // SAFETY: all bytes are ASCII.
        unsafe { core::str::from_utf8_unchecked(&self.bytes) }
    }
}

impl fmt::Debug for Traceparent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(formatter)
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl ToValue for Traceparent {
    fn to_value(&self) -> Value<'_> {
        Value::str(self.as_str())
    }
}

/// What came with the request in the W3C's header `baggage`, written to the buffer; nothing if none
/// came or the buffer is too small. Headers have at most 8,192 bytes.
///
/// ```
/// let mut buffer = [0; 8192];
/// if let Some(baggage) = observe::baggage(&mut buffer) {
///     let members = baggage.split(',');
/// }
/// ```
pub fn baggage(buffer: &mut [u8]) -> Option<&str> {
    if !host::wants_spans() {
        return None;
    }
    match host::baggage(buffer) {
        0 => None,
        len => core::str::from_utf8(buffer.get(..len)?).ok(),
    }
}
