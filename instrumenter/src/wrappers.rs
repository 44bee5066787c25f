//! Which functions begin a span of the guest's own and leave it to their caller to end, or end one
//! that a caller began.
//!
//! A scoped span ends with the hooked function in which it began. Where a compiler does not inline
//! what wraps the imports (debug builds, `-O0`), that function must be the one that
//! calls the wrapper, and so the wrapper must get no hooks.
//!
//! A function *opens* a span if it calls `span-begin`, or a function that opens one, and *closes* one
//! if it calls `span-end`, or a function that closes one; what it does both of is its own
//! affair, in whatever order. A token that is dropped at once is of no use to a caller, nor
//! does a function that takes and gives nothing have one to hand it to: such a function
//! forgets the span, which then ends with it.
//!
//! What takes or gives something and keeps the token where nobody looks, as unoptimised code
//! does in a frame of its own, cannot be told from a wrapper: such a span ends with the caller.
//!
//! Calls through tables and references are not followed, and of functions that call one another in a
//! circle the first is taken for one that neither opens nor closes. Time is linear in the number of
//! direct calls, and nothing is done for a module that imports neither function.

use observe_abi::guest;

use crate::leb;
use crate::parse::{FuncIndex, Function, Import, Module};
use crate::scan::SiteKind;

/// What a function does with spans of the guest's own, seen from its caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Role {
    /// It leaves them as they were.
    #[default]
    Neutral,
    /// One that it began is open.
    Opens,
    /// It began one that nobody can end.
    Forgets,
    /// One that it did not begin is over.
    Closes,
}

/// What is known of a function in the course of the search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unknown,
    /// Its calls are being looked through.
    Open,
    Known(Role),
}

/// What the calls of a function so far do.
#[derive(Clone, Copy, Default)]
struct Calls {
    open: bool,
    forget: bool,
    close: bool,
    /// Some function of the host other than an annotation.
    host: bool,
}

/// What the annotations of a module say of its functions.
pub(crate) struct Wrappers {
    /// Of each function that the module defines; empty where it is not annotated.
    functions: Vec<(Role, bool)>,
}

impl Wrappers {
    pub(crate) fn of(module: &Module<'_>) -> Self {
        let functions = match module.imports.iter().any(is_annotation) {
            true => Search::new(module).run(),
            false => Vec::new(),
        };
        Wrappers { functions }
    }

    /// Whether the function at a place among those that the module defines begins or ends a span
    /// for its caller.
    pub(crate) fn contains(&self, place: usize) -> bool {
        let role = self.functions.get(place).map(|(role, _)| *role);
        matches!(role, Some(Role::Opens | Role::Closes))
    }

    /// Whether the function there, in a module with annotations, calls no other imported functions.
    pub(crate) fn only_annotates(&self, place: usize) -> bool {
        self.functions.get(place).is_some_and(|(_, host)| !host)
    }
}

fn is_annotation(import: &Import<'_>) -> bool {
    import.module.starts_with(guest::MODULE_PREFIX)
}

/// Walks from callers to those that they call, which are known first.
struct Search<'m, 'a> {
    module: &'m Module<'a>,
    imports: Vec<Option<Role>>,
    states: Vec<State>,
    hosts: Vec<bool>,
}

/// A function whose calls are being looked through.
struct Visit {
    place: usize,
    /// Its sites that are still to be looked at.
    sites: std::ops::Range<usize>,
    calls: Calls,
}

impl<'m, 'a> Search<'m, 'a> {
    fn new(module: &'m Module<'a>) -> Self {
        let role = |import: &Import<'_>| match import.name {
            _ if !is_annotation(import) => None,
            guest::SPAN_BEGIN => Some(Role::Opens),
            guest::SPAN_END => Some(Role::Closes),
            _ => Some(Role::Neutral),
        };
        Search {
            module,
            imports: module.imports.iter().map(role).collect(),
            states: vec![State::Unknown; module.functions.len()],
            hosts: vec![false; module.functions.len()],
        }
    }

    fn run(mut self) -> Vec<(Role, bool)> {
        for place in 0..self.states.len() {
            self.visit(place);
        }
        let role = |state| match state {
            State::Known(role) => role,
            State::Unknown | State::Open => Role::Neutral,
        };
        self.states.into_iter().map(role).zip(self.hosts).collect()
    }

    /// Finds the role of a function, after those of the functions that it calls.
    fn visit(&mut self, place: usize) {
        let mut path = Vec::new();
        self.enter(place, &mut path);
        while let Some(visit) = path.last_mut() {
            let Some(site) = visit.sites.next() else {
                let Visit { place, calls, .. } = *visit;
                self.states[place] = State::Known(self.role(place, calls));
                self.hosts[place] = calls.host;
                path.pop();
                continue;
            };
            let Some((callee, is_dropped)) = self.call(visit.place, site) else { continue };
            let role = match self.imports.get(callee as usize) {
                Some(Some(role)) => *role,
                Some(None) => {
                    visit.calls.host = true;
                    continue;
                }
                None => {
                    let callee = callee as usize - self.imports.len();
                    match self.states.get(callee) {
                        Some(State::Known(role)) => *role,
                        Some(State::Unknown) => {
                            // It is asked again once that is known.
                            visit.sites.start = site;
                            self.enter(callee, &mut path);
                            continue;
                        }
                        Some(State::Open) | None => Role::Neutral,
                    }
                }
            };
            match role {
                Role::Neutral => {}
                Role::Opens if is_dropped => visit.calls.forget = true,
                Role::Opens => visit.calls.open = true,
                Role::Forgets => visit.calls.forget = true,
                Role::Closes => visit.calls.close = true,
            }
        }
    }

    fn enter(&mut self, place: usize, path: &mut Vec<Visit>) {
        if let Some(state @ State::Unknown) = self.states.get_mut(place) {
            *state = State::Open;
            let sites = self.module.functions[place].body.sites.clone();
            path.push(Visit { place, sites, calls: Calls::default() });
        }
    }

    /// The function that is called at a site, and whether its result is dropped at once.
    fn call(&self, place: usize, site: usize) -> Option<(u32, bool)> {
        /// Opcodes ([WebAssembly specification, 5.4](https://webassembly.github.io/spec/core/binary/instructions.html)).
        const CALL: u8 = 0x10;
        const RETURN_CALL: u8 = 0x12;
        const DROP: u8 = 0x1a;
        let site = self.module.sites.get(site)?;
        if site.kind != SiteKind::FunctionIndex {
            return None;
        }
        let (before, index) =
            self.module.functions[place].body.bytes.split_at_checked(site.offset as usize)?;
        let opcode = *before.last()?;
        let (callee, after) = leb::split(index).ok()?;
        let is_dropped = opcode == CALL && after.first() == Some(&DROP);
        matches!(opcode, CALL | RETURN_CALL).then_some((callee, is_dropped))
    }

    fn role(&self, place: usize, calls: Calls) -> Role {
        let Function { type_index, .. } = self.module.functions[place];
        let ty = self.module.function_type(type_index);
        let takes_or_gives =
            ty.is_some_and(|ty| !ty.ty.params().is_empty() || !ty.ty.results().is_empty());
        let index = FuncIndex(self.module.first_defined() + place as u32);
        let is_of_the_host =
            self.module.start == Some(index) || self.module.export_names(index).next().is_some();
        // What the host calls with nothing ends no span of the host's.
        let has_caller = takes_or_gives || !is_of_the_host;
        match calls {
            Calls { close: true, open: false, forget: false, .. } if has_caller => Role::Closes,
            Calls { close: false, open: true, .. } if takes_or_gives => Role::Opens,
            Calls { close: false, open, forget, .. } if open || forget => Role::Forgets,
            _ => Role::Neutral,
        }
    }
}
