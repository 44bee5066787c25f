//! A span that is not complete.

use std::time::Instant;

use super::assembler::Limits;
use super::events::{End, Folded, Start, StreamId};
use crate::event::{Attribute, SpanDetail, SpanEvent, SpanKind, SpanLink, SpanNumber, SpanRecord};

/// What a span says of a [`Defect`](super::Defects).
const DEFECT: &str = "observe.assembly.defect";

/// What is known of a span so far.
#[derive(Debug)]
pub(super) struct Entry {
    /// When the first was heard of it.
    pub(super) since: Instant,
    pub(super) start: Option<Start>,
    pub(super) end: Option<End>,
    /// Where it is open.
    pub(super) stream: Option<StreamId>,
    /// What was set, beside folded calls.
    detail: Option<Box<SpanDetail>>,
    folded: Folded,
    defect: Option<&'static str>,
}

impl Entry {
    pub(super) fn new(since: Instant) -> Self {
        let folded = Folded::default();
        Entry { since, start: None, end: None, stream: None, detail: None, folded, defect: None }
    }

    /// Whether a beginning or an end was told: otherwise there is no span yet.
    pub(super) fn is_span(&self) -> bool {
        self.start.is_some() || self.end.is_some()
    }

    /// Says what is wrong with the span; the first that was counts.
    pub(super) fn mark(&mut self, defect: &'static str) {
        self.defect.get_or_insert(defect);
    }

    pub(super) fn fold(&mut self, folded: Folded) {
        self.folded.add(folded);
    }

    pub(super) fn set(&mut self, limits: &Limits, attribute: Attribute) {
        let detail = self.detail.get_or_insert_default();
        let before = detail.attributes.iter().position(|before| before.key == attribute.key);
        if let Some(at) = before {
            detail.attributes[at] = attribute;
        } else if detail.attributes.len() < limits.attributes {
            detail.attributes.push(attribute);
        } else {
            detail.dropped_attributes = detail.dropped_attributes.saturating_add(1);
        }
    }

    pub(super) fn happened(&mut self, limits: &Limits, event: SpanEvent) {
        let detail = self.detail.get_or_insert_default();
        if detail.events.len() < limits.events {
            detail.events.push(event);
        } else {
            detail.dropped_events = detail.dropped_events.saturating_add(1);
        }
    }

    pub(super) fn link(&mut self, limits: &Limits, link: SpanLink) {
        let detail = self.detail.get_or_insert_default();
        if detail.links.len() < limits.links {
            detail.links.push(link);
        } else {
            detail.dropped_links = detail.dropped_links.saturating_add(1);
        }
    }

    /// The span, as far as it is known.
    pub(super) fn into_record(self, number: SpanNumber) -> SpanRecord {
        let Entry { start, end, mut detail, folded, defect, .. } = self;
        let end = end.unwrap_or_else(|| End::of(number));
        let start = start.unwrap_or_else(|| Start::unnamed(number));
        let mut said = folded
            .attributes()
            .chain(defect.map(|defect| Attribute::new(DEFECT, defect)))
            .peekable();
        if start.name.is_some()
            || start.kind != SpanKind::Internal
            || !end.status_message.is_empty()
            || said.peek().is_some()
        {
            let detail = detail.get_or_insert_default();
            detail.name = start.name.map(Into::into);
            detail.kind = start.kind;
            detail.status_message = end.status_message;
            detail.attributes.extend(said);
        }
        SpanRecord {
            start_unix_nanos: start.time_unix_nanos,
            end_unix_nanos: end.time_unix_nanos.max(start.time_unix_nanos),
            number,
            parent: start.parent,
            symbol: start.symbol,
            status: end.status,
            detail,
        }
    }
}
