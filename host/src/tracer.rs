//! Traces of stores: what an embedder calls around the calls of its guests.

use std::fmt;
use std::sync::Arc;

use observe_collector::event::{Attribute, Severity};
use wasmtime::{AsContextMut, Instance, InstancePre, WasmBacktrace};

use crate::cells::{self, Rearm, When};
use crate::context::TraceContext;
use crate::observer::Observer;
use crate::open::Open;
use crate::options::TraceOptions;
use crate::recorder::Recorder;
use crate::report::Report;

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
        let mut open = Open::work(self, store, options);
        if let Some(rearm) = open.begins_with() {
            cells::look(open.store, |data| self.of(data), rearm, When::Before);
        }
        let result = work(open.store);
        if open.is_trace() {
            // What stands open is over, and the reader of the cells is no part of it.
            cells::look(open.store, |data| self.of(data), Rearm::None, When::After);
        }
        let report = open.close(result.as_ref().err());
        Traced { result, report }
    }

    /// Instantiates a module as [`InstancePre::instantiate`] does, and makes a span of that, in
    /// which calls of its start function stand. Like a call it is folded where it is short and
    /// does not fail.
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
        // Another instance has other cells.
        cells::look(store, |data| self.of(data), Rearm::None, When::During);
        let mut open = Open::instantiation(self, store);
        let instance = module.instantiate(open.store.as_context_mut());
        open.close(instance.as_ref().err());
        instance
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
}

/// What an embedder adds to the innermost open span, as in a function of its own that the guest
/// calls: there that is the span of this call.
impl Recorder {
    /// Gives the innermost open span an attribute. It is kept then, however short it is.
    pub fn attribute(&mut self, attribute: Attribute) {
        if let Some(inner) = self.inner()
            && inner.trace.is_some()
            && let Some(extra) = inner.current_extra()
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
