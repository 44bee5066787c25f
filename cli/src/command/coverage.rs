//! How much of a module a plan hooks, for people and for scripts.

use std::fmt::Write as _;
use std::path::Path;

use observe_instrumenter::{
    Coverage, Decision, Module, Omission, OwnerCoverage, Plan, Reason, Selection,
};
use serde_json::{Map, Value, json};

use crate::command::select::Chosen;
use crate::view::text::clean;
use crate::view::units::{count, plural};

/// How much of a module a plan hooks, and why not all of it, in one line.
pub(crate) fn line(plan: &Plan, chosen: &Chosen) -> String {
    let coverage = plan.coverage();
    let all = plural(coverage.functions as u64, "function");
    let mut text = format!("{} of {all} hooked", count(coverage.hooked as u64));
    let imports = plan.hooked_imports().count() as u64;
    match coverage.hooked {
        0 if imports > 0 => text += &format!(", and {}", plural(imports, "imported one")),
        0 if !plan.allocators.is_empty() => text += ", but for those that allocate",
        0 => text += ", so there is nothing to see",
        _ => text += &format!(" ({} of the code)", percent(&coverage)),
    }
    if let Some(config) = &chosen.config {
        text += &format!(", as {} says", clean(&config.display().to_string()));
    }
    let mut separator = "; left out: ";
    for omission in Omission::ALL {
        let left_out = plan.left_out(omission);
        if left_out > 0 {
            let why = explain(omission, &chosen.selection);
            text += &format!("{separator}{} {why}", count(left_out as u64));
            separator = ", ";
        }
    }
    text
}

fn explain(omission: Omission, selection: &Selection) -> String {
    match omission {
        Omission::Small => {
            let threshold = selection.threshold();
            format!(
                "under {threshold} instructions with no loop, host call or export (--all hooks them)"
            )
        }
        Omission::NoLoop => "with no loop, host call or export".to_owned(),
        Omission::Builtin => "of observing itself (the SDK, tracing, log) or the engine".to_owned(),
        Omission::Growth => {
            let percent = selection.growth_limit().unwrap_or_default();
            format!("of the smallest, to keep the growth under {percent} % (--max-growth)")
        }
        Omission::Excluded => "excluded".to_owned(),
        Omission::NotIncluded => "not included".to_owned(),
        Omission::NotExported => "not exported".to_owned(),
        Omission::TooDeep => "too many calls away from exports".to_owned(),
        Omission::Wrapper => "that begin or end a span for their callers".to_owned(),
        Omission::Shared => "shared, which cannot call hooks".to_owned(),
        Omission::Open => "imported under a type that may have subtypes".to_owned(),
        Omission::TooLarge => "too large for hooks".to_owned(),
    }
}

/// A table of the crates, namespaces, packages or files of a module; empty where its
/// names tell of none.
pub(crate) fn owners(plan: &Plan, module: &Module<'_>) -> String {
    let owners = plan.coverage_by_owner(module);
    let mut text = String::new();
    if owners.iter().all(|part| part.owner.is_none()) {
        return text;
    }
    let all = plan.coverage().instructions;
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{:>9}  {:>8}  {:>8}  {:>8}  crate, namespace or package",
        "functions", "hooked", "of code", "hooked"
    );
    for OwnerCoverage { owner, coverage } in &owners {
        let size =
            Coverage { instructions: all, hooked_instructions: coverage.instructions, ..*coverage };
        let _ = writeln!(
            text,
            "{:>9}  {:>8}  {:>8}  {:>8}  {}",
            count(coverage.functions as u64),
            count(coverage.hooked as u64),
            percent(&size),
            percent(coverage),
            clean(owner.as_deref().unwrap_or("(none)"))
        );
    }
    text
}

/// The share of the instructions that is hooked; only all is `100 %`, and only none `0 %`.
fn percent(coverage: &Coverage) -> String {
    let percent = coverage.share() * 100.0;
    match percent {
        _ if coverage.hooked_instructions == 0 => "0 %".to_owned(),
        _ if coverage.hooked_instructions == coverage.instructions => "100 %".to_owned(),
        ..1.0 => "<1 %".to_owned(),
        99.0.. => ">99 %".to_owned(),
        _ => format!("{percent:.0} %"),
    }
}

/// The same for scripts; by owner, too, where a module is given.
pub(crate) fn json(plan: &Plan, module: Option<&Module<'_>>) -> Value {
    let mut value = numbers(&plan.coverage());
    let (mut hooked_for, mut left_out) = (Map::new(), Map::new());
    for reason in Reason::ALL {
        let is = |decision| matches!(decision, Decision::Hook(_, why) if why == reason);
        let functions = plan.functions.iter().filter(|function| is(function.decision)).count();
        hooked_for.insert(reason.as_str().to_owned(), functions.into());
    }
    for omission in Omission::ALL {
        left_out.insert(omission.as_str().to_owned(), plan.left_out(omission).into());
    }
    value["hooked_for"] = hooked_for.into();
    value["left_out"] = left_out.into();
    if let Some(module) = module {
        let owners = plan.coverage_by_owner(module).into_iter().map(|part| {
            let mut value = numbers(&part.coverage);
            value["owner"] = part.owner.into();
            value
        });
        value["owners"] = owners.collect();
    }
    value
}

fn numbers(coverage: &Coverage) -> Value {
    json!({
        "functions": coverage.functions,
        "hooked": coverage.hooked,
        "instructions": coverage.instructions,
        "hooked_instructions": coverage.hooked_instructions,
    })
}

/// The configuration that was read, for scripts.
pub(crate) fn config(path: Option<&Path>) -> Value {
    path.map(|path| path.display().to_string()).into()
}
