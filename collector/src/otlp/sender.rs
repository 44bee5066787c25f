//! One signal's way to its receiver: filled on the collector's thread, emptied on one of its own.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use super::backlog::Backlog;
use super::batch::Batcher;
use super::config::SignalConfig;
use super::disk::{Root, Store};
use super::pipeline::{Pipeline, Step};
use super::retry::Backoff;
use super::transport::Transport;
use super::vitals::Vitals;
use crate::health::SignalHealth;
use crate::resource::Resource;
use crate::stats::{Counts, Signal};
use crate::transfers::Transfers;

/// How long the end waits for a disk to have all that is written. For three signals this is still
/// less than what the collector waits for an exporter that is past its deadline.
const SYNC_PATIENCE: Duration = Duration::from_millis(60);

/// How long whoever waits for room goes without looking again: what another signal sent may have made
/// room in a directory that both write to, of which this one is not told.
const ROOM_PATIENCE: Duration = Duration::from_millis(50);

/// A pipeline and the thread that empties it.
pub(super) struct Sender {
    shared: Arc<Shared>,
    /// For the thread, until there is one.
    transport: Option<Transport>,
    thread: Option<JoinHandle<()>>,
    /// How long a batch may be on disk and not synced, if there is a disk queue, and the thread
    /// that sees to it.
    sync_window: Option<Duration>,
    syncing: Option<JoinHandle<()>>,
    close: Option<Box<dyn FnOnce() + Send>>,
}

/// What the collector's thread and the sender's share.
struct Shared {
    signal: Signal,
    pipeline: Mutex<Pipeline>,
    /// Told of everything that one of them may wait for.
    changed: Condvar,
    /// A copy of those of the pipeline, which whoever asks for health need not wait for.
    vitals: Mutex<Vitals>,
    /// When a shutdown that has begun ends, and with it a wait for room.
    closing: Mutex<Option<Instant>>,
}

/// What one may ask of a sender, and tell it, from any thread.
#[derive(Clone)]
pub(super) struct Watch(Arc<Shared>);

impl Watch {
    pub(super) fn health(&self) -> SignalHealth {
        let vitals = self.0.vitals.lock().unwrap_or_else(PoisonError::into_inner);
        vitals.health(self.0.signal, Instant::now(), SystemTime::now())
    }

    /// Lets no wait for room last longer than this. Does not wait for the pipeline, which a slow disk
    /// may hold: whoever waits for room looks again soon.
    pub(super) fn closing(&self, deadline: Instant) {
        *self.0.closing.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline);
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pipeline> {
        // The pipeline is consistent between any two of its calls.
        self.pipeline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn closing(&self) -> Option<Instant> {
        *self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pipeline, once there is room in it or it takes nothing any more.
    fn lock_with_room(&self) -> MutexGuard<'_, Pipeline> {
        let mut pipeline = self.lock();
        while !pipeline.has_room() {
            let now = Instant::now();
            let closing = self.closing();
            if closing.is_some_and(|deadline| deadline <= now) {
                pipeline.abort(now);
            } else {
                let soon = now + ROOM_PATIENCE;
                let until = closing.map_or(soon, |deadline| deadline.min(soon));
                pipeline = self.wait(pipeline, Some(until));
            }
        }
        pipeline
    }

    /// Lets go of the pipeline, and tells of the changes.
    fn publish(&self, pipeline: MutexGuard<'_, Pipeline>) {
        self.vitals.lock().unwrap_or_else(PoisonError::into_inner).clone_from(pipeline.vitals());
        drop(pipeline);
        self.changed.notify_all();
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
    /// A sender to which nothing has come yet, but what an earlier process left on disk.
    pub(super) fn new(
        config: &SignalConfig,
        resource: &Resource,
        disk: Option<&Arc<Root>>,
    ) -> Self {
        let batcher = Batcher::new(config.batch, resource);
        // The hasher's keys are the random numbers that the standard library gives.
        let backoff =
            Backoff::new(RandomState::new().hash_one(0)).giving_up_after(config.give_up_after);
        let (store, recovered) = disk.map(|root| Store::open(root, config.signal)).unzip();
        let mut pipeline = Pipeline::new(batcher, Backlog::new(config.queue, store), backoff);
        pipeline.recover(Instant::now(), recovered.unwrap_or_default());
        let has_some = pipeline.counts().queued > 0;
        let shared = Shared {
            signal: config.signal,
            vitals: Mutex::new(pipeline.vitals().clone()),
            pipeline: Mutex::new(pipeline),
            changed: Condvar::new(),
            closing: Mutex::default(),
        };
        let mut sender = Sender {
            shared: Arc::new(shared),
            transport: Some(Transport::new(config)),
            thread: None,
            sync_window: disk.map(|root| root.sync_window),
            syncing: None,
            close: None,
        };
        if has_some {
            sender.start();
        }
        sender
    }

    /// Lets `push` add something, which returns what [`Pipeline::push`] does. The thread starts with
    /// the first, so a signal that does not occur takes none.
    ///
    /// Waits for room where the queue is to be waited for.
    pub(super) fn push(&mut self, push: impl FnOnce(&mut Pipeline) -> bool) {
        self.start();
        let mut pipeline = self.shared.lock_with_room();
        if push(&mut pipeline) {
            self.shared.publish(pipeline);
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
        if let Some(window) = self.sync_window {
            let shared = Arc::clone(&self.shared);
            let thread = thread::Builder::new().name("observe-queue".to_owned());
            match thread.spawn(move || sync_all(&shared, window)) {
                Ok(thread) => self.syncing = Some(thread),
                Err(error) => {
                    let error = format!("the thread that syncs could not be started: {error}");
                    self.shared.lock().set_error(error);
                }
            }
        }
    }

    /// Makes everything ready to be sent, at once.
    pub(super) fn flush(&self) {
        let mut pipeline = self.shared.lock();
        pipeline.flush(Instant::now());
        self.shared.publish(pipeline);
    }

    /// As [`Sender::flush`], and what is not settled by the deadline will be dropped.
    pub(super) fn close(&self, deadline: Instant) {
        let mut pipeline = self.shared.lock();
        pipeline.close(Instant::now(), deadline);
        self.shared.publish(pipeline);
    }

    /// Waits until everything is settled or it is too late.
    pub(super) fn wait_until_settled(&self, deadline: Instant) {
        let mut pipeline = self.shared.lock();
        while !pipeline.is_settled() && Instant::now() < deadline {
            pipeline = self.shared.wait(pipeline, Some(deadline));
        }
    }

    /// Drops what is left, but for what is on disk, and ends the threads.
    pub(super) fn stop(&mut self) {
        let mut pipeline = self.shared.lock();
        let idle = !pipeline.is_sending();
        pipeline.abort(Instant::now());
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
        // What is written outlives the process; a disk that takes long may go on after it.
        let patience = Instant::now() + SYNC_PATIENCE;
        if let Some(thread) = self.syncing.take() {
            while !thread.is_finished() && Instant::now() < patience {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    pub(super) fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.shared))
    }

    pub(super) fn transfers(&self) -> Transfers {
        let pipeline = self.shared.lock();
        let (queue, disk) = (pipeline.queue_state(), pipeline.disk_state());
        pipeline.vitals().transfers(Instant::now(), SystemTime::now(), queue, disk)
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
        pipeline.abort(Instant::now());
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
            Step::Wait(until) => {
                // A batch that fell due may have been written.
                shared.changed.notify_all();
                pipeline = shared.wait(pipeline, until);
            }
            Step::Send(attempt) => {
                // At the end of a shutdown connections are closed, but not one that is
                // still being made.
                let closing = pipeline.closing();
                shared.publish(pipeline);
                let limit = closing.map(|end| end.saturating_duration_since(Instant::now()));
                let outcome = transport.post(attempt.batch.body(), limit);
                pipeline = shared.lock();
                pipeline.settle(Instant::now(), attempt, outcome);
                shared.publish(pipeline);
                pipeline = shared.lock();
            }
        }
    }
}

/// What the thread does that has batches on the disk in time: written when they are due, also while the
/// sender waits for an answer, and synced a while later. The pipeline is free while the disk takes
/// its time.
fn sync_all(shared: &Shared, window: Duration) {
    let mut pipeline = shared.lock();
    loop {
        let now = Instant::now();
        pipeline.flush_due(now);
        let due = pipeline.unsynced_since().map(|since| since.checked_add(window));
        match due {
            None if pipeline.is_aborted() => return,
            None => {
                let until = pipeline.batch_due();
                pipeline = shared.wait(pipeline, until);
            }
            Some(due) if !pipeline.is_aborted() && due.is_none_or(|due| due > now) => {
                let until = due.into_iter().chain(pipeline.batch_due()).min();
                pipeline = shared.wait(pipeline, until);
            }
            Some(_) => {
                let unsynced = pipeline.take_unsynced();
                drop(pipeline);
                let outcome = unsynced.sync();
                pipeline = shared.lock();
                pipeline.synced(outcome);
                shared.changed.notify_all();
            }
        }
    }
}
