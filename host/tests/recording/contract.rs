//! Modules of every version of the contracts there ever was, on this host (`tests/contract`); and
//! modules that ask for more than there is.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use observe_abi::{dylibso, guest, hooks, signature};
use observe_collector::event::Severity;
use observe_host::{Lost, ObservedModule, Observer, Recorder, Report, TraceOptions};
use observe_instrumenter::Selection;
use wasmtime::{Engine, ExternType, Linker, Module, Store};

use crate::guest::{Arrived, Guest, Kept, State, engine, module, observer, row, span};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/contract")
}

fn read(file: &str) -> Vec<u8> {
    wat::parse_file(folder().join(file)).expect("valid")
}

fn observed(file: &str) -> ObservedModule {
    ObservedModule::new(&engine(), &read(file), &Selection::all()).expect("it can be observed")
}

/// What is told of a call of `export`, in a trace with each call a span.
fn run<Params, Results>(file: &str, export: &str, params: Params) -> (Results, Report, Kept)
where
    Params: wasmtime::WasmParams,
    Results: wasmtime::WasmResults,
{
    let mut guest = Guest::of(observed(file), observer());
    let (options, instance) =
        (TraceOptions::new("root").min_duration(Duration::ZERO), guest.instance);
    let traced = guest.tracer.trace(&mut guest.store, options, |store| {
        instance.get_typed_func::<Params, Results>(&mut *store, export)?.call(store, params)
    });
    let arrived = guest.arrived();
    (traced.result.expect("it returns"), traced.report.expect("a trace of its own"), arrived)
}

fn calls(report: &Report) -> Vec<(&str, u64)> {
    let mut calls: Vec<_> =
        report.functions.iter().map(|row| (row.name.as_str(), row.calls)).collect();
    calls.sort_unstable();
    calls
}

#[test]
fn every_version_has_a_module_that_imports_all_of_it() {
    let mut imported: HashMap<String, HashSet<String>> = HashMap::new();
    for file in std::fs::read_dir(folder()).expect("the folder") {
        let file = file.expect("readable").path();
        if file.extension().is_some_and(|extension| extension == "wasm" || extension == "wat") {
            let wasm = wat::parse_file(&file).expect("valid");
            for import in Module::new(&engine(), wasm).expect("valid").imports() {
                let names = imported.entry(import.module().to_owned()).or_default();
                names.insert(import.name().to_owned());
            }
        }
    }
    for version in guest::MODULES.into_iter().chain([hooks::MODULE]) {
        let names = imported.get(version).unwrap_or_else(|| panic!("add a module of {version}"));
        for function in signature::of(version).expect("a version") {
            assert!(names.contains(function.name), "none imports {version} {}", function.name);
        }
    }
    for theirs in [dylibso::MODULE, dylibso::API_MODULE, dylibso::OLD_MODULE] {
        assert!(imported.contains_key(theirs), "none imports {theirs}");
    }
}

/// What is written down of the contracts is what a host provides, be it enabled or not.
#[test]
fn signatures_are_those_of_the_host() {
    let engine = Engine::default();
    for observer in [observer().build(), Observer::disabled()] {
        let mut linker = Linker::new(&engine);
        observer.tracer(&mut linker, |state: &mut State| &mut state.recorder).expect("empty");
        let mut store = Store::new(&engine, State { recorder: Recorder::default() });
        let mut provided = HashSet::new();
        for (module, name, found) in linker.iter(&mut store).collect::<Vec<_>>() {
            let ExternType::Func(ty) = found.ty(&store) else { panic!("{module} {name}") };
            let list = |types: Vec<_>| types.iter().map(ToString::to_string).collect::<Vec<_>>();
            let (params, results) = (list(ty.params().collect()), list(ty.results().collect()));
            let shown = format!("({}) -> ({})", params.join(", "), results.join(", "));
            provided.insert((module.to_owned(), name.to_owned(), shown));
        }
        for version in guest::MODULES.into_iter().chain([hooks::MODULE]) {
            for function in signature::of(version).expect("a version") {
                let wanted = (version.to_owned(), function.name.to_owned(), function.to_string());
                assert!(provided.remove(&wanted), "{wanted:?}");
            }
        }
        provided.retain(|(module, ..)| module.starts_with("observe:"));
        assert!(provided.is_empty(), "{provided:?}");
    }
}

#[test]
fn annotations_of_the_first_version_run() {
    let (price, report, arrived) = run::<u32, u32>("guest-1.wasm", "checkout", 3);
    assert_eq!(price, 8);
    let expected = [
        span("root", "", false),
        span("checkout", "root", false),
        span("checkout", "checkout", false),
        span("add up", "checkout", false),
        span("annotated::price", "add up", false),
        span("annotated::price", "add up", false),
        span("annotated::price", "add up", false),
        span("annotated::shipping", "checkout", false),
    ];
    assert_eq!(arrived.arrived(), expected);
    let expected = [
        ("add up", 1),
        ("annotated::price", 3),
        ("annotated::shipping", 1),
        ("checkout", 1),
        ("checkout", 1),
    ];
    assert_eq!((calls(&report), report.lost), (expected.to_vec(), Lost::default()));
}

#[test]
fn annotations_of_the_second_version_run() {
    let ((), report, arrived) = run::<(), ()>("guest-2.wat", "go", ());
    assert_eq!(report.lost, Lost::default());
    let request = arrived.span("request");
    let keys: Vec<_> = request.detail.attributes.iter().map(|said| &*said.key).collect();
    assert_eq!(
        keys[..9],
        ["text", "flag", "count", "ratio", "bytes", "texts", "flags", "counts", "ratios"]
    );
    assert_eq!(request.attribute("text"), Some(&"ada".into()));
    assert_eq!(request.attribute("bytes"), Some(&vec![0u8, 0xff, 0x10].into()));
    assert_eq!(request.attribute("texts"), Some(&vec!["tea".to_owned(), "mug".to_owned()].into()));
    assert_eq!(request.attribute("counts"), Some(&vec![1i64, -2].into()));
    assert_eq!(request.attribute("ratios"), Some(&vec![0.5, 1.5].into()));
    assert_eq!(request.detail.events[0].name, "validated");
    assert_eq!(request.detail.links.len(), 1);
    let logs = arrived.logs();
    assert_eq!((logs[0].body.as_str(), logs[0].span), ("accepted", Some(request.number)));
    let work = arrived.span("work");
    assert!(work.failed && work.detail.status_message == "declined");
}

#[test]
fn hooks_of_the_first_version_run_with_cells_in_either_place() {
    for file in ["hooks-1.wasm", "hooks-1-compact.wasm"] {
        let ((), report, arrived) = run::<(), ()>(file, "go", ());
        let expected = [
            span("root", "", false),
            span("go", "root", false),
            span("leaf", "go", false),
            span("leaf", "go", false),
            span("catches", "go", false),
            span("fails", "catches", true),
            span("grows", "go", false),
            span("malloc", "go", false),
            span("free", "go", false),
            span("malloc", "go", false),
            span("host.tell", "go", false),
        ];
        assert_eq!(arrived.arrived(), expected, "{file}");
        let expected = [
            ("catches", 1),
            ("fails", 1),
            ("free", 1),
            ("go", 1),
            ("grows", 1),
            ("host.tell", 1),
            ("leaf", 2),
            ("malloc", 2),
        ];
        assert_eq!(calls(&report), expected, "{file}");
        let growth = row(&report, "grows").growth;
        assert_eq!((growth.memory_bytes, growth.table_elements), (1 << 16, 2), "{file}");
        assert_eq!((report.heap.allocated_bytes, report.heap.live_blocks), (96, 1), "{file}");
        assert_eq!(report.lost, Lost::default(), "{file}");
    }
}

#[test]
fn what_is_not_provided_is_refused() {
    for (import, expected) in [
        (
            r#""observe:guest@3" "log" (func)"#,
            "imports `observe:guest@3`, and this host provides `observe:guest@1`, \
             `observe:guest@2`; make it anew for this version, or update the host",
        ),
        (
            r#""observe:hooks@2" "enter" (func (param i32))"#,
            "imports `observe:hooks@2`, and this host provides `observe:hooks@1`; make it anew for \
             this version, or update the host",
        ),
        (
            r#""observe:hooks@1" "leave" (func)"#,
            "imports `leave` from `observe:hooks@1`, and this host's `observe:hooks@1` has no such \
             function; ",
        ),
        (
            r#""observe:guest@1" "span-end" (func (param i64))"#,
            "imports `span-end` from `observe:guest@1` as (i64) -> (), and it is (i32) -> (); ",
        ),
    ] {
        let error = module(&format!("(module (import {import}))")).expect_err("it is refused");
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[test]
fn what_is_said_to_hosts_of_observe_sdk_is_understood() {
    for file in ["dylibso-api.wat", "dylibso-old.wat"] {
        let ((), report, arrived) = run::<(), ()>(file, "go", ());
        let expected: [Arrived; 4] = [
            span("root", "", false),
            span("go", "root", false),
            span("request", "go", false),
            span("inner", "request", false),
        ];
        assert_eq!(arrived.arrived(), expected, "{file}");
        assert_eq!(arrived.span("request").attribute("customer"), Some(&"ada".into()));
        let logs = arrived.logs();
        assert_eq!(logs.len(), 1, "{file}");
        assert_eq!((logs[0].severity, logs[0].body.as_str()), (Severity::Info, "accepted"));
        assert_eq!(logs[0].span, Some(arrived.span("inner").number));
        assert_eq!(row(&report, "go").growth.memory_bytes, 1 << 16, "{file}");
        assert_eq!(report.lost, Lost::default(), "{file}");
    }
}
