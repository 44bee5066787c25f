//! Traces: who they are, and under which span of somebody else they stand.

use std::fmt;
use std::sync::Arc;

use super::{SpanNumber, SpanRecord, SymbolTable};

/// The 16-byte identity of a trace ([W3C Trace Context, `trace-id`]).
///
/// [W3C Trace Context, `trace-id`]: https://www.w3.org/TR/trace-context/#trace-id
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// The 8-byte identity of a span ([W3C Trace Context, `parent-id`]).
///
/// [W3C Trace Context, `parent-id`]: https://www.w3.org/TR/trace-context/#parent-id
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

macro_rules! hex_format {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

hex_format!(TraceId);
hex_format!(SpanId);

/// The flags of a trace ([W3C Trace Context, `trace-flags`]).
///
/// [W3C Trace Context, `trace-flags`]: https://www.w3.org/TR/trace-context-2/#trace-flags
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TraceFlags(pub u8);

impl TraceFlags {
    /// The caller may have recorded the trace. All that is handed over is sampled, so spans and
    /// log records have it in any case.
    pub const SAMPLED: TraceFlags = TraceFlags(1);
    /// Of the trace's identity, at least the last seven bytes are random.
    pub const RANDOM: TraceFlags = TraceFlags(2);

    /// Whether [`SAMPLED`](Self::SAMPLED) is among them.
    pub fn is_sampled(self) -> bool {
        self.0 & Self::SAMPLED.0 != 0
    }
}

/// The span of another process, or of the embedder, under which the root of a trace stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// That span.
    pub span_id: SpanId,
    /// The `tracestate` that came with it, as W3C Trace Context writes it; may be empty. All
    /// spans of the trace have it.
    pub trace_state: String,
    /// The flags that came with it. All spans of the trace have them.
    pub trace_flags: TraceFlags,
    /// Whether it is of another process, where that is known.
    pub is_remote: Option<bool>,
}

impl From<SpanId> for Parent {
    /// A parent of which nothing more is known.
    fn from(span_id: SpanId) -> Self {
        let trace_flags = TraceFlags::SAMPLED;
        Parent { span_id, trace_state: String::new(), trace_flags, is_remote: None }
    }
}

/// What is known of a whole trace before its first span ends.
#[derive(Debug)]
pub struct TraceInfo {
    /// The identity of the trace.
    pub trace_id: TraceId,
    /// The span of another process, or of the embedder, under which the root stands.
    pub parent: Option<Parent>,
    /// A random number from which the span ids of this trace follow.
    pub seed: u64,
    /// The names that records refer to.
    pub symbols: Arc<SymbolTable>,
}

impl TraceInfo {
    /// The identity of the span with the given number: never zero, and no two
    /// numbers of one trace give the same.
    pub fn span_id(&self, number: SpanNumber) -> SpanId {
        // The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable
        // Pseudorandom Number Generators, 2014) is a bijection, so distinct
        // numbers give distinct ids. It maps only 0 to 0, which the spec forbids
        // as an id: one number in 2^64 takes an id that no other number of
        // this trace can have, since numbers span only 2^32.
        let mut z = self.seed.wrapping_add(u64::from(number.0));
        if z == 0 {
            z = 1 << 63;
        }
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        SpanId((z ^ (z >> 31)).to_be_bytes())
    }

    /// The identity of the span under which a span of this trace stands.
    pub fn parent_id(&self, span: &SpanRecord) -> Option<SpanId> {
        match span.parent {
            Some(number) => Some(self.span_id(number)),
            None => self.parent.as_ref().map(|parent| parent.span_id),
        }
    }

    /// What a span of this trace is called; `None` if nothing names it.
    pub(crate) fn name_of<'a>(&'a self, span: &'a SpanRecord) -> Option<&'a str> {
        let own = span.detail.as_ref().and_then(|detail| detail.name.as_deref());
        own.or_else(|| Some(self.symbols.get(span.symbol?)?.name.as_str()))
    }

    /// The flags that all spans and log records of the trace have.
    pub fn trace_flags(&self) -> TraceFlags {
        let inherited = self.parent.as_ref().map_or(0, |parent| parent.trace_flags.0);
        TraceFlags(inherited | TraceFlags::SAMPLED.0)
    }

    /// The `tracestate` that all spans of the trace have; may be empty.
    pub fn trace_state(&self) -> &str {
        self.parent.as_ref().map_or("", |parent| &parent.trace_state)
    }
}
