//! `observe instrument --remove`: a module with hooks in, the module without them out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use observe_instrumenter::{Restored, remove};
use serde_json::json;

use super::{Format, Opts};
use crate::input::{self, Input};
use crate::view::text::{clean, say};
use crate::view::units;

/// Takes the hooks out, and says so.
pub(super) fn run(opts: &Opts) -> Result<ExitCode> {
    if opts.select.is_given() {
        bail!("--remove takes out the hooks of all functions, so there is nothing to select");
    }
    let input = Input::read(&opts.input)?;
    let restored = remove(&input.wasm).map_err(|error| input.error(&error))?;
    let output = match (&opts.output, &input.path) {
        (Some(output), _) => output.clone(),
        (None, Some(path)) => beside(path),
        (None, None) => PathBuf::from("-"),
    };
    input::write(&[(&output, &restored.wasm)])?;
    for warning in &restored.warnings {
        say(&format!("observe: {}: {}\n", input.name, clean(&warning.to_string())));
    }
    summary(opts.format, &input, &output, &restored)?;
    Ok(ExitCode::SUCCESS)
}

/// Where the result goes if nobody says: never where the original may be.
fn beside(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default();
    let stem = Path::new(stem);
    let stem = match stem.extension() {
        Some(extension) if extension == "observed" => stem.file_stem().unwrap_or_default(),
        _ => stem.as_os_str(),
    };
    let mut name = stem.to_owned();
    name.push(".plain.wasm");
    path.with_file_name(name)
}

fn summary(format: Format, input: &Input, output: &Path, restored: &Restored) -> Result<()> {
    let (before, after) = (input.wasm.len() as u64, restored.wasm.len() as u64);
    let to_stdout = output == Path::new("-");
    let text = match format {
        Format::Json => {
            let warnings: Vec<_> = restored.warnings.iter().map(ToString::to_string).collect();
            let summary = json!({
                "input": input.name,
                "output": output.display().to_string(),
                "bytes_before": before,
                "bytes_after": after,
                "freed": restored.functions,
                "freed_imports": restored.imports,
                "warnings": warnings,
            });
            format!("{summary:#}")
        }
        Format::Text => {
            let place = if to_stdout { "standard output".into() } else { output.to_string_lossy() };
            let (size, was) = (units::bytes(after), units::bytes(before));
            let functions = units::plural(restored.functions as u64, "function");
            format!("{place}: {size} (was {was}), {functions} freed of hooks")
        }
    };
    // Standard output may be taken by the module.
    if to_stdout || format == Format::Text {
        say(&format!("{text}\n"));
        return Ok(());
    }
    input::print(format!("{text}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_has_a_name_of_its_own() {
        for (input, output) in [
            ("app.observed.wasm", "app.plain.wasm"),
            ("a/b.c.observed.wasm", "a/b.c.plain.wasm"),
            ("app.wasm", "app.plain.wasm"),
            ("observed.wasm", "observed.plain.wasm"),
            ("app", "app.plain.wasm"),
        ] {
            assert_eq!(beside(Path::new(input)), Path::new(output));
        }
    }
}
