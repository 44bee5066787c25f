//! What a guest says of itself, within its quotas: spans, attributes and logs of its own.

use std::borrow::Cow;
use std::sync::Arc;

use observe_collector::event::{Attribute, LogRecord, Severity, Value};

use crate::clock::Ticks;
use crate::frame::{Extra, Kind, UNTIMED};
use crate::guest_metrics::Of;
use crate::recorder::Inner;
use crate::statsd;

/// The bytes at which a text of tags is cut: more than the quotas let through.
const MAX_TAGS_BYTES: usize = 1 << 16;

/// What names of the host's own attributes and metrics begin with, and those that OpenTelemetry
/// keeps for itself. A guest must not use them.
const RESERVED: [&str; 2] = ["wasm.", "otel."];

/// How much of its quotas a guest has used.
#[derive(Default)]
pub(crate) struct Guarded {
    /// Spans of its own that are open.
    pub(crate) open: u32,
    /// Those among them that no token names, and that the guest has not ended.
    pub(crate) loose: u32,
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
        self.lost.cut_texts += u64::from(cut < bytes.len());
        let text = String::from_utf8_lossy(&bytes[..cut]);
        self.lost.malformed_texts += u64::from(matches!(text, Cow::Owned(_)));
        Some(text)
    }

    /// The guest opens a span of its own.
    pub(crate) fn begin_named(&mut self, kind: Kind, name: Option<&[u8]>) -> i32 {
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
        let Some(token) = self.open(kind, row, 1) else {
            self.stats.count(row, 1);
            return UNTIMED;
        };
        self.guarded.open += 1;
        self.guarded.loose += u32::from(kind == Kind::Loose);
        // So that its end is taken care of.
        let _ = self.extra();
        token.to_guest()
    }

    /// The guest gives the span that it means tags, given as UTF-8: `key:value`, or only `key`,
    /// with commas between them.
    pub(crate) fn guest_tags(&mut self, tags: Option<&[u8]>) {
        if self.trace.is_none() {
            return;
        }
        let Some(tags) = self.text(tags, MAX_TAGS_BYTES) else { return };
        for (key, value) in statsd::tags(&tags) {
            self.guest_attribute(key, value.map_or(Value::Bool(true), Value::from));
        }
    }

    /// The guest gives the span that it means an attribute.
    fn guest_attribute(&mut self, key: &str, value: Value) {
        if !self.may_speak() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let (quotas, redaction) = (&shared.quotas, &shared.redaction);
        let Some(key) = self.text(Some(key.as_bytes()), quotas.name_bytes as usize) else { return };
        if !redaction.allows(&key) {
            self.lost.redacted += 1;
            return;
        }
        let mut attribute = Attribute::new(key.into_owned(), value);
        let Some((Extra { detail, .. }, is_its_own)) = self.tagged() else { return };
        let before = detail.attributes.iter().position(|said| said.key == attribute.key);
        // What the host said stays, and what it may yet say.
        let is_reserved = is_reserved(&attribute.key);
        let replaced = before.filter(|_| is_its_own);
        let others = detail.attributes.iter().enumerate().filter(|&(at, _)| Some(at) != replaced);
        let (count, used) =
            others.fold((0, 0), |(count, used), (_, said)| (count + 1, used + chars(said)));
        let left = (quotas.span_value_chars as usize).saturating_sub(used);
        let fits = count < quotas.attributes as usize && left > 0;
        let fits = fits && before == replaced && !is_reserved;
        let mut is_cut = false;
        if fits {
            is_cut = redaction.clean(&mut attribute, left.min(quotas.value_chars as usize));
            match replaced {
                Some(at) => detail.attributes[at] = attribute,
                None => detail.attributes.push(attribute),
            }
        }
        self.lost.excess_attributes += u64::from(!fits);
        self.lost.cut_texts += u64::from(is_cut);
    }

    /// The guest tells metrics, given as UTF-8 in lines as statsd takes them.
    pub(crate) fn guest_metrics(&mut self, lines: Option<&[u8]>) {
        if self.trace.is_none() {
            return;
        }
        if lines.is_some_and(|lines| lines.len() > statsd::MAX_BYTES) {
            self.lost.malformed_metrics += 1;
            return;
        }
        let Some(lines) = self.text(lines, statsd::MAX_BYTES) else { return };
        for line in lines.lines().filter(|line| !line.is_empty()) {
            if !self.may_speak() {
                continue;
            }
            match statsd::Line::parse(line) {
                Some(line) if !is_reserved(line.name) => self.guest_metric(&line),
                _ => self.lost.malformed_metrics += 1,
            }
        }
    }

    fn guest_metric(&mut self, line: &statsd::Line<'_>) {
        let shared = Arc::clone(&self.shared);
        let (quotas, redaction) = (&shared.quotas, &shared.redaction);
        let name_bytes = quotas.name_bytes as usize;
        let Some(name) = self.text(Some(line.name.as_bytes()), name_bytes) else { return };
        let (id, within) = self.names.intern(&name, quotas.names);
        self.lost.excess_names += u64::from(!within);
        let mut tags: Vec<Attribute> = Vec::new();
        let mut left = quotas.span_value_chars as usize;
        for (key, value) in statsd::tags(line.tags) {
            let Some(key) = self.text(Some(key.as_bytes()), name_bytes) else { return };
            if !redaction.allows(&key) {
                self.lost.redacted += 1;
            } else if tags.len() >= quotas.attributes as usize || left == 0 || is_reserved(&key) {
                self.lost.excess_attributes += 1;
            } else if tags.iter().all(|tag| tag.key != key) {
                let value = value.map_or(Value::Bool(true), Value::from);
                let mut tag = Attribute::new(key.into_owned(), value);
                let is_cut = redaction.clean(&mut tag, left.min(quotas.value_chars as usize));
                self.lost.cut_texts += u64::from(is_cut);
                left -= chars(&tag);
                tags.push(tag);
            }
        }
        let tenant = self.trace.as_ref().and_then(|trace| trace.tenant.as_deref());
        let of = Of { tenant, name: self.names.get(id), kind: line.kind, tags };
        let kept = shared.guest_metrics.add(of, &line.changes, quotas.metric_series);
        self.lost.excess_series += u64::from(!kept);
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
        if limit == 0 {
            self.lost.excess_log_bytes += 1;
            return;
        }
        let Some(body) = self.text(body, limit) else { return };
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
        trace.add_log(LogRecord {
            time_unix_nanos,
            span,
            severity,
            body,
            attributes,
            dropped_attributes: 0,
        });
    }
}

fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|prefix| name.starts_with(prefix))
}

/// The characters of an attribute's value.
fn chars(attribute: &Attribute) -> usize {
    match &attribute.value {
        Value::String(text) => text.chars().count(),
        _ => 0,
    }
}
