//! What waits to be sent: in memory or, with a directory, on disk. Where the disk fails, memory
//! takes its place until it works again.

use std::time::{Duration, Instant};

use super::batch::Batch;
use super::disk::{Origin, Read, Refusal, Store, Unsynced};
use super::queue::{Queue, QueueLimits, WhenFull};
use crate::transfers::{DiskState, QueueState};

/// How long a disk that failed is left alone.
const DISK_RETRY: Duration = Duration::from_secs(5);

pub(crate) struct Backlog {
    when_full: WhenFull,
    memory: Queue,
    disk: Option<Disk>,
    /// What the disk keeps after the end, and what of it has still to be synced.
    kept: u64,
    unsynced: Unsynced,
}

struct Disk {
    store: Store,
    /// When to try again, if it failed.
    retry_at: Option<Instant>,
    /// Memory to read into.
    buffer: Vec<u8>,
}

/// What became of a batch that was pushed, and of others because of it.
#[derive(Default)]
pub(crate) struct Pushed {
    /// Items that were given up for want of room.
    pub(crate) lost: u64,
    /// Memory that is not needed any more.
    pub(crate) spare: Option<Vec<u8>>,
    /// What went wrong, the first time that it did.
    pub(crate) error: Option<String>,
}

/// What to send next.
pub(crate) enum Popped {
    Batch(Batch, Option<Origin>),
    /// So many items cannot be read any more.
    Damage {
        items: u64,
        error: String,
    },
    /// The disk has something, but not now.
    Later {
        until: Instant,
        error: String,
    },
    Nothing,
}

impl Backlog {
    pub(crate) fn new(limits: QueueLimits, store: Option<Store>) -> Self {
        let disk = store.map(|store| Disk { store, retry_at: None, buffer: Vec::new() });
        Backlog {
            when_full: limits.when_full,
            memory: Queue::new(limits),
            disk,
            kept: 0,
            unsynced: Unsynced::default(),
        }
    }

    pub(crate) fn push(&mut self, now: Instant, batch: Batch) -> Pushed {
        let mut pushed = Pushed::default();
        let Some(disk) = &mut self.disk else {
            push_memory(&mut self.memory, batch, &mut pushed);
            return pushed;
        };
        if disk.retry_at.is_some_and(|at| now < at) {
            push_memory(&mut self.memory, batch, &mut pushed);
            return pushed;
        }
        // What came first goes first.
        while let Some(earlier) = self.memory.pop() {
            if let Err(earlier) = disk.write(now, earlier, self.when_full, &mut pushed) {
                self.memory.push_front(earlier);
                push_memory(&mut self.memory, batch, &mut pushed);
                return pushed;
            }
        }
        if let Err(batch) = disk.write(now, batch, self.when_full, &mut pushed) {
            push_memory(&mut self.memory, batch, &mut pushed);
        }
        pushed
    }

    /// Takes the batch that has waited longest. What is on disk stays there until
    /// [`Backlog::settle`].
    pub(crate) fn pop(&mut self, now: Instant) -> Popped {
        if let Some(disk) = &mut self.disk {
            match disk.store.pop(std::mem::take(&mut disk.buffer)) {
                Read::Batch { body, items, origin } => {
                    return Popped::Batch(Batch::read(body, items), Some(origin));
                }
                Read::Damage { items, error } => return Popped::Damage { items, error },
                Read::Failed { error } => {
                    return Popped::Later { until: now + DISK_RETRY, error };
                }
                Read::Nothing => {}
            }
        }
        self.memory.pop().map_or(Popped::Nothing, |batch| Popped::Batch(batch, None))
    }

    /// A batch that was read from there needs not be sent again. Returns what went wrong.
    pub(crate) fn settle(&mut self, origin: Origin, buffer: Vec<u8>) -> Option<String> {
        let disk = self.disk.as_mut()?;
        disk.buffer = buffer;
        let error = disk.store.settle(origin).err()?;
        Some(disk.describe(&error, "what was sent may be sent again after a restart"))
    }

    /// Whether a batch that was read from there still is there.
    pub(crate) fn holds(&self, origin: Origin) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.store.holds(origin))
    }

    /// Lets go of the disk, after what is in memory is written to it as far as that is possible.
    /// `held` is the batch that was popped and not settled. Returns how many items are kept; all
    /// others are lost.
    pub(crate) fn close(&mut self, now: Instant, held: Option<(Origin, u64)>) -> u64 {
        if let Some(mut disk) = self.disk.take() {
            disk.retry_at = None;
            let mut pushed = Pushed::default();
            while let Some(batch) = self.memory.pop() {
                if disk.write(now, batch, self.when_full, &mut pushed).is_err() {
                    break;
                }
            }
            let held = held.filter(|(origin, _)| disk.store.holds(*origin));
            self.kept = disk.store.items() + held.map_or(0, |(_, items)| items);
            self.unsynced = disk.store.close();
        }
        self.memory.clear();
        self.kept
    }

    pub(crate) fn is_on_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// Whether whoever blocks may go on.
    pub(crate) fn has_room(&self) -> bool {
        let on_disk = || self.disk.as_ref().is_none_or(|disk| disk.store.root().has_room());
        self.when_full != WhenFull::Block || (self.memory.has_room() && on_disk())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.disk.as_ref().is_none_or(|disk| disk.store.batches() == 0)
    }

    pub(crate) fn items(&self) -> u64 {
        let on_disk = self.disk.as_ref().map_or(self.kept, |disk| disk.store.items());
        self.memory.items() + on_disk
    }

    pub(crate) fn state(&self) -> QueueState {
        let memory = self.memory.state();
        let Some(disk) = &self.disk else { return memory };
        QueueState {
            batches: memory.batches + disk.store.batches(),
            items: memory.items + disk.store.items(),
            bytes: memory.bytes + disk.store.bytes(),
            capacity_bytes: disk.store.root().max_bytes(),
        }
    }

    pub(crate) fn disk_state(&self) -> Option<DiskState> {
        let disk = self.disk.as_ref()?;
        Some(DiskState {
            segments: disk.store.segments(),
            recovered: disk.store.recovered(),
            written: disk.store.written(),
            synced: disk.store.synced(),
            is_failing: disk.retry_at.is_some(),
        })
    }
}

impl Backlog {
    /// What has to be synced, which is then the caller's to do.
    pub(crate) fn take_unsynced(&mut self) -> Unsynced {
        match &mut self.disk {
            Some(disk) => disk.store.take_unsynced(),
            None => std::mem::take(&mut self.unsynced),
        }
    }

    /// When the first of what has to be synced was written.
    pub(crate) fn unsynced_since(&self) -> Option<Instant> {
        match &self.disk {
            Some(disk) => disk.store.unsynced_since(),
            None => self.unsynced.since,
        }
    }

    pub(crate) fn add_synced(&mut self, items: u64) {
        if let Some(disk) = &mut self.disk {
            disk.store.add_synced(items);
        }
    }
}

impl Disk {
    /// Writes a batch, or gives it back if the disk fails.
    fn write(
        &mut self,
        now: Instant,
        batch: Batch,
        when_full: WhenFull,
        pushed: &mut Pushed,
    ) -> Result<(), Batch> {
        let beyond = when_full == WhenFull::Block;
        loop {
            let error = match self.store.push(now, batch.body(), batch.items, beyond) {
                Ok(()) => {
                    self.retry_at = None;
                    break;
                }
                Err(Refusal::Full) => {
                    let fits = when_full == WhenFull::DropOld && self.store.could_make_room(&batch);
                    if fits && let Some(items) = self.store.drop_oldest() {
                        pushed.lost += items;
                        continue;
                    }
                    pushed.lost += batch.items;
                    break;
                }
                Err(Refusal::Failed(error)) => error,
            };
            if self.retry_at.is_none() {
                let then = "batches are kept in memory until it can be written";
                pushed.error = Some(self.describe(&error, then));
            }
            self.retry_at = now.checked_add(DISK_RETRY);
            return Err(batch);
        }
        pushed.spare = Some(batch.into_buffer());
        Ok(())
    }

    fn describe(&self, error: &std::io::Error, then: &str) -> String {
        format!("{}: {error}; {then}", self.store.dir().display())
    }
}

fn push_memory(memory: &mut Queue, batch: Batch, pushed: &mut Pushed) {
    for dropped in memory.push(batch) {
        pushed.lost += dropped.items;
        pushed.spare = Some(dropped.into_buffer());
    }
}
