//! Which exemplars are sent.

use thiserror::Error;

use crate::env;
use crate::event::{Exemplar, Metric, MetricData};

const EXEMPLAR_FILTER: &str = "OTEL_METRICS_EXEMPLAR_FILTER";

/// Which exemplars are sent with the points of metrics ([OpenTelemetry, "ExemplarFilter"]).
///
/// [OpenTelemetry, "ExemplarFilter"]: https://opentelemetry.io/docs/specs/otel/metrics/sdk/#exemplarfilter
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExemplarFilter {
    /// All that sources of metrics give.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// Those that were measured within a trace that was recorded.
    #[default]
    TraceBased,
}

/// A filter that is not known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "OTEL_METRICS_EXEMPLAR_FILTER: `{0}` is not supported, use always_on, always_off or trace_based"
)]
pub struct ExemplarFilterError(String);

impl ExemplarFilter {
    /// What `OTEL_METRICS_EXEMPLAR_FILTER` says, with variables from anywhere.
    ///
    /// # Errors
    ///
    /// If it names a filter that is not known.
    pub fn from_lookup(
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ExemplarFilterError> {
        let Some(name) = env::get(lookup, EXEMPLAR_FILTER) else { return Ok(Self::default()) };
        match name.trim() {
            "always_on" => Ok(ExemplarFilter::AlwaysOn),
            "always_off" => Ok(ExemplarFilter::AlwaysOff),
            "trace_based" => Ok(ExemplarFilter::TraceBased),
            name => Err(ExemplarFilterError(name.to_owned())),
        }
    }

    /// Whether an exemplar is sent.
    fn keeps(self, exemplar: &Exemplar) -> bool {
        match self {
            ExemplarFilter::AlwaysOn => true,
            ExemplarFilter::AlwaysOff => false,
            ExemplarFilter::TraceBased => exemplar.trace_id.is_some(),
        }
    }

    /// Takes the exemplars out that are not sent.
    pub(crate) fn apply(self, metrics: &mut [Metric]) {
        if self == ExemplarFilter::AlwaysOn {
            return;
        }
        let keep = |exemplars: &mut Vec<Exemplar>| exemplars.retain(|one| self.keeps(one));
        for metric in metrics {
            match &mut metric.data {
                MetricData::Sum { points, .. } | MetricData::Gauge(points) => {
                    points.iter_mut().for_each(|point| keep(&mut point.exemplars));
                }
                MetricData::Histogram { points, .. } => {
                    points.iter_mut().for_each(|point| keep(&mut point.exemplars));
                }
                MetricData::ExponentialHistogram { points, .. } => {
                    points.iter_mut().for_each(|point| keep(&mut point.exemplars));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ExemplarFilter;
    use crate::event::{
        Exemplar, ExponentialHistogramPoint, HistogramPoint, Metric, MetricData, Number, Point,
        Temporality, TraceId,
    };

    fn exemplars() -> Vec<Exemplar> {
        let exemplar = |trace_id| Exemplar {
            time_unix_nanos: 1,
            value: Number::Int(1),
            trace_id,
            span_id: None,
            filtered_attributes: Vec::new(),
        };
        vec![exemplar(None), exemplar(Some(TraceId([1; 16])))]
    }

    fn metrics() -> Vec<Metric> {
        let (temporality, start_unix_nanos) = (Temporality::Cumulative, 1);
        let point =
            || Point { exemplars: exemplars(), ..Point::new(Vec::new(), 1, Number::Int(1)) };
        let explicit = HistogramPoint { exemplars: exemplars(), ..HistogramPoint::default() };
        let exponential =
            ExponentialHistogramPoint { exemplars: exemplars(), ..Default::default() };
        let points = vec![exponential];
        [
            MetricData::sum(true, 1, vec![point()]),
            MetricData::Gauge(vec![point()]),
            MetricData::Histogram { temporality, start_unix_nanos, points: vec![explicit] },
            MetricData::ExponentialHistogram { temporality, start_unix_nanos, points },
        ]
        .map(|data| Metric { name: "m".into(), description: "".into(), unit: "".into(), data })
        .into()
    }

    #[test]
    fn exemplars_of_every_kind_of_metric_are_filtered() {
        for (name, expected) in [("always_on", 8), ("always_off", 0), ("trace_based", 4), ("", 4)] {
            let filter = ExemplarFilter::from_lookup(&|_| Some(name.to_owned())).expect("known");
            let mut metrics = metrics();
            filter.apply(&mut metrics);
            let left = format!("{metrics:?}").matches("Exemplar {").count();
            assert_eq!(left, expected, "{name}");
        }
    }
}
