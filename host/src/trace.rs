//! A trace from its start to its end.

use std::mem;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use observe_collector::Handle;
use observe_collector::event::{
    Attribute, Chunk, LogRecord, Severity, SpanDetail, SpanId, SpanNumber, SpanRecord, Status,
    TraceId, TraceInfo,
};
use observe_collector::sampling::Sampler;
use wasmtime::WasmBacktrace;

use crate::annotations::{Guarded, Known};
use crate::clock::{Bias, Scale, Ticks};
use crate::context::TraceContext;
use crate::failure::Failure;
use crate::frame::{End, Kind, MAX_SPANS};
use crate::growth::Growth;
use crate::lost::Lost;
use crate::options::TraceOptions;
use crate::overhead::{
    COUNT_COST_NANOS, Controller, Mode, Overhead, SAMPLE_COST_NANOS, TIMED_COST_NANOS,
};
use crate::recorder::{Inner, Steering};
use crate::report::{Report, Resources};
use crate::samples::Samples;
use crate::stats::{RowId, What};
use crate::tenants::Ended;

/// Spans handed over at a time.
const CHUNK: usize = 256;

/// Logs handed over at a time.
const LOG_CHUNK: usize = 64;

/// The time of its own, in nanoseconds, from which on a sampled function has its callees timed:
/// long enough that a hundred of them take less than a budget of a percent.
const UNEXPLAINED_NANOS: u64 = 1_000_000;

/// How the guest's work ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome<'a> {
    /// It returned.
    Returned,
    /// It left by an exit status, as WASI's `proc_exit` does; other than 0 is a failure.
    Exited(i32),
    /// A call of it gave an error.
    Failed(&'a Failure),
}

/// A trace under way.
pub(crate) struct Active {
    pub(crate) info: Arc<TraceInfo>,
    pub(crate) scale: Scale,
    start: Ticks,
    sink: Option<Handle>,
    pub(crate) sampled: bool,
    spans: Vec<SpanRecord>,
    logs: Vec<LogRecord>,
    next_number: u32,
    pub(crate) kept: u64,
    /// Of these, those of calls and of the guest's own.
    pub(crate) kept_calls: u64,
    pub(crate) growth: Growth,
    pub(crate) samples: Samples,
    pub(crate) instantiation: u64,
    /// The failure that was told last: on its way out it is told once.
    told: Option<Failure>,
    /// Whether there was a part of the trace in which not every call was timed.
    was_sampled: bool,
    follows_observer: bool,
    pub(crate) tenant: Option<String>,
    /// What came with the request, as the header has it.
    pub(crate) baggage: String,
}

impl Active {
    /// A number for a span; `None` if there is none left.
    pub(crate) fn next_number(&mut self) -> Option<SpanNumber> {
        let number = self.next_number;
        self.next_number += u32::from(number < MAX_SPANS);
        (number < MAX_SPANS).then_some(SpanNumber(number))
    }

    /// Whether its spans and logs go anywhere.
    pub(crate) fn is_sent(&self) -> bool {
        self.sink.is_some()
    }

    /// Adds a span of a trace that is sent.
    pub(crate) fn add_span(&mut self, span: SpanRecord) {
        self.spans.push(span);
        if self.spans.len() >= CHUNK {
            self.hand_over();
            // As many are likely to follow.
            self.spans.reserve_exact(CHUNK);
        }
    }

    pub(crate) fn add_log(&mut self, log: LogRecord) {
        if self.sink.is_some() {
            self.logs.push(log);
            if self.logs.len() >= LOG_CHUNK {
                self.hand_over();
            }
        }
    }

    /// Hands the spans and logs so far to the collector.
    fn hand_over(&mut self) {
        let (spans, logs) = (mem::take(&mut self.spans), mem::take(&mut self.logs));
        if let Some(sink) = &self.sink
            && !(spans.is_empty() && logs.is_empty())
        {
            sink.send(Chunk { trace: Arc::clone(&self.info), spans, logs });
        }
    }
}

impl Inner {
    /// Begins a trace and opens its root. The stack must be empty.
    pub(crate) fn start(&mut self, options: TraceOptions) {
        let scale = Scale::new();
        self.calibrate();
        self.names.clear();
        self.blocks.start();
        self.guarded = Guarded::new(self.now(), self.shared.quotas.events_per_second);
        self.told.start(if self.module.tells_each_call { self.module.functions.len() } else { 0 });
        self.suspended.reset();
        self.lost = Lost::default();
        let shared = Arc::clone(&self.shared);
        let (trace_id, parent, sampled) = trace_of(options.parent, &shared.sampler);
        let own = options.overhead.or_else(|| {
            let is_sampled = sampled && options.parent.is_some_and(|parent| parent.sampled);
            shared.when_sampled.filter(|_| is_sampled)
        });
        let min_duration = options.min_duration.unwrap_or(shared.min_duration);
        self.min_ticks = scale.ticks(u64::try_from(min_duration.as_nanos()).unwrap_or(u64::MAX));
        self.unexplained_ticks = scale.ticks(UNEXPLAINED_NANOS);
        let symbols = Arc::clone(&self.module.functions.symbols);
        self.trace = Some(Box::new(Active {
            info: Arc::new(TraceInfo {
                trace_id,
                parent: parent.map(Into::into),
                seed: random(),
                symbols,
            }),
            start: self.now(),
            sink: shared.sink.clone().filter(|_| sampled),
            scale,
            sampled,
            spans: Vec::new(),
            logs: Vec::new(),
            next_number: 0,
            kept: 0,
            kept_calls: 0,
            growth: Growth::default(),
            samples: Samples::default(),
            instantiation: 0,
            told: None,
            was_sampled: false,
            follows_observer: own.is_none(),
            tenant: options.tenant.clone(),
            baggage: options.baggage,
        }));
        self.overhead_version = shared.overhead.version();
        let Overhead(mode) = own.unwrap_or_else(|| shared.overhead.get());
        self.steer(mode);
        let mut attributes = options.attributes;
        attributes.push(Attribute::new("wasm.trace.mode", mode.name()));
        attributes.extend(options.tenant.map(|tenant| Attribute::new("wasm.tenant", tenant)));
        let name = Some(options.name.into());
        let detail = SpanDetail { name, attributes, ..SpanDetail::default() };
        self.open_host(detail, true);
        // The root takes the number 0.
        let _ = self.number_open();
    }

    /// Whether every call is to be timed.
    pub(crate) fn times_all(&self) -> bool {
        matches!(self.steering, Steering::All)
    }

    /// Changes how periods are chosen.
    fn steer(&mut self, mode: Mode) {
        let now = self.now();
        self.be_careful();
        let Some(trace) = &mut self.trace else { return };
        trace.was_sampled |= mode != Mode::All;
        let before = mem::replace(&mut self.steering, Steering::Off);
        self.steering = match (mode, before) {
            (Mode::All, _) => Steering::All,
            (Mode::Off, _) => Steering::Off,
            (Mode::Budget(percent), before) => {
                let ticks_per_nano = trace.scale.ticks(1_000_000) as f64 / 1e6;
                let kept = match before {
                    Steering::Budget(controller) => Some(controller),
                    _ => self.cells.controller.take().map(|kept| *kept),
                };
                let mut controller = kept
                    .filter(|kept| kept.percent == percent)
                    .unwrap_or_else(|| Controller::new(percent, ticks_per_nano, now, random()));
                controller.resume(now);
                Steering::Budget(controller)
            }
        };
    }

    /// Takes up the observer's overhead, if it has changed. Says whether cells must be
    /// set to zero for that.
    pub(crate) fn follow_observer(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let version = shared.overhead.version();
        if mem::replace(&mut self.overhead_version, version) == version {
            return false;
        }
        let follows = self.trace.as_ref().is_some_and(|trace| trace.follows_observer);
        if follows {
            let Overhead(mode) = shared.overhead.get();
            self.steer(mode);
        }
        follows
    }

    /// Ends the trace: closes what is open, hands the rest over, and reports.
    pub(crate) fn finish(&mut self, outcome: Outcome<'_>, taken: Taken) -> Option<Report> {
        self.trace.as_ref()?;
        let end = self.tell(outcome);
        let now = self.now();
        // All but the root, which says what they took.
        self.close_down_to(1, now, end);
        self.end_all_detached(now);
        let resources = self.resources(now, taken);
        let lost = i64::try_from(self.lost.total()).unwrap_or(i64::MAX);
        let reasons = self.lost.told();
        if let Some(root) = self.root_detail() {
            root.attributes.extend(resources.attributes());
            if let Outcome::Exited(code) = outcome {
                root.attributes.push(Attribute::new("process.exit.code", i64::from(code)));
            }
            if lost > 0 {
                root.attributes.push(Attribute::new("wasm.events.lost", lost));
                root.attributes.push(Attribute::new("wasm.events.lost_reasons", reasons));
            }
        }
        self.close_down_to(0, now, end);
        let mut trace = self.trace.take()?;
        trace.hand_over();
        let timed: u64 = self.stats.rows().map(|met| met.timed()).sum();
        let report = Report {
            trace_id: trace.info.trace_id,
            functions: self.rows(&trace.scale, trace.was_sampled),
            spans: trace.kept,
            folded: timed.saturating_sub(trace.kept_calls),
            resources,
            growth: trace.growth,
            heap: self.blocks.told,
            heap_paths: self.blocks.paths(&self.module.functions),
            samples: trace.samples.told(),
            lost: self.lost,
        };
        self.shared
            .tenants
            .add(trace.tenant.as_deref(), &Ended { report: &report, failed: end == End::Failed });
        self.rest();
        Some(report)
    }

    /// Gives back what only a trace needs, and keeps what it learned.
    fn rest(&mut self) {
        self.be_careful();
        if let Steering::Budget(controller) = mem::replace(&mut self.steering, Steering::Idle) {
            self.cells.controller = Some(Box::new(controller));
            for met in self.stats.rows().filter(|met| met.timed() > 0) {
                if let What::Function(id) = met.more.what {
                    self.module.learn(id, *self.cells.steered(id).0);
                    if let Some(What::Function(caller)) = self.stats.what(met.row.within) {
                        self.module.learn_caller(id, caller);
                    }
                }
            }
        }
        self.explain(RowId::NONE);
        for met in self.stats.rows() {
            if let What::Function(id) = met.more.what {
                self.cells.set_row(id, RowId::NONE);
            }
        }
        self.stats.clear();
        self.stack = Vec::new();
        self.extras = Vec::new();
        self.names.clear();
        self.instruments.rest();
        self.guarded.known = Known::default();
        self.told.rest();
    }

    fn resources(&self, now: Ticks, taken: Taken) -> Resources {
        let Some(trace) = &self.trace else { return Resources::default() };
        let nanos = |ticks| trace.scale.nanos(ticks);
        let (mut calls, mut timed, mut host) = (0u64, 0u64, 0u64);
        for met in self.stats.rows() {
            calls += met.calls();
            timed += met.timed();
            if let What::Function(id) = met.more.what
                && self.module.functions.is_import(id)
            {
                host += met.own_of_all();
            }
        }
        let each = if trace.was_sampled { SAMPLE_COST_NANOS } else { TIMED_COST_NANOS };
        let hooks = timed as f64 * each + calls as f64 * COUNT_COST_NANOS;
        let wall = nanos(now.since(trace.start));
        Resources {
            wall_nanos: wall,
            cpu_nanos: taken.cpu.map(|cpu| u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX)),
            suspended_nanos: nanos(self.suspended.ticks()),
            // Estimates, which a guest that calls the hooks by itself can drive up to anything.
            host_nanos: nanos(host).min(wall),
            instantiation_nanos: nanos(trace.instantiation),
            hooks_nanos: (hooks as u64).min(wall),
            fuel: taken.fuel,
            memory_bytes: self.grown.memory_bytes(),
        }
    }

    /// Tells how work ended, on the innermost open span and, of a failure, in the log. Gives how
    /// the spans of the work end.
    fn tell(&mut self, outcome: Outcome<'_>) -> End {
        let detail = match outcome {
            Outcome::Returned | Outcome::Exited(0) => return End::Returned,
            Outcome::Exited(status) => exited(status),
            Outcome::Failed(failure) => {
                let Some(trace) = &mut self.trace else { return End::Failed };
                // Told further in, where it left the span of some other work.
                if trace.told.as_ref() == Some(failure) {
                    return End::Failed;
                }
                trace.told = Some(failure.clone());
                self.log(Severity::Error, failure.message.clone(), failure.log_attributes());
                failure.detail()
            }
        };
        if let Some(extra) = self.current_extra() {
            // A guest that said why it fails, as its panic hook does, knows better.
            if extra.status != Status::Error || extra.detail.status_message.is_empty() {
                extra.detail.status_message = detail.status_message;
            }
            extra.status = Status::Error;
            extra.detail.attributes.extend(detail.attributes);
        }
        End::Failed
    }

    /// Opens the span of work within a trace; says whether it is kept however short it is. Gives
    /// its place, or `None` if the stack is too deep.
    pub(crate) fn begin_part(&mut self, detail: SpanDetail, is_kept: bool) -> Option<usize> {
        if let Some(trace) = &mut self.trace {
            // Whoever goes on has taken care of what failed before.
            trace.told = None;
        }
        self.open_host(detail, is_kept)
    }

    /// Closes the span of work within a trace, and what is open within it.
    pub(crate) fn end_part(&mut self, place: usize, outcome: Outcome<'_>) {
        let end = self.tell(outcome);
        let now = self.now();
        self.close_down_to(place, now, end);
    }

    /// Closes the span of an instantiation.
    pub(crate) fn end_instantiation(&mut self, place: usize, outcome: Outcome<'_>) {
        let (now, start) = (self.now(), self.stack.get(place).map(|frame| frame.start));
        if let (Some(trace), Some(start)) = (&mut self.trace, start) {
            trace.instantiation += now.since(start);
        }
        self.end_part(place, outcome);
    }

    /// Adds a sample of the stack, and gives the functions on it that are hooked.
    pub(crate) fn add_sample(&mut self, backtrace: &WasmBacktrace) -> Vec<u32> {
        let Some(trace) = &mut self.trace else { return Vec::new() };
        trace.samples.add(backtrace, &self.module)
    }

    /// Ends a trace that nobody finished.
    pub(crate) fn abandon(&mut self) {
        if self.trace.is_none() {
            return;
        }
        let failure = Failure::of_host("abandoned", "the store was dropped");
        self.finish(Outcome::Failed(&failure), Taken::default());
    }

    /// The context of the innermost open span, for others to stand under. The span is kept.
    pub(crate) fn current_context(&mut self) -> Option<TraceContext> {
        let number = self.number_open().ok()??;
        let trace = self.trace.as_ref()?;
        Some(TraceContext {
            trace_id: trace.info.trace_id,
            span_id: trace.info.span_id(number),
            sampled: trace.sampled,
        })
    }

    /// Measures, once in a process, what observing takes by itself: a lower bound, since the
    /// way into the host and back is not in it.
    fn calibrate(&mut self) {
        const BATCHES: u32 = 16;
        const CALLS: u64 = 64;
        static BIAS: OnceLock<Bias> = OnceLock::new();
        let bias = BIAS.get_or_init(|| {
            self.set_bias(Bias::NONE);
            self.min_ticks = u64::MAX;
            self.steering = Steering::All;
            let (mut own, mut pair) = (u64::MAX, u64::MAX);
            for _ in 0..BATCHES {
                self.open(Kind::Host, RowId::NONE, 1);
                let start = self.now();
                for _ in 0..CALLS {
                    let token = self.open_call(RowId::NONE, 1);
                    self.leave(token, End::Returned);
                }
                pair = pair.min(self.now().since(start) / CALLS);
                own = own.min(self.stack.last().map_or(0, |frame| frame.children) / CALLS);
                self.stack.clear();
            }
            Bias::new(own, pair)
        });
        self.set_bias(*bias);
    }
}

/// What the operating system and the engine say that a trace took.
#[derive(Clone, Copy, Default)]
pub(crate) struct Taken {
    pub(crate) cpu: Option<Duration>,
    pub(crate) fuel: Option<u64>,
}

/// Why the span failed that a guest left by an exit status.
fn exited(status: i32) -> SpanDetail {
    SpanDetail {
        status_message: format!("exited with status {status}"),
        attributes: vec![Attribute::new("error.type", "exit")],
        ..SpanDetail::default()
    }
}

/// A random number from the standard library's own source, which seeds each map
/// differently and is no weaker than ids need.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// The trace that stands under a span, or one of its own: its identity, that span, and whether it is
/// sent.
pub(crate) fn trace_of(
    parent: Option<TraceContext>,
    sampler: &Sampler,
) -> (TraceId, Option<SpanId>, bool) {
    let trace_id = parent.map_or_else(random_trace_id, |parent| parent.trace_id);
    let is_sampled = sampler.is_sampled(trace_id, parent.map(|parent| parent.sampled));
    (trace_id, parent.map(|parent| parent.span_id), is_sampled)
}

fn random_trace_id() -> TraceId {
    loop {
        let id = (u128::from(random()) << 64 | u128::from(random())).to_be_bytes();
        // W3C Trace Context forbids all zeros.
        if id != [0; 16] {
            return TraceId(id);
        }
    }
}
