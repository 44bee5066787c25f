//! `.debug_addr`: addresses that are referred to by their index.
//!
//! Code and data share the section and look alike, so an address is rewritten when
//! something refers to it as to code.

use super::cursor::{Cursor, put};
use super::info::Unit;
use super::map::Lookup;
use super::{ADDR, Unusable};

/// The section, before and after.
pub(crate) struct Addresses<'a> {
    old: &'a [u8],
    pub(crate) new: Vec<u8>,
}

impl<'a> Addresses<'a> {
    pub(crate) fn new(section: &'a [u8]) -> Self {
        Addresses { old: section, new: section.to_vec() }
    }

    /// Where the address with an index in a unit's part is, and the old one.
    pub(crate) fn get(&self, unit: &Unit, index: u64) -> Result<(usize, u64), Unusable> {
        let size = unit.encoding.address_size;
        let place = unit.addresses.and_then(|base| {
            let place = index.checked_mul(u64::from(size))?.checked_add(base)?;
            Cursor::new(ADDR, self.old).at(place).ok()
        });
        match place {
            Some(mut cursor) => Ok((cursor.at, cursor.uint(size)?)),
            None => Cursor::new(ADDR, self.old).fail(format!("there is no address {index}")),
        }
    }

    /// Rewrites an address of code; the old one.
    pub(crate) fn rewrite(
        &mut self,
        unit: &Unit,
        index: u64,
        lookup: &mut Lookup<'_>,
    ) -> Result<u64, Unusable> {
        let (at, old) = self.get(unit, index)?;
        put(&mut self.new, at, unit.encoding.address_size, lookup.address(old));
        Ok(old)
    }
}
