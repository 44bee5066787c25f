//! The way from host threads to the collector's thread: bounded, and every
//! span that does not fit is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TrySendError};

use crate::event::Chunk;
use crate::stats::{Dropped, Report};

/// What [`Handle::send`] does when the channel is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// Drop the chunk that does not fit and count its spans. The guest never waits.
    #[default]
    Drop,
    /// Wait for room, so that no span is lost on the way to the exporters, except for
    /// those whose sender still waits during a shutdown. What an exporter does when
    /// its own queue is full is another matter.
    Block,
}

/// What travels in the channel. Requests stand in line behind the chunks that
/// were sent before them, which is what makes a flush mean something.
#[derive(Debug)]
pub(crate) enum Message {
    Chunk(Chunk),
    Flush { deadline: Instant, reply: Sender<bool> },
    Report { reply: Sender<Report> },
    Shutdown { deadline: Instant, reply: Sender<Report> },
}

/// Spans counted where they enter.
///
/// `offered` is raised before a chunk is sent and the drops after that failed, so
/// whoever reads the drops first and `offered` second never sees more dropped
/// than offered.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    offered: AtomicU64,
    full: AtomicU64,
    closed: AtomicU64,
    closing: AtomicBool,
}

/// A reading of [`Intake`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offered {
    pub(crate) spans: u64,
    pub(crate) dropped: Dropped,
}

impl Intake {
    pub(crate) fn read(&self) -> Offered {
        let channel_full = self.full.load(Ordering::Acquire);
        let closed = self.closed.load(Ordering::Acquire);
        let spans = self.offered.load(Ordering::Acquire);
        Offered { spans, dropped: Dropped { channel_full, closed, ..Dropped::default() } }
    }

    /// From now on [`Handle::send`] counts and drops.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }
}

/// What a host sends chunks through. Clones share one channel.
#[derive(Clone, Debug)]
pub struct Handle {
    messages: Sender<Message>,
    intake: Arc<Intake>,
    on_full: OnFull,
}

impl Handle {
    /// Hands a chunk to the collector's thread.
    ///
    /// Never fails: a chunk that cannot be sent is dropped and its spans are counted,
    /// as `channel_full` or, after a shutdown, as `closed`.
    ///
    /// # Overhead
    ///
    /// One atomic addition and one push on a bounded channel for each chunk, whatever
    /// its size. Under [`OnFull::Drop`] this never waits.
    pub fn send(&self, chunk: Chunk) {
        let spans = chunk.spans.len() as u64;
        if spans == 0 {
            return;
        }
        self.intake.offered.fetch_add(spans, Ordering::AcqRel);
        if self.intake.closing.load(Ordering::Acquire) {
            self.intake.closed.fetch_add(spans, Ordering::AcqRel);
            return;
        }
        let message = Message::Chunk(chunk);
        let dropped = match self.on_full {
            OnFull::Drop => match self.messages.try_send(message) {
                Ok(()) => return,
                Err(TrySendError::Full(_)) => &self.intake.full,
                Err(TrySendError::Disconnected(_)) => &self.intake.closed,
            },
            OnFull::Block => match self.messages.send(message) {
                Ok(()) => return,
                Err(_) => &self.intake.closed,
            },
        };
        dropped.fetch_add(spans, Ordering::AcqRel);
    }

    /// The spans that did not enter the channel so far: `channel_full` and `closed`.
    pub fn dropped(&self) -> Dropped {
        self.intake.read().dropped
    }

    pub(crate) fn intake(&self) -> &Arc<Intake> {
        &self.intake
    }

    pub(crate) fn messages(&self) -> &Sender<Message> {
        &self.messages
    }
}

/// A channel that holds this many messages.
pub(crate) fn channel(capacity: usize, on_full: OnFull) -> (Handle, Receiver<Message>) {
    // A channel of capacity 0 takes a chunk only while the thread waits for one.
    let (messages, receiver) = crossbeam_channel::bounded(capacity.max(1));
    (Handle { messages, intake: Arc::default(), on_full }, receiver)
}
