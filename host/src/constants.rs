//! Texts that guests say again and again, each stored once for all of a process: keys and names are
//! mostly constants of a guest's, and so need no copy for each span.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Texts that are shared, each for good, and the bytes that one may have. Together they are at most
/// 256 KiB, whatever guests say; others are copied each time.
const TEXTS: usize = 4096;
const TEXT_BYTES: usize = 64;

/// The text as all hosts of the process share it; `None` where there are too many, or it is long.
pub(crate) fn share(text: &str) -> Option<&'static str> {
    static SHARED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    if text.len() > TEXT_BYTES {
        return None;
    }
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(text) = shared.get(text) {
        return Some(text);
    }
    if shared.len() >= TEXTS {
        return None;
    }
    let text: &'static str = Box::leak(text.into());
    shared.insert(text);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_much_is_shared() {
        assert_eq!(share("a key"), Some("a key"));
        assert_eq!(share(&"k".repeat(TEXT_BYTES + 1)), None);
        let shared = (0..2 * TEXTS).filter_map(|n| share(&n.to_string())).count();
        assert!(shared < TEXTS, "{shared}");
        assert_eq!(share("a key"), Some("a key"), "it stays");
    }
}
