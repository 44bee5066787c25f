//! When to try again.

use std::time::{Duration, Instant};

/// The first wait after a failure. With the factor and the maximum below these
/// are the figures of the OpenTelemetry Collector's exporters, but for a faster
/// start, since a guest is often done in seconds.
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// A receiver that asks for less than this, be it for nothing, gets the ordinary backoff: this is the
/// shortest wait of that, and a receiver that has to ask for a retry is not helped by a request
/// at once.
const LEAST_ASKED: Duration = Duration::from_millis(125);

/// No wait is longer, unless the receiver asks for it.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// For how long a batch is tried: what fails at this age, counted from its first request, is given
/// up. Also the longest `Retry-After` that is honoured, so a batch whose receiver asks for more
/// time than it has left is tried once more, after that.
pub(crate) const MAX_ELAPSED: Duration = Duration::from_secs(300);

/// Exponential backoff with jitter, for all requests to one receiver: what follows a
/// failed batch waits as well. Reads no clock.
pub(crate) struct Backoff {
    /// Failures in a row.
    failures: u32,
    not_before: Option<Instant>,
    random: u64,
    /// For how long a batch is tried.
    give_up_after: Duration,
}

impl Backoff {
    pub(crate) fn new(seed: u64) -> Self {
        // Xorshift does not leave zero.
        Backoff { failures: 0, not_before: None, random: seed | 1, give_up_after: MAX_ELAPSED }
    }

    /// With another time for which a batch is tried.
    pub(crate) fn giving_up_after(self, give_up_after: Duration) -> Self {
        Backoff { give_up_after, ..self }
    }

    /// Whether a batch that was first sent at this moment is tried again.
    pub(crate) fn goes_on(&self, now: Instant, first: Instant) -> bool {
        now.saturating_duration_since(first) < self.give_up_after
    }

    /// When the next request may be sent, if not at once.
    pub(crate) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// A request was answered.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }

    /// A request failed in a way that may pass. `retry_after` is what the receiver asked for.
    pub(crate) fn failed(&mut self, now: Instant, retry_after: Option<Duration>) {
        let delay = match retry_after {
            Some(delay) if delay >= LEAST_ASKED => delay.min(MAX_ELAPSED),
            _ => {
                let longest = FIRST_DELAY.saturating_mul(1 << self.failures.min(16)).min(MAX_DELAY);
                longest.mul_f64(0.5 + 0.5 * self.fraction())
            }
        };
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.checked_add(delay);
    }

    /// A number from 0 up to 1 (Marsaglia: Xorshift RNGs, 2003). It spreads the retries of
    /// many processes, for which its quality suffices.
    fn fraction(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Backoff, FIRST_DELAY, LEAST_ASKED, MAX_DELAY, MAX_ELAPSED};

    fn delay(backoff: &mut Backoff, retry_after: Option<Duration>) -> Duration {
        let now = Instant::now();
        backoff.failed(now, retry_after);
        backoff.not_before().expect("a failure asks for a wait") - now
    }

    #[test]
    fn delays_double_up_to_the_maximum_with_jitter() {
        for seed in 0..100 {
            let mut backoff = Backoff::new(seed);
            let mut longest = FIRST_DELAY;
            for _ in 0..40 {
                let delay = delay(&mut backoff, None);
                assert!(delay >= longest / 2 && delay <= longest, "{delay:?} of {longest:?}");
                longest = (longest * 2).min(MAX_DELAY);
            }
        }
        let of_seed = |seed| delay(&mut Backoff::new(seed), None);
        let first = of_seed(0xdead_beef);
        assert!((1..50).any(|seed| of_seed(seed << 40) != first), "no jitter");
    }

    #[test]
    fn a_batch_is_given_up_after_a_time() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let usual = Backoff::new(1);
        assert!(usual.goes_on(start + MAX_ELAPSED - second, start));
        assert!(!usual.goes_on(start + MAX_ELAPSED, start));
        let short = Backoff::new(1).giving_up_after(second);
        assert!(short.goes_on(start, start) && !short.goes_on(start + second, start));
        assert!(Backoff::new(1).giving_up_after(Duration::MAX).goes_on(start + MAX_ELAPSED, start));
    }

    #[test]
    fn success_starts_over() {
        let mut backoff = Backoff::new(1);
        for _ in 0..10 {
            delay(&mut backoff, None);
        }
        backoff.succeeded();
        assert_eq!(backoff.not_before(), None);
        assert!(delay(&mut backoff, None) <= FIRST_DELAY);
    }

    #[test]
    fn retry_after_is_honoured_within_reason() {
        let mut backoff = Backoff::new(1);
        let minute = Duration::from_secs(60);
        assert_eq!(delay(&mut backoff, Some(minute)), minute);
        assert_eq!(delay(&mut backoff, Some(LEAST_ASKED)), LEAST_ASKED);
        assert_eq!(delay(&mut backoff, Some(Duration::MAX)), MAX_ELAPSED);
    }

    #[test]
    fn who_asks_for_no_wait_gets_the_ordinary_one() {
        for asked in [Duration::ZERO, Duration::from_nanos(1)] {
            let (mut ordinary, mut backoff) = (Backoff::new(7), Backoff::new(7));
            for _ in 0..20 {
                assert_eq!(delay(&mut backoff, Some(asked)), delay(&mut ordinary, None));
            }
        }
    }
}
