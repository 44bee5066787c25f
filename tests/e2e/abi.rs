//! The contract for guests, told four times: as constants, on `docs/ABI.md`, in WIT, and by what the host
//! links. They are held against one another here.

use std::collections::BTreeMap;

use observe_abi::guest;
use observe_host::{Observer, Quotas, Recorder};
use wasmtime::{Engine, Linker, Store, ValType};
use wit_parser::{Function, Resolve, Type, TypeDefKind, TypeId};

use crate::harness::{observe, output, repository, stderr};

fn read(path: &str) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the page's table whose header is this.
fn table(header: &str) -> Vec<Vec<String>> {
    let page = read("docs/ABI.md");
    let (_, after) = page.split_once(&format!("\n{header}\n")).unwrap_or_else(|| {
        panic!("no table with the header {header}");
    });
    let rows = after.lines().skip(1).take_while(|line| line.starts_with('|'));
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    rows.map(|row| row.trim_matches('|').split('|').map(cell).collect()).collect()
}

/// An import, as the page has it.
struct Import {
    shape: String,
    core: String,
    wit: String,
}

fn imports() -> BTreeMap<String, Import> {
    let rows = table("| import | takes and gives | core type | in WIT |");
    let imports = rows.into_iter().map(|row| match <[String; 4]>::try_from(row) {
        Ok([name, shape, core, wit]) => (name, Import { shape, core, wit }),
        Err(row) => panic!("{row:?}"),
    });
    imports.collect()
}

/// What the host links in the import module, by name, as the page writes types.
fn linked(observer: &Observer, module: &str) -> BTreeMap<String, String> {
    let engine = Engine::default();
    let mut linker: Linker<Recorder> = Linker::new(&engine);
    observer.tracer(&mut linker, |recorder| recorder).expect("an empty linker");
    let mut store = Store::new(&engine, Recorder::default());
    let functions: Vec<_> = linker
        .iter(&mut store)
        .filter(|(of, ..)| *of == module)
        .map(|(_, name, item)| (name.to_owned(), item.into_func().expect("a function")))
        .collect();
    let told = functions.into_iter().map(|(name, function)| {
        let ty = function.ty(&store);
        (name, core_type(ty.params(), ty.results()))
    });
    told.collect()
}

fn core_type(
    params: impl Iterator<Item = ValType>,
    results: impl Iterator<Item = ValType>,
) -> String {
    let text =
        |types: Vec<ValType>| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let results = match text(results.collect()) {
        none if none.is_empty() => "()".to_owned(),
        results => results,
    };
    format!("({}) -> {results}", text(params.collect()))
}

/// The core type of a shape such as `(kind: i32, name: text, attributes) -> (token: i32)`.
fn core_type_of_shape(shape: &str) -> String {
    let (params, results) = shape.split_once(" -> ").unwrap_or_else(|| panic!("{shape}"));
    let values = |list: &str| {
        let list = list.trim_matches(['(', ')']).to_owned();
        let fields = list.split(", ").filter(|field| !field.is_empty());
        let values = fields.map(|field| match field.split_once(": ") {
            Some((_, "i32")) => "i32",
            Some((_, "i64")) => "i64",
            Some((_, "f64")) => "f64",
            Some((_, "text")) => "i32 i32",
            None if field == "attributes" => "i32 i32",
            _ => panic!("{shape}: {field}"),
        });
        values.collect::<Vec<_>>().join(" ")
    };
    let results = match values(results) {
        none if none.is_empty() => "()".to_owned(),
        results => results,
    };
    format!("({}) -> {results}", values(params))
}

/// What the constants' documentation says of each function of this version.
fn documented() -> BTreeMap<String, String> {
    let source = read("guest-sdk/abi/src/guest.rs");
    let (_, current) = source.split_once("pub const CURRENT").expect("the constants");
    let mut shape = None;
    let mut documented = BTreeMap::new();
    for line in current.lines() {
        let said = line.trim().strip_prefix("/// `").and_then(|said| said.split_once("`"));
        if let Some((name, said)) = said.and_then(|(said, _)| said.split_once(": (")) {
            shape = Some((name.to_owned(), format!("({said}")));
        }
        if let Some(constant) = line.trim().strip_prefix("pub const ")
            && let Some((_, name)) = constant.split_once(": &str = ")
            && let Some((said, shape)) = shape.take()
        {
            assert_eq!(name.trim_matches(['"', ';']), said, "the name and what is said of it");
            documented.insert(said, shape);
        }
    }
    documented
}

#[test]
fn the_page_has_what_the_constants_say() {
    let page = imports();
    let documented = documented();
    assert!(documented.len() >= 18, "{documented:?}");
    let names = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(names(page.keys().collect()), names(documented.keys().collect()));
    for (name, import) in &page {
        assert_eq!(import.shape, documented[name], "{name}");
        assert_eq!(import.core, core_type_of_shape(&import.shape), "{name}");
    }
}

#[test]
fn the_host_links_what_the_page_has() {
    let page: BTreeMap<_, _> =
        imports().into_iter().map(|(name, import)| (name, import.core)).collect();
    for observer in [Observer::default(), Observer::disabled()] {
        assert_eq!(linked(&observer, guest::MODULE), page, "{observer:?}");
    }
}

#[test]
fn the_host_links_every_version_of_the_page() {
    let versions = table("| version | what it added |");
    let versions: Vec<_> = versions.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(versions, guest::MODULES);
    for observer in [Observer::default(), Observer::disabled()] {
        for version in &versions {
            assert!(!linked(&observer, version).is_empty(), "{version}: {observer:?}");
        }
    }
}

/// The WIT package.
struct Wit {
    resolve: Resolve,
    types: BTreeMap<String, TypeId>,
    functions: BTreeMap<String, Function>,
}

fn wit() -> Wit {
    let path = "guest-sdk/wit/observe-guest.wit";
    let mut resolve = Resolve::default();
    let package = resolve.push_source(path, &read(path)).expect("valid WIT");
    let package = &resolve.packages[package];
    assert_eq!(format!("{}", package.name), format!("{}.0.0", guest::MODULE));
    let annotations = &resolve.interfaces[package.interfaces["annotations"]];
    let types = annotations.types.iter().map(|(name, id)| (name.clone(), *id)).collect();
    let functions = annotations.functions.iter();
    let functions = functions.map(|(name, function)| (name.clone(), function.clone())).collect();
    Wit { resolve, types, functions }
}

impl Wit {
    /// The cases of an enumeration or a variant, in their order.
    fn cases(&self, name: &str) -> Vec<&str> {
        match &self.resolve.types[self.types[name]].kind {
            TypeDefKind::Enum(of) => of.cases.iter().map(|case| case.name.as_str()).collect(),
            TypeDefKind::Variant(of) => of.cases.iter().map(|case| case.name.as_str()).collect(),
            other => panic!("{name} is {}", other.as_str()),
        }
    }

    /// The core parameters that stand for a type, as the contract has it: where the component model
    /// would lower a span to what it is and which, there is one number for both.
    fn lower(&self, ty: &Type) -> &'static str {
        match ty {
            Type::S32 => "i32",
            Type::S64 => "i64",
            Type::F64 => "f64",
            Type::String => "i32 i32",
            Type::Id(id) => match &self.resolve.types[*id].kind {
                TypeDefKind::List(_) => "i32 i32",
                TypeDefKind::Enum(_) | TypeDefKind::Handle(_) => "i32",
                TypeDefKind::Variant(_) if self.types.get("span") == Some(id) => "i32",
                // The word of bits.
                TypeDefKind::Record(_) if self.types.get("interests") == Some(id) => "i32",
                TypeDefKind::Type(ty) => self.lower(ty),
                other => panic!("{} has no counterpart", other.as_str()),
            },
            other => panic!("{other:?} has no counterpart"),
        }
    }

    fn core_type(&self, function: &Function) -> String {
        let mut params: Vec<_> =
            function.params.iter().map(|param| self.lower(&param.ty)).collect();
        let result = match &function.result {
            None => "()",
            // A text that is given back goes to a buffer, and its length is the result.
            Some(Type::String) => {
                params.push("i32 i32");
                "i32"
            }
            Some(ty) => self.lower(ty),
        };
        format!("({}) -> {result}", params.join(" "))
    }
}

#[test]
fn wit_has_what_the_page_has() {
    let wit = wit();
    let page = imports();
    let mut names: Vec<_> = page.values().map(|import| import.wit.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, wit.functions.keys().collect::<Vec<_>>());
    for (name, import) in &page {
        assert_eq!(wit.core_type(&wit.functions[&import.wit]), import.core, "{name}");
    }
}

/// Checks a table of numbers against constants, and its names against the cases of a type whose
/// first has the number `first`.
#[track_caller]
fn check_numbers(header: &str, constants: &[(i64, &str)], in_wit: (usize, &str, i64)) {
    let rows = table(header);
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row[0].parse::<i64>().expect("a number"), row[1].as_str()))
        .collect();
    assert_eq!(told, constants, "{header}");
    let (column, name, first) = in_wit;
    let wit = wit();
    let cases: Vec<_> = (first..).zip(wit.cases(name)).collect();
    let told: Vec<_> =
        told.iter().zip(&rows).map(|((number, _), row)| (*number, row[column].as_str())).collect();
    assert_eq!(told, cases, "{name}");
}

#[test]
fn numbers_are_the_same_everywhere() {
    use guest::{attribute, instrument, kind, record, status};
    check_numbers(
        "| type | name | in WIT | `value` | an element of what is there |",
        &[
            (attribute::STRING.into(), "string"),
            (attribute::BOOL.into(), "bool"),
            (attribute::I64.into(), "i64"),
            (attribute::F64.into(), "f64"),
            (attribute::BYTES.into(), "bytes"),
            (attribute::STRINGS.into(), "strings"),
            (attribute::BOOLS.into(), "bools"),
            (attribute::I64S.into(), "i64s"),
            (attribute::F64S.into(), "f64s"),
        ],
        (2, "value", 0),
    );
    check_numbers(
        "| what | as | in WIT |",
        &[
            (record::SPAN_ATTRIBUTES.into(), guest::SPAN_ATTRIBUTES),
            (record::SPAN_EVENT.into(), guest::SPAN_EVENT),
            (record::LOG.into(), guest::LOG),
            (record::RECORD_I64.into(), guest::RECORD_I64),
            (record::RECORD_F64.into(), guest::RECORD_F64),
        ],
        (2, "entry", 1),
    );
    check_numbers(
        "| kind | name | for |",
        &[
            (kind::INTERNAL.into(), "internal"),
            (kind::SERVER.into(), "server"),
            (kind::CLIENT.into(), "client"),
            (kind::PRODUCER.into(), "producer"),
            (kind::CONSUMER.into(), "consumer"),
        ],
        (1, "span-kind", 1),
    );
    check_numbers(
        "| status | name | meaning |",
        &[
            (status::UNSET.into(), "unset"),
            (status::OK.into(), "ok"),
            (status::ERROR.into(), "error"),
        ],
        (1, "status-code", 0),
    );
    check_numbers(
        "| instrument | name | a measurement |",
        &[
            (instrument::COUNTER.into(), "counter"),
            (instrument::UP_DOWN_COUNTER.into(), "up-down-counter"),
            (instrument::GAUGE.into(), "gauge"),
            (instrument::HISTOGRAM.into(), "histogram"),
        ],
        (1, "instrument-kind", 1),
    );
}

#[test]
fn spans_that_are_no_handles_and_bits_are_as_the_page_says() {
    use guest::interest;
    let rows = table("| value | meaning |");
    for (place, value) in [(2, guest::CURRENT), (3, guest::ROOT)] {
        assert_eq!(rows[place][0], format!("{value:#x}"));
    }
    let bits: Vec<_> = table("| bits | meaning |").iter().map(|row| row[0].clone()).collect();
    let shift = interest::SEVERITY_SHIFT;
    let expected = [
        interest::SPANS.trailing_zeros().to_string(),
        interest::LOGS.trailing_zeros().to_string(),
        interest::METRICS.trailing_zeros().to_string(),
        format!("{shift} to {}", shift + 7),
        interest::ANSWERED.trailing_zeros().to_string(),
    ];
    assert_eq!(bits, expected);
    let page = read("docs/ABI.md");
    assert!(page.contains(&format!("{} bytes of ASCII", guest::TRACEPARENT_LEN)));
}

#[test]
fn records_have_the_page_s_layout() {
    let tables = read("docs/ABI.md");
    let mut layouts = tables.split("\n| offset | bytes | field | what it is |\n").skip(1);
    for size in [guest::attribute::SIZE, guest::record::SIZE] {
        let rows = layouts.next().expect("a layout").lines().skip(1);
        let mut end = 0;
        for row in rows.take_while(|row| row.starts_with('|')) {
            let mut cells = row.trim_matches('|').split('|');
            let mut number = || {
                let cell = cells.next().expect("a cell").trim();
                cell.parse::<usize>().unwrap_or_else(|_| panic!("{row}"))
            };
            assert_eq!(number(), end, "{row}");
            end += number();
        }
        assert_eq!(end, size);
    }
}

#[test]
fn the_page_has_the_default_quotas() {
    let page = table("| quota | default | of what |");
    let page: Vec<_> =
        page.iter().map(|row| format!("{}: {}", row[0], row[1].replace(',', ""))).collect();
    let quotas = format!("{:?}", Quotas::default());
    let fields = quotas.trim_start_matches("Quotas { ").trim_end_matches(" }");
    assert_eq!(page, fields.split(", ").collect::<Vec<_>>());
}

#[test]
fn the_guest_of_the_page_is_complete() {
    let page = read("docs/ABI.md");
    let (_, guest) = page.split_once("\n```wat\n").expect("a guest");
    let (guest, _) = guest.split_once("\n```\n").expect("its end");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("greet.wat");
    std::fs::write(&path, guest).expect("can be written");
    // As the page says.
    let command = "observe run greet.wat --invoke greet --min-duration 0";
    assert!(page.contains(&format!("`{command}`")));
    let arguments = command.split(' ').skip(1);
    let result = output(observe().current_dir(folder.path()).args(arguments), b"");
    let shown = stderr(&result);
    assert!(result.status.success(), "{shown}");
    assert!(shown.contains("─ greet  customer=ada\n"), "{shown}");
    assert!(shown.contains("  INFO   hello  in greet\n"), "{shown}");
    assert!(!shown.contains("observe:"), "nothing is lost: {shown}");
}
