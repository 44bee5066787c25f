//! The life cycle: one thread that takes chunks from the channel, asks for metrics, and gives
//! both to each exporter.

mod builder;
mod worker;

use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use self::worker::{Channel, passage};
use crate::channel::{Handle, Message};
use crate::event::Metric;
use crate::health::Health;
use crate::intake::Offered;
use crate::stats::{ChannelReport, Counts, ExporterReport, Report, Signal};

pub use builder::Builder;

/// How much longer than the deadline a caller waits for the thread's answer.
/// An exporter that keeps to its deadline needs only the time to say so.
const GRACE: Duration = Duration::from_millis(250);

/// The running collector. See the [crate page](crate) for its life cycle.
///
/// Dropping it without [`Collector::shutdown`] closes the channel and gives up what
/// is not delivered, without waiting and without a report.
#[derive(Debug)]
pub struct Collector {
    handle: Handle,
    names: Vec<String>,
    started: SystemTime,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    /// What a collector is made from: no exporters, no metrics, a channel of 1,024 chunks,
    /// [`OnFull::Drop`](crate::OnFull::Drop).
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Adds a source of metrics, as [`Builder::metrics`] does, for one that could not be there
    /// before: because it counts what is sent through a handle of this collector, for example.
    ///
    /// Waits while the channel is full.
    pub fn metrics(
        &self,
        interval: Duration,
        source: impl FnMut() -> Vec<Metric> + Send + 'static,
    ) {
        let message = Message::Source { interval, ask: Box::new(source) };
        // Without the thread there is nobody to ask, which the report says.
        let _ = self.handle.messages().send(message);
    }

    /// A way to send chunks to this collector.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until everything that was sent before, and metrics as they are now, is delivered,
    /// rejected or dropped, at most for `timeout`. Returns whether that is so. Traces that are held
    /// are decided on as they are.
    ///
    /// This is what OpenTelemetry calls `ForceFlush`.
    pub fn flush(&self, timeout: Duration) -> bool {
        let deadline = after(timeout);
        let (reply, answer) = crossbeam_channel::bounded(1);
        self.handle.messages().send_deadline(Message::Flush { deadline, reply }, deadline).is_ok()
            && answer.recv_deadline(graced(deadline)).unwrap_or(false)
    }

    /// Whether the exporters deliver: see [`Health`].
    ///
    /// # Overhead
    ///
    /// Does not wait for the collector's thread, nor for any request: it takes one lock for each
    /// signal of each exporter, which is never held for longer than a copy takes.
    pub fn health(&self) -> Health {
        self.handle.health()
    }

    /// What became of everything so far; `None` if the thread does not answer within
    /// `timeout`, because it flushes or an exporter holds it.
    pub fn report(&self, timeout: Duration) -> Option<Report> {
        let deadline = after(timeout);
        let (reply, answer) = crossbeam_channel::bounded(1);
        self.handle.messages().send_deadline(Message::Report { reply }, deadline).ok()?;
        answer.recv_deadline(deadline).ok()
    }

    /// [`Report::metrics`] of everything so far, for a page that is asked for them
    /// ([`prometheus::text`](crate::prometheus::text)); `None` where [`Collector::report`] is.
    pub fn own_metrics(&self, timeout: Duration) -> Option<Vec<Metric>> {
        Some(self.report(timeout)?.metrics(self.started, SystemTime::now()))
    }

    /// Closes the channel, delivers what was sent before and metrics as they are now, and stops
    /// the thread.
    ///
    /// Returns within about `timeout`. What is not delivered by then is dropped and
    /// counted, so in the report nothing is queued but what a disk queue keeps for the next process.
    pub fn shutdown(mut self, timeout: Duration) -> Report {
        let deadline = after(timeout);
        self.handle.intake().close();
        self.handle.monitors().closing(deadline);
        let (reply, answer) = crossbeam_channel::bounded(1);
        let message = Message::Shutdown { deadline, reply };
        let sent = self.handle.messages().send_deadline(message, graced(deadline));
        let report = match sent {
            Ok(()) => answer.recv_deadline(graced(deadline)).ok(),
            Err(_) => None,
        };
        let thread = self.thread.take();
        let Some(report) = report else {
            return self.report_of_silence(thread.is_some());
        };
        // The thread has answered, so it is at its end.
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        report
    }

    /// The report when the thread gives none: all that entered the channel is lost.
    fn report_of_silence(&self, started: bool) -> Report {
        let lost = |offered: Offered| {
            let mut dropped = offered.dropped;
            dropped.undelivered = offered.number - dropped.total();
            Counts { accepted: offered.number, dropped, ..Counts::default() }
        };
        let intake = self.handle.intake();
        let (counts, logs) = (lost(intake.spans()), lost(intake.logs()));
        let error = if started {
            "the collector's thread did not answer: an exporter panicked or waits past its deadline"
        } else {
            "the collector's thread could not be started: the system has too few resources"
        };
        let report = |name: &String| ExporterReport {
            name: name.clone(),
            counts,
            logs,
            metrics: Counts::default(),
            transfers: Vec::new(),
            last_error: Some(error.to_owned()),
            errors: Signal::ALL.map(|signal| (signal, error.to_owned())).into(),
        };
        // What entered is in the thread's hands, and lost with it.
        let passage = |offered: Offered| {
            passage(offered, offered.number - offered.dropped.total(), Channel::Open)
        };
        let channel =
            ChannelReport { spans: passage(intake.spans()), logs: passage(intake.logs()) };
        let exporters = self.names.iter().map(report).collect();
        Report { exporters, channel, ..Report::default() }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // After an orderly shutdown the thread was taken.
        if self.thread.is_some() {
            self.handle.intake().close();
            let (reply, _) = crossbeam_channel::bounded(1);
            let deadline = Instant::now();
            self.handle.monitors().closing(deadline);
            let message = Message::Shutdown { deadline, reply };
            let _ = self.handle.messages().send_deadline(message, graced(deadline));
        }
    }
}

/// The moment at which a timeout that starts now ends.
fn after(timeout: Duration) -> Instant {
    let now = Instant::now();
    // `Instant` cannot tell of all times that `Duration` can: a year is for ever.
    now.checked_add(timeout).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 60 * 60))
}

fn graced(deadline: Instant) -> Instant {
    deadline.checked_add(GRACE).unwrap_or(deadline)
}
