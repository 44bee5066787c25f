//! Guests that call the hooks and the annotations as they like: each at random, with ids, tokens,
//! handles, lengths and addresses that are right, nearly right and absurd. The host survives, keeps
//! its tree in order and its quotas, and other stores do not notice.
//!
//! By hand, with guests of a seed of its own, for as long as one says:
//!
//! ```sh
//! OBSERVE_FUZZ_SECONDS=600 cargo nextest run --release --workspace \
//!     --run-ignored only --no-capture -E 'test(hostile::fuzz::by_hand)'
//! ```
//!
//! begins at a seed that it prints, or at `OBSERVE_FUZZ_SEED`. A failure names its seed.

mod words;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use observe_host::{Lost, Overhead, Quotas, Report, TraceOptions};
use observe_instrumenter::{Cells, Module, Plan, Selection};
use wasmtime::{Caller, Config, Extern, Instance, Store};

use crate::counts::Random;
use crate::guest::{Span, State, observer, row};
use crate::host::{Host, call};

/// Some thousand calls.
const FUEL: u64 = 1 << 14;

/// Quotas that a guest of some hundred calls can reach.
fn small() -> Quotas {
    let mut quotas = Quotas::default();
    quotas.names = 3;
    quotas.name_bytes = 10;
    quotas.open_spans = 3;
    quotas.depth = 100;
    quotas.blocks = 3;
    quotas.paths = 3;
    quotas.attributes = 4;
    quotas.span_events = 2;
    quotas.span_links = 2;
    quotas.open_bytes = 2000;
    quotas.log_bytes = 2000;
    quotas.metric_series = 3;
    quotas
}

/// A host whose functions call back, within work of their own or not.
fn host(quotas: Quotas) -> Host {
    let mut config = Config::new();
    config.wasm_memory64(true).consume_fuel(true);
    let mut host = Host::new(&config, observer().min_duration(Duration::ZERO).quotas(quotas));
    let tracer = host.tracer.clone();
    let again = |caller: &mut Caller<'_, State>, n: u32| -> wasmtime::Result<()> {
        let Some(function) = caller.get_export(&format!("again {n}")).and_then(Extern::into_func)
        else {
            return Ok(());
        };
        function.typed::<(), ()>(&*caller)?.call(caller, ())
    };
    host.linker
        .func_wrap("host", "again", move |mut caller: Caller<'_, State>, n: u32| {
            // Whoever catches a trap goes on.
            let _ = again(&mut caller, n);
        })
        .expect("not there yet")
        .func_wrap("host", "part", move |mut caller: Caller<'_, State>, n: u32| {
            let options = TraceOptions::new("part");
            let _ = tracer.trace(&mut caller, options, |caller| again(caller, n)).result;
        })
        .expect("not there yet");
    host
}

/// A guest that does one thing after another.
struct Generated {
    random: Random,
    wat: String,
    is_64: bool,
}

impl Generated {
    fn of(seed: u64) -> String {
        let mut random = Random::new(seed);
        let memory = match random.below(5) {
            0 => "",
            1 => r#"(memory (export "memory") i64 1)"#,
            2 => r#"(memory 1) (func (export "memory"))"#,
            _ => r#"(memory (export "memory") 1 10)"#,
        };
        let is_64 = memory.contains("i64");
        let start = if is_64 { "i64" } else { "i32" };
        let mut made = Generated { random, wat: String::new(), is_64 };
        // Names, of which some are no UTF-8.
        let data = match memory.contains("1") {
            true => {
                format!(r#"(data ({start}.const 0) "\ffo\80 names of a guest\c3\28")"#)
                    + &words::data(&mut made, start)
            }
            false => String::new(),
        };
        made.wat = format!(
            r#"(module
                 (import "observe:hooks@1" "enter" (func $enter (param i32) (result i32 i32)))
                 (import "observe:hooks@1" "exit" (func $exit (param i32)))
                 (import "observe:hooks@1" "unwind" (func $unwind (param i32)))
                 (import "observe:hooks@1" "memory-grow" (func $grow (param i32 i32 i64)))
                 (import "observe:hooks@1" "table-grow" (func $table (param i32 i32 i64)))
                 (import "observe:hooks@1" "allocation" (func $allocation (param i64 i64 i64)))
                 (import "observe:guest@1" "span-begin" (func $begin (param i32 i32) (result i32)))
                 (import "observe:guest@1" "span-end" (func $end (param i32)))
                 {imports}
                 (import "host" "again" (func $again (param i32)))
                 (import "host" "part" (func $part (param i32)))
                 {memory} {data}
                 (global $kept (mut i32) (i32.const 0))
                 (global $other (mut i32) (i32.const 0))
                 (global $handle (mut i32) (i32.const 0))
                 (global $instrument (mut i32) (i32.const 0))
                 (func $small)
                 (func $down (param i32)
                   (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))))"#,
            imports = words::imports(),
        );
        for export in 0..4 {
            let _ = write!(made.wat, "(func (export \"again {export}\")");
            made.body(12);
            made.wat.push(')');
        }
        made.wat.push_str("(func (export \"go\") (local $n i32) (loop $l");
        made.body(40);
        made.wat.push_str(
            "(br_if $l (i32.lt_u
               (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 20)))))
             (func (export \"fine\") (call $small)))",
        );
        made.wat
    }

    fn body(&mut self, steps: u64) {
        for _ in 0..steps {
            self.step();
        }
        if self.random.below(8) == 0 {
            self.wat.push_str(" unreachable");
        }
    }

    /// An id, a length or an address.
    fn int(&mut self) -> i32 {
        let near = [0, 1, 2, 3, 7, 15, 16, 64, 1000, 65_530, 65_536];
        let absurd = [-1, -2, i32::MIN, i32::MAX, i32::MIN + 1, -1_048_577];
        match self.random.below(4) {
            0 => *self.random.one_of(&absurd),
            1 => self.random.below(1 << 32) as u32 as i32,
            _ => *self.random.one_of(&near),
        }
    }

    fn long(&mut self) -> i64 {
        let near = [0, 1, 8, 16, 24, 100, 4096];
        let absurd = [-1, i64::MIN, i64::MAX, 1 << 40, -(1 << 40)];
        match self.random.below(3) {
            0 => *self.random.one_of(&absurd),
            _ => *self.random.one_of(&near),
        }
    }

    /// A token: one that was given, one like it, or any.
    fn token(&mut self) -> String {
        match self.random.below(8) {
            0 => format!("(i32.const {})", self.int()),
            // That of a frame further down, if the generation is the same.
            1 => format!("(i32.xor (global.get $kept) (i32.const {}))", self.random.below(64)),
            2 => format!("(i32.add (global.get $other) (i32.const {}))", self.random.below(5)),
            // Small depths: the root and what stands upon it.
            3 => format!("(i32.const {})", !(self.random.below(1 << 11) << 20) as i32),
            4 | 5 => "(global.get $other)".to_owned(),
            _ => "(global.get $kept)".to_owned(),
        }
    }

    fn step(&mut self) {
        let (a, b) = (self.int(), self.int());
        let step = match self.random.below(28) {
            16.. => self.say(),
            0..=2 => format!(
                "(global.set $other (global.get $kept))
                 (call $enter (i32.const {})) (global.set $kept) drop",
                self.random.below(16)
            ),
            3 => format!("(call $enter (i32.const {a})) drop drop"),
            4 | 5 => format!("(call $exit {})", self.token()),
            6 => format!("(call $unwind {})", self.token()),
            7 => format!(
                "(call $grow (i32.const {a}) (i32.const {b}) (i64.const {}))
                 (call $table (i32.const {b}) (i32.const {a}) (i64.const {}))",
                self.long(),
                self.long()
            ),
            8 | 9 => format!(
                "(call $allocation (i64.const {}) (i64.const {}) (i64.const {}))",
                self.long(),
                self.long(),
                self.long()
            ),
            10 => format!(
                "(global.set $other (global.get $kept))
                 (global.set $kept (call $begin (i32.const {a}) (i32.const {b})))"
            ),
            11 if self.is_64 => format!(
                "(i64.store (i64.const {}) (i64.const {}))",
                self.random.below(64),
                self.long()
            ),
            11 => format!("(call $end {})", self.token()),
            12 => format!("(call $end {})", self.token()),
            13 => format!("(call $again (i32.const {}))", self.random.below(6)),
            14 => format!("(call $part (i32.const {}))", self.random.below(6)),
            15 => format!("(call $down (i32.const {}))", self.random.below(20)),
        };
        let _ = writeln!(self.wat, "{step}");
    }
}

/// Checks that spans are one tree, in which each parent was there as long as its children.
fn is_one_tree(spans: &[Span], told: &Report) -> Result<(), String> {
    if spans.len() as u64 != told.spans {
        return Err(format!("{} spans arrived, {} were told", spans.len(), told.spans));
    }
    let by_number: HashMap<_, _> = spans.iter().map(|span| (span.number, span)).collect();
    if by_number.len() != spans.len() {
        return Err("two spans have one number".to_owned());
    }
    for span in spans {
        let Some(number) = span.parent else {
            if span.number != 0 {
                return Err(format!("{} is a second root", span.name));
            }
            continue;
        };
        let Some(parent) = by_number.get(&number) else {
            return Err(format!("{} has a parent that never came", span.name));
        };
        // A detached span may end before or after what stands under it, and it under others.
        let outlives = span.end > parent.end && is_nested(span) && is_nested(parent);
        if span.start < parent.start || outlives || span.start > span.end {
            return Err(format!("{} is not within {}", span.name, parent.name));
        }
        if span.trace != told.trace_id.to_string() {
            return Err(format!("{} is of another trace", span.name));
        }
    }
    Ok(())
}

/// Whether a span is the host's or a function's, which end before those under which they began.
fn is_nested(span: &Span) -> bool {
    let names = ["root", "part", "instantiate", "go", "fine", "small", "down", "leaf"];
    let prefixes = ["again ", "host."];
    names.contains(&&*span.name) || prefixes.iter().any(|prefix| span.name.starts_with(prefix))
}

/// What nobody could have had, beside what the quotas say.
fn is_within(told: &Report, quotas: &Quotas) -> Result<(), String> {
    // The guests have fewer than 30 functions.
    if told.functions.len() > quotas.names as usize + 1 + 30 {
        return Err("too many names".to_owned());
    }
    if told.heap.live_blocks > u64::from(quotas.blocks) {
        return Err(format!("{} blocks", told.heap.live_blocks));
    }
    if told.heap_paths.len() > quotas.paths as usize + 2 {
        return Err(format!("{} paths", told.heap_paths.len()));
    }
    let resources = told.resources;
    if resources.host_nanos.max(resources.hooks_nanos) > resources.wall_nanos {
        return Err(format!("{resources:?}"));
    }
    if told.functions.iter().any(|row| row.timed_calls > row.calls || row.errors > row.calls) {
        return Err("more was timed than called".to_owned());
    }
    Ok(())
}

/// Runs the guest of a seed in each mode; gives what it reached.
fn check(host: &Host, seed: u64) -> Result<Vec<Lost>, String> {
    let wat = Generated::of(seed);
    let mut lost = Vec::new();
    for cells in [Cells::Memory, Cells::Globals] {
        let module = host.module(&wat, cells);
        let mut store = host.store(&module);
        store.set_fuel(FUEL).expect("it counts");
        let instance = host.linked(&module).instantiate(&mut store).expect("it links");
        let mut trace = |export: &str, overhead| {
            store.set_fuel(FUEL).expect("it counts");
            let options = TraceOptions::new("root").overhead(overhead);
            let traced =
                host.tracer.trace(&mut store, options, |store| call(store, instance, export));
            traced.report.expect("a trace of its own")
        };
        for overhead in [Overhead::all(), Overhead::budget(1.0), Overhead::off()] {
            let told = trace("go", overhead);
            let spans = host.arrived().spans();
            is_one_tree(&spans, &told)
                .and_then(|()| is_within(&told, &small()))
                .map_err(|what| format!("seed {seed}, {cells:?}, {overhead:?}: {what}\n{wat}"))?;
            lost.push(told.lost);
        }
        // What it did is over.
        let told = trace("fine", Overhead::all());
        let counts = ["fine", "small"].map(|name| row(&told, name).calls);
        let spans = host.arrived().arrived();
        if counts != [1, 1] || told.lost != Lost::default() || spans.len() != 3 {
            return Err(format!("seed {seed}, {cells:?}: not over: {spans:?}, {told:?}\n{wat}"));
        }
    }
    Ok(lost)
}

/// Checks that something was lost for each reason that such guests can give.
fn reached(lost: &[Lost]) {
    let names = lost.iter().flat_map(Lost::by_reason);
    let mut sums: HashMap<&str, u64> = HashMap::new();
    names.for_each(|(count, reason)| *sums.entry(reason).or_default() += count);
    println!("{sums:?}");
    let within_reach = [
        "calls too deep",
        "exits of no open call",
        "entries of no known function",
        "texts out of reach",
        "texts of invalid UTF-8",
        "names too many",
        "open spans too many",
        "attributes too many",
        "events and links of a span too many",
        "words about unknown spans",
        "unknown kinds or types",
        "malformed links",
        "logs too long",
        "logs of no known level",
        "blocks of memory too many",
        "paths to allocations too many",
    ];
    for reason in within_reach {
        assert!(sums[reason] > 0, "nothing was lost for {reason}");
    }
}

#[test]
fn guests_that_nobody_wrote_break_nothing() {
    let host = host(small());
    let checked: Result<Vec<_>, _> = (0..30).map(|seed| check(&host, seed)).collect();
    reached(&checked.unwrap_or_else(|what| panic!("{what}")).concat());
}

mod fuzz {
    use super::*;

    #[test]
    #[ignore = "runs for as long as one says"]
    fn by_hand() {
        let number = |name: &str| -> Option<u64> {
            Some(std::env::var(name).ok()?.parse().expect("a number"))
        };
        let time = Duration::from_secs(number("OBSERVE_FUZZ_SECONDS").unwrap_or(60));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let first = number("OBSERVE_FUZZ_SEED")
            .unwrap_or_else(|| now.map_or(0, |now| now.subsec_nanos().into()));
        println!("the first seed is {first}");
        let (host, until) = (host(small()), Instant::now() + time);
        let mut seed = first;
        while Instant::now() < until {
            check(&host, seed).unwrap_or_else(|what| panic!("{what}"));
            seed += 1;
        }
        println!("{} guests", seed - first);
    }
}

/// A guest that calls one hook 300,000 times.
fn flood(body: &str) -> String {
    format!(
        r#"(module
             (import "observe:hooks@1" "enter" (func $enter (param i32) (result i32 i32)))
             (import "observe:hooks@1" "exit" (func $exit (param i32)))
             (import "observe:hooks@1" "memory-grow" (func $grow (param i32 i32 i64)))
             (import "observe:hooks@1" "allocation" (func $allocation (param i64 i64 i64)))
             (import "observe:guest@1" "span-begin" (func $begin (param i32 i32) (result i32)))
             (import "observe:guest@1" "span-end" (func $end (param i32)))
             (memory (export "memory") 1)
             (func $one (param $n i32)
               (if (i32.gt_s (local.get $n) (i32.const 0))
                 (then (call $other (i32.sub (local.get $n) (i32.const 1)))))
               (call $allocation (i64.const 0) (i64.const 1) (i64.extend_i32_u (local.get $n))))
             (func $other (param $n i32)
               (if (i32.gt_s (local.get $n) (i32.const 0))
                 (then (call $one (i32.sub (local.get $n) (i32.const 1)))))
               (call $allocation (i64.const 0) (i64.const 1) (i64.extend_i32_u (local.get $n))))
             (func (export "go") (local $n i32)
               (loop $l
                 (local.set $n (i32.add (local.get $n) (i32.const 1)))
                 (i32.store (i32.const 0)
                   (i32.or (i32.const 0x20202020)
                     (i32.xor (local.get $n) (i32.shl (local.get $n) (i32.const 17)))))
                 {body}
                 (br_if $l (i32.lt_u (local.get $n) (i32.const 300000))))))"#
    )
}

/// The most memory that this process had, in KiB.
#[cfg(target_os = "linux")]
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("it is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("a number")
}

#[cfg(target_os = "linux")]
#[test]
fn floods_take_no_more_than_the_quotas_let_them() {
    // Of the default quotas: 65,536 open calls, 16,384 paths, and 300,000 blocks of 70 bytes.
    const MOST: u64 = 160 << 10;
    let floods = [
        "(call $enter (i32.const 0)) drop drop",
        "(call $enter (local.get $n)) drop drop",
        "(call $enter (i32.const 0)) (call $exit) drop",
        "(call $exit (local.get $n)) (call $exit (i32.sub (i32.const 0) (local.get $n)))",
        "(call $grow (i32.const 0) (i32.const 0) (i64.const 0x7fffffffffffffff))",
        "(call $enter (i32.const 0)) drop drop (call $grow (i32.const 0) (i32.const 0) (i64.const 1))",
        "(call $allocation (i64.const 0) (i64.const -1) (i64.extend_i32_u (local.get $n)))",
        "(drop (call $begin (i32.const 0) (i32.const 60000)))",
        "(call $end (call $begin (i32.const 0) (i32.const 4)))",
        "(if (i32.eq (local.get $n) (i32.const 1)) (then (call $one (i32.const 3000))))",
    ];
    let floods = floods.map(|flood_of| (flood_of, flood(flood_of)));
    let words = words::FLOODS.map(|flood_of| (flood_of, words::flood(flood_of)));
    let before = peak();
    for (flood_of, wat) in floods.iter().chain(&words) {
        for overhead in [Overhead::all(), Overhead::budget(5.0)] {
            let host = Host::new(&Config::new(), observer().overhead(overhead));
            let (mut store, instance) = host.guest(wat, Cells::Memory);
            let told = trace(&host, &mut store, instance);
            let took = peak() - before;
            assert!(took < MOST, "{took} KiB more for {flood_of}, {overhead:?}");
            // The host's own estimates stay within what there is.
            is_within(&told, &Quotas::default()).unwrap_or_else(|what| panic!("{what}"));
        }
    }
    println!("{} KiB more than at first", peak() - before);
}

fn trace(host: &Host, store: &mut Store<State>, instance: Instance) -> Report {
    let options = TraceOptions::new("root");
    let traced = host.tracer.trace(store, options, |store| call(store, instance, "go"));
    traced.result.expect("it returns");
    traced.report.expect("a trace of its own")
}

/// Each entry is moved when a call below it returns, so there must not be as many as calls.
#[test]
fn entries_of_a_detached_span_have_a_quota() {
    let wat = format!(
        r#"(module {} (memory (export "memory") 1)
             (func (export "go") (local $handle i32)
               (local.set $handle (call $span-open (i32.const 0) (i32.const 1) (i32.const 0)
                 (i32.const 1) (i32.const 0) (i32.const 0)))
               {}))"#,
        words::imports(),
        "(call $span-enter (local.get $handle))".repeat(5)
    );
    let host = Host::new(&Config::new(), observer().quotas(small()));
    let (mut store, instance) = host.guest(&wat, Cells::Memory);
    let told = trace(&host, &mut store, instance);
    let mut expected = Lost::default();
    expected.excess_open_spans = 2;
    assert_eq!(told.lost, expected);
}

#[test]
fn another_store_does_not_notice() {
    let host = host(Quotas::default());
    let sane =
        host.module("(module (func $leaf) (func (export \"go\") (call $leaf)))", Cells::Memory);
    let wat = Generated::of(7);
    let parsed = wat::parse_str(&wat).expect("valid");
    let parsed = Module::parse(&parsed).expect("valid");
    let plan = Plan::new(&parsed, &Selection::all());
    let hostile = observe_host::ObservedModule::planned(&host.engine, &parsed, &plan);
    let hostile = hostile.expect("it can be observed");
    let (mut ours, mut theirs) = (host.store(&sane), host.store(&hostile));
    ours.set_fuel(1 << 30).expect("it counts");
    theirs.set_fuel(FUEL).expect("it counts");
    let instance = host.linked(&sane).instantiate(&mut ours).expect("it links");
    let other = host.linked(&hostile).instantiate(&mut theirs).expect("it links");
    let traced = host.tracer.trace(&mut ours, TraceOptions::new("ours"), |ours| {
        for _ in 0..3 {
            call(ours, instance, "go")?;
            let options = TraceOptions::new("theirs");
            let _ =
                host.tracer.trace(&mut theirs, options, |theirs| call(theirs, other, "go")).result;
        }
        Ok(())
    });
    let told = traced.report.expect("a trace of its own");
    assert_eq!((told.spans, told.lost), (1 + 2 * 3, Lost::default()));
    let counts = ["go", "leaf"].map(|name| row(&told, name).calls);
    assert_eq!(counts, [3, 3]);
    let mut spans = host.arrived().spans();
    spans.retain(|span| span.trace == told.trace_id.to_string());
    is_one_tree(&spans, &told).unwrap_or_else(|what| panic!("{what}"));
}
