//! How much a guest may make its host keep.

use crate::frame::MAX_DEPTH;

/// What a guest may make its host keep, for each store. What is past a quota is not recorded, and
/// [counted](crate::Lost).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quotas {
    /// Names of spans and metrics of the guest's own, in a trace: 1,000. As many instruments, for as
    /// long as the store lives.
    pub names: u32,
    /// The bytes at which a name is cut: 256.
    pub name_bytes: u32,
    /// Attributes that a guest may give one span or metric: 64.
    pub attributes: u32,
    /// The characters at which the value of such an attribute is cut: 200. Bytes and the elements
    /// of arrays count as one each, at least.
    pub value_chars: u32,
    /// The characters of all such values of one span or metric: 1,000.
    pub span_value_chars: u32,
    /// Metrics of the guests' own, each set of attributes by itself, that an observer keeps for each
    /// tenant: 2,000. Past them they are added up in one for each name.
    pub metric_series: u32,
    /// Events that a guest may give one span: 128, as in OpenTelemetry's SDKs.
    pub span_events: u32,
    /// Links that a guest may give one span: 128.
    pub span_links: u32,
    /// The bytes that attributes, events and links of the guest's own take, about, of spans that
    /// are open: 16 MiB.
    pub open_bytes: u64,
    /// The bytes that a guest may log in a trace, attributes included: 1 MiB.
    pub log_bytes: u64,
    /// Spans, attributes, events, links, logs and metrics of the guest's own, each second: 10,000.
    /// Attributes past what one thing may have do not count.
    /// A measurement counts if it is in a batch, or the first of its instrument and attributes in a
    /// trace: the others make the host keep nothing.
    pub events_per_second: u32,
    /// Spans of the guest's own that are open at a time: 1,000. As many entries of detached spans
    /// may be, and at most 256.
    pub open_spans: u32,
    /// Timed calls and spans that are open at a time: 65,536, and at most 1,048,576.
    pub depth: u32,
    /// Blocks of memory that are kept track of, of up to 70 bytes each: 1,048,576.
    pub blocks: u32,
    /// Paths of calls under which memory is allocated: 16,384.
    pub paths: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Quotas {
            names: 1000,
            name_bytes: 256,
            attributes: 64,
            value_chars: 200,
            span_value_chars: 1000,
            metric_series: 2000,
            span_events: 128,
            span_links: 128,
            open_bytes: 16 << 20,
            log_bytes: 1 << 20,
            events_per_second: 10_000,
            open_spans: 1000,
            depth: 1 << 16,
            blocks: 1 << 20,
            paths: 1 << 14,
        }
    }
}

impl Quotas {
    pub(crate) fn max_depth(&self) -> usize {
        self.depth.min(MAX_DEPTH) as usize
    }
}
