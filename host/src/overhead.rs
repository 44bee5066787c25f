//! How much may be spent on observing, and how the cells of a store are steered
//! to stay below it.

use crate::clock::Ticks;
use crate::stats::Matter;

/// How much of the guest's time may go to its hooks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overhead(pub(crate) Mode);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    All,
    Budget(f64),
    Off,
}

impl Overhead {
    /// Every call of a hooked function is timed.
    pub fn all() -> Self {
        Overhead(Mode::All)
    }

    /// So many of the calls are timed that the hooks take about this part of the guest's
    /// time, in percent.
    ///
    /// Counting calls is part of that. Where it takes most of the budget by itself, as in
    /// guests that do little but call, a fifth of the budget still goes to timing.
    ///
    /// Below 0.01 it is taken as 0.01, above 100 as 100.
    pub fn budget(percent: f64) -> Self {
        let percent = if percent.is_nan() { 5.0 } else { percent };
        Overhead(Mode::Budget(percent.clamp(0.01, 100.0)))
    }

    /// No call is timed; all of them are counted.
    pub fn off() -> Self {
        Overhead(Mode::Off)
    }
}

impl Mode {
    /// What the root span says of it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::All => "all",
            Mode::Budget(_) => "budget",
            Mode::Off => "off",
        }
    }
}

/// What a timed call costs amid other code, where it finds neither its code nor its
/// data in the caches: 260 ns on gofmt (`docs/BENCHMARKS.md`).
pub(crate) const SAMPLE_COST_NANOS: f64 = 260.0;

/// What a timed call costs where every call is timed, which keeps it all in the caches: 58 to 67 ns
/// (`docs/BENCHMARKS.md`).
pub(crate) const TIMED_COST_NANOS: f64 = 60.0;

/// What counting a call costs (`docs/BENCHMARKS.md`).
pub(crate) const COUNT_COST_NANOS: f64 = 0.5;

/// The part of the budget that goes to timing, however much counting takes.
const TIMING_SHARE: i64 = 5;

/// The longest period. With it, hooks that count only cost a crossing in as many calls.
pub(crate) const MAX_PERIOD: u32 = 1 << 16;

/// The periods of a function are powers of two, and stored as such.
const MAX_POWER: u8 = MAX_PERIOD.trailing_zeros() as u8;

/// Steers the periods of all functions of a store by one budget.
///
/// A rate per function does not bound the total, so the interval between timed
/// calls is watched store-wide: a timed call that comes too soon after the last
/// one doubles its function's period, or quadruples it if the function had more than its part, and
/// one that comes late halves it. Functions that take next to nothing get ever longer periods,
/// since what is known of them suffices.
pub(crate) struct Controller {
    pub(crate) percent: f64,
    /// Ticks that should lie between two timed calls.
    interval: i64,
    /// Ticks of the guest's that pay for counting a call, times 256.
    count: u64,
    /// Ticks that have passed, less those that pay for counting, and an interval for each
    /// timed call.
    credit: i64,
    /// Ticks that have passed, less an interval for each timed call of the boundary that
    /// was not the controller's choice: half of the budget is theirs.
    boundary: i64,
    last: Ticks,
    samples: u64,
    random: u64,
}

impl Controller {
    /// A controller for the given budget.
    pub(crate) fn new(percent: f64, ticks_per_nano: f64, now: Ticks, seed: u64) -> Self {
        let interval = (SAMPLE_COST_NANOS * ticks_per_nano * 100.0 / percent) as i64;
        let count = (COUNT_COST_NANOS * ticks_per_nano * 100.0 / percent * 256.0) as u64;
        let interval = interval.max(1);
        Controller {
            percent,
            interval,
            count,
            credit: 0,
            boundary: 0,
            last: now,
            samples: 0,
            random: seed | 1,
        }
    }

    /// Time that the guest did not have, such as between two traces, pays for nothing.
    pub(crate) fn resume(&mut self, now: Ticks) {
        self.last = now;
    }

    /// The next period of a function whose period was about `2^power` and whose timed call,
    /// which stands for `weight`, comes now. Calls that cross the boundary of the guest are
    /// rare in most guests, and all timed as long as half of the budget will do for them.
    pub(crate) fn next_period(
        &mut self,
        power: &mut u8,
        weight: u32,
        boundary: bool,
        matter: Matter,
        now: Ticks,
    ) -> u32 {
        let waited = i64::try_from(now.since(self.last)).unwrap_or(i64::MAX);
        self.last = now;
        let counted = i64::try_from((u64::from(weight) * self.count) >> 8).unwrap_or(i64::MAX);
        let paid = waited.saturating_sub(counted).max(waited / TIMING_SHARE);
        // Time unused is kept for a few samples only, since a burst after a long
        // wait would be felt; what was overdrawn, as at the start, when each
        // function's first call is timed, is paid back in full.
        self.credit = self.credit.saturating_add(paid).min(8 * self.interval) - self.interval;
        self.boundary = self.boundary.saturating_add(paid / 2).min(8 * self.interval);
        self.samples += 1;
        // Those who had much stand back first.
        let ahead = matter.samples > 64 + self.samples / 32;
        match self.credit {
            _ if matter.is_minor => *power = (*power + 1).min(MAX_POWER),
            ..0 => *power = (*power + 1 + u8::from(ahead)).min(MAX_POWER),
            rest if rest >= self.interval && !(ahead && rest < 4 * self.interval) => {
                *power = power.saturating_sub(1);
            }
            _ => {}
        }
        if boundary && self.boundary > 0 {
            self.boundary -= self.interval;
            return 1;
        }
        self.jitter(*power)
    }

    /// A period drawn from around the given power of two, so that sampling keeps no step
    /// with the program. Its mean is that.
    fn jitter(&mut self, power: u8) -> u32 {
        let period = 1u32 << power.min(MAX_POWER);
        if period < 4 {
            return period;
        }
        (period / 2 + self.below(period + 1)).min(MAX_PERIOD)
    }

    /// A random number below the given one.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        // Xorshift64 (Marsaglia, Xorshift RNGs, 2003); the upper half, scaled, without a
        // division.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (((self.random >> 32) * u64::from(limit)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(gap: u64, boundary: bool) -> (f64, f64) {
        // A call each so many ticks, all of one function, at one tick a nanosecond.
        let mut controller = Controller::new(5.0, 1.0, Ticks(0), 7);
        let (mut now, mut power, mut weight, mut samples) = (0, 0, 1, 0u64);
        while now < 100_000_000 {
            weight =
                controller.next_period(&mut power, weight, boundary, Matter::default(), Ticks(now));
            now += gap * u64::from(weight);
            samples += 1;
        }
        let timing = samples as f64 * SAMPLE_COST_NANOS / now as f64;
        (timing, COUNT_COST_NANOS / gap as f64)
    }

    #[test]
    fn a_flood_of_calls_is_thinned_to_the_budget() {
        for boundary in [false, true] {
            // Counting takes little of the budget, most of it, and more than all.
            for (gap, range) in [(1000, 0.03..0.051), (12, 0.004..0.0105), (5, 0.004..0.0105)] {
                let (timing, counting) = spent(gap, boundary);
                assert!(range.contains(&timing), "{gap}: {timing} + {counting}");
            }
        }
    }

    #[test]
    fn rare_calls_are_all_timed() {
        let mut controller = Controller::new(5.0, 1.0, Ticks(0), 7);
        let mut power = 6;
        let mut period = 0;
        for n in 1..=10 {
            period =
                controller.next_period(&mut power, 1, false, Matter::default(), Ticks(n * 100_000));
        }
        assert_eq!((period, power), (1, 0));
    }

    #[test]
    fn calls_across_the_boundary_are_timed_amid_a_flood() {
        let mut controller = Controller::new(5.0, 1.0, Ticks(0), 7);
        let (mut now, mut power, mut weight, mut crossings) = (0, 0, 1, Vec::new());
        let mut crossing = 0;
        while now < 10_000_000 {
            now += 50 * u64::from(weight);
            weight =
                controller.next_period(&mut power, weight, false, Matter::default(), Ticks(now));
            if now / 100_000 > crossings.len() as u64 {
                crossings.push(controller.next_period(
                    &mut crossing,
                    1,
                    true,
                    Matter::default(),
                    Ticks(now),
                ));
            }
        }
        assert!(power > 4, "{power}");
        assert!(crossings.iter().all(|&period| period == 1), "{crossings:?}");
    }

    #[test]
    fn jitter_keeps_the_mean() {
        let mut controller = Controller::new(5.0, 1.0, Ticks(0), 7);
        let sum: u64 = (0..10_000).map(|_| u64::from(controller.jitter(7))).sum();
        assert!(sum.abs_diff(1_280_000) < 12_800, "{sum}");
    }
}
