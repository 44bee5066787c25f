//! How long calls took, in buckets that grow with the duration.

/// Each power of two is split into 2⁴ buckets, so that the middle of a bucket is
/// at most 1/33 from any value in it.
const SUB_BITS: u32 = 4;

/// Durations from 2⁴⁴ ticks on, about an hour and a half, share the last bucket.
const MAX_BITS: u32 = 44;

const BUCKETS: usize = ((MAX_BITS - SUB_BITS + 1) << SUB_BITS) as usize;

/// Counts of durations, in ticks.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: Box::new([0; BUCKETS]), total: 0 }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, ticks: u64, weight: u32) {
        self.counts[bucket(ticks)] += u64::from(weight);
        self.total += u64::from(weight);
    }

    /// The duration that the given part of the calls did not exceed, to within 3 %;
    /// 0 where there were none.
    pub(crate) fn quantile(&self, part: f64) -> u64 {
        let rank = ((self.total as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle(bucket);
            }
        }
        0
    }
}

fn bucket(ticks: u64) -> usize {
    let ticks = ticks.min((1 << MAX_BITS) - 1);
    if ticks < 1 << SUB_BITS {
        return ticks as usize;
    }
    let exponent = ticks.ilog2() - SUB_BITS;
    // The mantissa has its leading one, which adds one group to the exponent's.
    (u64::from(exponent << SUB_BITS) + (ticks >> exponent)) as usize
}

fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 1 << SUB_BITS {
        return bucket;
    }
    let exponent = (bucket >> SUB_BITS) - 1;
    let low = ((bucket & ((1 << SUB_BITS) - 1)) + (1 << SUB_BITS)) << exponent;
    low + (1 << exponent) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_close_to_what_it_holds() {
        let mut ticks = 1u64;
        while ticks < 1 << MAX_BITS {
            for value in [ticks, ticks + ticks / 3, ticks + ticks / 2] {
                let middle = middle(bucket(value));
                assert!(middle.abs_diff(value) <= value / 32, "{value} is counted as {middle}");
            }
            ticks *= 2;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0);
        for value in 1..=1000 {
            histogram.record(value, 2);
        }
        for (part, expected) in [(0.5, 500u64), (0.95, 950), (1.0, 1000)] {
            let quantile = histogram.quantile(part);
            assert!(quantile.abs_diff(expected) <= expected / 32, "{part}: {quantile}");
        }
    }
}
