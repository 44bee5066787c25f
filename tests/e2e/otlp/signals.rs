//! Spans, log records and metrics with all that they may have, over each transport, at a real
//! collector and at the decoder itself.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use observe_collector::event::{Chunk, Metric};
use observe_collector::{Collector, ExporterReport, OnFull, Resource, Signal, otlp};
use serde_json::Value as Json;

use super::{Process, capture, decode, listening, rotel, sent, told};
use crate::harness::{cache, repository};

/// How requests travel: the protocol and the compression, as the variables call them.
#[derive(Clone, Copy)]
struct Way(&'static str, &'static str);

impl Way {
    fn is_grpc(self) -> bool {
        self.0 == "grpc"
    }
}

#[test]
fn a_real_collector_gets_every_field_over_http() {
    through_a_collector(Way("http/protobuf", "none"));
}

#[test]
fn a_real_collector_gets_every_field_over_http_with_gzip() {
    through_a_collector(Way("http/protobuf", "gzip"));
}

#[test]
fn a_real_collector_gets_every_field_over_grpc() {
    through_a_collector(Way("grpc", "none"));
}

#[test]
fn a_real_collector_gets_every_field_over_grpc_with_gzip() {
    through_a_collector(Way("grpc", "gzip"));
}

#[test]
fn the_decoder_gets_every_field_over_http() {
    straight_to_the_decoder(Way("http/protobuf", "gzip"));
}

#[test]
fn the_decoder_gets_every_field_over_grpc() {
    straight_to_the_decoder(Way("grpc", "none"));
}

#[test]
fn the_decoder_gets_every_field_over_grpc_with_gzip() {
    straight_to_the_decoder(Way("grpc", "gzip"));
}

/// Rotel refuses a value that is empty in JSON, so there is no such way through it.
#[test]
fn the_decoder_gets_every_field_as_json() {
    straight_to_the_decoder(Way("http/json", "none"));
}

fn through_a_collector(way: Way) {
    let folder = tempfile::tempdir().expect("a folder");
    let (captor, port) = capture(folder.path());
    let (gateway, ports) = rotel(port);
    deliver(way, if way.is_grpc() { ports.grpc } else { ports.http });
    gateway.terminate();
    captor.terminate();
    check(folder.path());
}

fn straight_to_the_decoder(way: Way) {
    let folder = tempfile::tempdir().expect("a folder");
    let (captor, port) =
        if way.is_grpc() { grpc_capture(folder.path()) } else { capture(folder.path()) };
    deliver(way, port);
    captor.terminate();
    // The decoder takes both forms as they come.
    let first = std::fs::read(folder.path().join("1.bin")).expect("a request");
    assert_eq!(first.starts_with(b"{"), way.0 == "http/json");
    check(folder.path());
}

/// An OTLP/gRPC endpoint that keeps each message in a file of `folder`.
pub(super) fn grpc_capture(folder: &Path) -> (Process, u16) {
    let script = repository().join("tests/oracle/grpc_capture.py");
    let python = cache().join("venv/bin/python");
    listening(Command::new(python).arg(script).arg("0").arg(folder))
}

fn chunks() -> Vec<Chunk> {
    (0..100).map(sent::chunk).collect()
}

/// Has a collector deliver all of it.
fn deliver(way: Way, port: u16) {
    let report = send(way, port, chunks(), sent::metrics());
    assert_eq!(report.last_error, None);
    let points: usize = sent::metrics().iter().map(|metric| metric.data.len()).sum();
    for (signal, items) in Signal::ALL.into_iter().zip([200, 1_200, points as u64]) {
        let counts = report.counts_of(signal);
        assert!(counts.is_balanced(), "{report:?}");
        assert_eq!(counts.delivered, items, "{report:?}");
    }
}

fn send(way: Way, port: u16, chunks: Vec<Chunk>, metrics: Vec<Metric>) -> ExporterReport {
    let Way(protocol, compression) = way;
    let lookup = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_PROTOCOL" => Some(protocol.to_owned()),
        "OTEL_EXPORTER_OTLP_COMPRESSION" => Some(compression.to_owned()),
        _ => None,
    };
    let url = format!("http://127.0.0.1:{port}");
    let config = otlp::Config::for_endpoint_with(&url, &lookup).expect("a URL");
    let resource = Resource::new()
        .with_default("service.name", "observe-tests")
        .with_default("service.version", "naïve ☃");
    let collector = Collector::builder()
        .on_full(OnFull::Block)
        .exporter(Box::new(otlp::OtlpExporter::new(config, resource)))
        .metrics(Duration::MAX, move || metrics.clone())
        .start();
    chunks.into_iter().for_each(|chunk| collector.handle().send(chunk));
    let mut report = collector.shutdown(Duration::from_secs(20));
    report.exporters.remove(0)
}

/// Compares what arrived with what was sent.
fn check(folder: &Path) {
    let chunks = chunks();
    let spans = chunks
        .iter()
        .flat_map(|chunk| chunk.spans.iter().map(|span| told::span(&chunk.trace, span)));
    assert_same(checked(decode("traces", folder)), sorted(spans.collect()));
    let logs =
        chunks.iter().flat_map(|chunk| chunk.logs.iter().map(|log| told::log(&chunk.trace, log)));
    assert_same(checked(decode("logs", folder)), sorted(logs.collect()));
    let points = sent::metrics().iter().flat_map(told::points).collect();
    assert_same(checked(points_of(decode("metrics", folder))), sorted(points));
}

/// Compares one by one, to show the first that differs and not all of them.
#[track_caller]
fn assert_same(actual: Vec<String>, expected: Vec<String>) {
    for (actual, expected) in actual.iter().zip(&expected) {
        assert_eq!(actual, expected);
    }
    assert_eq!(actual.len(), expected.len());
}

/// The decoder's metrics, point by point, as a metric may come in parts.
fn points_of(metrics: Vec<Json>) -> Vec<Json> {
    let told = metrics.into_iter().flat_map(|mut metric| {
        let points = metric["points"].take();
        let fields = metric.as_object_mut().expect("an object");
        fields.remove("points");
        let fields = fields.clone();
        let points = points.as_array().expect("a list").clone();
        points.into_iter().map(move |mut point| {
            point.as_object_mut().expect("an object").extend(fields.clone());
            point
        })
    });
    told.collect()
}

/// Takes out who sent it, which is to be us, and puts all in an order.
fn checked(mut items: Vec<Json>) -> Vec<String> {
    for item in &mut items {
        let fields = item.as_object_mut().expect("an object");
        let resource = fields.remove("resource").expect("a resource").to_string();
        assert!(resource.contains("observe-tests") && resource.contains("naïve ☃"), "{resource}");
        let scope = fields.remove("scope").expect("a scope");
        assert_eq!(scope["name"], "observe", "{scope}");
        assert_eq!(scope["version"], env!("CARGO_PKG_VERSION"), "{scope}");
    }
    sorted(items)
}

fn sorted(items: Vec<Json>) -> Vec<String> {
    let mut items: Vec<_> = items.iter().map(Json::to_string).collect();
    items.sort();
    items
}
