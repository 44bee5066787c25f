//! The headers `traceparent` and `tracestate`.

use std::fmt;
use std::str::FromStr;

use crate::event::{Parent, SpanId, TraceFlags, TraceId};

/// Members of a `tracestate` ([W3C Trace Context, section 3.3.1.1]).
///
/// [W3C Trace Context, section 3.3.1.1]: https://www.w3.org/TR/trace-context/#list
const MAX_MEMBERS: usize = 32;

/// The span of another process under which a trace may stand, and the trace that it is of.
///
/// It is read from, and written as, the header `traceparent` of
/// [W3C Trace Context](https://www.w3.org/TR/trace-context/#traceparent-header).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span, and what was told with it.
    pub parent: Parent,
}

/// A text that is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no traceparent: expected `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`")]
pub struct TraceparentError;

impl RemoteContext {
    /// What the headers say, if they say anything valid. A malformed `tracestate` is left out.
    pub(super) fn extract(get: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let mut context: RemoteContext = get("traceparent")?.trim().parse().ok()?;
        context.parent.trace_state = get("tracestate").and_then(read_state).unwrap_or_default();
        Some(context)
    }
}

/// A `tracestate` as it is, unless it cannot be one. It goes out again in a header, so what is
/// between the members is looked at, too: a line break there would begin another header.
fn read_state(text: String) -> Option<String> {
    let text = text.trim();
    let members = || text.split(',').map(str::trim).filter(|member| !member.is_empty());
    let is_valid = |member: &str| {
        let pair = member.split_once('=');
        pair.is_some_and(|(key, value)| !key.is_empty() && !value.is_empty())
            && member.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    };
    let is_valid = text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
        && members().count() <= MAX_MEMBERS
        && members().all(is_valid);
    is_valid.then(|| text.to_owned())
}

impl FromStr for RemoteContext {
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
        let flags = u8::from_str_radix(field(2)?, 16).map_err(|_| TraceparentError)?;
        let is_longer = fields.next().is_some();
        if version == 0xff || trace == 0 || span == 0 || (version == 0 && is_longer) {
            return Err(TraceparentError);
        }
        let parent = Parent {
            span_id: SpanId(span.to_be_bytes()),
            trace_state: String::new(),
            // What later versions say beyond is not known.
            trace_flags: TraceFlags(flags & (TraceFlags::SAMPLED.0 | TraceFlags::RANDOM.0)),
            is_remote: Some(true),
        };
        Ok(RemoteContext { trace_id: TraceId(trace.to_be_bytes()), parent })
    }
}

impl fmt::Display for RemoteContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parent { span_id, trace_flags, .. } = &self.parent;
        write!(f, "00-{}-{span_id}-{:02x}", self.trace_id, trace_flags.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_specification_gives_is_read_and_written() {
        // The examples of its section 3.2, and the flag of its level 2.
        for (text, flags) in [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 1),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", 0),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", 3),
        ] {
            let context: RemoteContext = text.parse().expect("it is one");
            assert_eq!(context.parent.trace_flags, TraceFlags(flags));
            assert_eq!(context.parent.is_remote, Some(true));
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
            assert_eq!(text.parse::<RemoteContext>(), Err(TraceparentError), "{text}");
        }
        let later: RemoteContext = format!("01-{valid}-more").parse().expect("a later version");
        assert_eq!(later.to_string(), format!("00-{valid}"));
    }

    #[test]
    fn a_malformed_tracestate_is_left_out() {
        let state = |text: &str| {
            let context = RemoteContext::extract(&|name| match name {
                "traceparent" => {
                    Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned())
                }
                "tracestate" => Some(text.to_owned()),
                _ => None,
            });
            context.expect("a valid parent").parent.trace_state
        };
        assert_eq!(state(" ot=th:c,vendor@x=1 "), "ot=th:c,vendor@x=1");
        assert_eq!(state("a=1,,b=2"), "a=1,,b=2");
        assert_eq!(state("a=1 ,\t b=2\r\n"), "a=1 ,\t b=2");
        for malformed in ["a", "=1", "a=", "a=ü", "a=1\r\nb: 2", "a=1\t2", &["a=1"; 33].join(",")]
        {
            assert_eq!(state(malformed), "", "{malformed}");
        }
        for between in ["a=1,\r\nEvil: b=2", "a=1\n,b=2", "a=1,\u{a0}b=2", "a=1,\r\n,b=2"] {
            assert_eq!(state(between), "", "{between:?}");
        }
    }
}
