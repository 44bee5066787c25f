//! What all observed stores of a host have in common.

use std::sync::Arc;
use std::time::Duration;

use observe_collector::Handle;
use observe_collector::event::{Metric, Severity};
use observe_collector::sampling::Sampler;
use wasmtime::Linker;

use crate::Error;
use crate::guest_metrics::GuestMetrics;
use crate::module::ObservedModule;
use crate::overhead::{Mode, Overhead};
use crate::quotas::Quotas;
use crate::recorder::Recorder;
use crate::redaction::Redaction;
use crate::tenants::Tenants;
use crate::tracer::Tracer;
use crate::versioned::Versioned;

/// The duration below which a call is folded into its parent by default.
pub const DEFAULT_MIN_DURATION: Duration = Duration::from_micros(20);

/// What a host observes with: built once, and cheap to clone.
///
/// It holds what is the same for all stores: how much observing may cost, where spans go, what
/// guests may say, and the [metrics](Observer::metrics) of all of them.
#[derive(Clone, Debug)]
pub struct Observer(pub(crate) Arc<Shared>);

/// Makes an [`Observer`].
pub struct Builder(Shared);

/// Tells an exit status from other errors.
type ExitStatus = Box<dyn Fn(&wasmtime::Error) -> Option<i32> + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) enabled: bool,
    pub(crate) sink: Option<Handle>,
    pub(crate) overhead: SharedOverhead,
    pub(crate) sampler: Sampler,
    pub(crate) when_sampled: Option<Overhead>,
    pub(crate) min_duration: Duration,
    pub(crate) quotas: Quotas,
    pub(crate) redaction: Redaction,
    pub(crate) min_severity: Severity,
    pub(crate) strict: bool,
    pub(crate) exit_status: Option<ExitStatus>,
    pub(crate) tenants: Tenants,
    pub(crate) guest_metrics: GuestMetrics,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer")
            .field("enabled", &self.enabled)
            .field("overhead", &self.overhead.get())
            .field("min_duration", &self.min_duration)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Builder").field(&self.0).finish()
    }
}

impl Observer {
    /// An observer in the making: a budget of 5 %, calls of less than 20 µs folded, spans sent
    /// nowhere, and the default quotas.
    pub fn builder() -> Builder {
        Builder(Shared {
            enabled: true,
            sink: None,
            overhead: SharedOverhead::new(Overhead::budget(5.0)),
            sampler: Sampler::default(),
            when_sampled: None,
            min_duration: DEFAULT_MIN_DURATION,
            quotas: Quotas::default(),
            redaction: Redaction::default(),
            min_severity: Severity::Trace,
            strict: false,
            exit_status: None,
            tenants: Tenants::default(),
            guest_metrics: GuestMetrics::default(),
        })
    }

    /// An observer that observes nothing: its linker's hooks do nothing, its recorders hold
    /// nothing, and its traces only do the work.
    pub fn disabled() -> Observer {
        let Builder(shared) = Observer::builder();
        Observer(Arc::new(Shared { enabled: false, ..shared }))
    }

    /// Whether it observes.
    pub fn is_enabled(&self) -> bool {
        self.0.enabled
    }

    /// Adds what instrumented and annotated modules import to a linker, and gives what makes
    /// traces of the stores that use it. `recorder` finds the [`Recorder`] in the data of a store.
    ///
    /// One linker serves any number of modules and stores.
    ///
    /// # Errors
    ///
    /// [`Error::Linker`], where the linker has the hooks already.
    ///
    /// # Overhead
    ///
    /// `recorder` runs at every timed call, so it should do no more than name a field.
    pub fn tracer<T: 'static>(
        &self,
        linker: &mut Linker<T>,
        recorder: impl Fn(&mut T) -> &mut Recorder + Copy + Send + Sync + 'static,
    ) -> Result<Tracer<T>, Error> {
        if self.0.enabled {
            crate::link::add(linker, recorder)?;
        } else {
            crate::link::add_noops(linker)?;
        }
        Ok(Tracer::new(self.clone(), recorder))
    }

    /// A recorder for the data of a store in which a module will be instantiated, once at a time.
    pub fn recorder(&self, module: &ObservedModule) -> Recorder {
        Recorder::new(module.info(), &self.0)
    }

    /// Changes how much observing may cost, in all stores and without a new instance of
    /// anything.
    ///
    /// A trace that is under way and uses the observer's overhead takes it up at its next
    /// call of a hook, which is the next call of a hooked function where all are timed, and
    /// otherwise comes after up to 65,536 of them.
    pub fn set_overhead(&self, overhead: Overhead) {
        self.0.overhead.set(overhead);
    }

    /// What all traces of its stores took up to now, by tenant, and what guests measured
    /// themselves: to be handed to a collector, or shown.
    pub fn metrics(&self) -> Vec<Metric> {
        let mut metrics = self.0.tenants.metrics();
        metrics.extend(self.0.guest_metrics.metrics());
        metrics
    }
}

impl Default for Observer {
    /// As [`Observer::builder`] makes it.
    fn default() -> Self {
        Observer::builder().build()
    }
}

impl Builder {
    /// Sets how much may be spent on observing.
    pub fn overhead(mut self, overhead: Overhead) -> Self {
        self.0.overhead = SharedOverhead::new(overhead);
        self
    }

    /// Sets how much may be spent on observing a trace whose parent is sampled, such as
    /// [`Overhead::all`]: the traces that somebody will read are then whole. Without it they
    /// are like others, and so are those that the [`sampler`](Builder::sampler) leaves out.
    pub fn when_sampled(mut self, overhead: Overhead) -> Self {
        self.0.when_sampled = Some(overhead);
        self
    }

    /// Sets what decides, when a trace begins, whether its spans and log records are sent. Without
    /// it that is [`Sampler::default`]: as the parent says, and always without a parent.
    ///
    /// What it decides is passed on as the flag `sampled` of [`Recorder::context`], and costs
    /// nothing more: of a trace that is not sent no span is kept. Reports and metrics have it all the same.
    /// A collector with the same sampler ([`observe_collector::Builder::sampler`]) takes what it
    /// lets through, and tells the share on the spans.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.0.sampler = sampler;
        self
    }

    /// Sets the duration below which a call becomes no span of its own. It is
    /// counted in its function's statistics all the same.
    pub fn min_duration(mut self, duration: Duration) -> Self {
        self.0.min_duration = duration;
        self
    }

    /// Sends spans and logs to a collector. Without it, only reports and metrics are made.
    pub fn sink(mut self, sink: Handle) -> Self {
        self.0.sink = Some(sink);
        self
    }

    /// Sets how much a guest may make the host keep.
    pub fn quotas(mut self, quotas: Quotas) -> Self {
        self.0.quotas = quotas;
        self
    }

    /// Sets which attributes of the guests' own are passed on.
    pub fn redaction(mut self, redaction: Redaction) -> Self {
        self.0.redaction = redaction;
        self
    }

    /// Sets the least severity of log records that are taken from guests: all of them by default.
    /// Others are neither kept nor counted, and guests that ask do not send them.
    pub fn min_severity(mut self, severity: Severity) -> Self {
        self.0.min_severity = severity;
        self
    }

    /// Has a guest trap, with a [`Misuse`](crate::Misuse), when it says of itself what cannot be
    /// recorded as it is: bad UTF-8, lengths past its memory, handles that are none, or more than
    /// its [`quotas`](Builder::quotas) let through. Without it, which is right wherever guests are
    /// to be left alone, all of that is only [counted](crate::Lost).
    pub fn strict(mut self, strict: bool) -> Self {
        self.0.strict = strict;
        self
    }

    /// Sets what tells an exit status from other errors: for WASI,
    /// `|error| error.downcast_ref::<I32Exit>().map(|exit| exit.0)`. A guest that leaves so did not
    /// fail, unless its status is other than 0.
    pub fn exit_status(
        mut self,
        of: impl Fn(&wasmtime::Error) -> Option<i32> + Send + Sync + 'static,
    ) -> Self {
        self.0.exit_status = Some(Box::new(of));
        self
    }

    /// Makes it.
    pub fn build(self) -> Observer {
        Observer(Arc::new(self.0))
    }
}

/// An [`Overhead`] that all stores look at: the percentage; 0 stands for off, infinity for all.
pub(crate) struct SharedOverhead(Versioned);

impl SharedOverhead {
    fn new(overhead: Overhead) -> Self {
        SharedOverhead(Versioned::new(encode(overhead)))
    }

    fn set(&self, overhead: Overhead) {
        self.0.set(encode(overhead));
    }

    /// The version in force; what is read by [`get`](Self::get) later is as new.
    #[inline]
    pub(crate) fn version(&self) -> u32 {
        self.0.version()
    }

    pub(crate) fn get(&self) -> Overhead {
        Overhead(match f64::from_bits(self.0.get()) {
            0.0 => Mode::Off,
            f64::INFINITY => Mode::All,
            percent => Mode::Budget(percent),
        })
    }
}

fn encode(Overhead(mode): Overhead) -> u64 {
    f64::to_bits(match mode {
        Mode::Off => 0.0,
        Mode::All => f64::INFINITY,
        Mode::Budget(percent) => percent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overhead_is_shared_as_it_is() {
        for overhead in [Overhead::all(), Overhead::off(), Overhead::budget(0.01)] {
            assert_eq!(SharedOverhead::new(overhead).get(), overhead);
        }
    }

    #[test]
    fn an_observer_goes_anywhere() {
        fn anywhere<T: Clone + Send + Sync + 'static>() {}
        anywhere::<Observer>();
        anywhere::<Tracer<()>>();
    }
}
