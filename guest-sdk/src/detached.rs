//! Spans that belong to no function.

use core::marker::PhantomData;
use core::ops::Deref;

use crate::host::{self, Id};
use crate::{Attribute, Kind, SpanRef};

/// An open span that belongs to no function: for asynchronous code, or work that one function begins
/// and another ends. It ends when this is dropped, and with the trace at the latest.
///
/// While it is [entered](Self::enter), what begins stands under it.
///
/// ```
/// use observe::{DetachedSpan, Kind, attributes};
///
/// let delivery = DetachedSpan::begin(Kind::Producer, "delivery", &attributes![parcel = 7]);
/// {
///     let _entered = delivery.enter();
///     let _span = observe::span("pack");
/// }
/// delivery.event("packed", &[]);
/// ```
#[must_use = "a span that is not kept ends at once; write `let span = …`"]
#[derive(Debug)]
pub struct DetachedSpan {
    span: SpanRef,
}

/// Under what a [`DetachedSpan`] stands.
///
/// ```
/// use observe::{Parent, detached_span, span};
///
/// let job = detached_span!(parent: Parent::ROOT, "job");
/// let order = span!("order");
/// let delivery = detached_span!(parent: &*order, "delivery");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Parent<'a> {
    id: Id,
    borrowed: PhantomData<&'a SpanRef>,
}

impl Parent<'_> {
    /// The innermost open span.
    pub const CURRENT: Self = Self { id: Id::CURRENT, borrowed: PhantomData };

    /// The root of the trace, beside what is open.
    pub const ROOT: Self = Self { id: Id::ROOT, borrowed: PhantomData };
}

impl<'a> From<&'a SpanRef> for Parent<'a> {
    fn from(span: &'a SpanRef) -> Self {
        Self { id: span.id, borrowed: PhantomData }
    }
}

impl DetachedSpan {
    /// Opens a span under the innermost open one.
    ///
    /// ```
    /// let delivery = observe::DetachedSpan::open("delivery");
    /// ```
    #[inline(always)]
    pub fn open(name: &str) -> Self {
        Self::begin(Kind::Internal, name, &[])
    }

    /// The same of any kind, with attributes.
    ///
    /// ```
    /// use observe::{DetachedSpan, Kind, attributes};
    ///
    /// let request = DetachedSpan::begin(Kind::Client, "GET", &attributes!["server.port" = 443]);
    /// ```
    #[inline(always)]
    pub fn begin(kind: Kind, name: &str, attributes: &[Attribute<'_>]) -> Self {
        Self::begin_under(Parent::CURRENT, kind, name, attributes)
    }

    /// The same under any parent.
    ///
    /// ```
    /// use observe::{DetachedSpan, Kind, Parent};
    ///
    /// let job = DetachedSpan::begin_under(Parent::ROOT, Kind::Internal, "job", &[]);
    /// let step = DetachedSpan::begin_under(&*job, Kind::Internal, "step", &[]);
    /// ```
    #[inline(always)]
    pub fn begin_under<'p>(
        parent: impl Into<Parent<'p>>,
        kind: Kind,
        name: &str,
        attributes: &[Attribute<'_>],
    ) -> Self {
        if host::wants_spans() {
            Self::begin_unasked(parent, kind, name, attributes)
        } else {
            Self::none()
        }
    }

    /// A span that is none: what is said of it is said to nobody.
    ///
    /// ```
    /// let mut delivery = observe::DetachedSpan::none();
    /// delivery = observe::DetachedSpan::open("delivery");
    /// ```
    #[inline(always)]
    pub fn none() -> Self {
        Self { span: SpanRef { id: Id::NONE } }
    }

    /// For macros, which have asked whether spans are wanted before they looked at fields.
    #[doc(hidden)]
    #[inline(always)]
    pub fn begin_unasked<'p>(
        parent: impl Into<Parent<'p>>,
        kind: Kind,
        name: &str,
        attributes: &[Attribute<'_>],
    ) -> Self {
        let id = host::span_open(parent.into().id, kind, name, attributes);
        Self { span: SpanRef { id } }
    }

    /// Lets what begins stand under this span, until the value is dropped.
    ///
    /// It may be entered any number of times, also within itself. When the host's call of the
    /// guest is over, all are exited.
    ///
    /// ```
    /// let delivery = observe::DetachedSpan::open("delivery");
    /// let packed = delivery.within(|| "in paper");
    /// let _entered = delivery.enter();
    /// ```
    #[inline(always)]
    pub fn enter(&self) -> Entered<'_> {
        if !self.id.is_none() {
            host::span_enter(self.id);
        }
        Entered { span: self, not_send: PhantomData }
    }

    /// Calls a function with the span entered.
    ///
    /// ```
    /// let sum = observe::DetachedSpan::open("add up").within(|| 1 + 2);
    /// assert_eq!(sum, 3);
    /// ```
    #[inline]
    pub fn within<R>(&self, function: impl FnOnce() -> R) -> R {
        let _entered = self.enter();
        function()
    }
}

impl Deref for DetachedSpan {
    type Target = SpanRef;

    #[inline(always)]
    fn deref(&self) -> &SpanRef {
        &self.span
    }
}

impl Drop for DetachedSpan {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.span.id.is_none() {
            host::span_close(self.span.id);
        }
    }
}

/// A [`DetachedSpan`] that is entered; it is exited when this is dropped.
///
/// ```
/// let delivery = observe::DetachedSpan::open("delivery");
/// let entered: observe::Entered<'_> = delivery.enter();
/// ```
#[must_use = "what is not kept is exited at once; write `let _entered = …`"]
#[derive(Debug)]
pub struct Entered<'a> {
    span: &'a DetachedSpan,
    /// It is of one thread's stack.
    not_send: PhantomData<*const ()>,
}

impl Drop for Entered<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.span.id.is_none() {
            host::span_exit(self.span.id);
        }
    }
}
