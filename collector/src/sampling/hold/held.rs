//! A trace that waits to be decided on.

use std::sync::Arc;

use super::super::fold::{Fold, Late};
use super::super::policy::{Facts, TraceView};
use super::super::ratio::Ratio;
use super::super::weight::{log_bytes, span_bytes};
use crate::event::{Chunk, LogRecord, SpanNumber, SpanRecord, TraceInfo};

/// How much of a trace is held.
#[derive(Clone, Copy, Default)]
pub(super) struct Size {
    pub(super) spans: usize,
    pub(super) logs: usize,
    pub(super) bytes: usize,
}

pub(super) struct Held {
    info: Arc<TraceInfo>,
    /// As the how manieth trace it came.
    pub(super) number: u64,
    /// The share that head sampling kept of such traces.
    pub(super) ratio: Ratio,
    spans: Spans,
    logs: Vec<LogRecord>,
    /// Of log records, and of spans unless there is a cap.
    bytes: usize,
    facts: Facts,
}

enum Spans {
    All { spans: Vec<SpanRecord>, root: Option<usize> },
    Capped { fold: Box<Fold>, root: Option<SpanNumber> },
}

impl Held {
    pub(super) fn new(info: Arc<TraceInfo>, number: u64, cap: Option<usize>, ratio: Ratio) -> Self {
        let spans = match cap {
            Some(cap) => Spans::Capped { fold: Box::new(Fold::new(cap)), root: None },
            None => Spans::All { spans: Vec::new(), root: None },
        };
        Held { info, number, ratio, spans, logs: Vec::new(), bytes: 0, facts: Facts::default() }
    }

    /// Adds what came; says whether the root was among it. Adds to `folded` how many spans became
    /// counts.
    pub(super) fn push(
        &mut self,
        new: Vec<SpanRecord>,
        mut logs: Vec<LogRecord>,
        folded: &mut u64,
    ) -> bool {
        self.bytes += logs.iter().map(log_bytes).sum::<usize>();
        let mut root_came = false;
        match &mut self.spans {
            Spans::All { spans, root } => {
                for span in new {
                    self.facts.add(&span);
                    self.bytes += span_bytes(&span);
                    if span.parent.is_none() {
                        root_came = true;
                        root.get_or_insert(spans.len());
                    }
                    spans.push(span);
                }
            }
            Spans::Capped { fold, root } => {
                // Log records come no later than their spans.
                logs.iter().for_each(|log| fold.log(log));
                let before = fold.len() + new.len();
                for span in new {
                    self.facts.add(&span);
                    if span.parent.is_none() {
                        root_came = true;
                        root.get_or_insert(span.number);
                    }
                    fold.push(span);
                }
                *folded += (before - fold.len()) as u64;
            }
        }
        self.logs.append(&mut logs);
        root_came
    }

    pub(super) fn size(&self) -> Size {
        let (spans, bytes) = match &self.spans {
            Spans::All { spans, .. } => (spans.len(), 0),
            Spans::Capped { fold, .. } => (fold.len(), fold.bytes()),
        };
        Size { spans, logs: self.logs.len(), bytes: self.bytes + bytes }
    }

    pub(super) fn view(&self) -> TraceView<'_> {
        let root = match &self.spans {
            Spans::All { spans, root } => root.and_then(|root| spans.get(root)),
            Spans::Capped { fold, root } => root.and_then(|root| fold.get(root)),
        };
        TraceView { info: &self.info, root, facts: self.facts }
    }

    #[cfg(test)]
    pub(super) fn parents_known(&self) -> usize {
        match &self.spans {
            Spans::All { .. } => 0,
            Spans::Capped { fold, .. } => fold.parents_known(),
        }
    }

    /// What is sent of it, with the share it stands for, and what has to be known of it when
    /// more of it comes.
    pub(super) fn release(self, ratio: Option<Ratio>) -> (Chunk, Option<Late>) {
        let mut logs = self.logs;
        let (mut spans, late) = match self.spans {
            Spans::All { spans, .. } => (spans, None),
            Spans::Capped { fold, .. } => {
                for log in &mut logs {
                    log.span = log.span.and_then(|span| fold.span_of_log(span));
                }
                let (spans, late) = fold.release();
                (spans, Some(late))
            }
        };
        if let Some(ratio) = ratio {
            spans.iter_mut().for_each(|span| ratio.tell(span));
        }
        (Chunk { trace: self.info, spans, logs }, late)
    }
}
