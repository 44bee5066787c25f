//! The way from host threads to the collector's thread: bounded, and all
//! that does not fit is counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};

use crate::event::Chunk;
use crate::health::{Health, Monitors};
use crate::intake::{Intake, Refusal};
use crate::metrics::Ask;
use crate::stats::{Dropped, Report};

/// What [`Handle::send`] does when the channel is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// Drop the chunk that does not fit and count its spans and log records. The guest never
    /// waits.
    #[default]
    Drop,
    /// Wait for room, so that nothing is lost on the way to the exporters, except for
    /// chunks whose sender still waits during a shutdown. What an exporter does when
    /// its own queue is full is another matter.
    Block,
}

/// What travels in the channel. Requests stand in line behind the chunks that
/// were sent before them, which is what makes a flush mean something.
pub(crate) enum Message {
    Chunk(Chunk),
    Source { interval: Duration, ask: Ask },
    Flush { deadline: Instant, reply: Sender<bool> },
    Report { reply: Sender<Report> },
    Shutdown { deadline: Instant, reply: Sender<Report> },
}

/// What a host sends chunks through. Clones share one channel.
#[derive(Clone, Debug)]
pub struct Handle {
    messages: Sender<Message>,
    intake: Arc<Intake>,
    on_full: OnFull,
    monitors: Arc<Monitors>,
}

impl Handle {
    /// Hands a chunk to the collector's thread. One without spans and log records is no chunk.
    ///
    /// Never fails: a chunk that cannot be sent is dropped and its spans and log records are
    /// counted, as `channel_full` or, after a shutdown, as `closed`.
    ///
    /// # Overhead
    ///
    /// One atomic addition for each signal that the chunk has, and one push on a bounded channel,
    /// whatever its size. Under [`OnFull::Drop`] this never waits.
    pub fn send(&self, chunk: Chunk) {
        let (spans, logs) = (chunk.spans.len() as u64, chunk.logs.len() as u64);
        if spans == 0 && logs == 0 {
            return;
        }
        self.intake.offer(spans, logs);
        if let Err(why) = self.try_send(chunk) {
            self.intake.refuse(spans, logs, why);
        }
    }

    fn try_send(&self, chunk: Chunk) -> Result<(), Refusal> {
        if self.intake.is_closed() {
            return Err(Refusal::Closed);
        }
        let message = Message::Chunk(chunk);
        match self.on_full {
            OnFull::Drop => self.messages.try_send(message).map_err(|error| match error {
                TrySendError::Full(_) => Refusal::Full,
                TrySendError::Disconnected(_) => Refusal::Closed,
            }),
            OnFull::Block => self.messages.send(message).map_err(|_| Refusal::Closed),
        }
    }

    /// The spans that did not enter the channel so far: `channel_full` and `closed`.
    pub fn dropped(&self) -> Dropped {
        self.intake.spans().dropped
    }

    /// The log records that did not enter the channel so far.
    pub fn dropped_logs(&self) -> Dropped {
        self.intake.logs().dropped
    }

    /// Whether the exporters deliver, as [`Collector::health`](crate::Collector::health) says.
    pub fn health(&self) -> Health {
        self.monitors.health()
    }

    pub(crate) fn monitors(&self) -> &Monitors {
        &self.monitors
    }

    pub(crate) fn intake(&self) -> &Arc<Intake> {
        &self.intake
    }

    pub(crate) fn messages(&self) -> &Sender<Message> {
        &self.messages
    }
}

/// A channel that holds this many messages.
pub(crate) fn channel(
    capacity: usize,
    on_full: OnFull,
    monitors: Monitors,
) -> (Handle, Receiver<Message>) {
    // A channel of capacity 0 takes a chunk only while the thread waits for one.
    let (messages, receiver) = crossbeam_channel::bounded(capacity.max(1));
    let (intake, monitors) = (Arc::default(), Arc::new(monitors));
    (Handle { messages, intake, on_full, monitors }, receiver)
}
