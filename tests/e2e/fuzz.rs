//! Modules that nobody wrote, from wasm-smith, do the same with and without hooks.
//!
//! `tests/fuzz/README.md` says what is compared, and how to run it for longer.

mod compare;
mod generate;
mod guest;
mod tally;
mod values;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wasmtime::{Engine, OptLevel};

use crate::harness::repository;
use crate::hooks;
use tally::Tally;

/// The modules of one of the tests below: together they take a minute of one core.
const MODULES: u64 = 400;

fn engine() -> Engine {
    let mut config = hooks::config();
    config
        .consume_fuel(true)
        .cranelift_opt_level(OptLevel::None)
        .parallel_compilation(false)
        .relaxed_simd_deterministic(true);
    Engine::new(&config).expect("an engine")
}

/// Compares the module of a seed, and says where it lies if it fails.
fn check_seed(engine: &Engine, seed: u64, tally: &mut Tally) {
    let Some(wasm) = generate::module(seed) else {
        tally.refused += 1;
        return;
    };
    if let Err(what) = check(engine, &wasm, seed, tally) {
        let path = std::env::temp_dir().join(format!("observe-fuzz-{seed}.wasm"));
        std::fs::write(&path, wasm).expect("can be written");
        panic!(
            "seed {seed}: {what}\nthe module is {}\n\
             OBSERVE_FUZZ_SEED={seed} cargo nextest run --release -p observe-cli \
             --run-ignored only fuzz::by_hand",
            path.display()
        );
    }
}

fn check(engine: &Engine, wasm: &[u8], seed: u64, tally: &mut Tally) -> Result<(), String> {
    let contents = generate::contents(wasm).map_err(|error| error.to_string())?;
    if contents.waits {
        tally.refused += 1;
        return Ok(());
    }
    let refused = tally.refused;
    compare::compare(engine, wasm, seed, tally)?;
    if tally.refused == refused {
        tally.modules += 1;
        for proposal in contents.proposals {
            *tally.proposals.entry(proposal).or_default() += 1;
        }
    }
    Ok(())
}

/// Compares the modules of many seeds, and checks that they did something.
fn check_seeds(first: u64) {
    let engine = engine();
    let mut tally = Tally::default();
    for seed in first..first + MODULES {
        check_seed(&engine, seed, &mut tally);
    }
    println!("{tally}");
    tally.check();
}

#[test]
fn first_modules() {
    check_seeds(0);
}

#[test]
fn second_modules() {
    check_seeds(MODULES);
}

#[test]
fn third_modules() {
    check_seeds(2 * MODULES);
}

#[test]
fn fourth_modules() {
    check_seeds(3 * MODULES);
}

/// Runs for OBSERVE_FUZZ_SECONDS from OBSERVE_FUZZ_SEED on, or that seed alone; or compares
/// the module OBSERVE_FUZZ_MODULE.
#[test]
#[ignore = "runs for as long as one says"]
fn by_hand() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect(name));
    let engine = engine();
    let mut tally = Tally::default();
    let seed: Option<u64> = number("OBSERVE_FUZZ_SEED");
    if let Some(path) = std::env::var_os("OBSERVE_FUZZ_MODULE").map(PathBuf::from) {
        let wasm = wat::parse_file(path).expect("a module");
        let compared = check(&engine, &wasm, seed.unwrap_or_default(), &mut tally);
        println!("{tally}");
        compared.expect("the same");
        return;
    }
    let time = Duration::from_secs(number("OBSERVE_FUZZ_SECONDS").unwrap_or_default());
    let start = Instant::now();
    let first = seed.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.expect("after 1970").as_nanos() as u64 >> 20
    });
    println!("from seed {first}");
    for seed in first.. {
        check_seed(&engine, seed, &mut tally);
        if start.elapsed() >= time {
            break;
        }
    }
    println!("{tally}");
}

/// What was found once stays found.
#[test]
fn fixtures() {
    let engine = engine();
    let mut tally = Tally::default();
    let folder: &Path = &repository().join("tests/fuzz");
    let mut modules = 0;
    for entry in std::fs::read_dir(folder).expect("the folder of fixtures") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|extension| extension == "wat") {
            let wasm = wat::parse_file(&path).expect("a module");
            for seed in 0..8 {
                check(&engine, &wasm, seed, &mut tally)
                    .unwrap_or_else(|what| panic!("{}, seed {seed}: {what}", path.display()));
            }
            modules += 1;
        }
    }
    println!("{tally}");
    assert!(modules > 4 && tally.refused == 0, "each of them runs");
}
