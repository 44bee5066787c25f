//! From events, as they happen, to spans.
//!
//! Whoever has spans whole sends them in [`Chunk`]s. Whoever is only told that something began,
//! that something was logged and that something ended, hands that to an [`Assembler`], by trace
//! and by [stream](StreamId): a store, a task, a thread, whatever does one thing at a time.
//!
//! - A span stands under the innermost span that is open in its stream, unless it names another
//!   one; the first span of a stream stands under the root of the trace, while that is open.
//! - What is logged or set belongs to the innermost span that is open, unless it names one.
//! - Calls that are not worth a span are counts on the span they belong to:
//!   `observe.folded.spans`, `observe.folded.time` (seconds) and `observe.folded.errors`.
//!
//! # What is missing, late or wrong
//!
//! Events may come in another order than they happened, twice, or not at all. Each such case is
//! [counted](Defects), and a span that is concerned says so in its attribute
//! `observe.assembly.defect`:
//!
//! | value | the span |
//! |---|---|
//! | `missing_end` | was open when its trace ended or went quiet; it ends with the last that was heard of the trace |
//! | `missing_start` | has an end only, at which it begins, too; it stands under the root |
//! | `timed_out` | was open for longer than [`Limits::timeout`]; it ends as with `missing_end` |
//! | `duplicate` | began or ended twice; the first counts |
//! | `disorder` | was told to end before it was told to begin, or to end before its beginning, or to be its own parent |
//!
//! What comes when the span has gone out already changes nothing, and is counted as
//! [late](Defects::late).
//!
//! # Bounds
//!
//! Open spans, traces, and what each span has are bounded ([`Limits`]). A span that does not fit
//! is a folded one of the span above, and counted as [dropped](AssemblyDropped). So at any time
//! `started = emitted + open + dropped` ([`AssemblyCounts::is_balanced`]).
//!
//! # Example
//!
//! An assembler reads no clock and waits for nothing: `now` is an argument, and chunks go where
//! one says.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use observe_collector::assembly::{Assembler, End, Event, Limits, Start, StreamId, TraceKey};
//! use observe_collector::event::{Attribute, SpanNumber, SymbolTable, TraceId, TraceInfo};
//!
//! let (trace, stream, now) = (TraceKey(1), StreamId(7), Instant::now());
//! let mut chunks = Vec::new();
//! let mut out = |chunk| chunks.push(chunk);
//!
//! let mut assembler = Assembler::new(Limits::default());
//! let info = TraceInfo {
//!     trace_id: TraceId([1; 16]),
//!     parent: None,
//!     seed: 7,
//!     symbols: Arc::new(SymbolTable::default()),
//! };
//! assembler.begin(now, trace, Arc::new(info));
//! for event in [
//!     Event::Start(Start { time_unix_nanos: 10, ..Start::named(SpanNumber(0), "request") }),
//!     Event::Start(Start { time_unix_nanos: 20, ..Start::named(SpanNumber(1), "query") }),
//!     Event::Attribute { span: None, attribute: Attribute::new("rows", 3_i64) },
//!     Event::End(End { time_unix_nanos: 30, ..End::of(SpanNumber(1)) }),
//! ] {
//!     assembler.push(now, trace, stream, event, &mut out);
//! }
//! // Nobody ends the request, but the trace is over.
//! assembler.end(trace, &mut out);
//!
//! let [query, request] = &chunks[0].spans[..] else { panic!() };
//! assert_eq!((query.number, query.parent), (SpanNumber(1), Some(SpanNumber(0))));
//! let defect = Attribute::new("observe.assembly.defect", "missing_end");
//! assert!(request.detail.as_ref().is_some_and(|detail| detail.attributes.contains(&defect)));
//! assert_eq!(assembler.counts().defects.missing_end, 1);
//! assert!(assembler.counts().is_balanced());
//! ```

mod assembler;
mod counts;
mod entry;
mod events;
mod seen;
mod trace;

pub use assembler::{Assembler, Limits};
pub use counts::{AssemblyCounts, AssemblyDropped, Defects};
pub use events::{End, Event, Folded, Start, StreamId, TraceKey};

#[cfg(doc)]
use crate::event::Chunk;
