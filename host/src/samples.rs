//! Samples of the guest's stack, from an embedder that interrupts it now and then.
//!
//! They tell of a slow call while it is running, of functions that are not hooked and of
//! calls that are not timed. No span comes of them, since nobody knows when such
//! a call began.

use std::collections::HashMap;

use wasmtime::WasmBacktrace;

use crate::failure::{BacktraceFrame, Failure};
use crate::module::ModuleInfo;

/// Stacks that are kept of a trace; later samples of others count as one more.
const MAX_STACKS: usize = 1000;

/// Calls of a stack that are kept, the innermost.
const MAX_FRAMES: usize = 100;

/// A stack that was there when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackSample {
    /// The calls, the innermost first; none where these are samples of more stacks than are
    /// kept.
    pub frames: Vec<BacktraceFrame>,
    /// How often it was there.
    pub count: u64,
}

/// The stacks of a trace.
#[derive(Default)]
pub(crate) struct Samples {
    counts: HashMap<Vec<BacktraceFrame>, u64>,
    others: u64,
}

impl Samples {
    /// Adds a stack, and gives the functions on it that are hooked.
    pub(crate) fn add(&mut self, backtrace: &WasmBacktrace, module: &ModuleInfo) -> Vec<u32> {
        let mut frames = Failure::frames(module, backtrace);
        frames.truncate(MAX_FRAMES);
        let id = |frame: &BacktraceFrame| module.functions.by_original_index(frame.index);
        let hooked = frames.iter().filter_map(id).map(|id| id as u32).collect();
        if self.counts.len() >= MAX_STACKS && !self.counts.contains_key(&frames) {
            self.others += 1;
            return hooked;
        }
        *self.counts.entry(frames).or_default() += 1;
        hooked
    }

    /// The stacks, the most frequent first.
    pub(crate) fn told(self) -> Vec<StackSample> {
        let stacks = self.counts.into_iter().map(|(frames, count)| StackSample { frames, count });
        let mut stacks: Vec<_> = stacks.collect();
        stacks.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.frames.cmp(&b.frames)));
        if self.others > 0 {
            stacks.push(StackSample { frames: Vec::new(), count: self.others });
        }
        stacks
    }
}
