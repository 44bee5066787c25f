//! Everything between the encoder and the network of one signal, as a state machine that reads no
//! clock and waits for nothing: the batch in the making, the queue, retries, and
//! the counts of all of them.

use std::time::{Duration, Instant};

use super::batch::{Batch, Batcher};
use super::queue::Queue;
use super::retry::Backoff;
use super::vitals::Vitals;
use crate::stats::Counts;
use crate::transfers::QueueState;

/// What the sender has to do.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send this, and tell [`Pipeline::settle`] what came of it.
    Send(Attempt),
    /// Wait for a change, at most until this moment.
    Wait(Option<Instant>),
    /// Nothing will ever come again.
    Stop,
}

/// A batch and the moment it was first sent.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) batch: Batch,
    first: Option<Instant>,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The receiver took it, except for so many items; `u64::MAX` is all of them.
    Delivered { rejected: u64, note: Option<String> },
    /// The receiver will never take it.
    Refused { error: String },
    /// It may take it later.
    Failed { error: String, retry_after: Option<Duration> },
}

pub(crate) struct Pipeline {
    batcher: Batcher,
    queue: Queue,
    /// A batch that was sent and has to be sent again, before all in the queue.
    again: Option<Attempt>,
    /// Items that the sender holds.
    in_flight: u64,
    backoff: Backoff,
    /// The end of a shutdown.
    closing: Option<Instant>,
    aborted: bool,
    /// Without `queued`, which is counted where the items are.
    counts: Counts,
    vitals: Vitals,
    last_error: Option<String>,
}

impl Pipeline {
    pub(crate) fn new(batcher: Batcher, queue: Queue, backoff: Backoff) -> Self {
        Pipeline {
            batcher,
            queue,
            again: None,
            in_flight: 0,
            backoff,
            closing: None,
            aborted: false,
            counts: Counts::default(),
            vitals: Vitals::default(),
            last_error: None,
        }
    }

    /// Adds what `put` appends to the buffer it is given, which counts as so many items. Returns
    /// whether the sender has something new to see.
    pub(crate) fn push(
        &mut self,
        now: Instant,
        items: usize,
        put: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        self.counts.accepted += items as u64;
        if self.aborted {
            self.counts.dropped.undelivered += items as u64;
            return false;
        }
        let first = self.batcher.items() == 0;
        match self.batcher.push(now, items, put) {
            Some(batch) => {
                self.enqueue(now, batch);
                true
            }
            // The sender has to know when the new batch is due.
            None => first,
        }
    }

    /// Makes everything ready to be sent.
    pub(crate) fn flush(&mut self, now: Instant) {
        if let Some(batch) = self.batcher.finish() {
            self.enqueue(now, batch);
        }
    }

    /// As [`Pipeline::flush`], and what is not settled by the deadline will be dropped.
    pub(crate) fn close(&mut self, now: Instant, deadline: Instant) {
        self.flush(now);
        self.closing = Some(deadline);
    }

    /// Drops everything, also what is in flight.
    pub(crate) fn abort(&mut self) {
        self.counts.dropped.undelivered += self.queued();
        if self.in_flight > 0 {
            // Nobody will learn what came of that request.
            self.last_error.get_or_insert_with(|| "no answer before time was up".to_owned());
        }
        self.aborted = true;
        self.batcher.finish();
        self.queue.clear();
        self.again = None;
        self.in_flight = 0;
    }

    /// What the sender has to do now.
    pub(crate) fn next(&mut self, now: Instant) -> Step {
        if self.batcher.due().is_some_and(|due| due <= now) {
            self.flush(now);
        }
        if self.aborted {
            return Step::Stop;
        }
        if self.again.is_none() && self.queue.is_empty() {
            return match self.closing {
                Some(_) => Step::Stop,
                None => Step::Wait(self.batcher.due()),
            };
        }
        let ready = self.backoff.not_before().unwrap_or(now);
        let too_late = self.closing.is_some_and(|deadline| deadline <= ready.max(now));
        if too_late {
            self.abort();
            return Step::Stop;
        }
        if ready > now {
            // A batch that falls due meanwhile waits in line anyway.
            return Step::Wait(Some(ready));
        }
        let queued = || self.queue.pop().map(|batch| Attempt { batch, first: None });
        let Some(mut attempt) = self.again.take().or_else(queued) else {
            return Step::Wait(None);
        };
        self.vitals.sent(now, attempt.batch.body().len(), attempt.first.is_some());
        attempt.first.get_or_insert(now);
        self.in_flight = attempt.batch.items;
        Step::Send(attempt)
    }

    /// Takes note of what came of a request.
    pub(crate) fn settle(&mut self, now: Instant, attempt: Attempt, outcome: Outcome) {
        if self.aborted {
            // Counted already, as nobody knew.
            return;
        }
        let items = std::mem::take(&mut self.in_flight);
        self.vitals.ended(now);
        match outcome {
            Outcome::Delivered { rejected, note } => {
                self.vitals.taken(now);
                let rejected = rejected.min(items);
                self.counts.rejected += rejected;
                self.counts.delivered += items - rejected;
                self.last_error = note.or_else(|| self.last_error.take());
                self.backoff.succeeded();
            }
            Outcome::Refused { error } => {
                self.vitals.answered();
                self.vitals.erred(&error);
                self.vitals.lost(now);
                self.counts.dropped.refused += items;
                self.last_error = Some(error);
                self.backoff.succeeded();
            }
            Outcome::Failed { error, retry_after } => {
                self.backoff.failed(now, retry_after);
                self.vitals.failed(now, &error, self.backoff.not_before());
                self.last_error = Some(error);
                if attempt.first.is_none_or(|first| self.backoff.goes_on(now, first)) {
                    self.again = Some(attempt);
                    return;
                }
                self.vitals.lost(now);
                self.counts.dropped.retries_exhausted += items;
            }
        }
        self.batcher.reuse(attempt.batch.into_buffer());
    }

    /// Whether the sender holds a batch.
    pub(crate) fn is_sending(&self) -> bool {
        self.in_flight > 0
    }

    /// Whether whoever pushes may go on. When nothing is taken any more there is nothing to
    /// wait for.
    pub(crate) fn has_room(&self) -> bool {
        self.aborted || self.queue.has_room()
    }

    /// When a shutdown ends, if there is one.
    pub(crate) fn closing(&self) -> Option<Instant> {
        self.closing
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts { queued: self.queued(), ..self.counts }
    }

    pub(crate) fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    pub(crate) fn queue_state(&self) -> QueueState {
        self.queue.state()
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.clone()
    }

    pub(crate) fn set_error(&mut self, error: String) {
        self.vitals.erred(&error);
        self.last_error = Some(error);
    }

    fn enqueue(&mut self, now: Instant, batch: Batch) {
        for dropped in self.queue.push(batch) {
            self.vitals.lost(now);
            self.counts.dropped.queue_full += dropped.items;
            self.batcher.reuse(dropped.into_buffer());
        }
    }

    fn queued(&self) -> u64 {
        let again = self.again.as_ref().map_or(0, |attempt| attempt.batch.items);
        self.batcher.items() + self.queue.items() + again + self.in_flight
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
