//! The batch in the making, and what a finished one looks like.

use std::time::{Duration, Instant};

use super::attributes::{attribute_len, put_attribute};
use super::proto::{field_len, put_head, put_string, string_len};
use crate::event::Attribute;
use crate::resource::Resource;
use crate::stats::Signal;

// The messages around the items have other names for each signal, but the same numbers.

/// `resource_spans` of an `ExportTraceServiceRequest`, `resource_logs`, `resource_metrics`.
const BY_RESOURCE: u8 = 1;
/// `ResourceSpans.resource` and `ScopeSpans.scope`, and the same of logs and metrics.
const WHO: u8 = 1;
/// `ResourceSpans.scope_spans`, `ResourceLogs.scope_logs`, `ResourceMetrics.scope_metrics`.
const BY_SCOPE: u8 = 2;
/// `Resource.attributes`.
const RESOURCE_ATTRIBUTES: u8 = 1;
/// The instrumentation scope of all that we send.
const SCOPE_NAME: &str = "observe";

/// When a batch is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchLimits {
    /// It has this many items: spans, log records, or points of metrics.
    pub(crate) items: usize,
    /// Its items have at least this many bytes, so it exceeds them by less than one push.
    pub(crate) bytes: usize,
    /// Its first item has waited for this long.
    pub(crate) delay: Duration,
}

impl BatchLimits {
    /// Items and delay of spans and log records as the [specification] has them. Metrics, which it
    /// does not bound, are sent as soon as they are there, in one request if they fit. The bytes stay
    /// well below the 4 MiB that gRPC receivers take, which often share their limit with HTTP.
    ///
    /// [specification]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-span-processor
    pub(crate) fn of(signal: Signal) -> Self {
        let (items, delay) = match signal {
            Signal::Traces => (512, 5),
            Signal::Logs => (512, 1),
            Signal::Metrics => (8_192, 1),
        };
        BatchLimits { items, bytes: 2 << 20, delay: Duration::from_secs(delay) }
    }
}

/// A finished `ExportTraceServiceRequest`, or that of another signal.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The message, behind room that was not needed.
    bytes: Vec<u8>,
    start: usize,
    /// How many items it has.
    pub(crate) items: u64,
}

impl Batch {
    /// A batch that was written before, as [`Batch::body`] had it.
    pub(crate) fn read(body: Vec<u8>, items: u64) -> Self {
        Batch { bytes: body, start: 0, items }
    }

    /// The encoded message.
    pub(crate) fn body(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// The memory, to be used again.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }
}

/// Gathers encoded items of one signal into batches. Reads no clock.
///
/// The messages around the items begin with their length, which is known
/// only at the end. So room is left in front, and they are written into it backwards.
pub(crate) struct Batcher {
    limits: BatchLimits,
    /// The encoded `ResourceSpans.resource`, or that of another signal.
    resource: Vec<u8>,
    /// The encoded `ScopeSpans.scope`, or that of another signal.
    scope: Vec<u8>,
    headroom: usize,
    buffer: Vec<u8>,
    /// Memory of a batch that is done.
    spare: Vec<u8>,
    items: usize,
    opened: Option<Instant>,
}

impl Batcher {
    pub(crate) fn new(limits: BatchLimits, resource: &Resource) -> Self {
        let resource = encode_resource(resource.attributes());
        let scope = encode_scope();
        // Two tags and lengths of at most ten bytes.
        let headroom = 2 * 11 + resource.len() + scope.len();
        let (buffer, spare) = (Vec::new(), Vec::new());
        Batcher { limits, resource, scope, headroom, buffer, spare, items: 0, opened: None }
    }

    /// Adds what `put` appends to the buffer it is given, which counts as so many items. Returns
    /// the batch if it is finished.
    pub(crate) fn push(
        &mut self,
        now: Instant,
        items: usize,
        put: impl FnOnce(&mut Vec<u8>),
    ) -> Option<Batch> {
        if self.opened.is_none() {
            self.opened = Some(now);
            self.buffer = std::mem::take(&mut self.spare);
            self.buffer.resize(self.headroom, 0);
        }
        put(&mut self.buffer);
        self.items += items;
        let full = self.items >= self.limits.items
            || self.buffer.len() - self.headroom >= self.limits.bytes;
        if full { self.finish() } else { None }
    }

    /// When the batch is to be finished even if nothing more comes.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.opened?.checked_add(self.limits.delay)
    }

    /// The items in the batch in the making.
    pub(crate) fn items(&self) -> u64 {
        self.items as u64
    }

    /// Memory for the batch after this one.
    pub(crate) fn reuse(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() <= self.limits.bytes.saturating_mul(2) {
            self.spare = buffer;
        }
    }

    /// The batch as far as it is, if there is one.
    pub(crate) fn finish(&mut self) -> Option<Batch> {
        self.opened.take()?;
        let items = std::mem::take(&mut self.items) as u64;
        let mut bytes = std::mem::take(&mut self.buffer);
        let by_scope = self.scope.len() + bytes.len() - self.headroom;
        let by_resource = self.resource.len() + field_len(by_scope);
        let mut head = Vec::with_capacity(self.headroom);
        put_head(&mut head, BY_RESOURCE, by_resource);
        head.extend_from_slice(&self.resource);
        put_head(&mut head, BY_SCOPE, by_scope);
        head.extend_from_slice(&self.scope);
        let start = self.headroom - head.len();
        bytes[start..self.headroom].copy_from_slice(&head);
        Some(Batch { bytes, start, items })
    }
}

fn encode_resource(attributes: &[Attribute]) -> Vec<u8> {
    let mut out = Vec::new();
    put_head(&mut out, WHO, attributes.iter().map(attribute_len).sum());
    for attribute in attributes {
        put_attribute(&mut out, RESOURCE_ATTRIBUTES, attribute);
    }
    out
}

/// `InstrumentationScope`: name and version.
fn encode_scope() -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let mut out = Vec::new();
    put_head(&mut out, WHO, string_len(SCOPE_NAME) + string_len(version));
    put_string(&mut out, 1, SCOPE_NAME);
    put_string(&mut out, 2, version);
    out
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{BatchLimits, Batcher};
    use crate::resource::Resource;

    const LIMITS: BatchLimits = BatchLimits { items: 3, bytes: 100, delay: Duration::from_secs(5) };

    fn batcher() -> Batcher {
        Batcher::new(LIMITS, &Resource::new())
    }

    fn put(bytes: usize) -> impl FnOnce(&mut Vec<u8>) {
        move |out| out.resize(out.len() + bytes, 0xee)
    }

    #[test]
    fn a_batch_is_finished_by_its_last_item() {
        let (mut batcher, now) = (batcher(), Instant::now());
        for _ in 0..2 {
            assert!(batcher.push(now, 1, put(1)).is_none());
            assert!(batcher.push(now, 1, put(1)).is_none());
            assert_eq!(batcher.items(), 2);
            let batch = batcher.push(now, 1, put(1)).expect("the third fills the batch");
            assert_eq!(batch.items, 3);
            assert!(batch.body().ends_with(&[0xee; 3]));
            assert_eq!(batcher.items(), 0);
        }
    }

    #[test]
    fn what_is_put_at_once_stays_together() {
        let (mut batcher, now) = (batcher(), Instant::now());
        assert!(batcher.push(now, 2, put(1)).is_none());
        assert_eq!(batcher.push(now, 7, put(1)).map(|batch| batch.items), Some(9));
        assert_eq!(batcher.push(now, 3, put(1)).map(|batch| batch.items), Some(3));
    }

    #[test]
    fn a_batch_is_finished_by_its_bytes() {
        let (mut batcher, now) = (batcher(), Instant::now());
        assert!(batcher.push(now, 1, put(99)).is_none());
        assert_eq!(batcher.push(now, 1, put(1)).map(|batch| batch.items), Some(2));
        assert_eq!(batcher.push(now, 1, put(1000)).map(|batch| batch.items), Some(1));
    }

    #[test]
    fn a_batch_is_due_a_delay_after_its_first_item() {
        let (mut batcher, now) = (batcher(), Instant::now());
        assert_eq!(batcher.due(), None);
        batcher.push(now, 1, put(1));
        batcher.push(now + Duration::from_secs(4), 1, put(1));
        assert_eq!(batcher.due(), Some(now + Duration::from_secs(5)));
        assert_eq!(batcher.finish().map(|batch| batch.items), Some(2));
        assert_eq!(batcher.due(), None);
        assert!(batcher.finish().is_none(), "an empty batch is none");
    }

    #[test]
    fn a_delay_beyond_all_time_is_never_due() {
        let limits = BatchLimits { delay: Duration::MAX, ..LIMITS };
        let mut batcher = Batcher::new(limits, &Resource::new());
        batcher.push(Instant::now(), 1, put(1));
        assert_eq!(batcher.due(), None);
    }

    #[test]
    fn memory_used_again_leaves_no_trace() {
        let (mut batcher, now) = (batcher(), Instant::now());
        let first = batcher.push(now, 1, put(100)).expect("full");
        let expected = first.body().to_vec();
        batcher.reuse(first.into_buffer());
        let second = batcher.push(now, 1, put(100)).expect("full");
        assert_eq!(second.body(), expected);
    }
}
