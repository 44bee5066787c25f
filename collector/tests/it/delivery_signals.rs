//! Delivery of log records and metrics beside spans: each by its own way, none in the way of
//! another, and each with an account that is true.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use observe_collector::event::{Chunk, Metric, MetricData, Number, Point};
use observe_collector::otlp::OtlpExporter;
use observe_collector::{
    Collector, Counts, Delivery, Dropped, OnFull, Resource, Signal, SignalHealth,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use prost::Message;

use crate::delivery::{HUNG, LONG, all_delivered, config, shutdown, start};
use crate::fixtures::{
    chunk_from, expected_log, expected_metric, gauge, logging_chunk, plain_chunk, random_chunk,
    random_metric,
};
use crate::server::{Act, Sent, Server};

fn exporter(url: &str, variables: &[(&str, &str)]) -> Box<OtlpExporter> {
    Box::new(OtlpExporter::new(config(url, variables), Resource::new()))
}

/// A collector with metrics that are asked for by nothing but a flush or a shutdown.
fn start_with_metrics(url: &str, metrics: Vec<Metric>) -> Collector {
    let builder = Collector::builder().exporter(exporter(url, &[]));
    builder.metrics(Duration::MAX, move || metrics.clone()).start()
}

fn number_of_points(metric: &Metric) -> u64 {
    metric.data.len() as u64
}

/// A server that answers one path with this and all others with 200.
fn server_with(path: &'static str, acts: Vec<Act>) -> Server {
    Server::start_with(move |to, number| {
        if to == path { acts[number.min(acts.len() - 1)].clone() } else { Act::status(200) }
    })
}

#[test]
fn log_records_arrive_as_they_were() {
    let server = Server::start(vec![Act::status(200)]);
    let collector = start(&server.url, &[]);
    let chunks: Vec<_> = (0..400).map(random_chunk).collect();
    let of_logs = |chunk: &Chunk| {
        let expected = |log| expected_log(&chunk.trace, log);
        chunk.logs.iter().map(expected).collect::<Vec<_>>()
    };
    let expected: Vec<_> = chunks.iter().flat_map(of_logs).collect();
    for chunk in chunks {
        collector.handle().send(Chunk { spans: Vec::new(), ..chunk });
    }
    let report = shutdown(collector, LONG);
    assert_eq!((report.counts, report.last_error), (Counts::default(), None));
    assert_eq!(report.logs, all_delivered(expected.len() as u64));
    assert_eq!(server.logs(), expected);

    let requests = server.requests();
    assert_eq!(requests.len(), expected.len().div_ceil(512));
    for request in &requests {
        assert_eq!(request.path, "/v1/logs");
        assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
        assert_eq!(request.message.encode(), request.body);
        let Sent::Logs(message) = &request.message else { panic!("no logs") };
        let [logs] = &message.resource_logs[..] else { panic!("one resource") };
        let resource = logs.resource.as_ref().expect("a resource");
        assert!(resource.attributes.iter().any(|attribute| attribute.key == "service.name"));
        let scope = logs.scope_logs[0].scope.as_ref().expect("a scope");
        assert_eq!((&*scope.name, &*scope.version), ("observe", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn metrics_arrive_as_they_were_each_time() {
    let server = Server::start(vec![Act::status(200)]);
    let metrics: Vec<_> = (0..40).map(random_metric).collect();
    let points: u64 = metrics.iter().map(number_of_points).sum();
    // One without points says nothing.
    let told = metrics.iter().filter(|metric| number_of_points(metric) > 0);
    let expected: Vec<_> = told.map(expected_metric).collect();
    assert!(expected.len() < metrics.len());
    let collector = start_with_metrics(&server.url, metrics);
    assert!(collector.flush(LONG));
    assert_eq!(server.metrics(), expected);
    let report = shutdown(collector, LONG);
    assert_eq!(report.metrics, all_delivered(2 * points));
    assert_eq!(server.metrics(), [&expected[..], &expected].concat());
    assert_eq!(server.paths(), ["/v1/metrics", "/v1/metrics"]);
    for request in server.requests() {
        assert_eq!(request.message.encode(), request.body);
        let Sent::Metrics(message) = request.message else { panic!("no metrics") };
        let [metrics] = &message.resource_metrics[..] else { panic!("one resource") };
        assert!(metrics.resource.is_some());
        let scope = metrics.scope_metrics[0].scope.as_ref().expect("a scope");
        assert_eq!((&*scope.name, &*scope.version), ("observe", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn deltas_arrive_and_are_counted() {
    let server = Server::start(vec![Act::status(200)]);
    let variables = [("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta")];
    let mut round = 0;
    let source = move || {
        round += 1;
        let point = Point::new(Vec::new(), round, Number::Int(10 * round.cast_signed()));
        let data = MetricData::sum(true, 0, vec![point]);
        vec![Metric { name: "m".into(), description: "".into(), unit: "".into(), data }]
    };
    let exporter = OtlpExporter::new(config(&server.url, &variables), Resource::new());
    let collector = Collector::builder()
        .exporter(Box::new(exporter))
        .metrics(Duration::from_secs(24 * 60 * 60), source)
        .start();
    assert!(collector.flush(LONG));
    assert_eq!(shutdown(collector, LONG).metrics, all_delivered(2));
    for (metric, since) in server.metrics().into_iter().zip([0, 1]) {
        let Some(Data::Sum(sum)) = metric.data else { panic!("{metric:?}") };
        let [point] = &sum.data_points[..] else { panic!("{sum:?}") };
        assert_eq!((sum.aggregation_temporality, sum.is_monotonic), (1, true));
        assert_eq!((point.start_time_unix_nano, &point.value), (since, &Some(Value::AsInt(10))));
    }
}

#[test]
fn a_metric_of_many_points_comes_in_parts() {
    let server = Server::start(vec![Act::status(200)]);
    let collector = start_with_metrics(&server.url, vec![gauge("many", 200_000), gauge("few", 3)]);
    let report = shutdown(collector, LONG);
    assert_eq!(report.metrics, all_delivered(200_003));
    assert!(server.requests().iter().all(|request| request.body.len() < 4 << 20));
    let mut values = Vec::new();
    for metric in server.metrics() {
        assert_eq!(metric.unit, "By");
        let Some(Data::Gauge(gauge)) = metric.data else { panic!("no gauge") };
        if metric.name == "many" {
            values.extend(gauge.data_points.into_iter().map(|point| point.value));
        }
    }
    let expected: Vec<_> = (0..200_000).map(|value| Some(Value::AsInt(value))).collect();
    assert_eq!(values, expected);
}

#[test]
fn a_signal_that_does_not_occur_makes_no_request() {
    for (chunk, path) in [(plain_chunk(3), "/v1/traces"), (logging_chunk(0, 3), "/v1/logs")] {
        let server = Server::start(vec![Act::status(200)]);
        let collector = start_with_metrics(&server.url, vec![gauge("none", 0)]);
        collector.handle().send(chunk);
        assert!(collector.flush(LONG));
        let report = shutdown(collector, LONG);
        assert_eq!(report.counts.delivered + report.logs.delivered, 3);
        assert_eq!(report.metrics, Counts::default());
        assert_eq!(server.paths(), [path]);
    }
}

#[test]
fn logs_go_out_after_their_delay_by_themselves() {
    let server = Server::start(vec![Act::status(200)]);
    let collector = start(&server.url, &[("OTEL_BLRP_SCHEDULE_DELAY", "20")]);
    for round in 0..3 {
        collector.handle().send(logging_chunk(1, 1));
        server.wait_for(round + 1);
    }
    assert_eq!(server.paths(), ["/v1/logs"; 3]);
    assert_eq!(shutdown(collector, LONG).logs, all_delivered(3));
}

#[test]
fn metrics_do_not_wait_for_a_batch() {
    let server = Server::start(vec![Act::status(200)]);
    let collector = Collector::builder()
        .exporter(exporter(&server.url, &[]))
        .metrics(Duration::from_millis(10), || vec![gauge("often", 2)])
        .start();
    server.wait_for(3);
    let report = shutdown(collector, LONG);
    assert_eq!(report.metrics, all_delivered(2 * server.requests().len() as u64));
}

#[test]
fn a_receiver_of_spans_only_rejects_the_rest_and_gets_all_spans() {
    let server =
        Server::start_with(|path, _| Act::status(if path == "/v1/traces" { 200 } else { 404 }));
    let collector = start_with_metrics(&server.url, vec![gauge("g", 5)]);
    for round in 0..4 {
        collector.handle().send(Chunk { logs: logging_chunk(0, 9).logs, ..chunk_from(round, 1) });
        assert!(collector.flush(LONG));
    }
    let health = collector.health();
    let report = shutdown(collector, LONG);
    for SignalHealth { signal, delivery, last_success, .. } in &health.exporters[0].signals {
        let error = report.error_of(*signal).map(str::to_owned);
        let expected = match signal {
            Signal::Traces => Delivery::Delivering,
            Signal::Logs | Signal::Metrics => Delivery::Dropping { error },
        };
        assert_eq!((delivery, last_success.is_some()), (&expected, *signal == Signal::Traces));
    }
    assert!(!health.is_healthy());
    assert_eq!(report.counts, all_delivered(4));
    let rejected = |number| Counts { accepted: number, rejected: number, ..Counts::default() };
    assert_eq!((report.logs, report.metrics), (rejected(36), rejected(25)));
    // Nothing was sent twice, and each signal is told once.
    assert_eq!(server.paths().iter().filter(|path| *path == "/v1/logs").count(), 4);
    let url = &server.url;
    let errors = Signal::ALL.map(|of| report.error_of(of));
    let [logs, metrics] = ["logs", "metrics"].map(|of| format!("{url}/v1/{of}: 404 Not Found"));
    assert_eq!(errors, [None, Some(&*logs), Some(&*metrics)]);
    let expected = format!("{logs}; {metrics}");
    assert_eq!(report.last_error, Some(expected));
}

#[test]
fn an_address_that_does_not_exist_rejects_spans_too() {
    let server = Server::start(vec![Act::status(404)]);
    let collector = start(&server.url, &[]);
    collector.handle().send(plain_chunk(10));
    let report = shutdown(collector, LONG);
    assert_eq!(report.counts, Counts { accepted: 10, rejected: 10, ..Counts::default() });
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_a_receiver_rejects_of_a_batch_is_counted_for_its_signal() {
    let answer = |body| Act::Answer(200, Vec::new(), body);
    let server = Server::start_with(move |path, _| match path {
        "/v1/logs" => {
            let (rejected_log_records, error_message) = (2, "too old".to_owned());
            let partial = ExportLogsPartialSuccess { rejected_log_records, error_message };
            answer(ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec())
        }
        "/v1/metrics" => {
            let (rejected_data_points, error_message) = (3, "too many".to_owned());
            let partial = ExportMetricsPartialSuccess { rejected_data_points, error_message };
            answer(ExportMetricsServiceResponse { partial_success: Some(partial) }.encode_to_vec())
        }
        _ => Act::status(200),
    });
    let collector = start_with_metrics(&server.url, vec![gauge("g", 8)]);
    collector.handle().send(logging_chunk(5, 7));
    let report = shutdown(collector, LONG);
    let rejected = |accepted, rejected| {
        let delivered = accepted - rejected;
        Counts { accepted, delivered, rejected, ..Counts::default() }
    };
    assert_eq!(report.counts, all_delivered(5));
    assert_eq!((report.logs, report.metrics), (rejected(7, 2), rejected(8, 3)));
    let url = &server.url;
    let logs = format!("{url}/v1/logs: 2 log records rejected: too old");
    let metrics = format!("{url}/v1/metrics: 3 points rejected: too many");
    assert_eq!(report.last_error, Some(format!("{logs}; {metrics}")));
}

#[test]
fn logs_are_retried_as_spans_are() {
    let server = server_with("/v1/logs", vec![Act::status(503), Act::Close, Act::status(200)]);
    let collector = start(&server.url, &[]);
    collector.handle().send(logging_chunk(1, 600));
    let report = shutdown(collector, LONG);
    assert_eq!((report.counts, report.logs), (all_delivered(1), all_delivered(600)));
    let bodies: BTreeSet<_> =
        server.requests().into_iter().filter(|r| r.path == "/v1/logs").map(|r| r.body).collect();
    assert_eq!((server.requests().len(), bodies.len()), (5, 2));
}

/// Neither an endpoint that never answers nor one that asks for a pause keeps the others waiting.
#[test]
fn no_signal_waits_for_another() {
    let busy = Act::Answer(503, vec![("retry-after", "3600".to_owned())], Vec::new());
    for (act, path) in [(Act::Hang, "/v1/logs"), (busy.clone(), "/v1/logs"), (busy, "/v1/metrics")]
    {
        let server = server_with(path, vec![act]);
        let collector = start_with_metrics(&server.url, vec![gauge("g", 4)]);
        collector.handle().send(logging_chunk(2_000, 3));
        assert!(!collector.flush(Duration::ZERO));
        let start = Instant::now();
        loop {
            let now = collector.report(LONG).expect("an answer").exporters.remove(0);
            assert!(now.logs.is_balanced() && now.metrics.is_balanced(), "{now:?}");
            let others = if path == "/v1/logs" { now.metrics } else { now.logs };
            if now.counts.delivered == 2_000 && others.queued == 0 {
                break;
            }
            assert!(start.elapsed() < LONG, "{now:?}");
            std::thread::yield_now();
        }
        let start = Instant::now();
        let report = shutdown(collector, Duration::from_secs(2));
        assert!(start.elapsed() < HUNG);
        assert_eq!(report.counts, all_delivered(2_000));
        let lost = |number| {
            let dropped = Dropped { undelivered: number, ..Dropped::default() };
            Counts { accepted: number, dropped, ..Counts::default() }
        };
        let expected = match path {
            "/v1/logs" => (lost(3), all_delivered(8)),
            _ => (all_delivered(3), lost(8)),
        };
        assert_eq!((report.logs, report.metrics), expected);
    }
}

#[test]
fn a_full_queue_of_logs_leaves_room_for_spans() {
    let server = server_with("/v1/logs", vec![Act::Gate, Act::status(200)]);
    let variables = [("OTEL_BLRP_MAX_QUEUE_SIZE", "10"), ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "5")];
    let collector = start(&server.url, &variables);
    collector.handle().send(logging_chunk(0, 5));
    server.wait_for(1);
    collector.handle().send(logging_chunk(100, 95));
    assert!(!collector.flush(Duration::ZERO));
    server.release();
    let report = shutdown(collector, LONG);
    let dropped = Dropped { queue_full: 85, ..Dropped::default() };
    let expected = Counts { accepted: 100, delivered: 15, dropped, ..Counts::default() };
    assert_eq!((report.counts, report.logs), (all_delivered(100), expected));
}

#[test]
fn requests_are_compressed_where_that_is_asked_for() {
    const ALL: &str = "OTEL_EXPORTER_OTLP_COMPRESSION";
    const LOGS: &str = "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION";
    let all = ["/v1/traces", "/v1/logs", "/v1/metrics"];
    for (variables, packed) in [
        (&[][..], &[][..]),
        (&[(ALL, "gzip")], &all),
        (&[(ALL, "none")], &[]),
        (&[(LOGS, "gzip")], &all[1..2]),
        (&[(ALL, "gzip"), (LOGS, "none")], &[all[0], all[2]]),
    ] {
        // What fails is packed again.
        let server = Server::start(vec![Act::status(503), Act::status(200)]);
        let collector = Collector::builder()
            .exporter(exporter(&server.url, variables))
            .metrics(LONG, || vec![gauge("g", 300)])
            .start();
        collector.handle().send(logging_chunk(500, 400));
        let report = shutdown(collector, LONG);
        let delivered = [report.counts, report.logs, report.metrics];
        assert_eq!(delivered, [500, 400, 300].map(all_delivered));
        assert_eq!((server.requests().len(), server.distinct_spans()), (6, 500));
        for request in server.requests() {
            let is_packed = packed.contains(&&*request.path);
            let encoding = request.header("content-encoding");
            assert_eq!(encoding, is_packed.then_some("gzip"), "{}", request.path);
            let length: usize =
                request.header("content-length").expect("a length").parse().expect("a number");
            assert_eq!(length < request.body.len() / 2, is_packed, "{}", request.path);
        }
    }
}

#[cfg(feature = "zstd")]
#[test]
fn zstd_is_what_it_says() {
    let server = Server::start(vec![Act::status(200)]);
    let collector = start(&server.url, &[("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd")]);
    collector.handle().send(plain_chunk(1_300));
    assert_eq!(shutdown(collector, LONG).counts, all_delivered(1_300));
    assert_eq!(server.distinct_spans(), 1_300);
    for request in server.requests() {
        assert_eq!(request.header("content-encoding"), Some("zstd"));
        let length = request.header("content-length").expect("a length");
        assert!(length.parse::<usize>().expect("a number") < request.body.len() / 2);
    }
}

#[test]
fn a_signal_that_is_switched_off_is_not_sent_and_not_counted() {
    for (variable, off) in
        [("OTEL_LOGS_EXPORTER", "/v1/logs"), ("OTEL_METRICS_EXPORTER", "/v1/metrics")]
    {
        let server = Server::start(vec![Act::status(200)]);
        let collector = Collector::builder()
            .exporter(exporter(&server.url, &[(variable, "none")]))
            .metrics(LONG, || vec![gauge("g", 2)])
            .start();
        collector.handle().send(logging_chunk(3, 4));
        let report = shutdown(collector, LONG);
        let logs = if off == "/v1/logs" { 0 } else { 4 };
        let metrics = if off == "/v1/metrics" { 0 } else { 2 };
        assert_eq!(report.counts, all_delivered(3));
        assert_eq!((report.logs, report.metrics), (all_delivered(logs), all_delivered(metrics)));
        assert_eq!(server.paths().len(), 2, "{:?}", server.paths());
        assert!(!server.paths().contains(&off.to_owned()));
    }
}

#[test]
fn logs_alone_can_be_sent_to_an_endpoint_of_their_own() {
    use observe_collector::otlp::Config;
    let server = Server::start(vec![Act::status(200)]);
    let url = format!("{}/v1/logs", server.url);
    let lookup = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT" => Some(url.clone()),
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS" => Some("x-tenant=7".to_owned()),
        _ => None,
    };
    let config = Config::from_lookup(&lookup).expect("valid").expect("an endpoint");
    let exporter = OtlpExporter::new(config, Resource::new());
    let collector = Collector::builder().exporter(Box::new(exporter)).start();
    collector.handle().send(logging_chunk(3, 4));
    let report = shutdown(collector, LONG);
    assert_eq!((report.counts, report.logs), (Counts::default(), all_delivered(4)));
    assert_eq!(server.paths(), ["/v1/logs"]);
    assert_eq!(server.requests()[0].header("x-tenant"), Some("7"));
}

#[test]
fn under_load_each_signal_balances_and_what_is_delivered_was_read() {
    let server = Server::start_with(|path, number| match (path, number % 29) {
        ("/v1/logs", 1) | ("/v1/traces", 3) => Act::status(503),
        ("/v1/logs", 4) => Act::status(400),
        ("/v1/metrics", 2) => Act::Close,
        _ => Act::status(200),
    });
    let variables =
        [("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "50"), ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "50")];
    let mut asked = 0;
    let collector = Collector::builder()
        .exporter(exporter(&server.url, &variables))
        .capacity(16)
        .on_full(OnFull::Block)
        .metrics(Duration::from_millis(5), move || {
            asked += 1;
            vec![gauge("numbered", asked)]
        })
        .start();
    let producers: Vec<_> = (0..3_u32)
        .map(|producer| {
            let handle = collector.handle();
            std::thread::spawn(move || {
                for round in 0..100 {
                    let mut chunk = chunk_from(producer * 1_000_000 + round * 20, 20);
                    chunk.logs = logging_chunk(0, 10).logs;
                    for (log, number) in chunk.logs.iter_mut().zip(0..) {
                        log.body = format!("{producer} {round} {number}");
                    }
                    handle.send(chunk);
                }
            })
        })
        .collect();
    while !producers.iter().all(std::thread::JoinHandle::is_finished) {
        if let Some(report) = collector.report(LONG) {
            let report = &report.exporters[0];
            let all = [report.counts, report.logs, report.metrics];
            assert!(all.iter().all(Counts::is_balanced), "{report:?}");
        }
    }
    for producer in producers {
        producer.join().expect("a producer");
    }
    let report = shutdown(collector, 3 * LONG);
    assert_eq!((report.counts.accepted, report.logs.accepted), (6_000, 3_000));
    assert_eq!(report.counts.delivered, server.distinct_spans());
    // Refused batches were read, too; what was sent twice counts once.
    let read: BTreeSet<_> =
        server.logs().into_iter().map(|log| format!("{:?}", log.body)).collect();
    assert_eq!(report.logs.delivered + report.logs.dropped.refused, read.len() as u64);
    assert!(report.logs.dropped.refused > 0, "{report:?}");
    let read: BTreeSet<_> = server
        .metrics()
        .into_iter()
        .filter_map(|metric| match metric.data {
            Some(Data::Gauge(gauge)) => Some(gauge.data_points.len()),
            _ => None,
        })
        .collect();
    assert_eq!(report.metrics.delivered, read.into_iter().sum::<usize>() as u64);
    assert_eq!(report.metrics.delivered, report.metrics.accepted);
}
