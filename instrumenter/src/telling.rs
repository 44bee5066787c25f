//! Functions by which a guest tells what it does.
//!
//! What is told belongs to the function that tells it. Between that and the host stand functions
//! of crates that are there for telling, such as those of `tracing`: if they had hooks, spans would
//! stand under them, and log records would be tied to them. So they get none in a module that
//! tells anything, unless somebody includes them.

use observe_abi::guest::MODULE_PREFIX;

use crate::{Module, owner};

/// What such functions belong to: `observe-guest` for Rust and for AssemblyScript, what it listens to, and
/// what runs between a panic and its hook.
const TELLERS: [&str; 11] = [
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
    "~lib/observe-guest",
];

/// The same in Go: the package for guests, and `log/slog`, for which it has a handler.
const TELLERS_IN_GO: [&str; 2] = ["github.com/observe-wasm/observe/guest-sdk/go", "log/slog"];

impl Module<'_> {
    /// Whether the module has annotations of its own.
    pub(crate) fn tells(&self) -> bool {
        self.imports.iter().any(|import| import.module.starts_with(MODULE_PREFIX))
    }
}

/// Whether functions with such a [path](owner::path) only pass on what others tell. Names are
/// flattened in modules of Go's.
pub(crate) fn passes_on(path: &str, flattened: bool) -> bool {
    let tellers: &[&str] = if flattened { &TELLERS_IN_GO } else { &TELLERS };
    tellers.iter().any(|teller| owner::starts_with(path, teller, flattened))
}

/// Whether the function is what Go's compiler makes of `defer span.End()`, as in `main.f.deferwrap1`. It
/// would stand under the span that it ends, whoever asks for it.
pub(crate) fn is_deferred(path: &str, flattened: bool) -> bool {
    flattened && path.rsplit('.').next().is_some_and(|last| last.starts_with("deferwrap"))
}
