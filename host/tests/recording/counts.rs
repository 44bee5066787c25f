//! Numbers of calls are exact, whatever is timed, whenever that changes, and however short the
//! traces are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use observe_host::{Lost, ObservedModule, Overhead, Report, TraceContext, TraceOptions};
use observe_instrumenter::{Cells, Selection};
use wasmtime::{
    Caller, Config, Engine, Instance, InstanceAllocationStrategy, InstancePre, Store,
    UpdateDeadline,
};

use crate::guest::{State, assemble, observer, row};
use crate::host::{Host, call};

/// Functions that are called a known number of times.
const COUNTED: &str = r#"(module
    (import "host" "change" (func $change))
    (import "host" "back" (func $back))
    (func $leaf)
    (func $twice (call $leaf) (call $leaf))
    (func $down (param i32)
      (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))) (call $leaf))))
    (func $repeat (param i32)
      (loop $l
        (call $twice)
        (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
    (func (export "few") (call $twice))
    (func (export "some") (call $repeat (i32.const 100)))
    (func (export "many") (call $repeat (i32.const 3000)))
    (func (export "deep") (call $down (i32.const 50)))
    (func $new)
    (func (export "changes")
      (call $repeat (i32.const 50)) (call $change) (call $new) (call $repeat (i32.const 50)))
    (func (export "back") (call $leaf) (call $back) (call $leaf)))"#;

/// What each export calls, itself included.
const CALLS: [(&str, &[(&str, u64)]); 6] = [
    ("few", &[("few", 1), ("twice", 1), ("leaf", 2)]),
    ("some", &[("some", 1), ("repeat", 1), ("twice", 100), ("leaf", 200)]),
    ("many", &[("many", 1), ("repeat", 1), ("twice", 3000), ("leaf", 6000)]),
    ("deep", &[("deep", 1), ("down", 51), ("leaf", 50)]),
    (
        "changes",
        &[
            ("changes", 1),
            ("repeat", 2),
            ("host.change", 1),
            ("new", 1),
            ("twice", 100),
            ("leaf", 200),
        ],
    ),
    ("back", &[("back", 1), ("host.back", 1), ("leaf", 4), ("few", 1), ("twice", 1)]),
];

/// Numbers that follow from a seed (Marsaglia, Xorshift RNGs, 2003).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // Seeds that differ by little begin far apart; 0 would stay 0.
        Random(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % limit
    }

    pub(crate) fn one_of<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

fn overhead(random: &mut Random) -> Overhead {
    let choices = [Overhead::all(), Overhead::off(), Overhead::budget(5.0), Overhead::budget(0.01)];
    *random.one_of(&choices)
}

/// A host whose function changes what observing may cost.
fn host(config: &Config, seed: u64) -> Host {
    let mut host = Host::new(config, observer().overhead(Overhead::budget(5.0)));
    let (observer, random) = (host.observer.clone(), Mutex::new(Random::new(seed)));
    host.linker
        .func_wrap("host", "change", move || {
            observer.set_overhead(overhead(&mut random.lock().expect("whole")));
        })
        .expect("not there yet")
        .func_wrap("host", "back", |mut caller: Caller<'_, State>| {
            crate::host::call_back(&mut caller, "few")
        })
        .expect("not there yet");
    host
}

struct Model {
    store: Store<State>,
    instance: Instance,
    /// What the trace has called.
    expected: BTreeMap<&'static str, u64>,
}

impl Model {
    fn call(&mut self, export: &'static str, calls: &[(&'static str, u64)]) {
        call(&mut self.store, self.instance, export).expect("it returns");
        for (name, count) in calls {
            *self.expected.entry(name).or_default() += count;
        }
    }
}

/// Does random things with stores of a module, and compares what each trace counts.
fn check(host: &Host, module: &ObservedModule, linked: &InstancePre<State>, seed: u64) {
    let mut random = Random::new(seed);
    let new = || {
        let mut store = host.store(module);
        let instance = linked.instantiate(&mut store).expect("it links");
        Model { store, instance, expected: BTreeMap::new() }
    };
    let mut model = new();
    for step in 0..40 {
        match random.below(8) {
            // Calls that nobody counts.
            0 => {
                let (export, calls) = *random.one_of(&CALLS);
                model.call(export, calls);
                continue;
            }
            1 => model = new(),
            2 => host.observer.set_overhead(overhead(&mut random)),
            _ => {}
        }
        model.expected.clear();
        let mut options = TraceOptions::new("root");
        let own = match random.below(3) {
            0 => None,
            _ => Some(overhead(&mut random)),
        };
        if let Some(own) = own {
            options = options.overhead(own);
        }
        let traced = host.tracer.trace(&mut model, options, |model| {
            for _ in 0..random.below(6) {
                match random.below(8) {
                    0 => host.observer.set_overhead(overhead(&mut random)),
                    1 => model.instance = host.tracer.instantiate(&mut model.store, linked)?,
                    _ => {
                        let (export, calls) = *random.one_of(&CALLS);
                        model.call(export, calls);
                    }
                }
            }
            Ok(())
        });
        let report = traced.report.expect("a trace of its own");
        let counted = report.functions.iter().map(|row| (row.name.as_str(), row.calls));
        let counted: BTreeMap<_, _> = counted.collect();
        assert_eq!(counted, model.expected, "seed {seed}, step {step}, {own:?}");
        assert_eq!(report.lost, Lost::default(), "seed {seed}, step {step}");
        if own == Some(Overhead::all()) {
            let all = report.functions.iter().all(|row| row.timed_calls == row.calls);
            assert!(all, "seed {seed}, step {step}: {report:?}");
        }
    }
}

impl wasmtime::AsContext for Model {
    type Data = State;

    fn as_context(&self) -> wasmtime::StoreContext<'_, State> {
        self.store.as_context()
    }
}

impl wasmtime::AsContextMut for Model {
    fn as_context_mut(&mut self) -> wasmtime::StoreContextMut<'_, State> {
        self.store.as_context_mut()
    }
}

#[test]
fn counts_agree_with_a_model_whatever_happens() {
    for cells in [Cells::Memory, Cells::Globals] {
        for group in 0..8 {
            let host = host(&Config::new(), group);
            let module = host.module(COUNTED, cells);
            let linked = host.linked(&module);
            for seed in 0..15 {
                check(&host, &module, &linked, 1000 * group + seed);
            }
        }
    }
}

#[test]
fn counts_are_exact_with_the_pooling_allocator_as_it_comes() {
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::pooling());
    let host = host(&config, 7);
    let wat = COUNTED.replacen("(func $leaf)", "(memory 1) (func $leaf)", 1);
    let module = ObservedModule::new(&host.engine, &assemble(&wat), &Selection::all());
    let module = module.expect("it can be observed");
    let linked = host.linked(&module);
    for seed in 0..15 {
        check(&host, &module, &linked, seed);
    }
}

#[test]
fn a_change_from_another_thread_keeps_counts_exact() {
    for cells in [Cells::Memory, Cells::Globals] {
        let host = host(&Config::new(), 7);
        let (mut store, instance) = host.guest(COUNTED, cells);
        let (observer, done) = (host.observer.clone(), Arc::new(AtomicU32::new(0)));
        let is_done = Arc::clone(&done);
        let changes = thread::spawn(move || {
            let mut random = Random::new(7);
            while is_done.load(Ordering::Relaxed) == 0 {
                observer.set_overhead(overhead(&mut random));
                thread::yield_now();
            }
        });
        for _ in 0..200 {
            let traced = host.tracer.trace(&mut store, TraceOptions::new("root"), |store| {
                call(store, instance, "many")
            });
            let report = traced.report.expect("a trace of its own");
            let counts = ["many", "repeat", "twice", "leaf"].map(|name| row(&report, name).calls);
            assert_eq!(counts, [1, 1, 3000, 6000], "{cells:?}");
        }
        done.store(1, Ordering::Relaxed);
        changes.join().expect("no panic");
    }
}

#[test]
fn a_change_takes_hold_in_the_trace_that_runs() {
    let mut host = Host::new(&Config::new(), observer().overhead(Overhead::budget(0.01)));
    let observer = host.observer.clone();
    host.linker
        .func_wrap("host", "change", move || observer.set_overhead(Overhead::all()))
        .expect("not there yet")
        .func_wrap("host", "back", || {})
        .expect("not there yet");
    for cells in [Cells::Memory, Cells::Globals] {
        host.observer.set_overhead(Overhead::budget(0.01));
        let (mut store, instance) = host.guest(COUNTED, cells);
        let mut trace = |options| {
            let traced =
                host.tracer.trace(&mut store, options, |store| call(store, instance, "changes"));
            traced.report.expect("a trace of its own")
        };
        let report = trace(TraceOptions::new("root"));
        // All of the second half: the call between them was the first of its function, so the host
        // was told.
        let timed = row(&report, "twice").timed_calls;
        assert!((50..100).contains(&timed), "{cells:?}: {timed}");
        assert_eq!(row(&report, "twice").self_nanos, None, "not all of them were timed");
        // A trace with an overhead of its own goes by that.
        let own = TraceOptions::new("root").overhead(Overhead::off());
        assert_eq!(row(&trace(own), "twice").timed_calls, 0);
    }
}

#[test]
fn traces_that_somebody_samples_are_whole() {
    let observer = observer().overhead(Overhead::off()).when_sampled(Overhead::all());
    let mut host = Host::new(&Config::new(), observer);
    host.linker
        .func_wrap("host", "change", || {})
        .expect("not there yet")
        .func_wrap("host", "back", || {})
        .expect("not there yet");
    let (mut store, instance) = host.guest(COUNTED, Cells::Memory);
    let mut trace = |options: TraceOptions| -> Report {
        let options = options.min_duration(Duration::ZERO);
        let traced = host.tracer.trace(&mut store, options, |store| call(store, instance, "some"));
        traced.report.expect("a trace of its own")
    };
    let parent: TraceContext =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("it is one");
    let unsampled = TraceContext { sampled: false, ..parent };
    for (options, timed, sent) in [
        (TraceOptions::new("root"), 0, 1),
        (TraceOptions::new("root").parent(parent), 302, 303),
        (TraceOptions::new("root").parent(unsampled), 0, 0),
        (TraceOptions::new("root").parent(parent).overhead(Overhead::off()), 0, 1),
        (TraceOptions::new("root").parent(unsampled).overhead(Overhead::all()), 302, 0),
    ] {
        let report = trace(options);
        let sum: u64 = report.functions.iter().map(|row| row.timed_calls).sum();
        assert_eq!((sum, host.arrived().spans().len()), (timed, sent));
        assert_eq!(row(&report, "leaf").calls, 200);
    }
}

#[test]
fn a_trap_amid_a_hook_leaves_no_function_uncounted() {
    let wat = r#"(module
        (func $leaf)
        (func (export "go") (param i32)
          (loop $l
            (call $leaf)
            (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"#;
    for cells in [Cells::Memory, Cells::Globals] {
        let host = Host::new(Config::new().consume_fuel(true), observer());
        let module = host.module(wat, cells);
        let mut store = host.store(&module);
        store.set_fuel(u64::MAX).expect("it counts");
        let instance = host.linked(&module).instantiate(&mut store).expect("it links");
        let mut trace = |overhead, fuel, calls| {
            store.set_fuel(fuel).expect("it counts");
            let options = TraceOptions::new("root").overhead(overhead);
            let traced = host.tracer.trace(&mut store, options, |store| {
                instance.get_typed_func::<u32, ()>(&mut *store, "go")?.call(store, calls)
            });
            (traced.result, traced.report.expect("a trace of its own"))
        };
        // It runs out at each place that there is.
        for fuel in 300..400 {
            let (result, _) = trace(Overhead::all(), fuel, 1000);
            assert!(result.is_err(), "{fuel}");
            let (result, report) = trace(Overhead::budget(1.0), 1 << 30, 10);
            result.expect("it has enough");
            let counts = ["go", "leaf"].map(|name| row(&report, name).calls);
            assert_eq!(counts, [1, 10], "{cells:?} after {fuel}");
        }
    }
}

/// A function that is called often, and can be told to take some tens of milliseconds, or to tell
/// the host and go on.
const SOMETIMES_SLOW: &str = r#"(module
    (import "host" "tick" (func $tick))
    (func $works (param $spins i32)
      (if (i32.eq (local.get $spins) (i32.const 1)) (then (call $tick)))
      (if (local.get $spins) (then
        (loop $l
          (br_if $l (local.tee $spins (i32.sub (local.get $spins) (i32.const 1))))))))
    (func (export "go") (param $calls i32) (param $spins i32)
      (loop $l
        (call $works (local.get $spins))
        (br_if $l (local.tee $calls (i32.sub (local.get $calls) (i32.const 1)))))))"#;

const SLOWLY: u32 = 50_000_000;

/// How many calls of the two functions were timed in a trace of some calls.
fn timed(host: &Host, store: &mut Store<State>, instance: Instance, calls: (u32, u32)) -> Report {
    let traced = host.tracer.trace(store, TraceOptions::new("root"), |store| {
        let go = instance.get_typed_func::<(u32, u32), ()>(&mut *store, "go")?;
        go.call(store, calls)
    });
    traced.report.expect("a trace of its own")
}

#[test]
fn a_slow_call_that_was_not_timed_is_timed_the_next_time() {
    for is_new in [false, true] {
        let mut host = Host::new(&Config::new(), observer().overhead(Overhead::budget(1.0)));
        host.linker.func_wrap("host", "tick", || {}).expect("not there yet");
        let module = host.module(SOMETIMES_SLOW, Cells::Memory);
        let linked = host.linked(&module);
        let guest = || {
            let mut store = host.store(&module);
            let instance = linked.instantiate(&mut store).expect("it links");
            (store, instance)
        };
        // By chance it is its turn, or its caller's is not.
        let missed = (0..100).find_map(|_| {
            let (mut store, instance) = guest();
            timed(&host, &mut store, instance, (200_000, 0));
            let (mut store, instance) = if is_new { guest() } else { (store, instance) };
            let report = timed(&host, &mut store, instance, (1, SLOWLY));
            let timed = ["go", "works"].map(|name| row(&report, name).timed_calls);
            (timed == [1, 0]).then_some((store, instance))
        });
        let (mut store, mut instance) = missed.expect("most are not timed");
        if is_new {
            (store, instance) = guest();
        }
        let report = timed(&host, &mut store, instance, (1, SLOWLY));
        assert_eq!(row(&report, "works").timed_calls, 1, "in a new store: {is_new}");
    }
}

#[test]
fn a_sample_tells_the_stack_and_has_it_timed() {
    for cells in [Cells::Memory, Cells::Globals] {
        let observer = observer().overhead(Overhead::budget(1.0));
        let mut host = Host::new(Config::new().epoch_interruption(true), observer);
        let engine: Engine = host.engine.clone();
        host.linker
            .func_wrap("host", "tick", move || engine.increment_epoch())
            .expect("not there yet");
        let module = host.module(SOMETIMES_SLOW, cells);
        let mut store = host.store(&module);
        let tracer = host.tracer.clone();
        store.epoch_deadline_callback(move |mut context| {
            tracer.sample(&mut context);
            Ok(UpdateDeadline::Continue(1))
        });
        store.set_epoch_deadline(1);
        let instance = host.linked(&module).instantiate(&mut store).expect("it links");
        let warm = timed(&host, &mut store, instance, (200_000, 0));
        assert!(row(&warm, "works").timed_calls < 100_000 && warm.samples.is_empty());
        let report = timed(&host, &mut store, instance, (3, 1));
        let works = row(&report, "works");
        assert_eq!(works.calls, 3);
        // Each call after the first that told.
        assert!(works.timed_calls >= 2, "{cells:?}: {works:?}");
        let [sample] = &report.samples[..] else { panic!("{:?}", report.samples) };
        let names: Vec<_> = sample.frames.iter().map(|frame| frame.function.as_str()).collect();
        assert_eq!((names, sample.count), (vec!["works", "go"], 3));
    }
}
