//! Delivery over gRPC to a receiver that speaks it as it should, and says all that it may say.

use std::collections::HashSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use observe_collector::event::{Chunk, Metric};
use observe_collector::otlp::OtlpExporter;
use observe_collector::{
    Collector, Counts, Delivery, Dropped, Exporter, ExporterReport, Resource, Signal,
};
use tonic::Code;

use crate::delivery::{HUNG, LONG, all_delivered, config, shutdown};
use crate::fixtures::{chunk_from, gauge, logging_chunk, plain_chunk, random_chunk, random_metric};
use crate::grpc_server::{GrpcServer, Reply};
use crate::server::{Act, Sent, Server};

pub(crate) const GRPC: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");

/// Metrics are asked for at the end only.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn exporter(url: &str, variables: &[(&str, &str)]) -> Box<OtlpExporter> {
    let config = config(url, &[&[GRPC], variables].concat());
    Box::new(OtlpExporter::new(config, Resource::new()))
}

pub(crate) fn start(url: &str, variables: &[(&str, &str)]) -> Collector {
    Collector::builder().exporter(exporter(url, variables)).start()
}

/// Sends spans to a receiver with this script and shuts down.
fn run(spans: u32, script: Vec<Reply>) -> (GrpcServer, ExporterReport) {
    let server = GrpcServer::start(script);
    let collector = start(&server.url, &[]);
    collector.handle().send(plain_chunk(spans));
    let report = shutdown(collector, LONG);
    assert_eq!(report.counts.accepted, u64::from(spans));
    (server, report)
}

fn distinct_spans(server: &GrpcServer) -> usize {
    let spans = server.sent().into_iter().flat_map(|sent| sent.spans());
    spans.map(|span| span.span_id).collect::<HashSet<_>>().len()
}

/// Sends one of everything that there is, and says what came of it.
fn send_everything(exporter: Box<OtlpExporter>) {
    let metrics: Vec<Metric> = (0..40).map(random_metric).collect();
    let collector =
        Collector::builder().exporter(exporter).metrics(NEVER, move || metrics.clone()).start();
    for seed in 0..200 {
        collector.handle().send(random_chunk(seed));
    }
    let report = shutdown(collector, LONG);
    assert_eq!(report.last_error, None);
    assert_eq!(report.counts, all_delivered(report.counts.accepted));
    assert_eq!(report.logs, all_delivered(report.logs.accepted));
    assert_eq!(report.metrics, all_delivered(report.metrics.accepted));
}

#[test]
fn all_signals_arrive_as_they_do_over_http() {
    let http = Server::start(vec![Act::status(200)]);
    send_everything(Box::new(OtlpExporter::new(config(&http.url, &[]), Resource::new())));
    let over_http: Vec<_> = http.requests().into_iter().map(|request| request.message).collect();
    for variables in [&[][..], &[("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")]] {
        let server = GrpcServer::start(vec![Reply::Ok]);
        send_everything(exporter(&server.url, variables));
        // The order among signals is nobody's, and how many requests there are depends on the time.
        let of = |sent: &[Sent]| {
            let spans: Vec<_> = sent.iter().flat_map(Sent::spans).collect();
            let logs: Vec<_> = sent.iter().flat_map(Sent::logs).collect();
            let metrics: Vec<_> = sent.iter().flat_map(Sent::metrics).collect();
            (spans, logs, metrics)
        };
        assert!(of(&server.sent()) == of(&over_http), "{variables:?}");
    }
}

#[test]
fn calls_say_who_calls_and_for_how_long_over_one_connection() {
    let server = GrpcServer::start(vec![Reply::Ok]);
    let variables = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc,x-tenant=7"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ];
    let collector = start(&server.url, &variables);
    collector.handle().send(plain_chunk(1_300));
    let report = shutdown(collector, LONG);
    assert_eq!((report.counts, report.last_error), (all_delivered(1_300), None));
    let calls = server.calls();
    let sizes: Vec<_> = calls.iter().map(|call| call.sent.spans().len()).collect();
    assert_eq!(sizes, [512, 512, 276]);
    for call in &calls {
        let value = |key: &str| call.metadata.get(key).and_then(|value| value.to_str().ok());
        assert_eq!(value("authorization"), Some("Bearer abc"));
        assert_eq!(value("x-tenant"), Some("7"));
        assert_eq!(value("grpc-encoding"), Some("gzip"));
        let agent = value("user-agent").expect("a user agent");
        assert!(agent.starts_with(concat!("observe/", env!("CARGO_PKG_VERSION"))), "{agent}");
        // Near the end of a shutdown there is less.
        let timeout = value("grpc-timeout").and_then(|timeout| timeout.strip_suffix('m'));
        let timeout: u64 = timeout.expect("milliseconds").parse().expect("a number");
        assert!((1..=60_000).contains(&timeout), "{timeout}");
        assert_eq!(call.from, calls[0].from);
    }
}

#[test]
fn the_user_agent_of_the_user_counts() {
    let server = GrpcServer::start(vec![Reply::Ok]);
    let collector = start(&server.url, &[("OTEL_EXPORTER_OTLP_HEADERS", "User-Agent=mine")]);
    collector.handle().send(plain_chunk(1));
    shutdown(collector, LONG);
    let calls = server.calls();
    let agents = calls[0].metadata.get_all("user-agent").iter();
    assert_eq!(agents.collect::<Vec<_>>(), ["mine"]);
}

#[test]
fn a_wait_that_is_asked_for_is_honoured() {
    for code in [Code::Unavailable, Code::ResourceExhausted] {
        let (server, report) = run(600, vec![Reply::Fail(code, "full", Some(1)), Reply::Ok]);
        assert_eq!(report.counts, all_delivered(600), "{code:?}");
        assert_eq!(distinct_spans(&server), 600);
        let calls = server.calls();
        assert_eq!(calls.len(), 3);
        assert!(calls[0].sent == calls[1].sent);
        // The first backoff would be at most a quarter of that.
        assert!(calls[1].at - calls[0].at >= Duration::from_secs(1));
        let name = if code == Code::Unavailable { "UNAVAILABLE" } else { "RESOURCE_EXHAUSTED" };
        assert_eq!(report.last_error, Some(format!("{} (traces): {name}: full", server.url)));
    }
}

#[test]
fn a_receiver_that_asks_for_no_wait_is_not_called_again_at_once() {
    let full = Reply::Fail(Code::ResourceExhausted, "full", Some(0));
    let (server, report) = run(1, vec![full.clone(), full, Reply::Ok]);
    assert_eq!(report.counts, all_delivered(1));
    let at: Vec<_> = server.calls().iter().map(|call| call.at).collect();
    assert_eq!(at.len(), 3);
    // Half of each backoff is jitter.
    assert!(at[1] - at[0] >= Duration::from_millis(125));
    assert!(at[2] - at[1] >= Duration::from_millis(250));
}

#[test]
fn the_retryable_codes_are_retried_and_no_others() {
    use Code::{Aborted, Cancelled, DataLoss, DeadlineExceeded, OutOfRange, Unavailable};
    for code in [Cancelled, DeadlineExceeded, Aborted, OutOfRange, Unavailable, DataLoss] {
        let (server, report) = run(10, vec![Reply::Fail(code, "", None), Reply::Ok]);
        assert_eq!(report.counts, all_delivered(10), "{code:?}");
        assert_eq!(server.calls().len(), 2, "{code:?}");
    }
    for code in [
        Code::Unknown,
        Code::InvalidArgument,
        Code::NotFound,
        Code::AlreadyExists,
        Code::PermissionDenied,
        Code::ResourceExhausted,
        Code::FailedPrecondition,
        Code::Internal,
        Code::Unauthenticated,
    ] {
        let (server, report) = run(10, vec![Reply::Fail(code, "no\nspans", None), Reply::Ok]);
        let dropped = Dropped { refused: 10, ..Dropped::default() };
        let expected = Counts { accepted: 10, dropped, ..Counts::default() };
        assert_eq!(report.counts, expected, "{code:?}");
        assert_eq!(server.calls().len(), 1, "{code:?}");
        let error = report.last_error.expect("an error");
        assert!(error.ends_with(": no spans"), "{error}");
    }
}

#[test]
fn a_receiver_of_spans_only_rejects_the_rest_and_gets_all_spans() {
    let server = GrpcServer::start_with(|sent, _| match sent {
        Sent::Traces(_) => Reply::Ok,
        _ => Reply::Fail(Code::Unimplemented, "spans only", None),
    });
    let collector = Collector::builder()
        .exporter(exporter(&server.url, &[]))
        .metrics(LONG, || vec![gauge("g", 5)])
        .start();
    for round in 0..3 {
        collector.handle().send(Chunk { logs: logging_chunk(0, 9).logs, ..chunk_from(round, 1) });
        assert!(collector.flush(LONG));
    }
    let health = collector.health();
    let lost = health.exporters[0].signals.iter().filter_map(|signal| match &signal.delivery {
        Delivery::Dropping { error } => Some((signal.signal, error.clone()?)),
        _ => None,
    });
    let lost: Vec<_> = lost.collect();
    let report = shutdown(collector, LONG);
    assert_eq!(report.counts, all_delivered(3));
    let told = |signal| (signal, report.error_of(signal).expect("an error").to_owned());
    assert_eq!(lost, [told(Signal::Logs), told(Signal::Metrics)]);
    let rejected = |number| Counts { accepted: number, rejected: number, ..Counts::default() };
    assert_eq!((report.logs, report.metrics), (rejected(27), rejected(20)));
    let url = &server.url;
    let expected = format!(
        "{url} (logs): UNIMPLEMENTED: spans only; {url} (metrics): UNIMPLEMENTED: spans only"
    );
    assert_eq!(report.last_error, Some(expected));
}

#[test]
fn rejected_items_are_counted_and_not_sent_again() {
    let server = GrpcServer::start(vec![Reply::Partial(3, "too\nold")]);
    let collector = Collector::builder()
        .exporter(exporter(&server.url, &[]))
        .metrics(LONG, || vec![gauge("g", 5)])
        .start();
    collector.handle().send(logging_chunk(10, 7));
    let report = shutdown(collector, LONG);
    let counts =
        |accepted| Counts { accepted, delivered: accepted - 3, rejected: 3, ..Counts::default() };
    assert_eq!([report.counts, report.logs, report.metrics], [10, 7, 5].map(counts));
    assert_eq!(server.calls().len(), 3);
    let error = report.last_error.expect("a message");
    for items in ["3 spans rejected: too old", "3 log records rejected", "3 points rejected"] {
        assert!(error.contains(items), "{error}");
    }
    let (_, report) = run(2, vec![Reply::Partial(0, "soon gone")]);
    assert_eq!(report.counts, all_delivered(2));
    assert!(report.last_error.is_some_and(|error| error.ends_with(": warning: soon gone")));
}

#[test]
fn a_shutdown_ends_in_time_when_nobody_answers() {
    let server = GrpcServer::start(vec![Reply::Hang]);
    let collector = start(&server.url, &[]);
    collector.handle().send(plain_chunk(600));
    server.wait_for(1);
    let start = Instant::now();
    let report = shutdown(collector, Duration::from_millis(300));
    assert!(start.elapsed() < HUNG);
    let dropped = Dropped { undelivered: 600, ..Dropped::default() };
    assert_eq!(report.counts, Counts { accepted: 600, dropped, ..Counts::default() });
    server.wait_for_hang_up();
}

#[test]
fn a_call_without_a_limit_says_so_and_ends_with_the_shutdown() {
    let without = [("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"), ("OTEL_BSP_EXPORT_TIMEOUT", "0")];
    let server = GrpcServer::start(vec![Reply::Hang]);
    let collector = start(&server.url, &without);
    collector.handle().send(plain_chunk(512));
    server.wait_for(1);
    let report = shutdown(collector, Duration::from_millis(100));
    let dropped = Dropped { undelivered: 512, ..Dropped::default() };
    assert_eq!(report.counts, Counts { accepted: 512, dropped, ..Counts::default() });
    server.wait_for_hang_up();
    assert!(server.calls()[0].metadata.get("grpc-timeout").is_none());
}

#[test]
fn an_exporter_that_is_dropped_lets_go_of_the_connection() {
    let server = GrpcServer::start(vec![Reply::Hang]);
    let mut exporter = exporter(&server.url, &[]);
    exporter.export(&plain_chunk(600));
    server.wait_for(1);
    let start = Instant::now();
    drop(exporter);
    assert!(start.elapsed() < HUNG);
    server.wait_for_hang_up();
}

#[test]
fn a_receiver_that_is_away_is_waited_for() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let url = format!("http://{}", port.expect("a port"));
    let collector = start(&url, &[]);
    collector.handle().send(plain_chunk(2_000));
    let report = shutdown(collector, Duration::from_millis(300));
    let dropped = Dropped { undelivered: 2_000, ..Dropped::default() };
    assert_eq!(report.counts, Counts { accepted: 2_000, dropped, ..Counts::default() });
    assert_eq!(report.last_error, Some(format!("{url} (traces): connection refused")));
}

#[test]
fn under_load_every_report_balances_and_what_is_delivered_was_read() {
    let server = GrpcServer::start_with(|_, number| match number {
        1 => Reply::Fail(Code::Unavailable, "", None),
        2 => Reply::Partial(1, ""),
        _ => Reply::Ok,
    });
    let collector = start(&server.url, &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "50")]);
    for round in 0..200 {
        collector.handle().send(chunk_from(round * 100, 100));
        let report = collector.report(LONG).expect("an answer");
        assert!(report.exporters[0].counts.is_balanced(), "{report:?}");
    }
    let report = shutdown(collector, LONG);
    assert_eq!(
        report.counts,
        Counts { accepted: 20_000, delivered: 19_999, rejected: 1, ..Counts::default() }
    );
    assert_eq!(distinct_spans(&server), 20_000);
}
