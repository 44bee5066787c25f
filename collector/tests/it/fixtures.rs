//! Chunks and metrics to work with, plain and [arbitrary](arbitrary), and [what OTLP should
//! say of them](expected).

mod arbitrary;
mod expected;

use std::sync::Arc;

use observe_collector::Report;
use observe_collector::event::{
    Attribute, Chunk, LogRecord, Metric, MetricData, Number, Point, Severity, SpanNumber,
    SpanRecord, Status, Symbol, SymbolId, SymbolTable, TraceId, TraceInfo,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

pub(crate) use arbitrary::{chunk, metric};
pub(crate) use expected::{expected_log, expected_metric, expected_span};

/// A chunk in which everything that a span can have may occur, the same for the same seed.
pub(crate) fn random_chunk(seed: u64) -> Chunk {
    random(chunk(), seed)
}

/// A metric of any kind, the same for the same seed.
pub(crate) fn random_metric(seed: u64) -> Metric {
    random(metric(), seed)
}

fn random<S: Strategy>(strategy: S, seed: u64) -> S::Value {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Default::default(), rng);
    strategy.new_tree(&mut runner).expect("no rejections").current()
}

/// A chunk of plain spans with distinct numbers.
pub(crate) fn plain_chunk(spans: u32) -> Chunk {
    chunk_from(0, spans)
}

/// A chunk of plain spans with numbers from `first`.
pub(crate) fn chunk_from(first: u32, spans: u32) -> Chunk {
    let symbol = Symbol {
        name: "function".to_owned(),
        attributes: vec![Attribute::new("code.function.name", "function")],
    };
    let trace = TraceInfo {
        trace_id: TraceId([7; 16]),
        parent: None,
        seed: 42,
        symbols: Arc::new(SymbolTable::new(vec![symbol])),
    };
    let span = |number: u32| SpanRecord {
        start_unix_nanos: 1_700_000_000_000_000_000 + u64::from(number),
        end_unix_nanos: 1_700_000_000_000_001_000 + u64::from(number),
        number: SpanNumber(number),
        parent: (number > 0).then(|| SpanNumber(number - 1)),
        symbol: Some(SymbolId(0)),
        status: Status::Unset,
        detail: None,
    };
    Chunk {
        trace: Arc::new(trace),
        spans: (first..first + spans).map(span).collect(),
        logs: Vec::new(),
    }
}

/// A chunk of this many spans and log records.
pub(crate) fn logging_chunk(spans: u32, logs: u32) -> Chunk {
    let log = |number: u32| LogRecord {
        time_unix_nanos: 1_700_000_000_000_000_000 + u64::from(number),
        span: Some(SpanNumber(number)),
        severity: Severity::Info,
        body: format!("message {number}"),
        attributes: Vec::new(),
        dropped_attributes: 0,
    };
    Chunk { logs: (0..logs).map(log).collect(), ..plain_chunk(spans) }
}

/// A gauge with this many points.
pub(crate) fn gauge(name: &'static str, points: i64) -> Metric {
    let point = |value: i64| {
        let attributes = vec![Attribute::new("tenant", value)];
        Point::new(attributes, 1_700_000_000_000_000_000, Number::Int(value))
    };
    let data = MetricData::Gauge((0..points).map(point).collect());
    Metric { name: name.into(), description: "".into(), unit: "By".into(), data }
}

/// Holds a report to what it promises at any time: everything is accounted for, on the way to the
/// exporters and at each of them.
#[track_caller]
pub(crate) fn assert_balanced(report: &Report) {
    for way in [report.channel.spans, report.channel.logs] {
        assert!(way.is_balanced(), "{report:?}");
    }
    for flow in [report.stage.spans, report.stage.logs] {
        assert!(flow.is_balanced(), "{report:?}");
    }
    for exporter in &report.exporters {
        for counts in [exporter.counts, exporter.logs, exporter.metrics] {
            assert!(counts.is_balanced(), "{report:?}");
        }
    }
}

/// The report of a shutdown, held to what it promises: as [`assert_balanced`], and nothing is left.
#[track_caller]
pub(crate) fn settled(report: Report) -> Report {
    assert_balanced(&report);
    for way in [report.channel.spans, report.channel.logs] {
        assert_eq!(way.waiting, 0, "{report:?}");
    }
    for exporter in &report.exporters {
        for counts in [exporter.counts, exporter.logs, exporter.metrics] {
            assert_eq!(counts.queued, 0, "{report:?}");
        }
    }
    report
}
