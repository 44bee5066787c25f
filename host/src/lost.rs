//! What a trace does not tell.

use std::fmt;

/// What was not recorded, or was recorded otherwise than it happened. All of it is
/// zero in a sane run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// Calls and spans of the guest's own that were not timed since too many were open.
    pub too_deep: u64,
    /// Spans and logs that were not made since the trace had 2³² spans.
    pub too_many: u64,
    /// Exits of a call that was not open.
    pub stale_exits: u64,
    /// Entries of a function that the module's map does not have.
    pub unknown_ids: u64,
    /// Texts, attributes and batches of the guest's own that were not all in its memory.
    pub unreadable: u64,
    /// Texts of the guest's own that are no UTF-8, and were mended.
    pub malformed_texts: u64,
    /// Texts of the guest's own that were cut at a quota.
    pub cut_texts: u64,
    /// Spans and metrics of the guest's own past the quota of names, recorded under one name.
    pub excess_names: u64,
    /// Spans of the guest's own past the quota of open ones, and entries of detached ones past
    /// theirs.
    pub excess_open_spans: u64,
    /// Attributes of the guest's own past the quotas of one span or metric, or by which it would
    /// have changed what the host said.
    pub excess_attributes: u64,
    /// Attributes of the guest's own whose keys are not allowed.
    pub redacted: u64,
    /// Events and links of the guest's own past the quotas of one span.
    pub excess_span_events: u64,
    /// Words of the guest's about spans that are not open.
    pub unknown_spans: u64,
    /// Kinds, types and statuses that nobody knows, and keys that are empty.
    pub unknown_kinds: u64,
    /// Links of the guest's own to what is no `traceparent`.
    pub malformed_links: u64,
    /// Logs of the guest's own past the quota of bytes.
    pub excess_log_bytes: u64,
    /// Logs of a level that is unknown, and was taken for information.
    pub unknown_levels: u64,
    /// Metrics of the guest's own that are none, or have names that are the host's.
    pub malformed_metrics: u64,
    /// Instruments of the guest's own that have the name of another and are of another kind or unit;
    /// both are recorded.
    pub conflicting_metrics: u64,
    /// Measurements for an instrument that there is not.
    pub unknown_instruments: u64,
    /// Measurements that are no finite number, or would make a counter fall.
    pub invalid_measurements: u64,
    /// Metrics of the guest's own past the quota of series, added up in one.
    pub excess_series: u64,
    /// Spans, attributes, logs and metrics of the guest's own past the quota of a second.
    pub excess_events: u64,
    /// Blocks that were allocated while there were too many already, and so are in no
    /// count of what is live.
    pub untracked_blocks: u64,
    /// Allocations past the quota of paths, told under one path.
    pub excess_paths: u64,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told().join(", "))
    }
}

impl Lost {
    /// The sum of all.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(count, _)| count).sum()
    }

    /// What was lost since this was what was lost.
    pub(crate) fn since(&self, before: &Lost) -> Lost {
        Lost {
            too_deep: self.too_deep - before.too_deep,
            too_many: self.too_many - before.too_many,
            stale_exits: self.stale_exits - before.stale_exits,
            unknown_ids: self.unknown_ids - before.unknown_ids,
            unreadable: self.unreadable - before.unreadable,
            malformed_texts: self.malformed_texts - before.malformed_texts,
            cut_texts: self.cut_texts - before.cut_texts,
            excess_names: self.excess_names - before.excess_names,
            excess_open_spans: self.excess_open_spans - before.excess_open_spans,
            excess_attributes: self.excess_attributes - before.excess_attributes,
            redacted: self.redacted - before.redacted,
            excess_span_events: self.excess_span_events - before.excess_span_events,
            unknown_spans: self.unknown_spans - before.unknown_spans,
            unknown_kinds: self.unknown_kinds - before.unknown_kinds,
            malformed_links: self.malformed_links - before.malformed_links,
            excess_log_bytes: self.excess_log_bytes - before.excess_log_bytes,
            unknown_levels: self.unknown_levels - before.unknown_levels,
            malformed_metrics: self.malformed_metrics - before.malformed_metrics,
            conflicting_metrics: self.conflicting_metrics - before.conflicting_metrics,
            unknown_instruments: self.unknown_instruments - before.unknown_instruments,
            invalid_measurements: self.invalid_measurements - before.invalid_measurements,
            excess_series: self.excess_series - before.excess_series,
            excess_events: self.excess_events - before.excess_events,
            untracked_blocks: self.untracked_blocks - before.untracked_blocks,
            excess_paths: self.excess_paths - before.excess_paths,
        }
    }

    /// Each count that is not zero and what it is of, as the root span has them.
    pub(crate) fn told(&self) -> Vec<String> {
        let counts = self.by_reason().into_iter().filter(|&(count, _)| count > 0);
        counts.map(|(count, what)| format!("{count} {what}")).collect()
    }

    /// Each count and what it is of, in a few words.
    pub fn by_reason(&self) -> [(u64, &'static str); 25] {
        [
            (self.too_deep, "calls too deep"),
            (self.too_many, "spans too many"),
            (self.stale_exits, "exits of no open call"),
            (self.unknown_ids, "entries of no known function"),
            (self.unreadable, "texts out of reach"),
            (self.malformed_texts, "texts of invalid UTF-8"),
            (self.cut_texts, "texts cut"),
            (self.excess_names, "names too many"),
            (self.excess_open_spans, "open spans too many"),
            (self.excess_attributes, "attributes too many"),
            (self.redacted, "attributes not allowed"),
            (self.excess_span_events, "events and links of a span too many"),
            (self.unknown_spans, "words about unknown spans"),
            (self.unknown_kinds, "unknown kinds or types"),
            (self.malformed_links, "malformed links"),
            (self.excess_log_bytes, "logs too long"),
            (self.unknown_levels, "logs of no known level"),
            (self.malformed_metrics, "malformed metrics"),
            (self.conflicting_metrics, "metrics with the name of another"),
            (self.unknown_instruments, "measurements for no instrument"),
            (self.invalid_measurements, "invalid measurements"),
            (self.excess_series, "series of metrics too many"),
            (self.excess_events, "events too many"),
            (self.untracked_blocks, "blocks of memory too many"),
            (self.excess_paths, "paths to allocations too many"),
        ]
    }
}
