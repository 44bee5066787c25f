//! Traces of work that waits.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use wasmtime::{AsContextMut, Instance, InstancePre, StoreContextMut};

use crate::cells::{self, Rearm, When};
use crate::clock::{Clock, Ticks};
use crate::cpu::thread_time;
use crate::open::Open;
use crate::options::TraceOptions;
use crate::suspended::Suspended;
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
        let mut open = Open::work(self, store, options);
        if let Some(rearm) = open.begins_with() {
            cells::look_async(open.store, |data| self.of(data), rearm, When::Before).await;
        }
        // Dropped first, it has told all before the trace ends.
        let mut watch = open.add_up().map(Watch::new);
        let result = {
            let mut work = pin!(work(open.store.as_context_mut()));
            std::future::poll_fn(|context| match &mut watch {
                Some(watch) => watch.poll(work.as_mut(), context),
                None => work.as_mut().poll(context),
            })
            .await
        };
        drop(watch);
        if open.is_trace() {
            cells::look_async(open.store, |data| self.of(data), Rearm::None, When::After).await;
        }
        let report = open.close(result.as_ref().err());
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
        cells::look_async(store, |data| self.of(data), Rearm::None, When::During).await;
        let mut open = Open::instantiation(self, store);
        let instance = module.instantiate_async(open.store.as_context_mut()).await;
        open.close(instance.as_ref().err());
        instance
    }
}

/// Watches a future being polled.
struct Watch {
    suspended: Arc<Suspended>,
    doing: Doing,
}

enum Doing {
    /// It was not polled yet.
    Nothing,
    /// It is being polled; with what time of this thread that began.
    Work(Option<Duration>),
    /// It waits, since this moment.
    Wait(Ticks),
}

impl Watch {
    fn new(suspended: Arc<Suspended>) -> Self {
        Watch { suspended, doing: Doing::Nothing }
    }

    fn poll<F: Future>(&mut self, work: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.note();
        self.doing = Doing::Work(thread_time());
        let poll = work.poll(context);
        self.note();
        self.doing = match poll {
            Poll::Pending => Doing::Wait(Clock::get().now_ordered()),
            Poll::Ready(_) => Doing::Nothing,
        };
        poll
    }

    /// Notes what it was doing until now.
    fn note(&self) {
        match self.doing {
            Doing::Nothing => {}
            Doing::Work(since) => {
                let worked = thread_time().zip(since);
                self.suspended
                    .work(worked.map_or(Duration::ZERO, |(now, since)| now.saturating_sub(since)));
            }
            Doing::Wait(since) => self.suspended.wait(Clock::get().now_ordered().since(since)),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It waited until now, or panicked, unless it is done.
        self.note();
        self.suspended.unwatch();
    }
}
