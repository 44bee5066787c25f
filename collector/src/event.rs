//! What a host hands over: chunks of fixed-size span records, and the tables
//! that give their numbers a meaning.
//!
//! A record carries indices only; names and attributes that all calls of a
//! function share stand once in a [`SymbolTable`]. What only few spans have (a
//! name of their own, a failure, attributes set while the span was open) is
//! boxed beside the record, so that the common span stays small.

mod log;
mod metric;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub use log::{LogRecord, Severity};
pub use metric::{Metric, MetricData, Number, Point};

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

/// A number that no other span of the trace has; the root's is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanNumber(pub u32);

/// An index into the [`SymbolTable`] of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SymbolId(pub u32);

/// The value of an [`Attribute`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// UTF-8 text.
    String(String),
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An IEEE 754 double.
    Double(f64),
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::String(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Double(value)
    }
}

/// A key and a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// A name, such as `code.function.name`.
    pub key: Cow<'static, str>,
    /// What it is.
    pub value: Value,
}

impl Attribute {
    /// An attribute of the given key and value.
    pub fn new(key: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        Attribute { key: key.into(), value: value.into() }
    }
}

/// What all spans of one function have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Symbol {
    /// The span name: low in cardinality, fit for people.
    pub name: String,
    /// Attributes that each of the spans carries.
    pub attributes: Vec<Attribute>,
}

/// What is known of a whole trace before its first span ends.
#[derive(Debug)]
pub struct TraceInfo {
    /// The identity of the trace.
    pub trace_id: TraceId,
    /// The span of another process, or of the embedder, under which the root stands.
    pub parent: Option<SpanId>,
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
}

/// The status of a span, as OpenTelemetry defines it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing was said.
    #[default]
    Unset,
    /// The operation failed.
    Error,
}

/// One span that has ended.
#[derive(Debug)]
pub struct SpanRecord {
    /// Nanoseconds since the Unix epoch at which it began.
    pub start_unix_nanos: u64,
    /// Nanoseconds since the Unix epoch at which it ended; never before its start.
    pub end_unix_nanos: u64,
    /// Which span of its trace.
    pub number: SpanNumber,
    /// The span that was open when it began; `None` for the root of the trace.
    pub parent: Option<SpanNumber>,
    /// The function; `None` where [`SpanDetail::name`] names the span.
    pub symbol: Option<SymbolId>,
    /// Whether it failed.
    pub status: Status,
    /// What only this span has.
    pub detail: Option<Box<SpanDetail>>,
}

/// What only few spans have.
#[derive(Debug, Default, PartialEq)]
pub struct SpanDetail {
    /// The name of a span that stands for no function.
    pub name: Option<String>,
    /// Why it failed; empty where it did not.
    pub status_message: String,
    /// Attributes beside those of its [`Symbol`].
    pub attributes: Vec<Attribute>,
}

/// Spans of one trace, in the order in which they ended, so that a child comes
/// before its parent, and what was logged in the meantime.
#[derive(Debug)]
pub struct Chunk {
    /// The trace they belong to.
    pub trace: Arc<TraceInfo>,
    /// The spans.
    pub spans: Vec<SpanRecord>,
    /// The log records; their spans may be in later chunks.
    pub logs: Vec<LogRecord>,
}

/// The symbols of a module, by [`SymbolId`].
#[derive(Debug, Default)]
pub struct SymbolTable {
    symbols: Vec<Symbol>,
}

impl SymbolTable {
    /// A table in which the symbol at index `n` has the id `n`.
    pub fn new(symbols: Vec<Symbol>) -> Self {
        SymbolTable { symbols }
    }

    /// The symbol with the given id, if there is one.
    pub fn get(&self, id: SymbolId) -> Option<&Symbol> {
        self.symbols.get(id.0 as usize)
    }
}
