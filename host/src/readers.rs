//! Cells that are globals, which only the guest itself can read: by calls that the host makes on
//! its own account.

use wasmtime::{AsContextMut, Func, Trap, Val};

/// Fuel that a reader of a thousand cells does with.
const FUEL: u64 = 1 << 16;

/// What the guest had before it was called to read.
struct Before {
    fuel: Option<u64>,
}

/// Lends the guest what it needs, since its own may be used up.
fn lend<S: AsContextMut>(store: &mut S) -> Before {
    let mut context = store.as_context_mut();
    let fuel = context.get_fuel().ok();
    // The store counts fuel, so it can be set.
    let _ = fuel.map(|_| context.set_fuel(FUEL));
    Before { fuel }
}

fn give_back<S: AsContextMut>(store: &mut S, before: &Before) {
    let _ = before.fuel.map(|fuel| store.as_context_mut().set_fuel(fuel));
}

fn room<S: AsContextMut>(store: &mut S, reader: &Func) -> Vec<Val> {
    vec![Val::I32(0); reader.ty(&mut *store).results().len()]
}

fn values(left: &[Val]) -> Vec<u32> {
    left.iter().map(|left| left.i32().unwrap_or(0).cast_unsigned()).collect()
}

/// Whether the guest did not read since its time is up, by the engine's epoch.
fn is_late(read: &wasmtime::Result<()>) -> bool {
    matches!(read, Err(error) if error.downcast_ref() == Some(&Trap::Interrupt))
}

/// Calls a reader once, and a second time where the deadline of the epoch has passed. It has again
/// afterwards.
fn call<S: AsContextMut>(store: &mut S, reader: &Func, left: &mut [Val]) -> wasmtime::Result<()> {
    let mut context = store.as_context_mut();
    let read = reader.call(&mut context, &[], left);
    if !is_late(&read) {
        return read;
    }
    context.set_epoch_deadline(1);
    let read = reader.call(&mut context, &[], left);
    context.set_epoch_deadline(0);
    read
}

/// What some cells held, which are zero from now on. `None` where the guest did not say.
pub(crate) fn read<S: AsContextMut>(store: &mut S, reader: &Func) -> Option<Vec<u32>> {
    let mut left = room(store, reader);
    let before = lend(store);
    let read = call(store, reader, &mut left);
    give_back(store, &before);
    read.ok().map(|()| values(&left))
}

/// The same where the store may be one that takes asynchronous calls only.
pub(crate) async fn read_async<S>(store: &mut S, reader: &Func) -> Option<Vec<u32>>
where
    S: AsContextMut<Data: Send>,
{
    let mut left = room(store, reader);
    let before = lend(store);
    // Most stores take the cheaper call; no guest ran where it is refused.
    let mut read = call(store, reader, &mut left);
    if matches!(&read, Err(error) if error.downcast_ref::<Trap>().is_none()) {
        read = reader.call_async(store.as_context_mut(), &[], &mut left).await;
    }
    give_back(store, &before);
    read.ok().map(|()| values(&left))
}
