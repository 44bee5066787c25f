//! Attributes from values that are gone before the host reads them: what `tracing` and `log` lend
//! to a visitor, field by field.

use core::fmt::{self, Write};
use core::mem::{self, MaybeUninit};

use crate::Attribute;

/// The most attributes at a time, which is what hosts take of a span unless they are told otherwise.
const MAX_ATTRIBUTES: usize = 64;

/// The bytes of all that has to be copied.
const MAX_COPIED: usize = 4096;

/// The bytes of one value that has to be copied, so that it leaves room for others.
const MAX_VALUE: usize = 1024;

/// What stands at the end of a text that did not fit.
const CUT: &str = "…";

/// Where texts are copied to, on the stack.
pub(crate) type Buffer = [MaybeUninit<u8>; MAX_COPIED];

/// An empty buffer.
pub(crate) const fn buffer() -> Buffer {
    [MaybeUninit::uninit(); MAX_COPIED]
}

/// Attributes, and the texts that they point to.
pub(crate) struct Fields<'a> {
    attributes: [MaybeUninit<Attribute<'a>>; MAX_ATTRIBUTES],
    /// So many of them are there.
    len: usize,
    free: &'a mut [MaybeUninit<u8>],
}

impl<'a> Fields<'a> {
    /// No attributes yet.
    pub(crate) fn new(buffer: &'a mut Buffer) -> Self {
        Self { attributes: [const { MaybeUninit::uninit() }; MAX_ATTRIBUTES], len: 0, free: buffer }
    }

    /// Adds an attribute, if there is room.
    pub(crate) fn push(&mut self, attribute: Attribute<'a>) {
        if let Some(free) = self.attributes.get_mut(self.len) {
            free.write(attribute);
            self.len += 1;
        }
    }

    /// Adds bytes that do not live long enough. If there is no room for them, there is none after.
    #[cfg(feature = "tracing")]
    pub(crate) fn push_bytes(&mut self, key: &'a str, value: &[u8]) {
        if let Some((bytes, free)) = mem::take(&mut self.free).split_at_mut_checked(value.len()) {
            self.free = free;
            self.push(Attribute::of(key, crate::Value::bytes(bytes.write_copy_of_slice(value))));
        }
    }

    /// Adds what a value looks like, and gives it back.
    pub(crate) fn push_format(&mut self, key: &'a str, value: fmt::Arguments<'_>) -> &'a str {
        let value = self.write(MAX_VALUE, |text| text.write_fmt(value));
        self.push(Attribute::new(key, value));
        value
    }

    /// Adds an integer: as such where it is one of the host's, as text where it is too large.
    pub(crate) fn push_integer<T>(&mut self, key: &'a str, value: T)
    where
        T: Copy + fmt::Display + TryInto<i64>,
    {
        match value.try_into() {
            Ok(value) => self.push(Attribute::new(key, value)),
            Err(_) => {
                self.push_format(key, format_args!("{value}"));
            }
        }
    }

    /// A copy of a value or a key that lives as long as the attributes.
    #[cfg(feature = "kv")]
    pub(crate) fn copy(&mut self, text: &str) -> &'a str {
        self.write(MAX_VALUE, |copy| copy.write_str(text))
    }

    /// A text that lives as long as the attributes, for which there may be all the room.
    pub(crate) fn format(&mut self, text: fmt::Arguments<'_>) -> &'a str {
        self.write(MAX_COPIED, |copy| copy.write_fmt(text))
    }

    fn write(
        &mut self,
        limit: usize,
        write: impl FnOnce(&mut Writing<'a>) -> fmt::Result,
    ) -> &'a str {
        let buffer = mem::take(&mut self.free);
        let limit = limit.min(buffer.len());
        let mut writing = Writing { buffer, limit, len: 0, full: false };
        // An error is either of a buffer that is full, or a value's own: what there is, is kept.
        let _ = write(&mut writing);
        let (text, free) = writing.finish();
        self.free = free;
        text
    }

    /// All that were added.
    pub(crate) fn attributes(&self) -> &[Attribute<'a>] {
        let written = self.attributes.get(..self.len).unwrap_or_default();
        // SAFETY: the first `len` are written.
        unsafe { written.assume_init_ref() }
    }
}

/// A text that is being written.
struct Writing<'a> {
    buffer: &'a mut [MaybeUninit<u8>],
    /// So many bytes of it may be written, which are there.
    limit: usize,
    /// So many are written, all of them of whole characters.
    len: usize,
    /// Something did not fit.
    full: bool,
}

impl<'a> Writing<'a> {
    /// The text, and what is left of the buffer.
    fn finish(self) -> (&'a str, &'a mut [MaybeUninit<u8>]) {
        let Some((text, free)) = self.buffer.split_at_mut_checked(self.len) else {
            return ("", &mut []);
        };
        // SAFETY: these bytes were copied from strings, whole characters of them.
        let text = unsafe { str::from_utf8_unchecked(text.assume_init_ref()) };
        (text, free)
    }

    /// Adds what fits of a text into so many bytes.
    fn append(&mut self, text: &str, room: usize) {
        let text = &text.as_bytes()[..text.floor_char_boundary(room)];
        if let Some(free) = self.buffer.get_mut(self.len..self.len + text.len()) {
            free.write_copy_of_slice(text);
            self.len += text.len();
        }
    }
}

impl fmt::Write for Writing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.full {
            return Err(fmt::Error);
        }
        let room = self.limit - self.len;
        // The mark has to fit, whatever comes.
        let unmarked = room.saturating_sub(CUT.len());
        self.full = text.len() > unmarked;
        self.append(text, unmarked);
        if !self.full {
            return Ok(());
        }
        self.append(CUT, room);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_at_a_character_and_marked() {
        let mut buffer = buffer();
        let mut fields = Fields::new(&mut buffer);
        for _ in 0..3 {
            let text = fields.push_format("é", format_args!("{:é<1000}", ""));
            assert_eq!(text.len(), MAX_VALUE - 1);
            assert_eq!(text.trim_start_matches('é'), "…");
        }
        assert_eq!(fields.push_format("short", format_args!("{}", 42)), "42");
        let left = MAX_COPIED - 3 * (MAX_VALUE - 1) - 2;
        let rest = fields.format(format_args!("{:x<5000}", ""));
        assert_eq!((rest.len(), rest.trim_start_matches('x')), (left, "…"));
        assert_eq!(fields.format(format_args!("more")), "");
        assert_eq!(fields.attributes().len(), 4);
    }

    #[test]
    fn attributes_beyond_the_limit_are_left_out() {
        let mut buffer = buffer();
        let mut fields = Fields::new(&mut buffer);
        for number in 0..MAX_ATTRIBUTES as u64 + 9 {
            fields.push_integer("number", number);
        }
        assert_eq!(fields.attributes().len(), MAX_ATTRIBUTES);
    }

    #[test]
    fn a_value_that_fails_to_show_itself_keeps_what_it_showed() {
        struct Half;
        impl fmt::Display for Half {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half")?;
                Err(fmt::Error)
            }
        }
        let mut buffer = buffer();
        let mut fields = Fields::new(&mut buffer);
        assert_eq!(fields.format(format_args!("{Half}")), "half");
        assert_eq!(fields.format(format_args!("whole")), "whole");
    }
}
