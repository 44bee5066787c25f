//! Which functions to hook.

use std::borrow::Cow;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use observe_abi::dylibso::OLD_MODULE;
use regex::{Regex, RegexBuilder};

use crate::parse::{FuncIndex, Function, Module};
use crate::scan::Body;
use crate::source::Sources;
use crate::wrappers::Wrappers;
use crate::{Error, calls, owner, telling};

/// The size from which a function is hooked by default, in instructions.
///
/// Together with the other rules it hides 5 % of the self time in gofmt, 7 % in nextpnr and
/// 12 % in ripgrep (`docs/BENCHMARKS.md`). XRay's 200 would hide 10 to 37 % of it.
pub const DEFAULT_MIN_INSTRUCTIONS: u32 = 20;

/// What compiled regular expressions may take in memory, in bytes.
const MAX_PATTERN_SIZE: usize = 16 << 20;

/// How long a glob may be, in bytes: as long as the longest path.
const MAX_GLOB: usize = observe_abi::map::MAX_STRING;

/// Rules that say which functions to hook.
///
/// They are asked in this order, and the first that leaves a function out decides:
///
/// 1. *Excludes*: a function that matches any of them, by name, prefix or source path, is
///    left out.
/// 2. *Includes*: where there are any, by name, prefix or source path, a function that
///    matches none of them is left out.
/// 3. *Depth*: with [`max_depth`](Self::max_depth), a function that is further from what
///    the host can call is left out.
/// 4. *Wrappers*: a function that begins a span of the guest's own and leaves it to its caller to
///    end, or ends one that a caller began, is left out. A span ends with the hooked function in
///    which it began, which must not be this one.
/// 5. *Cost*: what is exported, is the start function, calls an imported function that is no
///    annotation, grows a memory or a table, or has a loop, is hooked. Any other function is left out under
///    [`min_instructions`](Self::min_instructions), or altogether with
///    [`loops`](Self::loops). Where there are includes and neither was set, it is hooked
///    whatever its size.
/// 6. *Growth*: of the functions that are hooked for nothing but their size, the smallest
///    are left out until the module is expected to grow by no more than
///    [`max_growth`](Self::max_growth), where that is set.
///
/// The calls of imported functions are hooked, too, unless [`imports`](Self::imports) says
/// otherwise: names and prefixes choose among them, other rules do not concern them.
///
/// In a module with annotations, functions of `observe`, `tracing` and `log` (in Go `log/slog`), and those
/// that run between a panic and its hook, are left out unless an include matches them: they would stand between what is
/// told and the function that tells it.
///
/// The order in which rules are added is of no importance.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    include: Matchers,
    exclude: Matchers,
    min_instructions: Option<u32>,
    loops: bool,
    max_depth: Option<u32>,
    max_growth: Option<f64>,
    imports: Option<bool>,
    allocations: bool,
}

impl Selection {
    /// Every function, whatever its size, but for wrappers of annotations.
    pub fn all() -> Self {
        Selection::default().min_instructions(0)
    }

    /// What the host calls: exported functions and the start function, and no others.
    pub fn exports() -> Self {
        Selection::default().max_depth(0)
    }

    /// Hooks functions whose name matches, and no others but those of other includes.
    ///
    /// The expression is looked for anywhere in the name, both as it is in the
    /// module and demangled.
    ///
    /// # Errors
    ///
    /// [`Error::Pattern`], where it is no [regular expression](regex#syntax) or
    /// takes more than 16 MiB when compiled.
    pub fn include(mut self, pattern: &str) -> Result<Self, Error> {
        self.include.names.push(compile(pattern)?);
        Ok(self)
    }

    /// Leaves functions out whose name matches.
    ///
    /// # Errors
    ///
    /// As for [`include`](Self::include).
    pub fn exclude(mut self, pattern: &str) -> Result<Self, Error> {
        self.exclude.names.push(compile(pattern)?);
        Ok(self)
    }

    /// Hooks functions whose source path matches, and no others but those of other includes.
    ///
    /// The [glob](globset#syntax) must match a whole path, or the end of one from any of
    /// its components on, or the path of a folder that it is in: `src/parse` and `*.rs`
    /// match `/home/me/app/src/parse/mod.rs`. One that begins with `/` has to match
    /// from the start. `*` stays within a component, `**` does not.
    ///
    /// The path is that of the line that a function begins with, as DWARF has it. Without
    /// DWARF no function matches, and the plan has a [warning](crate::Plan::warnings).
    ///
    /// # Errors
    ///
    /// [`Error::Glob`], where it is no glob or longer than 1,024 bytes.
    pub fn include_source(mut self, glob: &str) -> Result<Self, Error> {
        self.include.sources.push(globs(glob)?);
        Ok(self)
    }

    /// Leaves functions out whose source path matches.
    ///
    /// # Errors
    ///
    /// As for [`include_source`](Self::include_source).
    pub fn exclude_source(mut self, glob: &str) -> Result<Self, Error> {
        self.exclude.sources.push(globs(glob)?);
        Ok(self)
    }

    /// Hooks functions of a crate, namespace, package or file, and no others but those of
    /// other includes.
    ///
    /// The prefix is one or more whole segments of a name's path, parted by `::`, `.` or
    /// `/`: `std` and `std::io` match `<std::io::Stdout as core::fmt::Write>::write_str`.
    /// [`Module::owner`] tells what there is. An empty one matches every function.
    pub fn include_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.include.prefixes.push(prefix.into());
        self
    }

    /// Leaves functions out of a crate, namespace, package or file.
    pub fn exclude_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.exclude.prefixes.push(prefix.into());
        self
    }

    /// Sets the size from which a function is hooked for its size.
    pub fn min_instructions(mut self, instructions: u32) -> Self {
        self.min_instructions = Some(instructions);
        self
    }

    /// Hooks no function for its size: only what has a loop, calls the host or is exported.
    pub fn loops(mut self) -> Self {
        self.loops = true;
        self
    }

    /// Hooks functions at most so many calls away from an exported function or the start
    /// function, which are at 0.
    ///
    /// A call through a table or a reference counts as one of each function of its type
    /// that the module takes a reference of.
    pub fn max_depth(mut self, calls: u32) -> Self {
        self.max_depth = Some(calls);
        self
    }

    /// Sets how much larger hooks may make the module, in percent of its size. It is an
    /// estimate, and what is not hooked for its size alone is hooked in any case.
    ///
    /// There is no limit by default: small functions are called most, and leaving them out
    /// hides more of the time than it saves of the size. What is not a number is no limit.
    pub fn max_growth(mut self, percent: f64) -> Self {
        self.max_growth = Some(percent);
        self
    }

    /// Sets whether calls of imported functions get hooks, too, under the names that
    /// [`Module::name`] gives them. They do by default, unless the depth is limited to 0.
    pub fn imports(mut self, imports: bool) -> Self {
        self.imports = Some(imports);
        self
    }

    /// Sets whether the functions that allocate and free memory tell of it, as far as they
    /// can be found by name: those of C, Rust, TinyGo and AssemblyScript. They do not by
    /// default.
    pub fn allocations(mut self, allocations: bool) -> Self {
        self.allocations = allocations;
        self
    }

    pub(crate) fn tells_allocations(&self) -> bool {
        self.allocations
    }

    /// The number of instructions from which a function is hooked for its size.
    pub fn threshold(&self) -> u32 {
        let default = if self.include.is_empty() { DEFAULT_MIN_INSTRUCTIONS } else { 0 };
        self.min_instructions.unwrap_or(default)
    }

    /// The limit of growth in percent, where there is one.
    pub fn growth_limit(&self) -> Option<f64> {
        self.max_growth
    }

    /// Whether a rule asks for the source of functions.
    pub(crate) fn asks_for_sources(&self) -> bool {
        !self.include.sources.is_empty() || !self.exclude.sources.is_empty()
    }

    /// Gets ready to judge the functions of a module.
    pub(crate) fn judge<'a>(&'a self, module: &'a Module<'a>, sources: &'a Sources) -> Judge<'a> {
        Judge {
            selection: self,
            module,
            sources,
            distances: self.max_depth.map(|limit| calls::distances(module, limit)),
            wrappers: Wrappers::of(module),
            flattened: module.is_flattened(),
            tells: module.tells(),
        }
    }

    /// Whether a function tells more than its hooks cost, and why.
    fn worth(&self, exported: bool, calls_host: bool, body: &Body<'_>) -> Result<Reason, Omission> {
        if exported {
            Ok(Reason::Exported)
        } else if calls_host {
            Ok(Reason::CallsHost)
        } else if body.grows {
            Ok(Reason::Grows)
        } else if body.has_loop {
            Ok(Reason::Loop)
        } else if self.loops {
            Err(Omission::NoLoop)
        } else if body.instructions >= self.threshold() {
            Ok(Reason::Size)
        } else {
            Err(Omission::Small)
        }
    }
}

/// Judges the functions of one module by the rules of a [`Selection`], but for growth.
pub(crate) struct Judge<'a> {
    selection: &'a Selection,
    module: &'a Module<'a>,
    sources: &'a Sources,
    /// Where the rules ask for it: how far each function is from what the host calls.
    distances: Option<Vec<Option<u32>>>,
    wrappers: Wrappers,
    flattened: bool,
    /// Whether the module has annotations.
    tells: bool,
}

impl Judge<'_> {
    /// Why to hook the calls of an imported function, or why not.
    pub(crate) fn judge_import(&self, module: &str, name: &str) -> Result<Reason, Omission> {
        let selection = self.selection;
        // The builtins of WebAssembly's JavaScript API (`wasm:js-string`) are instructions in
        // all but name.
        if ["observe:", "dylibso:", OLD_MODULE, "wasm:"]
            .iter()
            .any(|prefix| module.starts_with(prefix))
        {
            return Err(Omission::Builtin);
        }
        let (path, flattened) = (owner::path(name), false);
        let traits = Traits { name, raw_name: None, path, flattened, source: None };
        if selection.exclude.matches(&traits) {
            Err(Omission::Excluded)
        } else if !selection.include.is_empty() {
            match selection.include.matches(&traits) {
                true => Ok(Reason::Included),
                false => Err(Omission::NotIncluded),
            }
        } else if selection.imports.unwrap_or(selection.max_depth != Some(0)) {
            Ok(Reason::Imported)
        } else {
            Err(Omission::NotExported)
        }
    }

    /// Why to hook the function at a place among those that the module defines, or why not.
    pub(crate) fn judge(
        &self,
        place: usize,
        function: &Function<'_>,
        name: &str,
    ) -> Result<Reason, Omission> {
        let Judge { selection, module, .. } = self;
        let index = FuncIndex(module.first_defined() + place as u32);
        let traits = Traits {
            name,
            raw_name: module.raw_name(index),
            path: owner::path(name),
            flattened: self.flattened,
            source: self.sources.path(place),
        };
        if selection.exclude.matches(&traits) {
            return Err(Omission::Excluded);
        }
        let included = !selection.include.is_empty();
        if included && !selection.include.matches(&traits) {
            return Err(Omission::NotIncluded);
        }
        let passes_on = || !included && telling::passes_on(&traits.path, self.flattened);
        if self.tells && (telling::is_deferred(&traits.path, self.flattened) || passes_on()) {
            return Err(Omission::Builtin);
        }
        if let Some(distances) = &self.distances
            && distances[place].is_none()
        {
            let exports_only = selection.max_depth == Some(0);
            return Err(if exports_only { Omission::NotExported } else { Omission::TooDeep });
        }
        if self.wrappers.contains(place) {
            return Err(Omission::Wrapper);
        }
        let exported = module.start == Some(index) || module.export_names(index).next().is_some();
        let calls_host = function.body.calls_import && !self.wrappers.only_annotates(place);
        let reason = selection.worth(exported, calls_host, &function.body)?;
        Ok(if included { Reason::Included } else { reason })
    }
}

/// Rules of one kind, of which a function has to match any.
#[derive(Clone, Debug, Default)]
struct Matchers {
    names: Vec<Regex>,
    sources: Vec<GlobSet>,
    prefixes: Vec<String>,
}

/// What [`Matchers`] look at.
struct Traits<'a> {
    name: &'a str,
    raw_name: Option<&'a str>,
    path: Cow<'a, str>,
    flattened: bool,
    source: Option<&'a str>,
}

impl Matchers {
    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.sources.is_empty() && self.prefixes.is_empty()
    }

    fn matches(&self, function: &Traits<'_>) -> bool {
        let name = |pattern: &Regex| {
            pattern.is_match(function.name)
                || function.raw_name.is_some_and(|raw| pattern.is_match(raw))
        };
        let prefix =
            |prefix: &String| owner::starts_with(&function.path, prefix, function.flattened);
        self.names.iter().any(name)
            || self.prefixes.iter().any(prefix)
            || function.source.is_some_and(|path| {
                // As a compiler on Windows writes them.
                let path = path.replace('\\', "/");
                self.sources.iter().any(|globs| globs.is_match(&path))
            })
    }
}

/// Why a function is hooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It matches an include.
    Included,
    /// It is exported, or the start function.
    Exported,
    /// It is imported.
    Imported,
    /// It calls an imported function that is no annotation.
    CallsHost,
    /// It grows a memory or a table.
    Grows,
    /// It has a loop.
    Loop,
    /// It has enough instructions.
    Size,
}

/// Why a function is not hooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omission {
    /// It matches an exclude.
    Excluded,
    /// It matches none of the includes.
    NotIncluded,
    /// It has few instructions, no loop, calls no imported function, grows nothing and is
    /// not exported.
    Small,
    /// It has no loop, calls no imported function, grows nothing and is not exported.
    NoLoop,
    /// It is among the smallest that are hooked for their size, and there is no room for all.
    Growth,
    /// It is not exported.
    NotExported,
    /// It is for observing, as `tracing` is in a module with annotations, or the engine itself
    /// provides it.
    Builtin,
    /// It is too many calls away from what is exported.
    TooDeep,
    /// It begins a span of the guest's own and leaves it to its caller to end, or ends one that a
    /// caller began: with hooks the span would end with it.
    Wrapper,
    /// It is `shared`, and so cannot call hooks, which are not.
    Shared,
    /// It is an import of a type that may have subtypes: the host may give it a function of
    /// one, and what is called in its place would not be.
    Open,
    /// With hooks it would have more locals, or be longer, than engines accept.
    TooLarge,
}

impl Reason {
    /// Each of them.
    pub const ALL: [Reason; 7] = [
        Reason::Included,
        Reason::Exported,
        Reason::Imported,
        Reason::CallsHost,
        Reason::Grows,
        Reason::Loop,
        Reason::Size,
    ];

    /// A word for it, as in the plan's JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Included => "included",
            Reason::Exported => "exported",
            Reason::Imported => "imported",
            Reason::CallsHost => "calls-host",
            Reason::Grows => "grows",
            Reason::Loop => "loop",
            Reason::Size => "size",
        }
    }
}

impl Omission {
    /// Each of them, those that a plan has most to tell of first.
    pub const ALL: [Omission; 12] = [
        Omission::Small,
        Omission::NoLoop,
        Omission::Growth,
        Omission::Excluded,
        Omission::NotIncluded,
        Omission::NotExported,
        Omission::Builtin,
        Omission::TooDeep,
        Omission::Wrapper,
        Omission::Shared,
        Omission::Open,
        Omission::TooLarge,
    ];

    /// A word for it, as in the plan's JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Omission::Excluded => "excluded",
            Omission::NotIncluded => "not-included",
            Omission::Small => "small",
            Omission::NoLoop => "no-loop",
            Omission::Growth => "growth",
            Omission::NotExported => "not-exported",
            Omission::Builtin => "builtin",
            Omission::TooDeep => "too-deep",
            Omission::Wrapper => "wrapper",
            Omission::Shared => "shared",
            Omission::Open => "open",
            Omission::TooLarge => "too-large",
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, Error> {
    RegexBuilder::new(pattern).size_limit(MAX_PATTERN_SIZE).build().map_err(|error| {
        let message = match error {
            regex::Error::CompiledTooBig(limit) => {
                format!("it takes more than {limit} bytes when compiled")
            }
            // The message of a syntax error draws the place over several lines;
            // its last one says what is wrong.
            other => {
                let text = other.to_string();
                text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
        };
        Error::Pattern { pattern: pattern.to_owned(), message }
    })
}

/// The glob, for whole paths and their ends, and for what is in the folder that it names.
fn globs(pattern: &str) -> Result<GlobSet, Error> {
    let error = |message: String| Error::Glob { pattern: pattern.to_owned(), message };
    if pattern.len() > MAX_GLOB {
        return Err(error(format!("it is longer than {MAX_GLOB} bytes")));
    }
    let anywhere = if pattern.starts_with('/') { "" } else { "**/" };
    let file = format!("{anywhere}{pattern}");
    let folder = format!("{}/**", file.trim_end_matches('/'));
    let build = |glob: &str| -> Result<Glob, globset::Error> {
        GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).build()
    };
    let build = || {
        let (file, folder) = (build(&file)?, build(&folder)?);
        GlobSetBuilder::new().add(file).add(folder).build()
    };
    build().map_err(|cause| error(cause.kind().to_string().replace('\n', " ")))
}
