//! Each rule of a selection, alone and with others.

use gimli::write::{
    Address, AttributeValue, DwarfUnit, EndianVec, LineProgram, LineString, Sections,
};
use gimli::{Encoding, Format, LineEncoding, LittleEndian, constants};
use observe_instrumenter::{Decision, Error, Module, Omission, Plan, Reason, Selection, Warning};

/// A function of each kind: `large` has 24 instructions and `small` has 4.
const MODULE: &str = "(module
    (import \"env\" \"host\" (func $host))
    (func $app::main (export \"run\") call $app::loops call $app::large)
    (func $app::loops (loop) call $app::small)
    (func $app::large nop nop nop nop nop nop nop nop nop nop nop nop nop nop nop nop
        nop nop nop nop nop nop nop call $lib::calls_host)
    (func $app::small nop nop nop call $lib::small)
    (func $lib::calls_host call $host)
    (func $lib::small)
    (func $<lib::T_as_core::fmt::Debug>::fmt loop nop end))";

fn binary(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).expect("valid")
}

/// What a plan hooks, by the last part of the name.
fn hooked(wasm: &[u8], selection: &Selection) -> Vec<String> {
    let module = Module::parse(wasm).expect("valid");
    let plan = Plan::new(&module, selection);
    plan.hooked().map(|f| f.name.rsplit("::").next().unwrap_or_default().to_owned()).collect()
}

fn left_out(selection: &Selection) -> Vec<(String, Omission)> {
    let wasm = binary(MODULE);
    let module = Module::parse(&wasm).expect("valid");
    let plan = Plan::new(&module, selection);
    let left = plan.functions.into_iter().filter_map(|function| match function.decision {
        Decision::Leave(omission) => Some((function.name, omission)),
        Decision::Hook(..) => None,
    });
    left.collect()
}

#[test]
fn each_rule_chooses_what_it_says() {
    let wasm = binary(MODULE);
    let default = Selection::default;
    let include = |pattern| default().include(pattern).expect("a pattern");
    for (what, selection, expected) in [
        ("default", default(), "main loops large calls_host fmt"),
        ("all", Selection::all(), "main loops large small calls_host small fmt"),
        ("exports", Selection::exports(), "main"),
        ("loops", default().loops(), "main loops calls_host fmt"),
        ("size", default().min_instructions(4), "main loops large small calls_host fmt"),
        ("include", include("^app::"), "main loops large small"),
        ("prefix", default().include_prefix("lib"), "calls_host small fmt"),
        ("not a segment", default().include_prefix("li"), ""),
        ("without a prefix", default().exclude_prefix("app"), "calls_host fmt"),
        ("depth", default().max_depth(1), "main loops large"),
        ("depth of all", Selection::all().max_depth(2), "main loops large small calls_host"),
    ] {
        assert_eq!(hooked(&wasm, &selection).join(" "), expected, "{what}");
    }
}

#[test]
fn rules_combine() {
    let wasm = binary(MODULE);
    let default = Selection::default;
    let include = |pattern| default().include(pattern).expect("a pattern");
    for (what, selection, expected) in [
        ("includes add up", include("large").include_prefix("lib"), "large calls_host small fmt"),
        ("an exclude wins", include("^app").exclude("small").expect("one"), "main loops large"),
        ("size limits includes", include("^app").min_instructions(20), "main loops large"),
        ("so do loops", include("^app").loops(), "main loops"),
        ("and depth", include("small").max_depth(2), "small"),
        ("and exports", Selection::exports().include("^lib").expect("one"), ""),
        ("depth limits loops", default().loops().max_depth(1), "main loops"),
    ] {
        assert_eq!(hooked(&wasm, &selection).join(" "), expected, "{what}");
    }
}

#[test]
fn a_function_is_left_out_for_the_first_rule_that_says_so() {
    let name = |name: &str| name.to_owned();
    let selection = Selection::default()
        .exclude("large")
        .expect("a pattern")
        .include_prefix("app")
        .max_depth(1)
        .loops();
    let expected = [
        (name("app::large"), Omission::Excluded),
        (name("app::small"), Omission::TooDeep),
        (name("lib::calls_host"), Omission::NotIncluded),
        (name("lib::small"), Omission::NotIncluded),
        (name("<lib::T_as_core::fmt::Debug>::fmt"), Omission::NotIncluded),
    ];
    assert_eq!(left_out(&selection), expected);
    let loops = left_out(&Selection::default().loops());
    assert_eq!(loops[0], (name("app::large"), Omission::NoLoop));
    let exports = left_out(&Selection::exports());
    assert!(exports.iter().all(|&(_, omission)| omission == Omission::NotExported));
}

/// The module with line tables: each function stands in a file of its own.
fn with_sources(wat: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let mut wasm = binary(wat);
    let mut starts = Vec::new();
    let mut code = 0;
    for payload in wasmparser::Parser::new(0).parse_all(&wasm) {
        match payload.expect("valid") {
            wasmparser::Payload::CodeSectionStart { range, .. } => code = range.start,
            wasmparser::Payload::CodeSectionEntry(body) => starts.push(body.range()),
            _ => {}
        }
    }
    let encoding = Encoding { format: Format::Dwarf32, version: 5, address_size: 4 };
    let string = |text: &str| LineString::String(text.as_bytes().to_vec());
    let lines = LineEncoding::default();
    let mut program = LineProgram::new(encoding, lines, string("/home"), None, string("a"), None);
    for (body, (folder, file)) in starts.iter().zip(files) {
        let folder = program.add_directory(string(folder));
        let file = program.add_file(string(file), folder, None);
        program.begin_sequence(Some(Address::Constant((body.start - code) as u64)));
        program.row().file = file;
        program.row().line = 7;
        program.generate_row();
        program.end_sequence(body.len() as u64);
    }
    let mut dwarf = DwarfUnit::new(encoding);
    dwarf.unit.line_program = program;
    let root = dwarf.unit.root();
    let name = AttributeValue::String(b"a".to_vec());
    dwarf.unit.get_mut(root).set(constants::DW_AT_name, name);
    let mut sections = Sections::new(EndianVec::new(LittleEndian));
    dwarf.write(&mut sections).expect("it can be written");
    sections
        .for_each(|id, contents| {
            let section = wasm_encoder::CustomSection {
                name: id.name().into(),
                data: contents.slice().into(),
            };
            wasm.push(0);
            wasm_encoder::Encode::encode(&section, &mut wasm);
            Ok::<_, gimli::write::Error>(())
        })
        .expect("it can be collected");
    wasm
}

#[test]
fn sources_are_matched_as_a_whole_and_from_any_folder_on() {
    let wat = "(module (func $a loop end) (func $b loop end) (func $c loop end) (func $d))";
    let files =
        [("/home/me/app/src", "main.rs"), ("/home/me/app/src/parse", "mod.rs"), ("lib", "x.c")];
    let wasm = with_sources(wat, &files);
    for (glob, expected) in [
        ("/home/me/app/src/main.rs", "a"),
        ("src/main.rs", "a"),
        ("main.rs", "a"),
        ("ain.rs", ""),
        ("/src/main.rs", ""),
        ("*.rs", "a b"),
        ("src/*.rs", "a"),
        ("src/**/*.rs", "a b"),
        ("src", "a b"),
        ("src/", "a b"),
        ("app/*/mod.rs", ""),
        ("lib/*.{c,h}", "c"),
        ("**", "a b c"),
    ] {
        let selection = Selection::default().include_source(glob).expect("a glob");
        assert_eq!(hooked(&wasm, &selection).join(" "), expected, "{glob}");
    }
    let selection = Selection::default().exclude_source("*.rs").expect("a glob");
    assert_eq!(hooked(&wasm, &selection), ["c"]);
    let module = Module::parse(&wasm).expect("valid");
    assert!(Plan::new(&module, &selection).warnings.is_empty());
}

#[test]
fn a_rule_by_source_needs_sources() {
    let wasm = binary(MODULE);
    let module = Module::parse(&wasm).expect("valid");
    let selection = Selection::default().exclude_source("*.rs").expect("a glob");
    let plan = Plan::new(&module, &selection);
    assert_eq!(plan.warnings, [Warning::NoSources]);
    assert_eq!(plan.hooked().count(), 5, "and nothing else changes");
    assert!(Plan::new(&module, &Selection::default()).warnings.is_empty());
}

#[test]
fn globs_that_are_none_are_refused() {
    let deep = "{".repeat(100_000);
    let long = "a*".repeat(600);
    for glob in ["a[", "{a", deep.as_str(), long.as_str()] {
        let error = Selection::default().include_source(glob).expect_err("it is none");
        assert!(matches!(error, Error::Glob { .. }), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    let nested = format!("{}a{}", "{".repeat(500), "}".repeat(500));
    // Whether it is one is the library's matter; it must say so and no more.
    let _ = Selection::default().include_source(&nested);
}

/// A module of 100 functions of 20 to 119 instructions, and one with a loop.
fn sized() -> Vec<u8> {
    let sizes = (0..100).map(|n| format!("(func $f{n} {})", "nop ".repeat(20 + n)));
    let functions: String = sizes.collect();
    binary(&format!(
        "(module {functions} (func $short loop end) (data \"{}\"))",
        "x".repeat(50_000)
    ))
}

#[test]
fn growth_is_limited_by_leaving_the_smallest_out() {
    let wasm = sized();
    let module = Module::parse(&wasm).expect("valid");
    let plan = |selection: &Selection| Plan::new(&module, selection);
    let default = plan(&Selection::default().max_growth(5.0));
    let out = default.left_out(Omission::Growth);
    assert!((1..100).contains(&out), "{out} of them");
    for (place, function) in default.functions.iter().enumerate() {
        let hooked = matches!(function.decision, Decision::Hook(..));
        assert_eq!(hooked, place >= out, "{}: {:?}", function.name, function.decision);
    }
    assert!(matches!(default.functions[100].decision, Decision::Hook(_, Reason::Loop)));
    let ids = default.hooked().enumerate().all(|(id, function)| {
        matches!(function.decision, Decision::Hook(observe_instrumenter::HookId(hook), _)
            if hook as usize == id)
    });
    assert!(ids, "ids have no gaps");
    let grown = default.apply(&module).expect("it can be instrumented").wasm.len() as f64;
    assert!(grown < wasm.len() as f64 * 1.06, "{grown} of {}", wasm.len());
    let tighter = plan(&Selection::default().max_growth(3.0)).left_out(Omission::Growth);
    assert!(tighter > out, "{tighter} at 3 %, {out} at 5 %");
    let none = plan(&Selection::default().max_growth(0.0));
    assert_eq!(none.hooked().count(), 1, "the loop");
}

#[test]
fn without_a_limit_nothing_is_left_out_for_growth() {
    let wasm = sized();
    let module = Module::parse(&wasm).expect("valid");
    let include = Selection::default().include("").expect("a pattern");
    let fifty = Selection::default().min_instructions(50);
    let nan = Selection::default().max_growth(f64::NAN);
    for (selection, hooked) in [
        (&Selection::default(), 101),
        (&Selection::all(), 101),
        (&include, 101),
        (&fifty, 71),
        (&nan, 101),
        (&Selection::default().max_growth(100.0), 101),
    ] {
        assert_eq!(Plan::new(&module, selection).hooked().count(), hooked, "{selection:?}");
    }
    let limited = Plan::new(&module, &fifty.max_growth(5.0));
    assert!(limited.left_out(Omission::Growth) > 0);
    let limited = Plan::new(&module, &include.max_growth(0.0));
    assert_eq!(limited.hooked().count(), 101, "an include is asked for");
}

#[test]
fn coverage_adds_up() {
    let wasm = binary(MODULE);
    let module = Module::parse(&wasm).expect("valid");
    let plan = Plan::new(&module, &Selection::default());
    let whole = plan.coverage();
    assert_eq!((whole.functions, whole.hooked), (7, 5));
    assert_eq!(whole.instructions - whole.hooked_instructions, 4, "those of app::small");
    let owners = plan.coverage_by_owner(&module);
    let names: Vec<_> = owners.iter().map(|part| part.owner.as_deref()).collect();
    assert_eq!(names, [Some("app"), Some("lib")]);
    let functions: usize = owners.iter().map(|part| part.coverage.functions).sum();
    let hooked: u64 = owners.iter().map(|part| part.coverage.hooked_instructions).sum();
    assert_eq!((functions, hooked), (whole.functions, whole.hooked_instructions));
    assert_eq!(whole.share(), 31.0 / 35.0);
}

/// What is called in place of an import is of the import's type, not of the subtype that
/// the host may give, which a call through a table may ask for.
#[test]
fn imports_of_types_that_may_have_subtypes_are_left_as_they_are() {
    let wasm = wat::parse_str(
        r#"(module
             (type $open (sub (func)))
             (type $final (sub final $open (func)))
             (import "m" "open" (func (type $open)))
             (import "m" "final" (func (type $final)))
             (import "m" "exact" (func (exact (type $open))))
             (import "m" "plain" (func (param i32))))"#,
    );
    let wasm = wasm.expect("valid");
    let module = Module::parse(&wasm).expect("valid");
    let plan = Plan::new(&module, &Selection::all());
    let hooked: Vec<_> = plan.hooked_imports().map(|import| &*import.name).collect();
    assert_eq!(hooked, ["m.final", "m.exact", "m.plain"]);
    assert_eq!(plan.imports[0].decision, Decision::Leave(Omission::Open));
}

/// In a module that tells what it does, what stands between the author's function and the host has
/// no hooks, whatever its size; in one that tells nothing it is like any other.
#[test]
fn functions_that_only_pass_on_what_is_told_are_left_out() {
    let module = |import: &str| {
        binary(&format!(
            "(module
                (import \"{import}\" \"log\" (func $log))
                (func $app::order (loop) call $tracing::Span::new)
                (func $tracing::Span::new (loop) call $<tracing_core::T_as_app::U>::f)
                (func $<tracing_core::T_as_app::U>::f (loop) call $<app::T_as_log::Log>::log)
                (func $<app::T_as_log::Log>::log (loop) call $std::panicking::hook)
                (func $std::panicking::hook (loop) call $std::panic::other)
                (func $std::panic::other (loop) call $logs::write)
                (func $logs::write (loop) call $log))"
        ))
    };
    let telling = module("observe:guest@2");
    assert_eq!(hooked(&telling, &Selection::default()), ["order", "log", "other", "write"]);
    assert_eq!(hooked(&telling, &Selection::all()), ["order", "log", "other", "write"]);
    let included = Selection::default().include_prefix("tracing");
    assert_eq!(hooked(&telling, &included), ["new"]);
    assert_eq!(hooked(&module("env"), &Selection::default()).len(), 7);
}

/// So it is with the packages for guests in AssemblyScript and Go, whose linker flattens names.
#[test]
fn packages_that_only_pass_on_what_is_told_are_left_out() {
    let module = |section: &str, names: &[&str]| {
        let functions: Vec<_> =
            names.iter().map(|name| format!(r#"(func (@name "{name}") (loop))"#)).collect();
        let functions = functions.concat();
        binary(&format!(
            r#"(module {section} (import "observe:guest@2" "log" (func)) {functions})"#
        ))
    };
    let assemblyscript = module(
        "",
        &[
            "~lib/observe-guest/assembly/metric/Counter#add<i32>",
            "assembly/index/log_slog.Info",
            "~lib/observe/index/log",
        ],
    );
    assert_eq!(
        hooked(&assemblyscript, &Selection::all()),
        ["assembly/index/log_slog.Info", "~lib/observe/index/log"]
    );
    let go = module(
        r#"(@custom "go:buildid" "")"#,
        &[
            "github.com_observe_wasm_observe_guest_sdk_go.__Span_.End",
            "log_slog.Info",
            "log.Print",
            "main.main.deferwrap1",
        ],
    );
    assert_eq!(hooked(&go, &Selection::all()), ["log.Print"]);
    // An include may match the package, but nobody asks for what the compiler added.
    assert!(hooked(&go, &Selection::all().include_prefix("main")).is_empty());
}
