//! The hooks, as host functions of a linker.

use observe_abi::{guest, hooks};
use wasmtime::{Caller, Extern, Linker, Trap};

use crate::Error;
use crate::growth::Grown;
use crate::names::MAX_NAME;
use crate::recorder::{End, Recorder, What};

/// Adds what instrumented and annotated modules import to a linker.
///
/// `recorder` finds the [`Recorder`] in the data of a store. One linker serves any
/// number of modules and stores.
///
/// # Errors
///
/// [`Error::Linker`], where the linker has them already.
///
/// # Overhead
///
/// `recorder` runs at every timed call, so it should do no more than name a field.
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    let twice = |module| move |_| Error::Linker(module);
    linker
        .func_wrap(hooks::MODULE, hooks::ENTER, move |mut caller: Caller<'_, T>, id: u32| {
            let inner = recorder(caller.data_mut()).inner();
            match inner.interrupter.is_interrupted() {
                true => Err(wasmtime::Error::from(Trap::Interrupt)),
                false => Ok(inner.enter(id)),
            }
        })
        .map_err(twice(hooks::MODULE))?;
    linker
        .func_wrap(hooks::MODULE, hooks::EXIT, move |mut caller: Caller<'_, T>, token: i32| {
            recorder(caller.data_mut()).inner().leave(token, End::Returned);
        })
        .map_err(twice(hooks::MODULE))?;
    linker
        .func_wrap(hooks::MODULE, hooks::UNWIND, move |mut caller: Caller<'_, T>, token: i32| {
            // The guest does not ask first whether the call is timed.
            if token < 0 {
                recorder(caller.data_mut()).inner().leave(token, End::Thrown);
            }
        })
        .map_err(twice(hooks::MODULE))?;
    linker
        .func_wrap(
            hooks::MODULE,
            hooks::MEMORY_GROW,
            move |mut caller: Caller<'_, T>, id: u32, _memory: u32, bytes: i64| {
                recorder(caller.data_mut()).inner().grow(Grown::Memory, id, bytes);
            },
        )
        .map_err(twice(hooks::MODULE))?;
    linker
        .func_wrap(
            hooks::MODULE,
            hooks::TABLE_GROW,
            move |mut caller: Caller<'_, T>, id: u32, _table: u32, elements: i64| {
                recorder(caller.data_mut()).inner().grow(Grown::Table, id, elements);
            },
        )
        .map_err(twice(hooks::MODULE))?;
    linker
        .func_wrap(
            hooks::MODULE,
            hooks::ALLOCATION,
            move |mut caller: Caller<'_, T>, freed: u64, size: u64, pointer: u64| {
                recorder(caller.data_mut()).inner().allocation(freed, size, pointer);
            },
        )
        .map_err(twice(hooks::MODULE))?;
    linker
        .func_wrap(
            guest::MODULE,
            guest::SPAN_BEGIN,
            move |mut caller: Caller<'_, T>, name: u32, len: u32| {
                let memory = caller.get_export("memory").and_then(Extern::into_memory);
                let (bytes, data) = match &memory {
                    Some(memory) => memory.data_and_store_mut(&mut caller),
                    None => (&mut [][..], caller.data_mut()),
                };
                let name = read(bytes, name, len);
                recorder(data).inner().begin_named(name)
            },
        )
        .map_err(twice(guest::MODULE))?;
    linker
        .func_wrap(guest::MODULE, guest::SPAN_END, move |mut caller: Caller<'_, T>, token: i32| {
            let inner = recorder(caller.data_mut()).inner();
            // A span that was not opened, outside a trace or too deep, has no end.
            if token < 0 {
                inner.leave(token, End::Returned);
            }
        })
        .map_err(twice(guest::MODULE))?;
    Ok(())
}

/// The bytes of a name, cut at the limit; `None` where it is not all in memory.
fn read(memory: &[u8], at: u32, len: u32) -> Option<&[u8]> {
    let name = memory.get(at as usize..)?.get(..len as usize)?;
    Some(&name[..name.len().min(MAX_NAME)])
}

impl crate::recorder::Inner {
    /// The guest opens a span of its own.
    fn begin_named(&mut self, name: Option<&[u8]>) -> i32 {
        if self.trace.is_none() {
            return 0;
        }
        let Some(name) = name else {
            self.lost.unreadable_names += 1;
            return 0;
        };
        let mut name = String::from_utf8_lossy(name);
        // A character that the limit has cut through is none.
        if let Some(cut) = name.strip_suffix(char::REPLACEMENT_CHARACTER)
            && name.len() > MAX_NAME - 4
        {
            name = cut.to_owned().into();
        }
        let (id, within) = self.names.intern(&name);
        self.lost.excess_names += u64::from(!within);
        let known = self.functions.len() + self.names.len();
        if self.stats.len() < known {
            self.stats.resize_with(known, Default::default);
        }
        if let Some(stats) = self.stats.get_mut(self.functions.len() + id as usize) {
            stats.calls += 1;
        }
        let now = self.now();
        self.open(What::Named(id), 1, now)
    }
}
