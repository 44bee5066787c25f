//! The exporter: encodes on the collector's thread, sends on a thread of its own.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::batch::Batcher;
use super::config::Config;
use super::encode::Encoder;
use super::pipeline::{Pipeline, Step};
use super::queue::Queue;
use super::retry::Backoff;
use super::transport::Transport;
use crate::event::Chunk;
use crate::exporter::Exporter;
use crate::resource::Resource;
use crate::stats::Counts;

/// Posts spans to an OTLP receiver as HTTP/1.1 with protobuf.
///
/// A request that the receiver answers with 429, 502, 503 or 504, or that fails with
/// the connection, is sent again, with exponential backoff or after the time the
/// receiver asks for, for up to five minutes. So a receiver whose answer was lost may get
/// a batch twice. All else is final. Redirects are not followed.
///
/// While the receiver is slow or away, batches queue up to the bounds in [`Config`]; what
/// goes beyond is dropped, the newest first, and counted.
pub struct HttpExporter {
    encoder: Encoder,
    shared: Arc<Shared>,
    sender: Option<JoinHandle<()>>,
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

    /// Waits until everything is settled or it is too late.
    fn wait_until_settled(&self, deadline: Instant) -> MutexGuard<'_, Pipeline> {
        let mut pipeline = self.lock();
        while pipeline.counts().queued > 0 && Instant::now() < deadline {
            pipeline = self.wait(pipeline, Some(deadline));
        }
        pipeline
    }
}

impl HttpExporter {
    /// Starts the thread that sends. No connection is made before there is a batch.
    ///
    /// A resource without `service.name` gets `unknown_service`, as the specification asks.
    ///
    /// If the operating system refuses a thread, all spans are counted as `undelivered`
    /// and [`Exporter::last_error`] says so.
    pub fn new(config: Config, resource: Resource) -> Self {
        let resource = resource.with_default("service.name", "unknown_service");
        let batcher = Batcher::new(config.batch, &resource);
        // The hasher's keys are the random numbers that the standard library gives.
        let backoff = Backoff::new(RandomState::new().hash_one(0));
        let pipeline = Mutex::new(Pipeline::new(batcher, Queue::new(config.queue), backoff));
        let shared = Arc::new(Shared { pipeline, changed: Condvar::new() });
        let transport = Transport::new(&config);
        let close: Box<dyn FnOnce() + Send> = Box::new(transport.closer());
        let for_thread = Guard(Arc::clone(&shared));
        let sender = thread::Builder::new().name("observe-otlp".to_owned()).spawn(move || {
            let guard = for_thread;
            send_all(&guard.0, &transport);
        });
        if let Err(error) = &sender {
            let mut pipeline = shared.lock();
            pipeline.set_error(format!("the thread that sends could not be started: {error}"));
        }
        HttpExporter {
            encoder: Encoder::default(),
            shared,
            sender: sender.ok(),
            close: Some(close),
        }
    }

    fn stop(&mut self) {
        let mut pipeline = self.shared.lock();
        let idle = !pipeline.is_sending();
        pipeline.abort();
        drop(pipeline);
        self.shared.changed.notify_all();
        if let Some(close) = self.close.take() {
            close();
        }
        // A sender in a name look-up cannot be called back. It ends by itself after
        // that, and what it holds is counted already.
        if let Some(sender) = self.sender.take()
            && idle
        {
            let _ = sender.join();
        }
    }
}

impl Exporter for HttpExporter {
    fn name(&self) -> &str {
        "otlp"
    }

    fn export(&mut self, chunk: &Chunk) {
        let now = Instant::now();
        let mut encoder = self.encoder.of_trace(&chunk.trace);
        let mut pipeline = self.shared.lock();
        let mut changed = false;
        for span in &chunk.spans {
            changed |= pipeline.push(now, |out| encoder.put(span, out));
        }
        drop(pipeline);
        if changed {
            self.shared.changed.notify_all();
        }
    }

    fn flush(&mut self, deadline: Instant) {
        self.shared.lock().flush();
        self.shared.changed.notify_all();
        drop(self.shared.wait_until_settled(deadline));
    }

    fn shutdown(&mut self, deadline: Instant) {
        self.shared.lock().close(deadline);
        self.shared.changed.notify_all();
        drop(self.shared.wait_until_settled(deadline));
        self.stop();
    }

    fn counts(&self) -> Counts {
        self.shared.lock().counts()
    }

    fn last_error(&self) -> Option<String> {
        self.shared.lock().last_error()
    }
}

impl Drop for HttpExporter {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Settles what is left when the sender ends, however it ends.
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

/// What the sender does.
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
