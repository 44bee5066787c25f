//! Receivers that fail, what the queue does meanwhile, and what embedders are told of it. In every
//! case all spans are accounted for.

use std::net::TcpListener;
use std::time::{Duration, Instant, SystemTime};

use observe_collector::otlp::{OtlpExporter, WhenFull};
use observe_collector::{
    Circuit, Collector, Counts, Delivery, Dropped, Exporter, OnFull, Resource, Signal, SignalHealth,
};

use crate::delivery::{HUNG, LONG, all_delivered, config, shutdown, start};
use crate::fixtures::{chunk_from, plain_chunk};
use crate::server::{Act, Server};

/// Batches of 5 spans, a queue of 10.
const SMALL: [(&str, &str); 2] =
    [("OTEL_BSP_MAX_QUEUE_SIZE", "10"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5")];

fn start_with(url: &str, when_full: WhenFull, capacity: usize, on_full: OnFull) -> Collector {
    let config = config(url, &SMALL).when_full(when_full);
    let exporter = OtlpExporter::new(config, Resource::new());
    let collector = Collector::builder().exporter(Box::new(exporter));
    collector.capacity(capacity).on_full(on_full).start()
}

fn health_of_traces(collector: &Collector) -> SignalHealth {
    let mut health = collector.health();
    assert_eq!(health.exporters.len(), collector.handle().health().exporters.len());
    let mut exporter = health.exporters.remove(0);
    assert_eq!(exporter.name, "otlp");
    let traces = exporter.signals.iter().position(|health| health.signal == Signal::Traces);
    exporter.signals.remove(traces.expect("traces are sent"))
}

/// Asks until the answer is as it must become.
fn wait_for_health(collector: &Collector, is: impl Fn(&SignalHealth) -> bool) -> SignalHealth {
    let start = Instant::now();
    loop {
        let health = health_of_traces(collector);
        if is(&health) {
            return health;
        }
        assert!(start.elapsed() < LONG, "{health:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_oldest_spans_make_room_where_they_should() {
    let server = Server::start(vec![Act::Gate, Act::status(200)]);
    let collector = start_with(&server.url, WhenFull::DropOld, 1_024, OnFull::Drop);
    collector.handle().send(chunk_from(0, 5));
    server.wait_for(1);
    collector.handle().send(chunk_from(5, 95));
    assert!(!collector.flush(Duration::ZERO));
    let report = collector.report(LONG).expect("an answer").exporters.remove(0);
    let dropped = Dropped { queue_full: 85, ..Dropped::default() };
    assert_eq!(report.counts, Counts { accepted: 100, queued: 15, dropped, ..Counts::default() });
    assert!(matches!(health_of_traces(&collector).delivery, Delivery::Dropping { error: None }));
    assert!(!collector.health().is_healthy());

    server.release();
    let report = shutdown(collector, LONG);
    let counts = Counts { accepted: 100, delivered: 15, dropped, ..Counts::default() };
    assert_eq!(report.counts, counts);
    let mut arrived: Vec<_> =
        server.spans().iter().map(|span| span.start_time_unix_nano % 1_000).collect();
    arrived.sort_unstable();
    assert_eq!(arrived, (0..5).chain(90..100).collect::<Vec<_>>());
}

#[test]
fn where_one_waits_for_room_nothing_is_lost() {
    let server = Server::start(vec![Act::Gate, Act::status(503), Act::status(200)]);
    let collector = start_with(&server.url, WhenFull::Block, 1, OnFull::Block);
    let handle = collector.handle();
    let producer = std::thread::spawn(move || {
        for chunk in 0..100 {
            handle.send(chunk_from(chunk * 10, 10));
        }
    });
    server.wait_for(1);
    server.release();
    producer.join().expect("the producer ends");
    assert_eq!(shutdown(collector, LONG).counts, all_delivered(1_000));
    assert_eq!(server.distinct_spans(), 1_000);
}

#[test]
fn what_fills_behind_a_queue_that_blocks_is_for_the_host_to_decide() {
    let server = Server::start(vec![Act::Gate, Act::status(200)]);
    let collector = start_with(&server.url, WhenFull::Block, 2, OnFull::Drop);
    let handle = collector.handle();
    handle.send(chunk_from(0, 5));
    server.wait_for(1);
    for chunk in 0..20 {
        handle.send(chunk_from(5 + chunk * 10, 10));
    }
    let lost = handle.dropped().channel_full;
    // A request, a queue of one chunk, one that waits for room, and two in the channel.
    assert!(lost >= 150, "{lost}");
    server.release();
    let report = shutdown(collector, LONG);
    let dropped = Dropped { channel_full: lost, ..Dropped::default() };
    let counts = Counts { accepted: 205, delivered: 205 - lost, dropped, ..Counts::default() };
    assert_eq!(report.counts, counts);
}

#[test]
fn a_shutdown_ends_the_wait_for_room() {
    for act in [Act::Hang, Act::status(503)] {
        let server = Server::start(vec![act]);
        let collector = start_with(&server.url, WhenFull::Block, 1, OnFull::Block);
        for _ in 0..3 {
            collector.handle().send(plain_chunk(20));
        }
        server.wait_for(1);
        let start = Instant::now();
        let report = shutdown(collector, Duration::from_millis(300));
        assert!(start.elapsed() < HUNG);
        assert_eq!(report.counts.accepted, 60);
        assert_eq!(report.counts.dropped.total(), 60);
        assert!(report.counts.dropped.undelivered >= 20, "{report:?}");
        assert!(report.last_error.is_some_and(|error| !error.contains("collector's thread")));
    }
}

#[test]
fn a_collector_that_is_dropped_does_not_wait_for_room() {
    let server = Server::start(vec![Act::Hang]);
    let collector = start_with(&server.url, WhenFull::Block, 1, OnFull::Block);
    for _ in 0..3 {
        collector.handle().send(plain_chunk(20));
    }
    server.wait_for(1);
    drop(collector);
    server.wait_for_hang_up();
}

#[test]
fn an_outage_is_told_of_while_it_lasts() {
    // Nobody listens at first.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let collector = start(&format!("http://{address}"), &[]);
    assert_eq!(health_of_traces(&collector).delivery, Delivery::Idle);
    assert!(collector.health().is_healthy());
    let before = SystemTime::now();
    collector.handle().send(plain_chunk(600));
    let health =
        wait_for_health(&collector, |health| matches!(health.circuit, Circuit::Open { .. }));
    let Delivery::Retrying { since, error } = health.delivery else { panic!("{health:?}") };
    // Of two clocks, one may be a little ahead.
    assert!(since + Duration::from_secs(1) >= before && since <= SystemTime::now());
    assert!(error.ends_with("/v1/traces: connection refused"), "{error}");
    assert!(!collector.health().is_healthy());
    assert_eq!(health.last_success, None);

    let server = Server::start_at(address, vec![Act::status(200)]);
    let health = wait_for_health(&collector, |health| health.delivery == Delivery::Delivering);
    assert_eq!(health.circuit, Circuit::Closed);
    assert!(health.last_success.is_some_and(|at| at + Duration::from_secs(1) >= before));
    assert_eq!(shutdown(collector, LONG).counts, all_delivered(600));
    assert_eq!(server.distinct_spans(), 600);
}

#[test]
fn health_is_told_while_the_collectors_thread_waits() {
    let server = Server::start(vec![Act::Hang]);
    let collector = start_with(&server.url, WhenFull::Block, 1, OnFull::Block);
    for _ in 0..3 {
        collector.handle().send(plain_chunk(20));
    }
    server.wait_for(1);
    assert!(collector.report(Duration::from_millis(50)).is_none(), "the thread waits");
    assert_eq!(health_of_traces(&collector).delivery, Delivery::Idle);
    drop(collector);
}

#[test]
fn transfers_count_requests_retries_and_bytes() {
    let acts = [503, 200, 400, 200].map(Act::status).to_vec();
    let server = Server::start(acts);
    let mut exporter = OtlpExporter::new(config(&server.url, &[]), Resource::new());
    for chunk in 0..3 {
        exporter.export(&chunk_from(chunk * 10, 10));
        exporter.flush(Instant::now() + LONG);
    }
    let counts = exporter.counts();
    assert!(counts.is_balanced());
    assert_eq!((counts.delivered, counts.dropped.refused), (20, 10));

    let transfers = exporter.transfers(Signal::Traces).expect("traces are sent");
    assert_eq!((transfers.requests, transfers.retries), (4, 1));
    let bytes: usize = server.requests().iter().map(|request| request.body.len()).sum();
    assert_eq!(transfers.bytes, bytes as u64);
    assert_eq!(transfers.latency.count(), 4);
    assert!(transfers.last_success.is_some());
    assert_eq!((transfers.queue.batches, transfers.queue.items, transfers.queue.bytes), (0, 0, 0));
    assert_eq!(transfers.queue.capacity_bytes, 64 << 20);
    let logs = exporter.transfers(Signal::Logs).expect("logs would be sent");
    assert_eq!((logs.requests, logs.last_success), (0, None));
}
