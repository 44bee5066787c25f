//! Traces made from a seed, and what OTLP should say of them, through the types
//! that prost generates: a second way from the same input that shares no code with ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use observe_collector::event::{
    Attribute, Chunk, SpanDetail, SpanId, SpanNumber, SpanRecord, Status, Symbol, SymbolId,
    SymbolTable, TraceId, TraceInfo, Value,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{self as otlp, span::SpanKind, status::StatusCode};

/// Numbers that look random and are the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd) >> 3
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }

    /// Text of many alphabets and of lengths around where a length takes another byte.
    pub(crate) fn text(&mut self) -> String {
        const LENGTHS: [u64; 9] = [0, 1, 7, 60, 126, 127, 128, 129, 300];
        let length = match self.below(40) {
            0 => 16_384 + self.below(3) - 1,
            n => LENGTHS[n as usize % LENGTHS.len()],
        };
        let unit = ["x", "é", "語", "🦀", "\0", " "][self.below(6) as usize];
        let mut text = unit.repeat(length as usize / unit.len());
        while (text.len() as u64) < length {
            text.push('.');
        }
        text
    }

    pub(crate) fn value(&mut self) -> Value {
        match self.below(4) {
            0 => Value::String(self.text()),
            1 => Value::Bool(self.one_in(2)),
            2 => {
                let raw = self.next() as i64;
                Value::Int(
                    [0, 1, -1, 127, 128, i64::MAX, i64::MIN, raw, -raw][self.below(9) as usize],
                )
            }
            _ => Value::Double(
                [0.0, -0.0, 1.5, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, self.next() as f64]
                    [self.below(7) as usize],
            ),
        }
    }

    /// Attributes of which some have the same key.
    pub(crate) fn attributes(&mut self) -> Vec<Attribute> {
        let keys = ["code.function.name", "a", "", "größe", "wasm.module.name"];
        (0..self.below(6))
            .map(|_| {
                let key = if self.one_in(5) {
                    self.text()
                } else {
                    keys[self.below(keys.len() as u64) as usize].to_owned()
                };
                Attribute { key: key.into(), value: self.value() }
            })
            .collect()
    }
}

fn distinct(attributes: Vec<Attribute>) -> Vec<Attribute> {
    let keyed: BTreeMap<_, _> = attributes.into_iter().map(|a| (a.key.clone(), a)).collect();
    keyed.into_values().collect()
}

/// A chunk in which everything that a span can have occurs.
pub(crate) fn random_chunk(seed: u64) -> Chunk {
    let mut random = Random(seed);
    let symbols = (0..1 + random.below(8))
        .map(|_| Symbol { name: random.text(), attributes: distinct(random.attributes()) })
        .collect();
    let mut trace_id = [0; 16];
    trace_id[..8].copy_from_slice(&random.next().to_be_bytes());
    trace_id[8..].copy_from_slice(&random.next().to_be_bytes());
    let trace = TraceInfo {
        trace_id: TraceId(trace_id),
        parent: random.one_in(2).then(|| SpanId(random.next().to_be_bytes())),
        seed: random.next(),
        symbols: Arc::new(SymbolTable::new(symbols)),
    };
    let spans = (0..random.below(20))
        .map(|number| SpanRecord {
            start_unix_nanos: random.next(),
            end_unix_nanos: random.next(),
            number: SpanNumber(number as u32),
            parent: (number > 0 && !random.one_in(4))
                .then(|| SpanNumber(random.below(number) as u32)),
            // Some ids are those of no symbol.
            symbol: (!random.one_in(8)).then(|| SymbolId(random.below(10) as u32)),
            status: if random.one_in(3) { Status::Error } else { Status::Unset },
            detail: random.one_in(2).then(|| {
                Box::new(SpanDetail {
                    name: random.one_in(2).then(|| random.text()),
                    status_message: random.text(),
                    attributes: random.attributes(),
                })
            }),
        })
        .collect();
    Chunk { trace: Arc::new(trace), spans, logs: Vec::new() }
}

/// A chunk of plain spans with distinct numbers.
pub(crate) fn plain_chunk(spans: u32) -> Chunk {
    chunk_from(0, spans)
}

/// A chunk of plain spans with numbers from `first`.
pub(crate) fn chunk_from(first: u32, spans: u32) -> Chunk {
    let symbol = Symbol {
        name: "function".to_owned(),
        attributes: vec![Attribute::new("code.function.name", "function")],
    };
    let trace = TraceInfo {
        trace_id: TraceId([7; 16]),
        parent: None,
        seed: 42,
        symbols: Arc::new(SymbolTable::new(vec![symbol])),
    };
    let span = |number: u32| SpanRecord {
        start_unix_nanos: 1_700_000_000_000_000_000 + u64::from(number),
        end_unix_nanos: 1_700_000_000_000_001_000 + u64::from(number),
        number: SpanNumber(number),
        parent: (number > 0).then(|| SpanNumber(number - 1)),
        symbol: Some(SymbolId(0)),
        status: Status::Unset,
        detail: None,
    };
    Chunk {
        trace: Arc::new(trace),
        spans: (first..first + spans).map(span).collect(),
        logs: Vec::new(),
    }
}

fn key_value(attribute: &Attribute) -> KeyValue {
    let value = match &attribute.value {
        Value::String(text) => any_value::Value::StringValue(text.clone()),
        Value::Bool(truth) => any_value::Value::BoolValue(*truth),
        Value::Int(number) => any_value::Value::IntValue(*number),
        Value::Double(number) => any_value::Value::DoubleValue(*number),
    };
    KeyValue {
        key: attribute.key.to_string(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// What OTLP should say of a span.
pub(crate) fn expected_span(trace: &TraceInfo, span: &SpanRecord) -> otlp::Span {
    let symbol = span.symbol.and_then(|id| trace.symbols.get(id));
    let detail = span.detail.as_deref();
    let name = detail
        .and_then(|detail| detail.name.as_deref())
        .or(symbol.map(|symbol| symbol.name.as_str()))
        .unwrap_or("unknown");
    let shared = symbol.map_or(&[][..], |symbol| &symbol.attributes);
    let own = detail.map_or(&[][..], |detail| &detail.attributes);
    let all: Vec<&Attribute> = shared.iter().chain(own).collect();
    let is_last = |n: &usize| !all[n + 1..].iter().any(|later| later.key == all[*n].key);
    let parent = match span.parent {
        Some(number) => trace.span_id(number).0.to_vec(),
        None => trace.parent.map(|id| id.0.to_vec()).unwrap_or_default(),
    };
    let status = match span.status {
        Status::Unset => None,
        Status::Error => Some(otlp::Status {
            message: detail.map(|detail| detail.status_message.clone()).unwrap_or_default(),
            code: StatusCode::Error as i32,
        }),
    };
    otlp::Span {
        trace_id: trace.trace_id.0.to_vec(),
        span_id: trace.span_id(span.number).0.to_vec(),
        parent_span_id: parent,
        flags: 1,
        name: name.to_owned(),
        kind: SpanKind::Internal as i32,
        start_time_unix_nano: span.start_unix_nanos,
        end_time_unix_nano: span.end_unix_nanos,
        attributes: (0..all.len()).filter(is_last).map(|n| key_value(all[n])).collect(),
        status,
        ..otlp::Span::default()
    }
}
