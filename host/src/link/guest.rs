//! What guests import that were annotated by hand.

use observe_abi::guest;
use wasmtime::{Caller, Linker};

use super::{Imports, guest_metrics, say, tell};
use crate::Error;
use crate::annotations::severity;
use crate::frame::{End, Kind};
use crate::recorder::{Inner, Recorder};
use crate::records::{Records, bytes};
use crate::strict::Import;

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
    add_scoped(&mut imports, recorder)?;
    add_detached(&mut imports, recorder)?;
    add_words(&mut imports, recorder)?;
    guest_metrics::add(&mut imports, recorder)?;
    add_answers(&mut imports, recorder)?;
    let submit = Import(guest::MODULE, guest::SUBMIT);
    imports.add(guest::SUBMIT, move |mut caller: Caller<'_, T>, at: u32, count: u32| {
        say(&mut caller, recorder, submit, |inner, memory| inner.submit(memory, at, count))
    })
}

fn add_first<T: 'static>(
    linker: &mut Linker<T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    let mut imports = Imports::new(linker, guest::v1::MODULE);
    let begin = Import(guest::v1::MODULE, guest::v1::SPAN_BEGIN);
    imports.add(guest::v1::SPAN_BEGIN, move |mut caller: Caller<'_, T>, name: u32, len: u32| {
        say(&mut caller, recorder, begin, |inner, memory| {
            inner.begin_named(Kind::Guest, bytes(memory, name.into(), len))
        })
    })?;
    let end = Import(guest::v1::MODULE, guest::v1::SPAN_END);
    imports.add(guest::v1::SPAN_END, move |mut caller: Caller<'_, T>, token: i32| {
        tell(&mut caller, recorder, end, |inner| end_scoped(inner, token))
    })
}

fn add_scoped<T: 'static>(
    imports: &mut Imports<'_, T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    let begin = Import(guest::MODULE, guest::SPAN_BEGIN);
    imports.add(
        guest::SPAN_BEGIN,
        move |mut caller: Caller<'_, T>, kind: i32, name: u32, len: u32, at: u32, count: u32| {
            say(&mut caller, recorder, begin, |inner, memory| {
                let name = bytes(memory, name.into(), len);
                inner.begin_scoped(kind, name, &Records::at(memory, at, count))
            })
        },
    )?;
    let end = Import(guest::MODULE, guest::SPAN_END);
    imports.add(guest::SPAN_END, move |mut caller: Caller<'_, T>, token: i32| {
        tell(&mut caller, recorder, end, |inner| end_scoped(inner, token))
    })
}

/// Ends a span. One that was not opened, outside a trace or too deep, has no end.
fn end_scoped(inner: &mut Inner, token: i32) {
    if token < 0 {
        inner.leave(token, End::Returned);
    } else if token != 0 && inner.trace.is_some() {
        inner.lost.unknown_spans += 1;
    }
}

fn add_detached<T: 'static>(
    imports: &mut Imports<'_, T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    let open = Import(guest::MODULE, guest::SPAN_OPEN);
    imports.add(
        guest::SPAN_OPEN,
        move |mut caller: Caller<'_, T>,
              parent: i32,
              kind: i32,
              name: u32,
              len: u32,
              at: u32,
              count: u32| {
            say(&mut caller, recorder, open, |inner, memory| {
                let name = bytes(memory, name.into(), len);
                inner.open_detached(parent, kind, name, &Records::at(memory, at, count))
            })
        },
    )?;
    let enter = Import(guest::MODULE, guest::SPAN_ENTER);
    imports.add(guest::SPAN_ENTER, move |mut caller: Caller<'_, T>, handle: i32| {
        tell(&mut caller, recorder, enter, |inner| inner.enter_detached(handle))
    })?;
    let exit = Import(guest::MODULE, guest::SPAN_EXIT);
    imports.add(guest::SPAN_EXIT, move |mut caller: Caller<'_, T>, handle: i32| {
        tell(&mut caller, recorder, exit, |inner| inner.exit_detached(handle))
    })?;
    let close = Import(guest::MODULE, guest::SPAN_CLOSE);
    imports.add(guest::SPAN_CLOSE, move |mut caller: Caller<'_, T>, handle: i32| {
        tell(&mut caller, recorder, close, |inner| inner.close_detached(handle))
    })
}

/// What is said of spans, and logged.
fn add_words<T: 'static>(
    imports: &mut Imports<'_, T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    let attributes = Import(guest::MODULE, guest::SPAN_ATTRIBUTES);
    imports.add(
        guest::SPAN_ATTRIBUTES,
        move |mut caller: Caller<'_, T>, span: i32, at: u32, count: u32| {
            say(&mut caller, recorder, attributes, |inner, memory| {
                inner.span_attributes(span, &Records::at(memory, at, count));
            })
        },
    )?;
    let event = Import(guest::MODULE, guest::SPAN_EVENT);
    imports.add(
        guest::SPAN_EVENT,
        move |mut caller: Caller<'_, T>, span: i32, name: u32, len: u32, at: u32, count: u32| {
            say(&mut caller, recorder, event, |inner, memory| {
                let name = bytes(memory, name.into(), len);
                inner.span_event(span, name, &Records::at(memory, at, count), inner.now());
            })
        },
    )?;
    let status = Import(guest::MODULE, guest::SPAN_STATUS);
    imports.add(
        guest::SPAN_STATUS,
        move |mut caller: Caller<'_, T>, span: i32, code: i32, message: u32, len: u32| {
            say(&mut caller, recorder, status, |inner, memory| {
                inner.span_status(span, code, bytes(memory, message.into(), len));
            })
        },
    )?;
    let link = Import(guest::MODULE, guest::SPAN_LINK);
    imports.add(
        guest::SPAN_LINK,
        move |mut caller: Caller<'_, T>, span: i32, to: u32, len: u32, at: u32, count: u32| {
            say(&mut caller, recorder, link, |inner, memory| {
                let to = bytes(memory, to.into(), len);
                inner.span_link(span, to, &Records::at(memory, at, count));
            })
        },
    )?;
    let log = Import(guest::MODULE, guest::LOG);
    imports.add(
        guest::LOG,
        move |mut caller: Caller<'_, T>,
              span: i32,
              number: i32,
              body: u32,
              len: u32,
              at: u32,
              count: u32| {
            say(&mut caller, recorder, log, |inner, memory| {
                let body = bytes(memory, body.into(), len);
                let attributes = Records::at(memory, at, count);
                inner.guest_record(span, severity(number), body, &attributes, inner.now());
            })
        },
    )
}

/// What a guest may ask.
fn add_answers<T: 'static>(
    imports: &mut Imports<'_, T>,
    recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    let context = Import(guest::MODULE, guest::CONTEXT);
    imports.add(guest::CONTEXT, move |mut caller: Caller<'_, T>, buffer: u32, size: u32| {
        say(&mut caller, recorder, context, |inner, memory| {
            inner.write_context(memory, buffer, size)
        })
    })?;
    let baggage = Import(guest::MODULE, guest::BAGGAGE);
    imports.add(guest::BAGGAGE, move |mut caller: Caller<'_, T>, buffer: u32, size: u32| {
        say(&mut caller, recorder, baggage, |inner, memory| {
            inner.write_baggage(memory, buffer, size)
        })
    })
}
