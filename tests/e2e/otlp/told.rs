//! What the decoder should say of a span, a log record or a metric.

use observe_collector::event::{
    Attribute, Buckets, Exemplar, LogRecord, Metric, MetricData, Number, SpanEvent, SpanKind,
    SpanLink, SpanRecord, Status, Temporality, TraceFlags, TraceInfo, Value,
};
use serde_json::{Value as Json, json};

/// The bits of a span's flags that say whether the other span is of another process.
const KNOWN: u32 = 0x100;
const REMOTE: u32 = 0x200;

pub(super) fn value(value: &Value) -> Json {
    match value {
        Value::Empty => json!({ "empty": null }),
        Value::String(text) => json!({ "string": text }),
        Value::Bool(truth) => json!({ "bool": truth }),
        Value::Int(number) => json!({ "int": number.to_string() }),
        Value::Double(number) => json!({ "double": number }),
        Value::Bytes(bytes) => json!({ "bytes": hex(bytes) }),
        Value::Array(array) => {
            json!({ "array": array.values().iter().map(self::value).collect::<Json>() })
        }
        Value::KeyValueList(list) => json!({ "kvlist": attributes(list.attributes()) }),
    }
}

pub(super) fn attributes<'a>(attributes: impl IntoIterator<Item = &'a Attribute>) -> Json {
    let pairs = attributes.into_iter();
    pairs.map(|attribute| json!([attribute.key, value(&attribute.value)])).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn id(hex: &str) -> Json {
    json!({ "hex": hex, "bytes": hex.len() / 2 })
}

fn optional_id(id: Option<impl ToString>) -> Json {
    self::id(&id.map(|id| id.to_string()).unwrap_or_default())
}

fn flags(flags: TraceFlags, is_remote: Option<bool>) -> u32 {
    let said = match is_remote {
        Some(true) => KNOWN + REMOTE,
        Some(false) => KNOWN,
        None => 0,
    };
    u32::from(flags.0) + said
}

pub(super) fn span(trace: &TraceInfo, span: &SpanRecord) -> Json {
    let symbol = span.symbol.and_then(|id| trace.symbols.get(id));
    let detail = span.detail.as_deref().cloned().unwrap_or_default();
    let name = symbol.map(|symbol| symbol.name.clone()).or(detail.name.map(Into::into));
    let shared = symbol.into_iter().flat_map(|symbol| &symbol.attributes);
    let is_remote = match (span.parent, &trace.parent) {
        (None, Some(parent)) => parent.is_remote,
        _ => Some(false),
    };
    json!({
        "trace_id": id(&trace.trace_id.to_string()),
        "span_id": id(&trace.span_id(span.number).to_string()),
        "parent_span_id": optional_id(trace.parent_id(span)),
        "trace_state": trace.trace_state(),
        "flags": flags(trace.trace_flags(), is_remote),
        "name": name,
        "kind": match detail.kind {
            SpanKind::Internal => "SPAN_KIND_INTERNAL",
            SpanKind::Server => "SPAN_KIND_SERVER",
            SpanKind::Client => "SPAN_KIND_CLIENT",
            SpanKind::Producer => "SPAN_KIND_PRODUCER",
            SpanKind::Consumer => "SPAN_KIND_CONSUMER",
        },
        "start_time_unix_nano": span.start_unix_nanos.to_string(),
        "end_time_unix_nano": span.end_unix_nanos.to_string(),
        "attributes": attributes(shared.chain(&detail.attributes)),
        "dropped_attributes_count": detail.dropped_attributes,
        "events": detail.events.iter().map(event).collect::<Json>(),
        "dropped_events_count": detail.dropped_events,
        "links": detail.links.iter().map(link).collect::<Json>(),
        "dropped_links_count": detail.dropped_links,
        "status": {
            "code": match span.status {
                Status::Unset => "STATUS_CODE_UNSET",
                Status::Ok => "STATUS_CODE_OK",
                Status::Error => "STATUS_CODE_ERROR",
            },
            "message": detail.status_message,
        },
    })
}

fn event(event: &SpanEvent) -> Json {
    json!({
        "time_unix_nano": event.time_unix_nanos.to_string(),
        "name": event.name,
        "attributes": attributes(&event.attributes),
        "dropped_attributes_count": event.dropped_attributes,
    })
}

fn link(link: &SpanLink) -> Json {
    json!({
        "trace_id": id(&link.trace_id.to_string()),
        "span_id": id(&link.span_id.to_string()),
        "trace_state": link.trace_state,
        "attributes": attributes(&link.attributes),
        "dropped_attributes_count": link.dropped_attributes,
        "flags": flags(link.trace_flags, link.is_remote),
    })
}

pub(super) fn log(trace: &TraceInfo, log: &LogRecord) -> Json {
    let severity = log.severity.text();
    json!({
        "time_unix_nano": log.time_unix_nanos.to_string(),
        "observed_time_unix_nano": log.time_unix_nanos.to_string(),
        "severity_number": format!("SEVERITY_NUMBER_{severity}"),
        "severity_text": severity,
        "body": { "string": log.body },
        "attributes": attributes(&log.attributes),
        "dropped_attributes_count": log.dropped_attributes,
        "flags": trace.trace_flags().0,
        "trace_id": id(&trace.trace_id.to_string()),
        "span_id": optional_id(log.span.map(|number| trace.span_id(number))),
    })
}

/// Each point of a metric, with what all of them have, as a metric may come in parts.
pub(super) fn points(metric: &Metric) -> Vec<Json> {
    let (kind, temporality, start) = match &metric.data {
        MetricData::Gauge(_) => ("gauge", None, 0),
        MetricData::Sum { temporality, start_unix_nanos, .. } => {
            ("sum", Some(temporality), *start_unix_nanos)
        }
        MetricData::Histogram { temporality, start_unix_nanos, .. } => {
            ("histogram", Some(temporality), *start_unix_nanos)
        }
        MetricData::ExponentialHistogram { temporality, start_unix_nanos, .. } => {
            ("exponential_histogram", Some(temporality), *start_unix_nanos)
        }
    };
    let mut points = bare_points(&metric.data);
    for point in &mut points {
        let mut told = json!({
            "name": metric.name,
            "description": metric.description,
            "unit": metric.unit,
            "metadata": [],
            "kind": kind,
            "start_time_unix_nano": start.to_string(),
            "flags": 0,
        });
        if let Some(temporality) = temporality {
            told["temporality"] = match temporality {
                Temporality::Delta => json!("AGGREGATION_TEMPORALITY_DELTA"),
                Temporality::Cumulative => json!("AGGREGATION_TEMPORALITY_CUMULATIVE"),
            };
        }
        if let MetricData::Sum { monotonic, .. } = metric.data {
            told["monotonic"] = json!(monotonic);
        }
        let fields = told.as_object().expect("an object").clone();
        point.as_object_mut().expect("an object").extend(fields);
    }
    points
}

fn bare_points(data: &MetricData) -> Vec<Json> {
    match data {
        MetricData::Gauge(points) | MetricData::Sum { points, .. } => points
            .iter()
            .map(|point| {
                json!({
                    "time_unix_nano": point.time_unix_nanos.to_string(),
                    "value": number(point.value),
                    "attributes": attributes(&point.attributes),
                    "exemplars": exemplars(&point.exemplars),
                })
            })
            .collect(),
        MetricData::Histogram { points, .. } => points
            .iter()
            .map(|point| {
                json!({
                    "time_unix_nano": point.time_unix_nanos.to_string(),
                    "attributes": attributes(&point.attributes),
                    "exemplars": exemplars(&point.exemplars),
                    "count": point.count.to_string(),
                    "sum": point.sum,
                    "min": point.min,
                    "max": point.max,
                    "bucket_counts": counts(&point.counts),
                    "explicit_bounds": point.bounds,
                })
            })
            .collect(),
        MetricData::ExponentialHistogram { points, .. } => points
            .iter()
            .map(|point| {
                json!({
                    "time_unix_nano": point.time_unix_nanos.to_string(),
                    "attributes": attributes(&point.attributes),
                    "exemplars": exemplars(&point.exemplars),
                    "count": point.count.to_string(),
                    "sum": point.sum,
                    "min": point.min,
                    "max": point.max,
                    "scale": point.scale,
                    "zero_count": point.zero_count.to_string(),
                    "zero_threshold": point.zero_threshold,
                    "positive": buckets(&point.positive),
                    "negative": buckets(&point.negative),
                })
            })
            .collect(),
    }
}

fn number(number: Number) -> Json {
    match number {
        Number::Int(value) => json!({ "int": value.to_string() }),
        Number::Double(value) => json!({ "double": value }),
    }
}

fn counts(counts: &[u64]) -> Json {
    counts.iter().map(ToString::to_string).collect()
}

fn buckets(buckets: &Buckets) -> Json {
    json!({ "offset": buckets.offset, "bucket_counts": counts(&buckets.counts) })
}

fn exemplars(exemplars: &[Exemplar]) -> Json {
    let told = exemplars.iter().map(|exemplar| {
        json!({
            "time_unix_nano": exemplar.time_unix_nanos.to_string(),
            "value": number(exemplar.value),
            "trace_id": optional_id(exemplar.trace_id),
            "span_id": optional_id(exemplar.span_id),
            "filtered_attributes": attributes(&exemplar.filtered_attributes),
        })
    });
    told.collect()
}
