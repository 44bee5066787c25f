//! wasmtime's own profiler, which takes a backtrace of the guest at each tick of an epoch.
//!
//! It needs an engine whose code asks for the epoch at the start of each function and in each
//! loop, which costs something by itself: so the uninstrumented module of that engine
//! takes part, too. Host calls are not marked, for which wasmtime would have to be built
//! with another feature.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use observe_benches::{Done, Program, Result};
use wasmtime::{Config, Engine, GuestProfiler, Module, Store, StoreContextMut, UpdateDeadline};

use crate::contender::{self, Contender, Observer, Seen, State, Work};

/// Far enough that it is never reached.
const NEVER: u64 = 1 << 40;

/// The uninstrumented module of an engine with epochs, which is first, and the profiler at
/// two intervals.
pub fn contenders(program: &Program) -> Result<[Contender; 3]> {
    let engine = Engine::new(Config::new().epoch_interruption(true))?;
    let module = Module::new(&engine, &program.wasm)?;
    let linker = contender::linker(&engine)?;
    let profiled = |name: &str, interval| {
        let runs = Cell::new(Runs::default());
        Contender::new(name, &module, &linker, Profiled { interval, runs })
    };
    Ok([
        Contender::new("uninstrumented, with epochs", &module, &linker, Unprofiled)?,
        profiled("GuestProfiler, every 10 ms", Duration::from_millis(10))?,
        profiled("GuestProfiler, every ms", Duration::from_millis(1))?,
    ])
}

/// Epochs, and nobody who looks.
struct Unprofiled;

impl Observer for Unprofiled {
    fn observe(&self, store: &mut Store<State>, work: &Work<'_>) -> Result<(Done, Seen)> {
        store.set_epoch_deadline(NEVER);
        Ok((work.run(store)?, Seen::NoHooks))
    }
}

struct Profiled {
    interval: Duration,
    runs: Cell<Runs>,
}

#[derive(Clone, Copy, Default)]
struct Runs {
    runs: u64,
    samples: u64,
}

impl Observer for Profiled {
    fn observe(&self, store: &mut Store<State>, work: &Work<'_>) -> Result<(Done, Seen)> {
        let modules = [("guest".to_owned(), work.linked.module().clone())];
        let profiler = GuestProfiler::new(store.engine(), "guest", self.interval, modules)?;
        store.data_mut().profiler = Some(profiler);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(sample);
        let ticker = Ticker::start(store.engine().clone(), self.interval);
        let done = work.run(store)?;
        drop(ticker);
        let Runs { runs, samples } = self.runs.get();
        self.runs.set(Runs { runs: runs + 1, samples: samples + store.data().samples });
        Ok((done, Seen::NoHooks))
    }

    fn conclude(self: Box<Self>) -> Option<String> {
        let Runs { runs, samples } = self.runs.get();
        Some(format!("{:.1} samples a run", samples as f64 / runs as f64))
    }
}

fn sample(mut store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    if let Some(mut profiler) = store.data_mut().profiler.take() {
        profiler.sample(&store, Duration::ZERO);
        store.data_mut().profiler = Some(profiler);
        store.data_mut().samples += 1;
    }
    Ok(UpdateDeadline::Continue(1))
}

/// A thread that lets epochs pass until it is dropped.
struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: Engine, interval: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(interval);
                engine.increment_epoch();
            }
        });
        Ticker { stop, thread: Some(thread) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to panic about.
            let _ = thread.join();
        }
    }
}
