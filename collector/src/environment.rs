//! What the environment says beside where to send: see `docs/ENVIRONMENT.md` for all variables.

use thiserror::Error;

use crate::env::{self, ExporterError};
use crate::exemplars::{ExemplarFilter, ExemplarFilterError};
use crate::limits::{Limits, LimitsError};
use crate::propagation::{Propagators, PropagatorsError};
use crate::sampling::{Sampler, SamplerError};

/// Variables that name an exporter.
const EXPORTERS: [&str; 3] =
    ["OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER", "OTEL_METRICS_EXPORTER"];

/// Files that would stand for all variables.
const CONFIG_FILES: [&str; 2] = ["OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"];

/// What OpenTelemetry's environment variables say of sampling, limits and propagation.
///
/// Where to send and how is read by [`otlp::Config`](crate::otlp::Config), and who sends by
/// [`Resource`](crate::Resource).
///
/// ```
/// use observe_collector::{Collector, Environment};
///
/// # fn main() -> Result<(), observe_collector::EnvironmentError> {
/// let environment = Environment::from_env()?;
/// let collector = Collector::builder().environment(&environment).start();
/// let propagators = environment.propagators;
/// # drop((collector, propagators));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Environment {
    /// `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`.
    pub sampler: Sampler,
    /// `OTEL_ATTRIBUTE_COUNT_LIMIT` and its like.
    pub limits: Limits,
    /// `OTEL_METRICS_EXEMPLAR_FILTER`.
    pub exemplars: ExemplarFilter,
    /// `OTEL_PROPAGATORS`.
    pub propagators: Propagators,
}

/// Why the environment cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// A sampler that is not known, or its argument.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// A limit that is no number.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// A filter of exemplars that is not known.
    #[error(transparent)]
    Exemplars(#[from] ExemplarFilterError),
    /// A propagator that is not known.
    #[error(transparent)]
    Propagators(#[from] PropagatorsError),
    /// An exporter that is not known.
    #[error(transparent)]
    Exporter(#[from] ExporterError),
    /// A file in the place of the variables, which would then not count.
    #[error("{variable}: a configuration file is not read, unset it and use variables")]
    ConfigFile {
        /// The variable.
        variable: &'static str,
    },
}

impl Environment {
    /// What the environment of the process says.
    ///
    /// # Errors
    ///
    /// If a variable holds what cannot be used. The specification would have most of them ignored with
    /// a warning; see [`otlp::Config`](crate::otlp::Config) why they are not.
    pub fn from_env() -> Result<Self, EnvironmentError> {
        Self::from_lookup(&env::process)
    }

    /// As [`Environment::from_env`], with variables from elsewhere.
    ///
    /// # Errors
    ///
    /// If a variable holds what cannot be used.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        for variable in CONFIG_FILES {
            if env::get(lookup, variable).is_some() {
                return Err(EnvironmentError::ConfigFile { variable });
            }
        }
        for variable in EXPORTERS {
            env::is_exported(lookup, variable)?;
        }
        Ok(Environment {
            sampler: Sampler::from_lookup(lookup)?,
            limits: Limits::from_lookup(lookup)?,
            exemplars: ExemplarFilter::from_lookup(lookup)?,
            propagators: Propagators::from_lookup(lookup)?,
        })
    }
}
