//! Real programs that nobody here wrote: byte-identical output with and without
//! `observe run`, and a plausible tree; those that need another host stay valid and
//! give the same results when called.
//!
//! `tests/corpus/manifest.json` says what there is; its README, how to read it.

mod table;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::harness::{cache, observe, output, repository, stderr};
use crate::same::{room, same};
use observe_host::{ObservedModule, Observer, Overhead, Recorder, TraceOptions};
use observe_instrumenter::{Module, Plan, Selection, remove};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use wasmparser::{Validator, WasmFeatures};
use wasmtime::{Config, Engine, Instance, Linker, OptLevel, Store, Val, ValType};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

#[derive(Deserialize)]
struct Manifest {
    programs: Vec<Program>,
}

#[derive(Deserialize)]
struct Program {
    name: String,
    language: String,
    about: String,
    file: String,
    /// Of what every machine has the same.
    sha256: Option<String>,
    args: Option<Vec<String>>,
    stdin: Option<String>,
    dirs: Vec<Dir>,
    scratch: Option<Scratch>,
    expect: Option<Expect>,
    invoke: Option<Vec<Step>>,
    /// The environment of a library.
    #[serde(default)]
    env: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Dir {
    host: String,
    guest: String,
}

#[derive(Deserialize)]
struct Scratch {
    guest: String,
    inputs: Vec<String>,
}

#[derive(Deserialize)]
struct Expect {
    exit: i32,
    stdout: String,
    #[serde(default)]
    outputs: HashMap<String, String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Call { call: String, args: Vec<serde_json::Value>, expect: Vec<serde_json::Value> },
    Write { write: u32, text: String },
    ReadText { read: u32, text: String },
    ReadHex { read: u32, hex: String },
}

fn programs() -> Vec<Program> {
    let manifest = std::fs::read(repository().join("tests/corpus/manifest.json"));
    let manifest: Manifest =
        serde_json::from_slice(&manifest.expect("the manifest")).expect("it is JSON");
    manifest.programs
}

fn path(program: &Program) -> PathBuf {
    cache().join("corpus").join(&program.file)
}

/// What a program did.
#[derive(Debug, PartialEq)]
struct Done {
    exit: Option<i32>,
    stdout: Vec<u8>,
    /// The digests of the files that it left.
    files: HashMap<String, String>,
}

/// A folder of the host, and what the guest calls it.
type Opened = (PathBuf, String);

/// The folders that a program needs. The first is gone when its guard is.
fn folders(program: &Program) -> (tempfile::TempDir, Vec<Opened>) {
    let mut dirs: Vec<_> = program
        .dirs
        .iter()
        .map(|dir| (cache().join("corpus").join(&dir.host), dir.guest.clone()))
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    if let Some(scratch) = &program.scratch {
        for input in &scratch.inputs {
            let from = repository().join("tests/corpus").join(input);
            let name = Path::new(input).file_name().expect("it is a file");
            std::fs::copy(from, folder.path().join(name)).expect("can be copied");
        }
        dirs.push((folder.path().to_owned(), scratch.guest.clone()));
    }
    (folder, dirs)
}

/// Runs a command with what it expects of the host around it.
fn run(program: &Program, go: impl Fn(&[Opened], &[u8]) -> (Option<i32>, Vec<u8>)) -> Done {
    let (folder, dirs) = folders(program);
    let (exit, stdout) = go(&dirs, program.stdin.as_deref().unwrap_or_default().as_bytes());
    let files = std::fs::read_dir(folder.path()).expect("readable").map(|entry| {
        let entry = entry.expect("readable");
        let bytes = std::fs::read(entry.path()).expect("readable");
        (entry.file_name().to_string_lossy().into_owned(), hex(&Sha256::digest(bytes)))
    });
    Done { exit, stdout, files: files.collect() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs a program in `observe run`. Also gives what it showed.
fn observed(program: &Program, options: &[&str]) -> (Done, String) {
    let shown = std::cell::RefCell::new(String::new());
    let done = run(program, |dirs, stdin| {
        let mut command = observe();
        command.arg("run").args(options).arg(path(program));
        for (host, guest) in dirs {
            command.arg("--dir").arg(format!("{}::{guest}", host.display()));
        }
        command.arg("--").args(program.args.iter().flatten());
        let result = output(&mut command, stdin);
        *shown.borrow_mut() = stderr(&result);
        (result.status.code(), result.stdout)
    });
    (done, shown.into_inner())
}

/// Runs a program in wasmtime alone.
fn plain(program: &Program) -> Done {
    run(program, |dirs, stdin| {
        let engine = engine();
        let module = wasmtime::Module::from_file(&engine, path(program)).expect("it compiles");
        let mut linker = Linker::new(&engine);
        p1::add_to_linker_sync(&mut linker, |wasi| wasi).expect("WASI");
        let stdout = MemoryOutputPipe::new(64 << 20);
        let mut builder = WasiCtxBuilder::new();
        builder.arg(&program.file).args(program.args.as_deref().unwrap_or_default());
        builder.stdin(MemoryInputPipe::new(stdin.to_vec())).stdout(stdout.clone());
        for (host, guest) in dirs {
            builder.preopened_dir(host, guest, FsPerms::ReadWrite).expect("a folder");
        }
        let mut store = Store::new(&engine, builder.build_p1());
        let instance = linker.instantiate(&mut store, &module).expect("it links");
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start").expect("a command");
        let exit = match start.call(&mut store, ()) {
            Ok(()) => 0,
            Err(error) => error.downcast_ref::<I32Exit>().expect("it exits").0,
        };
        drop(store);
        (Some(exit), stdout.contents().to_vec())
    })
}

fn engine() -> Engine {
    let mut config = Config::new();
    config.wasm_exceptions(true).max_wasm_stack(1 << 20);
    // Most of the time goes into compiling.
    config.cranelift_opt_level(OptLevel::None);
    Engine::new(&config).expect("an engine")
}

#[test]
fn commands_give_the_same_output() {
    let commands: Vec<_> =
        programs().into_iter().filter(|program| program.args.is_some()).collect();
    assert!(commands.len() >= 3, "the corpus has commands");
    for program in &commands {
        let name = &program.name;
        let plain = plain(program);
        let (done, shown) = observed(program, &[]);
        assert_eq!(done, plain, "{name}: {shown}");
        let expect = program.expect.as_ref().expect("a command has an expectation");
        assert_eq!(done.exit, Some(expect.exit), "{name}");
        assert_eq!(String::from_utf8_lossy(&done.stdout), expect.stdout, "{name}");
        for (file, digest) in &expect.outputs {
            assert_eq!(done.files.get(file), Some(digest), "{name}: {file}");
        }
        check_tree(name, &shown);
    }
}

/// Every line of the tree takes no longer than the one it stands under, and the
/// program's entry is under the root.
fn check_tree(name: &str, shown: &str) {
    let lines: Vec<_> = shown.lines().skip_while(|line| !line.contains("100.0 %")).collect();
    assert!(lines[0].contains(&format!("run {name}.wasm")), "{name}: {shown}");
    // Beside it stands the instantiation, where that took long enough.
    // `µ` takes two bytes.
    let column = |line: &str| line.chars().position(|char| matches!(char, '└' | '├'));
    let mut under_root = lines[1..].iter().filter(|line| column(line) == column(lines[1]));
    assert!(under_root.any(|line| line.contains("─ _")), "{name} begins with an export: {shown}");
    let mut open: Vec<(usize, f64)> = Vec::new();
    let mut seen = 0;
    for line in lines.iter().take_while(|line| !line.is_empty()) {
        let Some(percent) = line.split('%').next().and_then(|left| left.split_whitespace().last())
        else {
            continue;
        };
        let Ok(percent) = percent.parse::<f64>() else { continue };
        let column = column(line).unwrap_or(0);
        open.retain(|&(above, _)| above < column);
        if let Some(&(_, parent)) = open.last() {
            // Shown with one digit.
            assert!(percent <= parent + 0.1, "{name}: {line} is longer than its parent: {shown}");
        }
        open.push((column, percent));
        seen += 1;
    }
    assert!(seen >= 5, "{name}: {shown}");
    // Totals and calls of functions follow.
    assert!(shown.contains("p95"), "{name}: {shown}");
}

#[test]
fn commands_give_the_same_output_under_a_budget_with_every_function_hooked() {
    for program in programs().iter().filter(|program| program.args.is_some()) {
        // The largest are as large as the rest together, and say nothing new here.
        if std::fs::metadata(path(program)).expect("it is there").len() > 8 << 20 {
            continue;
        }
        let (done, shown) = observed(program, &["--trace", "budget", "--all"]);
        let expect = program.expect.as_ref().expect("a command has an expectation");
        assert_eq!(String::from_utf8_lossy(&done.stdout), expect.stdout, "{}", program.name);
        assert!(shown.contains('~'), "{}: estimates are marked: {shown}", program.name);
    }
}

#[test]
fn every_program_stays_valid() {
    for program in programs() {
        let wasm = std::fs::read(path(&program)).expect("it is there");
        let module =
            Module::parse(&wasm).unwrap_or_else(|error| panic!("{}: {error}", program.name));
        for (way, selection) in [("default", Selection::default()), ("all", Selection::all())] {
            let name = format!("{}, {way}", program.name);
            let plan = Plan::new(&module, &selection);
            assert!(plan.hooked().count() > 0, "{name}");
            let instrumented = plan.apply(&module).unwrap_or_else(|e| panic!("{name}: {e}"));
            Validator::new_with_features(WasmFeatures::all())
                .validate_all(&instrumented.wasm)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let growth = instrumented.wasm.len() as f64 / wasm.len() as f64 - 1.0;
            println!("{name}: {} bytes, {:+.1} %", wasm.len(), 100.0 * growth);
        }
    }
}

#[test]
fn every_program_is_what_it_was_without_its_hooks() {
    let (mut all, mut identical) = (0, 0);
    for program in programs() {
        let wasm = std::fs::read(path(&program)).expect("it is there");
        let module =
            Module::parse(&wasm).unwrap_or_else(|error| panic!("{}: {error}", program.name));
        for selection in [Selection::default(), Selection::all().allocations(true)] {
            let name = &program.name;
            let plan = Plan::new(&module, &selection);
            let instrumented = plan.apply(&module).unwrap_or_else(|e| panic!("{name}: {e}"));
            let restored = remove(&instrumented.wasm).unwrap_or_else(|e| panic!("{name}: {e}"));
            let freed = (restored.functions, restored.imports);
            assert_eq!(freed, (plan.hooked().count(), plan.hooked_imports().count()), "{name}");
            same(&wasm, &restored.wasm).unwrap_or_else(|what| panic!("{name}: {what}"));
            let (before, after) = (wasm.len(), restored.wasm.len());
            println!("{name}: {before} bytes and now {after}, {:?}", restored.warnings);
            assert!(after <= before + room(&wasm), "{name}: {before} bytes have become {after}");
            all += 1;
            identical += usize::from(restored.wasm == wasm);
        }
    }
    println!("{identical} of {all} are the same byte for byte");
}

struct State {
    recorder: Recorder,
    wasi: WasiP1Ctx,
}

#[test]
fn libraries_give_the_same_results() {
    let libraries: Vec<_> = programs().into_iter().filter(|p| p.invoke.is_some()).collect();
    assert!(libraries.len() >= 3, "the corpus has libraries");
    for program in &libraries {
        let engine = engine();
        let wasm = std::fs::read(path(program)).expect("it is there");
        let module = ObservedModule::new(&engine, &wasm, &Selection::all())
            .unwrap_or_else(|error| panic!("{}: {error}", program.name));
        let mut linker = Linker::new(&engine);
        let observer = Observer::builder().overhead(Overhead::all()).build();
        let tracer = observer
            .tracer(&mut linker, |state: &mut State| &mut state.recorder)
            .expect("an empty linker");
        p1::add_to_linker_sync(&mut linker, |state: &mut State| &mut state.wasi).expect("WASI");
        linker.define_unknown_imports_as_traps(module.module()).expect("functions");
        let (_folder, dirs) = folders(program);
        let mut builder = WasiCtxBuilder::new();
        for (name, value) in &program.env {
            builder.env(name, value);
        }
        // Addresses may depend on the seed of hashes.
        builder.secure_random(Deterministic::new(vec![7]));
        for (host, guest) in dirs {
            builder.preopened_dir(host, guest, FsPerms::ReadWrite).expect("a folder");
        }
        let state = State { recorder: observer.recorder(&module), wasi: builder.build_p1() };
        let mut store = Store::new(&engine, state);
        let linked = linker.instantiate_pre(module.module()).expect("it links");
        let traced = tracer.trace(&mut store, TraceOptions::new(&program.name), |store| {
            let instance = tracer.instantiate(store, &linked)?;
            for step in program.invoke.iter().flatten() {
                carry_out(&program.name, step, store, &instance);
            }
            Ok(())
        });
        traced.result.expect("it is instantiated");
        let report = traced.report.expect("a trace of its own");
        assert_eq!(report.lost, observe_host::Lost::default(), "{}", program.name);
        assert!(report.functions.iter().any(|row| row.calls > 0), "{}", program.name);
    }
}

fn carry_out(name: &str, step: &Step, store: &mut Store<State>, instance: &Instance) {
    let memory = |store: &mut Store<State>| instance.get_memory(store, "memory").expect("a memory");
    match step {
        Step::Call { call, args, expect } => {
            let function = instance.get_func(&mut *store, call).expect("an export");
            let ty = function.ty(&*store);
            let values = |types: Vec<ValType>, numbers: &[serde_json::Value]| -> Vec<Val> {
                types.iter().zip(numbers).map(|(ty, number)| value(ty, number)).collect()
            };
            let args = values(ty.params().collect(), args);
            let expect = values(ty.results().collect(), expect);
            let mut results = vec![Val::I32(0); ty.results().len()];
            let called = function.call(&mut *store, &args, &mut results);
            called.unwrap_or_else(|error| panic!("{name}: {call}: {error:?}"));
            let bits = |values: &[Val]| values.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>();
            assert_eq!(bits(&results), bits(&expect), "{name}: {call}");
        }
        Step::Write { write, text } => {
            let memory = memory(store);
            memory.write(&mut *store, *write as usize, text.as_bytes()).expect("in bounds");
        }
        Step::ReadText { read, text } => {
            let mut bytes = vec![0; text.len()];
            memory(store).read(&*store, *read as usize, &mut bytes).expect("in bounds");
            assert_eq!(String::from_utf8_lossy(&bytes), *text, "{name}");
        }
        Step::ReadHex { read, hex: expected } => {
            let mut bytes = vec![0; expected.len() / 2];
            memory(store).read(&*store, *read as usize, &mut bytes).expect("in bounds");
            assert_eq!(hex(&bytes), *expected, "{name}");
        }
    }
}

fn value(ty: &ValType, number: &serde_json::Value) -> Val {
    match ty {
        ValType::I32 => Val::I32(number.as_i64().expect("an integer") as i32),
        ValType::I64 => Val::I64(number.as_i64().expect("an integer")),
        ValType::F32 => Val::F32((number.as_f64().expect("a number") as f32).to_bits()),
        ValType::F64 => Val::F64(number.as_f64().expect("a number").to_bits()),
        other => panic!("the manifest has no {other}"),
    }
}
