//! Traces of work that waits.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use wasmtime::{AsContextMut, Instance, InstancePre};

use crate::clock::{Clock, Ticks};
use crate::cpu::thread_time;
use crate::suspended::Suspended;
use crate::trace::TraceOptions;
use crate::tracer::{Open, Traced, Tracer};

impl<T: Send + 'static> Tracer<T> {
    /// Does some work with a store that may wait, and makes a trace of it, as
    /// [`trace`](Self::trace) does.
    ///
    /// Spans tell for how long they were suspended, that is, were open while nobody worked on the
    /// trace. If the future is dropped before it is done, its spans end at that moment, with the
    /// error `cancelled`.
    pub async fn trace_async<S, R>(
        &self,
        store: &mut S,
        options: TraceOptions,
        work: impl AsyncFnOnce(&mut S) -> wasmtime::Result<R>,
    ) -> Traced<R>
    where
        S: AsContextMut<Data = T>,
    {
        let mut open = Open { tracer: self, began: self.begin(store, options), store };
        let suspended = self.suspended(open.store);
        let mut watch = Watch { suspended, left: None, cpu: Some(Duration::ZERO) };
        let result = {
            let mut work = pin!(work(open.store));
            std::future::poll_fn(|context| watch.poll(work.as_mut(), context)).await
        };
        let report = open.close(&result, watch.cpu);
        Traced { result, report }
    }

    /// Instantiates a module as [`InstancePre::instantiate_async`] does, and makes a span of that,
    /// in which calls of its start function stand.
    ///
    /// # Errors
    ///
    /// Those of wasmtime.
    pub async fn instantiate_async<S>(
        &self,
        store: &mut S,
        module: &InstancePre<T>,
    ) -> wasmtime::Result<Instance>
    where
        S: AsContextMut<Data = T>,
    {
        let began = self.begin_instantiation(store);
        let instance = module.instantiate_async(store.as_context_mut()).await;
        self.end_instantiation(store, began, instance.is_err());
        instance
    }
}

/// Watches a future being polled.
struct Watch {
    suspended: Option<Arc<Suspended>>,
    /// When it was last left.
    left: Option<Ticks>,
    cpu: Option<Duration>,
}

impl Watch {
    fn poll<F: Future>(&mut self, work: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(suspended) = &self.suspended else { return work.poll(context) };
        let clock = Clock::get();
        if let Some(left) = self.left {
            suspended.add(clock.now_ordered().since(left));
        }
        let before = thread_time();
        let poll = work.poll(context);
        let worked = thread_time().zip(before).map(|(now, before)| now.saturating_sub(before));
        self.cpu = self.cpu.zip(worked).map(|(sum, worked)| sum + worked);
        self.left = Some(clock.now_ordered());
        poll
    }
}
