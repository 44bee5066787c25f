//! What a guest allocates and frees, as far as its allocators tell.

use std::collections::HashMap;

use crate::functions::Functions;
use crate::paths::{PathId, Paths};
use crate::recorder::Inner;
use crate::stats::{RowId, Stats, What};

/// Paths that a report names, those with the most bytes live.
const TOLD_PATHS: usize = 1000;

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

/// What was allocated under one path of calls: the timed calls that were open, from the outermost
/// on, a hundred at most. Calls of a function right within another one of it are one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeapPath {
    /// The names of the functions, the outermost first; none for allocations outside of timed
    /// calls.
    pub functions: Vec<String>,
    /// Whether this stands for all paths past the [quota](crate::Quotas::paths).
    pub is_rest: bool,
    /// Blocks that were allocated.
    pub allocations: u64,
    /// Bytes that were allocated.
    pub allocated_bytes: u64,
    /// Blocks that are still there.
    pub live_blocks: u64,
    /// Bytes in these.
    pub live_bytes: u64,
}

/// The blocks of a store.
#[derive(Default)]
pub(crate) struct Blocks {
    live: HashMap<u64, Block>,
    trace: u32,
    pub(crate) told: Heap,
    paths: Paths,
    /// By path.
    by_path: Vec<Heap>,
}

#[derive(Clone, Copy)]
struct Block {
    size: u64,
    /// In which trace it was allocated.
    trace: u32,
    by: By,
}

/// Who allocated a block.
#[derive(Clone, Copy)]
struct By {
    row: RowId,
    path: PathId,
}

impl Blocks {
    /// Begins a trace.
    pub(crate) fn start(&mut self) {
        self.trace = self.trace.wrapping_add(1);
        self.told = Heap::default();
        self.paths = Paths::default();
        self.by_path.clear();
    }

    /// Counts something of this trace: in all, by function and by path.
    fn count(&mut self, stats: &mut Stats, by: By, count: impl Fn(&mut Heap)) {
        count(&mut self.told);
        if let Some(more) = stats.more(by.row) {
            count(&mut more.heap);
        }
        let PathId(at) = by.path;
        let at = at as usize;
        if self.by_path.len() <= at {
            self.by_path.resize(at + 1, Heap::default());
        }
        count(&mut self.by_path[at]);
    }

    fn insert(&mut self, stats: &mut Stats, pointer: u64, block: Block) {
        self.live.insert(pointer, block);
        if block.trace == self.trace {
            self.count(stats, block.by, |heap| heap.more(block.size));
        }
    }

    fn remove(&mut self, stats: &mut Stats, pointer: u64) -> Option<Block> {
        let block = self.live.remove(&pointer)?;
        if block.trace == self.trace {
            self.count(stats, block.by, |heap| heap.less(block.size));
        }
        Some(block)
    }

    /// What was allocated by path, the most bytes live first.
    pub(crate) fn paths(&self, functions: &Functions) -> Vec<HeapPath> {
        let used = self.by_path.iter().enumerate().filter(|(_, heap)| heap.allocations > 0);
        let mut used: Vec<_> = used.collect();
        used.sort_by_key(|(_, heap)| std::cmp::Reverse((heap.live_bytes, heap.allocated_bytes)));
        used.truncate(TOLD_PATHS);
        let told = used.into_iter().map(|(at, heap)| {
            let path = PathId(at as u32);
            let name = |id: u32| functions.map.functions.get(id as usize);
            let names = self.paths.calls(path).into_iter().filter_map(name);
            HeapPath {
                functions: names.map(|function| function.name.clone()).collect(),
                is_rest: path == PathId::REST,
                allocations: heap.allocations,
                allocated_bytes: heap.allocated_bytes,
                live_blocks: heap.live_blocks,
                live_bytes: heap.live_bytes,
            }
        });
        told.collect()
    }
}

impl Heap {
    /// One block more is there.
    fn more(&mut self, size: u64) {
        self.live_blocks += 1;
        self.live_bytes = self.live_bytes.saturating_add(size);
        self.peak_bytes = self.peak_bytes.max(self.live_bytes);
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
        let by = self.allocating();
        let (blocks, stats) = (&mut self.blocks, &mut self.stats);
        if size == 0 && pointer == 0 {
            if let Some(block) = blocks.remove(stats, freed)
                && block.trace == blocks.trace
            {
                blocks.count(stats, block.by, |heap| heap.frees += 1);
            }
            return;
        }
        if pointer == 0 {
            // What was to be reallocated is still there.
            blocks.count(stats, by, |heap| heap.failures += 1);
            return;
        }
        // An allocator that called another one tells of what is known already, but not of what
        // an earlier trace knew: that was freed, and nobody told.
        let before = blocks.remove(stats, pointer).filter(|block| block.trace == blocks.trace);
        let moved = blocks.remove(stats, freed).or(before);
        let (block, new) = match moved {
            Some(block) => (Block { size, ..block }, size.saturating_sub(block.size)),
            None => (Block { size, trace: blocks.trace, by }, size),
        };
        let counted = u64::from(moved.is_none());
        blocks.count(stats, by, |heap| {
            heap.allocations += counted;
            heap.allocated_bytes = heap.allocated_bytes.saturating_add(new);
        });
        if blocks.live.len() >= self.shared.quotas.blocks as usize {
            self.lost.untracked_blocks += 1;
            return;
        }
        blocks.insert(stats, pointer, block);
    }

    /// Who allocates now: the innermost timed call, and the path to it.
    fn allocating(&mut self) -> By {
        let (stats, paths) = (&self.stats, &mut self.blocks.paths);
        let quota = self.shared.quotas.paths;
        let known = self.stack.iter().rposition(|frame| frame.path != PathId::ROOT);
        let mut path = known.map_or(PathId::ROOT, |at| self.stack[at].path);
        for frame in self.stack.iter_mut().skip(known.map_or(0, |at| at + 1)) {
            if let Some(What::Function(id)) = stats.what(frame.row) {
                path = paths.step(path, id, quota);
            }
            frame.path = path;
        }
        self.lost.excess_paths += u64::from(path == PathId::REST);
        let row = self.stack.last().map_or(RowId::NONE, |frame| frame.row);
        let is_function = matches!(stats.what(row), Some(What::Function(_)));
        By { row: if is_function { row } else { RowId::NONE }, path }
    }
}
