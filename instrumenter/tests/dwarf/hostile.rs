//! Debug information that cannot be rewritten is left out, and said, whatever is wrong
//! with it; nothing panics.

use gimli::Format;
use observe_instrumenter::{Instrumented, Module, Plan, Selection, Warning};

use crate::compare::sections;
use crate::written::{add_section, module, write};
use crate::{debug_sections, programs};

fn instrument(wasm: &[u8]) -> Instrumented {
    let module = Module::parse(wasm).expect("a module");
    Plan::new(&module, &Selection::all()).apply(&module).expect("can be instrumented")
}

/// The sections of a module, and a module with other ones.
fn with_sections(sections: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut wasm = module();
    for (name, contents) in sections {
        add_section(&mut wasm, name, contents);
    }
    wasm
}

fn owned(wasm: &[u8]) -> Vec<(&str, Vec<u8>)> {
    sections(wasm).into_iter().map(|(name, contents)| (name, contents.to_vec())).collect()
}

/// Checks that all debug information is gone, and why.
fn is_left_out(name: &str, wasm: &[u8], section: &str, message: &str) {
    let instrumented = instrument(wasm);
    assert_eq!(debug_sections(&instrumented.wasm), [""; 0], "{name}");
    let [Warning::DebugInfo { section: blamed, message: why }, Warning::Dropped { sections }] =
        &instrumented.warnings[..]
    else {
        panic!("{name}: {:?}", instrumented.warnings);
    };
    assert_eq!((blamed.as_str(), why.contains(message)), (section, true), "{name}: {why}");
    assert_eq!(*sections, debug_sections(wasm), "{name}: all are named");
}

#[test]
fn what_cannot_be_kept_is_left_out() {
    let four = write(Format::Dwarf32, 4, 4);
    let five = write(Format::Dwarf32, 5, 4);
    let change = |wasm: &[u8], name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut sections = owned(wasm);
        let section = sections.iter_mut().find(|(found, _)| *found == name);
        change(&mut section.expect("is there").1);
        with_sections(&sections)
    };
    for (wasm, name, new, cause) in [
        (&four, ".debug_line", &[9, 0, 0][..], "too early"),
        (&four, ".debug_line", &[2, 0, 0, 0, 99, 0], "version 99 is not known"),
        (&four, ".debug_info", &[0xf1, 0xff, 0xff, 0xff], "reserved"),
        (&four, ".debug_info", &[7, 0, 0, 0, 4, 0, 0, 0, 0, 0, 3], "3 bytes long"),
        (&four, ".debug_info", &[8, 0, 0, 0, 5, 0, 4, 4, 0, 0, 0, 0], "split DWARF"),
        (&four, ".debug_ranges", &[], "too early"),
        (&four, ".debug_loc", &[1, 2, 3], "too early"),
        (&five, ".debug_rnglists", &[], "nothing that begins"),
        (&five, ".debug_loclists", &[8, 0, 0, 0, 5, 0, 4, 0, 0, 0, 0, 0], "nothing that begins"),
        (&five, ".debug_loclists", &[9, 0, 0, 0, 5, 0, 4, 0, 0, 0, 0, 0, 77], "kind 0x4d"),
    ] {
        let wasm = change(wasm, name, &|section| *section = new.to_vec());
        is_left_out(&format!("{name} {new:x?}"), &wasm, name, cause);
    }
    let unknown_form = change(&four, ".debug_abbrev", &|section| {
        *section = vec![1, 0x11, 1, 3, 0x7e, 0, 0, 0];
    });
    is_left_out("a form", &unknown_form, ".debug_abbrev", "form 0x7e is not known");
    // A length in a LEB128 of one byte that would take two.
    let abbreviations = vec![1, 0x2e, 0, 0x11, 1, 0x12, 0x0f, 0, 0, 0];
    let start = crate::align::functions(&module())[0].0.start as u8;
    let mut info = vec![0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 4, 1, start, 0, 0, 0, 126];
    info[0] = info.len() as u8 - 4;
    let tight = with_sections(&[(".debug_abbrev", abbreviations), (".debug_info", info)]);
    is_left_out("a tight length", &tight, ".debug_info", "does not fit");

    let mut split = owned(&four);
    split.push((".debug_info.dwo", vec![0]));
    is_left_out("split", &with_sections(&split), ".debug_info.dwo", "split DWARF");
    let mut twice = owned(&four);
    twice.push((".debug_info", Vec::new()));
    is_left_out("twice", &with_sections(&twice), ".debug_info", "several");

    let split = programs::c(&["-gdwarf-5", "-gsplit-dwarf"]);
    is_left_out("split by clang", &split, ".debug_info", "split DWARF");

    // What nobody knows goes alone.
    let mut unknown = owned(&four);
    unknown.push((".debug_frame", vec![1, 2, 3]));
    let instrumented = instrument(&with_sections(&unknown));
    let sections = vec![".debug_frame".to_owned()];
    assert_eq!(instrumented.warnings, [Warning::Dropped { sections }]);
    assert_eq!(debug_sections(&instrumented.wasm), debug_sections(&four));
}

#[test]
fn sections_may_come_before_the_code() {
    let wasm = write(Format::Dwarf32, 5, 4);
    let code_first = instrument(&wasm);
    let (magic, bare) = (&wasm[..8], &module()[8..]);
    let mut moved = magic.to_vec();
    for (name, contents) in owned(&wasm) {
        add_section(&mut moved, name, &contents);
    }
    moved.extend_from_slice(bare);
    let code_last = instrument(&moved);
    assert!(code_last.warnings.is_empty(), "{:?}", code_last.warnings);
    let mine = |wasm: &[u8]| -> Vec<(String, Vec<u8>)> {
        let sections = sections(wasm).into_iter().filter(|(name, _)| name.starts_with(".debug_"));
        sections.map(|(name, contents)| (name.to_owned(), contents.to_vec())).collect()
    };
    assert_eq!(mine(&code_first.wasm), mine(&code_last.wasm));
}

/// Changes a few bytes here and there, thousands of times.
#[test]
fn damage_does_no_harm() {
    let mut modules = vec![
        write(Format::Dwarf32, 2, 4),
        write(Format::Dwarf32, 4, 8),
        write(Format::Dwarf64, 5, 4),
    ];
    modules.push(programs::c(&["-gdwarf-5", "-O2", "-fdebug-macro"]));
    let (mut kept, mut left_out) = (0, 0);
    let mut random = 1u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize % below
    };
    for wasm in &modules {
        let places: Vec<_> = sections(wasm)
            .into_iter()
            .filter(|(name, contents)| name.starts_with(".debug_") && !contents.is_empty())
            .map(|(_, contents)| {
                let start = contents.as_ptr() as usize - wasm.as_ptr() as usize;
                start..start + contents.len()
            })
            .collect();
        for _ in 0..if cfg!(debug_assertions) { 200 } else { 2000 } {
            let mut damaged = wasm.clone();
            for _ in 0..1 + next(6) {
                let place = &places[next(places.len())];
                // Headers are where it hurts.
                let len = if next(2) == 0 { place.len() } else { place.len().min(64) };
                let value = [0, 1, 0x7f, 0x80, 0xff, next(256) as u8][next(6)];
                damaged[place.start + next(len)] = value;
            }
            let instrumented = instrument(&damaged);
            let all = debug_sections(&instrumented.wasm);
            match &instrumented.warnings[..] {
                [] => kept += 1,
                [Warning::DebugInfo { .. }, Warning::Dropped { .. }] => {
                    assert_eq!(all, [""; 0]);
                    left_out += 1;
                }
                // Nothing refers to it any more.
                [Warning::Dropped { .. }] => kept += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    println!("kept {kept}, left out {left_out}");
    assert!(kept > 100 && left_out > 100, "both happen");
}
