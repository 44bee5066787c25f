//! The directory of a disk queue: who owns it, and how much may be in it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thiserror::Error;

use super::segment::private;
use crate::stats::Signal;

/// How many bytes a directory holds unless told.
const DEFAULT_MAX_BYTES: u64 = 512 << 20;

/// How long a batch may be written and not be on the disk, unless told.
const DEFAULT_SYNC_WINDOW: Duration = Duration::from_millis(100);

/// Batches on disk, in a directory that no other process uses at the same time.
///
/// With it, [`OtlpExporter::with_disk_queue`](super::super::OtlpExporter::with_disk_queue) writes
/// each batch to the directory before it is sent, and removes it when the receiver has taken it,
/// refused it or rejected it. What is there when the process ends, however that ends, is sent by
/// the next one that opens the directory. `docs/QUEUE.md` has the promise and the format.
#[derive(Debug)]
pub struct DiskQueue {
    dir: PathBuf,
    lock: File,
    max_bytes: u64,
    sync_window: Duration,
}

/// Why a directory cannot be a disk queue. Messages name the directory, and are of one line.
#[derive(Debug, Error)]
pub enum DiskQueueError {
    /// It could not be made, or nothing can be written there.
    #[error("{}: cannot be used as a queue: {error}", dir.display())]
    Unusable {
        /// The directory.
        dir: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// Another exporter has it, in this process or in another.
    #[error("{}: is in use as a queue by another process; give each a directory of its own", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// There is no queue in it.
    #[error("{}: is no queue: {reason}", dir.display())]
    NoQueue {
        /// The directory.
        dir: PathBuf,
        /// What is missing.
        reason: String,
    },
}

impl DiskQueue {
    /// Makes the directory if there is none, and locks it until the last exporter that uses it is
    /// gone. Nothing is read yet.
    ///
    /// # Errors
    ///
    /// If the directory cannot be made or written to, or is in use.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, DiskQueueError> {
        let dir = dir.into();
        let unusable = |error| DiskQueueError::Unusable { dir: dir.clone(), error };
        make_dir(&dir).map_err(unusable)?;
        let mut options = OpenOptions::new();
        let file = private(options.write(true).create(true).truncate(false)).open(lock_path(&dir));
        let lock = file.map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DiskQueueError::InUse { dir }),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let (max_bytes, sync_window) = (DEFAULT_MAX_BYTES, DEFAULT_SYNC_WINDOW);
        Ok(DiskQueue { dir, lock, max_bytes, sync_window })
    }

    /// As [`DiskQueue::open`], for a directory that is one already.
    ///
    /// # Errors
    ///
    /// If there is no queue in it, or it is in use.
    pub fn open_existing(dir: impl Into<PathBuf>) -> Result<Self, DiskQueueError> {
        let dir = dir.into();
        check(&dir)?;
        Self::open(dir)
    }

    /// How many bytes all segments together may take; 512 MiB unless told. What goes beyond is
    /// for [`WhenFull`](super::super::WhenFull) to decide: the oldest are dropped by segments of an
    /// eighth of this, of 8 MiB at the most. Up to four damaged segments for each signal, which
    /// are kept to be looked at, come on top.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long a batch may be written but not synced; 100 ms unless told. A batch that is written
    /// outlives the process, one that is synced the power supply, too. With zero, batches are
    /// synced as soon as they are written; those that come while the disk is at work, together.
    pub fn sync_window(mut self, window: Duration) -> Self {
        self.sync_window = window;
        self
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn into_root(self) -> Arc<Root> {
        let DiskQueue { dir, lock, max_bytes, sync_window } = self;
        Arc::new(Root { dir, _lock: lock, used: AtomicU64::new(0), max_bytes, sync_window })
    }
}

/// What the signals of one exporter share.
pub(crate) struct Root {
    dir: PathBuf,
    /// Let go of when it is closed, also by the end of the process.
    _lock: File,
    used: AtomicU64,
    max_bytes: u64,
    pub(crate) sync_window: Duration,
}

impl Root {
    pub(super) fn dir(&self, signal: Signal) -> PathBuf {
        self.dir.join(signal.name())
    }

    pub(crate) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    pub(crate) fn has_room(&self) -> bool {
        self.has_room_for(1)
    }

    /// How many bytes more there may be.
    pub(super) fn room(&self) -> u64 {
        self.max_bytes.saturating_sub(self.used.load(Ordering::Relaxed))
    }

    pub(super) fn has_room_for(&self, bytes: u64) -> bool {
        bytes <= self.room()
    }

    /// Whether it is time to give back what is not needed.
    pub(super) fn is_tight(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.max_bytes / 2
    }

    pub(super) fn take(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether there was room for so many bytes, which are now taken.
    pub(super) fn try_take(&self, bytes: u64) -> bool {
        let fits = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.max_bytes);
        self.used.try_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    pub(super) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Whether a directory is a queue.
pub(super) fn check(dir: &Path) -> Result<(), DiskQueueError> {
    let no_queue = |reason: &str| {
        Err(DiskQueueError::NoQueue { dir: dir.to_owned(), reason: reason.to_owned() })
    };
    match dir.metadata() {
        Err(error) => no_queue(&error.to_string()),
        Ok(about) if !about.is_dir() => no_queue("it is a file"),
        Ok(_) if !lock_path(dir).is_file() => no_queue("there is no `queue.lock` in it"),
        Ok(_) => Ok(()),
    }
}

fn lock_path(dir: &Path) -> PathBuf {
    dir.join("queue.lock")
}

/// Makes a directory and those above it, as far as they are missing, for good.
fn make_dir(dir: &Path) -> io::Result<()> {
    let missing: Vec<_> = dir.ancestors().take_while(|above| !above.exists()).collect();
    private_dir().recursive(true).create(dir)?;
    // What is in a directory is not on the disk before its name is.
    for above in missing.iter().filter_map(|made| made.parent()) {
        sync_dir(if above.as_os_str().is_empty() { Path::new(".") } else { above })?;
    }
    Ok(())
}

/// Has the names in a folder on the disk.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// Makes folders that nobody else can look into.
pub(super) fn private_dir() -> DirBuilder {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}
