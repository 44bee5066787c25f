//! What a guest's memories and tables grow by, and who makes them.

use std::ops::AddAssign;

use observe_collector::event::Attribute;

use crate::recorder::Inner;

/// By how much memories and tables grew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Growth {
    /// Bytes by which memories grew.
    pub memory_bytes: u64,
    /// Elements by which tables grew.
    pub table_elements: u64,
    /// How often one should have grown and did not: past its maximum, or for want of room.
    pub failures: u64,
}

/// What grew.
#[derive(Clone, Copy)]
pub(crate) enum Grown {
    Memory,
    Table,
}

impl Growth {
    fn new(what: Grown, by: i64) -> Self {
        let mut growth = Growth::default();
        match (what, u64::try_from(by)) {
            (Grown::Memory, Ok(bytes)) => growth.memory_bytes = bytes,
            (Grown::Table, Ok(elements)) => growth.table_elements = elements,
            (_, Err(_)) => growth.failures = 1,
        }
        growth
    }

    /// Whether nothing grew, nor tried to.
    pub fn is_none(&self) -> bool {
        *self == Growth::default()
    }

    /// What a span says of it.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = Attribute> + use<> {
        let counts = [
            ("wasm.memory.growth", self.memory_bytes),
            ("wasm.table.growth", self.table_elements),
            ("wasm.growth.failures", self.failures),
        ];
        let counts = counts.into_iter().filter(|&(_, count)| count > 0);
        counts.map(|(name, count)| Attribute::new(name, i64::try_from(count).unwrap_or(i64::MAX)))
    }
}

impl AddAssign for Growth {
    fn add_assign(&mut self, other: Self) {
        // A guest that calls the hooks by itself may give any number.
        let Growth { memory_bytes, table_elements, failures } = other;
        self.memory_bytes = self.memory_bytes.saturating_add(memory_bytes);
        self.table_elements = self.table_elements.saturating_add(table_elements);
        self.failures = self.failures.saturating_add(failures);
    }
}

/// How large the memories of a store are.
pub(crate) struct GrowthSoFar {
    /// What the memories of its module begin with, where that is known.
    initial_bytes: Option<u64>,
    bytes: u64,
}

impl GrowthSoFar {
    pub(crate) fn new(initial_bytes: Option<u64>) -> Self {
        GrowthSoFar { initial_bytes, bytes: 0 }
    }

    /// Memories never shrink, so this is their peak, too.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        self.initial_bytes.map(|initial| initial.saturating_add(self.bytes))
    }
}

impl Inner {
    /// A hooked function grew something by so much, or, where it is negative, could not.
    pub(crate) fn grow(&mut self, what: Grown, id: u32, by: i64) {
        match (id as usize) < self.module.functions.len() {
            true => self.grow_in(what, Some(id), by),
            false => self.lost.unknown_ids += 1,
        }
    }

    /// The same, of a function that the module has, or of one that nobody knows.
    pub(crate) fn grow_in(&mut self, what: Grown, id: Option<u32>, by: i64) {
        let growth = Growth::new(what, by);
        self.grown.bytes = self.grown.bytes.saturating_add(growth.memory_bytes);
        let Some(trace) = &mut self.trace else { return };
        trace.growth += growth;
        if let Some(id) = id {
            let row = self.row_of(id);
            if let Some(more) = self.stats.more(row) {
                more.growth += growth;
            }
        }
        if let Some(extra) = self.extra() {
            extra.growth += growth;
        }
    }
}
