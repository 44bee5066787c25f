//! Spans that end with the function in which they began.

use core::marker::PhantomData;
use core::ops::Deref;

use observe_abi::guest::{kind, status};

use crate::host::{self, Id};
use crate::{Attribute, Severity, Value};

/// What a span is to others.
///
/// ```
/// use observe::{Kind, span};
///
/// let _span = span!(kind: Kind::Consumer, "process order");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum Kind {
    /// A part of a program.
    #[default]
    Internal = kind::INTERNAL,
    /// The answer to a request.
    Server = kind::SERVER,
    /// A request of another program.
    Client = kind::CLIENT,
    /// A message that is handed to a broker.
    Producer = kind::PRODUCER,
    /// A message that came from a broker.
    Consumer = kind::CONSUMER,
}

/// Whether what a span stands for went well.
///
/// ```
/// use observe::{Status, current};
///
/// current().status(Status::Ok, "");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// Nothing is said.
    #[default]
    Unset = status::UNSET,
    /// It went well.
    Ok = status::OK,
    /// It failed.
    Error = status::ERROR,
}

/// An open span, of which something is to be said.
///
/// A [`Span`] and a [`DetachedSpan`](crate::DetachedSpan) have all that this has; [`current`] gives
/// the innermost, whoever began it.
///
/// Of attributes with the same key the last one stays. The host has limits of number and length for
/// all that is said, and tells on the trace what it left out.
///
/// ```
/// fn describe(span: &observe::SpanRef, items: usize) {
///     span.attribute("items", items);
/// }
///
/// describe(&observe::span("add up"), 3);
/// describe(&observe::current(), 3);
/// ```
///
/// # Overhead
///
/// Each method is one call of the host, and a load and a branch if it does not listen.
#[derive(Debug)]
pub struct SpanRef {
    pub(crate) id: Id,
}

/// The innermost open span: a function's, the host's or one of the guest's own.
///
/// ```
/// fn deep_down() {
///     observe::current().attribute("cache.hit", true);
/// }
/// ```
#[inline(always)]
pub fn current() -> SpanRef {
    SpanRef { id: Id::CURRENT }
}

impl SpanRef {
    #[inline(always)]
    fn listens(&self) -> bool {
        !self.id.is_none() && host::wants_spans()
    }

    /// Sets an attribute.
    ///
    /// ```
    /// observe::current().attribute("order.id", 42);
    /// ```
    #[inline(always)]
    pub fn attribute<'a>(&self, key: &'a str, value: impl Into<Value<'a>>) {
        self.attributes(&[Attribute::new(key, value)]);
    }

    /// Sets attributes.
    ///
    /// ```
    /// observe::current().attributes(&observe::attributes![items = 3, express = true]);
    /// ```
    #[inline(always)]
    pub fn attributes(&self, attributes: &[Attribute<'_>]) {
        if self.listens() {
            host::span_attributes(self.id, attributes);
        }
    }

    /// Says that something happened just now.
    ///
    /// ```
    /// observe::current().event("validated", &observe::attributes![rules = 3]);
    /// ```
    #[inline(always)]
    pub fn event(&self, name: &str, attributes: &[Attribute<'_>]) {
        if self.listens() {
            host::span_event(self.id, name, attributes);
        }
    }

    /// Sets the status; the message counts for errors.
    ///
    /// ```
    /// use observe::Status;
    ///
    /// observe::current().status(Status::Error, "card declined");
    /// ```
    #[inline(always)]
    pub fn status(&self, status: Status, message: &str) {
        if self.listens() {
            host::span_status(self.id, status, message);
        }
    }

    /// Says that it failed, and why.
    ///
    /// ```
    /// observe::current().error("card declined");
    /// ```
    #[inline(always)]
    pub fn error(&self, message: &str) {
        self.status(Status::Error, message);
    }

    /// Links to a span elsewhere, by its `traceparent` of the W3C's Trace Context.
    ///
    /// ```
    /// let cause = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    /// observe::current().link(cause, &observe::attributes![why = "retry"]);
    /// ```
    #[inline(always)]
    pub fn link(&self, traceparent: &str, attributes: &[Attribute<'_>]) {
        if self.listens() {
            host::span_link(self.id, traceparent, attributes);
        }
    }

    /// Logs a record that is tied to this span. The macros, such as [`info!`](crate::info), tie
    /// theirs to the innermost.
    ///
    /// ```
    /// use observe::Severity;
    ///
    /// let span = observe::span("charge");
    /// span.log(Severity::Warn, "slow card", &observe::attributes![attempt = 2]);
    /// ```
    #[inline(always)]
    pub fn log(&self, severity: Severity, body: &str, attributes: &[Attribute<'_>]) {
        if host::wants_logs(severity) {
            // A record is no less worth for a span that the host had no room for.
            let id = if self.id.is_none() { Id::CURRENT } else { self.id };
            host::log(id, severity, body, attributes);
        }
    }
}

/// An open span of the function in which it began; it ends when this is dropped.
///
/// Spans end in the reverse order in which they began: one that is dropped early ends those
/// that began after it, too. One that is forgotten ends with its function, if that has hooks.
///
/// It is not [`Send`], and nothing to be held while a future waits: others would seem to be within
/// it. There a [`DetachedSpan`](crate::DetachedSpan) is right.
///
/// ```
/// let span = observe::span("add up");
/// span.attribute("items", 3);
/// drop(span);
/// ```
///
/// ```compile_fail
/// let span = observe::span("not in another thread");
/// std::thread::spawn(move || drop(span));
/// ```
#[must_use = "a span that is not kept ends at once; write `let _span = …`"]
#[derive(Debug)]
pub struct Span {
    span: SpanRef,
    /// It is of one thread's stack.
    not_send: PhantomData<*const ()>,
}

/// Begins a span under the innermost open one.
///
/// The host takes the first 256 bytes of the name, and at most 1,000 different names in a trace;
/// so the name says what is done, and attributes with what: see [`span!`](crate::span!).
///
/// ```
/// let _span = observe::span("add up");
/// ```
///
/// # Overhead
///
/// Two calls of the host, which copy the name and read the clock; a load and two branches if it
/// does not listen.
// A span ends with the hooked function that it began in, which must be the author's and not this
// one. So it is with all that begin spans.
#[inline(always)]
pub fn span(name: &str) -> Span {
    Span::begin(Kind::Internal, name, &[])
}

impl Span {
    /// Begins a span of any kind, with attributes, under the innermost open one.
    ///
    /// ```
    /// use observe::{Kind, Span, attributes};
    ///
    /// let _span = Span::begin(Kind::Client, "GET", &attributes!["server.port" = 443]);
    /// ```
    #[inline(always)]
    pub fn begin(kind: Kind, name: &str, attributes: &[Attribute<'_>]) -> Self {
        if host::wants_spans() { Self::begin_unasked(kind, name, attributes) } else { Self::none() }
    }

    /// Begins the answer to a request.
    ///
    /// ```
    /// let _span = observe::Span::server("POST /orders");
    /// ```
    #[inline(always)]
    pub fn server(name: &str) -> Self {
        Self::begin(Kind::Server, name, &[])
    }

    /// Begins a request of another program.
    ///
    /// ```
    /// let _span = observe::Span::client("GET /prices");
    /// ```
    #[inline(always)]
    pub fn client(name: &str) -> Self {
        Self::begin(Kind::Client, name, &[])
    }

    /// Begins to hand a message to a broker.
    ///
    /// ```
    /// let _span = observe::Span::producer("publish orders");
    /// ```
    #[inline(always)]
    pub fn producer(name: &str) -> Self {
        Self::begin(Kind::Producer, name, &[])
    }

    /// Begins to handle a message that came from a broker.
    ///
    /// ```
    /// let _span = observe::Span::consumer("process orders");
    /// ```
    #[inline(always)]
    pub fn consumer(name: &str) -> Self {
        Self::begin(Kind::Consumer, name, &[])
    }

    /// A span that is none: what is said of it is said to nobody.
    ///
    /// ```
    /// fn maybe(wanted: bool) -> observe::Span {
    ///     if wanted { observe::span("wanted") } else { observe::Span::none() }
    /// }
    /// ```
    #[inline(always)]
    pub fn none() -> Self {
        Self { span: SpanRef { id: Id::NONE }, not_send: PhantomData }
    }

    /// For macros, which have asked whether spans are wanted before they looked at fields.
    #[doc(hidden)]
    #[inline(always)]
    pub fn begin_unasked(kind: Kind, name: &str, attributes: &[Attribute<'_>]) -> Self {
        let id = host::span_begin(kind, name, attributes);
        Self { span: SpanRef { id }, not_send: PhantomData }
    }
}

impl Deref for Span {
    type Target = SpanRef;

    #[inline(always)]
    fn deref(&self) -> &SpanRef {
        &self.span
    }
}

impl Drop for Span {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.span.id.is_none() {
            host::span_end(self.span.id);
        }
    }
}
