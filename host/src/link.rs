//! The hooks, as host functions of a linker.

mod guest;
mod guest_metrics;
mod noops;
mod observe_sdk;
mod ours;

use wasmtime::{Caller, Extern, IntoFunc, Linker, Memory};

use crate::Error;
use crate::frame::UNTIMED;
use crate::recorder::{Inner, Recorder};
use crate::strict::Import;

/// What an untimed call gets from hooks that do nothing.
const NOTHING: (u32, i32) = (i32::MAX as u32, UNTIMED);

/// Adds what instrumented and annotated modules import to a linker.
pub(crate) fn add<T: 'static>(
    linker: &mut Linker<T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    ours::add_hooks(linker, recorder)?;
    guest::add(linker, recorder)?;
    observe_sdk::add_hooks(linker, recorder)?;
    observe_sdk::add_api(linker, recorder)
}

/// Adds the same functions, which do nothing.
pub(crate) fn add_noops<T: 'static>(linker: &mut Linker<T>) -> Result<(), Error> {
    noops::add(linker)
}

/// An import module in the making.
struct Imports<'l, T: 'static> {
    linker: &'l mut Linker<T>,
    module: &'static str,
}

impl<'l, T: 'static> Imports<'l, T> {
    fn new(linker: &'l mut Linker<T>, module: &'static str) -> Self {
        Imports { linker, module }
    }

    fn add<Params, Results>(
        &mut self,
        name: &str,
        function: impl IntoFunc<T, Params, Results>,
    ) -> Result<(), Error> {
        let added = self.linker.func_wrap(self.module, name, function);
        // The only way to fail is to be there already.
        added.map_or(Err(Error::Linker(self.module)), |_| Ok(()))
    }
}

/// The memory that the guest exports as `memory`.
fn memory_of<T: 'static>(caller: &mut Caller<'_, T>) -> Option<Memory> {
    caller.get_export("memory").and_then(Extern::into_memory)
}

/// Does what a guest says by an import, with its memory; nothing in a store without a recorder.
///
/// # Errors
///
/// [`Misuse`], where something was counted for it and the observer is strict.
fn say<T: 'static, R: Default>(
    caller: &mut Caller<'_, T>,
    recorder: impl Fn(&mut T) -> &mut Recorder,
    import: Import,
    work: impl FnOnce(&mut Inner, &mut [u8]) -> R,
) -> wasmtime::Result<R> {
    let Some(inner) = recorder(caller.data_mut()).inner() else { return Ok(R::default()) };
    // Faster than by its name, where the caller is an instance of the module.
    let export = inner.module.memory_export;
    let memory = export.and_then(|export| caller.get_module_export(&export));
    let memory = memory.and_then(Extern::into_memory).or_else(|| memory_of(caller));
    let (bytes, data) = match memory {
        Some(memory) => memory.data_and_store_mut(caller),
        None => (&mut [][..], caller.data_mut()),
    };
    match recorder(data).inner() {
        Some(inner) => inner.strictly(import, |inner| work(inner, bytes)),
        None => Ok(R::default()),
    }
}

/// The same without its memory.
fn tell<T: 'static, R: Default>(
    caller: &mut Caller<'_, T>,
    recorder: impl Fn(&mut T) -> &mut Recorder,
    import: Import,
    work: impl FnOnce(&mut Inner) -> R,
) -> wasmtime::Result<R> {
    match recorder(caller.data_mut()).inner() {
        Some(inner) => inner.strictly(import, work),
        None => Ok(R::default()),
    }
}
