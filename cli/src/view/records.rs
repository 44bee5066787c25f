//! What the guest logged, and the events of its spans, in the order of their times.
//!
//! It is an [`Exporter`], as the tree is, and keeps no more than will be shown.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use console::truncate_str;
use observe_collector::event::{
    Attribute, Chunk, LogRecord, Severity, SpanEvent, SpanNumber, SpanRecord, TraceInfo,
};
use observe_collector::{Counts, Exporter};
use observe_host::Failure;

use crate::view::attributes;
use crate::view::text::clean;
use crate::view::units::{duration, plural};

/// The widest that a text is shown, in columns, where the terminal has no end.
const TEXT: usize = 200;

/// The widest that the name of a span is shown.
const NAME: usize = 40;

/// The log records and events of a trace that is being received.
#[derive(Clone)]
pub(crate) struct Records(Arc<Mutex<State>>);

struct State {
    /// How many are kept.
    room: usize,
    kept: Vec<Record>,
    left_out: u64,
    /// Spans that have not ended, and of which the names are wanted.
    wanted: HashSet<SpanNumber>,
    /// When the root began.
    start: Option<u64>,
    received: u64,
}

struct Record {
    time: u64,
    severity: Severity,
    /// What stands in the place of the severity's name.
    label: &'static str,
    text: String,
    attributes: String,
    /// What a failure of the guest is told by, too.
    exception: Option<String>,
    span: Option<SpanNumber>,
    span_name: Option<String>,
}

impl Records {
    /// Keeps so many: the most severe, and of these the last.
    pub(crate) fn new(room: usize) -> Self {
        Records(Arc::new(Mutex::new(State {
            room,
            kept: Vec::new(),
            left_out: 0,
            wanted: HashSet::new(),
            start: None,
            received: 0,
        })))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Each record is added whole or not at all.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// They as text, a line for each; empty if there are none. What the host said of a failure,
    /// which is shown by itself, is left out.
    pub(crate) fn render(&self, failure: Option<&Failure>, width: Option<usize>) -> String {
        let mut state = self.lock();
        let State { kept, left_out, start, .. } = &mut *state;
        // Records of the same time stay in the order in which they came.
        kept.sort_by_key(|record| record.time);
        let start = start.unwrap_or_default();
        let is_failure = |record: &&Record| {
            failure.is_some_and(|failure| record.exception.as_ref() == Some(&failure.message))
        };
        let mut text = String::new();
        for record in kept.iter().filter(|record| !is_failure(record)) {
            let at = duration(record.time.saturating_sub(start));
            let (label, said) = (record.label, &record.text);
            let head = format!("{at:>9}  {label:<5}  {said}");
            let mut tail = record.attributes.clone();
            if let Some(name) = &record.span_name {
                tail += if tail.is_empty() { "" } else { "  " };
                tail += &format!("in {}", truncate_str(&clean(name), NAME, "…"));
            }
            text += &attributes::line(&head, &tail, width.unwrap_or(usize::MAX));
        }
        if *left_out > 0 {
            text += &format!("… {}\n", plural(*left_out, "more record"));
        }
        if text.is_empty() { text } else { format!("\nlogs and events:\n{text}") }
    }
}

impl Exporter for Records {
    fn name(&self) -> &str {
        "records"
    }

    fn export(&mut self, chunk: &Chunk) {
        let mut state = self.lock();
        for log in &chunk.logs {
            state.keep(Record::of_log(log));
        }
        for span in &chunk.spans {
            state.add_span(span, &chunk.trace);
        }
    }

    fn flush(&mut self, _deadline: Instant) {}

    fn counts(&self) -> Counts {
        let received = self.lock().received;
        Counts { accepted: received, delivered: received, ..Counts::default() }
    }

    fn last_error(&self) -> Option<String> {
        None
    }
}

impl State {
    fn add_span(&mut self, span: &SpanRecord, trace: &TraceInfo) {
        self.received += 1;
        if span.parent.is_none() {
            self.start = Some(span.start_unix_nanos);
        }
        let events = span.detail.iter().flat_map(|detail| &detail.events);
        events.for_each(|event| self.keep(Record::of_event(event, span.number)));
        // Logs are told before their spans end, and events with them.
        if self.wanted.remove(&span.number) {
            let own = span.detail.as_ref().and_then(|detail| detail.name.as_deref());
            let symbol = || Some(trace.symbols.get(span.symbol?)?.name.as_str());
            let name = own.or_else(symbol).unwrap_or("?");
            for record in self.kept.iter_mut().filter(|kept| kept.span == Some(span.number)) {
                record.span_name = Some(name.to_owned());
            }
        }
    }

    fn keep(&mut self, record: Record) {
        let span = record.span;
        self.kept.push(record);
        if self.kept.len() > self.room {
            let rank = |&at: &usize| (self.kept[at].severity, self.kept[at].time, at);
            if let Some(least) = (0..self.kept.len()).min_by_key(rank) {
                self.kept.remove(least);
            }
            self.left_out += 1;
        }
        self.wanted.extend(span);
    }
}

impl Record {
    fn new(time: u64, span: Option<SpanNumber>, text: &str, attributes: &[Attribute]) -> Self {
        // Cut before all else, as it may be long.
        let text: String = text.chars().take(TEXT + 1).collect();
        Record {
            time,
            severity: Severity::Info,
            label: "EVENT",
            text: truncate_str(&clean(&text), TEXT, "…").into_owned(),
            attributes: attributes::render(attributes),
            exception: None,
            span,
            span_name: None,
        }
    }

    fn of_log(log: &LogRecord) -> Self {
        let said = |key: &str| log.attributes.iter().find(|attribute| attribute.key == key);
        let exception = said("exception.message").and_then(|message| match &message.value {
            observe_collector::event::Value::String(message) => Some(message.clone()),
            _ => None,
        });
        Record {
            severity: log.severity,
            label: log.severity.text(),
            exception,
            ..Record::new(log.time_unix_nanos, log.span, &log.body, &log.attributes)
        }
    }

    fn of_event(event: &SpanEvent, span: SpanNumber) -> Self {
        Record::new(event.time_unix_nanos, Some(span), &event.name, &event.attributes)
    }
}

#[cfg(test)]
mod tests {
    use observe_collector::event::{SpanDetail, Status, SymbolTable, TraceId};

    use super::*;

    fn trace() -> Arc<TraceInfo> {
        Arc::new(TraceInfo {
            trace_id: TraceId([1; 16]),
            parent: None,
            seed: 1,
            symbols: Arc::new(SymbolTable::default()),
        })
    }

    fn log(time: u64, severity: Severity, body: &str) -> LogRecord {
        LogRecord {
            time_unix_nanos: time,
            span: Some(SpanNumber(1)),
            severity,
            body: body.to_owned(),
            attributes: vec![Attribute::new("n", time as i64)],
            dropped_attributes: 0,
        }
    }

    fn span(number: u32, parent: Option<u32>, name: &str, events: Vec<SpanEvent>) -> SpanRecord {
        let detail =
            SpanDetail { name: Some(name.to_owned().into()), events, ..SpanDetail::default() };
        SpanRecord {
            start_unix_nanos: 1_000,
            end_unix_nanos: 9_000,
            number: SpanNumber(number),
            parent: parent.map(SpanNumber),
            symbol: None,
            status: Status::Unset,
            detail: Some(Box::new(detail)),
        }
    }

    fn shown(room: usize, logs: Vec<LogRecord>, events: Vec<SpanEvent>) -> String {
        let mut records = Records::new(room);
        records.export(&Chunk { trace: trace(), spans: Vec::new(), logs });
        let spans = vec![span(1, Some(0), "inner", events), span(0, None, "root", Vec::new())];
        records.export(&Chunk { trace: trace(), spans, logs: Vec::new() });
        records.render(None, None)
    }

    #[test]
    fn logs_and_events_stand_in_the_order_of_their_times() {
        let event = SpanEvent {
            time_unix_nanos: 3_000,
            name: "validated".to_owned(),
            attributes: vec![Attribute::new("rules", 3)],
            dropped_attributes: 0,
        };
        let logs = vec![log(2_000, Severity::Info, "first"), log(4_000, Severity::Warn, "a\nb")];
        let expected = "\nlogs and events:\n  \
            1.00 µs  INFO   first  n=2000  in inner\n  \
            2.00 µs  EVENT  validated  rules=3  in inner\n  \
            3.00 µs  WARN   a\\nb  n=4000  in inner\n";
        assert_eq!(shown(9, logs, vec![event]), expected);
        assert_eq!(shown(9, Vec::new(), Vec::new()), "");
    }

    #[test]
    fn the_most_severe_are_kept_and_of_these_the_last() {
        let mut logs: Vec<_> = (0..1000).map(|n| log(n, Severity::Info, "many")).collect();
        logs[500] = log(500, Severity::Error, "one");
        let shown = shown(3, logs, Vec::new());
        let lines: Vec<_> = shown.lines().skip(2).collect();
        assert_eq!(lines.len(), 4, "{shown}");
        assert!(lines[0].contains("ERROR  one  n=500"), "{shown}");
        assert!(lines[1].contains("n=998") && lines[2].contains("n=999"), "{shown}");
        assert_eq!(lines[3], "… 997 more records");
    }
}
