//! Where code went: offsets into the contents of the code section, before and after.

use crate::body::Segments;

/// Linkers write -1, and in range and location lists -2, for code that they left out.
const TOMBSTONE: u32 = u32::MAX - 1;

/// Whether an address stands for code that is not in the module.
pub(crate) fn is_tombstone(address: u64, address_size: u8) -> bool {
    let lowest = if address_size == 8 { u64::MAX - 1 } else { u64::from(TOMBSTONE) };
    address >= lowest
}

/// New code offsets for old ones.
///
/// The map never falls: what was in order stays in order, so that even addresses that
/// mean nothing resolve as they did. 0, which stands for deleted code in older files,
/// stays 0, since nothing before the first function moves.
#[derive(Debug)]
pub(crate) struct CodeMap {
    /// Each holds from its old offset to that of the next; ascending, never empty.
    pieces: Vec<(u32, u32)>,
    /// Of functions with hooks before their first instruction, where that was, and
    /// where the function began; ascending.
    openings: Vec<(u32, u32)>,
}

impl CodeMap {
    pub(crate) fn new() -> Self {
        CodeMap { pieces: vec![(0, 0)], openings: Vec::new() }
    }

    /// From here on, `old` went to `new`.
    pub(crate) fn push(&mut self, old: u32, new: u32) {
        if self.pieces.len() > 1 {
            self.pieces.pop_if(|last| last.0 == old);
        }
        if let Some(&(last_old, last_new)) = self.pieces.last()
            && old.wrapping_sub(last_old) == new.wrapping_sub(last_new)
        {
            return;
        }
        self.pieces.push((old, new));
    }

    /// Notes a body that went from `old` to `new`, both without its length, and that
    /// is `old_len` and `new_len` long. Bodies come in order.
    pub(crate) fn push_body(
        &mut self,
        (old, old_len): (u32, usize),
        (new, new_len): (u32, usize),
        segments: &Segments,
    ) {
        self.push(old, new);
        if let Some(&(from, to)) = segments.first()
            && from < to
        {
            // There is nothing to tell of between the start of the function and its
            // first instruction, so all there is between becomes the first instruction.
            let code = old.wrapping_add(from);
            self.push(old.wrapping_add(1), new.wrapping_add(to));
            self.openings.push((code, old));
        }
        for &(from, to) in segments {
            self.push(old.wrapping_add(from), new.wrapping_add(to));
        }
        // What is added at the end of the body belongs to it.
        self.push(old.wrapping_add(old_len as u32), new.wrapping_add(new_len as u32));
    }

    /// Ends the map: what lies past the code stays past the code.
    pub(crate) fn finish(&mut self, old_len: usize, new_len: usize) {
        self.push((old_len as u32).saturating_add(1), (new_len as u32).saturating_add(1));
    }

    /// The first instruction with hooks before it that is at `old` or later, and where
    /// its function begins.
    pub(crate) fn opening(&self, old: u64) -> Option<(u64, u64)> {
        let at = self.openings.partition_point(|&(code, _)| u64::from(code) < old);
        self.openings.get(at).map(|&(code, start)| (code.into(), start.into()))
    }

    pub(crate) fn lookup(&self) -> Lookup<'_> {
        Lookup { pieces: &self.pieces, at: 0 }
    }
}

/// Looks addresses up; fastest where each is near the one before.
pub(crate) struct Lookup<'m> {
    pieces: &'m [(u32, u32)],
    at: usize,
}

impl Lookup<'_> {
    /// The new address of `old`. One that no code can have is left alone.
    ///
    /// An address inside an instruction, as stale debug information has them, stays at
    /// its distance from the start of the instruction, but never passes the next.
    pub(crate) fn address(&mut self, old: u64) -> u64 {
        let Some(old) = u32::try_from(old).ok().filter(|&old| old < TOMBSTONE) else {
            return old;
        };
        let (from, to, limit) = match self.piece(old) {
            Some(piece) => piece,
            None => {
                let after = self.pieces.partition_point(|&(from, _)| from <= old);
                self.at = after.saturating_sub(1);
                match self.piece(old) {
                    Some(piece) => piece,
                    None => return u64::from(old),
                }
            }
        };
        u64::from(to.saturating_add(old - from).min(limit))
    }

    /// The piece that holds `old`, if it is the current one or one of the next few.
    fn piece(&mut self, old: u32) -> Option<(u32, u32, u32)> {
        for at in self.at..self.at + 4 {
            let &(from, to) = self.pieces.get(at)?;
            if old < from {
                return None;
            }
            match self.pieces.get(at + 1) {
                Some(&(next, _)) if next <= old => {}
                Some(&(_, limit)) => {
                    self.at = at;
                    return Some((from, to, limit));
                }
                None => return Some((from, to, TOMBSTONE - 1)),
            }
        }
        None
    }

    /// The new length of what begins at `start` and is `len` bytes long.
    pub(crate) fn length(&mut self, start: u64, len: u64, address_size: u8) -> u64 {
        if is_tombstone(start, address_size) {
            return len;
        }
        let new_start = self.address(start);
        self.address(start.wrapping_add(len)).wrapping_sub(new_start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_the_code() {
        let mut map = CodeMap::new();
        // Two bodies; the second has a call at 5 that grew by a byte.
        map.push_body((2, 10), (2, 20), &vec![(1, 8)]);
        assert_eq!(map.opening(3), Some((3, 2)));
        assert_eq!(map.opening(4), None);
        map.push_body((14, 10), (24, 21), &vec![(1, 8), (7, 15)]);
        map.finish(24, 50);
        for (old, new) in [
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 10),
            (4, 11),
            (11, 18),
            (12, 22),
            (14, 24),
            (15, 32),
            (20, 37),
            (21, 39),
            (23, 41),
            (24, 45),
            (25, 51),
            (1000, 1026),
            (0xffff_fffd, 0xffff_fffd),
            (0xffff_fffe, 0xffff_fffe),
            (0xffff_ffff, 0xffff_ffff),
            (1 << 40, 1 << 40),
        ] {
            assert_eq!(map.lookup().address(old), new, "{old}");
        }
        // The order of the questions makes no difference.
        let mut lookup = map.lookup();
        for old in [1000, 3, 23, 0, 15, 14, 12] {
            assert_eq!(lookup.address(old), map.lookup().address(old), "{old}");
        }
        assert_eq!(map.lookup().length(14, 10, 4), 21);
        assert_eq!(map.lookup().length(0xffff_ffff, 10, 4), 10);
        assert_eq!(map.lookup().length(u64::MAX, 10, 8), 10);
    }
}
