//! Files that tell of a module's code go where `observe instrument` writes the module.

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{observe, output, repository, stderr, stdout};

/// A folder with a module and its source map.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["app.wasm", "app.wasm.map"] {
        let from = repository().join("instrumenter/tests/source_map").join(file);
        std::fs::copy(from, folder.path().join(file)).expect("can be copied");
    }
    folder
}

fn instrument(folder: &Path, arguments: &[&str]) -> Output {
    output(observe().current_dir(folder).arg("instrument").args(arguments), b"")
}

fn read(folder: &Path, file: &str) -> Vec<u8> {
    std::fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Whether a custom section holds this URL.
fn names(wasm: &[u8], section: &str, url: &str) -> bool {
    wasmparser::Parser::new(0).parse_all(wasm).any(|payload| match payload {
        Ok(wasmparser::Payload::CustomSection(custom)) => {
            custom.name() == section && custom.data()[1..] == *url.as_bytes()
        }
        _ => false,
    })
}

#[test]
fn a_source_map_beside_the_module_follows_it() {
    let folder = folder();
    let folder = folder.path();
    let result = instrument(folder, &["app.wasm", "--all"]);
    assert!(result.status.success(), "{}", stderr(&result));
    assert!(stderr(&result).contains("beside it: app.observed.wasm.map"), "{}", stderr(&result));
    let expected = ["app.observed.wasm", "app.observed.wasm.map", "app.wasm", "app.wasm.map"];
    assert_eq!(files(folder), expected);
    let wasm = read(folder, "app.observed.wasm");
    assert!(names(&wasm, "sourceMappingURL", "app.observed.wasm.map"));
    let map: Value = serde_json::from_slice(&read(folder, "app.observed.wasm.map")).expect("JSON");
    let old: Value = serde_json::from_slice(&read(folder, "app.wasm.map")).expect("JSON");
    assert_ne!(map["mappings"], old["mappings"]);
    assert_eq!(map["sources"], old["sources"]);

    // In place, with another name and another URL.
    std::fs::rename(folder.join("app.wasm.map"), folder.join("other.map")).expect("can be moved");
    let url = "https://example.org/app.map";
    let options = ["app.wasm", "--all", "-o", "app.wasm", "--source-map", "other.map"];
    let more = ["--source-map-url", url, "--format", "json"];
    let result = instrument(folder, &[&options[..], &more].concat());
    let summary: Value = serde_json::from_str(&stdout(&result)).expect("JSON");
    assert_eq!(summary["beside"], serde_json::json!(["app.wasm.map"]));
    assert!(names(&read(folder, "app.wasm"), "sourceMappingURL", url));
    let same: Value = serde_json::from_slice(&read(folder, "app.wasm.map")).expect("JSON");
    assert_eq!(same, map);
}

#[test]
fn a_source_map_that_is_not_there_is_said() {
    let folder = folder();
    let folder = folder.path();
    let is_left_out = |arguments: &[&str], words: &[&str]| {
        let result = instrument(folder, arguments);
        assert!(result.status.success(), "{}", stderr(&result));
        for word in words {
            assert!(stderr(&result).contains(word), "{word}: {}", stderr(&result));
        }
        result.stdout
    };
    // Standard output has nothing beside it.
    let words = ["sourceMappingURL", "app.wasm.map", "--source-map", "-o"];
    let wasm = is_left_out(&["app.wasm", "-o", "-"], &words);
    assert!(!names(&wasm, "sourceMappingURL", "./app.wasm.map"));
    // What is no source map, and is only there.
    std::fs::write(folder.join("app.wasm.map"), "hello").expect("can be written");
    is_left_out(&["app.wasm"], &["sourceMappingURL", "no source map"]);
    std::fs::remove_file(folder.join("app.wasm.map")).expect("can be removed");
    is_left_out(&["app.wasm"], &words);
    assert_eq!(files(folder), ["app.observed.wasm", "app.wasm"]);
}

/// The module has no say in what is read from elsewhere.
#[test]
fn only_what_stands_beside_the_module_is_read() {
    let folder = folder();
    let below = folder.path().join("below");
    std::fs::create_dir(&below).expect("can be made");
    let whole = folder.path().join("app.wasm.map");
    let urls = ["../app.wasm.map", whole.to_str().expect("text"), "", ".", "..", "./", "sub/x.map"];
    for url in urls.into_iter().chain(["http://127.0.0.1:1/app.wasm.map", "file:app.wasm.map"]) {
        let len = u8::try_from(url.len()).expect("short");
        let wat = format!(
            "(module (func (export \"f\")) (@custom \"sourceMappingURL\" \"\\{len:02x}{url}\"))"
        );
        std::fs::write(below.join("app.wat"), wat).expect("can be written");
        let result = instrument(&below, &["app.wat"]);
        assert!(result.status.success(), "{}", stderr(&result));
        assert!(stderr(&result).contains("was not given"), "{url}: {}", stderr(&result));
        assert_eq!(files(&below), ["app.observed.wasm", "app.wat"], "{url}");
    }
}

#[test]
fn what_was_asked_for_has_to_be_right() {
    let folder = folder();
    let folder = folder.path();
    std::fs::write(folder.join("bad"), "hello").expect("can be written");
    std::fs::write(folder.join("plain.wat"), "(module (func (export \"f\")))").expect("writable");
    for (arguments, words) in [
        (&["app.wasm", "--source-map", "missing"][..], "missing: cannot be read"),
        (&["app.wasm", "--source-map", "bad"], "bad: cannot be rewritten"),
        (&["app.wasm", "--debug-info", "bad"], "bad: cannot be rewritten"),
        (&["app.wasm", "--debug-info", "app.wasm"], "the file has none"),
        (&["app.wasm", "--source-map", "app.wasm.map", "-o", "-"], "name one with -o"),
        (&["plain.wat", "--source-map-url", "x"], "has no source map"),
    ] {
        let result = instrument(folder, arguments);
        let said = stderr(&result);
        assert_eq!(result.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(words) && said.lines().count() == 1, "{arguments:?}: {said}");
        assert_eq!(files(folder), ["app.wasm", "app.wasm.map", "bad", "plain.wat"]);
    }
}

#[test]
fn a_source_map_is_not_overwritten_without_its_module() {
    let folder = folder();
    let folder = folder.path();
    let map = read(folder, "app.wasm.map");
    std::fs::create_dir(folder.join("build")).expect("can be made");
    std::fs::rename(folder.join("app.wasm"), folder.join("build/app.wasm")).expect("can be moved");
    let arguments = ["build/app.wasm", "--source-map", "app.wasm.map", "-o", "app.wasm"];
    let result = instrument(folder, &arguments);
    assert_eq!(result.status.code(), Some(2), "{}", stderr(&result));
    assert!(stderr(&result).contains("app.wasm.map: would be overwritten"), "{}", stderr(&result));
    assert_eq!((read(folder, "app.wasm.map"), files(folder).len()), (map.clone(), 2));

    // In place both are.
    std::fs::rename(folder.join("build/app.wasm"), folder.join("app.wasm")).expect("can be moved");
    let result = instrument(folder, &["app.wasm", "-o", "app.wasm"]);
    assert!(result.status.success(), "{}", stderr(&result));
    assert_ne!(read(folder, "app.wasm.map"), map);
}

/// None appears before all are complete.
#[test]
fn files_that_go_together_appear_together() {
    let folder = folder();
    let folder = folder.path();
    std::fs::write(folder.join("out.wasm"), "old").expect("can be written");
    let mut permissions = folder.join("out.wasm").metadata().expect("it is there").permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(folder.join("out.wasm"), permissions).expect("it is ours");
    let result = instrument(folder, &["app.wasm", "-o", "out.wasm"]);
    assert_eq!(result.status.code(), Some(2), "{}", stderr(&result));
    assert!(stderr(&result).contains("out.wasm: cannot be written"), "{}", stderr(&result));
    assert_eq!(files(folder), ["app.wasm", "app.wasm.map", "out.wasm"]);
}

#[test]
fn debug_information_beside_the_module_follows_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let whole = std::fs::read(repository().join("examples/vowels.wasm")).expect("an example");
    let mut stripped = whole[..8].to_vec();
    for payload in wasmparser::Parser::new(0).parse_all(&whole) {
        let payload = payload.expect("a module");
        if let Some((id, range)) = payload.as_section()
            && id != 0
        {
            stripped.push(id);
            stripped.extend(leb(range.len()));
            stripped.extend_from_slice(&whole[range]);
        }
    }
    let section = b"\x13external_debug_info\x09app.debug";
    stripped.extend([&[0, section.len() as u8][..], section].concat());
    std::fs::write(folder.join("app.wasm"), &stripped).expect("can be written");
    let missing = instrument(folder, &["app.wasm"]);
    assert!(stderr(&missing).contains("--debug-info"), "{}", stderr(&missing));

    // The example has no debug information of its own, but any will do.
    let mut debug = whole;
    let empty = b"\x0b.debug_line";
    debug.extend([&[0, empty.len() as u8][..], empty].concat());
    std::fs::write(folder.join("app.debug"), debug).expect("can be written");
    let result = instrument(folder, &["app.wasm"]);
    assert!(result.status.success(), "{}", stderr(&result));
    assert!(stderr(&result).contains("app.observed.debug.wasm"), "{}", stderr(&result));
    let wasm = read(folder, "app.observed.wasm");
    assert!(names(&wasm, "external_debug_info", "app.observed.debug.wasm"));
    wasmparser::validate(&read(folder, "app.observed.debug.wasm")).expect("it is valid");

    // All are written, or none.
    std::fs::create_dir(folder.join("out.debug.wasm")).expect("can be made");
    std::fs::write(folder.join("s.map"), r#"{"version":3,"mappings":""}"#).expect("can be written");
    let before = files(folder);
    let result = instrument(folder, &["app.wasm", "--source-map", "s.map", "-o", "out.wasm"]);
    assert_eq!(result.status.code(), Some(2));
    assert!(stderr(&result).contains("out.debug.wasm: cannot be written"), "{}", stderr(&result));
    assert_eq!(files(folder), before);
}

fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
