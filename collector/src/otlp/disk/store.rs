//! The segments of one signal: written at the end, read at the front, bounded in bytes.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::BuildHasher;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::super::batch::Batch;
use super::format::{HEAD, HEADER, Head, MAX_BODY};
use super::root::{Root, sync_dir};
use super::segment::{self, EXTENSION, Found, MARKS, SET_ASIDE, Segment};
use crate::stats::Signal;

/// How large a segment becomes before the next one is begun. What is delivered is given back to
/// the file system by whole segments, and the oldest are dropped so.
const SEGMENT: u64 = 8 << 20;

/// How many damaged segments are kept for somebody to look at.
const KEPT: usize = 4;

/// Where a batch came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    segment: u64,
    end: u64,
}

/// Why a batch was not written.
pub(crate) enum Refusal {
    /// There would be more bytes than there may be.
    Full,
    Failed(io::Error),
}

/// What an earlier process left.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) items: u64,
    /// Items that are known to be lost.
    pub(crate) damaged: u64,
    /// What is to be said of it, in one line.
    pub(crate) note: Option<String>,
}

/// What was read from a segment.
pub(crate) enum Read {
    Batch {
        body: Vec<u8>,
        items: u64,
        origin: Origin,
    },
    /// A batch could not be read; so many items are lost with it.
    Damage {
        items: u64,
        error: String,
    },
    /// There is something, but it cannot be read now.
    Failed {
        error: String,
    },
    Nothing,
}

/// What has to be synced.
#[derive(Default)]
pub(crate) struct Unsynced {
    files: Vec<(u64, Arc<File>, u64)>,
    /// Whether names were added to the folder.
    names: Option<PathBuf>,
    /// When the first of it was written.
    pub(crate) since: Option<Instant>,
}

impl Unsynced {
    /// Writes it to the disk, which takes the disk's time. Returns how many items that made safe.
    pub(crate) fn sync(self) -> io::Result<u64> {
        let mut items = 0;
        for (_, file, number) in self.files {
            file.sync_data()?;
            items += number;
        }
        if let Some(dir) = self.names {
            sync_dir(&dir)?;
            // The folder may be new itself.
            dir.parent().map_or(Ok(()), sync_dir)?;
        }
        Ok(items)
    }
}

pub(crate) struct Store {
    signal: Signal,
    dir: PathBuf,
    root: Arc<Root>,
    /// By number. The last may still be written.
    segments: VecDeque<Segment>,
    next_number: u64,
    unsynced: Unsynced,
    /// Items that this process wrote, and those of them that are known to be on the disk.
    written: u64,
    synced: u64,
    recovered: u64,
}

impl Store {
    /// Takes up what is in the folder of a signal. A folder that cannot be read is as an empty one,
    /// and is told of.
    pub(crate) fn open(root: &Arc<Root>, signal: Signal) -> (Self, Recovered) {
        let mut store = Store {
            signal,
            dir: root.dir(signal),
            root: Arc::clone(root),
            segments: VecDeque::new(),
            next_number: 1,
            unsynced: Unsynced::default(),
            written: 0,
            synced: 0,
            recovered: 0,
        };
        let recovered = store.recover();
        store.recovered = recovered.items + recovered.damaged;
        (store, recovered)
    }

    fn recover(&mut self) -> Recovered {
        let (mut recovered, mut notes) = (Recovered::default(), Vec::new());
        let segments = segments_in(&self.dir, &mut self.next_number).unwrap_or_else(|error| {
            notes.push(format!("{}: {error}; what is there is not sent", self.dir.display()));
            Vec::new()
        });
        for (number, path) in segments {
            let shown = path.display().to_string();
            let found = Segment::find(path.clone(), number, self.signal);
            match found {
                Ok((Found::Segment(segment), lost)) => {
                    if let Err(error) = segment.truncate() {
                        notes.push(format!("{shown}: {error}"));
                    }
                    if segment.is_damaged {
                        notes.push(format!("{shown}: damaged; what can be read of it is sent"));
                    }
                    recovered.items += segment.items;
                    recovered.damaged += lost;
                    self.root.take(segment.len());
                    self.segments.push_back(segment);
                }
                Ok((Found::Nothing, _)) => drop(segment::remove(&path)),
                Ok((Found::Later, _)) => {
                    notes.push(format!("{shown}: written by a later release, and left there"));
                }
                Ok((Found::Damaged, _)) => {
                    notes.push(format!("{shown}: nothing in it can be read"));
                    let _ = segment::set_aside(&path);
                }
                Err(error) => notes.push(format!("{shown}: {error}")),
            }
        }
        self.remove_done();
        remove_lone_marks(&self.dir);
        keep_few(&self.dir);
        recovered.note = (!notes.is_empty()).then(|| notes.join("; "));
        recovered
    }

    /// Writes a batch, `beyond` the bound if need be.
    pub(crate) fn push(
        &mut self,
        now: Instant,
        body: &[u8],
        items: u64,
        beyond: bool,
    ) -> Result<(), Refusal> {
        let head = Head::of(body, items).ok_or(Refusal::Full)?;
        if !beyond && !self.root.has_room_for(head.frame_len()) {
            // The one that is written may hold nothing but what is settled.
            self.seal();
        }
        let target = (self.root.max_bytes() / 8).clamp(64 << 10, SEGMENT);
        let writing = self.segments.back().filter(|segment| segment.writer().is_some());
        let full = |segment: &Segment| segment.len() + head.frame_len() > target;
        let rotate = writing.is_none_or(|segment| segment.len() > HEADER as u64 && full(segment));
        let need = head.frame_len() + if rotate { HEADER as u64 } else { 0 };
        if rotate {
            self.seal();
        }
        if beyond {
            self.root.take(need);
        } else if !self.root.try_take(need) {
            return Err(Refusal::Full);
        }
        let written = self.write(body, head, rotate, now);
        if written.is_err() {
            self.root.give_back(need);
        }
        written.map_err(Refusal::Failed)
    }

    fn write(&mut self, body: &[u8], head: Head, rotate: bool, now: Instant) -> io::Result<()> {
        if rotate {
            create_dir(&self.dir)?;
            // The salt is of the random numbers that the standard library gives.
            let salt = RandomState::new().hash_one(self.next_number);
            let created = Segment::create(&self.dir, self.next_number, self.signal, salt);
            if created.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
                // The folder could not be read at the start.
                let _ = segments_in(&self.dir, &mut self.next_number);
            }
            let segment = created?;
            self.next_number += 1;
            self.unsynced.names = Some(self.dir.clone());
            self.segments.push_back(segment);
        }
        let Some(segment) = self.segments.back_mut() else { return Ok(()) };
        if let Err(error) = segment.append(body, head) {
            if rotate {
                // What was taken of the bound is given back, so the file goes, too.
                if let Some(segment) = self.segments.pop_back() {
                    let _ = segment.remove();
                }
            }
            return Err(error);
        }
        let items = u64::from(head.items);
        self.written += items;
        if let Some(file) = segment.writer() {
            match self.unsynced.files.last_mut().filter(|(number, ..)| *number == segment.number) {
                Some((_, _, unsynced)) => *unsynced += items,
                None => self.unsynced.files.push((segment.number, Arc::clone(file), items)),
            }
            self.unsynced.since.get_or_insert(now);
        }
        Ok(())
    }

    /// Reads the oldest batch that was not read yet, into a buffer that is used again.
    pub(crate) fn pop(&mut self, buffer: Vec<u8>) -> Read {
        let Some(segment) = self.segments.iter_mut().find(|segment| segment.batches > 0) else {
            return Read::Nothing;
        };
        let name = format!("{:012}.{EXTENSION}", segment.number);
        let shown = self.dir.join(name).display().to_string();
        // A process that has too many files open has lost nothing yet.
        if let Err(error) = segment.open_reader()
            && error.kind() != io::ErrorKind::NotFound
        {
            return Read::Failed { error: format!("{shown}: {error}") };
        }
        let error = match segment.next(buffer) {
            Ok(Some(frame)) => {
                let origin = Origin { segment: segment.number, end: frame.end };
                return Read::Batch { body: frame.body, items: frame.items, origin };
            }
            Ok(None) => "it ends too early".to_owned(),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => "damaged".to_owned(),
            Err(error) => error.to_string(),
        };
        let error = format!("{shown}: {error}");
        let before = segment.len();
        let items = segment.take_stock_again();
        let after = segment.len();
        self.root.give_back(before.saturating_sub(after));
        self.root.take(after.saturating_sub(before));
        self.remove_done();
        Read::Damage { items, error }
    }

    /// The batch that was read from there is settled, and need not be sent again.
    pub(crate) fn settle(&mut self, origin: Origin) -> io::Result<()> {
        let find = |segment: &&mut Segment| segment.number == origin.segment;
        // It may have made room for others.
        let Some(segment) = self.segments.iter_mut().find(find) else { return Ok(()) };
        if self.root.is_tight() && segment.batches == 0 {
            // Otherwise it would keep its bytes until something is written again, for which there
            // might be no room.
            segment.seal();
        }
        let marked = segment.settle(origin.end);
        self.remove_done();
        marked
    }

    /// Drops the segment that was begun first. Returns how many items that were not read are lost
    /// with it; `None` if there is none.
    pub(crate) fn drop_oldest(&mut self) -> Option<u64> {
        let segment = self.segments.pop_front()?;
        let items = segment.items;
        self.forget(segment);
        Some(items)
    }

    /// Whether the batch that was read from there is on the disk.
    pub(crate) fn holds(&self, origin: Origin) -> bool {
        self.segments.iter().any(|segment| segment.number == origin.segment)
    }

    /// Whether a batch would fit if nothing else of this signal were there. Other signals keep what
    /// they have.
    pub(crate) fn could_make_room(&self, batch: &Batch) -> bool {
        let len = batch.body().len();
        len <= MAX_BODY && (HEADER + HEAD + len) as u64 <= self.bytes() + self.root.room()
    }

    /// Nothing is written any more, and nothing read. Returns what has to be synced.
    pub(crate) fn close(mut self) -> Unsynced {
        self.seal();
        self.take_unsynced()
    }

    /// The last segment is written no more; what is settled goes.
    pub(super) fn seal(&mut self) {
        if let Some(segment) = self.segments.back_mut() {
            segment.seal();
        }
        self.remove_done();
    }

    /// Removes the segments that are sealed and settled.
    fn remove_done(&mut self) {
        let mut at = 0;
        while let Some(segment) = self.segments.get(at) {
            if segment.writer().is_none() && segment.is_done() {
                if let Some(segment) = self.segments.remove(at) {
                    self.forget(segment);
                }
            } else {
                at += 1;
            }
        }
    }

    fn forget(&mut self, segment: Segment) {
        self.root.give_back(segment.len());
        let (number, damaged) = (segment.number, segment.is_damaged);
        // If it cannot be removed it is sent again after the next start.
        let _ = segment.remove();
        if damaged {
            keep_few(&self.dir);
        }
        // A file that is gone needs no sync. What was in it is settled.
        let gone = self.unsynced.files.extract_if(.., |(file, ..)| *file == number);
        self.synced += gone.map(|(_, _, items)| items).sum::<u64>();
    }

    /// What has to be synced, which is whoever takes it's to do.
    pub(crate) fn take_unsynced(&mut self) -> Unsynced {
        std::mem::take(&mut self.unsynced)
    }

    pub(crate) fn unsynced_since(&self) -> Option<Instant> {
        self.unsynced.since
    }

    pub(crate) fn add_synced(&mut self, items: u64) {
        self.synced += items;
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn root(&self) -> &Arc<Root> {
        &self.root
    }

    pub(crate) fn items(&self) -> u64 {
        self.segments.iter().map(|segment| segment.items).sum()
    }

    pub(crate) fn batches(&self) -> u64 {
        self.segments.iter().map(|segment| segment.batches).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(Segment::len).sum()
    }

    pub(crate) fn segments(&self) -> u64 {
        self.segments.len() as u64
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    pub(crate) fn synced(&self) -> u64 {
        self.synced
    }

    pub(crate) fn recovered(&self) -> u64 {
        self.recovered
    }
}

/// The segments in a folder by number; none if there is no folder. Raises `next` above the numbers
/// of all files there.
pub(super) fn segments_in(dir: &Path, next: &mut u64) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some((number, extension)) = name.split_once('.') else { continue };
        let Ok(number) = number.parse::<u64>() else { continue };
        *next = (*next).max(number.saturating_add(1));
        if extension == EXTENSION && path.is_file() {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes marks whose segment is gone, which a process that was killed between the two left.
fn remove_lone_marks(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let is_marks = path.extension().is_some_and(|end| end == MARKS);
        if is_marks && !path.with_extension(EXTENSION).exists() {
            let _ = fs::remove_file(path);
        }
    }
}

/// How many damaged segments are set aside in a folder, the oldest first.
pub(super) fn set_aside_in(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|end| end == SET_ASIDE)).collect();
    found.sort_unstable();
    found
}

/// Removes the damaged segments that were set aside first, so that they are bounded, too.
fn keep_few(dir: &Path) {
    let all = set_aside_in(dir);
    for path in all.iter().take(all.len().saturating_sub(KEPT)) {
        let _ = fs::remove_file(path);
    }
}

fn create_dir(dir: &Path) -> io::Result<()> {
    match super::root::private_dir().create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        result => result,
    }
}
