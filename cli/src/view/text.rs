//! Text of others on a terminal.

use std::borrow::Cow;
use std::io::Write;

/// The text with what could steer a terminal spelt out: control characters, and those
/// that change the direction of writing. Names come from modules that nobody need
/// trust, and must not clear the screen or forge a line.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' | '\t' | '\r' => cleaned.extend(character.escape_default()),
            _ if steers(character) => cleaned.extend(character.escape_unicode()),
            _ => cleaned.push(character),
        }
    }
    Cow::Owned(cleaned)
}

fn steers(character: char) -> bool {
    // The Unicode Bidirectional Algorithm (UAX #9), table 4, and line separators.
    let bidirectional = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    character.is_control() || bidirectional || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Writes on standard error, and gets on if nobody can read it there.
pub(crate) fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_steer_a_terminal() {
        assert_eq!(clean("core::fmt::größe<T>"), "core::fmt::größe<T>");
        assert_eq!(clean("\x1b[2J\nfake\u{202e}"), "\\u{1b}[2J\\nfake\\u{202e}");
        assert_eq!(clean("\ta\r\nb\u{0}"), "\\ta\\r\\nb\\u{0}");
    }
}
