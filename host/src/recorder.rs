//! What happens in the hooks: the shadow stack of one store.
//!
//! What every timed call does is in this file; what is rarer is in others, and not inlined.

use std::mem;
use std::sync::Arc;

use crate::annotations::Guarded;
use crate::cells::Cells;
use crate::clock::{Bias, Clock, Ticks};
use crate::frame::{End, Extra, Frame, Kind, Token, UNTIMED};
use crate::growth::GrowthSoFar;
use crate::heap::Blocks;
use crate::interrupt::Interrupter;
use crate::lost::Lost;
use crate::module::ModuleInfo;
use crate::names::Names;
use crate::observer::Shared;
use crate::overhead::{Controller, MAX_PERIOD};
use crate::stats::{RowId, Stats, Timed, What};
use crate::suspended::Suspended;
use crate::trace::Active;

/// What `enter` gives back, in the order of the hook's results.
pub(crate) type Entered = (i32, i32);

/// What happens in the hooks of one store.
///
/// It lives in the store's data, where the hooks find it ([`Observer::tracer`]). Outside a
/// trace the hooks only count.
///
/// # Overhead
///
/// A timed call takes two host calls and two clock readings; it allocates nothing,
/// locks nothing and formats nothing, except that a chunk of spans is handed over now
/// and then, and that a function's first timed call makes room for its counts.
///
/// A store that is idle holds nine bytes for each hooked function.
///
/// [`Observer::tracer`]: crate::Observer::tracer
pub struct Recorder(pub(crate) Option<Box<Inner>>);

pub(crate) struct Inner {
    clock: Clock,
    bias: Bias,
    pub(crate) stack: Vec<Frame>,
    generation: u16,
    pub(crate) steering: Steering,
    pub(crate) cells: Cells,
    pub(crate) stats: Stats,
    /// Calls of fewer ticks become no spans.
    pub(crate) min_ticks: u64,
    /// Calls that became none.
    pub(crate) folded: u64,
    pub(crate) max_depth: usize,
    pub(crate) suspended: Arc<Suspended>,
    pub(crate) lost: Lost,
    /// The ticks of its own from which on a call's time wants to be explained.
    pub(crate) unexplained_ticks: u64,
    /// A function whose time is not explained by what it called.
    unexplained: RowId,

    /// Of those frames that have one, the innermost last.
    pub(crate) extras: Vec<Extra>,
    pub(crate) module: Arc<ModuleInfo>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) interrupter: Interrupter,
    /// The version of the observer's overhead that is in force.
    pub(crate) overhead_version: u32,
    pub(crate) trace: Option<Box<Active>>,
    pub(crate) names: Names,
    pub(crate) guarded: Guarded,
    pub(crate) grown: GrowthSoFar,
    pub(crate) blocks: Blocks,
}

/// How periods are chosen.
pub(crate) enum Steering {
    /// There is no trace: calls are neither counted nor timed.
    Idle,
    Off,
    All,
    Budget(Controller),
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let trace = self.0.as_ref().and_then(|inner| inner.trace.as_ref());
        let id = trace.map(|trace| trace.info.trace_id);
        f.debug_struct("Recorder").field("trace", &id).finish_non_exhaustive()
    }
}

impl Recorder {
    pub(crate) fn new(module: Arc<ModuleInfo>, shared: &Arc<Shared>) -> Self {
        if !shared.enabled {
            return Recorder(None);
        }
        Recorder(Some(Box::new(Inner {
            clock: Clock::get(),
            bias: Bias::NONE,
            stack: Vec::new(),
            generation: 0,
            steering: Steering::Idle,
            cells: Cells::new(&module),
            stats: Stats::default(),
            min_ticks: 0,
            folded: 0,
            max_depth: shared.quotas.max_depth(),
            suspended: Arc::default(),
            lost: Lost::default(),
            unexplained_ticks: u64::MAX >> 32,
            unexplained: RowId::NONE,
            extras: Vec::new(),
            interrupter: Interrupter::default(),
            overhead_version: 0,
            trace: None,
            names: Names::default(),
            guarded: Guarded::default(),
            grown: GrowthSoFar::new(module.initial_memory_bytes),
            blocks: Blocks::default(),
            module,
            shared: Arc::clone(shared),
        })))
    }

    /// What stops the guest of this store from outside. That of a recorder of a disabled
    /// observer stops nothing.
    pub fn interrupter(&self) -> Interrupter {
        self.0.as_ref().map_or_else(Interrupter::default, |inner| inner.interrupter.clone())
    }

    #[inline]
    pub(crate) fn inner(&mut self) -> Option<&mut Inner> {
        self.0.as_deref_mut()
    }
}

impl Default for Recorder {
    /// A recorder that records nothing, for the time until the store has one.
    fn default() -> Self {
        Recorder(None)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // A store that goes away in the middle of a call takes its spans with it
        // unless they are closed here.
        if let Some(inner) = self.inner() {
            inner.abandon();
        }
    }
}

impl Inner {
    pub(crate) fn now(&self) -> Ticks {
        self.clock.now_ordered()
    }

    pub(crate) fn set_bias(&mut self, bias: Bias) {
        self.bias = bias;
    }

    /// Whether something from outside wants to be looked after before a call is entered.
    #[inline]
    pub(crate) fn wants_attention(&self) -> bool {
        self.interrupter.is_interrupted()
            || self.shared.overhead.version() != self.overhead_version
            || self.cells.wants_attention()
    }

    /// A hooked function's cell is used up.
    #[inline]
    pub(crate) fn enter(&mut self, id: u32) -> Entered {
        let Some(passed) = self.cells.take_pending(id) else {
            self.lost.unknown_ids += 1;
            return (MAX_PERIOD as i32, UNTIMED);
        };
        // Those that the cell let pass, and this one.
        let weight = passed + 1;
        if let Steering::All = self.steering {
            let row = self.stats.function(id);
            self.stats.count(row, u64::from(weight));
            return (1, self.open_call(row, weight));
        }
        self.enter_steered(id, weight)
    }

    #[inline(never)]
    fn enter_steered(&mut self, id: u32, weight: u32) -> Entered {
        let period = match &mut self.steering {
            Steering::Budget(controller) => {
                let now = self.clock.now();
                let boundary = self.module.is_boundary(id);
                controller.next_period(self.cells.power(id), weight, boundary, now)
            }
            Steering::All => 1,
            Steering::Off => MAX_PERIOD,
            Steering::Idle => {
                self.cells.let_pass(id, MAX_PERIOD);
                return (MAX_PERIOD as i32, UNTIMED);
            }
        };
        self.cells.let_pass(id, period);
        let row = self.stats.function(id);
        self.stats.count(row, u64::from(weight));
        if let Steering::Off = self.steering {
            return (period as i32, UNTIMED);
        }
        let within = self.stack.last().map_or(RowId::NONE, |frame| frame.row);
        if let Some(more) = self.stats.more(row) {
            more.within = within;
        }
        (period as i32, self.open_call(row, weight))
    }

    /// Opens the frame of a call and gives the token that closes it.
    #[inline]
    pub(crate) fn open_call(&mut self, row: RowId, weight: u32) -> i32 {
        match self.open(Kind::Call, row, weight) {
            Some(token) => {
                self.stats.open(row);
                token.to_guest()
            }
            None => UNTIMED,
        }
    }

    /// Opens a frame that begins now; `None` if the stack is too deep.
    #[inline]
    pub(crate) fn open(&mut self, kind: Kind, row: RowId, weight: u32) -> Option<Token> {
        let depth = self.stack.len();
        if depth >= self.max_depth {
            self.lost.too_deep += 1;
            return None;
        }
        self.generation = Token::after(self.generation);
        let mut frame = Frame::new(kind, row, weight, self.generation);
        frame.suspended = self.suspended.ticks();
        let token = Token::new(depth, &frame);
        // The clock is read last, so that what was done here is not in the duration.
        frame.start = self.clock.now();
        self.stack.push(frame);
        Some(token)
    }

    /// Closes the frame of a call or of a span of the guest's, which a token names.
    #[inline]
    pub(crate) fn leave(&mut self, token: i32, end: End) {
        let now = self.clock.now_ordered();
        let top = self.stack.len().wrapping_sub(1);
        if let (Some(token), Some(frame)) = (Token::from_guest(token), self.stack.last())
            && token.depth == top
            && token.is_of(frame)
            && frame.kind != Kind::Host
        {
            self.close(now, end);
            return;
        }
        self.leave_deeper(token, now, end);
    }

    /// Closes the frame that a token names, and first what is still open above it.
    #[cold]
    #[inline(never)]
    fn leave_deeper(&mut self, token: i32, now: Ticks, end: End) {
        let named = Token::from_guest(token).filter(|token| {
            let frame = self.stack.get(token.depth);
            // What the host opened, the host closes, and so what it stands on.
            frame.is_some_and(|frame| token.is_of(frame))
                && self.stack[token.depth..].iter().all(|frame| frame.kind != Kind::Host)
        });
        let Some(token) = named else {
            self.lost.stale_exits += 1;
            return;
        };
        while self.stack.len() > token.depth {
            self.close(now, end);
        }
    }

    /// Closes the innermost frame.
    #[inline]
    pub(crate) fn close(&mut self, now: Ticks, end: End) {
        let Some(frame) = self.stack.pop() else { return };
        let elapsed = now.since(frame.start);
        if let Some(parent) = self.stack.last_mut() {
            parent.children += elapsed;
            parent.nested = parent.nested.wrapping_add(frame.nested.wrapping_add(1));
            parent.direct = parent.direct.wrapping_add(1);
        }
        let (own, ticks) = self.bias.correct(&frame, elapsed);
        self.stats.close(frame.row, &Timed { ticks, own, weight: frame.weight });
        // A child that was kept has numbered its parents, which must be kept too.
        let is_short = elapsed < self.min_ticks
            && !frame.is_numbered()
            && !frame.has_extra
            && self.suspended.ticks() == frame.suspended;
        if is_short && end == End::Returned {
            self.folded += 1;
            return;
        }
        self.close_with_care(frame, now, end);
    }

    /// Whether functions are to be timed that may explain what a call took.
    #[inline]
    pub(crate) fn wants_rearming(&self) -> bool {
        self.unexplained != RowId::NONE
    }

    /// Has the callees of a function timed.
    pub(crate) fn explain(&mut self, row: RowId) {
        self.unexplained = row;
    }

    /// The functions that are to be timed: those that were called there when they were last
    /// timed, be it in an earlier trace.
    pub(crate) fn take_to_rearm(&mut self) -> Vec<u32> {
        let caller = mem::replace(&mut self.unexplained, RowId::NONE);
        let mut called: Vec<_> = self.stats.called_by(caller).collect();
        if let Some(What::Function(caller)) = self.stats.what(caller) {
            for id in self.module.called_by(caller).filter(|id| !self.stats.knows_caller(*id)) {
                // This instance may be at its end: the next one times it.
                self.module.learn(id, 0);
                called.push(id);
            }
        }
        called
    }

    /// Gives the innermost frame what only few have.
    pub(crate) fn extra(&mut self) -> Option<&mut Extra> {
        let frame = self.stack.last_mut()?;
        if !mem::replace(&mut frame.has_extra, true) {
            self.extras.push(Extra::default());
        }
        self.extras.last_mut()
    }
}
