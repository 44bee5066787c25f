//! What histograms of both kinds keep beside their buckets.

/// Number, sum and range of values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) count: u64,
    sum: f64,
    /// The least and the greatest.
    range: Option<(f64, f64)>,
}

impl Totals {
    /// Adds a finite value so many times.
    pub(super) fn record(&mut self, value: f64, times: u64) {
        self.count = self.count.saturating_add(times);
        self.add_sum((value * times as f64).clamp(f64::MIN, f64::MAX));
        self.add_range(value, value);
    }

    pub(super) fn merge(&mut self, other: &Totals) {
        self.count = self.count.saturating_add(other.count);
        self.add_sum(other.sum);
        if let Some((min, max)) = other.range {
            self.add_range(min, max);
        }
    }

    fn add_sum(&mut self, more: f64) {
        // An infinity would never become a number again, and could become none at all.
        self.sum = (self.sum + more).clamp(f64::MIN, f64::MAX);
    }

    fn add_range(&mut self, min: f64, max: f64) {
        self.range = Some(match self.range {
            Some((least, greatest)) => (least.min(min), greatest.max(max)),
            None => (min, max),
        });
    }

    pub(super) fn sum(&self) -> f64 {
        self.sum
    }

    pub(super) fn min(&self) -> Option<f64> {
        self.range.map(|(min, _)| min)
    }

    pub(super) fn max(&self) -> Option<f64> {
        self.range.map(|(_, max)| max)
    }
}
