//! From `Handle::send` to the socket, on all threads, a request takes memory but a span does not. A
//! program of its own: the allocator counts what every thread asks for, also those of other tests.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use observe_collector::event::{
    Attribute, Chunk, SpanNumber, SpanRecord, Status, Symbol, SymbolId, SymbolTable, TraceId,
    TraceInfo,
};
use observe_collector::otlp::{Config, OtlpExporter};
use observe_collector::{Collector, Resource};

/// How often anybody has asked for memory.
static ASKED: AtomicU64 = AtomicU64::new(0);

/// The allocator of the system, which counts.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is passed on to the allocator of the system as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Enough for everything that works.
const LONG: Duration = Duration::from_secs(20);

/// How many requests are counted, of a chunk each.
const REQUESTS: u64 = 64;

/// Takes what comes, in the same memory, for as long as there is a connection.
fn serve(mut stream: TcpStream) -> Option<()> {
    let mut buffer = [0; 64 << 10];
    let mut filled = 0;
    loop {
        let head = loop {
            let end = buffer[..filled].windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            filled += read(&mut stream, &mut buffer[filled..])?;
        };
        let mut lines = std::str::from_utf8(&buffer[..head]).ok()?.lines();
        let length = lines.find_map(|line| line.strip_prefix("content-length: "))?;
        let mut rest = length.parse::<usize>().ok()? - (filled - head);
        while rest > 0 {
            let most = rest.min(buffer.len());
            rest -= read(&mut stream, &mut buffer[..most])?;
        }
        filled = 0;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n\
            content-length: 0\r\n\r\n";
        stream.write_all(answer).ok()?;
    }
}

/// Reads something; `None` at the end.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Option<usize> {
    stream.read(buffer).ok().filter(|bytes| *bytes > 0)
}

/// A chunk of so many spans with three attributes.
fn chunk(spans: u32) -> Chunk {
    let symbol = Symbol {
        name: "f".to_owned(),
        attributes: vec![
            Attribute::new("code.function.name", "f"),
            Attribute::new("code.file.path", "src/f.rs"),
            Attribute::new("code.line.number", 7_i64),
        ],
    };
    let trace = TraceInfo {
        trace_id: TraceId([1; 16]),
        parent: None,
        seed: 1,
        symbols: Arc::new(SymbolTable::new(vec![symbol])),
    };
    let span = |number: u32| SpanRecord {
        start_unix_nanos: 1_700_000_000_000_000_000,
        end_unix_nanos: 1_700_000_000_000_000_000 + u64::from(number),
        number: SpanNumber(number + 1),
        parent: None,
        symbol: Some(SymbolId(0)),
        status: Status::Unset,
        detail: None,
    };
    Chunk { trace: Arc::new(trace), spans: (0..spans).map(span).collect(), logs: Vec::new() }
}

/// How often memory is asked for while chunks of so many spans are delivered, a request for each.
fn allocations(spans: u32) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            serve(stream);
        }
    });
    let lookup = |name: &str| (name == "OTEL_BSP_MAX_EXPORT_BATCH_SIZE").then(|| spans.to_string());
    let config = Config::for_endpoint_with(&url, &lookup).expect("a configuration");
    let exporter = OtlpExporter::new(config, Resource::new());
    let collector = Collector::builder().exporter(Box::new(exporter)).start();
    let handle = collector.handle();
    let deliver = |chunk| {
        handle.send(chunk);
        assert!(collector.flush(LONG));
    };
    // By the end of these there is a connection, and memory.
    (0..8).for_each(|_| deliver(chunk(spans)));
    let chunks: Vec<_> = (0..REQUESTS).map(|_| chunk(spans)).collect();
    let before = ASKED.load(Ordering::Relaxed);
    chunks.into_iter().for_each(deliver);
    let asked = ASKED.load(Ordering::Relaxed) - before;
    let report = collector.shutdown(LONG);
    let counts = report.exporters[0].counts;
    assert!(counts.is_balanced(), "{report:?}");
    assert_eq!(counts.delivered, (REQUESTS + 8) * u64::from(spans), "{report:?}");
    asked
}

#[test]
fn a_span_takes_no_memory_on_its_way_to_the_socket() {
    let (few, many) = (allocations(512), allocations(1024));
    assert!(few >= REQUESTS, "what a request takes is counted: {few}");
    // The ends of periods may fall into one of the two. Were it one for every hundredth span, there
    // were 327 more.
    assert!(many < few + REQUESTS, "{REQUESTS} requests: {few} of 512 spans, {many} of 1024");
}
