//! The options that choose functions, shared by `run` and `instrument`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use observe_instrumenter::{DEFAULT_MIN_INSTRUCTIONS, Selection};

use crate::config::{self, Config};

// The help says so.
const _: () = assert!(DEFAULT_MIN_INSTRUCTIONS == 20);

#[derive(clap::Args)]
#[command(next_help_heading = "Selection")]
#[group(skip)]
pub(crate) struct SelectOpts {
    /// Hook functions whose name matches this regular expression, and none that no include
    /// matches; of any size, unless --loops or --min-instructions is given
    #[arg(long, value_name = "REGEX")]
    include: Vec<String>,

    /// Leave out functions whose name matches this regular expression
    #[arg(long, value_name = "REGEX")]
    exclude: Vec<String>,

    /// The same by a glob for the source path, such as `*.rs`, or `src/parse` for that folder
    /// wherever it is; needs DWARF
    #[arg(long, value_name = "GLOB")]
    include_source: Vec<String>,

    /// Leave out functions whose source path matches this glob
    #[arg(long, value_name = "GLOB")]
    exclude_source: Vec<String>,

    /// The same by crate, namespace or package, such as `my_crate`, `std::io` or `encoding/json`
    #[arg(long, value_name = "PREFIX")]
    include_prefix: Vec<String>,

    /// Leave out functions of a crate, namespace or package
    #[arg(long, value_name = "PREFIX")]
    exclude_prefix: Vec<String>,

    /// Hook functions of at least so many instructions; those with a loop, those that
    /// call the host and exported ones are hooked in any case [default: 20]
    #[arg(long, value_name = "N", group = "cost")]
    min_instructions: Option<u32>,

    /// Hook functions that have a loop, call the host or are exported, and none for its size
    #[arg(long, group = "cost")]
    loops: bool,

    /// Hook exported functions and no others
    #[arg(long, group = "cost", conflicts_with = "max_depth")]
    exports: bool,

    /// Hook functions of any size
    #[arg(long, group = "cost")]
    all: bool,

    /// Hook functions at most so many calls away from an exported one
    #[arg(long, value_name = "N")]
    max_depth: Option<u32>,

    /// Leave out the smallest functions until the module grows by about so much at the most
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    max_growth: Option<f64>,

    /// Leave calls of imported functions without hooks
    #[arg(long)]
    no_imports: bool,

    /// Tell what is allocated and freed, by C, Rust, TinyGo and AssemblyScript allocators that
    /// can be found by name
    #[arg(long)]
    allocations: bool,

    /// Read this configuration, not the `observe.toml` beside the module, or in the working
    /// directory or above it
    #[arg(long, value_name = "FILE", conflicts_with = "no_config")]
    config: Option<PathBuf>,

    /// Read no configuration
    #[arg(long)]
    no_config: bool,
}

/// The functions that were chosen, and by whom.
pub(crate) struct Chosen {
    pub(crate) selection: Selection,
    /// The configuration that was read.
    pub(crate) config: Option<PathBuf>,
}

impl SelectOpts {
    /// Whether the user chose anything on the command line.
    pub(crate) fn is_given(&self) -> bool {
        let Self { include, exclude, include_source, exclude_source, .. } = self;
        let Self { include_prefix, exclude_prefix, .. } = self;
        let lists =
            [include, exclude, include_source, exclude_source, include_prefix, exclude_prefix];
        lists.iter().any(|list| !list.is_empty())
            || self.chooses_cost()
            || self.max_depth.is_some()
            || self.max_growth.is_some()
            || self.no_imports
            || self.allocations
            || self.config.is_some()
    }

    /// Whether the user said what makes a function worth its hooks.
    fn chooses_cost(&self) -> bool {
        self.all || self.exports || self.loops || self.min_instructions.is_some()
    }

    /// Puts what the options and the configuration say together. Lists of both count; of
    /// all else, the command line's comes before the file's.
    pub(crate) fn selection(&self, module: &Path) -> Result<Chosen> {
        let config = match &self.config {
            _ if self.no_config => None,
            Some(path) => Some(Config::read(path)?),
            None => Config::find(Some(module).filter(|module| *module != Path::new("-")))?,
        };
        let nothing = config::Select::default();
        let file = config.as_ref().map_or(&nothing, |config| &config.select);
        let mut selection = match self.chooses_cost() {
            true => cost(self.all, self.exports, self.loops, self.min_instructions),
            false => cost(file.all, file.exports, file.loops, file.min_instructions),
        };
        let depth = if self.exports { None } else { self.max_depth.or(file.max_depth) };
        if let Some(calls) = depth {
            selection = selection.max_depth(calls);
        }
        let growth = file.max_growth.as_ref().map(|percent| *percent.get_ref());
        if let Some(percent) = self.max_growth.or(growth) {
            selection = selection.max_growth(percent);
        }
        if let Some(imports) = self.no_imports.then_some(false).or(file.imports) {
            selection = selection.imports(imports);
        }
        selection = selection.allocations(self.allocations || file.allocations);
        for (rule, in_file, given) in [
            (Selection::include as Rule, &file.include, &self.include),
            (Selection::exclude, &file.exclude, &self.exclude),
            (Selection::include_source, &file.include_source, &self.include_source),
            (Selection::exclude_source, &file.exclude_source, &self.exclude_source),
            (|to, text| Ok(to.include_prefix(text)), &file.include_prefix, &self.include_prefix),
            (|to, text| Ok(to.exclude_prefix(text)), &file.exclude_prefix, &self.exclude_prefix),
        ] {
            for text in in_file {
                let place = || config.as_ref().map_or_else(String::new, |file| file.place(text));
                selection = rule(selection, text.get_ref()).with_context(place)?;
            }
            for text in given {
                selection = rule(selection, text)?;
            }
        }
        Ok(Chosen { selection, config: config.map(|config| config.path) })
    }
}

/// Adds a rule to a selection.
type Rule = fn(Selection, &str) -> Result<Selection, observe_instrumenter::Error>;

/// What makes a function worth its hooks; at most one is given.
fn cost(all: bool, exports: bool, loops: bool, min_instructions: Option<u32>) -> Selection {
    match min_instructions {
        _ if all => Selection::all(),
        _ if exports => Selection::exports(),
        _ if loops => Selection::default().loops(),
        Some(instructions) => Selection::default().min_instructions(instructions),
        None => Selection::default(),
    }
}

fn percent(text: &str) -> Result<f64> {
    let percent = text.parse().context("write a number of percent, such as 5")?;
    config::check_percent(percent)?;
    Ok(percent)
}
