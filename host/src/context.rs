//! Which trace and span something belongs to, as processes tell each other.

use std::fmt;
use std::str::FromStr;

use observe_collector::event::{SpanId, TraceId};
use observe_collector::propagation::RemoteContext;
pub use observe_collector::propagation::TraceparentError;

#[cfg(feature = "opentelemetry")]
mod opentelemetry;

/// The span under which a trace stands, or under which others may.
///
/// It is read from, and written as, the header `traceparent` of
/// [W3C Trace Context](https://www.w3.org/TR/trace-context/#traceparent-header). With the
/// features `opentelemetry` and `tracing` of this crate it is made from, and into, what these
/// crates know of the current span. The header `tracestate` is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The identity of the trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Whether whoever began the trace records it (the flag `sampled`).
    pub sampled: bool,
}

impl FromStr for TraceContext {
    type Err = TraceparentError;

    /// Reads a `traceparent`. Versions later than 00 are read as far as they agree with it, which
    /// the specification asks for.
    fn from_str(text: &str) -> Result<Self, TraceparentError> {
        Ok(text.parse::<RemoteContext>()?.into())
    }
}

/// What [`Propagators`](observe_collector::propagation::Propagators) read from a request, but for
/// `tracestate`.
impl From<RemoteContext> for TraceContext {
    fn from(RemoteContext { trace_id, parent }: RemoteContext) -> Self {
        let sampled = parent.trace_flags.is_sampled();
        TraceContext { trace_id, span_id: parent.span_id, sampled }
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
        assert_eq!("00".parse::<TraceContext>(), Err(TraceparentError));
    }
}
