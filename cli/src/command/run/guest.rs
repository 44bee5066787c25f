//! The guest: its engine, what it may use of the host, and its calls.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use observe_abi::{guest, hooks};
use observe_host::{
    Interrupter, ObservedModule, Observer, Recorder, Report, TraceOptions, Traced, Tracer,
};
use wasmtime::{Config, Engine, Func, InstancePre, Linker, Store, Val};
use wasmtime_wasi::p0;
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};

use super::Opts;
use super::interface::Interface;
use crate::input::Input;

/// What the guest's stack may take, in bytes: 16 times wasmtime's default, since hooks
/// make frames larger, up to sixfold where a tiny function catches exceptions, and must
/// not be what a deep recursion fails by.
pub(super) const STACK: usize = 8 << 20;

/// Frames of a backtrace that are kept.
const FRAMES: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// What the data of the store is.
struct State {
    wasi: WasiP1Ctx,
    recorder: Recorder,
}

/// How the guest's work ended.
pub(super) enum Ending {
    /// With the results of the function that was invoked.
    Returned(Vec<Val>),
    Exited(i32),
    Failed(wasmtime::Error),
}

/// An engine that takes what wasmtime can run.
pub(super) fn engine() -> Result<Engine> {
    let mut config = Config::new();
    config
        .max_wasm_stack(STACK)
        // Not used, but held against the other.
        .async_stack_size(2 * STACK)
        .wasm_backtrace_max_frames(Some(FRAMES))
        .shared_memory(true)
        .wasm_threads(true)
        .wasm_custom_page_sizes(true)
        .wasm_exceptions(true)
        .wasm_function_references(true)
        .wasm_gc(true)
        .wasm_memory64(true)
        .wasm_multi_memory(true)
        .wasm_tail_call(true)
        .wasm_wide_arithmetic(true);
    Engine::new(&config).map_err(|error| anyhow!("wasmtime cannot be set up: {error:#}"))
}

/// A host without a guest yet.
pub(super) struct Host {
    linker: Linker<State>,
    tracer: Tracer<State>,
    store: Store<State>,
}

impl Host {
    /// Provides what a guest may import.
    pub(super) fn new(engine: &Engine, wasi: WasiP1Ctx, observer: &Observer) -> Result<Self> {
        let mut linker = Linker::new(engine);
        p1::add_to_linker_sync(&mut linker, |state: &mut State| &mut state.wasi)
            .and_then(|()| p0::add_to_linker_sync(&mut linker, |state| &mut state.wasi))
            .and_then(|()| provide_exit(&mut linker))
            .map_err(|error| anyhow!("WASI cannot be provided: {error:#}"))?;
        let tracer = observer.tracer(&mut linker, |state: &mut State| &mut state.recorder)?;
        let store = Store::new(engine, State { wasi, recorder: Recorder::default() });
        Ok(Host { linker, tracer, store })
    }

    /// Checks that it provides what a module imports.
    pub(super) fn check_imports(&mut self, interface: &Interface, input: &Input) -> Result<()> {
        // What is wrong with those of our contracts is told better where the module is made.
        let ours = |module: &str| {
            [hooks::MODULE_PREFIX, guest::MODULE_PREFIX].iter().any(|ours| module.starts_with(ours))
        };
        for (module, name) in interface.imports.iter().filter(|(module, _)| !ours(module)) {
            if self.linker.get(&mut self.store, module, name).is_err() {
                bail!(
                    "{}: imports `{module}` `{name}`, which `observe run` does not provide (it \
                     provides WASI preview 1); instrument it and run it in its own host",
                    input.name
                );
            }
        }
        Ok(())
    }

    /// Takes a module in. `call` is the export to call, with its arguments; `None` runs
    /// the program itself.
    pub(super) fn take(
        mut self,
        module: &ObservedModule,
        call: Option<(String, Vec<Val>)>,
        input: &Input,
    ) -> Result<Guest> {
        let linked = self
            .linker
            .instantiate_pre(module.module())
            .map_err(|error| input.error(&format!("cannot be linked: {error:#}")))?;
        self.store.data_mut().recorder = self.tracer.observer().recorder(module);
        Ok(Guest { linked, tracer: self.tracer, store: self.store, call })
    }
}

/// Lets any exit status through: wasmtime's own functions take those from 126 on for
/// a failure.
fn provide_exit(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    for module in ["wasi_snapshot_preview1", "wasi_unstable"] {
        linker.func_wrap(module, "proc_exit", |code: i32| -> wasmtime::Result<()> {
            Err(I32Exit(code).into())
        })?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

/// A module that is ready to run.
pub(super) struct Guest {
    linked: InstancePre<State>,
    tracer: Tracer<State>,
    store: Store<State>,
    call: Option<(String, Vec<Val>)>,
}

impl Guest {
    /// Runs the guest to its end, in a trace.
    pub(super) fn run(&mut self, options: TraceOptions) -> (Ending, Option<Report>) {
        let Guest { linked, tracer, store, call } = self;
        let Traced { result, report, .. } = tracer.trace(store, options, |store| {
            let instance = tracer.instantiate(store, linked)?;
            let Some((export, arguments)) = call else {
                let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
                return start.call(store, ()).map(|()| Vec::new());
            };
            // A reactor of WASI is initialised before its first call.
            if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut *store, "_initialize") {
                initialize.call(&mut *store, ())?;
            }
            let function = instance.get_func(&mut *store, export);
            let function: Func =
                function.ok_or_else(|| wasmtime::format_err!("`{export}` is no function"))?;
            let mut results = vec![Val::I32(0); function.ty(&*store).results().len()];
            function.call(store, arguments, &mut results)?;
            Ok(results)
        });
        let ending = match result {
            Ok(results) => Ending::Returned(results),
            Err(error) => exit_status(&error).map_or(Ending::Failed(error), Ending::Exited),
        };
        (ending, report)
    }

    /// What stops the guest from outside.
    pub(super) fn interrupter(&self) -> Interrupter {
        self.store.data().recorder.interrupter()
    }
}

/// The status that a guest left with, where it did.
pub(super) fn exit_status(error: &wasmtime::Error) -> Option<i32> {
    error.downcast_ref::<I32Exit>().map(|exit| exit.0)
}

/// What the guest may use of the host.
pub(super) fn wasi(input: &Input, opts: &Opts) -> Result<WasiP1Ctx> {
    let mut builder = WasiCtxBuilder::new();
    // The guest has this thread to itself.
    builder.inherit_stdio().allow_blocking_current_thread(true);
    builder.arg(input.file_name());
    if opts.invoke.is_none() {
        builder.args(&opts.args);
    }
    for dir in &opts.dir {
        let (host, guest) = dir.split_once("::").unwrap_or((dir, dir));
        builder
            .preopened_dir(Path::new(host), guest, wasmtime_wasi::FsPerms::ReadWrite)
            .map_err(|error| anyhow!("--dir {dir}: {host} cannot be opened: {error:#}"))?;
    }
    for variable in &opts.env {
        match variable.split_once('=') {
            Some((key, value)) => builder.env(key, value),
            None => {
                let value = std::env::var(variable)
                    .map_err(|error| anyhow!("--env {variable}: {error}; give it a value"))?;
                builder.env(variable, value)
            }
        };
    }
    Ok(builder.build_p1())
}

/// Results as text, one on a line.
pub(super) fn render(results: &[Val]) -> String {
    results.iter().map(|value| render_value(value) + "\n").collect()
}

fn render_value(value: &Val) -> String {
    match value {
        Val::I32(value) => value.to_string(),
        Val::I64(value) => value.to_string(),
        // NaNs as in the text format, so that different ones look different.
        Val::F32(bits) if f32::from_bits(*bits).is_nan() => {
            nan(bits >> 31 == 1, u64::from(bits & 0x7f_ffff))
        }
        Val::F64(bits) if f64::from_bits(*bits).is_nan() => {
            nan(bits >> 63 == 1, bits & 0xf_ffff_ffff_ffff)
        }
        Val::F32(bits) => format!("{:?}", f32::from_bits(*bits)),
        Val::F64(bits) => format!("{:?}", f64::from_bits(*bits)),
        Val::V128(bits) => format!("{:#034x}", bits.as_u128()),
        Val::FuncRef(None) | Val::ExternRef(None) | Val::AnyRef(None) | Val::ExnRef(None) => {
            "null".to_owned()
        }
        _ => "reference".to_owned(),
    }
}

fn nan(negative: bool, payload: u64) -> String {
    format!("{}nan:{payload:#x}", if negative { "-" } else { "" })
}
