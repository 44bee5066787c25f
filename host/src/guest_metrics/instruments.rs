//! The instruments of a store, and what it knows of their series.
//!
//! A measurement for a series that the store has used in this trace touches nothing that it shares
//! with others but the value itself: no clock is read, and nothing is looked up by name. It makes
//! the host keep nothing either, so that such measurements are free of the quota of events.

use std::collections::HashMap;
use std::sync::Arc;

use observe_collector::event::Number;

use super::Kind;
use super::series::Slot;
use crate::names::OVERFLOW;
use crate::records::{Raw, Record, Records};

/// The bytes of the attributes by which a series is found again; more are looked up in full each
/// time.
const MAX_SET_BYTES: usize = 1 << 10;

/// Those of all sets of a store.
const MAX_SETS_BYTES: usize = 256 << 10;

/// What a set takes beside its bytes, about.
const SET_BYTES: usize = 64;

/// The instruments of a store.
#[derive(Default)]
pub(crate) struct Instruments {
    all: Vec<Instrument>,
    places: HashMap<Identity, usize>,
    /// By instrument and attributes, as they lie in the guest's memory.
    sets: HashMap<Box<[u8]>, Slot>,
    /// The bytes of all these.
    sets_bytes: usize,
    /// The set that was looked for last.
    asked: Vec<u8>,
}

/// What an instrument is of. It stays as long as the store does.
pub(super) struct Instrument {
    pub(super) identity: Identity,
    pub(super) description: Option<Arc<str>>,
    /// Its series without attributes, if it was used in this trace.
    slot: Option<Slot>,
}

/// What tells an instrument from others.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
    pub(super) unit: Box<str>,
}

/// How an instrument was given.
pub(super) struct Given {
    pub(super) instrument: i32,
    /// Whether it is not one for all that are too many.
    pub(super) within: bool,
    /// Whether it is new, and another has its name.
    pub(super) conflicts: bool,
}

impl Instruments {
    /// The instrument of that identity, of which there are so many at most, and one for the rest of
    /// each kind.
    pub(super) fn give(&mut self, identity: Identity, description: &str, quota: u32) -> Given {
        if let Some(&place) = self.places.get(&identity) {
            return Given { instrument: number(place), within: true, conflicts: false };
        }
        if self.all.len() >= quota as usize && &*identity.name != OVERFLOW {
            let rest = Identity { name: OVERFLOW.into(), unit: "".into(), ..identity };
            return Given { within: false, conflicts: false, ..self.give(rest, "", quota) };
        }
        let conflicts = self.all.iter().any(|other| other.identity.name == identity.name);
        let place = self.all.len();
        let description = (!description.is_empty()).then(|| description.into());
        self.all.push(Instrument { identity: identity.clone(), description, slot: None });
        self.places.insert(identity, place);
        Given { instrument: number(place), within: true, conflicts }
    }

    pub(super) fn get(&self, instrument: i32) -> Option<&Instrument> {
        self.all.get(place(instrument))
    }

    /// Records a measurement without attributes, if that is all there is to do.
    ///
    /// # Overhead
    ///
    /// About a nanosecond for sums and gauges.
    #[inline]
    pub(crate) fn record_quickly(&self, instrument: i32, value: Number) -> bool {
        let Some(Instrument { identity, slot: Some(slot), .. }) = self.get(instrument) else {
            return false;
        };
        identity.kind.takes(value) && slot.record_quickly(value)
    }

    /// The series of an instrument with these attributes, if it was used in this trace.
    pub(super) fn find(&mut self, instrument: i32, records: &Records<'_>) -> Option<&Slot> {
        if records.count() == 0 {
            return self.get(instrument)?.slot.as_ref();
        }
        self.asked.clear();
        self.asked.extend(instrument.to_le_bytes());
        if write(records, &mut self.asked).is_none() {
            // What nobody will be found by.
            self.asked.clear();
        }
        self.sets.get(&*self.asked)
    }

    /// Has a series found that was looked for, and not found, the last time.
    pub(super) fn keep(&mut self, instrument: i32, records: &Records<'_>, slot: Slot) {
        if records.count() == 0 {
            if let Some(instrument) = self.all.get_mut(place(instrument)) {
                instrument.slot = Some(slot);
            }
            return;
        }
        let bytes = self.asked.len() + SET_BYTES;
        if !self.asked.is_empty() && self.sets_bytes + bytes <= MAX_SETS_BYTES {
            self.sets_bytes += bytes;
            self.sets.insert(self.asked.as_slice().into(), slot);
        }
    }

    /// Lets go of all series, as at the end of a trace: the next may be another tenant's.
    pub(crate) fn rest(&mut self) {
        self.all.iter_mut().for_each(|instrument| instrument.slot = None);
        (self.sets, self.sets_bytes, self.asked) = (HashMap::new(), 0, Vec::new());
    }
}

/// What stands for an instrument to the guest: 0 is none.
fn number(place: usize) -> i32 {
    i32::try_from(place + 1).unwrap_or(0)
}

fn place(instrument: i32) -> usize {
    instrument.wrapping_sub(1).cast_unsigned() as usize
}

impl Kind {
    /// Whether a measurement is one of such an instrument.
    #[inline]
    pub(super) fn takes(self, value: Number) -> bool {
        match value {
            Number::Int(value) => self != Kind::Counter || value >= 0,
            Number::Double(value) => value.is_finite() && (self != Kind::Counter || value >= 0.0),
        }
    }
}

impl Slot {
    /// Records a measurement of which nothing else is kept; whether it is one.
    #[inline]
    pub(super) fn record_quickly(&self, value: Number) -> bool {
        match self {
            Slot::Sum(part) => part.add(value),
            Slot::Gauge(gauge) => gauge.set(value),
            Slot::Histogram(_) => return false,
        }
        true
    }
}

/// Writes what tells a set of attributes from others, without a look at what it means; `None`
/// where it is too much, or where there is something to be counted.
fn write(records: &Records<'_>, to: &mut Vec<u8>) -> Option<()> {
    for Record { key, value } in records.iter()? {
        write_bytes(key?, to)?;
        match value.ok()? {
            Raw::String(text) => {
                to.push(0);
                write_bytes(text, to)?;
            }
            Raw::Bool(value) => to.extend([1, u8::from(value)]),
            Raw::I64(value) => {
                to.push(2);
                to.extend(value.to_le_bytes());
            }
            Raw::F64(value) => {
                to.push(3);
                to.extend(value.to_bits().to_le_bytes());
            }
            Raw::Bytes(bytes) => {
                to.push(4);
                write_bytes(bytes, to)?;
            }
            Raw::Bools(values) => {
                to.push(5);
                write_bytes(values, to)?;
            }
            Raw::I64s(values) => {
                to.push(6);
                write_bytes(values.as_flattened(), to)?;
            }
            Raw::F64s(values) => {
                to.push(7);
                write_bytes(values.as_flattened(), to)?;
            }
            Raw::Strings(texts) => {
                to.push(8);
                for text in texts.iter() {
                    to.push(1);
                    write_bytes(text?, to)?;
                }
                to.push(0);
            }
        }
    }
    Some(())
}

fn write_bytes(bytes: &[u8], to: &mut Vec<u8>) -> Option<()> {
    if to.len() + bytes.len() > MAX_SET_BYTES {
        return None;
    }
    to.extend((bytes.len() as u32).to_le_bytes());
    to.extend(bytes);
    Some(())
}
