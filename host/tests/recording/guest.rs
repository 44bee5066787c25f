//! Guests to record, and spans as they arrive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use observe_collector::event::{Attribute, Chunk, Severity, SpanDetail, Status, Value};
use observe_collector::{Collector, Counts, Exporter};
use observe_host::{
    Builder, Error, FunctionRow, ObservedModule, Observer, Overhead, Recorder, Report,
    TraceOptions, Traced, Tracer,
};
use observe_instrumenter::Selection;
use wasmtime::{Caller, Config, Engine, Extern, Instance, Linker, Store};

pub(crate) struct State {
    pub(crate) recorder: Recorder,
}

/// A module in a store, with a host function that calls back.
pub(crate) struct Guest {
    pub(crate) module: ObservedModule,
    pub(crate) tracer: Tracer<State>,
    pub(crate) store: Store<State>,
    pub(crate) instance: Instance,
    collector: Collector,
    kept: Kept,
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

/// An observer of which every call is timed, unless a trace says otherwise.
pub(crate) fn observer() -> Builder {
    Observer::builder().overhead(Overhead::all())
}

impl Guest {
    pub(crate) fn new(wat: &str) -> Self {
        Guest::selected(wat, &Selection::all())
    }

    pub(crate) fn selected(wat: &str, selection: &Selection) -> Self {
        Guest::of(selected(wat, selection).expect("it can be observed"), observer())
    }

    pub(crate) fn of(module: ObservedModule, observer: Builder) -> Self {
        let kept = Kept::default();
        let collector = Collector::builder().exporter(Box::new(kept.clone())).start();
        let observer = observer.sink(collector.handle()).build();
        let mut linker = Linker::new(module.module().engine());
        let tracer = observer
            .tracer(&mut linker, |state: &mut State| &mut state.recorder)
            .expect("an empty linker");
        // Calls an export, and goes on whether it trapped or not.
        linker
            .func_wrap("host", "try", |mut caller: Caller<'_, State>, export: i32| {
                let name = format!("export {export}");
                let function = caller.get_export(&name).and_then(Extern::into_func);
                i32::from(function.expect("an export").call(&mut caller, &[], &mut []).is_ok())
            })
            .expect("not there yet");
        linker
            .func_wrap("host", "tell", |mut caller: Caller<'_, State>, number: i64| {
                let recorder = &mut caller.data_mut().recorder;
                recorder.attribute(Attribute::new("number", number));
                recorder.log(Severity::Warn, format!("told {number}"), Vec::new());
            })
            .expect("not there yet");
        let recorder = observer.recorder(&module);
        let mut store = Store::new(module.module().engine(), State { recorder });
        let other = r#"(module
            (type $super (sub (func (result i32))))
            (type $sub (sub $super (func (result i32))))
            (func)
            (func $other_boom (export "boom") unreachable)
            (func (export "of a subtype") (type $sub) (i32.const 7)))"#;
        let other = wasmtime::Module::new(module.module().engine(), assemble(other));
        linker.module(&mut store, "other", &other.expect("valid")).expect("it links");
        let instance = linker.instantiate(&mut store, module.module()).expect("it links");
        Guest { module, tracer, store, instance, collector, kept }
    }

    pub(crate) fn recorder(&mut self) -> &mut Recorder {
        &mut self.store.data_mut().recorder
    }

    pub(crate) fn call(&mut self, export: &str) -> wasmtime::Result<()> {
        self.instance.get_typed_func::<(), ()>(&mut self.store, export)?.call(&mut self.store, ())
    }

    /// A trace of one call.
    pub(crate) fn traced(&mut self, export: &str, options: TraceOptions) -> Traced<()> {
        let instance = self.instance;
        self.tracer.trace(&mut self.store, options, |store| {
            instance.get_typed_func::<(), ()>(&mut *store, export)?.call(store, ())
        })
    }

    /// The report of a trace of one call, however that ended.
    pub(crate) fn trace(&mut self, export: &str, options: TraceOptions) -> Report {
        self.traced(export, options).report.expect("a trace of its own")
    }

    /// What has arrived since this was last asked.
    pub(crate) fn arrived(&self) -> Kept {
        assert!(self.collector.flush(Duration::from_secs(10)));
        self.kept.take()
    }
}

/// A span as it arrived: its name, that of its parent, and whether it failed.
pub(crate) type Arrived = (String, Option<String>, bool);

/// What is kept of a span.
#[derive(Clone)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) number: u32,
    pub(crate) parent: Option<u32>,
    /// The span of another trace that the root stands under.
    pub(crate) remote: Option<String>,
    pub(crate) name: String,
    pub(crate) failed: bool,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) status: Status,
    pub(crate) detail: SpanDetail,
}

impl Span {
    pub(crate) fn attribute(&self, key: &str) -> Option<&Value> {
        let found = self.detail.attributes.iter().find(|attribute| attribute.key == key);
        found.map(|attribute| &attribute.value)
    }
}

/// What is kept of a log record.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) span: Option<u32>,
    pub(crate) severity: Severity,
    pub(crate) body: String,
    pub(crate) attributes: Vec<Attribute>,
}

#[derive(Clone, Default)]
pub(crate) struct Kept {
    spans: Arc<Mutex<Vec<Span>>>,
    logs: Arc<Mutex<Vec<Log>>>,
}

impl Exporter for Kept {
    fn name(&self) -> &str {
        "kept"
    }

    fn export(&mut self, chunk: &Chunk) {
        let info = &chunk.trace;
        let spans = chunk.spans.iter().map(|span| {
            let symbol = span.symbol.and_then(|id| info.symbols.get(id));
            let detail = span.detail.as_deref();
            let own = detail.and_then(|detail| detail.name.clone());
            Span {
                trace: info.trace_id.to_string(),
                id: info.span_id(span.number).to_string(),
                number: span.number.0,
                parent: span.parent.map(|parent| parent.0),
                remote: info.parent.as_ref().map(|parent| parent.span_id.to_string()),
                name: symbol
                    .map(|symbol| symbol.name.clone())
                    .or(own.map(Into::into))
                    .expect("a name"),
                failed: span.status == Status::Error,
                start: span.start_unix_nanos,
                end: span.end_unix_nanos,
                status: span.status,
                detail: detail.cloned().unwrap_or_default(),
            }
        });
        self.spans.lock().expect("whole").extend(spans);
        let logs = chunk.logs.iter().map(|log| Log {
            span: log.span.map(|span| span.0),
            severity: log.severity,
            body: log.body.clone(),
            attributes: log.attributes.clone(),
        });
        self.logs.lock().expect("whole").extend(logs);
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
    pub(crate) fn take(&self) -> Kept {
        let take = |kept: &Kept| Kept {
            spans: Arc::new(Mutex::new(std::mem::take(&mut *kept.spans.lock().expect("whole")))),
            logs: Arc::new(Mutex::new(std::mem::take(&mut *kept.logs.lock().expect("whole")))),
        };
        take(self)
    }

    /// The spans in the order in which they began.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let mut spans = self.spans.lock().expect("whole").clone();
        spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
        spans
    }

    pub(crate) fn span(&self, name: &str) -> Span {
        let mut spans = self.spans().into_iter();
        spans.find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}"))
    }

    pub(crate) fn logs(&self) -> Vec<Log> {
        self.logs.lock().expect("whole").clone()
    }

    /// The names of the spans and of their parents, in the order in which they began.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        let spans = self.spans();
        let names: HashMap<_, _> = spans.iter().map(|span| (span.number, &span.name)).collect();
        let name = |number: u32| {
            String::clone(names.get(&number).unwrap_or_else(|| panic!("no span {number}")))
        };
        let arrived = spans.iter().map(|s| (s.name.clone(), s.parent.map(name), s.failed));
        arrived.collect()
    }
}

/// A trace of one call with each call a span; also the spans.
pub(crate) fn spans_of(guest: &mut Guest, export: &str) -> (Report, Vec<Arrived>) {
    drop(guest.arrived());
    let report = guest.trace(export, TraceOptions::new("root").min_duration(Duration::ZERO));
    let arrived = guest.arrived().arrived();
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
