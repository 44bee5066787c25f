//! What was decided, for what comes late.

use std::collections::{HashMap, VecDeque};

use super::super::fold::Fold;
use super::super::ratio::Ratio;
use super::Key;

/// Decisions that are remembered.
const MAX_DECIDED: usize = 65_536;

pub(super) enum Decision {
    Keep {
        /// The share that the trace stands for.
        ratio: Option<Ratio>,
        /// What is left of its cap.
        late: Option<Box<Fold>>,
    },
    Drop,
}

/// The last decisions.
#[derive(Default)]
pub(super) struct Decided {
    decisions: HashMap<Key, Decision>,
    order: VecDeque<Key>,
}

impl Decided {
    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Decision> {
        self.decisions.get_mut(key)
    }

    pub(super) fn insert(&mut self, key: Key, decision: Decision) {
        // What is remembered is not held, and so is not decided on again.
        self.decisions.insert(key, decision);
        self.order.push_back(key);
        if self.order.len() > MAX_DECIDED
            && let Some(oldest) = self.order.pop_front()
        {
            self.decisions.remove(&oldest);
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
        assert!(decided.get_mut(&key(0)).is_none());
        assert!(decided.get_mut(&key(1)).is_some());
        assert_eq!(decided.decisions.len(), MAX_DECIDED);
    }
}
