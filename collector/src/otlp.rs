//! Delivery by the [OpenTelemetry protocol].
//!
//! Spans, log records and metrics are encoded as they come ([`OtlpExporter`]), gathered into
//! batches by signal, queued and sent: over HTTP to `/v1/traces`, `/v1/logs` and `/v1/metrics`, or
//! over gRPC ([`Protocol`]). Encoding and batching run on the collector's thread, requests on one
//! for each signal.
//!
//! [OpenTelemetry protocol]: https://opentelemetry.io/docs/specs/otlp/

mod attributes;
mod backlog;
mod batch;
mod config;
mod delta;
mod detail;
mod disk;
mod encode;
mod exporter;
#[cfg(feature = "http-json")]
mod json;
mod log;
mod metric;
mod pipeline;
pub(crate) mod proto;
mod queue;
mod response;
mod retry;
mod sender;
mod template;
mod transport;
mod vitals;
mod wire;

pub use config::{
    Compression, Config, ConfigBuilder, ConfigError, Protocol, TemporalityPreference,
};
pub use disk::{DiskQueue, DiskQueueError, QueueContents};
pub use encode::{Encoder, TraceEncoder};
pub use exporter::OtlpExporter;
pub use log::put_log;
pub use metric::put_metric;
pub use queue::WhenFull;
