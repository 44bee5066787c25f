//! Metrics, as whoever counts has added them up so far.

use std::borrow::Cow;

use super::Attribute;

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
    /// Sums since the start ("cumulative temporality").
    Sum {
        /// Whether it never falls.
        monotonic: bool,
        /// When counting began, in nanoseconds since the Unix epoch.
        start_unix_nanos: u64,
        /// The sums.
        points: Vec<Point>,
    },
    /// Values as they are now.
    Gauge(Vec<Point>),
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
}

/// An integer or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A signed integer.
    Int(i64),
    /// An IEEE 754 double.
    Double(f64),
}
