//! Why a module cannot be observed.

/// Why a module cannot be observed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be instrumented.
    #[error(transparent)]
    Instrument(#[from] observe_instrumenter::Error),
    /// It is instrumented, but what its ids stand for cannot be read.
    #[error("is instrumented, but {0}")]
    Map(#[from] observe_abi::map::MapError),
    /// Its hooks, or its annotations, are of a version that this host does not provide.
    #[error(
        "imports `{found}`, and this host provides `{}`; make it anew for this version, or update \
         the host",
        .supported.join("`, `")
    )]
    Version {
        /// The import module that it names.
        found: String,
        /// Those that it may name.
        supported: &'static [&'static str],
    },
    /// It imports a function that its contract, in this version, does not have.
    #[error(
        "imports `{name}` from `{module}`, and this host's `{module}` has no such function; correct \
         the import, or make the module with the SDK of observe {}",
        env!("CARGO_PKG_VERSION")
    )]
    UnknownImport {
        /// The import module.
        module: String,
        /// The name of the import.
        name: String,
    },
    /// It imports a function of its contract under another type than that has.
    #[error(
        "imports `{name}` from `{module}` as {found}, and it is {expected}; correct the \
         declaration, or make the module with the SDK of observe {}",
        env!("CARGO_PKG_VERSION")
    )]
    ImportType {
        /// The import module.
        module: String,
        /// The name of the import.
        name: String,
        /// The type that the module gives it.
        found: String,
        /// The type that it has.
        expected: String,
    },
    /// The engine does not take it.
    #[error("cannot be compiled: {}", one_line(.0))]
    Compile(wasmtime::Error),
    /// What is to be deserialised is no serialised module of this version.
    #[error("is no module that this version of observe-host serialised; compile it anew")]
    Serialized,
    /// The linker has the hooks already.
    #[error("the linker provides `{0}` already; add the hooks once")]
    Linker(&'static str),
}

/// An error and its causes, in one line.
fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").replace('\n', ": ")
}
