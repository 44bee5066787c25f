//! A trace from its start to its report.

use std::sync::Arc;
use std::time::Duration;

use observe_collector::Handle;
use observe_collector::event::{Attribute, SpanDetail, SpanId, TraceId, TraceInfo};

use crate::clock::Scale;
use crate::failure::Failure;
use crate::growth::Growth;
use crate::heap::Heap;
use crate::lost::Lost;
use crate::module::Cells;
use crate::overhead::{Mode, Overhead};
use crate::recorder::{Active, Inner, Recorder, Steering};
use crate::stats::FunctionRow;

/// The duration below which a span is folded into its parent by default.
pub const DEFAULT_MIN_DURATION: Duration = Duration::from_micros(20);

/// How a trace is to be made.
#[derive(Clone, Debug)]
pub struct TraceOptions {
    name: String,
    overhead: Overhead,
    min_duration: Duration,
    parent: Option<(TraceId, SpanId)>,
    attributes: Vec<Attribute>,
    sink: Option<Handle>,
}

impl TraceOptions {
    /// A trace whose root span has the given name, with every call timed and spans
    /// of less than 20 µs folded into their parents.
    pub fn new(name: impl Into<String>) -> Self {
        TraceOptions {
            name: name.into(),
            overhead: Overhead::all(),
            min_duration: DEFAULT_MIN_DURATION,
            parent: None,
            attributes: Vec::new(),
            sink: None,
        }
    }

    /// Sets how much may be spent on observing.
    pub fn overhead(mut self, overhead: Overhead) -> Self {
        self.overhead = overhead;
        self
    }

    /// Sets the duration below which a call becomes no span of its own. It is
    /// counted in its function's statistics all the same.
    pub fn min_duration(mut self, duration: Duration) -> Self {
        self.min_duration = duration;
        self
    }

    /// Puts the root under a span of the embedder's, or of another process.
    pub fn parent(mut self, trace: TraceId, span: SpanId) -> Self {
        self.parent = Some((trace, span));
        self
    }

    /// Adds an attribute to the root span.
    pub fn attribute(mut self, attribute: Attribute) -> Self {
        self.attributes.push(attribute);
        self
    }

    /// Sends the spans to a collector. Without it, only the report is made.
    pub fn sink(mut self, sink: Handle) -> Self {
        self.sink = Some(sink);
        self
    }
}

/// How the guest's work ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// It returned.
    Returned,
    /// It left by an exit code, as WASI's `proc_exit` does; other than 0 is a failure.
    Exited(i32),
    /// A call of it gave an error.
    Failed(&'a Failure),
}

/// What a trace told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The identity of the trace.
    pub trace_id: TraceId,
    /// The functions that were called, those with the most time of their own first, or
    /// the most time in all where their own is not known. Spans of the guest's own stand among them under their names.
    pub functions: Vec<FunctionRow>,
    /// How many calls became spans, the root included.
    pub spans: u64,
    /// How many timed calls were too short to become spans.
    pub folded: u64,
    /// What memories and tables grew by.
    pub growth: Growth,
    /// What was allocated and freed, in a module whose allocators tell.
    pub heap: Heap,
    /// What was not recorded.
    pub lost: Lost,
}

impl Recorder {
    /// Starts a trace and opens its root span. A trace that is under way is
    /// abandoned: its spans end with an error. An instance that was called before
    /// wants [`settle`](Recorder::settle) first.
    ///
    /// # Overhead
    ///
    /// Takes up to 5 ms once in a process, to calibrate the clock.
    pub fn start(&mut self, options: TraceOptions) {
        self.inner().start(options);
    }

    /// Ends the trace: closes what is open, hands the rest over, and reports.
    /// `None` if no trace was started.
    ///
    /// Calls that were counted but not timed since their function's last timed call
    /// are in the report only after [`settle`](Recorder::settle).
    pub fn finish(&mut self, outcome: Outcome<'_>) -> Option<Report> {
        self.inner().finish(outcome)
    }

    /// Counts the calls that only the cells know of. `cells` is what
    /// [`ObservedModule::take_cells`](crate::ObservedModule::take_cells) took.
    ///
    /// Called before [`finish`](Recorder::finish) it makes the counts of the trace exact;
    /// where every call was timed, they are already. Called before
    /// [`start`](Recorder::start) it makes the trace begin with the first call of each
    /// function, in an instance that was called before.
    pub fn settle(&mut self, cells: Cells) {
        let inner = self.inner();
        let functions = inner.functions.len();
        let stats = inner.stats.iter_mut().take(functions);
        stats.zip(cells.0).for_each(|(stats, left)| stats.settle(left));
    }
}

impl Inner {
    fn start(&mut self, options: TraceOptions) {
        self.abandon();
        self.stats.truncate(self.functions.len());
        self.stats.iter_mut().for_each(crate::stats::FunctionStats::reset);
        self.names.clear();
        self.blocks.start();
        self.lost = Lost::default();
        let scale = Scale::new();
        let seed = random();
        let (trace_id, parent) = match options.parent {
            Some((trace, span)) => (trace, Some(span)),
            None => (random_trace_id(), None),
        };
        let min_nanos = u64::try_from(options.min_duration.as_nanos()).unwrap_or(u64::MAX);
        self.trace = Some(Active {
            info: Arc::new(TraceInfo {
                trace_id,
                parent,
                seed,
                symbols: Arc::clone(&self.functions.symbols),
            }),
            scale,
            steering: Steering::new(options.overhead.0, &scale, self.now(), seed),
            min_ticks: scale.ticks(min_nanos),
            sink: options.sink,
            spans: Vec::new(),
            next_number: 1,
            kept: 0,
            folded: 0,
            growth: Growth::default(),
        });
        let mut attributes = options.attributes;
        let mode = match options.overhead.0 {
            Mode::All => "all",
            Mode::Budget(_) => "budget",
            Mode::Off => "off",
        };
        attributes.push(Attribute::new("wasm.trace.mode", mode));
        self.open_root(SpanDetail {
            name: Some(options.name),
            status_message: String::new(),
            attributes,
        });
    }

    fn finish(&mut self, outcome: Outcome<'_>) -> Option<Report> {
        self.trace.as_ref()?;
        let failure = match outcome {
            Outcome::Returned => None,
            Outcome::Exited(code) => {
                let attribute = Attribute::new("process.exit.code", i64::from(code));
                if let Some(root) = self.root_detail() {
                    root.attributes.push(attribute);
                }
                (code != 0).then(|| SpanDetail {
                    status_message: format!("exited with code {code}"),
                    ..SpanDetail::default()
                })
            }
            Outcome::Failed(failure) => Some(failure.detail()),
        };
        self.close_all(failure);
        let mut trace = self.trace.take()?;
        trace.hand_over();
        let sampling = !matches!(trace.steering, Steering::All);
        let source = |id| self.functions.source(id);
        let names = self.functions.map.functions.iter().map(|function| function.name.as_str());
        let rows = names.chain(self.names.iter()).zip(&self.stats).enumerate();
        let mut functions: Vec<_> = rows
            .filter(|(_, (_, stats))| stats.calls > 0)
            .map(|(id, (name, stats))| stats.row(name, source(id), &trace.scale, sampling))
            .collect();
        functions.sort_by(|a, b| {
            let rank = |row: &FunctionRow| (row.self_nanos, row.total_nanos, row.calls);
            rank(b).cmp(&rank(a)).then_with(|| a.name.cmp(&b.name))
        });
        Some(Report {
            trace_id: trace.info.trace_id,
            functions,
            spans: trace.kept,
            folded: trace.folded,
            growth: trace.growth,
            heap: self.blocks.told,
            lost: self.lost,
        })
    }

    /// Ends a trace that nobody finished.
    pub(crate) fn abandon(&mut self) {
        if self.trace.is_none() {
            return;
        }
        self.close_all(Some(SpanDetail {
            status_message: "the trace was abandoned".to_owned(),
            attributes: vec![Attribute::new("error.type", "abandoned")],
            ..SpanDetail::default()
        }));
        if let Some(mut trace) = self.trace.take() {
            trace.hand_over();
        }
    }
}

/// A random number from the standard library's own source, which seeds each map
/// differently and is no weaker than ids need.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
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
