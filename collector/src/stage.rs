//! Between the channel and the exporters: what is sampled, folded and cut. Reads no clock.

use std::time::Instant;

use crate::event::Chunk;
use crate::limits::{Limiter, Limits};
use crate::sampling::{Hold, Ratio, Sampler, TailSampling};
use crate::stats::{Flow, StageReport};

/// What a stage does.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) sampler: Option<Sampler>,
    pub(crate) tail: Option<TailSampling>,
    /// The most spans of a trace.
    pub(crate) cap: Option<usize>,
    pub(crate) limits: Option<Limits>,
}

/// Takes chunks of many traces in, and gives chunks out.
pub(crate) struct Stage {
    sampler: Option<Sampler>,
    limiter: Option<Limiter>,
    hold: Option<Hold>,
    report: StageReport,
}

impl Stage {
    /// `None` if there is nothing to be done.
    pub(crate) fn new(plan: Plan) -> Option<Self> {
        let Plan { sampler, tail, cap, limits } = plan;
        let sampler = sampler.filter(|sampler| !sampler.keeps_all());
        let hold = (tail.is_some() || cap.is_some()).then(|| Hold::new(tail, cap));
        let limiter = limits.map(Limiter::new);
        let is_needed = sampler.is_some() || hold.is_some() || limiter.is_some();
        is_needed.then(|| Stage { sampler, limiter, hold, report: StageReport::default() })
    }

    /// Takes a chunk, and calls `out` with all that is to be exported by now.
    pub(crate) fn push(&mut self, now: Instant, mut chunk: Chunk, out: &mut dyn FnMut(&Chunk)) {
        let Stage { sampler, limiter, hold, report } = self;
        let (spans, logs) = (chunk.spans.len() as u64, chunk.logs.len() as u64);
        report.spans.received += spans;
        report.logs.received += logs;
        let ratio = match sampler {
            Some(sampler) => {
                let parent = chunk.trace.parent.as_ref();
                let parent = parent.map(|parent| parent.trace_flags.is_sampled());
                if !sampler.is_sampled(chunk.trace.trace_id, parent) {
                    report.spans.sampled_out += spans;
                    report.logs.sampled_out += logs;
                    return;
                }
                sampler.ratio(parent).unwrap_or(Ratio::ALL)
            }
            None => Ratio::ALL,
        };
        if let Some(limiter) = limiter {
            limiter.apply(&mut chunk, &mut report.cut);
        }
        match hold {
            Some(hold) => {
                let mut passed = Passed::default();
                hold.push(now, chunk, ratio, report, &mut |chunk| passed.pass(&chunk, out));
                passed.count(report);
            }
            None => {
                chunk.spans.iter_mut().for_each(|span| ratio.tell(span));
                let mut passed = Passed::default();
                passed.pass(&chunk, out);
                passed.count(report);
            }
        }
    }

    /// When to call [`Stage::tick`] even if nothing more comes.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.hold.as_ref()?.due()
    }

    /// Gives out what has been held for long enough.
    pub(crate) fn tick(&mut self, now: Instant, out: &mut dyn FnMut(&Chunk)) {
        if let Some(hold) = &mut self.hold {
            let mut passed = Passed::default();
            hold.tick(now, &mut self.report, &mut |chunk| passed.pass(&chunk, out));
            passed.count(&mut self.report);
        }
    }

    /// Gives out all that is held and not sampled out.
    pub(crate) fn flush(&mut self, now: Instant, out: &mut dyn FnMut(&Chunk)) {
        if let Some(hold) = &mut self.hold {
            let mut passed = Passed::default();
            hold.flush(now, &mut self.report, &mut |chunk| passed.pass(&chunk, out));
            passed.count(&mut self.report);
        }
    }

    pub(crate) fn report(&self) -> StageReport {
        let held = |hold: fn(&Hold) -> u64| self.hold.as_ref().map_or(0, hold);
        let mut report = self.report;
        report.spans.held = held(Hold::spans);
        report.logs.held = held(Hold::logs);
        report
    }
}

/// What is passed on while the report is in other hands.
#[derive(Default)]
struct Passed {
    spans: u64,
    logs: u64,
}

impl Passed {
    fn pass(&mut self, chunk: &Chunk, out: &mut dyn FnMut(&Chunk)) {
        self.spans += chunk.spans.len() as u64;
        self.logs += chunk.logs.len() as u64;
        out(chunk);
    }

    fn count(self, report: &mut StageReport) {
        let count = |flow: &mut Flow, number| flow.passed += number;
        count(&mut report.spans, self.spans);
        count(&mut report.logs, self.logs);
    }
}

#[cfg(test)]
#[path = "stage_tests.rs"]
mod tests;
