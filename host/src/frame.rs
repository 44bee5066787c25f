//! What is known of an open call, and of other open spans.

use observe_collector::event::{SpanDetail, SpanNumber};

use crate::clock::Ticks;
use crate::growth::Growth;
use crate::paths::PathId;
use crate::stats::RowId;

/// The bits of a token that hold the depth; the rest tells calls at one depth apart.
const DEPTH_BITS: u32 = 20;

/// The deepest shadow stack that tokens have room for.
pub(crate) const MAX_DEPTH: u32 = 1 << DEPTH_BITS;

/// The token of a call that is not timed.
pub(crate) const UNTIMED: i32 = 1;

/// An open call, or another open span.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) start: Ticks,
    /// Ticks in frames right above this one that have ended.
    pub(crate) children: u64,
    /// Ticks for which the trace had been suspended when this began.
    pub(crate) suspended: u64,
    /// Where it is counted.
    pub(crate) row: RowId,
    /// How many calls this one stands for.
    pub(crate) weight: u32,
    /// One more than the number of its span, once a span within it was kept, or
    /// something refers to it; 0 before.
    number: u32,
    /// Timed calls within it that have ended, at any depth and right above it.
    pub(crate) nested: u32,
    pub(crate) direct: u32,
    /// The path of calls to it, once something was allocated within it.
    pub(crate) path: PathId,
    generation: u16,
    /// Whether it has an [`Extra`].
    pub(crate) has_extra: bool,
    pub(crate) kind: Kind,
}

/// What a frame is, and so who may close it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The root of a trace, or a span of the host's own.
    Host,
    /// A call of a hooked function.
    Call,
    /// A span of the guest's own.
    Guest,
}

/// What only few frames have.
#[derive(Default)]
pub(crate) struct Extra {
    /// What its span will say.
    pub(crate) detail: SpanDetail,
    /// What grew in it, and in what was folded into it.
    pub(crate) growth: Growth,
    /// Whether it becomes a span however short it is.
    pub(crate) is_kept: bool,
}

/// How a frame ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Returned,
    /// An exception leaves it, which may be caught further out.
    Thrown,
    /// The whole trace fails.
    Failed,
}

impl Frame {
    #[inline]
    pub(crate) fn new(kind: Kind, row: RowId, weight: u32, generation: u16) -> Self {
        Frame {
            start: Ticks(0),
            children: 0,
            suspended: 0,
            row,
            weight,
            number: 0,
            nested: 0,
            direct: 0,
            path: PathId::ROOT,
            generation,
            has_extra: false,
            kind,
        }
    }

    /// The number of its span, if it has one.
    pub(crate) fn number(&self) -> Option<SpanNumber> {
        self.number.checked_sub(1).map(SpanNumber)
    }

    /// Whether its span must be kept.
    #[inline]
    pub(crate) fn is_numbered(&self) -> bool {
        self.number > 0
    }

    pub(crate) fn set_number(&mut self, number: SpanNumber) {
        self.number = number.0.saturating_add(1);
    }
}

/// What names an open frame: its place on the shadow stack and its generation.
#[derive(Clone, Copy)]
pub(crate) struct Token {
    pub(crate) depth: usize,
    generation: u16,
}

impl Token {
    #[inline]
    pub(crate) fn new(depth: usize, frame: &Frame) -> Self {
        Token { depth, generation: frame.generation }
    }

    /// The next generation.
    #[inline]
    pub(crate) fn after(generation: u16) -> u16 {
        (generation + 1) & ((1 << (31 - DEPTH_BITS)) - 1)
    }

    /// As the guest gets it: negative.
    #[inline]
    pub(crate) fn to_guest(self) -> i32 {
        !((u32::from(self.generation) << DEPTH_BITS | self.depth as u32) as i32)
    }

    /// Reads what a guest gave, which may be anything. `None` if it is not negative.
    #[inline]
    pub(crate) fn from_guest(token: i32) -> Option<Self> {
        let bits = !token as u32;
        let depth = (bits & (MAX_DEPTH - 1)) as usize;
        (token < 0).then_some(Token { depth, generation: (bits >> DEPTH_BITS) as u16 })
    }

    /// Whether it names the frame, which is at its place.
    #[inline]
    pub(crate) fn is_of(self, frame: &Frame) -> bool {
        self.generation == frame.generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_fits_a_line_of_the_cache() {
        assert!(size_of::<Frame>() <= 64);
    }

    #[test]
    fn a_token_comes_back_as_it_went() {
        let mut generation = 0;
        for depth in [0, 1, 77, MAX_DEPTH as usize - 1] {
            for _ in 0..5000 {
                generation = Token::after(generation);
                let frame = Frame::new(Kind::Call, RowId::NONE, 1, generation);
                let token = Token::new(depth, &frame).to_guest();
                assert!(token < 0);
                let back = Token::from_guest(token).expect("it is negative");
                assert!(back.depth == depth && back.is_of(&frame));
            }
        }
        assert!(Token::from_guest(UNTIMED).is_none());
    }
}
