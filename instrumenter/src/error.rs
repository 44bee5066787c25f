//! Why a module cannot be instrumented, or freed of its hooks.

use observe_abi::map::MapError;

/// Why a module cannot be instrumented, or freed of its hooks.
///
/// The messages are fragments, to stand after the name of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There are no bytes.
    #[error("is empty, not a WebAssembly module")]
    Empty,
    /// The bytes do not begin with the magic number of a WebAssembly binary.
    #[error("is not a WebAssembly binary (it does not begin with `\\0asm`)")]
    NotWasm,
    /// The bytes are a component.
    #[error("is a component; only core modules can be instrumented so far, extract one first")]
    Component,
    /// The bytes are an object file, which a linker has yet to relocate.
    #[error(
        "is an object file (it has a section `{section}`); link it, then instrument the result"
    )]
    ObjectFile {
        /// The custom section that tells.
        section: String,
    },
    /// The module was instrumented before.
    #[error("is instrumented already (it has {sign}); {remedy}")]
    AlreadyInstrumented {
        /// What tells.
        sign: &'static str,
        /// What can be done about it.
        remedy: &'static str,
    },
    /// The module has hooks of a version that this crate does not know.
    #[error(
        "is instrumented already (it imports `{found}`, and this version of observe writes \
         `{known}`); instrument the original, or use the version that wrote the hooks"
    )]
    HooksVersion {
        /// The import module that it names.
        found: String,
        /// The one that is known.
        known: &'static str,
    },
    /// There are no hooks to take out.
    #[error("has no hooks of observe")]
    NotInstrumented,
    /// There are hooks, and nothing says where.
    #[error(
        "has {hooks}, but no function map that says where, so they cannot be taken out; use the \
         original"
    )]
    NoMap {
        /// Whose hooks.
        hooks: &'static str,
    },
    /// The function map that says where the hooks are cannot be read.
    #[error("cannot be freed of its hooks: {0}")]
    Map(#[from] MapError),
    /// The module was instrumented, and is not what came of that any more.
    #[error(
        "cannot be freed of its hooks: {what}; they can be taken out only of a module that \
         nothing else has changed since"
    )]
    Changed {
        /// What differs.
        what: String,
    },
    /// The bytes are not a valid module.
    #[error("is not a valid module: {message} (at offset {offset:#x})")]
    Invalid {
        /// What is wrong.
        message: String,
        /// Where, in bytes from the start of the module.
        offset: usize,
    },
    /// The module exports a name that the hooks need.
    #[error("exports `{export}`, a name that is kept for hooks; rename the export")]
    Reserved {
        /// The name.
        export: String,
    },
    /// The plan was not made for this module, or was changed so that it hooks a function
    /// that cannot have hooks, or that ids are not in order.
    #[error("does not go with the plan; make one for this module with `Plan::new`")]
    Plan,
    /// A regular expression of a [`Selection`](crate::Selection) is none, or is too large.
    #[error("`{pattern}` is not a regular expression: {message}")]
    Pattern {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// A glob of a [`Selection`](crate::Selection) is none, or is too long.
    #[error("`{pattern}` is not a glob: {message}")]
    Glob {
        /// The glob.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// The instrumented module would have more of something than WebAssembly allows.
    #[error("cannot be instrumented: {0}")]
    Limit(&'static str),
}

impl From<wasmparser::Error> for Error {
    fn from(error: wasmparser::Error) -> Self {
        Error::Invalid { message: error.message().replace('\n', ": "), offset: error.offset() }
    }
}
