//! The share of traces that is kept, and which ones these are.

use std::str::FromStr;

use thiserror::Error;

use crate::event::{Attribute, SpanRecord, TraceId};

/// The number of values that the randomness of a trace may have ([OpenTelemetry, "Sampling
/// threshold value `th`"]).
///
/// [OpenTelemetry, "Sampling threshold value `th`"]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/#sampling-threshold-value-th
const RANGE: u64 = 1 << 56;

/// A share of all traces, from none to all, and with it a rule which of them are kept.
///
/// The rule is that of OpenTelemetry's [consistent probability sampling]: the last seven bytes of a
/// trace id are taken for a random number, and a trace is kept if that is not below a threshold.
/// So everybody who samples by the same ratio keeps the same traces, and whoever samples by a larger one
/// keeps these, too.
///
/// [consistent probability sampling]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// What is below it is not kept.
    threshold: u64,
}

/// A number that is no share.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a number from 0 to 1")]
pub struct RatioError(String);

impl Ratio {
    /// All traces.
    pub const ALL: Ratio = Ratio { threshold: 0 };

    /// No trace.
    pub const NONE: Ratio = Ratio { threshold: RANGE };

    /// The share that a number from 0 to 1 says, to within 2⁻⁵⁶.
    ///
    /// # Errors
    ///
    /// For any other number.
    pub fn new(share: f64) -> Result<Self, RatioError> {
        if !(0.0..=1.0).contains(&share) {
            return Err(RatioError(share.to_string()));
        }
        // A power of two leaves the digits as they are.
        let kept = (share * RANGE as f64).round() as u64;
        Ok(Ratio { threshold: RANGE - kept })
    }

    /// Whether a trace belongs to the share.
    pub fn keeps(self, trace_id: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g] = trace_id.0;
        u64::from_be_bytes([0, a, b, c, d, e, f, g]) >= self.threshold
    }

    /// The share as a number from 0 to 1.
    pub fn share(self) -> f64 {
        (RANGE - self.threshold) as f64 / RANGE as f64
    }

    /// What is kept by both, which is the smaller of them.
    pub fn min(self, other: Ratio) -> Ratio {
        Ratio { threshold: self.threshold.max(other.threshold) }
    }

    /// Tells on a span that it stands for others; one that does not says nothing.
    pub(crate) fn tell(self, span: &mut SpanRecord) {
        if self != Ratio::ALL {
            let attributes = &mut span.detail.get_or_insert_default().attributes;
            attributes.push(Attribute::new("observe.sampling.ratio", self.share()));
        }
    }

    /// The header `tracestate` that tells others of the share, such as `ot=th:c` for a quarter;
    /// `None` if nothing is kept.
    pub fn tracestate(self) -> Option<String> {
        if self.threshold >= RANGE {
            return None;
        }
        let digits = format!("{:014x}", self.threshold);
        let digits = digits.trim_end_matches('0');
        Some(format!("ot=th:{}", if digits.is_empty() { "0" } else { digits }))
    }
}

impl FromStr for Ratio {
    type Err = RatioError;

    fn from_str(text: &str) -> Result<Self, RatioError> {
        let error = || RatioError(text.to_owned());
        Ratio::new(text.trim().parse().map_err(|_| error())?).map_err(|_| error())
    }
}

#[cfg(test)]
mod tests {
    use super::Ratio;
    use crate::event::TraceId;

    /// The examples of the specification, "Sampling threshold value `th`" and "Rejection threshold".
    #[test]
    fn thresholds_are_those_of_the_specification() {
        for (share, expected) in [
            (1.0, "ot=th:0"),
            (0.5, "ot=th:8"),
            (0.25, "ot=th:c"),
            (0.75, "ot=th:4"),
            (0.125, "ot=th:e"),
            (2_f64.powi(-56), "ot=th:ffffffffffffff"),
        ] {
            let ratio = Ratio::new(share).expect("a share");
            assert_eq!(ratio.tracestate().as_deref(), Some(expected), "{share}");
            assert_eq!(ratio.share(), share);
        }
        assert_eq!(Ratio::NONE.tracestate(), None);
    }

    #[test]
    fn a_trace_is_kept_from_the_threshold_on() {
        let id = |low: u64| TraceId((0xffff_u128 << 64 | u128::from(low)).to_be_bytes());
        let half = Ratio::new(0.5).expect("a share");
        assert!(!half.keeps(id(0x007f_ffff_ffff_ffff)));
        assert!(half.keeps(id(0x0080_0000_0000_0000)));
        // The eighth byte from the end is none of the random ones.
        assert!(!half.keeps(id(0xff00_0000_0000_0000)));
        for low in [0, 1, u64::MAX] {
            assert!(Ratio::ALL.keeps(id(low)));
            assert!(!Ratio::NONE.keeps(id(low)));
        }
        assert_eq!(Ratio::new(0.0), Ok(Ratio::NONE));
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in ["", "x", "-0.1", "1.1", "NaN", "inf", "50%"] {
            let error = text.parse::<Ratio>().expect_err(text).to_string();
            assert_eq!(error, format!("`{text}` is not a number from 0 to 1"));
        }
        assert_eq!(" 0.25 ".parse(), Ratio::new(0.25));
    }
}
