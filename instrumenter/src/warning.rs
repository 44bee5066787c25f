//! What does not survive an instrumentation.

use std::fmt;

/// Something of the module that does not survive its instrumentation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Custom sections are left out, since they would no longer be true.
    Dropped {
        /// The names of the sections.
        sections: Vec<String>,
    },
    /// The debug information is left out, since it cannot be rewritten.
    DebugInfo {
        /// The section in which it shows.
        section: String,
        /// What is wrong with it.
        message: String,
    },
    /// A part of the name section is left out, since it cannot be read.
    Names {
        /// What is wrong with it.
        message: String,
    },
    /// A [`Selection`](crate::Selection) has rules by source path, which match nothing,
    /// since the module has no line tables.
    NoSources,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Dropped { sections } => write!(
                f,
                "left out, since they speak of places in the code, which have moved: {}",
                sections.join(", ")
            ),
            Warning::DebugInfo { section, message } => {
                write!(f, "the debug information cannot be rewritten: {section}: {message}")
            }
            Warning::NoSources => f.write_str(
                "has no debug information (DWARF) that tells source paths, so that no function \
                 matches a rule by source",
            ),
            Warning::Names { message } => {
                write!(f, "a part of the name section is left out: {message}")
            }
        }
    }
}
