//! What it takes to make a module ready, as a trace.

use std::sync::Arc;

use observe_collector::event::{
    Attribute, Chunk, SpanDetail, SpanNumber, SpanRecord, Status, SymbolTable, TraceInfo,
};
use observe_instrumenter::Selection;
use wasmtime::Engine;

use crate::Error;
use crate::clock::{Clock, Scale, Ticks};
use crate::module::ObservedModule;
use crate::observer::Observer;
use crate::options::TraceOptions;
use crate::trace::{random, trace_of};

/// A span that has ended, in the order of their numbers; the first is the root.
struct Step {
    name: String,
    start: Ticks,
    end: Ticks,
}

impl Observer {
    /// Makes a module ready as [`ObservedModule::new`] does, and makes a trace of that: below its
    /// root, a span `instrument`, if it is instrumented, and a span `compile`, as far as it came.
    /// Of the options name, parent and attributes count.
    ///
    /// # Errors
    ///
    /// Those of [`ObservedModule::new`]; the root span fails with them.
    pub fn compile(
        &self,
        engine: &Engine,
        wasm: &[u8],
        selection: &Selection,
        options: TraceOptions,
    ) -> Result<ObservedModule, Error> {
        let (trace_id, parent, sampled) = trace_of(options.parent, &self.0.sampler);
        let sink = self.0.sink.as_ref().filter(|_| self.0.enabled && sampled);
        let Some(sink) = sink else { return ObservedModule::new(engine, wasm, selection) };
        let (scale, clock) = (Scale::new(), Clock::get());
        let start = clock.now();
        let mut instrumented = None;
        let made = ObservedModule::in_steps(engine, wasm, selection, &mut || {
            instrumented = Some(clock.now_ordered());
        });
        let end = clock.now_ordered();

        let mut root = options.into_detail();
        root.attributes.push(Attribute::new("wasm.module.size", wasm.len() as i64));
        let root_status = match &made {
            Ok(module) => {
                let hooked = module.hooked_functions() as i64;
                root.attributes.push(Attribute::new("wasm.functions.hooked", hooked));
                Status::Unset
            }
            Err(error) => {
                root.status_message = error.to_string();
                root.attributes.push(Attribute::new("error.type", "error"));
                Status::Error
            }
        };
        let step = |name: &str, start, end| Step { name: name.to_owned(), start, end };
        let steps = match instrumented {
            Some(middle) => {
                vec![step("instrument", start, middle), step("compile", middle, end)]
            }
            None if made.is_ok() => vec![step("compile", start, end)],
            None => Vec::new(),
        };
        let record = |number, start, end, status, detail| SpanRecord {
            start_unix_nanos: scale.unix_nanos(start),
            end_unix_nanos: scale.unix_nanos(end),
            number: SpanNumber(number),
            parent: (number > 0).then_some(SpanNumber(0)),
            symbol: None,
            status,
            detail: Some(Box::new(detail)),
        };
        let mut spans: Vec<_> = (1..)
            .zip(steps)
            .map(|(number, Step { name, start, end })| {
                let detail = SpanDetail { name: Some(name.into()), ..SpanDetail::default() };
                record(number, start, end, Status::Unset, detail)
            })
            .collect();
        spans.push(record(0, start, end, root_status, root));
        let symbols = Arc::new(SymbolTable::default());
        let parent = parent.map(Into::into);
        let trace = Arc::new(TraceInfo { trace_id, parent, seed: random(), symbols });
        sink.send(Chunk { trace, spans, logs: Vec::new() });
        made
    }
}
