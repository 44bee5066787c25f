//! Exporters and processors of the SDK as what a [`Lane`](super::lane::Lane) leads to.

use std::time::{Duration, Instant};

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, LogExporter, SdkLogRecord};
use opentelemetry_sdk::trace::{SpanData, SpanExporter, SpanProcessor};

use super::block_on::block_on;
use super::lane::Sink;
use super::shared::SharedProcessor;

pub(super) struct Spans<E>(pub(super) E);

impl<E: SpanExporter> Sink<SpanData> for Spans<E> {
    fn export(&mut self, batch: Vec<SpanData>, deadline: &dyn Fn() -> Instant) -> OTelSdkResult {
        within(self.0.export(batch), deadline)
    }

    fn flush(&mut self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown(&mut self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }
}

pub(super) struct Logs<E> {
    pub(super) exporter: E,
    pub(super) scope: InstrumentationScope,
}

impl<E: LogExporter> Sink<SdkLogRecord> for Logs<E> {
    fn export(
        &mut self,
        batch: Vec<SdkLogRecord>,
        deadline: &dyn Fn() -> Instant,
    ) -> OTelSdkResult {
        let records: Vec<_> = batch.iter().map(|record| (record, &self.scope)).collect();
        within(self.exporter.export(LogBatch::new(&records)), deadline)
    }

    /// Exporters of log records keep nothing back.
    fn flush(&mut self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown(&mut self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }
}

pub(super) struct Processor<P>(pub(super) SharedProcessor<P>);

impl<P: SpanProcessor> Sink<SpanData> for Processor<P> {
    fn export(&mut self, batch: Vec<SpanData>, _deadline: &dyn Fn() -> Instant) -> OTelSdkResult {
        batch.into_iter().for_each(|span| self.0.on_end(span));
        Ok(())
    }

    fn flush(&mut self) -> OTelSdkResult {
        self.0.force_flush()
    }

    /// It goes on to serve the embedder, whose provider ends it.
    fn shutdown(&mut self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn within(
    export: impl Future<Output = OTelSdkResult>,
    deadline: &dyn Fn() -> Instant,
) -> OTelSdkResult {
    let start = Instant::now();
    block_on(export, deadline).unwrap_or_else(|| Err(OTelSdkError::Timeout(start.elapsed())))
}
