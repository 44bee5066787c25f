//! Metrics as OTLP protobuf, by [`metrics.proto`].
//!
//! [`metrics.proto`]: https://github.com/open-telemetry/opentelemetry-proto/blob/v1.7.0/opentelemetry/proto/metrics/v1/metrics.proto

use super::attributes::put_attributes;
use super::proto::{FIXED64, VARINT, put_fixed64, put_message, put_string, tag};
use crate::event::{Metric, MetricData, Number, Point};

/// `ScopeMetrics.metrics`.
const METRICS: u8 = 2;
/// `Metric.name`.
const NAME: u8 = 1;
/// `Metric.description`.
const DESCRIPTION: u8 = 2;
/// `Metric.unit`.
const UNIT: u8 = 3;
/// `Metric.gauge`.
const GAUGE: u8 = 5;
/// `Metric.sum`.
const SUM: u8 = 7;
/// `Sum.data_points` and `Gauge.data_points`.
const POINTS: u8 = 1;
/// `Sum.aggregation_temporality`.
const TEMPORALITY: u8 = 2;
/// `Sum.is_monotonic`.
const MONOTONIC: u8 = 3;
/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u8 = 2;
/// `NumberDataPoint.start_time_unix_nano`.
const START_TIME: u8 = 2;
/// `NumberDataPoint.time_unix_nano`.
const TIME: u8 = 3;
/// `NumberDataPoint.as_double`.
const AS_DOUBLE: u8 = 4;
/// `NumberDataPoint.as_int`.
const AS_INT: u8 = 6;
/// `NumberDataPoint.attributes`.
const ATTRIBUTES: u8 = 7;

/// The points of a metric.
pub(super) fn points(metric: &Metric) -> &[Point] {
    match &metric.data {
        MetricData::Sum { points, .. } | MetricData::Gauge(points) => points,
    }
}

/// Appends a metric to `out`, as a field of a `ScopeMetrics` message.
pub fn put_metric(metric: &Metric, out: &mut Vec<u8>) {
    put_part(metric, points(metric), out);
}

/// As [`put_metric`], with some of its points.
pub(super) fn put_part(metric: &Metric, points: &[Point], out: &mut Vec<u8>) {
    put_message(out, METRICS, |out| {
        put_string(out, NAME, &metric.name);
        put_string(out, DESCRIPTION, &metric.description);
        put_string(out, UNIT, &metric.unit);
        match &metric.data {
            MetricData::Gauge(_) => {
                put_message(out, GAUGE, |out| put_points(points, 0, out));
            }
            MetricData::Sum { monotonic, start_unix_nanos, .. } => {
                put_message(out, SUM, |out| {
                    put_points(points, *start_unix_nanos, out);
                    out.extend_from_slice(&[tag(TEMPORALITY, VARINT), CUMULATIVE]);
                    if *monotonic {
                        out.extend_from_slice(&[tag(MONOTONIC, VARINT), 1]);
                    }
                });
            }
        }
    });
}

fn put_points(points: &[Point], start_unix_nanos: u64, out: &mut Vec<u8>) {
    for point in points {
        put_message(out, POINTS, |out| {
            put_fixed64(out, START_TIME, start_unix_nanos);
            put_fixed64(out, TIME, point.time_unix_nanos);
            // A `oneof`, so that zero is written.
            let (field, bytes) = match point.value {
                Number::Double(value) => (AS_DOUBLE, value.to_le_bytes()),
                Number::Int(value) => (AS_INT, value.to_le_bytes()),
            };
            out.push(tag(field, FIXED64));
            out.extend_from_slice(&bytes);
            put_attributes(out, ATTRIBUTES, &point.attributes);
        });
    }
}
