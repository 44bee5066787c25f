//! Ours: chunks of records through a handle, as the host sends them.

use std::sync::Arc;
use std::time::Duration;

use observe_benches::Result;
use observe_collector::event::{
    Attribute, Chunk, SpanNumber, SpanRecord, Status, Symbol, SymbolId, SymbolTable, TraceId,
    TraceInfo,
};
use observe_collector::opentelemetry::SdkExporter;
use observe_collector::otlp::{Config, OtlpExporter};
use observe_collector::{Collector, Exporter, OnFull, Resource};

use crate::Sender;
use crate::peers;
use crate::spans::{FILE, FUNCTIONS, TRACE, WAVE, in_parts, index, times};

const LONG: Duration = Duration::from_secs(60);

pub(crate) fn http(url: &str) -> Result<Sender> {
    Ok(sender(Box::new(exporter(url)?)))
}

pub(crate) fn grpc(url: &str) -> Result<Sender> {
    let grpc = |name: &str| (name == "OTEL_EXPORTER_OTLP_PROTOCOL").then(|| "grpc".to_owned());
    let config = Config::for_endpoint_with(url, &grpc)?;
    Ok(sender(Box::new(OtlpExporter::new(config, Resource::new()))))
}

/// With what the specification says where the environment says nothing.
pub(crate) fn exporter(url: &str) -> Result<OtlpExporter> {
    let config = Config::for_endpoint_with(url, &|_| None)?;
    Ok(OtlpExporter::new(config, Resource::new()))
}

pub(crate) fn through_sdk(url: &str) -> Result<Sender> {
    let exporter = peers::http_exporter(url)?;
    // A wave has room, as with the SDK's own processor.
    let builder = SdkExporter::builder(&Resource::new()).queue_bytes(1 << 30);
    Ok(sender(Box::new(builder.spans(exporter).build())))
}

fn sender(exporter: Box<dyn Exporter>) -> Sender {
    let collector = Collector::builder().exporter(exporter).on_full(OnFull::Block).start();
    let mut chunks = Chunks::new();
    Box::new(move |spans| {
        in_parts(spans, WAVE, |wave| {
            let handle = collector.handle();
            in_parts(wave, TRACE, |chunk| {
                handle.send(chunks.next(chunk));
                Ok::<_, String>(())
            })?;
            let done = collector.flush(LONG);
            let report = collector.report(LONG).ok_or("the collector does not answer")?;
            let counts = report.exporters[0].counts;
            assert!(counts.is_balanced(), "{report:?}");
            if !done || counts.delivered != counts.accepted {
                return Err(format!("not all arrived: {report:?}"));
            }
            Ok(())
        })?;
        Ok(())
    })
}

/// Makes chunks, of a trace each.
pub(crate) struct Chunks {
    symbols: Arc<SymbolTable>,
    traces: u64,
}

impl Chunks {
    pub(crate) fn new() -> Self {
        let symbol = |function: &crate::spans::Function| Symbol {
            name: function.name.to_owned(),
            attributes: vec![
                Attribute::new("code.function.name", function.name),
                Attribute::new("code.file.path", FILE),
                Attribute::new("code.line.number", function.line),
                Attribute::new("wasm.function.index", function.line),
            ],
        };
        let symbols = FUNCTIONS.iter().map(symbol).collect();
        Chunks { symbols: Arc::new(SymbolTable::new(symbols)), traces: 0 }
    }

    pub(crate) fn next(&mut self, spans: u64) -> Chunk {
        self.traces += 1;
        let trace = TraceInfo {
            trace_id: TraceId((u128::from(self.traces) << 64 | 7).to_be_bytes()),
            parent: None,
            seed: self.traces,
            symbols: Arc::clone(&self.symbols),
        };
        let span = |number: u64| {
            let (start_unix_nanos, end_unix_nanos) = times(number);
            SpanRecord {
                start_unix_nanos,
                end_unix_nanos,
                number: SpanNumber(number as u32 + 1),
                parent: Some(SpanNumber(number as u32 / 2)),
                symbol: Some(SymbolId(index(number) as u32)),
                status: Status::Unset,
                detail: None,
            }
        };
        Chunk { trace: Arc::new(trace), spans: (0..spans).map(span).collect(), logs: Vec::new() }
    }
}
