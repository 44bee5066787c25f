//! Spans of WebAssembly guests, for embedders of [wasmtime].
//!
//! The life cycle: an [`Observer`] is built once; a module is instrumented and compiled
//! once, as an [`ObservedModule`]; the hooks go into a linker once, which gives a [`Tracer`];
//! each store carries a [`Recorder`]. A trace is what the tracer puts around a piece of
//! work: its spans go to an [`observe_collector::Collector`], if the observer knows one; its
//! [`Report`] has each function's calls and durations either way.
//!
//! ```
//! use observe_host::{ObservedModule, Observer, Overhead, Recorder, TraceOptions};
//! use observe_instrumenter::Selection;
//! use wasmtime::{Engine, Linker, Store};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! struct State { // the embedder's own
//!     recorder: Recorder,
//! }
//!
//! let engine = Engine::default();
//! let wasm = wat::parse_str(
//!     r#"(module (func (export "add") (param i32 i32) (result i32)
//!            (i32.add (local.get 0) (local.get 1))))"#,
//! )?;
//! let observer = Observer::builder().overhead(Overhead::all()).build();
//! let module = ObservedModule::new(&engine, &wasm, &Selection::default())?;
//! let mut linker = Linker::new(&engine);
//! let tracer = observer.tracer(&mut linker, |state: &mut State| &mut state.recorder)?;
//! let linked = linker.instantiate_pre(module.module())?;
//!
//! let mut store = Store::new(&engine, State { recorder: observer.recorder(&module) });
//! let traced = tracer.trace(&mut store, TraceOptions::new("two and three"), |store| {
//!     let instance = tracer.instantiate(store, &linked)?;
//!     let add = instance.get_typed_func::<(i32, i32), i32>(&mut *store, "add")?;
//!     add.call(store, (2, 3))
//! });
//! assert_eq!(traced.result?, 5);
//! let report = traced.report.ok_or("no trace")?;
//! assert_eq!(report.functions[0].name, "add");
//! assert_eq!(report.functions[0].calls, 1);
//! # Ok(())
//! # }
//! ```
//!
//! It works with any configuration of an engine: synchronous and asynchronous calls
//! ([`Tracer::trace_async`]), fuel, epochs ([`Tracer::sample`]), the pooling allocator at its
//! default limits, and a cache of compiled modules ([`ObservedModule::serialize`]).
//!
//! # Features
//!
//! None is on unless asked for.
//!
//! - `opentelemetry`: a [`TraceContext`] from an `opentelemetry::Context`, and one of those from
//!   it, so that guests' spans and those of OpenTelemetry's SDK are of one trace.
//! - `tracing`: the current span of the `tracing` crate as the parent of a trace, where its
//!   subscriber has the layer of `tracing-opentelemetry`. With `opentelemetry`.
//!
//! # Annotations
//!
//! Guests that import `observe:guest@2` say more than their calls do: spans of their own, with a
//! kind, attributes, events, links and a status; log records; measurements, which
//! [`Observer::metrics`] has. They can ask for the `traceparent` of the innermost span, and for the
//! [baggage](TraceOptions::baggage) that came with the request. What they say stands among the
//! spans of their functions: a scoped span ends with the function in which it began, a detached one
//! when it is closed, or with the trace.
//!
//! All of it passes the [`Quotas`] and the [`Redaction`]. What cannot be recorded as it was said is
//! counted by reason ([`Lost`]), told on the span as dropped and on the root in
//! `wasm.events.lost_reasons`, and never traps the guest, unless the host is
//! [`strict`](Builder::strict), as in the guest's own tests.
//!
//! # Accuracy
//!
//! Every span begins and ends at a reading of the clock; none is guessed. A timed call takes some
//! tens of nanoseconds more than it would unobserved, and the spans of its callers hold
//! that. From durations in a [`Report`] is subtracted what the hooks take at least, as measured
//! once in each process, for the call itself and for the timed calls within it.
//!
//! The number of calls is exact. Under [`Overhead::budget`] a function's durations are
//! estimates, since a timed call stands for those since the one before. Calls that cross the
//! boundary, of exports and of the host, are all timed unless there are floods of them. A
//! sampled function's slow calls may not be among the timed ones: when a timed call took a
//! millisecond or more and what it called does not explain it, the functions that it calls are
//! timed at their next call; and an embedder with epochs can
//! [sample](Tracer::sample) the stack.
//!
//! # Modules made for observe-sdk
//!
//! They need not be instrumented again: [`ObservedModule::new`] takes them as they are, and the
//! linker has what they import. Since they tell every call, and have no cells, it is the host that
//! lets calls pass: a call that is not timed takes two crossings all the same, which an
//! [`Overhead::budget`] cannot help. What their guests say of themselves passes the same [`Quotas`]
//! and the same [`Redaction`] as what others say, and their metrics are in [`Observer::metrics`].
//!
//! # Limits
//!
//! A store may hold one instance of one observed module at a time: the hooks do not tell
//! instances apart. After another one was instantiated by other means than
//! [`Tracer::instantiate`], counts of its calls are not right where calls are sampled.
//!
//! Where the engine does not take modules with one memory more, as with the pooling allocator's
//! default limits, cells are globals. Each trace under a budget then times the first call of
//! each function. Only the guest can read them, which it cannot amid an asynchronous call: there
//! a change of the overhead, a sample and an unexplained millisecond have functions timed
//! only as their periods end.
//!
//! # Security
//!
//! A guest can call the hooks as it likes. It can distort its own trace by that,
//! and make the host count ([`Lost`]); it cannot make it panic, trap, or grow
//! beyond its [`Quotas`]. What it says of itself passes a [`Redaction`]. It can read neither
//! its cells nor the clock, unless it comes instrumented: then it brings its own reader of
//! cells, which the host calls.

mod annotations;
mod cells;
mod clock;
mod compile;
mod constants;
mod context;
mod contract;
mod cpu;
mod error;
mod facts;
mod failure;
mod frame;
mod functions;
mod growth;
mod guest_metrics;
mod heap;
mod histogram;
mod interrupt;
mod link;
mod loose;
mod lost;
mod module;
mod names;
mod observe_sdk;
mod observer;
mod open;
mod options;
mod overhead;
mod paths;
mod quotas;
mod readers;
mod recorder;
mod records;
mod redaction;
mod report;
mod samples;
mod spans;
mod stats;
mod statsd;
mod strict;
mod suspended;
mod tenants;
mod trace;
mod tracer;
mod tracer_async;
mod versioned;

use std::sync::atomic;

pub use context::{TraceContext, TraceparentError};
pub use error::Error;
pub use failure::{BacktraceFrame, Failure};
pub use growth::Growth;
pub use heap::{Heap, HeapPath};
pub use interrupt::Interrupter;
pub use lost::Lost;
pub use module::ObservedModule;
pub use observer::{Builder, DEFAULT_MIN_DURATION, Observer};
pub use options::TraceOptions;
pub use overhead::Overhead;
pub use quotas::Quotas;
pub use recorder::Recorder;
pub use redaction::Redaction;
pub use report::{FunctionRow, Report, Resources};
pub use samples::StackSample;
pub use strict::Misuse;
pub use tracer::{Traced, Tracer};
