//! Instruments and records, as the host takes them.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicI32, Ordering};

use observe_abi::guest::record;

use super::{Id, imports};
use crate::Severity;
use crate::metrics::{InstrumentKind, Number};
use crate::value::{Attribute, Slice};

/// A metric, which is named to the host when it is first used.
#[derive(Debug)]
pub(crate) struct Instrument {
    kind: InstrumentKind,
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    /// [`UNASKED`], [`NONE`] or what the host gave.
    id: AtomicI32,
}

const UNASKED: i32 = 0;
/// The host has none for it; it gives 0, which here means something else.
const NONE: i32 = -1;

impl Instrument {
    pub(crate) const fn new(kind: InstrumentKind, name: &'static str) -> Self {
        Self { kind, name, unit: "", description: "", id: AtomicI32::new(UNASKED) }
    }

    pub(crate) const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    pub(crate) const fn description(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    #[inline(always)]
    fn id(&self) -> i32 {
        match self.id.load(Ordering::Relaxed) {
            UNASKED => self.register(),
            id => id,
        }
    }

    #[cold]
    #[inline(never)]
    fn register(&self) -> i32 {
        // SAFETY: the host reads the texts before it returns.
        let id = unsafe {
            imports::instrument(
                self.kind as i32,
                self.name.as_ptr(),
                self.name.len(),
                self.unit.as_ptr(),
                self.unit.len(),
                self.description.as_ptr(),
                self.description.len(),
            )
        };
        let id = if id > 0 { id } else { NONE };
        self.id.store(id, Ordering::Relaxed);
        id
    }

    #[inline(always)]
    pub(crate) fn record(&self, value: Number, attributes: &[Attribute<'_>]) {
        let (id, attributes, count) = (self.id(), attributes.as_ptr(), attributes.len());
        if id == NONE {
            return;
        }
        // SAFETY: the host reads the attributes before it returns, and takes any number as
        // an instrument.
        unsafe {
            match value {
                Number::I64(value) => imports::record_i64(id, value, attributes, count),
                Number::F64(value) => imports::record_f64(id, value, attributes, count),
            }
        }
    }
}

/// A record of a batch: `observe_abi::guest::record`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Record<'a> {
    pub(crate) what: u32,
    pub(crate) subject: i32,
    pub(crate) text: Slice<u8>,
    pub(crate) attributes: Slice<Attribute<'a>>,
    pub(crate) value: u64,
    borrowed: PhantomData<&'a [Attribute<'a>]>,
}

#[cfg(target_arch = "wasm32")]
const _: () = {
    use core::mem::{offset_of, size_of};

    assert!(size_of::<Record<'_>>() == record::SIZE);
    assert!(offset_of!(Record<'_>, what) == 0 && offset_of!(Record<'_>, subject) == 4);
    assert!(offset_of!(Record<'_>, text) == 8 && offset_of!(Record<'_>, attributes) == 16);
    assert!(offset_of!(Record<'_>, value) == 24);
};

impl<'a> Record<'a> {
    fn new(what: u32, subject: i32, text: &'a str, attributes: &'a [Attribute<'a>]) -> Self {
        Self {
            what,
            subject,
            text: Slice::of(text.as_bytes()),
            attributes: Slice::of(attributes),
            value: 0,
            borrowed: PhantomData,
        }
    }

    pub(crate) fn span_attributes(id: Id, attributes: &'a [Attribute<'a>]) -> Self {
        Self::new(record::SPAN_ATTRIBUTES, id.0, "", attributes)
    }

    pub(crate) fn span_event(id: Id, name: &'a str, attributes: &'a [Attribute<'a>]) -> Self {
        Self::new(record::SPAN_EVENT, id.0, name, attributes)
    }

    pub(crate) fn log(
        id: Id,
        severity: Severity,
        body: &'a str,
        attributes: &'a [Attribute<'a>],
    ) -> Self {
        let record = Self::new(record::LOG, id.0, body, attributes);
        Self { value: severity as u64, ..record }
    }

    pub(crate) fn measurement(
        instrument: &Instrument,
        value: Number,
        attributes: &'a [Attribute<'a>],
    ) -> Self {
        let (what, value) = match value {
            Number::I64(value) => (record::RECORD_I64, value.cast_unsigned()),
            Number::F64(value) => (record::RECORD_F64, value.to_bits()),
        };
        // With 0 a measurement has no effect.
        Self { value, ..Self::new(what, instrument.id().max(0), "", attributes) }
    }
}

/// On a machine of 32 bits a record has the form that it has in Wasm.
#[cfg(all(test, target_pointer_width = "32"))]
mod tests {
    use super::{Attribute, Id, Record, record};
    use crate::Severity;

    #[test]
    fn a_record_has_the_bytes_of_the_contract() {
        let attributes = [Attribute::new("a", 1), Attribute::new("b", 2)];
        let text = "text";
        let record = Record::log(Id::CURRENT, Severity::Warn, text, &attributes);
        // SAFETY: all bytes are initialized, which is what Miri looks at here.
        let words: [u32; record::SIZE / 4] = unsafe { core::mem::transmute(record) };
        let text = u32::try_from(text.as_ptr().addr()).expect("32 bits");
        let address = u32::try_from(attributes.as_ptr().addr()).expect("32 bits");
        assert_eq!(words, [record::LOG, i32::MAX as u32, text, 4, address, 2, 13, 0]);
    }
}
