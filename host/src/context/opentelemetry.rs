//! Contexts of OpenTelemetry, and of `tracing` on top of it.

use ::opentelemetry::Context;
use ::opentelemetry::trace::{self as otel, SpanContext, TraceContextExt, TraceFlags, TraceState};
use observe_collector::event::{SpanId, TraceId};

use super::TraceContext;

/// With the feature `opentelemetry`.
impl TraceContext {
    /// The current span of a context, as the parent of a trace. `None` where there is none.
    ///
    /// ```
    /// use observe_host::{TraceContext, TraceOptions};
    /// use opentelemetry::Context;
    ///
    /// let parent = TraceContext::from_context(&Context::current());
    /// let options = TraceOptions::new("request").parent(parent);
    /// ```
    pub fn from_context(context: &Context) -> Option<Self> {
        Self::from_span_context(context.span().span_context())
    }

    /// A span as the parent of a trace. `None` where its identity is not valid.
    pub fn from_span_context(span: &SpanContext) -> Option<Self> {
        span.is_valid().then(|| TraceContext {
            trace_id: TraceId(span.trace_id().to_bytes()),
            span_id: SpanId(span.span_id().to_bytes()),
            sampled: span.is_sampled(),
        })
    }

    /// The span as the SDK's propagators and tracers take it: as one of another process, since the
    /// SDK did not make it.
    pub fn to_span_context(self) -> SpanContext {
        SpanContext::new(
            otel::TraceId::from_bytes(self.trace_id.0),
            otel::SpanId::from_bytes(self.span_id.0),
            TraceFlags::default().with_sampled(self.sampled),
            true,
            TraceState::default(),
        )
    }

    /// A context whose current span it is, for spans and calls that go out of a function of the
    /// host. It has nothing else.
    pub fn to_context(self) -> Context {
        Context::new().with_remote_span_context(self.to_span_context())
    }
}

/// With the feature `tracing`.
#[cfg(feature = "tracing")]
impl TraceContext {
    /// The current span of `tracing`, as the parent of a trace. `None` outside of spans, and where
    /// the subscriber has no layer of `tracing-opentelemetry`.
    ///
    /// A span that was not started for OpenTelemetry yet is started by this, so its own parent
    /// must be set before.
    pub fn current() -> Option<Self> {
        use tracing_opentelemetry::OpenTelemetrySpanExt;
        Self::from_context(&tracing::Span::current().context())
    }
}
