//! Spans of WebAssembly guests, for embedders of [wasmtime].
//!
//! The life cycle: a module is instrumented and compiled once, as an
//! [`ObservedModule`]; the hooks are [added to a linker](add_to_linker) once; each
//! store carries a [`Recorder`], which [starts](Recorder::start) a trace before
//! the guest is called and [finishes](Recorder::finish) it after. Spans go to an
//! [`observe_collector::Collector`], if the trace names one; the [`Report`] has
//! each function's calls and durations either way.
//!
//! ```
//! use observe_host::{ObservedModule, Outcome, Recorder, TraceOptions};
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
//! let module = ObservedModule::new(&engine, &wasm, &Selection::default())?;
//! let mut linker = Linker::new(&engine);
//! observe_host::add_to_linker(&mut linker, |state: &mut State| &mut state.recorder)?;
//!
//! let mut store = Store::new(&engine, State { recorder: module.recorder() });
//! store.data_mut().recorder.start(TraceOptions::new("two and three"));
//! let instance = linker.instantiate(&mut store, module.module())?;
//! let add = instance.get_typed_func::<(i32, i32), i32>(&mut store, "add")?;
//! assert_eq!(add.call(&mut store, (2, 3))?, 5);
//! let report = store.data_mut().recorder.finish(Outcome::Returned).ok_or("no trace")?;
//! assert_eq!(report.functions[0].name, "add");
//! assert_eq!(report.functions[0].calls, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Accuracy
//!
//! Every duration is measured between two readings of the clock; none is guessed.
//! A timed call takes some tens of nanoseconds more than it would unobserved, and
//! its callers' durations hold that. Under [`Overhead::budget`] a function's totals
//! are estimates, since a timed call stands for those since the one before.
//!
//! # Limits
//!
//! A store may hold one instance of one observed module: the hooks do not tell
//! instances apart.
//!
//! An instance that was called outside a trace, or in one that was sampled or off, counts
//! on until its cells run out. To time all of its calls from the next trace on, and
//! to count those before, [take its cells](ObservedModule::take_cells) and
//! [settle](Recorder::settle) them before the trace starts.
//!
//! # Security
//!
//! A guest can call the hooks as it likes. It can distort its own trace by that,
//! and make the host count ([`Lost`]); it cannot make it panic, trap, or grow
//! without bound. A module that comes instrumented brings its own reader of cells: to
//! take its cells is to call it.

mod clock;
mod error;
mod failure;
mod functions;
mod growth;
mod heap;
mod histogram;
mod interrupt;
mod link;
mod lost;
mod module;
mod names;
mod overhead;
mod recorder;
mod stats;
mod trace;

pub use error::Error;
pub use failure::{BacktraceFrame, Failure};
pub use growth::Growth;
pub use heap::Heap;
pub use interrupt::Interrupter;
pub use link::add_to_linker;
pub use lost::Lost;
pub use module::{Cells, ObservedModule};
pub use overhead::Overhead;
pub use recorder::Recorder;
pub use stats::FunctionRow;
pub use trace::{DEFAULT_MIN_DURATION, Outcome, Report, TraceOptions};
