//! Head sampling: whether a trace is recorded, decided when it begins.

use thiserror::Error;

use super::ratio::Ratio;
use crate::env;
use crate::event::TraceId;

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";

/// Decides by its identity and its parent whether a trace is sent ([OpenTelemetry, "Sampling"]).
///
/// Whoever starts traces asks it ([`Sampler::is_sampled`]), and tells what it answered in the flag
/// `sampled` of what it calls. [`Builder::sampler`] asks it for what was recorded already: so an
/// embedder that starts its traces itself saves more by asking before.
///
/// ```
/// use observe_collector::event::TraceId;
/// use observe_collector::sampling::{Ratio, Sampler};
///
/// let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatio(Ratio::new(0.1)?)));
/// let trace = TraceId(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes());
/// assert!(!sampler.is_sampled(trace, None));
/// assert!(sampler.is_sampled(trace, Some(true)));
/// # Ok::<(), observe_collector::sampling::RatioError>(())
/// ```
///
/// [OpenTelemetry, "Sampling"]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#built-in-samplers
/// [`Builder::sampler`]: crate::Builder::sampler
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sampler {
    /// Each trace.
    AlwaysOn,
    /// No trace.
    AlwaysOff,
    /// A share of the traces, by their identities.
    TraceIdRatio(Ratio),
    /// What the parent says; of traces without one, what another sampler says.
    ParentBased(Box<Sampler>),
}

/// Why the sampler that the environment names cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SamplerError {
    /// A sampler that this version does not have.
    #[error(
        "OTEL_TRACES_SAMPLER: `{0}` is not supported, use always_on, always_off, traceidratio, or \
         one of them after parentbased_"
    )]
    Unknown(String),
    /// An argument that is no share.
    #[error("OTEL_TRACES_SAMPLER_ARG: `{0}` is not a number from 0 to 1")]
    Argument(String),
}

impl Sampler {
    /// What `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` say in the environment of the process;
    /// without them `parentbased_always_on`.
    ///
    /// # Errors
    ///
    /// If a variable holds what cannot be used.
    pub fn from_env() -> Result<Self, SamplerError> {
        Self::from_lookup(&env::process)
    }

    /// As [`Sampler::from_env`], with variables from elsewhere.
    ///
    /// # Errors
    ///
    /// If a variable holds what cannot be used.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, SamplerError> {
        let Some(given) = env::get(lookup, SAMPLER) else { return Ok(Self::default()) };
        let name = given.trim();
        let (root, is_parent_based) = match name.strip_prefix("parentbased_") {
            Some(root) => (root, true),
            None => (name, false),
        };
        let root = match root {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => Sampler::TraceIdRatio(match env::get(lookup, SAMPLER_ARG) {
                Some(share) => share.parse().map_err(|_| SamplerError::Argument(share))?,
                None => Ratio::ALL,
            }),
            _ => return Err(SamplerError::Unknown(name.to_owned())),
        };
        Ok(if is_parent_based { Sampler::ParentBased(Box::new(root)) } else { root })
    }

    /// Whether a trace is sent. `parent` is the flag `sampled` of the span under which it stands,
    /// if there is one.
    pub fn is_sampled(&self, trace_id: TraceId, parent: Option<bool>) -> bool {
        match self.decider(parent) {
            Ok(ratio) => ratio.keeps(trace_id),
            Err(parent) => parent,
        }
    }

    /// The share of all traces that is sent of those with such a parent; `None` if whoever started the
    /// trace knows.
    pub fn ratio(&self, parent: Option<bool>) -> Option<Ratio> {
        self.decider(parent).ok()
    }

    /// What decides: a share, or the parent.
    fn decider(&self, parent: Option<bool>) -> Result<Ratio, bool> {
        match (self, parent) {
            (Sampler::AlwaysOn, _) => Ok(Ratio::ALL),
            (Sampler::AlwaysOff, _) => Ok(Ratio::NONE),
            (Sampler::TraceIdRatio(ratio), _) => Ok(*ratio),
            (Sampler::ParentBased(_), Some(parent)) => Err(parent),
            (Sampler::ParentBased(root), None) => root.decider(None),
        }
    }

    /// Whether it keeps all, whatever parents say.
    pub(crate) fn keeps_all(&self) -> bool {
        self.ratio(Some(false)) == Some(Ratio::ALL)
    }
}

impl Default for Sampler {
    /// `parentbased_always_on`, as the specification has it.
    fn default() -> Self {
        Sampler::ParentBased(Box::new(Sampler::AlwaysOn))
    }
}

#[cfg(test)]
mod tests {
    use super::{Ratio, Sampler};
    use crate::event::TraceId;

    fn read(sampler: &str, argument: &str) -> Result<Sampler, String> {
        let sampler = Sampler::from_lookup(&|name| match name {
            "OTEL_TRACES_SAMPLER" => Some(sampler.to_owned()),
            "OTEL_TRACES_SAMPLER_ARG" => Some(argument.to_owned()),
            _ => None,
        });
        sampler.map_err(|error| error.to_string())
    }

    fn under_parent(root: Sampler) -> Sampler {
        Sampler::ParentBased(Box::new(root))
    }

    #[test]
    fn the_environment_names_a_sampler() {
        let quarter = Sampler::TraceIdRatio(Ratio::new(0.25).expect("a share"));
        for (name, argument, expected) in [
            ("", "", under_parent(Sampler::AlwaysOn)),
            ("", "0.25", under_parent(Sampler::AlwaysOn)),
            ("always_on", "x", Sampler::AlwaysOn),
            ("always_off", "", Sampler::AlwaysOff),
            (" traceidratio ", "0.25", quarter.clone()),
            ("traceidratio", "", Sampler::TraceIdRatio(Ratio::ALL)),
            ("parentbased_always_on", "", under_parent(Sampler::AlwaysOn)),
            ("parentbased_always_off", "", under_parent(Sampler::AlwaysOff)),
            ("parentbased_traceidratio", "0.25", under_parent(quarter)),
        ] {
            assert_eq!(read(name, argument), Ok(expected), "{name}");
        }
    }

    #[test]
    fn what_it_does_not_have_is_an_error() {
        for (name, argument, expected) in [
            (
                "jaeger_remote",
                "",
                "OTEL_TRACES_SAMPLER: `jaeger_remote` is not supported, use always_on, always_off, \
                 traceidratio, or one of them after parentbased_",
            ),
            ("traceidratio", "2", "OTEL_TRACES_SAMPLER_ARG: `2` is not a number from 0 to 1"),
        ] {
            assert_eq!(read(name, argument), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_parent_counts_only_where_it_is_asked() {
        let id = TraceId([0; 16]);
        let half = Sampler::TraceIdRatio(Ratio::new(0.5).expect("a share"));
        for (sampler, expected) in [
            (Sampler::AlwaysOn, [true, true, true]),
            (Sampler::AlwaysOff, [false, false, false]),
            (half.clone(), [false, false, false]),
            (under_parent(Sampler::AlwaysOn), [true, true, false]),
            (under_parent(Sampler::AlwaysOff), [false, true, false]),
            (under_parent(half), [false, true, false]),
        ] {
            let got = [None, Some(true), Some(false)].map(|parent| sampler.is_sampled(id, parent));
            assert_eq!(got, expected, "{sampler:?}");
        }
    }
}
