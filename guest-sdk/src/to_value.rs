//! What can be said as a value.

use crate::Value;

/// What an [`Attribute`](crate::Attribute) can have as its value.
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
