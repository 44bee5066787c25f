//! Takes the spans and log records that a host recorded, and metrics, and delivers them.
//!
//! # Life cycle
//!
//! ```text
//! host threads           collector's thread                  exporter's thread
//! Handle::send ─ chunk ─▶ Exporter::export ─ encode, batch ─▶ POST, retry
//!    │ full: counted          │ each exporter in turn            │ refused: counted
//!                             │
//!    source, each interval ─▶ Exporter::export_metrics
//! ```
//!
//! A [`Collector`] is built with its exporters and started. Hosts send [`event::Chunk`]s
//! through [`Handle`]s, which never wait unless asked to ([`OnFull`]). One thread hands
//! each chunk to every [`Exporter`] in turn; one that waits for a network, such as
//! [`otlp::OtlpExporter`], does so on a thread of its own. Metrics are not sent but asked for:
//! the same thread asks each source at its interval ([`Builder::metrics`], [`Collector::metrics`]).
//! [`Collector::shutdown`] delivers what is left and returns a [`Report`].
//!
//! On the way, traces may be sampled and cut to a size ([`sampling`]): a stage between the channel and
//! the exporters holds them until they are over. There is none unless it is asked for.
//!
//! Every span and every log record is accounted for: in each report, at any time, those accepted
//! are those delivered, rejected, dropped (by reason) and queued ([`Counts::is_balanced`]). So
//! are the points of metrics, by each exporter that takes them.
//!
//! Whoever has no spans yet, but is told what begins, happens and ends, makes them with an
//! [`assembly::Assembler`], and [profiles](assembly::Profile) of them; whoever has values to
//! measure adds them up in the histograms of [`aggregate`].
//!
//! # Modules
//!
//! - [`event`]: what is handed over.
//! - [`assembly`] and [`aggregate`]: from events to spans and profiles, from values to histograms.
//! - [`sampling`]: which traces are sent, and how much of each.
//! - [`otlp`]: delivery by the OpenTelemetry protocol, with a queue in memory or on disk.
//! - [`prometheus`]: metrics as text, for a page that is asked for.
//! - [`propagation`]: the context of a trace in the headers of requests.
//! - `opentelemetry`: delivery by OpenTelemetry's own SDK.
//!
//! At the root are the [`Collector`] with its [`Exporter`]s and [`Report`], whether it delivers ([`Health`],
//! [`Transfers`]), what may be cut ([`Limits`], [`Cardinality`], [`ExemplarFilter`]), who sends
//! ([`Resource`]), and what OpenTelemetry's variables say of all this ([`Environment`]).
//!
//! # Features
//!
//! `grpc`, `http-json` and `zstd` are ways to send that are there unless they are switched off
//! ([`otlp::Protocol`], [`otlp::Compression`]).
//!
//! `opentelemetry` has exporters and processors of OpenTelemetry's own SDK as destinations, for
//! embedders whose telemetry goes that way already: module `opentelemetry`.
//!
//! This crate knows nothing of WebAssembly.
//!
//! # Example
//!
//! An exporter that counts spans, and the whole life of a collector.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::{Duration, Instant};
//!
//! use observe_collector::event::{
//!     Chunk, SpanNumber, SpanRecord, Status, Symbol, SymbolId, SymbolTable, TraceId, TraceInfo,
//! };
//! use observe_collector::{Collector, Counts, Exporter};
//!
//! #[derive(Default)]
//! struct InMemory {
//!     names: Vec<String>,
//! }
//!
//! impl Exporter for InMemory {
//!     fn name(&self) -> &str {
//!         "memory"
//!     }
//!     fn export(&mut self, chunk: &Chunk) {
//!         for span in &chunk.spans {
//!             let symbol = span.symbol.and_then(|id| chunk.trace.symbols.get(id));
//!             self.names.push(symbol.map_or_else(String::new, |symbol| symbol.name.clone()));
//!         }
//!     }
//!     fn flush(&mut self, _deadline: Instant) {}
//!     fn counts(&self) -> Counts {
//!         let spans = self.names.len() as u64;
//!         Counts { accepted: spans, delivered: spans, ..Counts::default() }
//!     }
//!     fn last_error(&self) -> Option<String> {
//!         None
//!     }
//! }
//!
//! let symbol = Symbol { name: "fib".to_owned(), attributes: Vec::new() };
//! let trace = Arc::new(TraceInfo {
//!     trace_id: TraceId([1; 16]),
//!     parent: None,
//!     seed: 7,
//!     symbols: Arc::new(SymbolTable::new(vec![symbol])),
//! });
//! let span = SpanRecord {
//!     start_unix_nanos: 1_700_000_000_000_000_000,
//!     end_unix_nanos: 1_700_000_000_000_000_900,
//!     number: SpanNumber(0),
//!     parent: None,
//!     symbol: Some(SymbolId(0)),
//!     status: Status::Unset,
//!     detail: None,
//! };
//!
//! let collector = Collector::builder().exporter(Box::new(InMemory::default())).start();
//! collector.handle().send(Chunk { trace, spans: vec![span], logs: Vec::new() });
//! let report = collector.shutdown(Duration::from_secs(1));
//!
//! let memory = &report.exporters[0];
//! assert_eq!(memory.name, "memory");
//! assert_eq!((memory.counts.accepted, memory.counts.delivered), (1, 1));
//! ```

pub mod aggregate;
pub mod assembly;
pub mod event;

mod cardinality;
mod channel;
mod collector;
mod env;
mod environment;
mod exemplars;
mod exporter;
mod health;
mod intake;
mod limits;
mod metrics;
#[cfg(feature = "opentelemetry")]
pub mod opentelemetry;
pub mod otlp;
pub mod prometheus;
pub mod propagation;
mod resource;
pub mod sampling;
mod stage;
mod stats;
mod tables;
mod telemetry;
mod transfers;

use std::sync::atomic;

pub use cardinality::Cardinality;
pub use channel::{Handle, OnFull};
pub use collector::{Builder, Collector};
pub use env::{ExporterError, ListError};
pub use environment::{Environment, EnvironmentError};
pub use exemplars::{ExemplarFilter, ExemplarFilterError};
pub use exporter::Exporter;
pub use health::{Circuit, Delivery, ExporterHealth, Health, Monitor, SignalHealth};
pub use limits::{Limits, LimitsError};
pub use metrics::DEFAULT_METRIC_INTERVAL;
pub use resource::{Resource, ResourceError};
pub use stats::{
    ChannelReport, Counts, Cut, Dropped, Early, ExporterReport, Flow, Passage, Report, Signal,
    StageReport,
};
pub use transfers::{DiskState, Latency, QueueState, Transfers};
