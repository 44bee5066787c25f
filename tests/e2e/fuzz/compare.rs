//! One module, unchanged and instrumented, side by side.

use std::collections::HashSet;
use std::sync::Arc;

use observe_abi::map::Cells;
use observe_instrumenter::{Exceptions, Module, Plan, Selection, remove};
use wasmparser::{Validator, WasmFeatures};
use wasmtime::{Engine, Extern};

use super::guest::{Guest, Outcome};
use super::tally::Tally;
use super::values::{see, see_element};
use crate::hooks::{End, Way};
use crate::same::same;

/// What a call of the unchanged module may take.
const FUEL: u64 = 20_000;

/// What the instrumented one may take: so many times the fuel, and a constant.
///
/// At the most 10.4 times was measured for what is generated, and 8.9 times for calls of a
/// function that does nothing (`tests/fuzz/empty_functions.wat`).
const FUEL_FACTOR: u64 = 20;
pub(super) const FUEL_MORE: u64 = 100;
const MORE_FUEL: u64 = FUEL * FUEL_FACTOR + FUEL_MORE;

/// How many times each export is called.
const ROUNDS: u64 = 3;

/// The ways to instrument each module; all calls are counted in the first two.
fn ways() -> Vec<Way> {
    let way = |name, selection, cells, every_call| Way {
        name,
        selection,
        cells,
        compact: false,
        every_call,
    };
    let compact = |way| Way { compact: true, ..way };
    let odd = Selection::all().exclude("[02468]\\b").expect("a pattern");
    vec![
        way("all functions, every call timed", Selection::all(), Cells::Globals, true),
        way("all functions, some calls timed", Selection::all(), Cells::Memory, false),
        compact(way("exported functions, compact", Selection::exports(), Cells::Memory, true)),
        compact(way("all functions, compact", Selection::all(), Cells::Memory, false)),
        way("the default", Selection::default(), Cells::Globals, false),
        way("functions of odd names", odd, Cells::Globals, true),
    ]
}

/// A module instrumented in some way.
struct Variant<'w> {
    way: &'w Way,
    /// Whether each exception that leaves a function comes by its hooks.
    unwinds: bool,
    /// Whether the hooks learn of every call.
    complete: bool,
    module: wasmtime::Module,
}

/// The same under way.
struct Side<'v> {
    variant: &'v Variant<'v>,
    guest: Guest,
}

/// What there is to call: each export, some times over.
type Calls<'c> = dyn Iterator<Item = (u64, usize)> + 'c;

/// Compares a module with itself, instrumented in each way.
///
/// `Err` says what differs; what no host can run is counted and no more.
pub(super) fn compare(
    engine: &Engine,
    wasm: &[u8],
    seed: u64,
    tally: &mut Tally,
) -> Result<(), String> {
    let Ok(unchanged) = wasmtime::Module::new(engine, wasm) else {
        tally.refused += 1;
        return Ok(());
    };
    let exports = unchanged.exports().map(|export| export.name().to_owned()).collect();
    let ways = ways();
    let mut variants = Vec::new();
    for way in &ways {
        let failed = |what: String| format!("{}: {what}", way.name);
        let (plan, wasm) = instrument(way, wasm).map_err(failed)?;
        let module = wasmtime::Module::new(engine, wasm);
        let module = module.map_err(|error| failed(format!("cannot be compiled: {error:#}")))?;
        variants.push(Variant {
            way,
            unwinds: plan.exceptions != Exceptions::None,
            complete: way.every_call && plan.hooked().count() == plan.functions.len(),
            module,
        });
    }
    let fleet = Fleet { engine, unchanged, exports, variants };
    let count = fleet.exports.len();
    let mut calls = (0..ROUNDS).flat_map(|round| (0..count).map(move |export| (round, export)));
    let mut met_limits = HashSet::new();
    // Where a call met a limit, all begin again with the next, and leave that export alone.
    loop {
        let mut left = calls.by_ref().filter(|(_, export)| !met_limits.contains(export));
        match fleet.run(&mut left, seed, tally)? {
            Some(export) => met_limits.insert(export),
            None => return Ok(()),
        };
    }
}

/// A module, and what became of it.
struct Fleet<'w> {
    engine: &'w Engine,
    unchanged: wasmtime::Module,
    exports: Arc<[String]>,
    variants: Vec<Variant<'w>>,
}

impl Fleet<'_> {
    /// Makes calls until there are none left, or one meets a limit: the export that did.
    fn run(
        &self,
        calls: &mut Calls<'_>,
        seed: u64,
        tally: &mut Tally,
    ) -> Result<Option<usize>, String> {
        let exports = &self.exports;
        let Ok((mut original, started)) =
            Guest::new(self.engine, &self.unchanged, Arc::clone(exports), true, FUEL)
        else {
            tally.refused += 1;
            return Ok(None);
        };
        tally.started(original.instance.is_some());
        let mut sides = Vec::new();
        for variant in &self.variants {
            let way = variant.way;
            let failed = |what: String| format!("{}: {what}", way.name);
            let guest = Guest::new(
                self.engine,
                &variant.module,
                Arc::clone(exports),
                way.every_call,
                MORE_FUEL,
            );
            let (guest, outcome) =
                guest.map_err(|error| failed(format!("cannot be linked: {error:#}")))?;
            let mut side = Side { variant, guest };
            if !side.agrees(&mut original, &started, &outcome, tally).map_err(failed)? {
                return Ok(None);
            }
            sides.push(side);
        }
        if original.instance.is_some() {
            for (round, export) in calls {
                let Some(Extern::Func(func)) = original.export(export) else { continue };
                let seed = seed ^ (round << 32) ^ ((export as u64) << 40);
                let Some(outcome) = original.call(func, seed, FUEL) else { continue };
                tally.note(&outcome, original.store.data().host_calls.len());
                for side in &mut sides {
                    let name = side.variant.way.name;
                    let failed =
                        |what: String| format!("{name}: call {round} of export {export}: {what}");
                    let Some(Extern::Func(func)) = side.guest.export(export) else {
                        return Err(failed("it is no longer there".to_owned()));
                    };
                    let after = side.guest.call(func, seed, MORE_FUEL);
                    let after = after.ok_or_else(|| failed("its type has changed".to_owned()))?;
                    if !side.agrees(&mut original, &outcome, &after, tally).map_err(failed)? {
                        return Ok(Some(export));
                    }
                }
            }
        }
        check_counts(&mut sides)?;
        for side in &sides {
            let balance = side.guest.balance();
            tally.entered += balance.entered;
            tally.unwound += balance.unwound;
        }
        Ok(None)
    }
}

impl Side<'_> {
    /// Whether the same came of the same on both sides; `false` where one met a limit, and
    /// nothing can be said of what follows.
    fn agrees(
        &mut self,
        original: &mut Guest,
        before: &Outcome,
        after: &Outcome,
        tally: &mut Tally,
    ) -> Result<bool, String> {
        if let Outcome::Exhausted(_) = before {
            return Ok(false);
        }
        if let Outcome::Exhausted(why) = after {
            // Frames are larger, so that there is room for fewer of them.
            if why.contains("call stack exhausted") {
                return Ok(false);
            }
            return Err(format!("{before:?} has become: {why}"));
        }
        if before != after {
            return Err(format!("{before:?} has become {after:?}"));
        }
        let calls = (&original.store.data().host_calls, &self.guest.store.data().host_calls);
        if calls.0 != calls.1 {
            return Err(format!("calls of the host {:?} have become {:?}", calls.0, calls.1));
        }
        same_state(original, &mut self.guest)?;
        self.check_hooks(after)?;
        if let Outcome::Returned(_) = after {
            let (before, after) = (FUEL - original.fuel(), MORE_FUEL - self.guest.fuel());
            tally.fuel(before, after);
            if after > before * FUEL_FACTOR + FUEL_MORE {
                return Err(format!("{before} units of fuel have become {after}"));
            }
        }
        Ok(true)
    }

    /// Whether each timed entry was followed by its end, in order.
    fn check_hooks(&mut self, outcome: &Outcome) -> Result<(), String> {
        let mut balance = self.guest.balance();
        if balance.unbalanced > 0 {
            return Err("an end is not that of the innermost open call".to_owned());
        }
        let end = match outcome {
            Outcome::Returned(_) => Some(End::Returned),
            Outcome::Thrown { .. } if self.variant.unwinds => Some(End::Unwound),
            _ => None,
        };
        if end.is_some() {
            if !balance.open.is_empty() {
                return Err(format!("{} calls have no end", balance.open.len()));
            }
            let told = balance.outermost;
            if self.variant.complete && told.is_some() && told != end {
                return Err(format!("{outcome:?}, but the hooks say {told:?}"));
            }
        }
        balance.open.clear();
        Ok(())
    }
}

/// Instruments a module and checks what needs no engine.
fn instrument(way: &Way, wasm: &[u8]) -> Result<(Plan, Vec<u8>), String> {
    let module = Module::parse(wasm).map_err(|error| error.to_string())?;
    let (plan, instrumented) = way.instrument(&module)?;
    Validator::new_with_features(WasmFeatures::all())
        .validate_all(&instrumented)
        .map_err(|error| format!("no longer valid: {error}"))?;
    let again = Module::parse(wasm).map_err(|error| error.to_string())?;
    let (plan_again, wasm_again) = way.instrument(&again)?;
    if format!("{plan:?}") != format!("{plan_again:?}") || instrumented != wasm_again {
        return Err("not the same a second time".to_owned());
    }
    let hooks = plan.hooked().chain(plan.hooked_imports()).count();
    if hooks == 0 && instrumented != wasm {
        return Err("an empty plan changes the module".to_owned());
    }
    if hooks > 0 {
        let restored = remove(&instrumented).map_err(|error| error.to_string())?.wasm;
        same(wasm, &restored).map_err(|what| format!("its hooks taken out: {what}"))?;
        if restored.len() > wasm.len() {
            return Err("it is larger when its hooks are taken out".to_owned());
        }
    }
    let nothing = Selection::all().exclude("").expect("a pattern");
    let unchanged = Plan::new(&module, &nothing).apply(&module).map_err(|e| e.to_string())?;
    if unchanged.wasm != wasm {
        return Err("a plan that hooks nothing changes the module".to_owned());
    }
    Ok((plan, instrumented))
}

/// Compares what two guests export: memories, tables and globals.
fn same_state(a: &mut Guest, b: &mut Guest) -> Result<(), String> {
    let (Some(_), Some(_)) = (a.instance, b.instance) else { return Ok(()) };
    for n in 0.. {
        let Some((before, after)) = a.exports_at(n, b) else { break };
        let same = match (before, after) {
            (Extern::Memory(before), Extern::Memory(after)) => {
                before.data(&a.store) == after.data(&b.store)
            }
            (Extern::SharedMemory(before), Extern::SharedMemory(after)) => {
                let read = |memory: &wasmtime::SharedMemory| -> Vec<u8> {
                    // SAFETY: no guest of these tests starts a thread, so nobody writes.
                    memory.data().iter().map(|byte| unsafe { *byte.get() }).collect()
                };
                read(&before) == read(&after)
            }
            (Extern::Global(before), Extern::Global(after)) => {
                let (before, after) = (before.get(&mut a.store), after.get(&mut b.store));
                see(&mut a.store, &before) == see(&mut b.store, &after)
            }
            (Extern::Table(before), Extern::Table(after)) => {
                let sizes = (before.size(&a.store), after.size(&b.store));
                sizes.0 == sizes.1
                    && (0..sizes.0).all(|at| {
                        let before = before.get(&mut a.store, at).expect("it is this long");
                        let after = after.get(&mut b.store, at).expect("it is this long");
                        see_element(&mut a.store, before) == see_element(&mut b.store, after)
                    })
            }
            (Extern::Func(_), Extern::Func(_)) | (Extern::Tag(_), Extern::Tag(_)) => true,
            _ => false,
        };
        if !same {
            return Err(format!("export {n} is not the same"));
        }
    }
    Ok(())
}

/// Compares how often functions were called by what the hooks tell of every call, and of
/// some.
fn check_counts(sides: &mut [Side<'_>]) -> Result<(), String> {
    let [every, some, ..] = sides else { return Ok(()) };
    let (Some(every), Some(some)) = (every.guest.calls(), some.guest.calls()) else {
        return Ok(());
    };
    // A memory of cells is longer than what is in it.
    match every.iter().zip(&some).position(|(every, some)| every != some) {
        None => Ok(()),
        Some(id) => Err(format!("{} calls of id {id} have become {}", every[id], some[id])),
    }
}
