//! Names that a guest gives its own spans.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::constants;

/// The name of spans and metrics whose own would be one too many.
pub(crate) const OVERFLOW: &str = "(more names)";

/// The names of one trace, each stored once.
#[derive(Default)]
pub(crate) struct Names {
    ids: HashMap<Box<str>, u32>,
    names: Vec<Cow<'static, str>>,
}

impl Names {
    /// The place of a name, and whether it is within the quota: so many, which one more
    /// stands for the rest of.
    pub(crate) fn intern(&mut self, name: &str, quota: u32) -> (u32, bool) {
        if let Some(&id) = self.ids.get(name) {
            return (id, true);
        }
        let within = self.names.len() < quota as usize;
        if !within && let Some(&id) = self.ids.get(OVERFLOW) {
            return (id, false);
        }
        let name: Box<str> = if within { name } else { OVERFLOW }.into();
        let id = self.names.len() as u32;
        self.names
            .push(constants::share(&name).map_or_else(|| name.to_string().into(), Cow::Borrowed));
        self.ids.insert(name, id);
        (id, within)
    }

    pub(crate) fn get(&self, id: u32) -> &Cow<'static, str> {
        const NONE: &Cow<'_, str> = &Cow::Borrowed("");
        self.names.get(id as usize).unwrap_or(NONE)
    }

    pub(crate) fn clear(&mut self) {
        *self = Names::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_past_the_quota_share_one() {
        let mut names = Names::default();
        for n in 0..10 {
            assert_eq!(names.intern(&n.to_string(), 10), (n, true));
        }
        assert_eq!(names.intern("7", 10), (7, true));
        assert_eq!(names.intern("one more", 10), (10, false));
        assert_eq!(names.intern("and another", 10), (10, false));
        assert_eq!(names.get(10), OVERFLOW);
        assert_eq!(names.names.len(), 11);
    }
}
