//! Traces made from a seed, and what OTLP should say of them, through the types
//! that prost generates: a second way from the same input that shares no code with ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use observe_collector::event::{
    Attribute, Chunk, LogRecord, Metric, MetricData, Number, Point, Severity, SpanDetail, SpanId,
    SpanNumber, SpanRecord, Status, Symbol, SymbolId, SymbolTable, TraceId, TraceInfo, Value,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1 as otlp_logs;
use opentelemetry_proto::tonic::metrics::v1 as otlp_metrics;
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

/// Mostly none or few attributes, sometimes dozens.
fn few_or_many(random: &mut Random) -> Vec<Attribute> {
    let rounds = if random.one_in(10) { 20 } else { 1 };
    (0..rounds).flat_map(|_| random.attributes()).collect()
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
    let severities = {
        use Severity::{Debug, Error, Fatal, Info, Trace, Warn};
        [Trace, Debug, Info, Warn, Error, Fatal]
    };
    let logs = (0..random.below(10))
        .map(|_| LogRecord {
            time_unix_nanos: if random.one_in(10) { 0 } else { random.next() },
            span: random.one_in(2).then(|| SpanNumber(random.next() as u32)),
            severity: severities[random.below(6) as usize],
            body: random.text(),
            attributes: few_or_many(&mut random),
        })
        .collect();
    Chunk { trace: Arc::new(trace), spans, logs }
}

/// A metric of any kind.
pub(crate) fn random_metric(seed: u64) -> Metric {
    let mut random = Random(seed);
    let points: Vec<_> = (0..random.below(8))
        .map(|_| Point {
            attributes: few_or_many(&mut random),
            time_unix_nanos: if random.one_in(10) { 0 } else { random.next() },
            value: match random.value() {
                Value::Double(value) => Number::Double(value),
                Value::Int(value) => Number::Int(value),
                _ => Number::Int(0),
            },
        })
        .collect();
    let data = if random.one_in(2) {
        MetricData::Gauge(points)
    } else {
        let start_unix_nanos = if random.one_in(4) { 0 } else { random.next() };
        MetricData::Sum { monotonic: random.one_in(2), start_unix_nanos, points }
    };
    let (name, description, unit) = (random.text(), random.text(), random.text());
    Metric { name: name.into(), description: description.into(), unit: unit.into(), data }
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

/// A chunk of this many spans and log records.
pub(crate) fn logging_chunk(spans: u32, logs: u32) -> Chunk {
    let log = |number: u32| LogRecord {
        time_unix_nanos: 1_700_000_000_000_000_000 + u64::from(number),
        span: Some(SpanNumber(number)),
        severity: Severity::Info,
        body: format!("message {number}"),
        attributes: Vec::new(),
    };
    Chunk { logs: (0..logs).map(log).collect(), ..plain_chunk(spans) }
}

/// A gauge with this many points.
pub(crate) fn gauge(name: &'static str, points: i64) -> Metric {
    let point = |value: i64| Point {
        attributes: vec![Attribute::new("tenant", value)],
        time_unix_nanos: 1_700_000_000_000_000_000,
        value: Number::Int(value),
    };
    let data = MetricData::Gauge((0..points).map(point).collect());
    Metric { name: name.into(), description: "".into(), unit: "By".into(), data }
}

/// What OTLP should say of attributes.
fn expected_attributes<'a>(all: impl Iterator<Item = &'a Attribute>) -> Vec<KeyValue> {
    let all: Vec<_> = all.collect();
    let is_last = |n: &usize| !all[n + 1..].iter().any(|later| later.key == all[*n].key);
    (0..all.len()).filter(is_last).map(|n| key_value(all[n])).collect()
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
        attributes: expected_attributes(shared.iter().chain(own)),
        status,
        ..otlp::Span::default()
    }
}

/// What OTLP should say of a log record.
pub(crate) fn expected_log(trace: &TraceInfo, log: &LogRecord) -> otlp_logs::LogRecord {
    use otlp_logs::SeverityNumber;
    let severity = match log.severity {
        Severity::Trace => SeverityNumber::Trace,
        Severity::Debug => SeverityNumber::Debug,
        Severity::Info => SeverityNumber::Info,
        Severity::Warn => SeverityNumber::Warn,
        Severity::Error => SeverityNumber::Error,
        Severity::Fatal => SeverityNumber::Fatal,
    };
    let span_id = log.span.map(|number| trace.span_id(number).0.to_vec()).unwrap_or_default();
    let body = any_value::Value::StringValue(log.body.clone());
    otlp_logs::LogRecord {
        time_unix_nano: log.time_unix_nanos,
        observed_time_unix_nano: log.time_unix_nanos,
        severity_number: severity as i32,
        severity_text: severity.as_str_name().trim_start_matches("SEVERITY_NUMBER_").to_owned(),
        body: Some(AnyValue { value: Some(body) }),
        attributes: expected_attributes(log.attributes.iter()),
        flags: 1,
        trace_id: trace.trace_id.0.to_vec(),
        span_id,
        ..otlp_logs::LogRecord::default()
    }
}

/// What OTLP should say of a metric.
pub(crate) fn expected_metric(metric: &Metric) -> otlp_metrics::Metric {
    use otlp_metrics::{AggregationTemporality, metric::Data, number_data_point::Value};
    let expected_points = |points: &[Point], start| {
        let point = |point: &Point| otlp_metrics::NumberDataPoint {
            attributes: expected_attributes(point.attributes.iter()),
            start_time_unix_nano: start,
            time_unix_nano: point.time_unix_nanos,
            value: Some(match point.value {
                Number::Int(value) => Value::AsInt(value),
                Number::Double(value) => Value::AsDouble(value),
            }),
            ..otlp_metrics::NumberDataPoint::default()
        };
        points.iter().map(point).collect()
    };
    let data = match &metric.data {
        MetricData::Gauge(points) => {
            Data::Gauge(otlp_metrics::Gauge { data_points: expected_points(points, 0) })
        }
        MetricData::Sum { monotonic, start_unix_nanos, points } => Data::Sum(otlp_metrics::Sum {
            data_points: expected_points(points, *start_unix_nanos),
            aggregation_temporality: AggregationTemporality::Cumulative as i32,
            is_monotonic: *monotonic,
        }),
    };
    otlp_metrics::Metric {
        name: metric.name.to_string(),
        description: metric.description.to_string(),
        unit: metric.unit.to_string(),
        data: Some(data),
        ..otlp_metrics::Metric::default()
    }
}
