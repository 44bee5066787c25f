//! Names that people can read.

use std::fmt::{self, Write};

use observe_abi::map::index_name;

use crate::Module;
use crate::parse::FuncIndex;

/// The length in bytes past which a name is cut.
///
/// Instantiated generics run to tens of kilobytes, and a hostile mangled name of
/// a few bytes to any length.
const MAX_NAME: usize = 1024;

impl Module<'_> {
    /// The name of a function as the module has it: from the name section, else
    /// the first name that it is exported under, else that of the import.
    pub fn raw_name(&self, index: FuncIndex) -> Option<&str> {
        if let Ok(at) = self.names.binary_search_by_key(&index.0, |&(index, _)| index) {
            return Some(self.names[at].1);
        }
        if let Some(name) = self.export_names(index).next() {
            return Some(name);
        }
        self.imports.get(index.0 as usize).map(|import| import.name)
    }

    /// The names that a function is exported under.
    pub fn export_names(&self, index: FuncIndex) -> impl Iterator<Item = &str> {
        let first = self.exports.partition_point(|&(_, export)| export < index);
        let exports = self.exports[first..].iter();
        exports.take_while(move |&&(_, export)| export == index).map(|&(name, _)| name)
    }

    /// The name of a function, demangled, at most 1,024 bytes long. That of an import
    /// is the names of its two levels, as in `env.clock`.
    ///
    /// Another function without a name is called by its index:
    /// [`wasm-function[7]`](observe_abi::map::index_name).
    pub fn name(&self, index: FuncIndex) -> String {
        if let Some(import) = self.imports.get(index.0 as usize) {
            return bounded(&format!("{}.{}", import.module, import.name));
        }
        match self.raw_name(index) {
            Some(raw) => demangle(raw),
            None => index_name(index.0),
        }
    }
}

/// The name that a Rust or C++ compiler made `raw` from, without hash and
/// parameters; `raw` itself where it is no mangled name, or one of Swift: all demanglers
/// for it are Swift's own, in C++. Cut at 1,024 bytes.
pub fn demangle(raw: &str) -> String {
    let mut name = Bounded(String::new());
    if let Ok(demangled) = rustc_demangle::try_demangle(raw) {
        // The alternate form leaves the hash out.
        if write!(name, "{demangled:#}").is_ok() || !name.0.is_empty() {
            return name.0;
        }
    } else if raw.starts_with("_Z") && is_plain_cpp(raw) {
        let options = cpp_demangle::DemangleOptions::new().no_params().no_return_type();
        if let Ok(symbol) = cpp_demangle::Symbol::new(raw)
            && (symbol.structured_demangle(&mut name, &options).is_ok() || !name.0.is_empty())
        {
            return name.0;
        }
    }
    bounded(raw)
}

/// What does not fit is cut, which is what the name says by ending.
fn bounded(raw: &str) -> String {
    let mut name = Bounded(String::new());
    let _ = name.write_str(raw);
    name.0
}

/// Whether a mangled C++ name holds no expressions, as `decltype` and template arguments
/// may. For them `cpp_demangle` takes time that is exponential in their length: a
/// name of a hundred bytes would take minutes.
///
/// The letters are those of the Itanium C++ ABI, 5.1.5 and 5.1.6.
fn is_plain_cpp(raw: &str) -> bool {
    if raw.len() > MAX_NAME {
        return false;
    }
    let bytes = raw.as_bytes();
    let mut at = 2;
    let mut conversions = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, bytes.get(at + 1)) {
            (b'1'..=b'9', _) => {
                // An identifier: its length, then as many bytes.
                let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                let length = raw.get(at..at + digits).and_then(|text| text.parse::<usize>().ok());
                at = at.saturating_add(digits).saturating_add(length.unwrap_or(raw.len()));
                continue;
            }
            (b'X', _) | (b'D', Some(b't' | b'T')) => return false,
            (b'c', Some(b'v')) => conversions += 1,
            _ => {}
        }
        at += 1;
    }
    conversions <= 1
}

/// A string that takes at most [`MAX_NAME`] bytes.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_NAME - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mangled_names_are_spelt_out() {
        for (raw, expected) in [
            ("_RNvCskwGfYPst2Cb_3foo16example_function", "foo::example_function"),
            ("_ZN4core3fmt9Formatter3pad17h1a2b3c4d5e6f7a8bE", "core::fmt::Formatter::pad"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backERKi",
                "std::vector<int, std::allocator<int> >::push_back",
            ),
            ("main", "main"),
            ("_Zebra", "_Zebra"),
            ("runtime.gcStart", "runtime.gcStart"),
            ("$s4main5helloSSyYaKF", "$s4main5helloSSyYaKF"),
        ] {
            assert_eq!(demangle(raw), expected);
        }
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let raw = "ä".repeat(1000) + "b";
        assert_eq!(demangle(&raw), "ä".repeat(512));
        let odd = format!("x{raw}");
        assert_eq!(demangle(&odd), format!("x{}", "ä".repeat(511)));
    }

    #[test]
    fn a_name_that_unfolds_is_cut() {
        // Each argument has the one before twice: `S0_` is the first, `S2_` the next.
        let mut raw = String::from("_Z1fI1a");
        for before in "02468ACEGIKMO".chars() {
            raw += &format!("1bIS{before}_S{before}_E");
        }
        raw += "EvT_";
        let symbol = cpp_demangle::Symbol::new(&raw).expect("it is a name");
        let whole = symbol.demangle().expect("it can be spelt out");
        assert!(whole.len() > 10 * MAX_NAME, "{} bytes", whole.len());
        assert_eq!(demangle(&raw).len(), MAX_NAME);
    }

    #[test]
    fn names_that_take_for_ever_are_left_as_they_are() {
        let nested =
            |head: &str, unit: &str, tail: &str| format!("{head}{}{tail}", unit.repeat(60));
        for raw in [
            nested("_ZgtadDt", "nw", "foldEEEEEEEEEEEEEEEEEEEEEEEEEEEE"),
            nested("_Z1fIX", "nw", "E"),
            nested("_Z", "cvT0_I", "E"),
            nested("_ZcvF", "clT0_T_IplT_I", "E"),
        ] {
            // Without the check this does not end.
            assert_eq!(demangle(&raw), raw);
        }
        assert_eq!(demangle("_ZNK3FoocvbEv"), "Foo::operator bool");
    }
}
