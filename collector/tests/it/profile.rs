//! Profiles: paths and weights against a walk from the outermost call inwards.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use observe_collector::assembly::{Measure, OTHER, Profile, ProfileExporter, Weight};
use observe_collector::event::{
    Chunk, SpanNumber, SpanRecord, Status, Symbol, SymbolId, SymbolTable, TraceId, TraceInfo,
};
use observe_collector::{Collector, Exporter};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use prost::Message;

use crate::allocations::held;

const NAMES: [&str; 4] = ["main", "[u8; 4]::parse", "read", "a\nb"];

fn trace(number: u64) -> Arc<TraceInfo> {
    let symbol = |name: &&str| Symbol { name: (*name).to_owned(), attributes: Vec::new() };
    Arc::new(TraceInfo {
        trace_id: TraceId([1; 16]),
        parent: None,
        seed: number,
        symbols: Arc::new(SymbolTable::new(NAMES.iter().map(symbol).collect())),
    })
}

fn span(number: u32, parent: Option<u32>, symbol: u32, nanos: u64) -> SpanRecord {
    SpanRecord {
        start_unix_nanos: 1_000,
        end_unix_nanos: 1_000 + nanos,
        number: SpanNumber(number),
        parent: parent.map(SpanNumber),
        symbol: Some(SymbolId(symbol)),
        status: Status::Unset,
        detail: None,
    }
}

fn chunk(trace: &Arc<TraceInfo>, spans: Vec<SpanRecord>) -> Chunk {
    Chunk { trace: Arc::clone(trace), spans, logs: Vec::new() }
}

fn folded(profile: &Profile, measure: Measure) -> String {
    let mut out = Vec::new();
    profile.write_folded(measure, &mut out).expect("a vector");
    String::from_utf8(out).expect("names are text")
}

#[test]
fn traces_are_merged_and_recursion_folds() {
    let exporter = ProfileExporter::new(100);
    let handle = exporter.handle();
    let collector = Collector::builder().exporter(Box::new(exporter)).start();
    for number in 0..2 {
        let trace = trace(number);
        // main(100) { parse(60) { parse(50) { read(20) }, read(5) }, a b(10) }
        let first = vec![span(3, Some(2), 2, 20), span(2, Some(1), 1, 50), span(4, Some(1), 2, 5)];
        collector.handle().send(chunk(&trace, first));
        let second = vec![span(1, Some(0), 1, 60), span(5, Some(0), 3, 10), span(0, None, 0, 100)];
        collector.handle().send(chunk(&trace, second));
    }
    let lost = trace(9);
    collector.handle().send(chunk(&lost, vec![span(7, Some(6), 2, 9)]));
    let report = collector.shutdown(Duration::from_secs(20));
    let counts = report.exporters[0].counts;
    assert!(counts.is_balanced() && counts.delivered == 13, "{counts:?}");
    let profile = handle.take();
    let expected = "[unfinished];read 9\nmain 60\nmain;[u8, 4]::parse 70\n\
                    main;[u8, 4]::parse;read 50\nmain;a b 20\n";
    assert_eq!(folded(&profile, Measure::SelfTime), expected);
    let expected = "[unfinished];read 1\nmain 2\nmain;[u8, 4]::parse 4\n\
                    main;[u8, 4]::parse;read 4\nmain;a b 2\n";
    assert_eq!(folded(&profile, Measure::Calls), expected);
    assert_eq!(handle.get().total(), Weight::default(), "what is taken is gone");
}

#[test]
fn a_flush_does_not_wait_for_calls_that_are_open() {
    let exporter = ProfileExporter::new(100);
    let handle = exporter.handle();
    let collector = Collector::builder().exporter(Box::new(exporter)).start();
    let trace = trace(1);
    collector.handle().send(chunk(&trace, vec![span(1, Some(0), 1, 60)]));
    assert!(collector.flush(Duration::from_secs(20)));
    let counts = collector.report(Duration::from_secs(20)).expect("a report").exporters[0].counts;
    assert!(counts.is_balanced() && counts.delivered == 1, "{counts:?}");
    assert_eq!(handle.get().total().calls, 0);
    collector.handle().send(chunk(&trace, vec![span(0, None, 0, 100)]));
    assert!(collector.flush(Duration::from_secs(20)));
    assert_eq!(folded(&handle.get(), Measure::SelfTime), "main 40\nmain;[u8, 4]::parse 60\n");
}

#[test]
fn paths_that_do_not_fit_weigh_in_together() {
    let weight = Weight { calls: 1, self_nanos: 10 };
    let mut profile = Profile::new(2);
    for path in [&["a", "b"][..], &["a", "c"], &["d"], &["a"], &[], &["a", "b", "c"]] {
        profile.add(path.iter().copied(), weight);
    }
    let other = Weight { calls: 4, self_nanos: 40 };
    assert_eq!(
        profile.paths(),
        [(vec!["a"], weight), (vec!["a", "b"], weight), (vec![OTHER], other)]
    );
    let mut merged = Profile::new(1);
    merged.merge(&profile);
    let other = Weight { calls: 5, self_nanos: 50 };
    assert_eq!(merged.paths(), [(vec!["a"], weight), (vec![OTHER], other)]);
    assert_eq!(merged.total(), profile.total());
}

#[test]
fn deep_and_endless_traces_take_bounded_memory() {
    let mut exporter = ProfileExporter::new(1_000);
    let handle = exporter.handle();
    let mut run = |from: u64| {
        for number in from..from + 200 {
            let trace = trace(number);
            // Two functions that call each other, a thousand deep, and a root that never comes.
            let calls = (1..1_000_u32).rev().map(|n| span(n, Some(n - 1), n % 2, n.into()));
            exporter.export(&chunk(&trace, calls.collect()));
            assert!(exporter.counts().is_balanced());
        }
        held()
    };
    let first = run(0);
    let second = run(200);
    assert!(second - first < 200_000, "{first} {second}");
    exporter.shutdown(Instant::now());
    let counts = exporter.counts();
    assert_eq!((counts.delivered, counts.queued), (400 * 999, 0));
    assert_eq!(handle.get().total().calls, 400 * 999);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn a_profile_is_what_a_walk_finds(
        trees in vec(vec((any::<proptest::sample::Index>(), 0..4_u32, 0..1_000_u64), 1..40), 1..4),
        size in 1..20_usize,
    ) {
        let mut exporter = ProfileExporter::new(10_000);
        let mut expected: BTreeMap<Vec<&str>, Weight> = BTreeMap::new();
        for (number, tree) in trees.iter().enumerate() {
            let parent = |n: usize| (n > 0).then(|| tree[n].0.index(n));
            for (n, &(_, symbol, nanos)) in tree.iter().enumerate() {
                let above = std::iter::successors(Some(n), |n| parent(*n));
                let mut path: Vec<_> = above.map(|n| NAMES[tree[n].1 as usize]).collect();
                path.reverse();
                path.dedup();
                prop_assert_eq!(path.last(), Some(&NAMES[symbol as usize]));
                let within: u64 =
                    (0..tree.len()).filter(|m| parent(*m) == Some(n)).map(|m| tree[m].2).sum();
                let weight = Weight { calls: 1, self_nanos: nanos.saturating_sub(within) };
                *expected.entry(path).or_default() += weight;
            }
            // Children stand behind their parents, so the other way round is an order of ends.
            let spans: Vec<_> = (0..tree.len()).rev().map(|n| {
                span(n as u32, parent(n).map(|parent| parent as u32), tree[n].1, tree[n].2)
            }).collect();
            let trace = trace(number as u64);
            let mut spans = spans.into_iter().peekable();
            while spans.peek().is_some() {
                exporter.export(&chunk(&trace, spans.by_ref().take(size).collect()));
                prop_assert!(exporter.counts().is_balanced());
            }
        }
        let profile = exporter.handle().take();
        prop_assert_eq!(exporter.counts().queued, 0);
        let expected: Vec<_> = expected.into_iter().collect();
        prop_assert_eq!(profile.paths(), expected.clone());
        prop_assert_eq!(read_pprof(&profile.to_pprof()), expected);
        let mut twice = profile.clone();
        twice.merge(&profile);
        prop_assert_eq!(twice.total().calls, 2 * profile.total().calls);
    }
}

/// The parts of pprof's `profile.proto` that we write.
#[derive(Clone, PartialEq, Message)]
struct Pprof {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
}

fn read_pprof(bytes: &[u8]) -> Vec<(Vec<&'static str>, Weight)> {
    let mut raw = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut raw).expect("gzip");
    let pprof = Pprof::decode(raw.as_slice()).expect("valid protobuf");
    assert_eq!(pprof.encode_to_vec(), raw, "nothing but what is told here");
    let text = |at: i64| pprof.string_table[at as usize].as_str();
    assert_eq!(text(0), "");
    let types: Vec<_> =
        pprof.sample_type.iter().map(|kind| (text(kind.kind), text(kind.unit))).collect();
    assert_eq!(types, [("calls", "count"), ("time", "nanoseconds")]);
    let name = |location: &u64| {
        let location = pprof.location.iter().find(|it| it.id == *location).expect("a location");
        let id = location.line[0].function_id;
        let function = pprof.function.iter().find(|it| it.id == id).expect("a function");
        assert_eq!(function.name, function.system_name);
        let text = text(function.name);
        *NAMES.iter().find(|name| **name == text).expect("one of ours")
    };
    let samples = pprof.sample.iter().map(|sample| {
        let path = sample.location_id.iter().rev().map(name).collect();
        let [calls, nanos] = sample.value[..] else { panic!("two values") };
        (path, Weight { calls: calls as u64, self_nanos: nanos as u64 })
    });
    samples.collect()
}
