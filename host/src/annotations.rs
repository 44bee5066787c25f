//! What a guest says of itself, within its quotas: spans, attributes and logs of its own.

use std::borrow::Cow;

use observe_collector::event::{Attribute, LogRecord, Severity, Value};

use crate::clock::Ticks;
use crate::frame::{Kind, UNTIMED};
use crate::recorder::Inner;

/// How much of its quotas a guest has used.
#[derive(Default)]
pub(crate) struct Guarded {
    /// Spans of its own that are open.
    pub(crate) open: u32,
    log_bytes: u64,
    /// Events since the second began.
    events: u32,
    second: u64,
}

impl Guarded {
    /// Begins a trace.
    pub(crate) fn start(&mut self) {
        *self = Guarded::default();
    }
}

impl Inner {
    /// Whether the guest may make one event more in this second.
    fn may_speak(&mut self) -> bool {
        let Some(trace) = &self.trace else { return false };
        let Ticks(now) = self.now();
        let second = trace.scale.nanos(now) / 1_000_000_000;
        let guarded = &mut self.guarded;
        if guarded.second != second {
            (guarded.second, guarded.events) = (second, 0);
        }
        guarded.events = guarded.events.saturating_add(1);
        let may = guarded.events <= self.shared.quotas.events_per_second;
        self.lost.excess_events += u64::from(!may);
        may
    }

    /// A text of the guest's, cut at so many bytes; `None`, and counted, where it is not all in
    /// memory. What is no UTF-8 in it is replaced, and counted.
    fn text<'b>(&mut self, bytes: Option<&'b [u8]>, limit: usize) -> Option<Cow<'b, str>> {
        let Some(bytes) = bytes else {
            self.lost.unreadable += 1;
            return None;
        };
        let mut cut = bytes.len().min(limit);
        // A character that the limit would cut through is left out.
        while cut < bytes.len() && cut > 0 && bytes[cut] & 0xc0 == 0x80 && limit - cut < 4 {
            cut -= 1;
        }
        let text = String::from_utf8_lossy(&bytes[..cut]);
        self.lost.malformed_texts += u64::from(matches!(text, Cow::Owned(_)));
        Some(text)
    }

    /// The guest opens a span of its own.
    pub(crate) fn begin_named(&mut self, name: Option<&[u8]>) -> i32 {
        if !self.may_speak() {
            return 0;
        }
        let limit = self.shared.quotas.name_bytes as usize;
        let Some(name) = self.text(name, limit) else { return 0 };
        if self.guarded.open >= self.shared.quotas.open_spans {
            self.lost.excess_open_spans += 1;
            return 0;
        }
        let (id, within) = self.names.intern(&name, self.shared.quotas.names);
        self.lost.excess_names += u64::from(!within);
        let row = self.stats.named(id);
        // What it opens takes room that calls were promised.
        self.be_careful();
        let Some(token) = self.open(Kind::Guest, row, 1) else {
            self.stats.count(row, 1);
            return UNTIMED;
        };
        self.guarded.open += 1;
        // So that its end is taken care of.
        let _ = self.extra();
        token.to_guest()
    }

    /// The guest gives the innermost span an attribute, given as UTF-8.
    pub(crate) fn guest_attribute(&mut self, key: Option<&[u8]>, value: Value) {
        if !self.may_speak() {
            return;
        }
        let quotas = self.shared.quotas;
        let Some(key) = self.text(key, quotas.name_bytes as usize) else { return };
        if !self.shared.redaction.allows(&key) {
            self.lost.redacted += 1;
            return;
        }
        let mut attribute = Attribute::new(key.into_owned(), value);
        let redaction = &self.shared.redaction;
        let Some(frame) = self.stack.last() else { return };
        let said: &[Attribute] = match frame.has_extra() {
            true => self.extras.last().map_or(&[], |extra| &extra.detail.attributes),
            false => &[],
        };
        let chars: usize = said.iter().map(chars).sum();
        let left = (quotas.span_value_chars as usize).saturating_sub(chars);
        if said.len() >= quotas.attributes as usize || left == 0 {
            self.lost.excess_attributes += 1;
            return;
        }
        redaction.clean(&mut attribute, left.min(quotas.value_chars as usize));
        if let Some(extra) = self.extra() {
            extra.detail.attributes.push(attribute);
        }
    }

    /// The guest logs a text, given as UTF-8. `None` is a level that nobody knows.
    pub(crate) fn guest_log(&mut self, severity: Option<Severity>, body: Option<&[u8]>) {
        if !self.may_speak() {
            return;
        }
        self.lost.unknown_levels += u64::from(severity.is_none());
        let quota = self.shared.quotas.log_bytes;
        let left = quota.saturating_sub(self.guarded.log_bytes);
        let limit = usize::try_from(left).unwrap_or(usize::MAX);
        let Some(body) = self.text(body, limit) else { return };
        if limit == 0 {
            self.lost.excess_log_bytes += 1;
            return;
        }
        self.guarded.log_bytes += body.len() as u64;
        let body = body.into_owned();
        self.log(severity.unwrap_or(Severity::Info), body, Vec::new());
    }

    /// Logs, tied to the innermost span.
    pub(crate) fn log(&mut self, severity: Severity, body: String, attributes: Vec<Attribute>) {
        let now = self.now();
        let Ok(span) = self.number_open() else {
            self.lost.too_many += 1;
            return;
        };
        let Some(trace) = &mut self.trace else { return };
        let time_unix_nanos = trace.scale.unix_nanos(now);
        trace.add_log(LogRecord { time_unix_nanos, span, severity, body, attributes });
    }
}

/// The characters of an attribute's value.
fn chars(attribute: &Attribute) -> usize {
    match &attribute.value {
        Value::String(text) => text.chars().count(),
        _ => 0,
    }
}
