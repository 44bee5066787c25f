//! What happens in the hooks: the shadow stack of one store.
//!
//! What every timed call does is in this file; what is rarer is in others, and not inlined.

use std::mem;
use std::sync::Arc;

use crate::annotations::{Detached, Guarded};
use crate::cells::Cells;
use crate::clock::{Bias, Clock, Ticks};
use crate::frame::{End, Extra, Frame, Kind, Token, UNTIMED};
use crate::growth::GrowthSoFar;
use crate::guest_metrics::Instruments;
use crate::heap::Blocks;
use crate::interrupt::Interrupter;
use crate::lost::Lost;
use crate::module::ModuleInfo;
use crate::names::Names;
use crate::observe_sdk::Told;
use crate::observer::Shared;
use crate::overhead::{Controller, MAX_PERIOD};
use crate::stats::{RowId, Stats, Timed, What};
use crate::suspended::Suspended;
use crate::trace::Active;

/// What `enter` gives back: a period and a token, or that the guest is to trap.
///
/// It is one integer, since two would travel through memory, which takes longer than all else that
/// happens to them.
#[derive(Clone, Copy)]
pub(crate) struct Entered(u64);

impl Entered {
    /// The guest is to trap. No period is 0.
    pub(crate) const INTERRUPTED: Entered = Entered(0);

    #[inline]
    pub(crate) fn new(period: u32, token: i32) -> Self {
        Entered(u64::from(period) << 32 | u64::from(token.cast_unsigned()))
    }

    /// The results of the hook.
    #[inline]
    pub(crate) fn results(self) -> Option<(i32, i32)> {
        let Entered(bits) = self;
        (bits != 0).then_some(((bits >> 32) as i32, bits as i32))
    }
}

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
/// A store that is idle holds twelve bytes for each hooked function, and sixteen for each function
/// of a module made for observe-sdk; beside that the names of the instruments that its guest asked for.
///
/// [`Observer::tracer`]: crate::Observer::tracer
pub struct Recorder(pub(crate) Option<Box<Inner>>);

pub(crate) struct Inner {
    clock: Clock,
    bias: Bias,
    pub(crate) stack: Vec<Frame>,
    last_token: Token,
    pub(crate) steering: Steering,
    pub(crate) cells: Cells,
    pub(crate) stats: Stats,
    /// Calls of fewer ticks become no spans.
    pub(crate) min_ticks: u64,
    /// How many calls may be entered without care.
    quick: u32,
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
    pub(crate) detached: Detached,
    pub(crate) instruments: Instruments,
    pub(crate) grown: GrowthSoFar,
    pub(crate) blocks: Blocks,
    pub(crate) told: Told,
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
            last_token: Token::FIRST,
            steering: Steering::Idle,
            cells: Cells::new(&module),
            stats: Stats::default(),
            min_ticks: 0,
            quick: 0,
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
            guarded: Guarded::new(Ticks(0), 0),
            detached: Detached::default(),
            instruments: Instruments::default(),
            grown: GrowthSoFar::new(module.initial_memory_bytes),
            blocks: Blocks::default(),
            told: Told::new(module.only_memory_bytes()),
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

    /// Enters a call if every call is timed, and each stands for itself. That there is nothing
    /// else to look after is asked before the first of each 64 calls. `None` if it is to be
    /// [entered](Self::enter) with care; nothing was done then.
    #[inline]
    pub(crate) fn enter_quickly(&mut self, id: u32) -> Option<Entered> {
        let quick = self.quick.checked_sub(1)?;
        let row = self.cells.row(id)?;
        self.quick = quick;
        Some(Entered::new(1, self.open_unchecked(Kind::Call, row, 1).to_guest()))
    }

    /// Has the next call entered with care.
    pub(crate) fn be_careful(&mut self) {
        self.quick = 0;
    }

    /// Whether something wants to be looked after before a call is entered.
    pub(crate) fn wants_attention(&self) -> bool {
        self.shared.overhead.version() != self.overhead_version || self.cells.wants_attention()
    }

    /// A hooked function's cell is used up.
    pub(crate) fn enter(&mut self, id: u32) -> Entered {
        let Some(passed) = self.cells.take_pending(id) else {
            self.lost.unknown_ids += 1;
            return Entered::new(MAX_PERIOD, UNTIMED);
        };
        // Those that the cell let pass, and this one.
        let weight = passed + 1;
        let period = match &mut self.steering {
            Steering::Budget(_) => return self.sample(id, weight),
            Steering::All => 1,
            Steering::Off => MAX_PERIOD,
            Steering::Idle => {
                self.cells.let_pass(id, MAX_PERIOD);
                return Entered::new(MAX_PERIOD, UNTIMED);
            }
        };
        self.cells.let_pass(id, period);
        let row = self.row_of(id);
        if let Steering::Off = self.steering {
            self.stats.count(row, u64::from(weight));
            return Entered::new(period, UNTIMED);
        }
        let entered = Entered::new(period, self.open_call(row, weight));
        if self.times_all() && self.cells.are_taken() {
            self.quick = self.max_depth.saturating_sub(self.stack.len()).min(63) as u32;
        }
        entered
    }

    /// Enters a call that is timed as one of many.
    fn sample(&mut self, id: u32, weight: u32) -> Entered {
        let now = self.clock.now();
        let row = self.row_of(id);
        let within = self.stack.last().map_or(RowId::NONE, |frame| frame.row);
        let elapsed = self.stack.first().map_or(0, |root| now.since(root.start));
        let matter = self.stats.weigh(row, within, elapsed);
        let Steering::Budget(controller) = &mut self.steering else { return Entered::INTERRUPTED };
        let (power, boundary) = self.cells.steered(id);
        let period = controller.next_period(power, weight, boundary, matter, now);
        self.cells.let_pass(id, period);
        Entered::new(period, self.open_call(row, weight))
    }

    /// Opens the frame of a call and gives the token that closes it.
    #[inline]
    pub(crate) fn open_call(&mut self, row: RowId, weight: u32) -> i32 {
        match self.open(Kind::Call, row, weight) {
            Some(token) => token.to_guest(),
            None => {
                self.stats.count(row, u64::from(weight));
                UNTIMED
            }
        }
    }

    /// Opens a frame that begins now; `None` if the stack is too deep.
    #[inline]
    pub(crate) fn open(&mut self, kind: Kind, row: RowId, weight: u32) -> Option<Token> {
        if self.stack.len() >= self.max_depth {
            self.lost.too_deep += 1;
            return None;
        }
        // What was found to be room for the next calls is less now.
        self.be_careful();
        Some(self.open_unchecked(kind, row, weight))
    }

    /// The same, where the stack is not too deep.
    #[inline]
    fn open_unchecked(&mut self, kind: Kind, row: RowId, weight: u32) -> Token {
        let token = self.last_token.next(self.stack.len());
        self.last_token = token;
        self.stats.open(row);
        let suspended = self.suspended.ticks();
        self.stack.push(Frame::new(kind, row, weight, token, suspended));
        if let Some(frame) = self.stack.last_mut() {
            // The clock is read last, so that what was done here is not in the duration.
            frame.start = self.clock.now();
        }
        token
    }

    /// Closes the frame of a call or of a span of the guest's, which a token names.
    #[inline(always)]
    pub(crate) fn leave(&mut self, token: i32, end: End) {
        let now = self.clock.now_ordered();
        let token = Token::from_guest(token);
        match self.stack.last() {
            Some(frame) if frame.token == token && frame.kind != Kind::Host => self.close(now, end),
            _ => self.leave_deeper(token, now, end),
        }
    }

    /// Closes the frame that a token names, and first what is still open above it.
    #[cold]
    #[inline(never)]
    fn leave_deeper(&mut self, token: Token, now: Ticks, end: End) {
        let left = self.stack.get(token.depth()..).unwrap_or_default();
        // What the host opened, the host closes, and so what it stands on.
        let is_open = left.first().is_some_and(|frame| frame.token == token)
            && left.iter().all(|frame| frame.kind != Kind::Host);
        if !is_open {
            self.lost.stale_exits += 1;
            return;
        }
        if end == End::Returned && self.close_below_loose(token.depth(), now) {
            return;
        }
        while self.stack.len() > token.depth() {
            self.close(now, end);
        }
    }

    /// Closes the innermost frame.
    #[inline(always)]
    pub(crate) fn close(&mut self, now: Ticks, end: End) {
        let Some((frame, rest)) = self.stack.split_last_mut() else { return };
        let elapsed = now.since(frame.start);
        let (own, ticks) = self.bias.correct(frame, elapsed);
        if let Some(parent) = rest.last_mut() {
            parent.children += elapsed;
            parent.nested = parent.nested.wrapping_add(frame.nested.wrapping_add(1));
            parent.direct = parent.direct.wrapping_add(1);
        }
        self.stats.close(frame.row, &Timed { ticks, own, weight: frame.weight });
        // A child that was kept has numbered its parents, which must be kept too.
        let has_waited = self.suspended.ticks() != frame.suspended;
        if elapsed < self.min_ticks && frame.is_plain() && !has_waited && end == End::Returned {
            let depth = rest.len();
            self.stack.truncate(depth);
        } else {
            self.close_with_care(now, end);
        }
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
            for id in self.module.called_by(caller).filter(|id| {
                let row = self.cells.row(*id);
                row.is_none_or(|row| self.stats.caller(row) == RowId::NONE)
            }) {
                // This instance may be at its end: the next one times it.
                self.module.learn(id, 0);
                called.push(id);
            }
        }
        called
    }

    /// Gives the innermost frame what only few have.
    pub(crate) fn extra(&mut self) -> Option<&mut Extra> {
        let (frame, below) = self.stack.split_last_mut()?;
        if !frame.has_extra() {
            frame.set_has_extra();
            self.extras.push(Extra::at(below.len()));
        }
        self.extras.last_mut()
    }
}
