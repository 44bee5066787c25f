//! Much at a time, and for long.

use std::thread;
use std::time::{Duration, Instant};

use observe_benches::{Result, process_time, status};
use observe_collector::Collector;
use serde::{Deserialize, Serialize};

use crate::ours::{Chunks, exporter};
use crate::receiver::SLOW;
use crate::spans::TRACE;
use crate::{Contender, Cost, Receiver, Role, in_a_process};

/// So many spans a second, for so many seconds, by default settings.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    rate: u64,
    seconds: u64,
}

const LOAD: Load = Load { rate: 1_000_000, seconds: 60 };

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Loaded {
    accepted: u64,
    delivered: u64,
    rejected: u64,
    dropped: Vec<(String, u64)>,
    /// Of accepted spans.
    cpu_nanos: f64,
    /// What sending took.
    seconds: f64,
    /// Resident before the first span, and at the most.
    resident_before: usize,
    resident_peak: usize,
}

/// Sends spans at a rate, chunk by chunk, and reads the account at the end.
pub(crate) fn run(load: Load, url: &str) -> Result<Loaded> {
    let collector = Collector::builder().exporter(Box::new(exporter(url)?)).start();
    let (handle, mut chunks) = (collector.handle(), Chunks::new());
    let resident_before = status("VmRSS")? * 1024;
    let (start, cpu) = (Instant::now(), process_time());
    let total = load.rate * load.seconds / TRACE * TRACE;
    let mut sent = 0;
    while sent < total {
        let due = start.elapsed().as_nanos() as u64 * load.rate / 1_000_000_000;
        if sent >= due {
            thread::sleep(Duration::from_micros(200));
            continue;
        }
        handle.send(chunks.next(TRACE));
        sent += TRACE;
    }
    let seconds = start.elapsed().as_secs_f64();
    let report = collector.shutdown(Duration::from_secs(10));
    let cpu_nanos = (process_time() - cpu).as_nanos() as f64 / total as f64;
    let counts = report.exporters[0].counts;
    assert!(counts.is_balanced() && counts.queued == 0, "{report:?}");
    assert_eq!(counts.accepted, total);
    let dropped = counts.dropped.by_reason().into_iter().filter(|(_, number)| *number > 0);
    Ok(Loaded {
        accepted: counts.accepted,
        delivered: counts.delivered,
        rejected: counts.rejected,
        dropped: dropped.map(|(reason, number)| (reason.to_owned(), number)).collect(),
        cpu_nanos,
        seconds,
        resident_before,
        resident_peak: status("VmHWM")? * 1024,
    })
}

/// A receiver that keeps up, and one that does not.
pub(crate) fn table(receiver: &Receiver) -> Result<()> {
    println!("{} spans a second for {} s, default settings\n", LOAD.rate, LOAD.seconds);
    println!(
        "| receiver | sent in | CPU | delivered | dropped | it counts | resident, before and at most |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, path) in [("keeps up", ""), ("takes 10 ms a request", SLOW)] {
        eprintln!("load: the receiver {name}");
        let before = receiver.totals()?.spans;
        let role = Role::Load { load: LOAD, url: format!("{}{path}", receiver.url) };
        let loaded: Loaded = in_a_process(&role)?;
        let came = receiver.totals()?.spans - before;
        let dropped: Vec<_> =
            loaded.dropped.iter().map(|(reason, number)| format!("{number} {reason}")).collect();
        let none = if dropped.is_empty() { "0" } else { "" };
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        println!(
            "| {name} | {:.1} s | {:.0} ns a span | {} | {none}{} | {came} | {:.0} and {:.0} MiB |",
            loaded.seconds,
            loaded.cpu_nanos,
            loaded.delivered,
            dropped.join(", "),
            mib(loaded.resident_before),
            mib(loaded.resident_peak),
        );
    }
    println!();
    Ok(())
}

/// What a span costs, among so many.
pub(crate) fn scale(receiver: &Receiver) -> Result<()> {
    println!("| spans | CPU | time |");
    println!("|---|---|---|");
    for exponent in 3..=8 {
        let spans = 10_u64.pow(exponent);
        eprintln!("scale: {spans}");
        let contender = Contender::OursHttp;
        let role = Role::Sender { contender, url: receiver.url.clone(), spans };
        let cost: Cost = in_a_process(&role)?;
        println!(
            "| {spans} | {:.0} ns a span | {:.0} ns a span |",
            cost.cpu_nanos, cost.wall_nanos
        );
    }
    Ok(())
}
