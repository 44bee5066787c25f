//! Debug information after a rewrite says of each instruction what it said before, and so it
//! does when the hooks are taken out again.
//!
//! Real programs come from the corpus and from compilers, all of which `tests/setup`
//! brings: C (CPython, Ruby, tree-sitter, and clang's own), C++ (Jsonnet, built with Zig's
//! clang and libc++, exceptions in both forms), Rust (ripgrep, and rustc's own) and Zig.
//!
//! Go is not among them: its linker writes no debug information for WebAssembly
//! (`dwarfEnabled` in `cmd/link/internal/ld` is false for `js` and `wasip1`; golang/go#33503),
//! which `go_has_none` watches. TinyGo writes it, through LLVM like the others, but it is on
//! neither registry that the corpus comes from, and the TinyGo programs there are stripped.

mod align;
mod compare;
mod external;
mod hostile;
mod programs;
mod source_map;
mod written;

use std::path::PathBuf;
use std::time::Instant;

use compare::{compare, load, sections};
use observe_instrumenter::{Module, Plan, Selection, remove};

/// Where `tests/setup` puts what it brings.
fn cache() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    cache.expect("a home folder").join("observe")
}

fn corpus(name: &str) -> Vec<u8> {
    corpus_file(&format!("{name}.wasm"))
}

fn corpus_file(name: &str) -> Vec<u8> {
    std::fs::read(cache().join("corpus").join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}: run tests/setup"))
}

fn debug_sections(wasm: &[u8]) -> Vec<&str> {
    sections(wasm).iter().map(|s| s.0).filter(|name| name.starts_with(".debug_")).collect()
}

/// Instruments a module, and compares what its debug information says.
fn check(name: &str, wasm: &[u8], selection: &Selection) {
    let module = Module::parse(wasm).expect("a module");
    let plan = Plan::new(&module, selection);
    let before = Instant::now();
    let instrumented = plan.apply(&module).expect("can be instrumented");
    let took = before.elapsed();
    for warning in &instrumented.warnings {
        println!("{name}: {warning}");
    }
    assert_eq!(debug_sections(wasm), debug_sections(&instrumented.wasm), "{name}: all are kept");
    assert!(load(wasm).units().next().expect("units").is_some(), "{name}: there is something");
    // Looking addresses up is slow without optimizations; comparing rows is not.
    let stride = if cfg!(debug_assertions) { (wasm.len() / 500_000).max(1) } else { 1 };
    let report = compare(wasm, &instrumented.wasm, stride);
    println!(
        "{name}: {:.0} MB/s, {:?}, {} wrong",
        wasm.len() as f64 / 1e6 / took.as_secs_f64(),
        report.counts,
        report.wrong
    );
    programs::verify(name, wasm, &instrumented.wasm);
    assert_eq!(report.wrong, 0, "{name}: {}", report.messages.join("\n"));
    check_removal(name, wasm, &instrumented.wasm, stride);
}

/// Takes the hooks out again, and compares what the debug information says then.
fn check_removal(name: &str, wasm: &[u8], instrumented: &[u8], stride: usize) {
    let restored = remove(instrumented).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(restored.warnings, [], "{name}");
    assert_eq!(debug_sections(wasm), debug_sections(&restored.wasm), "{name}: all are kept");
    let report = compare(wasm, &restored.wasm, stride);
    println!("{name}, restored: {:?}, {} wrong", report.counts, report.wrong);
    programs::verify(name, wasm, &restored.wasm);
    assert_eq!(report.wrong, 0, "{name}, restored: {}", report.messages.join("\n"));
}

fn check_corpus(name: &str) {
    let wasm = corpus(name);
    check(name, &wasm, &Selection::all());
    if !cfg!(debug_assertions) {
        check(name, &wasm, &Selection::default());
    }
}

#[test]
fn ripgrep() {
    check_corpus("ripgrep");
}

#[test]
fn python() {
    check_corpus("python");
}

#[test]
fn ruby() {
    check_corpus("ruby");
}

#[test]
fn tree_sitter() {
    check_corpus("tree-sitter");
}

/// C++ with exceptions: DWARF 5 of code that is not optimized, with `exnref`.
#[test]
fn jsonnet() {
    check_corpus("jsonnet");
}

/// The same program: DWARF 4 of optimized code, with the older form of exceptions.
#[test]
fn jsonnet_dwarf4() {
    check_corpus("jsonnet-dwarf4");
}

/// Go's compilers: when this fails, there is something to compare.
#[test]
fn go_has_none() {
    for name in ["gofmt", "gofmt-tinygo"] {
        assert_eq!(debug_sections(&corpus(name)), Vec::<&str>::new(), "{name}");
    }
}

/// What C's compiler writes in each version of the standard.
#[test]
fn c() {
    for version in ["-gdwarf-2", "-gdwarf-3", "-gdwarf-4", "-gdwarf-5"] {
        for level in ["-O0", "-O2"] {
            let arguments = [version, level, "-g3"];
            let wasm = programs::c(&arguments);
            check(&format!("C {version} {level}"), &wasm, &Selection::all());
            check(&format!("C {version} {level}"), &wasm, &Selection::default());
        }
    }
    // Units that share their tables of lists, macros, and lines with more or less to say.
    for more in ["-flto", "-fdebug-macro", "-gno-column-info", "-gno-inline-line-tables"] {
        for version in ["-gdwarf-4", "-gdwarf-5"] {
            let wasm = programs::c(&[version, "-O1", more]);
            check(&format!("C {version} {more}"), &wasm, &Selection::all());
        }
    }
}

/// Addresses of 8 bytes.
#[test]
fn c_for_wasm64() {
    for version in ["-gdwarf-3", "-gdwarf-4", "-gdwarf-5"] {
        let wasm = programs::c64(&[version, "-O1"]);
        check(&format!("C for wasm64 {version}"), &wasm, &Selection::all());
    }
}

#[test]
fn rust() {
    for version in ["2", "4", "5"] {
        for level in ["0", "s", "3"] {
            let [version_flag, level_flag] =
                [format!("-Cdwarf-version={version}"), format!("-Copt-level={level}")];
            let wasm = programs::rust(&[&version_flag, &level_flag]);
            check(&format!("Rust {version} {level}"), &wasm, &Selection::all());
        }
    }
}

#[test]
fn zig() {
    for level in ["-ODebug", "-OReleaseSafe"] {
        let wasm = programs::zig(&[level]);
        check(&format!("Zig {level}"), &wasm, &Selection::all());
    }
}

#[test]
fn forms_that_compilers_here_do_not_use() {
    for (format, versions) in [(gimli::Format::Dwarf32, 2..=5), (gimli::Format::Dwarf64, 3..=5)] {
        for version in versions {
            for address_size in [4, 8] {
                let wasm = written::write(format, version, address_size);
                let name = format!("{format:?} {version}, addresses of {address_size}");
                check(&name, &wasm, &Selection::all());
                check(&name, &wasm, &Selection::default());
            }
        }
    }
}

/// Hooks that catch what passes through, and those before tail calls.
#[test]
fn other_forms_of_hooks() {
    let body = "nop nop nop nop nop nop nop nop";
    let tail = "(func (param i32) (result i32) nop nop nop nop local.get 0 return_call $f7)";
    for (hooks, more) in [
        ("plain", tail.to_owned()),
        ("exnref", format!("(tag) {tail} (func block try_table (catch_all 0) {body} end end)")),
        ("legacy", format!("{tail} (func try {body} catch_all nop end {body})")),
    ] {
        for version in [4, 5] {
            let wasm = written::write_with(&more, gimli::Format::Dwarf32, version, 4);
            check(&format!("DWARF {version}, {hooks} hooks"), &wasm, &Selection::all());
        }
    }
}
