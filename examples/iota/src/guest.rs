//! Modules, and runs of them: a store for each.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use observe_collector::event::TraceId;
use observe_host::{Failure, ObservedModule, Observer, Recorder, TraceOptions, Tracer};
use observe_instrumenter::Selection;
use wasmtime::{
    Config, Engine, InstancePre, Linker, Store, StoreLimits, StoreLimitsBuilder, Trap,
    UpdateDeadline, ensure,
};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};

use crate::Limits;

/// How long a guest may compute before others have their turn.
const TICK: Duration = Duration::from_millis(10);

/// The elements of each of a guest's tables.
const TABLE_ELEMENTS: usize = 1 << 20;

/// What all guests have in common.
pub(crate) struct Host {
    engine: Engine,
    linker: Linker<Data>,
    tracer: Tracer<Data>,
    limits: Limits,
}

/// A module that can be run.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) module: ObservedModule,
    linked: InstancePre<Data>,
}

/// The data of a store.
struct Data {
    recorder: Recorder,
    wasi: WasiP1Ctx,
    limits: StoreLimits,
}

/// What came of a run.
pub(crate) struct Ran {
    /// The standard output, or why there is none.
    pub(crate) output: Result<Bytes, String>,
    pub(crate) trace_id: Option<TraceId>,
}

impl Host {
    pub(crate) fn new(observer: &Observer, limits: Limits) -> wasmtime::Result<Self> {
        let engine = Engine::new(Config::new().epoch_interruption(true))?;
        let mut linker = Linker::new(&engine);
        p1::add_to_linker_async(&mut linker, |data: &mut Data| &mut data.wasi)?;
        let tracer = observer.tracer(&mut linker, |data| &mut data.recorder)?;
        let weak = engine.weak();
        // A thread, since guests may keep all those of the runtime busy.
        std::thread::Builder::new().name("ticks".to_owned()).spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })?;
        Ok(Host { engine, linker, tracer, limits })
    }

    /// Instruments a module, compiles it, and links it.
    pub(crate) fn load(&self, wasm: &[u8]) -> wasmtime::Result<Guest> {
        let module = ObservedModule::new(&self.engine, wasm, &Selection::default())?;
        let start = module.module().get_export("_start");
        ensure!(
            start.is_some_and(|start| start.func().is_some()),
            "exports no function `_start`, so it is no WASI command"
        );
        let linked = self.linker.instantiate_pre(module.module())?;
        Ok(Guest { module, linked })
    }

    /// Runs a guest once, as a trace.
    pub(crate) async fn run(&self, guest: &Guest, options: TraceOptions, input: Bytes) -> Ran {
        // One byte more, to tell what is too long from what just fits.
        let output = MemoryOutputPipe::new(self.limits.output_bytes.saturating_add(1));
        let wasi = WasiCtxBuilder::new()
            .stdin(MemoryInputPipe::new(input))
            .stdout(output.clone())
            .build_p1();
        let limits = StoreLimitsBuilder::new()
            .memory_size(self.limits.memory_bytes)
            .table_elements(TABLE_ELEMENTS)
            .build();
        let recorder = self.tracer.observer().recorder(&guest.module);
        let mut store = Store::new(&self.engine, Data { recorder, wasi, limits });
        store.limiter(|data| &mut data.limits);
        let end = Instant::now() + self.limits.time;
        // A guest that computes makes way at each tick, until its time is over.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| match Instant::now() < end {
            true => Ok(UpdateDeadline::Yield(1)),
            false => Err(Trap::Interrupt.into()),
        });

        let traced = self.tracer.trace_async(&mut store, options, async |mut store| {
            let work = async {
                let instance = self.tracer.instantiate_async(&mut store, &guest.linked).await?;
                let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
                start.call_async(store, ()).await
            };
            // One that waits is not asked at ticks.
            let ended = tokio::time::timeout_at(end.into(), work).await;
            ended.unwrap_or_else(|_| Err(Trap::Interrupt.into()))
        });
        let traced = traced.await;

        let output = output.contents();
        let output = match traced.result.map_err(|error| failure(guest, &error)) {
            _ if output.len() > self.limits.output_bytes => {
                Err(format!("output: more than {} bytes", self.limits.output_bytes))
            }
            Ok(()) | Err(None) => Ok(output),
            Err(Some(why)) => Err(why),
        };
        Ran { output, trace_id: traced.report.map(|report| report.trace_id) }
    }
}

/// Why a run failed; `None` where it only said that it was done.
fn failure(guest: &Guest, error: &wasmtime::Error) -> Option<String> {
    if let Some(I32Exit(status)) = error.downcast_ref() {
        return (*status != 0).then(|| format!("exit: status {status}"));
    }
    let Failure { error_type, message, .. } = Failure::new(&guest.module, error);
    Some(format!("{error_type}: {message}"))
}
