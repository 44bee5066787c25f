//! What a host hands over: chunks of fixed-size span records, and the tables
//! that give their numbers a meaning.
//!
//! A record carries indices only; names and attributes that all calls of a
//! function share stand once in a [`SymbolTable`]. What only few spans have (a
//! name of their own, a failure, attributes set while the span was open, events, links) is
//! boxed beside the record, so that the common span stays small.

mod log;
mod metric;
mod span;
mod trace;
mod value;

use std::sync::Arc;

pub use log::{LogRecord, Severity};
pub use metric::{
    Buckets, Exemplar, ExponentialHistogramPoint, HistogramPoint, Metric, MetricData, Number,
    Point, Temporality,
};
pub use span::{SpanDetail, SpanEvent, SpanKind, SpanLink, SpanRecord, Status};
pub use trace::{Parent, SpanId, TraceFlags, TraceId, TraceInfo};
pub use value::{Array, Attribute, KeyValueList, MAX_NESTING, TooDeep, Value};

/// A number that no other span of the trace has; the root's is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanNumber(pub u32);

/// An index into the [`SymbolTable`] of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SymbolId(pub u32);

/// What all spans of one function have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Symbol {
    /// The span name: low in cardinality, fit for people.
    pub name: String,
    /// Attributes that each of the spans carries.
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
