//! Attributes, in memory as the host reads them.

use core::fmt;
use core::marker::PhantomData;

use observe_abi::guest::attribute as abi;

/// A key and a value, which say something of a span, a log record or a measurement.
///
/// On `wasm32` it has the bytes that the host reads, so that an array of them is handed over as it
/// is. Usually the macros make them; [`attributes!`](crate::attributes) makes an array.
///
/// ```
/// use observe::Attribute;
///
/// let span = observe::span("charge");
/// span.attributes(&[Attribute::new("attempt", 2), Attribute::new("card", "visa")]);
/// ```
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Attribute<'a> {
    key: Slice<u8>,
    value: Value<'a>,
}

impl<'a> Attribute<'a> {
    /// Of anything that is a [`ToValue`], by reference, or a bool or a number.
    ///
    /// ```
    /// # use observe::Attribute;
    /// let attributes = [
    ///     Attribute::new("name", "ada"),
    ///     Attribute::new("admin", true),
    ///     Attribute::new("scores", &[1.5, 2.0]),
    /// ];
    /// ```
    #[inline(always)]
    pub fn new(key: &'a str, value: impl Into<Value<'a>>) -> Self {
        Self::of(key, value.into())
    }

    /// The same in constants and statics.
    ///
    /// ```
    /// use observe::{Attribute, Counter, Value};
    ///
    /// static ORDERS: Counter = Counter::new("orders");
    /// static EXPRESS: [Attribute<'_>; 1] = [Attribute::of("express", Value::bool(true))];
    ///
    /// ORDERS.add_with(1, &EXPRESS);
    /// ```
    #[inline(always)]
    pub const fn of(key: &'a str, value: Value<'a>) -> Self {
        Self { key: Slice::of(key.as_bytes()), value }
    }
}

/// The value of an [`Attribute`]: one of the types of OpenTelemetry, borrowed.
///
/// ```
/// use observe::Value;
///
/// const ANSWER: Value<'_> = Value::i64(42);
/// let from_a_reference = Value::from("text");
/// ```
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Value<'a> {
    kind: u32,
    len: Len,
    payload: Payload,
    borrowed: PhantomData<&'a [u8]>,
}

/// A length or, on `wasm32`, an integer of four bytes.
type Len = usize;

/// What the host reads as eight bytes.
#[derive(Clone, Copy)]
#[repr(C)]
union Payload {
    bits: u64,
    address: Address,
}

/// An address fills only half of a payload on `wasm32`; the other half must be zero.
#[derive(Clone, Copy)]
#[repr(C)]
struct Address {
    pointer: *const u8,
    #[cfg(target_pointer_width = "32")]
    high: u32,
}

/// A slice as the host reads it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Slice<T> {
    pointer: *const T,
    len: usize,
}

impl<T> Slice<T> {
    #[inline(always)]
    pub(crate) const fn of(slice: &[T]) -> Self {
        Self { pointer: slice.as_ptr(), len: slice.len() }
    }

    #[cfg(all(feature = "std", not(any(feature = "off", target_arch = "wasm32"))))]
    pub(crate) fn address(self) -> *const T {
        self.pointer
    }

    #[cfg(all(feature = "std", not(any(feature = "off", target_arch = "wasm32"))))]
    pub(crate) fn len(self) -> usize {
        self.len
    }
}

// SAFETY: both stand for a shared reference to integers, floats or text.
unsafe impl Send for Value<'_> {}
// SAFETY: as above.
unsafe impl Sync for Value<'_> {}
// SAFETY: the key is a `&str`.
unsafe impl Send for Attribute<'_> {}
// SAFETY: as above.
unsafe impl Sync for Attribute<'_> {}

#[cfg(target_arch = "wasm32")]
const _: () = {
    use core::mem::{offset_of, size_of};

    assert!(size_of::<Attribute<'_>>() == abi::SIZE);
    assert!(offset_of!(Attribute<'_>, key) + offset_of!(Slice<u8>, pointer) == 0);
    assert!(offset_of!(Attribute<'_>, key) + offset_of!(Slice<u8>, len) == 4);
    assert!(offset_of!(Attribute<'_>, value) + offset_of!(Value<'_>, kind) == 8);
    assert!(offset_of!(Attribute<'_>, value) + offset_of!(Value<'_>, len) == 12);
    assert!(offset_of!(Attribute<'_>, value) + offset_of!(Value<'_>, payload) == 16);
    assert!(size_of::<bool>() == 1 && size_of::<&str>() == 8);
};

/// An array of strings is handed over as Rust has it, an address and a length each. The language
/// does not promise that order, so the compiler is asked.
const _: () = {
    use core::mem::MaybeUninit;

    union Words {
        text: &'static str,
        words: [MaybeUninit<usize>; 2],
    }
    let words = Words { text: "abc" };
    // SAFETY: a reference to a str is two words; the second is read only if it is no address,
    // or the compiler says so.
    assert!(unsafe { words.words[1].assume_init() } == 3);
};

impl<'a> Value<'a> {
    /// Text.
    ///
    /// ```
    /// const NAME: observe::Value<'_> = observe::Value::str("ada");
    /// ```
    #[inline(always)]
    pub const fn str(value: &'a str) -> Self {
        Self::borrowed(abi::STRING, value.as_bytes())
    }

    /// A bool.
    ///
    /// ```
    /// const YES: observe::Value<'_> = observe::Value::bool(true);
    /// ```
    #[inline(always)]
    pub const fn bool(value: bool) -> Self {
        Self::owned(abi::BOOL, value as u64)
    }

    /// A signed integer.
    ///
    /// ```
    /// const ANSWER: observe::Value<'_> = observe::Value::i64(42);
    /// ```
    #[inline(always)]
    pub const fn i64(value: i64) -> Self {
        Self::owned(abi::I64, value.cast_unsigned())
    }

    /// A double.
    ///
    /// ```
    /// const HALF: observe::Value<'_> = observe::Value::f64(0.5);
    /// ```
    #[inline(always)]
    pub const fn f64(value: f64) -> Self {
        Self::owned(abi::F64, value.to_bits())
    }

    /// Any bytes.
    ///
    /// ```
    /// const MAGIC: observe::Value<'_> = observe::Value::bytes(b"\0asm");
    /// ```
    #[inline(always)]
    pub const fn bytes(value: &'a [u8]) -> Self {
        Self::borrowed(abi::BYTES, value)
    }

    /// An array of texts.
    ///
    /// ```
    /// const ITEMS: observe::Value<'_> = observe::Value::strs(&["tea", "mug"]);
    /// ```
    #[inline(always)]
    pub const fn strs(value: &'a [&'a str]) -> Self {
        Self::borrowed(abi::STRINGS, value)
    }

    /// An array of bools.
    ///
    /// ```
    /// const GIFTS: observe::Value<'_> = observe::Value::bools(&[true, false]);
    /// ```
    #[inline(always)]
    pub const fn bools(value: &'a [bool]) -> Self {
        Self::borrowed(abi::BOOLS, value)
    }

    /// An array of signed integers.
    ///
    /// ```
    /// const QUANTITIES: observe::Value<'_> = observe::Value::i64s(&[1, 2]);
    /// ```
    #[inline(always)]
    pub const fn i64s(value: &'a [i64]) -> Self {
        Self::borrowed(abi::I64S, value)
    }

    /// An array of doubles.
    ///
    /// ```
    /// const WEIGHTS: observe::Value<'_> = observe::Value::f64s(&[0.5, 1.5]);
    /// ```
    #[inline(always)]
    pub const fn f64s(value: &'a [f64]) -> Self {
        Self::borrowed(abi::F64S, value)
    }

    #[inline(always)]
    const fn owned(kind: u32, bits: u64) -> Self {
        Self { kind, len: 0, payload: Payload { bits }, borrowed: PhantomData }
    }

    #[inline(always)]
    const fn borrowed<T>(kind: u32, slice: &'a [T]) -> Self {
        let address = Address {
            pointer: slice.as_ptr().cast(),
            #[cfg(target_pointer_width = "32")]
            high: 0,
        };
        Self { kind, len: slice.len(), payload: Payload { address }, borrowed: PhantomData }
    }
}

impl<T> Slice<T> {
    /// # Safety
    ///
    /// The slice must still be borrowed.
    unsafe fn get<'a>(self) -> &'a [T] {
        // SAFETY: it was made of a slice.
        unsafe { core::slice::from_raw_parts(self.pointer, self.len) }
    }
}

impl Attribute<'_> {
    fn key(&self) -> &str {
        // SAFETY: the key is a `&str` that lives as long as the attribute.
        unsafe { core::str::from_utf8_unchecked(self.key.get()) }
    }
}

impl fmt::Debug for Attribute<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={:?}", self.key(), self.value)
    }
}

impl Value<'_> {
    /// # Safety
    ///
    /// The value must have been made of a slice of `T`.
    unsafe fn slice<T>(&self) -> &[T] {
        // SAFETY: `borrowed` set the address and the length, of what is still borrowed.
        unsafe { Slice { pointer: self.payload.address.pointer.cast(), len: self.len }.get() }
    }

    fn bits(&self) -> u64 {
        // SAFETY: asked of values that `owned` made.
        unsafe { self.payload.bits }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: the kind says what the value was made of.
        unsafe {
            match self.kind {
                abi::STRING => core::str::from_utf8_unchecked(self.slice()).fmt(formatter),
                abi::BOOL => (self.bits() != 0).fmt(formatter),
                abi::I64 => self.bits().cast_signed().fmt(formatter),
                abi::F64 => f64::from_bits(self.bits()).fmt(formatter),
                abi::BYTES => self.slice::<u8>().fmt(formatter),
                abi::STRINGS => self.slice::<&str>().fmt(formatter),
                abi::BOOLS => self.slice::<bool>().fmt(formatter),
                abi::I64S => self.slice::<i64>().fmt(formatter),
                _ => self.slice::<f64>().fmt(formatter),
            }
        }
    }
}

/// What an [`Attribute`] can have as its value.
///
/// Integers are recorded as `i64`. Those of 64 bits without a sign that do not fit are recorded as
/// the nearest double, since there is no memory to write their digits to.
///
/// ```
/// use observe::{ToValue, Value};
///
/// struct OrderId(u32);
///
/// impl ToValue for OrderId {
///     fn to_value(&self) -> Value<'_> {
///         Value::i64(self.0.into())
///     }
/// }
///
/// observe::current().attribute("order.id", &OrderId(42));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of an attribute",
    label = "neither text, a bool, a number, bytes nor an array of these",
    note = "in a macro, write `key = ?value` to record it by `Debug`, or `key = %value` by `Display`",
    note = "or implement `observe::ToValue` for it"
)]
pub trait ToValue {
    /// The value, which may borrow from `self`.
    ///
    /// ```
    /// use observe::ToValue;
    ///
    /// let value = [1_i64, 2].to_value();
    /// ```
    fn to_value(&self) -> Value<'_>;
}

macro_rules! to_value {
    ($($type:ty: $value:ident => $expression:expr;)*) => {
        $(impl ToValue for $type {
            #[inline(always)]
            fn to_value(&self) -> Value<'_> {
                let $value = self;
                $expression
            }
        })*
    };
}

to_value! {
    str: text => Value::str(text);
    [u8]: bytes => Value::bytes(bytes);
    [bool]: bools => Value::bools(bools);
    [i64]: integers => Value::i64s(integers);
    [f64]: doubles => Value::f64s(doubles);
}

impl ToValue for [&str] {
    #[inline(always)]
    fn to_value(&self) -> Value<'_> {
        Value::strs(self)
    }
}

impl<T, const N: usize> ToValue for [T; N]
where
    [T]: ToValue,
{
    #[inline(always)]
    fn to_value(&self) -> Value<'_> {
        self.as_slice().to_value()
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    #[inline(always)]
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

impl<T: ToValue + ?Sized> ToValue for &mut T {
    #[inline(always)]
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

/// Those that are handed over by value, too.
macro_rules! scalars {
    ($($type:ty: $value:ident => $expression:expr;)*) => {
        to_value! { $($type: $value => { let $value = *$value; $expression };)* }
        $(impl From<$type> for Value<'_> {
            #[inline(always)]
            fn from($value: $type) -> Self {
                $expression
            }
        })*
    };
}

scalars! {
    bool: value => Value::bool(value);
    i8: value => Value::i64(value.into());
    i16: value => Value::i64(value.into());
    i32: value => Value::i64(value.into());
    i64: value => Value::i64(value);
    isize: value => Value::i64(value as i64);
    u8: value => Value::i64(value.into());
    u16: value => Value::i64(value.into());
    u32: value => Value::i64(value.into());
    u64: value => i64::try_from(value).map_or(Value::f64(value as f64), Value::i64);
    usize: value => Value::from(value as u64);
    f32: value => Value::f64(value.into());
    f64: value => Value::f64(value);
}

impl<'a, T: ToValue + ?Sized> From<&'a T> for Value<'a> {
    #[inline(always)]
    fn from(value: &'a T) -> Self {
        value.to_value()
    }
}

#[cfg(feature = "std")]
mod owned {
    use std::borrow::{Cow, ToOwned};
    use std::boxed::Box;
    use std::rc::Rc;
    use std::string::String;
    use std::sync::Arc;
    use std::vec::Vec;

    use super::{ToValue, Value};

    to_value! {
        String: text => Value::str(text);
    }

    impl<T> ToValue for Vec<T>
    where
        [T]: ToValue,
    {
        #[inline]
        fn to_value(&self) -> Value<'_> {
            self.as_slice().to_value()
        }
    }

    impl<T: ToValue + ToOwned + ?Sized> ToValue for Cow<'_, T> {
        #[inline]
        fn to_value(&self) -> Value<'_> {
            (**self).to_value()
        }
    }

    macro_rules! pointers {
        ($($pointer:ident)*) => {
            $(impl<T: ToValue + ?Sized> ToValue for $pointer<T> {
                #[inline]
                fn to_value(&self) -> Value<'_> {
                    (**self).to_value()
                }
            })*
        };
    }

    pointers! { Arc Box Rc }
}

/// On a machine of 32 bits an attribute has the form that it has in Wasm.
#[cfg(all(test, target_pointer_width = "32"))]
mod tests {
    use core::mem::transmute;

    use super::{Attribute, Value, abi};

    fn address<T>(of: &[T]) -> u32 {
        u32::try_from(of.as_ptr().addr()).expect("32 bits")
    }

    fn words(attribute: Attribute<'_>) -> [u32; abi::SIZE / 4] {
        // SAFETY: all bytes are initialized, which is what Miri looks at here.
        unsafe { transmute(attribute) }
    }

    #[test]
    fn an_attribute_has_the_bytes_of_the_contract() {
        let (key, text) = ("key", "text!");
        let first = [address(key.as_bytes()), 3];
        let record = |value: Value<'_>| {
            let words = words(Attribute::of(key, value));
            assert_eq!(words[..2], first);
            [words[2], words[3], words[4], words[5]]
        };
        assert_eq!(record(Value::str(text)), [abi::STRING, 5, address(text.as_bytes()), 0]);
        assert_eq!(record(Value::bool(true)), [abi::BOOL, 0, 1, 0]);
        assert_eq!(record(Value::i64(-2)), [abi::I64, 0, u32::MAX - 1, u32::MAX]);
        assert_eq!(record(Value::f64(1.0)), [abi::F64, 0, 0, 0x3ff0_0000]);
        let bytes = [0, 255];
        assert_eq!(record(Value::bytes(&bytes)), [abi::BYTES, 2, address(&bytes), 0]);
        let strs = ["a", "bc"];
        assert_eq!(record(Value::strs(&strs)), [abi::STRINGS, 2, address(&strs), 0]);
        // SAFETY: a reference to a str is two words.
        let second: [u32; 2] = unsafe { transmute(strs[1]) };
        assert_eq!(second, [address(strs[1].as_bytes()), 2]);
        let bools = [true, false, true];
        assert_eq!(record(Value::bools(&bools)), [abi::BOOLS, 3, address(&bools), 0]);
        let integers = [1_i64];
        assert_eq!(record(Value::i64s(&integers)), [abi::I64S, 1, address(&integers), 0]);
        let doubles = [0.5, 1.5];
        assert_eq!(record(Value::f64s(&doubles)), [abi::F64S, 2, address(&doubles), 0]);
    }
}
