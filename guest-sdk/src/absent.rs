//! In place of the host where there is none: nothing is said, and nothing is kept.

use core::marker::PhantomData;

use crate::metrics::{InstrumentKind, Number};
use crate::value::Attribute;
use crate::{Kind, Severity, Status};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id;

impl Id {
    pub(crate) const NONE: Self = Self;
    pub(crate) const CURRENT: Self = Self;
    pub(crate) const ROOT: Self = Self;

    pub(crate) fn is_none(self) -> bool {
        true
    }
}

#[cfg(all(feature = "std", not(target_arch = "wasm32")))]
pub(crate) fn ask_again() {}

pub(crate) fn wants_spans() -> bool {
    false
}

pub(crate) fn wants_spans_of(_severity: Severity) -> bool {
    false
}

pub(crate) fn wants_logs(_severity: Severity) -> bool {
    false
}

pub(crate) fn wants_metrics() -> bool {
    false
}

pub(crate) fn span_begin(_kind: Kind, _name: &str, _attributes: &[Attribute<'_>]) -> Id {
    Id
}

pub(crate) fn span_end(_id: Id) {}

pub(crate) fn span_open(_: Id, _kind: Kind, _name: &str, _attributes: &[Attribute<'_>]) -> Id {
    Id
}

pub(crate) fn span_enter(_id: Id) {}

pub(crate) fn span_exit(_id: Id) {}

pub(crate) fn span_close(_id: Id) {}

pub(crate) fn span_attributes(_id: Id, _attributes: &[Attribute<'_>]) {}

pub(crate) fn span_event(_id: Id, _name: &str, _attributes: &[Attribute<'_>]) {}

pub(crate) fn span_status(_id: Id, _status: Status, _message: &str) {}

pub(crate) fn span_link(_id: Id, _traceparent: &str, _attributes: &[Attribute<'_>]) {}

pub(crate) fn log(_id: Id, _severity: Severity, _body: &str, _attributes: &[Attribute<'_>]) {}

pub(crate) fn context(_buffer: &mut [u8]) -> usize {
    0
}

pub(crate) fn baggage(_buffer: &mut [u8]) -> usize {
    0
}

pub(crate) fn submit(_records: &[Record<'_>]) {}

#[derive(Debug)]
pub(crate) struct Instrument;

impl Instrument {
    pub(crate) const fn new(_kind: InstrumentKind, _name: &'static str) -> Self {
        Self
    }

    pub(crate) const fn unit(self, _unit: &'static str) -> Self {
        self
    }

    pub(crate) const fn description(self, _description: &'static str) -> Self {
        self
    }

    pub(crate) fn record(&self, _value: Number, _attributes: &[Attribute<'_>]) {}
}

#[derive(Clone, Copy)]
pub(crate) struct Record<'a>(PhantomData<&'a [Attribute<'a>]>);

impl<'a> Record<'a> {
    pub(crate) fn span_attributes(_id: Id, _attributes: &'a [Attribute<'a>]) -> Self {
        Self(PhantomData)
    }

    pub(crate) fn span_event(_: Id, _name: &'a str, _attributes: &'a [Attribute<'a>]) -> Self {
        Self(PhantomData)
    }

    pub(crate) fn log(_: Id, _: Severity, _body: &'a str, _: &'a [Attribute<'a>]) -> Self {
        Self(PhantomData)
    }

    pub(crate) fn measurement(_: &Instrument, _: Number, _: &'a [Attribute<'a>]) -> Self {
        Self(PhantomData)
    }
}
