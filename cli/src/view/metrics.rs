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
        attributes: attributes::render(
            attributes.iter().filter(|own| attributes::is_from_guest(own)),
        ),
    };
    let distribution = |count, sum, ends, attributes: &[Attribute]| {
        let mut value = plural(count, "value");
        if let Some(sum) = sum {
            value += &format!(", {}{unit} in all", double(sum));
        }
        if let (Some(min), Some(max)) = ends {
            value += &format!(", {} to {}", double(min), double(max));
        }
        line(value, attributes)
    };
    match &metric.data {
        MetricData::Sum { points, .. } | MetricData::Gauge(points) => points
            .iter()
            .map(|point| {
                let value = match point.value {
                    Number::Int(value) => value.to_string(),
                    Number::Double(value) => double(value),
                };
                line(value + &unit, &point.attributes)
            })
            .collect(),
        MetricData::Histogram { points, .. } => points
            .iter()
            .map(|own| distribution(own.count, own.sum, (own.min, own.max), &own.attributes))
            .collect(),
        MetricData::ExponentialHistogram { points, .. } => points
            .iter()
            .map(|own| distribution(own.count, own.sum, (own.min, own.max), &own.attributes))
            .collect(),
    }
}

/// A number in few digits, however large or small it is.
fn double(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude.is_finite() && magnitude != 0.0 && !(1e-6..1e15).contains(&magnitude) {
        return format!("{value:e}");
    }
    value.to_string()
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
    fn what_is_very_large_or_small_has_an_exponent() {
        for (value, text) in [
            (0.0, "0"),
            (-2.5, "-2.5"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (999_999_999_999_999.0, "999999999999999"),
            (-1e15, "-1e15"),
            (f64::MAX, "1.7976931348623157e308"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(double(value), text);
        }
        let extremes = HistogramPoint {
            count: 2,
            sum: Some(1e300),
            min: Some(-1e-9),
            max: Some(1e300),
            ..HistogramPoint::default()
        };
        let data = MetricData::Histogram {
            temporality: Default::default(),
            start_unix_nanos: 0,
            points: vec![extremes],
        };
        let shown = render(&[metric("far", "m", data)], 9, None);
        assert_eq!(shown, "\nmetrics:\n  far  2 values, 1e300 m in all, -1e-9 to 1e300\n");
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
