//! What became of everything that was to be sent.

mod channel;
mod stage;

pub use channel::{ChannelReport, Passage};
pub use stage::{Cut, Early, Flow, StageReport};

use crate::transfers::Transfers;

/// A kind of telemetry, with an account and a way of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Points of metrics.
    Metrics,
}

impl Signal {
    /// All of them.
    pub const ALL: [Signal; 3] = [Signal::Traces, Signal::Logs, Signal::Metrics];

    /// What OpenTelemetry calls it where it has a name: `traces`, `logs` or `metrics`.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Logs => "logs",
            Signal::Metrics => "metrics",
        }
    }

    /// What [`Counts`] counts of it, such as `spans`.
    pub fn items(self) -> &'static str {
        match self {
            Signal::Traces => "spans",
            Signal::Logs => "log records",
            Signal::Metrics => "points",
        }
    }
}

/// The fate of all that was offered of one [`Signal`], as numbers of spans, of log records or
/// of points.
///
/// At any time `accepted = delivered + rejected + dropped.total() + queued`, see
/// [`Counts::is_balanced`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Offered. In a [`Report`] this is what the host offered, including what the
    /// channel did not take, but without what the stage between channel and exporters
    /// sampled out or folded ([`Report::stage`]); an exporter's own counts begin behind both.
    pub accepted: u64,
    /// Confirmed by the receiver.
    pub delivered: u64,
    /// Received, and said by the receiver to be unusable, or to have no place there.
    pub rejected: u64,
    /// Given up, by reason.
    pub dropped: Dropped,
    /// On the way: in the channel, held until its trace is decided on, in a batch, in a queue or in a
    /// request.
    pub queued: u64,
}

impl Counts {
    /// Whether all that was accepted is accounted for.
    pub fn is_balanced(&self) -> bool {
        self.accepted == self.delivered + self.rejected + self.dropped.total() + self.queued
    }
}

/// Why something was given up, as numbers of what [`Counts`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The channel to the collector's thread was full.
    pub channel_full: u64,
    /// The collector had been shut down.
    pub closed: u64,
    /// The exporter's queue was full, because the receiver is slower than the guest.
    pub queue_full: u64,
    /// The receiver asked for retries, or could not be reached, for too long.
    pub retries_exhausted: u64,
    /// Not confirmed when time was up at the end. The receiver may have got those
    /// that were in a request at that moment.
    pub undelivered: u64,
    /// The receiver refused the request for good, for example with status 400.
    pub refused: u64,
    /// Found damaged in a disk queue.
    pub damaged: u64,
}

impl Dropped {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, number)| number).sum()
    }

    /// The reasons by name, with the number of each.
    pub fn by_reason(&self) -> [(&'static str, u64); 7] {
        [
            ("channel full", self.channel_full),
            ("closed", self.closed),
            ("queue full", self.queue_full),
            ("retries exhausted", self.retries_exhausted),
            ("undelivered", self.undelivered),
            ("refused", self.refused),
            ("damaged", self.damaged),
        ]
    }
}

/// What became of everything, as seen by each exporter and on the way to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One for each exporter, in the order in which they were added.
    pub exporters: Vec<ExporterReport>,
    /// What entered, and what did not.
    pub channel: ChannelReport,
    /// What happened between the channel and the exporters; all zero where nothing is to happen.
    pub stage: StageReport,
}

/// What became of everything, as seen by one exporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExporterReport {
    /// The name of the exporter.
    pub name: String,
    /// What became of spans: its counts and those of the way to it, together.
    pub counts: Counts,
    /// The same of log records; all zero if it takes none.
    pub logs: Counts,
    /// Its counts of points of metrics, which pass no channel; all zero if it takes none.
    pub metrics: Counts,
    /// What the delivery took, of each signal of which it can tell.
    pub transfers: Vec<(Signal, Transfers)>,
    /// The last thing that went wrong, in one line.
    pub last_error: Option<String>,
    /// The last thing that went wrong with each signal, of those with which anything did.
    pub errors: Vec<(Signal, String)>,
}

impl ExporterReport {
    /// What became of a signal.
    pub fn counts_of(&self, signal: Signal) -> &Counts {
        match signal {
            Signal::Traces => &self.counts,
            Signal::Logs => &self.logs,
            Signal::Metrics => &self.metrics,
        }
    }

    /// The last thing that went wrong with a signal, in one line.
    pub fn error_of(&self, signal: Signal) -> Option<&str> {
        let error = self.errors.iter().find(|(of, _)| *of == signal);
        error.map(|(_, error)| error.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Dropped};

    #[test]
    fn total_sums_every_reason() {
        let dropped = Dropped {
            channel_full: 1,
            closed: 10,
            queue_full: 100,
            retries_exhausted: 1_000,
            undelivered: 10_000,
            refused: 100_000,
            damaged: 1_000_000,
        };
        assert_eq!(dropped.total(), 1_111_111);
    }

    #[test]
    fn each_term_weighs_in_the_balance() {
        let dropped = Dropped { refused: 4, ..Dropped::default() };
        let counts = Counts { accepted: 15, delivered: 1, rejected: 2, dropped, queued: 8 };
        assert!(counts.is_balanced());
        assert!(!Counts { queued: 7, ..counts }.is_balanced());
        assert!(!Counts { delivered: 0, ..counts }.is_balanced());
        assert!(!Counts { rejected: 0, ..counts }.is_balanced());
        assert!(!Counts { dropped: Dropped::default(), ..counts }.is_balanced());
    }
}
