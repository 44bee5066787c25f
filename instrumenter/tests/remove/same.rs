//! Whether two modules are the same, as a decoder sees them. Shared with the tests at the top
//! of the repository.

use std::fmt::Debug;

use wasmparser::{
    ConstExpr, DataKind, ElementItems, ElementKind, FromReader, FunctionBody, KnownCustom, Name,
    Operator, Parser, Payload, SectionLimited, TableInit, ValType,
};

/// Compares what remains when hooks are taken out again with what was before they came.
///
/// Of custom sections, those are compared that do not tell of places in the code. `Err` says
/// what differs.
pub(crate) fn same(before: &[u8], after: &[u8]) -> Result<(), String> {
    let (before, after) = (parts(before)?, parts(after)?);
    let names = |parts: &[Payload<'_>]| {
        let mut names: Vec<_> = parts.iter().map(name).collect();
        let bodies = names.iter().filter(|name| *name == "CodeSectionEntry").count();
        names.retain(|name| name != "CodeSectionEntry");
        (bodies, names)
    };
    equal("sections", &names(&before), &names(&after))?;
    for (n, (before, after)) in before.iter().zip(&after).enumerate() {
        part(before, after).map_err(|what| format!("part {n}, {}: {what}", name(before)))?;
    }
    Ok(())
}

/// How many bytes more than it had a module may have: those that line programs need. An advance
/// of the address can be said in several ways, and which one it was, nothing tells.
pub(crate) fn room(before: &[u8]) -> usize {
    let sections = Parser::new(0).parse_all(before).map_while(Result::ok);
    let lines = sections.filter_map(|payload| match payload {
        Payload::CustomSection(section) if section.name() == ".debug_line" => Some(section),
        _ => None,
    });
    lines.map(|section| section.data().len() / 100).sum()
}

/// The sections of a module and the bodies in its code.
fn parts(wasm: &[u8]) -> Result<Vec<Payload<'_>>, String> {
    let payloads = Parser::new(0).parse_all(wasm).map(|payload| payload.map_err(text));
    let mut payloads = payloads.collect::<Result<Vec<_>, _>>()?;
    // An empty section says nothing, and one of code need not be there.
    payloads.retain(|payload| match payload {
        Payload::TypeSection(section) => section.count() > 0,
        Payload::ImportSection(section) => section.count() > 0,
        Payload::FunctionSection(section) => section.count() > 0,
        Payload::MemorySection(section) => section.count() > 0,
        Payload::GlobalSection(section) => section.count() > 0,
        Payload::ExportSection(section) => section.count() > 0,
        Payload::CodeSectionStart { count, .. } => *count > 0,
        // Where no tool is named, instrumenting adds one, and removing takes the field.
        Payload::CustomSection(section) => match section.name() {
            "producers" => section.data() != [0],
            // These name files, which nobody gave.
            "sourceMappingURL" | "external_debug_info" => false,
            _ => true,
        },
        _ => true,
    });
    Ok(payloads)
}

fn name(payload: &Payload<'_>) -> String {
    match payload {
        Payload::CustomSection(section) => section.name().to_owned(),
        other => {
            let text = format!("{other:?}");
            text[..text.find(['(', ' ', '{']).unwrap_or(text.len())].to_owned()
        }
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn equal<T: PartialEq + Debug>(what: &str, before: &T, after: &T) -> Result<(), String> {
    match before == after {
        true => Ok(()),
        false => {
            let short = |value: &T| format!("{value:?}").chars().take(500).collect::<String>();
            let (before, after) = (short(before), short(after));
            Err(format!("{what}: {before} has become {after}"))
        }
    }
}

/// Compares the items of two sections, as `read` gives them.
fn items<'a, T: FromReader<'a>, K: PartialEq + Debug>(
    before: &SectionLimited<'a, T>,
    after: &SectionLimited<'a, T>,
    read: impl Fn(T) -> Result<K, String>,
) -> Result<(), String> {
    let all = |section: &SectionLimited<'a, T>| {
        let items = section.clone().into_iter().map(|item| read(item.map_err(text)?));
        items.collect::<Result<Vec<_>, _>>()
    };
    equal("items", &all(before)?, &all(after)?)
}

fn part<'a>(before: &Payload<'a>, after: &Payload<'a>) -> Result<(), String> {
    use Payload as P;
    match (before, after) {
        (P::TypeSection(a), P::TypeSection(b)) => items(a, b, Ok),
        (P::ImportSection(a), P::ImportSection(b)) => {
            let all = |section: &wasmparser::ImportSectionReader<'_>| {
                let imports = section.clone().into_imports();
                imports
                    .map(|import| import.map(|i| format!("{i:?}")))
                    .collect::<Result<Vec<_>, _>>()
            };
            equal("items", &all(a).map_err(text)?, &all(b).map_err(text)?)
        }
        (P::FunctionSection(a), P::FunctionSection(b)) => items(a, b, Ok),
        (P::TableSection(a), P::TableSection(b)) => items(a, b, |table: wasmparser::Table<'_>| {
            Ok((
                table.ty,
                match table.init {
                    TableInit::RefNull => None,
                    TableInit::Expr(expression) => Some(constant(&expression)?),
                },
            ))
        }),
        (P::MemorySection(a), P::MemorySection(b)) => items(a, b, Ok),
        (P::TagSection(a), P::TagSection(b)) => items(a, b, Ok),
        (P::GlobalSection(a), P::GlobalSection(b)) => {
            items(a, b, |global: wasmparser::Global<'_>| {
                Ok((global.ty, constant(&global.init_expr)?))
            })
        }
        (P::ExportSection(a), P::ExportSection(b)) => items(a, b, Ok),
        (P::StartSection { func: a, .. }, P::StartSection { func: b, .. }) => equal("start", a, b),
        (P::ElementSection(a), P::ElementSection(b)) => items(a, b, element),
        (P::DataCountSection { count: a, .. }, P::DataCountSection { count: b, .. }) => {
            equal("data count", a, b)
        }
        (P::DataSection(a), P::DataSection(b)) => items(a, b, |data: wasmparser::Data<'_>| {
            Ok((
                data.data.to_vec(),
                match data.kind {
                    DataKind::Passive => None,
                    DataKind::Active { memory_index, offset_expr } => {
                        Some((memory_index, constant(&offset_expr)?))
                    }
                },
            ))
        }),
        (P::CodeSectionEntry(a), P::CodeSectionEntry(b)) => body(a, b),
        (P::CustomSection(a), P::CustomSection(b)) => match (a.as_known(), b.as_known()) {
            (KnownCustom::Name(a), KnownCustom::Name(b)) => equal("names", &named(a), &named(b)),
            (KnownCustom::Producers(a), KnownCustom::Producers(b)) => {
                equal("fields", &tools(a), &tools(b))
            }
            _ if tells_of_code(a.name()) => Ok(()),
            _ => equal("bytes", &a.data(), &b.data()),
        },
        _ => Ok(()),
    }
}

/// Whether a custom section must follow the code, or its module.
fn tells_of_code(name: &str) -> bool {
    name.starts_with(".debug_") || name.starts_with("metadata.code.") || name == "build_id"
}

fn constant(expression: &ConstExpr<'_>) -> Result<String, String> {
    let operators = expression.get_operators_reader().into_iter();
    Ok(format!("{:?}", operators.collect::<Result<Vec<_>, _>>().map_err(text)?))
}

fn element(element: wasmparser::Element<'_>) -> Result<(String, String), String> {
    let kind = match &element.kind {
        // Table 0 may be named or not.
        ElementKind::Active { table_index, offset_expr } => {
            format!("{} {}", table_index.unwrap_or(0), constant(offset_expr)?)
        }
        ElementKind::Passive => "passive".to_owned(),
        ElementKind::Declared => "declared".to_owned(),
    };
    let items = match element.items {
        ElementItems::Functions(functions) => {
            let functions = functions.into_iter().collect::<Result<Vec<_>, _>>();
            format!("{:?}", functions.map_err(text)?)
        }
        ElementItems::Expressions(ty, expressions) => {
            let expressions = expressions.into_iter().map(|expression| match expression {
                Ok(expression) => constant(&expression),
                Err(error) => Err(text(error)),
            });
            format!("{ty} {:?}", expressions.collect::<Result<Vec<_>, _>>()?)
        }
    };
    Ok((kind, items))
}

/// The names of functions; others are by indices that do not change.
fn named(section: wasmparser::NameSectionReader<'_>) -> Vec<(u32, String)> {
    let mut names = Vec::new();
    for subsection in section {
        if let Ok(Name::Function(map)) = subsection {
            let read = map.into_iter().map_while(Result::ok);
            names.extend(read.map(|naming| (naming.index, naming.name.to_owned())));
        }
    }
    names.sort();
    names.dedup_by_key(|name| name.0);
    names
}

/// The fields of `producers` that name something.
fn tools(section: wasmparser::ProducersSectionReader<'_>) -> Vec<String> {
    let fields = section.into_iter().map_while(Result::ok).map(|field| {
        let values = field.values.into_iter().map_while(Result::ok);
        let values: Vec<_> = values.map(|value| (value.name, value.version)).collect();
        format!("{} {values:?}", field.name)
    });
    fields.collect()
}

/// Compares two bodies. To leave a function by `return` or by a branch to its label is the
/// same.
fn body(before: &FunctionBody<'_>, after: &FunctionBody<'_>) -> Result<(), String> {
    equal("locals", &locals(before)?, &locals(after)?)?;
    let mut a = before.get_operators_reader().map_err(text)?;
    let mut b = after.get_operators_reader().map_err(text)?;
    let mut depth = 0;
    while !a.eof() && !b.eof() {
        let at = a.original_position();
        let (a, b) = (a.read().map_err(text)?, b.read().map_err(text)?);
        match a {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Try { .. }
            | Operator::TryTable { .. } => depth += 1,
            Operator::End | Operator::Delegate { .. } => depth -= 1,
            _ => {}
        }
        let leaves = |operator: &Operator<'_>| match operator {
            Operator::Return => true,
            Operator::Br { relative_depth } => i64::from(*relative_depth) == depth,
            _ => false,
        };
        if !(leaves(&a) && leaves(&b)) {
            equal(&format!("at {at:#x}"), &a, &b)?;
        }
    }
    equal("ends", &a.eof(), &b.eof())
}

/// The locals of a body, as one list in groups that are as long as can be.
fn locals(body: &FunctionBody<'_>) -> Result<Vec<(u32, ValType)>, String> {
    let mut groups: Vec<(u32, ValType)> = Vec::new();
    for group in body.get_locals_reader().map_err(text)? {
        let (count, ty) = group.map_err(text)?;
        match groups.last_mut() {
            Some(last) if last.1 == ty => last.0 += count,
            _ if count > 0 => groups.push((count, ty)),
            _ => {}
        }
    }
    Ok(groups)
}
