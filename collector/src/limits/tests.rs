use std::sync::Arc;

use super::{Limiter, Limits};
use crate::event::{
    Array, Attribute, Chunk, KeyValueList, LogRecord, Severity, SpanDetail, SpanEvent, SpanId,
    SpanLink, SpanNumber, SpanRecord, Status, Symbol, SymbolId, SymbolTable, TraceId, TraceInfo,
    Value,
};
use crate::stats::Cut;

fn attributes(keys: &[&'static str]) -> Vec<Attribute> {
    keys.iter().map(|key| Attribute::new(*key, "größer")).collect()
}

fn keys(attributes: &[Attribute]) -> Vec<&str> {
    attributes.iter().map(|attribute| &*attribute.key).collect()
}

/// A chunk with a span of its own and a plain one, both of a symbol with the attribute `shared`, and a
/// log record.
fn chunk(detail: SpanDetail) -> Chunk {
    let symbol = Symbol { name: "f".to_owned(), attributes: attributes(&["shared"]) };
    let trace = TraceInfo {
        trace_id: TraceId([1; 16]),
        parent: Some(SpanId([2; 8]).into()),
        seed: 3,
        symbols: Arc::new(SymbolTable::new(vec![symbol])),
    };
    let span = |detail| SpanRecord {
        start_unix_nanos: 1,
        end_unix_nanos: 2,
        number: SpanNumber(0),
        parent: None,
        symbol: Some(SymbolId(0)),
        status: Status::Unset,
        detail,
    };
    let log = LogRecord {
        time_unix_nanos: 1,
        span: None,
        severity: Severity::Info,
        body: "größer".to_owned(),
        attributes: attributes(&["a", "b", "a", "c"]),
        dropped_attributes: 1,
    };
    let spans = vec![span(Some(Box::new(detail))), span(None)];
    Chunk { trace: Arc::new(trace), spans, logs: vec![log] }
}

fn limited(limits: Limits, detail: SpanDetail) -> (Chunk, SpanDetail, Cut) {
    let (mut chunk, mut cut) = (chunk(detail), Cut::default());
    Limiter::new(limits).apply(&mut chunk, &mut cut);
    let detail = chunk.spans[0].detail.as_deref().expect("a detail").clone();
    (chunk, detail, cut)
}

#[test]
fn what_is_within_the_limits_stays_as_it_is() {
    let detail = SpanDetail { attributes: attributes(&["a"]), ..SpanDetail::default() };
    let (chunk, after, cut) = limited(Limits::default(), detail.clone());
    assert_eq!((after, cut), (detail, Cut::default()));
    assert_eq!(chunk.spans[1].detail, None);
}

#[test]
fn the_first_attributes_are_kept_and_the_others_counted() {
    let attributes = attributes(&["a", "shared", "b", "a", "c"]);
    let detail = SpanDetail { attributes, dropped_attributes: 7, ..SpanDetail::default() };
    let limits = Limits { span_attributes: 3, log_attributes: 2, ..Limits::default() };
    let (chunk, detail, cut) = limited(limits, detail);
    // With the shared one there are three keys.
    assert_eq!(keys(&detail.attributes), ["a", "shared", "b", "a"]);
    assert_eq!(detail.dropped_attributes, 8);
    assert_eq!(keys(&chunk.logs[0].attributes), ["a", "b", "a"]);
    assert_eq!(chunk.logs[0].dropped_attributes, 2);
    assert_eq!(cut, Cut { attributes: 2, ..Cut::default() });
}

#[test]
fn no_attributes_at_all() {
    let detail = SpanDetail { attributes: attributes(&["a", "shared"]), ..SpanDetail::default() };
    let limits = Limits { span_attributes: 0, ..Limits::default() };
    let (chunk, detail, cut) = limited(limits, detail);
    assert!(detail.attributes.is_empty());
    assert_eq!(detail.dropped_attributes, 3);
    let symbol = chunk.trace.symbols.get(SymbolId(0)).expect("a symbol");
    assert!(symbol.attributes.is_empty());
    assert_eq!(symbol.name, "f");
    let plain = chunk.spans[1].detail.as_ref().expect("it says what is missing");
    assert_eq!(plain.dropped_attributes, 1);
    assert_eq!(cut.attributes, 4);
    assert_eq!((chunk.trace.seed, chunk.trace.trace_id), (3, TraceId([1; 16])));
    assert!(chunk.trace.parent.is_some());
}

#[test]
fn values_are_cut_between_characters() {
    for (most, expected) in
        [(0, ""), (2, "gr"), (3, "grö"), (4, "größ"), (6, "größer"), (7, "größer")]
    {
        let limits = Limits {
            span_value_length: Some(most),
            log_value_length: Some(most),
            ..Limits::default()
        };
        let event = SpanEvent { attributes: attributes(&["a"]), ..SpanEvent::default() };
        let link = SpanLink {
            attributes: attributes(&["a"]),
            ..SpanLink::new(TraceId([1; 16]), SpanId([1; 8]))
        };
        let detail = SpanDetail {
            attributes: attributes(&["a"]),
            events: vec![event],
            links: vec![link],
            ..SpanDetail::default()
        };
        let (chunk, detail, cut) = limited(limits, detail);
        let symbol = chunk.trace.symbols.get(SymbolId(0)).expect("a symbol");
        for attributes in [
            &detail.attributes,
            &detail.events[0].attributes,
            &detail.links[0].attributes,
            &symbol.attributes,
            &chunk.logs[0].attributes,
        ] {
            assert_eq!(attributes[0].value, Value::from(expected), "{most}");
        }
        assert_eq!(chunk.logs[0].body, "größer", "the body is no attribute");
        assert_eq!(cut.values, if most < 6 { 8 } else { 0 });
    }
}

#[test]
fn values_within_values_are_cut_too() {
    let list = KeyValueList::new(vec![Attribute::new("k", "abc"), Attribute::new("n", 1)]);
    let array = vec!["abc".into(), list.expect("flat").into(), vec![1_u8, 2, 3].into(), 7.into()];
    let value = Array::new(array).expect("flat");
    let attributes = vec![Attribute::new("a", value)];
    let limits = Limits { span_value_length: Some(2), ..Limits::default() };
    let detail = SpanDetail { attributes, ..SpanDetail::default() };
    let (_, detail, cut) = limited(limits, detail);
    let list = KeyValueList::new(vec![Attribute::new("k", "ab"), Attribute::new("n", 1)]);
    let array = vec!["ab".into(), list.expect("flat").into(), vec![1_u8, 2].into(), 7.into()];
    assert_eq!(detail.attributes[0].value, Array::new(array).expect("flat").into());
    // The one value here, and that of the symbol.
    assert_eq!(cut.values, 2);
}

#[test]
fn events_and_links_are_counted() {
    let event = |name: &str| SpanEvent {
        name: name.to_owned(),
        attributes: attributes(&["a", "b", "c"]),
        ..SpanEvent::default()
    };
    let link = SpanLink {
        attributes: attributes(&["a", "b", "c"]),
        ..SpanLink::new(TraceId([1; 16]), SpanId([1; 8]))
    };
    let detail = SpanDetail {
        events: vec![event("1"), event("2"), event("3")],
        links: vec![link.clone(), link],
        ..SpanDetail::default()
    };
    let limits = Limits {
        span_events: 2,
        span_links: 1,
        event_attributes: 1,
        link_attributes: 2,
        ..Limits::default()
    };
    let (_, detail, cut) = limited(limits, detail);
    assert_eq!((detail.events.len(), detail.dropped_events), (2, 1));
    assert_eq!(detail.events[0].name, "1");
    assert_eq!((detail.links.len(), detail.dropped_links), (1, 1));
    assert_eq!(keys(&detail.events[1].attributes), ["a"]);
    assert_eq!(detail.events[1].dropped_attributes, 2);
    assert_eq!(keys(&detail.links[0].attributes), ["a", "b"]);
    assert_eq!(detail.links[0].dropped_attributes, 1);
    assert_eq!(cut, Cut { values: 0, attributes: 5, events: 1, links: 1 });
}

#[test]
fn a_table_is_looked_through_once() {
    let limits = Limits { span_value_length: Some(1), ..Limits::default() };
    let (mut limiter, mut cut) = (Limiter::new(limits), Cut::default());
    let original = chunk(SpanDetail::default());
    let mut tables = Vec::new();
    for _ in 0..3 {
        let trace = Arc::clone(&original.trace);
        let mut chunk = Chunk { trace, spans: Vec::new(), logs: Vec::new() };
        limiter.apply(&mut chunk, &mut cut);
        tables.push(Arc::as_ptr(&chunk.trace.symbols));
    }
    assert_eq!(tables[0], tables[2]);
    assert_eq!(cut.values, 1);
}

#[test]
fn the_environment_sets_limits() {
    let read = |variables: &[(&str, &str)]| {
        Limits::from_lookup(&|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    };
    assert_eq!(read(&[]), Ok(Limits::default()));
    let general = [("OTEL_ATTRIBUTE_COUNT_LIMIT", "5"), ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "0")];
    let expected = Limits {
        span_attributes: 5,
        span_value_length: Some(0),
        event_attributes: 5,
        link_attributes: 5,
        log_attributes: 5,
        log_value_length: Some(0),
        ..Limits::default()
    };
    assert_eq!(read(&general), Ok(expected));
    let own = [general[0], ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", " 6 ")];
    let limits = read(&own).expect("valid");
    assert_eq!((limits.span_attributes, limits.log_attributes), (6, 5));
    let error = read(&[("OTEL_SPAN_LINK_COUNT_LIMIT", "-1")]).expect_err("no number");
    let expected = "OTEL_SPAN_LINK_COUNT_LIMIT: `-1` is not a whole number from 0 on";
    assert_eq!(error.to_string(), expected);
}
