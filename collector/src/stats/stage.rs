//! What happened between the channel and the exporters.

/// What became of everything between the channel and the exporters: what was sampled out, folded,
/// cut.
///
/// At any time, what was received is accounted for ([`Flow::is_balanced`]), and what was
/// passed on is what each exporter accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageReport {
    /// Of spans.
    pub spans: Flow,
    /// Of log records.
    pub logs: Flow,
    /// Traces that tail sampling kept, or that were held for a cap alone.
    pub traces_kept: u64,
    /// Traces that tail sampling dropped.
    pub traces_sampled_out: u64,
    /// Traces that were decided on before their root had come, by reason.
    pub early: Early,
    /// What went beyond the limits of attributes, events and links.
    pub cut: Cut,
}

/// The fate of spans, or of log records, between the channel and the exporters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Taken from the channel.
    pub received: u64,
    /// Given to the exporters.
    pub passed: u64,
    /// Of traces that are not sent.
    pub sampled_out: u64,
    /// Beyond the cap on the spans of a trace: they are counts on other spans.
    pub folded: u64,
    /// Held until their trace is decided on.
    pub held: u64,
}

impl Flow {
    /// Whether all that was received is accounted for.
    pub fn is_balanced(&self) -> bool {
        self.received == self.passed + self.sampled_out + self.folded + self.held
    }

    /// What will never reach an exporter.
    pub(crate) fn kept_back(&self) -> u64 {
        self.sampled_out + self.folded
    }
}

/// Why traces were decided on before their root had come, as numbers of traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Early {
    /// They were held for as long as the decision may take.
    pub waited: u64,
    /// There was no room for more.
    pub full: u64,
    /// All was to be sent, by a flush or a shutdown.
    pub flushed: u64,
}

/// What went beyond [`Limits`](crate::Limits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Values that were shortened. One that all calls of a function share counts once.
    pub values: u64,
    /// Attributes that were dropped, each time.
    pub attributes: u64,
    /// Events that were dropped, with their attributes.
    pub events: u64,
    /// Links that were dropped, with their attributes.
    pub links: u64,
}
