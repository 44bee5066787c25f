//! Which trace and span something belongs to, as processes tell each other.

use std::fmt;
use std::str::FromStr;

use observe_collector::event::{SpanId, TraceId};

/// The span under which a trace stands, or under which others may.
///
/// It is read from, and written as, the header `traceparent` of
/// [W3C Trace Context](https://www.w3.org/TR/trace-context/#traceparent-header).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The identity of the trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Whether whoever began the trace records it (the flag `sampled`).
    pub sampled: bool,
}

/// A text that is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no traceparent: expected `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`")]
pub struct TraceparentError;

impl FromStr for TraceContext {
    type Err = TraceparentError;

    /// Reads a `traceparent`. Versions later than 00 are read as far as they agree with it, which
    /// the specification asks for.
    fn from_str(text: &str) -> Result<Self, TraceparentError> {
        let mut fields = text.split('-');
        let mut field = |digits: usize| {
            let field = fields.next().ok_or(TraceparentError)?;
            let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let valid = field.len() == digits && field.bytes().all(is_hex);
            if valid { Ok(field) } else { Err(TraceparentError) }
        };
        let number = |field: &str| u64::from_str_radix(field, 16).map_err(|_| TraceparentError);
        let version = number(field(2)?)?;
        let trace = u128::from_str_radix(field(32)?, 16).map_err(|_| TraceparentError)?;
        let span = number(field(16)?)?;
        let flags = number(field(2)?)?;
        let is_longer = fields.next().is_some();
        if version == 0xff || trace == 0 || span == 0 || (version == 0 && is_longer) {
            return Err(TraceparentError);
        }
        Ok(TraceContext {
            trace_id: TraceId(trace.to_be_bytes()),
            span_id: SpanId(span.to_be_bytes()),
            sampled: flags & 1 == 1,
        })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_specification_gives_is_read_and_written() {
        // The examples of its section 3.2.
        for (text, sampled) in [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", false),
        ] {
            let context: TraceContext = text.parse().expect("it is one");
            assert_eq!(context.sampled, sampled);
            assert_eq!(context.to_string(), text);
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        let valid = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for text in [
            "",
            "00",
            valid,
            &format!("ff-{valid}"),
            &format!("00-{valid}-more"),
            &format!("00-{}", valid.to_uppercase()),
            &format!("00-{}", valid.replace("4736", "473g")),
            &format!("00-{}", valid.replace("4736", "+736")),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(TraceparentError), "{text}");
        }
        assert!(format!("01-{valid}-more").parse::<TraceContext>().is_ok(), "a later version");
    }
}
