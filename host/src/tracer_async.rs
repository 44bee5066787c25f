//! Traces of work that waits.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use wasmtime::{AsContextMut, Instance, InstancePre, StoreContextMut};

use crate::cells::{self, Counted, Rearm};
use crate::clock::{Clock, Ticks};
use crate::cpu::thread_time;
use crate::suspended::Suspended;
use crate::trace::TraceOptions;
use crate::tracer::{Traced, Tracer};

impl<T: Send + 'static> Tracer<T> {
    /// Does some work with a store that may wait, and makes a trace of it, as
    /// [`trace`](Self::trace) does.
    ///
    /// Spans tell for how long they were suspended, that is, were open while nobody worked on the
    /// trace. If the future is dropped before it is done, its spans end at that moment, with the
    /// error `cancelled`.
    ///
    /// The future is `Send` where that of `work` is, so it can be spawned, or awaited in an
    /// asynchronous function of the host:
    ///
    /// ```
    /// # use observe_host::{Recorder, TraceOptions, Traced, Tracer};
    /// # use wasmtime::{InstancePre, Store};
    /// # struct State { recorder: Recorder }
    /// # fn spawn(_: impl Future<Output = Traced<i32>> + Send + 'static) {}
    /// # fn serve(tracer: Tracer<State>, linked: InstancePre<State>, mut store: Store<State>) {
    /// spawn(async move {
    ///     let options = TraceOptions::new("request");
    ///     tracer
    ///         .trace_async(&mut store, options, async |mut store| {
    ///             let instance = tracer.instantiate_async(&mut store, &linked).await?;
    ///             let answer = instance.get_typed_func::<(), i32>(&mut store, "answer")?;
    ///             answer.call_async(store, ()).await
    ///         })
    ///         .await
    /// });
    /// # }
    /// ```
    pub async fn trace_async<S, R>(
        &self,
        store: &mut S,
        options: TraceOptions,
        work: impl AsyncFnOnce(StoreContextMut<'_, T>) -> wasmtime::Result<R>,
    ) -> Traced<R>
    where
        S: AsContextMut<Data = T>,
    {
        let mut open = self.open(store, options);
        if let Some(rearm) = open.rearm() {
            cells::look_async(open.store, |data| self.of(data), rearm, Counted::No).await;
        }
        open.note_fuel();
        // If this future is dropped, the watch ends before the spans do.
        let suspended = open.suspended();
        let mut watch = Watch { suspended, left: None, cpu: Some(Duration::ZERO) };
        let result = {
            let mut work = pin!(work(open.store.as_context_mut()));
            std::future::poll_fn(|context| watch.poll(work.as_mut(), context)).await
        };
        let taken = open.taken(watch.cpu);
        if open.is_root() {
            cells::look_async(open.store, |data| self.of(data), Rearm::None, Counted::Yes).await;
        }
        let report = open.close(&result, taken);
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
    /// When it was last left, if it waits.
    left: Option<Ticks>,
    cpu: Option<Duration>,
}

impl Watch {
    fn poll<F: Future>(&mut self, work: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
        if self.suspended.is_none() {
            return work.poll(context);
        }
        self.resume();
        let before = thread_time();
        let poll = work.poll(context);
        let worked = thread_time().zip(before).map(|(now, before)| now.saturating_sub(before));
        self.cpu = self.cpu.zip(worked).map(|(sum, worked)| sum + worked);
        if poll.is_pending() {
            self.left = Some(Clock::get().now_ordered());
        }
        poll
    }

    /// Notes for how long it waited.
    fn resume(&mut self) {
        if let (Some(suspended), Some(left)) = (&self.suspended, self.left.take()) {
            suspended.add(Clock::get().now_ordered().since(left));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.resume();
    }
}
