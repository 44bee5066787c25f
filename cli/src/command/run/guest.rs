//! The guest: its engine, what it may use of the host, and its calls.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use observe_host::{ObservedModule, Outcome, Recorder, Report, TraceOptions};
use wasmtime::{Config, Engine, Func, Instance, Linker, Store, Val};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};

use super::Opts;
use super::interface::Interface;
use crate::input::Input;

/// What the guest's stack may take: twice wasmtime's default, since hooks make frames
/// a little larger and must not be what a deep recursion fails by.
const STACK: usize = 1 << 20;

/// What the data of the store is.
struct State {
    wasi: WasiP1Ctx,
    recorder: Recorder,
}

/// How the guest's work ended.
pub(super) enum Ending {
    Returned,
    Exited(i32),
    Failed(wasmtime::Error),
}

/// An engine that takes what wasmtime can run.
pub(super) fn engine() -> Result<Engine> {
    let mut config = Config::new();
    config
        .max_wasm_stack(STACK)
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
    store: Store<State>,
}

impl Host {
    /// Provides what a guest may import.
    pub(super) fn new(engine: &Engine, wasi: WasiP1Ctx) -> Result<Self> {
        let mut linker = Linker::new(engine);
        p1::add_to_linker_sync(&mut linker, |state: &mut State| &mut state.wasi)
            .map_err(|error| anyhow!("WASI cannot be provided: {error:#}"))?;
        observe_host::add_to_linker(&mut linker, |state: &mut State| &mut state.recorder)?;
        let store = Store::new(engine, State { wasi, recorder: Recorder::default() });
        Ok(Host { linker, store })
    }

    /// Checks that it provides what a module imports.
    pub(super) fn check_imports(&mut self, interface: &Interface, input: &Input) -> Result<()> {
        for (module, name) in &interface.imports {
            if self.linker.get(&mut self.store, module, name).is_err() {
                bail!(
                    "{}: imports `{module}` `{name}`, which `observe run` does not provide (it \
                     provides wasi_snapshot_preview1); instrument it and run it in its own host",
                    input.name
                );
            }
        }
        Ok(())
    }

    /// Takes a module in. `call` is the export to call, with its arguments; `None` runs
    /// the program itself.
    pub(super) fn take<'a>(
        mut self,
        module: &'a ObservedModule,
        call: Option<(String, Vec<Val>)>,
        input: &Input,
    ) -> Result<Guest<'a>> {
        self.linker
            .instantiate_pre(module.module())
            .map_err(|error| input.error(&format!("cannot be linked: {error:#}")))?;
        self.store.data_mut().recorder = module.recorder();
        Ok(Guest { module, linker: self.linker, store: self.store, instance: None, call })
    }
}

/// A module that is ready to run.
pub(super) struct Guest<'a> {
    module: &'a ObservedModule,
    linker: Linker<State>,
    store: Store<State>,
    instance: Option<Instance>,
    call: Option<(String, Vec<Val>)>,
}

impl Guest<'_> {
    /// Runs the guest to its end, in a trace.
    pub(super) fn run(&mut self, options: TraceOptions) -> Ending {
        self.store.data_mut().recorder.start(options);
        match self.call_all() {
            Ok(()) => Ending::Returned,
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(I32Exit(code)) => Ending::Exited(*code),
                None => Ending::Failed(error),
            },
        }
    }

    fn call_all(&mut self) -> wasmtime::Result<()> {
        let instance = self.linker.instantiate(&mut self.store, self.module.module())?;
        self.instance = Some(instance);
        let Some((export, arguments)) = &self.call else {
            let start = instance.get_typed_func::<(), ()>(&mut self.store, "_start")?;
            return start.call(&mut self.store, ());
        };
        // A reactor of WASI is initialised before its first call.
        if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut self.store, "_initialize") {
            initialize.call(&mut self.store, ())?;
        }
        let function = instance.get_func(&mut self.store, export);
        let function: Func =
            function.ok_or_else(|| wasmtime::format_err!("`{export}` is no function"))?;
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        function.call(&mut self.store, arguments, &mut results)?;
        results.iter().for_each(print);
        Ok(())
    }

    /// Ends the trace.
    pub(super) fn finish(&mut self, outcome: Outcome<'_>) -> Option<Report> {
        if let Some(instance) = self.instance
            && let Ok(cells) = self.module.take_cells(&mut self.store, &instance)
        {
            self.store.data_mut().recorder.settle(cells);
        }
        self.store.data_mut().recorder.finish(outcome)
    }
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

/// Prints a result on standard output, on a line of its own.
fn print(value: &Val) {
    match value {
        Val::I32(value) => println!("{value}"),
        Val::I64(value) => println!("{value}"),
        Val::F32(bits) => println!("{}", f32::from_bits(*bits)),
        Val::F64(bits) => println!("{}", f64::from_bits(*bits)),
        Val::V128(bits) => println!("{:#034x}", bits.as_u128()),
        other => println!("{}", if is_null(other) { "null" } else { "reference" }),
    }
}

fn is_null(value: &Val) -> bool {
    matches!(
        value,
        Val::FuncRef(None) | Val::ExternRef(None) | Val::AnyRef(None) | Val::ExnRef(None)
    )
}
