//! What the macros expand to.

use core::fmt;
use core::future::Future;

use crate::logs::log_cut;
pub use crate::logs::log_message;
use crate::{
    Attribute, DetachedSpan, Followed, MAX_FIELD, MAX_MESSAGE, Severity, SpanRef, Text, ToValue,
    Value, host,
};

/// Room for the one that tells what was cut.
pub const NO_ATTRIBUTE: Attribute<'static> = Attribute::of("", Value::bool(false));

#[inline(always)]
pub fn field<'a>(key: &'a str, value: &'a (impl ToValue + ?Sized)) -> Attribute<'a> {
    Attribute::of(key, value.to_value())
}

pub fn debug(value: &(impl fmt::Debug + ?Sized)) -> Text<MAX_FIELD> {
    Text::debug(value)
}

pub fn display(value: &(impl fmt::Display + ?Sized)) -> Text<MAX_FIELD> {
    Text::display(value)
}

#[inline(always)]
pub fn spans_wanted_of(severity: Severity) -> bool {
    host::wants_spans_of(severity)
}

/// Finds out of what type an argument is, by what method calls choose: `(&&&Wrap(&x)).hold()` looks
/// for an implementation for `&&Wrap`, then for `&Wrap`, then for `Wrap`.
pub mod hold {
    use super::{Nothing, Text, ToValue, Value, fmt};
    use crate::MAX_FIELD;

    pub struct Wrap<'a, T: ?Sized>(pub &'a T);

    pub trait ByValue<'a> {
        fn __observe_hold(&self) -> Value<'a>;
    }

    impl<'a, T: ToValue + ?Sized> ByValue<'a> for &&Wrap<'a, T> {
        #[inline(always)]
        fn __observe_hold(&self) -> Value<'a> {
            self.0.to_value()
        }
    }

    pub trait ByDebug {
        fn __observe_hold(&self) -> Text<MAX_FIELD>;
    }

    impl<T: fmt::Debug + ?Sized> ByDebug for &Wrap<'_, T> {
        fn __observe_hold(&self) -> Text<MAX_FIELD> {
            Text::debug(self.0)
        }
    }

    pub trait ByNothing {
        fn __observe_hold(&self) -> Nothing;
    }

    impl<T: ?Sized> ByNothing for Wrap<'_, T> {
        #[inline(always)]
        fn __observe_hold(&self) -> Nothing {
            Nothing
        }
    }
}

/// The same for what is returned, which must not be left out without a word: `(&&Wrap(&x)).hold()`.
pub mod hold_returned {
    use super::{Text, ToValue, Value, fmt};
    use crate::MAX_FIELD;

    pub struct Wrap<'a, T: ?Sized>(pub &'a T);

    pub trait ByValue<'a> {
        fn __observe_hold(&self) -> Value<'a>;
    }

    impl<'a, T: ToValue + ?Sized> ByValue<'a> for &Wrap<'a, T> {
        #[inline(always)]
        fn __observe_hold(&self) -> Value<'a> {
            self.0.to_value()
        }
    }

    pub trait ByDebug<T: ?Sized> {
        fn __observe_hold(&self) -> Text<MAX_FIELD>
        where
            T: fmt::Debug;
    }

    impl<T: ?Sized> ByDebug<T> for Wrap<'_, T> {
        fn __observe_hold(&self) -> Text<MAX_FIELD>
        where
            T: fmt::Debug,
        {
            Text::debug(self.0)
        }
    }
}

/// An argument that cannot be recorded.
pub struct Nothing;

/// What holds the value of a field.
pub trait Held {
    fn value(&self) -> Option<Value<'_>>;
}

impl Held for Value<'_> {
    #[inline(always)]
    fn value(&self) -> Option<Value<'_>> {
        Some(*self)
    }
}

impl Held for Text<MAX_FIELD> {
    #[inline(always)]
    fn value(&self) -> Option<Value<'_>> {
        Some(self.to_value())
    }
}

impl Held for Nothing {
    #[inline(always)]
    fn value(&self) -> Option<Value<'_>> {
        None
    }
}

/// Up to `N` attributes, one for each field that can be recorded.
pub struct Fields<'a, const N: usize> {
    attributes: [Attribute<'a>; N],
    len: usize,
}

impl<'a, const N: usize> Fields<'a, N> {
    #[expect(clippy::new_without_default, reason = "only macros make them")]
    #[inline(always)]
    pub fn new() -> Self {
        Self { attributes: [NO_ATTRIBUTE; N], len: 0 }
    }

    #[inline(always)]
    pub fn push(&mut self, key: &'a str, value: &'a impl Held) {
        if let (Some(value), Some(attribute)) = (value.value(), self.attributes.get_mut(self.len)) {
            *attribute = Attribute::of(key, value);
            self.len += 1;
        }
    }

    #[inline(always)]
    pub fn as_slice(&self) -> &[Attribute<'a>] {
        self.attributes.get(..self.len).unwrap_or_default()
    }
}

/// Nothing, of the type that a function returns.
#[inline(always)]
pub fn returns<R>() -> Option<R> {
    None
}

/// Calls a closure that may give away what it holds, as a function may.
#[inline(always)]
pub fn call<R>(function: impl FnOnce() -> R) -> R {
    function()
}

/// Enters the span on each poll of the future, and when it is dropped.
pub fn within<F: Future>(span: &DetachedSpan, future: F) -> Followed<F, &DetachedSpan> {
    Followed::new(span, future)
}

/// The attribute of what a function returned.
pub fn returned(span: &SpanRef, value: &impl Held) {
    if let Some(value) = value.value() {
        span.attribute("return", value);
    }
}

/// The function returned an error.
#[cold]
pub fn failed(span: &SpanRef, error: fmt::Arguments<'_>) {
    let wants_log = host::wants_logs(Severity::Error);
    if !wants_log && !host::wants_spans() {
        return;
    }
    let text = Text::<MAX_MESSAGE>::format(error);
    span.error(text.as_str());
    if wants_log {
        log_cut(span, Severity::Error, &text, &mut [NO_ATTRIBUTE]);
    }
}
