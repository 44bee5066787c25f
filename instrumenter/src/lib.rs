//! Rewrites WebAssembly modules to call out at function entry and exit.
//!
//! Bytes in, bytes and a plan out; no I/O. It needs neither files nor threads nor a clock, so
//! it also runs compiled to Wasm itself, and gives the same bytes there. A module is [parsed](Module::parse),
//! a [`Plan`] decides with a [`Selection`] which functions get hooks, and
//! [`Plan::apply`] writes the new module. What the hooks do is the host's matter
//! (`observe-host`); the contract between the two is `observe-abi`.
//!
//! ```
//! use observe_instrumenter::{Module, Plan, Selection};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let wasm = wat::parse_str("(module (func (export \"f\") (result i32) i32.const 7))")?;
//! let module = Module::parse(&wasm)?;
//! let plan = Plan::new(&module, &Selection::default());
//! for function in plan.hooked() {
//!     println!("{} gets hooks", function.name); // f gets hooks
//! }
//! let instrumented = plan.apply(&module)?;
//! assert!(instrumented.warnings.is_empty());
//! wasmparser::validate(&instrumented.wasm)?;
//! # Ok(())
//! # }
//! ```
//!
//! Names, branch hints and debug information (DWARF 2 to 5) follow the code, and so do a
//! source map and a file with debug information beside the module, if they are
//! [given](Companions). What cannot is left out, and a [`Warning`] says so.
//!
//! [`remove`] takes the hooks out again.
//!
//! The files stand in the order in which the data flows: `parse`, `scan`, `names`, `owner`,
//! `source`, `calls`, `wrappers` and `telling` analyse, `select`, `growth`, `allocations` and `plan` decide, which
//! `coverage` sums up, and `body`, `imports`, `layout`, `added`, `change`, `custom`, `dwarf`,
//! `source_map`, `companion`, `build_id` and `rewrite` write, which `remove` undoes.

mod added;
mod allocations;
mod body;
mod build_id;
mod calls;
mod change;
mod companion;
mod coverage;
mod custom;
mod dwarf;
mod error;
mod growth;
mod imports;
mod layout;
mod leb;
mod names;
mod owner;
mod parse;
mod plan;
mod remove;
mod rewrite;
mod scan;
mod section;
mod select;
mod source;
mod source_map;
mod telling;
mod warning;
mod wrappers;

pub use allocations::Allocator;
pub use companion::{Companion, Companions};
pub use coverage::{Coverage, OwnerCoverage};
pub use error::Error;
pub use names::demangle;
pub use observe_abi::map::Cells;
pub use parse::{FuncIndex, Module, read_function_map};
pub use plan::{Abi, Decision, HookId, Plan, PlannedFunction};
pub use remove::{Restored, remove};
pub use rewrite::Instrumented;
pub use scan::Exceptions;
pub use select::{DEFAULT_MIN_INSTRUCTIONS, Omission, Reason, Selection};
pub use source::SourceLocation;
pub use warning::Warning;
