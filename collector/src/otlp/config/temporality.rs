//! Since when metrics that go out were added up.

use super::error::ConfigError;

/// Whether metrics go out as they were added up since the start, or since they were told the last
/// time. Some backends take only the one, some only the other.
///
/// Sources of a collector are asked for their sums since the start, which makes their sums what OpenTelemetry
/// calls asynchronous. What a source gives as delta stays so, and gauges and sums that may fall
/// are as they are in any case.
///
/// A delta that is lost, because the receiver does not take it in time, is missing for good, where a sum
/// since the start makes up for it with the next. The first delta of a series is all since its
/// start; so is one whose start changed, or whose value fell. The last values of up to 65,536 series are
/// kept for this; what comes beyond goes out as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TemporalityPreference {
    /// Everything as its source gives it, which is since the start for those of the host.
    #[default]
    Cumulative,
    /// Sums that never fall, and histograms, since the last time.
    Delta,
    /// Histograms since the last time. Of sums the specification wants the same where that takes no
    /// memory; here it would, so they stay as they are.
    LowMemory,
}

impl TemporalityPreference {
    /// Reads the value of the variable `input`, in any case of letters.
    pub(super) fn parse(input: &'static str, value: String) -> Result<Self, ConfigError> {
        match &*value.to_ascii_lowercase() {
            "cumulative" => Ok(TemporalityPreference::Cumulative),
            "delta" => Ok(TemporalityPreference::Delta),
            "lowmemory" => Ok(TemporalityPreference::LowMemory),
            _ => Err(ConfigError::Temporality { input, value }),
        }
    }
}
