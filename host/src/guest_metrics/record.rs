//! What a guest measures, within its quotas.

use std::sync::Arc;

use observe_abi::guest::instrument;
use observe_collector::event::{Exemplar, Number};

use super::instruments::Identity;
use super::series::{Data, Slot};
use super::{Kind, Of};
use crate::annotations::{Said, is_reserved};
use crate::recorder::Inner;
use crate::records::{Raw, Records};
use crate::statsd::{self, Change, Line};

/// The bytes at which a unit is cut: the 63 characters of the OpenTelemetry metrics API
/// specification, "Instrument unit", are ASCII.
const MAX_UNIT_BYTES: usize = 63;

/// The bytes at which a description is cut. The same source, "Instrument description", asks for
/// 1,023 characters at least.
const MAX_DESCRIPTION_BYTES: usize = 1024;

impl Inner {
    /// The guest names a metric. The instrument is 0 where that is none.
    ///
    /// It may do so outside of a trace, as what initializes it does, so that no quota but that of
    /// names counts: each is kept once, for as long as the store lives.
    pub(crate) fn instrument(
        &mut self,
        kind: i32,
        [name, unit, description]: [Option<&[u8]>; 3],
    ) -> i32 {
        let kind = match kind {
            instrument::COUNTER => Kind::Counter,
            instrument::UP_DOWN_COUNTER => Kind::UpDownCounter,
            instrument::GAUGE => Kind::Gauge,
            instrument::HISTOGRAM => Kind::Histogram,
            _ => {
                self.lost.malformed_metrics += 1;
                return 0;
            }
        };
        let quotas = self.shared.quotas;
        let Some(name) = self.text(name, quotas.name_bytes as usize) else { return 0 };
        let Some(unit) = self.text(unit, MAX_UNIT_BYTES) else { return 0 };
        let Some(description) = self.text(description, MAX_DESCRIPTION_BYTES) else { return 0 };
        // OTLP takes any name, and so do we: it is for the guest to know what its backend does.
        if name.is_empty() || is_reserved(&name) {
            self.lost.malformed_metrics += 1;
            return 0;
        }
        let identity = Identity { name: name.into(), kind, unit: unit.into() };
        let given = self.instruments.give(identity, &description, quotas.names);
        self.lost.excess_names += u64::from(!given.within);
        self.lost.conflicting_metrics += u64::from(given.conflicts);
        given.instrument
    }

    /// The guest measures something. Outside of a trace, where nobody knows whom it works for, it
    /// is not recorded.
    ///
    /// # Overhead
    ///
    /// Under 100 ns for a series that was used in this trace, if no texts are long; the first time
    /// a microsecond or two, and a lock.
    #[inline(never)]
    pub(crate) fn measure(&mut self, instrument: i32, value: Number, records: &Records<'_>) {
        if self.trace.is_none() || instrument == 0 {
            return;
        }
        let Some(of) = self.instruments.get(instrument) else {
            self.lost.unknown_instruments += 1;
            return;
        };
        if !of.identity.kind.takes(value) {
            self.lost.invalid_measurements += 1;
            return;
        }
        if records.within_reach() < records.count() {
            // Without its attributes it would be of another series.
            self.lost.unreadable += 1;
            return;
        }
        let found = self.instruments.find(instrument, records);
        if found.is_some_and(|slot| slot.record_quickly(value)) {
            return;
        }
        let slot = match found.cloned() {
            Some(slot) => slot,
            None => match self.join(instrument, records) {
                Some(slot) => slot,
                None => return,
            },
        };
        self.record_in(&slot, value, 1.0);
    }

    /// The series of an instrument with some attributes; `None`, and counted, if the guest says
    /// too much in this second. What of the attributes is lost is counted here, and so once for
    /// all measurements in which they are the same.
    fn join(&mut self, instrument: i32, records: &Records<'_>) -> Option<Slot> {
        if !self.may_speak() {
            return None;
        }
        let (mut held, mut said) = (0, Said::default());
        said.read(&mut self.rules(&mut held), records, records.count());
        let of = self.instruments.get(instrument)?;
        let of = Of {
            tenant: self.trace.as_ref().and_then(|trace| trace.tenant.as_deref()),
            name: &of.identity.name,
            kind: of.identity.kind,
            unit: &of.identity.unit,
            description: of.description.as_ref(),
        };
        let quota = self.shared.quotas.metric_series;
        let (slot, is_its_own) = self.shared.guest_metrics.join(&of, said.attributes, quota);
        let slot = slot?;
        // The others are counted each time.
        if is_its_own {
            self.instruments.keep(instrument, records, slot.clone());
        }
        self.lost.excess_series += u64::from(!is_its_own);
        Some(slot)
    }

    /// Records a value, which stands for so many in a histogram.
    fn record_in(&mut self, slot: &Slot, value: Number, times: f64) {
        if let Slot::Histogram(histogram) = slot {
            let float = match value {
                Number::Int(value) => value as f64,
                Number::Double(value) => value,
            };
            histogram.record(float, times, || self.exemplar(value));
        } else {
            slot.record_quickly(value);
        }
    }

    /// What leads from a value to the innermost open span, which is kept then. A histogram keeps
    /// 20, and so asks ever more rarely.
    fn exemplar(&mut self, value: Number) -> Option<Exemplar> {
        if !self.trace.as_ref()?.sampled {
            return None;
        }
        let now = self.now();
        let span = self.number_open().ok()??;
        let trace = self.trace.as_ref()?;
        Some(Exemplar {
            time_unix_nanos: trace.scale.unix_nanos(now),
            value,
            trace_id: Some(trace.info.trace_id),
            span_id: Some(trace.info.span_id(span)),
            filtered_attributes: Vec::new(),
        })
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
            match Line::parse(line) {
                Some(line) if !is_reserved(line.name) => self.guest_metric(&line),
                _ => self.lost.malformed_metrics += 1,
            }
        }
    }

    fn guest_metric(&mut self, line: &Line<'_>) {
        let shared = Arc::clone(&self.shared);
        let name_bytes = shared.quotas.name_bytes as usize;
        let Some(name) = self.text(Some(line.name.as_bytes()), name_bytes) else { return };
        let (id, within) = self.names.intern(&name, shared.quotas.names);
        self.lost.excess_names += u64::from(!within);
        let (mut held, mut said) = (0, Said::default());
        for (key, value) in statsd::tags(line.tags) {
            let value = value.map_or(Raw::Bool(true), |value| Raw::String(value.as_bytes()));
            said.add(&mut self.rules(&mut held), Some(key.as_bytes()), Ok(value));
        }
        let tags = said.attributes;
        let of = Of {
            tenant: self.trace.as_ref().and_then(|trace| trace.tenant.as_deref()),
            name: self.names.get(id),
            kind: line.kind,
            unit: line.unit,
            description: None,
        };
        let quota = shared.quotas.metric_series;
        let is_its_own = if line.kind == Kind::Histogram {
            let (slot, is_its_own) = shared.guest_metrics.join(&of, tags, quota);
            for change in &line.changes {
                if let (Some(slot), &Change::Sample { value, times }) = (&slot, change) {
                    self.record_in(slot, Number::Double(value), times);
                }
            }
            is_its_own
        } else {
            shared.guest_metrics.change(&of, tags, quota, |data| {
                line.changes.iter().for_each(|change| apply(change, data));
            })
        };
        self.lost.excess_series += u64::from(!is_its_own);
    }
}

/// Changes a series that is no histogram.
fn apply(change: &Change<'_>, data: &mut Data) {
    match (data, *change) {
        (Data::Sum(sum), Change::Add(more)) => sum.add(more),
        (Data::Gauge(gauge), Change::Add(more)) => gauge.add(more),
        (Data::Gauge(gauge), Change::Set(value)) => gauge.set(Number::Double(value)),
        (Data::Set(values), Change::Member(value)) => values.add(value),
        // A line has changes of its own type alone.
        _ => {}
    }
}
