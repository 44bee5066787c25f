//! What the collector tells of itself: that it is true, and that the page about it is.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use observe_collector::event::{Attribute, Metric, MetricData, Number, Value};
use observe_collector::otlp::OtlpExporter;
use observe_collector::{
    Collector, Counts, Cut, DiskState, Dropped, ExporterReport, Flow, Latency, Passage, QueueState,
    Report, Resource, Signal, StageReport, Transfers, prometheus,
};

use crate::delivery::{LONG, config};
use crate::fixtures::{assert_balanced, logging_chunk, settled};
use crate::server::{Act, Server};

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/TELEMETRY.md"));

/// A report in which everything occurs, each number another.
fn full_report() -> Report {
    let dropped = Dropped {
        channel_full: 3,
        closed: 5 + 2,
        queue_full: 11,
        retries_exhausted: 13,
        undelivered: 17,
        refused: 19,
        damaged: 37,
    };
    let spans = Passage { offered: 1_000, taken: 985, full: 3, closed: 5, waiting: 7 };
    let flow = Flow { received: 985, passed: 900, sampled_out: 40, folded: 30, held: 15 };
    let queued = 7 + 15 + 23;
    // 31 are from an earlier process.
    let accepted = 1_000 - 70 + 31;
    let delivered = accepted - 29 - dropped.total() - queued;
    let counts = Counts { accepted, delivered, rejected: 29, dropped, queued };
    assert!(counts.is_balanced() && spans.is_balanced() && flow.is_balanced());
    let mut latency = Latency { total: Duration::from_millis(1_500), ..Latency::default() };
    latency.buckets[2] = 4;
    let transfers = Transfers {
        requests: 4,
        retries: 1,
        bytes: 4_096,
        last_success: None,
        latency,
        queue: QueueState { batches: 1, items: 2, bytes: 300, capacity_bytes: 1 << 20 },
        disk: Some(DiskState { segments: 2, recovered: 31, ..DiskState::default() }),
    };
    let points = Counts { accepted: 9, delivered: 9, ..Counts::default() };
    let exporter = ExporterReport {
        name: "otlp".to_owned(),
        counts,
        logs: Counts { accepted: 2, delivered: 2, ..Counts::default() },
        metrics: points,
        transfers: vec![(Signal::Traces, transfers)],
        last_error: None,
        errors: Vec::new(),
    };
    let mut report = Report { exporters: vec![exporter], ..Report::default() };
    report.channel.spans = spans;
    report.channel.logs = Passage { offered: 2, taken: 2, ..Passage::default() };
    report.stage = StageReport {
        spans: flow,
        logs: Flow { received: 2, passed: 2, ..Flow::default() },
        traces_kept: 6,
        traces_sampled_out: 1,
        cut: Cut { values: 1, ..Cut::default() },
        ..StageReport::default()
    };
    report
}

fn metrics(report: &Report) -> Vec<Metric> {
    report.metrics(UNIX_EPOCH + Duration::from_secs(1), UNIX_EPOCH + Duration::from_secs(2))
}

/// The value of a sum's point, found by its metric's name and one attribute.
fn value(metrics: &[Metric], name: &str, attribute: Option<(&str, &str)>) -> u64 {
    let metric = metrics.iter().find(|metric| metric.name == name).expect("the metric");
    let has = |attributes: &[Attribute], (key, text): (&str, &str)| {
        attributes.iter().any(|a| a.key == key && a.value == Value::from(text))
    };
    let found = metric.data.numbers().iter().find(|point| match attribute {
        Some(attribute) => has(&point.attributes, attribute),
        None => !point.attributes.iter().any(|a| a.key == "error.type"),
    });
    match found.expect("the point").value {
        Number::Int(value) => value.unsigned_abs(),
        Number::Double(value) => panic!("{value} is no number of things"),
    }
}

#[test]
fn the_page_has_each_metric_and_no_other() {
    let rows = PAGE.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.trim_end_matches('`').to_owned();
        let (kind, unit) = (cells.next()?, cells.next()?.trim_matches('`'));
        Some((name, format!("{kind} of {unit}")))
    });
    let told: BTreeMap<_, _> = rows.collect();
    let kind = |metric: &Metric| match &metric.data {
        MetricData::Sum { monotonic: true, .. } => "counter",
        MetricData::Sum { .. } => "up-down counter",
        MetricData::Histogram { .. } => "histogram",
        _ => "another",
    };
    let made: BTreeMap<_, _> = metrics(&full_report())
        .iter()
        .map(|metric| (metric.name.to_string(), format!("{} of {}", kind(metric), metric.unit)))
        .collect();
    assert_eq!(told, made);
}

#[test]
fn nothing_is_missing_from_the_numbers() {
    let report = full_report();
    let metrics = metrics(&report);
    let of = |name: &str, attribute| value(&metrics, name, attribute);
    let failed = |name, reason| of(name, Some(("error.type", reason)));
    let processed = "otel.sdk.processor.span.processed";
    assert_eq!(of(processed, None), 985);
    assert_eq!((failed(processed, "queue_full"), failed(processed, "already_shutdown")), (3, 5));
    assert_eq!(of("otel.sdk.processor.span.queue.size", None), 7 + 15);
    let exported = "otel.sdk.exporter.span.exported";
    // Of `closed`, five were the channel's.
    let reasons = [
        ("rejected", 29),
        ("closed", 2),
        ("queue_full", 11),
        ("retries_exhausted", 13),
        ("undelivered", 17),
        ("refused", 19),
        ("damaged", 37),
    ];
    for (reason, number) in reasons {
        assert_eq!(failed(exported, reason), number, "{reason}");
    }
    let passed = of("observe.stage.spans", Some(("observe.stage.outcome", "passed")));
    let lost: u64 = reasons.iter().map(|(_, number)| number).sum();
    let inflight = of("otel.sdk.exporter.span.inflight", None);
    let recovered = of("observe.exporter.disk.recovered", None);
    assert_eq!(passed + recovered, of(exported, None) + lost + inflight);
    assert_eq!(of("observe.exporter.io", None), 4_096);
    let page = prometheus::text(&metrics);
    assert!(
        page.contains("# TYPE otel_sdk_exporter_operation_duration_seconds histogram"),
        "{page}"
    );
    assert!(page.contains("# TYPE observe_exporter_io_bytes_total counter"), "{page}");
}

/// Over OTLP with everything else, and at the end once more.
#[test]
fn the_collector_is_a_source_of_metrics() {
    let server = Server::start(vec![Act::status(200)]);
    let exporter = OtlpExporter::new(config(&server.url, &[]), Resource::new());
    let collector = Collector::builder()
        .exporter(Box::new(exporter))
        .own_metrics(Duration::from_secs(3_600))
        .start();
    collector.handle().send(logging_chunk(30, 4));
    assert!(collector.flush(LONG));
    let page = collector.own_metrics(LONG).expect("an answer");
    assert_eq!(value(&page, "otel.sdk.exporter.span.exported", None), 30);
    assert_eq!(value(&page, "otel.sdk.exporter.log.exported", None), 4);
    let report = collector.report(LONG).expect("an answer");
    assert_balanced(&report);
    let (_, transfers) = &report.exporters[0].transfers[0];
    assert_eq!(transfers.requests, 1);
    assert_eq!(value(&page, "observe.exporter.io", None), transfers.bytes);
    settled(collector.shutdown(LONG));
    // By the flush, and by the shutdown.
    let sent = server.metrics();
    let processed: Vec<_> =
        sent.iter().filter(|m| m.name == "otel.sdk.processor.span.processed").collect();
    assert_eq!(processed.len(), 2);
}
