//! Adding up points of one metric.

use crate::aggregate::MAX_BUCKETS;
use crate::event::{Attribute, Buckets, ExponentialHistogramPoint, HistogramPoint, Number, Point};

/// A point that others can be added to.
pub(super) trait Merge: Sized {
    fn attributes(&self) -> &[Attribute];
    fn attributes_mut(&mut self) -> &mut Vec<Attribute>;
    /// Adds another point; attributes and exemplars stay.
    fn add(&mut self, other: Self);
}

macro_rules! attributes {
    () => {
        fn attributes(&self) -> &[Attribute] {
            &self.attributes
        }

        fn attributes_mut(&mut self) -> &mut Vec<Attribute> {
            &mut self.attributes
        }
    };
}

impl Merge for Point {
    attributes!();

    fn add(&mut self, other: Self) {
        self.time_unix_nanos = self.time_unix_nanos.max(other.time_unix_nanos);
        let double = |number| match number {
            Number::Int(value) => value as f64,
            Number::Double(value) => value,
        };
        self.value = match (self.value, other.value) {
            (Number::Int(a), Number::Int(b)) => Number::Int(a.saturating_add(b)),
            (a, b) => Number::Double(double(a) + double(b)),
        };
    }
}

/// What is known only if it is known of both.
fn both(a: Option<f64>, b: Option<f64>, of: fn(f64, f64) -> f64) -> Option<f64> {
    Some(of(a?, b?))
}

impl Merge for HistogramPoint {
    attributes!();

    fn add(&mut self, other: Self) {
        self.time_unix_nanos = self.time_unix_nanos.max(other.time_unix_nanos);
        self.count = self.count.saturating_add(other.count);
        self.sum = both(self.sum, other.sum, |a, b| a + b);
        self.min = both(self.min, other.min, f64::min);
        self.max = both(self.max, other.max, f64::max);
        if self.bounds == other.bounds && self.counts.len() == other.counts.len() {
            let pairs = self.counts.iter_mut().zip(other.counts);
            pairs.for_each(|(count, other)| *count = count.saturating_add(other));
        } else {
            // Of other bounds, only the rest can be told.
            (self.bounds, self.counts) = (Vec::new(), Vec::new());
        }
    }
}

impl Merge for ExponentialHistogramPoint {
    attributes!();

    fn add(&mut self, other: Self) {
        self.time_unix_nanos = self.time_unix_nanos.max(other.time_unix_nanos);
        self.count = self.count.saturating_add(other.count);
        self.sum = both(self.sum, other.sum, |a, b| a + b);
        self.min = both(self.min, other.min, f64::min);
        self.max = both(self.max, other.max, f64::max);
        self.zero_count = self.zero_count.saturating_add(other.zero_count);
        self.zero_threshold = self.zero_threshold.max(other.zero_threshold);
        let mut scale = i64::from(self.scale.min(other.scale));
        let by = |scale: i64, own: i32| i64::from(own) - scale;
        let fits = |scale| {
            let (a, b) = (by(scale, self.scale), by(scale, other.scale));
            let sides = [(&self.positive, &other.positive), (&self.negative, &other.negative)];
            sides.iter().all(|(x, y)| {
                range(x, a, y, b).is_none_or(|(first, last)| last - first < MAX_BUCKETS as i64)
            })
        };
        // One step makes two buckets one, so there are few until all are one or two.
        while !fits(scale) {
            scale -= 1;
        }
        let (a, b) = (by(scale, self.scale), by(scale, other.scale));
        self.positive = merged(&self.positive, a, &other.positive, b);
        self.negative = merged(&self.negative, a, &other.negative, b);
        self.scale = i32::try_from(scale).unwrap_or(i32::MIN);
    }
}

/// The buckets that hold something, by their indices at a scale that is smaller by so many steps.
pub(crate) fn at_scale(buckets: &Buckets, by: i64) -> impl Iterator<Item = (i64, u64)> {
    let full = buckets.counts.iter().enumerate().filter(|(_, count)| **count > 0);
    full.map(move |(n, count)| {
        let index = i64::from(buckets.offset).saturating_add(i64::try_from(n).unwrap_or(i64::MAX));
        (index >> by.min(63), *count)
    })
}

/// The first and the last bucket of both; `None` if there are none.
fn range(a: &Buckets, by_a: i64, b: &Buckets, by_b: i64) -> Option<(i64, i64)> {
    let indices = || at_scale(a, by_a).chain(at_scale(b, by_b)).map(|(index, _)| index);
    Some((indices().min()?, indices().max()?))
}

fn merged(a: &Buckets, by_a: i64, b: &Buckets, by_b: i64) -> Buckets {
    let Some((first, last)) = range(a, by_a, b, by_b) else { return Buckets::default() };
    let mut counts = vec![0_u64; usize::try_from(last - first + 1).unwrap_or_default()];
    for (index, count) in at_scale(a, by_a).chain(at_scale(b, by_b)) {
        let place = usize::try_from(index - first).ok().and_then(|place| counts.get_mut(place));
        if let Some(place) = place {
            *place = place.saturating_add(count);
        }
    }
    Buckets { offset: i32::try_from(first).unwrap_or(i32::MAX), counts }
}

#[cfg(test)]
mod tests {
    use super::Merge;
    use crate::event::{Buckets, ExponentialHistogramPoint, HistogramPoint};

    #[test]
    fn histograms_are_added_bucket_by_bucket() {
        let point = |bounds: &[f64], counts: &[u64]| HistogramPoint {
            count: counts.iter().sum(),
            sum: Some(5.0),
            min: Some(counts.len() as f64),
            bounds: bounds.to_vec(),
            counts: counts.to_vec(),
            ..HistogramPoint::default()
        };
        let mut sum = point(&[1.0], &[1, 2]);
        sum.add(point(&[1.0], &[10, 20]));
        assert_eq!((sum.count, sum.sum, sum.min, sum.max), (33, Some(10.0), Some(2.0), None));
        assert_eq!(sum.counts, [11, 22]);
        sum.add(point(&[2.0], &[1, 1]));
        assert_eq!((sum.count, sum.sum), (35, Some(15.0)));
        assert!(sum.bounds.is_empty() && sum.counts.is_empty());
    }

    fn exponential(scale: i32, offset: i32, counts: &[u64]) -> ExponentialHistogramPoint {
        let positive = Buckets { offset, counts: counts.to_vec() };
        let count = counts.iter().sum();
        ExponentialHistogramPoint { scale, count, positive, ..Default::default() }
    }

    #[test]
    fn exponential_histograms_meet_at_the_coarser_scale() {
        let mut sum = exponential(1, -3, &[1, 2, 4, 8]);
        sum.add(exponential(0, 0, &[16, 32]));
        // Indices -3, -2, -1, 0 become -2, -1, -1, 0.
        assert_eq!(sum.scale, 0);
        assert_eq!(sum.positive, Buckets { offset: -2, counts: vec![1, 6, 24, 32] });
        assert_eq!(sum.count, 63);
    }

    #[test]
    fn buckets_far_apart_become_coarser_until_they_are_few() {
        for (a, b) in [(i32::MIN, i32::MAX), (0, 1_000), (-1, i32::MAX), (i32::MAX, i32::MAX)] {
            let mut sum = exponential(3, a, &[1]);
            sum.add(exponential(20, b, &[2, 0, 4]));
            assert!(sum.positive.counts.len() <= 160, "{a} {b}");
            assert_eq!(sum.positive.counts.iter().sum::<u64>(), 7);
        }
        let mut sum = exponential(0, 0, &[]);
        sum.add(exponential(0, 7, &[1]));
        assert_eq!(sum.positive, Buckets { offset: 7, counts: vec![1] });
    }
}
