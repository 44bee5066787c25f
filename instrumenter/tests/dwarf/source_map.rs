//! A source map after a rewrite says of each instruction what it said before.
//!
//! One map is of AssemblyScript's compiler: `asc app.ts --outFile app.wasm --sourceMap
//! --optimize` of release 0.28.20, without the text of its library. The other is of
//! Emscripten, from the corpus.

use observe_instrumenter::{Companion, Companions, Instrumented, Module, Plan, Selection, Warning};
use serde_json::{Value, json};
use sourcemap::{DecodedMap, SourceMap, SourceMapBuilder, SourceMapIndex, Token};
use wasm_encoder::Encode;

use crate::align::Alignment;
use crate::compare::sections;
use crate::corpus;
use crate::written::{add_section, module};

const WASM: &[u8] = include_bytes!("../source_map/app.wasm");
const MAP: &[u8] = include_bytes!("../source_map/app.wasm.map");

fn instrument(wasm: &[u8], map: &[u8], selection: &Selection) -> Instrumented {
    let module = Module::parse(wasm).expect("a module");
    let source_map = Some(Companion { contents: map, url: "new.wasm.map" });
    let companions = Companions { source_map, ..Companions::default() };
    let plan = Plan::new(&module, selection);
    plan.apply_with(&module, companions).expect("can be instrumented")
}

/// What becomes of a source map.
fn rewrite(wasm: &[u8], map: &[u8], selection: &Selection) -> Vec<u8> {
    let instrumented = instrument(wasm, map, selection);
    assert_eq!(instrumented.warnings, [], "nothing is lost");
    let module = Module::parse(wasm).expect("a module");
    assert_eq!(module.source_map_url().map(str::is_empty), Some(false), "there is one before");
    assert_eq!(url(&instrumented.wasm), Some("new.wasm.map"));
    instrumented.source_map.expect("the source map")
}

/// The URL of the source map that a module names.
fn url(wasm: &[u8]) -> Option<&str> {
    let mut urls = sections(wasm).into_iter().filter(|(name, _)| *name == "sourceMappingURL");
    let (_, contents) = urls.next()?;
    assert_eq!(urls.next(), None, "there is one at the most");
    let mut reader = wasmparser::BinaryReader::new(contents, 0);
    let len = reader.read_var_u32().expect("a length");
    Some(str::from_utf8(reader.read_bytes(len as usize).expect("as long")).expect("text"))
}

/// The module with a section that names a source map.
fn naming(mut wasm: Vec<u8>, url: &str) -> Vec<u8> {
    let mut contents = Vec::new();
    url.encode(&mut contents);
    add_section(&mut wasm, "sourceMappingURL", &contents);
    wasm
}

fn code_start(wasm: &[u8]) -> u32 {
    let code = wasmparser::Parser::new(0).parse_all(wasm).find_map(|payload| match payload {
        Ok(wasmparser::Payload::CodeSectionStart { range, .. }) => Some(range.start),
        _ => None,
    });
    code.expect("a code section") as u32
}

/// All of a token but where it stands.
fn source<'t>(token: &Token<'t>) -> (Option<&'t str>, u32, u32, Option<&'t str>) {
    (token.get_source(), token.get_src_line(), token.get_src_col(), token.get_name())
}

/// Compares what a source map says of each instruction, before and after.
fn compare(name: &str, wasm: &[u8], map: &[u8], selection: &Selection) {
    let instrumented = instrument(wasm, map, selection).wasm;
    let new_map = rewrite(wasm, map, selection);
    let read = |map: &[u8]| SourceMap::from_slice(map).expect("a source map");
    let (old, new) = (read(map), read(&new_map));
    let alignment = Alignment::of(wasm, &instrumented);
    let (old_start, new_start) = (code_start(wasm), code_start(&instrumented));
    let mut added = 0;
    let mut exact = 0;
    let mut after = new.tokens();
    for token in old.tokens() {
        assert_eq!(token.get_dst_line(), 0);
        let place = u64::from(token.get_dst_col() - old_start);
        let mut moved = after.next().expect("as many mappings");
        let mut new_place = u64::from(moved.get_dst_col() - new_start);
        if let Some(prologue) = alignment.opening(place)
            && new_place == prologue.new_start
        {
            assert_eq!(source(&moved), source(&token), "{name}: the hooks belong to it");
            added += 1;
            moved = after.next().expect("as many mappings");
            new_place = u64::from(moved.get_dst_col() - new_start);
        }
        assert_eq!(source(&moved), source(&token), "{name}: at {place:#x}");
        match alignment.exact(place) {
            Some(expected) => {
                assert_eq!(new_place, expected, "{name}: from {place:#x}");
                exact += 1;
            }
            None => assert!(alignment.agrees(place, new_place), "{name}: from {place:#x}"),
        }
    }
    assert!(after.next().is_none(), "{name}: no more mappings");
    // Whoever asks of an injected instruction gets the function's first line.
    for prologue in &alignment.prologues {
        let opening = old.lookup_token(0, old_start + prologue.old_code as u32);
        let first = opening.filter(|t| u64::from(t.get_dst_col() - old_start) >= prologue.old);
        let Some(opening) = first else { continue };
        for &place in &prologue.new {
            let hook = new.lookup_token(0, new_start + place as u32).expect("a mapping");
            assert_eq!(source(&hook), source(&opening), "{name}: the hook at {place:#x}");
        }
    }
    println!("{name}: {exact} of {} mappings exact, {added} added", old.get_token_count());
    assert!(exact > 100, "{name}: there is something to compare");

    // The rest is as it was, to the byte.
    let mappings = |map: &[u8]| {
        let map: Value = serde_json::from_slice(map).expect("JSON");
        map["mappings"].as_str().expect("a string").to_owned()
    };
    let text = |map: &[u8]| String::from_utf8(map.to_vec()).expect("text");
    assert_ne!(mappings(map), mappings(&new_map));
    assert_eq!(text(&new_map).replace(&mappings(&new_map), &mappings(map)), text(map), "{name}");
}

#[test]
fn assembly_script() {
    compare("app", WASM, MAP, &Selection::all());
    compare("app", WASM, MAP, &Selection::default());
}

#[test]
fn emscripten() {
    let wasm = corpus("tree-sitter");
    let map = crate::corpus_file("tree-sitter.wasm.map");
    // It names sources that it does not list.
    let mut map: Value = serde_json::from_slice(&map).expect("JSON");
    let sources = map["sources"].as_array_mut().expect("a list");
    sources.extend((sources.len()..92).map(|n| format!("unlisted {n}").into()));
    let map = map.to_string().into_bytes();
    compare("tree-sitter", &wasm, &map, &Selection::all());
    compare("tree-sitter", &wasm, &map, &Selection::default());
}

#[test]
fn an_index_map_says_the_same() {
    let map = SourceMap::from_slice(MAP).expect("a source map");
    let plain: Value = serde_json::from_slice(MAP).expect("JSON");
    let tokens: Vec<_> = map.tokens().collect();
    // A section begins where one of its mappings is, or before it.
    let half = tokens.len() / 2;
    let cut = tokens[half].get_dst_col() - 1;
    let part = |tokens: &[Token<'_>], base: u32| {
        let mut builder = SourceMapBuilder::new(None);
        for token in tokens {
            builder.add(
                0,
                token.get_dst_col() - base,
                token.get_src_line(),
                token.get_src_col(),
                token.get_source(),
                token.get_name(),
                false,
            );
        }
        let mut json = Vec::new();
        builder.into_sourcemap().to_writer(&mut json).expect("can be written");
        json!({
            "offset": {"line": 0, "column": base},
            "map": serde_json::from_slice::<Value>(&json).expect("JSON"),
        })
    };
    let index = json!({
        "version": 3,
        "sections": [part(&tokens[..half], 0), part(&tokens[half..], cut)],
    });
    let new = rewrite(WASM, index.to_string().as_bytes(), &Selection::all());
    let new = SourceMapIndex::from_slice(&new).expect("an index map");
    let new = new.flatten().expect("it has all its parts");
    let expected = rewrite(WASM, plain.to_string().as_bytes(), &Selection::all());
    let expected = SourceMap::from_slice(&expected).expect("a source map");
    assert_eq!(new.get_token_count(), expected.get_token_count());
    for (new, expected) in new.tokens().zip(expected.tokens()) {
        assert_eq!(new.get_dst_col(), expected.get_dst_col());
        assert_eq!(source(&new).1, source(&expected).1);
    }
}

#[test]
fn a_map_inside_the_module_is_rewritten_inside() {
    let place = |wasm: &[u8]| code_start(wasm) + crate::align::functions(wasm)[3].0.start as u32;
    let map = |column: u32| {
        let mut builder = SourceMapBuilder::new(None);
        builder.add(0, column, 41, 2, Some("a.c"), Some("f3"), false);
        builder.into_sourcemap()
    };
    let old = map(place(&module()));
    let wasm = naming(module(), &old.to_data_url().expect("can be written"));
    let plan = Plan::new(&Module::parse(&wasm).expect("a module"), &Selection::all());
    let instrumented = plan.apply(&Module::parse(&wasm).expect("a module"));
    let instrumented = instrumented.expect("can be instrumented");
    assert_eq!((&instrumented.warnings[..], instrumented.source_map), (&[][..], None));
    let inside = url(&instrumented.wasm).expect("the section is there");
    let DecodedMap::Regular(new) = sourcemap::decode_data_url(inside).expect("a map") else {
        panic!("a plain map stays one")
    };
    let token = new.get_token(0).expect("one mapping");
    assert_eq!(token.get_dst_col(), place(&instrumented.wasm));
    assert_eq!(source(&token), (Some("a.c"), 41, 2, Some("f3")));

    // A map that is given comes before the one inside.
    let mut json = Vec::new();
    old.to_writer(&mut json).expect("can be written");
    let new = rewrite(&wasm, &json, &Selection::all());
    let new = SourceMap::from_slice(&new).expect("a source map");
    assert_eq!(new.get_token(0).map(|t| t.get_dst_col()), Some(place(&instrumented.wasm)));
}

#[test]
fn what_lies_outside_the_code_stays_outside() {
    let instrumented = instrument(WASM, MAP, &Selection::all());
    let mut builder = SourceMapBuilder::new(None);
    let end = |wasm: &[u8]| {
        let functions = crate::align::functions(wasm);
        code_start(wasm) + functions.last().expect("functions").0.end as u32
    };
    let last = end(WASM);
    for (line, column) in [0, 8, last, last + 1, last + 101, u32::MAX].into_iter().enumerate() {
        builder.add(0, column, line as u32, 0, Some("a.c"), None, false);
    }
    let mut json = Vec::new();
    builder.into_sourcemap().to_writer(&mut json).expect("can be written");
    let new = rewrite(WASM, &json, &Selection::all());
    let new: Value = serde_json::from_slice(&new).expect("JSON");
    // The last is past 4 GiB, which this reader refuses, and so is cut off.
    let mappings = new["mappings"].as_str().expect("text").rsplit_once(',').expect("six").0;
    let new = json!({"version": 3, "sources": ["a.c"], "names": [], "mappings": mappings});
    let new = SourceMap::from_slice(new.to_string().as_bytes()).expect("a source map");
    let columns: Vec<_> = new.tokens().map(|token| token.get_dst_col()).collect();
    assert_eq!(columns[..2], [0, 8]);
    let wasm = &instrumented.wasm;
    let code = wasmparser::Parser::new(0).parse_all(wasm).find_map(|payload| match payload {
        Ok(wasmparser::Payload::CodeSectionStart { range, .. }) => Some(range.end as u32),
        _ => None,
    });
    // The functions that read cells come after the last.
    assert!(columns[2] < code.expect("a code section"));
    assert_eq!(columns[3..], [code.expect("a code section") + 1, code.expect("one") + 101]);
}

#[test]
fn what_is_no_source_map_is_left_out() {
    let mappings =
        |text: &str| json!({"version": 3, "sources": ["a"], "mappings": text}).to_string();
    let section = |line: u32, more: &str| {
        format!(r#"{{"version":3,"sections":[{{"offset":{{"line":{line},"column":3}}{more}}}]}}"#)
    };
    for (map, message) in [
        (String::new(), "no source map"),
        ("hello".to_owned(), "no source map"),
        ("[".repeat(100_000), "no source map"),
        (r#"{"sections":"#.repeat(100_000), "no source map"),
        (r#"{"version":2,"mappings":""}"#.to_owned(), "version 3"),
        (r#"{"mappings":""}"#.to_owned(), "version 3"),
        (r#"{"version":3}"#.to_owned(), "no mappings"),
        (r#"{"version":3,"mappings":"","sections":[]}"#.to_owned(), "two kinds"),
        (r#"{"version":3,"mappings":"","mappings":""}"#.to_owned(), "duplicate field"),
        (r#"{"version":3,"mappings":7}"#.to_owned(), "mappings are wrong"),
        (r#"{"version":3,"mappings":"","rangeMappings":"A"}"#.to_owned(), "rangeMappings"),
        (r#"{"version":3,"mappings":"","scopes":"A"}"#.to_owned(), "scopes"),
        (mappings("g"), "mapping 1 is wrong"),
        (mappings("AAAA,gg"), "mapping 2 is wrong"),
        (mappings("AA"), "mapping 1 is wrong"),
        (mappings("AAA"), "mapping 1 is wrong"),
        (mappings("AAAAAA"), "mapping 1 is wrong"),
        (mappings("A!AA"), "mapping 1 is wrong"),
        (mappings("AA\u{e9}A"), "mapping 1 is wrong"),
        (mappings("D"), "mapping 1 is wrong"),
        (mappings("ggggggI"), "mapping 1 is wrong"),
        (mappings("ggggggD,ggggggD,ggggggD,ggggggD"), "mapping 3 is wrong"),
        (mappings("ggggggggggggggggggA"), "mapping 1 is wrong"),
        (mappings(";AAAA"), "line 2"),
        (mappings(&(";".repeat(70) + "A")), "line 71"),
        (section(1, r#","map":{"version":3,"mappings":"A"}"#), "line 2"),
        (section(0, r#","url":"elsewhere.map""#), "no mappings"),
        (section(0, r#","map":{"version":3,"sections":[]}"#), "no mappings"),
        (section(0, r#","map":{"version":3,"mappings":"F"}"#), "mapping 1 is wrong"),
    ] {
        let instrumented = instrument(WASM, map.as_bytes(), &Selection::all());
        let shown = &map[..map.len().min(100)];
        assert!(instrumented.source_map.is_none(), "{shown}");
        assert_eq!(url(&instrumented.wasm), None, "{shown}");
        let [Warning::SourceMap { message: why }] = &instrumented.warnings[..] else {
            panic!("{shown}: {:?}", instrumented.warnings)
        };
        assert!(why.contains(message) && why.len() < 300, "{shown}: {why}");
        let said = instrumented.warnings[0].to_string();
        assert!(said.contains("sourceMappingURL"), "{said}");
    }
}

/// Time and memory are linear: what is not would take minutes here.
#[test]
fn maps_of_any_size_are_read() {
    for (mappings, len) in [
        (";".repeat(10_000_000), 10_000_000),
        (",".repeat(10_000_000), 10_000_000),
        // From one function to another and back.
        (format!("{}AAAA", "wiBAAAA,xiBAAAA,".repeat(500_000)), 5_000_000),
    ] {
        let map = format!(r#"{{"version":3,"mappings":"{mappings}"}}"#);
        let instrumented = instrument(WASM, map.as_bytes(), &Selection::all());
        assert_eq!(instrumented.warnings, []);
        let new = instrumented.source_map.expect("a map");
        assert!((len..4 * map.len()).contains(&new.len()), "{}", new.len());
    }
    let sections = vec![r#"{"offset":{"line":0,"column":9},"map":{"mappings":"A"}}"#; 100_000];
    let map = format!(r#"{{"version":3,"sections":[{}]}}"#, sections.join(","));
    let instrumented = instrument(WASM, map.as_bytes(), &Selection::all());
    assert_eq!(instrumented.source_map.map(|new| new.len()), Some(map.len()));
}

#[test]
fn a_map_that_is_not_there_is_named() {
    let plain = |wasm: &[u8]| {
        let module = Module::parse(wasm).expect("a module");
        let plan = Plan::new(&module, &Selection::all());
        plan.apply(&module).expect("can be instrumented")
    };
    let not_given = plain(WASM);
    assert_eq!(url(&not_given.wasm), None);
    let url_of = |url: &str| {
        let section = "sourceMappingURL".to_owned();
        [Warning::NotGiven { section, url: url.to_owned() }]
    };
    assert_eq!(not_given.warnings, url_of("./app.wasm.map"));
    // A second section that names one, and one that names nothing.
    let dropped = Warning::Dropped { sections: vec!["sourceMappingURL".to_owned()] };
    let again = naming(WASM.to_vec(), "other.map");
    assert_eq!(
        plain(&again).warnings,
        [&url_of("./app.wasm.map")[..], std::slice::from_ref(&dropped)].concat()
    );
    let mut damaged = module();
    add_section(&mut damaged, "sourceMappingURL", b"\x07short");
    assert_eq!(plain(&damaged).warnings, [dropped]);
    for (url, why) in [
        ("data:application/json,%7B%7D", "base64"),
        ("data:;base64,!", "its URL is wrong"),
        ("data:", "base64"),
        ("DATA:;BASE64,e30", "version 3"),
    ] {
        let instrumented = plain(&naming(module(), url));
        let [Warning::SourceMap { message }] = &instrumented.warnings[..] else {
            panic!("{url}: {:?}", instrumented.warnings)
        };
        assert!(message.contains(why), "{url}: {message}");
    }
    // A module that names none gets the name of the one that is given.
    let given = instrument(&module(), MAP, &Selection::all());
    assert_eq!((url(&given.wasm), &given.warnings[..]), (Some("new.wasm.map"), &[][..]));
    // With no hooks nothing moves, so that all is right as it is.
    let small = wat::parse_str("(module (func nop))").expect("a module");
    let same = instrument(&naming(small.clone(), "a.map"), MAP, &Selection::default());
    assert_eq!(
        (url(&same.wasm), same.source_map, &same.warnings[..]),
        (Some("a.map"), None, &[][..])
    );
}
