//! What was decided, for what comes late.

use std::collections::{HashMap, VecDeque};

use super::super::fold::Late;
use super::super::ratio::Ratio;
use super::Key;

/// Decisions that are remembered.
const MAX_DECIDED: usize = 65_536;

/// What they take together at the most. As many as above take 8 MiB, if their traces were complete.
const MAX_BYTES: usize = 16 << 20;

pub(super) enum Decision {
    Keep {
        /// The share that the trace stands for.
        ratio: Option<Ratio>,
        /// What is left of its cap.
        late: Option<Late>,
    },
    Drop,
}

/// The last decisions.
#[derive(Default)]
pub(super) struct Decided {
    decisions: HashMap<Key, Decision>,
    order: VecDeque<Key>,
    bytes: usize,
}

impl Decision {
    fn bytes(&self) -> usize {
        let late = match self {
            Decision::Keep { late: Some(late), .. } => late.bytes(),
            Decision::Keep { late: None, .. } | Decision::Drop => 0,
        };
        size_of::<(Key, Decision)>() + size_of::<Key>() + late
    }
}

impl Decided {
    pub(super) fn contains(&self, key: &Key) -> bool {
        self.decisions.contains_key(key)
    }

    /// Looks at a decision, and changes what is known for what comes late.
    pub(super) fn update(&mut self, key: &Key, change: impl FnOnce(&mut Decision)) {
        let Some(decision) = self.decisions.get_mut(key) else { return };
        self.bytes -= decision.bytes();
        change(decision);
        self.bytes += decision.bytes();
        self.keep_bounds();
    }

    pub(super) fn insert(&mut self, key: Key, decision: Decision) {
        // What is remembered is not held, and so is not decided on again.
        self.bytes += decision.bytes();
        self.decisions.insert(key, decision);
        self.order.push_back(key);
        self.keep_bounds();
    }

    /// What all of them take.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn keep_bounds(&mut self) {
        while self.order.len() > MAX_DECIDED || self.bytes > MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            let decision = self.decisions.remove(&oldest);
            self.bytes -= decision.map_or(0, |decision| decision.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Decided, Decision, Key, MAX_DECIDED};
    use crate::event::TraceId;

    #[test]
    fn the_last_are_remembered() {
        let key = |seed| Key { trace_id: TraceId([1; 16]), seed };
        let mut decided = Decided::default();
        for seed in 0..=MAX_DECIDED as u64 {
            decided.insert(key(seed), Decision::Drop);
        }
        assert!(!decided.contains(&key(0)));
        assert!(decided.contains(&key(1)));
        assert_eq!(decided.decisions.len(), MAX_DECIDED);
    }
}
