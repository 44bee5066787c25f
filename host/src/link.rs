//! The hooks, as host functions of a linker.

mod noops;
mod observe_sdk;
mod ours;

use wasmtime::{Caller, Extern, IntoFunc, Linker, Memory};

use crate::Error;
use crate::frame::UNTIMED;
use crate::recorder::Recorder;

/// What an untimed call gets from hooks that do nothing.
const NOTHING: (u32, i32) = (i32::MAX as u32, UNTIMED);

/// Adds what instrumented and annotated modules import to a linker.
pub(crate) fn add<T: 'static>(
    linker: &mut Linker<T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    ours::add_hooks(linker, recorder)?;
    ours::add_annotations(linker, recorder)?;
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

/// What is in that memory, or nothing, and the data of its store.
fn with_memory<T: 'static, R>(
    caller: &mut Caller<'_, T>,
    work: impl FnOnce(&[u8], &mut T) -> R,
) -> R {
    match memory_of(caller) {
        Some(memory) => {
            let (bytes, data) = memory.data_and_store_mut(caller);
            work(bytes, data)
        }
        None => work(&[], caller.data_mut()),
    }
}

/// The bytes at an address; `None` where they are not all in memory.
fn read(memory: &[u8], at: u64, len: u32) -> Option<&[u8]> {
    let at = usize::try_from(at).ok()?;
    memory.get(at..)?.get(..usize::try_from(len).ok()?)
}
