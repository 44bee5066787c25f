//! How long calls took, in buckets that grow with the duration.
//!
//! A function's calls fall into few powers of two, so that each has room for its counts only
//! once it is met: one line of the cache.

/// Each power of two is split into 2⁴ buckets, so that the middle of a bucket is
/// at most 1/33 from any value in it.
const SUB_BITS: u32 = 4;

const SUB_BUCKETS: usize = 1 << SUB_BITS;

/// The powers of two of a `u64`, and one that is not needed.
const OCTAVES: usize = 64;

/// The counts of one power of two.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Octave([u32; SUB_BUCKETS]);

/// Where a function's counts are: of each power of two one more than their place; 0 where there are
/// none.
pub(crate) type Places = [u32; OCTAVES];

/// The places of a function that was not called yet.
pub(crate) const NO_PLACES: Places = [0; OCTAVES];

/// The counts of all functions of a store.
#[derive(Default)]
pub(crate) struct Histograms {
    counts: Vec<Octave>,
}

impl Histograms {
    /// Counts a call that took so long and stands for so many.
    #[inline]
    pub(crate) fn record(&mut self, places: &mut Places, ticks: u64, weight: u32) {
        let (octave, sub) = bucket(ticks);
        let place = places[octave].wrapping_sub(1) as usize;
        let Some(Octave(counts)) = self.counts.get_mut(place) else {
            return self.meet(&mut places[octave], sub, weight);
        };
        counts[sub] = counts[sub].saturating_add(weight);
    }

    /// Counts the first call of a power of two.
    #[cold]
    #[inline(never)]
    fn meet(&mut self, place: &mut u32, sub: usize, weight: u32) {
        let mut counts = [0; SUB_BUCKETS];
        counts[sub] = weight;
        self.counts.push(Octave(counts));
        *place = self.counts.len() as u32;
    }

    /// The durations that the given parts of a function's calls did not exceed, to within 3 %;
    /// 0 where there were none.
    pub(crate) fn quantiles<const N: usize>(&self, places: &Places, parts: [f64; N]) -> [u64; N] {
        let places = places.iter().enumerate();
        let met: Vec<_> = places
            .filter_map(|(octave, &place)| Some((octave, place.checked_sub(1)?)))
            .flat_map(|(octave, place)| {
                let Octave(counts) = self.counts[place as usize];
                counts.into_iter().enumerate().map(move |(sub, count)| (octave, sub, count))
            })
            .collect();
        let total: u64 = met.iter().map(|&(_, _, count)| u64::from(count)).sum();
        parts.map(|part| {
            let rank = ((total as f64 * part).ceil() as u64).max(1);
            let mut seen = 0;
            let reached = met.iter().find(|&&(_, _, count)| {
                seen += u64::from(count);
                seen >= rank
            });
            reached.map_or(0, |&(octave, sub, _)| middle(octave, sub))
        })
    }
}

/// The power of two that a duration is in, and the part of that.
///
/// An IEEE 754 double begins with just these, the power in excess of 1023; one is added since 0
/// has none.
#[inline]
fn bucket(ticks: u64) -> (usize, usize) {
    let double = ticks.wrapping_add(1).cast_signed() as f64;
    let bits = double.to_bits() >> (f64::MANTISSA_DIGITS - 1 - SUB_BITS);
    let octave = (bits >> SUB_BITS).wrapping_sub(1023);
    (octave as usize & (OCTAVES - 1), bits as usize & (SUB_BUCKETS - 1))
}

fn middle(octave: usize, sub: usize) -> u64 {
    let low = ((sub + SUB_BUCKETS) as u64) << octave;
    let middle = low + (1 << octave) / 2;
    (middle >> SUB_BITS).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_close_to_what_it_holds() {
        let mut ticks = 1u64;
        while ticks < 1 << 58 {
            for value in [ticks, ticks + ticks / 3, ticks + ticks / 2, 2 * ticks - 1] {
                let (octave, sub) = bucket(value);
                let middle = middle(octave, sub);
                assert!(middle.abs_diff(value) <= value / 32 + 1, "{value} is taken for {middle}");
            }
            ticks *= 2;
        }
        for small in 0..15 {
            let (octave, sub) = bucket(small);
            assert_eq!(middle(octave, sub), small);
        }
        // Longer than anything runs; the index is in range.
        for absurd in [1 << 62, 1 << 63, u64::MAX - 1, u64::MAX] {
            bucket(absurd);
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values_of_one_function() {
        let mut histograms = Histograms::default();
        let (mut one, mut other) = (NO_PLACES, NO_PLACES);
        assert_eq!(histograms.quantiles(&one, [0.5]), [0]);
        for value in (1..=1000u64).map(|n| 1 + (n * 617) % 1000) {
            histograms.record(&mut one, value, 2);
            histograms.record(&mut other, 1_100_000 + value, 1);
        }
        let found = histograms.quantiles(&one, [0.5, 0.95, 1.0]);
        for (quantile, expected) in found.into_iter().zip([500u64, 950, 1000]) {
            assert!(quantile.abs_diff(expected) <= expected / 32 + 1, "{found:?}");
        }
        let [median] = histograms.quantiles(&other, [0.5]);
        assert!(median.abs_diff(1_100_500) < 35_000, "{median}");
        // Nine powers of two from 2 on, and one of the other's.
        assert_eq!(histograms.counts.len(), 9 + 1);
    }
}
