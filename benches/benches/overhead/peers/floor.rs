//! The least that timing each call can cost: our hooks, as an empty host provides them.
//!
//! Of two crossings and two readings of the clock none can be left out. What a recorder
//! takes beyond that is its own.

use observe_abi::hooks;
use observe_benches::{Done, Result};
use observe_host::ObservedModule;
use wasmtime::{Caller, Linker, Store};

use crate::contender::{self, Contender, Observer, Seen, State, Work};

/// The answer of `enter`: time the next call, too, and hand this token to `exit`.
const TIMED: (i32, i32) = (1, -1);

/// What the hooks keep: enough that no reading can be left out.
#[derive(Default)]
pub struct Readings {
    start: u64,
    sum: u64,
    calls: u64,
}

/// Two contenders with the module given: hooks that only read the clock, and hooks that do
/// nothing at all.
pub fn contenders(prefix: &str, observed: &ObservedModule) -> Result<[Contender; 2]> {
    let module = observed.module();
    let mut linker = contender::linker(module.engine())?;
    linker.func_wrap(hooks::MODULE, hooks::ENTER, |mut caller: Caller<'_, State>, _: u32| {
        caller.data_mut().readings.start = now();
        TIMED
    })?;
    let exit = |mut caller: Caller<'_, State>, _: i32| {
        let now = now_ordered();
        let readings = &mut caller.data_mut().readings;
        readings.sum = readings.sum.wrapping_add(now.wrapping_sub(readings.start));
        readings.calls += 1;
    };
    linker.func_wrap(hooks::MODULE, hooks::EXIT, exit)?;
    linker.func_wrap(hooks::MODULE, hooks::UNWIND, exit)?;
    add_growth(&mut linker)?;
    let name = format!("{prefix}hooks that only read the clock");
    let clock = Contender::new(name, module, &linker, Clock)?;

    let mut linker = contender::linker(module.engine())?;
    linker.func_wrap(hooks::MODULE, hooks::ENTER, |_: Caller<'_, State>, _: u32| TIMED)?;
    linker.func_wrap(hooks::MODULE, hooks::EXIT, |_: Caller<'_, State>, _: i32| {})?;
    linker.func_wrap(hooks::MODULE, hooks::UNWIND, |_: Caller<'_, State>, _: i32| {})?;
    add_growth(&mut linker)?;
    let name = format!("{prefix}hooks that do nothing");
    Ok([clock, Contender::new(name, module, &linker, Nothing)?])
}

fn add_growth(linker: &mut Linker<State>) -> Result<()> {
    for hook in [hooks::MEMORY_GROW, hooks::TABLE_GROW] {
        linker.func_wrap(hooks::MODULE, hook, |_: u32, _: u32, _: i64| {})?;
    }
    Ok(())
}

struct Clock;

impl Observer for Clock {
    fn observe(&self, store: &mut Store<State>, work: &Work<'_>) -> Result<(Done, Seen)> {
        let done = work.run(store)?;
        let Readings { sum, calls, .. } = store.data().readings;
        std::hint::black_box(sum);
        Ok((done, Seen::Calls { made: calls, timed: calls }))
    }
}

struct Nothing;

impl Observer for Nothing {
    fn observe(&self, store: &mut Store<State>, work: &Work<'_>) -> Result<(Done, Seen)> {
        Ok((work.run(store)?, Seen::CallsAsBefore))
    }
}

/// The clock as it is read at the start of what is to be timed.
#[cfg(target_arch = "x86_64")]
pub fn now() -> u64 {
    // SAFETY: x86-64 has the instruction, and it has no other effect.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// The clock as it is read at the end of what was timed.
#[cfg(target_arch = "x86_64")]
pub fn now_ordered() -> u64 {
    // SAFETY: SSE2 is part of x86-64; the fence has no other effect.
    unsafe { std::arch::x86_64::_mm_lfence() };
    now()
}

/// The clock of machines without a cheaper one.
#[cfg(not(target_arch = "x86_64"))]
pub fn now() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// The clock of machines without a cheaper one.
#[cfg(not(target_arch = "x86_64"))]
pub fn now_ordered() -> u64 {
    now()
}
