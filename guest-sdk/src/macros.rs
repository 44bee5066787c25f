//! Macros that take fields.

/// An array of attributes from *fields*, as all macros here take them:
///
/// - `key = value` for any value that is a [`ToValue`](crate::ToValue);
/// - `key = ?value` and `key = %value` for what `Debug` and `Display` show of it, at most
///   [`MAX_FIELD`](crate::MAX_FIELD) bytes;
/// - `variable`, `?variable` and `%variable` for variables that have the name of the key, also with
///   dots: `order.id`;
/// - a key is names with dots between them, a string literal, or a constant in braces.
///
/// ```
/// use observe::attributes;
///
/// const CURRENCY: &str = "currency";
///
/// let (items, point) = (3, (1, 2));
/// let span = observe::span("add up");
/// span.attributes(&attributes![
///     items,
///     ?point,
///     order.id = 42,
///     "order.state" = "new",
///     { CURRENCY } = "EUR",
///     price = %format_args!("{:.2}", 9.5),
/// ]);
/// ```
///
/// The array borrows what the values borrow; with a temporary value it cannot be kept in a
/// variable.
#[macro_export]
macro_rules! attributes {
    ($($fields:tt)*) => { $crate::__fields!((__attributes) [] $($fields)*) };
}

/// Begins a [`Span`](crate::Span) with fields, and if wanted a kind; fields are those of
/// [`attributes!`](crate::attributes), and are looked at only if the host listens.
///
/// ```
/// use observe::{Kind, span};
///
/// let items = 3;
/// let _span = span!("add up", items, express = true);
/// let _span = span!(kind: Kind::Client, "GET", server.port = 443);
/// ```
#[macro_export]
macro_rules! span {
    (kind: $kind:expr, $name:expr $(, $($fields:tt)*)?) => {
        if $crate::spans_wanted() {
            $crate::Span::begin_unasked($kind, $name, &$crate::attributes![$($($fields)*)?])
        } else {
            $crate::Span::none()
        }
    };
    ($name:expr $(, $($fields:tt)*)?) => {
        $crate::span!(kind: $crate::Kind::Internal, $name $(, $($fields)*)?)
    };
}

/// Opens a [`DetachedSpan`](crate::DetachedSpan) with fields, and if wanted a parent and a kind, in
/// this order; fields are those of [`attributes!`](crate::attributes), and are looked at only if the
/// host listens.
///
/// ```
/// use observe::{Kind, Parent, detached_span};
///
/// let job = detached_span!(parent: Parent::ROOT, kind: Kind::Producer, "job", parcel = 7);
/// let step = detached_span!(parent: &*job, "step");
/// ```
#[macro_export]
macro_rules! detached_span {
    (parent: $parent:expr, kind: $kind:expr, $name:expr $(, $($fields:tt)*)?) => {
        if $crate::spans_wanted() {
            $crate::DetachedSpan::begin_unasked(
                $parent,
                $kind,
                $name,
                &$crate::attributes![$($($fields)*)?],
            )
        } else {
            $crate::DetachedSpan::none()
        }
    };
    (parent: $parent:expr, $($rest:tt)*) => {
        $crate::detached_span!(parent: $parent, kind: $crate::Kind::Internal, $($rest)*)
    };
    (kind: $kind:expr, $($rest:tt)*) => {
        $crate::detached_span!(parent: $crate::Parent::CURRENT, kind: $kind, $($rest)*)
    };
    ($($rest:tt)*) => {
        $crate::detached_span!(kind: $crate::Kind::Internal, $($rest)*)
    };
}

/// Says of the innermost open span that something happened just now; fields are those of
/// [`attributes!`](crate::attributes), and are looked at only if the host listens.
///
/// ```
/// observe::event!("validated", rules = 3);
/// ```
#[macro_export]
macro_rules! event {
    ($name:expr $(, $($fields:tt)*)?) => {
        if $crate::spans_wanted() {
            $crate::current().event($name, &$crate::attributes![$($($fields)*)?]);
        }
    };
}

/// The five differ in severity.
macro_rules! log_macros {
    ($($dollar:tt $name:ident $severity:ident $example:literal;)*) => {
        $(
            #[doc = concat!("Logs a record of severity [`", stringify!($severity), "`](crate::Severity::", stringify!($severity), "), tied to the innermost open span.")]
            ///
            /// Fields come first, then the message as `format!` takes it; either may be missing. Fields
            /// are those of [`attributes!`](crate::attributes). Nothing is looked at unless
            /// the host wants records of this severity.
            ///
            /// A message without arguments is handed over as it is. Another one is written to
            /// the stack, at most [`MAX_MESSAGE`](crate::MAX_MESSAGE) bytes of it; how many were
            /// cut is the attribute [`CUT_BYTES`](crate::CUT_BYTES).
            ///
            /// ```
            #[doc = concat!("use observe::", stringify!($name), ";")]
            ///
            /// let id = 42;
            #[doc = $example]
            /// ```
            #[macro_export]
            macro_rules! $name {
                ($dollar($dollar record:tt)+) => {
                    $crate::__log!($crate::Severity::$severity, $dollar($dollar record)+)
                };
            }
        )*
    };
}

log_macros! {
    $ trace Trace "trace!(order.id = id, \"taken from {}\", \"the queue\");";
    $ debug Debug "debug!(order.id = id, \"taken from {}\", \"the queue\");";
    $ info Info "info!(order.id = id, \"order {id} accepted\");";
    $ warn Warn "warn!(order.id = id, \"{} left\", 3);";
    $ error Error "error!(order.id = id, attempt = 1, \"card declined\");";
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($severity:expr, $($record:tt)+) => {{
        let severity = $severity;
        if $crate::logs_wanted(severity) {
            $crate::__fields!((__log_record severity) [] $($record)+);
        }
    }};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log_record {
    // Fields alone: there is no message.
    ($severity:ident [$($attribute:expr,)*]) => {
        $crate::__log_record!($severity [$($attribute,)*] "")
    };
    ($severity:ident [$($attribute:expr,)*] $($message:tt)+) => {
        $crate::__private::log_message(
            $severity,
            ::core::format_args!($($message)+),
            [$($attribute,)* $crate::__private::NO_ATTRIBUTE],
        )
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __attributes {
    ([$($attribute:expr,)*]) => { [$($attribute,)*] };
    ([$($attribute:expr,)*] $($other:tt)+) => {
        ::core::compile_error!(::core::concat!(
            "expected fields such as `key = value`, found `",
            ::core::stringify!($($other)+),
            "`"
        ))
    };
}

/// Takes fields apart, and calls `$then` with `[attribute, …]` and whatever follows the fields.
#[doc(hidden)]
#[macro_export]
macro_rules! __fields {
    // `key = value`
    (($($then:tt)+) [$($done:tt)*] $first:ident $(. $name:ident)* = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::__fields!(($($then)+) [$($done)* $crate::__private::field(
            ::core::concat!(::core::stringify!($first) $(, ".", ::core::stringify!($name))*),
            &$crate::__private::debug(&$value),
        ),] $($($rest)*)?)
    };
    (($($then:tt)+) [$($done:tt)*] $first:ident $(. $name:ident)* = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::__fields!(($($then)+) [$($done)* $crate::__private::field(
            ::core::concat!(::core::stringify!($first) $(, ".", ::core::stringify!($name))*),
            &$crate::__private::display(&$value),
        ),] $($($rest)*)?)
    };
    (($($then:tt)+) [$($done:tt)*] $first:ident $(. $name:ident)* = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__fields!(($($then)+) [$($done)* $crate::__private::field(
            ::core::concat!(::core::stringify!($first) $(, ".", ::core::stringify!($name))*),
            &$value,
        ),] $($($rest)*)?)
    };
    // `"key" = value`
    (($($then:tt)+) [$($done:tt)*] $key:literal = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::__fields!(($($then)+) [$($done)* $crate::__private::field(
            $key, &$crate::__private::debug(&$value),
        ),] $($($rest)*)?)
    };
    (($($then:tt)+) [$($done:tt)*] $key:literal = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::__fields!(($($then)+) [$($done)* $crate::__private::field(
            $key, &$crate::__private::display(&$value),
        ),] $($($rest)*)?)
    };
    (($($then:tt)+) [$($done:tt)*] $key:literal = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__fields!(($($then)+) [$($done)* $crate::__private::field($key, &$value),] $($($rest)*)?)
    };
    // `{ KEY } = value`
    (($($then:tt)+) [$($done:tt)*] { $key:expr } = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::__fields!(($($then)+) [$($done)* $crate::__private::field(
            $key, &$crate::__private::debug(&$value),
        ),] $($($rest)*)?)
    };
    (($($then:tt)+) [$($done:tt)*] { $key:expr } = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::__fields!(($($then)+) [$($done)* $crate::__private::field(
            $key, &$crate::__private::display(&$value),
        ),] $($($rest)*)?)
    };
    (($($then:tt)+) [$($done:tt)*] { $key:expr } = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__fields!(($($then)+) [$($done)* $crate::__private::field($key, &$value),] $($($rest)*)?)
    };
    // `variable`
    (($($then:tt)+) [$($done:tt)*] ? $first:ident $(. $name:ident)* $(, $($rest:tt)*)?) => {
        $crate::__fields!(($($then)+) [$($done)* $crate::__private::field(
            ::core::concat!(::core::stringify!($first) $(, ".", ::core::stringify!($name))*),
            &$crate::__private::debug(&$first $(. $name)*),
        ),] $($($rest)*)?)
    };
    (($($then:tt)+) [$($done:tt)*] % $first:ident $(. $name:ident)* $(, $($rest:tt)*)?) => {
        $crate::__fields!(($($then)+) [$($done)* $crate::__private::field(
            ::core::concat!(::core::stringify!($first) $(, ".", ::core::stringify!($name))*),
            &$crate::__private::display(&$first $(. $name)*),
        ),] $($($rest)*)?)
    };
    (($($then:tt)+) [$($done:tt)*] $first:ident $(. $name:ident)* $(, $($rest:tt)*)?) => {
        $crate::__fields!(($($then)+) [$($done)* $crate::__private::field(
            ::core::concat!(::core::stringify!($first) $(, ".", ::core::stringify!($name))*),
            &$first $(. $name)*,
        ),] $($($rest)*)?)
    };
    // What is no field is for the macro that asked.
    (($then:ident $($before:tt)*) [$($done:tt)*] $($rest:tt)*) => {
        $crate::$then!($($before)* [$($done)*] $($rest)*)
    };
}
