//! Everything between the encoder and the network of one signal, as a state machine that reads no
//! clock and waits for nothing: the batch in the making, the queue, retries, and
//! the counts of all of them.

use std::io;
use std::time::{Duration, Instant};

use super::backlog::{Backlog, Popped};
use super::batch::{Batch, Batcher};
use super::disk::{Origin, Recovered, Unsynced};
use super::retry::Backoff;
use super::vitals::Vitals;
use crate::stats::Counts;
use crate::transfers::{DiskState, QueueState};

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

/// A batch, where on disk it is, and the moment it was first sent.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) batch: Batch,
    origin: Option<Origin>,
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
    backlog: Backlog,
    /// A batch that was sent and has to be sent again, before all in the queue.
    again: Option<Attempt>,
    /// Items that the sender holds, and where on disk they are.
    in_flight: Option<(u64, Option<Origin>)>,
    backoff: Backoff,
    /// When a disk that cannot be read is tried again.
    disk_not_before: Option<Instant>,
    /// The end of a shutdown.
    closing: Option<Instant>,
    aborted: bool,
    /// Without `queued`, which is counted where the items are.
    counts: Counts,
    vitals: Vitals,
    last_error: Option<String>,
}

impl Pipeline {
    pub(crate) fn new(batcher: Batcher, backlog: Backlog, backoff: Backoff) -> Self {
        Pipeline {
            batcher,
            backlog,
            again: None,
            in_flight: None,
            backoff,
            disk_not_before: None,
            closing: None,
            aborted: false,
            counts: Counts::default(),
            vitals: Vitals::default(),
            last_error: None,
        }
    }

    /// Counts what an earlier process left in the backlog as accepted by this one, since this one
    /// has to account for it.
    pub(crate) fn recover(&mut self, now: Instant, recovered: Recovered) {
        self.counts.accepted += recovered.items + recovered.damaged;
        self.damaged(now, recovered.damaged);
        if let Some(note) = recovered.note {
            self.set_error(note);
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

    /// Drops everything, also what is in flight, but for what is on disk.
    pub(crate) fn abort(&mut self, now: Instant) {
        if self.aborted {
            return;
        }
        if self.backlog.is_on_disk() {
            self.flush(now);
        }
        let queued = self.queued();
        if self.in_flight.is_some() {
            // Nobody will learn what came of that request.
            self.last_error.get_or_insert_with(|| "no answer before time was up".to_owned());
        }
        self.aborted = true;
        self.batcher.finish();
        let again = self.again.take().map(|attempt| (attempt.batch.items, attempt.origin));
        let held = self.in_flight.take().or(again);
        let held = held.and_then(|(items, origin)| Some((origin?, items)));
        let kept = self.backlog.close(now, held);
        self.counts.dropped.undelivered += queued - kept;
    }

    /// When the batch in the making is to be finished even if nothing more comes.
    pub(crate) fn batch_due(&self) -> Option<Instant> {
        self.batcher.due()
    }

    /// Makes the batch in the making ready to be sent if its time has come.
    pub(crate) fn flush_due(&mut self, now: Instant) {
        if self.batcher.due().is_some_and(|due| due <= now) {
            self.flush(now);
        }
    }

    /// What the sender has to do now.
    pub(crate) fn next(&mut self, now: Instant) -> Step {
        self.flush_due(now);
        if self.aborted {
            return Step::Stop;
        }
        if self.again.is_none() && self.backlog.is_empty() {
            return match self.closing {
                Some(_) => Step::Stop,
                None => Step::Wait(self.batcher.due()),
            };
        }
        let waits = [self.backoff.not_before(), self.disk_not_before];
        let ready = waits.into_iter().flatten().max().unwrap_or(now);
        let too_late = self.closing.is_some_and(|deadline| deadline <= ready.max(now));
        if too_late {
            self.abort(now);
            return Step::Stop;
        }
        if ready > now {
            // A batch that falls due meanwhile waits in line, but on the disk, if there is one.
            return Step::Wait(self.batcher.due().into_iter().chain([ready]).min());
        }
        let mut attempt = match self.again.take() {
            Some(attempt) => attempt,
            None => match self.pop(now) {
                Ok(attempt) => attempt,
                Err(step) => return step,
            },
        };
        self.vitals.sent(now, attempt.batch.body().len(), attempt.first.is_some());
        attempt.first.get_or_insert(now);
        self.in_flight = Some((attempt.batch.items, attempt.origin));
        Step::Send(attempt)
    }

    /// The batch that has waited longest, or what to do without one.
    fn pop(&mut self, now: Instant) -> Result<Attempt, Step> {
        loop {
            match self.backlog.pop(now) {
                Popped::Batch(batch, origin) => {
                    self.disk_not_before = None;
                    return Ok(Attempt { batch, origin, first: None });
                }
                Popped::Damage { items, error } => {
                    self.damaged(now, items);
                    self.set_error(error);
                }
                Popped::Later { until, error } => {
                    self.set_error(error);
                    self.disk_not_before = Some(until);
                    return Err(Step::Wait(self.batcher.due().into_iter().chain([until]).min()));
                }
                Popped::Nothing => {
                    let due = self.batcher.due();
                    return Err(self.closing.map_or(Step::Wait(due), |_| Step::Stop));
                }
            }
        }
    }

    fn damaged(&mut self, now: Instant, items: u64) {
        self.counts.dropped.damaged += items;
        if items > 0 {
            self.vitals.lost(now);
        }
    }

    /// Takes note of what came of a request.
    pub(crate) fn settle(&mut self, now: Instant, attempt: Attempt, outcome: Outcome) {
        if self.aborted {
            // Counted already, as nobody knew.
            return;
        }
        let items = self.in_flight.take().map_or(0, |(items, _)| items);
        self.vitals.ended(now);
        match outcome {
            Outcome::Delivered { rejected, note } => {
                let rejected = rejected.min(items);
                if rejected < items {
                    self.vitals.taken(now);
                } else {
                    self.vitals.answered();
                }
                if rejected > 0 {
                    self.vitals.lost(now);
                }
                if let Some(note) = &note {
                    self.vitals.erred(note);
                }
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
                // What is on disk is there to outlast an outage.
                let kept = attempt.origin.is_some_and(|origin| self.backlog.holds(origin));
                let goes_on = |first| self.backoff.goes_on(now, first);
                if kept || attempt.first.is_none_or(goes_on) {
                    self.again = Some(attempt);
                    return;
                }
                self.vitals.lost(now);
                self.counts.dropped.retries_exhausted += items;
            }
        }
        let buffer = attempt.batch.into_buffer();
        match attempt.origin {
            Some(origin) => {
                if let Some(error) = self.backlog.settle(origin, buffer) {
                    self.set_error(error);
                }
            }
            None => self.batcher.reuse(buffer),
        }
    }

    /// Whether the sender holds a batch.
    pub(crate) fn is_sending(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether whoever pushes may go on. When nothing is taken any more there is nothing to
    /// wait for.
    pub(crate) fn has_room(&self) -> bool {
        self.aborted || self.backlog.has_room()
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
        self.backlog.state()
    }

    pub(crate) fn disk_state(&self) -> Option<DiskState> {
        self.backlog.disk_state()
    }

    /// What was written to disk and has to be synced, which is then the caller's to do, and
    /// [`Pipeline::synced`] to be told of.
    pub(crate) fn take_unsynced(&mut self) -> Unsynced {
        self.backlog.take_unsynced()
    }

    /// When the first of that was written.
    pub(crate) fn unsynced_since(&self) -> Option<Instant> {
        self.backlog.unsynced_since()
    }

    /// So many items are on the disk now, or something went wrong.
    pub(crate) fn synced(&mut self, outcome: io::Result<u64>) {
        match outcome {
            Ok(items) => self.backlog.add_synced(items),
            Err(error) => self.set_error(format!("the disk queue could not be synced: {error}")),
        }
    }

    /// Whether there is nothing to wait for: all is settled, or nothing more will be.
    pub(crate) fn is_settled(&self) -> bool {
        self.aborted || self.queued() == 0
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.clone()
    }

    pub(crate) fn set_error(&mut self, error: String) {
        self.vitals.erred(&error);
        self.last_error = Some(error);
    }

    fn enqueue(&mut self, now: Instant, batch: Batch) {
        let pushed = self.backlog.push(now, batch);
        if pushed.lost > 0 {
            self.vitals.lost(now);
            self.counts.dropped.queue_full += pushed.lost;
        }
        if let Some(error) = pushed.error {
            self.set_error(error);
        }
        if let Some(buffer) = pushed.spare {
            self.batcher.reuse(buffer);
        }
    }

    fn queued(&self) -> u64 {
        let again = self.again.as_ref().map_or(0, |attempt| attempt.batch.items);
        let in_flight = self.in_flight.map_or(0, |(items, _)| items);
        self.batcher.items() + self.backlog.items() + again + in_flight
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
