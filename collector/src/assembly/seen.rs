//! Which spans of a trace have gone out, in bounded memory.

use std::collections::BTreeMap;

/// Runs of numbers that are told apart. Hosts number spans as they begin, so that a trace has
/// about as many runs as it has open spans.
const MAX_RUNS: usize = 1_024;

/// A set of numbers, exact as long as they make few runs. Past that, the gap that is nearest to
/// zero counts as seen: an old number of which nothing was heard until now.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The last number of each run by its first.
    runs: BTreeMap<u32, u32>,
}

impl Seen {
    pub(super) fn contains(&self, number: u32) -> bool {
        self.runs.range(..=number).next_back().is_some_and(|(_, &last)| number <= last)
    }

    pub(super) fn insert(&mut self, number: u32) {
        if self.contains(number) {
            return;
        }
        let after = number.checked_add(1).and_then(|next| self.runs.remove(&next));
        let last = after.unwrap_or(number);
        let before = self.runs.range_mut(..number).next_back();
        match before.filter(|(_, end)| end.checked_add(1) == Some(number)) {
            Some((_, end)) => *end = last,
            None => {
                self.runs.insert(number, last);
            }
        }
        if self.runs.len() > MAX_RUNS
            && let Some((first, _)) = self.runs.pop_first()
            && let Some(second) = self.runs.first_entry()
        {
            let last = second.remove();
            self.runs.insert(first, last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::{prop_assert_eq, proptest};

    use super::{MAX_RUNS, Seen};

    proptest! {
        #[test]
        fn a_set_of_few_runs_is_exact(numbers in proptest::collection::vec(0..200_u32, 0..150)) {
            let (mut seen, mut model) = (Seen::default(), HashSet::new());
            for number in numbers {
                prop_assert_eq!(seen.contains(number), model.contains(&number));
                seen.insert(number);
                model.insert(number);
            }
            for number in 0..201 {
                prop_assert_eq!(seen.contains(number), model.contains(&number));
            }
        }
    }

    #[test]
    fn runs_are_bounded_and_nothing_is_forgotten() {
        let mut seen = Seen::default();
        for number in (0..100_000).step_by(2).chain([u32::MAX, 0, u32::MAX - 1]) {
            seen.insert(number);
            assert!(seen.contains(number) && seen.runs.len() <= MAX_RUNS);
        }
        assert!((0..100_000).step_by(2).all(|number| seen.contains(number)));
        assert!(seen.contains(1) && !seen.contains(99_997), "old gaps close");
    }
}
