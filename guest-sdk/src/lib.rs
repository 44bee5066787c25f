//! Annotations for observed WebAssembly guests.
//!
//! Instrumentation tells where time goes without any change to a program; spans, attributes, logs
//! and metrics of the author's own tell what it was for. The two nest in both directions.
//!
//! # The life of what is said
//!
//! 1. The guest says something, such as [`span("add up")`](span()). The first time, the host is
//!    asked what it wants to be told; what it does not want goes no further.
//! 2. The host is called, by an import of `observe:guest@2`, and reads names and attributes where
//!    they lie in the guest's memory: they have the form that it reads, and nothing is encoded,
//!    copied or allocated. It takes the time from its own clock.
//! 3. A [`Span`] ends when it is dropped, and at the latest with the function in which it began, if
//!    that is instrumented: after an early return, a trap or an exception, too. A [`DetachedSpan`]
//!    belongs to no function, and ends when it is dropped, at the latest with the trace. `async`
//!    functions have one.
//! 4. The host adds its own to it (the parent, ids, the functions in between) and sends it to where
//!    its traces, logs and metrics go.
//!
//! There is no clock here, no exporter, no global provider and no context to hand around.
//!
//! # Example
//!
//! ```
//! use observe::{Counter, Kind, info, span};
//!
//! static ORDERS: Counter = Counter::new("orders").unit("{order}");
//!
//! fn checkout(items: &[u32]) -> u32 {
//!     let order = span!(kind: Kind::Server, "POST /orders", items = items.len());
//!     let sum = {
//!         let _span = observe::span("add up");
//!         items.iter().sum::<u32>()
//!     };
//!     info!(sum, "order accepted");
//!     order.attribute("paid", false);
//!     ORDERS.add(1);
//!     sum + shipping(sum)
//! }
//!
//! #[observe::instrument(name = "shipping", ret)]
//! fn shipping(sum: u32) -> u32 {
//!     if sum > 50 { 0 } else { 5 }
//! }
//!
//! let said = observe::native::capture();
//! assert_eq!(checkout(&[1, 2]), 8);
//! assert_eq!(said.text(), "\
//! POST /orders (server) items=2
//!   add up
//!   INFO order accepted sum=3
//!   paid=false
//!   orders: +1 {order}
//!   shipping sum=3
//!     return=5
//! ");
//! ```
//!
//! | to say | write |
//! |---|---|
//! | that a function is called | [`#[instrument]`](macro@instrument) |
//! | that something is done | [`span()`], [`span!`], [`Span`] |
//! | the same across functions or waits | [`DetachedSpan`], [`detached_span!`] |
//! | what it is done with | [`SpanRef::attribute`], of [`current()`] or a span |
//! | that something happened | [`event!`], [`SpanRef::event`] |
//! | how it went | [`SpanRef::error`], [`SpanRef::status`] |
//! | a line of a log | [`trace!`], [`debug!`], [`info!`], [`warn!`], [`error!`] |
//! | how many, how much | [`Counter`], [`UpDownCounter`], [`Gauge`], [`Histogram`] |
//! | all at once, in a hot loop | [`Batch`] |
//! | to others, what trace this is | [`traceparent()`], [`baggage()`] |
//!
//! # Where it runs
//!
//! On `wasm32` this imports functions of the host, and nothing else. It needs neither `std` nor an
//! allocator, and nothing in it panics. A host without `observe:guest@2` refuses the
//! module, with the name of what it lacks.
//!
//! On other targets nothing is said, so that the same code runs in native tests; with the feature
//! `std` it can be printed or, as above, be looked at: see the module `native`.
//!
//! | feature | |
//! |---|---|
//! | `off` | nothing at all is left of annotations: no imports, no code, and values of no size |
//! | `std` | `String`, `Vec` and their like as values; the modules `native` and `panic` |
//! | `log` | the module `log`: a logger for the crate of that name; no `std`, no allocator |
//! | `kv` | `log`, and the key-values of its records |
//! | `tracing` | `std`, and the module `tracing`: a layer for the crate of that name |
//!
//! None is on by default.
//!
//! # What says something already
//!
//! Spans and events of `tracing`, records of `log` and panics are told, too, with the features
//! `tracing`, `log` and `std`, after one line at the start of the program:
//!
//! ```
//! observe::init();
//! ```
//!
//! # Cost
//!
//! What the host does not want costs a load and a branch or two, and macros do not look at their
//! fields. Four functions with spans, attributes, an event and a status add 1.7 kB to a module.
//!
//! Values that are recorded by `Debug` or `Display` and messages with arguments bring the code of
//! `core::fmt` along, and need the stack: [`MAX_FIELD`] bytes a value, [`MAX_MESSAGE`] a message.
//! Those are the guest's own limits. By default the host keeps 200 characters of a value, and 1,000
//! of all values of a span.
#![no_std]

#[cfg(feature = "std")]
extern crate std;

#[doc(hidden)]
pub mod __private;
mod batch;
mod context;
mod detached;
#[cfg(any(feature = "log", feature = "tracing"))]
mod fields;
mod future;
// Where there is no host, or nothing is to be said, another file takes its place.
#[cfg_attr(
    any(feature = "off", not(any(target_arch = "wasm32", feature = "std"))),
    path = "absent.rs"
)]
mod host;
mod init;
#[cfg(feature = "log")]
#[path = "logger.rs"]
pub mod log;
mod logs;
mod macros;
mod metrics;
#[cfg(all(feature = "std", not(target_arch = "wasm32")))]
pub mod native;
#[cfg(feature = "std")]
pub mod panic;
mod span;
mod text;
mod to_value;
#[cfg(feature = "tracing")]
pub mod tracing;
mod value;

pub use batch::Batch;
pub use context::{Traceparent, baggage, traceparent};
pub use detached::{DetachedSpan, Entered, Parent};
pub use future::Followed;
pub use init::init;
pub use logs::{CUT_BYTES, MAX_MESSAGE, Severity, log};
pub use metrics::{Counter, Gauge, Histogram, Metric, Number, UpDownCounter};
/// Begins a span with each call of a function, and ends it when the call returns.
///
/// The span has the arguments as attributes, and is named after the function and its module. Much
/// is as `tracing` has it:
///
/// | argument | effect |
/// |---|---|
/// | `name = "…"` | another name |
/// | `kind = "server"` | `internal`, `server`, `client`, `producer` or `consumer` |
/// | `level = "debug"` | no span if the host wants log records only of a higher severity than `trace`, `debug`, `info`, `warn` or `error` |
/// | `skip(a, b)` | these arguments are not recorded |
/// | `skip_all` | none is, but those that `fields` names |
/// | `fields(a = x + 1, b = ?c, "d" = %e, f)` | more attributes, of expressions that may use the arguments; what has the name of an argument takes its place |
/// | `err` | an `Err` is the span's status and a log record of severity error, by `Display`; `err(Debug)` by `Debug` |
/// | `ret` | what is returned is the attribute `return`, of a `Result` with `err` only the `Ok`; `ret(Debug)`, `ret(Display)` |
///
/// ```
/// use observe::native;
///
/// #[observe::instrument(name = "resize", skip(image), fields(width = image.len()), err)]
/// fn resize(image: &[u8], factor: f64) -> Result<usize, String> {
///     if image.is_empty() {
///         return Err(format!("nothing to resize by {factor}"));
///     }
///     Ok(image.len())
/// }
///
/// #[observe::instrument(name = "cache lookup", kind = "client", ret)]
/// async fn get(key: &str) -> Option<u32> {
///     None
/// }
///
/// let said = native::capture();
/// let resized = resize(&[], 0.5);
/// assert_eq!(said.text(), "\
/// resize factor=0.5 width=0
///   error: nothing to resize by 0.5
///   ERROR nothing to resize by 0.5
/// ");
/// ```
///
/// # What is recorded
///
/// An argument is recorded as what it is if its type implements [`ToValue`]; otherwise by `Debug`,
/// of which [`MAX_FIELD`] bytes are kept, on the stack; otherwise not at all. An argument of a
/// generic type is recorded if a bound says that it can be. Arguments whose names begin with `_`
/// are left out, and so is `self`: what is worth to be told of it is named, as in
/// `fields(self.id)`.
///
/// Nothing is looked at while the host does not listen.
///
/// # Asynchronous functions
///
/// The span of an `async fn` begins when it is first polled. It is detached, entered while
/// the function is polled, and ends when it returns or is dropped. So it is with functions that end
/// with `async move { … }` or `Box::pin(async move { … })`, as those of traits with boxed
/// futures do: the span is that of the block, which takes along the arguments that are recorded.
#[doc(inline)]
pub use observe_guest_macros::instrument;
pub use span::{Kind, Span, SpanRef, Status, current, span};
pub use text::Text;
pub use to_value::ToValue;
pub use value::{Attribute, Value};

/// How many bytes are kept of a field that is recorded by `Debug` or `Display`.
///
/// ```
/// let long = "x".repeat(observe::MAX_FIELD + 1);
/// // What is text already is not cut.
/// let _span = observe::span!("x", long, cut = %long);
/// ```
pub const MAX_FIELD: usize = 256;

/// Whether the host listens to spans and what is said of them.
///
/// The answer stays the same as long as the instance lives. All macros and methods ask by
/// themselves.
///
/// ```
/// if observe::spans_wanted() {
///     observe::current().attribute("digest", 42);
/// }
/// ```
#[inline(always)]
pub fn spans_wanted() -> bool {
    host::wants_spans()
}

/// Whether the host listens to log records of a severity.
///
/// ```
/// if observe::logs_wanted(observe::Severity::Debug) {
///     observe::debug!("{:?}", [1, 2, 3]);
/// }
/// ```
#[inline(always)]
pub fn logs_wanted(severity: Severity) -> bool {
    host::wants_logs(severity)
}

/// Whether the host listens to measurements.
///
/// ```
/// static STOCK: observe::Gauge = observe::Gauge::new("stock");
///
/// if observe::metrics_wanted() {
///     STOCK.set(7);
/// }
/// ```
#[inline(always)]
pub fn metrics_wanted() -> bool {
    host::wants_metrics()
}
