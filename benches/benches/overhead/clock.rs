//! What reading a clock costs by itself.

use std::hint::black_box;
use std::time::{Instant, SystemTime};

use observe_benches::{Spread, thread_time};

use crate::table::{Row, Table};

/// Enough that reading the time around them costs nothing.
const READINGS: u32 = 1_000_000;

/// What the ways to read a clock cost.
pub fn table(rounds: usize) -> Table {
    let mut contenders: Vec<(&str, fn())> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    contenders.extend([
        ("rdtsc", || repeat(crate::peers::floor::now)),
        ("lfence, rdtsc", || repeat(crate::peers::floor::now_ordered)),
        ("rdtscp", || repeat(rdtscp)),
        ("rdtsc, then lfence, rdtsc: a call's two readings", || {
            repeat(|| (crate::peers::floor::now(), crate::peers::floor::now_ordered()));
        }),
    ] as [(&str, fn()); 4]);
    contenders.push(("Instant::now", || repeat(Instant::now)));
    contenders.push(("SystemTime::now", || repeat(SystemTime::now)));

    let mut nanos = vec![Vec::with_capacity(rounds); contenders.len()];
    for _ in 0..rounds {
        for ((_, readings), nanos) in contenders.iter().zip(&mut nanos) {
            let start = thread_time();
            readings();
            nanos.push((thread_time() - start).as_nanos() as f64 / f64::from(READINGS));
        }
    }
    let rows = contenders.iter().zip(nanos).map(|((name, _), nanos)| Row {
        name: (*name).to_owned(),
        rounds,
        nanos_a_call: Some(Spread::of(nanos)),
        ..Row::default()
    });
    let (rows, title) = (rows.collect(), "clock: a loop that only reads it".to_owned());
    Table { title, rounds, processes: 1, rows, notes: Vec::new() }
}

fn repeat<R>(mut reading: impl FnMut() -> R) {
    for _ in 0..READINGS {
        black_box(reading());
    }
}

#[cfg(target_arch = "x86_64")]
fn rdtscp() -> u64 {
    let mut core = 0;
    // SAFETY: x86-64 processors with more than one core have the instruction, and it writes
    // only to what it is given.
    unsafe { std::arch::x86_64::__rdtscp(&mut core) }
}
