//! Our own contenders: one instrumented module, under each kind of overhead.

use std::time::{Duration, Instant};

use observe_benches::{Done, Result};
use observe_collector::event::Chunk;
use observe_collector::{Collector, Counts, Exporter};
use observe_host::{ObservedModule, Observer as Observes, Overhead, TraceOptions, Tracer};
use observe_instrumenter::{Cells, Module, Plan, Selection};
use wasmtime::{Engine, Store};

use crate::contender::{self, Contender, Observer, Seen, State, Work};

/// How long the collector may take for what is left.
const PATIENCE: Duration = Duration::from_secs(10);

/// A module with our hooks.
pub struct Ours {
    prefix: &'static str,
    observed: ObservedModule,
}

/// How a trace is made.
#[derive(Clone, Copy)]
pub enum Way {
    /// Nothing is timed.
    Off,
    /// Sampled.
    Budget,
    /// Each call is timed.
    All,
    /// Each call is timed, and those of at least 20 µs become spans.
    Spans,
    /// Each call becomes a span.
    EachASpan,
}

impl Way {
    pub const ALL: [Way; 5] = [Way::Off, Way::Budget, Way::All, Way::Spans, Way::EachASpan];
    pub const WITHOUT_SPANS: [Way; 3] = [Way::Off, Way::Budget, Way::All];

    fn name(self) -> &'static str {
        match self {
            Way::Off => "off",
            Way::Budget => "budget 5 %",
            Way::All => "all",
            Way::Spans => "all, spans from 20 µs",
            Way::EachASpan => "all, each a span",
        }
    }

    /// Who makes such traces, and where the spans go, if they do.
    fn observer(self) -> (Observes, Option<Collector>) {
        let overhead = match self {
            Way::Off => Overhead::off(),
            Way::Budget => Overhead::budget(5.0),
            Way::All | Way::Spans | Way::EachASpan => Overhead::all(),
        };
        let mut builder = Observes::builder().overhead(overhead);
        if let Way::EachASpan = self {
            builder = builder.min_duration(Duration::ZERO);
        }
        match self {
            Way::Off | Way::Budget | Way::All => (builder.build(), None),
            Way::Spans | Way::EachASpan => {
                let collector = Collector::builder().exporter(Box::new(Counter::default())).start();
                (builder.sink(collector.handle()).build(), Some(collector))
            }
        }
    }
}

impl Ours {
    /// Hooks as they are by default, in what is selected.
    pub fn new(
        engine: &Engine,
        prefix: &'static str,
        wasm: &[u8],
        selection: &Selection,
    ) -> Result<Self> {
        Ok(Ours { prefix, observed: ObservedModule::new(engine, wasm, selection)? })
    }

    /// Hooks that take half the room.
    pub fn compact(
        engine: &Engine,
        prefix: &'static str,
        wasm: &[u8],
        selection: &Selection,
    ) -> Result<Self> {
        let module = Module::parse(wasm)?;
        let mut plan = Plan::new(&module, selection);
        (plan.compact, plan.cells) = (true, Cells::Memory);
        Ok(Ours { prefix, observed: ObservedModule::planned(engine, &module, &plan)? })
    }

    /// The module with its hooks.
    pub fn observed(&self) -> &ObservedModule {
        &self.observed
    }

    /// One contender for each of the given ways to make a trace.
    pub fn contenders(&self, ways: &[Way]) -> Result<Vec<Contender>> {
        ways.iter().map(|way| self.contender(*way)).collect()
    }

    fn contender(&self, way: Way) -> Result<Contender> {
        let module = self.observed.module();
        let mut linker = contender::linker(module.engine())?;
        let (observer, collector) = way.observer();
        let tracer = observer.tracer(&mut linker, |state: &mut State| &mut state.recorder)?;
        let name = format!("{}{}", self.prefix, way.name());
        let traced = Traced { observed: self.observed.clone(), tracer, collector };
        Contender::new(name, module, &linker, traced)
    }
}

/// A trace around each run.
struct Traced {
    observed: ObservedModule,
    tracer: Tracer<State>,
    /// Where the spans go, to wait until all have arrived before the next one runs.
    collector: Option<Collector>,
}

impl Observer for Traced {
    fn observe(&self, store: &mut Store<State>, work: &Work<'_>) -> Result<(Done, Seen)> {
        store.data_mut().recorder = self.tracer.observer().recorder(&self.observed);
        let traced = self.tracer.trace(store, TraceOptions::new("bench"), |store| {
            let instance = self.tracer.instantiate(store, work.linked)?;
            Ok(work.program.run(store, &instance, work.stdout))
        });
        if let Some(collector) = &self.collector {
            collector.flush(PATIENCE);
        }
        let report = traced.report.ok_or("there was a trace already")?;
        let seen = Seen::Calls {
            made: report.functions.iter().map(|row| row.calls).sum(),
            timed: report.functions.iter().map(|row| row.timed_calls).sum(),
        };
        Ok((traced.result??, seen))
    }

    fn conclude(self: Box<Self>) -> Option<String> {
        let report = self.collector?.shutdown(PATIENCE);
        let counts = report.exporters.first()?.counts;
        let dropped = counts.dropped.total();
        (dropped > 0).then(|| format!("{dropped} of {} spans dropped", counts.accepted))
    }
}

/// Counts spans.
#[derive(Default)]
struct Counter(u64);

impl Exporter for Counter {
    fn name(&self) -> &'static str {
        "counter"
    }
    fn export(&mut self, chunk: &Chunk) {
        self.0 += chunk.spans.len() as u64;
    }
    fn flush(&mut self, _deadline: Instant) {}
    fn counts(&self) -> Counts {
        Counts { accepted: self.0, delivered: self.0, ..Counts::default() }
    }
    fn last_error(&self) -> Option<String> {
        None
    }
}
