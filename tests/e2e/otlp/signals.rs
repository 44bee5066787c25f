//! Log records and metrics at a backend, beside the spans of the same collector.

use std::sync::Arc;
use std::time::Duration;

use observe_collector::event::{
    Attribute, Chunk, LogRecord, Metric, MetricData, Number, Point, Severity, SpanId, SpanNumber,
    SpanRecord, Status, SymbolTable, TraceId, TraceInfo, Value,
};
use observe_collector::{Collector, ExporterReport, OnFull, Resource, otlp};
use serde_json::{Value as Json, json};

use super::{capture, decode, rotel};

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

/// A chunk of a span and, for each severity, log records with and without all that one may have.
fn chunk(number: u8) -> Chunk {
    let trace = Arc::new(TraceInfo {
        trace_id: TraceId([number + 1; 16]),
        parent: Some(SpanId([7; 8]).into()),
        seed: u64::from(number) << 40,
        symbols: Arc::new(SymbolTable::default()),
    });
    let span = SpanRecord {
        start_unix_nanos: NOW,
        end_unix_nanos: NOW + 1,
        number: SpanNumber(3),
        parent: None,
        symbol: None,
        status: Status::Unset,
        detail: None,
    };
    let attributes = vec![
        Attribute::new("error.type", "unreachable"),
        Attribute::new("naïve ☃", "x".repeat(1_000)),
        Attribute::new("yes", true),
        Attribute::new("least", i64::MIN),
        Attribute { key: "half".into(), value: Value::Double(0.5) },
    ];
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
            attributes: attributes.clone(),
            dropped_attributes: 0,
        };
        [plain, full]
    });
    Chunk { logs: logs.collect(), trace, spans: vec![span] }
}

fn metrics() -> Vec<Metric> {
    let point = |tenant: &str, value| {
        let attributes = vec![Attribute::new("tenant", tenant), Attribute::new("shard", 7_i64)];
        Point::new(attributes, NOW + 5, value)
    };
    let metric = |name: &'static str, unit: &'static str, data| Metric {
        name: name.into(),
        description: format!("what {name} is").into(),
        unit: unit.into(),
        data,
    };
    let sum = |monotonic, points| MetricData::sum(monotonic, NOW, points);
    let many = (0..2_000).map(|n| point(&format!("tenant {n}"), Number::Int(n))).collect();
    vec![
        metric(
            "wasm.cpu.time",
            "s",
            sum(
                true,
                vec![point("a", Number::Double(0.1)), point("größe", Number::Double(f64::MAX))],
            ),
        ),
        metric("wasm.calls", "{call}", sum(true, many)),
        metric(
            "wasm.traces",
            "{trace}",
            sum(
                false,
                vec![
                    point("a", Number::Int(i64::MAX)),
                    point("b", Number::Int(i64::MIN)),
                    point("c", Number::Int(0)),
                ],
            ),
        ),
        metric(
            "wasm.memory",
            "By",
            MetricData::Gauge(vec![
                point("a", Number::Int(65_536)),
                point("b", Number::Double(0.0)),
            ]),
        ),
    ]
}

pub(super) fn value(value: &Value) -> Json {
    match value {
        Value::String(text) => json!({ "string": text }),
        Value::Bool(truth) => json!({ "bool": truth }),
        Value::Int(number) => json!({ "int": number.to_string() }),
        Value::Double(number) => json!({ "double": number }),
        other => unreachable!("nothing here has {other:?}"),
    }
}

fn attributes(attributes: &[Attribute]) -> Json {
    attributes.iter().map(|attribute| json!([attribute.key, value(&attribute.value)])).collect()
}

fn id(hex: &str) -> Json {
    json!({ "hex": hex, "bytes": hex.len() / 2 })
}

/// What the decoder should say of a log record.
fn expected_log(trace: &TraceInfo, log: &LogRecord) -> Json {
    let severity = log.severity.text();
    let span = log.span.map(|number| trace.span_id(number).to_string()).unwrap_or_default();
    json!({
        "time_unix_nano": log.time_unix_nanos.to_string(),
        "observed_time_unix_nano": log.time_unix_nanos.to_string(),
        "severity_number": format!("SEVERITY_NUMBER_{severity}"),
        "severity_text": severity,
        "body": { "string": log.body },
        "attributes": attributes(&log.attributes),
        "dropped_attributes_count": 0,
        "flags": 1,
        "trace_id": id(&trace.trace_id.to_string()),
        "span_id": id(&span),
    })
}

/// What the decoder should say of each point of a metric.
fn expected_points(metric: &Metric) -> Vec<Json> {
    let (kind, points, start) = match &metric.data {
        MetricData::Gauge(points) => ("gauge", points, 0),
        MetricData::Sum { points, start_unix_nanos, .. } => ("sum", points, *start_unix_nanos),
        other => unreachable!("nothing here has {other:?}"),
    };
    let told = points.iter().map(|point| {
        let value = match point.value {
            Number::Int(value) => json!({ "int": value.to_string() }),
            Number::Double(value) => json!({ "double": value }),
        };
        let mut told = json!({
            "name": metric.name,
            "description": metric.description,
            "unit": metric.unit,
            "metadata": [],
            "kind": kind,
            "start_time_unix_nano": start.to_string(),
            "time_unix_nano": point.time_unix_nanos.to_string(),
            "value": value,
            "attributes": attributes(&point.attributes),
            "exemplars": [],
            "flags": 0,
        });
        if let MetricData::Sum { monotonic, .. } = metric.data {
            told["temporality"] = json!("AGGREGATION_TEMPORALITY_CUMULATIVE");
            told["monotonic"] = json!(monotonic);
        }
        told
    });
    told.collect()
}

/// The decoder's metrics, point by point, as a metric may come in parts.
fn received_points(metrics: Vec<Json>) -> Vec<Json> {
    let told = metrics.into_iter().flat_map(|mut metric| {
        let points = metric["points"].take();
        let fields = metric.as_object_mut().expect("an object");
        fields.remove("points");
        let fields = fields.clone();
        let points = points.as_array().expect("a list").clone();
        points.into_iter().map(move |mut point| {
            point.as_object_mut().expect("an object").extend(fields.clone());
            point
        })
    });
    told.collect()
}

/// Takes out who sent it, which is to be us, and puts all in an order.
fn checked(mut items: Vec<Json>) -> Vec<String> {
    for item in &mut items {
        let fields = item.as_object_mut().expect("an object");
        let resource = fields.remove("resource").expect("a resource").to_string();
        assert!(resource.contains("observe-tests") && resource.contains("naïve ☃"), "{resource}");
        let scope = fields.remove("scope").expect("a scope");
        assert_eq!(scope["name"], "observe", "{scope}");
        assert_eq!(scope["version"], env!("CARGO_PKG_VERSION"), "{scope}");
    }
    sorted(items)
}

fn sorted(items: Vec<Json>) -> Vec<String> {
    let mut items: Vec<_> = items.iter().map(Json::to_string).collect();
    items.sort();
    items
}

fn send(port: u16, gzip: bool, chunks: Vec<Chunk>, metrics: Vec<Metric>) -> ExporterReport {
    let lookup =
        |name: &str| (gzip && name == "OTEL_EXPORTER_OTLP_COMPRESSION").then(|| "gzip".to_owned());
    let url = format!("http://127.0.0.1:{port}");
    let config = otlp::Config::for_endpoint_with(&url, &lookup).expect("a URL");
    let resource = Resource::new()
        .with_default("service.name", "observe-tests")
        .with_default("service.version", "naïve ☃");
    let collector = Collector::builder()
        .on_full(OnFull::Block)
        .exporter(Box::new(otlp::OtlpExporter::new(config, resource)))
        .metrics(Duration::MAX, move || metrics.clone())
        .start();
    chunks.into_iter().for_each(|chunk| collector.handle().send(chunk));
    let mut report = collector.shutdown(Duration::from_secs(20));
    report.exporters.remove(0)
}

#[test]
fn a_real_collector_gets_every_field_of_logs_and_metrics() {
    deliver(false);
}

#[test]
fn a_real_collector_unpacks_what_is_compressed() {
    deliver(true);
}

fn deliver(gzip: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let (captor, port) = capture(folder.path());
    let (gateway, port) = rotel(port);

    let chunks: Vec<_> = (0..100).map(chunk).collect();
    let expected_logs: Vec<_> = chunks
        .iter()
        .flat_map(|chunk| chunk.logs.iter().map(|log| expected_log(&chunk.trace, log)))
        .collect();
    let metrics = metrics();
    let expected_points: Vec<_> = metrics.iter().flat_map(expected_points).collect();
    let report = send(port, gzip, chunks, metrics);
    gateway.terminate();
    captor.terminate();

    assert_eq!(report.last_error, None);
    let delivered = [&report.counts, &report.logs, &report.metrics].map(|counts| {
        assert!(counts.is_balanced(), "{report:?}");
        counts.delivered
    });
    assert_eq!(delivered, [100, 1_200, 2_007]);
    assert_eq!(decode("traces", folder.path()).len(), 100);
    assert_eq!(checked(decode("logs", folder.path())), sorted(expected_logs));
    let received = received_points(decode("metrics", folder.path()));
    assert_eq!(checked(received), sorted(expected_points));
}
