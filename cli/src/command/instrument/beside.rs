//! The files beside a module that tell of its code: its source map, and the module with its
//! debug information.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use observe_instrumenter::{Companion, Companions, Instrumented, Module, Warning};

use crate::input::{self, Input};

#[derive(clap::Args)]
pub(super) struct BesideOpts {
    /// The module's source map, to be rewritten for the new code as OUT.wasm.map [default:
    /// the file beside the module that its section `sourceMappingURL` names]
    #[arg(long, value_name = "FILE")]
    source_map: Option<PathBuf>,

    /// What the result calls its source map [default: the name of the file]
    #[arg(long, value_name = "URL")]
    source_map_url: Option<String>,

    /// A module that holds the debug information of this one, to be rewritten for the new
    /// code as OUT.debug.wasm [default: the file beside the module that its section
    /// `external_debug_info` names]
    #[arg(long, value_name = "FILE")]
    debug_info: Option<PathBuf>,
}

/// The files that were found.
pub(super) struct Beside {
    source_map: Option<File>,
    debug_info: Option<File>,
}

/// A file, and what becomes of it.
struct File {
    name: String,
    contents: Vec<u8>,
    /// Whether it was named by an option, so that it has to be one of its kind.
    asked_for: bool,
    output: PathBuf,
    url: String,
}

impl BesideOpts {
    /// Reads the files that go with the module, which will go to `output`.
    pub(super) fn find(&self, input: &Input, module: &Module<'_>, output: &Path) -> Result<Beside> {
        let mut map_output = output.as_os_str().to_owned();
        map_output.push(".map");
        let find = |asked: &Option<PathBuf>, url: Option<&str>, output_of_file: PathBuf| {
            let path = match (asked, &input.path, url) {
                (Some(path), ..) => path.clone(),
                (None, Some(module), Some(url)) => match beside(module, url) {
                    Some(path) => path,
                    None => return Ok(None),
                },
                _ => return Ok(None),
            };
            let name = path.display().to_string();
            // There is nothing beside a stream.
            if input::is_stream(output) {
                match asked {
                    Some(_) => bail!(
                        "{name}: cannot follow a module that goes to no file; name one with -o"
                    ),
                    None => return Ok(None),
                }
            }
            if is_same(&path, &output_of_file)
                && !input.path.as_deref().is_some_and(|module| is_same(module, output))
            {
                bail!(
                    "{name}: would be overwritten, but not the module that it belongs to; name \
                     another output with -o"
                );
            }
            let contents = std::fs::read(&path);
            let contents = contents.with_context(|| format!("{name}: cannot be read"))?;
            let url = output_of_file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let asked_for = asked.is_some();
            Ok(Some(File { name, contents, asked_for, output: output_of_file, url }))
        };
        let mut source_map = find(&self.source_map, module.source_map_url(), map_output.into())?;
        match (&self.source_map_url, &mut source_map) {
            (Some(url), Some(file)) => file.url.clone_from(url),
            (Some(_), None) => {
                bail!(
                    "{}: has no source map that a URL could name; give one with --source-map",
                    input.name
                )
            }
            (None, _) => {}
        }
        let debug_output = output.with_extension("debug.wasm");
        let debug_info = find(&self.debug_info, module.debug_info_url(), debug_output)?;
        Ok(Beside { source_map, debug_info })
    }
}

impl Beside {
    pub(super) fn companions(&self) -> Companions<'_> {
        Companions {
            source_map: self.source_map.as_ref().map(File::companion),
            debug_info: self.debug_info.as_ref().map(File::companion),
        }
    }

    /// Checks that the files that were asked for are what they should be.
    pub(super) fn check(&self, warnings: &[Warning]) -> Result<()> {
        for warning in warnings {
            let (file, message) = match warning {
                Warning::SourceMap { message } => (&self.source_map, message),
                Warning::ExternalDebugInfo { message } => (&self.debug_info, message),
                _ => continue,
            };
            if let Some(file) = file.as_ref().filter(|file| file.asked_for) {
                bail!("{}: cannot be rewritten for the new code: {message}", file.name);
            }
        }
        Ok(())
    }

    /// The files to write beside the instrumented module.
    pub(super) fn outputs<'a>(
        &'a self,
        instrumented: &'a Instrumented,
    ) -> Vec<(&'a Path, &'a [u8])> {
        let files = [
            (&self.source_map, &instrumented.source_map),
            (&self.debug_info, &instrumented.debug_info),
        ];
        let written = files.into_iter().filter_map(|(file, new)| file.as_ref().zip(new.as_ref()));
        written.map(|(file, new)| (file.output.as_path(), new.as_slice())).collect()
    }
}

impl File {
    fn companion(&self) -> Companion<'_> {
        Companion { contents: &self.contents, url: &self.url }
    }
}

/// Whether two paths lead to one file that exists.
fn is_same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// What can be done about a warning, to stand behind it.
pub(super) fn hint(warning: &Warning) -> &'static str {
    match warning {
        Warning::NotGiven { section, .. } if section == "sourceMappingURL" => {
            "; give it with --source-map FILE and -o OUT.wasm"
        }
        Warning::NotGiven { .. } => "; give it with --debug-info FILE and -o OUT.wasm",
        _ => "",
    }
}

/// The file that a URL names, if it stands beside the module. Others are left alone: a
/// module from elsewhere is not to choose what is read, and nothing is fetched.
fn beside(module: &Path, url: &str) -> Option<PathBuf> {
    let name = url.strip_prefix("./").unwrap_or(url);
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only.to_str() == Some(name) => {
            Some(module.with_file_name(name)).filter(|path| path.is_file())
        }
        _ => None,
    }
}
