//! What guests measured.

use console::{Alignment, measure_text_width, pad_str, truncate_str};
use observe_collector::event::{Attribute, Metric, MetricData, Number};

use crate::view::attributes;
use crate::view::text::clean;
use crate::view::units::{count, plural};

/// What the names of the host's own metrics begin with.
const OF_THE_HOST: &str = "wasm.";

/// The widest that a name, a unit or a description is shown.
const NAME: usize = 40;

/// A point of a metric.
struct Line {
    name: String,
    value: String,
    attributes: String,
}

/// The metrics of the guests' own, a line for each set of attributes, so many at most; empty if there are
/// none.
pub(crate) fn render(metrics: &[Metric], top: usize, width: Option<usize>) -> String {
    let metrics = metrics.iter().filter(|metric| !metric.name.starts_with(OF_THE_HOST));
    let points: usize = metrics.clone().map(|metric| metric.data.len()).sum();
    let lines: Vec<_> = metrics.flat_map(points_of).take(top).collect();
    if lines.is_empty() {
        return String::new();
    }
    let widest = |of: fn(&Line) -> &str| {
        lines.iter().map(|line| measure_text_width(of(line))).max().unwrap_or(0)
    };
    let (name_width, value_width) = (widest(|line| &line.name), widest(|line| &line.value));
    let mut text = "\nmetrics:\n".to_owned();
    for line in &lines {
        let name = pad_str(&line.name, name_width, Alignment::Left, None);
        let value = pad_str(&line.value, value_width, Alignment::Left, None);
        let head = format!("  {name}  {value}");
        text += &attributes::line(&head, &line.attributes, width.unwrap_or(usize::MAX));
    }
    if points > lines.len() {
        text += &format!("… {} more\n", count((points - lines.len()) as u64));
    }
    text
}

fn points_of(metric: &Metric) -> Vec<Line> {
    let name = short(&metric.name);
    let unit = match metric.unit.as_ref() {
        "" => String::new(),
        unit => format!(" {}", short(unit)),
    };
    let line = |value: String, attributes: &[Attribute]| Line {
        name: name.clone(),
        value,
        attributes: attributes::render(attributes.iter().filter(|own| attributes::is_guest_s(own))),
    };
    let distribution = |count: u64, sum: Option<f64>, ends: (Option<f64>, Option<f64>)| {
        let mut value = plural(count, "value");
        if let Some(sum) = sum {
            value += &format!(", {sum}{unit} in all");
        }
        if let (Some(min), Some(max)) = ends {
            value += &format!(", {min} to {max}");
        }
        value
    };
    match &metric.data {
        MetricData::Sum { points, .. } | MetricData::Gauge(points) => points
            .iter()
            .map(|point| {
                let value = match point.value {
                    Number::Int(value) => value.to_string(),
                    Number::Double(value) => value.to_string(),
                };
                line(value + &unit, &point.attributes)
            })
            .collect(),
        MetricData::Histogram { points, .. } => points
            .iter()
            .map(|point| {
                let value = distribution(point.count, point.sum, (point.min, point.max));
                line(value, &point.attributes)
            })
            .collect(),
        MetricData::ExponentialHistogram { points, .. } => points
            .iter()
            .map(|point| {
                let value = distribution(point.count, point.sum, (point.min, point.max));
                line(value, &point.attributes)
            })
            .collect(),
    }
}

fn short(text: &str) -> String {
    truncate_str(&clean(text), NAME, "…").into_owned()
}

#[cfg(test)]
mod tests {
    use observe_collector::event::{HistogramPoint, Point};

    use super::*;

    fn metric(name: &'static str, unit: &'static str, data: MetricData) -> Metric {
        Metric { name: name.into(), description: "".into(), unit: unit.into(), data }
    }

    fn number(value: Number) -> Point {
        let attributes = vec![Attribute::new("express", true), Attribute::new("wasm.tenant", "t")];
        Point::new(attributes, 0, value)
    }

    #[test]
    fn each_kind_has_its_form_and_the_host_s_are_left_out() {
        let prices = HistogramPoint {
            count: 2,
            sum: Some(29.5),
            min: Some(9.5),
            max: Some(20.0),
            ..HistogramPoint::default()
        };
        let metrics = [
            metric("orders", "{order}", MetricData::sum(true, 0, vec![number(Number::Int(3))])),
            metric("stock", "", MetricData::Gauge(vec![number(Number::Double(0.5))])),
            metric(
                "price",
                "EUR",
                MetricData::Histogram {
                    temporality: Default::default(),
                    start_unix_nanos: 0,
                    points: vec![prices],
                },
            ),
            metric("wasm.traces", "", MetricData::sum(true, 0, vec![number(Number::Int(1))])),
        ];
        let expected = "\nmetrics:\n  \
            orders  3 {order}                             express=true\n  \
            stock   0.5                                   express=true\n  \
            price   2 values, 29.5 EUR in all, 9.5 to 20\n";
        assert_eq!(render(&metrics, 9, None), expected);
        assert_eq!(render(&metrics[3..], 9, None), "");
        let first = render(&metrics, 1, None);
        assert!(first.ends_with("orders  3 {order}  express=true\n… 2 more\n"), "{first}");
    }
}
