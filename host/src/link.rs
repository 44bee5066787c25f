//! The hooks, as host functions of a linker.

use observe_abi::{guest, hooks};
use wasmtime::{Caller, Extern, Linker, Trap};

use crate::Error;
use crate::cells::{self, Rearm, When};
use crate::frame::{End, UNTIMED};
use crate::growth::Grown;
use crate::overhead::MAX_PERIOD;
use crate::recorder::{Entered, Recorder};

/// What an untimed call gets from hooks that do nothing.
const NOTHING: (u32, i32) = (i32::MAX as u32, UNTIMED);

/// Adds what instrumented and annotated modules import to a linker.
pub(crate) fn add<T: 'static>(
    linker: &mut Linker<T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    let twice = |module| move |_| Error::Linker(module);
    linker
        .func_wrap(hooks::MODULE, hooks::ENTER, move |mut caller: Caller<'_, T>, id: u32| {
            let quick = recorder(caller.data_mut()).inner().and_then(|i| i.enter_quickly(id));
            let entered = match quick {
                Some(entered) => entered,
                None => enter(&mut caller, recorder, id),
            };
            entered.results().ok_or_else(|| wasmtime::Error::from(Trap::Interrupt))
        })
        .and_then(|linker| {
            linker.func_wrap(
                hooks::MODULE,
                hooks::EXIT,
                move |mut caller: Caller<'_, T>, token: i32| {
                    let Some(inner) = recorder(caller.data_mut()).inner() else { return };
                    inner.leave(token, End::Returned);
                    if inner.wants_rearming() {
                        rearm(&mut caller, recorder);
                    }
                },
            )
        })
        .and_then(|linker| {
            linker.func_wrap(
                hooks::MODULE,
                hooks::UNWIND,
                move |mut caller: Caller<'_, T>, token: i32| {
                    // The guest need not ask first whether the call is timed.
                    if let Some(inner) = recorder(caller.data_mut()).inner()
                        && token < 0
                    {
                        inner.leave(token, End::Thrown);
                    }
                },
            )
        })
        .and_then(|linker| {
            linker.func_wrap(
                hooks::MODULE,
                hooks::MEMORY_GROW,
                move |mut caller: Caller<'_, T>, id: u32, _memory: u32, bytes: i64| {
                    if let Some(inner) = recorder(caller.data_mut()).inner() {
                        inner.grow(Grown::Memory, id, bytes);
                    }
                },
            )
        })
        .and_then(|linker| {
            linker.func_wrap(
                hooks::MODULE,
                hooks::TABLE_GROW,
                move |mut caller: Caller<'_, T>, id: u32, _table: u32, elements: i64| {
                    if let Some(inner) = recorder(caller.data_mut()).inner() {
                        inner.grow(Grown::Table, id, elements);
                    }
                },
            )
        })
        .and_then(|linker| {
            linker.func_wrap(
                hooks::MODULE,
                hooks::ALLOCATION,
                move |mut caller: Caller<'_, T>, freed: u64, size: u64, pointer: u64| {
                    if let Some(inner) = recorder(caller.data_mut()).inner() {
                        inner.allocation(freed, size, pointer);
                    }
                },
            )
        })
        .map_err(twice(hooks::MODULE))?;
    linker
        .func_wrap(
            guest::MODULE,
            guest::SPAN_BEGIN,
            move |mut caller: Caller<'_, T>, name: u32, len: u32| {
                with_memory(&mut caller, |memory, data| {
                    let name = read(memory, name.into(), len.into());
                    recorder(data).inner().map_or(0, |inner| inner.begin_named(name))
                })
            },
        )
        .and_then(|linker| {
            linker.func_wrap(
                guest::MODULE,
                guest::SPAN_END,
                move |mut caller: Caller<'_, T>, token: i32| {
                    // A span that was not opened, outside a trace or too deep, has no end.
                    if let Some(inner) = recorder(caller.data_mut()).inner()
                        && token < 0
                    {
                        inner.leave(token, End::Returned);
                    }
                },
            )
        })
        .map_err(twice(guest::MODULE))?;
    Ok(())
}

/// Adds the same functions, which do nothing.
pub(crate) fn add_noops<T: 'static>(linker: &mut Linker<T>) -> Result<(), Error> {
    let twice = |module| move |_| Error::Linker(module);
    linker
        .func_wrap(hooks::MODULE, hooks::ENTER, |_id: u32| NOTHING)
        .and_then(|linker| linker.func_wrap(hooks::MODULE, hooks::EXIT, |_token: i32| {}))
        .and_then(|linker| linker.func_wrap(hooks::MODULE, hooks::UNWIND, |_token: i32| {}))
        .and_then(|linker| {
            linker.func_wrap(hooks::MODULE, hooks::MEMORY_GROW, |_: u32, _: u32, _: i64| {})
        })
        .and_then(|linker| {
            linker.func_wrap(hooks::MODULE, hooks::TABLE_GROW, |_: u32, _: u32, _: i64| {})
        })
        .and_then(|linker| {
            linker.func_wrap(hooks::MODULE, hooks::ALLOCATION, |_: u64, _: u64, _: u64| {})
        })
        .map_err(twice(hooks::MODULE))?;
    linker
        .func_wrap(guest::MODULE, guest::SPAN_BEGIN, |_name: u32, _len: u32| 0)
        .and_then(|linker| linker.func_wrap(guest::MODULE, guest::SPAN_END, |_token: i32| {}))
        .map_err(twice(guest::MODULE))?;
    Ok(())
}

/// Enters a call, after what is wanted from outside was looked after.
#[inline(never)]
fn enter<T: 'static>(
    caller: &mut Caller<'_, T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy,
    id: u32,
) -> Entered {
    let nothing = Entered::new(NOTHING.0, NOTHING.1);
    let Some(inner) = recorder(caller.data_mut()).inner() else { return nothing };
    if inner.interrupter.is_interrupted() {
        return Entered::INTERRUPTED;
    }
    if inner.wants_attention() {
        attend(caller, recorder, id);
    }
    recorder(caller.data_mut()).inner().map_or(nothing, |inner| inner.enter(id))
}

#[cold]
#[inline(never)]
fn attend<T: 'static>(
    caller: &mut Caller<'_, T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy,
    id: u32,
) {
    let Some(inner) = recorder(caller.data_mut()).inner() else { return };
    let changed = inner.follow_observer();
    if inner.cells.wants_attention() {
        cells::find(caller, recorder, id);
    } else if changed {
        let rearm = recorder(caller.data_mut()).inner().map(|inner| inner.rearm_at_start());
        cells::look(caller, recorder, rearm.unwrap_or(Rearm::None), When::During);
    }
}

/// Has functions timed that may tell what a timed call spent its time on.
#[cold]
#[inline(never)]
fn rearm<T: 'static>(
    caller: &mut Caller<'_, T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy,
) {
    let Some(inner) = recorder(caller.data_mut()).inner() else { return };
    let functions = inner.take_to_rearm();
    cells::rearm(caller, recorder, &functions);
}

/// What the guest exports as `memory`, or nothing, and the data of its store.
pub(crate) fn with_memory<T: 'static, R>(
    caller: &mut Caller<'_, T>,
    work: impl FnOnce(&[u8], &mut T) -> R,
) -> R {
    match caller.get_export("memory").and_then(Extern::into_memory) {
        Some(memory) => {
            let (bytes, data) = memory.data_and_store_mut(caller);
            work(bytes, data)
        }
        None => work(&[], caller.data_mut()),
    }
}

/// The bytes at an address; `None` where they are not all in memory.
pub(crate) fn read(memory: &[u8], at: u64, len: u64) -> Option<&[u8]> {
    let at = usize::try_from(at).ok()?;
    memory.get(at..)?.get(..usize::try_from(len).ok()?)
}

const _: () = assert!(MAX_PERIOD < i32::MAX as u32);
