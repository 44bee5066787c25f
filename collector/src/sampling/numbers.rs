//! Maps by span number. The host gives the numbers, one after the other, so nobody can choose them
//! to collide and a multiplication spreads them well enough.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use crate::event::SpanNumber;

pub(super) type NumberMap<T> = HashMap<SpanNumber, T, BuildHasherDefault<Spread>>;
pub(super) type NumberSet = HashSet<SpanNumber, BuildHasherDefault<Spread>>;

/// About how many bytes a map or set takes with room for so many entries of type `T`: seven of
/// eight places are used, and each has a byte of its own.
pub(super) fn table_bytes<T>(capacity: usize) -> usize {
    capacity.div_ceil(7) * 8 * (size_of::<T>() + 1)
}

/// Fibonacci hashing (Knuth: The Art of Computer Programming, vol. 3, section 6.4).
#[derive(Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn write_u32(&mut self, number: u32) {
        let product = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // Maps take the low bits for the place.
        self.0 = product ^ (product >> 32);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(self.0 as u32 ^ u32::from(*byte)));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
