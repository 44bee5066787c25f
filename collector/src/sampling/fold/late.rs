//! What comes of a trace that went out.

use super::absent::{Absent, Known};
use super::moved::Moved;
use super::of;
use crate::assembly::Folded;
use crate::event::{SpanNumber, SpanRecord};

/// What has to be known of a trace that went out when more of it comes. Of one that was complete,
/// that is no more than how many spans went out.
pub(in crate::sampling) struct Late {
    cap: usize,
    gone_out: usize,
    rest: Option<Box<Rest>>,
}

struct Rest {
    absent: Absent,
    moved: Moved,
}

impl Late {
    pub(super) fn new(gone_out: usize, mut absent: Absent, moved: Moved) -> Self {
        let (cap, moved) = (absent.cap(), moved.close());
        absent.shrink();
        let is_needed = !(absent.is_empty() && moved.is_empty());
        Late { cap, gone_out, rest: is_needed.then(|| Box::new(Rest { absent, moved })) }
    }

    /// Gives a span that is to go out, too: what is left of the cap is for those, and parents of
    /// what went out are never folded.
    pub(in crate::sampling) fn push(&mut self, mut span: SpanRecord) -> Option<SpanRecord> {
        let cap = self.cap;
        let new = || Box::new(Rest { absent: Absent::new(cap), moved: Moved::default() });
        let absent = &mut self.rest.get_or_insert_with(new).absent;
        let Known { children, mut folded } = absent.remove(span.number);
        if children == 0 && self.gone_out >= cap {
            absent.count_into(span.parent, of(&span, folded));
            return None;
        }
        self.gone_out += 1;
        match span.parent {
            Some(parent) => absent.adopt(parent),
            None => folded.add(absent.take_stray()),
        }
        tell(folded, &mut span);
        Some(span)
    }

    /// The span under which a log record is told that comes now.
    pub(in crate::sampling) fn span_of_log(&self, number: SpanNumber) -> Option<SpanNumber> {
        match &self.rest {
            Some(rest) => rest.moved.span_of_log(number),
            None => Some(number),
        }
    }

    /// What it takes beside itself.
    pub(in crate::sampling) fn bytes(&self) -> usize {
        let rest = |rest: &Rest| size_of::<Rest>() + rest.absent.bytes() + rest.moved.bytes();
        self.rest.as_deref().map_or(0, rest)
    }
}

/// Tells on a span what was folded into it.
pub(super) fn tell(folded: Folded, span: &mut SpanRecord) {
    if folded.spans > 0 {
        span.detail.get_or_insert_default().attributes.extend(folded.attributes());
    }
}
