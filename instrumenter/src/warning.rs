//! What does not survive an instrumentation.

use std::fmt;

/// Something of the module that does not survive its instrumentation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A custom section is left out, since it would no longer be true.
    Dropped {
        /// The name of the section.
        section: String,
    },
    /// A part of the name section is left out, since it cannot be read.
    Names {
        /// What is wrong with it.
        message: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Dropped { section } => write!(
                f,
                "section `{section}` is left out: it speaks of places in the code, which have moved"
            ),
            Warning::Names { message } => {
                write!(f, "a part of the name section is left out: {message}")
            }
        }
    }
}
