//! Names of spans.

use std::collections::HashSet;
use std::sync::Arc;

use crate::event::{Attribute, Chunk, SymbolTable};
use crate::tables::Tables;

/// What a span is called whose name is one too many.
const OVERFLOW: &str = "observe.overflow";

/// The names that were seen.
pub(crate) struct Names {
    most: usize,
    known: HashSet<Box<str>>,
    /// Of each symbol that was met, whether its name is among them.
    symbols: Tables<Vec<Option<bool>>>,
}

impl Names {
    pub(crate) fn new(most: usize) -> Self {
        Names { most, known: HashSet::new(), symbols: Tables::default() }
    }

    /// Renames the spans of a chunk whose names are too many, and says how many these are.
    pub(crate) fn apply(&mut self, chunk: &mut Chunk) -> u64 {
        let Names { most, known, symbols } = self;
        let mut takes = |name: &str| {
            let is_known = known.contains(name);
            is_known || (known.len() < *most && known.insert(name.into()))
        };
        let table: &Arc<SymbolTable> = &chunk.trace.symbols;
        let met = symbols.get(table, |_| Vec::new());
        let mut renamed = 0;
        for span in &mut chunk.spans {
            let own = span.detail.as_ref().and_then(|detail| detail.name.as_deref());
            let (name, is_taken) = match (own, span.symbol) {
                (Some(name), _) => (name, takes(name)),
                (None, Some(id)) => {
                    let Some(symbol) = table.get(id) else { continue };
                    let index = id.0 as usize;
                    if met.len() <= index {
                        met.resize(index + 1, None);
                    }
                    let is_taken = *met[index].get_or_insert_with(|| takes(&symbol.name));
                    (symbol.name.as_str(), is_taken)
                }
                (None, None) => continue,
            };
            if is_taken {
                continue;
            }
            let original = Attribute::new("observe.span.name", name);
            let detail = span.detail.get_or_insert_default();
            detail.attributes.push(original);
            detail.name = Some(OVERFLOW.into());
            renamed += 1;
        }
        renamed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Names, OVERFLOW};
    use crate::event::{
        Attribute, Chunk, SpanDetail, SpanNumber, SpanRecord, Status, Symbol, SymbolId,
        SymbolTable, TraceId, TraceInfo,
    };

    fn span(symbol: Option<u32>, name: Option<&str>) -> SpanRecord {
        let own =
            |name: &str| SpanDetail { name: Some(name.to_owned().into()), ..SpanDetail::default() };
        SpanRecord {
            start_unix_nanos: 1,
            end_unix_nanos: 2,
            number: SpanNumber(1),
            parent: None,
            symbol: symbol.map(SymbolId),
            status: Status::Unset,
            detail: name.map(|name| Box::new(own(name))),
        }
    }

    /// The names, and whether the original stands beside them.
    fn names(chunk: &Chunk) -> Vec<String> {
        let name = |span: &SpanRecord| {
            let detail = span.detail.as_ref()?;
            let original = detail.attributes.first().map(|attribute| match attribute {
                Attribute { key, value } if key == "observe.span.name" => format!(" {value:?}"),
                other => panic!("{other:?}"),
            });
            Some(format!("{}{}", detail.name.as_deref()?, original.unwrap_or_default()))
        };
        chunk.spans.iter().map(|span| name(span).unwrap_or_default()).collect()
    }

    #[test]
    fn names_beyond_the_bound_become_one() {
        let symbol = |name: &str| Symbol { name: name.to_owned(), attributes: Vec::new() };
        let symbols = Arc::new(SymbolTable::new(["f", "g", "h"].map(symbol).into()));
        let trace =
            Arc::new(TraceInfo { trace_id: TraceId([1; 16]), parent: None, seed: 1, symbols });
        let mut bounded = Names::new(2);
        for _ in 0..2 {
            let spans = vec![
                span(Some(0), None),
                span(None, Some("request")),
                span(Some(1), None),
                span(None, Some("other")),
                span(None, Some("f")),
                span(None, None),
                span(Some(9), None),
            ];
            let mut chunk = Chunk { trace: Arc::clone(&trace), spans, logs: Vec::new() };
            assert_eq!(bounded.apply(&mut chunk), 2);
            let g = format!("{OVERFLOW} String(\"g\")");
            let other = format!("{OVERFLOW} String(\"other\")");
            assert_eq!(names(&chunk), ["", "request", &g, &other, "f", "", ""]);
        }
    }
}
