//! One signal's way to an exporter of the SDK: filled on the collector's thread, emptied on one of
//! its own, since an exporter may take its time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;

use super::queue::{Limits, Queue, Step, Weigh};
use crate::stats::Counts;

/// How long one call of an exporter may take: the specification's `OTEL_BSP_EXPORT_TIMEOUT`.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(30);

/// What an exporter or a processor of the SDK has to do.
pub(super) trait Sink<T>: Send {
    /// Hands over a batch. Gives up at the deadline, if it can.
    fn export(&mut self, batch: Vec<T>, deadline: &dyn Fn() -> Instant) -> OTelSdkResult;
    /// Hands on what it has.
    fn flush(&mut self) -> OTelSdkResult;
    /// Ends; nothing comes after this.
    fn shutdown(&mut self, timeout: Duration) -> OTelSdkResult;
}

pub(super) struct Lane<T> {
    shared: Arc<Shared<T>>,
    /// For the thread, until there is one.
    sink: Option<Box<dyn Sink<T>>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Told of everything that somebody may wait for.
    changed: Condvar,
}

struct State<T> {
    queue: Queue<T>,
    ended: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // The queue is consistent between any two of its calls.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change; `None` is without end.
    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State<T>>,
        until: Option<Instant>,
    ) -> MutexGuard<'a, State<T>> {
        let Some(until) = until else {
            return self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        let timeout = until.saturating_duration_since(Instant::now());
        self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl<T: Weigh + Send + 'static> Lane<T> {
    pub(super) fn new(limits: Limits, sink: Box<dyn Sink<T>>) -> Self {
        let state = Mutex::new(State { queue: Queue::new(limits), ended: false });
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        Lane { shared, sink: Some(sink), thread: None }
    }

    /// Appends items. The thread starts with the first.
    pub(super) fn push(&mut self, items: impl Iterator<Item = T>) {
        self.start();
        let now = Instant::now();
        for item in items {
            // Not over all of them: what is converted is not waited for.
            if self.shared.lock().queue.push(now, item) {
                self.shared.changed.notify_all();
            }
        }
    }

    fn start(&mut self) {
        let Some(sink) = self.sink.take() else { return };
        let guard = Guard(Arc::clone(&self.shared));
        let name = "observe-otel-sdk".to_owned();
        let thread = thread::Builder::new().name(name).spawn(move || {
            let guard = guard;
            // What the exporter does is no work to be traced, least of all by itself.
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            export_all(&guard.0, sink);
        });
        match thread {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                let error = format!("the thread that exports could not be started: {error}");
                self.shared.lock().queue.set_error(error);
            }
        }
    }

    /// Has everything exported; returns what [`Lane::wait_until_flushed`] takes.
    pub(super) fn flush(&self) -> u64 {
        let number = self.shared.lock().queue.flush();
        self.changed();
        number
    }

    /// As [`Lane::flush`], and what is not settled by the deadline will be dropped.
    pub(super) fn close(&self, deadline: Instant) -> u64 {
        let number = self.shared.lock().queue.close(deadline);
        self.changed();
        number
    }

    /// Waits until that flush is done or it is too late.
    pub(super) fn wait_until_flushed(&self, number: u64, deadline: Instant) {
        let mut state = self.shared.lock();
        // Without a thread there was nothing to export.
        while self.thread.is_some() && !state.queue.is_flushed(number) && Instant::now() < deadline
        {
            state = self.shared.wait(state, Some(deadline));
        }
    }

    /// Drops what is left and ends the thread, for which it waits until the deadline: an exporter
    /// that hangs cannot be called back.
    pub(super) fn stop(&mut self, deadline: Instant) {
        let mut state = self.shared.lock();
        state.queue.abort();
        drop(state);
        self.changed();
        let Some(thread) = self.thread.take() else { return };
        let mut state = self.shared.lock();
        while !state.ended && Instant::now() < deadline {
            state = self.shared.wait(state, Some(deadline));
        }
        let ended = state.ended;
        drop(state);
        if ended {
            let _ = thread.join();
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.shared.lock().queue.counts()
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.shared.lock().queue.last_error()
    }

    fn changed(&self) {
        self.shared.changed.notify_all();
        // It may wait for a future, until a deadline that has come nearer.
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl<T> Drop for Lane<T> {
    fn drop(&mut self) {
        self.shared.lock().queue.abort();
        self.shared.changed.notify_all();
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

/// Settles what is left when the thread ends, however it ends.
struct Guard<T>(Arc<Shared<T>>);

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.queue.abort();
        if thread::panicking() {
            state.queue.set_error("the exporter of the SDK panicked".to_owned());
        }
        state.ended = true;
        drop(state);
        self.0.changed.notify_all();
    }
}

/// What the thread does.
fn export_all<T: Weigh>(shared: &Shared<T>, mut sink: Box<dyn Sink<T>>) {
    let mut state = shared.lock();
    loop {
        match state.queue.next(Instant::now()) {
            Step::Stop => break,
            Step::Wait(until) => state = shared.wait(state, until),
            Step::Export(batch) => {
                drop(state);
                let latest = Instant::now() + EXPORT_TIMEOUT;
                let deadline = || {
                    let closing = shared.lock().queue.closing();
                    closing.map_or(latest, |closing| closing.min(latest))
                };
                let result = sink.export(batch, &deadline);
                state = shared.lock();
                state.queue.settle(result);
                shared.changed.notify_all();
            }
            Step::Flush => {
                drop(state);
                let result = sink.flush();
                state = shared.lock();
                state.queue.flushed(result);
                shared.changed.notify_all();
            }
        }
    }
    let closing = state.queue.closing().unwrap_or_else(Instant::now);
    drop(state);
    let result = sink.shutdown(closing.saturating_duration_since(Instant::now()));
    shared.lock().queue.note(result);
}
