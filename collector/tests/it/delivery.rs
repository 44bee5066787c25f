//! Delivery to receivers that behave and that do not. In every case all spans
//! are accounted for, and what counts as delivered is what the receiver read.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use observe_collector::otlp::{Config, OtlpExporter};
use observe_collector::{Collector, Counts, Dropped, ExporterReport, Resource};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;

use crate::fixtures::{chunk_from, expected_span, plain_chunk, settled};
use crate::server::{Act, Sent, Server};

/// Enough for everything that works.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// What nothing on the way out may take, though a request may: see [`config`].
pub(crate) const HUNG: Duration = Duration::from_secs(10);

/// A configuration from nothing but these variables.
pub(crate) fn config(url: &str, variables: &[(&str, &str)]) -> Config {
    let lookup = |name: &str| {
        let timeout = [("OTEL_EXPORTER_OTLP_TIMEOUT", "60000")];
        let mut all = variables.iter().chain(&timeout);
        all.find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    };
    Config::for_endpoint_with(url, &lookup).expect("a valid configuration")
}

pub(crate) fn start(url: &str, variables: &[(&str, &str)]) -> Collector {
    let exporter = OtlpExporter::new(config(url, variables), Resource::new());
    Collector::builder().exporter(Box::new(exporter)).start()
}

#[track_caller]
pub(crate) fn shutdown(collector: Collector, timeout: Duration) -> ExporterReport {
    let mut report = settled(collector.shutdown(timeout));
    assert_eq!(report.exporters.len(), 1);
    report.exporters.remove(0)
}

/// Sends spans to a receiver with this script and shuts down.
#[track_caller]
fn run(spans: u32, script: Vec<Act>) -> (Server, ExporterReport) {
    let server = Server::start(script);
    let collector = start(&server.url, &[]);
    collector.handle().send(plain_chunk(spans));
    let report = shutdown(collector, LONG);
    assert_eq!(report.counts.accepted, u64::from(spans));
    (server, report)
}

pub(crate) fn all_delivered(spans: u64) -> Counts {
    Counts { accepted: spans, delivered: spans, ..Counts::default() }
}

fn partial_success(rejected_spans: i64, message: &str) -> Act {
    let error_message = message.to_owned();
    let partial_success = Some(ExportTracePartialSuccess { rejected_spans, error_message });
    let body = ExportTraceServiceResponse { partial_success }.encode_to_vec();
    Act::Answer(200, vec![("content-type", "application/x-protobuf".to_owned())], body)
}

#[test]
fn spans_arrive_in_batches_over_one_connection() {
    let (server, report) = run(1_300, vec![Act::status(200)]);
    assert_eq!(report.counts, all_delivered(1_300));
    assert_eq!(report.last_error, None);
    let requests = server.requests();
    let sizes: Vec<_> = requests.iter().map(|request| request.spans().len()).collect();
    assert_eq!(sizes, [512, 512, 276]);
    assert!(requests.iter().all(|request| request.connection == 0));
    let chunk = plain_chunk(1_300);
    let expected: Vec<_> =
        chunk.spans.iter().map(|span| expected_span(&chunk.trace, span)).collect();
    assert_eq!(server.spans(), expected);
}

#[test]
fn a_request_says_who_sends_what() {
    let server = Server::start(vec![Act::status(200)]);
    let config =
        config(&server.url, &[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc")]);
    let resource = Resource::new().with_default("service.name", "größe").with_default("answer", 42);
    let exporter = OtlpExporter::new(config, resource);
    let collector = Collector::builder().exporter(Box::new(exporter)).start();
    collector.handle().send(plain_chunk(1));
    shutdown(collector, LONG);

    let requests = server.requests();
    let request = requests.first().expect("a request");
    assert_eq!(request.path, "/v1/traces");
    assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(request.header("authorization"), Some("Bearer abc"));
    let agent = request.header("user-agent").expect("a user agent");
    assert!(agent.starts_with(concat!("observe/", env!("CARGO_PKG_VERSION"))), "{agent}");

    let Sent::Traces(message) = &request.message else { panic!("no traces") };
    assert_eq!(message.resource_spans.len(), 1);
    let spans = &message.resource_spans[0];
    let attribute = |key: &str| {
        let attributes = &spans.resource.as_ref().expect("a resource").attributes;
        let found = attributes.iter().find(|attribute| attribute.key == key)?;
        found.value.clone()?.value
    };
    assert_eq!(attribute("service.name"), Some(Value::StringValue("größe".to_owned())));
    assert_eq!(attribute("answer"), Some(Value::IntValue(42)));
    assert_eq!(attribute("telemetry.sdk.name"), Some(Value::StringValue("observe".to_owned())));
    assert_eq!(spans.scope_spans.len(), 1);
    let scope = spans.scope_spans[0].scope.as_ref().expect("a scope");
    assert_eq!(scope.name, "observe");
    assert_eq!(scope.version, env!("CARGO_PKG_VERSION"));
    // Nothing is left that this crate's bytes say and the types do not.
    assert_eq!(request.message.encode(), request.body);
}

#[test]
fn a_request_has_one_user_agent_and_that_of_the_user_counts() {
    let server = Server::start(vec![Act::status(200)]);
    let headers = [("OTEL_EXPORTER_OTLP_HEADERS", "User-Agent=mine,x-own=1")];
    let collector = start(&server.url, &headers);
    collector.handle().send(plain_chunk(1));
    shutdown(collector, LONG);
    let requests = server.requests();
    let agents =
        requests[0].headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case("user-agent"));
    assert_eq!(agents.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["mine"]);
    assert_eq!(requests[0].header("x-own"), Some("1"));
}

#[test]
fn a_service_without_a_name_is_unknown() {
    let (server, _) = run(1, vec![Act::status(200)]);
    let request = server.requests().remove(0);
    let Sent::Traces(message) = request.message else { panic!("no traces") };
    let resource = message.resource_spans[0].resource.clone().expect("a resource");
    let name = resource.attributes.iter().find(|attribute| attribute.key == "service.name");
    let value = name.and_then(|name| name.value.clone()?.value);
    assert_eq!(value, Some(Value::StringValue("unknown_service".to_owned())));
}

#[test]
fn the_four_retryable_statuses_are_retried() {
    for status in [429, 502, 503, 504] {
        let (server, report) = run(600, vec![Act::status(status), Act::status(200)]);
        assert_eq!(report.counts, all_delivered(600), "{status}");
        assert_eq!(server.distinct_spans(), 600);
        let requests = server.requests();
        assert_eq!(requests.len(), 3);
        assert_eq!(requests[0].body, requests[1].body);
        let error = report.last_error.expect("the failure is remembered");
        assert!(error.starts_with(&format!("{}/v1/traces: {status}", server.url)), "{error}");
    }
}

#[test]
fn retry_after_is_honoured() {
    let busy = Act::Answer(429, vec![("retry-after", "1".to_owned())], Vec::new());
    let (server, report) = run(1, vec![busy, Act::status(200)]);
    assert_eq!(report.counts, all_delivered(1));
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    // The first backoff would be at most a quarter of that.
    assert!(requests[1].at - requests[0].at >= Duration::from_secs(1));
}

#[test]
fn a_receiver_that_asks_for_no_wait_is_not_asked_again_at_once() {
    // The second is a date that has passed.
    for asked in ["0", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let busy = Act::Answer(503, vec![("retry-after", asked.to_owned())], Vec::new());
        let (server, report) = run(1, vec![busy.clone(), busy, Act::status(200)]);
        assert_eq!(report.counts, all_delivered(1), "{asked}");
        let at: Vec<_> = server.requests().iter().map(|request| request.at).collect();
        assert_eq!(at.len(), 3, "{asked}");
        // Half of each backoff is jitter.
        assert!(at[1] - at[0] >= Duration::from_millis(125), "{asked}");
        assert!(at[2] - at[1] >= Duration::from_millis(250), "{asked}");
    }
}

#[test]
fn a_retry_that_would_come_too_late_is_not_waited_for() {
    let busy = Act::Answer(503, vec![("retry-after", "3600".to_owned())], Vec::new());
    let server = Server::start(vec![busy]);
    let collector = start(&server.url, &[]);
    collector.handle().send(plain_chunk(1_000));
    let start = Instant::now();
    let report = shutdown(collector, 3 * HUNG);
    assert!(start.elapsed() < HUNG);
    let dropped = Dropped { undelivered: 1_000, ..Dropped::default() };
    assert_eq!(report.counts, Counts { accepted: 1_000, dropped, ..Counts::default() });
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn all_other_statuses_are_final() {
    for status in [300, 302, 307, 308, 400, 401, 403, 405, 408, 413, 415, 500, 501, 505] {
        let elsewhere = vec![("location", "http://127.0.0.1:1/".to_owned())];
        let (server, report) = run(10, vec![Act::Answer(status, elsewhere, Vec::new())]);
        let dropped = Dropped { refused: 10, ..Dropped::default() };
        assert_eq!(
            report.counts,
            Counts { accepted: 10, dropped, ..Counts::default() },
            "{status}"
        );
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[test]
fn the_reason_of_a_refusal_is_kept_as_one_line() {
    // google.rpc.Status { code: 3, message: "bad\nspans" }
    let body = [&[0x08, 3, 0x12, 9][..], b"bad\nspans"].concat();
    let kind = vec![("content-type", "application/x-protobuf".to_owned())];
    let (server, report) = run(1, vec![Act::Answer(400, kind, body)]);
    let expected = format!("{}/v1/traces: 400 Bad Request: bad spans", server.url);
    assert_eq!(report.last_error, Some(expected));
}

#[test]
fn an_error_does_not_show_the_query_of_the_url() {
    let server = Server::start(vec![Act::status(400)]);
    let collector = start(&format!("{}?api-key=secret", server.url), &[]);
    collector.handle().send(plain_chunk(1));
    let error = shutdown(collector, LONG).last_error.expect("an error");
    assert_eq!(error, format!("{}/v1/traces?…: 400 Bad Request", server.url));
    assert_eq!(server.requests()[0].path, "/v1/traces?api-key=secret");
}

#[test]
fn a_refused_batch_does_not_hold_up_the_next() {
    let (server, report) = run(700, vec![Act::status(400), Act::status(200)]);
    assert_eq!((report.counts.delivered, report.counts.dropped.refused), (188, 512));
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn rejected_spans_are_counted_and_not_sent_again() {
    for (said, rejected) in
        [(0, 0), (3, 3), (10, 10), (11, 10), (i64::MAX, 10), (-1, 0), (i64::MIN, 0)]
    {
        let (server, report) = run(10, vec![partial_success(said, "too\nold")]);
        let delivered = 10 - rejected;
        assert_eq!(
            report.counts,
            Counts { accepted: 10, delivered, rejected, ..Counts::default() }
        );
        assert_eq!(server.requests().len(), 1);
        let error = report.last_error.expect("a message");
        assert!(error.ends_with(": too old"), "{error}");
    }
}

#[test]
fn a_success_that_is_no_otlp_is_a_success_with_a_note() {
    let html = b"<html>Welcome</html>".to_vec();
    for body in [html, vec![0xff; 100], vec![0; 1 << 20]] {
        let (server, report) = run(10, vec![Act::Answer(200, Vec::new(), body)]);
        assert_eq!(report.counts, all_delivered(10));
        assert_eq!(server.distinct_spans(), 10);
        let error = report.last_error.expect("a note");
        assert!(error.contains("not OTLP"), "{error}");
    }
}

#[test]
fn an_answer_that_is_no_http_is_asked_for_again() {
    for bytes in [&b"SSH-2.0-OpenSSH_9.6\r\n\r\n"[..], &[0; 100], b"HTTP/1.1 banana\r\n\r\n"] {
        let (server, report) = run(10, vec![Act::Raw(bytes.to_vec()), Act::status(200)]);
        assert_eq!(report.counts, all_delivered(10));
        assert_eq!(server.requests().len(), 2);
        let error = report.last_error.expect("an error");
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn an_answer_without_end_is_bounded() {
    let body = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n";
    let (_, report) = run(10, vec![Act::Endless(body)]);
    assert_eq!(report.counts, all_delivered(10));
    let header = b"HTTP/1.1 200 OK\r\nx: ";
    let (_, report) = run(10, vec![Act::Endless(header), Act::status(200)]);
    assert_eq!(report.counts, all_delivered(10));
    assert!(report.last_error.is_some(), "{report:?}");
}

#[test]
fn a_closed_connection_is_retried() {
    let (server, report) = run(10, vec![Act::Close, Act::Close, Act::status(200)]);
    assert_eq!(report.counts, all_delivered(10));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_shutdown_ends_in_time_when_nobody_listens() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let url = format!("http://{}", port.expect("a port"));
    let collector = start(&url, &[]);
    collector.handle().send(plain_chunk(2_000));
    let start = Instant::now();
    let report = shutdown(collector, Duration::from_millis(300));
    assert!(start.elapsed() < HUNG);
    let dropped = Dropped { undelivered: 2_000, ..Dropped::default() };
    assert_eq!(report.counts, Counts { accepted: 2_000, dropped, ..Counts::default() });
    assert_eq!(report.last_error, Some(format!("{url}/v1/traces: connection refused")));
}

#[test]
fn a_receiver_without_tls_is_not_spoken_to_in_clear() {
    let server = Server::start(vec![Act::status(200)]);
    let collector = start(&server.url.replace("http:", "https:"), &[]);
    collector.handle().send(plain_chunk(10));
    let report = shutdown(collector, Duration::from_millis(300));
    assert_eq!((report.counts.accepted, report.counts.dropped.total()), (10, 10));
    assert!(report.last_error.is_some_and(|error| error.starts_with("https://127.0.0.1:")));
    assert!(server.requests().is_empty());
}

#[test]
fn a_shutdown_ends_in_time_when_nobody_answers() {
    let server = Server::start(vec![Act::Hang]);
    let collector = start(&server.url, &[]);
    collector.handle().send(plain_chunk(600));
    server.wait_for(1);
    let start = Instant::now();
    let report = shutdown(collector, Duration::from_millis(300));
    assert!(start.elapsed() < HUNG);
    // Nobody knows what became of the batch in the request.
    let dropped = Dropped { undelivered: 600, ..Dropped::default() };
    assert_eq!(report.counts, Counts { accepted: 600, dropped, ..Counts::default() });
    assert_eq!(report.last_error.as_deref(), Some("no answer before time was up"));
    server.wait_for_hang_up();
}

#[test]
fn a_request_that_takes_too_long_is_retried() {
    let server = Server::start(vec![Act::Hang, Act::status(200)]);
    let collector = start(&server.url, &[("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "100")]);
    collector.handle().send(plain_chunk(10));
    let report = shutdown(collector, LONG);
    assert_eq!(report.counts, all_delivered(10));
    let expected = format!("{}/v1/traces: no answer within 100ms", server.url);
    assert_eq!(report.last_error, Some(expected));
}

#[test]
fn a_request_without_a_limit_ends_with_the_shutdown() {
    let without = [("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"), ("OTEL_BSP_EXPORT_TIMEOUT", "0")];
    let server = Server::start(vec![Act::Gate]);
    let collector = start(&server.url, &without);
    collector.handle().send(plain_chunk(512));
    server.wait_for(1);
    assert!(!collector.flush(Duration::from_millis(50)));
    server.release();
    assert_eq!(shutdown(collector, LONG).counts, all_delivered(512));

    let server = Server::start(vec![Act::Hang]);
    let collector = start(&server.url, &without);
    collector.handle().send(plain_chunk(512));
    server.wait_for(1);
    let report = shutdown(collector, Duration::from_millis(100));
    let dropped = Dropped { undelivered: 512, ..Dropped::default() };
    assert_eq!(report.counts, Counts { accepted: 512, dropped, ..Counts::default() });
    server.wait_for_hang_up();
}

#[test]
fn a_full_queue_drops_the_newest() {
    let server = Server::start(vec![Act::Gate, Act::status(200)]);
    let variables = [("OTEL_BSP_MAX_QUEUE_SIZE", "10"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5")];
    let collector = start(&server.url, &variables);
    collector.handle().send(chunk_from(0, 5));
    server.wait_for(1);
    collector.handle().send(chunk_from(5, 95));
    assert!(!collector.flush(Duration::ZERO));
    let report = collector.report(LONG).expect("an answer").exporters.remove(0);
    let dropped = Dropped { queue_full: 85, ..Dropped::default() };
    assert_eq!(report.counts, Counts { accepted: 100, queued: 15, dropped, ..Counts::default() });

    server.release();
    assert!(collector.flush(LONG));
    let report = shutdown(collector, LONG);
    assert_eq!(
        report.counts,
        Counts { accepted: 100, delivered: 15, dropped, ..Counts::default() }
    );
    let starts: Vec<_> =
        server.spans().iter().map(|span| span.start_time_unix_nano % 1_000).collect();
    assert_eq!(starts, (0..15).collect::<Vec<_>>());
}

#[test]
fn a_batch_goes_out_after_the_delay_by_itself() {
    let server = Server::start(vec![Act::status(200)]);
    let collector = start(&server.url, &[("OTEL_BSP_SCHEDULE_DELAY", "20")]);
    for round in 0..3 {
        collector.handle().send(chunk_from(round, 1));
        server.wait_for(round as usize + 1);
    }
    assert_eq!(shutdown(collector, LONG).counts, all_delivered(3));
}

#[test]
fn a_flush_delivers_what_was_sent_before() {
    let server = Server::start(vec![Act::status(200)]);
    let collector = start(&server.url, &[]);
    for round in 0..3 {
        collector.handle().send(chunk_from(round * 10, 10));
        assert!(collector.flush(LONG));
        assert_eq!(server.distinct_spans(), u64::from(round + 1) * 10);
    }
    assert_eq!(shutdown(collector, LONG).counts, all_delivered(30));
}

#[test]
fn a_flush_that_runs_out_of_time_loses_nothing() {
    let server = Server::start(vec![Act::Gate, Act::status(200)]);
    let collector = start(&server.url, &[]);
    collector.handle().send(plain_chunk(600));
    assert!(!collector.flush(Duration::from_millis(50)));
    server.release();
    assert_eq!(shutdown(collector, LONG).counts, all_delivered(600));
    assert_eq!(server.distinct_spans(), 600);
}

#[test]
fn one_exporter_does_not_use_up_the_time_of_another() {
    let (bad, good) = (Server::start(vec![Act::Hang]), Server::start(vec![Act::status(200)]));
    let exporter = |url| Box::new(OtlpExporter::new(config(url, &[]), Resource::new()));
    let collector =
        Collector::builder().exporter(exporter(&bad.url)).exporter(exporter(&good.url)).start();
    collector.handle().send(plain_chunk(10));
    let report = settled(collector.shutdown(Duration::from_secs(2)));
    let dropped = Dropped { undelivered: 10, ..Dropped::default() };
    assert_eq!(report.exporters[0].counts, Counts { accepted: 10, dropped, ..Counts::default() });
    assert_eq!(report.exporters[1].counts, all_delivered(10));
    assert_eq!(good.distinct_spans(), 10);
}

#[test]
fn under_load_every_report_balances_and_what_is_delivered_was_read() {
    let server = Server::start(vec![
        Act::status(200),
        Act::status(503),
        partial_success(1, ""),
        Act::status(200),
    ]);
    let exporter = OtlpExporter::new(
        config(&server.url, &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "50")]),
        Resource::new(),
    );
    let collector = Collector::builder().exporter(Box::new(exporter)).capacity(16).start();
    let producers: Vec<_> = (0..3)
        .map(|producer| {
            let handle = collector.handle();
            std::thread::spawn(move || {
                for round in 0..200 {
                    handle.send(chunk_from(producer * 1_000_000 + round * 100, 100));
                }
            })
        })
        .collect();
    while !producers.iter().all(std::thread::JoinHandle::is_finished) {
        if let Some(report) = collector.report(LONG) {
            assert!(report.exporters[0].counts.is_balanced(), "{report:?}");
        }
    }
    for producer in producers {
        producer.join().expect("a producer");
    }
    let report = shutdown(collector, LONG);
    assert_eq!(report.counts.accepted, 3 * 200 * 100);
    assert_eq!(report.counts.rejected, 1);
    // Each span has an id of its own, so a batch that came twice counts once.
    assert_eq!(report.counts.delivered + report.counts.rejected, server.distinct_spans());
    let others = Dropped { channel_full: 0, ..report.counts.dropped };
    assert_eq!(others, Dropped::default());
}

#[test]
fn an_exporter_that_is_dropped_lets_go_of_the_connection() {
    use observe_collector::Exporter;
    let server = Server::start(vec![Act::Hang]);
    let mut exporter = OtlpExporter::new(config(&server.url, &[]), Resource::new());
    exporter.export(&plain_chunk(600));
    server.wait_for(1);
    let start = Instant::now();
    drop(exporter);
    assert!(start.elapsed() < HUNG);
    server.wait_for_hang_up();
}
