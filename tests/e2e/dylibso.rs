//! `--abi dylibso`: modules for hosts with Dylibso's observe-sdk.
//!
//! The SDKs are in no registry that `tests/setup` uses, so the host here is one of our own,
//! written after what those in Rust, Go and JavaScript ask of a module. Of each rule on which
//! they differ it has the strictest: an end that is not that of the innermost open call is an
//! error (Rust), so is a module without a name section (Go, JavaScript), and one whose version
//! is not found at the exported index among the globals that it defines (Rust).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use crate::harness::{example, observe, output, stderr, stdout};
use crate::hooks::config;
use observe_abi::hooks;
use observe_instrumenter::{demangle, read_function_map};
use wasmparser::{ExternalKind, KnownCustom, Name, Operator, Payload};
use wasmtime::{Caller, Engine, Instance, Linker, Store, bail};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;

/// The interface, as the SDKs spell it.
const MODULE: &str = "dylibso:observe/instrument";
const HOST_VERSION: (i32, i32) = (0, 0);

/// What a host is told.
#[derive(Clone, Debug, PartialEq)]
enum Event {
    Call(Call),
    /// A memory grew by so many pages.
    Growth(i32),
}

#[derive(Clone, Debug, PartialEq)]
struct Call {
    name: String,
    within: Vec<Event>,
}

/// `name(within within)`, with `+n` for growth.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Growth(pages) => write!(f, "+{pages}"),
            Event::Call(call) if call.within.is_empty() => f.write_str(&call.name),
            Event::Call(call) => write!(f, "{}({})", call.name, show(&call.within)),
        }
    }
}

fn show(events: &[Event]) -> String {
    events.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Counts each function's calls.
fn count(event: &Event, calls: &mut BTreeMap<String, usize>) {
    if let Event::Call(call) = event {
        *calls.entry(call.name.clone()).or_default() += 1;
        call.within.iter().for_each(|event| count(event, calls));
    }
}

/// What a host makes of what it is told.
struct Trace {
    names: HashMap<i32, String>,
    open: Vec<(i32, Call)>,
    done: Vec<Event>,
    wasi: WasiP1Ctx,
}

impl Trace {
    fn new(names: HashMap<i32, String>, stdin: &[u8]) -> Self {
        let mut wasi = WasiCtxBuilder::new();
        let wasi = wasi.stdin(MemoryInputPipe::new(stdin.to_vec())).build_p1();
        Trace { names, open: Vec::new(), done: Vec::new(), wasi }
    }

    /// Opens a call of `function`, which has to be closed with `key`.
    fn enter(&mut self, function: i32, key: i32) -> wasmtime::Result<()> {
        let Some(name) = self.names.get(&function) else { bail!("{function} has no name") };
        self.open.push((key, Call { name: demangle(name), within: Vec::new() }));
        Ok(())
    }

    fn exit(&mut self, key: i32) -> wasmtime::Result<()> {
        match self.open.pop() {
            Some((open, call)) if open == key => self.add(Event::Call(call)),
            Some((open, _)) => bail!("missed a function exit: {key} for {open}"),
            None => bail!("empty stack in exit"),
        }
        Ok(())
    }

    fn add(&mut self, event: Event) {
        let within = self.open.last_mut().map(|(_, call)| &mut call.within);
        within.unwrap_or(&mut self.done).push(event);
    }
}

/// Function names by index, if a host takes the module.
fn names(wasm: &[u8]) -> Result<HashMap<i32, String>, String> {
    let (mut names, mut globals, mut exports) = (None, Vec::new(), HashMap::new());
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        match payload.expect("a module") {
            Payload::GlobalSection(section) => {
                for global in section {
                    let mut init = global.expect("a global").init_expr.get_operators_reader();
                    globals.push(match init.read() {
                        Ok(Operator::I32Const { value }) => Some(value),
                        _ => None,
                    });
                }
            }
            Payload::ExportSection(section) => {
                let exported = section.into_iter().map(|export| export.expect("an export"));
                let exported = exported.filter(|export| export.kind == ExternalKind::Global);
                exports.extend(exported.map(|export| (export.name, export.index)));
            }
            Payload::CustomSection(section) => {
                let KnownCustom::Name(section) = section.as_known() else { continue };
                for subsection in section {
                    let Name::Function(map) = subsection.expect("names") else { continue };
                    let read = map.into_iter().map(|naming| naming.expect("a name"));
                    let read = read.map(|naming| (naming.index as i32, naming.name.to_owned()));
                    names.get_or_insert_with(HashMap::new).extend(read);
                }
            }
            _ => {}
        }
    }
    let version = |name| {
        let index = exports.get(name).ok_or_else(|| format!("{name} is missing"))?;
        // As if none were imported.
        let value = globals.get(*index as usize).copied().flatten();
        value.ok_or_else(|| format!("{name} is no number at {index}"))
    };
    let (major, minor) =
        (version("wasm_instr_version_major")?, version("wasm_instr_version_minor")?);
    if major != HOST_VERSION.0 || minor < HOST_VERSION.1 {
        return Err(format!("version {major}.{minor}"));
    }
    names.ok_or_else(|| "name section not found".to_owned())
}

/// Instruments a module as a user does, and gives what was said, too.
fn instrument(input: &Path, abi: &str, selection: &[&str]) -> (Vec<u8>, String) {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out.wasm");
    let mut command = observe();
    command.arg("instrument").arg(input).args(["--abi", abi, "-o"]).arg(&out).args(selection);
    let result = output(&mut command, b"");
    assert!(result.status.success(), "{}", stderr(&result));
    (std::fs::read(out).expect("written"), stderr(&result))
}

fn linker(engine: &Engine) -> Linker<Trace> {
    let mut linker = Linker::new(engine);
    p1::add_to_linker_sync(&mut linker, |trace: &mut Trace| &mut trace.wasi).expect("WASI");
    linker
}

/// Instantiates a module in a host with observe-sdk.
fn sdk(wasm: &[u8], stdin: &[u8]) -> (Store<Trace>, Instance) {
    let engine = Engine::new(&config()).expect("an engine");
    let mut linker = linker(&engine);
    let enter =
        |mut host: Caller<'_, Trace>, function: i32| host.data_mut().enter(function, function);
    linker.func_wrap(MODULE, "enter", enter).expect("it is not there");
    let exit = |mut host: Caller<'_, Trace>, function: i32| host.data_mut().exit(function);
    linker.func_wrap(MODULE, "exit", exit).expect("it is not there");
    let grow = |mut host: Caller<'_, Trace>, pages: i32| host.data_mut().add(Event::Growth(pages));
    linker.func_wrap(MODULE, "memory-grow", grow).expect("it is not there");
    linker.func_wrap("env", "clock", || 7i64).expect("it is not there");
    let global = wasmtime::GlobalType::new(wasmtime::ValType::I32, wasmtime::Mutability::Const);
    let names = names(wasm).unwrap_or_else(|error| panic!("the host refuses: {error}"));
    let mut store = Store::new(&engine, Trace::new(names, stdin));
    let global = wasmtime::Global::new(&mut store, global, 3.into()).expect("a global");
    linker.define(&store, "env", "base", global).expect("it is not there");
    let module = wasmtime::Module::new(&engine, wasm).expect("it compiles");
    let instance = linker.instantiate(&mut store, &module).expect("it links");
    (store, instance)
}

/// What a host with observe-sdk is told of a run of an export.
fn trace(wasm: &[u8], export: &str, stdin: &[u8]) -> Vec<Event> {
    let (mut store, instance) = sdk(wasm, stdin);
    let run = instance.get_typed_func::<(), ()>(&mut store, export).expect("it is exported");
    run.call(&mut store, ()).unwrap_or_else(|error| panic!("{error:?}"));
    assert!(store.data().open.is_empty(), "each call ends");
    store.into_data().done
}

/// The same with hooks of our own, each call timed. These are other code in the module,
/// with other keys.
fn observe_trace(wasm: &[u8], export: &str, stdin: &[u8]) -> Vec<Event> {
    let engine = Engine::new(&config()).expect("an engine");
    let mut linker = linker(&engine);
    let map = read_function_map(wasm).expect("it is instrumented").expect("it can be read");
    let names = (0..).zip(map.functions).map(|(id, function)| (id, function.name)).collect();
    let enter = |mut host: Caller<'_, Trace>, id: i32| {
        let token = -1 - host.data().open.len() as i32;
        host.data_mut().enter(id, token).map(|()| (1, token))
    };
    linker.func_wrap(hooks::MODULE, hooks::ENTER, enter).expect("it is not there");
    let exit = |mut host: Caller<'_, Trace>, token: i32| host.data_mut().exit(token);
    linker.func_wrap(hooks::MODULE, hooks::EXIT, exit).expect("it is not there");
    let grow = |mut host: Caller<'_, Trace>, _: i32, _: i32, bytes: i64| {
        if bytes >= 0 {
            host.data_mut().add(Event::Growth((bytes >> 16) as i32));
        }
    };
    linker.func_wrap(hooks::MODULE, hooks::MEMORY_GROW, grow).expect("it is not there");
    let mut store = Store::new(&engine, Trace::new(names, stdin));
    let module = wasmtime::Module::new(&engine, wasm).expect("it compiles");
    let instance = linker.instantiate(&mut store, &module).expect("it links");
    let run = instance.get_typed_func::<(), ()>(&mut store, export).expect("it is exported");
    run.call(&mut store, ()).unwrap_or_else(|error| panic!("{error:?}"));
    store.into_data().done
}

#[test]
fn real_programs_are_told_call_by_call() {
    let stdin = b"Hello, world!\nand so on\n";
    for program in ["vowels.wasm", "vowels-c.wasm"] {
        for selection in [&["--all"][..], &[]] {
            let input = example(program);
            let (wasm, _) = instrument(&input, "dylibso", selection);
            let told = trace(&wasm, "_start", stdin);
            let text = show(&told);
            let mut calls = BTreeMap::new();
            told.iter().for_each(|event| count(event, &mut calls));
            let calls = |name| calls.get(name).copied().unwrap_or_default();
            assert!(calls("wasi_snapshot_preview1.fd_read") > 1, "until there is no more: {text}");
            if !selection.is_empty() {
                assert!(told.len() == 1 && text.starts_with("_start"), "{text}");
                let each = calls("vowels::is_vowel") + calls("is_vowel");
                assert_eq!(each, stdin.len(), "{text}");
            }
            let (wasm, _) = instrument(&input, "observe", selection);
            let expected = observe_trace(&wasm, "_start", stdin);
            assert_eq!(text, show(&expected), "{program} {selection:?}");
        }
    }
}

/// Instruments a module in the text format with all functions hooked, and runs `run`.
fn run(wat: &str) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("app.wat");
    std::fs::write(&file, wat).expect("can be written");
    let (wasm, _) = instrument(&file, "dylibso", &["--all"]);
    show(&trace(&wasm, "run", b""))
}

#[test]
fn calls_end_however_they_end() {
    for (wat, expected) in [
        // A memory that grows, cannot, and does again, in two functions.
        (
            "(memory 1 4)
             (func $run (export \"run\")
               (drop (memory.grow (i32.const 2)))
               (drop (call $more (i32.const 2))) (drop (call $more (i32.const 1))))
             (func $more (param i32) (result i32) (memory.grow (local.get 0)))",
            "run(+2 more more(+1))",
        ),
        // A tail call comes after its caller, not inside.
        (
            "(func $run (export \"run\") (call $first) (call $leaf))
             (func $first (call $leaf) (return_call $second (i32.const 2)))
             (func $second (param i32)
               (if (local.get 0)
                 (then (return_call $second (i32.sub (local.get 0) (i32.const 1))))))
             (func $leaf)",
            "run(first(leaf) second second second leaf)",
        ),
        // Returns from inside, and branches to the end.
        (
            "(func $run (export \"run\")
               (drop (call $early (i32.const 1))) (drop (call $early (i32.const 0)))
               (block (loop (br 2))) (call $never))
             (func $early (param i32) (result i32)
               (block (loop (if (local.get 0) (then (return (i32.const 5))))))
               (call $never) (i32.const 6))
             (func $never)",
            "run(early early(never))",
        ),
        // Exceptions that pass through a function, one of them thrown in its callee.
        (
            "(tag $e)
             (func $run (export \"run\")
               (block $caught (try_table (catch $e $caught) (call $outer)))
               (call $leaf))
             (func $outer (call $leaf) (call $inner) (call $leaf))
             (func $inner (throw $e))
             (func $leaf)",
            "run(outer(leaf inner) leaf)",
        ),
        // A call of the host.
        (
            "(import \"env\" \"clock\" (func $clock (result i64)))
             (func $run (export \"run\") (drop (call $clock)))",
            "run(env.clock)",
        ),
        // An imported global before those of the module, and of the version.
        (
            "(import \"env\" \"base\" (global i32)) (import \"env\" \"base\" (global i32))
             (global i64 (i64.const 9))
             (func $run (export \"run\") (drop (global.get 0)))",
            "run",
        ),
        // No names at all, and a name section that names only some.
        ("(func (export \"run\") (call 1)) (func)", "run(wasm-function[1])"),
        (
            "(func (export \"run\") (call $named)) (func $named (call 2)) (func)",
            "run(named(wasm-function[2]))",
        ),
    ] {
        assert_eq!(run(&format!("(module {wat})")), expected, "{wat}");
    }
}

#[test]
fn a_trap_leaves_the_calls_open_that_it_ended() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("app.wat");
    let wat = "(module (func $run (export \"run\") (call $leaf) (call $traps))
                 (func $leaf) (func $traps unreachable))";
    std::fs::write(&file, wat).expect("can be written");
    let (wasm, _) = instrument(&file, "dylibso", &["--all"]);
    let (mut store, instance) = sdk(&wasm, b"");
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").expect("it is exported");
    let error = run.call(&mut store, ()).expect_err("it traps");
    assert_eq!(error.downcast_ref(), Some(&wasmtime::Trap::UnreachableCodeReached));
    let open = store.data().open.iter().map(|(_, call)| Event::Call(call.clone()));
    assert_eq!(show(&open.collect::<Vec<_>>()), "run(leaf) traps");
}

#[test]
fn whose_hooks_it_has_is_said() {
    let (_, said) = instrument(&example("compute.wasm"), "dylibso", &[]);
    assert!(said.contains("for hosts with observe-sdk"), "{said}");
    let (_, said) = instrument(&example("compute.wasm"), "observe", &[]);
    assert!(!said.contains("observe-sdk"), "{said}");
    let plan = |format: &str| {
        let mut command = observe();
        command.args(["instrument", "examples/compute.wasm", "--dry-run", "--abi", "dylibso"]);
        stdout(&output(command.args(["--format", format]), b""))
    };
    let text = plan("text");
    assert!(text.contains("for hosts with observe-sdk"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&plan("json")).expect("JSON");
    assert_eq!((&json["hooks"], json["cells"].is_null()), (&MODULE.into(), true));
    let mut command = observe();
    command.args(["instrument", "examples/vowels.wasm", "--abi", "dylibso", "--allocations"]);
    let refused = output(&mut command, b"");
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("--allocations"), "{}", stderr(&refused));
}
