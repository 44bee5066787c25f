//! A host of many stores, and of functions that a test gives it.

use std::time::Duration;

use observe_collector::{Collector, OnFull};
use observe_host::{Builder, ObservedModule, Observer, Recorder, Tracer};
use observe_instrumenter::{Cells, Module, Plan, Selection};
use wasmtime::{Config, Engine, Extern, Instance, InstancePre, Linker, Store};

use crate::guest::{Kept, State, assemble};

pub(crate) struct Host {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    pub(crate) observer: Observer,
    pub(crate) tracer: Tracer<State>,
    collector: Collector,
    kept: Kept,
}

impl Host {
    pub(crate) fn new(config: &Config, observer: Builder) -> Self {
        let kept = Kept::default();
        let collector = Collector::builder().exporter(Box::new(kept.clone()));
        let collector = collector.on_full(OnFull::Block).start();
        let observer = observer.sink(collector.handle()).build();
        let engine = Engine::new(config).expect("an engine");
        let mut linker = Linker::new(&engine);
        let tracer = observer
            .tracer(&mut linker, |state: &mut State| &mut state.recorder)
            .expect("an empty linker");
        Host { engine, linker, observer, tracer, collector, kept }
    }

    /// A module all of whose functions are hooked, with cells in the given place.
    pub(crate) fn module(&self, wat: &str, cells: Cells) -> ObservedModule {
        let wasm = assemble(wat);
        let parsed = Module::parse(&wasm).expect("valid");
        let mut plan = Plan::new(&parsed, &Selection::all());
        plan.cells = cells;
        ObservedModule::planned(&self.engine, &parsed, &plan).expect("it can be observed")
    }

    pub(crate) fn linked(&self, module: &ObservedModule) -> InstancePre<State> {
        self.linker.instantiate_pre(module.module()).expect("it links")
    }

    pub(crate) fn store(&self, module: &ObservedModule) -> Store<State> {
        Store::new(&self.engine, State { recorder: self.recorder(module) })
    }

    pub(crate) fn recorder(&self, module: &ObservedModule) -> Recorder {
        self.observer.recorder(module)
    }

    /// A store with an instance in it.
    pub(crate) fn guest(&self, wat: &str, cells: Cells) -> (Store<State>, Instance) {
        let module = self.module(wat, cells);
        let mut store = self.store(&module);
        let instance = self.linked(&module).instantiate(&mut store).expect("it links");
        (store, instance)
    }

    /// What has arrived since this was last asked.
    pub(crate) fn arrived(&self) -> Kept {
        assert!(self.collector.flush(Duration::from_secs(10)));
        self.kept.take()
    }
}

/// Calls an export that takes nothing and gives nothing.
pub(crate) fn call(
    store: &mut Store<State>,
    instance: Instance,
    export: &str,
) -> wasmtime::Result<()> {
    instance.get_typed_func::<(), ()>(&mut *store, export)?.call(store, ())
}

/// The same from a function of the host.
pub(crate) fn call_back(
    caller: &mut wasmtime::Caller<'_, State>,
    export: &str,
) -> wasmtime::Result<()> {
    let function = caller.get_export(export).and_then(Extern::into_func);
    function.expect("an export").typed::<(), ()>(&*caller)?.call(caller, ())
}
