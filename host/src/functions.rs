//! What the host knows of a module's hooked functions.

use std::fmt::Write as _;
use std::sync::Arc;

use observe_abi::map::FunctionMap;
use observe_collector::event::{Attribute, Symbol, SymbolTable};

/// The hooked functions of a module, by id, shared by all its stores.
#[derive(Debug)]
pub(crate) struct Functions {
    pub(crate) map: FunctionMap,
    pub(crate) symbols: Arc<SymbolTable>,
}

impl Functions {
    pub(crate) fn new(map: FunctionMap) -> Self {
        let symbols = map.functions.iter().map(|function| {
            // Names: OpenTelemetry semantic conventions, "Source code attributes";
            // `wasm.*` is ours, there is none for WebAssembly.
            let mut attributes = vec![
                Attribute::new("code.function.name", function.name.as_str()),
                Attribute::new("wasm.function.index", i64::from(function.index)),
            ];
            if function.index < map.imports {
                attributes.push(Attribute::new("wasm.function.imported", true));
            }
            if let Some(source) = &function.source
                && let Some(file) = map.files.get(source.file as usize)
            {
                attributes.push(Attribute::new("code.file.path", file.as_str()));
                if source.line > 0 {
                    attributes.push(Attribute::new("code.line.number", i64::from(source.line)));
                }
            }
            Symbol { name: function.name.clone(), attributes }
        });
        let symbols = Arc::new(SymbolTable::new(symbols.collect()));
        Functions { map, symbols }
    }

    /// How many functions are hooked.
    pub(crate) fn len(&self) -> usize {
        self.map.functions.len()
    }

    /// Whether a function is the host's.
    pub(crate) fn is_import(&self, id: u32) -> bool {
        let function = self.map.functions.get(id as usize);
        function.is_some_and(|function| function.index < self.map.imports)
    }

    /// The position of a hooked function's source, as `file:line`.
    pub(crate) fn source(&self, id: usize) -> Option<String> {
        let source = self.map.functions.get(id)?.source.as_ref()?;
        let mut text = self.map.files.get(source.file as usize)?.clone();
        if source.line > 0 {
            let _ = write!(text, ":{}", source.line);
        }
        Some(text)
    }

    /// The id of the function with the given index in the original module.
    pub(crate) fn by_original_index(&self, index: u32) -> Option<usize> {
        self.map.functions.binary_search_by_key(&index, |function| function.index).ok()
    }
}
