//! Random traces, orders and policies: nothing is lost that is not counted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Plan, Stage};
use crate::cardinality::Cardinality;
use crate::event::{
    Attribute, Chunk, LogRecord, Parent, Severity, SpanDetail, SpanId, SpanNumber, SpanRecord,
    Status, SymbolTable, TraceFlags, TraceId, TraceInfo, Value,
};
use crate::limits::Limits;
use crate::sampling::{Failed, Proportion, Rate, Ratio, Sampler, Slow, TailSampling};

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound.max(1)
    }

    fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }
}

fn trace(id: u64) -> Arc<TraceInfo> {
    let trace_id =
        TraceId((u128::from(id.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 8 | 1).to_be_bytes());
    let symbols = Arc::new(SymbolTable::new(Vec::new()));
    Arc::new(TraceInfo { trace_id, parent: None, seed: id, symbols })
}

fn span(number: u32, parent: Option<u32>, start: u64, end: u64, failed: bool) -> SpanRecord {
    let name = (number == 0).then(|| "root".to_owned());
    SpanRecord {
        start_unix_nanos: start,
        end_unix_nanos: end,
        number: SpanNumber(number),
        parent: parent.map(SpanNumber),
        symbol: None,
        status: if failed { Status::Error } else { Status::Unset },
        detail: name
            .map(|name| Box::new(SpanDetail { name: Some(name.into()), ..SpanDetail::default() })),
    }
}

/// The spans of a trace as they end, each longer than those under it.
fn tree(random: &mut Random, spans: u32, failures: u64) -> Vec<SpanRecord> {
    let mut parents = vec![None];
    for number in 1..spans {
        // Some deep, some broad.
        let above = if random.one_in(2) { number - 1 } else { random.below(number.into()) as u32 };
        parents.push(Some(above));
    }
    // Children have higher numbers, so the end comes with the numbers falling.
    let mut nanos = vec![0; spans as usize];
    let mut ended = Vec::new();
    for number in (0..spans).rev() {
        let index = number as usize;
        nanos[index] += 1 + random.below(1_000);
        if let Some(parent) = parents[index] {
            nanos[parent as usize] += nanos[index];
        }
        let failed = failures > 0 && random.one_in(failures);
        ended.push(span(number, parents[index], 5_000, 5_000 + nanos[index], failed));
    }
    ended
}

fn log(span: u32) -> LogRecord {
    LogRecord {
        time_unix_nanos: 1,
        span: Some(SpanNumber(span)),
        severity: Severity::Info,
        body: "body".to_owned(),
        attributes: Vec::new(),
        dropped_attributes: 0,
    }
}

/// A span that came out: its number and its parent's.
type Kept = (SpanNumber, Option<SpanNumber>);

/// What came out.
#[derive(Default)]
struct Sink {
    spans: HashMap<u64, Vec<Kept>>,
    logs: HashMap<u64, Vec<Option<SpanNumber>>>,
    folded: HashMap<u64, u64>,
    ratios: HashSet<String>,
    number: u64,
    logs_number: u64,
}

impl Sink {
    fn take(&mut self, chunk: &Chunk) {
        let seed = chunk.trace.seed;
        self.number += chunk.spans.len() as u64;
        self.logs_number += chunk.logs.len() as u64;
        self.logs.entry(seed).or_default().extend(chunk.logs.iter().map(|log| log.span));
        let spans = self.spans.entry(seed).or_default();
        for span in &chunk.spans {
            spans.push((span.number, span.parent));
            let own = |key| attribute(span, key);
            if let Some(Value::Int(number)) = own("observe.folded.spans") {
                *self.folded.entry(seed).or_default() += *number as u64;
            }
            if let Some(Value::Double(ratio)) = own("observe.sampling.ratio") {
                self.ratios.insert(ratio.to_string());
            }
        }
    }
}

fn attribute<'a>(span: &'a SpanRecord, key: &str) -> Option<&'a Value> {
    let attributes = &span.detail.as_ref()?.attributes;
    attributes.iter().find(|attribute| attribute.key == key).map(|attribute| &attribute.value)
}

fn check(stage: &Stage, sink: &Sink) {
    let report = stage.report();
    assert!(report.spans.is_balanced(), "{report:?}");
    assert!(report.logs.is_balanced(), "{report:?}");
    assert_eq!(report.spans.passed, sink.number);
    assert_eq!(report.logs.passed, sink.logs_number);
}

fn random_plan(random: &mut Random) -> Plan {
    let ratio =
        |random: &mut Random| Ratio::new(random.below(101) as f64 / 100.0).expect("a share");
    let sampler = random.one_in(3).then(|| Sampler::TraceIdRatio(ratio(random)));
    let cap = random.one_in(2).then(|| random.below(40) as usize);
    let tail = (random.one_in(2) || (sampler.is_none() && cap.is_none())).then(|| {
        let mut tail = TailSampling::new()
            .max_traces(1 + random.below(20) as usize)
            .max_spans(random.below(500) as usize)
            .max_bytes(random.below(200_000) as usize)
            .decision_wait(Duration::from_millis(random.below(100)));
        for _ in 0..random.below(4) {
            tail = match random.below(4) {
                0 => tail.policy(Failed),
                1 => tail.policy(Slow(Duration::from_nanos(random.below(50_000)))),
                2 => tail.policy(Rate::per_second(5.0).and_of_the_rest(ratio(random))),
                _ => tail.policy(Proportion(ratio(random))),
            };
        }
        if random.one_in(3) { tail.keep_logs() } else { tail }
    });
    let limits = random.one_in(4).then(|| Limits { span_attributes: 0, ..Limits::default() });
    let cardinality = random.one_in(4).then_some(Cardinality { span_names: 0, series: 1 });
    Plan { sampler, tail, cap, limits, cardinality }
}

/// Chunks of several traces, some of them in disorder, with spans told twice and parents that
/// never come.
fn random_chunks(random: &mut Random) -> Vec<Chunk> {
    let traces: Vec<_> = (0..1 + random.below(30)).map(trace).collect();
    let mut chunks = Vec::new();
    for trace in &traces {
        let number = 1 + random.below(120) as u32;
        let mut spans = tree(random, number, 10);
        match random.below(6) {
            0 => spans.reverse(),
            1 => drop(spans.pop()),
            2 => spans.push(span(random.below(5) as u32, Some(3), 1, 2, false)),
            3 => spans.push(span(7, Some(7), 1, 2, false)),
            _ => {}
        }
        while !spans.is_empty() {
            let rest = spans.split_off(spans.len().min(1 + random.below(50) as usize));
            let logs = (0..random.below(4)).map(|_| log(random.below(number.into()) as u32));
            let logs = logs.collect();
            chunks.push((random.below(1_000), Chunk { trace: Arc::clone(trace), spans, logs }));
            spans = rest;
        }
    }
    if random.one_in(3) {
        chunks.sort_by_key(|(order, _)| *order);
    }
    chunks.into_iter().map(|(_, chunk)| chunk).collect()
}

#[test]
fn whatever_comes_is_accounted_for_and_bounded() {
    for seed in 1..2_000 {
        let mut random = Random(seed);
        let plan = random_plan(&mut random);
        let bound = plan.tail.as_ref().map(|tail| (tail.bounds.spans, tail.bounds.traces));
        let Some(mut stage) = Stage::new(plan) else { continue };
        let mut sink = Sink::default();
        let mut now = Instant::now();
        let mut received = 0;
        for chunk in random_chunks(&mut random) {
            received += chunk.spans.len() as u64;
            now += Duration::from_millis(random.below(20));
            stage.push(now, chunk, &mut |chunk| sink.take(chunk));
            stage.tick(now, &mut |chunk| sink.take(chunk));
            check(&stage, &sink);
            assert!(stage.due().is_none_or(|due| due > now));
            if let Some((spans, traces)) = bound {
                assert!(stage.report().spans.held <= spans as u64, "seed {seed}");
                assert!(stage.hold.as_ref().is_none_or(|hold| hold.traces_held() <= traces));
            }
        }
        stage.flush(now, &mut |chunk| sink.take(chunk));
        check(&stage, &sink);
        let report = stage.report();
        assert_eq!((report.spans.held, report.logs.held), (0, 0), "seed {seed}");
        assert_eq!(report.spans.received, received);
        assert_eq!(stage.due(), None);
    }
}

fn run(plan: Plan, chunks: Vec<Chunk>) -> (Sink, crate::stats::StageReport) {
    let mut stage = Stage::new(plan).expect("something to do");
    let mut sink = Sink::default();
    let now = Instant::now();
    for chunk in chunks {
        stage.push(now, chunk, &mut |chunk| sink.take(chunk));
        check(&stage, &sink);
    }
    stage.flush(now, &mut |chunk| sink.take(chunk));
    check(&stage, &sink);
    let report = stage.report();
    (sink, report)
}

/// The spans of one trace in chunks of up to 50.
fn chunks_of(trace: &Arc<TraceInfo>, mut spans: Vec<SpanRecord>) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    while !spans.is_empty() {
        let rest = spans.split_off(spans.len().min(50));
        chunks.push(Chunk { trace: Arc::clone(trace), spans, logs: Vec::new() });
        spans = rest;
    }
    chunks
}

#[test]
fn a_cap_keeps_the_largest_in_a_whole_tree() {
    for seed in 1..300 {
        let mut random = Random(seed);
        let number = 1 + random.below(400) as u32;
        let cap = 1 + random.below(100) as usize;
        let spans = tree(&mut random, number, 0);
        let nanos = |span: &SpanRecord| span.end_unix_nanos - span.start_unix_nanos;
        let mut largest: Vec<_> = spans.iter().map(|span| (nanos(span), span.number)).collect();
        largest.sort_unstable();
        let largest: HashSet<_> = largest.iter().rev().take(cap).map(|(_, n)| *n).collect();
        let plan = Plan { cap: Some(cap), ..Plan::default() };
        let (sink, report) = run(plan, chunks_of(&trace(1), spans));
        let kept: HashSet<_> = sink.spans[&1].iter().map(|(n, _)| *n).collect();
        assert_eq!(kept, largest, "seed {seed}");
        assert!(sink.spans[&1].iter().all(|(_, p)| p.is_none_or(|p| kept.contains(&p))));
        let folded = sink.folded.get(&1).copied().unwrap_or_default();
        assert_eq!(kept.len() as u64 + folded, u64::from(number), "seed {seed}");
        assert_eq!(report.spans.folded, folded);
        // In the order in which they ended: a child before its parent.
        assert!(sink.spans[&1].windows(2).all(|pair| pair[0].0 > pair[1].0));
    }
}

#[test]
fn failed_spans_survive_a_cap_with_those_above_them() {
    for seed in 1..300 {
        let mut random = Random(seed);
        let number = 1 + random.below(400) as u32;
        let spans = tree(&mut random, number, 40);
        let parents: HashMap<_, _> = spans.iter().map(|span| (span.number, span.parent)).collect();
        let mut needed = HashSet::new();
        for failed in spans.iter().filter(|span| span.status == Status::Error) {
            let mut above = Some(failed.number);
            while let Some(number) = above {
                needed.insert(number);
                above = parents[&number];
            }
        }
        let cap = needed.len() + random.below(20) as usize;
        let plan = Plan { cap: Some(cap), ..Plan::default() };
        let (sink, _) = run(plan, chunks_of(&trace(1), spans));
        let kept: HashSet<_> = sink.spans[&1].iter().map(|(n, _)| *n).collect();
        assert!(kept.is_superset(&needed), "seed {seed}");
        assert!(kept.len() <= cap.max(1));
    }
}

#[test]
fn a_trace_is_sent_whole_or_not_at_all() {
    let mut random = Random(1);
    let mut chunks = Vec::new();
    let mut failed = HashSet::new();
    for id in 1..200 {
        let number = 1 + random.below(100) as u32;
        let spans = tree(&mut random, number, 100);
        if spans.iter().any(|span| span.status == Status::Error) {
            failed.insert(id);
        }
        chunks.extend(chunks_of(&trace(id), spans).into_iter().enumerate());
    }
    // All first chunks, then all second ones.
    chunks.sort_by_key(|(nth, _)| *nth);
    let chunks = chunks.into_iter().map(|(_, chunk)| chunk).collect();
    let tail = Some(TailSampling::new().policy(Failed));
    let (sink, report) = run(Plan { tail, ..Plan::default() }, chunks);
    assert_eq!(sink.spans.keys().copied().collect::<HashSet<_>>(), failed);
    assert_eq!(report.traces_kept, failed.len() as u64);
    assert_eq!(report.traces_kept + report.traces_sampled_out, 199);
    assert_eq!(report.early, crate::stats::Early::default());
    assert!(sink.ratios.is_empty(), "they stand for themselves");
}

#[test]
fn a_ratio_is_told_and_consistent_between_head_and_tail() {
    let ratio = |share| Ratio::new(share).expect("a share");
    let chunks =
        || (1..=1_000).map(|id| chunks_of(&trace(id), tree(&mut Random(id), 1, 0)).remove(0));
    let head = |share| Some(Sampler::TraceIdRatio(ratio(share)));
    let tail = |share| Some(TailSampling::new().policy(Proportion(ratio(share))));
    let kept = |sampler, tail, expected: &[&str]| {
        let (sink, _) = run(Plan { sampler, tail, ..Plan::default() }, chunks().collect());
        assert_eq!(sink.ratios, expected.iter().map(|text| (*text).to_owned()).collect());
        sink.spans.into_keys().collect::<HashSet<_>>()
    };
    let half = kept(head(0.5), None, &["0.5"]);
    assert!((400..600).contains(&half.len()), "{}", half.len());
    assert_eq!(kept(None, tail(0.5), &["0.5"]), half);
    // The smaller of the two, not their product.
    let quarter = kept(head(0.5), tail(0.25), &["0.25"]);
    assert_eq!(kept(head(0.25), tail(0.5), &["0.25"]), quarter);
    assert!(quarter.is_subset(&half));
    assert!((200..300).contains(&quarter.len()), "{}", quarter.len());
}

#[test]
fn nothing_to_do_is_no_stage() {
    assert!(Stage::new(Plan::default()).is_none());
    let sampler = Some(Sampler::AlwaysOn);
    assert!(Stage::new(Plan { sampler, ..Plan::default() }).is_none());
}

#[test]
fn nothing_is_sent_of_a_trace_that_says_it_is_not_sampled() {
    for (sampler, flags, expected) in [
        (Sampler::default(), 0, 0),
        (Sampler::default(), 1, 1),
        (Sampler::ParentBased(Box::new(Sampler::AlwaysOff)), 3, 1),
        (Sampler::AlwaysOff, 1, 0),
    ] {
        let mut info = Arc::into_inner(trace(1)).expect("one");
        let parent = Parent { trace_flags: TraceFlags(flags), ..SpanId([1; 8]).into() };
        info.parent = Some(parent);
        let spans = vec![span(0, None, 1, 2, true)];
        let chunk = Chunk { trace: Arc::new(info), spans, logs: Vec::new() };
        let plan = Plan { sampler: Some(sampler.clone()), ..Plan::default() };
        let (sink, _) = run(plan, vec![chunk]);
        assert_eq!(sink.number, expected, "{sampler:?} {flags}");
    }
}

#[test]
fn what_comes_late_follows_the_decision() {
    let minute = Duration::from_secs(60);
    let plan = Plan { tail: Some(TailSampling::new().policy(Failed)), ..Plan::default() };
    let mut stage = Stage::new(plan).expect("something to do");
    let (mut sink, start) = (Sink::default(), Instant::now());
    let chunk = |id, span, logs| Chunk { trace: trace(id), spans: vec![span], logs };
    stage.push(start, chunk(1, span(2, Some(1), 1, 2, true), vec![log(2)]), &mut |c| sink.take(c));
    stage.push(start, chunk(2, span(2, Some(1), 1, 2, false), vec![log(2)]), &mut |c| sink.take(c));
    assert_eq!((stage.report().spans.held, stage.report().logs.held), (2, 2));
    assert_eq!(stage.due(), Some(start + Duration::from_secs(30)));
    stage.tick(start + minute, &mut |c| sink.take(c));
    assert_eq!(stage.report().early.waited, 2);
    let later = start + minute;
    // A failure that comes after the decision does not change it.
    stage.push(later, chunk(1, span(0, None, 1, 2, false), vec![log(0)]), &mut |c| sink.take(c));
    stage.push(later, chunk(2, span(0, None, 1, 2, true), vec![log(0)]), &mut |c| sink.take(c));
    check(&stage, &sink);
    assert_eq!(sink.spans[&1].len(), 2);
    assert_eq!(sink.logs[&1].len(), 2);
    assert!(!sink.spans.contains_key(&2) && !sink.logs.contains_key(&2));
    assert_eq!(stage.report().spans.sampled_out, 2);
}

#[test]
fn when_there_is_no_room_the_oldest_is_decided_on() {
    let tail = TailSampling::new().max_traces(2);
    let mut stage = Stage::new(Plan { tail: Some(tail), ..Plan::default() }).expect("a stage");
    let (mut sink, now) = (Sink::default(), Instant::now());
    for id in [1, 2, 1, 3] {
        let spans = vec![span(5, Some(1), 1, 2, false)];
        let chunk = Chunk { trace: trace(id), spans, logs: Vec::new() };
        stage.push(now, chunk, &mut |chunk| sink.take(chunk));
    }
    assert_eq!(sink.spans.keys().collect::<Vec<_>>(), [&1]);
    assert_eq!(sink.spans[&1].len(), 2);
    assert_eq!(stage.report().early.full, 1);
}

#[test]
fn logs_may_be_sent_whatever_becomes_of_their_trace() {
    let tail = TailSampling::new().policy(Failed).keep_logs();
    let spans = vec![span(0, None, 1, 2, false)];
    let chunk = Chunk { trace: trace(1), spans, logs: vec![log(0)] };
    let (sink, report) = run(Plan { tail: Some(tail), ..Plan::default() }, vec![chunk]);
    assert_eq!((sink.number, sink.logs_number), (0, 1));
    assert_eq!((report.spans.sampled_out, report.logs.sampled_out), (1, 0));
}

#[test]
fn a_folded_span_leaves_its_logs_to_the_next_above() {
    let spans = vec![
        span(3, Some(2), 10, 11, false),
        span(2, Some(1), 10, 13, false),
        span(1, Some(0), 10, 20, false),
        span(0, None, 0, 100, false),
    ];
    let logs = vec![log(3), log(2), log(1), log(0), log(9)];
    let chunk = Chunk { trace: trace(1), spans, logs };
    let (sink, _) = run(Plan { cap: Some(2), ..Plan::default() }, vec![chunk]);
    let expected = [1, 1, 1, 0, 9].map(|number| Some(SpanNumber(number)));
    assert_eq!(sink.logs[&1], expected);
}

#[test]
fn logs_that_come_late_find_the_span_above_a_folded_one() {
    let spans = vec![
        span(2, Some(1), 10, 11, false),
        span(1, Some(0), 10, 20, false),
        span(0, None, 0, 100, false),
    ];
    let chunk = |spans, logs| Chunk { trace: trace(1), spans, logs };
    let chunks = vec![chunk(spans, vec![log(2)]), chunk(Vec::new(), vec![log(2), log(1)])];
    let (sink, _) = run(Plan { cap: Some(2), ..Plan::default() }, chunks);
    assert_eq!(sink.logs[&1], [1, 1, 1].map(|number| Some(SpanNumber(number))));
}

#[test]
fn what_was_folded_is_told_on_the_span_above() {
    let mut told = Vec::new();
    let spans = vec![
        span(3, Some(2), 10, 11, true),
        span(2, Some(1), 10, 13, false),
        span(4, Some(1), 13, 18, false),
        span(1, Some(0), 10, 20, true),
        span(0, None, 0, 100, false),
    ];
    let mut stage = Stage::new(Plan { cap: Some(2), ..Plan::default() }).expect("a stage");
    let chunk = Chunk { trace: trace(1), spans, logs: Vec::new() };
    stage.push(Instant::now(), chunk, &mut |chunk| {
        let attributes = |span: &SpanRecord| {
            span.detail.as_ref().map(|d| d.attributes.clone()).unwrap_or_default()
        };
        told.extend(chunk.spans.iter().map(|span| (span.number.0, attributes(span))));
    });
    let expected = vec![
        Attribute::new("observe.folded.spans", 3),
        Attribute::new("observe.folded.time", 8e-9),
        Attribute::new("observe.folded.errors", 1),
    ];
    assert_eq!(told, [(1, expected), (0, Vec::new())]);
}

/// A trace without end, as of a guest that runs for hours.
#[test]
fn what_is_held_of_a_trace_is_bounded_by_its_cap() {
    let mut stage = Stage::new(Plan { cap: Some(100), ..Plan::default() }).expect("a stage");
    let (now, trace) = (Instant::now(), trace(1));
    let mut random = Random(7);
    for round in 0..1_000_u32 {
        // Most parents never come.
        let spans = (0..100).map(|n| {
            let number = 1 + round * 100 + n;
            let parent = number ^ random.below(4) as u32;
            span(number, Some(parent), 0, random.below(1_000_000), random.one_in(100))
        });
        let chunk = Chunk { trace: Arc::clone(&trace), spans: spans.collect(), logs: Vec::new() };
        stage.push(now, chunk, &mut |_| panic!("there is room"));
        assert!(stage.report().spans.held <= 100);
        assert!(stage.hold.as_ref().is_some_and(|hold| hold.parents_known() <= 5_000));
    }
}

/// Traces of deep recursion: each call is absent for as long as those in it end.
#[test]
fn what_is_remembered_of_traces_is_bounded_however_deep_they_are() {
    const DEPTH: u32 = 600;
    for has_root in [true, false] {
        let mut stage = Stage::new(Plan { cap: Some(1_000), ..Plan::default() }).expect("a stage");
        let now = Instant::now();
        for id in 0..2_000 {
            let trace = trace(id);
            // In the order of a host whose chunks hold a few calls each.
            for first in (0..DEPTH).step_by(50) {
                let spans = (first..first + 50).map(|n| {
                    let number = 2 * (DEPTH - n);
                    span(number, Some(number - 1), 0, n.into(), false)
                });
                let (trace, spans) = (Arc::clone(&trace), spans.collect());
                stage.push(now, Chunk { trace, spans, logs: vec![log(first)] }, &mut |_| {});
            }
            if has_root {
                let spans = vec![span(0, None, 0, 9_000, false)];
                let trace = Arc::clone(&trace);
                stage.push(now, Chunk { trace, spans, logs: Vec::new() }, &mut |_| {});
            }
            if id % 100 == 0 {
                let (held, remembered) = stage.hold.as_ref().expect("a hold").bytes();
                assert!(held <= 64 << 20, "{held}");
                assert!(remembered <= 16 << 20, "{remembered}");
                if has_root {
                    assert!(remembered <= 256 * (id as usize + 1), "{remembered} of {id}");
                }
            }
        }
    }
}
