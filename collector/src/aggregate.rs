//! Adds up values into histograms, for whoever has metrics of its own.
//!
//! [`ExplicitHistogram`] counts between bounds that one knows beforehand. [`ExponentialHistogram`]
//! needs none: it keeps to 160 buckets, which become coarser as the values spread. Both keep a few
//! [`Exemplar`]s, which lead from a bucket to a trace. Neither is shared between threads: whoever
//! records from several keeps one for each, or a lock.
//!
//! ```
//! use observe_collector::aggregate::ExponentialHistogram;
//! use observe_collector::event::{Metric, MetricData, Temporality};
//!
//! let mut latency = ExponentialHistogram::new();
//! for seconds in [0.012, 0.5, 0.013, 7.25] {
//!     latency.record(seconds);
//! }
//! let (start, now) = (1_800_000_000_000_000_000, 1_800_000_060_000_000_000);
//! let point = latency.point(Vec::new(), now);
//! assert_eq!((point.count, point.max), (4, Some(7.25)));
//! let metric = Metric {
//!     name: "request.duration".into(),
//!     description: "how long requests took".into(),
//!     unit: "s".into(),
//!     data: MetricData::ExponentialHistogram {
//!         temporality: Temporality::Cumulative,
//!         start_unix_nanos: start,
//!         points: vec![point],
//!     },
//! };
//! # let _ = metric;
//! ```

mod explicit;
mod exponential;
mod totals;

pub use explicit::{BoundsError, DEFAULT_BOUNDS, ExplicitHistogram};
pub use exponential::{ExponentialHistogram, MAX_BUCKETS};

#[cfg(doc)]
use crate::event::Exemplar;
