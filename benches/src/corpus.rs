//! The real programs that `tests/corpus/fetch` fetched.

use std::path::PathBuf;

/// What to do where the corpus is needed and not there.
pub const NO_CORPUS: &str = "the corpus is not there: tests/corpus/fetch fetches it";

/// The real programs that `tests/corpus/fetch` fetched, by name, the smallest first;
/// none where it has not run.
pub fn corpus() -> Vec<(String, PathBuf)> {
    let files = folder().and_then(|folder| std::fs::read_dir(folder).ok());
    let mut modules: Vec<_> = files
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|file| {
            let path = file.path();
            let is_wasm = path.extension().is_some_and(|extension| extension == "wasm");
            let name = path.file_stem()?.to_str()?.to_owned();
            is_wasm.then(|| Some((file.metadata().ok()?.len(), name, path)))?
        })
        .collect();
    modules.sort();
    modules.into_iter().map(|(_, name, path)| (name, path)).collect()
}

/// Where the corpus is, if it is.
pub(crate) fn folder() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
    let cache = cache.map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cache")));
    Some(cache?.join("observe/corpus"))
}
