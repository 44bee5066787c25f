//! So many traces a second of each kind.

use std::collections::HashMap;
use std::time::Instant;

use super::policy::{Policy, TraceView, Verdict};
use super::ratio::Ratio;

/// Names that are told apart. What comes beyond shares one allowance, so that a guest that
/// makes up names can neither fill the memory nor get more traces through.
const MAX_NAMES: usize = 1_000;

/// Keeps up to so many traces a second of each root name, and a share of those beyond.
///
/// A name that was not seen for a second may have as many at once. Traces whose root has not
/// come have the empty name. 1,000 names are told apart; those beyond count as one.
#[derive(Clone, Debug)]
pub struct Rate {
    per_second: f64,
    rest: Ratio,
    names: HashMap<Box<str>, Allowance>,
    others: Option<Allowance>,
}

#[derive(Clone, Copy, Debug)]
struct Allowance {
    left: f64,
    at: Instant,
}

impl Rate {
    /// So many a second of each name, and no others. Half a trace is one every two seconds.
    pub fn per_second(traces: f64) -> Self {
        let per_second = if traces.is_finite() { traces.max(0.0) } else { f64::MAX };
        Rate { per_second, rest: Ratio::NONE, names: HashMap::new(), others: None }
    }

    /// Keeps a share of those beyond the rate, too. Their spans tell the share, so that
    /// what is counted in a backend adds up to what there was.
    pub fn and_of_the_rest(mut self, share: Ratio) -> Self {
        self.rest = share;
        self
    }

    fn take(&mut self, name: &str, now: Instant) -> bool {
        let most = self.per_second.max(1.0);
        let new = Allowance { left: most, at: now };
        if !self.names.contains_key(name) && self.names.len() < MAX_NAMES {
            self.names.insert(name.into(), new);
        }
        let allowance = match self.names.get_mut(name) {
            Some(allowance) => allowance,
            None => self.others.get_or_insert(new),
        };
        let passed = now.saturating_duration_since(allowance.at).as_secs_f64();
        allowance.left = (allowance.left + passed * self.per_second).min(most);
        allowance.at = now;
        let is_left = allowance.left >= 1.0 && self.per_second > 0.0;
        if is_left {
            allowance.left -= 1.0;
        }
        is_left
    }
}

impl Policy for Rate {
    fn decide(&mut self, trace: &TraceView<'_>, now: Instant) -> Verdict {
        if self.take(trace.root_name().unwrap_or_default(), now) {
            // Those within the rate stand for themselves if the rest is told by its share.
            let ratio = (self.rest != Ratio::NONE).then_some(Ratio::ALL);
            Verdict::Keep { ratio }
        } else if self.rest.keeps(trace.trace_id()) {
            Verdict::Keep { ratio: Some(self.rest) }
        } else {
            Verdict::Next
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{MAX_NAMES, Rate};

    #[test]
    fn each_name_has_its_own_rate() {
        let (mut rate, start) = (Rate::per_second(2.0), Instant::now());
        let mut kept = |name, millis| rate.take(name, start + Duration::from_millis(millis));
        assert_eq!([kept("a", 0), kept("a", 0), kept("a", 0)], [true, true, false]);
        assert_eq!([kept("b", 0), kept("a", 400), kept("a", 600)], [true, false, true]);
        // What was not used is not saved up.
        let later = [0; 4].map(|_| kept("a", 60_000));
        assert_eq!(later, [true, true, false, false]);
    }

    #[test]
    fn less_than_one_a_second_and_none() {
        let start = Instant::now();
        let mut rate = Rate::per_second(0.5);
        let kept = (0..10).filter(|n| rate.take("a", start + Duration::from_secs(*n))).count();
        assert_eq!(kept, 5);
        for none in [0.0, -1.0] {
            assert!(!Rate::per_second(none).take("a", start), "{none}");
        }
    }

    #[test]
    fn names_without_end_share_one_allowance() {
        let (mut rate, now) = (Rate::per_second(1.0), Instant::now());
        let kept = (0..3 * MAX_NAMES).filter(|n| rate.take(&n.to_string(), now)).count();
        assert_eq!(kept, MAX_NAMES + 1);
        assert_eq!(rate.names.len(), MAX_NAMES);
    }
}
