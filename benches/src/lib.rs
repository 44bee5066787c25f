//! What the benchmarks have in common: how time is read, where modules are, how
//! results are put.
//!
//! A benchmark runs all its contenders in turn, round after round, in one process,
//! so that what slows the machine for a while slows them all. Nothing is asserted of
//! a time: see docs/BENCHMARKS.md for how to read the tables.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The time that this thread has run for, which on a shared machine says more than
/// the time that has passed. Where there is no such clock it is the latter.
pub fn thread_time() -> Duration {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
    }
    #[cfg(not(unix))]
    {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}

/// What a benchmark is asked for behind `--` on its command line.
pub struct Args {
    /// How many rounds to run.
    pub rounds: usize,
    only: Vec<String>,
}

impl Args {
    /// Reads the command line: a number is that of rounds, anything else a part of the
    /// name of what to run.
    pub fn read(default_rounds: usize) -> Self {
        let mut args = Args { rounds: default_rounds, only: Vec::new() };
        // Cargo adds `--bench`.
        for arg in std::env::args().skip(1).filter(|arg| !arg.starts_with("--")) {
            match arg.parse::<usize>() {
                Ok(rounds) => args.rounds = rounds.max(1),
                Err(_) => args.only.push(arg),
            }
        }
        args
    }

    /// Whether to run what has this name.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }
}

/// The real programs that `tests/corpus/fetch` fetched, by name, the smallest first;
/// none where it has not run.
pub fn corpus() -> Vec<(String, PathBuf)> {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
    let cache = cache.map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cache")));
    let Some(folder) = cache.map(|cache| cache.join("observe/corpus")) else { return Vec::new() };
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut modules: Vec<_> = files
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

/// What to do where the corpus is needed and not there.
pub const NO_CORPUS: &str = "the corpus is not there: tests/corpus/fetch fetches it";

/// The middle and the ends of what was measured.
///
/// It is written as `median (min..max)`, with two digits behind the point unless the
/// format says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// As many values lie above as below.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The spread of some values; zero where there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (values.first(), values.last()) else {
            return Spread::default();
        };
        let half = values.len() / 2;
        let median = match values.len() % 2 {
            1 => values[half],
            _ => (values[half - 1] + values[half]) / 2.0,
        };
        Spread { median, min, max }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let Spread { median, min, max } = self;
        write!(f, "{median:.digits$} ({min:.digits$}..{max:.digits$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of([]), Spread::default());
        assert_eq!(Spread::of([3.0, 1.0, 9.0]), Spread { median: 3.0, min: 1.0, max: 9.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0]).to_string(), "3.00 (1.00..9.00)");
        assert_eq!(format!("{:.0}", Spread::of([4.0])), "4 (4..4)");
    }

    #[test]
    fn time_goes_on_while_the_thread_works() {
        let start = thread_time();
        let mut sum = 0u64;
        while thread_time() == start {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(thread_time() > start);
    }
}
