//! Paths of calls, from the outermost on, each stored once.

use std::collections::HashMap;

/// Calls that a path has at most; those further in are told under it. Without a limit two functions
/// that call each other would make the names in a report grow with the square of the paths.
const MAX_CALLS: u32 = 100;

/// A path of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PathId(pub(crate) u32);

impl PathId {
    /// That of no calls.
    pub(crate) const ROOT: PathId = PathId(0);
    /// That of all calls past the quota.
    pub(crate) const REST: PathId = PathId(1);
}

/// A call more than another path has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Step {
    from: PathId,
    function: u32,
}

/// The paths of a trace.
#[derive(Default)]
pub(crate) struct Paths {
    ids: HashMap<Step, PathId>,
    /// By path, less the two that have no last call, that and the number of calls.
    last: Vec<(Step, u32)>,
}

impl Paths {
    /// The path with one call more, of which there are at most so many.
    pub(crate) fn step(&mut self, from: PathId, function: u32, quota: u32) -> PathId {
        // Recursion makes no longer paths.
        let (last, calls) = self.last(from).unzip();
        let calls = calls.unwrap_or(0);
        let is_same = last.is_some_and(|step| step.function == function);
        if is_same || calls >= MAX_CALLS || from == PathId::REST {
            return from;
        }
        let step = Step { from, function };
        if let Some(&id) = self.ids.get(&step) {
            return id;
        }
        if self.last.len() >= quota as usize {
            return PathId::REST;
        }
        let id = PathId(self.last.len() as u32 + 2);
        self.ids.insert(step, id);
        self.last.push((step, calls + 1));
        id
    }

    fn last(&self, path: PathId) -> Option<(Step, u32)> {
        self.last.get((path.0 as usize).checked_sub(2)?).copied()
    }

    /// The functions of a path, the outermost first.
    pub(crate) fn calls(&self, path: PathId) -> Vec<u32> {
        let steps = std::iter::successors(self.last(path), |(step, _)| self.last(step.from));
        let mut calls: Vec<_> = steps.map(|(step, _)| step.function).collect();
        calls.reverse();
        calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_stored_once_and_recursion_folds() {
        let mut paths = Paths::default();
        let mut walk = |calls: &[u32]| {
            calls.iter().fold(PathId::ROOT, |path, &call| paths.step(path, call, 4))
        };
        let long = walk(&[7, 7, 7, 8, 7, 7]);
        assert_eq!(walk(&[7, 8, 7]), long);
        assert_ne!(walk(&[8]), long);
        // Four are there.
        assert_eq!(walk(&[8, 8, 9]), PathId::REST);
        assert_eq!(walk(&[8, 9, 7]), PathId::REST);
        assert_eq!(paths.calls(long), [7, 8, 7]);
        assert!(paths.calls(PathId::ROOT).is_empty() && paths.calls(PathId::REST).is_empty());
    }

    #[test]
    fn a_path_has_so_many_calls_at_most() {
        let mut paths = Paths::default();
        let path = (0..10_000).fold(PathId::ROOT, |path, n| paths.step(path, n % 2, u32::MAX));
        assert_eq!(paths.calls(path).len(), MAX_CALLS as usize);
    }
}
