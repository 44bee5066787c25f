//! The exporter: converts on the collector's thread, exports each signal on a thread of its own.

use std::time::{Duration, Instant};

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{LogExporter, SdkLogRecord};
use opentelemetry_sdk::trace::{SpanData, SpanExporter, SpanProcessor};

use super::convert::{self, LogMaker};
use super::lane::{Lane, Sink};
use super::queue::Limits;
use super::shared::SharedProcessor;
use super::sinks::{Logs, Processor, Spans};
use crate::event::Chunk;
use crate::exporter::Exporter;
use crate::stats::{Counts, Signal};

/// Bytes of spans, and as many of log records, that wait for an exporter: as many as wait for a
/// receiver of [`OtlpExporter`](crate::otlp::OtlpExporter).
const QUEUE_BYTES: usize = 64 << 20;

/// How long spans wait for others: the specification's `OTEL_BSP_SCHEDULE_DELAY`.
const SPAN_DELAY: Duration = Duration::from_secs(5);

/// The same of log records: `OTEL_BLRP_SCHEDULE_DELAY`.
const LOG_DELAY: Duration = Duration::from_secs(1);

/// What an [`SdkExporter`] is made from.
pub struct SdkBuilder {
    resource: Resource,
    scope: InstrumentationScope,
    spans: Option<Box<dyn Sink<SpanData>>>,
    logs: Option<Box<dyn Sink<SdkLogRecord>>>,
    queue_bytes: usize,
}

impl SdkBuilder {
    /// Hands spans to an exporter, which is told the resource. Of several, and of
    /// [`SdkBuilder::processor`], the last counts.
    pub fn spans(mut self, mut exporter: impl SpanExporter + 'static) -> Self {
        exporter.set_resource(&self.resource);
        self.spans = Some(Box::new(Spans(exporter)));
        self
    }

    /// Hands spans to a processor, by [`SpanProcessor::on_end`], which the embedder's tracer
    /// provider also has. The resource is then the one of that provider.
    ///
    /// A span counts as delivered when the processor has been given it; what becomes of it then,
    /// the SDK does not say. A batch processor has a queue of 2,048 spans unless told, and drops what
    /// does not fit.
    pub fn processor<P: SpanProcessor + 'static>(mut self, processor: SharedProcessor<P>) -> Self {
        self.spans = Some(Box::new(Processor(processor)));
        self
    }

    /// Hands log records to an exporter, which is told the resource. Of several, the last counts.
    pub fn logs(mut self, mut exporter: impl LogExporter + 'static) -> Self {
        exporter.set_resource(&self.resource);
        self.logs = Some(Box::new(Logs { exporter, scope: self.scope.clone() }));
        self
    }

    /// About how many bytes of spans, and as many of log records, may wait for an exporter;
    /// 64 MiB unless told. What goes beyond is dropped, and counted.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// The exporter. No thread is started before there is something to export.
    pub fn build(self) -> SdkExporter {
        let limits = |delay| Limits { bytes: self.queue_bytes, delay };
        SdkExporter {
            scope: self.scope,
            log_maker: LogMaker::new(),
            spans: self.spans.map(|sink| Lane::new(limits(SPAN_DELAY), sink)),
            logs: self.logs.map(|sink| Lane::new(limits(LOG_DELAY), sink)),
        }
    }
}

/// Hands spans and log records to exporters or a processor of OpenTelemetry's SDK.
///
/// Each signal has a bounded queue and a thread of its own, on which the exporter runs: one whose
/// future never ends is given up after 30 seconds, and none keeps the collector's thread waiting.
/// It gets batches of at most 512, when there are so many or the first has waited for five seconds
/// (log records: one).
///
/// The SDK's exporters try again by themselves, so what one fails to export is dropped: as
/// `retries_exhausted`, or as `closed` if it had been shut down. Partial success they keep to
/// themselves. [`Exporter::last_error`] is what they said last.
///
/// An exporter that needs a runtime needs it here as much as in the SDK's `BatchSpanProcessor`: the
/// one of `opentelemetry-otlp` for gRPC is to be built within one of tokio's, those for HTTP with a
/// client that blocks.
pub struct SdkExporter {
    scope: InstrumentationScope,
    log_maker: LogMaker,
    spans: Option<Lane<SpanData>>,
    logs: Option<Lane<SdkLogRecord>>,
}

impl SdkExporter {
    /// What an exporter is made from: this resource, and nothing to hand spans or log records to.
    /// A signal for which there is nothing is not taken.
    ///
    /// The resource is one of the SDK's, or a [`&Resource`](crate::Resource).
    pub fn builder(resource: impl Into<Resource>) -> SdkBuilder {
        SdkBuilder {
            resource: resource.into(),
            scope: convert::scope(),
            spans: None,
            logs: None,
            queue_bytes: QUEUE_BYTES,
        }
    }
}

impl Exporter for SdkExporter {
    fn name(&self) -> &str {
        "opentelemetry-sdk"
    }

    fn export(&mut self, chunk: &Chunk) {
        let trace = &chunk.trace;
        if let Some(lane) = &mut self.spans
            && !chunk.spans.is_empty()
        {
            lane.push(chunk.spans.iter().map(|span| convert::span(trace, span, &self.scope)));
        }
        if let Some(lane) = &mut self.logs
            && !chunk.logs.is_empty()
        {
            lane.push(chunk.logs.iter().map(|log| self.log_maker.log(trace, log)));
        }
    }

    fn flush(&mut self, deadline: Instant) {
        let spans = self.spans.as_ref().map(|lane| (lane, lane.flush()));
        let logs = self.logs.as_ref().map(|lane| (lane, lane.flush()));
        if let Some((lane, number)) = spans {
            lane.wait_until_flushed(number, deadline);
        }
        if let Some((lane, number)) = logs {
            lane.wait_until_flushed(number, deadline);
        }
    }

    fn shutdown(&mut self, deadline: Instant) {
        let spans = self.spans.as_mut().map(|lane| (lane.close(deadline), lane));
        let logs = self.logs.as_mut().map(|lane| (lane.close(deadline), lane));
        if let Some((number, lane)) = spans {
            lane.wait_until_flushed(number, deadline);
            lane.stop(deadline);
        }
        if let Some((number, lane)) = logs {
            lane.wait_until_flushed(number, deadline);
            lane.stop(deadline);
        }
    }

    fn counts(&self) -> Counts {
        self.counts_of(Signal::Traces).unwrap_or_default()
    }

    fn counts_of(&self, signal: Signal) -> Option<Counts> {
        match signal {
            Signal::Traces => self.spans.as_ref().map(Lane::counts),
            Signal::Logs => self.logs.as_ref().map(Lane::counts),
            Signal::Metrics => None,
        }
    }

    /// The last error of each signal that had one, spans first.
    fn last_error(&self) -> Option<String> {
        let spans = self.spans.as_ref().and_then(Lane::last_error);
        let logs = self.logs.as_ref().and_then(Lane::last_error);
        let errors: Vec<_> = spans.into_iter().chain(logs).collect();
        (!errors.is_empty()).then(|| errors.join("; "))
    }
}
