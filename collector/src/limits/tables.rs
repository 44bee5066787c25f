//! What was found out about symbol tables, each once.

use std::sync::{Arc, Weak};

use crate::event::SymbolTable;

/// Tables that are remembered. A host that runs more modules than this in turn has them
/// looked through more than once, which is slower and no more.
const MAX_TABLES: usize = 64;

/// What belongs to each of the tables in use, the most recent first.
pub(crate) struct Tables<T> {
    entries: Vec<Entry<T>>,
}

struct Entry<T> {
    /// Keeps the address of the table from being used again, but not its symbols.
    table: Weak<SymbolTable>,
    known: T,
}

impl<T> Default for Tables<T> {
    fn default() -> Self {
        Tables { entries: Vec::new() }
    }
}

impl<T> Tables<T> {
    /// What belongs to a table, which `find` finds out the first time.
    pub(crate) fn get(
        &mut self,
        table: &Arc<SymbolTable>,
        find: impl FnOnce(&SymbolTable) -> T,
    ) -> &mut T {
        let of_table = |entry: &Entry<T>| std::ptr::eq(entry.table.as_ptr(), Arc::as_ptr(table));
        match self.entries.iter().position(of_table) {
            Some(index) => self.entries[..=index].rotate_right(1),
            None => {
                self.entries.retain(|entry| entry.table.strong_count() > 0);
                self.entries.truncate(MAX_TABLES - 1);
                let entry = Entry { table: Arc::downgrade(table), known: find(table) };
                self.entries.insert(0, entry);
            }
        }
        &mut self.entries[0].known
    }
}
