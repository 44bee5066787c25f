//! What guests import that were annotated by hand.

use observe_abi::guest;
use wasmtime::{Caller, Linker};

use super::{Imports, guest_metrics, with_memory};
use crate::Error;
use crate::annotations::severity;
use crate::frame::{End, Kind};
use crate::recorder::{Inner, Recorder};
use crate::records::{Records, bytes};

/// Adds the imports of all versions.
pub(super) fn add<T: 'static>(
    linker: &mut Linker<T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    add_first(linker, recorder)?;
    let mut imports = Imports::new(linker, guest::MODULE);
    imports.add(guest::INTEREST, move |mut caller: Caller<'_, T>| {
        let inner = recorder(caller.data_mut()).inner();
        inner.map_or(guest::interest::ANSWERED, |inner| inner.interest())
    })?;
    add_spans(&mut imports, recorder)?;
    add_detached(&mut imports)?;
    add_words(&mut imports, recorder)?;
    guest_metrics::add(&mut imports, recorder)?;
    imports.add(guest::CONTEXT, |_buffer: u32, _size: u32| 0)?;
    imports.add(guest::BAGGAGE, |_buffer: u32, _size: u32| 0)?;
    imports.add(guest::SUBMIT, |_records: u32, _count: u32| {})
}

fn add_first<T: 'static>(
    linker: &mut Linker<T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    let mut imports = Imports::new(linker, guest::v1::MODULE);
    imports.add(guest::v1::SPAN_BEGIN, move |mut caller: Caller<'_, T>, name: u32, len: u32| {
        let begin = |inner: &mut Inner, memory: &[u8]| {
            inner.begin_named(Kind::Guest, bytes(memory, name.into(), len))
        };
        with_memory(&mut caller, recorder, begin).unwrap_or(0)
    })?;
    imports.add(guest::v1::SPAN_END, move |mut caller: Caller<'_, T>, token: i32| {
        end(recorder(caller.data_mut()), token);
    })
}

/// Scoped spans.
fn add_spans<T: 'static>(
    imports: &mut Imports<'_, T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    imports.add(
        guest::SPAN_BEGIN,
        move |mut caller: Caller<'_, T>, kind: i32, name: u32, len: u32, at: u32, count: u32| {
            let begin = |inner: &mut Inner, memory: &[u8]| {
                let name = bytes(memory, name.into(), len);
                inner.begin_scoped(kind, name, &Records::at(memory, at, count))
            };
            with_memory(&mut caller, recorder, begin).unwrap_or(0)
        },
    )?;
    imports.add(guest::SPAN_END, move |mut caller: Caller<'_, T>, token: i32| {
        end(recorder(caller.data_mut()), token);
    })
}

/// Detached spans, of which none is recorded.
fn add_detached<T: 'static>(imports: &mut Imports<'_, T>) -> Result<(), Error> {
    imports.add(
        guest::SPAN_OPEN,
        |_parent: i32, _kind: i32, _name: u32, _len: u32, _at: u32, _count: u32| 0,
    )?;
    imports.add(guest::SPAN_ENTER, |_handle: i32| {})?;
    imports.add(guest::SPAN_EXIT, |_handle: i32| {})?;
    imports.add(guest::SPAN_CLOSE, |_handle: i32| {})
}

/// What is said of spans, and logged.
fn add_words<T: 'static>(
    imports: &mut Imports<'_, T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    imports.add(
        guest::SPAN_ATTRIBUTES,
        move |mut caller: Caller<'_, T>, span: i32, at: u32, count: u32| {
            with_memory(&mut caller, recorder, |inner, memory| {
                inner.span_attributes(span, &Records::at(memory, at, count));
            });
        },
    )?;
    imports.add(
        guest::SPAN_EVENT,
        move |mut caller: Caller<'_, T>, span: i32, name: u32, len: u32, at: u32, count: u32| {
            with_memory(&mut caller, recorder, |inner, memory| {
                let name = bytes(memory, name.into(), len);
                inner.span_event(span, name, &Records::at(memory, at, count));
            });
        },
    )?;
    imports.add(
        guest::SPAN_STATUS,
        move |mut caller: Caller<'_, T>, span: i32, status: i32, message: u32, len: u32| {
            with_memory(&mut caller, recorder, |inner, memory| {
                inner.span_status(span, status, bytes(memory, message.into(), len));
            });
        },
    )?;
    imports.add(
        guest::SPAN_LINK,
        move |mut caller: Caller<'_, T>, span: i32, to: u32, len: u32, at: u32, count: u32| {
            with_memory(&mut caller, recorder, |inner, memory| {
                let to = bytes(memory, to.into(), len);
                inner.span_link(span, to, &Records::at(memory, at, count));
            });
        },
    )?;
    imports.add(
        guest::LOG,
        move |mut caller: Caller<'_, T>,
              span: i32,
              number: i32,
              body: u32,
              len: u32,
              at: u32,
              count: u32| {
            with_memory(&mut caller, recorder, |inner, memory| {
                let body = bytes(memory, body.into(), len);
                let attributes = Records::at(memory, at, count);
                inner.guest_record(span, severity(number), body, &attributes);
            });
        },
    )
}

/// Ends a span. One that was not opened, outside a trace or too deep, has no end.
fn end(recorder: &mut Recorder, token: i32) {
    if let Some(inner) = recorder.inner()
        && token < 0
    {
        inner.leave(token, End::Returned);
    }
}
