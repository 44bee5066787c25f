//! Text in a buffer of fixed size, for want of an allocator.

use core::fmt::{self, Write as _};

use crate::{ToValue, Value};

/// Text of at most `N` bytes on the stack; what does not fit is cut at a character.
///
/// ```
/// use observe::Text;
///
/// let id = 255;
/// let text = Text::<16>::format(format_args!("{id:#x}"));
/// observe::current().attribute("id", &text);
/// assert_eq!((text.as_str(), text.cut()), ("0xff", 0));
/// ```
#[derive(Clone, Copy)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
    cut: usize,
}

impl<const N: usize> Text<N> {
    /// What `format_args!` makes.
    ///
    /// ```
    /// let text = observe::Text::<3>::format(format_args!("{}", 12345));
    /// assert_eq!((text.as_str(), text.cut()), ("123", 2));
    /// ```
    pub fn format(arguments: fmt::Arguments<'_>) -> Self {
        let mut text = Self { bytes: [0; N], len: 0, cut: 0 };
        // It takes whatever it is given; an error is that of the author's own `Display`, and what
        // came before it stays.
        let _ = text.write_fmt(arguments);
        text
    }

    /// A value as `Debug` shows it.
    ///
    /// ```
    /// assert_eq!(observe::Text::<16>::debug(&Some(1)).as_str(), "Some(1)");
    /// ```
    pub fn debug(value: &(impl fmt::Debug + ?Sized)) -> Self {
        Self::format(format_args!("{value:?}"))
    }

    /// A value as `Display` shows it.
    ///
    /// ```
    /// assert_eq!(observe::Text::<16>::display(&'x').as_str(), "x");
    /// ```
    pub fn display(value: &(impl fmt::Display + ?Sized)) -> Self {
        Self::format(format_args!("{value}"))
    }

    /// What fitted.
    ///
    /// ```
    /// assert_eq!(observe::Text::<1>::display("é").as_str(), "");
    /// ```
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.len).unwrap_or_default();
        // SAFETY: whole characters are written, one after the other.
        unsafe { core::str::from_utf8_unchecked(bytes) }
    }

    /// How many bytes did not fit.
    ///
    /// ```
    /// assert_eq!(observe::Text::<1>::display("é").cut(), 2);
    /// ```
    pub fn cut(&self) -> usize {
        self.cut
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        // After a cut nothing more goes in, or text would be missing in the middle.
        let fits = if self.cut == 0 { text.floor_char_boundary(room.len()) } else { 0 };
        for (to, from) in room.iter_mut().zip(text.as_bytes().iter().take(fits)) {
            *to = *from;
        }
        self.len += fits;
        self.cut += text.len() - fits;
        Ok(())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(formatter)
    }
}

impl<const N: usize> ToValue for Text<N> {
    fn to_value(&self) -> Value<'_> {
        Value::str(self.as_str())
    }
}
