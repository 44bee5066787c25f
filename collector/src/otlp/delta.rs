//! From sums since the start to sums since the last time, for receivers that want these.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::RandomState;

use super::config::TemporalityPreference;
use crate::cardinality::{at_scale, hash_of};
use crate::event::{
    Attribute, Buckets, Exemplar, ExponentialHistogramPoint, HistogramPoint, Metric, MetricData,
    Number, Point, Temporality,
};

/// Series whose last values are kept. What comes beyond them goes out as it is, since the start.
const MAX_SERIES: usize = 65_536;

/// What was told of each series the last time.
pub(crate) struct Deltas {
    preference: TemporalityPreference,
    known: HashMap<(Cow<'static, str>, u64), Last>,
    state: RandomState,
    most: usize,
}

/// A series as it was told the last time.
struct Last {
    start: u64,
    time: u64,
    value: Values,
}

/// A value that only grows.
enum Values {
    Number(Number),
    Histogram { count: u64, sum: Option<f64>, bounds: Vec<f64>, counts: Vec<u64> },
    Exponential(Box<Exponential>),
}

struct Exponential {
    count: u64,
    sum: Option<f64>,
    scale: i32,
    zero_count: u64,
    zero_threshold: f64,
    positive: Buckets,
    negative: Buckets,
}

impl Deltas {
    pub(crate) fn new(preference: TemporalityPreference) -> Self {
        let (known, state) = (HashMap::new(), RandomState::new());
        Deltas { preference, known, state, most: MAX_SERIES }
    }

    /// The metrics as they are to be sent, with as many points as there were. Those of one metric
    /// that began at different times become several metrics of the same name.
    pub(crate) fn apply<'a>(&mut self, metrics: &'a [Metric]) -> Cow<'a, [Metric]> {
        if self.preference == TemporalityPreference::Cumulative {
            return Cow::Borrowed(metrics);
        }
        let mut out = Vec::with_capacity(metrics.len());
        for metric in metrics {
            self.apply_to(metric, &mut out);
        }
        Cow::Owned(out)
    }

    fn apply_to(&mut self, metric: &Metric, out: &mut Vec<Metric>) {
        let sums = self.preference == TemporalityPreference::Delta;
        match &metric.data {
            MetricData::Sum {
                monotonic: true,
                temporality: Temporality::Cumulative,
                start_unix_nanos,
                points,
            } if sums => self.split(metric, *start_unix_nanos, points, out, |since, points| {
                let (temporality, start_unix_nanos) = since;
                MetricData::Sum { monotonic: true, temporality, start_unix_nanos, points }
            }),
            MetricData::Histogram {
                temporality: Temporality::Cumulative,
                start_unix_nanos,
                points,
            } => self.split(metric, *start_unix_nanos, points, out, |since, points| {
                let (temporality, start_unix_nanos) = since;
                MetricData::Histogram { temporality, start_unix_nanos, points }
            }),
            MetricData::ExponentialHistogram {
                temporality: Temporality::Cumulative,
                start_unix_nanos,
                points,
            } => self.split(metric, *start_unix_nanos, points, out, |since, points| {
                let (temporality, start_unix_nanos) = since;
                MetricData::ExponentialHistogram { temporality, start_unix_nanos, points }
            }),
            MetricData::Sum { .. }
            | MetricData::Gauge(_)
            | MetricData::Histogram { .. }
            | MetricData::ExponentialHistogram { .. } => out.push(metric.clone()),
        }
    }

    /// Appends what the points grew by, by the time since when they did.
    fn split<P: Grows>(
        &mut self,
        metric: &Metric,
        start: u64,
        points: &[P],
        out: &mut Vec<Metric>,
        data: impl Fn((Temporality, u64), Vec<P>) -> MetricData,
    ) {
        let mut whole = Vec::new();
        let mut by_start: BTreeMap<u64, Vec<P>> = BTreeMap::new();
        for point in points {
            let key = (metric.name.clone(), hash_of(point.attributes(), &self.state));
            let is_new = !self.known.contains_key(&key);
            if is_new && self.known.len() >= self.most {
                whole.push(point.clone());
                continue;
            }
            let mut delta = point.clone();
            let last = Last { start, time: point.time(), value: point.value() };
            let before = self.known.insert(key, last);
            let since = match before.filter(|before| before.start == start) {
                None => start,
                Some(before) => {
                    // One that fell, or looks otherwise, began anew some time since.
                    if let Some(()) = delta.subtract(&before.value) {
                        delta.exemplars().retain(|one| one.time_unix_nanos > before.time);
                    }
                    before.time.min(point.time())
                }
            };
            by_start.entry(since).or_default().push(delta);
        }
        let mut push = |since, points: Vec<P>| {
            let Metric { name, description, unit, .. } = metric.clone();
            out.push(Metric { name, description, unit, data: data(since, points) });
        };
        by_start.into_iter().for_each(|(since, points)| push((Temporality::Delta, since), points));
        if !whole.is_empty() {
            push((Temporality::Cumulative, start), whole);
        }
    }
}

/// A point that is added up.
trait Grows: Clone {
    fn attributes(&self) -> &[Attribute];
    fn exemplars(&mut self) -> &mut Vec<Exemplar>;
    fn time(&self) -> u64;
    fn value(&self) -> Values;
    /// Leaves what came since; if it did not grow from that, it stays as it is.
    fn subtract(&mut self, before: &Values) -> Option<()>;
}

macro_rules! common {
    () => {
        fn attributes(&self) -> &[Attribute] {
            &self.attributes
        }

        fn exemplars(&mut self) -> &mut Vec<Exemplar> {
            &mut self.exemplars
        }

        fn time(&self) -> u64 {
            self.time_unix_nanos
        }
    };
}

impl Grows for Point {
    common!();

    fn value(&self) -> Values {
        Values::Number(self.value)
    }

    fn subtract(&mut self, before: &Values) -> Option<()> {
        self.value = match (self.value, before) {
            (Number::Int(now), Values::Number(Number::Int(before))) if now >= *before => {
                Number::Int(now.checked_sub(*before)?)
            }
            (Number::Double(now), Values::Number(Number::Double(before))) if now >= *before => {
                Number::Double(now - before)
            }
            _ => return None,
        };
        Some(())
    }
}

impl Grows for HistogramPoint {
    common!();

    fn value(&self) -> Values {
        Values::Histogram {
            count: self.count,
            sum: self.sum,
            bounds: self.bounds.clone(),
            counts: self.counts.clone(),
        }
    }

    fn subtract(&mut self, before: &Values) -> Option<()> {
        let Values::Histogram { count, sum, bounds, counts } = before else { return None };
        if *bounds != self.bounds || counts.len() != self.counts.len() {
            return None;
        }
        let count = self.count.checked_sub(*count)?;
        let pairs = self.counts.iter().zip(counts);
        let counts = pairs.map(|(now, before)| now.checked_sub(*before));
        self.counts = counts.collect::<Option<_>>()?;
        self.count = count;
        self.sum = Some(self.sum).zip(*sum).and_then(|(now, before)| Some(now? - before));
        // These are known since the start only.
        (self.min, self.max) = (None, None);
        Some(())
    }
}

impl Grows for ExponentialHistogramPoint {
    common!();

    fn value(&self) -> Values {
        Values::Exponential(Box::new(Exponential {
            count: self.count,
            sum: self.sum,
            scale: self.scale,
            zero_count: self.zero_count,
            zero_threshold: self.zero_threshold,
            positive: self.positive.clone(),
            negative: self.negative.clone(),
        }))
    }

    fn subtract(&mut self, before: &Values) -> Option<()> {
        let Values::Exponential(before) = before else { return None };
        // Buckets become coarser, never finer.
        let by = i64::from(before.scale) - i64::from(self.scale);
        if by < 0 || before.zero_threshold.total_cmp(&self.zero_threshold).is_ne() {
            return None;
        }
        let count = self.count.checked_sub(before.count)?;
        let zero_count = self.zero_count.checked_sub(before.zero_count)?;
        let positive = less(&self.positive, &before.positive, by)?;
        let negative = less(&self.negative, &before.negative, by)?;
        (self.count, self.zero_count) = (count, zero_count);
        (self.positive, self.negative) = (positive, negative);
        self.sum = Some(self.sum).zip(before.sum).and_then(|(now, before)| Some(now? - before));
        (self.min, self.max) = (None, None);
        Some(())
    }
}

/// Buckets less others, whose scale is larger by so much.
fn less(now: &Buckets, before: &Buckets, by: i64) -> Option<Buckets> {
    let mut counts = now.counts.clone();
    for (index, count) in at_scale(before, by) {
        let place = usize::try_from(index - i64::from(now.offset)).ok()?;
        let place = counts.get_mut(place)?;
        *place = place.checked_sub(count)?;
    }
    Some(Buckets { offset: now.offset, counts })
}

#[cfg(test)]
#[path = "delta_tests.rs"]
mod tests;
