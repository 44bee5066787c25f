//! What observe-sdk (Rust) does at each call, re-implemented: it is not the original.
//!
//! Hooks of dynamic type, a mutex, two readings of `SystemTime` on entry and one on exit, and
//! the name looked up, demangled and copied twice. The module has the hooks that its hosts
//! provide: one call with the function's index at the start of each function, one at its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use observe_abi::dylibso;
use observe_benches::{Done, Program, Result};
use observe_instrumenter::{Abi, Module as Parsed, Plan, Selection, demangle};
use wasmparser::{KnownCustom, Name, Parser, Payload};
use wasmtime::{Engine, FuncType, Module, Store, Val, ValType};

use crate::contender::{self, Contender, Observer, Seen, State, Work};

/// A contender with all functions hooked, as there. With `tree` a call that ends is copied
/// into its caller, with all that is in it; without, no finished call is kept, which
/// flatters it.
pub fn contender(engine: &Engine, program: &Program, tree: bool) -> Result<Contender> {
    let parsed = Parsed::parse(&program.wasm)?;
    let mut plan = Plan::new(&parsed, &Selection::all());
    plan.abi = Abi::Dylibso;
    let wasm = plan.apply(&parsed)?.wasm;
    let names = names(&wasm)?;
    let name = match tree {
        false => "observe-sdk's way, calls forgotten",
        true => "observe-sdk's way, with its tree",
    };
    let shared = Arc::new(Mutex::new(Tracer { tree, ..Tracer::default() }));
    let observer = Sdk(Arc::clone(&shared));

    let hook = FuncType::new(engine, [ValType::I32], []);
    let mut linker = contender::linker(engine)?;
    let context = Arc::clone(&shared);
    linker.func_new(dylibso::MODULE, dylibso::ENTER, hook.clone(), move |_, params, _| {
        let context = Arc::clone(&context);
        let index = int(params)?;
        let name = names.get(&index);
        if let Ok(mut tracer) = context.lock() {
            tracer.enter(index, name.map(String::as_str));
        }
        Ok(())
    })?;
    let context = Arc::clone(&shared);
    linker.func_new(dylibso::MODULE, dylibso::EXIT, hook.clone(), move |_, params, _| {
        let context = Arc::clone(&context);
        int(params)?;
        if let Ok(mut tracer) = context.lock() {
            tracer.exit();
        }
        Ok(())
    })?;
    linker.func_new(dylibso::MODULE, dylibso::MEMORY_GROW, hook, move |_, params, _| {
        let context = Arc::clone(&shared);
        let pages = int(params)?;
        if let Ok(mut tracer) = context.lock() {
            tracer.grow(pages);
        }
        Ok(())
    })?;
    Contender::new(name, &Module::new(engine, &wasm)?, &linker, observer)
}

fn int(params: &[Val]) -> wasmtime::Result<u32> {
    let value = params.first().and_then(Val::i32).map(i32::cast_unsigned);
    value.ok_or_else(|| wasmtime::format_err!("a hook takes one integer"))
}

/// The names of the functions of an instrumented module, where its hosts look for them.
fn names(wasm: &[u8]) -> Result<HashMap<u32, String>> {
    let mut names = HashMap::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CustomSection(section) = payload? else { continue };
        let KnownCustom::Name(subsections) = section.as_known() else { continue };
        for subsection in subsections {
            let Name::Function(functions) = subsection? else { continue };
            for function in functions {
                let function = function?;
                names.insert(function.index, function.name.to_owned());
            }
        }
    }
    Ok(names)
}

/// What observe-sdk keeps behind its mutex: the open calls, each of which holds what
/// happened in it.
#[derive(Default)]
struct Tracer {
    tree: bool,
    open: Vec<Call>,
    done: Vec<Call>,
    calls: u64,
}

#[derive(Clone)]
#[expect(dead_code, reason = "what nobody reads is written all the same")]
struct Call {
    index: u32,
    start: SystemTime,
    end: SystemTime,
    name: Option<String>,
    raw_name: Option<String>,
    within: Vec<Event>,
}

#[derive(Clone)]
#[expect(dead_code, reason = "what nobody reads is written all the same")]
enum Event {
    Call(Call),
    Growth(u32),
}

impl Tracer {
    fn enter(&mut self, index: u32, name: Option<&str>) {
        self.calls += 1;
        self.open.push(Call {
            index,
            start: SystemTime::now(),
            end: SystemTime::now(),
            name: name.map(demangle),
            raw_name: name.map(str::to_owned),
            within: Vec::new(),
        });
    }

    fn exit(&mut self) {
        let Some(mut call) = self.open.pop() else { return };
        call.end = SystemTime::now();
        match self.open.last_mut() {
            Some(caller) if self.tree => caller.within.push(Event::Call(call.clone())),
            Some(_) => {}
            None => self.done.push(call),
        }
    }

    fn grow(&mut self, pages: u32) {
        if let Some(call) = self.open.last_mut() {
            call.within.push(Event::Growth(pages));
        }
    }
}

struct Sdk(Arc<Mutex<Tracer>>);

impl Observer for Sdk {
    fn observe(&self, store: &mut Store<State>, work: &Work<'_>) -> Result<(Done, Seen)> {
        let done = work.run(store)?;
        let mut tracer = self.0.lock().map_err(|_| "a hook has panicked")?;
        let empty = Tracer { tree: tracer.tree, ..Tracer::default() };
        let Tracer { calls, .. } = std::mem::replace(&mut *tracer, empty);
        Ok((done, Seen::Calls { made: calls, timed: calls }))
    }
}
