//! What an assembler is told.

use crate::event::{
    Attribute, LogRecord, SpanEvent, SpanKind, SpanLink, SpanNumber, Status, SymbolId,
};

/// Which trace an event is of, as whoever tells it numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceKey(pub u64);

/// What does one thing at a time within a trace: a store, a task, a thread. Numbers need to
/// differ within a trace only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// Something that happened.
///
/// Where `span` is `None`, it happened in the innermost span that is open in its stream, or in
/// the root of the trace if none is.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A span began.
    Start(Start),
    /// A span ended.
    End(End),
    /// A span got an attribute; one of the same key is replaced.
    Attribute {
        /// The span.
        span: Option<SpanNumber>,
        /// The attribute.
        attribute: Attribute,
    },
    /// Something happened in a span.
    SpanEvent {
        /// The span.
        span: Option<SpanNumber>,
        /// What happened.
        event: SpanEvent,
    },
    /// A span has to do with another.
    Link {
        /// The span.
        span: Option<SpanNumber>,
        /// The other.
        link: SpanLink,
    },
    /// Calls in a span are not worth spans of their own.
    Folded {
        /// The span.
        span: Option<SpanNumber>,
        /// The calls.
        folded: Folded,
    },
    /// Something was logged. One that names a span goes out even if that span has.
    Log(LogRecord),
}

/// The beginning of a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// Which span of its trace.
    pub span: SpanNumber,
    /// The span it stands under, if that is not the innermost of its stream.
    pub parent: Option<SpanNumber>,
    /// The function.
    pub symbol: Option<SymbolId>,
    /// The name, of a span that stands for no function.
    pub name: Option<String>,
    /// What it is to others.
    pub kind: SpanKind,
    /// Nanoseconds since the Unix epoch at which it began.
    pub time_unix_nanos: u64,
}

impl Start {
    /// The beginning of a span that stands for no function, at time 0.
    pub fn named(span: SpanNumber, name: impl Into<String>) -> Self {
        Start { name: Some(name.into()), ..Start::unnamed(span) }
    }

    /// The beginning of a span that stands for a function, at time 0.
    pub fn of_symbol(span: SpanNumber, symbol: SymbolId) -> Self {
        Start { symbol: Some(symbol), ..Start::unnamed(span) }
    }

    pub(super) fn unnamed(span: SpanNumber) -> Self {
        let (parent, symbol, name) = (None, None, None);
        Start { span, parent, symbol, name, kind: SpanKind::Internal, time_unix_nanos: 0 }
    }
}

/// The end of a span.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Which span of its trace.
    pub span: SpanNumber,
    /// Nanoseconds since the Unix epoch at which it ended.
    pub time_unix_nanos: u64,
    /// Whether it failed.
    pub status: Status,
    /// Why it failed.
    pub status_message: String,
}

impl End {
    /// The end of a span of which nothing was said, at time 0.
    pub fn of(span: SpanNumber) -> Self {
        let status_message = String::new();
        End { span, time_unix_nanos: 0, status: Status::Unset, status_message }
    }
}

/// Spans that are counts on the one they belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// How many.
    pub spans: u64,
    /// How many of them failed.
    pub errors: u64,
    /// How long they took together, in nanoseconds.
    pub nanos: u64,
}

impl Folded {
    /// Adds others to these.
    pub(crate) fn add(&mut self, other: Folded) {
        self.spans = self.spans.saturating_add(other.spans);
        self.errors = self.errors.saturating_add(other.errors);
        self.nanos = self.nanos.saturating_add(other.nanos);
    }

    /// What the span they belong to says of them.
    pub(crate) fn attributes(self) -> impl Iterator<Item = Attribute> {
        let int = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let spans =
            (self.spans > 0).then(|| Attribute::new("observe.folded.spans", int(self.spans)));
        let time = (self.spans > 0)
            .then(|| Attribute::new("observe.folded.time", self.nanos as f64 / 1e9));
        let errors =
            (self.errors > 0).then(|| Attribute::new("observe.folded.errors", int(self.errors)));
        spans.into_iter().chain(time).chain(errors)
    }
}
