//! From frames that are kept to the records of spans.

use observe_collector::event::{Attribute, SpanDetail, SpanNumber, SpanRecord, Status, SymbolId};

use crate::clock::Ticks;
use crate::frame::{End, Extra, Frame, Kind};
use crate::recorder::{Inner, Steering};
use crate::stats::{RowId, What};

/// Each time that the callees of a function were looked at, its calls must take twice the time
/// of their own before that is done again; so often at most.
const MAX_PATIENCE: u32 = 20;

impl Inner {
    /// Takes the innermost frame, whose time is counted already, from the stack, and makes a
    /// span of it unless it is both short and of no interest.
    #[cold]
    #[inline(never)]
    pub(crate) fn close_with_care(&mut self, now: Ticks, end: End) {
        let Some(frame) = self.stack.pop() else { return };
        self.fold_or_keep(frame, now, end);
        if frame.has_extra() && !frame.kind.is_loose() {
            self.close_loose_that_are_over(now);
        }
    }

    fn fold_or_keep(&mut self, frame: Frame, now: Ticks, end: End) {
        let extra = if frame.has_extra() { self.extras.pop() } else { None };
        if frame.kind == Kind::Entry {
            return self.entry_is_gone(&frame, extra.unwrap_or_default(), now, end);
        }
        let suspended = self.suspended.ticks().wrapping_sub(frame.suspended);
        let elapsed = now.since(frame.start);
        if matches!(frame.kind, Kind::Guest | Kind::Loose) {
            self.guarded.open = self.guarded.open.saturating_sub(1);
        }
        if frame.kind == Kind::Loose && extra.as_ref().is_some_and(|extra| !extra.is_over) {
            self.guarded.loose = self.guarded.loose.saturating_sub(1);
        }
        if let Some(extra) = &extra {
            self.guarded.held = self.guarded.held.saturating_sub(extra.held());
        }
        if let Some(more) = self.stats.more(frame.row) {
            let is_error = extra.as_ref().is_some_and(|extra| extra.status == Status::Error);
            more.errors += u64::from(end != End::Returned || is_error);
            let waited = suspended.saturating_mul(u64::from(frame.weight));
            more.suspended = more.suspended.saturating_add(waited);
            let own = elapsed.saturating_sub(frame.children).saturating_sub(suspended);
            if own >= self.unexplained_ticks << more.explained.min(MAX_PATIENCE)
                && matches!(self.steering, Steering::Budget(_))
            {
                more.explained += 1;
                self.explain(frame.row);
            }
        }
        let of_interest = extra.as_ref().is_some_and(Extra::is_of_interest);
        if elapsed < self.min_ticks && frame.number().is_none() && !of_interest {
            if let Some(extra) = extra
                && let Some(parent) = self.extra()
            {
                parent.growth += extra.growth;
            }
            return;
        }
        self.keep(frame, extra.unwrap_or_default(), suspended, now, end);
    }

    /// Makes a span of a frame that is not on the stack any more.
    fn keep(&mut self, frame: Frame, extra: Extra, suspended: u64, now: Ticks, end: End) {
        let parent = match self.number_open() {
            Ok(parent) => parent,
            Err(TooMany) => return self.lost.too_many += 1,
        };
        let Some(trace) = &mut self.trace else { return };
        let Some(number) = frame.number().or_else(|| trace.next_number()) else {
            return self.lost.too_many += 1;
        };
        let Frame { start, row, .. } = frame;
        self.record(Kept { start, row, number, parent, suspended, end }, extra, now);
    }

    /// Records a span.
    pub(crate) fn record(&mut self, kept: Kept, extra: Extra, now: Ticks) {
        let Kept { start, row, number, parent, suspended, end } = kept;
        let Some(trace) = &mut self.trace else { return };
        trace.kept += 1;
        trace.kept_calls += u64::from(row != RowId::NONE);
        if !trace.is_sent() {
            return;
        }
        let Extra { mut detail, said, status, growth, .. } = extra;
        let symbol = match self.stats.more(row).map(|more| more.what) {
            Some(What::Function(id)) => Some(SymbolId(id)),
            Some(What::Named(name)) => {
                detail.name = Some(self.names.get(name).clone());
                None
            }
            None => None,
        };
        detail.attributes.extend(growth.attributes());
        if end == End::Thrown {
            detail.attributes.push(Attribute::new("error.type", "exception"));
        }
        if suspended > 0 {
            let seconds = trace.scale.nanos(suspended) as f64 / 1e9;
            detail.attributes.push(Attribute::new("wasm.suspended.time", seconds));
        }
        detail.dropped_attributes = said.dropped;
        let of_all = symbol.and_then(|id| trace.info.symbols.get(id));
        let of_all = of_all.map_or(&[][..], |symbol| &symbol.attributes);
        let refused = add_said(&mut detail.attributes, said.attributes, of_all);
        self.lost.excess_attributes += u64::from(refused);
        detail.dropped_attributes = detail.dropped_attributes.saturating_add(refused);
        trace.add_span(SpanRecord {
            start_unix_nanos: trace.scale.unix_nanos(start),
            end_unix_nanos: trace.scale.unix_nanos(now.max(start)),
            number,
            parent,
            symbol,
            status: if end == End::Returned { status } else { Status::Error },
            detail: (detail != SpanDetail::default()).then(|| Box::new(detail)),
        });
    }

    /// Numbers what is open, so that it is kept, and gives the number of the innermost.
    pub(crate) fn number_open(&mut self) -> Result<Option<SpanNumber>, TooMany> {
        self.number_up_to(self.stack.len())
    }

    /// The same for the outermost so many.
    pub(crate) fn number_up_to(&mut self, len: usize) -> Result<Option<SpanNumber>, TooMany> {
        let Some(trace) = &mut self.trace else { return Ok(None) };
        let open = self.stack.get_mut(..len).unwrap_or_default();
        let unnumbered = open.iter_mut().rev().take_while(|frame| frame.number().is_none());
        for frame in unnumbered {
            if let Some(number) = frame.entered().and_then(|span| self.detached.refer(span)) {
                frame.set_number(number);
                break;
            }
            // Without a number for its parent a span would stand as a second root.
            frame.set_number(trace.next_number().ok_or(TooMany)?);
        }
        Ok(open.last().and_then(Frame::number))
    }

    /// Opens a span of the host's own; says whether it is kept however short it is. `None` if
    /// the stack is too deep.
    pub(crate) fn open_host(&mut self, detail: SpanDetail, is_kept: bool) -> Option<usize> {
        self.be_careful();
        let depth = self.open(Kind::Host, RowId::NONE, 1)?.depth();
        let extra = self.extra()?;
        (extra.detail, extra.is_kept) = (detail, is_kept);
        Some(depth)
    }

    /// Closes everything from the given depth on.
    pub(crate) fn close_down_to(&mut self, depth: usize, now: Ticks, end: End) {
        while self.stack.len() > depth {
            self.close(now, end);
        }
    }

    /// What the root span will say.
    pub(crate) fn root_detail(&mut self) -> Option<&mut SpanDetail> {
        let root = self.stack.first().filter(|frame| frame.has_extra())?;
        debug_assert!(root.kind == Kind::Host);
        self.extras.first_mut().map(|extra| &mut extra.detail)
    }
}

/// What of a span is known beside what was said of it.
pub(crate) struct Kept {
    pub(crate) start: Ticks,
    pub(crate) row: RowId,
    pub(crate) number: SpanNumber,
    pub(crate) parent: Option<SpanNumber>,
    /// Ticks for which the trace was suspended meanwhile.
    pub(crate) suspended: u64,
    pub(crate) end: End,
}

/// The trace has 2³² spans already.
pub(crate) struct TooMany;

impl Extra {
    /// Whether it is worth a span, however short.
    pub(crate) fn is_of_interest(&self) -> bool {
        let Extra { detail, said, .. } = self;
        self.is_kept
            || self.status != Status::Unset
            || !(detail.attributes.is_empty() && said.attributes.is_empty())
            || !(detail.events.is_empty() && detail.links.is_empty())
            || !detail.status_message.is_empty()
    }
}

/// Adds what a guest said to the attributes of the host, which stay as they are. Gives how many of
/// the guest's are left out for that.
fn add_said(host: &mut Vec<Attribute>, mut said: Vec<Attribute>, of_all: &[Attribute]) -> u32 {
    if host.is_empty() && of_all.is_empty() {
        *host = said;
        return 0;
    }
    let before = said.len();
    said.retain(|said| host.iter().chain(of_all).all(|attribute| attribute.key != said.key));
    let refused = before - said.len();
    host.append(&mut said);
    refused as u32
}
