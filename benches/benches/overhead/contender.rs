//! One way to do the work of a program.

use std::time::Duration;

use observe_benches::{Done, Program, Result};
use observe_host::Recorder;
use wasmtime::{Engine, GuestProfiler, Instance, Linker, Module, Store};
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
    module: Module,
    pub linker: Linker<State>,
    observer: Box<dyn Observer>,
}

/// What is done around a run to observe it.
pub trait Observer {
    /// Makes a store ready, before the module is instantiated in it.
    fn start(&self, _store: &mut Store<State>) -> Result<()> {
        Ok(())
    }

    /// Takes what a run has left.
    fn finish(&self, _store: &mut Store<State>, _instance: &Instance) -> Result<Seen> {
        Ok(Seen::NoHooks)
    }

    /// Says what is left to say when all runs are done.
    fn conclude(self: Box<Self>) -> Option<String> {
        None
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

impl Observer for Nobody {}

impl Contender {
    pub fn new(
        name: impl Into<String>,
        module: Module,
        observer: impl Observer + 'static,
    ) -> Result<Self> {
        let mut linker = Linker::new(module.engine());
        p1::add_to_linker_sync(&mut linker, |state: &mut State| &mut state.wasi)?;
        Ok(Contender { name: name.into(), module, linker, observer: Box::new(observer) })
    }

    /// The module as it is.
    pub fn plain(engine: &Engine, name: &str, wasm: &[u8]) -> Result<Self> {
        Self::new(name, Module::new(engine, wasm)?, Nobody)
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
        let mut store = Store::new(self.module.engine(), state);
        self.observer.start(&mut store)?;
        let instance = self.linker.instantiate(&mut store, &self.module)?;
        let done = program.run(&mut store, &instance, &sandbox.stdout)?;
        let seen = self.observer.finish(&mut store, &instance)?;
        Ok((done, seen))
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
