//! How many different things are told apart.

mod merge;
mod names;
mod series;

pub(crate) use merge::at_scale;
pub(crate) use names::Names;
pub(crate) use series::{Series, hash_of};

/// How many names of spans and series of a metric are told apart. What goes beyond is sent under one
/// name, or added up in one series, so that neither a guest that makes up names nor a key with a
/// value for each request fills a backend's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cardinality {
    /// Names of spans. A span of another is called `observe.overflow`, and keeps its name as
    /// `observe.span.name`.
    pub span_names: usize,
    /// Sets of attributes of a metric, that of what goes beyond among them: it has
    /// `otel.metric.overflow`, and nothing else, as the [specification] asks. Sums and histograms are added up
    /// in it; of gauges it has the last value.
    ///
    /// [specification]: https://opentelemetry.io/docs/specs/otel/metrics/sdk/#overflow-attribute
    pub series: usize,
}

impl Default for Cardinality {
    /// 10,000 names of spans, which is more than most modules have functions that are called, and 2,000
    /// series, as the specification has it.
    fn default() -> Self {
        Cardinality { span_names: 10_000, series: 2_000 }
    }
}
