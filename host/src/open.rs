//! Work that is being traced, from its beginning to its end, however that comes.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use observe_collector::event::SpanDetail;
use wasmtime::{AsContext, AsContextMut};

use crate::cells::Rearm;
use crate::cpu::thread_time;
use crate::failure::Failure;
use crate::observe_sdk;
use crate::options::TraceOptions;
use crate::report::Report;
use crate::suspended::Suspended;
use crate::trace::{Outcome, Taken};
use crate::tracer::Tracer;

/// Work with a store, and the span that it makes.
pub(crate) struct Open<'o, T: 'static, S: AsContextMut<Data = T>> {
    tracer: &'o Tracer<T>,
    pub(crate) store: &'o mut S,
    span: Span,
    fuel: Option<u64>,
    cpu: Cpu,
}

/// What the work is on the shadow stack.
#[derive(Clone, Copy, Default)]
enum Span {
    /// Nothing, or nothing any more.
    #[default]
    None,
    /// The root of a trace.
    Trace,
    /// A span of one, at this place.
    Part(usize),
    /// An instantiation, at this place.
    Instantiation(usize),
}

/// Where it is known from what the trace took of processors.
enum Cpu {
    /// The time of this thread when it began.
    Since(Option<Duration>),
    /// Somebody adds it up, since threads take turns.
    AddedUp(Arc<Suspended>),
}

impl<'o, T: 'static, S: AsContextMut<Data = T>> Open<'o, T, S> {
    /// Begins a trace, or a span of the one that has begun.
    pub(crate) fn work(tracer: &'o Tracer<T>, store: &'o mut S, options: TraceOptions) -> Self {
        let mut open = Open { tracer, store, span: Span::None, fuel: None, cpu: Cpu::Since(None) };
        let mut context = open.store.as_context_mut();
        let Some(inner) = tracer.of(context.data_mut()).inner() else { return open };
        if inner.trace.is_some() {
            let place = inner.begin_part(options.into_detail(), true);
            open.span = place.map_or(Span::None, Span::Part);
            return open;
        }
        open.cpu = Cpu::Since(thread_time());
        inner.start(options);
        open.span = Span::Trace;
        open.fuel = open.store.as_context().get_fuel().ok();
        open
    }

    /// Begins an instantiation, after which the store has another instance.
    pub(crate) fn instantiation(tracer: &'o Tracer<T>, store: &'o mut S) -> Self {
        let mut open = Open { tracer, store, span: Span::None, fuel: None, cpu: Cpu::Since(None) };
        let mut context = open.store.as_context_mut();
        let Some(inner) = tracer.of(context.data_mut()).inner() else { return open };
        inner.cells.forget();
        inner.be_careful();
        inner.told.forget(inner.module.only_memory_bytes());
        if inner.trace.is_some() {
            let name = Some("instantiate".into());
            let place = inner.begin_part(SpanDetail { name, ..SpanDetail::default() }, false);
            open.span = place.map_or(Span::None, Span::Instantiation);
        }
        open
    }

    /// Whether it is a trace of its own.
    pub(crate) fn is_trace(&self) -> bool {
        matches!(self.span, Span::Trace)
    }

    /// What is to be done with the cells at its beginning; `None` where it is no trace.
    pub(crate) fn begins_with(&mut self) -> Option<Rearm> {
        let is_trace = self.is_trace();
        let mut context = self.store.as_context_mut();
        let inner = self.tracer.of(context.data_mut()).inner()?;
        is_trace.then(|| inner.rearm_at_start())
    }

    /// Has somebody add up for how long the work is worked on, and for how long it waits. `None`
    /// where somebody does already, or where there is no trace.
    pub(crate) fn add_up(&mut self) -> Option<Arc<Suspended>> {
        let mut context = self.store.as_context_mut();
        let inner = self.tracer.of(context.data_mut()).inner()?;
        inner.trace.as_ref()?;
        let suspended = Arc::clone(&inner.suspended);
        if !suspended.watch() {
            return None;
        }
        if self.is_trace() {
            self.cpu = Cpu::AddedUp(Arc::clone(&suspended));
        }
        Some(suspended)
    }

    /// What the operating system and the engine say that it took until now.
    fn taken(&self) -> Taken {
        let left = self.store.as_context().get_fuel().ok();
        let fuel = self.fuel.zip(left).map(|(before, left)| before.saturating_sub(left));
        let cpu = match &self.cpu {
            Cpu::Since(before) => {
                thread_time().zip(*before).map(|(now, before)| now.saturating_sub(before))
            }
            Cpu::AddedUp(suspended) => thread_time().map(|_| suspended.worked()),
        };
        Taken { cpu, fuel }
    }

    /// Ends it. Gives the report, if it is a trace of its own.
    pub(crate) fn close(&mut self, error: Option<&wasmtime::Error>) -> Option<Report> {
        observe_sdk::settle(self.store, |data| self.tracer.of(data));
        let exit = error.and_then(|error| self.tracer.observer().0.exit_status.as_ref()?(error));
        let failure = error.filter(|_| exit.is_none()).and_then(|error| {
            let mut context = self.store.as_context_mut();
            let inner = self.tracer.of(context.data_mut()).inner()?;
            Some(Failure::of_guest(&inner.module, error))
        });
        self.end(match (exit, &failure) {
            (Some(status), _) => Outcome::Exited(status),
            (None, Some(failure)) => Outcome::Failed(failure),
            (None, None) => Outcome::Returned,
        })
    }

    fn end(&mut self, outcome: Outcome<'_>) -> Option<Report> {
        let span = mem::take(&mut self.span);
        let taken = if let Span::Trace = span { self.taken() } else { Taken::default() };
        let mut context = self.store.as_context_mut();
        let inner = self.tracer.of(context.data_mut()).inner()?;
        match span {
            Span::None => {}
            Span::Trace => return inner.finish(outcome, taken),
            Span::Part(place) => inner.end_part(place, outcome),
            Span::Instantiation(place) => inner.end_instantiation(place, outcome),
        }
        None
    }
}

impl<T: 'static, S: AsContextMut<Data = T>> Drop for Open<'_, T, S> {
    fn drop(&mut self) {
        // Closed already, unless the work panicked, or its future was dropped.
        if let Span::None = self.span {
            return;
        }
        let (error_type, why) = match std::thread::panicking() {
            true => ("panic", "the host panicked"),
            false => ("cancelled", "the future was dropped"),
        };
        self.end(Outcome::Failed(&Failure::of_host(error_type, why)));
    }
}
