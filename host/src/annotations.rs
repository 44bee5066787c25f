//! What a guest says of itself, within its quotas: spans, attributes and logs of its own.

mod attributes;
mod batch;
mod context;
mod detached;
mod known;
mod logs;
mod places;
mod spans;

use std::borrow::Cow;

pub(crate) use self::attributes::Said;
pub(crate) use self::detached::Detached;
use self::known::Key;
pub(crate) use self::known::Known;
pub(crate) use self::logs::severity;
use crate::clock::Ticks;
use crate::lost::Lost;
use crate::observer::Shared;
use crate::quotas::Quotas;
use crate::recorder::Inner;
use crate::records::{Raw, Records};
use crate::redaction::Redaction;
use crate::statsd;

/// The bytes at which a text of tags is cut: more than the quotas let through.
const MAX_TAGS_BYTES: usize = 1 << 16;

/// What names of the host's own attributes and metrics begin with, and those that OpenTelemetry
/// keeps for itself. A guest must not use them.
const RESERVED: [&str; 2] = ["wasm.", "otel."];

/// How much of its quotas a guest has used.
pub(crate) struct Guarded {
    /// Spans of its own that are open.
    pub(crate) open: u32,
    /// Those among them that no token names, and that the guest has not ended.
    pub(crate) loose: u32,
    /// Entries of detached spans on the stack.
    pub(crate) entries: u32,
    /// The bytes that attributes, events and links of open spans take.
    pub(crate) held: u64,
    log_bytes: u64,
    /// What it said before.
    pub(crate) known: Known,
    /// Events that it may make until the clock is read again.
    events: u32,
    /// When they were given to it.
    since: Ticks,
}

impl Guarded {
    /// At a time from which on it may make so many events in a second.
    pub(crate) fn new(now: Ticks, events: u32) -> Self {
        Guarded {
            open: 0,
            loose: 0,
            entries: 0,
            held: 0,
            log_bytes: 0,
            known: Known::default(),
            events,
            since: now,
        }
    }
}

/// What decides how much of a guest's words is kept, and counts the rest.
pub(crate) struct Rules<'r> {
    pub(crate) quotas: &'r Quotas,
    redaction: &'r Redaction,
    lost: &'r mut Lost,
    held: &'r mut u64,
    known: &'r mut Known,
}

impl<'r> Rules<'r> {
    /// The rules for what is kept with an open span.
    fn new(shared: &'r Shared, lost: &'r mut Lost, guarded: &'r mut Guarded) -> Self {
        let (quotas, redaction) = (&shared.quotas, &shared.redaction);
        let Guarded { held, known, .. } = guarded;
        Rules { quotas, redaction, lost, held, known }
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

    /// A name, cut at the quota.
    fn name<'b>(&mut self, bytes: Option<&'b [u8]>) -> Option<Cow<'b, str>> {
        self.text(bytes, self.quotas.name_bytes as usize)
    }

    /// A key, unless it must not be used, which is counted.
    fn key(&mut self, bytes: Option<&[u8]>) -> Option<Key> {
        if let Some(key) = bytes.and_then(|bytes| self.known.key(bytes)) {
            return Some(key);
        }
        let text = self.name(bytes)?;
        if text.is_empty() {
            self.lost.unknown_kinds += 1;
            return None;
        }
        if !self.redaction.allows(&text) {
            self.lost.redacted += 1;
            return None;
        }
        if is_reserved(&text) {
            self.lost.excess_attributes += 1;
            return None;
        }
        let is_secret = self.redaction.is_secret(&text);
        if bytes == Some(text.as_bytes()) {
            self.known.remember_key(&text, is_secret);
        }
        Some(Key { text: Cow::Owned(text.into_owned()), is_secret })
    }

    /// Takes room for so many bytes in place of others, unless there is too little.
    fn hold(&mut self, before: u64, now: u64) -> bool {
        let held = self.held.saturating_sub(before).saturating_add(now);
        let has_room = held <= self.quotas.open_bytes;
        if has_room {
            *self.held = held;
        }
        has_room
    }
}

impl Inner {
    /// Whether the guest may make one event more in this second.
    pub(crate) fn may_speak(&mut self) -> bool {
        self.may_say(1) == 1
    }

    /// How many of so many events the guest may make. Those that it must not are counted.
    ///
    /// The clock is read only when those of a second are used up.
    fn may_say(&mut self, events: u32) -> u32 {
        if self.trace.is_none() {
            return 0;
        }
        if self.guarded.events < events {
            self.refill();
        }
        let may = events.min(self.guarded.events);
        self.guarded.events -= may;
        self.lost.excess_events += u64::from(events - may);
        may
    }

    /// How many of these attributes it may give; those past the quota of one thing are no events.
    fn may_give(&mut self, attributes: &Records<'_>) -> u32 {
        self.may_say(attributes.within_reach().min(self.shared.quotas.attributes))
    }

    /// Whether it may make any.
    fn has_events_left(&mut self) -> bool {
        if self.guarded.events == 0 {
            self.refill();
        }
        self.guarded.events > 0
    }

    /// Gives the guest the events of another second, if one has passed.
    #[cold]
    fn refill(&mut self) {
        let Some(trace) = &self.trace else { return };
        let now = self.now();
        if now.since(self.guarded.since) >= trace.scale.ticks(1_000_000_000) {
            self.guarded.since = now;
            self.guarded.events = self.shared.quotas.events_per_second;
        }
    }

    /// What the host wants to be told.
    pub(crate) fn interest(&self) -> u32 {
        use observe_abi::guest::interest::{ANSWERED, LOGS, METRICS, SEVERITY_SHIFT, SPANS};
        let logs = match &self.shared.sink {
            Some(_) => LOGS | (self.shared.min_severity as u32) << SEVERITY_SHIFT,
            None => 0,
        };
        ANSWERED | SPANS | METRICS | logs
    }

    /// The rules for what is held by no open span.
    pub(crate) fn rules<'r>(&'r mut self, held: &'r mut u64) -> Rules<'r> {
        Rules { held, ..Rules::new(&self.shared, &mut self.lost, &mut self.guarded) }
    }

    /// A text of the guest's, as [`Rules::text`] has it.
    pub(crate) fn text<'b>(
        &mut self,
        bytes: Option<&'b [u8]>,
        limit: usize,
    ) -> Option<Cow<'b, str>> {
        Rules::new(&self.shared, &mut self.lost, &mut self.guarded).text(bytes, limit)
    }

    /// The guest gives the span that it means tags, given as UTF-8: `key:value`, or only `key`,
    /// with commas between them.
    pub(crate) fn guest_tags(&mut self, tags: Option<&[u8]>) {
        if self.trace.is_none() {
            return;
        }
        let Some(tags) = self.text(tags, MAX_TAGS_BYTES) else { return };
        let Some(place) = self.tagged() else { return };
        for (key, value) in statsd::tags(&tags) {
            if !self.may_speak() {
                continue;
            }
            let value = value.map_or(Raw::Bool(true), |value| Raw::String(value.as_bytes()));
            let Some(extra) = self.extras.get_mut(place) else { return };
            let mut rules = Rules::new(&self.shared, &mut self.lost, &mut self.guarded);
            extra.said.add(&mut rules, Some(key.as_bytes()), Ok(value));
        }
    }
}

pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|prefix| name.starts_with(prefix))
}
