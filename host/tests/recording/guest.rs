//! Guests to record, and spans as they arrive.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use observe_collector::event::{Chunk, Status};
use observe_collector::{Collector, Counts, Exporter};
use observe_host::{
    Error, Failure, FunctionRow, ObservedModule, Outcome, Recorder, Report, TraceOptions,
};
use observe_instrumenter::Selection;
use wasmtime::{Caller, Config, Engine, Extern, Instance, Linker, Store};

pub(crate) struct State {
    pub(crate) recorder: Recorder,
}

/// A module in a store, with a host function that calls back.
pub(crate) struct Guest {
    pub(crate) module: ObservedModule,
    pub(crate) store: Store<State>,
    pub(crate) instance: Instance,
}

pub(crate) fn engine() -> Engine {
    let mut config = Config::new();
    config.wasm_exceptions(true).wasm_function_references(true).wasm_gc(true);
    Engine::new(&config).expect("an engine")
}

pub(crate) fn assemble(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).expect("valid text")
}

pub(crate) fn module(wat: &str) -> Result<ObservedModule, Error> {
    selected(wat, &Selection::all())
}

fn selected(wat: &str, selection: &Selection) -> Result<ObservedModule, Error> {
    ObservedModule::new(&engine(), &assemble(wat), selection)
}

impl Guest {
    pub(crate) fn new(wat: &str) -> Self {
        Guest::selected(wat, &Selection::all())
    }

    pub(crate) fn selected(wat: &str, selection: &Selection) -> Self {
        let module = selected(wat, selection).expect("it can be observed");
        let mut linker = Linker::new(module.module().engine());
        observe_host::add_to_linker(&mut linker, |state: &mut State| &mut state.recorder)
            .expect("an empty linker");
        // Calls an export, and goes on whether it trapped or not.
        linker
            .func_wrap("host", "try", |mut caller: Caller<'_, State>, export: i32| {
                let name = format!("export {export}");
                let function = caller.get_export(&name).and_then(Extern::into_func);
                i32::from(function.expect("an export").call(&mut caller, &[], &mut []).is_ok())
            })
            .expect("not there yet");
        let mut store = Store::new(module.module().engine(), State { recorder: module.recorder() });
        let other = r#"(module
            (type $super (sub (func (result i32))))
            (type $sub (sub $super (func (result i32))))
            (func)
            (func $other_boom (export "boom") unreachable)
            (func (export "of a subtype") (type $sub) (i32.const 7)))"#;
        let other = wasmtime::Module::new(module.module().engine(), assemble(other));
        linker.module(&mut store, "other", &other.expect("valid")).expect("it links");
        let instance = linker.instantiate(&mut store, module.module()).expect("it links");
        Guest { module, store, instance }
    }

    pub(crate) fn recorder(&mut self) -> &mut Recorder {
        &mut self.store.data_mut().recorder
    }

    pub(crate) fn call(&mut self, export: &str) -> wasmtime::Result<()> {
        self.instance.get_typed_func::<(), ()>(&mut self.store, export)?.call(&mut self.store, ())
    }

    pub(crate) fn settle(&mut self) {
        let cells = self.module.take_cells(&mut self.store, &self.instance);
        self.recorder().settle(cells.expect("its own cells"));
    }

    /// A trace of one call, settled.
    pub(crate) fn trace(&mut self, export: &str, options: TraceOptions) -> Report {
        self.recorder().start(options);
        let failure = self.call(export).err().map(|error| Failure::new(&self.module, &error));
        self.settle();
        let outcome = failure.as_ref().map_or(Outcome::Returned, Outcome::Failed);
        self.recorder().finish(outcome).expect("it was started")
    }
}

/// A span as it arrived: its name, that of its parent, and whether it failed.
pub(crate) type Arrived = (String, Option<String>, bool);

/// What is kept of a span.
pub(crate) struct Span {
    number: u32,
    parent: Option<u32>,
    name: String,
    failed: bool,
    start: u64,
    end: u64,
}

#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<Span>>>);

impl Exporter for Kept {
    fn name(&self) -> &str {
        "kept"
    }

    fn export(&mut self, chunk: &Chunk) {
        let spans = chunk.spans.iter().map(|span| {
            let symbol = span.symbol.and_then(|id| chunk.trace.symbols.get(id));
            let own = span.detail.as_ref().and_then(|detail| detail.name.clone());
            Span {
                number: span.number.0,
                parent: span.parent.map(|parent| parent.0),
                name: symbol.map(|symbol| symbol.name.clone()).or(own).expect("a name"),
                failed: span.status == Status::Error,
                start: span.start_unix_nanos,
                end: span.end_unix_nanos,
            }
        });
        self.0.lock().expect("whole").extend(spans);
    }

    fn flush(&mut self, _: Instant) {}

    fn counts(&self) -> Counts {
        Counts::default()
    }

    fn last_error(&self) -> Option<String> {
        None
    }
}

impl Kept {
    /// The spans in the order in which they began.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        let spans = self.0.lock().expect("whole");
        let mut spans: Vec<_> = spans.iter().collect();
        spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
        let name = |number: u32| {
            let found = spans.iter().find(|span| span.number == number);
            found.unwrap_or_else(|| panic!("no span {number}")).name.clone()
        };
        let arrived = spans.iter().map(|s| (s.name.clone(), s.parent.map(name), s.failed));
        arrived.collect()
    }
}

/// A trace of one call with each call a span; also the spans.
pub(crate) fn spans_of(guest: &mut Guest, export: &str) -> (Report, Vec<Arrived>) {
    let kept = Kept::default();
    let collector = Collector::builder().exporter(Box::new(kept.clone())).start();
    let options = TraceOptions::new("root").min_duration(Duration::ZERO).sink(collector.handle());
    let report = guest.trace(export, options);
    collector.shutdown(Duration::from_secs(10));
    let arrived = kept.arrived();
    assert_eq!(arrived.len() as u64, report.spans);
    (report, arrived)
}

pub(crate) fn span(name: &str, parent: &str, failed: bool) -> Arrived {
    (name.to_owned(), (!parent.is_empty()).then(|| parent.to_owned()), failed)
}

pub(crate) fn row<'a>(report: &'a Report, name: &str) -> &'a FunctionRow {
    let row = report.functions.iter().find(|row| row.name == name);
    row.unwrap_or_else(|| panic!("no {name}: {report:?}"))
}
