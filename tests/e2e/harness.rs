//! What the tests have in common: where things are, and how to run them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The `observe` program.
pub(crate) fn observe() -> Command {
    here(env!("CARGO_BIN_EXE_observe"))
}

/// A program that runs at the root of the repository.
pub(crate) fn here(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    // What the caller's environment says of a backend is not part of a test.
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("OTEL_") {
            command.env_remove(key);
        }
    }
    // Nor what it says of a trace.
    for key in ["TRACEPARENT", "TRACESTATE", "BAGGAGE"] {
        command.env_remove(key);
    }
    command.current_dir(repository());
    command
}

/// A module in `examples`.
pub(crate) fn example(name: &str) -> PathBuf {
    repository().join("examples").join(name)
}

/// Where `tests/setup` keeps what it fetches.
pub(crate) fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = base.or_else(home).expect("HOME is set").join("observe");
    assert!(cache.join("venv").exists(), "{} is missing: run tests/setup", cache.display());
    cache
}

/// Runs a command to its end with the given standard input.
pub(crate) fn output(command: &mut Command, stdin: &[u8]) -> Output {
    use std::io::Write;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut pipe = child.stdin.take().expect("it is piped");
    std::thread::scope(|scope| {
        // A child that does not read all of it is within its rights.
        scope.spawn(move || pipe.write_all(stdin));
        child.wait_with_output().expect("the child can be waited for")
    })
}

/// What a command printed on standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a command printed on standard output.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
