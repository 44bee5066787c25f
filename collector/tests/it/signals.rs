//! Log records and metrics on their way to the exporters, and what becomes of those.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use observe_collector::event::{Chunk, Metric};
use observe_collector::{Collector, Counts, Dropped, Exporter, OnFull, Signal};

use crate::fixtures::{gauge, logging_chunk, plain_chunk, settled};

const LONG: Duration = Duration::from_secs(20);

/// Keeps how much it got; waits before each chunk for a permit, if it has a way to get them.
#[derive(Default)]
struct Keeper {
    spans: u64,
    logs: u64,
    metrics: Arc<Mutex<Vec<Vec<Metric>>>>,
    permits: Option<mpsc::Receiver<()>>,
    entered: Arc<AtomicU64>,
}

impl Exporter for Keeper {
    fn name(&self) -> &str {
        "keeper"
    }

    fn export(&mut self, chunk: &Chunk) {
        self.entered.fetch_add(1, Ordering::SeqCst);
        if let Some(permits) = &self.permits {
            // Without a sender all may pass.
            let _ = permits.recv();
        }
        self.spans += chunk.spans.len() as u64;
        self.logs += chunk.logs.len() as u64;
    }

    fn export_metrics(&mut self, metrics: &[Metric]) {
        self.metrics.lock().expect("metrics").push(metrics.to_vec());
    }

    fn flush(&mut self, _deadline: Instant) {}

    fn counts(&self) -> Counts {
        all_delivered(self.spans)
    }

    fn counts_of(&self, signal: Signal) -> Option<Counts> {
        match signal {
            Signal::Traces => Some(self.counts()),
            Signal::Logs => Some(all_delivered(self.logs)),
            Signal::Metrics => {
                Some(all_delivered(self.metrics.lock().expect("metrics").len() as u64))
            }
        }
    }

    fn last_error(&self) -> Option<String> {
        None
    }
}

/// Knows of spans only.
#[derive(Default)]
struct SpansOnly(u64);

impl Exporter for SpansOnly {
    fn name(&self) -> &str {
        "spans"
    }

    fn export(&mut self, chunk: &Chunk) {
        self.0 += chunk.spans.len() as u64;
    }

    fn flush(&mut self, _deadline: Instant) {}

    fn counts(&self) -> Counts {
        all_delivered(self.0)
    }

    fn last_error(&self) -> Option<String> {
        None
    }
}

fn all_delivered(number: u64) -> Counts {
    Counts { accepted: number, delivered: number, ..Counts::default() }
}

fn wait_for(what: &AtomicU64, number: u64) {
    let start = Instant::now();
    while what.load(Ordering::SeqCst) < number {
        assert!(start.elapsed() < LONG);
        thread::yield_now();
    }
}

#[test]
fn each_signal_has_an_account_of_its_own() {
    let collector = Collector::builder()
        .exporter(Box::new(Keeper::default()))
        .exporter(Box::new(SpansOnly::default()))
        .start();
    let handle = collector.handle();
    handle.send(logging_chunk(3, 2));
    handle.send(logging_chunk(0, 5));
    handle.send(plain_chunk(4));
    handle.send(plain_chunk(0));
    let report = settled(collector.shutdown(LONG));
    let [keeper, spans] = &report.exporters[..] else { panic!("{report:?}") };
    assert_eq!((keeper.counts, keeper.logs), (all_delivered(7), all_delivered(7)));
    assert_eq!((spans.counts, spans.logs), (all_delivered(7), Counts::default()));
    assert_eq!(spans.metrics, Counts::default());
}

#[test]
fn logs_that_do_not_get_through_are_counted_by_reason() {
    let (permit, permits) = mpsc::channel();
    let keeper = Keeper { permits: Some(permits), ..Keeper::default() };
    let entered = Arc::clone(&keeper.entered);
    let collector = Collector::builder().exporter(Box::new(keeper)).capacity(2).start();
    let handle = collector.handle();
    handle.send(logging_chunk(1, 10));
    wait_for(&entered, 1);
    // Two fit; the others do not.
    for logs in [20, 30, 100, 200] {
        handle.send(logging_chunk(0, logs));
    }
    let full = Dropped { channel_full: 300, ..Dropped::default() };
    assert_eq!((handle.dropped(), handle.dropped_logs()), (Dropped::default(), full));
    thread::scope(|scope| {
        let report = scope.spawn(|| collector.report(LONG));
        drop(permit);
        let report = report.join().expect("no panic").expect("an answer");
        assert!(report.exporters[0].logs.is_balanced(), "{report:?}");
        assert!(report.exporters[0].counts.is_balanced(), "{report:?}");
    });
    let report = settled(collector.shutdown(LONG)).exporters.remove(0);
    let expected = Counts { accepted: 360, delivered: 60, dropped: full, ..Counts::default() };
    assert_eq!((report.counts, report.logs), (all_delivered(1), expected));
    handle.send(logging_chunk(2, 7));
    assert_eq!(handle.dropped(), Dropped { closed: 2, ..Dropped::default() });
    assert_eq!(handle.dropped_logs(), Dropped { closed: 7, ..full });
}

#[test]
fn logs_in_the_channel_are_queued_and_lost_with_a_thread_that_does_not_answer() {
    let (permit, permits) = mpsc::channel();
    let keeper = Keeper { permits: Some(permits), ..Keeper::default() };
    let entered = Arc::clone(&keeper.entered);
    let collector = Collector::builder().exporter(Box::new(keeper)).start();
    collector.handle().send(logging_chunk(1, 1));
    wait_for(&entered, 1);
    collector.handle().send(logging_chunk(2, 3));
    let report = settled(collector.shutdown(Duration::from_millis(20))).exporters.remove(0);
    let lost = |number| {
        let dropped = Dropped { undelivered: number, ..Dropped::default() };
        Counts { accepted: number, dropped, ..Counts::default() }
    };
    assert_eq!((report.counts, report.logs), (lost(3), lost(4)));
    drop(permit);
}

#[test]
fn blocking_loses_no_logs() {
    let collector = Collector::builder()
        .exporter(Box::new(Keeper::default()))
        .capacity(1)
        .on_full(OnFull::Block)
        .start();
    let producers: Vec<_> = (0..4)
        .map(|_| {
            let handle = collector.handle();
            thread::spawn(move || (0..250).for_each(|_| handle.send(logging_chunk(1, 2))))
        })
        .collect();
    for producer in producers {
        producer.join().expect("a producer");
    }
    let report = settled(collector.shutdown(LONG)).exporters.remove(0);
    assert_eq!((report.counts, report.logs), (all_delivered(1_000), all_delivered(2_000)));
}

#[test]
fn a_source_is_asked_at_each_interval_even_under_load() {
    let (asked, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let counted = Arc::clone(&asked);
    // Takes longer for a chunk than the interval is, so that the channel is never empty.
    let (permit, permits) = mpsc::sync_channel(0);
    let keeper = Keeper { permits: Some(permits), ..Keeper::default() };
    let entered = Arc::clone(&keeper.entered);
    let collector = Collector::builder()
        .exporter(Box::new(keeper))
        .metrics(Duration::from_millis(1), move || {
            counted.fetch_add(1, Ordering::SeqCst);
            vec![gauge("often", 1)]
        })
        .on_full(OnFull::Block)
        .capacity(8)
        .start();
    wait_for(&asked, 3);
    let handle = collector.handle();
    let (stopped, permitting) = (Arc::clone(&stop), Arc::clone(&stop));
    let producer = thread::spawn(move || {
        while stopped.load(Ordering::SeqCst) == 0 {
            handle.send(plain_chunk(1));
        }
    });
    let permitter = thread::spawn(move || {
        while permitting.load(Ordering::SeqCst) == 0 {
            thread::sleep(Duration::from_millis(2));
            let _ = permit.try_send(());
        }
    });
    wait_for(&entered, 10);
    let before = asked.load(Ordering::SeqCst);
    wait_for(&asked, before + 5);
    stop.store(1, Ordering::SeqCst);
    permitter.join().expect("no panic");
    producer.join().expect("no panic");
    let report = settled(collector.shutdown(LONG)).exporters.remove(0);
    assert_eq!(report.metrics, all_delivered(asked.load(Ordering::SeqCst)));
}

#[test]
fn sources_are_asked_once_more_by_a_flush_and_at_the_end() {
    let keeper = Keeper::default();
    let metrics = Arc::clone(&keeper.metrics);
    let mut number = 0;
    let collector = Collector::builder()
        .exporter(Box::new(keeper))
        .exporter(Box::new(SpansOnly::default()))
        .metrics(Duration::MAX, move || {
            number += 1;
            vec![gauge("counted", number)]
        })
        .metrics(LONG, || vec![gauge("first", 1), gauge("second", 2)])
        .metrics(LONG, Vec::new)
        .start();
    assert!(collector.flush(LONG));
    settled(collector.shutdown(LONG));
    let expected = |number| vec![gauge("counted", number), gauge("first", 1), gauge("second", 2)];
    assert_eq!(*metrics.lock().expect("metrics"), [expected(1), expected(2)]);
}

#[test]
fn a_source_may_come_later_and_use_a_handle_of_the_collector() {
    let keeper = Keeper::default();
    let metrics = Arc::clone(&keeper.metrics);
    let collector = Collector::builder().exporter(Box::new(keeper)).start();
    let handle = collector.handle();
    collector.metrics(Duration::MAX, move || {
        handle.send(plain_chunk(1));
        vec![gauge("late", 1)]
    });
    assert!(collector.flush(LONG));
    assert_eq!(*metrics.lock().expect("metrics"), [[gauge("late", 1)]]);
    let report = settled(collector.shutdown(LONG)).exporters.remove(0);
    assert_eq!(report.metrics, all_delivered(2));
    // What it sent at the end came too late, and is counted.
    let closed = Dropped { closed: 1, ..Dropped::default() };
    assert_eq!(report.counts, Counts { dropped: closed, accepted: 2, ..all_delivered(1) });

    // It is asked at its interval, too.
    let keeper = Keeper::default();
    let metrics = Arc::clone(&keeper.metrics);
    let collector = Collector::builder().exporter(Box::new(keeper)).start();
    collector.metrics(Duration::from_millis(1), || vec![gauge("often", 1)]);
    let start = Instant::now();
    while metrics.lock().expect("metrics").len() < 3 {
        assert!(start.elapsed() < LONG);
        thread::yield_now();
    }
}

#[test]
fn without_metrics_nothing_is_exported() {
    let keeper = Keeper::default();
    let metrics = Arc::clone(&keeper.metrics);
    let collector = Collector::builder()
        .exporter(Box::new(keeper))
        .metrics(Duration::from_millis(1), Vec::new)
        .start();
    assert!(collector.flush(LONG));
    settled(collector.shutdown(LONG));
    assert!(metrics.lock().expect("metrics").is_empty());
}
