//! Which traces are sent, and how much of each.
//!
//! Head sampling ([`Sampler`]) decides by the identity of a trace, before anything is known of it.
//! Tail sampling ([`TailSampling`]) decides when a trace is over, by what it was: how long it
//! took, whether it failed, how many of its kind there are. A cap on the spans of a trace
//! ([`Builder::max_spans_per_trace`]) sends the largest and the failed of them, and tells of the
//! others as counts on their parents.
//!
//! All of it happens on the collector's thread, between the channel and the exporters, and
//! [`Report::stage`] accounts for it. Without any of it there is no stage, and chunks go straight to
//! the exporters.
//!
//! [`Builder::max_spans_per_trace`]: crate::Builder::max_spans_per_trace
//! [`Report::stage`]: crate::Report::stage

mod fold;
mod hold;
mod numbers;
mod policy;
mod rate;
mod ratio;
mod sampler;
mod tail;
mod weight;

pub use policy::{Failed, Policy, Proportion, Slow, TraceView, Verdict};
pub use rate::Rate;
pub use ratio::{Ratio, RatioError};
pub use sampler::{Sampler, SamplerError};
pub use tail::TailSampling;

pub(crate) use hold::Hold;
