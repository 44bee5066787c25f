//! Our bytes, read by prost.

use std::collections::HashSet;
use std::sync::Arc;

use observe_collector::event::{Chunk, MetricData, SpanNumber, SymbolTable, TraceId, TraceInfo};
use observe_collector::otlp::{Encoder, put_log, put_metric};
use opentelemetry_proto::tonic::logs::v1::ScopeLogs;
use opentelemetry_proto::tonic::metrics::v1::ScopeMetrics;
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use prost::Message;

use crate::fixtures::{
    expected_log, expected_metric, expected_span, plain_chunk, random_chunk, random_metric,
};

fn encode(encoder: &mut Encoder, chunk: &Chunk) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = encoder.of_trace(&chunk.trace);
    for span in &chunk.spans {
        encoder.put(span, &mut out);
    }
    out
}

#[test]
fn every_field_is_what_prost_reads_and_every_byte_what_prost_writes() {
    let mut encoder = Encoder::default();
    let (mut spans, mut errors, mut details) = (0, 0, 0);
    for seed in 0..2_000 {
        let chunk = random_chunk(seed);
        let bytes = encode(&mut encoder, &chunk);
        let read = ScopeSpans::decode(bytes.as_slice()).expect("valid protobuf");
        let expected: Vec<_> =
            chunk.spans.iter().map(|span| expected_span(&chunk.trace, span)).collect();
        assert_eq!(read.spans.len(), expected.len());
        for (read, expected) in read.spans.iter().zip(&expected) {
            assert_eq!(read, expected, "seed {seed}");
            spans += 1;
            errors += usize::from(expected.status.is_some());
        }
        details += chunk.spans.iter().filter(|span| span.detail.is_some()).count();
        let written = ScopeSpans { spans: expected, ..ScopeSpans::default() }.encode_to_vec();
        assert_eq!(bytes, written, "seed {seed}");
    }
    // The inputs are worth something.
    assert!(spans > 10_000 && errors > 1_000 && details > 1_000, "{spans} {errors} {details}");
}

#[test]
fn log_records_are_what_prost_reads_and_writes() {
    let (mut logs, mut bare, mut many) = (0, 0, 0);
    for seed in 0..2_000 {
        let chunk = random_chunk(seed);
        let mut bytes = Vec::new();
        chunk.logs.iter().for_each(|log| put_log(&chunk.trace, log, &mut bytes));
        let expected: Vec<_> =
            chunk.logs.iter().map(|log| expected_log(&chunk.trace, log)).collect();
        logs += expected.len();
        bare += expected.iter().filter(|log| log.span_id.is_empty()).count();
        many += chunk.logs.iter().filter(|log| log.attributes.len() > 16).count();
        let expected = ScopeLogs { log_records: expected, ..ScopeLogs::default() };
        let read = ScopeLogs::decode(bytes.as_slice()).expect("valid protobuf");
        assert_eq!(read, expected, "seed {seed}");
        assert_eq!(bytes, expected.encode_to_vec(), "seed {seed}");
    }
    assert!(logs > 5_000 && bare > 1_000 && many > 100, "{logs} {bare} {many}");
}

#[test]
fn metrics_are_what_prost_reads_and_writes() {
    let (mut points, mut sums) = (0, 0);
    for seed in 0..5_000 {
        let metric = random_metric(seed);
        let mut bytes = Vec::new();
        put_metric(&metric, &mut bytes);
        sums += usize::from(matches!(metric.data, MetricData::Sum { .. }));
        points += match &metric.data {
            MetricData::Sum { points, .. } | MetricData::Gauge(points) => points.len(),
        };
        let metrics = vec![expected_metric(&metric)];
        let expected = ScopeMetrics { metrics, ..ScopeMetrics::default() };
        let read = ScopeMetrics::decode(bytes.as_slice()).expect("valid protobuf");
        assert_eq!(read, expected, "seed {seed}");
        assert_eq!(bytes, expected.encode_to_vec(), "seed {seed}");
    }
    assert!(points > 10_000 && sums > 1_000, "{points} {sums}");
}

#[test]
fn templates_of_one_trace_do_not_leak_into_another() {
    let mut encoder = Encoder::default();
    let chunks: Vec<Chunk> = (0..50).map(random_chunk).collect();
    let fresh: Vec<_> = chunks.iter().map(|chunk| encode(&mut Encoder::default(), chunk)).collect();
    for _ in 0..3 {
        for (chunk, expected) in chunks.iter().zip(&fresh) {
            assert_eq!(&encode(&mut encoder, chunk), expected);
        }
    }
}

#[test]
fn a_span_before_it_does_not_change_a_span() {
    let mut encoder = Encoder::default();
    let chunk = plain_chunk(3);
    let all = encode(&mut encoder, &chunk);
    let mut one_by_one = Vec::new();
    for span in chunk.spans {
        let single = Chunk { trace: Arc::clone(&chunk.trace), spans: vec![span], logs: Vec::new() };
        one_by_one.extend(encode(&mut encoder, &single));
    }
    assert_eq!(all, one_by_one);
}

#[test]
fn ids_are_unique_and_never_zero() {
    // The last seeds reach zero, which is no id, at number 0, 1 and 5,000.
    let seeds = [1, 42, 1 << 63, u64::MAX - 3_000, 0, u64::MAX, 0_u64.wrapping_sub(5_000)];
    for seed in seeds {
        let symbols = Arc::new(SymbolTable::default());
        let trace = TraceInfo { trace_id: TraceId([1; 16]), parent: None, seed, symbols };
        let numbers = (0..10_000).chain(u32::MAX - 10_000..=u32::MAX);
        let count = numbers.clone().count();
        let ids: HashSet<_> = numbers.map(|number| trace.span_id(SpanNumber(number))).collect();
        assert_eq!(ids.len(), count, "seed {seed}");
        assert!(ids.iter().all(|id| id.0 != [0; 8]), "seed {seed}");
    }
}
