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

    /// Forgets the table at which this no longer holds, and all that were used before it; the most
    /// recent is asked about first.
    pub(crate) fn keep_while(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let kept = self.entries.iter().take_while(|entry| keep(&entry.known)).count();
        self.entries.truncate(kept);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{MAX_TABLES, Tables};
    use crate::event::{Symbol, SymbolId, SymbolTable};

    fn table(name: usize) -> Arc<SymbolTable> {
        let symbol = Symbol { name: name.to_string(), attributes: Vec::new() };
        Arc::new(SymbolTable::new(vec![symbol]))
    }

    fn name(table: &SymbolTable) -> Option<String> {
        table.get(SymbolId(0)).map(|symbol| symbol.name.clone())
    }

    #[test]
    fn tables_are_told_apart_even_at_the_same_address() {
        let mut tables = Tables::default();
        // Allocators like to give the same address again, which must not fool anybody.
        for n in 0..100 {
            assert_eq!(*tables.get(&table(n), name), Some(n.to_string()));
        }
        assert!(tables.len() <= 1, "tables that are gone are forgotten");
    }

    #[test]
    fn the_number_of_tables_is_bounded_and_the_latest_stay() {
        let mut tables = Tables::default();
        let all: Vec<_> = (0..MAX_TABLES + 8).map(table).collect();
        for table in &all {
            tables.get(table, name);
            tables.get(&all[0], name);
        }
        assert_eq!(tables.len(), MAX_TABLES);
        let known = |table: &Arc<SymbolTable>| {
            tables.entries.iter().any(|entry| entry.table.as_ptr() == Arc::as_ptr(table))
        };
        assert!(known(&all[0]), "used all the time");
        assert!(!known(&all[1]), "used longest ago");
        assert!(known(&all[MAX_TABLES + 7]));
    }
}
