//! What the collector's thread does.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::channel::Message;
use crate::event::{Chunk, Metric};
use crate::exemplars::ExemplarFilter;
use crate::exporter::Exporter;
use crate::intake::{Intake, Offered};
use crate::metrics::{Answers, Sources};
use crate::stage::Stage;
use crate::stats::{ChannelReport, Counts, ExporterReport, Flow, Passage, Report, Signal};

/// What the thread owns.
pub(super) struct Worker {
    pub(super) exporters: Vec<Box<dyn Exporter>>,
    pub(super) sources: Sources,
    /// What stands between the channel and the exporters, if anything does.
    pub(super) stage: Option<Box<Stage>>,
    pub(super) exemplars: ExemplarFilter,
    pub(super) handed: Handed,
    pub(super) intake: Arc<Intake>,
    pub(super) started: SystemTime,
}

/// How much was taken from the channel.
#[derive(Default)]
pub(super) struct Handed {
    spans: u64,
    logs: u64,
}

impl Worker {
    pub(super) fn run(mut self, messages: Receiver<Message>) {
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
pub(super) fn passage(offered: Offered, taken: u64, channel: Channel) -> Passage {
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
pub(super) enum Channel {
    Open,
    Closed,
}
