//! Traces of stores: what an embedder calls around the calls of its guests.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use observe_collector::event::{Attribute, Severity, SpanDetail};
use wasmtime::{AsContext, AsContextMut, Instance, InstancePre, WasmBacktrace};

use crate::cells::{self, Counted, Rearm};
use crate::context::TraceContext;
use crate::cpu::thread_time;
use crate::failure::Failure;
use crate::observe_sdk;
use crate::observer::Observer;
use crate::recorder::Recorder;
use crate::report::Report;
use crate::suspended::Suspended;
use crate::trace::{Outcome, Taken, TraceOptions};

/// Makes traces of the stores with data of type `T` that use its linker.
///
/// Cheap to clone. [`Observer::tracer`] makes one.
pub struct Tracer<T: 'static> {
    observer: Observer,
    recorder: Arc<RecorderOf<T>>,
}

type RecorderOf<T> = dyn Fn(&mut T) -> &mut Recorder + Send + Sync;

impl<T> Clone for Tracer<T> {
    fn clone(&self) -> Self {
        Tracer { observer: self.observer.clone(), recorder: Arc::clone(&self.recorder) }
    }
}

impl<T> fmt::Debug for Tracer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").field("observer", &self.observer).finish_non_exhaustive()
    }
}

/// What came of work that was traced.
#[derive(Debug)]
#[must_use]
pub struct Traced<R> {
    /// What the work gave.
    pub result: wasmtime::Result<R>,
    /// What the trace told; `None` where the work was a span of a trace that had begun before, and
    /// where the observer is disabled.
    pub report: Option<Report>,
}

/// Where the span of some work is on the shadow stack.
#[derive(Clone, Copy)]
enum Depth {
    /// There is none.
    Nowhere,
    /// It is the root of a trace.
    Root,
    At(usize),
}

impl<T: 'static> Tracer<T> {
    pub(crate) fn new(
        observer: Observer,
        recorder: impl Fn(&mut T) -> &mut Recorder + Send + Sync + 'static,
    ) -> Self {
        Tracer { observer, recorder: Arc::new(recorder) }
    }

    /// The observer it is of.
    pub fn observer(&self) -> &Observer {
        &self.observer
    }

    /// Does some work with a store, such as to instantiate a module and to call it, and makes
    /// a trace of it.
    ///
    /// Its root span takes the name of the options, and every span that begins in the meantime
    /// stands below. If the work fails, the spans that are open at that moment end with it,
    /// the innermost with the error, and the next trace starts clean. Work in a store whose trace
    /// has begun already, as in a function of the host, is a span of that trace, under the innermost
    /// open one; of the options, then, only name and attributes count.
    ///
    /// # Panics
    ///
    /// As `work` does; its spans are closed first.
    ///
    /// # Overhead
    ///
    /// The first trace in a process takes up to 5 ms, to calibrate the clock. Each takes some
    /// microseconds, to read the cells of the instance and to put its functions in order.
    pub fn trace<S, R>(
        &self,
        store: &mut S,
        options: TraceOptions,
        work: impl FnOnce(&mut S) -> wasmtime::Result<R>,
    ) -> Traced<R>
    where
        S: AsContextMut<Data = T>,
    {
        let cpu = thread_time();
        let mut open = self.open(store, options);
        if let Some(rearm) = open.rearm() {
            cells::look(open.store, |data| self.of(data), rearm, Counted::No);
        }
        open.note_fuel();
        let result = work(open.store);
        let cpu = thread_time().zip(cpu).map(|(after, before)| after.saturating_sub(before));
        let taken = open.taken(cpu);
        if open.is_root() {
            cells::look(open.store, |data| self.of(data), Rearm::None, Counted::Yes);
        }
        let report = open.close(&result, taken);
        Traced { result, report }
    }

    /// Instantiates a module as [`InstancePre::instantiate`] does, and makes a span of that, in
    /// which calls of its start function stand. Like a call it is folded where it is short.
    ///
    /// # Errors
    ///
    /// Those of wasmtime.
    pub fn instantiate<S>(
        &self,
        store: &mut S,
        module: &InstancePre<T>,
    ) -> wasmtime::Result<Instance>
    where
        S: AsContextMut<Data = T>,
    {
        let began = self.begin_instantiation(store);
        let instance = module.instantiate(store.as_context_mut());
        self.end_instantiation(store, began, instance.is_err());
        instance
    }

    pub(crate) fn begin_instantiation<S>(&self, store: &mut S) -> Option<usize>
    where
        S: AsContextMut<Data = T>,
    {
        let mut store = store.as_context_mut();
        let inner = self.of(store.data_mut()).inner()?;
        // Another instance has other cells.
        inner.cells.forget();
        inner.be_careful();
        inner.told.forget(inner.module.only_memory_bytes());
        inner.trace.as_ref()?;
        let detail = SpanDetail { name: Some("instantiate".to_owned()), ..SpanDetail::default() };
        inner.open_host(detail, false)
    }

    pub(crate) fn end_instantiation<S>(&self, store: &mut S, began: Option<usize>, failed: bool)
    where
        S: AsContextMut<Data = T>,
    {
        // Where it failed, the trace wants to know where.
        if failed {
            return;
        }
        let mut store = store.as_context_mut();
        if let (Some(inner), Some(depth)) = (self.of(store.data_mut()).inner(), began) {
            inner.close_instantiation(depth);
        }
    }

    /// Takes a sample of the guest's stack, as from
    /// [`epoch_deadline_callback`](wasmtime::Store::epoch_deadline_callback): the second source,
    /// beside the hooks, for what takes long right now. The functions on the stack are
    /// timed from their next call on, if they are hooked.
    ///
    /// It does nothing outside of a trace.
    ///
    /// # Overhead
    ///
    /// Some microseconds for each ten calls on the stack.
    pub fn sample<S>(&self, store: &mut S)
    where
        S: AsContextMut<Data = T>,
    {
        let mut store = store.as_context_mut();
        if self.of(store.data_mut()).inner().is_none_or(|inner| inner.trace.is_none()) {
            return;
        }
        let backtrace = WasmBacktrace::force_capture(&store);
        let Some(inner) = self.of(store.data_mut()).inner() else { return };
        let slow = inner.add_sample(&backtrace);
        cells::rearm(&mut store, |data| self.of(data), &slow);
    }

    pub(crate) fn of<'d>(&self, data: &'d mut T) -> &'d mut Recorder {
        (self.recorder)(data)
    }

    /// Begins a trace, or a span of the one that has begun.
    pub(crate) fn open<'o, S>(&'o self, store: &'o mut S, options: TraceOptions) -> Open<'o, T, S>
    where
        S: AsContextMut<Data = T>,
    {
        let mut context = store.as_context_mut();
        let depth = match self.of(context.data_mut()).inner() {
            None => Depth::Nowhere,
            Some(inner) if inner.trace.is_some() => {
                let depth = inner.open_host(options.into_detail(), true);
                depth.map_or(Depth::Nowhere, Depth::At)
            }
            Some(inner) => {
                inner.start(options);
                Depth::Root
            }
        };
        Open { tracer: self, depth, fuel: None, store }
    }
}

/// A trace, or a span, that is open while work is done with its store.
///
/// The cells of a root are looked at before the work and behind it. That takes calls, so it
/// is for whoever knows of what kind they must be.
pub(crate) struct Open<'o, T: 'static, S: AsContextMut<Data = T>> {
    tracer: &'o Tracer<T>,
    depth: Depth,
    /// What the store had when the work began.
    fuel: Option<u64>,
    pub(crate) store: &'o mut S,
}

impl<T: 'static, S: AsContextMut<Data = T>> Open<'_, T, S> {
    pub(crate) fn is_root(&self) -> bool {
        matches!(self.depth, Depth::Root)
    }

    /// What is to be done with the cells of a root before the work.
    pub(crate) fn rearm(&mut self) -> Option<Rearm> {
        if !self.is_root() {
            return None;
        }
        let mut store = self.store.as_context_mut();
        let inner = self.tracer.of(store.data_mut()).inner()?;
        Some(inner.rearm_at_start())
    }

    /// Notes the store's fuel before the work. What a look at the cells takes is not the trace's.
    pub(crate) fn note_fuel(&mut self) {
        if self.is_root() {
            self.fuel = self.store.as_context().get_fuel().ok();
        }
    }

    /// What the work took, as seen right behind it.
    pub(crate) fn taken(&mut self, cpu: Option<Duration>) -> Taken {
        observe_sdk::settle(self.store, |data| self.tracer.of(data));
        let left = self.fuel.and_then(|_| self.store.as_context().get_fuel().ok());
        let fuel = self.fuel.zip(left).map(|(before, left)| before.saturating_sub(left));
        Taken { cpu, fuel }
    }

    /// Where the waiting of a root is noted. Within it, it is noted already.
    pub(crate) fn suspended(&mut self) -> Option<Arc<Suspended>> {
        if !self.is_root() {
            return None;
        }
        let mut store = self.store.as_context_mut();
        let inner = self.tracer.of(store.data_mut()).inner()?;
        Some(Arc::clone(&inner.suspended))
    }

    /// Ends it.
    pub(crate) fn close<R>(
        &mut self,
        result: &wasmtime::Result<R>,
        taken: Taken,
    ) -> Option<Report> {
        let depth = std::mem::replace(&mut self.depth, Depth::Nowhere);
        let exit_status = self.tracer.observer.0.exit_status.as_ref();
        let error = result.as_ref().err();
        let exit = error.and_then(|error| exit_status?(error));
        let mut store = self.store.as_context_mut();
        let inner = self.tracer.of(store.data_mut()).inner()?;
        let failure =
            error.filter(|_| exit.is_none()).map(|error| Failure::of_guest(&inner.module, error));
        let outcome = match (exit, &failure) {
            (Some(status), _) => Outcome::Exited(status),
            (None, Some(failure)) => Outcome::Failed(failure),
            (None, None) => Outcome::Returned,
        };
        match depth {
            Depth::Nowhere => None,
            Depth::Root => inner.finish(outcome, taken),
            Depth::At(depth) => {
                inner.close_scope(depth, outcome);
                None
            }
        }
    }
}

impl<T: 'static, S: AsContextMut<Data = T>> Drop for Open<'_, T, S> {
    fn drop(&mut self) {
        // Closed already, unless the work panicked, or its future was dropped.
        if let Depth::Nowhere = self.depth {
            return;
        }
        let mut store = self.store.as_context_mut();
        let Some(inner) = self.tracer.of(store.data_mut()).inner() else { return };
        let (error_type, why) = match std::thread::panicking() {
            true => ("panic", "the host panicked"),
            false => ("cancelled", "the future was dropped"),
        };
        match self.depth {
            Depth::Nowhere => {}
            Depth::Root => inner.abandon(error_type, why),
            Depth::At(depth) => {
                inner.close_from(depth, Some(Failure::of_host(error_type, why).detail()));
            }
        }
    }
}

/// What an embedder adds to the innermost open span, as in a function of its own that the guest
/// calls: there that is the span of this call.
impl Recorder {
    /// Gives the innermost open span an attribute. It is kept then, however short it is.
    pub fn attribute(&mut self, attribute: Attribute) {
        if let Some(inner) = self.inner()
            && inner.trace.is_some()
            && let Some(extra) = inner.extra()
        {
            extra.detail.attributes.push(attribute);
        }
    }

    /// Logs something, tied to the innermost open span.
    pub fn log(&mut self, severity: Severity, body: impl Into<String>, attributes: Vec<Attribute>) {
        if let Some(inner) = self.inner()
            && inner.trace.is_some()
        {
            inner.log(severity, body.into(), attributes);
        }
    }

    /// The context of the innermost open span, for calls that go out: `to_string` makes a
    /// `traceparent` of it. `None` outside of a trace.
    pub fn context(&mut self) -> Option<TraceContext> {
        self.inner()?.current_context()
    }
}
