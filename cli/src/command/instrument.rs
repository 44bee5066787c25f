//! `observe instrument`: a module in, a module with hooks out.

mod beside;
mod remove;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use observe_abi::map::Cells;
use observe_instrumenter::{Abi, Decision, Instrumented, Module, Plan, PlannedFunction};
use serde_json::{Value, json};

use self::beside::{Beside, BesideOpts};
use crate::command::coverage;
use crate::command::select::{Chosen, SelectOpts};
use crate::input::{self, Input};
use crate::view::text::{clean, say};
use crate::view::units;

/// Write a module that calls out at function entry and exit
///
/// The result imports `enter` and `exit` from `observe:hooks@1`, and runs in any host
/// that provides them: `observe run`, or one that embeds the crate `observe-host`. With
/// `--abi dylibso` it is for hosts with observe-sdk: it imports `enter`, `exit` and
/// `memory-grow` from `dylibso:observe/instrument`, tells every call, and has a name for
/// each hooked function in its name section.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  observe instrument app.wasm                     writes app.observed.wasm
  observe instrument app.wasm -o out.wasm --all   hooks every function
  observe instrument app.wasm --dry-run           prints what would be done
  observe instrument app.wasm --source-map s.map  writes app.observed.wasm.map, too
  observe instrument app.wasm --abi dylibso       for a host with observe-sdk
  observe instrument --remove app.observed.wasm   writes app.plain.wasm, without hooks
  observe instrument - <app.wat >out.wasm         reads the text format, too")]
pub(crate) struct Opts {
    /// The module, in the binary or the text format; `-` is standard input
    #[arg(value_name = "IN.wasm")]
    input: PathBuf,

    /// Where to write the result; `-` is standard output [default: IN.observed.wasm, or
    /// standard output if the module came from standard input]
    #[arg(short, long, value_name = "OUT.wasm")]
    output: Option<PathBuf>,

    /// Take the hooks out of a module that has them: the result does what it did before and
    /// is no larger; it goes to IN.plain.wasm, `.observed` left out, unless -o says where
    #[arg(
        long,
        conflicts_with_all = ["dry_run", "abi", "source_map", "source_map_url", "debug_info"]
    )]
    remove: bool,

    /// Print the plan, function by function, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// How to print the plan or the summary
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Take the input's validity for granted
    #[arg(long)]
    no_validate: bool,

    #[command(flatten)]
    beside: BesideOpts,

    /// Whose hooks the module will call
    #[arg(long, value_enum, default_value_t = HookAbi::Observe)]
    abi: HookAbi,

    /// Make the hooks half as large, for a call more at each call of a hooked function; cells
    /// live in a memory of their own
    #[arg(long)]
    compact: bool,

    #[command(flatten)]
    select: SelectOpts,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum HookAbi {
    /// `observe:hooks`, of `observe run` and `observe-host`
    Observe,
    /// `dylibso:observe/instrument`, of hosts with observe-sdk; each call is told
    Dylibso,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For scripts
    Json,
}

impl Opts {
    pub(crate) fn run(self) -> Result<ExitCode> {
        if self.remove {
            return remove::run(&self);
        }
        let chosen = self.select.selection(&self.input)?;
        let input = Input::read(&self.input)?;
        let module = Module::parse(&input.wasm).map_err(|error| input.error(&error))?;
        if !self.no_validate {
            input.validate()?;
        }
        let mut plan = Plan::new(&module, &chosen.selection);
        if self.compact {
            (plan.compact, plan.cells) = (true, Cells::Memory);
        }
        if self.abi == HookAbi::Dylibso {
            if !plan.allocators.is_empty() {
                bail!("--allocations: hosts of observe-sdk have no hook for it; leave it out");
            }
            plan.abi = Abi::Dylibso;
        }
        for warning in &plan.warnings {
            say(&format!("observe: {}: {warning}\n", clean(&input.name)));
        }
        if self.dry_run {
            self.print_plan(&module, &plan, &chosen)?;
            return Ok(ExitCode::SUCCESS);
        }
        let output = self.output(&input);
        let beside = self.beside.find(&input, &module, &output)?;
        let instrumented = plan.apply_with(&module, beside.companions());
        let instrumented = instrumented.map_err(|error| input.error(&error))?;
        beside.check(&instrumented.warnings)?;
        let mut files = beside.outputs(&instrumented);
        // Last, since it names the others.
        files.push((&output, &instrumented.wasm));
        input::write(&files)?;
        self.print_summary(&input, &output, &plan, &chosen, &instrumented, &beside)?;
        Ok(ExitCode::SUCCESS)
    }

    fn output(&self, input: &Input) -> PathBuf {
        match (&self.output, &input.path) {
            (Some(output), _) => output.clone(),
            (None, Some(path)) => path.with_extension("observed.wasm"),
            (None, None) => PathBuf::from("-"),
        }
    }

    fn print_plan(&self, module: &Module<'_>, plan: &Plan, chosen: &Chosen) -> Result<()> {
        let mut out = String::new();
        if self.format == Format::Json {
            let functions = plan.functions.iter().map(|function| describe(module, function));
            let functions: Vec<_> = functions.collect();
            let imports = plan.imports.iter().map(|import| describe(module, import));
            let imports: Vec<_> = imports.collect();
            let plan = json!({
                "imports": imports,
                "functions": functions,
                "coverage": coverage::json(plan, Some(module)),
                "config": coverage::config(chosen.config.as_deref()),
                "hooks": hooks(plan),
                "cells": cells(plan),
                "exceptions": format!("{:?}", plan.exceptions).to_lowercase(),
            });
            return input::print(format!("{plan:#}\n").as_bytes());
        }
        writeln!(out, "{:>8}  {:>12}  {:<14}  function", "index", "instructions", "decision")?;
        for function in plan.imports.iter().chain(&plan.functions) {
            let decision = match function.decision {
                Decision::Hook(_, reason) => format!("+ {}", reason.as_str()),
                Decision::Leave(omission) => format!("- {}", omission.as_str()),
            };
            let (index, size) = (function.index.0, function.instructions);
            write!(out, "{index:>8}  {size:>12}  {decision:<14}  {}", clean(&function.name))?;
            if let Some(source) = &function.source {
                write!(out, " ({}:{})", clean(&source.file), source.line)?;
            }
            writeln!(out)?;
        }
        let owners = coverage::owners(plan, module);
        if !owners.is_empty() {
            write!(out, "\n{owners}\n")?;
        }
        writeln!(out, "{}{}", coverage::line(plan, chosen), whose(plan))?;
        input::print(out.as_bytes())
    }

    fn print_summary(
        &self,
        input: &Input,
        output: &Path,
        plan: &Plan,
        chosen: &Chosen,
        instrumented: &Instrumented,
        beside: &Beside,
    ) -> Result<()> {
        let (before, after) = (input.wasm.len(), instrumented.wasm.len());
        for warning in &instrumented.warnings {
            let hint = beside::hint(warning);
            say(&format!("observe: {}: {}{hint}\n", input.name, clean(&warning.to_string())));
        }
        let files = beside.outputs(instrumented);
        let files: Vec<_> = files.iter().map(|(path, _)| path.display().to_string()).collect();
        let to_stdout = output == Path::new("-");
        let text = match self.format {
            Format::Json => {
                let warnings =
                    plan.warnings.iter().chain(&instrumented.warnings).map(ToString::to_string);
                let summary = json!({
                    "input": input.name,
                    "output": output.display().to_string(),
                    "beside": files,
                    "bytes_before": before,
                    "bytes_after": after,
                    "functions": plan.functions.len(),
                    "hooked": plan.hooked().count(),
                    "coverage": coverage::json(plan, None),
                    "config": coverage::config(chosen.config.as_deref()),
                    "hooks": hooks(plan),
                    "cells": cells(plan),
                    "warnings": warnings.collect::<Vec<_>>(),
                });
                format!("{summary:#}")
            }
            Format::Text => {
                let growth = (after as f64 / before as f64 - 1.0) * 100.0;
                let coverage = coverage::line(plan, chosen) + whose(plan);
                let place =
                    if to_stdout { "standard output".into() } else { output.to_string_lossy() };
                let size = units::bytes(after as u64);
                let beside = match files.is_empty() {
                    true => String::new(),
                    false => format!("; beside it: {}", files.join(", ")),
                };
                format!("{place}: {size} ({growth:+.1} %), {coverage}{beside}")
            }
        };
        // Standard output may be taken by the module.
        if to_stdout || self.format == Format::Text {
            say(&format!("{text}\n"));
            return Ok(());
        }
        input::print(format!("{text}\n").as_bytes())
    }
}

/// The module that the hooks are imported from.
fn hooks(plan: &Plan) -> &'static str {
    match plan.abi {
        Abi::Observe => observe_abi::hooks::MODULE,
        Abi::Dylibso => observe_abi::dylibso::MODULE,
    }
}

/// What a summary says of a host that is not ours.
fn whose(plan: &Plan) -> &'static str {
    match plan.abi {
        Abi::Observe => "",
        Abi::Dylibso => "; for hosts with observe-sdk, as --abi dylibso says",
    }
}

/// Where the cells will be; with the hooks of observe-sdk there are none.
fn cells(plan: &Plan) -> Option<&'static str> {
    match (plan.abi, plan.cells) {
        (Abi::Dylibso, _) => None,
        (Abi::Observe, Cells::Memory) => Some("memory"),
        (Abi::Observe, Cells::Globals) => Some("globals"),
    }
}

/// A function of the plan, for scripts.
fn describe(module: &Module<'_>, function: &PlannedFunction) -> Value {
    let (id, reason) = match function.decision {
        Decision::Hook(id, reason) => (Some(id.0), reason.as_str()),
        Decision::Leave(omission) => (None, omission.as_str()),
    };
    let source = function.source.as_ref();
    json!({
        "index": function.index.0,
        "name": function.name,
        "raw_name": module.raw_name(function.index),
        "owner": module.owner(&function.name),
        "instructions": function.instructions,
        "hooked": id.is_some(),
        "id": id,
        "reason": reason,
        "file": source.map(|source| &*source.file),
        "line": source.map(|source| source.line),
    })
}
