//! Instruments, and what they measure.

use observe_abi::guest::instrument;

use crate::Attribute;
use crate::host::{self, Instrument};

#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub(crate) enum InstrumentKind {
    Counter = instrument::COUNTER,
    UpDownCounter = instrument::UP_DOWN_COUNTER,
    Gauge = instrument::GAUGE,
    Histogram = instrument::HISTOGRAM,
}

/// A measurement: an integer or a double.
///
/// Integers that do not fit into an `i64` are taken for the greatest that does.
///
/// ```
/// let number = observe::Number::from(1.5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    I64(i64),
    /// A double.
    F64(f64),
}

macro_rules! number {
    ($($type:ty: $value:ident => $number:expr;)*) => {
        $(impl From<$type> for Number {
            #[inline(always)]
            fn from($value: $type) -> Self {
                $number
            }
        })*
    };
}

number! {
    i8: value => Self::I64(value.into());
    i16: value => Self::I64(value.into());
    i32: value => Self::I64(value.into());
    i64: value => Self::I64(value);
    isize: value => Self::I64(value as i64);
    u8: value => Self::I64(value.into());
    u16: value => Self::I64(value.into());
    u32: value => Self::I64(value.into());
    u64: value => Self::I64(i64::try_from(value).unwrap_or(i64::MAX));
    usize: value => Self::from(value as u64);
    f32: value => Self::F64(value.into());
    f64: value => Self::F64(value);
}

/// An instrument that a [`Batch`](crate::Batch) can have measurements of.
///
/// ```
/// fn count(batch: &mut observe::Batch<'_, 8>, instrument: &impl observe::Metric) {
///     batch.record(instrument, 1, &[]);
/// }
/// ```
pub trait Metric: sealed::Metric {}

pub(crate) mod sealed {
    pub trait Metric {
        #[doc(hidden)]
        fn record_in<'a, const N: usize>(
            &self,
            batch: &mut crate::Batch<'a, N>,
            value: super::Number,
            attributes: &'a [crate::Attribute<'a>],
        );
    }
}

/// The methods are the same for all; what a value does differs.
macro_rules! instruments {
    ($(
        $(#[$doc:meta])*
        $name:ident, $record:ident, $record_with:ident, $does:literal
    );* $(;)?) => {
        $(
            $(#[$doc])*
            ///
            /// A static is named to the host when it is first used, once.
            ///
            /// # Overhead
            ///
            /// One call of the host for each measurement, and a load and a branch if it does not
            /// listen.
            #[derive(Debug)]
            pub struct $name {
                instrument: Instrument,
            }

            impl $name {
                /// By its name, such as `http.server.requests`.
                ///
                /// ```
                #[doc = concat!("static METRIC: observe::", stringify!($name), " =")]
                #[doc = concat!("    observe::", stringify!($name), "::new(\"metric\");")]
                /// ```
                pub const fn new(name: &'static str) -> Self {
                    Self { instrument: Instrument::new(InstrumentKind::$name, name) }
                }

                /// What is measured in, as UCUM writes it: `By`, `s`, `{order}`.
                ///
                /// ```
                #[doc = concat!("static METRIC: observe::", stringify!($name), " =")]
                #[doc = concat!("    observe::", stringify!($name), "::new(\"metric\").unit(\"By\");")]
                /// ```
                pub const fn unit(self, unit: &'static str) -> Self {
                    Self { instrument: self.instrument.unit(unit) }
                }

                /// What it is, in words.
                ///
                /// ```
                #[doc = concat!("static METRIC: observe::", stringify!($name), " =")]
                #[doc = concat!("    observe::", stringify!($name), "::new(\"metric\").description(\"taken\");")]
                /// ```
                pub const fn description(self, description: &'static str) -> Self {
                    Self { instrument: self.instrument.description(description) }
                }

                #[doc = $does]
                ///
                /// ```
                #[doc = concat!("static METRIC: observe::", stringify!($name), " =")]
                #[doc = concat!("    observe::", stringify!($name), "::new(\"metric\");")]
                ///
                #[doc = concat!("METRIC.", stringify!($record), "(2);")]
                /// ```
                #[inline(always)]
                pub fn $record(&self, value: impl Into<Number>) {
                    self.$record_with(value, &[]);
                }

                /// The same with attributes.
                ///
                /// ```
                #[doc = concat!("static METRIC: observe::", stringify!($name), " =")]
                #[doc = concat!("    observe::", stringify!($name), "::new(\"metric\");")]
                ///
                #[doc = concat!("METRIC.", stringify!($record_with), "(2.5, &observe::attributes![express = true]);")]
                /// ```
                #[inline(always)]
                pub fn $record_with(&self, value: impl Into<Number>, attributes: &[Attribute<'_>]) {
                    if host::wants_metrics() {
                        self.instrument.record(value.into(), attributes);
                    }
                }
            }

            impl Metric for $name {}

            impl sealed::Metric for $name {
                fn record_in<'a, const N: usize>(
                    &self,
                    batch: &mut crate::Batch<'a, N>,
                    value: Number,
                    attributes: &'a [Attribute<'a>],
                ) {
                    batch.push(host::Record::measurement(&self.instrument, value, attributes));
                }
            }
        )*
    };
}

instruments! {
    /// A sum that never falls.
    ///
    /// ```
    /// use observe::{Counter, attributes};
    ///
    /// static ORDERS: Counter =
    ///     Counter::new("orders").unit("{order}").description("orders taken");
    ///
    /// ORDERS.add(1);
    /// ORDERS.add_with(2, &attributes![express = true]);
    /// ```
    Counter, add, add_with, "Adds to the sum, what is not negative.";

    /// A sum that may fall.
    ///
    /// ```
    /// static CARTS: observe::UpDownCounter = observe::UpDownCounter::new("carts.open");
    ///
    /// CARTS.add(-1);
    /// ```
    UpDownCounter, add, add_with, "Adds to the sum.";

    /// The last value of something.
    ///
    /// ```
    /// static STOCK: observe::Gauge = observe::Gauge::new("stock");
    ///
    /// STOCK.set(7);
    /// ```
    Gauge, set, set_with, "Sets the value.";

    /// A distribution.
    ///
    /// ```
    /// static PRICE: observe::Histogram = observe::Histogram::new("price").unit("EUR");
    ///
    /// PRICE.record(9.5);
    /// ```
    Histogram, record, record_with, "Adds a value to the distribution.";
}
