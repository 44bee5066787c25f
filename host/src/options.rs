//! How a trace is to be made.

use std::time::Duration;

use observe_collector::event::{Attribute, SpanDetail};
use observe_collector::propagation::Baggage;

use crate::context::TraceContext;
use crate::overhead::Overhead;

/// How a trace is to be made.
#[derive(Clone, Debug)]
pub struct TraceOptions {
    pub(crate) name: String,
    pub(crate) overhead: Option<Overhead>,
    pub(crate) min_duration: Option<Duration>,
    pub(crate) parent: Option<TraceContext>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) tenant: Option<String>,
    pub(crate) baggage: String,
}

impl TraceOptions {
    /// A trace whose root span has the given name, and everything else as the observer
    /// says.
    pub fn new(name: impl Into<String>) -> Self {
        TraceOptions {
            name: name.into(),
            overhead: None,
            min_duration: None,
            parent: None,
            attributes: Vec::new(),
            tenant: None,
            baggage: String::new(),
        }
    }

    /// Sets how much may be spent on observing this trace, whatever the observer says, now or
    /// later.
    pub fn overhead(mut self, overhead: Overhead) -> Self {
        self.overhead = Some(overhead);
        self
    }

    /// Sets the duration below which a call of this trace becomes no span of its own.
    pub fn min_duration(mut self, duration: Duration) -> Self {
        self.min_duration = Some(duration);
        self
    }

    /// Puts the root under a span of the embedder's, or of another process, if there is one. If
    /// that is not sampled, no spans are sent, unless the observer's sampler says otherwise.
    pub fn parent(mut self, parent: impl Into<Option<TraceContext>>) -> Self {
        self.parent = parent.into();
        self
    }

    /// Adds an attribute to the root span.
    pub fn attribute(mut self, attribute: Attribute) -> Self {
        self.attributes.push(attribute);
        self
    }

    /// Sets what came with the request beside its trace, as
    /// [`Propagators`](observe_collector::propagation::Propagators) read it, for guests that ask:
    /// at most 8,192 bytes, as W3C Baggage has it. The default is none; that of a span within a
    /// trace is not used.
    pub fn baggage(mut self, baggage: &Baggage) -> Self {
        self.baggage = baggage.to_string();
        self
    }

    /// For whom the guest works: the metrics of each tenant are added up by themselves, and the
    /// root span has `wasm.tenant`.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// What a span of these options will say, where it is no root.
    pub(crate) fn into_detail(self) -> SpanDetail {
        let (name, attributes) = (Some(self.name.into()), self.attributes);
        SpanDetail { name, attributes, ..SpanDetail::default() }
    }
}
