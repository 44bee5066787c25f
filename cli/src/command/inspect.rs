//! `observe inspect`: what a module is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use observe_abi::map::{Cells, FunctionMap};
use observe_abi::{dylibso, guest, hooks, signature};
use observe_instrumenter::{Error as InstrumentError, Module, read_function_map};
use serde::Serialize;
use wasmparser::{Encoding, ExternalKind, KnownCustom, Name, Parser, Payload, TypeRef};

use crate::command::instrument::Format;
use crate::input::{self, Input};
use crate::view::text::clean;
use crate::view::units::{bytes, count, plural};

/// Say what a module is: kind, toolchain, sizes, imports, annotations, instrumentation
#[derive(clap::Args)]
pub(crate) struct Opts {
    /// The module or component; `-` is standard input
    #[arg(value_name = "IN.wasm")]
    input: PathBuf,

    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What is said of a module.
#[derive(Default, Serialize)]
struct Description {
    file: String,
    /// `core module`, `component` or `object file`.
    kind: &'static str,
    bytes: usize,
    /// Core modules within a component.
    modules: usize,
    /// Of `producers`: field, then names with their versions.
    producers: BTreeMap<String, Vec<String>>,
    /// Bytes of each section, summed up by name.
    sections: Vec<Section>,
    functions: u32,
    function_names: usize,
    imports: Vec<Import>,
    exports: Vec<Export>,
    start: bool,
    memories: u32,
    /// `dwarf`, `dwarf in another file`, `source map` or `none`.
    debug_information: &'static str,
    /// What the module says of itself, by import module.
    annotations: Vec<Annotations>,
    instrumentation: Instrumentation,
}

/// The functions of one import module by which a guest speaks for itself.
#[derive(Serialize)]
struct Annotations {
    module: String,
    functions: Vec<String>,
    /// Those among them that this version does not know.
    unknown: Vec<String>,
}

#[derive(Serialize)]
struct Import {
    module: String,
    name: String,
    /// `function`, `table`, `memory`, `global` or `tag`.
    kind: &'static str,
}

#[derive(Serialize)]
struct Export {
    name: String,
    /// As for imports.
    kind: &'static str,
}

#[derive(Serialize)]
struct Section {
    name: String,
    bytes: usize,
}

/// By whom a module is instrumented.
#[derive(Default, Serialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
enum Instrumentation {
    #[default]
    Nobody,
    Observe {
        hooks: String,
        hooked: usize,
        cells: &'static str,
    },
    /// It imports hooks of a version that this one does not know.
    UnknownVersion {
        hooks: String,
        known: &'static str,
    },
    /// It has a function map that cannot be read.
    Damaged {
        message: String,
    },
    /// It imports the hooks of Dylibso's observe-sdk.
    ObserveSdk {
        hooks: String,
    },
}

impl Import {
    /// Whether it is a hook of observe-sdk.
    fn is_dylibso(&self) -> bool {
        self.module == dylibso::MODULE
            || self.module == dylibso::OLD_MODULE
                && dylibso::OLD_HOOKS.contains(&self.name.as_str())
    }
}

impl Opts {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let input = Input::read(&self.input)?;
        let description = Description::of(&input).map_err(|error| input.error(&error))?;
        let text = match self.format {
            Format::Json => serde_json::to_string_pretty(&description)? + "\n",
            Format::Text => description.text(),
        };
        input::print(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Description {
    fn of(input: &Input) -> Result<Self, InstrumentError> {
        let wasm = &input.wasm[..];
        match Module::check(wasm) {
            Ok(()) | Err(InstrumentError::Component) => {}
            Err(error) => return Err(error),
        }
        let mut description = Description {
            file: input.name.clone(),
            kind: "core module",
            bytes: wasm.len(),
            debug_information: "none",
            ..Description::default()
        };
        let mut depth = 0;
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            match &payload {
                Payload::Version { encoding, .. } => {
                    match (encoding, depth) {
                        (Encoding::Component, 0) => description.kind = "component",
                        (Encoding::Module, 1..) => description.modules += 1,
                        _ => {}
                    }
                    depth += 1;
                }
                Payload::End(_) => depth -= 1,
                // What is inside a component is its own matter.
                _ if depth > 1 => {}
                _ => description.section(payload)?,
            }
        }
        description.annotations = description.annotations();
        let hooks = description.import_module(hooks::MODULE_PREFIX);
        if let Some(hooks) = hooks.filter(|module| module != hooks::MODULE) {
            description.instrumentation =
                Instrumentation::UnknownVersion { hooks, known: hooks::MODULE };
            return Ok(description);
        }
        match read_function_map(wasm) {
            Some(Ok(map)) => description.instrumentation = description.by_observe(&map),
            Some(Err(error)) => {
                description.instrumentation =
                    Instrumentation::Damaged { message: error.to_string() };
            }
            None => {
                if let Some(hooks) = description.imports.iter().find(|import| import.is_dylibso()) {
                    let hooks = hooks.module.clone();
                    description.instrumentation = Instrumentation::ObserveSdk { hooks };
                }
            }
        }
        Ok(description)
    }

    /// The first module imported from whose name begins so.
    fn import_module(&self, prefix: &str) -> Option<String> {
        let mut modules = self.imports.iter().map(|import| &import.module);
        modules.find(|module| module.starts_with(prefix)).cloned()
    }

    /// The imports by which the module speaks for itself.
    fn annotations(&self) -> Vec<Annotations> {
        let mut modules: BTreeMap<&str, Annotations> = BTreeMap::new();
        for Import { module, name, .. } in &self.imports {
            let is_known = match module.as_str() {
                dylibso::API_MODULE => true,
                dylibso::OLD_MODULE if dylibso::OLD_API.contains(&name.as_str()) => true,
                ours if ours.starts_with(guest::MODULE_PREFIX) => signature::of(ours)
                    .is_some_and(|functions| functions.iter().any(|known| known.name == name)),
                _ => continue,
            };
            let annotations = modules.entry(module).or_insert_with(|| Annotations {
                module: module.clone(),
                functions: Vec::new(),
                unknown: Vec::new(),
            });
            annotations.functions.push(name.clone());
            if !is_known {
                annotations.unknown.push(name.clone());
            }
        }
        modules.into_values().collect()
    }

    fn by_observe(&self, map: &FunctionMap) -> Instrumentation {
        let hooks = self.import_module(hooks::MODULE_PREFIX);
        Instrumentation::Observe {
            hooks: hooks.unwrap_or_default(),
            hooked: map.functions.len(),
            cells: match map.cells {
                Cells::Memory => "memory",
                Cells::Globals => "globals",
            },
        }
    }

    /// Notes a section of the module itself.
    fn section(&mut self, payload: Payload<'_>) -> Result<(), wasmparser::Error> {
        if let Some((id, range)) = payload.as_section() {
            let name = match &payload {
                Payload::CustomSection(section) => section.name().to_owned(),
                _ => section_name(id).to_owned(),
            };
            match self.sections.iter_mut().find(|section| section.name == name) {
                Some(section) => section.bytes += range.len(),
                None => self.sections.push(Section { name, bytes: range.len() }),
            }
        }
        match payload {
            Payload::FunctionSection(section) => self.functions = section.count(),
            Payload::MemorySection(section) => self.memories += section.count(),
            Payload::StartSection { .. } => self.start = true,
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let kind = match import.ty {
                        TypeRef::Func(_) | TypeRef::FuncExact(_) => "function",
                        TypeRef::Table(_) => "table",
                        TypeRef::Memory(_) => "memory",
                        TypeRef::Global(_) => "global",
                        TypeRef::Tag(_) => "tag",
                    };
                    self.memories += u32::from(kind == "memory");
                    let (module, name) = (import.module.to_owned(), import.name.to_owned());
                    self.imports.push(Import { module, name, kind });
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    let kind = match export.kind {
                        ExternalKind::Func | ExternalKind::FuncExact => "function",
                        ExternalKind::Memory => "memory",
                        ExternalKind::Table => "table",
                        ExternalKind::Global => "global",
                        ExternalKind::Tag => "tag",
                    };
                    self.exports.push(Export { name: export.name.to_owned(), kind });
                }
            }
            Payload::CustomSection(section) => self.custom(&section),
            _ => {}
        }
        Ok(())
    }

    fn custom(&mut self, section: &wasmparser::CustomSectionReader<'_>) {
        match section.name() {
            ".debug_info" => self.debug_information = "dwarf",
            "external_debug_info" => self.debug_information = "dwarf in another file",
            "sourceMappingURL" => self.debug_information = "source map",
            "linking" => self.kind = "object file",
            _ => {}
        }
        // Neither section is part of what a module means, so that what cannot be read
        // of them is passed over.
        match section.as_known() {
            KnownCustom::Producers(fields) => {
                for field in fields.into_iter().map_while(Result::ok) {
                    let values = field.values.into_iter().map_while(Result::ok);
                    let text = |value: wasmparser::ProducersFieldValue<'_>| match value.version {
                        "" => value.name.to_owned(),
                        version => format!("{} {version}", value.name),
                    };
                    self.producers.insert(field.name.to_owned(), values.map(text).collect());
                }
            }
            KnownCustom::Name(names) => {
                for subsection in names.into_iter().map_while(Result::ok) {
                    if let Name::Function(map) = subsection {
                        self.function_names = map.count() as usize;
                    }
                }
            }
            _ => {}
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:<18}{}", clean(label), clean(value));
        };
        line("file", &self.file);
        line("kind", self.kind);
        line("size", &bytes(self.bytes as u64));
        for (field, values) in &self.producers {
            line(field, &values.join(", "));
        }
        if self.kind == "component" {
            line("core modules", &count(self.modules as u64));
        } else {
            let named = match self.function_names {
                0 => "none of them named".to_owned(),
                named => format!("{} names", count(named as u64)),
            };
            line("functions", &format!("{}, {named}", count(u64::from(self.functions))));
            line("memories", &count(u64::from(self.memories)));
            line("start function", if self.start { "yes" } else { "no" });
            line("debug info", self.debug_information);
        }
        let kind = |name: &str, kind| match kind {
            "function" => name.to_owned(),
            _ => format!("{name} ({kind})"),
        };
        let mut modules = BTreeMap::<_, Vec<_>>::new();
        for import in &self.imports {
            modules.entry(&import.module).or_default().push(kind(&import.name, import.kind));
        }
        for (module, names) in modules {
            line("imports", &format!("{module}: {}", names.join(", ")));
        }
        let exports: Vec<_> = self.exports.iter().map(|e| kind(&e.name, e.kind)).collect();
        if !exports.is_empty() {
            line("exports", &exports.join(", "));
        }
        for annotations in &self.annotations {
            line("annotations", &annotations.text());
        }
        let instrumented = match &self.instrumentation {
            Instrumentation::Nobody => "no".to_owned(),
            Instrumentation::Observe { hooks, hooked, cells } => {
                format!("by observe ({hooks}): {hooked} functions hooked, cells in {cells}")
            }
            Instrumentation::UnknownVersion { hooks, known } => {
                format!("by another version of observe ({hooks}; this one knows {known})")
            }
            Instrumentation::Damaged { message } => format!("by observe, but {message}"),
            Instrumentation::ObserveSdk { hooks } => format!("for observe-sdk ({hooks})"),
        };
        line("instrumented", &instrumented);
        line("sections", "");
        for section in &self.sections {
            line(&format!("  {}", section.name), &bytes(section.bytes as u64));
        }
        text
    }
}

impl Annotations {
    fn text(&self) -> String {
        let functions = plural(self.functions.len() as u64, "function");
        let mut text = format!("by {} of {}", functions, self.module);
        if self.unknown.is_empty() {
            return text;
        }
        text += &match signature::of(&self.module) {
            Some(_) => format!(", of which this version does not know {}", self.unknown.join(", ")),
            None => format!(" (not known; this version knows {})", guest::MODULES.join(", ")),
        };
        text
    }
}

/// The name of a section by its id (WebAssembly specification, 5.5.2).
fn section_name(id: u8) -> &'static str {
    const NAMES: [&str; 14] = [
        "custom",
        "type",
        "import",
        "function",
        "table",
        "memory",
        "global",
        "export",
        "start",
        "element",
        "code",
        "data",
        "data count",
        "tag",
    ];
    NAMES.get(usize::from(id)).copied().unwrap_or("unknown")
}
