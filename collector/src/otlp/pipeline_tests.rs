use std::time::{Duration, Instant};

use super::{Attempt, Outcome, Pipeline, Step};
use crate::otlp::backlog::Backlog;
use crate::otlp::batch::{BatchLimits, Batcher};
use crate::otlp::disk::{DiskQueue, Store};
use crate::otlp::queue::{QueueLimits, WhenFull};
use crate::otlp::retry::{Backoff, MAX_ELAPSED};
use crate::resource::Resource;
use crate::stats::{Counts, Dropped, Signal};

const SECOND: Duration = Duration::from_secs(1);

/// Batches of 2 items or 5 seconds, a queue of 6 items.
fn pipeline() -> Pipeline {
    pipeline_with(WhenFull::DropNew)
}

fn pipeline_with(when_full: WhenFull) -> Pipeline {
    let limits = BatchLimits { items: 2, bytes: 1 << 20, delay: 5 * SECOND };
    let batcher = Batcher::new(limits, &Resource::new());
    let limits = QueueLimits { items: 6, bytes: 1 << 20, when_full };
    Pipeline::new(batcher, Backlog::new(limits, None), Backoff::new(1))
}

fn push(pipeline: &mut Pipeline, now: Instant, items: usize) {
    for _ in 0..items {
        pipeline.push(now, 1, |out| out.push(0));
    }
}

fn send(pipeline: &mut Pipeline, now: Instant) -> Attempt {
    match pipeline.next(now) {
        Step::Send(attempt) => attempt,
        other => panic!("expected a batch, got {other:?}"),
    }
}

fn wait(pipeline: &mut Pipeline, now: Instant) -> Option<Instant> {
    match pipeline.next(now) {
        Step::Wait(until) => until,
        other => panic!("expected a wait, got {other:?}"),
    }
}

fn delivered() -> Outcome {
    Outcome::Delivered { rejected: 0, note: None }
}

fn failed(retry_after: Option<Duration>) -> Outcome {
    Outcome::Failed { error: "failed".to_owned(), retry_after }
}

#[track_caller]
fn assert_counts(pipeline: &Pipeline, expected: Counts) {
    assert_eq!(pipeline.counts(), expected);
    assert!(expected.is_balanced());
}

#[test]
fn full_batches_go_at_once_and_others_when_due() {
    let (mut pipeline, now) = (pipeline(), Instant::now());
    assert_eq!(wait(&mut pipeline, now), None);
    push(&mut pipeline, now, 3);
    let first = send(&mut pipeline, now);
    assert_eq!(first.batch.items, 2);
    assert_counts(&pipeline, Counts { accepted: 3, queued: 3, ..Counts::default() });
    pipeline.settle(now, first, delivered());
    assert_counts(&pipeline, Counts { accepted: 3, delivered: 2, queued: 1, ..Counts::default() });

    let due = wait(&mut pipeline, now).expect("a batch in the making");
    assert_eq!(due, now + 5 * SECOND);
    let second = send(&mut pipeline, due);
    assert_eq!(second.batch.items, 1);
    pipeline.settle(due, second, delivered());
    assert_counts(&pipeline, Counts { accepted: 3, delivered: 3, ..Counts::default() });
}

#[test]
fn the_sender_is_told_of_first_and_last_items_of_a_batch() {
    let (mut pipeline, now) = (pipeline(), Instant::now());
    let limits = BatchLimits { items: 3, bytes: 1 << 20, delay: SECOND };
    pipeline.batcher = Batcher::new(limits, &Resource::new());
    let mut told = || pipeline.push(now, 1, |out| out.push(0));
    assert_eq!([told(), told(), told(), told()], [true, false, true, true]);
}

#[test]
fn what_does_not_fit_into_the_queue_is_counted() {
    let (mut pipeline, now) = (pipeline(), Instant::now());
    push(&mut pipeline, now, 11);
    let dropped = Dropped { queue_full: 4, ..Dropped::default() };
    assert_counts(&pipeline, Counts { accepted: 11, queued: 7, dropped, ..Counts::default() });
}

#[test]
fn what_was_there_first_is_dropped_where_asked_for() {
    let (mut pipeline, now) = (pipeline_with(WhenFull::DropOld), Instant::now());
    push(&mut pipeline, now, 2);
    // What is being sent is not in the queue.
    let sending = send(&mut pipeline, now);
    for _ in 0..4 {
        pipeline.push(now, 1, |out| out.push(b'a'));
    }
    for _ in 0..4 {
        pipeline.push(now, 1, |out| out.push(b'b'));
    }
    let dropped = Dropped { queue_full: 2, ..Dropped::default() };
    assert_counts(&pipeline, Counts { accepted: 10, queued: 8, dropped, ..Counts::default() });
    pipeline.settle(now, sending, delivered());
    for expected in [b"aa", b"bb", b"bb"] {
        let attempt = send(&mut pipeline, now);
        assert!(attempt.batch.body().ends_with(expected));
        pipeline.settle(now, attempt, delivered());
    }
    let counts = Counts { accepted: 10, delivered: 8, dropped, ..Counts::default() };
    assert_counts(&pipeline, counts);
}

#[test]
fn whoever_pushes_may_go_on_when_there_is_room_or_nothing_to_wait_for() {
    let (mut pipeline, now) = (pipeline_with(WhenFull::Block), Instant::now());
    push(&mut pipeline, now, 10);
    assert_counts(&pipeline, Counts { accepted: 10, queued: 10, ..Counts::default() });
    let mut taken = 0;
    while !pipeline.has_room() {
        let attempt = send(&mut pipeline, now);
        pipeline.settle(now, attempt, delivered());
        taken += 1;
    }
    assert_eq!(taken, 3);
    push(&mut pipeline, now, 10);
    assert!(!pipeline.has_room());
    pipeline.abort(now);
    assert!(pipeline.has_room());
    let dropped = Dropped { undelivered: 14, ..Dropped::default() };
    assert_counts(&pipeline, Counts { accepted: 20, delivered: 6, dropped, ..Counts::default() });
}

#[test]
fn a_failed_batch_goes_again_first_after_the_wait() {
    let (mut pipeline, now) = (pipeline(), Instant::now());
    pipeline.push(now, 1, |out| out.push(b'a'));
    pipeline.push(now, 1, |out| out.push(b'a'));
    pipeline.push(now, 1, |out| out.push(b'b'));
    pipeline.push(now, 1, |out| out.push(b'b'));
    let first = send(&mut pipeline, now);
    assert!(first.batch.body().ends_with(b"aa"));
    pipeline.settle(now, first, failed(Some(7 * SECOND)));
    assert_counts(&pipeline, Counts { accepted: 4, queued: 4, ..Counts::default() });
    assert_eq!(pipeline.last_error().as_deref(), Some("failed"));

    assert_eq!(wait(&mut pipeline, now), Some(now + 7 * SECOND));
    assert_eq!(wait(&mut pipeline, now + 6 * SECOND), Some(now + 7 * SECOND));
    let later = now + 7 * SECOND;
    let again = send(&mut pipeline, later);
    assert!(again.batch.body().ends_with(b"aa"));
    pipeline.settle(later, again, delivered());
    let next = send(&mut pipeline, later);
    assert!(next.batch.body().ends_with(b"bb"));
    pipeline.settle(later, next, delivered());
    assert_counts(&pipeline, Counts { accepted: 4, delivered: 4, ..Counts::default() });
}

#[test]
fn a_batch_is_not_tried_for_ever() {
    let (mut pipeline, start) = (pipeline(), Instant::now());
    push(&mut pipeline, start, 2);
    let mut now = start;
    let mut attempts = 0;
    while pipeline.counts().queued > 0 {
        let attempt = send(&mut pipeline, now);
        pipeline.settle(now, attempt, failed(None));
        attempts += 1;
        assert!(attempts < 1000);
        now = pipeline.backoff.not_before().expect("a wait");
    }
    assert!(attempts > 5, "{attempts}");
    assert!(now >= start + MAX_ELAPSED);
    let dropped = Dropped { retries_exhausted: 2, ..Dropped::default() };
    assert_counts(&pipeline, Counts { accepted: 2, dropped, ..Counts::default() });
}

#[test]
fn refusals_are_final() {
    let (mut pipeline, now) = (pipeline(), Instant::now());
    push(&mut pipeline, now, 4);
    let attempt = send(&mut pipeline, now);
    pipeline.settle(now, attempt, Outcome::Refused { error: "400".to_owned() });
    let dropped = Dropped { refused: 2, ..Dropped::default() };
    assert_counts(&pipeline, Counts { accepted: 4, queued: 2, dropped, ..Counts::default() });
    let attempt = send(&mut pipeline, now);
    pipeline.settle(now, attempt, delivered());
    assert!(wait(&mut pipeline, now).is_none());
}

#[test]
fn a_receiver_cannot_reject_more_than_it_got() {
    for (said, rejected) in [(0, 0), (1, 1), (2, 2), (3, 2), (u64::MAX, 2)] {
        let (mut pipeline, now) = (pipeline(), Instant::now());
        push(&mut pipeline, now, 2);
        let attempt = send(&mut pipeline, now);
        pipeline.settle(now, attempt, Outcome::Delivered { rejected: said, note: None });
        let delivered = 2 - rejected;
        assert_counts(&pipeline, Counts { accepted: 2, delivered, rejected, ..Counts::default() });
    }
}

#[test]
fn a_shutdown_sends_the_rest_and_stops() {
    let (mut pipeline, now) = (pipeline(), Instant::now());
    push(&mut pipeline, now, 3);
    pipeline.close(now, now + SECOND);
    for items in [2, 1] {
        let attempt = send(&mut pipeline, now);
        assert_eq!(attempt.batch.items, items);
        pipeline.settle(now, attempt, delivered());
    }
    assert!(matches!(pipeline.next(now), Step::Stop));
    assert_counts(&pipeline, Counts { accepted: 3, delivered: 3, ..Counts::default() });
}

#[test]
fn a_shutdown_gives_up_at_its_deadline_or_when_no_retry_fits() {
    for (retry_after, later) in [(None, SECOND), (Some(2 * SECOND), Duration::ZERO)] {
        let (mut pipeline, now) = (pipeline(), Instant::now());
        push(&mut pipeline, now, 5);
        pipeline.close(now, now + SECOND);
        let attempt = send(&mut pipeline, now);
        pipeline.settle(now, attempt, failed(retry_after));
        assert!(matches!(pipeline.next(now + later), Step::Stop));
        let dropped = Dropped { undelivered: 5, ..Dropped::default() };
        assert_counts(&pipeline, Counts { accepted: 5, dropped, ..Counts::default() });
    }
}

#[test]
fn a_shutdown_retries_as_long_as_there_is_time() {
    let (mut pipeline, now) = (pipeline(), Instant::now());
    push(&mut pipeline, now, 2);
    pipeline.close(now, now + 2 * SECOND);
    let attempt = send(&mut pipeline, now);
    pipeline.settle(now, attempt, failed(Some(SECOND)));
    assert_eq!(wait(&mut pipeline, now), Some(now + SECOND));
    let attempt = send(&mut pipeline, now + SECOND);
    pipeline.settle(now + SECOND, attempt, delivered());
    assert_counts(&pipeline, Counts { accepted: 2, delivered: 2, ..Counts::default() });
}

#[test]
fn after_an_abort_all_is_counted_once() {
    let (mut pipeline, now) = (pipeline(), Instant::now());
    push(&mut pipeline, now, 7);
    let attempt = send(&mut pipeline, now);
    pipeline.settle(now, attempt, failed(Some(SECOND)));
    let now = now + SECOND;
    let attempt = send(&mut pipeline, now);
    pipeline.abort(now);
    let all = |items| {
        let dropped = Dropped { undelivered: items, ..Dropped::default() };
        Counts { accepted: items, dropped, ..Counts::default() }
    };
    assert_counts(&pipeline, all(7));
    // The answer comes too late to count.
    pipeline.settle(now, attempt, delivered());
    assert_counts(&pipeline, all(7));
    push(&mut pipeline, now, 2);
    assert_counts(&pipeline, all(9));
    assert!(matches!(pipeline.next(now), Step::Stop));
}

/// As [`pipeline`], with a directory.
fn pipeline_on_disk(dir: &std::path::Path) -> Pipeline {
    let root = DiskQueue::open(dir).expect("a directory").into_root();
    let (store, recovered) = Store::open(&root, Signal::Traces);
    let limits = BatchLimits { items: 2, bytes: 1 << 20, delay: 5 * SECOND };
    let batcher = Batcher::new(limits, &Resource::new());
    let queue = QueueLimits { items: 6, bytes: 1 << 20, when_full: WhenFull::DropNew };
    let backlog = Backlog::new(queue, Some(store));
    let mut pipeline = Pipeline::new(batcher, backlog, Backoff::new(1));
    pipeline.recover(Instant::now(), recovered);
    pipeline
}

#[test]
fn what_is_on_disk_is_tried_for_as_long_as_it_takes() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let (mut pipeline, mut now) = (pipeline_on_disk(dir.path()), Instant::now());
    push(&mut pipeline, now, 2);
    for _ in 0..100 {
        let attempt = send(&mut pipeline, now);
        now += MAX_ELAPSED;
        pipeline.settle(now, attempt, failed(None));
        assert_counts(&pipeline, Counts { accepted: 2, queued: 2, ..Counts::default() });
        now += MAX_ELAPSED;
    }
    let attempt = send(&mut pipeline, now);
    pipeline.settle(now, attempt, delivered());
    assert_counts(&pipeline, Counts { accepted: 2, delivered: 2, ..Counts::default() });
    assert!(wait(&mut pipeline, now).is_none());
}

#[test]
fn an_abort_keeps_what_is_on_disk_and_the_next_takes_it_up() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let (mut pipeline, now) = (pipeline_on_disk(dir.path()), Instant::now());
    push(&mut pipeline, now, 9);
    let first = send(&mut pipeline, now);
    pipeline.settle(now, first, delivered());
    let second = send(&mut pipeline, now);
    pipeline.abort(now);
    let counts = Counts { accepted: 9, delivered: 2, queued: 7, ..Counts::default() };
    assert_counts(&pipeline, counts);
    // The answer comes too late to count, so the batch will be sent again.
    pipeline.settle(now, second, delivered());
    assert_counts(&pipeline, counts);

    let mut next = pipeline_on_disk(dir.path());
    assert_counts(&next, Counts { accepted: 7, queued: 7, ..Counts::default() });
    push(&mut next, now, 2);
    for items in [2, 2, 2, 1, 2] {
        let attempt = send(&mut next, now);
        assert_eq!(attempt.batch.items, items);
        next.settle(now, attempt, delivered());
    }
    assert_counts(&next, Counts { accepted: 9, delivered: 9, ..Counts::default() });
}

#[test]
fn a_batch_that_falls_due_while_the_receiver_is_away_is_written() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let (mut pipeline, now) = (pipeline_on_disk(dir.path()), Instant::now());
    push(&mut pipeline, now, 2);
    let attempt = send(&mut pipeline, now);
    pipeline.settle(now, attempt, failed(Some(60 * SECOND)));
    push(&mut pipeline, now, 1);
    let due = wait(&mut pipeline, now).expect("a batch in the making");
    assert_eq!(due, now + 5 * SECOND);
    assert_eq!(wait(&mut pipeline, due), Some(now + 60 * SECOND));
    assert_eq!(pipeline.disk_state().expect("there is a disk").written, 3);
    assert_counts(&pipeline, Counts { accepted: 3, queued: 3, ..Counts::default() });
}
