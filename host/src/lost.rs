//! What a trace does not tell.

use std::fmt;

/// What was not recorded, or was recorded otherwise than it happened. All of it is
/// zero in a sane run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// Calls that were not timed since 65,536 timed ones were open.
    pub too_deep: u64,
    /// Spans that were not made since the trace had 2³² of them.
    pub too_many: u64,
    /// Exits of a call that was not open.
    pub stale_exits: u64,
    /// Entries of a function that the module's map does not have.
    pub unknown_ids: u64,
    /// Names of the guest's own spans that could not be read from its memory.
    pub unreadable_names: u64,
    /// Spans of the guest's own past the quota of 1,000 names.
    pub excess_names: u64,
    /// Blocks that were allocated while 1,048,576 were there already, and so are in no
    /// count of what is live.
    pub untracked_blocks: u64,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (count, what) in self.by_reason().into_iter().filter(|&(count, _)| count > 0) {
            write!(f, "{separator}{count} {what}")?;
            separator = ", ";
        }
        Ok(())
    }
}

impl Lost {
    /// The sum of all.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(count, _)| count).sum()
    }

    fn by_reason(&self) -> [(u64, &'static str); 7] {
        let Lost { too_deep, too_many, stale_exits, unknown_ids, .. } = *self;
        [
            (too_deep, "calls too deep"),
            (too_many, "spans too many"),
            (stale_exits, "exits of no open call"),
            (unknown_ids, "entries of no known function"),
            (self.unreadable_names, "names out of reach"),
            (self.excess_names, "names too many"),
            (self.untracked_blocks, "blocks of memory too many"),
        ]
    }
}
