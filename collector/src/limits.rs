//! How much spans and log records may carry.

mod apply;

use thiserror::Error;

use crate::env;

pub(crate) use apply::Limiter;

/// Attributes, events and links of a record unless it is said otherwise ([OpenTelemetry,
/// "Attribute limits"]).
///
/// [OpenTelemetry, "Attribute limits"]: https://opentelemetry.io/docs/specs/otel/common/#configurable-parameters
const DEFAULT_COUNT: usize = 128;

/// How much spans and log records may carry. What goes beyond is cut, and counted on the record
/// (`dropped_attributes_count` and its like) and in [`StageReport`].
///
/// Of attributes, events and links the first are kept. Texts are cut to so many characters, bytes to as many
/// bytes, also within arrays and lists. Attributes that all calls of a function share count like
/// others.
///
/// [`StageReport`]: crate::StageReport
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Attributes of a span.
    pub span_attributes: usize,
    /// Characters of a value on a span, its events and its links; `None` is any number.
    pub span_value_length: Option<usize>,
    /// Events of a span.
    pub span_events: usize,
    /// Links of a span.
    pub span_links: usize,
    /// Attributes of an event.
    pub event_attributes: usize,
    /// Attributes of a link.
    pub link_attributes: usize,
    /// Attributes of a log record.
    pub log_attributes: usize,
    /// Characters of a value on a log record; `None` is any number.
    pub log_value_length: Option<usize>,
}

impl Default for Limits {
    /// 128 of each, and values of any length, as the specification has it.
    fn default() -> Self {
        Limits {
            span_attributes: DEFAULT_COUNT,
            span_value_length: None,
            span_events: DEFAULT_COUNT,
            span_links: DEFAULT_COUNT,
            event_attributes: DEFAULT_COUNT,
            link_attributes: DEFAULT_COUNT,
            log_attributes: DEFAULT_COUNT,
            log_value_length: None,
        }
    }
}

/// A limit in the environment that is no number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{variable}: `{value}` is not a whole number from 0 on")]
pub struct LimitsError {
    /// The variable.
    pub variable: &'static str,
    /// Its value.
    pub value: String,
}

impl Limits {
    /// What the environment of the process says: `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT` and its like, or
    /// `OTEL_ATTRIBUTE_COUNT_LIMIT` and `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` for all of them.
    ///
    /// # Errors
    ///
    /// If a variable holds what is no number.
    pub fn from_env() -> Result<Self, LimitsError> {
        Self::from_lookup(&env::process)
    }

    /// As [`Limits::from_env`], with variables from elsewhere.
    ///
    /// # Errors
    ///
    /// If a variable holds what is no number.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, LimitsError> {
        let read = |variable| match env::get(lookup, variable) {
            Some(value) => match value.trim().parse::<usize>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(LimitsError { variable, value }),
            },
            None => Ok(None),
        };
        let length = read("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")?;
        let count = read("OTEL_ATTRIBUTE_COUNT_LIMIT")?.unwrap_or(DEFAULT_COUNT);
        let attributes = |variable| Ok(read(variable)?.unwrap_or(count));
        let number = |variable| Ok(read(variable)?.unwrap_or(DEFAULT_COUNT));
        Ok(Limits {
            span_attributes: attributes("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT")?,
            span_value_length: read("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT")?.or(length),
            span_events: number("OTEL_SPAN_EVENT_COUNT_LIMIT")?,
            span_links: number("OTEL_SPAN_LINK_COUNT_LIMIT")?,
            event_attributes: attributes("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT")?,
            link_attributes: attributes("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT")?,
            log_attributes: attributes("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT")?,
            log_value_length: read("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT")?.or(length),
        })
    }
}

#[cfg(test)]
mod tests;
