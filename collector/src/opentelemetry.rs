//! Delivery by exporters and processors of OpenTelemetry's SDK.
//!
//! An embedder whose own telemetry goes through [`opentelemetry_sdk`] can have the guests' spans and
//! log records go the same way: [`SdkExporter`] hands them to any [`SpanExporter`] and [`LogExporter`],
//! or, by a [`SharedProcessor`], to the processor that has the embedder's own spans. Ids are kept,
//! so guests' spans stand under those of the embedder.
//!
//! This costs what the SDK's own spans cost, since each span becomes a value of theirs:
//! [`OtlpExporter`](crate::otlp::OtlpExporter) takes a tenth of it, and knows what became of each
//! span. The SDK's metrics cannot be made by hand, so metrics do not go this way. Attributes of spans
//! that the SDK has no kind for become text: bytes, lists, and arrays of several kinds.
//!
//! ```
//! # use observe_collector::event::{Chunk, SpanNumber, SpanRecord, Status, TraceId, TraceInfo};
//! use std::time::Duration;
//!
//! use observe_collector::opentelemetry::SdkExporter;
//! use observe_collector::{Collector, Resource};
//! # use opentelemetry_sdk::trace::InMemorySpanExporter;
//!
//! let exporter = InMemorySpanExporter::default(); // or that of opentelemetry-otlp
//! let sdk = SdkExporter::builder(&Resource::from_env()).spans(exporter).build();
//! let collector = Collector::builder().exporter(Box::new(sdk)).start();
//! # let trace = TraceInfo { trace_id: TraceId([1; 16]), parent: None, seed: 1, symbols: Default::default() };
//! # let span = SpanRecord { start_unix_nanos: 1, end_unix_nanos: 2, number: SpanNumber(0), parent: None, symbol: None, status: Status::Unset, detail: None };
//! # let chunk = Chunk { trace: trace.into(), spans: vec![span], logs: Vec::new() };
//! collector.handle().send(chunk);
//! let report = collector.shutdown(Duration::from_secs(5));
//! assert_eq!(report.exporters[0].counts.delivered, 1);
//! ```
//!
//! [`SpanExporter`]: opentelemetry_sdk::trace::SpanExporter
//! [`LogExporter`]: opentelemetry_sdk::logs::LogExporter

mod block_on;
mod convert;
mod exporter;
mod lane;
mod queue;
mod shared;
mod sinks;
mod value;
mod weight;

pub use exporter::{SdkBuilder, SdkExporter};
pub use shared::SharedProcessor;
