//! Histograms between bounds that are given.

use thiserror::Error;

use super::totals::Totals;
use crate::event::{Attribute, Exemplar, HistogramPoint};

/// The bounds that OpenTelemetry's SDKs have by default ([Explicit Bucket Histogram
/// Aggregation]), made for milliseconds.
///
/// [Explicit Bucket Histogram Aggregation]: https://opentelemetry.io/docs/specs/otel/metrics/sdk/#explicit-bucket-histogram-aggregation
pub const DEFAULT_BOUNDS: [f64; 15] = [
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1_000.0, 2_500.0, 5_000.0,
    7_500.0, 10_000.0,
];

/// Bounds that are no bounds.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error(
    "bound {bound} of a histogram is {value}: bounds must be finite, and each greater than the one before"
)]
pub struct BoundsError {
    /// Which, from 0.
    pub bound: usize,
    /// What it is.
    pub value: f64,
}

/// Counts values between bounds. A value that is a bound counts below it.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplicitHistogram {
    bounds: Vec<f64>,
    /// One more than there are bounds.
    buckets: Vec<Bucket>,
    totals: Totals,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Bucket {
    count: u64,
    /// The last one, as OpenTelemetry's reservoir for such histograms has it.
    exemplar: Option<Exemplar>,
}

impl ExplicitHistogram {
    /// A histogram without values. [`DEFAULT_BOUNDS`] are a choice.
    ///
    /// # Errors
    ///
    /// The bounds are not all finite, or do not rise.
    pub fn new(bounds: impl Into<Vec<f64>>) -> Result<Self, BoundsError> {
        let bounds = bounds.into();
        let mut before = f64::NEG_INFINITY;
        for (bound, &value) in bounds.iter().enumerate() {
            if !value.is_finite() || value <= before {
                return Err(BoundsError { bound, value });
            }
            before = value;
        }
        let buckets = vec![Bucket::default(); bounds.len() + 1];
        Ok(ExplicitHistogram { bounds, buckets, totals: Totals::default() })
    }

    /// Adds a value. Returns whether it was one: infinities and what is no number have no place
    /// in a sum, and change nothing.
    ///
    /// # Overhead
    ///
    /// A binary search over the bounds. Nothing is allocated.
    pub fn record(&mut self, value: f64) -> bool {
        self.add(value).is_some()
    }

    /// As [`ExplicitHistogram::record`], with what is known of the value. Each bucket keeps the
    /// last one.
    pub fn record_with(&mut self, value: f64, exemplar: Exemplar) -> bool {
        let Some(bucket) = self.add(value) else { return false };
        bucket.exemplar = Some(exemplar);
        true
    }

    fn add(&mut self, value: f64) -> Option<&mut Bucket> {
        if !value.is_finite() {
            return None;
        }
        let index = self.bounds.partition_point(|bound| *bound < value);
        let bucket = self.buckets.get_mut(index)?;
        bucket.count = bucket.count.saturating_add(1);
        self.totals.record(value, 1);
        Some(bucket)
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.totals.count
    }

    /// What there is, as a point of a metric.
    pub fn point(&self, attributes: Vec<Attribute>, time_unix_nanos: u64) -> HistogramPoint {
        let exemplars = self.buckets.iter().filter_map(|bucket| bucket.exemplar.clone());
        HistogramPoint {
            attributes,
            time_unix_nanos,
            count: self.totals.count,
            sum: Some(self.totals.sum()),
            min: self.totals.min(),
            max: self.totals.max(),
            bounds: self.bounds.clone(),
            counts: self.buckets.iter().map(|bucket| bucket.count).collect(),
            exemplars: exemplars.collect(),
        }
    }

    /// Forgets all values, as after each point of a metric with delta temporality.
    pub fn reset(&mut self) {
        self.buckets.fill(Bucket::default());
        self.totals = Totals::default();
    }
}
