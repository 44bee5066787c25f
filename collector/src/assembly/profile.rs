//! Where the time goes, by path of calls, over many traces.

mod arena;
mod exporter;
mod folded;
mod pprof;

use std::collections::{HashMap, HashSet};
use std::ops::AddAssign;
use std::sync::Arc;

pub use exporter::{ProfileExporter, ProfileHandle};

/// What calls of a path weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight {
    /// How many calls, or samples.
    pub calls: u64,
    /// How long they took without the calls in them, in nanoseconds.
    pub self_nanos: u64,
}

impl AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.self_nanos = self.self_nanos.saturating_add(other.self_nanos);
    }
}

/// What a profile tells of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// [`Weight::self_nanos`].
    SelfTime,
    /// [`Weight::calls`].
    Calls,
}

impl Measure {
    fn of(self, weight: Weight) -> u64 {
        match self {
            Measure::SelfTime => weight.self_nanos,
            Measure::Calls => weight.calls,
        }
    }
}

/// Calls that a path has at most; those further in weigh in under it. Without a limit two
/// functions that call each other would make what is told grow with the square of the paths.
const MAX_CALLS: usize = 512;

/// What all paths past the bound are called.
pub const OTHER: &str = "[other]";

/// Paths of calls and what they weigh. Each path is stored once; those that do not fit weigh in
/// as one, [`OTHER`].
///
/// ```
/// use observe_collector::assembly::{Measure, Profile, Weight};
///
/// let mut profile = Profile::new(1_000);
/// profile.add(["main", "parse"], Weight { calls: 2, self_nanos: 300 });
/// profile.add(["main"], Weight { calls: 1, self_nanos: 50 });
/// profile.add(["main", "parse"], Weight { calls: 1, self_nanos: 100 });
///
/// let mut folded = Vec::new();
/// profile.write_folded(Measure::SelfTime, &mut folded)?;
/// assert_eq!(folded, b"main 50\nmain;parse 400\n");
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Profile {
    names: HashSet<Arc<str>>,
    /// The first is that of no calls.
    paths: Vec<Path>,
    ids: HashMap<(PathId, Arc<str>), PathId>,
    max_paths: usize,
    other: Weight,
}

/// A path by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PathId(usize);

impl PathId {
    /// That of no calls.
    const NONE: PathId = PathId(0);
}

/// A call more than another path has.
#[derive(Clone, Debug)]
struct Path {
    from: PathId,
    name: Arc<str>,
    /// How many calls it has.
    length: usize,
    weight: Weight,
}

impl Profile {
    /// A profile without calls, of at most so many paths.
    pub fn new(max_paths: usize) -> Self {
        let none =
            Path { from: PathId::NONE, name: "".into(), length: 0, weight: Weight::default() };
        Profile {
            names: HashSet::new(),
            paths: vec![none],
            ids: HashMap::new(),
            max_paths,
            other: Weight::default(),
        }
    }

    /// Adds calls of a path, of which the outermost call comes first. Calls of no path are none
    /// that are known, and weigh in as [`OTHER`].
    pub fn add<'a>(&mut self, path: impl IntoIterator<Item = &'a str>, weight: Weight) {
        let mut path = path.into_iter();
        let to = path.try_fold(PathId::NONE, |from, name| self.step(from, name));
        self.add_to(to, weight);
    }

    /// Adds all that another has.
    pub fn merge(&mut self, other: &Profile) {
        let mut here = vec![Some(PathId::NONE)];
        for path in other.paths.iter().skip(1) {
            // A path stands behind the one that it goes on from.
            let from = here.get(path.from.0).copied().flatten();
            let to = from.and_then(|from| self.step(from, &path.name));
            here.push(to);
            // Only the end of a path weighs: one of no weight is the beginning of others.
            if path.weight != Weight::default() {
                self.add_to(to, path.weight);
            }
        }
        self.other += other.other;
    }

    /// The paths, the outermost call first, with what each weighs by itself, in the order of their
    /// names; the last may be [`OTHER`].
    pub fn paths(&self) -> Vec<(Vec<&str>, Weight)> {
        let known = self.paths.iter().enumerate().skip(1);
        let weighing = known.filter(|(_, path)| path.weight != Weight::default());
        let mut paths: Vec<_> =
            weighing.map(|(id, path)| (self.calls(PathId(id)), path.weight)).collect();
        paths.sort();
        if self.other != Weight::default() {
            paths.push((vec![OTHER], self.other));
        }
        paths
    }

    /// What all paths weigh together.
    pub fn total(&self) -> Weight {
        let mut total = self.other;
        self.paths.iter().for_each(|path| total += path.weight);
        total
    }

    /// The path with one call more; `None` if it does not fit.
    fn step(&mut self, from: PathId, name: &str) -> Option<PathId> {
        let known = self.names.get(name).cloned();
        if let Some(name) = &known
            && let Some(&id) = self.ids.get(&(from, Arc::clone(name)))
        {
            return Some(id);
        }
        let length = self.paths.get(from.0)?.length + 1;
        if length > MAX_CALLS {
            return Some(from);
        }
        if self.paths.len() > self.max_paths {
            return None;
        }
        let name = known.unwrap_or_else(|| {
            let name: Arc<str> = name.into();
            self.names.insert(Arc::clone(&name));
            name
        });
        let id = PathId(self.paths.len());
        self.ids.insert((from, Arc::clone(&name)), id);
        self.paths.push(Path { from, name, length, weight: Weight::default() });
        Some(id)
    }

    fn add_to(&mut self, path: Option<PathId>, weight: Weight) {
        let path = path.filter(|path| *path != PathId::NONE);
        match path.and_then(|PathId(at)| self.paths.get_mut(at)) {
            Some(path) => path.weight += weight,
            None => self.other += weight,
        }
    }

    /// The names of a path, the outermost first.
    fn calls(&self, path: PathId) -> Vec<&str> {
        let get = |id: PathId| self.paths.get(id.0).filter(|_| id != PathId::NONE);
        let steps = std::iter::successors(get(path), |path| get(path.from));
        let mut calls: Vec<_> = steps.map(|path| &*path.name).collect();
        calls.reverse();
        calls
    }
}
