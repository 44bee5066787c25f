//! How traces are held until they are decided on.

use std::fmt;
use std::time::Duration;

use super::hold::Bounds;
use super::policy::Policy;

/// How long a trace may take before it is decided on as it is.
const DEFAULT_WAIT: Duration = Duration::from_secs(30);

/// Holds the spans of each trace until its root has come, and then sends or drops all of them.
///
/// Policies are asked in their order until one keeps or drops the trace; what none keeps is
/// dropped. Without policies all are kept.
///
/// A trace is decided on early, by what is there of it, when it was held for
/// [`decision_wait`](TailSampling::decision_wait), when more is held than the bounds allow (the trace
/// that was held longest goes first), and at [`Collector::flush`] and [`Collector::shutdown`]. What comes
/// of a trace after the decision follows it, for the last 65,536 traces; beyond them it is a
/// trace by itself.
///
/// ```
/// use std::time::Duration;
///
/// use observe_collector::Collector;
/// use observe_collector::sampling::{Failed, Rate, Ratio, Slow, TailSampling};
///
/// // What failed, what was slow, one trace a second of each name, and 1 % of the rest.
/// let sampling = TailSampling::new()
///     .policy(Failed)
///     .policy(Slow(Duration::from_millis(500)))
///     .policy(Rate::per_second(1.0).and_of_the_rest(Ratio::new(0.01)?))
///     .decision_wait(Duration::from_secs(10));
/// let collector = Collector::builder().tail_sampling(sampling).start();
/// # collector.shutdown(Duration::from_secs(1));
/// # Ok::<(), observe_collector::sampling::RatioError>(())
/// ```
///
/// [`Collector::flush`]: crate::Collector::flush
/// [`Collector::shutdown`]: crate::Collector::shutdown
#[derive(Default)]
pub struct TailSampling {
    pub(crate) policies: Vec<Box<dyn Policy>>,
    pub(crate) bounds: Bounds,
    pub(crate) keeps_logs: bool,
}

impl TailSampling {
    /// No policies, a wait of 30 seconds, and up to 50,000 traces, 262,144 spans and 64 MiB held.
    pub fn new() -> Self {
        let bounds = Bounds { wait: Some(DEFAULT_WAIT), ..Bounds::default() };
        TailSampling { policies: Vec::new(), bounds, keeps_logs: false }
    }

    /// Adds a policy behind the others.
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.policies.push(Box::new(policy));
        self
    }

    /// Sets how long a trace is held at most, from its first chunk on.
    pub fn decision_wait(mut self, wait: Duration) -> Self {
        self.bounds.wait = Some(wait);
        self
    }

    /// Sets how many traces are held at most.
    pub fn max_traces(mut self, traces: usize) -> Self {
        self.bounds.traces = traces;
        self
    }

    /// Sets how many spans are held at most, of all traces together.
    pub fn max_spans(mut self, spans: usize) -> Self {
        self.bounds.spans = spans;
        self
    }

    /// Sets how many bytes the held spans and log records may take, as estimated.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// Sends log records at once, whatever becomes of their traces. Without it they are
    /// held with them and share their fate.
    pub fn keep_logs(mut self) -> Self {
        self.keeps_logs = true;
        self
    }
}

impl fmt::Debug for TailSampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TailSampling")
            .field("policies", &self.policies.len())
            .field("bounds", &self.bounds)
            .field("keeps_logs", &self.keeps_logs)
            .finish()
    }
}
