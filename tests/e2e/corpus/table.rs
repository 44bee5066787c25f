//! What the corpus is made of, as a table for people, and that nothing is missing.

use std::collections::BTreeSet;
use std::fmt::Write;

use wasmparser::{Validator, WasmFeatures};

use super::{Program, path, programs};
use crate::harness::repository;

/// What modules may use that took a proposal after the first version.
const FEATURES: [(&str, WasmFeatures); 7] = [
    ("GC", WasmFeatures::GC),
    ("exceptions", WasmFeatures::EXCEPTIONS),
    ("legacy exceptions", WasmFeatures::LEGACY_EXCEPTIONS),
    ("SIMD", WasmFeatures::SIMD),
    ("tail calls", WasmFeatures::TAIL_CALL),
    ("threads", WasmFeatures::THREADS),
    ("memory64", WasmFeatures::MEMORY64),
];

/// The features without which the module is not valid.
fn features(wasm: &[u8]) -> Vec<&'static str> {
    let valid_without = |features| {
        let rest = WasmFeatures::all().difference(features);
        Validator::new_with_features(rest).validate_all(wasm).is_ok()
    };
    let every = FEATURES.iter().fold(WasmFeatures::empty(), |all, (_, feature)| all | *feature);
    if valid_without(every) {
        return Vec::new();
    }
    let needed = FEATURES.iter().filter(|(_, feature)| !valid_without(*feature));
    let mut names: Vec<_> = needed.map(|(name, _)| *name).collect();
    if names.contains(&"legacy exceptions") {
        // Its tags are those of the other form.
        names.retain(|name| *name != "exceptions");
    }
    names
}

/// The language without the toolchain, which follows in parentheses.
fn language(program: &Program) -> &str {
    program.language.split(" (").next().unwrap_or_default()
}

fn size(program: &Program, bytes: usize) -> String {
    match &program.sha256 {
        None => "built here".to_owned(),
        Some(_) if bytes < 1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        Some(_) => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

fn job(program: &Program) -> &'static str {
    match program {
        Program { args: Some(_), .. } => "runs",
        Program { invoke: Some(_), .. } => "is called",
        _ => "is validated",
    }
}

#[test]
fn the_table_is_true() {
    let programs = programs();
    let mut text = String::from(
        "# The corpus\n\n\
         Real programs that the tests instrument; `tests/corpus/fetch` fetches them. A program that\n\
         *runs* gives the same output, exit status and files with and without `observe run`; one that\n\
         *is called* gives the right results to a series of calls; every program, with all functions\n\
         hooked and with those of the default selection, stays valid. *Uses* names what the module is\n\
         not valid without. A test writes this table and fails when it is not true:\n\
         `cargo nextest run --release -p observe-cli corpus::table`.\n\n\
         | program | language | size | uses | test |\n|---|---|---|---|---|\n",
    );
    let mut seen = BTreeSet::new();
    for program in &programs {
        let wasm = std::fs::read(path(program)).expect("it is there: tests/corpus/fetch");
        let uses = features(&wasm);
        let size = size(program, wasm.len());
        let Program { name, language, about, .. } = program;
        let _ = writeln!(
            text,
            "| **{name}**: {about} | {language} | {size} | {} | {} |",
            uses.join(", "),
            job(program)
        );
        seen.extend(uses);
    }
    let languages: BTreeSet<_> = programs.iter().map(language).collect();
    let count = |wanted| programs.iter().filter(|program| job(program) == wanted).count();
    let _ = write!(
        text,
        "\n{} programs in {} languages; {} run, {} are called.\n",
        programs.len(),
        languages.len(),
        count("runs"),
        count("is called")
    );
    let missing: Vec<_> = FEATURES.iter().filter(|(name, _)| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "no program uses {missing:?}");
    assert!(programs.len() >= 22 && languages.len() >= 8, "{languages:?}");

    let path = repository().join("docs/CORPUS.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).expect("can be written");
    } else {
        let documented = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(documented, text, "BLESS=1 writes docs/CORPUS.md anew");
    }
}
