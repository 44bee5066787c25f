//! The disk queue from outside: what it keeps over outages and restarts, what it does when the disk
//! fails, and what it tells. In every case all spans are accounted for.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use observe_collector::otlp::{self, DiskQueue, OtlpExporter, WhenFull};
use observe_collector::{
    Collector, Counts, Dropped, Exporter, ExporterReport, Resource, Signal, Transfers,
};
use tempfile::TempDir;

use crate::delivery::{HUNG, LONG, all_delivered, config};
use crate::fixtures::{chunk_from, gauge, logging_chunk, plain_chunk};
use crate::server::{Act, Server};

/// Batches of 5 spans, a queue of 10 in memory.
const SMALL: [(&str, &str); 2] =
    [("OTEL_BSP_MAX_QUEUE_SIZE", "10"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5")];

fn exporter(url: &str, dir: &Path) -> OtlpExporter {
    let disk = DiskQueue::open(dir).expect("a directory of our own");
    OtlpExporter::with_disk_queue(config(url, &SMALL), Resource::new(), disk)
}

fn start(url: &str, dir: &Path) -> Collector {
    Collector::builder().exporter(Box::new(exporter(url, dir))).start()
}

/// Shuts down, after which some may still be queued.
#[track_caller]
fn shutdown(collector: Collector, timeout: Duration) -> ExporterReport {
    let report = collector.shutdown(timeout).exporters.remove(0);
    for counts in [report.counts, report.logs, report.metrics] {
        assert!(counts.is_balanced(), "{report:?}");
    }
    report
}

fn traces(exporter: &OtlpExporter) -> Transfers {
    exporter.transfers(Signal::Traces).expect("traces are sent")
}

/// What waits in the directory, of traces.
#[track_caller]
fn waiting(dir: &Path) -> u64 {
    DiskQueue::contents(dir).expect("a queue")[0].items
}

#[test]
fn what_is_delivered_leaves_nothing_behind() {
    let (server, dir) = (Server::start(vec![Act::status(200)]), TempDir::new().expect("a dir"));
    let collector = start(&server.url, dir.path());
    collector.handle().send(logging_chunk(1_003, 7));
    assert!(collector.flush(LONG));
    collector.handle().send(chunk_from(2_000, 12));
    let report = shutdown(collector, LONG);
    assert_eq!(report.counts, all_delivered(1_015));
    assert_eq!(report.logs, all_delivered(7));
    assert_eq!(report.last_error, None);
    assert_eq!(server.distinct_spans(), 1_015);
    assert_eq!(server.spans().len(), 1_015);
    let of_traces = fs::read_dir(dir.path().join("traces")).expect("a folder");
    assert_eq!(of_traces.count(), 0);
}

#[test]
fn what_a_process_could_not_deliver_the_next_one_does_for_all_signals() {
    let dir = TempDir::new().expect("a directory");
    let server = Server::start(vec![Act::status(503)]);
    let exporter = exporter(&server.url, dir.path());
    let collector = Collector::builder()
        .exporter(Box::new(exporter))
        .metrics(LONG, || vec![gauge("g", 3)])
        .start();
    collector.handle().send(logging_chunk(1_003, 7));
    let report = shutdown(collector, Duration::from_millis(300));
    // Those that did not find room in memory, too.
    assert_eq!(report.counts, Counts { accepted: 1_003, queued: 1_003, ..Counts::default() });
    assert_eq!(report.logs, Counts { accepted: 7, queued: 7, ..Counts::default() });
    assert_eq!(report.metrics, Counts { accepted: 3, queued: 3, ..Counts::default() });
    let contents = DiskQueue::contents(dir.path()).expect("a queue");
    let items: Vec<_> = contents.iter().map(|of| (of.signal, of.items, of.damaged)).collect();
    let expected = [(Signal::Traces, 1_003, 0), (Signal::Logs, 7, 0), (Signal::Metrics, 3, 0)];
    assert_eq!(items, expected);

    let server = Server::start(vec![Act::status(200)]);
    let collector = start(&server.url, dir.path());
    // Nothing has to come for what is there to be sent.
    assert!(collector.flush(LONG));
    assert_eq!((server.distinct_spans(), server.logs().len()), (1_003, 7));
    assert_eq!(server.metrics().len(), 1);
    collector.handle().send(chunk_from(5_000, 2));
    let report = shutdown(collector, LONG);
    assert_eq!(report.counts, all_delivered(1_005));
    assert_eq!(report.logs, all_delivered(7));
    assert_eq!(report.metrics, all_delivered(3));
    assert_eq!(server.spans().len(), 1_005, "nothing twice");
}

#[test]
fn a_collector_that_is_dropped_keeps_what_it_has() {
    let dir = TempDir::new().expect("a directory");
    let server = Server::start(vec![Act::Hang]);
    let exporter = {
        let mut exporter = exporter(&server.url, dir.path());
        exporter.export(&plain_chunk(7));
        server.wait_for(1);
        exporter
    };
    drop(exporter);
    // Two of them were in a batch that was not finished.
    assert_eq!(waiting(dir.path()), 7);
    let server = Server::start(vec![Act::status(200)]);
    let report = shutdown(start(&server.url, dir.path()), LONG);
    assert_eq!(report.counts, all_delivered(7));
    assert_eq!(server.distinct_spans(), 7);
}

#[test]
fn only_what_was_not_acknowledged_is_sent_again() {
    let dir = TempDir::new().expect("a directory");
    let acts = [200, 400, 200, 503].map(Act::status).to_vec();
    let server = Server::start(acts);
    let collector = start(&server.url, dir.path());
    collector.handle().send(plain_chunk(25));
    server.wait_for(4);
    let report = shutdown(collector, Duration::from_millis(300));
    let dropped = Dropped { refused: 5, ..Dropped::default() };
    let counts = Counts { accepted: 25, delivered: 10, dropped, queued: 10, ..Counts::default() };
    assert_eq!(report.counts, counts);

    let next = Server::start(vec![Act::status(200)]);
    let report = shutdown(start(&next.url, dir.path()), LONG);
    assert_eq!(report.counts, all_delivered(10));
    let starts: Vec<_> =
        next.spans().iter().map(|span| span.start_time_unix_nano % 1_000).collect();
    assert_eq!(starts, (15..25).collect::<Vec<_>>());
}

#[test]
fn a_directory_in_use_is_refused_and_given_back() {
    let dir = TempDir::new().expect("a directory");
    let server = Server::start(vec![Act::status(200)]);
    let collector = start(&server.url, dir.path());
    let error = DiskQueue::open(dir.path()).expect_err("it is in use").to_string();
    assert!(error.contains("is in use as a queue by another process"), "{error}");
    assert_eq!(shutdown(collector, LONG).counts, all_delivered(0));
    assert!(DiskQueue::open(dir.path()).is_ok());
}

#[test]
fn a_directory_that_cannot_be_made_is_told() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("written");
    let error = DiskQueue::open(file.join("queue")).expect_err("a file is no folder").to_string();
    assert!(error.contains("file/queue: cannot be used as a queue: "), "{error}");
    assert!(!error.contains('\n'));
}

#[test]
fn memory_takes_the_place_of_a_disk_that_fails() {
    let dir = TempDir::new().expect("a directory");
    let server = Server::start(vec![Act::Gate, Act::status(200)]);
    let mut exporter = exporter(&server.url, dir.path());
    // Where the folder of traces would be, nothing can be written.
    fs::write(dir.path().join("traces"), "").expect("written");
    exporter.export(&chunk_from(0, 5));
    server.wait_for(1);
    exporter.export(&chunk_from(5, 30));
    let transfers = traces(&exporter);
    let disk = transfers.disk.expect("there is one");
    assert!(disk.is_failing);
    assert_eq!((disk.written, disk.segments, transfers.queue.items), (0, 0, 10));
    // One is being sent, two are in the queue, and four did not fit.
    let dropped = Dropped { queue_full: 20, ..Dropped::default() };
    let counts = Counts { accepted: 35, queued: 15, dropped, ..Counts::default() };
    assert_eq!(exporter.counts(), counts);
    let error = exporter.last_error().expect("it is told");
    assert!(error.contains("/traces: ") && error.contains("kept in memory"), "{error}");
    server.release();
    exporter.shutdown(Instant::now() + LONG);
    let counts = Counts { accepted: 35, delivered: 15, dropped, ..Counts::default() };
    assert_eq!(exporter.counts(), counts);
    assert!(counts.is_balanced());
}

#[test]
fn what_is_in_memory_goes_to_a_disk_that_works_again_at_the_latest_at_the_end() {
    let dir = TempDir::new().expect("a directory");
    let server = Server::start(vec![Act::status(503)]);
    let mut exporter = exporter(&server.url, dir.path());
    let in_the_way = dir.path().join("traces");
    fs::write(&in_the_way, "").expect("written");
    exporter.export(&plain_chunk(13));
    server.wait_for(1);
    fs::remove_file(in_the_way).expect("removed");
    exporter.shutdown(Instant::now() + Duration::from_millis(100));
    // The batch that was sent first was never on disk.
    let dropped = Dropped { undelivered: 5, ..Dropped::default() };
    let counts = Counts { accepted: 13, queued: 8, dropped, ..Counts::default() };
    assert_eq!(exporter.counts(), counts);
    drop(exporter);
    assert_eq!(waiting(dir.path()), 8);
}

#[test]
fn the_bytes_on_disk_are_bounded_and_the_mode_says_what_goes() {
    for when_full in [WhenFull::DropNew, WhenFull::DropOld] {
        let dir = TempDir::new().expect("a directory");
        let server = Server::start(vec![Act::status(503)]);
        let disk = DiskQueue::open(dir.path()).expect("a directory").max_bytes(1 << 20);
        let config = config(&server.url, &SMALL).when_full(when_full);
        let mut exporter = OtlpExporter::with_disk_queue(config, Resource::new(), disk);
        let sent = 20_000;
        for chunk in 0..sent / 100 {
            exporter.export(&chunk_from(chunk * 100, 100));
            let counts = exporter.counts();
            assert!(counts.is_balanced(), "{counts:?}");
            assert!(traces(&exporter).queue.bytes <= 1 << 20);
        }
        exporter.shutdown(Instant::now() + Duration::from_millis(100));
        let counts = exporter.counts();
        assert!(counts.is_balanced(), "{counts:?}");
        assert_eq!(counts.accepted, u64::from(sent));
        // The batch that was being sent may be of a segment that had to go.
        let kept = u64::from(sent) - counts.dropped.total();
        assert_eq!(counts.queued, kept);
        assert!(counts.dropped.queue_full > 0 && kept > 1_000, "{counts:?}");
        drop(exporter);

        let server = Server::start(vec![Act::status(200)]);
        let report = shutdown(start(&server.url, dir.path()), LONG);
        assert_eq!(report.counts, all_delivered(kept));
        let starts = server.spans().into_iter().map(|span| span.start_time_unix_nano % 1_000_000);
        let last = starts.max().expect("a span");
        let is_last = last == u64::from(sent) - 1;
        assert_eq!(is_last, when_full == WhenFull::DropOld, "{last}");
    }
}

#[test]
fn a_host_may_wait_for_room_on_disk() {
    let dir = TempDir::new().expect("a directory");
    let server = Server::start(vec![Act::Gate, Act::status(200)]);
    let disk = DiskQueue::open(dir.path()).expect("a directory").max_bytes(1);
    let config = config(&server.url, &SMALL).when_full(WhenFull::Block);
    let exporter = OtlpExporter::with_disk_queue(config, Resource::new(), disk);
    let collector = Collector::builder().exporter(Box::new(exporter)).capacity(1);
    let collector = collector.on_full(observe_collector::OnFull::Block).start();
    collector.handle().send(chunk_from(0, 5));
    server.wait_for(1);
    let handle = collector.handle();
    let producer = std::thread::spawn(move || {
        for chunk in 1..50 {
            handle.send(chunk_from(chunk * 5, 5));
        }
    });
    // Until the thread waits, it answers.
    let begun = Instant::now();
    while collector.report(Duration::from_millis(50)).is_some() {
        assert!(begun.elapsed() < LONG, "the thread does not wait");
    }
    server.release();
    producer.join().expect("the producer ends");
    assert_eq!(shutdown(collector, LONG).counts, all_delivered(250));
}

#[test]
fn a_batch_on_disk_is_synced_soon() {
    for window in [Duration::ZERO, Duration::from_millis(20)] {
        let dir = TempDir::new().expect("a directory");
        let server = Server::start(vec![Act::Hang]);
        let disk = DiskQueue::open(dir.path()).expect("a directory").sync_window(window);
        let config = config(&server.url, &SMALL);
        let mut exporter = OtlpExporter::with_disk_queue(config, Resource::new(), disk);
        for chunk in 1..4 {
            exporter.export(&chunk_from(chunk * 10, 10));
            let start = Instant::now();
            while traces(&exporter).disk.expect("there is one").synced < u64::from(chunk) * 10 {
                assert!(start.elapsed() < LONG);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let disk = traces(&exporter).disk.expect("there is one");
        assert_eq!((disk.written, disk.synced, disk.is_failing), (30, 30, false));
    }
}

#[test]
fn a_batch_that_falls_due_while_an_answer_is_awaited_is_written() {
    let dir = TempDir::new().expect("a directory");
    let server = Server::start(vec![Act::Hang]);
    let disk = DiskQueue::open(dir.path()).expect("a directory");
    let soon = [("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5"), ("OTEL_BSP_SCHEDULE_DELAY", "20")];
    let config = config(&server.url, &soon);
    let mut exporter = OtlpExporter::with_disk_queue(config, Resource::new(), disk);
    exporter.export(&chunk_from(0, 5));
    server.wait_for(1);
    exporter.export(&chunk_from(5, 3));
    let start = Instant::now();
    while traces(&exporter).disk.expect("there is one").written < 8 {
        assert!(start.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(waiting(dir.path()), 8);
}

#[test]
fn room_that_one_signal_makes_is_room_for_another() {
    let dir = TempDir::new().expect("a directory");
    let (of_logs, of_spans) =
        (Server::start(vec![Act::Gate, Act::status(200)]), Server::start(vec![Act::status(200)]));
    let lookup = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT" => Some(format!("{}/v1/logs", of_logs.url)),
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => Some(format!("{}/v1/traces", of_spans.url)),
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE" | "OTEL_BSP_MAX_EXPORT_BATCH_SIZE" => Some("1".into()),
        _ => None,
    };
    let config = otlp::Config::from_lookup(&lookup).expect("valid").expect("two endpoints");
    let disk = DiskQueue::open(dir.path()).expect("a directory").max_bytes(1);
    let config = config.when_full(WhenFull::Block);
    let exporter = OtlpExporter::with_disk_queue(config, Resource::new(), disk);
    let collector = Collector::builder().exporter(Box::new(exporter)).start();
    collector.handle().send(logging_chunk(0, 1));
    of_logs.wait_for(1);
    collector.handle().send(plain_chunk(3));
    // Until the thread waits for room that only the logs can make, it answers.
    let begun = Instant::now();
    while collector.report(Duration::from_millis(50)).is_some() {
        assert!(begun.elapsed() < LONG, "the thread does not wait");
    }
    of_logs.release();
    assert!(collector.flush(LONG));
    let report = shutdown(collector, LONG);
    assert_eq!((report.counts, report.logs), (all_delivered(3), all_delivered(1)));
}

#[test]
fn damage_is_counted_said_once_and_set_aside() {
    let dir = TempDir::new().expect("a directory");
    let server = Server::start(vec![Act::status(503)]);
    let collector = start(&server.url, dir.path());
    collector.handle().send(plain_chunk(25));
    shutdown(collector, Duration::from_millis(200));
    let path = dir.path().join("traces/000000000001.segment");
    let mut bytes = fs::read(&path).expect("a segment");
    let second = bytes.windows(4).enumerate().filter(|(_, window)| *window == b"BTCH").nth(1);
    let second = second.expect("a second batch").0;
    bytes[second + 100] ^= 0x10;
    fs::write(&path, bytes).expect("written");
    assert_eq!(DiskQueue::contents(dir.path()).expect("a queue")[0].damaged, 1);

    let server = Server::start(vec![Act::status(200)]);
    let report = shutdown(start(&server.url, dir.path()), LONG);
    let dropped = Dropped { damaged: 5, ..Dropped::default() };
    let counts = Counts { accepted: 25, delivered: 20, dropped, ..Counts::default() };
    assert_eq!(report.counts, counts);
    assert!(report.last_error.is_some_and(|error| error.contains("damaged")), "it is told");
    assert!(path.with_extension("segment.corrupt").is_file());
    let report = shutdown(start(&server.url, dir.path()), LONG);
    assert_eq!((report.counts, report.last_error), (all_delivered(0), None));
    assert_eq!(DiskQueue::contents(dir.path()).expect("a queue")[0].damaged, 1);
}

#[test]
fn a_shutdown_with_a_queue_on_disk_ends_in_time() {
    let busy = Act::Answer(503, vec![("retry-after", "3600".to_owned())], Vec::new());
    for act in [busy, Act::Hang] {
        let dir = TempDir::new().expect("a directory");
        let server = Server::start(vec![act]);
        let collector = start(&server.url, dir.path());
        collector.handle().send(plain_chunk(1_000));
        server.wait_for(1);
        let start = Instant::now();
        let report = shutdown(collector, Duration::from_millis(300));
        assert!(start.elapsed() < HUNG);
        assert_eq!(report.counts, Counts { accepted: 1_000, queued: 1_000, ..Counts::default() });
        // Also while the request is not over.
        assert!(DiskQueue::open(dir.path()).is_ok());
    }
}
