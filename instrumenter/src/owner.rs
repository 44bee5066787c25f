//! To whom a function belongs, as its name tells: a crate, a namespace, a package.
//!
//! Compilers agree on no form of names, but all of them write a path from the outside to
//! the inside. So every name has a [path](path), every path [segments](segments), and a
//! prefix is a number of whole segments at its beginning:
//!
//! | language | name | segments |
//! |---|---|---|
//! | Rust | `alloc::vec::Vec<T,A>::push` | alloc, vec, Vec, push |
//! | | `<std::io::Stdout as std::io::Write>::write` | std, io, Stdout, write |
//! | | `<&T as core::fmt::Debug>::fmt` | core, fmt, Debug, fmt |
//! | | `<str>::trim` | core, primitive, trim |
//! | C++ | `ns::(anonymous namespace)::f` | ns, f |
//! | Go | `go_parser.__parser_.next` | go, parser, parser, next |
//! | TinyGo | `(*go/parser.parser).next` | go, parser, parser, next |
//! | Zig, Kotlin | `std.mem.eql` | std, mem, eql |
//! | AssemblyScript | `~lib/string/String#concat` | ~lib, string, String, concat |
//! | Swift | `$s4main3runyyF` | main, run |
//!
//! What a function of a type is belongs to the type, whoever wrote the trait. A type
//! without a path of its own, as a reference to `T`, leaves it to the trait, as Rust's
//! rules for who may implement what for it do; without a trait it is the standard library's.

use std::borrow::Cow;

use crate::Module;

/// Where functions of types that have no path belong: only the standard library may
/// have them.
const PRIMITIVE: &str = "core::primitive";

impl Module<'_> {
    /// The crate, namespace, package or source file to which a function of this name
    /// belongs; `None` for names without a path, as C has them.
    ///
    /// It is the first part of a path, such as `core` of `<&T as core::fmt::Debug>::fmt`;
    /// in Go the package (`go/parser`), in AssemblyScript the file (`~lib/string`).
    pub fn owner(&self, name: &str) -> Option<String> {
        let path = path(name);
        let head = &path[..path.find(['<', '(', '[', '{', ')']).unwrap_or(path.len())];
        if self.is_flattened() {
            return Some(head[..package_end(head)?].to_owned());
        }
        if !head.contains("::")
            && let Some(slash) = head.rfind('/')
        {
            let end = match head[slash..].find('.') {
                Some(dot) if !head.starts_with('~') => slash + dot,
                _ => slash,
            };
            return Some(head[..end].to_owned());
        }
        let mut segments = segments(&path, false);
        let first = segments.next()?;
        segments.next().map(|_| first.to_owned())
    }

    /// Whether names are as Go's linker writes them: with `_` for each character that is
    /// no letter, digit or dot.
    pub(crate) fn is_flattened(&self) -> bool {
        let mut names = self.sections.iter().filter_map(|section| section.custom);
        names.any(|(name, _)| name == "go:buildid")
    }
}

/// Whether the path of a name begins with all segments of a prefix.
pub(crate) fn starts_with(path: &str, prefix: &str, flattened: bool) -> bool {
    let mut found = segments(path, flattened);
    segments(prefix, flattened).all(|segment| found.next() == Some(segment))
}

/// The part of a demangled name from which its path can be read.
pub(crate) fn path(name: &str) -> Cow<'_, str> {
    let mut text = name;
    // What tools and compilers put before the name itself.
    for before in [
        "byn$mgfn-shared$",
        "start:",
        "export:",
        "TLS init function for ",
        "TLS wrapper function for ",
    ] {
        text = text.strip_prefix(before).unwrap_or(text);
    }
    if let Some(thunk) = text.strip_prefix("{virtual override thunk(") {
        text = thunk;
        // The offsets that it adjusts come first.
        while let Some((_, after)) = text.split_once("}, ").filter(|_| text.starts_with('{')) {
            text = after;
        }
    }
    if let Some(unmangled) = identifiers(text) {
        return Cow::Owned(unmangled);
    }
    // A method of TinyGo.
    if !text.starts_with("(anonymous") {
        text = text.strip_prefix('(').unwrap_or(text);
        text = text.strip_prefix('*').unwrap_or(text);
    }
    let mut path = Cow::Borrowed(text);
    while let Some(text) = path.strip_prefix('<') {
        let (ty, of_trait, member) = parts(text);
        let bare = referent(ty);
        let head = match of_trait {
            _ if bare.starts_with('<') || is_path(bare) => bare,
            Some(of_trait) => of_trait,
            None => PRIMITIVE,
        };
        path = Cow::Owned(format!("{head}{member}"));
    }
    path
}

/// The parts of a path, without arguments and without what has no name.
///
/// `flattened`: `_` parts them, too.
fn segments(path: &str, flattened: bool) -> impl Iterator<Item = &str> {
    let mut rest = path;
    let parts = std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let bytes = rest.as_bytes();
        let (mut depth, mut name_end, mut end, mut next) = (0u32, None, rest.len(), rest.len());
        for (at, byte) in rest.bytes().enumerate() {
            let part = match byte {
                b'<' | b'(' | b'[' | b'{' => {
                    name_end.get_or_insert(at);
                    depth += 1;
                    continue;
                }
                // The arrow of a function type closes nothing.
                b'>' if at > 0 && bytes[at - 1] == b'-' => continue,
                b'>' | b')' | b']' | b'}' => {
                    name_end.get_or_insert(at);
                    depth = depth.saturating_sub(1);
                    continue;
                }
                _ if depth > 0 => continue,
                b' ' | b',' => {
                    name_end.get_or_insert(at);
                    continue;
                }
                b':' if bytes.get(at + 1) == Some(&b':') => 2,
                b'/' | b'.' | b'#' => 1,
                b'_' | b'-' if flattened => 1,
                _ => continue,
            };
            (end, next) = (at, at + part);
            break;
        }
        let segment = &rest[..name_end.unwrap_or(end).min(end)];
        rest = &rest[next..];
        Some(segment)
    });
    parts.filter(|segment| !segment.is_empty())
}

/// A type without what stands before its name: references, pointers, brackets.
fn referent(ty: &str) -> &str {
    let mut text = ty;
    loop {
        let before = text;
        for sign in ["&", "*", "[", "(", "mut ", "const ", "dyn "] {
            text = text.strip_prefix(sign).unwrap_or(text);
        }
        if text == before {
            return text;
        }
    }
}

/// Whether a type begins with a path of more than one segment.
fn is_path(ty: &str) -> bool {
    let end = ty.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(ty.len());
    end > 0 && ty[end..].starts_with("::")
}

/// The parts of `Type as Trait>::member`.
fn parts(text: &str) -> (&str, Option<&str>, &str) {
    let bytes = text.as_bytes();
    let (mut depth, mut of_trait) = (0u32, None);
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' | b'}' if depth > 0 => depth -= 1,
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            b'>' => {
                let ty = &text[..of_trait.unwrap_or(at)];
                let of_trait = of_trait.map(|start| &text[start + " as ".len()..at]);
                return (ty, of_trait, &text[at + 1..]);
            }
            b' ' if depth == 0 && text[at..].starts_with(" as ") => {
                of_trait.get_or_insert(at);
            }
            _ => {}
        }
    }
    // It was cut.
    (text, None, "")
}

/// The first identifiers of a mangled name of Swift, or of C++ where it was not
/// demangled: each its length, then as many bytes.
fn identifiers(name: &str) -> Option<String> {
    let (mut found, mut rest) = (String::new(), name);
    if let Some(text) = name.strip_prefix("_ZN") {
        rest = text.trim_start_matches(['r', 'V', 'K', 'R', 'O']);
        if let Some(text) = rest.strip_prefix("St") {
            (found, rest) = ("std".to_owned(), text);
        }
    } else {
        rest = rest.strip_prefix("$s")?;
        // The standard library's module and its types have letters of their own.
        if rest.starts_with(['s', 'S']) {
            found += "Swift";
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        }
    }
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let Some((identifier, after)) = rest[..digits]
            .parse::<usize>()
            .ok()
            .and_then(|length| rest[digits..].split_at_checked(length))
        else {
            return (!found.is_empty()).then_some(found);
        };
        if !found.is_empty() {
            found += "::";
        }
        found += identifier;
        rest = after;
    }
}

/// Where the package ends in a flattened name of Go: at its first dot, but for that of a
/// domain, as in `github.com_some_module.run`.
fn package_end(name: &str) -> Option<usize> {
    let dot = name.find('.')?;
    let after = &name[dot + 1..];
    match ["com_", "org_", "net_", "io_", "in_", "dev_"].iter().any(|d| after.starts_with(d)) {
        true => after.find('.').map(|second| dot + 1 + second),
        false => Some(dot),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(go: bool) -> Vec<u8> {
        let section = if go { "(@custom \"go:buildid\" \"\")" } else { "" };
        wat::parse_str(format!("(module {section})")).expect("valid")
    }

    #[test]
    fn owners_are_found_in_names_of_all_languages() {
        let (plain, go) = (module(false), module(true));
        let (plain, go) =
            (Module::parse(&plain).expect("valid"), Module::parse(&go).expect("valid"));
        for (name, owner) in [
            // Rust; all but the last are from ripgrep and dprint's plugin for JSON.
            ("regex_syntax::ast::parse::ParserI<P>::pop_group", "regex_syntax"),
            ("<rg::flags::defs::CountMatches as rg::flags::Flag>::update", "rg"),
            ("<&T as core::fmt::Debug>::fmt", "core"),
            ("<&mut [u8] as core::fmt::Debug>::fmt", "core"),
            ("<() as core::fmt::Debug>::fmt", "core"),
            ("<u32 as itoa::Unsigned>::fmt", "itoa"),
            ("<I as core::iter::traits::iterator::Iterator::advance_by::S>::f", "core"),
            ("<&mut serde_json::ser::Serializer<W,F> as serde_core::ser::S>::s", "serde_json"),
            ("<alloc::vec::Vec<T> as core::ops::Drop>::drop", "alloc"),
            ("core::ptr::drop_in_place<alloc::boxed::Box<rg::haystack::Haystack>>", "core"),
            (
                "serde_json::value::ser::<impl serde_core::ser::S for serde_json::V>::s",
                "serde_json",
            ),
            ("<<std::sys::backtrace::BacktraceLock>::print::D as core::fmt::Display>::fmt", "std"),
            ("<<std::io::BufWriter<_>>::flush_buf::BufGuard>::remaining", "std"),
            ("<&[u8] as <alloc::ffi::c_str::CString>::new::SpecNewImpl>::spec_new_impl", "alloc"),
            ("<*mut core::ffi::c_void as core::fmt::Debug>::fmt", "core"),
            ("<dyn core::any::Any + core::marker::Send as core::fmt::Debug>::fmt", "core"),
            ("<[T] as alloc::slice::SpecCloneIntoVec<T,A>>::clone_into", "alloc"),
            ("std::sys::backtrace::__rust_end_short_backtrace::<std::rt::{closure#0}, !>", "std"),
            ("<str>::trim_start_matches::<&str>", "core"),
            ("<fn(u8) -> a::B as my_crate::Call>::call", "my_crate"),
            // C++
            ("nextpnr_ice40::Arch::getBelByName", "nextpnr_ice40"),
            ("nextpnr_ice40::(anonymous namespace)::HeAPPlacer::place", "nextpnr_ice40"),
            ("(anonymous namespace)::Router::route", "Router"),
            ("std::vector<int, std::allocator<int> >::push_back", "std"),
            ("std::operator<< <std::char_traits<char> >", "std"),
            ("TLS wrapper function for ns::current", "ns"),
            ("{virtual override thunk({offset(-24)}, ns::S::~S)}", "ns"),
            ("{virtual override thunk({offset(-24)}, {offset(8)}, ns::S::f)}", "ns"),
            ("_ZN5boost6python4callIXnwEE", "boost"),
            ("_ZNKSt3__28functionIDtE", "std"),
            // TinyGo
            ("(*go/parser.parser).next0", "go/parser"),
            ("(internal/reflectlite.Value).Len", "internal/reflectlite"),
            ("internal/stringslite.Clone", "internal/stringslite"),
            ("byn$mgfn-shared$(*go/parser.parser).parseBody", "go/parser"),
            ("github.com/some-one/module.Run[go.shape.int]", "github.com/some-one/module"),
            ("(*go/doc/comment.parseDoc).parseText$2", "go/doc/comment"),
            ("runtime.hashmapStringSet", "runtime"),
            // Zig, AssemblyScript, Swift
            ("std.io.Writer.print", "std"),
            ("array_list.Aligned(u8,null).append", "array_list"),
            ("~lib/string/String#concat", "~lib/string"),
            ("~lib/math/NativeMath.pow", "~lib/math"),
            ("assembly/index/digest", "assembly/index"),
            ("$s4main3runyyF", "main"),
            ("$sSS5countSivg", "Swift"),
        ] {
            assert_eq!(plain.owner(name).as_deref(), Some(owner), "{name}");
        }
        for name in ["memcpy", "main", "wasm-function[7]", "operator delete", "__multi3", ""] {
            assert_eq!(plain.owner(name), None, "{name}");
        }
        for (name, owner) in [
            ("go_parser.__parser_.parseType.deferwrap1", Some("go_parser")),
            ("runtime.gcStart", Some("runtime")),
            ("github.com_some_one_module.__T_.Run", Some("github.com_some_one_module")),
            ("memeqbody", None),
        ] {
            assert_eq!(go.owner(name).as_deref(), owner, "{name}");
        }
    }

    #[test]
    fn a_prefix_is_whole_segments() {
        for (name, prefix, starts) in [
            ("std::io::Write::write", "std", true),
            ("std::io::Write::write", "std::io", true),
            ("std::io::Write::write", "std::io::", true),
            ("std::io::Write::write", "std::i", false),
            ("stdx::run", "std", false),
            ("my_crate::run", "my", false),
            ("<std::io::Stdout as std::io::Write>::write", "std::io::Stdout::write", true),
            ("core::ptr::drop_in_place<my_crate::X>", "my_crate", false),
            ("ns::(anonymous namespace)::f", "ns::f", true),
            ("(*go/parser.parser).next", "go/parser", true),
            ("(*go/parser.parser).next", "go", true),
            ("encoding/json.Marshal", "encoding", true),
            ("encoding/json.Marshal", "encoding/js", false),
            ("~lib/string/String#concat", "~lib", true),
            ("main", "main", true),
            ("main", "main::run", false),
        ] {
            assert_eq!(starts_with(&path(name), prefix, false), starts, "{name} {prefix}");
        }
        for (name, prefix, starts) in [
            ("encoding_json.Marshal", "encoding/json", true),
            ("encoding_json.Marshal", "encoding", true),
            ("encoding_json.Marshal", "encoding/js", false),
            ("github.com_some_one_module.__T_.Run", "github.com/some-one/module", true),
            ("runtime.gcStart", "runtime.", true),
            ("runtime_pprof.StartCPUProfile", "runtime/pprof", true),
        ] {
            assert_eq!(starts_with(&path(name), prefix, true), starts, "{name} {prefix}");
        }
    }

    #[test]
    fn any_text_has_an_owner_or_none() {
        let (plain, go) = (module(false), module(true));
        for wasm in [&plain, &go] {
            let module = Module::parse(wasm).expect("valid");
            for name in ["<", "<>", "<<<", "::", "/", "_ZN99ä", "_ZN1ä", "$s", "$s1", "(", "ä::ö"]
            {
                module.owner(name);
                starts_with(&path(name), name, true);
            }
            module.owner(&"<&".repeat(512));
            module.owner(&format!("{}a::b{}", "<".repeat(340), ">".repeat(340)));
        }
    }
}
