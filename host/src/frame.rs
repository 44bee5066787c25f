//! What is known of an open call, and of other open spans.

use observe_collector::event::{SpanDetail, SpanNumber, Status};

use crate::annotations::Said;
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
    /// Timed calls within it that have ended, at any depth and right above it.
    pub(crate) nested: u32,
    pub(crate) direct: u32,
    /// The path of calls to it, once something was allocated within it.
    pub(crate) path: PathId,
    /// One more than the number of its span, once a span within it was kept, or
    /// something refers to it; 0 before. The highest bit is set if it has an [`Extra`].
    marks: u32,
    /// Where it is counted.
    pub(crate) row: RowId,
    /// How many calls this one stands for.
    pub(crate) weight: u32,
    pub(crate) token: Token,
    pub(crate) kind: Kind,
    /// Ticks for which the trace had been suspended when this began.
    pub(crate) suspended: u64,
}

/// The bit of a frame's marks that says that it has an [`Extra`].
const HAS_EXTRA: u32 = 1 << 31;

/// Spans of a trace, at most: their numbers fit beside [`HAS_EXTRA`].
pub(crate) const MAX_SPANS: u32 = HAS_EXTRA - 1;

/// What a frame is, and so who may close it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The root of a trace, or a span of the host's own.
    Host,
    /// A call of a hooked function.
    Call,
    /// A span of the guest's own.
    Guest,
    /// A span of the guest's own that no function owns and no token names.
    Loose,
    /// An entry of a detached span, whose handle is in place of the token. It is no span itself.
    Entry,
}

impl Kind {
    /// Whether it survives the function in which it began.
    pub(crate) fn is_loose(self) -> bool {
        matches!(self, Kind::Loose | Kind::Entry)
    }
}

/// What only few frames have.
#[derive(Default)]
pub(crate) struct Extra {
    /// The place of its frame on the stack.
    pub(crate) depth: u32,
    /// What its span will say.
    pub(crate) detail: SpanDetail,
    /// The attributes that the guest gave it. Those of the host are in the detail.
    pub(crate) said: Said,
    /// The bytes that events and links take that the guest gave it, about.
    pub(crate) beside: u64,
    /// What the guest says of how it went.
    pub(crate) status: Status,
    /// What grew in it, and in what was folded into it.
    pub(crate) growth: Growth,
    /// Whether it becomes a span however short it is.
    pub(crate) is_kept: bool,
    /// Whether the guest has ended it, while calls within it were open. It ends with these.
    pub(crate) is_over: bool,
}

impl Extra {
    /// That of the frame at a place of the stack, which is below [`MAX_DEPTH`].
    pub(crate) fn at(depth: usize) -> Self {
        Extra { depth: depth as u32, ..Extra::default() }
    }
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
    pub(crate) fn new(kind: Kind, row: RowId, weight: u32, token: Token, suspended: u64) -> Self {
        Frame {
            start: Ticks(0),
            children: 0,
            nested: 0,
            direct: 0,
            path: PathId::ROOT,
            marks: 0,
            row,
            weight,
            token,
            kind,
            suspended,
        }
    }

    /// The number of its span, if it has one.
    pub(crate) fn number(&self) -> Option<SpanNumber> {
        (self.marks & !HAS_EXTRA).checked_sub(1).map(SpanNumber)
    }

    /// Gives it a number below [`MAX_SPANS`].
    pub(crate) fn set_number(&mut self, number: SpanNumber) {
        self.marks = self.marks & HAS_EXTRA | (number.0 + 1);
    }

    /// Whether it has an [`Extra`].
    pub(crate) fn has_extra(&self) -> bool {
        self.marks & HAS_EXTRA != 0
    }

    pub(crate) fn set_has_extra(&mut self) {
        self.marks |= HAS_EXTRA;
    }

    /// Whether it is like most: it has no number and nothing of its own.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.marks == 0
    }
}

/// What names an open frame: its place on the shadow stack, in the lower bits, and a generation,
/// which tells it from others at that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token(u32);

impl Token {
    /// That of the frame which opened before all others.
    pub(crate) const FIRST: Token = Token(0);

    /// The token of a frame at a place below [`MAX_DEPTH`] that opens after the one with this.
    #[inline]
    pub(crate) fn next(self, depth: usize) -> Self {
        let generation = self.0.wrapping_add(MAX_DEPTH) & !(MAX_DEPTH - 1) & i32::MAX as u32;
        Token(generation | depth as u32)
    }

    /// The place of its frame.
    #[inline]
    pub(crate) fn depth(self) -> usize {
        (self.0 & (MAX_DEPTH - 1)) as usize
    }

    /// As the guest gets it: negative.
    #[inline]
    pub(crate) fn to_guest(self) -> i32 {
        !self.0 as i32
    }

    /// Reads what a guest gave, which may be anything. That of a call that is not timed, which is
    /// not negative, is of no frame.
    #[inline]
    pub(crate) fn from_guest(token: i32) -> Self {
        Token(!token as u32)
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
        let mut token = Token::FIRST;
        for depth in [0, 1, 77, MAX_DEPTH as usize - 1] {
            for _ in 0..5000 {
                let next = token.next(depth);
                assert_ne!(next, token);
                assert!(next.to_guest() < 0 && next.depth() == depth);
                assert_eq!(Token::from_guest(next.to_guest()), next);
                assert_ne!(Token::from_guest(UNTIMED), next);
                token = next;
            }
        }
    }
}
