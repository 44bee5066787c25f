//! A look at a directory, which changes nothing and may be taken while it is in use.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::root::{DiskQueue, DiskQueueError, check};
use super::segment::{Found, Segment};
use super::store::{segments_in, set_aside_in};
use crate::stats::Signal;

/// What waits in a directory, of one signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueContents {
    /// Which.
    pub signal: Signal,
    /// Segments of which something is not settled.
    pub segments: u64,
    /// Batches that are not settled.
    pub batches: u64,
    /// The items in them.
    pub items: u64,
    /// What the segments take, with what is settled in them.
    pub bytes: u64,
    /// When the oldest of these segments was begun.
    pub oldest: Option<SystemTime>,
    /// Segments that are damaged in some place, and those that were set aside because of that.
    pub damaged: u64,
}

impl DiskQueue {
    /// What waits in a directory, traces first. Every segment is read. While a process uses the
    /// directory this is about what it holds.
    ///
    /// # Errors
    ///
    /// If there is no queue in it, or it cannot be read.
    pub fn contents(dir: &Path) -> Result<Vec<QueueContents>, DiskQueueError> {
        check(dir)?;
        let of_signal = |signal: &Signal| {
            of_signal(dir, *signal)
                .map_err(|error| DiskQueueError::Unusable { dir: dir.join(signal.name()), error })
        };
        Signal::ALL.iter().map(of_signal).collect()
    }
}

fn of_signal(dir: &Path, signal: Signal) -> io::Result<QueueContents> {
    let dir = dir.join(signal.name());
    let (mut segments, mut batches, mut items, mut bytes) = (0, 0, 0, 0);
    let (mut oldest, mut damaged) = (None, set_aside_in(&dir).len() as u64);
    for (number, path) in segments_in(&dir, &mut 0)? {
        match Segment::find(path, number, signal) {
            Ok((Found::Segment(segment), _)) => {
                segments += 1;
                batches += segment.batches;
                items += segment.items;
                bytes += segment.len();
                damaged += u64::from(segment.is_damaged);
                let created = Duration::from_secs(segment.created());
                oldest = oldest.or(SystemTime::UNIX_EPOCH.checked_add(created));
            }
            Ok((Found::Damaged, _)) => damaged += 1,
            // Removed meanwhile, most likely: it was delivered.
            Ok((Found::Nothing | Found::Later, _)) | Err(_) => {}
        }
    }
    Ok(QueueContents { signal, segments, batches, items, bytes, oldest, damaged })
}
