//! The cells of an instance, as far as the host knows of them.
//!
//! A guest counts its calls down in its cells, and the host learns of them when a cell is used up
//! or when it looks. What a cell held at that moment is *pending*: so many calls will have
//! been made when it is used up. So the number of calls is exact whenever the host has
//! looked, and a trace can begin without a change of the cells.

use std::mem;

use observe_abi::{hooks, map};
use wasmtime::{AsContextMut, Caller, Extern, Func, Memory};

use crate::module::ModuleInfo;
use crate::overhead::{Controller, MAX_PERIOD};
use crate::readers;
use crate::recorder::{Inner, Recorder, Steering};
use crate::stats::{RowId, What};

/// What the host knows of the cells of a store.
pub(crate) struct Cells {
    /// By function.
    slots: Box<[Slot]>,
    place: Place,
    /// Whether functions were called outside of traces, and so got long periods.
    idled: bool,
    /// The cells themselves, of a module that has none.
    own: Vec<u8>,
    /// Whether all cells were set to zero when the host last looked, and each was used up since
    /// by a period of 1: nothing is pending.
    taken: bool,
    /// What steers them, between two traces.
    pub(crate) controller: Option<Box<Controller>>,
}

/// What a store keeps of a function from one trace to the next.
#[derive(Clone, Copy)]
struct Slot {
    /// How many calls its cell let pass when the host last looked.
    pending: u32,
    /// Where its calls are counted in this trace, once it was met.
    row: RowId,
    /// The period that was last chosen for it, before jitter, as a power of two.
    power: u8,
    is_boundary: bool,
}

/// Where the cells are.
#[derive(Clone)]
enum Place {
    /// The instance has not called yet.
    Unknown,
    Memory(Memory),
    /// Here.
    Own,
    /// Functions that read them and set them to zero.
    Readers(Box<[Func]>),
    /// Nowhere that the host can reach, or there are none.
    Nowhere,
}

/// Which cells are set to zero, so that the next call of their functions is timed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rearm {
    None,
    /// Those that wait for longer than the function's own period.
    Late,
    All,
}

/// When the host looks, as seen from a trace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Calls up to now are not the trace's.
    Before,
    /// They are, and the guest may be amid a hook.
    During,
    /// They are, and it is not.
    After,
}

impl Cells {
    pub(crate) fn new(module: &ModuleInfo) -> Self {
        Cells {
            slots: module
                .learned()
                .enumerate()
                .map(|(id, power)| Slot {
                    pending: 0,
                    row: RowId::NONE,
                    power,
                    is_boundary: module.is_boundary(id as u32),
                })
                .collect(),
            place: Place::Unknown,
            idled: false,
            own: match module.tells_each_call {
                true => vec![0; module.functions.len() * size_of::<i32>()],
                false => Vec::new(),
            },
            taken: true,
            controller: None,
        }
    }

    /// The calls that the cell of a function has let pass, now that it is used up. `None` if
    /// there is no such function.
    pub(crate) fn take_pending(&mut self, id: u32) -> Option<u32> {
        self.slots.get_mut(id as usize).map(|slot| mem::take(&mut slot.pending))
    }

    /// The cell of a function will let pass all calls of a period but the last.
    pub(crate) fn let_pass(&mut self, id: u32, period: u32) {
        if let Some(slot) = self.slots.get_mut(id as usize) {
            slot.pending = period - 1;
            self.taken &= period == 1;
            self.idled |= period == MAX_PERIOD;
        }
    }

    /// Where the calls of a function are counted, if it was met.
    #[inline]
    pub(crate) fn row(&self, id: u32) -> Option<RowId> {
        self.slots.get(id as usize).map(|slot| slot.row).filter(|&row| row != RowId::NONE)
    }

    /// Where the calls of a function, of which there is one with this id, are counted from now on.
    pub(crate) fn set_row(&mut self, id: u32, row: RowId) {
        if let Some(slot) = self.slots.get_mut(id as usize) {
            slot.row = row;
        }
    }

    /// The power of two that a function's period is about, and whether its calls cross the
    /// boundary of the guest; of a function that there is.
    pub(crate) fn steered(&mut self, id: u32) -> (&mut u8, bool) {
        let slot = &mut self.slots[id as usize];
        (&mut slot.power, slot.is_boundary)
    }

    /// Whether nobody has looked yet where the cells are.
    #[inline]
    pub(crate) fn wants_attention(&self) -> bool {
        matches!(self.place, Place::Unknown)
    }

    /// Whether nothing is pending.
    pub(crate) fn are_taken(&self) -> bool {
        self.taken
    }

    /// Forgets an instance, so that the store can have another.
    pub(crate) fn forget(&mut self) {
        self.place = Place::Unknown;
        self.slots.iter_mut().for_each(|slot| slot.pending = 0);
        self.own.fill(0);
        self.taken = true;
    }

    /// Counts a call down in a cell that is here. Whether the cell lets it pass.
    #[inline]
    pub(crate) fn count_down(&mut self, id: u32) -> bool {
        let (cells, _) = self.own.as_chunks_mut();
        let Some(cell) = cells.get_mut(id as usize) else { return false };
        let left = u32::from_le_bytes(*cell).checked_sub(1);
        *cell = left.unwrap_or(0).to_le_bytes();
        left.is_some()
    }

    /// Has a cell that is here let pass all calls of a period but the last.
    #[inline]
    pub(crate) fn refill(&mut self, id: u32, period: i32) {
        let (cells, _) = self.own.as_chunks_mut();
        if let Some(cell) = cells.get_mut(id as usize) {
            *cell = (period - 1).to_le_bytes();
        }
    }

    /// Takes up what a cell holds. Gives how many calls it has let pass since the host last
    /// looked, and whether it is to be set to zero.
    fn look(&mut self, id: usize, left: u32, rearm: Rearm, when: When) -> (u32, bool) {
        let Some(slot) = self.slots.get_mut(id) else { return (0, false) };
        let amid = match left.cast_signed() {
            // A function that counts cells down has done so, and is in the hook. What it counts
            // further, once a trap has ended it there, are calls, too.
            below @ ..0 => Some(below.unsigned_abs()),
            // The period is stored, and the call that it begins with has not counted itself. Where
            // a trap ended it, it was told of all the same.
            _ if left > slot.pending => Some(0),
            _ => None,
        };
        if let Some(more) = amid {
            let passed = if more > 0 { mem::take(&mut slot.pending) } else { 0 };
            if when == When::During {
                return (passed, false);
            }
            // Nobody is amid a hook now, so the cell was left by a trap.
            slot.pending = 0;
            return (passed.saturating_add(more), true);
        }
        let passed = slot.pending - left;
        let is_late = || left >= 2 << slot.power;
        let zero = match rearm {
            Rearm::None => false,
            Rearm::Late => is_late(),
            Rearm::All => left > 0,
        };
        slot.pending = if zero { 0 } else { left };
        (passed, zero)
    }
}

/// Learns where the cells are, from the first call of an instance, which is one of the given
/// function.
///
/// Where calls are sampled, the other functions begin amid the periods that earlier traces of
/// the module found: if the first call of each were timed, a guest that lives for a
/// millisecond would do little else.
pub(crate) fn find<T: 'static>(
    caller: &mut Caller<'_, T>,
    recorder: impl Fn(&mut T) -> &mut Recorder,
    entering: u32,
) {
    let Some(inner) = recorder(caller.data_mut()).inner() else { return };
    if inner.module.tells_each_call {
        inner.with_own_cells(|inner, cells| inner.begin_amid_periods(cells, entering));
        inner.cells.place = Place::Own;
        return;
    }
    let (count, place) = (inner.module.functions.len(), inner.module.functions.map.cells);
    let found = match place {
        map::Cells::Memory => caller
            .get_export(hooks::CELLS_MEMORY)
            .and_then(Extern::into_memory)
            .map_or(Place::Nowhere, Place::Memory),
        map::Cells::Globals => {
            let readers = (0..count.div_ceil(hooks::CELLS_PER_READER)).map(|n| {
                let name = format!("{}{n}", hooks::CELLS_READER_PREFIX);
                caller.get_export(&name).and_then(Extern::into_func)
            });
            readers.collect::<Option<_>>().map_or(Place::Nowhere, Place::Readers)
        }
    };
    if let Place::Memory(memory) = &found {
        let (bytes, data) = memory.data_and_store_mut(&mut *caller);
        if let Some(inner) = recorder(data).inner() {
            inner.begin_amid_periods(bytes, entering);
        }
    }
    if let Some(inner) = recorder(caller.data_mut()).inner() {
        inner.cells.place = found;
    }
}

/// Looks at the cells of a store: calls up to now are counted, or left out.
///
/// Cells in globals are read by a call of the guest; where it does not return they are as they
/// were.
pub(crate) fn look<S: AsContextMut>(
    store: &mut S,
    recorder: impl Fn(&mut S::Data) -> &mut Recorder,
    rearm: Rearm,
    when: When,
) {
    let mut first = 0;
    for reader in look_at_memory(store, &recorder, rearm, when) {
        let Some(left) = readers::read(store, &reader) else { return };
        first += take_read(store, &recorder, first, &left, when);
    }
    have_looked(store, &recorder, rearm);
}

/// The same where the store may be one that takes asynchronous calls only.
pub(crate) async fn look_async<S>(
    store: &mut S,
    recorder: impl Fn(&mut S::Data) -> &mut Recorder,
    rearm: Rearm,
    when: When,
) where
    S: AsContextMut<Data: Send>,
{
    let mut first = 0;
    for reader in look_at_memory(store, &recorder, rearm, when) {
        let Some(left) = readers::read_async(store, &reader).await else { return };
        first += take_read(store, &recorder, first, &left, when);
    }
    have_looked(store, &recorder, rearm);
}

/// Looks at cells that are in a memory; of others, gives what is to be called.
fn look_at_memory<S: AsContextMut>(
    store: &mut S,
    recorder: impl Fn(&mut S::Data) -> &mut Recorder,
    rearm: Rearm,
    when: When,
) -> Box<[Func]> {
    let mut context = store.as_context_mut();
    let Some(inner) = recorder(context.data_mut()).inner() else { return Box::default() };
    match &inner.cells.place {
        Place::Unknown | Place::Nowhere => Box::default(),
        &Place::Memory(memory) => {
            let (bytes, data) = memory.data_and_store_mut(context);
            let Some(inner) = recorder(data).inner() else { return Box::default() };
            inner.look_at_all(bytes, rearm, when);
            Box::default()
        }
        Place::Own => {
            inner.with_own_cells(|inner, cells| inner.look_at_all(cells, rearm, when));
            Box::default()
        }
        Place::Readers(readers) => readers.clone(),
    }
}

/// Takes up what a reader gave, of cells from the given one on, and gives how many.
fn take_read<S: AsContextMut>(
    store: &mut S,
    recorder: impl Fn(&mut S::Data) -> &mut Recorder,
    first: usize,
    left: &[u32],
    when: When,
) -> usize {
    if let Some(inner) = recorder(store.as_context_mut().data_mut()).inner() {
        for (at, &left) in left.iter().enumerate() {
            inner.look(first + at, left, Rearm::All, when);
            // They are all zero now.
            let _ = inner.cells.take_pending((first + at) as u32);
        }
    }
    left.len()
}

/// All cells were looked at.
fn have_looked<S: AsContextMut>(
    store: &mut S,
    recorder: impl Fn(&mut S::Data) -> &mut Recorder,
    rearm: Rearm,
) {
    if let Some(inner) = recorder(store.as_context_mut().data_mut()).inner() {
        inner.cells.idled &= rearm == Rearm::None;
        inner.cells.taken = inner.cells.slots.iter().all(|slot| slot.pending == 0);
    }
}

/// Sets the cells of some functions to zero, so that their next calls are timed.
pub(crate) fn rearm<S: AsContextMut>(
    store: &mut S,
    recorder: impl Fn(&mut S::Data) -> &mut Recorder,
    functions: &[u32],
) {
    let place = match recorder(store.as_context_mut().data_mut()).inner() {
        Some(inner) => inner.cells.place.clone(),
        None => return,
    };
    match place {
        Place::Unknown | Place::Nowhere => {}
        Place::Memory(memory) => {
            let (bytes, data) = memory.data_and_store_mut(store);
            let Some(inner) = recorder(data).inner() else { return };
            inner.rearm(bytes, functions);
        }
        Place::Own => {
            if let Some(inner) = recorder(store.as_context_mut().data_mut()).inner() {
                inner.with_own_cells(|inner, cells| inner.rearm(cells, functions));
            }
        }
        // These set all to zero, or none.
        Place::Readers(_) if functions.is_empty() => {}
        Place::Readers(_) => look(store, recorder, Rearm::All, When::During),
    }
}

impl Inner {
    /// Sets the cells of a new instance, all of which are zero, but for that of a function.
    fn begin_amid_periods(&mut self, cells: &mut [u8], entering: u32) {
        let Steering::Budget(controller) = &mut self.steering else { return };
        self.cells.taken = false;
        let (cells, _) = cells.as_chunks_mut();
        for (id, (cell, slot)) in cells.iter_mut().zip(&mut self.cells.slots).enumerate() {
            if slot.power > 0 && id as u32 != entering && !slot.is_boundary {
                slot.pending = controller.below(1 << slot.power);
                *cell = slot.pending.to_le_bytes();
            }
        }
    }

    /// Does something with the cells that are here.
    fn with_own_cells(&mut self, work: impl FnOnce(&mut Inner, &mut [u8])) {
        let mut cells = mem::take(&mut self.cells.own);
        work(self, &mut cells);
        self.cells.own = cells;
    }

    fn look_at_all(&mut self, cells: &mut [u8], rearm: Rearm, when: When) {
        let (cells, _) = cells.as_chunks_mut();
        for (id, cell) in cells.iter_mut().take(self.module.functions.len()).enumerate() {
            if self.look(id, u32::from_le_bytes(*cell), rearm, when) {
                *cell = [0; 4];
            }
        }
    }

    fn rearm(&mut self, cells: &mut [u8], functions: &[u32]) {
        let (cells, _) = cells.as_chunks_mut();
        for &id in functions {
            if let Some(cell) = cells.get_mut(id as usize)
                && self.look(id as usize, u32::from_le_bytes(*cell), Rearm::All, When::During)
            {
                *cell = [0; 4];
            }
        }
    }

    /// Takes up what a cell holds, and says whether it is to be set to zero.
    fn look(&mut self, id: usize, left: u32, rearm: Rearm, when: When) -> bool {
        let (passed, zero) = self.cells.look(id, left, rearm, when);
        if passed > 0 && when != When::Before {
            let row = self.row_of(id as u32);
            self.stats.count(row, u64::from(passed));
        }
        zero
    }

    /// Where the calls of a function, of which there is one with this id, are counted.
    pub(crate) fn row_of(&mut self, id: u32) -> RowId {
        self.cells.row(id).unwrap_or_else(|| {
            let row = self.stats.meet(What::Function(id));
            self.cells.set_row(id, row);
            row
        })
    }

    /// What is to be done with the cells when a trace begins.
    pub(crate) fn rearm_at_start(&self) -> Rearm {
        match (self.times_all(), self.cells.idled) {
            (true, _) => Rearm::All,
            (false, true) => Rearm::Late,
            (false, false) => Rearm::None,
        }
    }
}
