//! What the spans of one symbol have in common, encoded once.

use std::ops::Range;
use std::sync::Arc;

use super::attributes::put_attributes;
use super::encode::{ATTRIBUTES, NAME, NO_DETAIL, Said, SpanShape, UNNAMED, put_span};
use super::proto::put_string;
use crate::event::{Status, Symbol, SymbolId, SymbolTable};
use crate::tables::Tables;

/// Bytes of templates that are kept, over all tables.
const MAX_BYTES: usize = 64 << 20;

/// A whole span with a parent, status unset and no attributes of its own, in which
/// only ids, times and flags are to be filled in.
pub(super) struct Template {
    pub(super) bytes: Box<[u8]>,
    /// The bytes before its content.
    pub(super) head: usize,
    pub(super) shape: SpanShape,
    name: Range<usize>,
    attributes: Range<usize>,
}

impl Template {
    fn new(symbol: &Symbol) -> Self {
        let (mut name, mut attributes) = (Vec::new(), Vec::new());
        put_string(&mut name, NAME, &symbol.name);
        put_attributes(&mut attributes, ATTRIBUTES, &symbol.attributes);
        let said = Said {
            trace_state: "",
            has_parent: true,
            name: &name,
            attributes: &attributes,
            shared: &symbol.attributes,
            status: Status::Unset,
            detail: &NO_DETAIL,
        };
        let mut bytes = Vec::new();
        let (head, shape) = put_span(&mut bytes, &said, &mut Vec::new());
        let (name_at, attributes_at) = (head + shape.name, head + shape.attributes);
        Template {
            bytes: bytes.into(),
            head,
            name: name_at..name_at + name.len(),
            attributes: attributes_at..attributes_at + attributes.len(),
            shape,
        }
    }

    /// The encoded name field.
    pub(super) fn name(&self) -> &[u8] {
        self.bytes.get(self.name.clone()).unwrap_or_default()
    }

    /// The encoded attribute fields.
    pub(super) fn attributes(&self) -> &[u8] {
        self.bytes.get(self.attributes.clone()).unwrap_or_default()
    }

    fn size(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }
}

/// The templates of one symbol table.
pub(super) struct Templates {
    templates: Vec<Option<Template>>,
    bytes: usize,
    /// For symbols that the table does not have.
    unknown: Template,
}

impl Templates {
    fn new() -> Self {
        let unknown = Symbol { name: UNNAMED.to_owned(), attributes: Vec::new() };
        Templates { templates: Vec::new(), bytes: 0, unknown: Template::new(&unknown) }
    }

    /// The template of a symbol; for a symbol that the table does not have, one
    /// without attributes and of the name [`UNNAMED`].
    pub(super) fn get(&mut self, table: &SymbolTable, symbol: Option<SymbolId>) -> &Template {
        let Some((id, symbol)) = symbol.and_then(|id| Some((id, table.get(id)?))) else {
            return &self.unknown;
        };
        let index = id.0 as usize;
        if self.templates.len() <= index {
            self.templates.resize_with(index + 1, || None);
        }
        let Some(slot) = self.templates.get_mut(index) else { return &self.unknown };
        slot.get_or_insert_with(|| {
            let template = Template::new(symbol);
            self.bytes += template.size();
            template
        })
    }
}

/// The templates of the tables in use.
#[derive(Default)]
pub(super) struct TemplateCache {
    tables: Tables<Templates>,
}

impl TemplateCache {
    /// The templates of a table, to be filled as they are used.
    pub(super) fn get(&mut self, table: &Arc<SymbolTable>) -> &mut Templates {
        let mut total = 0;
        self.tables.keep_while(|cached| {
            total += cached.bytes + cached.templates.len() * size_of::<Option<Template>>();
            total <= MAX_BYTES
        });
        self.tables.get(table, |_| Templates::new())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{MAX_BYTES, TemplateCache};
    use crate::event::{Symbol, SymbolId, SymbolTable};

    fn table(name: String) -> Arc<SymbolTable> {
        Arc::new(SymbolTable::new(vec![Symbol { name, attributes: Vec::new() }]))
    }

    #[test]
    fn the_bytes_are_bounded() {
        let mut cache = TemplateCache::default();
        let tables: Vec<_> = (0..8).map(|_| table("x".repeat(MAX_BYTES / 4))).collect();
        for table in &tables {
            cache.get(table).get(table, Some(SymbolId(0)));
            assert!(cache.tables.len() <= 4);
        }
    }

    #[test]
    fn a_symbol_is_encoded_once() {
        let mut cache = TemplateCache::default();
        let table = table("f".to_owned());
        let first = cache.get(&table).get(&table, Some(SymbolId(0))).bytes.as_ptr();
        let second = cache.get(&table).get(&table, Some(SymbolId(0))).bytes.as_ptr();
        assert_eq!(first, second);
    }
}
