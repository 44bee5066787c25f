//! Reading modules and writing results.

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use observe_instrumenter::Error as InstrumentError;

/// A module as the user named it.
pub(crate) struct Input {
    /// How to call it in messages.
    pub(crate) name: String,
    /// The path; `None` for standard input.
    pub(crate) path: Option<PathBuf>,
    /// The binary.
    pub(crate) wasm: Vec<u8>,
}

impl Input {
    /// Reads a module from a file, or from standard input for `-`. The text format is
    /// turned into the binary.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let (name, path, bytes) = match path.to_str() {
            Some("-") => {
                let mut bytes = Vec::new();
                let read = io::stdin().lock().read_to_end(&mut bytes);
                read.context("standard input: cannot be read")?;
                ("standard input".to_owned(), None, bytes)
            }
            _ => {
                let name = path.display().to_string();
                let bytes = std::fs::read(path);
                let bytes = bytes.with_context(|| format!("{name}: cannot be read"))?;
                (name, Some(path.to_owned()), bytes)
            }
        };
        let wasm = if is_text(&bytes) { assemble(&name, &bytes)? } else { bytes };
        Ok(Input { name, path, wasm })
    }

    /// Checks that the module is valid, with every proposal that can be parsed.
    pub(crate) fn validate(&self) -> Result<()> {
        let features = wasmparser::WasmFeatures::all();
        let mut validator = wasmparser::Validator::new_with_features(features);
        match validator.validate_all(&self.wasm) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.error(&InstrumentError::from(error))),
        }
    }

    /// An error of which this module is the cause.
    pub(crate) fn error(&self, error: &dyn std::fmt::Display) -> anyhow::Error {
        anyhow::anyhow!("{}: {error}", self.name)
    }

    /// The file's name without directories.
    pub(crate) fn file_name(&self) -> String {
        let name = self.path.as_deref().and_then(Path::file_name);
        name.map_or_else(|| "module.wasm".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// The file's name without directories and extension.
    pub(crate) fn stem(&self) -> String {
        let stem = self.path.as_deref().and_then(Path::file_stem);
        stem.map_or_else(|| "module".to_owned(), |stem| stem.to_string_lossy().into_owned())
    }
}

/// Whether the bytes look like the text format: the first that is neither space
/// nor comment opens a form.
fn is_text(bytes: &[u8]) -> bool {
    let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace());
    matches!(start.map(|start| &bytes[start..]), Some([b'(', ..] | [b';', b';', ..]))
}

fn assemble(name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    wat::parse_bytes(bytes).map(std::borrow::Cow::into_owned).map_err(|error| {
        // The message draws the place in the file over several lines: what is wrong,
        // then `--> file:line:column`.
        let text = error.to_string();
        let mut lines = text.lines().map(str::trim);
        let what = lines.next().unwrap_or_default();
        let place = lines.find_map(|line| line.strip_prefix("--> <anon>:")).unwrap_or_default();
        anyhow::anyhow!("{name}: is not a module in the text format: {what} (at {place})")
    })
}

/// Writes files that go together, each whole or not at all: none appears under its name
/// before all are complete. `-` is standard output.
pub(crate) fn write(files: &[(&Path, &[u8])]) -> Result<()> {
    let staged = files.iter().map(|(path, bytes)| Staged::new(path, bytes));
    staged.collect::<Result<Vec<_>>>()?.into_iter().try_for_each(Staged::appear)
}

/// A file that is complete but for its name.
enum Staged<'a> {
    File(tempfile::NamedTempFile, PathBuf),
    /// A device or a pipe keeps its place, and there is no taking back.
    Stream(&'a Path, &'a [u8]),
    StandardOutput(&'a [u8]),
}

impl<'a> Staged<'a> {
    fn new(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        if path == Path::new("-") {
            if io::stdout().is_terminal() {
                bail!(
                    "standard output: is a terminal, which a module would garble; name a file with -o"
                );
            }
            return Ok(Staged::StandardOutput(bytes));
        }
        let cannot_since = |kind| anyhow::Error::from(io::Error::from(kind)).context(cannot(path));
        // To be found out while no other file is written yet.
        if path.is_dir() {
            return Err(cannot_since(io::ErrorKind::IsADirectory));
        }
        if is_stream(path) {
            return Ok(Staged::Stream(path, bytes));
        }
        // A link stays one, and what it points to is replaced.
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let directory = match target.parent() {
            Some(directory) if directory != Path::new("") => directory,
            _ => Path::new("."),
        };
        if !directory.is_dir() {
            return Err(cannot_since(io::ErrorKind::NotADirectory));
        }
        let mut builder = tempfile::Builder::new();
        match target.metadata() {
            Ok(present) if present.permissions().readonly() => {
                return Err(cannot_since(io::ErrorKind::PermissionDenied));
            }
            Ok(present) => {
                builder.permissions(present.permissions());
            }
            Err(_) => {
                // What a file gets that is created the ordinary way, less the umask.
                #[cfg(unix)]
                builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
            }
        }
        // The error would name the temporary file, which says nothing to anybody.
        let file = builder.tempfile_in(directory).map_err(|error| cannot_since(error.kind()));
        let mut file = file?;
        file.write_all(bytes).with_context(|| cannot(path))?;
        Ok(Staged::File(file, target))
    }

    fn appear(self) -> Result<()> {
        match self {
            Staged::File(file, path) => {
                let done = file.persist(&path).map_err(io::Error::from);
                done.map(drop).with_context(|| cannot(&path))
            }
            Staged::Stream(path, bytes) => {
                std::fs::write(path, bytes).with_context(|| cannot(path))
            }
            Staged::StandardOutput(bytes) => print(bytes),
        }
    }
}

fn cannot(path: &Path) -> String {
    format!("{}: cannot be written", path.display())
}

/// Whether a path is that of a device or a pipe, or of standard output.
pub(crate) fn is_stream(path: &Path) -> bool {
    path == Path::new("-") || path.metadata().is_ok_and(|metadata| !metadata.is_file())
}

/// Writes on standard output.
pub(crate) fn print(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context("standard output: cannot be written")
}

/// Whether the reader of our output went away, as `head` does.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}
