//! Log records, each tied to the span in which it was written.

use super::{Attribute, SpanNumber};

/// How grave a log record is: the first number of each range that the OpenTelemetry logs data
/// model gives, under "Field: `SeverityNumber`".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Fine-grained debugging.
    Trace = 1,
    /// Debugging.
    Debug = 5,
    /// Something happened as it should.
    Info = 9,
    /// More than information, and no failure.
    Warn = 13,
    /// Something failed.
    Error = 17,
    /// What failed ends the program.
    Fatal = 21,
}

impl Severity {
    /// The short name that the data model gives, under "Displaying Severity".
    pub fn text(self) -> &'static str {
        match self {
            Severity::Trace => "TRACE",
            Severity::Debug => "DEBUG",
            Severity::Info => "INFO",
            Severity::Warn => "WARN",
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
        }
    }
}

/// What was logged.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// Nanoseconds since the Unix epoch at which it was written.
    pub time_unix_nanos: u64,
    /// The innermost span of its trace that was open, where it is kept.
    pub span: Option<SpanNumber>,
    /// How grave it is.
    pub severity: Severity,
    /// The text.
    pub body: String,
    /// What else is known of it.
    pub attributes: Vec<Attribute>,
    /// How many attributes it had beside these, before a limit.
    pub dropped_attributes: u32,
}
