//! Series of metrics.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use super::merge::Merge;
use crate::event::{Attribute, Metric, MetricData, Value};

/// Metrics that are told apart; each has at least one series.
const MAX_METRICS: usize = 10_000;

/// The series of each metric that were seen, by the hashes of their attributes.
pub(crate) struct Series {
    most: usize,
    known: HashMap<Cow<'static, str>, HashSet<u64>>,
    state: RandomState,
}

impl Series {
    pub(crate) fn new(most: usize) -> Self {
        Series { most, known: HashMap::new(), state: RandomState::new() }
    }

    /// Adds up the points of series that are too many, and says how many points these are.
    pub(crate) fn apply(&mut self, metrics: &mut [Metric]) -> u64 {
        metrics.iter_mut().map(|metric| self.apply_to(metric)).sum()
    }

    fn apply_to(&mut self, metric: &mut Metric) -> u64 {
        let Series { most, known, state } = self;
        let mut none = HashSet::new();
        let (known, most) = if known.len() < MAX_METRICS || known.contains_key(&metric.name) {
            // One series is that of the others.
            (known.entry(metric.name.clone()).or_default(), most.saturating_sub(1))
        } else {
            (&mut none, 0)
        };
        let mut takes = |attributes: &[Attribute]| {
            let hash = hash_of(attributes, state);
            known.contains(&hash) || (known.len() < most && known.insert(hash))
        };
        match &mut metric.data {
            MetricData::Sum { points, .. } => fold(points, &mut takes, Merge::add),
            MetricData::Gauge(points) => fold(points, &mut takes, |last, point| {
                if point.time_unix_nanos >= last.time_unix_nanos {
                    *last = point;
                }
            }),
            MetricData::Histogram { points, .. } => fold(points, &mut takes, Merge::add),
            MetricData::ExponentialHistogram { points, .. } => fold(points, &mut takes, Merge::add),
        }
    }
}

/// Makes one point of those that are not taken.
fn fold<P: Merge>(
    points: &mut Vec<P>,
    takes: &mut impl FnMut(&[Attribute]) -> bool,
    add: impl Fn(&mut P, P),
) -> u64 {
    if points.iter().all(|point| takes(point.attributes())) {
        return 0;
    }
    let mut others: Option<P> = None;
    let mut number = 0;
    for point in std::mem::take(points) {
        if takes(point.attributes()) {
            points.push(point);
            continue;
        }
        number += 1;
        match &mut others {
            Some(others) => add(others, point),
            None => others = Some(point),
        }
    }
    if let Some(mut others) = others {
        *others.attributes_mut() = vec![Attribute::new("otel.metric.overflow", true)];
        points.push(others);
    }
    number
}

/// The same for the same attributes in any order.
pub(crate) fn hash_of(attributes: &[Attribute], state: &RandomState) -> u64 {
    let hash = |attribute: &Attribute| {
        let mut hasher = state.build_hasher();
        attribute.key.hash(&mut hasher);
        hash_value(&attribute.value, &mut hasher);
        hasher.finish()
    };
    attributes.iter().map(hash).fold(attributes.len() as u64, u64::wrapping_add)
}

fn hash_value(value: &Value, hasher: &mut impl Hasher) {
    std::mem::discriminant(value).hash(hasher);
    match value {
        Value::Empty => {}
        Value::String(text) => text.hash(hasher),
        Value::Bool(truth) => truth.hash(hasher),
        Value::Int(number) => number.hash(hasher),
        Value::Double(number) => number.to_bits().hash(hasher),
        Value::Bytes(bytes) => bytes.hash(hasher),
        Value::Array(array) => array.values().iter().for_each(|value| hash_value(value, hasher)),
        Value::KeyValueList(list) => list.attributes().iter().for_each(|attribute| {
            attribute.key.hash(hasher);
            hash_value(&attribute.value, hasher);
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::Series;
    use crate::event::{Attribute, Metric, MetricData, Number, Point};

    fn metric(data: MetricData) -> Metric {
        Metric { name: "m".into(), description: "".into(), unit: "".into(), data }
    }

    fn points(keys: &[&'static str], time: u64) -> Vec<Point> {
        let point = |(n, key): (usize, &&'static str)| {
            let attributes = vec![Attribute::new("b", 1), Attribute::new("a", *key)];
            Point::new(attributes, time + n as u64, Number::Int(1 << n))
        };
        keys.iter().enumerate().map(point).collect()
    }

    fn told(metric: &Metric) -> Vec<(String, Number)> {
        let attributes = |point: &Point| match &point.attributes[..] {
            [only] => format!("{} {:?}", only.key, only.value),
            several => format!("{:?}", several[1].value),
        };
        metric.data.numbers().iter().map(|point| (attributes(point), point.value)).collect()
    }

    fn expected(pairs: &[(&str, i64)]) -> Vec<(String, Number)> {
        let pair = |(key, value): &(&str, i64)| ((*key).to_owned(), Number::Int(*value));
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn series_beyond_the_bound_are_added_up_and_stay_where_they_are() {
        let mut series = Series::new(3);
        let others = "otel.metric.overflow Bool(true)";
        let mut first = [metric(MetricData::sum(true, 1, points(&["x", "y", "z", "w"], 1)))];
        assert_eq!(series.apply(&mut first), 2);
        let told_first = expected(&[("String(\"x\")", 1), ("String(\"y\")", 2), (others, 12)]);
        assert_eq!(told(&first[0]), told_first);
        // The order of points and of attributes does not matter, and what came first stays.
        let mut reversed = points(&["z", "y"], 1);
        reversed.iter_mut().for_each(|point| point.attributes.reverse());
        let mut second = [metric(MetricData::sum(true, 1, reversed))];
        assert_eq!(series.apply(&mut second), 1);
        assert_eq!(told(&second[0])[1], expected(&[(others, 1)])[0]);
        assert_eq!(second[0].data.len(), 2);
    }

    #[test]
    fn of_gauges_the_last_value_is_told() {
        let mut gauge = [metric(MetricData::Gauge(points(&["x", "y", "z"], 5)))];
        assert_eq!(Series::new(2).apply(&mut gauge), 2);
        assert_eq!(told(&gauge[0])[1].1, Number::Int(4));
    }

    #[test]
    fn what_is_within_the_bound_stays_as_it_is() {
        let whole = metric(MetricData::sum(true, 1, points(&["x", "y", "z"], 1)));
        let mut metrics = [whole.clone()];
        assert_eq!(Series::new(4).apply(&mut metrics), 0);
        assert_eq!(metrics[0], whole);
    }
}
