use super::text;
use crate::event::{
    Attribute, Buckets, ExponentialHistogramPoint, HistogramPoint, Metric, MetricData, Number,
    Point, Temporality,
};

/// The scope, which every series has.
const SCOPE: &str =
    concat!("otel_scope_name=\"observe\",otel_scope_version=\"", env!("CARGO_PKG_VERSION"), "\"");

fn metric(name: &'static str, unit: &'static str, data: MetricData) -> Metric {
    Metric { name: name.into(), description: "".into(), unit: unit.into(), data }
}

fn point(value: i64, attributes: &[(&'static str, &'static str)]) -> Point {
    let attributes = attributes.iter().map(|(key, value)| Attribute::new(*key, *value)).collect();
    Point::new(attributes, 1, Number::Int(value))
}

fn sum(monotonic: bool) -> MetricData {
    MetricData::sum(monotonic, 1, vec![point(3, &[])])
}

/// The lines, without the scope.
fn lines(metrics: &[Metric]) -> Vec<String> {
    let text = text(metrics);
    assert!(text.is_empty() || text.ends_with('\n'));
    let plain = |line: &str| {
        let line = line.replace(&format!(",{SCOPE}"), "").replace(&format!("{SCOPE},"), "");
        line.replace(&format!("{{{SCOPE}}}"), "").replace(SCOPE, "")
    };
    text.lines().map(plain).collect()
}

#[test]
fn names_have_units_and_types_behind_them() {
    for (name, unit, data, expected) in [
        ("wasm.cpu.time", "s", sum(true), "wasm_cpu_time_seconds_total"),
        ("wasm.memory.peak", "By", sum(false), "wasm_memory_peak_bytes"),
        ("requests", "{request}", sum(true), "requests_total"),
        ("requests_total", "", sum(true), "requests_total"),
        ("io_bytes_total", "By", sum(true), "io_bytes_total"),
        ("hit.rate", "1", sum(false), "hit_rate_ratio"),
        ("speed", "m/s", sum(false), "speed_meters_per_second"),
        ("rate", "{request}/s", sum(false), "rate_per_second"),
        ("9 lives", "%", sum(false), "_9_lives_percent"),
        ("a..b__c:d", "", sum(false), "a_b_c:d"),
        ("größe", "", sum(false), "gr_e"),
        ("", "", sum(false), "_"),
    ] {
        let lines = lines(&[metric(name, unit, data)]);
        assert_eq!(lines.last(), Some(&format!("{expected} 3")), "{name} in {unit}");
    }
}

#[test]
fn types_and_help_come_once_for_each_name() {
    let mut first = metric("a", "", sum(true));
    first.description = "One\\two\nlines".into();
    let other = metric("b", "", MetricData::Gauge(vec![point(1, &[])]));
    let again = metric("a", "", MetricData::sum(true, 1, vec![point(4, &[("k", "v")])]));
    // To the same name by another type.
    let clash = metric("a.total", "", MetricData::Gauge(vec![point(9, &[])]));
    let expected = [
        "# HELP a_total One\\\\two\\nlines",
        "# TYPE a_total counter",
        "a_total 3",
        "a_total{k=\"v\"} 4",
        "# TYPE b gauge",
        "b 1",
    ];
    assert_eq!(lines(&[first, other, again, clash]), expected);
}

#[test]
fn labels_are_escaped_and_joined() {
    let attributes = [("b.c", "2"), ("quote", "a\"b\\c\nd"), ("b_c", "1"), ("8", "x")];
    let data = MetricData::Gauge(vec![
        point(1, &attributes),
        // The same labels again.
        point(2, &attributes),
        point(3, &[("otel_scope_name", "mine")]),
    ]);
    let expected = ["# TYPE a gauge", "a{_8=\"x\",b_c=\"2;1\",quote=\"a\\\"b\\\\c\\nd\"} 1", "a 3"];
    assert_eq!(lines(&[metric("a", "", data)]), expected);
    assert!(text(&[metric("a", "", sum(false))]).contains(&format!("a{{{SCOPE}}} 3")));
}

#[test]
fn numbers() {
    let double = |value| Point::new(Vec::new(), 1, Number::Double(value));
    for (value, expected) in [
        (0.5, "0.5"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (f64::NAN, "NaN"),
        (-0.0, "-0"),
    ] {
        let lines = lines(&[metric("a", "", MetricData::Gauge(vec![double(value)]))]);
        assert_eq!(lines[1], format!("a {expected}"));
    }
}

#[test]
fn histograms_are_cumulative_with_all_at_the_end() {
    let point = HistogramPoint {
        attributes: vec![Attribute::new("k", "v"), Attribute::new("le", "mine")],
        count: 6,
        sum: Some(1.5),
        bounds: vec![0.1, 1.0],
        counts: vec![1, 2, 3],
        ..HistogramPoint::default()
    };
    let data =
        |temporality, points| MetricData::Histogram { temporality, start_unix_nanos: 1, points };
    let expected = [
        "# TYPE d_seconds histogram",
        "d_seconds_bucket{k=\"v\",le=\"0.1\"} 1",
        "d_seconds_bucket{k=\"v\",le=\"1\"} 3",
        "d_seconds_bucket{k=\"v\",le=\"+Inf\"} 6",
        "d_seconds_sum{k=\"v\"} 1.5",
        "d_seconds_count{k=\"v\"} 6",
    ];
    let cumulative = data(Temporality::Cumulative, vec![point.clone()]);
    let text: Vec<_> = text(&[metric("d", "s", cumulative)])
        .lines()
        .map(|line| line.replace(&format!(",{SCOPE}"), ""))
        .collect();
    assert_eq!(text, expected);
    // Since the last time: that has no place there.
    assert!(lines(&[metric("d", "s", data(Temporality::Delta, vec![point]))]).is_empty());
}

#[test]
fn exponential_histograms_get_bounds() {
    // Base 2: (-4, -2] has 1, zero 2, (1, 2] 3, (2, 4] none, (4, 8] 4.
    let point = ExponentialHistogramPoint {
        count: 10,
        scale: 0,
        zero_count: 2,
        positive: Buckets { offset: 0, counts: vec![3, 0, 4] },
        negative: Buckets { offset: 1, counts: vec![1] },
        ..ExponentialHistogramPoint::default()
    };
    let data = |point| {
        let (temporality, points) = (Temporality::Cumulative, vec![point]);
        MetricData::ExponentialHistogram { temporality, start_unix_nanos: 1, points }
    };
    let bounds = |point| -> Vec<String> {
        let text = text(&[metric("e", "", data(point))]);
        let lines = text.lines().filter_map(|line| {
            let (_, rest) = line.split_once("le=\"")?;
            let (bound, rest) = rest.split_once('"')?;
            Some(format!("{bound}: {}", rest.split_once(' ')?.1))
        });
        lines.collect()
    };
    let expected = ["-2: 1", "0: 3", "2: 6", "4: 6", "8: 10", "+Inf: 10"];
    assert_eq!(bounds(point.clone()), expected);
    // The base is the square root of 2, or 4; beyond all numbers there are no bounds.
    let finer = ExponentialHistogramPoint { scale: 1, ..point.clone() };
    assert_eq!(bounds(finer)[4], "2.8284271247461903: 10");
    let coarser = ExponentialHistogramPoint { scale: -1, ..point.clone() };
    assert_eq!(bounds(coarser)[2], "4: 6");
    let positive = Buckets { offset: i32::MAX, counts: vec![8] };
    let beyond = ExponentialHistogramPoint { positive, ..point };
    assert_eq!(bounds(beyond).last().map(String::as_str), Some("+Inf: 10"));
}
