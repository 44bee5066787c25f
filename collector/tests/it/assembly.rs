//! The assembler, told everything in every order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use observe_collector::assembly::{
    Assembler, AssemblyDropped, Defects, End, Event, Folded, Limits, Start, StreamId, TraceKey,
};
use observe_collector::event::{
    Attribute, Chunk, LogRecord, Number, Severity, SpanEvent, SpanId, SpanLink, SpanNumber,
    SpanRecord, Status, SymbolId, SymbolTable, TraceId, TraceInfo, Value,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq};
use proptest::prelude::{prop_oneof, proptest};

use crate::allocations::held;

const TRACE: TraceKey = TraceKey(1);
const MAIN: StreamId = StreamId(1);
const TASK: StreamId = StreamId(2);

fn info(number: u8) -> Arc<TraceInfo> {
    Arc::new(TraceInfo {
        trace_id: TraceId([number; 16]),
        parent: None,
        seed: number.into(),
        symbols: Arc::new(SymbolTable::default()),
    })
}

fn start(span: u32, time_unix_nanos: u64) -> Event {
    Event::Start(Start { time_unix_nanos, ..Start::named(SpanNumber(span), format!("s{span}")) })
}

fn end(span: u32, time_unix_nanos: u64) -> Event {
    Event::End(End { time_unix_nanos, ..End::of(SpanNumber(span)) })
}

fn attribute(span: Option<u32>, key: &'static str, value: i64) -> Event {
    let attribute = Attribute::new(key, value);
    Event::Attribute { span: span.map(SpanNumber), attribute }
}

fn log(span: Option<u32>, body: &str) -> LogRecord {
    LogRecord {
        time_unix_nanos: 5,
        span: span.map(SpanNumber),
        severity: Severity::Info,
        body: body.to_owned(),
        attributes: Vec::new(),
        dropped_attributes: 0,
    }
}

/// An assembler of one trace, and what comes out.
struct Bench {
    assembler: Assembler,
    now: Instant,
    spans: Vec<SpanRecord>,
    logs: Vec<LogRecord>,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        let (mut assembler, now) = (Assembler::new(limits), Instant::now());
        assert!(assembler.begin(now, TRACE, info(1)));
        Bench { assembler, now, spans: Vec::new(), logs: Vec::new() }
    }

    fn with(&mut self, run: impl FnOnce(&mut Assembler, Instant, &mut dyn FnMut(Chunk))) {
        run(&mut self.assembler, self.now, &mut |chunk| {
            assert!(!(chunk.spans.is_empty() && chunk.logs.is_empty()));
            self.spans.extend(chunk.spans);
            self.logs.extend(chunk.logs);
        });
        assert!(self.assembler.counts().is_balanced());
    }

    fn tell(&mut self, stream: StreamId, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.with(|it, now, mut out| it.push(now, TRACE, stream, event, &mut out));
        }
    }

    fn later(&mut self, time: Duration) {
        self.now += time;
        self.with(|it, now, mut out| it.tick(now, &mut out));
    }

    fn finish(&mut self) -> Defects {
        self.with(|it, _, mut out| it.end(TRACE, &mut out));
        self.assembler.counts().defects
    }

    fn span(&self, number: u32) -> &SpanRecord {
        let mut of = self.spans.iter().filter(|span| span.number == SpanNumber(number));
        let span = of.next().unwrap_or_else(|| panic!("no span {number}"));
        assert!(of.next().is_none(), "span {number} came out twice");
        span
    }

    fn parent(&self, number: u32) -> Option<u32> {
        self.span(number).parent.map(|parent| parent.0)
    }
}

fn said<'a>(span: &'a SpanRecord, key: &str) -> Option<&'a Value> {
    let detail = span.detail.as_deref()?;
    detail.attributes.iter().find(|attribute| attribute.key == key).map(|found| &found.value)
}

fn defect(span: &SpanRecord) -> Option<&str> {
    match said(span, "observe.assembly.defect")? {
        Value::String(defect) => Some(defect),
        other => panic!("{other:?}"),
    }
}

#[test]
fn spans_stand_under_what_is_open_in_their_stream() {
    let mut bench = Bench::new(Limits::default());
    bench.tell(MAIN, [start(0, 1), start(1, 2)]);
    bench.tell(TASK, [start(2, 3), start(3, 4)]);
    let of_symbol = Start::of_symbol(SpanNumber(4), SymbolId(9));
    bench.tell(MAIN, [Event::Start(Start { parent: Some(SpanNumber(2)), ..of_symbol })]);
    bench.tell(TASK, [end(3, 5), end(2, 6)]);
    bench.tell(MAIN, [end(4, 6), end(1, 7), end(0, 8)]);
    assert_eq!(bench.finish(), Defects::default());
    let parents = [0, 1, 2, 3, 4].map(|number| bench.parent(number));
    assert_eq!(parents, [None, Some(0), Some(0), Some(2), Some(2)]);
    assert_eq!((bench.span(4).symbol, &bench.span(4).detail), (Some(SymbolId(9)), &None));
    let order: Vec<_> = bench.spans.iter().map(|span| span.number.0).collect();
    assert_eq!(order, [3, 2, 4, 1, 0]);
    assert_eq!((bench.span(3).start_unix_nanos, bench.span(3).end_unix_nanos), (4, 5));
}

#[test]
fn what_is_said_belongs_to_the_span_that_is_open() {
    let mut bench = Bench::new(Limits::default());
    let event = SpanEvent { name: "miss".to_owned(), ..SpanEvent::default() };
    let link = SpanLink::new(TraceId([2; 16]), SpanId([3; 8]));
    let folded = Folded { spans: 3, errors: 1, nanos: 2_000_000_000 };
    bench.tell(MAIN, [start(0, 1), start(1, 2), attribute(None, "a", 1), attribute(None, "a", 2)]);
    bench.tell(
        MAIN,
        [
            Event::SpanEvent { span: None, event: event.clone() },
            Event::Link { span: None, link: link.clone() },
            Event::Folded { span: None, folded },
            Event::Folded { span: None, folded },
            attribute(Some(0), "of the root", 3),
            Event::Log(log(None, "inner")),
        ],
    );
    bench.tell(TASK, [Event::Log(log(None, "task")), Event::Log(log(Some(77), "named"))]);
    let exemplar = bench.assembler.exemplar(TRACE, MAIN, 5, Number::Int(4));
    let ids = (Some(TraceId([1; 16])), Some(info(1).span_id(SpanNumber(1))));
    assert_eq!((exemplar.trace_id, exemplar.span_id), ids);
    let failed =
        End { status: Status::Error, status_message: "why".to_owned(), ..End::of(SpanNumber(1)) };
    bench.tell(MAIN, [Event::End(failed), end(0, 9)]);
    let defects = bench.finish();
    assert_eq!(defects.disorder, 1, "the end of span 1 lies before its beginning");
    let inner = bench.span(1);
    let detail = inner.detail.as_deref().expect("a detail");
    assert_eq!((&detail.events, &detail.links), (&vec![event], &vec![link]));
    assert_eq!((inner.status, detail.status_message.as_str()), (Status::Error, "why"));
    assert_eq!((inner.start_unix_nanos, inner.end_unix_nanos), (2, 2));
    assert_eq!(said(inner, "a"), Some(&Value::Int(2)));
    assert_eq!(said(inner, "observe.folded.spans"), Some(&Value::Int(6)));
    assert_eq!(said(inner, "observe.folded.errors"), Some(&Value::Int(2)));
    assert_eq!(said(inner, "observe.folded.time"), Some(&Value::Double(4.0)));
    assert_eq!(said(bench.span(0), "of the root"), Some(&Value::Int(3)));
    let logs: Vec<_> = bench.logs.iter().map(|log| (log.body.as_str(), log.span)).collect();
    let span = |number| Some(SpanNumber(number));
    assert_eq!(logs, [("inner", span(1)), ("task", span(0)), ("named", span(77))]);
}

#[test]
fn each_defect_is_counted_and_marked() {
    let mut bench = Bench::new(Limits::default());
    bench.tell(MAIN, [attribute(None, "nowhere", 1)]);
    bench.tell(MAIN, [start(0, 1), start(1, 2), start(1, 3), end(1, 4), end(1, 5), start(1, 6)]);
    bench.tell(MAIN, [attribute(Some(1), "late", 1)]);
    // Told to end before it was told to begin, but nothing is missing.
    bench.tell(MAIN, [attribute(Some(2), "early", 1), end(2, 8), start(2, 7)]);
    // Without a beginning.
    bench.tell(MAIN, [end(3, 8), end(3, 9)]);
    let own = Start { parent: Some(SpanNumber(4)), ..Start::named(SpanNumber(4), "own") };
    bench.tell(MAIN, [Event::Start(own), end(4, 9)]);
    // Spoken of, and never there.
    bench.tell(MAIN, [attribute(Some(5), "never", 1)]);
    let defects = bench.finish();
    let expected = Defects {
        missing_end: 1,
        missing_start: 1,
        duplicate: 3,
        disorder: 2,
        late: 2,
        unplaced: 2,
        ..Defects::default()
    };
    assert_eq!(defects, expected);
    let marks = [0, 1, 2, 3, 4].map(|number| defect(bench.span(number)));
    let expected = ["missing_end", "duplicate", "disorder", "duplicate", "disorder"].map(Some);
    assert_eq!(marks, expected);
    assert_eq!(bench.span(0).end_unix_nanos, 9, "the last that was heard of the trace");
    assert_eq!(said(bench.span(2), "early"), Some(&Value::Int(1)));
    assert_eq!((bench.parent(4), bench.parent(3)), (Some(0), Some(0)));
    assert_eq!((bench.span(3).start_unix_nanos, bench.span(3).end_unix_nanos), (8, 8));
    bench.tell(MAIN, [start(9, 1), end(9, 2), Event::Log(log(None, "after"))]);
    let counts = bench.assembler.counts();
    let dropped = AssemblyDropped { unknown_trace: 1, ..AssemblyDropped::default() };
    assert_eq!((counts.dropped, counts.dropped_logs, counts.open), (dropped, 1, 0));
}

#[test]
fn what_does_not_fit_is_folded_and_counted() {
    let limits = Limits { open_spans: 2, attributes: 1, events: 0, links: 0, ..Limits::default() };
    let mut bench = Bench::new(limits);
    bench.tell(MAIN, [start(0, 1), start(1, 2), start(2, 3), start(3, 4), end(3, 5), end(2, 6)]);
    bench.tell(MAIN, [attribute(None, "a", 1), attribute(None, "b", 2), attribute(None, "a", 3)]);
    let event = SpanEvent::default();
    let link = SpanLink::new(TraceId([2; 16]), SpanId([3; 8]));
    bench.tell(MAIN, [Event::SpanEvent { span: None, event }, Event::Link { span: None, link }]);
    bench.tell(MAIN, [end(1, 7), start(4, 8), end(4, 9), end(0, 10)]);
    let defects = bench.finish();
    assert_eq!(defects, Defects { late: 2, ..Defects::default() });
    let counts = bench.assembler.counts();
    assert_eq!((counts.started, counts.emitted, counts.dropped.too_many_open), (5, 3, 2));
    assert_eq!(said(bench.span(1), "observe.folded.spans"), Some(&Value::Int(2)));
    assert_eq!(said(bench.span(1), "a"), Some(&Value::Int(3)));
    let detail = bench.span(1).detail.as_deref().expect("a detail");
    let dropped = (detail.dropped_attributes, detail.dropped_events, detail.dropped_links);
    assert_eq!(dropped, (1, 1, 1));

    let mut assembler = Assembler::new(Limits { traces: 1, ..Limits::default() });
    assert!(assembler.begin(bench.now, TRACE, info(1)));
    assert!(!assembler.begin(bench.now, TRACE, info(1)));
    assert!(!assembler.begin(bench.now, TraceKey(2), info(2)));
    let defects = assembler.counts().defects;
    assert_eq!((defects.duplicate_trace, defects.too_many_traces), (1, 1));
}

#[test]
fn time_closes_what_stays_open_and_lets_go_what_waits() {
    let timeout = Duration::from_secs(60);
    let mut bench = Bench::new(Limits { timeout, ..Limits::default() });
    let began = bench.now;
    bench.tell(MAIN, [start(0, 1), start(1, 2), end(1, 3)]);
    assert_eq!(bench.assembler.due(), Some(began + Duration::from_secs(1)));
    bench.later(Duration::from_millis(999));
    assert!(bench.spans.is_empty());
    bench.later(Duration::from_millis(1));
    assert_eq!(bench.spans.len(), 1);
    bench.later(Duration::from_secs(58));
    bench.tell(MAIN, [start(2, 1_000)]);
    assert!(bench.assembler.due() <= Some(began + timeout));
    // The root has been open for too long; the trace is not quiet, and the other span stays.
    bench.later(Duration::from_secs(1));
    bench.later(Duration::from_secs(1));
    assert_eq!(defect(bench.span(0)), Some("timed_out"));
    assert_eq!(bench.span(0).end_unix_nanos, 1_000);
    assert_eq!(bench.assembler.counts().open, 1);
    bench.tell(MAIN, [end(0, 2_000)]);
    assert_eq!(bench.assembler.counts().defects.late, 1);
    // The trace is quiet for so long that it is over.
    bench.later(timeout);
    bench.later(timeout);
    assert_eq!(bench.span(2).parent, Some(SpanNumber(0)));
    assert!(defect(bench.span(2)).is_some());
    assert_eq!(bench.assembler.due(), None);
    bench.tell(MAIN, [start(3, 1)]);
    assert_eq!(bench.assembler.counts().dropped.unknown_trace, 1);
}

#[test]
fn chunks_are_of_the_size_that_was_asked_for() {
    let mut assembler = Assembler::new(Limits { chunk: 10, ..Limits::default() });
    let (now, mut sizes) = (Instant::now(), Vec::new());
    assembler.begin(now, TRACE, info(1));
    for span in 0..25 {
        for event in [start(span, 1), end(span, 2)] {
            assembler.push(now, TRACE, MAIN, event, &mut |chunk| sizes.push(chunk.spans.len()));
        }
    }
    assembler.finish(&mut |chunk| sizes.push(chunk.spans.len()));
    assert_eq!(sizes, [10, 10, 5]);
}

#[test]
fn spans_that_nobody_ends_take_bounded_memory() {
    let limits = Limits { open_spans: 1_000, chunk: 100, traces: 10, ..Limits::default() };
    let (mut assembler, now) = (Assembler::new(limits), Instant::now());
    let mut run = |from: u32| {
        for number in from..from + 200_000 {
            let (key, stream) = (TraceKey((number / 1_000).into()), StreamId(number.into()));
            assembler.begin(now, key, info(1));
            // Every other span ends, far apart, so that runs of numbers are many.
            assembler.push(now, key, stream, start(number * 3, 1), &mut drop);
            if number % 2 == 0 {
                assembler.push(now, key, stream, end(number * 3, 2), &mut drop);
            }
            if number % 1_000 == 999 {
                assembler.end(TraceKey((number / 1_000).into()), &mut drop);
            }
        }
        assert!(assembler.counts().is_balanced());
        held()
    };
    let first = run(0);
    let second = run(200_000);
    assert!(second - first < 100_000, "{first} {second}");
}

#[test]
fn spans_that_end_from_the_outermost_on_take_bounded_memory() {
    let mut bench = Bench::new(Limits { open_spans: 10, ..Limits::default() });
    bench.tell(MAIN, [start(0, 1)]);
    let before = held();
    for number in 1..100_000 {
        bench.tell(MAIN, [start(number, 1), end(number - 1, 2)]);
        bench.spans.clear();
    }
    assert!(held() - before < 200_000);
    bench.tell(MAIN, [start(100_000, 3), end(100_000, 4)]);
    assert_eq!(bench.finish(), Defects { missing_end: 1, ..Defects::default() });
    assert_eq!(bench.parent(100_000), Some(99_999));
}

/// What may happen to an assembler.
#[derive(Clone, Debug)]
enum Op {
    Begin(u8),
    Push(u8, u8, Event),
    End(u8),
    Tick(u16),
}

fn event() -> impl Strategy<Value = Event> {
    let number = || prop_oneof![4 => 0..12_u32, 1 => any::<u32>()].prop_map(SpanNumber);
    let which = || option::weighted(0.3, number());
    let time = || prop_oneof![4 => 0..1_000_u64, 1 => any::<u64>()];
    prop_oneof![
        4 => (number(), which(), time()).prop_map(|(span, parent, time_unix_nanos)| {
            Event::Start(Start { parent, time_unix_nanos, ..Start::named(span, "s") })
        }),
        4 => (number(), time()).prop_map(|(span, time_unix_nanos)| {
            Event::End(End { time_unix_nanos, ..End::of(span) })
        }),
        1 => which().prop_map(|span| {
            Event::Attribute { span, attribute: Attribute::new("a", true) }
        }),
        1 => which().prop_map(|span| Event::SpanEvent { span, event: SpanEvent::default() }),
        1 => which().prop_map(|span| {
            Event::Link { span, link: SpanLink::new(TraceId([1; 16]), SpanId([1; 8])) }
        }),
        1 => (which(), any::<[u64; 3]>()).prop_map(|(span, [spans, errors, nanos])| {
            Event::Folded { span, folded: Folded { spans, errors, nanos } }
        }),
        1 => which().prop_map(|span| Event::Log(log(span.map(|span| span.0), "log"))),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => (0..4_u8).prop_map(Op::Begin),
        20 => (0..4_u8, 0..3_u8, event()).prop_map(|(key, stream, event)| {
            Op::Push(key, stream, event)
        }),
        1 => (0..4_u8).prop_map(Op::End),
        1 => any::<u16>().prop_map(Op::Tick),
    ]
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn whatever_happens_adds_up(
        ops in vec(op(), 0..200),
        open_spans in 0..20_usize,
        chunk in 0..8_usize,
    ) {
        let limits = Limits {
            traces: 3,
            open_spans,
            attributes: 2,
            events: 2,
            links: 2,
            chunk,
            delay: Duration::from_millis(50),
            timeout: Duration::from_millis(500),
        };
        let (mut assembler, mut now) = (Assembler::new(limits), Instant::now());
        let (mut spans, mut logs, mut instances) = (HashSet::new(), 0, 0_u64);
        let mut emitted = 0_u64;
        for op in ops.into_iter().chain([Op::Tick(u16::MAX), Op::Tick(u16::MAX)]) {
            let mut twice = None;
            let mut out = |chunk: Chunk| {
                logs += chunk.logs.len() as u64;
                for span in chunk.spans {
                    emitted += 1;
                    assert!(span.start_unix_nanos <= span.end_unix_nanos);
                    assert_ne!(span.parent, Some(span.number));
                    // Each trace has an identity of its own.
                    let id = (Arc::as_ptr(&chunk.trace) as usize, chunk.trace.seed, span.number);
                    if !spans.insert(id) {
                        twice = Some(id);
                    }
                }
            };
            match op {
                Op::Begin(key) => {
                    instances += 1;
                    let info = TraceInfo {
                        trace_id: TraceId([1; 16]),
                        parent: None,
                        seed: instances,
                        symbols: Arc::default(),
                    };
                    assembler.begin(now, TraceKey(key.into()), Arc::new(info));
                }
                Op::Push(key, stream, event) => {
                    let (key, stream) = (TraceKey(key.into()), StreamId(stream.into()));
                    assembler.push(now, key, stream, event, &mut out);
                }
                Op::End(key) => assembler.end(TraceKey(key.into()), &mut out),
                Op::Tick(millis) => {
                    now += Duration::from_millis(millis.into());
                    assembler.tick(now, &mut out);
                    prop_assert!(assembler.due().is_none_or(|due| due > now));
                }
            }
            prop_assert_eq!(twice, None);
            let counts = assembler.counts();
            prop_assert!(counts.is_balanced(), "{counts:?}");
            prop_assert!(counts.open <= open_spans as u64);
            prop_assert!(emitted <= counts.emitted && counts.emitted <= emitted + 3 * chunk.max(1) as u64);
        }
        // All was quiet for longer than the timeout.
        let counts = assembler.counts();
        prop_assert_eq!((counts.emitted, counts.open, counts.logs), (emitted, 0, logs));
        prop_assert_eq!(assembler.due(), None);
    }

    /// A tree that is told as it happens comes out as it was; told with losses, repetitions and in
    /// another order, what comes out of it is right or marked.
    #[test]
    fn what_is_not_marked_is_as_it_happened(
        parents in vec(any::<proptest::sample::Index>(), 1..40),
        keys in vec((any::<u16>(), 0..10_u8), 200),
        disturbed in any::<bool>(),
    ) {
        // Each span but the first stands under an earlier one; in depth-first order.
        let number_of = parents.len() as u32;
        let above: Vec<u32> =
            (1..number_of).map(|n| parents[n as usize].index(n as usize) as u32).collect();
        let mut events = Vec::new();
        fn walk(at: u32, above: &[u32], events: &mut Vec<Event>) {
            events.push(start(at, 2 * events.len() as u64));
            events.push(attribute(Some(at), "number", at.into()));
            let under = (1..=above.len() as u32).filter(|n| above[*n as usize - 1] == at);
            under.for_each(|n| walk(n, above, events));
            events.push(end(at, 2 * events.len() as u64));
        }
        walk(0, &above, &mut events);
        let mut told: Vec<_> = events.clone();
        if disturbed {
            let mut keyed: Vec<_> = events.iter().zip(&keys).enumerate().collect();
            // Some move a little, some are lost, some come twice.
            keyed.sort_by_key(|(at, (_, (key, _)))| at + usize::from(*key % 5));
            told = keyed.into_iter().flat_map(|(_, (event, (_, fate)))| match fate {
                0 => vec![],
                1 => vec![event.clone(); 2],
                _ => vec![event.clone()],
            }).collect();
        }
        let mut bench = Bench::new(Limits::default());
        bench.tell(MAIN, told);
        let defects = bench.finish();
        let times: HashMap<_, _> = events.iter().filter_map(|event| match event {
            Event::Start(start) => {
                let end = events.iter().find_map(|event| match event {
                    Event::End(end) if end.span == start.span => Some(end.time_unix_nanos),
                    _ => None,
                });
                Some((start.span, (start.time_unix_nanos, end?)))
            }
            _ => None,
        }).collect();
        for span in &bench.spans {
            if !disturbed {
                let expected = span.number.0.checked_sub(1).map(|at| SpanNumber(above[at as usize]));
                prop_assert_eq!(span.parent, expected);
                prop_assert_eq!(said(span, "number"), Some(&Value::Int(span.number.0.into())));
            }
            if defect(span).is_none() {
                prop_assert_eq!((span.start_unix_nanos, span.end_unix_nanos), times[&span.number]);
            }
        }
        if !disturbed {
            prop_assert_eq!(defects, Defects::default());
            prop_assert_eq!(bench.spans.len(), parents.len());
        }
    }
}
