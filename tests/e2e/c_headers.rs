//! The headers for guests in C and C++, and the module for Zig: no compiler warns, what they import is the
//! contract, and nothing where they are turned off. That they say what they should is tested by
//! running guests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use observe_abi::guest;
use wasmparser::{Name, Parser, Payload, TypeRef, ValType};

use crate::harness::{cache, here, output, repository, stderr, stdout};

/// A program in one of the languages, and the flags that say so.
struct Program {
    source: &'static str,
    language: &'static [&'static str],
}

const C: &[&str] = &["-std=c11"];
const CPP: &[&str] = &["-x", "c++", "-std=c++17", "-fno-exceptions", "-fno-rtti"];

const PROGRAMS: [Program; 5] = [
    Program { source: "all.c", language: C },
    Program { source: "all.c", language: &["-std=c17"] },
    Program { source: "all.c", language: CPP },
    Program { source: "all.cpp", language: CPP },
    Program { source: "all.cpp", language: &["-x", "c++", "-std=c++20", "-fno-exceptions"] },
];

const WARNINGS: [&str; 7] =
    ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wundef", "-Werror"];

fn sdk() -> PathBuf {
    repository().join("guest-sdk/c")
}

fn zig() -> Command {
    let mut zig = here(cache().join("venv/bin/python"));
    zig.args(["-m", "ziglang"]);
    zig
}

/// A compiler for C and C++, for Wasm without a C library or for this machine.
fn compilers(wasm: bool) -> [Command; 2] {
    let (mut clang, mut zig) = (here("clang"), zig());
    zig.arg("cc");
    if wasm {
        clang.arg("--target=wasm32");
        zig.args(["-target", "wasm32-freestanding"]);
        for compiler in [&mut clang, &mut zig] {
            // Without optimization zig asks for a library that reports undefined behaviour.
            compiler.args(["-fno-sanitize=undefined", "-nostdlib"]);
            compiler.args(["-Wl,--no-entry", "-Wl,--export=all"]);
        }
    }
    [clang, zig]
}

/// Runs a command, which must be silent about its input.
fn succeed(command: &mut Command) -> String {
    let result = output(command, b"");
    assert!(result.status.success(), "{command:?}: {}", stderr(&result));
    assert_eq!(stderr(&result), "", "{command:?}");
    stdout(&result)
}

fn compile(compiler: &mut Command, program: &Program, flags: &[&str], to: &Path) {
    let source = sdk().join("tests").join(program.source);
    compiler.args(program.language).args(WARNINGS).args(flags).arg("-o").arg(to).arg(source);
    succeed(compiler);
}

/// The imports of a module with their types, `(i32, i64) -> i32` as `iI:i`, in order of names; and the
/// names of its own functions.
fn inspect(wasm: &Path) -> (Vec<(String, String, String)>, Vec<String>) {
    let letter = |of: &ValType| match of {
        ValType::I32 => 'i',
        ValType::I64 => 'I',
        ValType::F64 => 'F',
        other => panic!("{other} is in no import"),
    };
    let bytes = fs::read(wasm).expect("it was written");
    let (mut types, mut imports, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.expect("valid") {
            Payload::TypeSection(section) => {
                types = section.into_iter_err_on_gc_types().map(|of| of.expect("valid")).collect();
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.expect("valid");
                    let TypeRef::Func(of) = import.ty else { panic!("{import:?}") };
                    let of = &types[of as usize];
                    let signature: String = of.params().iter().map(letter).collect();
                    let results: String = of.results().iter().map(letter).collect();
                    let signature = format!("{signature}:{results}");
                    imports.push((import.module.to_owned(), import.name.to_owned(), signature));
                }
            }
            Payload::CustomSection(section) if section.name() == "name" => {
                let reader = wasmparser::BinaryReader::new(section.data(), section.data_offset());
                for subsection in wasmparser::NameSectionReader::new(reader) {
                    if let Name::Function(map) = subsection.expect("valid") {
                        for naming in map {
                            let naming = naming.expect("valid");
                            if naming.index as usize >= imports.len() {
                                names.push(naming.name.to_owned());
                            }
                        }
                    }
                }
            }
            _ => {}
        }
    }
    imports.sort();
    (imports, names)
}

/// What `docs/ABI.md` says: text and attributes are two `i32`s each.
fn contract() -> Vec<(String, String, String)> {
    let mut all = [
        (guest::INTEREST, ":i"),
        (guest::SPAN_BEGIN, "iiiii:i"),
        (guest::SPAN_END, "i:"),
        (guest::SPAN_OPEN, "iiiiii:i"),
        (guest::SPAN_ENTER, "i:"),
        (guest::SPAN_EXIT, "i:"),
        (guest::SPAN_CLOSE, "i:"),
        (guest::SPAN_ATTRIBUTES, "iii:"),
        (guest::SPAN_EVENT, "iiiii:"),
        (guest::SPAN_STATUS, "iiii:"),
        (guest::SPAN_LINK, "iiiii:"),
        (guest::LOG, "iiiiii:"),
        (guest::INSTRUMENT, "iiiiiii:i"),
        (guest::RECORD_I64, "iIii:"),
        (guest::RECORD_F64, "iFii:"),
        (guest::CONTEXT, "ii:i"),
        (guest::BAGGAGE, "ii:i"),
        (guest::SUBMIT, "ii:"),
    ]
    .map(|(name, of)| (guest::MODULE.to_owned(), name.to_owned(), of.to_owned()));
    all.sort();
    all.into()
}

#[test]
fn c_and_cpp_import_the_contract_and_leave_no_wrapper() {
    let dir = tempfile::tempdir().expect("a folder");
    let wasm = dir.path().join("all.wasm");
    for program in &PROGRAMS {
        for optimized in ["-O0", "-O2"] {
            for mut compiler in compilers(true) {
                compile(&mut compiler, program, &[optimized], &wasm);
                let (imports, functions) = inspect(&wasm);
                assert_eq!(imports, contract(), "{compiler:?}");
                // Not the program's own, which take or give what is of the header.
                let wrappers: Vec<_> =
                    functions.iter().filter(|name| name.starts_with("observe")).collect();
                assert!(wrappers.is_empty(), "{compiler:?}: {wrappers:?}");
                assert!(functions.iter().any(|name| name == "all"), "{functions:?}");
            }
        }
    }
}

#[test]
fn what_is_turned_off_imports_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let wasm = dir.path().join("all.wasm");
    for program in &PROGRAMS {
        for mut compiler in compilers(true) {
            compile(&mut compiler, program, &["-DOBSERVE_OFF", "-O2"], &wasm);
            assert_eq!(inspect(&wasm).0, [], "{compiler:?}");
        }
    }
}

#[test]
fn with_a_c_library_log_records_are_formatted() {
    let dir = tempfile::tempdir().expect("a folder");
    let wasm = dir.path().join("all.wasm");
    let mut clang = here("clang");
    clang.args(["--target=wasm32-wasi", "-mexec-model=reactor", "-Wl,--export=all"]);
    compile(&mut clang, &PROGRAMS[0], &[], &wasm);
    let (imports, functions) = inspect(&wasm);
    let ours = imports.into_iter().filter(|(module, ..)| module == guest::MODULE);
    assert_eq!(ours.collect::<Vec<_>>(), contract());
    for name in ["snprintf", "vsnprintf"] {
        assert!(functions.iter().any(|function| function == name), "{name} in {functions:?}");
    }
}

#[test]
fn natively_nothing_happens_or_is_printed() {
    let dir = tempfile::tempdir().expect("a folder");
    let program = dir.path().join("all");
    for source in &PROGRAMS {
        for mut compiler in compilers(false) {
            compile(&mut compiler, source, &[], &program);
            assert_eq!(succeed(&mut here(&program)), "");
        }
    }
    let [mut clang, _] = compilers(false);
    compile(&mut clang, &PROGRAMS[0], &["-DOBSERVE_STDERR"], &program);
    let printed = stderr(&output(&mut here(&program), b""));
    for line in [
        "observe: begin -1 scoped\n",
        "observe: set -1  str=text strn=t bool=true i64=-1 f64=0.25 bytes=00ff strs=[tea,] \
         bools=[true,false] i64s=[-9223372036854775808,0,9223372036854775807] f64s=[0.5] none=\n",
        "observe: open 1 detached\n",
        "observe: info 2147483647 1 of all\n",
        "observe: info 2147483647 1 again\n",
        "observe: fatal -1 t\n",
    ] {
        assert!(printed.contains(line), "{line:?} is not in {printed}");
    }
}

#[test]
fn long_log_records_are_cut_between_characters() {
    let dir = tempfile::tempdir().expect("a folder");
    let (source, program) = (dir.path().join("long.c"), dir.path().join("long"));
    fs::write(
        &source,
        r#"#define OBSERVE_STDERR
           #define OBSERVE_LOGF_SIZE 8
           #include "observe.h"
           int main(void) {
               observe_logf(OBSERVE_INFO, "%s", "1234567");
               observe_logf(OBSERVE_INFO, "%s", "12345678");
               observe_logf(OBSERVE_INFO, "%s", "12345\u00e4");
               observe_logf(OBSERVE_INFO, "%s", "123456\u00e4");
               observe_logf(OBSERVE_INFO, "%s", "12345\u20ac");
               observe_logf(OBSERVE_INFO, "%s", "1234\u20ac");
               observe_logf(OBSERVE_INFO, "%s", "1234\U0001f600");
               observe_logf(OBSERVE_INFO, "%s", "123\U0001f600");
               return 0;
           }"#,
    )
    .expect("written");
    let [mut clang, _] = compilers(false);
    succeed(
        clang.arg("-I").arg(sdk()).args(["-std=c11", "-Werror", "-o"]).arg(&program).arg(source),
    );
    let printed = stderr(&output(&mut here(program), b""));
    let bodies: Vec<_> = printed.lines().filter_map(|line| line.split(' ').nth(3)).collect();
    let expected = ["1234567", "1234567", "12345ä", "123456", "12345", "1234€", "1234", "123😀"];
    assert_eq!(bodies, expected);
}

/// The example in the comment at the top of a header.
fn example_of(header: &str) -> String {
    let text = fs::read_to_string(sdk().join(header)).expect("it is there");
    let mut lines = text.lines().skip_while(|line| !line.starts_with("//     #include"));
    let mut example = String::new();
    for line in lines.by_ref() {
        example += line.trim_start_matches("//");
        example += "\n";
        if line == "//     }" {
            break;
        }
    }
    assert!(example.contains("checkout"), "{header} has an example: {example}");
    example
}

#[test]
fn the_examples_in_the_headers_compile() {
    let dir = tempfile::tempdir().expect("a folder");
    // That in C++ takes a string_view, which has more than this, and for which there is no library.
    let view = "namespace std { struct string_view { const char *data() const; \
                unsigned long size() const; }; }\n";
    for (header, language, before) in [("observe.h", C, ""), ("observe.hpp", CPP, view)] {
        let source = dir.path().join(header).with_extension("c");
        fs::write(&source, format!("{before}{}", example_of(header))).expect("written");
        for mut compiler in compilers(true) {
            compiler.args(language).args(WARNINGS).args(["-c", "-o"]);
            compiler.arg(dir.path().join("example.o")).arg("-I").arg(sdk()).arg(&source);
            // Flags for the linker are of no use here.
            succeed(compiler.arg("-Wno-unused-command-line-argument"));
        }
    }
}

/// Writes what Zig makes of the header, for `zig build-exe` and `zig test`.
fn translate(flags: &[&str], to: &Path) {
    let header = sdk().join("observe.h");
    let translated = succeed(zig().arg("translate-c").args(flags).arg(header));
    fs::write(to, translated).expect("written");
}

fn zig_with(command: &str, flags: &[&str], header: &Path, folder: &Path) -> String {
    let module = |name: &str, path: &Path| format!("-M{name}={}", path.display());
    let mut zig = zig();
    zig.current_dir(folder).arg(command).args(flags);
    zig.args(["--dep", "observe"]).arg(module("root", &sdk().join("tests/all.zig")));
    zig.args(["--dep", "observe.h"]).arg(module("observe", &sdk().join("observe.zig")));
    zig.arg(module("observe.h", header));
    let result = output(&mut zig, b"");
    assert!(result.status.success(), "{zig:?}: {}", stderr(&result));
    stderr(&result)
}

#[test]
fn zig_imports_the_contract() {
    let dir = tempfile::tempdir().expect("a folder");
    let (header, wasm) = (dir.path().join("header.zig"), dir.path().join("all.wasm"));
    let target = ["-target", "wasm32-freestanding"];
    let build = |mode| {
        let flags = ["-fno-strip", "-fno-entry", "--export=all", "--name", "all", "-O", mode];
        zig_with("build-exe", &[&target[..], &flags[..]].concat(), &header, dir.path());
        inspect(&wasm)
    };

    translate(&target, &header);
    for mode in ["Debug", "ReleaseFast"] {
        let (imports, functions) = build(mode);
        assert_eq!(imports, contract(), "{mode}");
        assert!(functions.iter().any(|name| name.ends_with("all.all")), "{functions:?}");
    }

    translate(&[&target[..], &["-DOBSERVE_OFF"]].concat(), &header);
    assert_eq!(build("ReleaseFast").0, []);

    translate(&[], &header);
    let tested = zig_with("test", &[], &header, dir.path());
    assert!(tested.contains("All 1 tests passed"), "{tested}");
}
