//! From hook calls to spans: the shadow stack of one store.

use std::sync::Arc;

use observe_collector::Handle;
use observe_collector::event::{
    Attribute, Chunk, SpanDetail, SpanNumber, SpanRecord, Status, SymbolId, TraceInfo,
};

use crate::clock::{Clock, Scale, Ticks};
use crate::functions::Functions;
use crate::growth::Growth;
use crate::heap::Blocks;
use crate::interrupt::Interrupter;
use crate::lost::Lost;
use crate::names::Names;
use crate::overhead::{Controller, MAX_PERIOD, Mode};
use crate::stats::{FunctionStats, Timed};

/// Spans handed over at a time.
const CHUNK: usize = 256;

/// The deepest shadow stack; calls beyond it are counted and not timed. A token has
/// room for 20 bits.
const MAX_DEPTH: usize = 1 << 16;

/// The bits of a token that hold the depth; the rest tells calls at one depth apart.
const DEPTH_BITS: u32 = 20;

/// What `enter` gives back, in the order of the hook's results.
pub(crate) type Entered = (i32, i32);

/// The token of a call that is not timed.
const UNTIMED: i32 = 1;

/// What happens in the hooks of one store.
///
/// It lives in the store's data, where [`add_to_linker`](crate::add_to_linker)
/// finds it. Outside a trace the hooks only count.
///
/// # Overhead
///
/// A timed call takes two host calls and two clock readings; it allocates nothing,
/// locks nothing and formats nothing, except that every 256th span hands a chunk
/// over, and a function's first timed call allocates its histogram.
pub struct Recorder(Box<Inner>);

pub(crate) struct Inner {
    pub(crate) functions: Arc<Functions>,
    clock: Clock,
    pub(crate) stack: Vec<Frame>,
    /// By id; names of the guest's own spans follow the functions.
    pub(crate) stats: Vec<FunctionStats>,
    pub(crate) names: Names,
    generation: u32,
    pub(crate) trace: Option<Active>,
    pub(crate) lost: Lost,
    pub(crate) interrupter: Interrupter,
    pub(crate) blocks: Blocks,
}

/// A trace under way.
pub(crate) struct Active {
    pub(crate) info: Arc<TraceInfo>,
    pub(crate) scale: Scale,
    pub(crate) steering: Steering,
    /// Spans of fewer ticks are folded into their parents.
    pub(crate) min_ticks: u64,
    pub(crate) sink: Option<Handle>,
    pub(crate) spans: Vec<SpanRecord>,
    pub(crate) next_number: u32,
    pub(crate) kept: u64,
    pub(crate) folded: u64,
    pub(crate) growth: Growth,
}

/// How the periods of a trace are chosen.
pub(crate) enum Steering {
    All,
    Budget(Controller),
    Off,
}

impl Steering {
    pub(crate) fn new(mode: Mode, scale: &Scale, now: Ticks, seed: u64) -> Self {
        match mode {
            Mode::All => Steering::All,
            Mode::Off => Steering::Off,
            Mode::Budget(percent) => {
                let ticks_per_nano = scale.ticks(1_000_000) as f64 / 1e6;
                Steering::Budget(Controller::new(percent, ticks_per_nano, now, seed))
            }
        }
    }
}

/// An open call, or another open span.
pub(crate) struct Frame {
    pub(crate) what: What,
    start: Ticks,
    /// Ticks in frames above this one that have ended.
    children: u64,
    /// How many calls this one stands for.
    weight: u32,
    generation: u32,
    /// The number of its span, once a span within it was kept.
    number: Option<SpanNumber>,
    /// What grew in it, and in what was folded into it.
    pub(crate) growth: Growth,
    detail: Option<Box<SpanDetail>>,
}

/// What a frame stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The root of the trace.
    Root,
    /// A hooked function, by id.
    Function(u32),
    /// A span of the guest's own, by place in [`Names`].
    Named(u32),
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

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let trace = self.0.trace.as_ref().map(|trace| trace.info.trace_id);
        f.debug_struct("Recorder").field("trace", &trace).finish_non_exhaustive()
    }
}

impl Recorder {
    pub(crate) fn new(functions: Arc<Functions>) -> Self {
        Recorder(Box::new(Inner {
            clock: Clock::get(),
            stack: Vec::with_capacity(64),
            stats: vec![FunctionStats::default(); functions.len()],
            names: Names::default(),
            generation: 0,
            trace: None,
            lost: Lost::default(),
            interrupter: Interrupter::default(),
            blocks: Blocks::default(),
            functions,
        }))
    }

    /// What stops the guest of this store from outside.
    pub fn interrupter(&self) -> Interrupter {
        self.0.interrupter.clone()
    }

    pub(crate) fn inner(&mut self) -> &mut Inner {
        &mut self.0
    }
}

impl Default for Recorder {
    /// A recorder for a store without an observed module, in which only the root of a
    /// trace and the guest's own spans are recorded.
    fn default() -> Self {
        Recorder::new(Arc::new(Functions::none()))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // A store that goes away in the middle of a call takes its spans with it
        // unless they are closed here.
        self.0.abandon();
    }
}

impl Inner {
    pub(crate) fn now(&self) -> Ticks {
        self.clock.now_ordered()
    }

    /// A hooked function's cell is used up.
    pub(crate) fn enter(&mut self, id: u32) -> Entered {
        let Some(stats) = self.stats.get_mut(id as usize) else {
            self.lost.unknown_ids += 1;
            return (MAX_PERIOD as i32, UNTIMED);
        };
        let weight = stats.end_period();
        let steering = self.trace.as_mut().map(|trace| &mut trace.steering);
        let (period, now) = match steering {
            None | Some(Steering::Off) => {
                stats.period = MAX_PERIOD;
                return (MAX_PERIOD as i32, UNTIMED);
            }
            Some(Steering::All) => (1, self.clock.now()),
            Some(Steering::Budget(controller)) => {
                let now = self.clock.now();
                stats.nominal = controller.next_period(stats.nominal, now);
                (controller.jitter(stats.nominal), now)
            }
        };
        stats.period = period;
        (period as i32, self.open(What::Function(id), weight, now))
    }

    /// Opens a frame that begins now, and gives the token that closes it.
    pub(crate) fn open(&mut self, what: What, weight: u32, now: Ticks) -> i32 {
        let depth = self.stack.len();
        if depth >= MAX_DEPTH {
            self.lost.too_deep += 1;
            return UNTIMED;
        }
        if let Some(stats) = stats_of(&mut self.stats, &self.functions, what) {
            stats.open += 1;
        }
        let generation_bits = 31 - DEPTH_BITS;
        self.generation = (self.generation + 1) & ((1 << generation_bits) - 1);
        let generation = self.generation;
        self.stack.push(Frame {
            what,
            start: now,
            children: 0,
            weight,
            generation,
            number: None,
            growth: Growth::default(),
            detail: None,
        });
        !((generation << DEPTH_BITS | depth as u32) as i32)
    }

    /// Closes the frame that a token names, and first what is still open above it.
    pub(crate) fn leave(&mut self, token: i32, end: End) {
        let now = self.clock.now_ordered();
        let bits = !token as u32;
        let depth = (bits & ((1 << DEPTH_BITS) - 1)) as usize;
        // The root, at depth 0 of a trace, is the host's to close.
        let matches = self.stack.get(depth).is_some_and(|frame| {
            token < 0 && frame.generation == bits >> DEPTH_BITS && frame.what != What::Root
        });
        if !matches {
            self.lost.stale_exits += 1;
            return;
        }
        while self.stack.len() > depth {
            self.close(now, end);
        }
    }

    /// Closes the innermost frame.
    fn close(&mut self, now: Ticks, end: End) {
        let Some(frame) = self.stack.pop() else { return };
        let ticks = now.since(frame.start);
        if let Some(parent) = self.stack.last_mut() {
            parent.children += ticks;
        }
        if let Some(stats) = stats_of(&mut self.stats, &self.functions, frame.what) {
            let (children, weight) = (frame.children, frame.weight);
            stats.record(&Timed { ticks, children, weight, failed: end != End::Returned });
        }
        let Some(trace) = &mut self.trace else { return };
        // A child that was kept has numbered its parents, which must be kept too.
        if ticks < trace.min_ticks && frame.number.is_none() && frame.detail.is_none() {
            trace.folded += 1;
            if let Some(parent) = self.stack.last_mut() {
                parent.growth += frame.growth;
            }
            return;
        }
        self.keep(frame, now, end);
    }

    /// Makes a span of a frame that has ended.
    fn keep(&mut self, frame: Frame, now: Ticks, end: End) {
        let Some(trace) = &mut self.trace else { return };
        let mut number = || {
            let number = trace.next_number;
            trace.next_number = number.checked_add(1)?;
            Some(SpanNumber(number))
        };
        let Some(own) = frame.number.or_else(&mut number) else {
            self.lost.too_many += 1;
            return;
        };
        let unnumbered = self.stack.iter_mut().rev().take_while(|frame| frame.number.is_none());
        unnumbered.for_each(|frame| frame.number = number());
        let parent = self.stack.last().map(|parent| parent.number);
        // Without a number for its parent the span would stand as a second root.
        let parent = match parent {
            Some(None) => {
                self.lost.too_many += 1;
                return;
            }
            Some(number) => number,
            None => None,
        };
        let mut detail = frame.detail;
        let symbol = match frame.what {
            What::Function(id) => Some(SymbolId(id)),
            What::Named(name) => {
                let detail = detail.get_or_insert_default();
                detail.name = Some(self.names.get(name).to_owned());
                None
            }
            What::Root => None,
        };
        if !frame.growth.is_none() {
            let attributes = &mut detail.get_or_insert_default().attributes;
            attributes.extend(frame.growth.attributes());
        }
        if end == End::Thrown {
            let attributes = &mut detail.get_or_insert_default().attributes;
            attributes.push(Attribute::new("error.type", "exception"));
        }
        trace.kept += 1;
        trace.spans.push(SpanRecord {
            start_unix_nanos: trace.scale.unix_nanos(frame.start),
            end_unix_nanos: trace.scale.unix_nanos(now.max(frame.start)),
            number: own,
            parent,
            symbol,
            status: if end == End::Returned { Status::Unset } else { Status::Error },
            detail,
        });
        if trace.spans.len() >= CHUNK {
            trace.hand_over();
        }
    }

    /// Opens the root of a trace.
    pub(crate) fn open_root(&mut self, detail: SpanDetail) {
        let now = self.now();
        self.open(What::Root, 1, now);
        if let Some(root) = self.stack.last_mut() {
            root.number = Some(SpanNumber(0));
            root.detail = Some(Box::new(detail));
        }
    }

    /// Closes everything, the root last. `failed` spans get the status of an error;
    /// the innermost learns why.
    pub(crate) fn close_all(&mut self, failure: Option<SpanDetail>) {
        let now = self.clock.now_ordered();
        let end = if failure.is_some() { End::Failed } else { End::Returned };
        if let (Some(failure), Some(innermost)) = (failure, self.stack.last_mut()) {
            let detail = innermost.detail.get_or_insert_default();
            detail.status_message = failure.status_message;
            detail.attributes.extend(failure.attributes);
        }
        while !self.stack.is_empty() {
            self.close(now, end);
        }
    }

    /// Adds to what only the root span has.
    pub(crate) fn root_detail(&mut self) -> Option<&mut SpanDetail> {
        let root = self.stack.first_mut().filter(|frame| frame.what == What::Root)?;
        root.detail.as_deref_mut()
    }
}

impl Active {
    /// Hands the spans so far to the collector.
    pub(crate) fn hand_over(&mut self) {
        let spans = std::mem::take(&mut self.spans);
        if let Some(sink) = &self.sink
            && !spans.is_empty()
        {
            self.spans.reserve(CHUNK);
            sink.send(Chunk { trace: Arc::clone(&self.info), spans, logs: Vec::new() });
        }
    }
}

/// Where the calls of a frame are counted.
fn stats_of<'a>(
    stats: &'a mut [FunctionStats],
    functions: &Functions,
    what: What,
) -> Option<&'a mut FunctionStats> {
    match what {
        What::Root => None,
        What::Function(id) => stats.get_mut(id as usize),
        What::Named(name) => stats.get_mut(functions.len() + name as usize),
    }
}
