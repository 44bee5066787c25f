//! What a trace tells when it is over.

use observe_collector::event::{Attribute, TraceId};

use crate::clock::Scale;
use crate::growth::Growth;
use crate::heap::{Heap, HeapPath};
use crate::lost::Lost;
use crate::recorder::Inner;
use crate::samples::StackSample;
use crate::stats::{Met, What};

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
    /// What it took.
    pub resources: Resources,
    /// What memories and tables grew by.
    pub growth: Growth,
    /// What was allocated and freed, in a module whose allocators tell.
    pub heap: Heap,
    /// The same by path of calls, the most bytes still live first.
    pub heap_paths: Vec<HeapPath>,
    /// What was on the stack when the embedder [sampled](crate::Tracer::sample) it.
    pub samples: Vec<StackSample>,
    /// What was not recorded.
    pub lost: Lost,
}

/// What a trace took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Resources {
    /// Nanoseconds from its start to its end.
    pub wall_nanos: u64,
    /// Nanoseconds for which a thread worked on it, host calls included; `None` where the
    /// operating system does not tell.
    pub cpu_nanos: Option<u64>,
    /// Nanoseconds in which an asynchronous call of it waited.
    pub suspended_nanos: u64,
    /// Nanoseconds in the host's functions, less those in which they called back. An
    /// estimate where not all of these calls were timed.
    pub host_nanos: u64,
    /// Nanoseconds that [`Tracer::instantiate`](crate::Tracer::instantiate) took.
    pub instantiation_nanos: u64,
    /// Nanoseconds that the hooks took, as estimated from what they did.
    pub hooks_nanos: u64,
    /// Fuel that was consumed; `None` in a store that does not count it.
    pub fuel: Option<u64>,
    /// The bytes of the memories that the module defines at the end, when they are largest;
    /// `None` where what they began with is not known.
    pub memory_bytes: Option<u64>,
}

/// What a trace tells of one function, or of one span name of the guest's own.
///
/// Where not every call was timed, the durations are estimates: each timed call
/// stands for those since the one before. From durations in this table what observing added is
/// subtracted, as far as it is known; see [Accuracy](crate#accuracy).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FunctionRow {
    /// The function's name, demangled.
    pub name: String,
    /// Where its source begins, as `file:line`, where that is known.
    pub source: Option<String>,
    /// How often it was called.
    pub calls: u64,
    /// How many of the calls were timed.
    pub timed_calls: u64,
    /// How many of the timed calls ended with an exception, or a failure of the trace.
    pub errors: u64,
    /// Nanoseconds in the function and what it called; of a function that calls
    /// itself, the outermost calls only. `None` where not every call was timed and the
    /// function was seen to call itself, so that which are outermost is not known.
    pub total_nanos: Option<u64>,
    /// Nanoseconds of all of its calls, those within others of the same function included.
    pub sum_nanos: u64,
    /// Nanoseconds in the function less those in hooked functions that it called.
    /// `None` where not every call was timed.
    pub self_nanos: Option<u64>,
    /// Of its calls, the nanoseconds in which the trace waited.
    pub suspended_nanos: u64,
    /// The median duration of a call in nanoseconds, to within 3 %.
    pub p50_nanos: u64,
    /// The duration that 95 % of the calls did not exceed, to within 3 %.
    pub p95_nanos: u64,
    /// The duration that 99 % of the calls did not exceed, to within 3 %.
    pub p99_nanos: u64,
    /// The longest duration of a timed call.
    pub max_nanos: u64,
    /// What the function itself made grow, in all of its calls.
    pub growth: Growth,
    /// What it allocated while it was the innermost timed call, in a module whose allocators
    /// tell. Only blocks and bytes allocated and live are known for one function.
    pub heap: Heap,
}

impl Inner {
    /// The functions that were called, in the order of [`Report::functions`].
    pub(crate) fn rows(&self, scale: &Scale, sampled: bool) -> Vec<FunctionRow> {
        let mut rows: Vec<_> = self
            .stats
            .rows()
            .filter(|met| met.calls() > 0)
            .map(|met| self.row(&met, scale, sampled))
            .collect();
        rows.sort_by(|a, b| {
            let rank = |row: &FunctionRow| (row.self_nanos, row.total_nanos, row.calls);
            rank(b).cmp(&rank(a)).then_with(|| a.name.cmp(&b.name))
        });
        rows
    }

    fn row(&self, met: &Met<'_>, scale: &Scale, sampled: bool) -> FunctionRow {
        let functions = &self.module.functions;
        let (name, source) = match met.more.what {
            What::Function(id) => {
                let function = &functions.map.functions[id as usize];
                (function.name.as_str(), functions.source(id as usize))
            }
            What::Named(name) => (&**self.names.get(name), None),
        };
        let quantiles = met.quantiles([0.5, 0.95, 0.99]);
        let [p50_nanos, p95_nanos, p99_nanos] = quantiles.map(|ticks| scale.nanos(ticks));
        FunctionRow {
            name: name.to_owned(),
            source,
            calls: met.calls(),
            timed_calls: met.timed(),
            errors: met.more.errors,
            total_nanos: met.total().map(|ticks| scale.nanos(ticks)),
            sum_nanos: scale.nanos(met.sum()),
            // What the calls that were not timed took of their callers' time is not known.
            self_nanos: (!sampled).then(|| scale.nanos(met.own())),
            suspended_nanos: scale.nanos(met.suspended()),
            p50_nanos,
            p95_nanos,
            p99_nanos,
            max_nanos: scale.nanos(met.max()),
            growth: met.more.growth,
            heap: met.more.heap,
        }
    }
}

impl Resources {
    /// What the root span says of them.
    pub(crate) fn attributes(&self) -> Vec<Attribute> {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let int = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let mut attributes = vec![
            Attribute::new("wasm.host.time", seconds(self.host_nanos)),
            Attribute::new("wasm.hooks.time", seconds(self.hooks_nanos)),
        ];
        let mut add = |attribute| attributes.push(attribute);
        if let Some(cpu) = self.cpu_nanos {
            add(Attribute::new("wasm.cpu.time", seconds(cpu)));
        }
        if self.instantiation_nanos > 0 {
            add(Attribute::new("wasm.instantiation.time", seconds(self.instantiation_nanos)));
        }
        if let Some(fuel) = self.fuel {
            add(Attribute::new("wasm.fuel.consumed", int(fuel)));
        }
        if let Some(bytes) = self.memory_bytes {
            add(Attribute::new("wasm.memory.peak", int(bytes)));
        }
        attributes
    }
}
