//! Reads a section from front to back, and says which section it was where it cannot.

use super::Unusable;

/// A place in a section.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    section: &'static str,
    /// The section up to where this may read.
    bytes: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(section: &'static str, bytes: &'a [u8]) -> Self {
        Cursor { section, bytes, at: 0 }
    }

    /// A cursor elsewhere in the same section.
    pub(crate) fn at(self, offset: u64) -> Result<Self, Unusable> {
        match usize::try_from(offset) {
            Ok(at) if at <= self.bytes.len() => Ok(Cursor { at, ..self }),
            _ => self.fail("an offset leads out of the section"),
        }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(crate) fn end(&self) -> usize {
        self.bytes.len()
    }

    #[cold]
    pub(crate) fn fail<T>(&self, message: impl Into<String>) -> Result<T, Unusable> {
        let message = format!("{} (near offset {:#x})", message.into(), self.at);
        Err(Unusable { section: self.section.to_owned(), message })
    }

    #[inline]
    pub(crate) fn skip(&mut self, len: u64) -> Result<(), Unusable> {
        match usize::try_from(len) {
            Ok(len) if len <= self.bytes.len() - self.at => {
                self.at += len;
                Ok(())
            }
            _ => self.fail("it ends too early"),
        }
    }

    /// An integer of up to eight bytes.
    #[inline]
    pub(crate) fn uint(&mut self, size: u8) -> Result<u64, Unusable> {
        let size = usize::from(size);
        let Some(bytes) = self.bytes.get(self.at..self.at + size).filter(|_| size <= 8) else {
            return self.fail("it ends too early");
        };
        let mut padded = [0; 8];
        padded[..size].copy_from_slice(bytes);
        self.at += size;
        Ok(u64::from_le_bytes(padded))
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Unusable> {
        match self.bytes.get(self.at) {
            Some(&byte) => {
                self.at += 1;
                Ok(byte)
            }
            None => self.fail("it ends too early"),
        }
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Unusable> {
        Ok(self.uint(2)? as u16)
    }

    /// An offset into a section.
    pub(crate) fn offset(&mut self, offset_size: u8) -> Result<u64, Unusable> {
        self.uint(offset_size)
    }

    #[inline]
    pub(crate) fn uleb(&mut self) -> Result<u64, Unusable> {
        // Most are short.
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(byte.into())
            }
            _ => self.long_uleb(),
        }
    }

    fn long_uleb(&mut self) -> Result<u64, Unusable> {
        let mut value = 0;
        let mut shift = 0;
        loop {
            let byte = self.u8()?;
            let low = u64::from(byte & 0x7f);
            if shift >= 64 && low != 0 || shift == 63 && low > 1 {
                return self.fail("an integer is too large");
            }
            if shift < 64 {
                value |= low << shift;
            }
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    /// Passes an integer in LEB128, signed or not.
    pub(crate) fn skip_leb(&mut self) -> Result<(), Unusable> {
        while self.u8()? >= 0x80 {}
        Ok(())
    }

    /// Passes a string that ends in 0.
    pub(crate) fn skip_string(&mut self) -> Result<(), Unusable> {
        match self.bytes[self.at..].iter().position(|&byte| byte == 0) {
            Some(len) => {
                self.at += len + 1;
                Ok(())
            }
            None => self.fail("it ends too early"),
        }
    }

    /// Passes the unit that begins here: a cursor that reads it, from behind its
    /// length, and the size of offsets in it.
    pub(crate) fn unit(&mut self) -> Result<(Self, u8), Unusable> {
        let (len, offset_size) = match self.uint(4)? {
            0xffff_ffff => (self.uint(8)?, 8),
            0xffff_fff0.. => return self.fail("a unit's length is reserved"),
            len => (len, 4),
        };
        let mut unit = *self;
        self.skip(len)?;
        unit.bytes = &unit.bytes[..self.at];
        Ok((unit, offset_size))
    }
}

/// Writes an integer over one of the same size.
pub(crate) fn put(out: &mut [u8], at: usize, size: u8, value: u64) {
    let size = usize::from(size).min(8);
    if let Some(place) = out.get_mut(at..at + size) {
        place.copy_from_slice(&value.to_le_bytes()[..size]);
    }
}

/// Writes the length of a unit whose length field is at `start` and takes as much
/// room as offsets of that size ask for.
pub(crate) fn put_unit_length(out: &mut [u8], start: usize, offset_size: u8) {
    let field = if offset_size == 8 { 12 } else { 4 };
    let len = out.len().saturating_sub(start + field) as u64;
    put(out, start + field - usize::from(offset_size), offset_size, len);
}
