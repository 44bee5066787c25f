//! How much may be spent on observing, and how the cells of a store are steered
//! to stay below it.

use crate::clock::Ticks;

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

    /// So many of the calls are timed that timing them takes about this part of the
    /// guest's time, in percent; all of them are counted, which costs something, too,
    /// that is not part of the budget.
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

/// What a timed call costs amid other code, where it finds neither its code nor its
/// data in the caches: 160 ns on gofmt (`docs/BENCHMARKS.md`), against 59 in a loop
/// that does nothing else.
const SAMPLE_COST_NANOS: f64 = 160.0;

/// The longest period. With it, hooks that count only cost a crossing in as many calls.
pub(crate) const MAX_PERIOD: u32 = 1 << 16;

/// Steers the periods of all functions of a store by one budget.
///
/// A rate per function does not bound the total, so the interval between timed
/// calls is watched store-wide: a timed call that comes too soon after the last
/// one quadruples its function's period, one that comes late halves it.
pub(crate) struct Controller {
    /// Ticks that should lie between two timed calls.
    interval: i64,
    /// Ticks that have passed, less an interval for each timed call.
    credit: i64,
    last: Ticks,
    random: u64,
}

impl Controller {
    /// A controller for the given budget.
    pub(crate) fn new(percent: f64, ticks_per_nano: f64, now: Ticks, seed: u64) -> Self {
        let interval = (SAMPLE_COST_NANOS * ticks_per_nano * 100.0 / percent) as i64;
        Controller { interval: interval.max(1), credit: 0, last: now, random: seed | 1 }
    }

    /// The next period of a function whose period was `period` and whose timed
    /// call comes now.
    pub(crate) fn next_period(&mut self, period: u32, now: Ticks) -> u32 {
        let waited = i64::try_from(now.since(self.last)).unwrap_or(i64::MAX);
        self.last = now;
        // Time unused is kept for a few samples only, since a burst after a long
        // wait would be felt; what was overdrawn, as at the start, when each
        // function's first call is timed, is paid back in full.
        self.credit = self.credit.saturating_add(waited).min(8 * self.interval) - self.interval;
        let period = match self.credit {
            ..0 => period.saturating_mul(4),
            rest if rest >= self.interval => period / 2,
            _ => period,
        };
        period.clamp(1, MAX_PERIOD)
    }

    /// A period drawn from around the given one, so that sampling keeps no step
    /// with the program. Its mean is the given one.
    pub(crate) fn jitter(&mut self, period: u32) -> u32 {
        if period < 4 {
            return period;
        }
        // Xorshift64 (Marsaglia, Xorshift RNGs, 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let half = period / 2;
        period - half + (self.random % (2 * u64::from(half) + 1)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_calls_is_thinned_to_the_budget() {
        // A call each 10 ticks, all of one function, at one tick a nanosecond.
        let mut controller = Controller::new(5.0, 1.0, Ticks(0), 7);
        let (mut now, mut period, mut samples) = (0, 1, 0u64);
        while now < 10_000_000 {
            now += 10 * u64::from(controller.jitter(period));
            period = controller.next_period(period, Ticks(now));
            samples += 1;
        }
        let spent = samples as f64 * SAMPLE_COST_NANOS / now as f64;
        assert!((0.03..0.051).contains(&spent), "{spent}");
    }

    #[test]
    fn rare_calls_are_all_timed() {
        let mut controller = Controller::new(5.0, 1.0, Ticks(0), 7);
        let mut period = 64;
        for n in 1..=10 {
            period = controller.next_period(period, Ticks(n * 100_000));
        }
        assert_eq!(period, 1);
    }

    #[test]
    fn jitter_keeps_the_mean() {
        let mut controller = Controller::new(5.0, 1.0, Ticks(0), 7);
        let sum: u64 = (0..10_000).map(|_| u64::from(controller.jitter(101))).sum();
        assert!(sum.abs_diff(1_010_000) < 10_000, "{sum}");
    }
}
