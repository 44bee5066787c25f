//! Functions by which a guest tells what it does.
//!
//! What is told belongs to the function that tells it. Between that and the host stand functions
//! of crates that are there for telling, such as those of `tracing`: if they had hooks, spans would
//! stand under them, and log records would be tied to them. So they get none in a module that
//! tells anything, unless somebody includes them.

use observe_abi::guest::MODULE_PREFIX;

use crate::{Module, owner};

/// What such functions belong to: `observe-guest`, what it listens to, and what runs between a panic
/// and its hook.
const TELLERS: [&str; 10] = [
    "observe",
    "log",
    "tracing",
    "tracing_core",
    "tracing_log",
    "tracing_subscriber",
    "core::panicking",
    "std::panicking",
    "std::sys::backtrace",
    "__rustc::rust_begin_unwind",
];

impl Module<'_> {
    /// Whether the module has annotations of its own.
    pub(crate) fn tells(&self) -> bool {
        self.imports.iter().any(|import| import.module.starts_with(MODULE_PREFIX))
    }
}

/// Whether functions with such a [path](owner::path) only pass on what others tell.
pub(crate) fn passes_on(path: &str) -> bool {
    TELLERS.iter().any(|teller| owner::starts_with(path, teller, false))
}
