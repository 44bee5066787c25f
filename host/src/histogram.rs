//! How long calls took, in buckets that grow with the duration.
//!
//! A function's calls fall into few powers of two, often the same one many times over. So the
//! counts of one power of two fill one line of the cache, all functions have theirs in one
//! place, and each function remembers the one that it met last.

/// Each power of two is split into 2⁴ buckets, so that the middle of a bucket is
/// at most 1/33 from any value in it.
const SUB_BITS: u32 = 4;

const SUB_BUCKETS: usize = 1 << SUB_BITS;

/// Durations from 2⁴⁴ ticks on, about an hour and a half, share the last bucket.
const MAX_BITS: u32 = 44;

/// The counts of one power of two, and where those of another one of the same function are.
#[derive(Clone, Copy)]
struct Octave {
    counts: [u32; SUB_BUCKETS],
    next: Head,
}

/// Where a function's counts are: those of the power of two that it met last.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    at: u32,
    /// Which power of two; durations below 2⁴ ticks share number 0.
    octave: u8,
}

impl Default for Head {
    fn default() -> Self {
        Head { at: NOWHERE, octave: NO_OCTAVE }
    }
}

/// What no function has met.
const NO_OCTAVE: u8 = u8::MAX;
const NOWHERE: u32 = u32::MAX;

/// The durations of all functions of a store.
#[derive(Default)]
pub(crate) struct Histograms {
    octaves: Vec<Octave>,
}

impl Histograms {
    /// Counts a call that took so long and stands for so many.
    #[inline]
    pub(crate) fn record(&mut self, head: &mut Head, ticks: u64, weight: u32) {
        let (octave, sub) = bucket(ticks);
        if head.octave != octave {
            self.turn_to(head, octave);
        }
        if let Some(found) = self.octaves.get_mut(head.at as usize) {
            let count = &mut found.counts[sub & (SUB_BUCKETS - 1)];
            *count = count.saturating_add(weight);
        }
    }

    /// Makes the counts of a power of two the first of its function's.
    #[cold]
    #[inline(never)]
    fn turn_to(&mut self, head: &mut Head, octave: u8) {
        let mut before: Option<u32> = None;
        let mut found = *head;
        while found.octave != octave {
            let Some(passed) = self.octaves.get(found.at as usize) else {
                // Not met yet. The number of octaves fits, since functions are below 2³².
                let at = self.octaves.len() as u32;
                self.octaves.push(Octave { counts: [0; SUB_BUCKETS], next: *head });
                *head = Head { at, octave };
                return;
            };
            before = Some(found.at);
            found = passed.next;
        }
        let Some(before) = before else { return };
        let after = self.octaves[found.at as usize].next;
        self.octaves[before as usize].next = after;
        self.octaves[found.at as usize].next = *head;
        *head = found;
    }

    /// The durations that the given parts of a function's calls did not exceed, to within 3 %;
    /// 0 where there were none.
    pub(crate) fn quantiles<const N: usize>(&self, head: Head, parts: [f64; N]) -> [u64; N] {
        let mut met = Vec::new();
        let mut next = head;
        while let Some(octave) = self.octaves.get(next.at as usize) {
            met.push((next.octave, &octave.counts));
            next = octave.next;
        }
        met.sort_unstable_by_key(|(octave, _)| *octave);
        let counts = || met.iter().flat_map(|(_, counts)| counts.iter().map(|&n| u64::from(n)));
        let total: u64 = counts().sum();
        parts.map(|part| {
            let rank = ((total as f64 * part).ceil() as u64).max(1);
            let mut seen = 0;
            let reached = counts().position(|count| {
                seen += count;
                seen >= rank
            });
            reached.map_or(0, |at| middle(met[at / SUB_BUCKETS].0, at % SUB_BUCKETS))
        })
    }

    /// Forgets all, and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.octaves.clear();
    }
}

/// The power of two that a duration is in, and the part of that.
#[inline]
fn bucket(ticks: u64) -> (u8, usize) {
    let ticks = ticks.min((1 << MAX_BITS) - 1);
    let octave = (ticks | 1).ilog2().saturating_sub(SUB_BITS - 1);
    // Below 2⁴ each value is a bucket.
    let sub = ticks >> octave.saturating_sub(1);
    (octave as u8, sub as usize & (SUB_BUCKETS - 1))
}

fn middle(octave: u8, sub: usize) -> u64 {
    let Some(exponent) = octave.checked_sub(1) else { return sub as u64 };
    let low = ((sub + SUB_BUCKETS) as u64) << exponent;
    low + (1 << exponent) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_close_to_what_it_holds() {
        for small in 0..16 {
            assert_eq!(bucket(small), (0, small as usize));
        }
        let mut ticks = 1u64;
        while ticks < 1 << MAX_BITS {
            for value in [ticks, ticks + ticks / 3, ticks + ticks / 2, 2 * ticks - 1] {
                let (octave, sub) = bucket(value);
                let middle = middle(octave, sub);
                assert!(middle.abs_diff(value) <= value / 32, "{value} is counted as {middle}");
            }
            ticks *= 2;
        }
        assert_eq!(bucket(u64::MAX), (((MAX_BITS - SUB_BITS) as u8), SUB_BUCKETS - 1));
    }

    #[test]
    fn quantiles_are_those_of_the_values_of_one_function() {
        let mut histograms = Histograms::default();
        let (mut one, mut other) = (Head::default(), Head::default());
        assert_eq!(histograms.quantiles(one, [0.5]), [0]);
        // In an order that turns to each power of two again and again.
        for value in (1..=1000u64).map(|n| 1 + (n * 617) % 1000) {
            histograms.record(&mut one, value, 2);
            histograms.record(&mut other, 1_000_000 + value, 1);
        }
        let found = histograms.quantiles(one, [0.5, 0.95, 1.0]);
        for (quantile, expected) in found.into_iter().zip([500u64, 950, 1000]) {
            assert!(quantile.abs_diff(expected) <= expected / 32, "{found:?}");
        }
        let [median] = histograms.quantiles(other, [0.5]);
        assert!(median.abs_diff(1_000_500) < 35_000, "{median}");
        // Six powers of two above 16, those below, and one of the other's.
        assert_eq!(histograms.octaves.len(), 7 + 1);
    }
}
