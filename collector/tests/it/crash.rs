//! A process that is killed at any moment loses nothing that was synced, and what it had delivered
//! is not delivered again but for the batch whose answer it did not live to read.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use observe_collector::otlp::{DiskQueue, OtlpExporter};
use observe_collector::{Exporter, Resource, Signal};
use tempfile::TempDir;

use crate::delivery::{LONG, config};
use crate::fixtures::chunk_from;
use crate::server::{Act, Server};

/// What a child is told: the directory, the URL, and the number of its first span.
const CHILD: &str = "OBSERVE_TEST_CRASH_CHILD";
/// How many rounds to run, 10 unless told.
const ROUNDS: &str = "OBSERVE_TEST_CRASH_ROUNDS";

const BATCH: usize = 16;

/// Spans that a child records at once, at the most.
const CHUNK: u64 = 40;

/// Numbers without a pattern.
struct Random(u64);

impl Random {
    /// A number below this.
    fn below(&mut self, bound: u64) -> u64 {
        // Marsaglia's xorshift, started with anything but zero.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn exporter(dir: &Path, url: &str) -> OtlpExporter {
    let disk = DiskQueue::open(dir).expect("nobody has it any more");
    let disk = disk.sync_window(Duration::from_millis(5)).max_bytes(256 << 20);
    let config = config(url, &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", &BATCH.to_string())]);
    OtlpExporter::with_disk_queue(config, Resource::new(), disk)
}

/// Records spans until it is killed, and says which are synced: all below a number. A test only
/// when it is the child of the other one.
#[test]
fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let mut told = told.split('\n');
    let mut next = || told.next().expect("three lines");
    let (dir, url, first) = (next(), next(), next().parse::<u32>().expect("a number"));
    let mut exporter = exporter(Path::new(dir), url);
    let (mut out, mut random, mut said) = (std::io::stdout(), Random(u64::from(first) + 1), 0);
    let mut number = first;
    loop {
        let spans = 1 + random.below(CHUNK) as u32;
        exporter.export(&chunk_from(number, spans));
        number += spans;
        let counts = exporter.counts();
        assert!(counts.is_balanced(), "{counts:?}");
        assert_eq!(counts.dropped.total(), 0, "{counts:?}: {:?}", exporter.last_error());
        let disk = exporter.transfers(Signal::Traces).and_then(|transfers| transfers.disk);
        let synced = disk.expect("a disk queue").synced;
        if synced > said {
            said = synced;
            writeln!(out, "\nsynced {}", u64::from(first) + synced).expect("a parent");
            out.flush().expect("a parent");
        }
        if random.below(4) == 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Starts a child, lets it work for a while after its first word, and kills it. Returns the number
/// below which all is synced.
fn run_and_kill(dir: &Path, url: &str, first: u32, after: Duration) -> u32 {
    let mut child: Child = Command::new(std::env::current_exe().expect("a test"))
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .env(CHILD, format!("{}\n{url}\n{first}", dir.display()))
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let out = BufReader::new(child.stdout.take().expect("its output"));
    let mut lines = out.lines().map_while(Result::ok);
    let mut synced = None;
    let mut note = |line: String| {
        let number = line.strip_prefix("synced ").and_then(|number| number.parse().ok());
        synced = number.or(synced);
    };
    for line in lines.by_ref() {
        let is_word = line.starts_with("synced ");
        note(line);
        if is_word {
            break;
        }
    }
    std::thread::sleep(after);
    child.kill().expect("it was alive");
    // What it had said before counts, too, if the line is whole: the last may be cut off.
    let rest: Vec<_> = lines.collect();
    let (_, whole) = rest.split_last().map_or((None, &[][..]), |(last, rest)| (Some(last), rest));
    whole.iter().cloned().for_each(note);
    let status = child.wait().expect("it has ended");
    assert_eq!(status.code(), None, "the child failed by itself");
    synced.expect("the child said something")
}

#[test]
fn what_was_synced_survives_any_number_of_kills() {
    let rounds = std::env::var(ROUNDS).ok().and_then(|rounds| rounds.parse().ok());
    let mut random = Random(RandomState::new().hash_one(0) | 1);
    let (mut spans, mut doubled) = (0, 0);
    for round in 0..rounds.unwrap_or(10) {
        let dir = TempDir::new().expect("a directory");
        // In some rounds nothing is taken, in others all, or one request waits for ever.
        let acts = match round % 3 {
            0 => vec![Act::status(503)],
            1 => vec![Act::status(200)],
            _ => [vec![Act::status(200); random.below(40) as usize], vec![Act::Hang]].concat(),
        };
        let takes = acts.len() * usize::from(round % 3 > 0);
        let server = Server::start(acts);
        let kills = 1 + random.below(3);
        let mut synced = Vec::new();
        for kill in 0..kills {
            let first = kill as u32 * 10_000_000;
            let after = Duration::from_micros(random.below(120_000));
            synced.push((first, run_and_kill(dir.path(), &server.url, first, after)));
        }

        // What the receiver took from those who were killed, by its own account.
        let requests = server.requests();
        let taken = match round % 3 {
            0 => 0,
            1 => requests.len(),
            _ => requests.len().min(takes - 1),
        };
        let mut arrived: HashMap<u64, u32> = HashMap::new();
        let number = |time: u64| time - 1_700_000_000_000_000_000;
        for request in &requests[..taken] {
            for span in request.spans() {
                *arrived.entry(number(span.start_time_unix_nano)).or_default() += 1;
            }
        }
        // The one who comes after them delivers the rest, and accounts for what it found.
        let last = Server::start(vec![Act::status(200)]);
        let mut exporter = exporter(dir.path(), &last.url);
        exporter.flush(Instant::now() + LONG);
        let transfers = exporter.transfers(Signal::Traces).expect("traces");
        let recovered = transfers.disk.expect("a disk queue").recovered;
        exporter.shutdown(Instant::now() + LONG);
        let counts = exporter.counts();
        assert!(counts.is_balanced(), "{counts:?}");
        assert_eq!((counts.accepted, counts.delivered), (recovered, recovered), "{counts:?}");
        let rest = last.spans();
        assert_eq!(rest.len() as u64, recovered);
        let distinct: HashSet<_> = rest.iter().map(|span| span.span_id.clone()).collect();
        assert_eq!(distinct.len(), rest.len(), "round {round}: it sends nothing twice itself");
        for span in rest {
            *arrived.entry(number(span.start_time_unix_nano)).or_default() += 1;
        }

        for (first, end) in synced {
            for span in first..end {
                assert!(arrived.contains_key(&u64::from(span)), "round {round}: {span} of {end}");
            }
            spans += end - first;
        }
        let twice = arrived.values().filter(|times| **times > 1).count();
        // Each kill may hit one request between the receiver's answer and its mark. A batch is full
        // within a chunk, so none is larger.
        let most = kills as usize * BATCH;
        assert!(twice <= most, "round {round}: {twice} spans came twice after {kills} kills");
        doubled += twice;
        assert!(DiskQueue::contents(dir.path()).expect("a queue").iter().all(|of| of.batches == 0));
    }
    println!("{spans} synced spans arrived, {doubled} of all spans twice");
}
