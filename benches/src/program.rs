//! Modules, and what they are asked to do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use wasmtime::{Instance, Store};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

use crate::{Result, corpus, input, thread_time};

/// What a guest may write to standard output, in bytes.
const MAX_OUTPUT: usize = 64 << 20;

/// What the programs call the folder in which their files are.
const SCRATCH: &str = "/scratch";

/// A module, and what it is asked to do.
pub struct Program {
    /// What it is, and what it does.
    pub about: String,
    /// The module.
    pub wasm: Vec<u8>,
    work: Work,
}

enum Work {
    /// Calls the export `fib` with this.
    Fib(i32),
    Command(Command),
}

/// A WASI command, with what it needs.
#[derive(Default)]
struct Command {
    args: Vec<String>,
    stdin: Vec<u8>,
    /// A folder with its files, which it may write to.
    scratch: Option<TempDir>,
    /// Another folder, and what it is to the guest.
    folder: Option<(PathBuf, &'static str)>,
    /// The file that it leaves.
    output: Option<&'static str>,
}

/// What a guest sees of the host.
pub struct Sandbox {
    /// For the data of the store.
    pub wasi: WasiP1Ctx,
    /// Where what it writes can be read.
    pub stdout: Stdout,
}

/// What a guest writes to standard output.
pub struct Stdout(MemoryOutputPipe);

/// What came of the work.
pub struct Done {
    /// How long the guest ran for.
    pub time: Duration,
    /// What it returned or wrote.
    pub result: Vec<u8>,
}

impl Program {
    /// How much gofmt has to format for a run of some hundred milliseconds: functions.
    pub const FORMATTED: usize = 600;

    /// How much ripgrep has to search: functions.
    pub const SEARCHED: usize = 24_000;

    /// How much nextpnr-ice40 has to place: lookup tables.
    pub const PLACED: u32 = 50;

    /// Calls a function that does nothing but call itself, `2 * fib(n + 1) - 1` times.
    pub fn fib(n: i32) -> Result<Self> {
        let about = format!("fib({n}) of examples/compute.wasm");
        Ok(Program { about, wasm: std::fs::read(example("compute.wasm"))?, work: Work::Fib(n) })
    }

    /// Counts the vowels of a line: a program so small that it ends before it begins.
    pub fn vowels() -> Result<Self> {
        let stdin = b"Hello, world!\n".to_vec();
        let work = Work::Command(Command { stdin, ..Command::default() });
        let wasm = std::fs::read(example("vowels.wasm"))?;
        Ok(Program { about: "examples/vowels.wasm (Rust)".to_owned(), wasm, work })
    }

    /// Formats Go source with so many functions; `None` without the corpus.
    pub fn gofmt(functions: usize) -> Result<Option<Self>> {
        let stdin = input::go_source(functions);
        let about = format!("gofmt (Go): formats {} kB of Go", stdin.len() / 1000);
        Self::of_corpus("gofmt", about, || Ok(Command { stdin, ..Command::default() }))
    }

    /// Places and routes a netlist with so many lookup tables; `None` without the corpus.
    pub fn nextpnr(tables: u32) -> Result<Option<Self>> {
        let about = format!("nextpnr-ice40 (C++): places and routes {tables} lookup tables");
        Self::of_corpus("nextpnr-ice40", about, || {
            let line = "--lp384 --package qn32 --quiet --seed 1 \
                        --json /scratch/netlist.json --asc /scratch/out.asc";
            Ok(Command {
                args: line.split_whitespace().map(str::to_owned).collect(),
                scratch: Some(scratch("netlist.json", &input::netlist(tables))?),
                folder: corpus::folder().map(|folder| (folder.join("nextpnr-ice40"), "/share")),
                output: Some("out.asc"),
                ..Command::default()
            })
        })
    }

    /// Searches Go source with so many functions; `None` without the corpus.
    pub fn ripgrep(functions: usize) -> Result<Option<Self>> {
        let text = input::go_source(functions);
        let about = format!("ripgrep (Rust): searches {:.1} MB", text.len() as f64 / 1e6);
        Self::of_corpus("ripgrep", about, || {
            let line = r"--no-config --line-number --only-matching \b\w+\s*:=\s*\w+ /scratch/text";
            Ok(Command {
                args: line.split_whitespace().map(str::to_owned).collect(),
                scratch: Some(scratch("text", &text)?),
                ..Command::default()
            })
        })
    }

    /// A command of the corpus, by name, that is not given anything to do; `None` without
    /// the corpus.
    pub fn idle(name: &str) -> Result<Option<Self>> {
        Self::of_corpus(name, name.to_owned(), || Ok(Command::default()))
    }

    fn of_corpus(
        name: &str,
        about: String,
        command: impl FnOnce() -> Result<Command>,
    ) -> Result<Option<Self>> {
        let Some((_, path)) = corpus().into_iter().find(|(other, _)| other == name) else {
            eprintln!("{name} is left out: {}", crate::NO_CORPUS);
            return Ok(None);
        };
        let work = Work::Command(command()?);
        Ok(Some(Program { about, wasm: std::fs::read(path)?, work }))
    }

    /// What a guest sees of the host in one run.
    pub fn sandbox(&self) -> Result<Sandbox> {
        let stdout = MemoryOutputPipe::new(MAX_OUTPUT);
        let mut wasi = WasiCtxBuilder::new();
        wasi.allow_blocking_current_thread(true).arg("guest").stdout(stdout.clone());
        wasi.secure_random(Deterministic::new(vec![4]));
        if let Work::Command(command) = &self.work {
            wasi.args(&command.args).stdin(MemoryInputPipe::new(command.stdin.clone()));
            if let Some(folder) = &command.scratch {
                wasi.preopened_dir(folder.path(), SCRATCH, FsPerms::ReadWrite)?;
            }
            if let Some((folder, guest)) = &command.folder {
                wasi.preopened_dir(folder, guest, FsPerms::ReadOnly)?;
            }
        }
        Ok(Sandbox { wasi: wasi.build_p1(), stdout: Stdout(stdout) })
    }

    /// Does the work in a new instance whose store has a [`Sandbox`]'s WASI.
    pub fn run<T: 'static>(
        &self,
        store: &mut Store<T>,
        instance: &Instance,
        stdout: &Stdout,
    ) -> Result<Done> {
        match &self.work {
            Work::Fib(n) => {
                let fib = instance.get_typed_func::<i32, i64>(&mut *store, "fib")?;
                let start = thread_time();
                let result = fib.call(store, *n);
                let time = thread_time() - start;
                Ok(Done { time, result: result?.to_le_bytes().to_vec() })
            }
            Work::Command(command) => {
                let main = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
                let start = thread_time();
                let result = main.call(store, ());
                let time = thread_time() - start;
                match result.map_err(wasmtime::Error::downcast::<I32Exit>) {
                    Ok(()) | Err(Ok(I32Exit(0))) => {}
                    Err(Ok(exit)) => return Err(exit.into()),
                    Err(Err(error)) => return Err(error.into()),
                }
                let mut result = stdout.0.contents().to_vec();
                if let (Some(folder), Some(file)) = (&command.scratch, command.output) {
                    result.extend(std::fs::read(folder.path().join(file))?);
                }
                Ok(Done { time, result })
            }
        }
    }
}

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(file)
}

/// A folder with one file in it.
fn scratch(name: &str, contents: &[u8]) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join(name), contents)?;
    Ok(folder)
}
