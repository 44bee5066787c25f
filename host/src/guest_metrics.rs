//! What guests measure themselves, added up for all stores of a host.
//!
//! A *series* is what is added up by itself: a metric of a tenant, with one set of attributes.
//! Metrics are told from each other by name, kind and unit, as the OpenTelemetry metrics SDK
//! specification has it under "Duplicate instrument registration": what differs in these is told
//! side by side, under the same name. Of several descriptions the longest is told.

mod distinct;
mod instruments;
mod record;
mod series;
#[cfg(test)]
mod tests;
mod value;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use observe_collector::event::{Attribute, Metric, MetricData, Number, Point, Temporality};

pub(crate) use instruments::Instruments;

use self::series::{AllSeries, Data, Key, Series, Slot};
use crate::tenants::now;

/// How a metric is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A sum that never falls; one of statsd may.
    Counter,
    UpDownCounter,
    Gauge,
    Histogram,
    /// The number of different values.
    Set,
}

/// What a series is of, beside attributes.
#[derive(Clone, Copy)]
pub(crate) struct Of<'m> {
    pub(crate) tenant: Option<&'m str>,
    pub(crate) name: &'m str,
    pub(crate) kind: Kind,
    pub(crate) unit: &'m str,
    pub(crate) description: Option<&'m Arc<str>>,
}

/// The metrics of guests.
#[derive(Debug)]
pub(crate) struct GuestMetrics {
    since_unix_nanos: u64,
    series: Mutex<AllSeries>,
}

impl Default for GuestMetrics {
    fn default() -> Self {
        GuestMetrics { since_unix_nanos: now(), series: Mutex::default() }
    }
}

impl GuestMetrics {
    fn series(&self) -> MutexGuard<'_, AllSeries> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a store keeps of a series, and whether it is within the quota of its tenant: there are
    /// at most so many. `None` for sets.
    fn join(&self, of: &Of<'_>, attributes: Vec<Attribute>, quota: u32) -> (Option<Slot>, bool) {
        let mut all = self.series();
        let (series, is_its_own) = all.at(of, attributes, quota);
        (series.slot(), is_its_own)
    }

    /// Changes a series, and says whether it is within the quota of its tenant.
    fn change(
        &self,
        of: &Of<'_>,
        attributes: Vec<Attribute>,
        quota: u32,
        change: impl FnOnce(&mut Data),
    ) -> bool {
        let mut all = self.series();
        let (series, is_its_own) = all.at(of, attributes, quota);
        change(&mut series.data);
        is_its_own
    }

    /// All of them.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let time_unix_nanos = now();
        let all = self.series();
        let all: Vec<_> = all.of.iter().collect();
        let metrics = all.chunk_by(|(a, _), (b, _)| a.metric() == b.metric());
        let metrics = metrics.filter_map(|series| {
            let (key, _) = series.first()?;
            let descriptions = series.iter().filter_map(|(_, of)| of.description.as_deref());
            let data = self.data(key.kind, series, time_unix_nanos);
            (!data.is_empty()).then(|| Metric {
                name: key.name.to_string().into(),
                description: descriptions
                    .max_by_key(|text| text.len())
                    .unwrap_or_default()
                    .to_owned()
                    .into(),
                unit: key.unit.to_string().into(),
                data,
            })
        });
        metrics.collect()
    }

    /// What the series of one metric hold.
    fn data(&self, kind: Kind, series: &[(&Key, &Series)], time_unix_nanos: u64) -> MetricData {
        let start_unix_nanos = self.since_unix_nanos;
        let numbers = || {
            let points = series.iter().filter_map(|(key, series)| {
                let value = match &series.data {
                    Data::Sum(sum) => sum.amount().number(),
                    Data::Gauge(gauge) => gauge.value()?,
                    Data::Set(values) => Number::Int(values.count()),
                    Data::Histogram(_) => return None,
                };
                Some(Point::new(series.attributes(key), time_unix_nanos, value))
            });
            let mut points: Vec<_> = points.collect();
            same_type(&mut points);
            points
        };
        match kind {
            Kind::Counter | Kind::UpDownCounter => {
                let fell = |data: &Data| matches!(data, Data::Sum(sum) if sum.fell);
                let fell = series.iter().any(|(_, series)| fell(&series.data));
                let monotonic = kind == Kind::Counter && !fell;
                MetricData::sum(monotonic, start_unix_nanos, numbers())
            }
            Kind::Gauge | Kind::Set => MetricData::Gauge(numbers()),
            Kind::Histogram => {
                let points = series.iter().filter_map(|(key, series)| {
                    let Data::Histogram(histogram) = &series.data else { return None };
                    let attributes = series.attributes(key);
                    let point = histogram.values().values.point(attributes, time_unix_nanos);
                    (point.count > 0).then_some(point)
                });
                let (points, temporality) = (points.collect(), Temporality::Cumulative);
                MetricData::ExponentialHistogram { temporality, start_unix_nanos, points }
            }
        }
    }
}

/// Makes the points of a metric all floats, if one is.
fn same_type(points: &mut [Point]) {
    if points.iter().all(|point| matches!(point.value, Number::Int(_))) {
        return;
    }
    for point in points {
        if let Number::Int(value) = point.value {
            point.value = Number::Double(value as f64);
        }
    }
}
