//! The guest: its engine, what it may use of the host, and its calls.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use observe_host::{ObservedModule, Outcome, Recorder, Report, TraceOptions};
use wasmtime::{Config, Engine, ExternType, Func, Instance, Linker, Store, Val, ValType};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};

use super::Opts;
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

/// A module that is ready to run.
pub(super) struct Guest<'a> {
    module: &'a ObservedModule,
    linker: Linker<State>,
    store: Store<State>,
    instance: Option<Instance>,
    /// The export to call, with its arguments; `None` for the program itself.
    call: Option<(String, Vec<Val>)>,
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

impl<'a> Guest<'a> {
    /// Checks that the guest has what it needs and the user named what it has.
    pub(super) fn prepare(
        engine: &Engine,
        input: &Input,
        module: &'a ObservedModule,
        opts: &Opts,
    ) -> Result<Self> {
        let mut linker = Linker::new(engine);
        p1::add_to_linker_sync(&mut linker, |state: &mut State| &mut state.wasi)
            .map_err(|error| anyhow!("WASI cannot be provided: {error:#}"))?;
        observe_host::add_to_linker(&mut linker, |state: &mut State| &mut state.recorder)?;
        let call = match &opts.invoke {
            Some(export) => Some((export.clone(), arguments(input, module, export, &opts.args)?)),
            None => {
                require_start(input, module)?;
                None
            }
        };
        let wasi = wasi(input, opts)?;
        let mut store = Store::new(engine, State { wasi, recorder: module.recorder() });
        for import in module.module().imports() {
            if linker.get_by_import(&mut store, &import).is_none() {
                let (from, name) = (import.module(), import.name());
                bail!(
                    "{}: imports `{from}` `{name}`, which `observe run` does not provide \
                     (it provides wasi_snapshot_preview1); run it in its own host with \
                     `observe instrument`",
                    input.name
                );
            }
        }
        linker
            .instantiate_pre(module.module())
            .map_err(|error| input.error(&format!("cannot be linked: {error:#}")))?;
        Ok(Guest { module, linker, store, instance: None, call })
    }

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
            && let Ok(cells) = self.module.cells(&mut self.store, &instance)
        {
            self.store.data_mut().recorder.settle(&cells);
        }
        self.store.data_mut().recorder.finish(outcome)
    }
}

/// What the guest may use of the host.
fn wasi(input: &Input, opts: &Opts) -> Result<WasiP1Ctx> {
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

fn require_start(input: &Input, module: &ObservedModule) -> Result<()> {
    let mut exports = module.module().exports();
    if exports.any(|export| export.name() == "_start" && export.ty().func().is_some()) {
        return Ok(());
    }
    match functions(module) {
        names if names.is_empty() => {
            bail!("{}: exports no `_start`, nor any other function", input.name)
        }
        names => bail!(
            "{}: exports no `_start`; name a function with --invoke, such as {}",
            input.name,
            names.join(", ")
        ),
    }
}

/// The functions that a user may call, a few of them.
fn functions(module: &ObservedModule) -> Vec<&str> {
    let exports = module.module().exports().filter(|export| export.ty().func().is_some());
    let ours = observe_abi::hooks::CELLS_READER_PREFIX;
    exports.map(|export| export.name()).filter(|name| !name.starts_with(ours)).take(10).collect()
}

/// Reads the arguments of a function by its parameters.
fn arguments(
    input: &Input,
    module: &ObservedModule,
    export: &str,
    texts: &[String],
) -> Result<Vec<Val>> {
    let Some(ExternType::Func(ty)) = module.module().get_export(export) else {
        let names = functions(module).join(", ");
        bail!("{}: exports no function `{export}`; it exports {names}", input.name);
    };
    let params: Vec<_> = ty.params().collect();
    if params.len() != texts.len() {
        let types: Vec<_> = params.iter().map(ToString::to_string).collect();
        bail!(
            "{}: `{export}` takes {} arguments ({}), and {} were given",
            input.name,
            params.len(),
            types.join(", "),
            texts.len()
        );
    }
    let values = params.iter().zip(texts).map(|(ty, text)| {
        value(ty, text).ok_or_else(|| anyhow!("--invoke {export}: `{text}` is not of type {ty}"))
    });
    values.collect()
}

/// Reads a value; integers may be signed or unsigned.
fn value(ty: &ValType, text: &str) -> Option<Val> {
    Some(match ty {
        ValType::I32 => {
            Val::I32(text.parse().or_else(|_| text.parse().map(u32::cast_signed)).ok()?)
        }
        ValType::I64 => {
            Val::I64(text.parse().or_else(|_| text.parse().map(u64::cast_signed)).ok()?)
        }
        ValType::F32 => Val::F32(text.parse::<f32>().ok()?.to_bits()),
        ValType::F64 => Val::F64(text.parse::<f64>().ok()?.to_bits()),
        _ => return None,
    })
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
