//! What the compiler makes of annotations in a guest without `std` and without an allocator.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use observe_abi::guest;
use wasmparser::{Name, Operator, Parser, Payload};

/// The most bytes that spans may add.
const MAX_ADDED: usize = 2048;

/// What the tests ask of a module.
#[derive(Default)]
struct Module {
    bytes: Vec<u8>,
    imports: BTreeSet<(String, String)>,
    functions: Vec<String>,
    /// The operators of each function, without what they index.
    code: Vec<Vec<String>>,
    grows: bool,
}

/// Builds `tests/bare` with one of its features, where the others were built.
fn build(feature: &str) -> Module {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bare/Cargo.toml");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bare");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--release"])
        .args(["--target", "wasm32-unknown-unknown", "--features", feature])
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let wasm = target.join("wasm32-unknown-unknown/release/bare.wasm");
    read(std::fs::read(wasm).expect("a module"))
}

fn read(bytes: Vec<u8>) -> Module {
    let mut module = Module::default();
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.expect("valid") {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.expect("valid");
                    module.imports.insert((import.module.to_owned(), import.name.to_owned()));
                }
            }
            Payload::CodeSectionEntry(body) => {
                let mut code = Vec::new();
                for operator in body.get_operators_reader().expect("valid") {
                    let operator = operator.expect("valid");
                    module.grows |= matches!(operator, Operator::MemoryGrow { .. });
                    code.push(format!("{operator:?}"));
                }
                module.code.push(code);
            }
            Payload::CustomSection(section) => {
                let wasmparser::KnownCustom::Name(names) = section.as_known() else { continue };
                for subsection in names {
                    let Name::Function(names) = subsection.expect("valid") else { continue };
                    module
                        .functions
                        .extend(names.into_iter().map(|name| name.expect("valid").name.to_owned()));
                }
            }
            _ => (),
        }
    }
    module.bytes = bytes;
    module
}

/// Nothing that panics, formats or allocates.
fn check(module: &Module) {
    for function in &module.functions {
        let own = ["4bare", "7observe"].iter().any(|own| function.contains(own));
        assert!(own || function == "work", "{function} is neither the guest's nor the crate's");
        assert!(!function.contains("panic"), "{function}");
    }
    assert!(!module.grows, "memory.grow");
}

// One test, so that what the four have in common is built once.
#[test]
fn annotations_cost_what_is_said_of_them() {
    let [plain, spans, all, off] = ["", "spans", "all", "off"].map(build);
    spans_are_small(&plain, &spans);
    all_of_the_contract_is_imported(&all);
    nothing_is_left(&plain, &off);
}

/// Size, imports, and what is not there.
fn spans_are_small(plain: &Module, spans: &Module) {
    let added = spans.bytes.len() - plain.bytes.len();
    println!(
        "{} bytes without spans, {} with: {added} added",
        plain.bytes.len(),
        spans.bytes.len()
    );
    assert!(added <= MAX_ADDED, "spans add {added} bytes, more than {MAX_ADDED}");
    let names = [
        guest::INTEREST,
        guest::SPAN_ATTRIBUTES,
        guest::SPAN_BEGIN,
        guest::SPAN_END,
        guest::SPAN_EVENT,
        guest::SPAN_STATUS,
    ];
    let ours = names.map(|name| (guest::MODULE.to_owned(), name.to_owned()));
    assert_eq!(spans.imports, BTreeSet::from(ours));
    assert_eq!(plain.imports, BTreeSet::new());
    check(plain);
    check(spans);
}

fn all_of_the_contract_is_imported(all: &Module) {
    let names = [
        guest::INTEREST,
        guest::SPAN_BEGIN,
        guest::SPAN_END,
        guest::SPAN_OPEN,
        guest::SPAN_ENTER,
        guest::SPAN_EXIT,
        guest::SPAN_CLOSE,
        guest::SPAN_ATTRIBUTES,
        guest::SPAN_EVENT,
        guest::SPAN_STATUS,
        guest::SPAN_LINK,
        guest::LOG,
        guest::INSTRUMENT,
        guest::RECORD_I64,
        guest::RECORD_F64,
        guest::CONTEXT,
        guest::BAGGAGE,
        guest::SUBMIT,
    ];
    let ours = names.map(|name| (guest::MODULE.to_owned(), name.to_owned()));
    assert_eq!(all.imports, BTreeSet::from(ours));
    check(all);
}

fn nothing_is_left(plain: &Module, off: &Module) {
    assert_eq!(off.imports, BTreeSet::new());
    assert_eq!(off.code, plain.code);
    // Names have hashes of what they were compiled with, all of one length.
    assert_eq!(off.bytes.len(), plain.bytes.len());
}
