//! Nanoseconds of wall time for each span on its way through a collector to an exporter that does
//! nothing, without a stage in between and with each kind. All contenders run in turn in one process,
//! and what counts is the median of the rounds.
//!
//! `cargo bench -p observe-collector --bench stage`

use std::sync::Arc;
use std::time::{Duration, Instant};

use observe_collector::event::{
    Chunk, SpanNumber, SpanRecord, Status, Symbol, SymbolId, SymbolTable, TraceId, TraceInfo,
};
use observe_collector::sampling::{Failed, Proportion, Ratio, Sampler, TailSampling};
use observe_collector::{Builder, Collector, Counts, Exporter, OnFull};

const TRACES: u64 = 256;
const CHUNKS: u32 = 8;
const SPANS: u32 = 256;
const ROUNDS: usize = 31;
const LONG: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Nowhere(u64);

impl Exporter for Nowhere {
    fn name(&self) -> &str {
        "nowhere"
    }

    fn export(&mut self, chunk: &Chunk) {
        self.0 += chunk.spans.len() as u64;
    }

    fn flush(&mut self, _deadline: Instant) {}

    fn counts(&self) -> Counts {
        Counts { accepted: self.0, delivered: self.0, ..Counts::default() }
    }

    fn last_error(&self) -> Option<String> {
        None
    }
}

/// Whole traces, the root last.
fn chunks(symbols: &Arc<SymbolTable>, first: u64) -> Vec<Chunk> {
    let number = CHUNKS * SPANS;
    let mut chunks = Vec::new();
    for id in first..first + TRACES {
        let trace_id =
            TraceId((u128::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1).to_be_bytes());
        let symbols = Arc::clone(symbols);
        let trace = Arc::new(TraceInfo { trace_id, parent: None, seed: id, symbols });
        let span = |n: u32| SpanRecord {
            start_unix_nanos: 1_700_000_000_000_000_000,
            end_unix_nanos: 1_700_000_000_000_000_000
                + u64::from(number - n) * 1_000
                + u64::from(n.wrapping_mul(2_654_435_761) % 900),
            number: SpanNumber(n),
            parent: (n > 0).then_some(SpanNumber(n / 4)),
            symbol: Some(SymbolId(n % 200)),
            status: Status::Unset,
            detail: None,
        };
        for chunk in (0..CHUNKS).rev() {
            let spans = (chunk * SPANS..(chunk + 1) * SPANS).rev().map(span).collect();
            chunks.push(Chunk { trace: Arc::clone(&trace), spans, logs: Vec::new() });
        }
    }
    chunks
}

fn main() {
    let symbol = |n: u32| Symbol { name: format!("function_{n}"), attributes: Vec::new() };
    let symbols = Arc::new(SymbolTable::new((0..200).map(symbol).collect()));
    let ratio = Ratio::new(0.1).expect("a share");
    type Contender = (&'static str, fn(Builder, Ratio) -> Builder);
    let contenders: [Contender; 5] = [
        ("no stage", |builder, _| builder),
        ("head, 10 %", |builder, ratio| builder.sampler(Sampler::TraceIdRatio(ratio))),
        ("tail, all kept", |builder, _| builder.tail_sampling(TailSampling::new())),
        ("tail, failed or 10 %", |builder, ratio| {
            let tail = TailSampling::new().policy(Failed).policy(Proportion(ratio));
            builder.tail_sampling(tail)
        }),
        ("cap of 100 in 2,048", |builder, _| builder.max_spans_per_trace(100)),
    ];
    let running = contenders.map(|(name, with)| {
        let builder =
            Collector::builder().on_full(OnFull::Block).exporter(Box::<Nowhere>::default());
        (name, with(builder, ratio).start())
    });
    let mut rounds = vec![Vec::new(); running.len()];
    for round in 0..ROUNDS as u64 {
        for ((_, collector), nanos) in running.iter().zip(&mut rounds) {
            let chunks = chunks(&symbols, 1 + round * TRACES);
            let spans: usize = chunks.iter().map(|chunk| chunk.spans.len()).sum();
            let handle = collector.handle();
            let start = Instant::now();
            chunks.into_iter().for_each(|chunk| handle.send(chunk));
            assert!(collector.flush(LONG));
            nanos.push(start.elapsed().as_nanos() as f64 / spans as f64);
        }
    }
    println!("median of {ROUNDS} rounds of {TRACES} traces of {} spans", CHUNKS * SPANS);
    for ((name, collector), mut nanos) in running.into_iter().zip(rounds) {
        nanos.sort_by(f64::total_cmp);
        let report = collector.shutdown(LONG);
        assert!(report.stage.spans.is_balanced());
        let (passed, middle) = (report.exporters[0].counts.delivered, nanos[nanos.len() / 2]);
        println!("{name:>22}: {middle:6.1} ns/span, {passed} exported");
    }
}
