//! Where log records of folded spans are told.

use super::super::numbers::{NumberMap, NumberSet, table_bytes};
use crate::event::{LogRecord, SpanNumber, SpanRecord};

/// Spans in which something was logged before they were folded.
#[derive(Default)]
pub(super) struct Moved {
    /// Those that were not.
    logged: NumberSet,
    /// Under which span each stood.
    parents: NumberMap<Option<SpanNumber>>,
}

impl Moved {
    /// Takes note of a log record, which must come before its span.
    pub(super) fn log(&mut self, log: &LogRecord) {
        self.logged.extend(log.span);
    }

    /// Takes note of a span that is folded.
    pub(super) fn fold(&mut self, span: &SpanRecord) {
        if self.logged.remove(&span.number) {
            self.parents.insert(span.number, span.parent);
            self.logged.extend(span.parent);
        }
    }

    /// The span under which a log record is told: that in which it was written or, where that was
    /// folded, the next one above.
    pub(super) fn span_of_log(&self, number: SpanNumber) -> Option<SpanNumber> {
        let mut number = number;
        // Spans that stand under one another lead nowhere.
        for _ in 0..=self.parents.len() {
            match self.parents.get(&number) {
                Some(parent) => number = (*parent)?,
                None => return Some(number),
            }
        }
        None
    }

    /// Where no span is folded any more.
    pub(super) fn close(mut self) -> Self {
        self.logged = NumberSet::default();
        self.parents.shrink_to_fit();
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        table_bytes::<(SpanNumber, Option<SpanNumber>)>(self.parents.capacity())
            + table_bytes::<SpanNumber>(self.logged.capacity())
    }
}
