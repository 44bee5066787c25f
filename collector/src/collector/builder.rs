//! What a collector is made from.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::Collector;
use super::worker::{Handed, Worker};
use crate::cardinality::Cardinality;
use crate::channel::{OnFull, channel};
use crate::environment::Environment;
use crate::event::Metric;
use crate::exemplars::ExemplarFilter;
use crate::exporter::Exporter;
use crate::health::Monitors;
use crate::limits::Limits;
use crate::metrics::Sources;
use crate::sampling::{Sampler, TailSampling};
use crate::stage::{Plan, Stage};

/// Chunks that wait in the channel before it counts as full.
const DEFAULT_CAPACITY: usize = 1024;

/// What a [`Collector`] is made from.
pub struct Builder {
    exporters: Vec<Box<dyn Exporter>>,
    sources: Sources,
    plan: Plan,
    exemplars: ExemplarFilter,
    capacity: usize,
    on_full: OnFull,
}

impl Builder {
    pub(super) fn new() -> Self {
        Builder {
            exporters: Vec::new(),
            sources: Sources::default(),
            plan: Plan::default(),
            exemplars: ExemplarFilter::AlwaysOn,
            capacity: DEFAULT_CAPACITY,
            on_full: OnFull::default(),
        }
    }

    /// Adds an exporter. Each gets all chunks, in the order in which they were added.
    pub fn exporter(mut self, exporter: Box<dyn Exporter>) -> Self {
        self.exporters.push(exporter);
        self
    }

    /// Adds a source of metrics, which is asked at each interval, and once more by
    /// [`Collector::flush`] and [`Collector::shutdown`]. What it answers goes to each exporter.
    /// There may be several, each with an interval of its own.
    ///
    /// The interval that the specification gives is [`DEFAULT_METRIC_INTERVAL`];
    /// [`otlp::Config::metric_interval`] is that of the environment. A source is asked every
    /// millisecond at the most.
    ///
    /// The source runs on the collector's thread: while it takes its time, chunks wait in the
    /// channel. It must not flush this collector, which would wait for itself. If it panics, the
    /// thread ends, and what is not delivered is counted as lost.
    ///
    /// [`DEFAULT_METRIC_INTERVAL`]: crate::DEFAULT_METRIC_INTERVAL
    /// [`otlp::Config::metric_interval`]: crate::otlp::Config::metric_interval
    pub fn metrics(
        mut self,
        interval: Duration,
        source: impl FnMut() -> Vec<Metric> + Send + 'static,
    ) -> Self {
        self.sources.add(Instant::now(), interval, Box::new(source));
        self
    }

    /// Sends only the traces that a sampler lets through, which it is asked by their identities and
    /// the flags of their parents. Spans of a trace that stands for others have the share as `observe.sampling.ratio`.
    ///
    /// What a sampler drops here has been recorded already. An embedder that asks it when a trace
    /// begins ([`Sampler::is_sampled`]) saves that, too.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.plan.sampler = Some(sampler);
        self
    }

    /// Holds traces until they are over, and sends those that [`TailSampling`]'s policies keep. It
    /// sees what a [`sampler`](Builder::sampler) lets through.
    pub fn tail_sampling(mut self, sampling: TailSampling) -> Self {
        self.plan.tail = Some(sampling);
        self
    }

    /// Sends so many spans of a trace at the most, and at least one: those that failed, then the
    /// longest, and the spans above them. Failed ones beyond the cap are no exception.
    ///
    /// The others become counts on the next span above them that is sent: `observe.folded.spans`
    /// (all under it), `observe.folded.errors` (how many of them failed) and `observe.folded.time`
    /// (seconds of the outermost of them). Log records of a folded span go to that span, too. A trace is
    /// held until its root has come, in memory in proportion to the cap, or as the bounds of
    /// [`TailSampling`] allow; of what comes after that, what is left of the cap is sent, and the parents
    /// of what was.
    pub fn max_spans_per_trace(mut self, spans: usize) -> Self {
        self.plan.cap = Some(spans);
        self
    }

    /// Adds the collector itself as a source of metrics: what it received, dropped and delivered,
    /// what waits, and what that took. [`Report::metrics`](crate::Report::metrics) has them all.
    pub fn own_metrics(mut self, interval: Duration) -> Self {
        self.sources.add_own(Instant::now(), interval);
        self
    }

    /// Cuts what spans and log records have beyond these limits. Without it there are none.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.plan.limits = Some(limits);
        self
    }

    /// Tells no more names of spans and series of metrics apart than these. Without it there is no bound.
    pub fn cardinality(mut self, cardinality: Cardinality) -> Self {
        self.plan.cardinality = Some(cardinality);
        self
    }

    /// Sets which exemplars are sent with metrics; without it all that their sources give.
    pub fn exemplars(mut self, filter: ExemplarFilter) -> Self {
        self.exemplars = filter;
        self
    }

    /// Does what the environment says of sampling, limits and exemplars.
    pub fn environment(self, environment: &Environment) -> Self {
        self.sampler(environment.sampler.clone())
            .limits(environment.limits)
            .exemplars(environment.exemplars)
    }

    /// How many chunks the channel holds; 1,024 unless told, and at least one.
    pub fn capacity(mut self, chunks: usize) -> Self {
        self.capacity = chunks;
        self
    }

    /// What to do with a chunk when the channel is full; [`OnFull::Drop`] unless told.
    pub fn on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self
    }

    /// Starts the collector's thread.
    ///
    /// If the operating system refuses a thread, everything that is sent is counted
    /// as `closed` and the report says so.
    pub fn start(self) -> Collector {
        let monitors = self.exporters.iter().filter_map(|exporter| {
            exporter.monitor().map(|monitor| (exporter.name().to_owned(), monitor))
        });
        let monitors = Monitors(monitors.collect());
        let (handle, messages) = channel(self.capacity, self.on_full, monitors);
        let names = self.exporters.iter().map(|exporter| exporter.name().to_owned()).collect();
        let started = SystemTime::now();
        let worker = Worker {
            exporters: self.exporters,
            sources: self.sources,
            stage: Stage::new(self.plan).map(Box::new),
            exemplars: self.exemplars,
            handed: Handed::default(),
            intake: handle.intake().clone(),
            started,
        };
        let thread = thread::Builder::new()
            .name("observe-collector".to_owned())
            .spawn(|| worker.run(messages));
        Collector { handle, names, started, thread: thread.ok() }
    }
}
