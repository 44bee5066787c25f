//! Metrics as OTLP protobuf, by [`metrics.proto`].
//!
//! [`metrics.proto`]: https://github.com/open-telemetry/opentelemetry-proto/blob/v1.7.0/opentelemetry/proto/metrics/v1/metrics.proto

use std::ops::Range;

use super::attributes::put_attributes;
use super::proto::{
    FIXED64, LEN, VARINT, put_fixed64, put_head, put_message, put_string, put_uint, put_varint,
    tag, varint_len,
};
use crate::event::{
    Buckets, Exemplar, ExponentialHistogramPoint, HistogramPoint, Metric, MetricData, Number,
    Point, Temporality,
};

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
/// `Metric.histogram`.
const HISTOGRAM: u8 = 9;
/// `Metric.exponential_histogram`.
const EXPONENTIAL_HISTOGRAM: u8 = 10;

// Of each kind of data.

/// `Sum.data_points`.
const POINTS: u8 = 1;
/// `Sum.aggregation_temporality`.
const TEMPORALITY: u8 = 2;
/// `Sum.is_monotonic`.
const MONOTONIC: u8 = 3;

// Of each kind of point.

/// `NumberDataPoint.start_time_unix_nano`.
const START_TIME: u8 = 2;
/// `NumberDataPoint.time_unix_nano`.
const TIME: u8 = 3;
/// `HistogramDataPoint.count`.
const COUNT: u8 = 4;
/// `HistogramDataPoint.sum`.
const SUM_OF_VALUES: u8 = 5;

/// Appends a metric to `out`, as a field of a `ScopeMetrics` message.
pub fn put_metric(metric: &Metric, out: &mut Vec<u8>) {
    put_part(metric, 0..metric.data.len(), out);
}

/// As [`put_metric`], with some of its points.
pub(super) fn put_part(metric: &Metric, part: Range<usize>, out: &mut Vec<u8>) {
    put_message(out, METRICS, |out| {
        put_string(out, NAME, &metric.name);
        put_string(out, DESCRIPTION, &metric.description);
        put_string(out, UNIT, &metric.unit);
        match &metric.data {
            MetricData::Gauge(points) => put_message(out, GAUGE, |out| {
                put_points(&points[part], out, |point, out| put_point(point, 0, out));
            }),
            MetricData::Sum { monotonic, temporality, start_unix_nanos, points } => {
                put_message(out, SUM, |out| {
                    put_points(&points[part], out, |point, out| {
                        put_point(point, *start_unix_nanos, out);
                    });
                    put_temporality(*temporality, out);
                    put_uint(out, MONOTONIC, u64::from(*monotonic));
                })
            }
            MetricData::Histogram { temporality, start_unix_nanos, points } => {
                put_message(out, HISTOGRAM, |out| {
                    put_points(&points[part], out, |point, out| {
                        put_histogram(point, *start_unix_nanos, out);
                    });
                    put_temporality(*temporality, out);
                })
            }
            MetricData::ExponentialHistogram { temporality, start_unix_nanos, points } => {
                put_message(out, EXPONENTIAL_HISTOGRAM, |out| {
                    put_points(&points[part], out, |point, out| {
                        put_exponential_histogram(point, *start_unix_nanos, out);
                    });
                    put_temporality(*temporality, out);
                })
            }
        };
    });
}

fn put_points<T>(points: &[T], out: &mut Vec<u8>, put: impl Fn(&T, &mut Vec<u8>)) {
    for point in points {
        put_message(out, POINTS, |out| put(point, out));
    }
}

fn put_temporality(temporality: Temporality, out: &mut Vec<u8>) {
    out.extend_from_slice(&[tag(TEMPORALITY, VARINT), temporality as u8]);
}

/// The content of a `NumberDataPoint`.
fn put_point(point: &Point, start_unix_nanos: u64, out: &mut Vec<u8>) {
    put_fixed64(out, START_TIME, start_unix_nanos);
    put_fixed64(out, TIME, point.time_unix_nanos);
    put_number(out, [4, 6], point.value);
    point.exemplars.iter().for_each(|exemplar| put_exemplar(exemplar, 5, out));
    put_attributes(out, 7, &point.attributes);
}

/// The content of a `HistogramDataPoint`.
fn put_histogram(point: &HistogramPoint, start_unix_nanos: u64, out: &mut Vec<u8>) {
    put_fixed64(out, START_TIME, start_unix_nanos);
    put_fixed64(out, TIME, point.time_unix_nanos);
    put_fixed64(out, COUNT, point.count);
    put_double(out, SUM_OF_VALUES, point.sum);
    put_packed(out, 6, point.counts.iter().map(|count| count.to_le_bytes()));
    put_packed(out, 7, point.bounds.iter().map(|bound| bound.to_le_bytes()));
    point.exemplars.iter().for_each(|exemplar| put_exemplar(exemplar, 8, out));
    put_attributes(out, 9, &point.attributes);
    put_double(out, 11, point.min);
    put_double(out, 12, point.max);
}

/// The content of an `ExponentialHistogramDataPoint`.
fn put_exponential_histogram(
    point: &ExponentialHistogramPoint,
    start_unix_nanos: u64,
    out: &mut Vec<u8>,
) {
    put_attributes(out, 1, &point.attributes);
    put_fixed64(out, START_TIME, start_unix_nanos);
    put_fixed64(out, TIME, point.time_unix_nanos);
    put_fixed64(out, COUNT, point.count);
    put_double(out, SUM_OF_VALUES, point.sum);
    put_uint(out, 6, zigzag(point.scale));
    put_fixed64(out, 7, point.zero_count);
    put_buckets(&point.positive, 8, out);
    put_buckets(&point.negative, 9, out);
    point.exemplars.iter().for_each(|exemplar| put_exemplar(exemplar, 11, out));
    put_double(out, 12, point.min);
    put_double(out, 13, point.max);
    // Not optional, so that zero is left out.
    put_double(out, 14, Some(point.zero_threshold).filter(|threshold| *threshold != 0.0));
}

fn put_buckets(buckets: &Buckets, field: u8, out: &mut Vec<u8>) {
    if buckets.counts.is_empty() {
        return;
    }
    put_message(out, field, |out| {
        put_uint(out, 1, zigzag(buckets.offset));
        put_head(out, 2, buckets.counts.iter().map(|&count| varint_len(count)).sum());
        buckets.counts.iter().for_each(|&count| put_varint(out, count));
    });
}

/// An `Exemplar`.
fn put_exemplar(exemplar: &Exemplar, field: u8, out: &mut Vec<u8>) {
    put_message(out, field, |out| {
        put_fixed64(out, 2, exemplar.time_unix_nanos);
        put_number(out, [3, 6], exemplar.value);
        if let Some(span_id) = exemplar.span_id {
            out.extend_from_slice(&[tag(4, LEN), 8]);
            out.extend_from_slice(&span_id.0);
        }
        if let Some(trace_id) = exemplar.trace_id {
            out.extend_from_slice(&[tag(5, LEN), 16]);
            out.extend_from_slice(&trace_id.0);
        }
        put_attributes(out, 7, &exemplar.filtered_attributes);
    });
}

/// A `oneof` of a double and an integer, so that zero is written.
fn put_number(out: &mut Vec<u8>, [as_double, as_int]: [u8; 2], number: Number) {
    let (field, bytes) = match number {
        Number::Double(value) => (as_double, value.to_le_bytes()),
        Number::Int(value) => (as_int, value.to_le_bytes()),
    };
    out.push(tag(field, FIXED64));
    out.extend_from_slice(&bytes);
}

/// An optional double, so that zero is written.
fn put_double(out: &mut Vec<u8>, field: u8, value: Option<f64>) {
    if let Some(value) = value {
        out.push(tag(field, FIXED64));
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// A list of numbers of 8 bytes.
fn put_packed(out: &mut Vec<u8>, field: u8, items: impl ExactSizeIterator<Item = [u8; 8]>) {
    if items.len() > 0 {
        put_head(out, field, 8 * items.len());
        items.for_each(|item| out.extend_from_slice(&item));
    }
}

/// A `sint32`: small if it is near zero, on either side.
fn zigzag(number: i32) -> u64 {
    u64::from((number << 1 ^ number >> 31).cast_unsigned())
}
