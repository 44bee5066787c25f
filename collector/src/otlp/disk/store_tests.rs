use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tempfile::TempDir;

use super::format::{HEAD, HEADER, MAX_BODY};
use super::{DiskQueue, DiskQueueError, Origin, Read, Recovered, Refusal, Root, Store};
use crate::otlp::batch::Batch;
use crate::stats::Signal;

fn root(dir: &Path) -> Arc<Root> {
    DiskQueue::open(dir).expect("a directory of our own").into_root()
}

fn bounded(dir: &Path, bytes: u64) -> Arc<Root> {
    DiskQueue::open(dir).expect("a directory of our own").max_bytes(bytes).into_root()
}

fn open(root: &Arc<Root>) -> (Store, Recovered) {
    Store::open(root, Signal::Traces)
}

#[track_caller]
fn push(store: &mut Store, body: &[u8], items: u64) {
    assert!(store.push(Instant::now(), body, items, false).is_ok());
}

#[track_caller]
fn pop(store: &mut Store) -> (Vec<u8>, u64, Origin) {
    match store.pop(Vec::new()) {
        Read::Batch { body, items, origin } => (body, items, origin),
        Read::Damage { error, .. } | Read::Failed { error } => panic!("{error}"),
        Read::Nothing => panic!("there is nothing"),
    }
}

/// All that can be read, settled as it comes, and how many items were lost on the way.
fn drain(store: &mut Store) -> (Vec<Vec<u8>>, u64) {
    let (mut bodies, mut lost) = (Vec::new(), 0);
    loop {
        match store.pop(Vec::new()) {
            Read::Batch { body, origin, .. } => {
                bodies.push(body);
                store.settle(origin).expect("a mark");
            }
            Read::Damage { items, .. } => lost += items,
            Read::Failed { error } => panic!("{error}"),
            Read::Nothing => return (bodies, lost),
        }
    }
}

/// The files of traces by name, without marks.
fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("traces")).into_iter().flatten();
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string());
    let mut names: Vec<_> = names.map(|name| name.expect("a name")).collect();
    names.retain(|name| !name.ends_with("settled"));
    names.sort_unstable();
    names
}

fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join("traces").join(format!("{number:012}.segment"))
}

/// A directory in which a process left these bodies, of one item more each.
fn left(bodies: &[&[u8]]) -> TempDir {
    let dir = TempDir::new().expect("a directory");
    let (mut store, _) = open(&root(dir.path()));
    for (n, body) in bodies.iter().enumerate() {
        push(&mut store, body, n as u64 + 1);
    }
    dir
}

#[test]
fn what_is_not_settled_is_there_after_a_restart_and_nothing_else() {
    let dir = left(&[b"one", b"two", b"three"]);
    for expected in [3, 2, 1] {
        let (mut store, recovered) = open(&root(dir.path()));
        assert_eq!(store.batches(), expected);
        assert_eq!(store.items(), recovered.items);
        assert_eq!((recovered.damaged, recovered.note), (0, None));
        // The second is read, too, and not settled.
        let (_, _, origin) = pop(&mut store);
        if expected > 1 {
            pop(&mut store);
        }
        store.settle(origin).expect("a mark");
    }
    let (mut store, _) = open(&root(dir.path()));
    assert_eq!((store.batches(), store.segments()), (0, 0));
    push(&mut store, b"four", 1);
    assert_eq!(files(dir.path()), ["000000000001.segment"]);
    assert_eq!(drain(&mut store).0, [b"four"]);
    store.close();
    assert!(files(dir.path()).is_empty());
}

#[test]
fn new_batches_come_behind_those_of_earlier_processes() {
    let dir = left(&[b"one", b"two"]);
    let (mut store, recovered) = open(&root(dir.path()));
    assert_eq!((recovered.items, store.recovered()), (3, 3));
    push(&mut store, b"three", 7);
    assert_eq!((store.items(), store.written()), (10, 7));
    assert_eq!(drain(&mut store).0, [&b"one"[..], b"two", b"three"]);
    assert_eq!(files(dir.path()).len(), 1, "only the one that is written is left");
}

#[test]
fn what_was_cut_off_is_gone_and_all_before_it_is_there() {
    let whole = fs::metadata(segment(left(&[b"one", b"two"]).path(), 1)).expect("a file").len();
    let first = (HEADER + HEAD + 3) as u64;
    for len in 0..whole {
        let dir = left(&[b"one", b"two"]);
        let path = segment(dir.path(), 1);
        let file = fs::OpenOptions::new().write(true).open(&path).expect("a file");
        file.set_len(len).expect("a shorter file");
        let (mut store, recovered) = open(&root(dir.path()));
        assert_eq!((recovered.damaged, recovered.note), (0, None), "{len}");
        let expected: &[&[u8]] = if len < first { &[] } else { &[b"one"] };
        assert_eq!(recovered.items, expected.len() as u64);
        if len >= first {
            assert_eq!(fs::metadata(&path).expect("a file").len(), first);
        }
        assert_eq!(drain(&mut store).0, expected);
        assert!(files(dir.path()).is_empty(), "{len}");
    }
}

#[test]
fn a_damaged_batch_is_counted_the_others_are_sent_and_the_file_is_kept() {
    let dir = left(&[b"one", b"two", b"three"]);
    let path = segment(dir.path(), 1);
    let mut bytes = fs::read(&path).expect("a file");
    let at = bytes.windows(3).position(|window| window == b"two").expect("the second body");
    bytes[at] ^= 1;
    fs::write(&path, bytes).expect("written");
    let (mut store, recovered) = open(&root(dir.path()));
    assert_eq!((recovered.items, recovered.damaged), (4, 2));
    let note = recovered.note.expect("it is told");
    assert!(note.contains("000000000001.segment: damaged"), "{note}");
    assert_eq!(drain(&mut store), (vec![b"one".to_vec(), b"three".to_vec()], 0));
    assert_eq!(files(dir.path()), ["000000000001.segment.corrupt"]);
    let (store, recovered) = open(&root_after(store, dir.path()));
    assert_eq!((store.batches(), recovered.note), (0, None), "it is told once");
}

/// The directory again, after the store that had it is gone.
fn root_after(store: Store, dir: &Path) -> Arc<Root> {
    drop(store);
    root(dir)
}

#[test]
fn damage_after_the_start_is_found_when_it_is_read() {
    let dir = left(&[b"one", b"two", b"three"]);
    let (mut store, _) = open(&root(dir.path()));
    let path = segment(dir.path(), 1);
    let mut bytes = fs::read(&path).expect("a file");
    let at = bytes.windows(3).position(|window| window == b"two").expect("the second body");
    bytes[at] ^= 1;
    fs::write(&path, bytes).expect("written");
    assert_eq!(drain(&mut store), (vec![b"one".to_vec(), b"three".to_vec()], 2));
    assert_eq!(files(dir.path()), ["000000000001.segment.corrupt"]);
}

#[test]
fn a_file_that_somebody_removed_is_counted() {
    let dir = left(&[b"one", b"two"]);
    let (mut store, _) = open(&root(dir.path()));
    fs::remove_file(segment(dir.path(), 1)).expect("removed");
    assert_eq!(drain(&mut store), (vec![], 3));
    assert_eq!(store.items(), 0);
}

#[test]
fn what_is_no_segment_is_set_aside_and_few_are_kept() {
    let dir = left(&[b"one"]);
    for number in 2..10 {
        fs::write(segment(dir.path(), number), [b'x'; 100]).expect("written");
    }
    fs::write(segment(dir.path(), 11), "short").expect("written");
    let (mut store, recovered) = open(&root(dir.path()));
    assert_eq!(recovered.items, 1);
    let note = recovered.note.expect("it is told");
    assert!(note.contains("000000000002.segment: nothing in it can be read"), "{note}");
    assert_eq!(drain(&mut store).0, [b"one"]);
    let kept: Vec<_> = (6..10).map(|n| format!("{n:012}.segment.corrupt")).collect();
    assert_eq!(files(dir.path()), kept);
    push(&mut store, b"two", 1);
    assert!(segment(dir.path(), 12).exists());
}

#[test]
fn what_a_later_release_wrote_is_left_where_it_is() {
    let dir = left(&[b"one"]);
    let path = segment(dir.path(), 1);
    let mut bytes = fs::read(&path).expect("a file");
    bytes[8] = 2;
    let checksum = crc32fast::hash(&bytes[..28]);
    bytes[28..32].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, &bytes).expect("written");
    let (store, recovered) = open(&root(dir.path()));
    assert_eq!((recovered.items, store.batches()), (0, 0));
    assert!(recovered.note.is_some_and(|note| note.contains("later release")));
    assert_eq!(fs::read(&path).expect("still there"), bytes);
}

#[test]
fn bytes_are_bounded_and_given_back() {
    let dir = TempDir::new().expect("a directory");
    let frame = (HEAD + 1_000) as u64;
    let root = bounded(dir.path(), HEADER as u64 + 3 * frame);
    let (mut store, _) = open(&root);
    let body = [0; 1_000];
    for _ in 0..3 {
        push(&mut store, &body, 1);
    }
    assert!(matches!(store.push(Instant::now(), &body, 1, false), Err(Refusal::Full)));
    assert!(!root.has_room());
    // It is given back by whole segments.
    let (_, _, origin) = pop(&mut store);
    store.settle(origin).expect("a mark");
    assert!(matches!(store.push(Instant::now(), &body, 1, false), Err(Refusal::Full)));
    drain(&mut store);
    push(&mut store, &body, 1);
    assert_eq!(store.bytes(), HEADER as u64 + frame);
    assert!(store.push(Instant::now(), &body, 1, true).is_ok());
}

#[test]
fn the_oldest_segment_makes_room_also_under_a_batch_that_is_being_sent() {
    let dir = TempDir::new().expect("a directory");
    let root = bounded(dir.path(), 1 << 20);
    let (mut store, _) = open(&root);
    let body = vec![0; 60_000];
    while store.push(Instant::now(), &body, 1, false).is_ok() {}
    let (before, segments) = (store.items(), store.segments());
    assert!(segments > 4, "{segments}");
    let (_, _, origin) = pop(&mut store);
    let lost = store.drop_oldest().expect("a segment");
    assert_eq!(store.items() + lost + 1, before);
    assert!(!store.holds(origin));
    store.settle(origin).expect("it is gone, which is no matter");
    push(&mut store, &body, 1);
    assert_eq!(drain(&mut store).0.len() as u64, before - lost);
}

#[test]
fn segments_that_somebody_else_wrote_are_of_no_use_to_a_second_process() {
    let dir = left(&[b"one"]);
    let first = root(dir.path());
    let second = DiskQueue::open(dir.path());
    let Err(error @ DiskQueueError::InUse { .. }) = second else { panic!("{second:?}") };
    let expected = format!("{}: is in use as a queue by another process", dir.path().display());
    assert!(error.to_string().starts_with(&expected), "{error}");
    drop(first);
    assert!(DiskQueue::open(dir.path()).is_ok());
}

#[test]
fn what_is_settled_needs_no_sync() {
    let dir = TempDir::new().expect("a directory");
    let root = bounded(dir.path(), 1 << 20);
    let (mut store, _) = open(&root);
    push(&mut store, b"one", 3);
    assert!(store.unsynced_since().is_some());
    let unsynced = store.take_unsynced();
    assert!(store.unsynced_since().is_none());
    assert_eq!((store.written(), store.synced()), (3, 0));
    store.add_synced(unsynced.sync().expect("a disk"));
    assert_eq!(store.synced(), 3);
    push(&mut store, b"two", 4);
    drain(&mut store);
    store.seal();
    assert_eq!((store.written(), store.synced()), (7, 7));
    assert_eq!(store.take_unsynced().sync().expect("a disk"), 0);
}

#[cfg(unix)]
#[test]
fn nobody_else_can_look_into_it() {
    use std::os::unix::fs::PermissionsExt;
    let parent = TempDir::new().expect("a directory");
    let dir = parent.path().join("queue");
    let (mut store, _) = open(&root(&dir));
    push(&mut store, b"one", 1);
    push(&mut store, b"two", 1);
    let (_, _, origin) = pop(&mut store);
    store.settle(origin).expect("a mark");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let marks = segment(&dir, 1).with_extension("settled");
    for file in [dir.join("queue.lock"), segment(&dir, 1), marks] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    for folder in [dir.join("traces"), dir] {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
}

#[test]
fn contents_are_told_without_a_change() {
    let dir = left(&[b"one", b"two"]);
    let (mut store, _) = open(&root(dir.path()));
    let (_, _, origin) = pop(&mut store);
    store.settle(origin).expect("a mark");
    // While it is in use.
    let contents = DiskQueue::contents(dir.path()).expect("a queue");
    assert_eq!(contents.len(), 3);
    let traces = &contents[0];
    assert_eq!((traces.segments, traces.batches, traces.items, traces.damaged), (1, 1, 2, 0));
    assert_eq!(traces.bytes, (HEADER + 2 * HEAD + 6) as u64);
    assert!(traces.oldest.is_some());
    assert_eq!((contents[1].segments, contents[1].oldest), (0, None));

    let none = TempDir::new().expect("a directory");
    for path in [none.path(), &none.path().join("missing"), &segment(dir.path(), 1)] {
        let error = DiskQueue::contents(path).expect_err("no queue").to_string();
        assert!(error.contains("is no queue: ") && !error.contains('\n'), "{error}");
        assert!(DiskQueue::open_existing(path).is_err());
    }
    assert!(fs::read_dir(none.path()).expect("a directory").next().is_none());
}

#[test]
fn nothing_is_dropped_for_what_finds_no_room_even_so() {
    let dir = TempDir::new().expect("a directory");
    let root = bounded(dir.path(), 1 << 20);
    let (mut logs, _) = Store::open(&root, Signal::Logs);
    push(&mut logs, &[0; 1_000], 1);
    let (mut traces, _) = open(&root);
    while traces.push(Instant::now(), &[0; 10_000], 1, false).is_ok() {}
    let batch = Batch::read(vec![0; 50_000], 1);
    assert!(!logs.could_make_room(&batch), "the bytes are those of traces");
    assert!(traces.could_make_room(&batch));
    let (empty, _) = open(&bounded(&dir.path().join("large"), u64::MAX));
    assert!(!empty.could_make_room(&Batch::read(vec![0; MAX_BODY + 1], 1)), "no frame is so large");
}

#[test]
fn marks_without_a_segment_are_removed() {
    let dir = left(&[b"one"]);
    let lone = segment(dir.path(), 7).with_extension("settled");
    fs::write(&lone, "").expect("written");
    let (_, recovered) = open(&root(dir.path()));
    assert_eq!((recovered.items, recovered.note), (1, None));
    assert!(!lone.exists());
}

#[test]
fn a_folder_that_cannot_be_read_is_told_of() {
    let dir = TempDir::new().expect("a directory");
    let root = root(dir.path());
    fs::write(dir.path().join("traces"), "").expect("written");
    let note = open(&root).1.note.expect("it is told");
    assert!(note.contains("/traces: ") && note.contains("what is there is not sent"), "{note}");
    let error = DiskQueue::contents(dir.path()).expect_err("it cannot be read").to_string();
    assert!(error.contains("/traces: cannot be used as a queue: "), "{error}");
}
