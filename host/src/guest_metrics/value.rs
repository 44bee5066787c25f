//! What the series of a metric hold, to be changed by one thread while another reads.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use observe_collector::aggregate::ExponentialHistogram;
use observe_collector::event::{Exemplar, Number};

/// A sum of integers and of others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Amount {
    int: i64,
    float: f64,
    /// Whether any was other than an integer.
    is_float: bool,
}

impl Amount {
    pub(super) fn add(&mut self, more: Amount) {
        self.int = self.int.saturating_add(more.int);
        self.float = sum(self.float, more.float);
        self.is_float |= more.is_float;
    }

    /// An integer, if it is a sum of integers.
    pub(super) fn number(self) -> Number {
        match self.is_float {
            true => Number::Double(sum(self.int as f64, self.float)),
            false => Number::Int(self.int),
        }
    }
}

impl From<f64> for Amount {
    fn from(float: f64) -> Self {
        Amount { float, is_float: true, ..Amount::default() }
    }
}

/// Sums stay finite, as those who read them expect.
fn sum(sum: f64, more: f64) -> f64 {
    (sum + more).clamp(f64::MIN, f64::MAX)
}

/// A part of a sum, to which only one store adds.
#[derive(Debug, Default)]
pub(crate) struct Part {
    int: AtomicI64,
    float: AtomicU64,
    is_float: AtomicBool,
}

impl Part {
    /// Adds a number that is finite. Only one thread may do so at a time.
    ///
    /// # Overhead
    ///
    /// As nobody else writes, a load and a store are enough, and cost what they cost without
    /// threads.
    #[inline]
    pub(super) fn add(&self, more: Number) {
        match more {
            Number::Int(more) => {
                self.int.store(self.int.load(Relaxed).saturating_add(more), Relaxed);
            }
            Number::Double(more) => {
                let before = f64::from_bits(self.float.load(Relaxed));
                self.float.store(sum(before, more).to_bits(), Relaxed);
                self.is_float.store(true, Relaxed);
            }
        }
    }

    pub(super) fn amount(&self) -> Amount {
        Amount {
            int: self.int.load(Relaxed),
            float: f64::from_bits(self.float.load(Relaxed)),
            is_float: self.is_float.load(Relaxed),
        }
    }
}

/// A last value, which any store may change. Once it was other than an integer it stays
/// a float.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    int: AtomicI64,
    float: AtomicU64,
    /// Which of both it is: neither yet ([`Gauge::UNSET`]), or one of them.
    which: AtomicU8,
}

impl Gauge {
    const UNSET: u8 = 0;
    const INT: u8 = 1;
    const FLOAT: u8 = 2;

    /// Sets it to a number that is finite.
    #[inline]
    pub(super) fn set(&self, value: Number) {
        match (value, self.which.load(Relaxed)) {
            (Number::Int(value), Gauge::FLOAT) => self.set_float(value as f64),
            (Number::Double(value), _) => self.set_float(value),
            (Number::Int(value), which) => {
                self.int.store(value, Relaxed);
                if which == Gauge::UNSET {
                    // Unless another store made it a float just now.
                    let _ = self.which.compare_exchange(which, Gauge::INT, Relaxed, Relaxed);
                }
            }
        }
    }

    fn set_float(&self, value: f64) {
        self.float.store(value.to_bits(), Relaxed);
        self.which.store(Gauge::FLOAT, Relaxed);
    }

    /// Changes it by a finite number.
    pub(super) fn add(&self, more: f64) {
        if self.which.load(Relaxed) != Gauge::FLOAT {
            self.set_float(self.int.load(Relaxed) as f64);
        }
        let add = |bits| Some(sum(f64::from_bits(bits), more).to_bits());
        // The closure always gives something, so that this always succeeds.
        let _ = self.float.fetch_update(Relaxed, Relaxed, add);
    }

    pub(super) fn value(&self) -> Option<Number> {
        match self.which.load(Relaxed) {
            Gauge::UNSET => None,
            Gauge::INT => Some(Number::Int(self.int.load(Relaxed))),
            _ => Some(Number::Double(f64::from_bits(self.float.load(Relaxed)))),
        }
    }
}

/// A distribution, to which any store may add.
#[derive(Debug, Default)]
pub(crate) struct Histogram(Mutex<Values>);

#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) values: ExponentialHistogram,
    /// What the values stand for beyond the whole numbers that were counted, or what these have
    /// too much.
    rest: f64,
}

impl Histogram {
    /// Adds a finite value that stands for so many, with what is known of it.
    ///
    /// # Overhead
    ///
    /// A lock that is held for no longer than a value takes, and that of the aggregation.
    pub(crate) fn record(
        &self,
        value: f64,
        times: f64,
        exemplar: impl FnOnce() -> Option<Exemplar>,
    ) {
        let mut values = self.values();
        // A third of the values stands for 3, 3 and 4 in turn.
        let times = times.min(u64::MAX as f64) + values.rest;
        let whole = times.round();
        values.rest = times - whole;
        values.values.record_many(value, whole as u64);
        values.values.offer(exemplar);
    }

    pub(super) fn values(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_integers_as_they_are_and_stay_finite() {
        let part = Part::default();
        for more in [i64::MAX - 1, 1, 1, -1] {
            part.add(Number::Int(more));
        }
        assert_eq!(part.amount().number(), Number::Int(i64::MAX - 1));
        for more in [f64::MAX, f64::MAX] {
            part.add(Number::Double(more));
        }
        assert_eq!(part.amount().number(), Number::Double(f64::MAX));
    }

    #[test]
    fn a_gauge_is_its_last_value_and_a_float_from_the_first_one_on() {
        let gauge = Gauge::default();
        assert_eq!(gauge.value(), None);
        gauge.set(Number::Int(i64::MAX));
        assert_eq!(gauge.value(), Some(Number::Int(i64::MAX)));
        gauge.set(Number::Double(0.5));
        gauge.set(Number::Int(3));
        assert_eq!(gauge.value(), Some(Number::Double(3.0)));

        let gauge = Gauge::default();
        for more in [2.0, -0.5] {
            gauge.add(more);
        }
        assert_eq!(gauge.value(), Some(Number::Double(1.5)));
    }

    #[test]
    fn what_values_of_a_sample_stand_for_is_right_in_the_end() {
        let histogram = Histogram::default();
        for _ in 0..300 {
            histogram.record(1.0, 1.0 / 0.3, || None);
        }
        assert_eq!(histogram.values().values.count(), 1000);
    }
}
