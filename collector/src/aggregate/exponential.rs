//! Histograms between powers of a base, as the [data model] describes them.
//!
//! [data model]: https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram

use super::totals::Totals;
use crate::event::{Attribute, Buckets, Exemplar, ExponentialHistogramPoint};

/// The most buckets on either side of zero, as [SDKs have it]. Whatever the range of
/// the values, a bucket is then at most so wide that the range has 80.
///
/// [SDKs have it]: https://opentelemetry.io/docs/specs/otel/metrics/sdk/#base2-exponential-bucket-histogram-aggregation
pub const MAX_BUCKETS: usize = 160;

/// The scale of a histogram of one value: buckets as wide as a millionth of what is in them. The
/// same source has it.
const MAX_SCALE: i32 = 20;

/// Exemplars that are kept at most: [`min(20, max_size)`].
///
/// [`min(20, max_size)`]: https://opentelemetry.io/docs/specs/otel/metrics/sdk/#exemplar-defaults
const MAX_EXEMPLARS: u64 = 20;

/// Counts values between powers of 2<sup>2<sup>-scale</sup></sup>, and lowers the scale when they
/// spread over more than [`MAX_BUCKETS`] on either side of zero.
#[derive(Clone, Debug, PartialEq)]
pub struct ExponentialHistogram {
    scale: i32,
    zero_count: u64,
    positive: Buckets,
    negative: Buckets,
    totals: Totals,
    exemplars: Vec<Exemplar>,
    /// Exemplars that were offered.
    offered: u64,
    random: u64,
}

impl Default for ExponentialHistogram {
    fn default() -> Self {
        ExponentialHistogram::new()
    }
}

impl ExponentialHistogram {
    /// A histogram without values.
    pub fn new() -> Self {
        ExponentialHistogram {
            scale: MAX_SCALE,
            zero_count: 0,
            positive: Buckets::default(),
            negative: Buckets::default(),
            totals: Totals::default(),
            exemplars: Vec::new(),
            offered: 0,
            random: 0,
        }
    }

    /// Adds a value. Returns whether it was one: infinities and what is no number have no bucket,
    /// and change nothing.
    ///
    /// # Overhead
    ///
    /// A logarithm and, while the values spread, moves of at most 160 counts. Memory grows up to
    /// 160 counts on each side.
    pub fn record(&mut self, value: f64) -> bool {
        self.record_many(value, 1)
    }

    /// Adds a value so many times, as one of a sample stands for others that were not kept; returns
    /// as [`ExponentialHistogram::record`] does.
    ///
    /// ```
    /// let mut latency = observe_collector::aggregate::ExponentialHistogram::new();
    /// latency.record_many(0.25, 4);
    /// let point = latency.point(Vec::new(), 1_800_000_000_000_000_000);
    /// assert_eq!((point.count, point.sum), (4, Some(1.0)));
    /// ```
    pub fn record_many(&mut self, value: f64, times: u64) -> bool {
        if !value.is_finite() {
            return false;
        }
        if times == 0 {
            return true;
        }
        self.totals.record(value, times);
        if value == 0.0 {
            self.zero_count = self.zero_count.saturating_add(times);
            return true;
        }
        let mut index = index(value.abs(), self.scale);
        let side = if value > 0.0 { &self.positive } else { &self.negative };
        let shift = side.shift_for(index, index);
        self.lower_scale(shift);
        index >>= shift;
        let side = if value > 0.0 { &mut self.positive } else { &mut self.negative };
        side.cover(index, index);
        side.add(index, times);
        true
    }

    /// As [`ExponentialHistogram::record`], with what is known of the value. Of all that are
    /// offered, 20 are kept, each with the same chance.
    pub fn record_with(&mut self, value: f64, exemplar: Exemplar) -> bool {
        let is_value = self.record(value);
        if is_value {
            self.offer(|| Some(exemplar));
        }
        is_value
    }

    /// Offers what is known of the value that was recorded last, as
    /// [`ExponentialHistogram::record_with`] does. It is asked for only if it will be kept; where
    /// there is none, nothing was offered.
    pub fn offer(&mut self, exemplar: impl FnOnce() -> Option<Exemplar>) {
        let offered = self.offered + 1;
        let place = if offered <= MAX_EXEMPLARS {
            self.exemplars.len()
        } else {
            // Knuth's MMIX generator; its upper bits are the random ones.
            self.random = self
                .random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((u128::from(self.random) * u128::from(offered)) >> 64) as usize
        };
        if place >= MAX_EXEMPLARS as usize {
            self.offered = offered;
            return;
        }
        let Some(exemplar) = exemplar() else { return };
        self.offered = offered;
        match self.exemplars.get_mut(place) {
            Some(kept) => *kept = exemplar,
            None => self.exemplars.push(exemplar),
        }
    }

    /// Adds all values of another, of which only the buckets, sums and range are known; its
    /// exemplars are left out.
    pub fn merge(&mut self, other: &ExponentialHistogram) {
        self.lower_scale((self.scale - other.scale).max(0).cast_unsigned());
        let mut other = other.clone();
        other.lower_scale((other.scale - self.scale).max(0).cast_unsigned());
        let sides = [(&self.positive, &other.positive), (&self.negative, &other.negative)];
        let shift = |(ours, theirs): (&Buckets, &Buckets)| match theirs.range() {
            Some((low, high)) => ours.shift_for(low, high),
            None => 0,
        };
        let shift = sides.into_iter().map(shift).max().unwrap_or_default();
        self.lower_scale(shift);
        other.lower_scale(shift);
        for (ours, theirs) in
            [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)]
        {
            let Some((low, high)) = theirs.range() else { continue };
            ours.cover(low, high);
            (low..=high).zip(&theirs.counts).for_each(|(index, &count)| ours.add(index, count));
        }
        self.zero_count = self.zero_count.saturating_add(other.zero_count);
        self.totals.merge(&other.totals);
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.totals.count
    }

    /// What there is, as a point of a metric.
    pub fn point(
        &self,
        attributes: Vec<Attribute>,
        time_unix_nanos: u64,
    ) -> ExponentialHistogramPoint {
        ExponentialHistogramPoint {
            attributes,
            time_unix_nanos,
            count: self.totals.count,
            sum: Some(self.totals.sum()),
            min: self.totals.min(),
            max: self.totals.max(),
            scale: self.scale,
            zero_count: self.zero_count,
            zero_threshold: 0.0,
            positive: self.positive.clone(),
            negative: self.negative.clone(),
            exemplars: self.exemplars.clone(),
        }
    }

    /// Forgets all values, as after each point of a metric with delta temporality.
    pub fn reset(&mut self) {
        *self = ExponentialHistogram { random: self.random, ..ExponentialHistogram::new() };
    }

    fn lower_scale(&mut self, shift: u32) {
        if shift > 0 {
            self.scale -= shift.cast_signed();
            self.positive.merge_neighbours(shift);
            self.negative.merge_neighbours(shift);
        }
    }
}

impl Buckets {
    /// The index of the first bucket and of the last, if there are any.
    fn range(&self) -> Option<(i32, i32)> {
        let more = i32::try_from(self.counts.len()).ok()?.checked_sub(1)?;
        (more >= 0).then(|| (self.offset, self.offset + more))
    }

    /// By how much the scale has to fall so that these indices fit beside what is there.
    fn shift_for(&self, low: i32, high: i32) -> u32 {
        let (first, last) = self.range().unwrap_or((low, high));
        let (mut low, mut high, mut shift) = (first.min(low), last.max(high), 0);
        // Indices have 31 bits, so that no difference overflows for long.
        while (i64::from(high) - i64::from(low)) >= MAX_BUCKETS as i64 {
            (low, high, shift) = (low >> 1, high >> 1, shift + 1);
        }
        shift
    }

    /// Makes room for these indices, which fit.
    fn cover(&mut self, low: i32, high: i32) {
        let (first, last) = self.range().unwrap_or_else(|| {
            self.offset = low;
            (low, low - 1)
        });
        let after = (i64::from(high) - i64::from(last)).max(0) as usize;
        self.counts.resize(self.counts.len() + after, 0);
        if low < first {
            let before = (i64::from(first) - i64::from(low)) as usize;
            self.counts.splice(..0, std::iter::repeat_n(0, before));
            self.offset = low;
        }
    }

    fn add(&mut self, index: i32, count: u64) {
        if let Some(bucket) = self.counts.get_mut((index - self.offset) as usize) {
            *bucket = bucket.saturating_add(count);
        }
    }

    /// Makes one bucket of two, so many times.
    fn merge_neighbours(&mut self, shift: u32) {
        let Some((low, high)) = self.range() else { return };
        let counts = std::mem::take(&mut self.counts);
        self.offset = low >> shift;
        self.counts.resize(((high >> shift) - self.offset) as usize + 1, 0);
        (low..=high).zip(counts).for_each(|(index, count)| self.add(index >> shift, count));
    }
}

/// The index of the bucket of a positive value: the greatest whole number below
/// log<sub>2</sub>(value) · 2<sup>scale</sup>, which is the number itself only for powers of the
/// base, as they count below.
///
/// Exponent and significand are taken apart, so that a power of 2 is one exactly, and the
/// logarithm is of a number from 1 to 2, where it has the most digits ("Producing Histogram
/// Buckets" in the data model).
fn index(value: f64, scale: i32) -> i32 {
    const SIGNIFICAND: u32 = f64::MANTISSA_DIGITS - 1;
    const BIAS: i64 = f64::MAX_EXP as i64 - 1;
    // Subnormal numbers have no exponent of their own.
    let (value, more) = if value < f64::MIN_POSITIVE {
        (value * (1_u64 << SIGNIFICAND) as f64, i64::from(SIGNIFICAND))
    } else {
        (value, 0)
    };
    let bits = value.to_bits();
    let exponent = (bits >> SIGNIFICAND) as i64 - BIAS - more;
    let significand = bits & ((1 << SIGNIFICAND) - 1);
    let of_exponent = if scale > 0 { exponent << scale } else { exponent };
    let within = if significand == 0 {
        -1
    } else if scale > 0 {
        let number = f64::from_bits(significand | 1.0_f64.to_bits());
        let place = number.log2() * f64::from(1 << scale);
        // Not a power of 2, so above its beginning even if the logarithm says 0.
        (place.ceil() as i64 - 1).max(0)
    } else {
        0
    };
    // 2,098 exponents, 2^20 buckets each, are within 32 bits.
    ((of_exponent + within) >> (-scale).max(0)) as i32
}

#[cfg(test)]
mod tests {
    use super::{Exemplar, ExponentialHistogram, MAX_EXEMPLARS, index};
    use crate::event::Number;

    #[test]
    fn a_value_that_stands_for_many_is_as_many() {
        let (mut once, mut often) = (ExponentialHistogram::new(), ExponentialHistogram::new());
        for (value, times) in [(0.5, 3), (-700.0, 2), (0.0, 4), (1e-9, 1), (8.0, 0)] {
            assert!(once.record_many(value, times));
            (0..times).for_each(|_| assert!(often.record(value)));
        }
        assert!(!once.record_many(f64::NAN, 2));
        assert_eq!(once, often);
        once.record_many(f64::MAX, u64::MAX);
        once.record_many(f64::MAX, u64::MAX);
        let point = once.point(Vec::new(), 1);
        assert_eq!((point.count, point.sum), (u64::MAX, Some(f64::MAX)));
    }

    #[test]
    fn exemplars_are_asked_for_only_if_they_are_kept() {
        let mut histogram = ExponentialHistogram::new();
        let exemplar = || Exemplar {
            time_unix_nanos: 1,
            value: Number::Int(1),
            trace_id: None,
            span_id: None,
            filtered_attributes: Vec::new(),
        };
        for _ in 0..MAX_EXEMPLARS {
            histogram.offer(|| None);
            histogram.offer(|| Some(exemplar()));
        }
        assert_eq!(histogram.point(Vec::new(), 1).exemplars.len() as u64, MAX_EXEMPLARS);
        let mut asked = 0;
        for _ in 0..10_000 {
            histogram.offer(|| {
                asked += 1;
                Some(exemplar())
            });
        }
        // 20 · ln(10,020 / 20) are expected.
        assert!((80..180).contains(&asked), "{asked}");
        assert_eq!(histogram.point(Vec::new(), 1).exemplars.len() as u64, MAX_EXEMPLARS);
    }

    #[test]
    fn powers_of_two_end_their_bucket() {
        for scale in -10..=20 {
            for exponent in -1_074..=1_023_i32 {
                let value =
                    2.0_f64.powi(exponent.max(-1_022)) * 2.0_f64.powi((exponent + 1_022).min(0));
                let expected =
                    if scale > 0 { (exponent << scale) - 1 } else { (exponent - 1) >> -scale };
                assert_eq!(index(value, scale), expected, "2^{exponent} at {scale}");
                // Below the least subnormal number there is none.
                if exponent > -1_022 && scale > 0 {
                    assert_eq!(index(value.next_up(), scale), expected + 1);
                    assert_eq!(index(value.next_down(), scale), expected);
                }
            }
        }
    }

    #[test]
    fn the_example_of_the_data_model() {
        // At scale 0 buckets are (1, 2], (2, 4], (4, 8].
        let at_zero = [1.0, 1.5, 2.0, 3.0, 4.0, 4.5, 8.0].map(|value| index(value, 0));
        assert_eq!(at_zero, [-1, 0, 0, 1, 1, 2, 2]);
        // At scale 1 the base is the root of 2; at scale -1 it is 4.
        assert_eq!([1.4, 1.5, 2.0].map(|value| index(value, 1)), [0, 1, 1]);
        assert_eq!([1.0, 4.0, 4.1, 16.0].map(|value| index(value, -1)), [-1, 0, 1, 1]);
    }
}
