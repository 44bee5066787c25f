//! One way to do the work of a program.

use std::time::Duration;

use observe_benches::{Done, Program, Result, Stdout};
use observe_host::Recorder;
use wasmtime::{Engine, GuestProfiler, InstancePre, Linker, Module, Store};
use wasmtime_wasi::p1::{self, WasiP1Ctx};

use crate::peers::floor::Readings;

/// The data of a store.
pub struct State {
    wasi: WasiP1Ctx,
    /// Ours.
    pub recorder: Recorder,
    /// What hooks have that do nothing but read the clock.
    pub readings: Readings,
    /// wasmtime's.
    pub profiler: Option<GuestProfiler>,
    /// How many samples it took.
    pub samples: u64,
}

/// One way to do the work of a program.
pub struct Contender {
    pub name: String,
    linked: InstancePre<State>,
    observer: Box<dyn Observer>,
}

/// What is done around a run to observe it.
pub trait Observer {
    /// Does the work in a new store, and tells what was seen.
    fn observe(&self, store: &mut Store<State>, work: &Work<'_>) -> Result<(Done, Seen)>;

    /// Says what is left to say when all runs are done.
    fn conclude(self: Box<Self>) -> Option<String> {
        None
    }
}

/// What is to be done in a store.
pub struct Work<'w> {
    /// The module, which is to be instantiated first.
    pub linked: &'w InstancePre<State>,
    pub program: &'w Program,
    pub stdout: &'w Stdout,
}

impl Work<'_> {
    /// Does it.
    pub fn run(&self, store: &mut Store<State>) -> Result<Done> {
        let instance = self.linked.instantiate(&mut *store)?;
        self.program.run(store, &instance, self.stdout)
    }
}

/// What an observer saw of a run.
#[derive(Clone, Copy)]
pub enum Seen {
    /// There is nothing that could see a call.
    NoHooks,
    /// Calls of hooked functions, and for how many of them the clock was read.
    Calls { made: u64, timed: u64 },
    /// As many calls as the contender before this one, which has the same module.
    CallsAsBefore,
}

/// Nobody looks.
struct Nobody;

impl Observer for Nobody {
    fn observe(&self, store: &mut Store<State>, work: &Work<'_>) -> Result<(Done, Seen)> {
        Ok((work.run(store)?, Seen::NoHooks))
    }
}

/// A linker with what guests see of the host, but for hooks.
pub fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    p1::add_to_linker_sync(&mut linker, |state: &mut State| &mut state.wasi)?;
    Ok(linker)
}

impl Contender {
    pub fn new(
        name: impl Into<String>,
        module: &Module,
        linker: &Linker<State>,
        observer: impl Observer + 'static,
    ) -> Result<Self> {
        let linked = linker.instantiate_pre(module)?;
        Ok(Contender { name: name.into(), linked, observer: Box::new(observer) })
    }

    /// The module as it is.
    pub fn plain(engine: &Engine, name: &str, wasm: &[u8]) -> Result<Self> {
        Self::new(name, &Module::new(engine, wasm)?, &linker(engine)?, Nobody)
    }

    /// Does the work once, in a store of its own.
    pub fn run(&self, program: &Program) -> Result<(Done, Seen)> {
        let sandbox = program.sandbox()?;
        let state = State {
            wasi: sandbox.wasi,
            recorder: Recorder::default(),
            readings: Readings::default(),
            profiler: None,
            samples: 0,
        };
        let mut store = Store::new(self.linked.module().engine(), state);
        let work = Work { linked: &self.linked, program, stdout: &sandbox.stdout };
        self.observer.observe(&mut store, &work)
    }

    /// How long one run takes.
    pub fn time(&self, program: &Program) -> Result<Duration> {
        Ok(self.run(program)?.0.time)
    }

    /// Says what is left to say, after the last run.
    pub fn conclude(self) -> Option<String> {
        Some(format!("{}: {}", self.name, self.observer.conclude()?))
    }
}
