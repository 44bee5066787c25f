//! What does not survive an instrumentation.

use std::fmt;

use crate::companion;

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
    /// A section that names a file beside the module is left out, since the file would no
    /// longer be true and was not given.
    NotGiven {
        /// The name of the section.
        section: String,
        /// The URL that it holds.
        url: String,
    },
    /// The source map, and the section that names it, are left out, since the map cannot be
    /// rewritten.
    SourceMap {
        /// What is wrong with it.
        message: String,
    },
    /// The debug information in another file, and the section that names it, are left out,
    /// since it cannot be rewritten.
    ExternalDebugInfo {
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
            Warning::NotGiven { section, url } => {
                write!(
                    f,
                    "left out: {section}, since the file that it names was not given: {url:.200}"
                )
            }
            Warning::SourceMap { message } => {
                let section = companion::SOURCE_MAP;
                write!(
                    f,
                    "left out: {section}, since the source map cannot be rewritten: {message}"
                )
            }
            Warning::ExternalDebugInfo { message } => {
                let section = companion::DEBUG_INFO;
                write!(f, "left out: {section}, since its file cannot be rewritten: {message}")
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
