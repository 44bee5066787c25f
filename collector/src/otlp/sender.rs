//! One signal's way to its receiver: filled on the collector's thread, emptied on one of its own.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::batch::Batcher;
use super::config::SignalConfig;
use super::pipeline::{Pipeline, Step};
use super::queue::Queue;
use super::retry::Backoff;
use super::transport::Transport;
use crate::resource::Resource;
use crate::stats::Counts;

/// A pipeline and the thread that empties it.
pub(super) struct Sender {
    shared: Arc<Shared>,
    /// For the thread, until there is one.
    transport: Option<Transport>,
    thread: Option<JoinHandle<()>>,
    close: Option<Box<dyn FnOnce() + Send>>,
}

/// What the collector's thread and the sender's share.
struct Shared {
    pipeline: Mutex<Pipeline>,
    /// Told of everything that one of them may wait for.
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pipeline> {
        // The pipeline is consistent between any two of its calls.
        self.pipeline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change; `None` is without end.
    fn wait<'a>(
        &self,
        pipeline: MutexGuard<'a, Pipeline>,
        until: Option<Instant>,
    ) -> MutexGuard<'a, Pipeline> {
        let Some(until) = until else {
            return self.changed.wait(pipeline).unwrap_or_else(PoisonError::into_inner);
        };
        let timeout = until.saturating_duration_since(Instant::now());
        self.changed.wait_timeout(pipeline, timeout).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Sender {
    /// A sender to which nothing has come yet.
    pub(super) fn new(config: &SignalConfig, resource: &Resource) -> Self {
        let batcher = Batcher::new(config.batch, resource);
        // The hasher's keys are the random numbers that the standard library gives.
        let backoff = Backoff::new(RandomState::new().hash_one(0));
        let pipeline = Mutex::new(Pipeline::new(batcher, Queue::new(config.queue), backoff));
        Sender {
            shared: Arc::new(Shared { pipeline, changed: Condvar::new() }),
            transport: Some(Transport::new(config)),
            thread: None,
            close: None,
        }
    }

    /// Lets `push` add something, which returns what [`Pipeline::push`] does. The thread starts with
    /// the first, so a signal that does not occur takes none.
    pub(super) fn push(&mut self, push: impl FnOnce(&mut Pipeline) -> bool) {
        self.start();
        let changed = push(&mut self.shared.lock());
        if changed {
            self.shared.changed.notify_all();
        }
    }

    fn start(&mut self) {
        let Some(transport) = self.transport.take() else { return };
        self.close = Some(Box::new(transport.closer()));
        let for_thread = Guard(Arc::clone(&self.shared));
        let thread = thread::Builder::new().name("observe-otlp".to_owned()).spawn(move || {
            let guard = for_thread;
            send_all(&guard.0, &transport);
        });
        match thread {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                let error = format!("the thread that sends could not be started: {error}");
                self.shared.lock().set_error(error);
            }
        }
    }

    /// Makes everything ready to be sent, at once.
    pub(super) fn flush(&self) {
        self.shared.lock().flush();
        self.shared.changed.notify_all();
    }

    /// As [`Sender::flush`], and what is not settled by the deadline will be dropped.
    pub(super) fn close(&self, deadline: Instant) {
        self.shared.lock().close(deadline);
        self.shared.changed.notify_all();
    }

    /// Waits until everything is settled or it is too late.
    pub(super) fn wait_until_settled(&self, deadline: Instant) {
        let mut pipeline = self.shared.lock();
        while pipeline.counts().queued > 0 && Instant::now() < deadline {
            pipeline = self.shared.wait(pipeline, Some(deadline));
        }
    }

    /// Drops what is left and ends the thread.
    pub(super) fn stop(&mut self) {
        let mut pipeline = self.shared.lock();
        let idle = !pipeline.is_sending();
        pipeline.abort();
        drop(pipeline);
        self.shared.changed.notify_all();
        if let Some(close) = self.close.take() {
            close();
        }
        // A thread in a name look-up cannot be called back. It ends by itself after
        // that, and what it holds is counted already.
        if let Some(thread) = self.thread.take()
            && idle
        {
            let _ = thread.join();
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.shared.lock().counts()
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.shared.lock().last_error()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Settles what is left when the thread ends, however it ends.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        let mut pipeline = self.0.lock();
        if thread::panicking() {
            pipeline.set_error("the thread that sends panicked, which is a bug".to_owned());
        }
        pipeline.abort();
        drop(pipeline);
        self.0.changed.notify_all();
    }
}

/// What the thread does.
fn send_all(shared: &Shared, transport: &Transport) {
    let mut pipeline = shared.lock();
    loop {
        match pipeline.next(Instant::now()) {
            Step::Stop => return,
            Step::Wait(until) => pipeline = shared.wait(pipeline, until),
            Step::Send(attempt) => {
                // At the end of a shutdown connections are closed, but not one that is
                // still being made.
                let closing = pipeline.closing();
                drop(pipeline);
                let limit = closing.map(|end| end.saturating_duration_since(Instant::now()));
                let outcome = transport.post(attempt.batch.body(), limit);
                pipeline = shared.lock();
                pipeline.settle(Instant::now(), attempt, outcome);
                shared.changed.notify_all();
            }
        }
    }
}
