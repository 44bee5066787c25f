//! What the requests of one signal say of its receiver: figures, and whether it is well.

use std::time::{Duration, Instant, SystemTime};

use crate::health::{Circuit, Delivery, SignalHealth};
use crate::stats::Signal;
use crate::transfers::{DiskState, Latency, QueueState, Transfers};

/// After so many failures in a row the circuit counts as open. With the backoff's delays that is
/// when a receiver was away for four to eight seconds, which is more than a restart takes.
const FAILURES_TO_OPEN: u32 = 5;

/// For how long a loss is told of.
const LOSS_SHOWN: Duration = Duration::from_secs(30);

/// Reads no clock. Cheap to copy but for the error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vitals {
    requests: u64,
    retries: u64,
    bytes: u64,
    latency: Latency,
    under_way: Option<UnderWay>,
    last_success: Option<Instant>,
    /// Failures in a row, and the first of them.
    failures: u32,
    failing_since: Option<Instant>,
    /// When the next request may be made.
    not_before: Option<Instant>,
    last_loss: Option<Instant>,
    error: Option<String>,
}

/// A request that has not ended.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    since: Instant,
    bytes: usize,
    again: bool,
}

impl Vitals {
    /// A request with so many bytes goes out, again or for the first time.
    pub(crate) fn sent(&mut self, since: Instant, bytes: usize, again: bool) {
        self.under_way = Some(UnderWay { since, bytes, again });
    }

    /// It ended, in whatever way.
    pub(crate) fn ended(&mut self, now: Instant) {
        if let Some(UnderWay { since, bytes, again }) = self.under_way.take() {
            self.requests += 1;
            self.retries += u64::from(again);
            self.bytes += bytes as u64;
            self.latency.record(now.saturating_duration_since(since));
        }
    }

    /// The receiver took it.
    pub(crate) fn taken(&mut self, now: Instant) {
        self.last_success = Some(now);
        self.answered();
    }

    /// The receiver answered, be it with a refusal.
    pub(crate) fn answered(&mut self) {
        (self.failures, self.failing_since, self.not_before) = (0, None, None);
    }

    /// The request failed in a way that may pass.
    pub(crate) fn failed(&mut self, now: Instant, error: &str, not_before: Option<Instant>) {
        self.failures = self.failures.saturating_add(1);
        self.failing_since.get_or_insert(now);
        self.not_before = not_before;
        self.error = Some(error.to_owned());
    }

    /// Something went wrong, of which losses may come.
    pub(crate) fn erred(&mut self, error: &str) {
        self.error = Some(error.to_owned());
    }

    /// Items were given up.
    pub(crate) fn lost(&mut self, now: Instant) {
        self.last_loss = Some(now);
    }

    /// The figures. Both clocks tell the same moment.
    pub(crate) fn transfers(
        &self,
        now: Instant,
        clock: SystemTime,
        queue: QueueState,
        disk: Option<DiskState>,
    ) -> Transfers {
        Transfers {
            requests: self.requests,
            retries: self.retries,
            bytes: self.bytes,
            last_success: self.last_success.map(|at| on_clock(at, now, clock)),
            latency: self.latency,
            queue,
            disk,
        }
    }

    /// How it goes. Both clocks tell the same moment.
    pub(crate) fn health(&self, signal: Signal, now: Instant, clock: SystemTime) -> SignalHealth {
        let lately = |at: Instant| now.saturating_duration_since(at) < LOSS_SHOWN;
        let delivery = if self.last_loss.is_some_and(lately) {
            Delivery::Dropping { error: self.error.clone() }
        } else if let Some(since) = self.failing_since {
            let error = self.error.clone().unwrap_or_default();
            Delivery::Retrying { since: on_clock(since, now, clock), error }
        } else if self.latency.count() > 0 {
            Delivery::Delivering
        } else {
            Delivery::Idle
        };
        let circuit = if self.failures < FAILURES_TO_OPEN {
            Circuit::Closed
        } else {
            let waiting = self.not_before.filter(|until| self.under_way.is_none() && *until > now);
            waiting.map_or(Circuit::HalfOpen, |until| Circuit::Open {
                until: on_clock(until, now, clock),
            })
        };
        let last_success = self.last_success.map(|at| on_clock(at, now, clock));
        SignalHealth { signal, delivery, circuit, last_success }
    }
}

/// What the wall clock showed, or will show, at a moment.
fn on_clock(at: Instant, now: Instant, clock: SystemTime) -> SystemTime {
    let then = match at.checked_duration_since(now) {
        Some(ahead) => clock.checked_add(ahead),
        None => clock.checked_sub(now.saturating_duration_since(at)),
    };
    then.unwrap_or(clock)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::{FAILURES_TO_OPEN, LOSS_SHOWN, Vitals};
    use crate::health::{Circuit, Delivery, SignalHealth};
    use crate::stats::Signal;
    use crate::transfers::QueueState;

    const SECOND: Duration = Duration::from_secs(1);

    fn health(vitals: &Vitals, start: Instant, now: Instant) -> SignalHealth {
        vitals.health(Signal::Traces, now, SystemTime::UNIX_EPOCH + (now - start))
    }

    #[test]
    fn a_receiver_that_fails_opens_the_circuit_until_one_batch_gets_through() {
        let (mut vitals, start) = (Vitals::default(), Instant::now());
        assert_eq!(health(&vitals, start, start).delivery, Delivery::Idle);
        let mut now = start;
        for failures in 1..=FAILURES_TO_OPEN {
            vitals.sent(now, 10, failures > 1);
            now += SECOND;
            vitals.ended(now);
            vitals.failed(now, "refused", Some(now + SECOND));
            let SignalHealth { delivery, circuit, .. } = health(&vitals, start, now);
            let since = SystemTime::UNIX_EPOCH + SECOND;
            assert_eq!(delivery, Delivery::Retrying { since, error: "refused".to_owned() });
            let until = SystemTime::UNIX_EPOCH + (now + SECOND - start);
            let open = failures == FAILURES_TO_OPEN;
            assert_eq!(circuit, if open { Circuit::Open { until } } else { Circuit::Closed });
        }
        now += SECOND;
        assert_eq!(health(&vitals, start, now).circuit, Circuit::HalfOpen);
        vitals.sent(now, 10, true);
        assert_eq!(health(&vitals, start, now).circuit, Circuit::HalfOpen);
        now += SECOND;
        vitals.ended(now);
        vitals.taken(now);
        let healthy = health(&vitals, start, now);
        assert_eq!((healthy.delivery, healthy.circuit), (Delivery::Delivering, Circuit::Closed));
        assert_eq!(healthy.last_success, Some(SystemTime::UNIX_EPOCH + (now - start)));
    }

    #[test]
    fn a_loss_is_told_of_for_a_while() {
        let (mut vitals, start) = (Vitals::default(), Instant::now());
        vitals.lost(start);
        assert_eq!(health(&vitals, start, start).delivery, Delivery::Dropping { error: None });
        assert_eq!(health(&vitals, start, start + LOSS_SHOWN).delivery, Delivery::Idle);
    }

    #[test]
    fn a_request_under_way_is_not_yet_counted() {
        let (mut vitals, now) = (Vitals::default(), Instant::now());
        let clock = SystemTime::UNIX_EPOCH;
        vitals.sent(now, 10, false);
        assert_eq!(vitals.transfers(now, clock, QueueState::default(), None).requests, 0);
        vitals.ended(now + SECOND);
        vitals.sent(now, 10, true);
        vitals.ended(now + 2 * SECOND);
        let transfers = vitals.transfers(now, clock, QueueState::default(), None);
        assert_eq!((transfers.requests, transfers.retries, transfers.bytes), (2, 1, 20));
        assert_eq!((transfers.latency.count(), transfers.latency.total), (2, 3 * SECOND));
        assert_eq!(transfers.last_success, None);
    }
}
