//! Log records, of the guest's own and of the host's.

use std::borrow::Cow;

use observe_abi::guest;
use observe_collector::event::{Attribute, LogRecord, Severity};

use super::{Rules, Said};
use crate::clock::Ticks;
use crate::recorder::Inner;
use crate::records::Records;

impl Inner {
    /// The guest logs a text, given as UTF-8. `None` is a level that nobody knows.
    pub(crate) fn guest_log(&mut self, severity: Option<Severity>, body: Option<&[u8]>) {
        self.guest_record(guest::CURRENT, severity, body, &Records::NONE, self.now());
    }

    /// The guest logs a text with attributes, tied to a span.
    pub(crate) fn guest_record(
        &mut self,
        span: i32,
        severity: Option<Severity>,
        body: Option<&[u8]>,
        attributes: &Records<'_>,
        now: Ticks,
    ) {
        if severity.is_some_and(|severity| severity < self.shared.min_severity) {
            return;
        }
        if !self.may_speak() {
            return;
        }
        self.lost.unknown_levels += u64::from(severity.is_none());
        let Some(place) = self.place_of(span) else { return };
        let quota = self.shared.quotas.log_bytes;
        let left = quota.saturating_sub(self.guarded.log_bytes);
        let limit = usize::try_from(left).unwrap_or(usize::MAX);
        if limit == 0 {
            self.lost.excess_log_bytes += 1;
            return;
        }
        let Some(body) = self.text(body, limit).map(Cow::into_owned) else { return };
        let may = self.may_give(attributes);
        let mut said = Said::default();
        let mut rules = Rules::new(&self.shared, &mut self.lost, &mut self.guarded);
        // What is handed over is held by no span.
        let mut held = 0;
        rules.held = &mut held;
        said.read(&mut rules, attributes, may);
        self.guarded.log_bytes += body.len() as u64 + said.bytes;
        let Ok(span) = self.number_of(place) else {
            self.lost.too_many += 1;
            return;
        };
        let Some(trace) = &mut self.trace else { return };
        trace.add_log(LogRecord {
            time_unix_nanos: trace.scale.unix_nanos(now),
            span,
            severity: severity.unwrap_or(Severity::Info),
            body,
            attributes: said.attributes,
            dropped_attributes: said.dropped,
        });
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

/// The severity of a number of the OpenTelemetry logs data model, "Field: `SeverityNumber`": the
/// first of its range. `None` for one that nobody knows.
pub(crate) fn severity(number: i32) -> Option<Severity> {
    Some(match number {
        1..=4 => Severity::Trace,
        5..=8 => Severity::Debug,
        9..=12 => Severity::Info,
        13..=16 => Severity::Warn,
        17..=20 => Severity::Error,
        21..=24 => Severity::Fatal,
        _ => return None,
    })
}
