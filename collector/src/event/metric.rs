//! Metrics, as whoever counts has added them up so far.

use std::borrow::Cow;

use super::{Attribute, SpanId, TraceId};

/// A metric and its points.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// A name, such as `wasm.cpu.time`.
    pub name: Cow<'static, str>,
    /// What is measured, for people; may be empty.
    pub description: Cow<'static, str>,
    /// The unit in [UCUM](https://ucum.org), such as `s` or `By`; may be empty.
    pub unit: Cow<'static, str>,
    /// What was measured.
    pub data: MetricData,
}

/// The points of a [`Metric`], one for each set of attributes.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricData {
    /// Sums.
    Sum {
        /// Whether it never falls.
        monotonic: bool,
        /// What the sums are of.
        temporality: Temporality,
        /// When counting began, in nanoseconds since the Unix epoch.
        start_unix_nanos: u64,
        /// The sums.
        points: Vec<Point>,
    },
    /// Values as they are now.
    Gauge(Vec<Point>),
    /// How many values lie between given bounds.
    Histogram {
        /// What the counts are of.
        temporality: Temporality,
        /// When counting began, in nanoseconds since the Unix epoch.
        start_unix_nanos: u64,
        /// The histograms.
        points: Vec<HistogramPoint>,
    },
    /// How many values lie between powers of a base.
    ExponentialHistogram {
        /// What the counts are of.
        temporality: Temporality,
        /// When counting began, in nanoseconds since the Unix epoch.
        start_unix_nanos: u64,
        /// The histograms.
        points: Vec<ExponentialHistogramPoint>,
    },
}

impl MetricData {
    /// Sums since the start.
    pub fn sum(monotonic: bool, start_unix_nanos: u64, points: Vec<Point>) -> Self {
        let temporality = Temporality::Cumulative;
        MetricData::Sum { monotonic, temporality, start_unix_nanos, points }
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        match self {
            MetricData::Sum { points, .. } | MetricData::Gauge(points) => points.len(),
            MetricData::Histogram { points, .. } => points.len(),
            MetricData::ExponentialHistogram { points, .. } => points.len(),
        }
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The points of sums and gauges; none of histograms.
    pub fn numbers(&self) -> &[Point] {
        match self {
            MetricData::Sum { points, .. } | MetricData::Gauge(points) => points,
            MetricData::Histogram { .. } | MetricData::ExponentialHistogram { .. } => &[],
        }
    }
}

/// Since when what is told was added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Temporality {
    /// Since it was told the last time: a point that is lost is missing for good.
    Delta = 1,
    /// Since the start.
    #[default]
    Cumulative = 2,
}

/// A value and what it is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// What tells it from the other points of the metric.
    pub attributes: Vec<Attribute>,
    /// Nanoseconds since the Unix epoch at which it was so.
    pub time_unix_nanos: u64,
    /// The value.
    pub value: Number,
    /// Some of what it was added up from.
    pub exemplars: Vec<Exemplar>,
}

impl Point {
    /// A point without exemplars.
    pub fn new(attributes: Vec<Attribute>, time_unix_nanos: u64, value: Number) -> Self {
        Point { attributes, time_unix_nanos, value, exemplars: Vec::new() }
    }
}

/// An integer or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A signed integer.
    Int(i64),
    /// An IEEE 754 double.
    Double(f64),
}

/// One value of those that were added up, and the span in which it was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Nanoseconds since the Unix epoch at which it was measured.
    pub time_unix_nanos: u64,
    /// The value.
    pub value: Number,
    /// The trace that was recorded then, if there was one.
    pub trace_id: Option<TraceId>,
    /// The span that was open then, if there was one.
    pub span_id: Option<SpanId>,
    /// What was known of it beside the attributes of its point.
    pub filtered_attributes: Vec<Attribute>,
}

/// How many values lie between given bounds, and what they are of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramPoint {
    /// What tells it from the other points of the metric.
    pub attributes: Vec<Attribute>,
    /// Nanoseconds since the Unix epoch at which it was so.
    pub time_unix_nanos: u64,
    /// How many values.
    pub count: u64,
    /// Their sum; `None` where some may be negative and it is to be monotonic.
    pub sum: Option<f64>,
    /// The least of them, where it is known.
    pub min: Option<f64>,
    /// The greatest of them, where it is known.
    pub max: Option<f64>,
    /// Rising bounds between the buckets; a value that is one lies below it.
    pub bounds: Vec<f64>,
    /// How many values each bucket has: one more than there are bounds, or none where only the
    /// rest is known.
    pub counts: Vec<u64>,
    /// Some of the values.
    pub exemplars: Vec<Exemplar>,
}

/// How many values lie between powers of a base, and what they are of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExponentialHistogramPoint {
    /// What tells it from the other points of the metric.
    pub attributes: Vec<Attribute>,
    /// Nanoseconds since the Unix epoch at which it was so.
    pub time_unix_nanos: u64,
    /// How many values.
    pub count: u64,
    /// Their sum; `None` where some may be negative and it is to be monotonic.
    pub sum: Option<f64>,
    /// The least of them, where it is known.
    pub min: Option<f64>,
    /// The greatest of them, where it is known.
    pub max: Option<f64>,
    /// The base is 2 to the power of 2<sup>-scale</sup>.
    pub scale: i32,
    /// Values no further from zero than `zero_threshold`.
    pub zero_count: u64,
    /// See `zero_count`.
    pub zero_threshold: f64,
    /// Those above.
    pub positive: Buckets,
    /// Those below, by their absolute value.
    pub negative: Buckets,
    /// Some of the values.
    pub exemplars: Vec<Exemplar>,
}

/// How many values lie between powers of a base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// The index of the first: that of index `i` has the values above the base to the power of
    /// `i`, up to the base to the power of `i + 1`.
    pub offset: i32,
    /// How many values each has.
    pub counts: Vec<u64>,
}
