//! Modules that were damaged, thousands of times: an error or a valid module, never a
//! panic, and no more memory than in proportion to what was read.
//!
//! `/fuzz` runs the same [bodies] for as long as one likes.

mod allocations;
mod bodies;
mod mutate;

use std::path::Path;

use mutate::Mutator;
use observe_abi::map::Cells;
use observe_instrumenter::{Module, Plan, Selection, remove};

/// What the analysis and the rewrite of a module may take in memory, in bytes: so much
/// for each byte of it, and a constant for regular expressions and the like.
///
/// Measured: 211 times where each function is from a source file of its own with a path
/// as long as can be, 100 times for functions of 4 bytes, and 60 times or less otherwise.
const FACTOR: usize = 300;
const CONSTANT: usize = 1 << 20;

/// The modules of `examples` and of the instrumenter's other tests.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seeds = Vec::new();
    for folder in ["../examples", "tests/rewrite"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("a folder of modules") {
            let path = entry.expect("readable").path();
            if path.extension().is_some_and(|extension| extension == "wasm" || extension == "wat") {
                let name = path.file_name().expect("a file").to_string_lossy().into_owned();
                seeds.push((name, wat::parse_file(&path).expect("a module")));
            }
        }
    }
    seeds.sort();
    assert!(seeds.len() > 15, "there are modules");
    seeds
}

/// Instruments a module, and checks what that takes in memory at the most.
fn check_memory(wasm: &[u8]) -> usize {
    let peak = allocations::peak(|| {
        let Ok(module) = Module::parse(wasm) else { return };
        let _ = Plan::new(&module, &Selection::all()).apply(&module);
    });
    assert!(peak <= CONSTANT + FACTOR * wasm.len(), "{peak} bytes for {}", wasm.len());
    peak
}

#[test]
fn damaged_modules_do_no_harm() {
    let seeds = seeds();
    let mut mutator = Mutator::new(1);
    let mut outcomes = [0; 3];
    for (name, wasm) in &seeds {
        // Large ones take their time.
        let rounds = (100_000_000 / (wasm.len() + 500)).clamp(600, 48_000);
        for _ in 0..rounds {
            let (_, other) = &seeds[mutator.below(seeds.len())];
            let damaged = mutator.damage(wasm, other);
            // What is damaged is known where this fails.
            let outcome = std::panic::catch_unwind(|| {
                check_memory(&damaged);
                bodies::module(&damaged)
            });
            let outcome = outcome.unwrap_or_else(|_| {
                let path = std::env::temp_dir().join("observe-hostile.wasm");
                std::fs::write(&path, &damaged).expect("can be written");
                panic!("{name}, damaged: {}", path.display())
            });
            outcomes[outcome as usize] += 1;
        }
    }
    println!("refused, invalid, valid: {outcomes:?}");
    assert!(outcomes.iter().all(|&count| count > 1000), "each happens: {outcomes:?}");
}

/// Modules of as many as can be of something that takes few bytes to say.
fn dense() -> Vec<(&'static str, Vec<u8>)> {
    // A hundred bytes that stand for more than fit in a name.
    let mut long = String::from("_Z1fI1a");
    for before in "02468ACEGIKMO".chars() {
        long += &format!("1bIS{before}_S{before}_E");
    }
    let results = "i32 ".repeat(1000);
    let modules = [
        ("functions", "(func)".repeat(50_000)),
        ("loops", "(func (loop))".repeat(50_000)),
        ("types", "(type (func))".repeat(50_000) + "(func (export \"f\"))"),
        ("globals", "(global i32 (i32.const 0))".repeat(50_000) + "(func (export \"f\"))"),
        ("exports", {
            let exports = (0..20_000).map(|n| format!(r#"(export "{n}" (func 0))"#));
            exports.collect::<String>() + "(func)"
        }),
        ("mangled names", format!(r#"(func (@name "{long}EvT_"))"#).repeat(5000)),
        ("calls", format!("(func {})", "call 0 ".repeat(100_000))),
        ("results", format!("(func (result {results}) unreachable)").repeat(1000)),
        ("tail calls", format!("(func {})", "return_call 0 ".repeat(50_000))),
    ];
    let modules = modules.into_iter();
    let parse = |text: String| wat::parse_str(format!("(module {text})")).expect("a module");
    let modules = modules.map(|(name, text)| (name, parse(text)));
    modules.chain([("paths", with_paths())]).collect()
}

/// A module of empty functions, each from a file of its own in a folder whose name is as
/// long as can be: a line table of DWARF 4, 6.2.4.
fn with_paths() -> Vec<u8> {
    const FUNCTIONS: u16 = 10_000;
    let mut header = vec![1, 1, 1, 0, 1, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
    header.extend([&[b'd'; 1000][..], &[0, 0]].concat());
    // Extended opcode 2 sets the address to that of the first body.
    let mut program = vec![0, 5, 2, 3, 0, 0, 0];
    for n in 1..=FUNCTIONS {
        header.extend(format!("{n:x}\0\x01\0\0").bytes());
        // File `n`; then a row, 4 bytes further on, and the line stays the same.
        program.extend([4, n as u8 | 0x80, (n >> 7) as u8 | 0x80, (n >> 14) as u8, 13 + 4]);
    }
    header.push(0);
    program.extend([0, 1, 1]);
    let mut table = vec![4, 0];
    table.extend((header.len() as u32).to_le_bytes());
    table.extend([header, program].concat());
    let length = (table.len() as u32).to_le_bytes();
    let mut wasm = wat::parse_str(format!("(module {})", "(func)".repeat(FUNCTIONS.into())))
        .expect("a module");
    let section = wasm_encoder::CustomSection {
        name: ".debug_line".into(),
        data: [&length[..], &table].concat().into(),
    };
    wasm_encoder::Section::append_to(&section, &mut wasm);
    let module = Module::parse(&wasm).expect("a module");
    let plan = Plan::new(&module, &Selection::all());
    let paths = plan.functions.iter().filter_map(|function| function.source.as_ref());
    assert!(paths.filter(|path| path.file.len() > 1000).count() > 9_000, "they are found");
    wasm
}

#[test]
fn dense_modules_take_memory_in_proportion() {
    for (name, wasm) in dense() {
        let peak = check_memory(&wasm);
        println!("{name}: {} bytes, {} times in memory", wasm.len(), peak / wasm.len());
        assert_eq!(bodies::module(&wasm), bodies::Outcome::Valid, "{name}");
    }
}

/// Instruments a module in a few ways.
fn instrumented(wasm: &[u8]) -> Vec<Vec<u8>> {
    let module = Module::parse(wasm).expect("valid");
    let ways = [
        (Selection::all().allocations(true), Cells::Memory),
        (Selection::default(), Cells::Globals),
    ];
    let instrumented = ways.iter().map(|(selection, cells)| {
        let mut plan = Plan::new(&module, selection);
        plan.cells = *cells;
        plan.apply(&module).expect("it can be").wasm
    });
    instrumented.collect()
}

#[test]
fn damaged_hooks_do_no_harm() {
    let seeds: Vec<_> = seeds()
        .into_iter()
        .flat_map(|(name, wasm)| instrumented(&wasm).into_iter().map(move |i| (name.clone(), i)))
        .collect();
    let mut mutator = Mutator::new(4);
    let mut outcomes = [0; 3];
    for (name, wasm) in &seeds {
        let rounds = (30_000_000 / (wasm.len() + 500)).clamp(200, 10_000);
        for _ in 0..rounds {
            let (_, other) = &seeds[mutator.below(seeds.len())];
            let damaged = mutator.damage(wasm, other);
            let outcome = std::panic::catch_unwind(|| {
                check_removal(&damaged);
                bodies::without_hooks(&damaged)
            });
            let outcome = outcome.unwrap_or_else(|_| {
                let path = std::env::temp_dir().join("observe-hostile-hooks.wasm");
                std::fs::write(&path, &damaged).expect("can be written");
                panic!("{name}, damaged: {}", path.display())
            });
            outcomes[outcome as usize] += 1;
        }
    }
    println!("refused, -, freed: {outcomes:?}");
    assert!(outcomes[0] > 1000 && outcomes[2] > 1000, "each happens: {outcomes:?}");
}

/// Takes the hooks out of a module, and checks what that takes in memory at the most.
fn check_removal(wasm: &[u8]) -> usize {
    let peak = allocations::peak(|| _ = remove(wasm));
    assert!(peak <= CONSTANT + FACTOR * wasm.len(), "{peak} bytes for {}", wasm.len());
    peak
}

#[test]
fn dense_modules_without_hooks_again_take_memory_in_proportion() {
    for (name, wasm) in dense() {
        let module = Module::parse(&wasm).expect("a module");
        let instrumented = Plan::new(&module, &Selection::all()).apply(&module).expect("it can be");
        let peak = check_removal(&instrumented.wasm);
        let len = instrumented.wasm.len();
        println!("{name}: {len} bytes, {} times in memory", peak / len);
        let restored = remove(&instrumented.wasm).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(restored.wasm.len() <= wasm.len(), "{name}");
    }
}

/// wasmparser makes room for all the types of a group at once.
#[test]
fn a_count_takes_no_memory_by_itself() {
    // A group of 999,999 types, of which there is none.
    let section = [1, 5, 1, 0x4e, 0xbf, 0x84, 0x3d];
    check_memory(&[&b"\0asm\x01\0\0\0"[..], &section].concat());
}

#[test]
fn a_count_that_nothing_follows_takes_no_memory() {
    // A section of types with one group, of a million.
    let wasm = b"\0asm\x01\0\0\0\x01\x05\x01\x4e\xc0\x84\x3d";
    check_memory(wasm);
    assert!(Module::parse(wasm).is_err());
    let group = wat::parse_str("(module (rec (type (struct)) (type (func)) (type (struct))))");
    assert!(Module::parse(&group.expect("valid")).is_ok());
}

#[test]
fn damaged_maps_do_no_harm() {
    let mut mutator = Mutator::new(2);
    for (_, wasm) in seeds() {
        let module = Module::parse(&wasm).expect("valid");
        let plan = Plan::new(&module, &Selection::all());
        let instrumented = plan.apply(&module).expect("it can be").wasm;
        let map = plan.function_map(&module).encode();
        for _ in 0..2000 {
            bodies::function_map(&mutator.damage(&map, &map));
            if instrumented.len() < 10_000 {
                bodies::function_map(&mutator.damage(&instrumented, &map));
            }
        }
    }
}

#[test]
fn damaged_names_do_no_harm() {
    let mut mutator = Mutator::new(3);
    let mut names = 0;
    for (_, wasm) in seeds() {
        let module = Module::parse(&wasm).expect("valid");
        for function in Plan::new(&module, &Selection::all()).functions {
            if let Some(name) = module.raw_name(function.index) {
                names += 1;
                for _ in 0..500 {
                    bodies::name(&mutator.damage(name.as_bytes(), b"_ZN3fooIiLi5EE3barEv"));
                }
            }
        }
    }
    assert!(names > 100, "{names} names");
}
