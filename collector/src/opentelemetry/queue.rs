//! What waits for an exporter of the SDK, and what became of the rest. Reads no clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use crate::stats::Counts;

/// Items that an exporter is given at once, at most: the specification's
/// `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`.
const BATCH: usize = 512;

/// How much may wait, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// As [`Weigh`] counts them.
    pub(super) bytes: usize,
    pub(super) delay: Duration,
}

/// About how many bytes a value takes with all that it owns.
pub(super) trait Weigh {
    fn weight(&self) -> usize;
}

/// What the thread has to do.
pub(super) enum Step<T> {
    /// Export these, and tell [`Queue::settle`].
    Export(Vec<T>),
    /// Have the exporter flush, and tell [`Queue::flushed`].
    Flush,
    Wait(Option<Instant>),
    Stop,
}

pub(super) struct Queue<T> {
    limits: Limits,
    /// With their weights.
    items: VecDeque<(T, usize)>,
    bytes: usize,
    in_flight: u64,
    /// When the oldest came.
    opened: Option<Instant>,
    /// How often a flush was asked for, and how often it was done.
    asked: u64,
    done: u64,
    flushing: u64,
    closing: Option<Instant>,
    aborted: bool,
    /// Without `queued`, which is counted where the items are.
    counts: Counts,
    last_error: Option<String>,
}

impl<T: Weigh> Queue<T> {
    /// Appends an item, or drops it if there is no room. Returns whether the thread has something
    /// new to see.
    pub(super) fn push(&mut self, now: Instant, item: T) -> bool {
        self.counts.accepted += 1;
        if self.aborted {
            self.counts.dropped.undelivered += 1;
            return false;
        }
        let weight = item.weight();
        if weight > self.limits.bytes.saturating_sub(self.bytes) {
            self.counts.dropped.queue_full += 1;
            return false;
        }
        self.bytes += weight;
        self.items.push_back((item, weight));
        let first = self.opened.is_none();
        self.opened.get_or_insert(now);
        first || self.items.len() == BATCH
    }
}

impl<T> Queue<T> {
    pub(super) fn new(limits: Limits) -> Self {
        Queue {
            limits,
            items: VecDeque::new(),
            bytes: 0,
            in_flight: 0,
            opened: None,
            asked: 0,
            done: 0,
            flushing: 0,
            closing: None,
            aborted: false,
            counts: Counts::default(),
            last_error: None,
        }
    }

    /// Has everything exported at once, and the exporter flush; returns what
    /// [`Queue::is_flushed`] has to be asked for.
    pub(super) fn flush(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// Whether the flush of this number is done, or never will be.
    pub(super) fn is_flushed(&self, number: u64) -> bool {
        self.aborted || self.done >= number
    }

    /// As [`Queue::flush`], and what is not settled by the deadline will be dropped.
    pub(super) fn close(&mut self, deadline: Instant) -> u64 {
        self.closing = Some(deadline);
        self.flush()
    }

    /// Drops everything, also what is in flight.
    pub(super) fn abort(&mut self) {
        if self.queued() > 0 {
            let error = "time was up before everything was exported";
            self.last_error.get_or_insert_with(|| error.to_owned());
        }
        self.counts.dropped.undelivered += self.queued();
        self.aborted = true;
        self.items = VecDeque::new();
        self.bytes = 0;
        self.in_flight = 0;
    }

    pub(super) fn next(&mut self, now: Instant) -> Step<T> {
        if self.aborted {
            return Step::Stop;
        }
        if self.closing.is_some_and(|deadline| deadline <= now) {
            self.abort();
            return Step::Stop;
        }
        let due = self.opened.and_then(|opened| opened.checked_add(self.limits.delay));
        let ready = self.items.len() >= BATCH
            || self.asked > self.done
            || due.is_some_and(|due| due <= now);
        if !self.items.is_empty() && ready {
            let number = self.items.len().min(BATCH);
            let batch = self.items.drain(..number);
            let mut weights = 0;
            let batch = batch.map(|(item, weight)| {
                weights += weight;
                item
            });
            let batch: Vec<_> = batch.collect();
            self.bytes -= weights;
            self.in_flight = number as u64;
            self.opened = (!self.items.is_empty()).then_some(now);
            return Step::Export(batch);
        }
        if self.asked > self.done {
            self.flushing = self.asked;
            return Step::Flush;
        }
        match self.closing {
            Some(_) => Step::Stop,
            None => Step::Wait(due),
        }
    }

    /// Takes note of what came of a batch. The SDK's exporters try again by themselves, so an
    /// error is final.
    pub(super) fn settle(&mut self, result: OTelSdkResult) {
        // After an abort everything is counted.
        let items = std::mem::take(&mut self.in_flight);
        match &result {
            Ok(()) => self.counts.delivered += items,
            Err(OTelSdkError::AlreadyShutdown) => self.counts.dropped.closed += items,
            Err(OTelSdkError::Timeout(_) | OTelSdkError::InternalFailure(_)) => {
                self.counts.dropped.retries_exhausted += items;
            }
        }
        self.note(result);
    }

    /// Takes note of what came of a flush.
    pub(super) fn flushed(&mut self, result: OTelSdkResult) {
        self.done = self.flushing;
        self.note(result);
    }

    /// Takes note of an error.
    pub(super) fn note(&mut self, result: OTelSdkResult) {
        if let Err(error) = result {
            // What a receiver said may be in it.
            let clean = |c: char| if c.is_control() { ' ' } else { c };
            self.last_error = Some(error.to_string().chars().map(clean).collect());
        }
    }

    pub(super) fn set_error(&mut self, error: String) {
        self.last_error = Some(error);
    }

    pub(super) fn closing(&self) -> Option<Instant> {
        self.closing
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { queued: self.queued(), ..self.counts }
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error.clone()
    }

    fn queued(&self) -> u64 {
        self.items.len() as u64 + self.in_flight
    }
}
