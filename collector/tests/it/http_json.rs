//! Delivery as JSON: the same content, and answers that are JSON, too.

use observe_collector::otlp::OtlpExporter;
use observe_collector::{Collector, Counts, Dropped, ExporterReport, Resource};

use crate::delivery::{LONG, all_delivered, config, shutdown};
use crate::fixtures::{gauge, logging_chunk, plain_chunk};
use crate::server::{Act, Request, Server};

const JSON: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");

fn exporter(url: &str, variables: &[(&str, &str)]) -> Box<OtlpExporter> {
    Box::new(OtlpExporter::new(config(url, variables), Resource::new()))
}

/// Everything that a receiver gets of one of everything.
fn receive(variables: &[(&str, &str)]) -> Vec<Request> {
    let server = Server::start(vec![Act::status(200)]);
    let collector = Collector::builder()
        .exporter(exporter(&server.url, variables))
        .metrics(LONG, || vec![gauge("g", 700), gauge("h", 1)])
        .start();
    collector.handle().send(plain_chunk(700));
    collector.handle().send(logging_chunk(5, 600));
    let report = shutdown(collector, LONG);
    assert_eq!(report.last_error, None);
    assert_eq!(report.counts, all_delivered(report.counts.accepted));
    assert_eq!(report.logs, all_delivered(report.logs.accepted));
    assert_eq!(report.metrics, all_delivered(report.metrics.accepted));
    server.requests()
}

#[test]
fn all_signals_arrive_as_they_do_as_protobuf() {
    let protobuf = receive(&[]);
    for gzip in [false, true] {
        let packed = ("OTEL_EXPORTER_OTLP_COMPRESSION", if gzip { "gzip" } else { "none" });
        let json = receive(&[JSON, packed]);
        assert_eq!(json.len(), protobuf.len());
        for path in ["/v1/traces", "/v1/logs", "/v1/metrics"] {
            let of = |requests: &[Request]| {
                let requests = requests.iter().filter(|request| request.path == path);
                requests.map(|request| request.message.clone()).collect::<Vec<_>>()
            };
            assert!(!of(&json).is_empty());
            assert!(of(&json) == of(&protobuf), "{path}");
        }
        for request in json {
            assert_eq!(request.header("content-type"), Some("application/json"));
            assert_eq!(request.header("content-encoding"), gzip.then_some("gzip"));
            let agent = request.header("user-agent").expect("a user agent");
            assert!(agent.ends_with("(otlp; http/json)"), "{agent}");
        }
    }
}

/// Ten spans to a receiver that answers this.
fn run(variables: &[(&str, &str)], status: u16, kind: &str, body: &str) -> ExporterReport {
    let headers = vec![("content-type", kind.to_owned())];
    let server = Server::start(vec![Act::Answer(status, headers, body.into())]);
    let collector = Collector::builder().exporter(exporter(&server.url, variables)).start();
    collector.handle().send(plain_chunk(10));
    let mut report = shutdown(collector, LONG);
    assert_eq!(server.requests().len(), 1);
    let of_whom = format!("{}/v1/traces: ", server.url);
    if let Some(error) = &mut report.last_error {
        *error = error.strip_prefix(&of_whom).expect("whom it is about").to_owned();
    }
    report
}

#[test]
fn answers_in_json_are_understood_whatever_was_sent() {
    let partial = r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}"#;
    let kind = "application/json; charset=utf-8";
    for variables in [&[JSON][..], &[]] {
        let report = run(variables, 200, kind, partial);
        let counts = Counts { accepted: 10, delivered: 7, rejected: 3, ..Counts::default() };
        assert_eq!(report.counts, counts);
        assert_eq!(report.last_error.as_deref(), Some("3 spans rejected: too old"));

        let report = run(variables, 200, kind, "{}");
        assert_eq!((report.counts, report.last_error), (all_delivered(10), None));

        let report = run(variables, 200, kind, "<html>");
        assert_eq!(report.counts, all_delivered(10));
        assert!(report.last_error.is_some_and(|error| error.contains("is not OTLP")));

        let report = run(variables, 400, kind, r#"{"code":3,"message":"no\nspans"}"#);
        let dropped = Dropped { refused: 10, ..Dropped::default() };
        assert_eq!(report.counts, Counts { accepted: 10, dropped, ..Counts::default() });
        assert_eq!(report.last_error.as_deref(), Some("400 Bad Request: no spans"));

        let report = run(variables, 400, kind, r#"{"error":"no spans"}"#);
        let expected = r#"400 Bad Request: {"error":"no spans"}"#;
        assert_eq!(report.last_error.as_deref(), Some(expected));
    }
}
