//! The way to the exporters: full, blocked, closed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use observe_collector::event::Chunk;
use observe_collector::{Collector, Counts, Dropped, Exporter, OnFull};

use crate::fixtures::{plain_chunk, settled};

const LONG: Duration = Duration::from_secs(20);

/// A door that an exporter stands before.
#[derive(Default)]
struct Gate {
    /// Whether someone waits, and whether the door is open.
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().expect("state");
        state.0 = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.1).expect("state"));
    }

    fn wait_for_someone(&self) {
        let state = self.state.lock().expect("state");
        let (_state, result) =
            self.changed.wait_timeout_while(state, LONG, |state| !state.0).expect("state");
        assert!(!result.timed_out());
    }

    fn open(&self) {
        self.state.lock().expect("state").1 = true;
        self.changed.notify_all();
    }
}

/// Delivers at once, once its gate is open.
struct Gated {
    gate: Arc<Gate>,
    seen: Arc<AtomicU64>,
}

impl Exporter for Gated {
    fn name(&self) -> &str {
        "gated"
    }

    fn export(&mut self, chunk: &Chunk) {
        self.gate.pass();
        self.seen.fetch_add(chunk.spans.len() as u64, Ordering::SeqCst);
    }

    fn flush(&mut self, _deadline: Instant) {}

    fn shutdown(&mut self, _deadline: Instant) {
        // Time for senders that were blocked to come in when nobody looks any more.
        thread::sleep(Duration::from_millis(2));
    }

    fn counts(&self) -> Counts {
        let spans = self.seen.load(Ordering::SeqCst);
        Counts { accepted: spans, delivered: spans, ..Counts::default() }
    }

    fn last_error(&self) -> Option<String> {
        None
    }
}

struct Setup {
    collector: Collector,
    gate: Arc<Gate>,
    seen: Arc<AtomicU64>,
}

fn setup(capacity: usize, on_full: OnFull) -> Setup {
    let (gate, seen) = (Arc::<Gate>::default(), Arc::<AtomicU64>::default());
    let exporter = Gated { gate: Arc::clone(&gate), seen: Arc::clone(&seen) };
    let collector = Collector::builder()
        .exporter(Box::new(exporter))
        .capacity(capacity)
        .on_full(on_full)
        .start();
    Setup { collector, gate, seen }
}

#[test]
fn a_full_channel_drops_the_newest_and_counts() {
    let Setup { collector, gate, seen } = setup(2, OnFull::Drop);
    let handle = collector.handle();
    handle.send(plain_chunk(1));
    gate.wait_for_someone();
    // Two fit; the others do not.
    for spans in [10, 20, 100, 200] {
        handle.send(plain_chunk(spans));
    }
    let dropped = Dropped { channel_full: 300, ..Dropped::default() };
    assert_eq!(handle.dropped(), dropped);
    gate.open();
    let report = settled(collector.shutdown(LONG));
    assert_eq!(report.exporters.len(), 1);
    assert_eq!(report.exporters[0].name, "gated");
    let counts = report.exporters[0].counts;
    assert_eq!(counts, Counts { accepted: 331, delivered: 31, dropped, ..Counts::default() });
    assert_eq!(seen.load(Ordering::SeqCst), 31);
}

#[test]
fn blocking_loses_nothing() {
    let Setup { collector, gate, .. } = setup(1, OnFull::Block);
    let producers: Vec<_> = (0..4)
        .map(|_| {
            let handle = collector.handle();
            thread::spawn(move || (0..250).for_each(|_| handle.send(plain_chunk(3))))
        })
        .collect();
    gate.wait_for_someone();
    gate.open();
    for producer in producers {
        producer.join().expect("a producer");
    }
    let counts = settled(collector.shutdown(LONG)).exporters[0].counts;
    assert_eq!(counts, Counts { accepted: 3_000, delivered: 3_000, ..Counts::default() });
}

#[test]
fn after_a_shutdown_spans_count_as_closed() {
    for on_full in [OnFull::Drop, OnFull::Block] {
        let Setup { collector, gate, seen } = setup(8, on_full);
        gate.open();
        let handle = collector.handle();
        handle.send(plain_chunk(5));
        let report = settled(collector.shutdown(LONG));
        assert_eq!(report.exporters[0].counts.delivered, 5);
        handle.send(plain_chunk(7));
        handle.clone().send(plain_chunk(1));
        assert_eq!(handle.dropped(), Dropped { closed: 8, ..Dropped::default() });
        assert_eq!(seen.load(Ordering::SeqCst), 5);
    }
}

#[test]
fn senders_that_race_with_a_shutdown_come_back_and_are_counted() {
    for _ in 0..50 {
        let Setup { collector, gate, seen } = setup(1, OnFull::Block);
        gate.open();
        let producers: Vec<_> = (0..2)
            .map(|_| {
                let handle = collector.handle();
                thread::spawn(move || (0..50).for_each(|_| handle.send(plain_chunk(2))))
            })
            .collect();
        let counts = settled(collector.shutdown(LONG)).exporters[0].counts;
        assert!(counts.is_balanced(), "{counts:?}");
        assert_eq!(counts.queued, 0);
        assert_eq!(counts.delivered, seen.load(Ordering::SeqCst));
        assert!(counts.accepted <= 200);
        for producer in producers {
            producer.join().expect("a producer");
        }
    }
}

#[test]
fn a_flush_waits_for_what_was_sent_before() {
    let Setup { collector, gate, seen } = setup(64, OnFull::Drop);
    let handle = collector.handle();
    (0..10).for_each(|_| handle.send(plain_chunk(10)));
    assert!(!collector.flush(Duration::from_millis(20)), "the exporter still waits");
    gate.open();
    assert!(collector.flush(LONG));
    assert_eq!(seen.load(Ordering::SeqCst), 100);
}

#[test]
fn a_report_balances_while_spans_are_in_the_channel() {
    let Setup { collector, gate, .. } = setup(64, OnFull::Drop);
    let handle = collector.handle();
    handle.send(plain_chunk(1));
    gate.wait_for_someone();
    assert_eq!(collector.report(Duration::from_millis(20)), None, "the exporter holds the thread");
    thread::scope(|scope| {
        let report = scope.spawn(|| collector.report(LONG));
        handle.send(plain_chunk(10));
        gate.open();
        let report = report.join().expect("no panic").expect("an answer");
        assert!(report.exporters[0].counts.is_balanced(), "{report:?}");
    });
    let counts = settled(collector.shutdown(LONG)).exporters[0].counts;
    assert_eq!(counts, Counts { accepted: 11, delivered: 11, ..Counts::default() });
}

#[test]
fn a_shutdown_does_not_wait_for_an_exporter_that_never_returns() {
    let Setup { collector, gate, .. } = setup(4, OnFull::Drop);
    let handle = collector.handle();
    handle.send(plain_chunk(1));
    gate.wait_for_someone();
    (0..6).for_each(|_| handle.send(plain_chunk(10)));
    let report = settled(collector.shutdown(Duration::from_millis(20)));
    let dropped = Dropped { channel_full: 20, undelivered: 41, ..Dropped::default() };
    let expected = Counts { accepted: 61, dropped, ..Counts::default() };
    assert_eq!(report.exporters[0].counts, expected);
    let error = report.exporters[0].last_error.as_deref().expect("an error");
    assert!(error.contains("did not answer"), "{error}");
    gate.open();
}

#[test]
fn every_exporter_gets_everything() {
    let (gate, seen) = (Arc::<Gate>::default(), Arc::<AtomicU64>::default());
    gate.open();
    let exporter = || Box::new(Gated { gate: Arc::clone(&gate), seen: Arc::default() });
    let last = Box::new(Gated { gate: Arc::clone(&gate), seen: Arc::clone(&seen) });
    let collector =
        Collector::builder().exporter(exporter()).exporter(exporter()).exporter(last).start();
    (0..10).for_each(|_| collector.handle().send(plain_chunk(7)));
    let report = settled(collector.shutdown(LONG));
    let expected = Counts { accepted: 70, delivered: 70, ..Counts::default() };
    assert_eq!(report.exporters.iter().map(|e| e.counts).collect::<Vec<_>>(), [expected; 3]);
    assert_eq!(seen.load(Ordering::SeqCst), 70);
}

#[test]
fn the_longest_timeout_is_no_overflow() {
    let Setup { collector, gate, .. } = setup(4, OnFull::Drop);
    gate.open();
    collector.handle().send(plain_chunk(1));
    assert!(collector.flush(Duration::MAX));
    assert!(collector.report(Duration::MAX).is_some());
    assert_eq!(settled(collector.shutdown(Duration::MAX)).exporters[0].counts.delivered, 1);
}

#[test]
fn a_collector_that_is_dropped_stops_its_thread() {
    let Setup { collector, gate, .. } = setup(4, OnFull::Drop);
    gate.open();
    let handle = collector.handle();
    handle.send(plain_chunk(1));
    drop(collector);
    handle.send(plain_chunk(1));
    assert_eq!(handle.dropped(), Dropped { closed: 1, ..Dropped::default() });
    // The exporter, and with it the gate, goes when the thread ends.
    let start = Instant::now();
    while Arc::strong_count(&gate) > 1 {
        assert!(start.elapsed() < LONG, "the thread does not end");
        thread::yield_now();
    }
}
