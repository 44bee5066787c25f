//! What the functions of the import modules take and give, so that a module can be held to it
//! before anything is linked.
//!
//! ```
//! use observe_abi::{guest, signature};
//!
//! let functions = signature::of(guest::v1::MODULE).unwrap_or_default();
//! let shown: Vec<_> = functions.iter().map(|f| format!("{}: {f}", f.name)).collect();
//! assert_eq!(shown, ["span-begin: (i32, i32) -> (i32)", "span-end: (i32) -> ()"]);
//! assert!(signature::of("env").is_none());
//! ```

use core::fmt;

use crate::{guest, hooks};

/// The type of a parameter or a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `i32`.
    I32,
    /// `i64`.
    I64,
    /// `f64`.
    F64,
}

/// A function of an import module. It is shown as its type, as in `(i32, i32) -> (i32)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its name.
    pub name: &'static str,
    /// The types of its parameters.
    pub params: &'static [Type],
    /// The types of its results.
    pub results: &'static [Type],
}

/// The functions of an import module of [`hooks`] or [`guest`], of a version that there is; `None` of
/// any other.
pub fn of(module: &str) -> Option<&'static [Signature]> {
    match module {
        hooks::MODULE => Some(&HOOKS_1),
        guest::v1::MODULE => Some(&GUEST_1),
        guest::MODULE => Some(&GUEST_2),
        _ => None,
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::I32 => "i32",
            Type::I64 => "i64",
            Type::F64 => "f64",
        })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, types: &[Type]| {
            f.write_str("(")?;
            for (at, ty) in types.iter().enumerate() {
                write!(f, "{}{ty}", if at > 0 { ", " } else { "" })?;
            }
            f.write_str(")")
        };
        list(f, self.params)?;
        f.write_str(" -> ")?;
        list(f, self.results)
    }
}

const I32: Type = Type::I32;
const I64: Type = Type::I64;
const F64: Type = Type::F64;

const fn function(
    name: &'static str,
    params: &'static [Type],
    results: &'static [Type],
) -> Signature {
    Signature { name, params, results }
}

const HOOKS_1: [Signature; 6] = [
    function(hooks::ENTER, &[I32], &[I32, I32]),
    function(hooks::EXIT, &[I32], &[]),
    function(hooks::UNWIND, &[I32], &[]),
    function(hooks::MEMORY_GROW, &[I32, I32, I64], &[]),
    function(hooks::TABLE_GROW, &[I32, I32, I64], &[]),
    function(hooks::ALLOCATION, &[I64, I64, I64], &[]),
];

const GUEST_1: [Signature; 2] = [
    function(guest::v1::SPAN_BEGIN, &[I32, I32], &[I32]),
    function(guest::v1::SPAN_END, &[I32], &[]),
];

const GUEST_2: [Signature; 18] = [
    function(guest::INTEREST, &[], &[I32]),
    function(guest::SPAN_BEGIN, &[I32; 5], &[I32]),
    function(guest::SPAN_END, &[I32], &[]),
    function(guest::SPAN_OPEN, &[I32; 6], &[I32]),
    function(guest::SPAN_ENTER, &[I32], &[]),
    function(guest::SPAN_EXIT, &[I32], &[]),
    function(guest::SPAN_CLOSE, &[I32], &[]),
    function(guest::SPAN_ATTRIBUTES, &[I32; 3], &[]),
    function(guest::SPAN_EVENT, &[I32; 5], &[]),
    function(guest::SPAN_STATUS, &[I32; 4], &[]),
    function(guest::SPAN_LINK, &[I32; 5], &[]),
    function(guest::LOG, &[I32; 6], &[]),
    function(guest::INSTRUMENT, &[I32; 7], &[I32]),
    function(guest::RECORD_I64, &[I32, I64, I32, I32], &[]),
    function(guest::RECORD_F64, &[I32, F64, I32, I32], &[]),
    function(guest::CONTEXT, &[I32; 2], &[I32]),
    function(guest::BAGGAGE, &[I32; 2], &[I32]),
    function(guest::SUBMIT, &[I32; 2], &[]),
];

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn every_version_is_known() {
        for module in guest::MODULES.into_iter().chain([hooks::MODULE]) {
            assert!(of(module).is_some_and(|functions| !functions.is_empty()), "{module}");
        }
        assert_eq!(of("observe:guest@0"), None);
    }
}
