//! What guests measure themselves, added up for all stores of a host.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use observe_collector::event::{Attribute, Metric, MetricData, Number, Point, Value};

use crate::names::OVERFLOW;
use crate::statsd::{Change, Kind};
use crate::tenants::now;

/// The bytes that all series together may take, about. Tenants have quotas of their own; this
/// bounds the memory however many there are.
const MAX_BYTES: usize = 64 << 20;

/// The bytes that a series takes beside its texts, about.
const SERIES_BYTES: usize = 256;

/// What a change is of.
pub(crate) struct Of<'m> {
    pub(crate) tenant: Option<&'m str>,
    pub(crate) name: &'m str,
    pub(crate) kind: Kind,
    pub(crate) tags: Vec<Attribute>,
}

/// The metrics of guests.
#[derive(Debug)]
pub(crate) struct GuestMetrics {
    since_unix_nanos: u64,
    series: Mutex<Series>,
}

#[derive(Debug, Default)]
struct Series {
    of: BTreeMap<Key, Total>,
    by_tenant: HashMap<Option<Box<str>>, u32>,
    bytes: usize,
}

/// What is added up by itself; in an order in which the series of a metric stand together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    name: Box<str>,
    kind: Kind,
    tenant: Option<Box<str>>,
    tags: Tags,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tags {
    /// Those of series that are too many.
    Overflow,
    /// In the order of their keys; one without a value is true.
    These(Vec<(Box<str>, Option<Box<str>>)>),
}

#[derive(Clone, Copy, Debug, Default)]
struct Total {
    /// The sum of what was counted or sampled, or the value of a gauge.
    value: f64,
    /// How many samples there were.
    samples: f64,
    /// Whether the value was ever changed to a smaller one.
    fell: bool,
}

impl Default for GuestMetrics {
    fn default() -> Self {
        GuestMetrics { since_unix_nanos: now(), series: Mutex::default() }
    }
}

impl Total {
    fn change(&mut self, change: Change) {
        // Sums stay finite, as those who read them expect.
        let sum = |sum: f64, more: f64| (sum + more).clamp(f64::MIN, f64::MAX);
        let more = match change {
            Change::Set(value) => return self.value = value,
            Change::Add(more) => more,
            Change::Sample { value, times } => {
                self.samples = sum(self.samples, times);
                (value * times).clamp(f64::MIN, f64::MAX)
            }
        };
        self.fell |= more < 0.0;
        self.value = sum(self.value, more);
    }
}

impl Key {
    fn new(Of { tenant, name, kind, tags }: Of<'_>) -> Self {
        let tags = tags.into_iter().map(|Attribute { key, value }| {
            let value = match value {
                Value::String(value) => Some(value.into()),
                _ => None,
            };
            (key.as_ref().into(), value)
        });
        let mut tags: Vec<_> = tags.collect();
        tags.sort();
        let tenant = tenant.map(Into::into);
        Key { name: name.into(), kind, tenant, tags: Tags::These(tags) }
    }

    fn bytes(&self) -> usize {
        let tags = match &self.tags {
            Tags::Overflow => &[][..],
            Tags::These(tags) => tags,
        };
        let value = |value: &Option<Box<str>>| value.as_ref().map_or(0, |value| value.len());
        let tags = tags.iter().map(|(key, of)| key.len() + value(of) + size_of_val(&(key, of)) * 2);
        SERIES_BYTES + self.name.len() + tags.sum::<usize>()
    }

    fn attributes(&self) -> Vec<Attribute> {
        let tenant = self.tenant.iter().map(|tenant| Attribute::new("wasm.tenant", &**tenant));
        let mut attributes: Vec<_> = tenant.collect();
        match &self.tags {
            // The attribute is the OpenTelemetry metrics SDK specification's, "Cardinality
            // limits".
            Tags::Overflow => attributes.push(Attribute::new("otel.metric.overflow", true)),
            Tags::These(tags) => attributes.extend(tags.iter().map(|(key, value)| match value {
                Some(value) => Attribute::new(key.to_string(), &**value),
                None => Attribute::new(key.to_string(), true),
            })),
        }
        attributes
    }
}

impl Series {
    /// The series of a key, and whether it is that of the key alone. There are at most so many for
    /// each tenant, and then one more for each name that it has, and for each kind.
    fn at(&mut self, key: Key, quota: u32) -> (&mut Total, bool) {
        if self.of.contains_key(&key) {
            return (self.of.entry(key).or_default(), true);
        }
        let bytes = key.bytes();
        let tenant = self.by_tenant.get(&key.tenant).copied().unwrap_or(0);
        let has_room = self.bytes + bytes <= MAX_BYTES;
        if has_room && tenant < quota {
            *self.by_tenant.entry(key.tenant.clone()).or_default() += 1;
            self.bytes += bytes;
            return (self.of.entry(key).or_default(), true);
        }
        let rest = Key { tags: Tags::Overflow, ..key };
        let is_there = self.of.contains_key(&rest);
        let has_name = || {
            let mut next = self.of.range(&rest..).map(|(key, _)| key);
            let is_same = |key: &Key| {
                key.name == rest.name && key.kind == rest.kind && key.tenant == rest.tenant
            };
            next.next().is_some_and(is_same)
        };
        if is_there || has_room && has_name() {
            self.bytes += if is_there { 0 } else { bytes };
            return (self.of.entry(rest).or_default(), false);
        }
        // Of a tenant that has nothing else this is the first, if there is room for it at all.
        let tenant = rest.tenant.filter(|_| has_room);
        let rest = Key { name: OVERFLOW.into(), kind: rest.kind, tenant, tags: Tags::Overflow };
        (self.of.entry(rest).or_default(), false)
    }
}

impl GuestMetrics {
    /// Adds to a metric. Whether its series is within the quota of its tenant.
    pub(crate) fn add(&self, of: Of<'_>, changes: &[Change], quota: u32) -> bool {
        let key = Key::new(of);
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, is_its_own) = series.at(key, quota);
        changes.iter().for_each(|&change| total.change(change));
        is_its_own
    }

    /// All of them. A distribution is told as two sums: of its values, and of their number.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let time_unix_nanos = now();
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let series: Vec<_> = series.of.iter().collect();
        let metrics = series.chunk_by(|(a, _), (b, _)| a.name == b.name && a.kind == b.kind);
        let metrics = metrics.flat_map(|series| {
            let points = |of: fn(&Total) -> f64| {
                let points = series.iter().map(|(key, total)| {
                    Point::new(key.attributes(), time_unix_nanos, Number::Double(of(total)))
                });
                points.collect::<Vec<_>>()
            };
            let sum = |of, monotonic| MetricData::sum(monotonic, self.since_unix_nanos, points(of));
            let metric = |suffix, unit: &'static str, data| Metric {
                name: format!("{}{suffix}", series[0].0.name).into(),
                description: "".into(),
                unit: unit.into(),
                data,
            };
            let rises = series.iter().all(|(_, total)| !total.fell);
            let value = |total: &Total| total.value;
            match series[0].0.kind {
                Kind::Counter => vec![metric("", "", sum(value, rises))],
                Kind::Gauge => vec![metric("", "", MetricData::Gauge(points(value)))],
                kind => {
                    let unit = if kind == Kind::Timer { "ms" } else { "" };
                    let samples = sum(|total| total.samples, true);
                    vec![metric(".sum", unit, sum(value, rises)), metric(".count", "", samples)]
                }
            }
        });
        metrics.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statsd::Line;

    fn add(metrics: &GuestMetrics, tenant: &str, line: &str, quota: u32) -> bool {
        let line = Line::parse(line).expect("a line");
        let tags = crate::statsd::tags(line.tags).map(|(key, value)| match value {
            Some(value) => Attribute::new(key.to_owned(), value),
            None => Attribute::new(key.to_owned(), true),
        });
        let tags = tags.collect();
        let of = Of { tenant: Some(tenant), name: line.name, kind: line.kind, tags };
        metrics.add(of, &line.changes, quota)
    }

    /// Each point as `name tenant attributes = value`.
    fn told(metrics: &GuestMetrics) -> Vec<String> {
        let metrics = metrics.metrics();
        let points = metrics.iter().flat_map(|metric| {
            metric.data.numbers().iter().map(|point| {
                let mut text = metric.name.to_string();
                for Attribute { key, value } in &point.attributes {
                    text += &match value {
                        Value::String(value) => format!(" {key}={value}"),
                        _ => format!(" {key}"),
                    };
                }
                let Number::Double(value) = point.value else { panic!("an integer") };
                format!("{text} = {value}")
            })
        });
        points.collect()
    }

    #[test]
    fn changes_are_added_up_by_name_tenant_and_tags() {
        let metrics = GuestMetrics::default();
        for line in
            ["a:1|c|#k:v,w", "a:2|c|#w,k:v", "a:5|c", "g:7|g", "g:-2|g", "t:3:5|ms|@0.5", "t:1|c"]
        {
            assert!(add(&metrics, "one", line, 10));
        }
        assert!(add(&metrics, "two", "a:9|c", 10));
        let expected = [
            "a wasm.tenant=one = 5",
            "a wasm.tenant=one k=v w = 3",
            "a wasm.tenant=two = 9",
            "g wasm.tenant=one = 5",
            "t wasm.tenant=one = 1",
            "t.sum wasm.tenant=one = 16",
            "t.count wasm.tenant=one = 4",
        ];
        assert_eq!(told(&metrics), expected);
    }

    #[test]
    fn a_sum_that_falls_is_not_monotonic_and_none_is_infinite() {
        let metrics = GuestMetrics::default();
        for line in ["up:1e308|c", "up:1e308|c", "down:1|c", "down:-1|c"] {
            add(&metrics, "one", line, 10);
        }
        let sums = metrics.metrics().into_iter().map(|metric| match metric.data {
            MetricData::Sum { monotonic, .. } => (metric.name, monotonic),
            other => panic!("{other:?}"),
        });
        let monotonic: Vec<_> = sums.collect();
        assert_eq!(monotonic, [("down".into(), false), ("up".into(), true)]);
        assert!(told(&metrics)[1].ends_with(&format!("= {}", f64::MAX)));
    }

    #[test]
    fn series_past_the_quota_of_a_tenant_are_one_for_each_of_its_names() {
        let metrics = GuestMetrics::default();
        for n in 0..10 {
            assert_eq!(add(&metrics, "one", &format!("a:1|c|#n:{n}"), 3), n < 2);
            assert_eq!(add(&metrics, "one", &format!("b{n}:1|c"), 3), n < 1);
        }
        // Others have their own.
        assert!(add(&metrics, "two", "a:1|c", 3));
        let told = told(&metrics);
        assert!(
            told.contains(&"a wasm.tenant=one otel.metric.overflow = 8".to_owned()),
            "{told:?}"
        );
        let rest = "(more names) wasm.tenant=one otel.metric.overflow = 9".to_owned();
        assert!(told.contains(&rest), "{told:?}");
        assert_eq!(told.len(), 6, "{told:?}");
    }

    #[test]
    fn memory_is_bounded_however_many_tenants_there_are() {
        let metrics = GuestMetrics::default();
        metrics.series.lock().expect("whole").bytes = MAX_BYTES;
        for n in 0..10 {
            assert!(!add(&metrics, &n.to_string(), "a:1|c", 3));
        }
        assert_eq!(told(&metrics), ["(more names) otel.metric.overflow = 10"]);
    }
}
