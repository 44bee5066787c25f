//! What became of all that an assembler was told.

/// The fate of spans and log records, and what was wrong with events.
///
/// At any time `started = emitted + open + dropped.total()`, and the log records that were taken
/// are those that went out and those that wait, see [`AssemblyCounts::is_balanced`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssemblyCounts {
    /// Spans of which a beginning or an end was told, each once.
    pub started: u64,
    /// Spans that are complete, and went out or wait for their chunk.
    pub emitted: u64,
    /// Spans that are not complete yet.
    pub open: u64,
    /// Spans that will never be, by reason.
    pub dropped: AssemblyDropped,
    /// Log records that went out or wait for their chunk.
    pub logs: u64,
    /// Log records of traces that are not there.
    pub dropped_logs: u64,
    /// What was wrong.
    pub defects: Defects,
}

impl AssemblyCounts {
    /// Whether all spans are accounted for.
    pub fn is_balanced(&self) -> bool {
        self.started == self.emitted + self.open + self.dropped.total()
    }
}

/// Why spans were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssemblyDropped {
    /// So many were open that this one did not fit. The span above counts it as folded.
    pub too_many_open: u64,
    /// The trace had not begun, was over, or had not fitted.
    pub unknown_trace: u64,
}

impl AssemblyDropped {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, number)| number).sum()
    }

    /// The reasons by name, with the number of each.
    pub fn by_reason(&self) -> [(&'static str, u64); 2] {
        [("too many open", self.too_many_open), ("unknown trace", self.unknown_trace)]
    }
}

/// What was wrong with events, or with their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defects {
    /// Spans that did not end before their trace did, or went quiet.
    pub missing_end: u64,
    /// Spans whose beginning was never told.
    pub missing_start: u64,
    /// Spans that were open for too long.
    pub timed_out: u64,
    /// Beginnings and ends of a span that had one.
    pub duplicate: u64,
    /// Ends that came before beginnings, or lay before them, and spans that were to stand under
    /// themselves.
    pub disorder: u64,
    /// Events of spans that had gone out, or were dropped.
    pub late: u64,
    /// Attributes, events, links and folded calls for which there was no span.
    pub unplaced: u64,
    /// Traces that began while one of the same key was there; the first goes on.
    pub duplicate_trace: u64,
    /// Traces that did not fit.
    pub too_many_traces: u64,
}

impl Defects {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, number)| number).sum()
    }

    /// The defects by name, with the number of each.
    pub fn by_reason(&self) -> [(&'static str, u64); 9] {
        [
            ("missing end", self.missing_end),
            ("missing start", self.missing_start),
            ("timed out", self.timed_out),
            ("duplicate", self.duplicate),
            ("disorder", self.disorder),
            ("late", self.late),
            ("unplaced", self.unplaced),
            ("duplicate trace", self.duplicate_trace),
            ("too many traces", self.too_many_traces),
        ]
    }
}
