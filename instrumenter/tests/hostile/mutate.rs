//! Damage, the same each time.

use wasmparser::Parser;

/// Damages bytes in one way or several.
pub(crate) struct Mutator {
    random: u64,
}

impl Mutator {
    pub(crate) fn new(seed: u64) -> Self {
        Mutator { random: seed }
    }

    /// A number below a bound. The generator is Knuth's, of MMIX.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) as usize % bound.max(1)
    }

    /// The bytes with a change or a few; some of `other` may get in.
    pub(crate) fn damage(&mut self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        // Half of them just once, so that some stay valid.
        let times = if self.below(2) == 0 { 1 } else { 1 + self.below(5) };
        for _ in 0..times {
            self.damage_once(&mut bytes, other);
        }
        bytes
    }

    fn damage_once(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let at = self.below(bytes.len());
        match self.below(8) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, self.below(256) as u8][self.below(6)],
            2 => bytes.truncate(at),
            3 => {
                // A few bytes of another module, in place of as many or between.
                let from = self.below(other.len());
                let len = self.below(40).min(other.len() - from);
                let end = if self.below(2) == 0 { at } else { (at + len).min(bytes.len()) };
                bytes.splice(at..end, other[from..from + len].iter().copied());
            }
            4 => {
                let end = (at + self.below(20)).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                // A byte as the same integer, or a huge one, in more bytes.
                let long = [bytes[at] | 0x80, 0x80, 0x80, 0x80, [0, 0x0f][self.below(2)]];
                bytes.splice(at..=at, long);
            }
            6 => self.move_section(bytes),
            _ => self.lengthen_section(bytes),
        }
    }

    /// Takes a section out, and puts it somewhere else, twice now and then.
    fn move_section(&mut self, bytes: &mut Vec<u8>) {
        let sections = sections(bytes);
        if sections.len() < 2 {
            return;
        }
        let (start, _, end) = sections[self.below(sections.len())];
        let (to, ..) = sections[self.below(sections.len())];
        let section = bytes[start..end].to_vec();
        if self.below(4) == 0 {
            bytes.splice(to..to, section);
        } else if to > start {
            bytes.splice(to..to, section);
            bytes.drain(start..end);
        } else {
            bytes.drain(start..end);
            bytes.splice(to..to, section);
        }
    }

    /// Puts bytes into a section and mends its length, or breaks its count of items.
    fn lengthen_section(&mut self, bytes: &mut Vec<u8>) {
        let sections = sections(bytes);
        if sections.is_empty() {
            return;
        }
        let (start, contents, end) = sections[self.below(sections.len())];
        let mut section = bytes[contents..end].to_vec();
        let at = self.below(section.len() + 1);
        match self.below(3) {
            0 => section.insert(at, self.below(256) as u8),
            1 if at < section.len() => _ = section.remove(at),
            _ if !section.is_empty() => _ = section.splice(..1, [0xff, 0xff, 0xff, 0xff, 0x0f]),
            _ => {}
        }
        let mut whole = vec![bytes[start]];
        wasm_encoder::Encode::encode(&section[..], &mut whole);
        bytes.splice(start..end, whole);
    }
}

/// Where sections begin, their contents begin, and they end, as far as they can be read.
fn sections(bytes: &[u8]) -> Vec<(usize, usize, usize)> {
    let mut found = Vec::new();
    let mut start = 8;
    for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        // The code may say that it goes on beyond the end.
        if let Some((_, range)) = payload.as_section().filter(|(_, range)| range.end <= bytes.len())
        {
            found.push((start, range.start, range.end));
            start = range.end;
        }
    }
    found
}
