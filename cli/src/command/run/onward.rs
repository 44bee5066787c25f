//! From one collector to another.

use std::sync::Arc;
use std::time::Instant;

use observe_collector::event::{Chunk, SpanRecord};
use observe_collector::{Counts, Exporter, Handle};

/// An exporter that hands what it gets to another collector, which decides on it for itself.
pub(super) struct Onward {
    to: Handle,
    handed: u64,
}

impl Onward {
    pub(super) fn new(to: Handle) -> Self {
        Onward { to, handed: 0 }
    }
}

impl Exporter for Onward {
    fn name(&self) -> &str {
        "onward"
    }

    fn export(&mut self, chunk: &Chunk) {
        self.handed += chunk.spans.len() as u64;
        let copy = |span: &SpanRecord| SpanRecord { detail: span.detail.clone(), ..*span };
        let (trace, spans) = (Arc::clone(&chunk.trace), chunk.spans.iter().map(copy).collect());
        self.to.send(Chunk { trace, spans, logs: chunk.logs.clone() });
    }

    fn flush(&mut self, _deadline: Instant) {}

    fn counts(&self) -> Counts {
        Counts { accepted: self.handed, delivered: self.handed, ..Counts::default() }
    }

    fn last_error(&self) -> Option<String> {
        None
    }
}
