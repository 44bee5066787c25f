//! What is shown when the guest has ended.

use std::path::Path;
use std::time::Duration;

use console::Term;
use observe_collector::event::Metric;
use observe_collector::{Counts, Report as Delivery, Signal};
use observe_host::{Failure, FunctionRow, Report};

use super::Trace;
use crate::command::queue;
use crate::input::Input;
use crate::view::records::Records;
use crate::view::text::{clean, say};
use crate::view::tree::CallTree;
use crate::view::units::{count, duration, plural};
use crate::view::{memory, metrics, table};

/// Frames of a backtrace that are shown at its top, and at its bottom.
const FRAMES: usize = 16;

/// All that there is to show.
pub(super) struct Shown<'a> {
    pub(super) input: &'a Input,
    pub(super) coverage: &'a str,
    pub(super) tree: &'a CallTree,
    pub(super) records: &'a Records,
    pub(super) metrics: &'a [Metric],
    pub(super) trace: Trace,
    pub(super) top: usize,
    pub(super) min_duration: Duration,
    pub(super) failure: Option<&'a Failure>,
    pub(super) told: Option<&'a Report>,
    pub(super) delivery: &'a Delivery,
    /// What left out those spans that the sampler did.
    pub(super) left_out_by: &'static str,
    /// Where each signal goes that is sent.
    pub(super) endpoints: &'a [(Signal, String)],
    /// Where what was not delivered is kept, and the backend's URL if it was an option.
    pub(super) queue: Option<(&'a Path, Option<&'a str>)>,
}

impl Shown<'_> {
    /// Prints it on standard error, in one piece.
    pub(super) fn print(&self, quiet: bool) {
        let mut text = String::new();
        if let Some(failure) = self.failure {
            self.failure(&mut text, failure);
        }
        if !quiet {
            self.trace(&mut text);
        }
        self.losses(&mut text, quiet);
        say(&text);
    }

    fn failure(&self, text: &mut String, failure: &Failure) {
        let name = self.input.file_name();
        let (what, kind) = (clean(&failure.message), &failure.error_type);
        *text += &format!("observe: {}: {what} ({kind})\n", clean(&name));
        let frames = &failure.backtrace;
        for (at, frame) in frames.iter().enumerate() {
            if frames.len() > 2 * FRAMES && (FRAMES..frames.len() - FRAMES).contains(&at) {
                if at == FRAMES {
                    let frames = frames.len() - 2 * FRAMES;
                    *text += &format!("        … {}\n", plural(frames as u64, "frame"));
                }
                continue;
            }
            *text += &format!("    {at:>3}: {}\n", clean(&frame.to_string()));
        }
    }

    fn trace(&self, text: &mut String) {
        let Some(told) = self.told else { return };
        let width = Term::stderr().size_checked().map(|(_, width)| usize::from(width));
        *text += "\n";
        *text += &self.tree.render(2 * self.top, width);
        if !told.functions.is_empty() {
            *text += "\n";
            *text += &table::render(&told.functions, self.top, width, self.trace != Trace::All);
        }
        *text += &memory::render(told);
        *text += &self.records.render(self.failure, width);
        *text += &metrics::render(self.metrics, self.top, width);
        *text += &format!("\n{}\n", self.coverage);
        *text += &format!("trace {}: {}", told.trace_id, plural(told.spans, "span"));
        if self.trace != Trace::All {
            let sum = |of: fn(&FunctionRow) -> u64| told.functions.iter().map(of).sum();
            let timed = count(sum(|row| row.timed_calls));
            *text += &format!("; {timed} of {} timed", plural(sum(|row| row.calls), "call"));
        } else if told.folded > 0 {
            let nanos = u64::try_from(self.min_duration.as_nanos()).unwrap_or(u64::MAX);
            let shortest = duration(nanos);
            let folded = plural(told.folded, "call");
            *text += &format!("; {folded} under {shortest}, in the table only");
        }
        *text += "\n";
    }

    fn losses(&self, text: &mut String, quiet: bool) {
        if let Some(told) = self.told
            && told.lost.total() > 0
        {
            *text += &format!("observe: not recorded as said: {}\n", told.lost);
        }
        let left_out = self.delivery.stage.spans.sampled_out;
        for exporter in &self.delivery.exporters {
            for (signal, endpoint) in self.endpoints {
                let counts = exporter.counts_of(*signal);
                if *signal == Signal::Traces && left_out > 0 {
                    if !quiet {
                        let spans = plural(left_out, "span");
                        let by = self.left_out_by;
                        *text += &format!("{endpoint}: {spans} left out by {by}\n");
                    }
                    // Earlier runs may have left some to send.
                    if counts.accepted == 0 {
                        continue;
                    }
                }
                let error = exporter.error_of(*signal);
                *text += &delivery(*signal, endpoint, counts, error, quiet);
            }
            let queued = |(signal, _): &(Signal, String)| exporter.counts_of(*signal).queued > 0;
            if let Some((dir, otlp)) = self.queue
                && self.endpoints.iter().any(queued)
            {
                *text += &queue::kept(dir, otlp);
            }
        }
    }
}

/// A line on what became of a signal, if there is something to tell. That all went well is told
/// of spans, and unless `quiet`.
pub(in crate::command) fn delivery(
    signal: Signal,
    endpoint: &str,
    counts: &Counts,
    error: Option<&str>,
    quiet: bool,
) -> String {
    let item = match signal {
        Signal::Traces => "span",
        Signal::Logs => "log record",
        Signal::Metrics => "metric point",
    };
    if counts.delivered == counts.accepted {
        if quiet || signal != Signal::Traces {
            return String::new();
        }
        return format!("{endpoint}: {} delivered\n", plural(counts.delivered, item));
    }
    let of = format!("{} of {}", count(counts.delivered), plural(counts.accepted, item));
    let mut line = format!("observe: {endpoint}: {of} delivered");
    if counts.rejected > 0 {
        line += &format!(", {} rejected", count(counts.rejected));
    }
    for (reason, items) in counts.dropped.by_reason().iter().filter(|(_, items)| *items > 0) {
        line += &format!(", {} {reason}", count(*items));
    }
    if counts.queued > 0 {
        line += &format!(", {} kept", count(counts.queued));
    }
    if let Some(error) = error {
        let rest = error.strip_prefix(endpoint).map(|rest| rest.trim_start_matches(": "));
        line += &format!(" ({})", clean(rest.unwrap_or(error)));
    }
    line + &advice(signal, endpoint, counts) + "\n"
}

/// What can be done about a loss, where that is known.
fn advice(signal: Signal, endpoint: &str, counts: &Counts) -> String {
    // A backend of the other protocol answers what the transport cannot read.
    if counts.delivered == 0 && endpoint.contains(":4317/v1/") {
        return "; port 4317 is for OTEL_EXPORTER_OTLP_PROTOCOL=grpc".to_owned();
    }
    // Many backends take spans only, and whoever has one wants no such line after each run.
    let variable = match signal {
        Signal::Traces => return String::new(),
        Signal::Logs => "OTEL_LOGS_EXPORTER",
        Signal::Metrics => "OTEL_METRICS_EXPORTER",
    };
    if counts.rejected + counts.dropped.refused == 0 {
        return String::new();
    }
    format!("; {variable}=none sends none")
}

#[cfg(test)]
mod tests {
    use observe_collector::{Counts, Dropped, Signal};

    use super::delivery;

    fn refused(items: u64) -> Counts {
        let dropped = Dropped { refused: items, ..Dropped::default() };
        Counts { accepted: items, dropped, ..Counts::default() }
    }

    #[test]
    fn what_went_well_is_told_of_spans() {
        let counts = Counts { accepted: 1_000, delivered: 1_000, ..Counts::default() };
        let line = |signal, quiet| delivery(signal, "http://h/", &counts, Some("once"), quiet);
        assert_eq!(line(Signal::Traces, false), "http://h/: 1,000 spans delivered\n");
        assert_eq!(line(Signal::Traces, true), "");
        assert_eq!(line(Signal::Logs, false), "");
    }

    #[test]
    fn each_loss_is_told_with_its_reason() {
        let dropped = Dropped { queue_full: 2, undelivered: 3, ..Dropped::default() };
        let counts = Counts { accepted: 10, delivered: 4, rejected: 1, dropped, queued: 0 };
        let line = delivery(Signal::Traces, "http://h", &counts, Some("http://h: 503"), true);
        let expected = "observe: http://h: 4 of 10 spans delivered, 1 rejected, 2 queue full, \
                        3 undelivered (503)\n";
        assert_eq!(line, expected);
    }

    #[test]
    fn advice_is_given_where_there_is_any() {
        let url = "http://h:4318/v1/metrics";
        let line = delivery(Signal::Metrics, url, &refused(1), None, false);
        let expected = format!(
            "observe: {url}: 0 of 1 metric point delivered, 1 refused; \
             OTEL_METRICS_EXPORTER=none sends none\n"
        );
        assert_eq!(line, expected);

        for signal in Signal::ALL {
            let line = delivery(signal, "http://h:4317/v1/x", &refused(2), None, false);
            let advice = "2 refused; port 4317 is for OTEL_EXPORTER_OTLP_PROTOCOL=grpc\n";
            assert!(line.ends_with(advice), "{line}");
            let line = delivery(signal, "http://h:4317", &refused(2), None, false);
            assert!(!line.contains("PROTOCOL"), "{line}");
        }
    }
}
