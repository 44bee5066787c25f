//! What is numbered anew where hooks come.

use std::collections::BTreeMap;

use super::{CellPlace, Hooked};
use crate::Error;
use crate::scan::{Exceptions, Site, SiteKind};

/// New function indices: imports are appended to the imported functions, so all
/// others move up.
pub(crate) struct Renumber {
    /// How many imports there are to append.
    pub(crate) added: u32,
    /// For each function that was imported before, the function to call in its place.
    pub(crate) imports: Vec<u32>,
    /// The same for those that were defined and allocate or free, but for calls of one
    /// another.
    pub(crate) replaced: BTreeMap<u32, u32>,
}

impl Renumber {
    /// The index that something refers to a function by.
    pub(crate) fn function(&self, index: u32) -> Result<u32, Error> {
        match self.replaced.get(&index) {
            Some(&index) => Ok(index),
            None => self.not_replaced(index),
        }
    }

    /// The index that a function which is [replaced](Self::replaced) refers to one by.
    pub(super) fn not_replaced(&self, index: u32) -> Result<u32, Error> {
        match self.imports.get(index as usize) {
            Some(&index) => Ok(index),
            None => self.own(index),
        }
    }

    /// The index of a function itself.
    pub(crate) fn own(&self, index: u32) -> Result<u32, Error> {
        if index < self.first_defined() {
            return Ok(index);
        }
        index.checked_add(self.added).ok_or_else(|| Error::Invalid {
            message: format!("function index {index} does not exist"),
            offset: 0,
        })
    }

    /// The first index that was not an import's.
    pub(crate) fn first_defined(&self) -> u32 {
        self.imports.len() as u32
    }
}

/// The index that a label of a hooked function gets: labels are numbered as they are
/// opened, and the hooks open some before the body, and where there are cells one before
/// each tail call of a wrapped one.
pub(crate) fn renumber_label(
    label: u32,
    cells: CellPlace,
    hooked: &Hooked,
    sites: &[Site],
) -> Option<u32> {
    let wrap = match hooked {
        Hooked::Prefixed(_) => return label.checked_add(1),
        Hooked::Wrapped(wrap) => wrap,
    };
    let around_body = match wrap.exceptions {
        Exceptions::None | Exceptions::Legacy => 1,
        Exceptions::Exnref => 2,
    };
    let at_entry = match cells {
        CellPlace::Nowhere => return label.checked_add(around_body),
        CellPlace::Outlined(_) => 0,
        CellPlace::Memory(_) | CellPlace::Globals(_) => 1,
    };
    let is_before = |site: &&Site| match site.kind {
        SiteKind::TailCall { labels } => labels <= label,
        _ => false,
    };
    label.checked_add(at_entry + around_body + sites.iter().filter(is_before).count() as u32)
}
