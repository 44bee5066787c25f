//! The life cycle: one thread that takes chunks from the channel, asks for metrics, and gives
//! both to each exporter.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::cardinality::Cardinality;
use crate::channel::{Handle, Message, OnFull, channel};
use crate::environment::Environment;
use crate::event::{Chunk, Metric};
use crate::exemplars::ExemplarFilter;
use crate::exporter::Exporter;
use crate::health::{Health, Monitors};
use crate::intake::{Intake, Offered};
use crate::limits::Limits;
use crate::metrics::{Answers, Sources};
use crate::sampling::{Sampler, TailSampling};
use crate::stage::{Plan, Stage};
use crate::stats::{ChannelReport, Counts, ExporterReport, Flow, Passage, Report, Signal};

/// Chunks that wait in the channel before it counts as full.
const DEFAULT_CAPACITY: usize = 1024;

/// How much longer than the deadline a caller waits for the thread's answer.
/// An exporter that keeps to its deadline needs only the time to say so.
const GRACE: Duration = Duration::from_millis(250);

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
    /// what waits, and what that took. [`Report::metrics`] has them all.
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
    /// [`OnFull::Drop`].
    pub fn builder() -> Builder {
        Builder {
            exporters: Vec::new(),
            sources: Sources::default(),
            plan: Plan::default(),
            exemplars: ExemplarFilter::AlwaysOn,
            capacity: DEFAULT_CAPACITY,
            on_full: OnFull::default(),
        }
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

/// What the thread owns.
struct Worker {
    exporters: Vec<Box<dyn Exporter>>,
    sources: Sources,
    /// What stands between the channel and the exporters, if anything does.
    stage: Option<Box<Stage>>,
    exemplars: ExemplarFilter,
    handed: Handed,
    intake: Arc<Intake>,
    started: SystemTime,
}

/// How much was taken from the channel.
#[derive(Default)]
struct Handed {
    spans: u64,
    logs: u64,
}

impl Worker {
    fn run(mut self, messages: Receiver<Message>) {
        loop {
            let message = match self.due() {
                Some(due) => messages.recv_deadline(due),
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            // Chunks that come without a pause do not keep the sources waiting.
            if self.sources.due().is_some() {
                let answers = self.sources.ask_due(Instant::now());
                self.export_metrics(answers);
            }
            if self.stage.as_ref().is_some_and(|stage| stage.due().is_some()) {
                self.stage_with(|stage, out| stage.tick(Instant::now(), out));
            }
            let message = match message {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Message::Shutdown { deadline, reply } = message {
                // Senders that were past the check when the channel was closed, or
                // that waited for room, come in behind this message.
                while let Ok(message) = messages.try_recv() {
                    self.handle_message(message);
                }
                self.stage_with(|stage, out| stage.flush(Instant::now(), out));
                self.ask_all();
                self.start_delivery();
                for exporter in &mut self.exporters {
                    exporter.shutdown(deadline);
                }
                // From here senders fail. What came in since the last look is lost and
                // is counted as closed.
                drop(messages);
                let _ = reply.send(self.report(Channel::Closed));
                return;
            }
            self.handle_message(message);
        }
    }

    fn handle_message(&mut self, message: Message) {
        match message {
            Message::Chunk(chunk) => self.take(chunk),
            Message::Source { interval, ask } => self.sources.add(Instant::now(), interval, ask),
            Message::Flush { deadline, reply } => {
                self.stage_with(|stage, out| stage.flush(Instant::now(), out));
                self.ask_all();
                self.start_delivery();
                for exporter in &mut self.exporters {
                    exporter.flush(deadline);
                }
                let exporters = self.exporters.iter();
                let mut counts = exporters.flat_map(|exporter| {
                    Signal::ALL.iter().filter_map(|signal| exporter.counts_of(*signal))
                });
                let done = counts.all(|counts| counts.queued == 0);
                let _ = reply.send(done);
            }
            Message::Report { reply } => {
                let _ = reply.send(self.report(Channel::Open));
            }
            // Only its sender can have sent another, and it sends one.
            Message::Shutdown { .. } => {}
        }
    }

    /// When something is to be done even if no message comes.
    fn due(&self) -> Option<Instant> {
        let stage = self.stage.as_ref().and_then(|stage| stage.due());
        [self.sources.due(), stage].into_iter().flatten().min()
    }

    fn take(&mut self, chunk: Chunk) {
        self.handed.spans += chunk.spans.len() as u64;
        self.handed.logs += chunk.logs.len() as u64;
        if self.stage.is_some() {
            self.stage_with(|stage, out| stage.push(Instant::now(), chunk, out));
        } else {
            export(&mut self.exporters, &chunk);
        }
    }

    /// Lets the stage, if there is one, give chunks to the exporters.
    fn stage_with(&mut self, run: impl FnOnce(&mut Stage, &mut dyn FnMut(&Chunk))) {
        let Worker { stage, exporters, .. } = self;
        if let Some(stage) = stage {
            run(stage, &mut |chunk| export(exporters, chunk));
        }
    }

    /// Gives the exporters metrics as they are now.
    fn ask_all(&mut self) {
        let answers = self.sources.ask_all();
        self.export_metrics(answers);
    }

    fn export_metrics(&mut self, answers: Answers) {
        let mut metrics = answers.metrics;
        if answers.own {
            metrics.append(&mut self.own_metrics());
        }
        if metrics.is_empty() {
            return;
        }
        self.exemplars.apply(&mut metrics);
        if let Some(stage) = &mut self.stage {
            stage.pass_metrics(&mut metrics);
        }
        for exporter in &mut self.exporters {
            exporter.export_metrics(&metrics);
        }
    }

    fn own_metrics(&self) -> Vec<Metric> {
        self.report(Channel::Open).metrics(self.started, SystemTime::now())
    }

    /// Has all exporters deliver at the same time, so that a slow one does not
    /// use up the time of those behind it.
    fn start_delivery(&mut self) {
        let now = Instant::now();
        for exporter in &mut self.exporters {
            exporter.flush(now);
        }
    }

    /// What the exporters say, with what happened before the chunks reached them.
    fn report(&self, channel: Channel) -> Report {
        let (spans, logs) = (self.intake.spans(), self.intake.logs());
        let stage = self.stage.as_ref().map(|stage| stage.report()).unwrap_or_default();
        let report = |exporter: &dyn Exporter| {
            let counts_of = |signal, offered, handed, flow| {
                let counts = exporter.counts_of(signal);
                let whole = |counts| whole(counts, offered, handed, flow, channel);
                counts.map(whole).unwrap_or_default()
            };
            ExporterReport {
                name: exporter.name().to_owned(),
                counts: counts_of(Signal::Traces, spans, self.handed.spans, stage.spans),
                logs: counts_of(Signal::Logs, logs, self.handed.logs, stage.logs),
                metrics: exporter.counts_of(Signal::Metrics).unwrap_or_default(),
                transfers: Signal::ALL
                    .into_iter()
                    .filter_map(|signal| Some((signal, exporter.transfers(signal)?)))
                    .collect(),
                last_error: exporter.last_error(),
                errors: Signal::ALL
                    .iter()
                    .filter_map(|signal| Some((*signal, exporter.last_error_of(*signal)?)))
                    .collect(),
            }
        };
        let exporters = self.exporters.iter().map(|exporter| report(&**exporter)).collect();
        let channel = ChannelReport {
            spans: passage(spans, self.handed.spans, channel),
            logs: passage(logs, self.handed.logs, channel),
        };
        Report { exporters, channel, stage }
    }
}

/// Gives a chunk to each exporter.
fn export(exporters: &mut [Box<dyn Exporter>], chunk: &Chunk) {
    for exporter in exporters {
        exporter.export(chunk);
    }
}

/// The counts of an exporter and what came before it: what was offered, less what was taken from the
/// channel, and what the stage holds of that. What the stage keeps back was never for an exporter.
fn whole(
    mut counts: Counts,
    offered: Offered,
    handed: u64,
    flow: Flow,
    channel: Channel,
) -> Counts {
    let in_channel = offered.number - offered.dropped.total() - handed;
    // An exporter's own count may be of more than it was given: it may have taken up what an
    // earlier process left.
    let passed = handed - flow.kept_back() - flow.held;
    counts.accepted += offered.number - flow.kept_back() - passed;
    counts.queued += flow.held;
    counts.dropped.channel_full += offered.dropped.channel_full;
    counts.dropped.closed += offered.dropped.closed;
    match channel {
        Channel::Open => counts.queued += in_channel,
        Channel::Closed => counts.dropped.closed += in_channel,
    }
    counts
}

/// The way through the channel, of which the thread took so much.
fn passage(offered: Offered, taken: u64, channel: Channel) -> Passage {
    let waiting = offered.number - offered.dropped.total() - taken;
    let (closed, waiting) = match channel {
        Channel::Open => (0, waiting),
        Channel::Closed => (waiting, 0),
    };
    Passage {
        offered: offered.number,
        taken,
        full: offered.dropped.channel_full,
        closed: offered.dropped.closed + closed,
        waiting,
    }
}

/// Whether what is in the channel can still reach the exporters.
#[derive(Clone, Copy)]
enum Channel {
    Open,
    Closed,
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
