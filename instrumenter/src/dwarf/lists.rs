//! `.debug_ranges` and `.debug_loc`, the lists of DWARF 2 to 4, which keep their size.

use super::Unusable;
use super::cursor::{Cursor, put};
use super::info::{Reference, Units};
use super::map::{CodeMap, is_tombstone};

/// Rewrites the lists that units refer to. Nobody can read others: what they mean
/// depends on the unit.
pub(crate) fn rewrite(
    name: &'static str,
    section: &[u8],
    has_locations: bool,
    references: &[Reference],
    units: &Units,
    map: &CodeMap,
) -> Result<Vec<u8>, Unusable> {
    let mut out = section.to_vec();
    let mut lookup = map.lookup();
    let start = Cursor::new(name, section);
    // How far lists have been rewritten, and how much of that more than once.
    let (mut done, mut again) = (0, 0);
    for reference in references {
        let mut cursor = start.at(u64::from(reference.offset))?;
        let first = cursor.at;
        let unit = units.get(reference.unit);
        let size = unit.encoding.address_size;
        let mask = if size == 8 { u64::MAX } else { u64::from(u32::MAX) };
        let (mut base, mut new_base) = (unit.low, lookup.address(unit.low));
        loop {
            let at = cursor.at;
            let (from, to) = (cursor.uint(size)?, cursor.uint(size)?);
            let (new_from, new_to) = if (from, to) == (0, 0) {
                break;
            } else if from == mask {
                base = to;
                new_base = lookup.address(to);
                (from, new_base)
            } else {
                let mut moved = |by: u64| {
                    if is_tombstone(base, size) {
                        return by;
                    }
                    let address = base.wrapping_add(by) & mask;
                    lookup.address(address).wrapping_sub(new_base) & mask
                };
                match (is_tombstone(from, size), moved(from), moved(to)) {
                    (true, ..) => (from, to),
                    // This would end the list.
                    (_, 0, 0) => (1, 1),
                    (_, from, to) => (from, to),
                }
            };
            if from != mask && has_locations {
                let len = cursor.u16()?;
                cursor.skip(u64::from(len))?;
            }
            if at < done {
                // The end of another list, which is right only if it means the same.
                let place = Cursor::new(name, &out).at(at as u64);
                let same = place.and_then(|mut p| Ok((p.uint(size)?, p.uint(size)?)))?;
                if same != (new_from, new_to) {
                    return cursor.fail("units share a list, but it means another thing to each");
                }
            } else {
                put(&mut out, at, size, new_from);
                put(&mut out, at + usize::from(size), size, new_to);
            }
        }
        again += cursor.at.min(done).saturating_sub(first);
        if again / 4 > section.len() {
            return cursor.fail("lists overlap");
        }
        done = done.max(cursor.at);
    }
    Ok(out)
}
