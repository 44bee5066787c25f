//! Metrics as the [text that Prometheus reads].
//!
//! A host that has a `/metrics` page answers it with [`text`] of the metrics that it wants seen: those
//! of its observer, those of the collector ([`Collector::own_metrics`](crate::Collector::own_metrics)),
//! and its own. Names, units and labels follow OpenTelemetry's [compatibility specification].
//!
//! [text that Prometheus reads]: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
//! [compatibility specification]: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#otlp-metric-points-to-prometheus

mod histogram;
mod names;

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use self::names::Labels;
use crate::event::{Metric, MetricData, Number, Point, Temporality};

/// The `Content-Type` of [`text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics as text, in their order.
///
/// Sums since the start become counters or, where they may fall, gauges; histograms of both kinds get
/// the buckets that the text format has. What is added up since it was last told (delta temporality)
/// has no place there and is left out; so are exemplars, the times of points and of the start, and of
/// metrics that come to the same name with another type, and of points that come to the same labels,
/// all but the first.
pub fn text(metrics: &[Metric]) -> String {
    let mut families: Vec<Family> = Vec::new();
    let mut places = HashMap::new();
    for metric in metrics {
        let Some(kind) = Kind::of(&metric.data) else { continue };
        let name = names::metric(&metric.name, &metric.unit, kind == Kind::Counter);
        let place = *places.entry(name.clone()).or_insert(families.len());
        if place == families.len() {
            families.push(Family::new(name, kind, &metric.description));
        }
        if let Some(family) = families.get_mut(place)
            && family.kind == kind
        {
            family.add(&metric.data);
        }
    }
    families.into_iter().map(|family| family.text).collect()
}

/// The types of the text format that occur.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    /// `None` if there is none for such data.
    fn of(data: &MetricData) -> Option<Self> {
        match data {
            MetricData::Gauge(_) => Some(Kind::Gauge),
            MetricData::Sum { temporality: Temporality::Delta, .. }
            | MetricData::Histogram { temporality: Temporality::Delta, .. }
            | MetricData::ExponentialHistogram { temporality: Temporality::Delta, .. } => None,
            MetricData::Sum { monotonic: true, .. } => Some(Kind::Counter),
            MetricData::Sum { .. } => Some(Kind::Gauge),
            MetricData::Histogram { .. } | MetricData::ExponentialHistogram { .. } => {
                Some(Kind::Histogram)
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// All of one name.
struct Family {
    name: String,
    kind: Kind,
    text: String,
    seen: HashSet<Labels>,
}

impl Family {
    fn new(name: String, kind: Kind, description: &str) -> Self {
        let mut text = String::new();
        if !description.is_empty() {
            let _ = writeln!(text, "# HELP {name} {}", names::help(description));
        }
        let _ = writeln!(text, "# TYPE {name} {}", kind.name());
        Family { name, kind, text, seen: HashSet::new() }
    }

    fn add(&mut self, data: &MetricData) {
        match data {
            MetricData::Sum { points, .. } | MetricData::Gauge(points) => {
                points.iter().for_each(|point| self.add_point(point));
            }
            MetricData::Histogram { points, .. } => {
                for point in points {
                    let buckets = histogram::explicit(point);
                    self.add_histogram(&point.attributes, &buckets, point.count, point.sum);
                }
            }
            MetricData::ExponentialHistogram { points, .. } => {
                for point in points {
                    let buckets = histogram::exponential(point);
                    self.add_histogram(&point.attributes, &buckets, point.count, point.sum);
                }
            }
        }
    }

    fn add_point(&mut self, point: &Point) {
        let labels = Labels::of(&point.attributes);
        if !self.seen.insert(labels.clone()) {
            return;
        }
        let _ = match point.value {
            Number::Int(value) => writeln!(self.text, "{}{labels} {value}", self.name),
            Number::Double(value) => {
                writeln!(self.text, "{}{labels} {}", self.name, names::number(value))
            }
        };
    }

    /// `buckets` are upper bounds, rising, each with the number of values up to it.
    fn add_histogram(
        &mut self,
        attributes: &[crate::event::Attribute],
        buckets: &[(f64, u64)],
        count: u64,
        sum: Option<f64>,
    ) {
        let labels = Labels::of(attributes).without("le");
        if !self.seen.insert(labels.clone()) {
            return;
        }
        let name = &self.name;
        let rest = (f64::INFINITY, count);
        for (bound, number) in buckets.iter().chain([&rest]) {
            let labels = labels.with("le", &names::number(*bound));
            let _ = writeln!(self.text, "{name}_bucket{labels} {number}");
        }
        if let Some(sum) = sum {
            let _ = writeln!(self.text, "{name}_sum{labels} {}", names::number(sum));
        }
        let _ = writeln!(self.text, "{name}_count{labels} {count}");
    }
}

#[cfg(test)]
#[path = "prometheus/tests.rs"]
mod tests;
