//! What makes a trace worth being sent.

use std::time::{Duration, Instant};

use super::ratio::Ratio;
use crate::event::{SpanRecord, Status, TraceId, TraceInfo};

/// What a [`Policy`] says of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent. Where it stands for others that are not, `ratio` is the share of those
    /// like it that are sent; [`Ratio::ALL`] where all of them are, `None` where that is not known.
    Keep {
        /// The share, which is told on its spans.
        ratio: Option<Ratio>,
    },
    /// It is not sent, whatever others say.
    Drop,
    /// The next policy is asked. A trace that none keeps is not sent.
    Next,
}

impl Verdict {
    /// It is sent, as all like it.
    pub const KEEP: Verdict = Verdict::Keep { ratio: Some(Ratio::ALL) };
}

/// Decides which traces are sent, by what is known of them when they are over.
///
/// Closures are policies, too:
///
/// ```
/// use observe_collector::sampling::{TailSampling, TraceView, Verdict};
///
/// let sampling = TailSampling::new()
///     .policy(|trace: &TraceView<'_>| match trace.root_name() {
///         Some("health") => Verdict::Drop,
///         _ => Verdict::Next,
///     });
/// ```
///
/// It runs on the collector's thread, where chunks wait in the channel while it takes its time. If it
/// panics, that thread ends, and what is not delivered is counted as lost.
pub trait Policy: Send {
    /// What is to be done with a trace, at a time.
    fn decide(&mut self, trace: &TraceView<'_>, now: Instant) -> Verdict;
}

impl<F: FnMut(&TraceView<'_>) -> Verdict + Send> Policy for F {
    fn decide(&mut self, trace: &TraceView<'_>, _now: Instant) -> Verdict {
        self(trace)
    }
}

/// What is known of a trace when it is decided on.
///
/// It is what one host recorded: a root and what stands under it. The parts of a trace that other
/// hosts recorded are decided on by themselves.
#[derive(Clone, Copy, Debug)]
pub struct TraceView<'a> {
    pub(crate) info: &'a TraceInfo,
    pub(crate) root: Option<&'a SpanRecord>,
    pub(crate) facts: Facts,
}

/// What is added up over the spans of a trace.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) spans: u64,
    pub(crate) failed: u64,
    pub(crate) start_unix_nanos: Option<u64>,
    pub(crate) end_unix_nanos: u64,
}

impl Facts {
    pub(crate) fn add(&mut self, span: &SpanRecord) {
        self.spans += 1;
        self.failed += u64::from(span.status == Status::Error);
        let start = self.start_unix_nanos.unwrap_or(u64::MAX);
        self.start_unix_nanos = Some(start.min(span.start_unix_nanos));
        self.end_unix_nanos = self.end_unix_nanos.max(span.end_unix_nanos);
    }
}

impl TraceView<'_> {
    /// The identity of the trace.
    pub fn trace_id(&self) -> TraceId {
        self.info.trace_id
    }

    /// The name of its root; `None` if the root has not come, because it takes longer than one
    /// waits for it.
    pub fn root_name(&self) -> Option<&str> {
        self.root.map(|root| self.info.name_of(root).unwrap_or_default())
    }

    /// Its root, if that has come.
    pub fn root(&self) -> Option<&SpanRecord> {
        self.root
    }

    /// How many spans it has.
    pub fn spans(&self) -> u64 {
        self.facts.spans
    }

    /// How many of them failed.
    pub fn failed(&self) -> u64 {
        self.facts.failed
    }

    /// From the first start to the last end of its spans.
    pub fn duration(&self) -> Duration {
        let start = self.facts.start_unix_nanos.unwrap_or_default();
        Duration::from_nanos(self.facts.end_unix_nanos.saturating_sub(start))
    }
}

/// Keeps traces in which a span failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Failed;

impl Policy for Failed {
    fn decide(&mut self, trace: &TraceView<'_>, _now: Instant) -> Verdict {
        if trace.failed() > 0 { Verdict::KEEP } else { Verdict::Next }
    }
}

/// Keeps traces that took at least so long.
#[derive(Clone, Copy, Debug)]
pub struct Slow(pub Duration);

impl Policy for Slow {
    fn decide(&mut self, trace: &TraceView<'_>, _now: Instant) -> Verdict {
        if trace.duration() >= self.0 { Verdict::KEEP } else { Verdict::Next }
    }
}

/// Keeps a share of the traces, by their identities.
#[derive(Clone, Copy, Debug)]
pub struct Proportion(pub Ratio);

impl Policy for Proportion {
    fn decide(&mut self, trace: &TraceView<'_>, _now: Instant) -> Verdict {
        let kept = self.0.keeps(trace.trace_id());
        if kept { Verdict::Keep { ratio: Some(self.0) } } else { Verdict::Next }
    }
}
