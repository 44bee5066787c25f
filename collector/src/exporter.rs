//! Where chunks go: the one trait that a destination implements.

use std::time::Instant;

use crate::event::{Chunk, Metric};
use crate::health::Monitor;
use crate::stats::{Counts, Signal};
use crate::transfers::Transfers;

/// A destination of spans and, if it likes, of log records and metrics.
///
/// All methods run on the collector's thread, one after the other. An exporter
/// that talks to a network hands its work to a thread of its own: while
/// [`Exporter::export`] waits, no other exporter gets anything and the channel fills.
///
/// Of what it was given, an exporter accounts for every span:
/// `accepted = delivered + rejected + dropped + queued` holds for
/// [`Exporter::counts`] whenever it is called. One that takes other signals,
/// too, accounts for them in [`Exporter::counts_of`].
pub trait Exporter: Send {
    /// What a report calls this exporter, such as `otlp`.
    fn name(&self) -> &str;

    /// Takes the spans of a chunk, and its log records unless it takes none. Does not wait on
    /// the network.
    fn export(&mut self, chunk: &Chunk);

    /// Takes metrics, as their sources have them now ([`Builder::metrics`]). Does not wait on
    /// the network.
    ///
    /// Without an implementation this does nothing.
    ///
    /// [`Builder::metrics`]: crate::Builder::metrics
    fn export_metrics(&mut self, metrics: &[Metric]) {
        let _ = metrics;
    }

    /// Starts the delivery of everything taken so far and waits until all of it is
    /// delivered, rejected or dropped, or until the deadline. A deadline that
    /// has passed means: start, and do not wait.
    ///
    /// What is not done by then stays queued.
    fn flush(&mut self, deadline: Instant);

    /// As [`Exporter::flush`], but for the last time: what is not done by the
    /// deadline is dropped, and counted as such, unless it is kept for another process. [`Exporter::export`] and
    /// [`Exporter::export_metrics`] are not called again.
    ///
    /// Without an implementation this flushes.
    fn shutdown(&mut self, deadline: Instant) {
        self.flush(deadline);
    }

    /// What became of the spans that this exporter was given.
    fn counts(&self) -> Counts;

    /// What became of what this exporter was given of a signal; `None` for a signal of which
    /// it takes no notice. Of metrics, it counts points.
    ///
    /// Without an implementation these are [`Exporter::counts`] for spans, and no notice is
    /// taken of anything else.
    fn counts_of(&self, signal: Signal) -> Option<Counts> {
        match signal {
            Signal::Traces => Some(self.counts()),
            Signal::Logs | Signal::Metrics => None,
        }
    }

    /// What the delivery of a signal took so far, and what waits for it; `None` without an
    /// implementation, and where nothing is sent.
    fn transfers(&self, signal: Signal) -> Option<Transfers> {
        let _ = signal;
        None
    }

    /// What may be asked of this exporter, and told to it, from other threads than the
    /// collector's. Called once, before anything else; without an implementation, nothing.
    fn monitor(&self) -> Option<Monitor> {
        None
    }

    /// The last thing that went wrong, in one line; `None` if nothing ever did.
    fn last_error(&self) -> Option<String>;

    /// The last thing that went wrong with a signal, in one line.
    ///
    /// Without an implementation this is [`Exporter::last_error`] for spans, and `None` for
    /// anything else.
    fn last_error_of(&self, signal: Signal) -> Option<String> {
        match signal {
            Signal::Traces => self.last_error(),
            Signal::Logs | Signal::Metrics => None,
        }
    }
}
