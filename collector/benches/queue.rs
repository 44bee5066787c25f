//! Nanoseconds for each span, with batches in memory and on disk: on the thread that records, and
//! from the first record to the last answer of a receiver in the same process. All contenders run in
//! turn, and what counts is the median of the differences of neighbouring runs.
//!
//! `cargo bench -p observe-collector --bench queue -- [DIR]`, with a directory on the disk to be
//! measured; without one the system's for temporary files.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use observe_collector::event::{
    Attribute, Chunk, SpanNumber, SpanRecord, Status, Symbol, SymbolId, SymbolTable, TraceId,
    TraceInfo,
};
use observe_collector::otlp::{Config, DiskQueue, OtlpExporter};
use observe_collector::{Exporter, Resource};

const SPANS: u32 = 512;
const CHUNKS: u32 = 400;
const ROUNDS: usize = 15;

const NAMES: [&str; 3] = ["memory", "disk, synced within 100 ms", "disk, every batch synced"];

fn chunk() -> Chunk {
    let symbol = Symbol {
        name: "module::function".to_owned(),
        attributes: vec![
            Attribute::new("code.function.name", "module::function"),
            Attribute::new("code.file.path", "src/module.rs"),
            Attribute::new("code.line.number", 7),
            Attribute::new("wasm.function.index", 7),
        ],
    };
    let trace = TraceInfo {
        trace_id: TraceId([7; 16]),
        parent: None,
        seed: 42,
        symbols: Arc::new(SymbolTable::new(vec![symbol])),
    };
    let span = |n: u32| SpanRecord {
        start_unix_nanos: 1_700_000_000_000_000_000,
        end_unix_nanos: 1_700_000_000_000_000_700,
        number: SpanNumber(n + 1),
        parent: Some(SpanNumber(n / 2)),
        symbol: Some(SymbolId(0)),
        status: Status::Unset,
        detail: None,
    };
    Chunk { trace: Arc::new(trace), spans: (0..SPANS).map(span).collect(), logs: Vec::new() }
}

/// Reads requests and answers each with 200.
fn serve(stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    let (mut length, mut body) = (0, Vec::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
            (&*stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        }
    }
}

/// Nanoseconds a span: to record, and until all is delivered.
fn time(url: &str, disk: Option<DiskQueue>, chunk: &Chunk) -> [f64; 2] {
    let config = Config::for_endpoint_with(url, &|_| None).expect("a URL");
    let mut exporter = match disk {
        Some(disk) => OtlpExporter::with_disk_queue(config, Resource::new(), disk),
        None => OtlpExporter::new(config, Resource::new()),
    };
    let start = Instant::now();
    for _ in 0..CHUNKS {
        exporter.export(chunk);
    }
    let recorded = start.elapsed();
    exporter.flush(Instant::now() + Duration::from_secs(60));
    let delivered = start.elapsed();
    let counts = exporter.counts();
    assert_eq!(counts.delivered, u64::from(SPANS * CHUNKS), "{counts:?}");
    [recorded, delivered].map(|took| took.as_nanos() as f64 / f64::from(SPANS * CHUNKS))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let given = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let parent = given.map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::TempDir::new_in(parent).expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(&stream));
        }
    });
    let chunk = chunk();
    let open = |window| DiskQueue::open(dir.path()).expect("a directory").sync_window(window);
    let mut rounds: Vec<[[f64; 2]; 3]> = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push([
            time(&url, None, &chunk),
            time(&url, Some(open(Duration::from_millis(100))), &chunk),
            time(&url, Some(open(Duration::ZERO)), &chunk),
        ]);
    }
    println!("{ROUNDS} rounds of {} spans in batches of {SPANS}", SPANS * CHUNKS);
    for (contender, name) in NAMES.iter().enumerate() {
        let of = |what: usize| median(rounds.iter().map(|r| r[contender][what]).collect());
        let more =
            |what: usize| median(rounds.iter().map(|r| r[contender][what] - r[0][what]).collect());
        println!(
            "{name:>27}: {:6.1} ns/span to record ({:+6.1}), {:6.1} until delivered ({:+6.1})",
            of(0),
            more(0),
            of(1),
            more(1)
        );
    }
}
