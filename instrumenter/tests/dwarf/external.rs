//! Debug information in a file of its own.

use observe_abi::map::Cells;
use observe_instrumenter::{Companion, Companions, Instrumented, Module, Plan, Selection, Warning};
use wasm_encoder::{Encode, RawSection, Section as _};
use wasmparser::BinaryReader;

use crate::programs;
use crate::written::{add_section, module};

/// The sections of a module by their ids, names and contents. wasmparser takes functions
/// without code for an error.
fn all_sections(wasm: &[u8]) -> Vec<(u8, &str, &[u8])> {
    let mut reader = BinaryReader::new(wasm, 0);
    reader.read_bytes(8).expect("a header");
    let mut sections = Vec::new();
    while !reader.eof() {
        let id = reader.read_u8().expect("an id");
        let mut contents = reader.read_reader().expect("contents");
        let name = if id == 0 { contents.read_string().expect("a name") } else { "" };
        let rest = contents.read_bytes(contents.bytes_remaining()).expect("the rest");
        sections.push((id, name, rest));
    }
    sections
}

/// The module without the sections that `leave_out` names by their ids and names.
fn without(wasm: &[u8], leave_out: impl Fn(u8, &str) -> bool) -> Vec<u8> {
    let mut out = wasm[..8].to_vec();
    for (id, name, contents) in all_sections(wasm) {
        if leave_out(id, name) {
            continue;
        }
        match id {
            0 => add_section(&mut out, name, contents),
            _ => RawSection { id, data: contents }.append_to(&mut out),
        }
    }
    out
}

fn is_debug(id: u8, name: &str) -> bool {
    id == 0 && name.starts_with(".debug_")
}

/// A program and its debug information, with a build id in both.
fn program() -> (Vec<u8>, Vec<u8>) {
    let mut whole = programs::c(&["-g", "-O1"]);
    add_section(&mut whole, "build_id", b"\x10sixteen bytes id");
    let mut stripped = without(&whole, is_debug);
    let mut url = Vec::new();
    "program.debug.wasm".encode(&mut url);
    add_section(&mut stripped, "external_debug_info", &url);
    (whole, stripped)
}

fn instrument(wasm: &[u8], debug_info: Option<&[u8]>) -> Instrumented {
    let module = Module::parse(wasm).expect("a module");
    let plan = Plan::new(&module, &Selection::all());
    let debug_info = debug_info.map(|contents| Companion { contents, url: "new.debug.wasm" });
    let companions = Companions { debug_info, ..Companions::default() };
    plan.apply_with(&module, companions).expect("can be instrumented")
}

fn find<'a>(wasm: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let mut sections = all_sections(wasm).into_iter();
    sections.find(|(id, name, _)| *id == 0 && *name == wanted).map(|(_, _, contents)| contents)
}

#[test]
fn it_says_what_it_would_say_inside() {
    let (whole, stripped) = program();
    let inside = instrument(&whole, None).wasm;
    let debug = |wasm: &[u8]| {
        let sections = all_sections(wasm).into_iter().filter(|(id, name, _)| is_debug(*id, name));
        sections.map(|(_, name, contents)| (name.to_owned(), contents.to_vec())).collect::<Vec<_>>()
    };
    assert!(debug(&inside).len() > 4, "there is something to compare");
    for (form, file) in [
        ("whole", whole.clone()),
        ("without code", without(&whole, |id, _| id == 10 || id == 11)),
        ("with no function", {
            let mut file = without(&whole, |id, _| id == 10 || id == 11);
            RawSection { id: 10, data: &[0] }.append_to(&mut file);
            file
        }),
        ("without anything else", without(&whole, |id, _| id != 0)),
    ] {
        let instrumented = instrument(&stripped, Some(&file));
        assert_eq!(instrumented.warnings, [], "{form}");
        let named = find(&instrumented.wasm, "external_debug_info");
        assert_eq!(named, Some(&b"\x0enew.debug.wasm"[..]), "{form}");
        let new = instrumented.debug_info.expect("the file");
        assert!(debug(&new) == debug(&inside), "{form}");
        assert_eq!(find(&new, "name"), find(&instrumented.wasm, "name"), "{form}");
        let id = find(&instrumented.wasm, "build_id");
        assert_eq!(find(&new, "build_id"), id, "{form}");
        assert_ne!(id, find(&whole, "build_id"), "{form}");
        let core = |wasm: &[u8]| without(wasm, |id, _| id == 0);
        match form {
            "whole" => {
                wasmparser::validate(&new).expect("it is valid");
                assert!(core(&new) == core(&instrumented.wasm), "the same but for custom sections");
                programs::verify(form, &whole, &new);
            }
            "without anything else" => assert_eq!(core(&new), whole[..8]),
            _ => assert!(core(&new).len() < core(&instrumented.wasm).len() / 2, "{form}"),
        }
    }
}

#[test]
fn what_does_not_go_with_the_module_is_left_out() {
    let (whole, stripped) = program();
    let no_code = without(&whole, |id, _| id == 10);
    let mut other_build = without(&whole, |id, name| id == 10 || name == "build_id");
    add_section(&mut other_build, "build_id", b"\x10sixteen BYTES id");
    let other_module = programs::c(&["-g", "-O2"]);
    let mut damaged = without(&no_code, |id, name| id == 0 && name == ".debug_line");
    add_section(&mut damaged, ".debug_line", &[9, 0, 0]);
    for (file, why) in [
        (&b""[..], "is empty"),
        (b"hello", "not a WebAssembly binary"),
        (b"\0asm\x0d\0\x01\0", "component"),
        (&no_code[..no_code.len() - 1], "damaged"),
        (&stripped, "the file has none"),
        (&other_module, "another module"),
        (&other_build, "another build"),
        (&damaged, ".debug_line: it ends too early"),
    ] {
        let instrumented = instrument(&stripped, Some(file));
        let [Warning::ExternalDebugInfo { message }] = &instrumented.warnings[..] else {
            panic!("{why}: {:?}", instrumented.warnings)
        };
        assert!(message.contains(why), "{message}");
        assert!(instrumented.warnings[0].to_string().contains("external_debug_info"));
        assert!(instrumented.debug_info.is_none(), "{why}");
        assert_eq!(find(&instrumented.wasm, "external_debug_info"), None, "{why}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (_, stripped) = program();
    let section = "external_debug_info".to_owned();
    let url = "program.debug.wasm".to_owned();
    let instrumented = instrument(&stripped, None);
    assert_eq!(instrumented.warnings, [Warning::NotGiven { section, url }]);
    assert_eq!(find(&instrumented.wasm, "external_debug_info"), None);
}

/// A build id is one of the instrumented module wherever it stands, and the rest of the
/// module does not feel it.
#[test]
fn a_build_id_is_that_of_the_new_build() {
    let with_id = |at_end: bool, id: &[u8]| {
        let mut wasm = module()[..8].to_vec();
        if !at_end {
            add_section(&mut wasm, "build_id", id);
        }
        wasm.extend_from_slice(&module()[8..]);
        if at_end {
            add_section(&mut wasm, "build_id", id);
        }
        wasm
    };
    let plain = without(&instrument(&module(), None).wasm, |_, _| false);
    let mut ids = Vec::new();
    for at_end in [false, true] {
        for id in [&b"\x04abcd"[..], b"\x04abce", &[&[40][..], &[7; 40]].concat()] {
            let wasm = with_id(at_end, id);
            let instrumented = instrument(&wasm, None);
            assert_eq!(instrumented.warnings, []);
            let new = find(&instrumented.wasm, "build_id").expect("there is one");
            assert_eq!((new.len(), new[0]), (id.len(), id[0]));
            assert!(instrument(&wasm, None).wasm == instrumented.wasm, "it is the same each time");
            let rest = without(&instrumented.wasm, |id, name| id == 0 && name == "build_id");
            assert!(rest == plain, "the id {id:?} changes nothing else");
            ids.push(new[1..].to_vec());
            // Another plan makes another build.
            let module = Module::parse(&wasm).expect("a module");
            let mut other = Plan::new(&module, &Selection::all());
            other.cells = Cells::Memory;
            let other = other.apply(&module);
            assert_ne!(find(&other.expect("can be").wasm, "build_id"), Some(new));
        }
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "all differ");
    assert!(ids.iter().all(|id| !id.starts_with(b"abc") && !id.starts_with(&[7, 7, 7])));

    let dropped = Warning::Dropped { sections: vec!["build_id".to_owned()] };
    let damaged = instrument(&with_id(true, b"\x05abcd"), None);
    assert_eq!(damaged.warnings, std::slice::from_ref(&dropped));
    assert_eq!(find(&damaged.wasm, "build_id"), None);
    let mut twice = with_id(true, b"\x04abcd");
    add_section(&mut twice, "build_id", b"\x04abcd");
    assert_eq!(instrument(&twice, None).warnings, [dropped]);
}
