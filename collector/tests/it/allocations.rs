//! The steady state takes no memory: every span is written into what is there.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use observe_collector::event::{
    Attribute, Chunk, SpanDetail, SpanEvent, SpanId, SpanLink, Status, TraceId, Value,
};
use observe_collector::otlp::Encoder;

use crate::fixtures::{plain_chunk, random_chunk};

thread_local! {
    /// How often this thread has asked for memory, and how many bytes it holds.
    static ASKED: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
}

/// The allocator of the system, which counts by thread.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(layout: Layout) {
    // A thread that ends has nothing left to count with.
    let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
    hold(layout.size() as isize);
}

fn hold(bytes: isize) {
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

/// How many bytes this thread holds: what it took, less what it gave back.
pub(crate) fn held() -> isize {
    HELD.get()
}

// SAFETY: everything is passed on to the allocator of the system as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        hold(-(layout.size() as isize));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout);
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout);
        hold(size as isize - 2 * layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// How often `run` asks for memory.
fn allocations(run: impl FnOnce()) -> u64 {
    let before = ASKED.get();
    run();
    ASKED.get() - before
}

fn encode(encoder: &mut Encoder, chunk: &Chunk, out: &mut Vec<u8>) {
    out.clear();
    let mut encoder = encoder.of_trace(&chunk.trace);
    chunk.spans.iter().for_each(|span| encoder.put(span, out));
}

/// Asserts that what was encoded once is encoded again in the same memory.
fn assert_steady(chunk: &Chunk) {
    let (mut encoder, mut out) = (Encoder::default(), Vec::new());
    encode(&mut encoder, chunk, &mut out);
    assert_eq!(allocations(|| encode(&mut encoder, chunk, &mut out)), 0, "{chunk:?}");
}

#[test]
fn plain_spans_are_encoded_without_allocations() {
    assert!(allocations(|| drop(plain_chunk(512))) > 0, "allocations are counted");
    assert_steady(&plain_chunk(512));
}

#[test]
fn spans_with_everything_are_encoded_without_allocations() {
    let mut chunk = plain_chunk(64);
    let attributes: Vec<_> =
        (0..40).map(|n| Attribute::new(format!("key {}", n % 30), Value::Int(n))).collect();
    for span in &mut chunk.spans {
        span.status = Status::Error;
        span.detail = Some(Box::new(SpanDetail {
            name: Some("named".into()),
            status_message: "it failed".to_owned(),
            attributes: attributes.clone(),
            events: vec![SpanEvent {
                name: "event".to_owned(),
                attributes: attributes[..16].to_vec(),
                ..SpanEvent::default()
            }],
            links: vec![SpanLink::new(TraceId([1; 16]), SpanId([2; 8]))],
            ..SpanDetail::default()
        }));
    }
    assert_steady(&chunk);
}

#[test]
fn spans_of_any_kind_are_encoded_without_allocations() {
    for seed in 0..200 {
        let mut chunk = random_chunk(seed);
        // Dozens of attributes of an event or a link have to be put in order.
        for span in &mut chunk.spans {
            let Some(detail) = &mut span.detail else { continue };
            detail.events.iter_mut().for_each(|event| event.attributes.truncate(16));
            detail.links.iter_mut().for_each(|link| link.attributes.truncate(16));
        }
        assert_steady(&chunk);
    }
}
