//! `observe.toml`: which functions to hook, for all who work on a module.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use toml::Spanned;

/// The name under which the file is looked for.
const NAME: &str = "observe.toml";

/// How long the file may be, in bytes. It is written by hand.
const MAX_SIZE: u64 = 1 << 20;

/// A file that was read.
pub(crate) struct Config {
    pub(crate) path: PathBuf,
    pub(crate) select: Select,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    #[serde(default)]
    select: Select,
}

/// The keys of `[select]`, which mean what the options of their names do.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Select {
    pub(crate) include: Vec<Spanned<String>>,
    pub(crate) exclude: Vec<Spanned<String>>,
    pub(crate) include_source: Vec<Spanned<String>>,
    pub(crate) exclude_source: Vec<Spanned<String>>,
    pub(crate) include_prefix: Vec<Spanned<String>>,
    pub(crate) exclude_prefix: Vec<Spanned<String>>,
    pub(crate) min_instructions: Option<u32>,
    pub(crate) exports: bool,
    pub(crate) loops: bool,
    pub(crate) all: bool,
    pub(crate) max_depth: Option<u32>,
    pub(crate) max_growth: Option<Spanned<f64>>,
    pub(crate) imports: Option<bool>,
    pub(crate) allocations: bool,
}

impl Config {
    /// Reads the file for a module, where there is one: in the module's folder, else in
    /// the working directory or the nearest of its parents, up to the root of a repository.
    pub(crate) fn find(module: Option<&Path>) -> Result<Option<Self>> {
        let beside = module.map(|module| module.with_file_name(NAME));
        if let Some(path) = beside.filter(|path| path.is_file()) {
            return Self::read(&path).map(Some);
        }
        // Relative names are what messages show.
        let Ok(working) = std::env::current_dir() else { return Ok(None) };
        for folder in working.ancestors() {
            let path = folder.join(NAME);
            if path.is_file() {
                let shown = path.strip_prefix(&working).unwrap_or(&path);
                return Self::read(shown).map(Some);
            }
            if folder.join(".git").exists() {
                break;
            }
        }
        Ok(None)
    }

    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let cannot = || format!("{name}: cannot be read");
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).with_context(cannot)?;
        file.take(MAX_SIZE + 1).read_to_end(&mut bytes).with_context(cannot)?;
        if bytes.len() as u64 > MAX_SIZE {
            bail!("{name}: is larger than 1 MiB, which no configuration is");
        }
        let text = String::from_utf8(bytes).map_err(|_| anyhow!("{name}: is not UTF-8 text"))?;
        match toml::from_str::<Tables>(&text) {
            Ok(Tables { select }) => {
                let config = Config { path: path.to_owned(), select, text };
                config.check()?;
                Ok(config)
            }
            Err(error) => {
                let span = error.span().unwrap_or_default();
                let place = place(&text, span.start);
                bail!("{name}:{place}: {}", explain(error.message(), text.get(span)))
            }
        }
    }

    /// Where in the file a value stands, for messages: `observe.toml:3:11`.
    pub(crate) fn place<T>(&self, value: &Spanned<T>) -> String {
        format!("{}:{}", self.path.display(), place(&self.text, value.span().start))
    }

    fn check(&self) -> Result<()> {
        let Select { min_instructions, exports, loops, all, max_depth, .. } = self.select;
        let size = min_instructions.is_some();
        let given = [("all", all), ("loops", loops), ("min-instructions", size)];
        let others = [("max-depth", max_depth.is_some())];
        let given: Vec<_> = match exports {
            true => [("exports", true)].iter().chain(&given).chain(&others).collect(),
            false => given.iter().collect(),
        };
        let given: Vec<_> = given.iter().filter(|(_, given)| *given).collect();
        if let [(first, _), (second, _), ..] = given[..] {
            bail!("{}: `{first}` and `{second}` contradict each other", self.path.display());
        }
        if let Some(percent) = &self.select.max_growth {
            check_percent(*percent.get_ref()).with_context(|| self.place(percent))?;
        }
        Ok(())
    }
}

/// Checks a limit in percent.
pub(crate) fn check_percent(percent: f64) -> Result<()> {
    if !(0.0..=1e9).contains(&percent) {
        bail!("write a number of percent, such as 5");
    }
    Ok(())
}

/// Line and column of an offset in bytes, both from 1.
fn place(text: &str, offset: usize) -> String {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    format!("{line}:{}", before[start..].chars().count() + 1)
}

/// The parser's message in one line, for an unknown key with the one that may be meant.
fn explain(message: &str, found: Option<&str>) -> String {
    let Some(list) = message.strip_prefix("unknown field ") else {
        return message.lines().map(str::trim).collect::<Vec<_>>().join(", ");
    };
    // "`inclde`, expected one of `include`, `exclude`": names are every other piece.
    let mut names = list.split('`').skip(1).step_by(2);
    let unknown = names.next().or(found).unwrap_or_default();
    let likeness = |name: &&str| strsim::jaro_winkler(unknown, name);
    let nearest = names.clone().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest.filter(|name| likeness(name) > 0.7) {
        Some(nearest) => format!("there is no key `{unknown}`; the nearest is `{nearest}`"),
        None => {
            format!("there is no key `{unknown}`, only {}", names.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters() {
        let text = "a\nöö = 1\n";
        assert_eq!(place(text, 0), "1:1");
        assert_eq!(place(text, 7), "2:4");
        assert_eq!(place(text, 99), "3:1");
    }
}
