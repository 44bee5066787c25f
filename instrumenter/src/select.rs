//! Which functions to hook.

use regex::{Regex, RegexBuilder};

use crate::Error;
use crate::scan::Body;

/// The size from which a function is hooked by default, in instructions.
///
/// Measured on gofmt, ripgrep and nextpnr: together with the other rules it
/// leaves at most 2.5 % of the self time unattributed. XRay's 200 would hide
/// 10–37 %.
pub const DEFAULT_MIN_INSTRUCTIONS: u32 = 20;

/// What compiled regular expressions may take in memory, in bytes.
const MAX_PATTERN_SIZE: usize = 16 << 20;

/// Rules that say which functions to hook.
///
/// A function whose name matches an *exclude* is not hooked. Where there are
/// *includes*, the functions that match one of them are hooked and no others.
/// Otherwise a function is hooked if it has at least so many instructions, or a
/// loop, or calls an imported function, or grows a memory or a table, or is exported or
/// the start function; and so are the calls of imported functions.
#[derive(Clone, Debug)]
pub struct Selection {
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    min_instructions: u32,
    exports_only: bool,
    imports: bool,
    allocations: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Selection {
            include: Vec::new(),
            exclude: Vec::new(),
            min_instructions: DEFAULT_MIN_INSTRUCTIONS,
            exports_only: false,
            imports: true,
            allocations: false,
        }
    }
}

impl Selection {
    /// Every function, whatever its size.
    pub fn all() -> Self {
        Selection { min_instructions: 0, ..Selection::default() }
    }

    /// What the host calls: exported functions and the start function, and no others.
    pub fn exports() -> Self {
        Selection { exports_only: true, imports: false, ..Selection::default() }
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
        self.include.push(compile(pattern)?);
        Ok(self)
    }

    /// Leaves functions out whose name matches.
    ///
    /// # Errors
    ///
    /// As for [`include`](Self::include).
    pub fn exclude(mut self, pattern: &str) -> Result<Self, Error> {
        self.exclude.push(compile(pattern)?);
        Ok(self)
    }

    /// Sets whether calls of imported functions get hooks, too, under the names that
    /// [`Module::name`](crate::Module::name) gives them. They do by default, but for
    /// [`exports`](Self::exports).
    pub fn imports(mut self, imports: bool) -> Self {
        self.imports = imports;
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

    /// Sets the size from which a function is hooked for its size.
    pub fn min_instructions(mut self, instructions: u32) -> Self {
        self.min_instructions = instructions;
        self
    }

    /// The number of instructions from which a function is hooked for its size.
    pub fn threshold(&self) -> u32 {
        self.min_instructions
    }

    /// Why to hook the calls of an imported function, or why not to.
    pub(crate) fn judge_import(&self, module: &str, name: &str) -> Result<Reason, Omission> {
        let matches = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(name));
        // The builtins of WebAssembly's JavaScript API (`wasm:js-string`) are instructions in
        // all but name.
        if ["observe:", "dylibso", "wasm:"].iter().any(|prefix| module.starts_with(prefix)) {
            Err(Omission::Builtin)
        } else if matches(&self.exclude) {
            Err(Omission::Excluded)
        } else if !self.include.is_empty() {
            if matches(&self.include) { Ok(Reason::Included) } else { Err(Omission::NotIncluded) }
        } else if self.imports {
            Ok(Reason::Imported)
        } else {
            Err(Omission::NotExported)
        }
    }

    /// Why to hook a function, or why not to.
    pub(crate) fn judge(&self, candidate: &Candidate<'_>) -> Result<Reason, Omission> {
        let matches = |patterns: &[Regex]| {
            patterns.iter().any(|pattern| {
                pattern.is_match(candidate.name)
                    || candidate.raw_name.is_some_and(|raw| pattern.is_match(raw))
            })
        };
        let body = candidate.body;
        if matches(&self.exclude) {
            Err(Omission::Excluded)
        } else if !self.include.is_empty() {
            if matches(&self.include) { Ok(Reason::Included) } else { Err(Omission::NotIncluded) }
        } else if candidate.exported {
            Ok(Reason::Exported)
        } else if self.exports_only {
            Err(Omission::NotExported)
        } else if body.calls_import {
            Ok(Reason::CallsHost)
        } else if body.grows {
            Ok(Reason::Grows)
        } else if body.has_loop {
            Ok(Reason::Loop)
        } else if body.instructions >= self.min_instructions {
            Ok(Reason::Size)
        } else {
            Err(Omission::Small)
        }
    }
}

/// What a function is judged by.
pub(crate) struct Candidate<'a> {
    pub(crate) name: &'a str,
    pub(crate) raw_name: Option<&'a str>,
    /// Whether the host can call it: it is exported, or the start function.
    pub(crate) exported: bool,
    pub(crate) body: &'a Body<'a>,
}

/// Why a function is hooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its name matches an include.
    Included,
    /// It is exported, or the start function.
    Exported,
    /// It is imported.
    Imported,
    /// It calls an imported function.
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
    /// Its name matches an exclude.
    Excluded,
    /// Its name matches none of the includes.
    NotIncluded,
    /// It has few instructions, no loop, calls no imported function, grows nothing and is
    /// not exported.
    Small,
    /// It is not exported.
    NotExported,
    /// It is an import for observing, or one that the engine itself provides.
    Builtin,
    /// It is `shared`, and so cannot call hooks, which are not.
    Shared,
    /// With hooks it would have more locals, or be longer, than engines accept.
    TooLarge,
}

impl Reason {
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
    /// A word for it, as in the plan's JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Omission::Excluded => "excluded",
            Omission::NotIncluded => "not-included",
            Omission::Small => "small",
            Omission::NotExported => "not-exported",
            Omission::Builtin => "builtin",
            Omission::Shared => "shared",
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
