//! Sampling in a running collector: the accounts of every exporter add up at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use observe_collector::event::{Attribute, Chunk, Metric, MetricData, Number, Point, SpanNumber};
use observe_collector::sampling::{Failed, TailSampling};
use observe_collector::{Builder, Cardinality, Collector, Counts, Exporter, Report};

use crate::fixtures::chunk_from;

const LONG: Duration = Duration::from_secs(20);

/// Delivers all at once.
#[derive(Clone, Default)]
struct Ready(Arc<AtomicU64>);

impl Exporter for Ready {
    fn name(&self) -> &str {
        "ready"
    }

    fn export(&mut self, chunk: &Chunk) {
        self.0.fetch_add(chunk.spans.len() as u64, Ordering::SeqCst);
    }

    fn flush(&mut self, _deadline: Instant) {}

    fn counts(&self) -> Counts {
        let spans = self.0.load(Ordering::SeqCst);
        Counts { accepted: spans, delivered: spans, ..Counts::default() }
    }

    fn last_error(&self) -> Option<String> {
        None
    }
}

/// Spans of a trace whose root has not come.
fn rootless(first: u32, spans: u32) -> Chunk {
    assert!(first > 0);
    chunk_from(first, spans)
}

fn start(builder: Builder) -> (Collector, Ready) {
    let ready = Ready::default();
    let builder = builder.exporter(Box::new(ready.clone())).exporter(Box::new(Ready::default()));
    (builder.start(), ready)
}

/// The counts of the exporters, which are the same.
#[track_caller]
fn counts(report: &Report) -> Counts {
    let [one, other] = &report.exporters[..] else { panic!("{report:?}") };
    assert!(report.stage.spans.is_balanced() && report.stage.logs.is_balanced(), "{report:?}");
    for exporter in [one, other] {
        assert!(exporter.counts.is_balanced(), "{report:?}");
    }
    one.counts
}

#[test]
fn what_is_held_is_queued_and_goes_out_at_the_end() {
    let (collector, _ready) = start(Collector::builder().tail_sampling(TailSampling::new()));
    collector.handle().send(rootless(1, 10));
    let report = collector.report(LONG).expect("an answer");
    assert_eq!(counts(&report), Counts { accepted: 10, queued: 10, ..Counts::default() });
    assert_eq!(report.stage.spans.held, 10);
    let report = collector.shutdown(LONG);
    assert_eq!(report.stage.spans.passed, 10);
    assert_eq!((report.stage.spans.held, report.stage.early.flushed), (0, 1));
    assert!(report.exporters.iter().all(|exporter| exporter.counts.queued == 0));
}

#[test]
fn what_is_sampled_out_was_never_for_an_exporter() {
    let sampling = TailSampling::new().policy(Failed);
    let (collector, ready) = start(Collector::builder().tail_sampling(sampling));
    collector.handle().send(chunk_from(0, 10));
    let report = collector.shutdown(LONG);
    assert_eq!(counts(&report), Counts::default());
    assert_eq!(report.stage.spans.received, 10);
    assert_eq!(report.stage.spans.sampled_out, 10);
    assert_eq!(ready.0.load(Ordering::SeqCst), 0);
}

#[test]
fn what_is_folded_was_never_for_an_exporter() {
    let (collector, ready) = start(Collector::builder().max_spans_per_trace(3));
    let mut chunk = chunk_from(0, 10);
    chunk.spans.reverse();
    collector.handle().send(chunk);
    let report = collector.shutdown(LONG);
    assert_eq!(report.stage.spans.folded, 7);
    assert_eq!(report.exporters[0].counts.accepted, 3);
    assert_eq!(ready.0.load(Ordering::SeqCst), 3);
}

#[test]
fn a_flush_decides() {
    let (collector, ready) = start(Collector::builder().tail_sampling(TailSampling::new()));
    collector.handle().send(rootless(1, 10));
    assert!(collector.flush(LONG));
    assert_eq!(ready.0.load(Ordering::SeqCst), 10);
    assert_eq!(collector.shutdown(LONG).stage.early.flushed, 1);
}

#[test]
fn a_trace_is_decided_on_in_time_even_if_nothing_more_comes() {
    let wait = Duration::from_millis(5);
    let sampling = TailSampling::new().decision_wait(wait);
    let (collector, ready) = start(Collector::builder().tail_sampling(sampling));
    collector.handle().send(rootless(1, 10));
    let start = Instant::now();
    while ready.0.load(Ordering::SeqCst) == 0 {
        assert!(start.elapsed() < LONG, "never decided");
        std::thread::yield_now();
    }
    assert_eq!(collector.shutdown(LONG).stage.early.waited, 1);
}

#[test]
fn names_and_series_are_bounded_on_the_way_to_all_exporters() {
    let cardinality = Cardinality { span_names: 0, series: 1 };
    let attributes = |n: i64| vec![Attribute::new("key", n)];
    let source = move || {
        let points = (0..5).map(|n| Point::new(attributes(n), 1, Number::Int(n))).collect();
        let data = MetricData::sum(true, 1, points);
        vec![Metric { name: "m".into(), description: "".into(), unit: "".into(), data }]
    };
    let builder = Collector::builder().cardinality(cardinality).metrics(LONG, source);
    let (collector, _) = start(builder);
    collector.handle().send(chunk_from(0, 10));
    let report = collector.shutdown(LONG);
    assert_eq!(report.stage.spans.passed, 10);
    assert_eq!((report.stage.overflowed_names, report.stage.overflowed_points), (10, 5));
}

#[test]
fn an_embedder_decides_by_what_it_knows() {
    let big = |trace: &observe_collector::sampling::TraceView<'_>| {
        assert_eq!(trace.root().map(|root| root.number), Some(SpanNumber(0)));
        match trace.spans() {
            10.. => observe_collector::sampling::Verdict::KEEP,
            _ => observe_collector::sampling::Verdict::Next,
        }
    };
    for (spans, expected) in [(9, 0), (10, 10)] {
        let sampling = TailSampling::new().policy(big);
        let (collector, _) = start(Collector::builder().tail_sampling(sampling));
        collector.handle().send(chunk_from(0, spans));
        assert_eq!(collector.shutdown(LONG).stage.spans.passed, expected);
    }
}
