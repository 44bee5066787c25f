//! Rewriting, fourth part: debug information ([DWARF](https://dwarfstd.org) 2 to 5),
//! which speaks of code by its [offset in the code section](https://yurydelendik.github.io/webassembly-dwarf/#pc).
//!
//! It is patched rather than read and written again: an address or a length is written
//! over the old one, and only what has no fixed size is moved, which is line programs
//! and the lists of DWARF 5. So all else stays byte for byte, whether it is understood
//! or not, and the time that it takes is that of passing over it once.
//!
//! What cannot be rewritten is left out: no debug information is better than one that
//! tells of other code. That is so for what is malformed, what is partly in another file
//! (split DWARF), a length that does not fit where it was (only LEB128 and integers of one
//! or two bytes can be too short), and an attribute not known here that leads to another
//! section. `.debug_frame` and sections of other names go alone.
//!
//! - `map` knows where code went, `cursor` reads.
//! - `lines`, `abbrev`, `info`, `addr`, `lists`, `tables` and `aranges` each rewrite one
//!   section, or several of a kind, in this order.
//!
//! The hooks at the start of a function count as part of its opening line, those at its
//! end as part of what follows the last instruction.

mod abbrev;
mod addr;
mod aranges;
mod cursor;
mod info;
mod lines;
mod lists;
mod map;
mod tables;

pub(crate) use map::{CodeMap, Lookup};

use std::collections::HashSet;

use abbrev::Target;
use addr::Addresses;
use cursor::Cursor;
use info::Info;
use tables::Tables;

const ABBREV: &str = ".debug_abbrev";
const ADDR: &str = ".debug_addr";
const ARANGES: &str = ".debug_aranges";
const INFO: &str = ".debug_info";
const LINE: &str = ".debug_line";
const LOC: &str = ".debug_loc";
const LOCLISTS: &str = ".debug_loclists";
const MACRO: &str = ".debug_macro";
const RANGES: &str = ".debug_ranges";
const RNGLISTS: &str = ".debug_rnglists";
const TYPES: &str = ".debug_types";

/// Sections that say nothing of places in the code, or of sections that move.
const UNCHANGED: [&str; 11] = [
    ABBREV,
    ".debug_gnu_pubnames",
    ".debug_gnu_pubtypes",
    ".debug_line_str",
    ".debug_macinfo",
    ".debug_names",
    ".debug_pubnames",
    ".debug_pubtypes",
    ".debug_str",
    ".debug_str_offsets",
    ".debug_sup",
];

/// Sections are shorter than 4 GiB, with their names.
const MAX_LEN: usize = (u32::MAX - 0xff) as usize;

/// Why debug information cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// The section in which it shows.
    pub(crate) section: String,
    pub(crate) message: String,
}

/// Whether a custom section is one of debug information.
pub(crate) fn is_dwarf(name: &str) -> bool {
    name.starts_with(".debug_")
}

/// The sections of a module's debug information, as they are.
pub(crate) struct Sections<'a>(Vec<(&'a str, &'a [u8])>);

impl<'a> Sections<'a> {
    /// Takes those sections that are of debug information.
    pub(crate) fn new(sections: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        Sections(sections.filter(|(name, _)| is_dwarf(name)).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, wanted: &str) -> Option<&'a [u8]> {
        self.0.iter().find(|(name, _)| *name == wanted).map(|&(_, contents)| contents)
    }

    fn get(&self, wanted: &str) -> &'a [u8] {
        self.find(wanted).unwrap_or_default()
    }

    /// Rewrites all that tells of places in the code.
    pub(crate) fn rewrite(&self, map: &CodeMap) -> Result<Rewritten, Unusable> {
        let mut names = HashSet::new();
        for (name, _) in &self.0 {
            let unusable = |message: &str| {
                Err(Unusable { section: (*name).to_owned(), message: message.to_owned() })
            };
            if !names.insert(name) {
                return unusable("there are several of it");
            }
            if name.ends_with(".dwo") || matches!(*name, ".debug_cu_index" | ".debug_tu_index") {
                return unusable("a part of it is in another file (split DWARF)");
            }
        }
        let mut changed = Vec::new();
        let lines = match self.find(LINE) {
            Some(section) => lines::rewrite(section, map)?,
            None => lines::Lines::default(),
        };
        let mut addresses = Addresses::new(self.get(ADDR));
        let mut info = Info::new(self, &lines, map);
        // Types are named by their signature, so that nothing leads into them.
        if let Some(section) = self.find(TYPES) {
            info.rewrite(TYPES, section, &mut addresses)?;
            if !info.fixups.is_empty() {
                return Cursor::new(TYPES, section).fail("it refers to lists of DWARF 5");
            }
            changed.push((TYPES, std::mem::take(&mut info.out)));
        }
        if let Some(section) = self.find(INFO) {
            info.rewrite(INFO, section, &mut addresses)?;
        }
        let Info { units, mut out, fixups, macros, .. } = info;
        let mut lists = [info.ranges, info.locations, info.range_lists, info.location_lists];
        for references in &mut lists {
            references.sort_unstable();
            references.dedup();
        }
        let [ranges, locations, range_lists, location_lists] = lists;
        for (name, references) in [(RANGES, ranges), (LOC, locations)] {
            let section = self.get(name);
            if !references.is_empty() {
                let new = lists::rewrite(name, section, name == LOC, &references, &units, map)?;
                changed.push((name, new));
            }
        }
        let mut tables = [Tables::default(), Tables::default()];
        for (table, (name, references)) in
            tables.iter_mut().zip([(RNGLISTS, range_lists), (LOCLISTS, location_lists)])
        {
            let section = self.get(name);
            let is_loc = name == LOCLISTS;
            *table =
                tables::rewrite(name, section, is_loc, &references, &units, map, &mut addresses)?;
        }
        let [mut range_lists, mut location_lists] = tables;
        for fixup in &fixups {
            let (name, new) = match fixup.target {
                Target::Ranges => (RNGLISTS, range_lists.list(fixup.old)),
                Target::RangesBase => (RNGLISTS, range_lists.base(fixup.old)),
                Target::Locations => (LOCLISTS, location_lists.list(fixup.old)),
                _ => (LOCLISTS, location_lists.base(fixup.old)),
            };
            let Some(new) = new else {
                let message = format!("there is nothing that begins at {:#x}", fixup.old);
                return Err(Unusable { section: name.to_owned(), message });
            };
            fixup.write(&mut out, new);
        }
        if let Some(section) = self.find(MACRO) {
            changed.push((MACRO, aranges::rewrite_macros(section, &macros, &lines)?));
        }
        if let Some(section) = self.find(ARANGES) {
            changed.push((ARANGES, aranges::rewrite(section, map)?));
        }
        changed.push((INFO, out));
        changed.push((LINE, lines.bytes));
        changed.push((ADDR, addresses.new));
        changed.push((RNGLISTS, std::mem::take(&mut range_lists.bytes)));
        changed.push((LOCLISTS, std::mem::take(&mut location_lists.bytes)));
        match changed.iter().find(|(_, contents)| contents.len() > MAX_LEN) {
            Some((name, _)) => {
                let message = "it would be too large".to_owned();
                Err(Unusable { section: (*name).to_owned(), message })
            }
            None => Ok(Rewritten { changed }),
        }
    }
}

/// Debug information that tells of the new code.
pub(crate) struct Rewritten {
    changed: Vec<(&'static str, Vec<u8>)>,
}

impl Rewritten {
    /// What becomes of a section; `None` where it cannot be kept.
    pub(crate) fn take(&mut self, name: &str, contents: &[u8]) -> Option<Vec<u8>> {
        match self.changed.iter_mut().find(|(changed, _)| *changed == name) {
            Some((_, new)) => Some(std::mem::take(new)),
            None if UNCHANGED.contains(&name) || contents.is_empty() => Some(contents.to_vec()),
            None => None,
        }
    }
}

/// The new place of what began at `old`, among pairs in ascending order.
fn new_offset(moved: &[(u32, u32)], old: u64) -> Option<u64> {
    let old = u32::try_from(old).ok()?;
    let at = moved.binary_search_by_key(&old, |&(old, _)| old).ok()?;
    moved.get(at).map(|&(_, new)| u64::from(new))
}
