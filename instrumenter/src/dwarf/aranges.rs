//! `.debug_aranges`, where the code of each unit is, and the headers of `.debug_macro`.

use super::cursor::{Cursor, put};
use super::lines::Lines;
use super::map::CodeMap;
use super::{ARANGES, MACRO, Unusable};

/// Rewrites `.debug_aranges`, which keeps its size.
pub(crate) fn rewrite(section: &[u8], map: &CodeMap) -> Result<Vec<u8>, Unusable> {
    let mut out = section.to_vec();
    let mut lookup = map.lookup();
    let mut cursor = Cursor::new(ARANGES, section);
    while !cursor.is_at_end() {
        let start = cursor.at;
        let (mut set, offset_size) = cursor.unit()?;
        let version = set.u16()?;
        set.offset(offset_size)?; // the unit, which stays where it is
        let size = set.u8()?;
        let segments = set.u8()?;
        if version != 2 || !matches!(size, 4 | 8) || segments != 0 {
            return set.fail("a header is not one for WebAssembly");
        }
        // Entries are aligned to their size, from the start of the set.
        let entry = 2 * usize::from(size);
        set.skip(((set.at - start).next_multiple_of(entry) - (set.at - start)) as u64)?;
        while set.end() - set.at >= entry {
            let at = set.at;
            let (address, len) = (set.uint(size)?, set.uint(size)?);
            if (address, len) == (0, 0) {
                break;
            }
            put(&mut out, at, size, lookup.address(address));
            put(&mut out, at + usize::from(size), size, lookup.length(address, len, size));
        }
    }
    Ok(out)
}

/// Rewrites what the headers at `offsets` of `.debug_macro` say of line programs.
pub(crate) fn rewrite_macros(
    section: &[u8],
    offsets: &[u32],
    lines: &Lines,
) -> Result<Vec<u8>, Unusable> {
    let mut out = section.to_vec();
    for &offset in offsets {
        let mut cursor = Cursor::new(MACRO, section).at(u64::from(offset))?;
        cursor.skip(2)?; // version
        let flags = cursor.u8()?;
        let offset_size = if flags & 1 != 0 { 8 } else { 4 };
        if flags & 2 != 0 {
            let at = cursor.at;
            let Some(new) = lines.program(cursor.offset(offset_size)?) else {
                return cursor.fail("a unit has no line program where it says");
            };
            put(&mut out, at, offset_size, new);
        }
    }
    Ok(out)
}
