//! One processor for spans of the embedder and of guests.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

/// A processor of the SDK that several own: the embedder's tracer provider, and the
/// [`SdkExporter`](super::SdkExporter) that has it take guests' spans, too
/// ([`SdkBuilder::processor`](super::SdkBuilder::processor)).
///
/// ```
/// use observe_collector::opentelemetry::{SdkExporter, SharedProcessor};
/// use opentelemetry_sdk::trace::{BatchSpanProcessor, InMemorySpanExporter, SdkTracerProvider};
///
/// let exporter = InMemorySpanExporter::default();
/// let processor = SharedProcessor::new(BatchSpanProcessor::builder(exporter).build());
/// let provider = SdkTracerProvider::builder().with_span_processor(processor.clone()).build();
/// let sdk = SdkExporter::builder(&provider_resource()).processor(processor).build();
/// # fn provider_resource() -> observe_collector::Resource { Default::default() }
/// # let _ = (provider, sdk);
/// ```
#[derive(Debug)]
pub struct SharedProcessor<P>(Arc<RwLock<P>>);

impl<P> SharedProcessor<P> {
    /// Shares a processor.
    pub fn new(processor: P) -> Self {
        SharedProcessor(Arc::new(RwLock::new(processor)))
    }

    /// The lock is taken for writing only when the resource is set, before the first span.
    fn get(&self) -> RwLockReadGuard<'_, P> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> Clone for SharedProcessor<P> {
    fn clone(&self) -> Self {
        SharedProcessor(Arc::clone(&self.0))
    }
}

impl<P: SpanProcessor> SpanProcessor for SharedProcessor<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.get().on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.get().on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.get().force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.get().shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).set_resource(resource);
    }
}
