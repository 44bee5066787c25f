//! Which span a guest means.

use observe_abi::guest;
use observe_collector::event::SpanNumber;

use super::Rules;
use crate::frame::{Extra, Kind, Token};
use crate::recorder::Inner;
use crate::spans::TooMany;

/// Where what is said of an open span is kept.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// At this place of the stack.
    Frame(usize),
    /// With the detached span of this handle.
    Detached(i32),
}

impl Inner {
    /// The span that the guest means; `None` where it is not open, which is counted, and for 0,
    /// which was counted before.
    pub(super) fn place_of(&mut self, span: i32) -> Option<Place> {
        let place = match span {
            0 => return None,
            guest::CURRENT => self.current(),
            ..0 => self.scoped(Token::from_guest(span)),
            _ => self.detached.is_open(span).then_some(Place::Detached(span)),
        };
        self.lost.unknown_spans += u64::from(place.is_none());
        place
    }

    /// The innermost open span, be it a function's, the host's or the guest's own.
    fn current(&self) -> Option<Place> {
        let (frame, below) = self.stack.split_last()?;
        Some(frame.entered().map_or(Place::Frame(below.len()), Place::Detached))
    }

    /// What is said of the innermost open span.
    pub(crate) fn current_extra(&mut self) -> Option<&mut Extra> {
        match self.current()? {
            Place::Frame(_) => self.extra(),
            Place::Detached(span) => self.detached.extra(span),
        }
    }

    /// The scoped span of a token.
    fn scoped(&self, token: Token) -> Option<Place> {
        let frame = self.stack.get(token.depth())?;
        let is_it = frame.token == token && frame.kind == Kind::Guest;
        is_it.then_some(Place::Frame(token.depth()))
    }

    /// What is said of the span at a place, and the rules for that.
    pub(super) fn said_at(&mut self, place: Place) -> Option<(&mut Extra, Rules<'_>)> {
        let extra = match place {
            Place::Frame(depth) => {
                let at = self.extra_at(depth)?;
                self.extras.get_mut(at)?
            }
            Place::Detached(span) => self.detached.extra(span)?,
        };
        Some((extra, Rules::new(&self.shared, &mut self.lost, &mut self.guarded)))
    }

    /// The place of what only few frames have.
    fn extra_at(&mut self, depth: usize) -> Option<usize> {
        if depth + 1 == self.stack.len() {
            self.extra()?;
            return self.extras.len().checked_sub(1);
        }
        // Spans of the guest's own have one from the beginning.
        self.extras.binary_search_by_key(&depth, |extra| extra.depth as usize).ok()
    }

    /// The number of the span at a place, which is kept then.
    pub(super) fn number_of(&mut self, place: Place) -> Result<Option<SpanNumber>, TooMany> {
        match place {
            Place::Frame(depth) => self.number_up_to(depth + 1),
            Place::Detached(span) => Ok(self.detached.refer(span)),
        }
    }
}
