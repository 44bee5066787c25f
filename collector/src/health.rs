//! Whether deliveries succeed, for embedders that ask while the collector works.

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::stats::Signal;

/// Whether the exporters deliver, as [`Collector::health`](crate::Collector::health) found it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// One for each exporter that can tell, in the order in which they were added.
    pub exporters: Vec<ExporterHealth>,
}

impl Health {
    /// Whether nothing is retried or lost at the moment. A collector that never sent anything is
    /// healthy, as far as anybody knows.
    pub fn is_healthy(&self) -> bool {
        let mut signals = self.exporters.iter().flat_map(|exporter| &exporter.signals);
        signals.all(|signal| matches!(signal.delivery, Delivery::Idle | Delivery::Delivering))
    }
}

/// Whether an exporter delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExporterHealth {
    /// The name of the exporter.
    pub name: String,
    /// One for each signal that it sends.
    pub signals: Vec<SignalHealth>,
}

/// Whether one signal is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalHealth {
    /// Which.
    pub signal: Signal,
    /// How it goes.
    pub delivery: Delivery,
    /// Whether requests are made.
    pub circuit: Circuit,
    /// When a request was last taken by the receiver.
    pub last_success: Option<SystemTime>,
}

/// How deliveries go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// No request has ended yet.
    Idle,
    /// The last request was taken, and nothing was lost lately.
    Delivering,
    /// The receiver cannot be reached or asks for a retry; what comes waits in the queue.
    Retrying {
        /// When the first of the failures in a row was.
        since: SystemTime,
        /// What the last one was, in one line.
        error: String,
    },
    /// Items were lost within the last 30 seconds, for whatever reason: the queue was full, the
    /// receiver refused or rejected them (it may have no place for the signal), or retries went on for
    /// too long.
    Dropping {
        /// The last thing that went wrong, in one line; nothing has to go wrong for a receiver to
        /// be too slow.
        error: Option<String>,
    },
}

/// Whether requests are made to a receiver. One at a time is under way in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// They are, as batches come; after a failure with a wait in between.
    Closed,
    /// Five or more failed in a row; none is made before this moment, and then one.
    Open {
        /// When one batch will be sent to find out.
        until: SystemTime,
    },
    /// That one batch is under way, or about to be.
    HalfOpen,
}

/// What a collector may ask of an exporter, and tell it, from any thread and at any time: also
/// while the exporter is at work on the collector's.
///
/// Asked for once, when the collector starts ([`Exporter::monitor`](crate::Exporter::monitor)).
#[derive(Clone)]
pub struct Monitor {
    health: Arc<dyn Fn() -> Vec<SignalHealth> + Send + Sync>,
    closing: Option<Arc<dyn Fn(Instant) + Send + Sync>>,
}

impl Monitor {
    /// A monitor that answers with what this does, which should not wait.
    pub fn new(health: impl Fn() -> Vec<SignalHealth> + Send + Sync + 'static) -> Self {
        Monitor { health: Arc::new(health), closing: None }
    }

    /// With something to call when a shutdown begins, with its deadline. An exporter that waits
    /// for room then knows for how long it still may.
    pub fn on_closing(mut self, closing: impl Fn(Instant) + Send + Sync + 'static) -> Self {
        self.closing = Some(Arc::new(closing));
        self
    }

    pub(crate) fn health(&self) -> Vec<SignalHealth> {
        (self.health)()
    }

    pub(crate) fn closing(&self, deadline: Instant) {
        if let Some(closing) = &self.closing {
            closing(deadline);
        }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

/// The monitors of all exporters that have one, by name.
#[derive(Debug, Default)]
pub(crate) struct Monitors(pub(crate) Vec<(String, Monitor)>);

impl Monitors {
    pub(crate) fn health(&self) -> Health {
        let health = |(name, monitor): &(String, Monitor)| ExporterHealth {
            name: name.clone(),
            signals: monitor.health(),
        };
        Health { exporters: self.0.iter().map(health).collect() }
    }

    pub(crate) fn closing(&self, deadline: Instant) {
        self.0.iter().for_each(|(_, monitor)| monitor.closing(deadline));
    }
}
