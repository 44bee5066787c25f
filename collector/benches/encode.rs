//! Nanoseconds for each span, of our encoder and of prost with the types of
//! `opentelemetry-proto`. All contenders run in turn in one process, and
//! what counts is the median of the ratios of neighbouring runs.
//!
//! `cargo bench -p observe-collector --bench encode`

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use observe_collector::event::{
    Attribute, Chunk, SpanNumber, SpanRecord, Status, Symbol, SymbolId, SymbolTable, TraceId,
    TraceInfo, Value,
};
use observe_collector::otlp::Encoder;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message;

const SYMBOLS: u32 = 200;
const SPANS: u32 = 512;
const CALLS: u32 = 40;
const ROUNDS: usize = 101;

fn chunk() -> Chunk {
    let symbol = |n: u32| Symbol {
        name: format!("module::function_{n:03}"),
        attributes: vec![
            Attribute::new("code.function.name", format!("module::function_{n:03}")),
            Attribute::new("code.file.path", "src/module.rs"),
            Attribute::new("code.line.number", i64::from(n)),
            Attribute::new("wasm.function.index", i64::from(n)),
        ],
    };
    let trace = TraceInfo {
        trace_id: TraceId([7; 16]),
        parent: None,
        seed: 42,
        symbols: Arc::new(SymbolTable::new((0..SYMBOLS).map(symbol).collect())),
    };
    let span = |n: u32| SpanRecord {
        start_unix_nanos: 1_700_000_000_000_000_000 + u64::from(n) * 1_000,
        end_unix_nanos: 1_700_000_000_000_000_700 + u64::from(n) * 1_000,
        number: SpanNumber(n + 1),
        parent: Some(SpanNumber(n / 2)),
        symbol: Some(SymbolId(n.wrapping_mul(2_654_435_761) % SYMBOLS)),
        status: Status::Unset,
        detail: None,
    };
    Chunk { trace: Arc::new(trace), spans: (0..SPANS).map(span).collect(), logs: Vec::new() }
}

fn ours(encoder: &mut Encoder, chunk: &Chunk, out: &mut Vec<u8>) {
    let mut encoder = encoder.of_trace(&chunk.trace);
    for span in &chunk.spans {
        encoder.put(span, out);
    }
}

/// The messages that an exporter built on prost makes of a chunk.
fn build(chunk: &Chunk) -> otlp::ScopeSpans {
    let trace = &chunk.trace;
    let attribute = |attribute: &Attribute| {
        let value = match &attribute.value {
            Value::String(text) => any_value::Value::StringValue(text.clone()),
            Value::Bool(truth) => any_value::Value::BoolValue(*truth),
            Value::Int(number) => any_value::Value::IntValue(*number),
            Value::Double(number) => any_value::Value::DoubleValue(*number),
            other => unreachable!("no attribute here is {other:?}"),
        };
        let value = Some(AnyValue { value: Some(value) });
        KeyValue { key: attribute.key.to_string(), value, ..KeyValue::default() }
    };
    let span = |span: &SpanRecord| {
        let symbol = span.symbol.and_then(|id| trace.symbols.get(id)).expect("a symbol");
        otlp::Span {
            trace_id: trace.trace_id.0.to_vec(),
            span_id: trace.span_id(span.number).0.to_vec(),
            parent_span_id: span.parent.map(|n| trace.span_id(n).0.to_vec()).unwrap_or_default(),
            flags: 0x101,
            name: symbol.name.clone(),
            kind: otlp::span::SpanKind::Internal as i32,
            start_time_unix_nano: span.start_unix_nanos,
            end_time_unix_nano: span.end_unix_nanos,
            attributes: symbol.attributes.iter().map(attribute).collect(),
            ..otlp::Span::default()
        }
    };
    otlp::ScopeSpans {
        spans: chunk.spans.iter().map(span).collect(),
        ..otlp::ScopeSpans::default()
    }
}

/// Nanoseconds a span.
fn time(mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..CALLS {
        run();
    }
    start.elapsed().as_nanos() as f64 / f64::from(CALLS * SPANS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let chunk = chunk();
    let prebuilt = build(&chunk);
    let mut encoder = Encoder::default();
    let mut out = Vec::with_capacity(1 << 20);
    ours(&mut encoder, &chunk, &mut out);
    assert_eq!(out, prebuilt.encode_to_vec(), "the contenders write the same bytes");
    let (bytes, reference) = (out.len(), out.clone());

    let mut rounds: Vec<[f64; 4]> = Vec::new();
    for _ in 0..ROUNDS {
        let ours = time(|| {
            out.clear();
            ours(&mut encoder, black_box(&chunk), &mut out);
            black_box(&out);
        });
        let build_and_encode = time(|| {
            out.clear();
            build(black_box(&chunk)).encode(&mut out).expect("room");
            black_box(&out);
        });
        let encode = time(|| {
            out.clear();
            black_box(&prebuilt).encode(&mut out).expect("room");
            black_box(&out);
        });
        let copy = time(|| {
            out.clear();
            for span in black_box(&reference).chunks(bytes / SPANS as usize) {
                out.extend_from_slice(span);
            }
            black_box(&out);
        });
        rounds.push([ours, build_and_encode, encode, copy]);
    }

    println!("{} bytes a span, median of {ROUNDS} rounds", bytes / SPANS as usize);
    let names = ["ours", "prost, build and encode", "prost, encode only", "copy of the bytes"];
    for (column, name) in names.iter().enumerate() {
        let nanos = median(rounds.iter().map(|round| round[column]).collect());
        let ratio = median(rounds.iter().map(|round| round[column] / round[0]).collect());
        println!("{name:>24}: {nanos:7.1} ns/span, {ratio:6.2} x ours");
    }
}
