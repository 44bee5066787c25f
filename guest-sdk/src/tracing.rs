//! Spans and events of [`tracing`](https://docs.rs/tracing) become spans and log records of the host.
//!
//! One line at the start of the program, and whatever it and the crates it is made of say by
//! `tracing` is in the trace:
//!
//! ```
//! observe::tracing::init();
//! ```
//!
//! Beside other layers, [`layer`] goes into a registry of one's own:
//!
//! ```
//! use tracing_subscriber::filter::{FilterExt, LevelFilter};
//! use tracing_subscriber::layer::{Layer, SubscriberExt};
//!
//! let quiet = observe::tracing::layer().with_filter(LevelFilter::INFO);
//! let subscriber = tracing_subscriber::registry().with(quiet);
//! # drop(subscriber);
//! ```
//!
//! # Spans
//!
//! Each is a detached span of the host: it may be entered and exited as often as a future is polled,
//! and it ends when the last handle to it is dropped. It stands under the innermost open span, be that
//! of `tracing`, of an instrumented function or of this crate, or under the parent that it is
//! given. Its fields are attributes of their type; integers that do not fit 64 signed bits and what only has
//! `Debug` or `Display` are strings. A span that [follows from](https://docs.rs/tracing/0.1/tracing/struct.Span.html#method.follows_from)
//! another has a link to it, if that one is still open.
//!
//! The fields that `tracing-opentelemetry` has are no attributes here, either:
//!
//! | field | is |
//! |---|---|
//! | `otel.name` | the name, if it is given when the span begins |
//! | `otel.kind` | the kind: `internal`, `server`, `client`, `producer` or `consumer`, when it begins |
//! | `otel.status_code` | the status: `ok` or `error` |
//! | `otel.status_description`, `otel.status_message` | an error, with this message |
//!
//! # Events
//!
//! Each is a log record with the level as its severity, `message` as its body and the other fields as
//! attributes. One at level `ERROR` makes its span one that failed, with the field `error`, if there is
//! one, or else the message for the reason; so does `#[tracing::instrument(err)]`.
//!
//! # Where
//!
//! Both have `target`, `code.file.path`, `code.line.number` and, where it is not the target,
//! `code.module.name`.
//!
//! # Overhead
//!
//! What the host does not want costs what a disabled callsite of `tracing` costs. A span takes four
//! calls of the host (open, enter, exit, close) beyond what the registry does; an event takes one.

mod filter;
mod visit;

use core::sync::atomic::{AtomicBool, Ordering};

use observe_abi::guest::TRACEPARENT_LEN;
use tracing_core::dispatcher::{self, Dispatch, SetGlobalDefaultError};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry, SpanRef};

use self::filter::HostInterest;
use self::visit::{EventFields, SpanFields, Visitor, severity};
use crate::fields::{self, Fields};
use crate::{Severity, Status, host};

/// Sends what `tracing` is told to the host, from now on and from everywhere.
///
/// Call it at the start of `main`, or of each function that the module exports: from the second time
/// on it does nothing. If the program has set another subscriber before, that one stays, and a
/// warning in the log says so.
pub fn init() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::Relaxed) && try_init().is_err() {
        let body = "observe::tracing::init came after another tracing subscriber, which stays: \
                    add observe::tracing::layer() to that one";
        host::log(host::Id::CURRENT, Severity::Warn, body, &[]);
    }
}

/// The same, for those who want to know whether it worked.
///
/// # Errors
///
/// There is a global subscriber already.
pub fn try_init() -> Result<(), SetGlobalDefaultError> {
    if cfg!(feature = "off") {
        return Ok(());
    }
    let subscriber = Registry::default().with(layer());
    dispatcher::set_global_default(Dispatch::new(subscriber))
}

/// A layer that sends spans and events to the host.
///
/// It has a filter of its own for what the host wants, which hides nothing from other layers.
pub fn layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    HostLayer.with_filter(HostInterest)
}

/// The layer without its filter.
struct HostLayer;

/// The host's handle of a span that it has recorded, in the extensions of the span.
#[derive(Clone, Copy)]
struct Handle(host::Id);

/// The host's handle of a span, if the host has recorded it.
fn handle<S>(span: &SpanRef<'_, S>) -> Option<host::Id>
where
    S: for<'a> LookupSpan<'a>,
{
    span.extensions().get().map(|Handle(handle)| *handle)
}

/// The same by its id.
fn handle_of<S>(id: &Id, context: &Context<'_, S>) -> Option<host::Id>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    context.span(id).and_then(|span| handle(&span))
}

/// The span that somebody names, or the next around it that the host has recorded; the innermost
/// where nobody names any.
fn named<S>(span: Option<&Id>, context: &Context<'_, S>) -> host::Id
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let span = span.and_then(|id| context.span(id));
    let handle = span.and_then(|span| span.scope().find_map(|span| handle(&span)));
    handle.unwrap_or(host::Id::CURRENT)
}

impl<S> Layer<S> for HostLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let metadata = attributes.metadata();
        let mut buffer = fields::buffer();
        let special = SpanFields::new(metadata.name());
        let mut visitor = Visitor { fields: Fields::new(&mut buffer), special };
        attributes.record(&mut visitor);
        let Visitor { mut fields, special } = visitor;
        visit::place(&mut fields, metadata);
        let parent = match attributes.is_root() {
            true => host::Id::ROOT,
            // What is innermost is known to the host, instrumented functions included.
            false => named(attributes.parent(), &context),
        };
        let handle = host::span_open(parent, special.kind, special.name, fields.attributes());
        special.tell_status(handle);
        if let Some(span) = context.span(id).filter(|_| !handle.is_none()) {
            span.extensions_mut().replace(Handle(handle));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(handle) = handle_of(id, &context) else { return };
        let mut buffer = fields::buffer();
        let fields = Fields::new(&mut buffer);
        let mut visitor = Visitor { fields, special: SpanFields::new("") };
        values.record(&mut visitor);
        let attributes = visitor.fields.attributes();
        if !attributes.is_empty() {
            host::span_attributes(handle, attributes);
        }
        visitor.special.tell_status(handle);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        let Some(span) = handle_of(id, &context) else { return };
        let Some(follows) = handle_of(follows, &context) else { return };
        // The host tells the ids of the innermost open span alone.
        let mut traceparent = [0; TRACEPARENT_LEN];
        host::span_enter(follows);
        let len = host::context(&mut traceparent);
        host::span_exit(follows);
        let traceparent = traceparent.get(..len).and_then(|text| core::str::from_utf8(text).ok());
        if let Some(traceparent) = traceparent.filter(|text| !text.is_empty()) {
            host::span_link(span, traceparent, &[]);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut buffer = fields::buffer();
        let fields = Fields::new(&mut buffer);
        let mut visitor = Visitor { fields, special: EventFields::default() };
        event.record(&mut visitor);
        let Visitor { mut fields, special: EventFields { message, error } } = visitor;
        visit::place(&mut fields, metadata);
        let span = named(event.parent(), &context);
        let body = message.or(error).unwrap_or(metadata.name());
        host::log(span, severity(metadata.level()), body, fields.attributes());
        if *metadata.level() == Level::ERROR
            && let Some(failed) = context.event_span(event).and_then(|span| handle(&span))
        {
            host::span_status(failed, Status::Error, error.unwrap_or(body));
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(handle) = handle_of(id, &context) {
            host::span_enter(handle);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if let Some(handle) = handle_of(id, &context) {
            host::span_exit(handle);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(handle) = handle_of(&id, &context) {
            host::span_close(handle);
        }
    }
}
