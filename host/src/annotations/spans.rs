//! Scoped spans, and what is said of any span.

use std::borrow::Cow;

use observe_abi::guest;
use observe_collector::event::{SpanEvent, SpanKind, SpanLink, Status};
use observe_collector::propagation::RemoteContext;

use super::{Rules, Said};
use crate::clock::Ticks;
use crate::frame::{Extra, Kind};
use crate::recorder::Inner;
use crate::records::Records;
use crate::stats::RowId;

/// The bytes that an event or a link takes beside its texts and attributes, about.
const EVENT_BYTES: u64 = 128;

impl Inner {
    /// The guest begins a scoped span.
    pub(crate) fn begin_scoped(
        &mut self,
        kind: i32,
        name: Option<&[u8]>,
        attributes: &Records<'_>,
    ) -> i32 {
        let Some(row) = self.begin(name) else { return 0 };
        let kind = self.kind(kind);
        let said = self.said(attributes);
        let held = said.bytes;
        let token = self.open_named(Kind::Guest, row);
        match self.extras.last_mut() {
            Some(extra) if token < 0 => (extra.said, extra.detail.kind) = (said, kind),
            _ => self.guarded.held = self.guarded.held.saturating_sub(held),
        }
        token
    }

    /// What the guest says of a span that it begins.
    pub(super) fn said(&mut self, attributes: &Records<'_>) -> Said {
        let mut said = Said::default();
        if attributes.count() > 0 {
            let may = self.may_give(attributes);
            let mut rules = Rules::new(&self.shared, &mut self.lost, &mut self.guarded);
            said.read(&mut rules, attributes, may);
        }
        said
    }

    /// The guest begins a span of which it says no more than a name.
    pub(crate) fn begin_named(&mut self, kind: Kind, name: Option<&[u8]>) -> i32 {
        self.begin(name).map_or(0, |row| self.open_named(kind, row))
    }

    /// Where a span is counted that the guest wants to begin; `None` if it must not.
    pub(super) fn begin(&mut self, name: Option<&[u8]>) -> Option<RowId> {
        if !self.may_speak() {
            return None;
        }
        if self.guarded.open >= self.shared.quotas.open_spans {
            self.lost.excess_open_spans += 1;
            return None;
        }
        if let Some(row) = name.and_then(|name| self.guarded.known.row(name)) {
            return Some(row);
        }
        let text = self.text(name, self.shared.quotas.name_bytes as usize)?;
        let (id, within) = self.names.intern(&text, self.shared.quotas.names);
        self.lost.excess_names += u64::from(!within);
        let row = self.stats.named(id);
        if within && name == Some(text.as_bytes()) {
            self.guarded.known.remember_row(text.as_bytes(), row);
        }
        Some(row)
    }

    /// Opens the frame of a span, with what only few have, so that its end is taken care of.
    fn open_named(&mut self, kind: Kind, row: RowId) -> i32 {
        // What it opens takes room that calls were promised.
        self.be_careful();
        let Some(token) = self.open(kind, row, 1) else {
            self.stats.count(row, 1);
            return 0;
        };
        self.guarded.open += 1;
        self.guarded.loose += u32::from(kind == Kind::Loose);
        let _ = self.extra();
        token.to_guest()
    }

    pub(super) fn kind(&mut self, kind: i32) -> SpanKind {
        match kind {
            guest::kind::INTERNAL => SpanKind::Internal,
            guest::kind::SERVER => SpanKind::Server,
            guest::kind::CLIENT => SpanKind::Client,
            guest::kind::PRODUCER => SpanKind::Producer,
            guest::kind::CONSUMER => SpanKind::Consumer,
            _ => {
                self.lost.unknown_kinds += 1;
                SpanKind::Internal
            }
        }
    }

    /// The guest gives a span attributes.
    pub(crate) fn span_attributes(&mut self, span: i32, attributes: &Records<'_>) {
        let may = self.may_give(attributes);
        if self.trace.is_none() || attributes.within_reach() > 0 && may == 0 {
            return;
        }
        let Some(place) = self.place_of(span) else { return };
        let Some((extra, mut rules)) = self.said_at(place) else { return };
        extra.said.read(&mut rules, attributes, may);
    }

    /// Something happens within a span.
    pub(crate) fn span_event(
        &mut self,
        span: i32,
        name: Option<&[u8]>,
        attributes: &Records<'_>,
        now: Ticks,
    ) {
        if !self.may_speak() {
            return;
        }
        let may = self.may_give(attributes);
        let Some(place) = self.place_of(span) else { return };
        let Some(trace) = &self.trace else { return };
        let time_unix_nanos = trace.scale.unix_nanos(now);
        let Some((extra, mut rules)) = self.said_at(place) else { return };
        let Some(name) = rules.name(name).map(Cow::into_owned) else { return };
        let detail = &mut extra.detail;
        let has_room = detail.events.len() < rules.quotas.span_events as usize;
        if !has_room || !rules.hold(0, EVENT_BYTES + name.len() as u64) {
            rules.lost.excess_span_events += 1;
            detail.dropped_events = detail.dropped_events.saturating_add(1);
            return;
        }
        let mut said = Said::default();
        said.read(&mut rules, attributes, may);
        extra.beside += EVENT_BYTES + name.len() as u64 + said.bytes;
        let Said { attributes, dropped: dropped_attributes, .. } = said;
        detail.events.push(SpanEvent { time_unix_nanos, name, attributes, dropped_attributes });
    }

    /// The guest says how it went. Once a span went well, no more is to be said of that, as
    /// "Set Status" of the OpenTelemetry tracing API has it.
    pub(crate) fn span_status(&mut self, span: i32, status: i32, message: Option<&[u8]>) {
        if !self.may_speak() {
            return;
        }
        let Some(place) = self.place_of(span) else { return };
        let Some((extra, mut rules)) = self.said_at(place) else { return };
        let status = match status {
            guest::status::UNSET => return,
            guest::status::OK => Status::Ok,
            guest::status::ERROR => Status::Error,
            _ => return rules.lost.unknown_kinds += 1,
        };
        let Some(message) = rules.message(message) else { return };
        if extra.status != Status::Ok {
            extra.status = status;
            extra.detail.status_message =
                if status == Status::Error { message } else { String::new() };
        }
    }

    /// The guest links a span to another, given as a `traceparent`.
    pub(crate) fn span_link(
        &mut self,
        span: i32,
        traceparent: Option<&[u8]>,
        attributes: &Records<'_>,
    ) {
        if !self.may_speak() {
            return;
        }
        let may = self.may_give(attributes);
        let Some(place) = self.place_of(span) else { return };
        let Some((extra, mut rules)) = self.said_at(place) else { return };
        let Some(traceparent) = traceparent else { return rules.lost.unreadable += 1 };
        let context = std::str::from_utf8(traceparent).ok();
        let context = context.and_then(|text| text.parse::<RemoteContext>().ok());
        let Some(RemoteContext { trace_id, parent }) = context else {
            return rules.lost.malformed_links += 1;
        };
        let detail = &mut extra.detail;
        let has_room = detail.links.len() < rules.quotas.span_links as usize;
        if !has_room || !rules.hold(0, EVENT_BYTES) {
            rules.lost.excess_span_events += 1;
            detail.dropped_links = detail.dropped_links.saturating_add(1);
            return;
        }
        let mut said = Said::default();
        said.read(&mut rules, attributes, may);
        extra.beside += EVENT_BYTES + said.bytes;
        detail.links.push(SpanLink {
            trace_flags: parent.trace_flags,
            attributes: said.attributes,
            dropped_attributes: said.dropped,
            ..SpanLink::new(trace_id, parent.span_id)
        });
    }
}

impl Extra {
    /// The bytes that what the guest said takes, about.
    pub(crate) fn held(&self) -> u64 {
        self.said.bytes + self.beside
    }
}
