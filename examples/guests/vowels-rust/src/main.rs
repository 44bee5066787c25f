//! Counts the vowels on standard input.
//!
//! Functions that make the trace worth reading are kept out of line; a release build would fold
//! all of them into `main`.

use std::io::{self, Read, Write};

fn main() -> io::Result<()> {
    let text = read_input(io::stdin().lock())?;
    write_count(io::stdout().lock(), count_vowels(&text))
}

#[inline(never)]
fn read_input(mut input: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    input.read_to_end(&mut text)?;
    Ok(text)
}

/// Counts bytes, not characters: a vowel is one byte, and no byte of a longer UTF-8 sequence is
/// ASCII, so text of any language is safe.
#[inline(never)]
fn count_vowels(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| is_vowel(byte)).count()
}

#[inline(never)]
fn is_vowel(byte: u8) -> bool {
    matches!(byte.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u')
}

#[inline(never)]
fn write_count(mut output: impl Write, count: usize) -> io::Result<()> {
    writeln!(output, "{count}")
}
