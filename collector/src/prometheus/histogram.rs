//! Histograms as rising bounds, each with the number of values up to it.

use crate::event::{ExponentialHistogramPoint, HistogramPoint};

/// Bounds as they are. The bucket beyond all is not among them.
pub(super) fn explicit(point: &HistogramPoint) -> Vec<(f64, u64)> {
    // One that is malformed, with bounds that do not rise or too few counts, shows what fits.
    let mut total = 0_u64;
    let mut buckets: Vec<(f64, u64)> = Vec::new();
    for (bound, count) in point.bounds.iter().zip(&point.counts) {
        total = total.saturating_add(*count);
        if bound.is_finite() && buckets.last().is_none_or(|(last, _)| last < bound) {
            buckets.push((*bound, total.min(point.count)));
        }
    }
    buckets
}

/// Powers of the base as bounds.
pub(super) fn exponential(point: &ExponentialHistogramPoint) -> Vec<(f64, u64)> {
    // Base to the power of the index, without the base, which a large scale would round to 1.
    let power = |index: i64| (index as f64 * (-f64::from(point.scale)).exp2()).exp2();
    let mut total = 0_u64;
    let mut buckets: Vec<(f64, u64)> = Vec::new();
    let mut add = |bound: f64, count: u64| {
        total = total.saturating_add(count);
        let number = total.min(point.count);
        match buckets.last_mut() {
            Some((last, known)) if *last >= bound => *known = number,
            _ if bound.is_finite() => buckets.push((bound, number)),
            _ => {}
        }
    };
    let offset = i64::from(point.negative.offset);
    for (index, count) in point.negative.counts.iter().enumerate().rev() {
        // The one that is nearer to zero is the upper.
        add(-power(offset + index as i64), *count);
    }
    if point.zero_count > 0 || !point.negative.counts.is_empty() {
        add(point.zero_threshold, point.zero_count);
    }
    let offset = i64::from(point.positive.offset);
    for (index, count) in point.positive.counts.iter().enumerate() {
        add(power(offset + index as i64 + 1), *count);
    }
    buckets
}
