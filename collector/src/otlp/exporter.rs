//! The exporter: encodes on the collector's thread, sends each signal on a thread of its own.

use std::sync::Arc;
use std::time::Instant;

use super::config::Config;
use super::delta::Deltas;
use super::disk::{DiskQueue, Root};
use super::encode::Encoder;
use super::log::put_log;
use super::metric::put_part;
use super::sender::{Sender, Watch};
use crate::event::{Chunk, Metric};
use crate::exporter::Exporter;
use crate::health::Monitor;
use crate::resource::Resource;
use crate::stats::{Counts, Signal};
use crate::transfers::Transfers;

/// The points of a metric that are put together. Those of one with more are told in several parts,
/// so that no batch is much larger than the others.
const PART: usize = 512;

/// Sends spans, log records and metrics to an OTLP receiver, as HTTP/1.1 with protobuf or as gRPC.
///
/// A request that the receiver answers with 429, 502, 503 or 504, over gRPC with one of the
/// [retryable codes], or that fails with the connection, is sent again, with exponential backoff or
/// after the time the receiver asks for (`Retry-After`, `RetryInfo`), for up to five minutes. So a
/// receiver whose answer was lost may get a batch twice. An answer that is not HTTP, or not HTTP/2
/// over gRPC, counts as a connection that failed, since a proxy may give one while the receiver
/// starts again; the error says what was there instead. All else is final. Redirects are not
/// followed. HTTP goes through the proxies of the environment, gRPC does not.
///
/// [retryable codes]: https://opentelemetry.io/docs/specs/otlp/#failures
///
/// While the receiver is slow or away, batches queue up to the bounds in [`Config`]; what
/// goes beyond is dropped, the newest first, and counted, unless [`Config::when_full`] says
/// otherwise.
///
/// Each signal has its own batches, queue, retries and thread, which starts when the signal first
/// occurs; none waits for another. Metrics are sent as soon as they are taken. A receiver that
/// answers 404 or `UNIMPLEMENTED` has no place for a signal, as many have for spans only: what it was sent counts as
/// rejected, and the other signals do not notice.
pub struct OtlpExporter {
    encoder: Encoder,
    traces: Option<Sender>,
    logs: Option<Sender>,
    metrics: Option<Sender>,
    deltas: Deltas,
}

impl OtlpExporter {
    /// No thread is started and no connection made before there is something to send.
    ///
    /// A resource without `service.name` gets `unknown_service`, as the specification asks.
    ///
    /// If the operating system refuses a thread, what it was to send is counted as `undelivered`
    /// and [`Exporter::last_error`] says so.
    pub fn new(config: Config, resource: Resource) -> Self {
        Self::start(&config, resource, None)
    }

    /// As [`OtlpExporter::new`], with batches on disk until they are settled, and first with those
    /// that an earlier process left there.
    ///
    /// What was left is read once, here, to be counted and checked; its items count as accepted by
    /// this exporter, so its counts are more than what it was given. It is sent to where `config`
    /// says, with the resource of the process that wrote it. A signal that has no endpoint is left
    /// alone.
    ///
    /// A batch is on disk when it is finished: by its size, by its delay
    /// (`OTEL_BSP_SCHEDULE_DELAY`) or by a flush. With a disk queue batches are not given up after
    /// five minutes, and what is not delivered by a shutdown stays: it is `queued` in the report.
    ///
    /// If the disk is full or fails, batches are kept in memory, within the bounds of the queue
    /// there, and the disk is tried again every five seconds; [`Exporter::last_error`] says so
    /// once.
    pub fn with_disk_queue(config: Config, resource: Resource, disk: DiskQueue) -> Self {
        Self::start(&config, resource, Some(disk.into_root()))
    }

    fn start(config: &Config, resource: Resource, disk: Option<Arc<Root>>) -> Self {
        let resource = resource.with_default("service.name", "unknown_service");
        let sender =
            |signal| config.of(signal).map(|config| Sender::new(config, &resource, disk.as_ref()));
        OtlpExporter {
            encoder: Encoder::default(),
            traces: sender(Signal::Traces),
            logs: sender(Signal::Logs),
            metrics: sender(Signal::Metrics),
            deltas: Deltas::new(config.temporality_preference()),
        }
    }

    fn of(&self, signal: Signal) -> Option<&Sender> {
        match signal {
            Signal::Traces => self.traces.as_ref(),
            Signal::Logs => self.logs.as_ref(),
            Signal::Metrics => self.metrics.as_ref(),
        }
    }

    fn senders(&self) -> impl Iterator<Item = &Sender> {
        Signal::ALL.iter().filter_map(|signal| self.of(*signal))
    }
}

impl Exporter for OtlpExporter {
    fn name(&self) -> &str {
        "otlp"
    }

    fn export(&mut self, chunk: &Chunk) {
        let now = Instant::now();
        if let Some(sender) = &mut self.traces
            && !chunk.spans.is_empty()
        {
            let mut encoder = self.encoder.of_trace(&chunk.trace);
            sender.push(|pipeline| {
                let mut changed = false;
                for span in &chunk.spans {
                    changed |= pipeline.push(now, 1, |out| encoder.put(span, out));
                }
                changed
            });
        }
        if let Some(sender) = &mut self.logs
            && !chunk.logs.is_empty()
        {
            sender.push(|pipeline| {
                let mut changed = false;
                for log in &chunk.logs {
                    changed |= pipeline.push(now, 1, |out| put_log(&chunk.trace, log, out));
                }
                changed
            });
        }
    }

    fn export_metrics(&mut self, metrics: &[Metric]) {
        let Some(sender) = &mut self.metrics else { return };
        if metrics.iter().all(|metric| metric.data.is_empty()) {
            return;
        }
        let metrics = self.deltas.apply(metrics);
        let now = Instant::now();
        sender.push(|pipeline| {
            for metric in &*metrics {
                let points = metric.data.len();
                for start in (0..points).step_by(PART) {
                    let part = start..points.min(start + PART);
                    pipeline.push(now, part.len(), |out| put_part(metric, part, out));
                }
            }
            pipeline.flush(now);
            true
        });
    }

    fn flush(&mut self, deadline: Instant) {
        self.senders().for_each(Sender::flush);
        self.senders().for_each(|sender| sender.wait_until_settled(deadline));
    }

    fn shutdown(&mut self, deadline: Instant) {
        self.senders().for_each(|sender| sender.close(deadline));
        self.senders().for_each(|sender| sender.wait_until_settled(deadline));
        let senders = [&mut self.traces, &mut self.logs, &mut self.metrics];
        senders.into_iter().flatten().for_each(Sender::stop);
    }

    fn counts(&self) -> Counts {
        self.counts_of(Signal::Traces).unwrap_or_default()
    }

    fn counts_of(&self, signal: Signal) -> Option<Counts> {
        self.of(signal).map(Sender::counts)
    }

    fn transfers(&self, signal: Signal) -> Option<Transfers> {
        self.of(signal).map(Sender::transfers)
    }

    fn monitor(&self) -> Option<Monitor> {
        let asked: Vec<_> = self.senders().map(Sender::watch).collect();
        let told = asked.clone();
        let health = move || asked.iter().map(Watch::health).collect();
        let closing = move |deadline| told.iter().for_each(|watch| watch.closing(deadline));
        Some(Monitor::new(health).on_closing(closing))
    }

    /// The last error of each signal that had one, traces first.
    fn last_error(&self) -> Option<String> {
        let errors: Vec<_> = self.senders().filter_map(Sender::last_error).collect();
        (!errors.is_empty()).then(|| errors.join("; "))
    }

    fn last_error_of(&self, signal: Signal) -> Option<String> {
        self.of(signal)?.last_error()
    }
}
