//! Spans, log records and metrics with all that each may have.

use std::sync::Arc;

use observe_collector::event::{
    Array, Attribute, Buckets, Chunk, Exemplar, ExponentialHistogramPoint, HistogramPoint,
    KeyValueList, LogRecord, Metric, MetricData, Number, Parent, Point, Severity, SpanDetail,
    SpanEvent, SpanId, SpanKind, SpanLink, SpanNumber, SpanRecord, Status, Symbol, SymbolId,
    SymbolTable, Temporality, TraceFlags, TraceId, TraceInfo, Value,
};

/// Some time in 2027.
const NOW: u64 = 1_800_000_000_000_000_000;

const SEVERITIES: [Severity; 6] = [
    Severity::Trace,
    Severity::Debug,
    Severity::Info,
    Severity::Warn,
    Severity::Error,
    Severity::Fatal,
];

const KINDS: [SpanKind; 5] = [
    SpanKind::Internal,
    SpanKind::Server,
    SpanKind::Client,
    SpanKind::Producer,
    SpanKind::Consumer,
];

/// A value of each kind, alone and in each other's company.
fn attributes() -> Vec<Attribute> {
    let mixed = vec!["a".into(), 1_i64.into(), 2.5.into(), true.into(), Value::Empty];
    let array = Array::new(mixed).expect("flat");
    let list = KeyValueList::new(vec![
        Attribute::new("größe", "🦀"),
        Attribute::new("within", array.clone()),
    ]);
    vec![
        Attribute::new("error.type", "unreachable"),
        Attribute::new("naïve ☃", "x".repeat(1_000)),
        Attribute::new("empty text", ""),
        Attribute::new("yes", true),
        Attribute::new("no", false),
        Attribute::new("least", i64::MIN),
        Attribute::new("beyond doubles", (1_i64 << 53) + 1),
        Attribute::new("half", 0.5),
        Attribute::new("whole", 3.0),
        Attribute::new("tiny", f64::MIN_POSITIVE),
        Attribute::new("nothing", Value::Empty),
        Attribute::new("bytes", Value::from(vec![0_u8, 0xff, 0x80, 0x0a])),
        Attribute::new("array", array),
        Attribute::new("list", list.expect("two deep")),
    ]
}

/// A chunk of spans with and without all that one may have, and the like of log records for each
/// severity. The parent is of another process in every other one.
pub(super) fn chunk(number: u8) -> Chunk {
    let symbol = Symbol {
        name: "größe::f".to_owned(),
        attributes: vec![Attribute::new("code.function.name", "größe::f")],
    };
    let trace = TraceInfo {
        trace_id: TraceId([number + 1; 16]),
        parent: Some(Parent {
            span_id: SpanId([7; 8]),
            trace_state: "vendor=1,other=x".to_owned(),
            trace_flags: TraceFlags(3),
            is_remote: number.is_multiple_of(2).then_some(true),
        }),
        seed: u64::from(number) << 40,
        symbols: Arc::new(SymbolTable::new(vec![symbol])),
    };
    Chunk {
        spans: vec![plain_span(), full_span(number)],
        logs: logs(number),
        trace: Arc::new(trace),
    }
}

fn plain_span() -> SpanRecord {
    SpanRecord {
        start_unix_nanos: NOW,
        end_unix_nanos: NOW + 1,
        number: SpanNumber(3),
        parent: Some(SpanNumber(0)),
        symbol: Some(SymbolId(0)),
        status: Status::Unset,
        detail: None,
    }
}

fn full_span(number: u8) -> SpanRecord {
    let event = |name: &str, attributes, dropped_attributes| SpanEvent {
        time_unix_nanos: NOW + 2,
        name: name.to_owned(),
        attributes,
        dropped_attributes,
    };
    let link = SpanLink {
        trace_id: TraceId([0xee; 16]),
        span_id: SpanId([0xdd; 8]),
        trace_state: "vendor=2".to_owned(),
        trace_flags: TraceFlags(1),
        is_remote: Some(true),
        attributes: attributes(),
        dropped_attributes: 4,
    };
    let failed = number.is_multiple_of(3);
    let detail = SpanDetail {
        name: Some(format!("root {number}").into()),
        kind: KINDS[usize::from(number) % KINDS.len()],
        status_message: if failed { "it is größer".to_owned() } else { String::new() },
        attributes: attributes(),
        dropped_attributes: 1,
        events: vec![event("first", attributes(), 2), event("second", Vec::new(), 0)],
        dropped_events: 3,
        links: vec![link, SpanLink::new(TraceId([1; 16]), SpanId([2; 8]))],
        dropped_links: u32::MAX,
    };
    SpanRecord {
        start_unix_nanos: NOW - 5,
        end_unix_nanos: NOW + 5,
        number: SpanNumber(0),
        parent: None,
        symbol: None,
        status: if failed { Status::Error } else { Status::Ok },
        detail: Some(Box::new(detail)),
    }
}

fn logs(number: u8) -> Vec<LogRecord> {
    let logs = SEVERITIES.iter().zip(0..).flat_map(|(severity, at)| {
        let plain = LogRecord {
            time_unix_nanos: NOW + 100 * u64::from(number) + at,
            span: None,
            severity: *severity,
            body: format!("plain {number}"),
            attributes: Vec::new(),
            dropped_attributes: 0,
        };
        let full = LogRecord {
            time_unix_nanos: plain.time_unix_nanos + 10,
            span: Some(SpanNumber(3)),
            severity: *severity,
            body: "a trap: größe\n\tat 🦀".repeat(20),
            attributes: attributes(),
            dropped_attributes: 9,
        };
        [plain, full]
    });
    logs.collect()
}

/// Metrics of all kinds, with exemplars of a trace and of none.
pub(super) fn metrics() -> Vec<Metric> {
    let point = |tenant: &str, value| Point::new(of(tenant), NOW + 5, value);
    let with_exemplars = |tenant: &str, value| Point {
        exemplars: vec![exemplar(Number::Double(0.25)), exemplar(Number::Int(-3))],
        ..point(tenant, value)
    };
    let many = (0..2_000).map(|n| point(&format!("tenant {n}"), Number::Int(n))).collect();
    let seconds =
        vec![with_exemplars("a", Number::Double(0.1)), point("größe", Number::Double(f64::MAX))];
    let extremes =
        [i64::MAX, i64::MIN, 0].map(|number| point(&number.to_string(), Number::Int(number)));
    let gauges = vec![with_exemplars("a", Number::Int(65_536)), point("b", Number::Double(0.0))];
    let delta = MetricData::Sum {
        monotonic: true,
        temporality: Temporality::Delta,
        start_unix_nanos: NOW,
        points: vec![point("a", Number::Int(1))],
    };
    vec![
        metric("wasm.cpu.time", "s", MetricData::sum(true, NOW, seconds)),
        metric("wasm.calls", "{call}", MetricData::sum(true, NOW, many)),
        metric("wasm.traces", "{trace}", MetricData::sum(false, NOW, extremes.into())),
        metric("wasm.recent", "{trace}", delta),
        metric("wasm.memory", "By", MetricData::Gauge(gauges)),
        metric("guest.latency", "ms", histogram()),
        metric("guest.size", "By", exponential_histogram()),
    ]
}

fn histogram() -> MetricData {
    let full = HistogramPoint {
        attributes: of("a"),
        time_unix_nanos: NOW + 5,
        count: 7,
        sum: Some(12.5),
        min: Some(-0.5),
        max: Some(9.0),
        bounds: vec![0.0, 0.1, 5.0],
        counts: vec![1, 0, 4, 2],
        exemplars: vec![exemplar(Number::Double(9.0))],
    };
    let least = HistogramPoint {
        attributes: of("b"),
        time_unix_nanos: NOW + 5,
        count: u64::MAX,
        ..HistogramPoint::default()
    };
    MetricData::Histogram {
        temporality: Temporality::Delta,
        start_unix_nanos: NOW,
        points: vec![full, least],
    }
}

fn exponential_histogram() -> MetricData {
    let full = ExponentialHistogramPoint {
        attributes: of("a"),
        time_unix_nanos: NOW + 5,
        count: 10,
        sum: Some(1e6),
        min: Some(-2.0),
        max: Some(70_000.0),
        scale: -3,
        zero_count: 2,
        zero_threshold: 1e-9,
        positive: Buckets { offset: -4, counts: vec![1, 0, 6] },
        negative: Buckets { offset: 12, counts: vec![1] },
        exemplars: vec![exemplar(Number::Int(70_000))],
    };
    let least = ExponentialHistogramPoint {
        attributes: of("b"),
        time_unix_nanos: NOW + 5,
        ..ExponentialHistogramPoint::default()
    };
    MetricData::ExponentialHistogram {
        temporality: Temporality::Cumulative,
        start_unix_nanos: NOW,
        points: vec![full, least],
    }
}

/// A value that a span of the first chunk's trace measured, or nobody if it is negative.
fn exemplar(value: Number) -> Exemplar {
    let traced = !matches!(value, Number::Int(..0));
    Exemplar {
        time_unix_nanos: NOW + 1,
        value,
        trace_id: traced.then_some(TraceId([1; 16])),
        span_id: traced.then_some(SpanId([9; 8])),
        filtered_attributes: attributes(),
    }
}

/// The attributes of a series.
fn of(tenant: &str) -> Vec<Attribute> {
    vec![Attribute::new("tenant", tenant), Attribute::new("shard", 7_i64)]
}

fn metric(name: &'static str, unit: &'static str, data: MetricData) -> Metric {
    let description = format!("what {name} is").into();
    Metric { name: name.into(), description, unit: unit.into(), data }
}
