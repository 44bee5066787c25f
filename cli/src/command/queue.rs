//! `observe queue`: what waits in the directory of a disk queue, and sending it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use observe_collector::otlp::{Config, DiskQueue, OtlpExporter, QueueContents};
use observe_collector::{Counts, Exporter, Resource, Signal};
use serde::Serialize;

use crate::command::instrument::Format;
use crate::command::run::{delivery, duration};
use crate::exit_code;
use crate::input;
use crate::view::text::{clean, say};
use crate::view::units::{self, bytes, count};

/// Look at what a run could not deliver and kept, and deliver it
#[derive(clap::Args)]
pub(crate) struct Opts {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Ls(Ls),
    Drain(Drain),
}

/// Say what waits in a directory
///
/// Changes nothing, and may be asked while the directory is in use.
#[derive(clap::Args)]
struct Ls {
    /// The directory, as given to `run --queue-dir`
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Send what waits in a directory
///
/// What the backend takes or refuses for good is removed; the rest stays. Set the variables that the run
/// had: a backend that misses a token in OTEL_EXPORTER_OTLP_HEADERS refuses all for good.
#[derive(clap::Args)]
#[command(after_help = "Example:
  observe queue drain /var/lib/app/queue --otlp http://localhost:4318

Exit status: 0 if the backend took everything; 3 if it did not, and standard error says what became
of the rest; 2 if the directory or the URL is of no use.")]
struct Drain {
    /// The directory, as given to `run --queue-dir`
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Where to send it [default: what OTEL_EXPORTER_OTLP_ENDPOINT says]
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,

    /// Give up when nothing was delivered for so long: a number with ms or s
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    timeout: Duration,
}

impl Opts {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Ls(ls) => ls.run(),
            Command::Drain(drain) => drain.run(),
        }
    }
}

/// What JSON says of a signal.
#[derive(Serialize)]
struct Line {
    signal: &'static str,
    segments: u64,
    batches: u64,
    items: u64,
    bytes: u64,
    /// Seconds since 1970.
    oldest: Option<u64>,
    damaged: u64,
}

impl Ls {
    fn run(self) -> Result<ExitCode> {
        let contents = DiskQueue::contents(&self.dir)?;
        let text = match self.format {
            Format::Text => table(&contents),
            Format::Json => {
                let lines: Vec<_> = contents.iter().map(line).collect();
                serde_json::to_string_pretty(&lines)? + "\n"
            }
        };
        input::print(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn line(of: &QueueContents) -> Line {
    let since = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).ok();
    Line {
        signal: of.signal.name(),
        segments: of.segments,
        batches: of.batches,
        items: of.items,
        bytes: of.bytes,
        oldest: of.oldest.and_then(since).map(|since| since.as_secs()),
        damaged: of.damaged,
    }
}

fn table(contents: &[QueueContents]) -> String {
    let mut text = format!(
        "{:<8} {:>8} {:>9} {:>11} {:>10} {:>10} {:>8}\n",
        "signal", "segments", "batches", "items", "bytes", "oldest", "damaged"
    );
    for of in contents {
        let age = of.oldest.and_then(|at| at.elapsed().ok());
        let nanos = age.map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
        text += &format!(
            "{:<8} {:>8} {:>9} {:>11} {:>10} {:>10} {:>8}\n",
            of.signal.name(),
            count(of.segments),
            count(of.batches),
            count(of.items),
            bytes(of.bytes),
            nanos.map_or_else(|| "-".to_owned(), units::duration),
            count(of.damaged),
        );
    }
    text
}

impl Drain {
    fn run(self) -> Result<ExitCode> {
        let config = match &self.otlp {
            Some(url) => Config::for_endpoint(url)?,
            None => Config::from_env()?.context(
                "there is no backend to send to; give --otlp, or set OTEL_EXPORTER_OTLP_ENDPOINT",
            )?,
        };
        let disk = DiskQueue::open_existing(&self.dir)?;
        let endpoints: Vec<_> =
            Signal::ALL.iter().filter_map(|of| Some((*of, config.endpoint(*of)?))).collect();
        if endpoints.is_empty() {
            bail!("all signals are set not to be sent");
        }
        let mut exporter = OtlpExporter::with_disk_queue(config, Resource::from_env(), disk);
        let queued = |exporter: &OtlpExporter| -> u64 {
            Signal::ALL.iter().filter_map(|of| exporter.counts_of(*of)).map(|of| of.queued).sum()
        };
        let mut before = u64::MAX;
        // As long as something goes, there is hope for the rest.
        while queued(&exporter) > 0 && queued(&exporter) < before {
            before = queued(&exporter);
            exporter.flush(Instant::now() + self.timeout);
        }
        exporter.shutdown(Instant::now());
        let left_alone = DiskQueue::contents(&self.dir)?
            .into_iter()
            .filter(|of| of.items > 0 && endpoints.iter().all(|(signal, _)| *signal != of.signal));
        let (mut text, mut all) = (String::new(), Counts::default());
        for (signal, endpoint) in &endpoints {
            let counts = exporter.counts_of(*signal).unwrap_or_default();
            all.accepted += counts.accepted;
            all.delivered += counts.delivered;
            all.queued += counts.queued;
            if counts.accepted > 0 {
                let error = exporter.last_error_of(*signal);
                text += &delivery(*signal, endpoint, &counts, error.as_deref(), false);
            }
        }
        for of in left_alone {
            all.accepted += of.items;
            let (signal, items) = (of.signal.name(), count(of.items));
            let what = of.signal.items();
            text += &format!("observe: {items} {what} wait, but {signal} are set not to be sent\n");
        }
        if all.accepted == 0 {
            text += &format!("{}: nothing waits\n", clean(&self.dir.display().to_string()));
        }
        if all.queued > 0 {
            text += &kept(&self.dir, self.otlp.as_deref());
        }
        say(&text);
        let all_taken = all.delivered == all.accepted;
        Ok(if all_taken { ExitCode::SUCCESS } else { ExitCode::from(exit_code::NOT_DELIVERED) })
    }
}

/// A line on a directory that keeps what was not delivered, with the command that delivers it.
pub(crate) fn kept(dir: &Path, otlp: Option<&str>) -> String {
    let dir = clean(&dir.display().to_string()).into_owned();
    let otlp = otlp.map(|url| format!(" --otlp {}", quoted(&clean(url)))).unwrap_or_default();
    let quoted = quoted(&dir);
    format!("observe: kept in {dir}; to deliver it: observe queue drain {quoted}{otlp}\n")
}

/// For a shell, as one word.
fn quoted(text: &str) -> Cow<'_, str> {
    // No text with a NUL comes from a command line.
    shlex::try_quote(text).unwrap_or(Cow::Borrowed(text))
}
