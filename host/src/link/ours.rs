//! The hooks that our instrumenter writes.

use observe_abi::hooks;
use wasmtime::{Caller, Linker, Trap};

use super::{Imports, NOTHING};
use crate::Error;
use crate::cells::{self, Rearm, When};
use crate::frame::End;
use crate::growth::Grown;
use crate::overhead::MAX_PERIOD;
use crate::recorder::{Entered, Recorder};

pub(super) fn add_hooks<T: 'static>(
    linker: &mut Linker<T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    let mut imports = Imports::new(linker, hooks::MODULE);
    imports.add(hooks::ENTER, move |mut caller: Caller<'_, T>, id: u32| {
        let quick = recorder(caller.data_mut()).inner().and_then(|inner| inner.enter_quickly(id));
        let entered = match quick {
            Some(entered) => entered,
            None => enter(&mut caller, recorder, id),
        };
        entered.results().ok_or_else(|| wasmtime::Error::from(Trap::Interrupt))
    })?;
    imports.add(hooks::EXIT, move |mut caller: Caller<'_, T>, token: i32| {
        let Some(inner) = recorder(caller.data_mut()).inner() else { return };
        inner.leave(token, End::Returned);
        if inner.wants_rearming() {
            rearm(&mut caller, recorder);
        }
    })?;
    imports.add(hooks::UNWIND, move |mut caller: Caller<'_, T>, token: i32| {
        // The guest need not ask first whether the call is timed.
        if let Some(inner) = recorder(caller.data_mut()).inner()
            && token < 0
        {
            inner.leave(token, End::Thrown);
        }
    })?;
    for (name, what) in [(hooks::MEMORY_GROW, Grown::Memory), (hooks::TABLE_GROW, Grown::Table)] {
        imports.add(name, move |mut caller: Caller<'_, T>, id: u32, _which: u32, by: i64| {
            if let Some(inner) = recorder(caller.data_mut()).inner() {
                inner.grow(what, id, by);
            }
        })?;
    }
    imports.add(
        hooks::ALLOCATION,
        move |mut caller: Caller<'_, T>, freed: u64, size: u64, pointer: u64| {
            if let Some(inner) = recorder(caller.data_mut()).inner() {
                inner.allocation(freed, size, pointer);
            }
        },
    )
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

/// Looks after what is wanted from outside.
#[cold]
#[inline(never)]
pub(super) fn attend<T: 'static>(
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
pub(super) fn rearm<T: 'static>(
    caller: &mut Caller<'_, T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy,
) {
    let Some(inner) = recorder(caller.data_mut()).inner() else { return };
    let functions = inner.take_to_rearm();
    cells::rearm(caller, recorder, &functions);
}

const _: () = assert!(MAX_PERIOD < i32::MAX as u32);
