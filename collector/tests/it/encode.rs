//! Our bytes, read by prost.

use std::collections::HashSet;
use std::sync::Arc;

use observe_collector::event::{
    Attribute, Chunk, KeyValueList, MAX_NESTING, SpanDetail, SpanEvent, SpanNumber, SymbolTable,
    TraceId, TraceInfo, Value,
};
use observe_collector::otlp::{Encoder, put_log, put_metric};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::ScopeLogs;
use opentelemetry_proto::tonic::metrics::v1::ScopeMetrics;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};
use prost::Message;

use crate::fixtures::{
    chunk, expected_log, expected_metric, expected_span, metric, plain_chunk, random_chunk,
};

fn encode(encoder: &mut Encoder, chunk: &Chunk) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = encoder.of_trace(&chunk.trace);
    for span in &chunk.spans {
        encoder.put(span, &mut out);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn spans_are_what_prost_reads_and_writes(chunk in chunk()) {
        let bytes = encode(&mut Encoder::default(), &chunk);
        let spans = chunk.spans.iter().map(|span| expected_span(&chunk.trace, span)).collect();
        let expected = ScopeSpans { spans, ..ScopeSpans::default() };
        let read = ScopeSpans::decode(bytes.as_slice()).expect("valid protobuf");
        prop_assert_eq!(&read, &expected);
        prop_assert_eq!(bytes, read.encode_to_vec());
    }

    #[test]
    fn log_records_are_what_prost_reads_and_writes(chunk in chunk()) {
        let mut bytes = Vec::new();
        chunk.logs.iter().for_each(|log| put_log(&chunk.trace, log, &mut bytes));
        let log_records = chunk.logs.iter().map(|log| expected_log(&chunk.trace, log)).collect();
        let expected = ScopeLogs { log_records, ..ScopeLogs::default() };
        let read = ScopeLogs::decode(bytes.as_slice()).expect("valid protobuf");
        prop_assert_eq!(&read, &expected);
        prop_assert_eq!(bytes, read.encode_to_vec());
    }

    #[test]
    fn metrics_are_what_prost_reads_and_writes(metric in metric()) {
        let mut bytes = Vec::new();
        put_metric(&metric, &mut bytes);
        let expected =
            ScopeMetrics { metrics: vec![expected_metric(&metric)], ..ScopeMetrics::default() };
        let read = ScopeMetrics::decode(bytes.as_slice()).expect("valid protobuf");
        prop_assert_eq!(&read, &expected);
        prop_assert_eq!(bytes, read.encode_to_vec());
    }
}

#[test]
fn the_inputs_are_worth_something() {
    let (mut spans, mut parents, mut events, mut links) = (0, 0, 0, 0);
    let (mut logs, mut many, mut nested) = (0, 0, 0);
    for chunk in (0..500).map(random_chunk) {
        parents += usize::from(!chunk.trace.trace_state().is_empty());
        spans += chunk.spans.len();
        for detail in chunk.spans.iter().filter_map(|span| span.detail.as_ref()) {
            events += detail.events.len();
            links += detail.links.len();
        }
        logs += chunk.logs.len();
        for log in &chunk.logs {
            many += usize::from(log.attributes.len() > 16);
            let is_array = |attribute: &&Attribute| matches!(attribute.value, Value::Array(_));
            nested += log.attributes.iter().filter(is_array).count();
        }
    }
    assert!(spans > 4_000 && parents > 80 && events > 500 && links > 500);
    assert!(logs > 2_000 && many > 50 && nested > 200, "{logs} {many} {nested}");
}

/// A length of four bytes, and nesting as deep as it may be, in a reader with a limit for it.
#[test]
fn long_and_deep_values_are_read_back() {
    let mut deep = Value::from(vec![i64::MIN, 1 << 40]);
    for _ in 1..MAX_NESTING {
        let list = vec![Attribute { key: "within".into(), value: deep }];
        deep = KeyValueList::new(list).expect("not too deep").into();
    }
    let mut chunk = plain_chunk(1);
    let event = SpanEvent { name: "é".repeat(1 << 20), ..SpanEvent::default() };
    chunk.spans[0].detail = Some(Box::new(SpanDetail {
        attributes: vec![Attribute::new("deep", deep)],
        events: vec![event],
        ..SpanDetail::default()
    }));
    let bytes = encode(&mut Encoder::default(), &chunk);
    // As deep as in a request.
    let scope_spans = vec![ScopeSpans::decode(bytes.as_slice()).expect("valid protobuf")];
    assert_eq!(scope_spans[0].spans, [expected_span(&chunk.trace, &chunk.spans[0])]);
    let request = ResourceSpans { scope_spans, ..ResourceSpans::default() };
    let request = ExportTraceServiceRequest { resource_spans: vec![request] };
    let read = ExportTraceServiceRequest::decode(request.encode_to_vec().as_slice());
    assert_eq!(read.expect("not too deep"), request);
}

#[test]
fn a_number_that_is_none_keeps_its_bits() {
    let bits = [f64::NAN.to_bits(), (-f64::NAN).to_bits(), f64::NAN.to_bits() | 7];
    let mut chunk = plain_chunk(1);
    let attributes = bits.map(|bits| Attribute::new(bits.to_string(), f64::from_bits(bits)));
    chunk.spans[0].detail =
        Some(Box::new(SpanDetail { attributes: attributes.to_vec(), ..SpanDetail::default() }));
    let bytes = encode(&mut Encoder::default(), &chunk);
    let read = ScopeSpans::decode(bytes.as_slice()).expect("valid protobuf");
    assert_eq!(bytes, read.encode_to_vec());
    assert!(bits.iter().all(|bits| bytes.windows(8).any(|at| at == bits.to_le_bytes())));
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
