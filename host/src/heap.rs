//! What a guest allocates and frees, as far as its allocators tell.

use std::collections::HashMap;

use crate::recorder::{Inner, What};
use crate::stats::FunctionStats;

/// The most blocks that are kept track of in a store, which takes up to 70 MB of memory: as
/// many as a table of 2²¹ places of 33 bytes holds when it is half full.
const MAX_BLOCKS: usize = 1 << 20;

/// What was allocated and freed in a trace.
///
/// Allocators call one another, as `calloc` calls `malloc`: only the outermost tells, and what
/// is told twice all the same, since there is another function between them, is counted once. Memory of a garbage collector is never freed, as far as anybody tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heap {
    /// Blocks that were allocated.
    pub allocations: u64,
    /// Bytes that were allocated; what a block grew by when it was reallocated counts, too.
    pub allocated_bytes: u64,
    /// Blocks of this trace that were freed in it.
    pub frees: u64,
    /// Blocks of this trace that are still there.
    pub live_blocks: u64,
    /// Bytes in these.
    pub live_bytes: u64,
    /// The most bytes that were there at a time, of blocks of this trace.
    pub peak_bytes: u64,
    /// How often there was no room.
    pub failures: u64,
}

/// The blocks of a store.
#[derive(Default)]
pub(crate) struct Blocks {
    live: HashMap<u64, Block>,
    trace: u32,
    pub(crate) told: Heap,
}

#[derive(Clone, Copy)]
struct Block {
    size: u64,
    /// In which trace it was allocated.
    trace: u32,
    /// The function that did, by id; `None` where none was timed.
    by: Option<u32>,
}

impl Blocks {
    /// Begins a trace.
    pub(crate) fn start(&mut self) {
        self.trace = self.trace.wrapping_add(1);
        self.told = Heap::default();
    }

    fn insert(&mut self, stats: &mut [FunctionStats], pointer: u64, block: Block) {
        self.live.insert(pointer, block);
        if block.trace == self.trace {
            self.told.more(block.size);
            self.told.peak_bytes = self.told.peak_bytes.max(self.told.live_bytes);
            if let Some(stats) = allocating(stats, &block) {
                stats.heap.more(block.size);
            }
        }
    }

    fn remove(&mut self, stats: &mut [FunctionStats], pointer: u64) -> Option<Block> {
        let block = self.live.remove(&pointer)?;
        if block.trace == self.trace {
            self.told.less(block.size);
            if let Some(stats) = allocating(stats, &block) {
                stats.heap.less(block.size);
            }
        }
        Some(block)
    }
}

/// Where what the function that allocated a block did is counted.
fn allocating<'s>(stats: &'s mut [FunctionStats], block: &Block) -> Option<&'s mut FunctionStats> {
    stats.get_mut(block.by? as usize)
}

impl Heap {
    /// One block more is there.
    fn more(&mut self, size: u64) {
        self.live_blocks += 1;
        self.live_bytes = self.live_bytes.saturating_add(size);
    }

    /// One block less is there.
    fn less(&mut self, size: u64) {
        self.live_blocks = self.live_blocks.saturating_sub(1);
        self.live_bytes = self.live_bytes.saturating_sub(size);
    }
}

impl Inner {
    /// An allocator gave `size` bytes at `pointer`, if it is not 0, and took back what was at
    /// `freed`, if that is not.
    pub(crate) fn allocation(&mut self, freed: u64, size: u64, pointer: u64) {
        let (blocks, stats) = (&mut self.blocks, &mut self.stats);
        if size == 0 && pointer == 0 {
            if let Some(block) = blocks.remove(stats, freed)
                && block.trace == blocks.trace
            {
                blocks.told.frees += 1;
            }
            return;
        }
        if pointer == 0 {
            // What was to be reallocated is still there.
            blocks.told.failures += 1;
            return;
        }
        // An allocator that called another one tells of what is known already, but not of what
        // an earlier trace knew: that was freed, and nobody told.
        let before = blocks.remove(stats, pointer).filter(|block| block.trace == blocks.trace);
        let moved = blocks.remove(stats, freed).or(before);
        let by = self.stack.last().and_then(|frame| match frame.what {
            What::Function(id) => Some(id),
            What::Root | What::Named(_) => None,
        });
        let (block, new) = match moved {
            Some(block) => (Block { size, ..block }, size.saturating_sub(block.size)),
            None => (Block { size, trace: blocks.trace, by }, size),
        };
        let counted = u64::from(moved.is_none());
        blocks.told.allocations += counted;
        blocks.told.allocated_bytes = blocks.told.allocated_bytes.saturating_add(new);
        if let Some(stats) = by.and_then(|id| stats.get_mut(id as usize)) {
            stats.heap.allocations += counted;
            stats.heap.allocated_bytes = stats.heap.allocated_bytes.saturating_add(new);
        }
        if blocks.live.len() >= MAX_BLOCKS {
            self.lost.untracked_blocks += 1;
            return;
        }
        blocks.insert(stats, pointer, block);
    }
}
