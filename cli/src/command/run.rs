//! `observe run`: run a module and show where its time went.

mod guest;
mod inherited;
mod interface;
mod onward;
mod report;
mod signal;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use observe_collector::event::Attribute;
use observe_collector::sampling::Sampler;
use observe_collector::{Collector, Environment, OnFull, Resource, Signal, otlp};
use observe_host::{Failure, ObservedModule, Observer, Overhead, TraceOptions};
use observe_instrumenter::{Module, Plan, read_function_map};
use wasmtime::Engine;

use crate::command::coverage;
use crate::command::select::{Chosen, SelectOpts};
use crate::exit_code;
use crate::input::{self, Input};
use crate::progress::Progress;
use crate::view::records::Records;
use crate::view::text::{clean, say};
use crate::view::tree::CallTree;
use crate::view::units::plural;
use guest::{Ending, Host};
use onward::Onward;

pub(super) use report::delivery;

/// How long the end waits for a backend to take the last spans.
const DELIVERY: Duration = Duration::from_secs(3);

/// The part of the run that timing aims at under `--trace budget`, in percent.
const BUDGET: f64 = 5.0;

/// Run a module and show where its time went
///
/// The module is instrumented in memory and run with WASI preview 1. Its standard
/// input, output and exit status pass through untouched; a tree of spans and a table
/// of functions follow on standard error.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  echo 'Hello, world!' | observe run examples/vowels.wasm
  observe run examples/compute.wasm --invoke add 2 3
  observe run gofmt.wasm --dir . -- -l main.go
  observe run app.wasm --otlp http://localhost:4318
  observe run app.wasm --otlp http://localhost:4318 --queue-dir ~/.cache/observe-queue

Exit status: the guest's own; 134 if it trapped; 130 if it was stopped, as by Ctrl-C, which shows
what it did until then; 2 if it could not be run.")]
pub(crate) struct Opts {
    /// The module, in the binary or the text format; `-` is standard input
    #[arg(value_name = "IN.wasm")]
    input: PathBuf,

    /// Arguments of the program, or of the function named by --invoke
    #[arg(value_name = "ARGS", allow_negative_numbers = true)]
    args: Vec<String>,

    /// Call this exported function and print its results, instead of running the program
    #[arg(long, value_name = "EXPORT")]
    invoke: Option<String>,

    /// Let the guest use this directory, under its own name or another
    #[arg(long, value_name = "HOST[::GUEST]")]
    dir: Vec<String>,

    /// Set a variable in the guest's environment, or pass ours of that name
    #[arg(long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,

    /// Which calls to time; all are counted in any case
    #[arg(long, value_enum, default_value_t = Trace::All, help_heading = "Trace")]
    trace: Trace,

    /// Fold spans shorter than this into their parents: a number with ns, us, ms or s
    #[arg(long, value_name = "DURATION", default_value = "20us", value_parser = duration)]
    #[arg(help_heading = "Trace")]
    min_duration: Duration,

    /// Send spans, log records and metrics to this OTLP backend, as well as showing the spans.
    /// OTEL_EXPORTER_OTLP_PROTOCOL, …_HEADERS and the like say how, OTEL_TRACES_SAMPLER and limits
    /// how much [default: what
    /// OTEL_EXPORTER_OTLP_ENDPOINT says]
    #[arg(long, value_name = "URL", help_heading = "Trace")]
    otlp: Option<String>,

    /// Keep what the backend does not take in this directory, and send what earlier runs left there;
    /// `observe queue` shows and sends it, too
    #[arg(long, value_name = "DIR", help_heading = "Trace")]
    queue_dir: Option<PathBuf>,

    /// Stop the guest, as by a trap, where it says of itself what cannot be recorded as it is: bad
    /// UTF-8, a length past its memory, a span that is none, more than is kept. Without it, all that
    /// is counted
    #[arg(long, help_heading = "Trace")]
    strict: bool,

    /// Show so many functions in the table, and twice as many lines in the tree
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Trace")]
    top: usize,

    /// Show no tree and no table, only failures and losses
    #[arg(long, short, help_heading = "Trace")]
    quiet: bool,

    #[command(flatten)]
    select: SelectOpts,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Trace {
    /// Time every call of a hooked function
    All,
    /// Time a sample of the calls, aiming at 5 % of the run
    Budget,
    /// Time none
    Off,
}

impl Opts {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let chosen = self.select.selection(&self.input)?;
        let resource = Resource::from_env();
        if let Some(error) = resource.error() {
            bail!("{error}");
        }
        let otlp = match &self.otlp {
            Some(url) => Some(otlp::Config::for_endpoint(url)?),
            None => otlp::Config::from_env()?,
        };
        let queue = match (&self.queue_dir, &otlp) {
            (Some(dir), Some(_)) => Some(otlp::DiskQueue::open(dir)?),
            (Some(_), None) => {
                bail!("--queue-dir: there is no backend to send to; give --otlp, too")
            }
            (None, _) => None,
        };
        let input = Input::read(&self.input)?;
        let engine = guest::engine()?;
        // All that can be refused is refused before the module is compiled.
        let plain = match read_function_map(&input.wasm) {
            Some(_) if self.select.is_given() => {
                bail!("{}: is instrumented already, so there is nothing to select", input.name)
            }
            Some(_) => None,
            None => Some(Module::parse(&input.wasm).map_err(|error| input.error(&error))?),
        };
        let interface = interface::read(&input)?;
        let call = match &self.invoke {
            Some(export) => {
                Some((export.clone(), interface.arguments(&input, export, &self.args)?))
            }
            None => {
                interface.require_start(&input)?;
                None
            }
        };
        let inherited = inherited::read()?;
        let tree = CallTree::default();
        let records = Records::new(2 * self.top);
        let endpoints: Vec<_> = Signal::ALL
            .iter()
            .filter_map(|signal| Some((*signal, otlp.as_ref()?.endpoint(*signal)?)))
            .collect();
        let mut collector = Collector::builder().on_full(OnFull::Block);
        if !self.quiet {
            collector =
                collector.exporter(Box::new(tree.clone())).exporter(Box::new(records.clone()));
        }
        // What the environment says of sampling and limits is for what is sent; the tree has it all.
        let mut backend = None;
        let mut left_out_by = "OTEL_TRACES_SAMPLER";
        if let Some(config) = otlp {
            let environment = Environment::from_env()?;
            let interval = config.metric_interval();
            let resource = resource
                .with_default("service.name", input.stem())
                .with_default("process.runtime.name", "wasmtime");
            let exporter = match queue {
                Some(queue) => otlp::OtlpExporter::with_disk_queue(config, resource, queue),
                None => otlp::OtlpExporter::new(config, resource),
            };
            let mut sent = Collector::builder()
                .on_full(OnFull::Block)
                .environment(&environment)
                .exporter(Box::new(exporter));
            if let Some(parent) = inherited.parent
                && !parent.sampled
                && !environment.sampler.is_sampled(parent.trace_id, Some(false))
            {
                sent = sent.sampler(Sampler::AlwaysOff);
                left_out_by = "TRACEPARENT, which is not sampled";
            }
            let sent = sent.start();
            collector = collector.exporter(Box::new(Onward::new(sent.handle())));
            backend = Some((sent, interval));
        }
        let collector = collector.start();

        let overhead = match self.trace {
            Trace::All => Overhead::all(),
            Trace::Budget => Overhead::budget(BUDGET),
            Trace::Off => Overhead::off(),
        };
        let observer = Observer::builder()
            .overhead(overhead)
            .min_duration(self.min_duration)
            .sampler(Sampler::AlwaysOn)
            .sink(collector.handle())
            .strict(self.strict)
            .exit_status(guest::exit_status)
            .build();
        if let Some((sent, interval)) = &backend {
            let totals = observer.clone();
            sent.metrics(*interval, move || totals.metrics());
        }
        let mut host = Host::new(&engine, guest::wasi(&input, &self)?, &observer)?;
        host.check_imports(&interface, &input)?;
        let (module, coverage) = compile(&engine, &input, plain.as_ref(), &chosen)?;
        let mut guest = host.take(&module, call, &input)?;

        let options = TraceOptions::new(format!("run {}", input.file_name()))
            .attribute(Attribute::new("wasm.module.name", input.file_name()))
            .parent(inherited.parent)
            .baggage(&inherited.baggage);
        let interrupter = guest.interrupter();
        signal::stop_on_signal(interrupter.clone());
        let (ending, told) = on_a_large_stack(|| guest.run(options))?;
        // The guest's results come before what is told of it; whether they could be
        // written is said last.
        let printed = match &ending {
            Ending::Returned(results) if !results.is_empty() => {
                input::print(guest::render(results).as_bytes())
            }
            _ => Ok(()),
        };
        let failure = match &ending {
            Ending::Failed(error) => Some(Failure::new(&module, error)),
            _ => None,
        };
        collector.shutdown(DELIVERY);
        let delivery = backend.map(|(sent, _)| sent.shutdown(DELIVERY)).unwrap_or_default();
        report::Shown {
            input: &input,
            coverage: &coverage,
            tree: &tree,
            records: &records,
            metrics: &observer.metrics(),
            trace: self.trace,
            top: self.top,
            min_duration: self.min_duration,
            failure: failure.as_ref(),
            told: told.as_ref(),
            delivery: &delivery,
            left_out_by,
            endpoints: &endpoints,
            queue: self.queue_dir.as_deref().map(|dir| (dir, self.otlp.as_deref())),
        }
        .print(self.quiet);
        printed?;
        Ok(match ending {
            Ending::Returned(_) => ExitCode::SUCCESS,
            // The operating system keeps as much of it.
            Ending::Exited(code) => ExitCode::from(code as u8),
            Ending::Failed(_) if interrupter.is_interrupted() => {
                ExitCode::from(exit_code::INTERRUPTED)
            }
            Ending::Failed(_) => ExitCode::from(exit_code::TRAP),
        })
    }
}

/// Runs the guest on a thread whose stack holds the guest's and what the host needs,
/// whatever the limits of the first thread are.
fn on_a_large_stack<R: Send>(run: impl FnOnce() -> R + Send) -> Result<R> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(guest::STACK + (2 << 20));
        let thread = thread.spawn_scoped(scope, run).context("the guest has no thread")?;
        thread.join().map_err(|_| anyhow::anyhow!("the guest's thread panicked, which is a bug"))
    })
}

/// Compiles a module, and instruments it before if it is a `plain` one. Also says how
/// much of it is hooked.
fn compile(
    engine: &Engine,
    input: &Input,
    plain: Option<&Module<'_>>,
    chosen: &Chosen,
) -> Result<(ObservedModule, String)> {
    let name = input.file_name();
    let Some(plain) = plain else {
        let _progress = Progress::start(&name, None);
        let module = ObservedModule::new(engine, &input.wasm, &chosen.selection);
        let module = module.map_err(|error| input.error(&error))?;
        let hooked = plural(module.hooked_functions() as u64, "function");
        return Ok((module, format!("{hooked} hooked beforehand")));
    };
    let plan = Plan::new(plain, &chosen.selection);
    for warning in &plan.warnings {
        say(&format!("observe: {}: {warning}\n", clean(&input.name)));
    }
    let _progress = Progress::start(&name, Some(plan.functions.len() as u64));
    let module = ObservedModule::planned(engine, plain, &plan);
    let module = module.map_err(|error| input.error(&error))?;
    Ok((module, coverage::line(&plan, chosen)))
}

/// Reads a duration such as `20us`.
pub(super) fn duration(text: &str) -> Result<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "" if number == "0" => 0.0,
        _ => anyhow::bail!("write a number and ns, us, ms or s, such as 20us"),
    };
    let number: f64 = number.parse().context("write a number and a unit, such as 20us")?;
    Duration::try_from_secs_f64(number * seconds).context("it is out of range")
}
