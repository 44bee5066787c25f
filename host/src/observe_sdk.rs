//! Modules made for observe-sdk: they tell each call by the index of its function, with no token
//! and no cell.
//!
//! So the host keeps their cells, and counts them down as guests with our hooks do; and it keeps
//! the open calls, since an exit says no more than whose it is. What is timed and how is then the
//! same for both.

use observe_abi::map::{self, Function, FunctionMap};
use observe_abi::{dylibso, hooks};
use observe_collector::event::Severity;
use observe_instrumenter::demangle;
use wasmparser::{ExternalKind, KnownCustom, Name, Parser, Payload, TypeRef};
use wasmtime::{AsContextMut, Memory, Module};

use crate::frame::{End, Token, UNTIMED};
use crate::growth::Grown;
use crate::recorder::{Inner, Recorder};

/// The bytes of a page of memory, which is what these modules count in.
const PAGE: u64 = 1 << 16;

/// Whether a function is one of observe-sdk's hooks.
fn is_hook(module: &str, name: &str) -> bool {
    module == dylibso::MODULE || module == dylibso::OLD_MODULE && dylibso::OLD_HOOKS.contains(&name)
}

/// Whether a module comes with the hooks of observe-sdk, and none of ours.
pub(crate) fn has_hooks(module: &Module) -> bool {
    module.imports().any(|import| is_hook(import.module(), import.name()))
        && !module.imports().any(|import| import.module().starts_with(hooks::MODULE_PREFIX))
}

/// The same of bytes that may be no module.
pub(crate) fn may_have_hooks(wasm: &[u8]) -> bool {
    for payload in Parser::new(0).parse_all(wasm) {
        match payload {
            Ok(Payload::ImportSection(section)) => {
                let mut imports = section.into_imports().flatten();
                return imports.any(|import| is_hook(import.module, import.name));
            }
            Ok(Payload::CodeSectionStart { .. }) | Err(_) => return false,
            Ok(_) => {}
        }
    }
    false
}

/// What the functions of a valid module are called: all that it defines, since which ones have hooks
/// it does not say.
pub(crate) fn function_map(wasm: &[u8]) -> FunctionMap {
    let (mut imports, mut defined) = (0, 0);
    let (mut names, mut exports) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        match payload {
            Payload::ImportSection(section) => {
                let types = section.into_imports().flatten().map(|import| import.ty);
                let is_function = |ty: &_| matches!(ty, TypeRef::Func(_) | TypeRef::FuncExact(_));
                imports = types.filter(is_function).count() as u32;
            }
            Payload::FunctionSection(section) => defined = section.count(),
            Payload::ExportSection(section) => {
                for export in section.into_iter().flatten() {
                    if matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact) {
                        exports.push((export.index, export.name));
                    }
                }
            }
            Payload::CustomSection(section) => {
                let KnownCustom::Name(section) = section.as_known() else { continue };
                // Names are no part of a module's meaning, and real modules have damaged ones.
                for name in section.into_iter().map_while(Result::ok) {
                    if let Name::Function(functions) = name {
                        let functions = functions.into_iter().map_while(Result::ok);
                        names.extend(functions.map(|naming| (naming.index, naming.name)));
                    }
                }
            }
            _ => {}
        }
    }
    // An export's name is for those that have none of their own.
    names.extend(exports);
    names.sort_by_key(|&(index, _)| index);
    names.dedup_by_key(|&mut (index, _)| index);
    let functions = (imports..imports.saturating_add(defined)).map(|index| {
        let name = match names.binary_search_by_key(&index, |&(index, _)| index) {
            Ok(at) => demangle(names[at].1),
            Err(_) => map::index_name(index),
        };
        Function { index, name, source: None }
    });
    let functions = functions.collect();
    FunctionMap { cells: map::Cells::Memory, imports, defined, files: Vec::new(), functions }
}

/// The severity of a level; `None` for one that nobody knows.
pub(crate) fn severity(level: u32) -> Option<Severity> {
    Some(match level {
        1 => Severity::Error,
        2 => Severity::Warn,
        3 => Severity::Info,
        4 => Severity::Debug,
        5 => Severity::Trace,
        _ => return None,
    })
}

/// What is known of a guest that tells each call.
#[derive(Default)]
pub(crate) struct Told {
    /// The open calls, the innermost last.
    open: Vec<Call>,
    /// By function, how many of these are of it.
    open_of: Vec<u32>,
    /// Open calls that are too deep to be kept.
    beyond: u64,
    /// How large the memory was, where it is the one that the module exports.
    memory_bytes: Option<u64>,
    /// That memory, if it was to grow and had not yet.
    growing: Option<Memory>,
}

#[derive(Clone, Copy)]
struct Call {
    id: u32,
    /// What the same call would have got from our hooks.
    token: i32,
}

impl Told {
    pub(crate) fn new(memory_bytes: Option<u64>) -> Self {
        Told { memory_bytes, ..Told::default() }
    }

    /// Forgets an instance, so that the store can have another.
    pub(crate) fn forget(&mut self, memory_bytes: Option<u64>) {
        (self.memory_bytes, self.growing) = (memory_bytes, None);
    }

    /// Makes room for the calls of so many functions, none of which is open.
    pub(crate) fn start(&mut self, functions: usize) {
        self.open_of = vec![0; functions];
        (self.open, self.beyond) = (Vec::new(), 0);
    }

    /// Gives back what only a trace needs.
    pub(crate) fn rest(&mut self) {
        self.start(0);
    }
}

/// Looks what came of a memory's growth that was told before it happened.
#[inline]
pub(crate) fn settle<S: AsContextMut>(
    store: &mut S,
    recorder: impl Fn(&mut S::Data) -> &mut Recorder,
) {
    let mut context = store.as_context_mut();
    let Some(inner) = recorder(context.data_mut()).inner() else { return };
    if let Some(memory) = inner.told.growing {
        let bytes = memory.data_size(&context) as u64;
        if let Some(inner) = recorder(context.data_mut()).inner() {
            inner.settle_growth(bytes);
        }
    }
}

impl Inner {
    /// The id of the function with an index of a module that tells each call; `None`, and
    /// counted, where there is no such function.
    fn told_id(&mut self, function: u32) -> Option<u32> {
        let functions = &self.module.functions;
        let id = function.checked_sub(functions.map.imports);
        let id = id.filter(|&id| self.module.tells_each_call && (id as usize) < functions.len());
        self.lost.unknown_ids += u64::from(id.is_none());
        id
    }

    /// A call begins.
    pub(crate) fn told_enter(&mut self, function: u32) {
        let Some(id) = self.told_id(function) else { return };
        if self.trace.is_some() && self.told.open.len() >= self.max_depth {
            self.told.beyond += 1;
            self.lost.too_deep += 1;
            let row = self.row_of(id);
            return self.stats.count(row, 1);
        }
        let token = match self.cells.count_down(id) {
            true => UNTIMED,
            false => {
                let entered = self.enter_quickly(id).unwrap_or_else(|| self.enter(id));
                let Some((period, token)) = entered.results() else { return };
                self.cells.refill(id, period);
                token
            }
        };
        if self.trace.is_some() {
            self.told.open.push(Call { id, token });
            self.told.open_of[id as usize] += 1;
        }
    }

    /// A call ends, and with it those within it that did not say so, as when an exception
    /// left them.
    pub(crate) fn told_exit(&mut self, function: u32) {
        let Some(id) = self.told_id(function) else { return };
        if self.trace.is_none() {
            return;
        }
        let told = &mut self.told;
        // The innermost calls are those that are not kept; where an exception left some of them,
        // as many exits are taken for theirs.
        if told.beyond > 0 {
            told.beyond -= 1;
            return;
        }
        if told.open_of[id as usize] == 0 {
            self.lost.stale_exits += 1;
            return;
        }
        let mut outermost = UNTIMED;
        while let Some(call) = told.open.pop() {
            told.open_of[call.id as usize] -= 1;
            if call.token < 0 {
                outermost = call.token;
            }
            if call.id == id {
                break;
            }
        }
        // The host may have closed it, with a span of its own around it.
        if self.is_open(outermost) {
            self.leave(outermost, End::Returned);
        }
    }

    fn is_open(&self, token: i32) -> bool {
        let token = Token::from_guest(token);
        self.stack.get(token.depth()).is_some_and(|frame| frame.token == token)
    }

    /// A memory was asked to grow by so many pages, or will be. Also the memory that the guest
    /// exports, and the bytes that it has now.
    pub(crate) fn told_grow(&mut self, pages: u32, exported: Option<(Memory, u64)>) {
        match (exported, self.told.memory_bytes) {
            (Some((_, now)), Some(before)) if now > before => self.settle_growth(now),
            (Some((memory, _)), Some(_)) => self.told.growing = (pages > 0).then_some(memory),
            // Where nobody can look, it must be believed.
            _ => self.told_growth(i64::from(pages) * PAGE as i64),
        }
    }

    /// The memory that was to grow has so many bytes.
    fn settle_growth(&mut self, bytes: u64) {
        self.told.growing = None;
        let before = self.told.memory_bytes.replace(bytes).unwrap_or(bytes);
        match bytes.saturating_sub(before) {
            0 => self.told_growth(-1),
            by => self.told_growth(i64::try_from(by).unwrap_or(i64::MAX)),
        }
    }

    /// The innermost call made a memory grow.
    fn told_growth(&mut self, by: i64) {
        let innermost = self.told.open.last().map(|call| call.id);
        self.grow_in(Grown::Memory, innermost, by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_name_section_else_of_exports_else_indices() {
        let wasm = wat::parse_str(
            r#"(module
                 (import "dylibso_observe" "instrument_enter" (func (param i32)))
                 (import "host" "memory" (memory 1))
                 (func $_ZN3app3run17h0123456789abcdefE)
                 (func (export "exported"))
                 (func))"#,
        );
        let wasm = wasm.expect("valid text");
        assert!(may_have_hooks(&wasm));
        let map = function_map(&wasm);
        let functions: Vec<_> = map.functions.iter().map(|f| (f.index, f.name.as_str())).collect();
        assert_eq!(functions, [(1, "app::run"), (2, "exported"), (3, "wasm-function[3]")]);
        assert_eq!((map.imports, map.defined), (1, 3));
    }

    #[test]
    fn what_is_no_module_or_only_speaks_for_itself_has_no_hooks() {
        let wasm = wat::parse_str(
            r#"(module (import "dylibso_observe" "log" (func (param i32 i64 i32))))"#,
        );
        for bytes in [b"".as_slice(), b"\0asm", &wasm.expect("valid text")] {
            assert!(!may_have_hooks(bytes));
        }
    }
}
