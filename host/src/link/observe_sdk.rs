//! What modules made for observe-sdk import.

use observe_abi::dylibso;
use wasmtime::{Caller, Linker, Trap, WasmTy};

use super::ours::{attend, rearm};
use super::{Imports, memory_of, say, tell};
use crate::Error;
use crate::frame::Kind;
use crate::observe_sdk::{settle, severity};
use crate::recorder::{Inner, Recorder};
use crate::records::bytes;
use crate::strict::Import;

pub(super) fn add_hooks<T: 'static>(
    linker: &mut Linker<T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    let modules = [
        (dylibso::MODULE, [dylibso::ENTER, dylibso::EXIT, dylibso::MEMORY_GROW]),
        (dylibso::OLD_MODULE, dylibso::OLD_HOOKS),
    ];
    for (module, [enter, exit, memory_grow]) in modules {
        let mut imports = Imports::new(linker, module);
        imports.add(enter, move |mut caller: Caller<'_, T>, function: u32| {
            settle(&mut caller, recorder);
            let Some(inner) = recorder(caller.data_mut()).inner() else { return Ok(()) };
            if inner.interrupter.is_interrupted() {
                return Err(Trap::Interrupt.into());
            }
            if inner.wants_attention() {
                let id = function.wrapping_sub(inner.module.functions.map.imports);
                attend(&mut caller, recorder, id);
            }
            if let Some(inner) = recorder(caller.data_mut()).inner() {
                inner.told_enter(function);
            }
            Ok::<_, wasmtime::Error>(())
        })?;
        imports.add(exit, move |mut caller: Caller<'_, T>, function: u32| {
            settle(&mut caller, recorder);
            let Some(inner) = recorder(caller.data_mut()).inner() else { return };
            inner.told_exit(function);
            if inner.wants_rearming() {
                rearm(&mut caller, recorder);
            }
        })?;
        imports.add(memory_grow, move |mut caller: Caller<'_, T>, pages: u32| {
            settle(&mut caller, recorder);
            let memory = memory_of(&mut caller);
            let memory = memory.map(|memory| (memory, memory.data_size(&caller) as u64));
            if let Some(inner) = recorder(caller.data_mut()).inner() {
                inner.told_grow(pages, memory);
            }
        })?;
    }
    Ok(())
}

pub(super) fn add_api<T: 'static>(
    linker: &mut Linker<T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    let names = [
        dylibso::SPAN_ENTER,
        dylibso::SPAN_EXIT,
        dylibso::SPAN_TAGS,
        dylibso::METRIC,
        dylibso::LOG,
    ];
    add_api_at::<T, u32>(Imports::new(linker, dylibso::API_MODULE), names, recorder)?;
    add_api_at::<T, u64>(Imports::new(linker, dylibso::OLD_MODULE), dylibso::OLD_API, recorder)
}

/// Adds the functions by which a guest speaks for itself, with addresses of one type.
fn add_api_at<T: 'static, Address: WasmTy + Into<u64>>(
    mut imports: Imports<'_, T>,
    names: [&'static str; 5],
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    let [span_enter, span_exit, span_tags, metric, log] = names;
    let [begin, end, tag, measure, write] = names.map(|name| Import(imports.module, name));
    imports.add(span_enter, move |mut caller: Caller<'_, T>, name: Address, len: u32| {
        say(&mut caller, recorder, begin, |inner, memory| {
            inner.begin_named(Kind::Loose, bytes(memory, name.into(), len));
        })
    })?;
    imports.add(span_exit, move |mut caller: Caller<'_, T>| {
        tell(&mut caller, recorder, end, Inner::end_loose)
    })?;
    imports.add(span_tags, move |mut caller: Caller<'_, T>, tags: Address, len: u32| {
        say(&mut caller, recorder, tag, |inner, memory| {
            inner.guest_tags(bytes(memory, tags.into(), len));
        })
    })?;
    imports.add(
        metric,
        move |mut caller: Caller<'_, T>, format: u32, text: Address, len: u32| {
            say(&mut caller, recorder, measure, |inner, memory| match format {
                dylibso::STATSD => inner.guest_metrics(bytes(memory, text.into(), len)),
                _ => inner.lost.malformed_metrics += 1,
            })
        },
    )?;
    imports.add(log, move |mut caller: Caller<'_, T>, level: u32, text: Address, len: u32| {
        say(&mut caller, recorder, write, |inner, memory| {
            inner.guest_log(severity(level), bytes(memory, text.into(), len));
        })
    })
}
