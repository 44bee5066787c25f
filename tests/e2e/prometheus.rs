//! Metrics as text: Prometheus' own client reads there what was written.

use std::process::Command;

use observe_collector::event::{
    Attribute, Buckets, ExponentialHistogramPoint, HistogramPoint, Metric, MetricData, Number,
    Point, Temporality,
};
use observe_collector::{Collector, prometheus};
use serde_json::{Value as Json, json};

use crate::harness::{cache, output, repository, stderr};

/// A text in which everything is that has to be escaped.
const AWKWARD: &str = "a\"b\\c\nd,e=\"f\"} größe";

fn samples(page: &str) -> Vec<Json> {
    let mut command = Command::new(cache().join("venv/bin/python"));
    command.arg(repository().join("tests/oracle/prometheus.py"));
    let result = output(&mut command, page.as_bytes());
    assert!(result.status.success(), "{}\n{page}", stderr(&result));
    let mut samples: Vec<Json> = serde_json::from_slice(&result.stdout).expect("a list");
    for sample in &mut samples {
        let labels = sample[3].as_object_mut().expect("labels");
        assert_eq!(labels.remove("otel_scope_name"), Some(json!("observe")));
        assert!(labels.remove("otel_scope_version").is_some());
    }
    samples
}

fn metric(name: &'static str, unit: &'static str, data: MetricData) -> Metric {
    Metric { name: name.into(), description: AWKWARD.into(), unit: unit.into(), data }
}

#[test]
fn prometheus_reads_what_was_written() {
    let attributes = vec![Attribute::new("some.key", AWKWARD)];
    let point = |value| Point::new(attributes.clone(), 1, value);
    let explicit = HistogramPoint {
        attributes: attributes.clone(),
        count: 3,
        sum: Some(2.5),
        bounds: vec![0.5],
        counts: vec![1, 2],
        ..HistogramPoint::default()
    };
    let exponential = ExponentialHistogramPoint {
        count: 3,
        sum: Some(7.0),
        zero_count: 1,
        positive: Buckets { offset: 0, counts: vec![0, 2] },
        ..ExponentialHistogramPoint::default()
    };
    let (temporality, start_unix_nanos) = (Temporality::Cumulative, 1);
    let page = prometheus::text(&[
        metric("calls", "{call}", MetricData::sum(true, 1, vec![point(Number::Int(7))])),
        metric("peak", "By", MetricData::Gauge(vec![point(Number::Double(f64::INFINITY))])),
        metric(
            "took",
            "s",
            MetricData::Histogram { temporality, start_unix_nanos, points: vec![explicit] },
        ),
        metric(
            "sizes",
            "By",
            MetricData::ExponentialHistogram {
                temporality,
                start_unix_nanos,
                points: vec![exponential],
            },
        ),
    ]);
    let labels = json!({"some_key": AWKWARD});
    let up_to = |bound: &str| json!({"some_key": AWKWARD, "le": bound});
    let expected = [
        json!(["calls", "counter", "calls_total", labels, "7.0"]),
        json!(["peak_bytes", "gauge", "peak_bytes", labels, "inf"]),
        json!(["took_seconds", "histogram", "took_seconds_bucket", up_to("0.5"), "1.0"]),
        json!(["took_seconds", "histogram", "took_seconds_bucket", up_to("+Inf"), "3.0"]),
        json!(["took_seconds", "histogram", "took_seconds_sum", labels, "2.5"]),
        json!(["took_seconds", "histogram", "took_seconds_count", labels, "3.0"]),
        json!(["sizes_bytes", "histogram", "sizes_bytes_bucket", {"le": "0"}, "1.0"]),
        json!(["sizes_bytes", "histogram", "sizes_bytes_bucket", {"le": "2"}, "1.0"]),
        json!(["sizes_bytes", "histogram", "sizes_bytes_bucket", {"le": "4"}, "3.0"]),
        json!(["sizes_bytes", "histogram", "sizes_bytes_bucket", {"le": "+Inf"}, "3.0"]),
        json!(["sizes_bytes", "histogram", "sizes_bytes_sum", {}, "7.0"]),
        json!(["sizes_bytes", "histogram", "sizes_bytes_count", {}, "3.0"]),
    ];
    assert_eq!(samples(&page), expected);
}

#[test]
fn prometheus_reads_what_a_collector_tells_of_itself() {
    let collector = Collector::builder().start();
    let patience = std::time::Duration::from_secs(20);
    let page = prometheus::text(&collector.own_metrics(patience).expect("an answer"));
    let samples = samples(&page);
    let of = "otel_sdk_processor_span_processed_total";
    assert_eq!(samples.iter().filter(|sample| sample[2] == of).count(), 3, "{page}");
    collector.shutdown(patience);
}
