//! What guest code that was annotated by hand calls.
//!
//! The import module's number rises with every addition, so that a guest which asks for more than
//! a host has is told so by the two numbers; a host provides each version that there ever was.
//! `docs/ABI.md` says the same for those who write guests in other languages.
//!
//! # Shapes
//!
//! *Text* is two `i32`s, an address in the memory that the guest exports as `memory` and a length in
//! bytes, and is UTF-8. *Attributes* are two as well: the address of an array of
//! [`attribute::SIZE`]-byte records, aligned or not, and how many. The host has read all of it when
//! the call returns. What it cannot read, cannot use, or has no quota for is
//! counted, told on the trace, and otherwise without effect; no call traps.
//!
//! # Spans
//!
//! There are two kinds. A *scoped* span ([`SPAN_BEGIN`], [`SPAN_END`]) is on the stack: it ends with
//! the hooked function in which it began, if it did not end before and that call is timed, so that
//! an early return, a trap or an exception leaves none open. Wrappers of these imports must therefore be
//! inlined into their callers, or at least call only one of the two: a function that calls
//! one of them and not the other gets no hooks. In a call that is not timed, a span that nobody ends
//! lasts until the next timed call around it ends.
//!
//! A *detached* span ([`SPAN_OPEN`], [`SPAN_CLOSE`]) belongs to no function, as
//! asynchronous code needs it. While it is entered ([`SPAN_ENTER`], [`SPAN_EXIT`]) what begins stands
//! under it. It ends with the trace at the latest.
//!
//! Where a call takes a *span*, that is the token of a scoped span (negative), the handle of a
//! detached one (positive), or [`CURRENT`]. 0 is a span that was not recorded, which was
//! counted when it began: calls with it have no effect.

/// The import module of this version of the annotations.
pub const MODULE: &str = "observe:guest@2";

/// What the import module of every version of the annotations begins with.
pub const MODULE_PREFIX: &str = "observe:guest@";

/// The import modules that a host of this version provides, the newest last.
pub const MODULES: [&str; 2] = [v1::MODULE, MODULE];

/// The first version, which has scoped spans with nothing but a name.
pub mod v1 {
    /// The import module.
    pub const MODULE: &str = "observe:guest@1";

    /// `span-begin: (name: text) -> (token: i32)`.
    pub const SPAN_BEGIN: &str = "span-begin";

    /// `span-end: (token: i32) -> ()`.
    pub const SPAN_END: &str = "span-end";
}

/// In place of a span: the innermost open one, be it a function's, the host's or the guest's own.
pub const CURRENT: i32 = i32::MAX;

/// In place of a parent: none but the root of the trace.
pub const ROOT: i32 = i32::MAX - 1;

/// `interest: () -> (interest: i32)`.
///
/// What the host wants to be told; it stays the same as long as the instance lives, so that a
/// guest asks once and spares itself calls that would have no effect. See [`interest`].
pub const INTEREST: &str = "interest";

/// `span-begin: (kind: i32, name: text, attributes) -> (token: i32)`.
///
/// Begins a scoped span under the innermost open one. Kinds are those of [`kind`]. The token is
/// negative, or 0.
pub const SPAN_BEGIN: &str = "span-begin";

/// `span-end: (token: i32) -> ()`, with the token that `span-begin` gave.
///
/// Ends the span and whatever is still open inside it.
pub const SPAN_END: &str = "span-end";

/// `span-open: (parent: i32, kind: i32, name: text, attributes) -> (handle: i32)`.
///
/// Begins a detached span. The parent is a span, [`CURRENT`] or [`ROOT`]; for 0 it is the innermost
/// open one. The handle is positive, or 0.
pub const SPAN_OPEN: &str = "span-open";

/// `span-enter: (handle: i32) -> ()`: until it is exited, what begins stands under the span.
///
/// One may be entered any number of times, also within itself. When the host's call of the guest
/// is over, all are exited.
pub const SPAN_ENTER: &str = "span-enter";

/// `span-exit: (handle: i32) -> ()`: the innermost entry of the span ends.
pub const SPAN_EXIT: &str = "span-exit";

/// `span-close: (handle: i32) -> ()`: the span ends, and is exited first if it is entered. Others
/// under it stay as they are.
pub const SPAN_CLOSE: &str = "span-close";

/// `span-attributes: (span: i32, attributes) -> ()`: of attributes with the same key, the last
/// stays.
pub const SPAN_ATTRIBUTES: &str = "span-attributes";

/// `span-event: (span: i32, name: text, attributes) -> ()`: something that happened just now.
pub const SPAN_EVENT: &str = "span-event";

/// `span-status: (span: i32, status: i32, message: text) -> ()`, with a status of
/// [`status`]; the message counts for errors.
pub const SPAN_STATUS: &str = "span-status";

/// `span-link: (span: i32, traceparent: text, attributes) -> ()`: a link to a span elsewhere.
pub const SPAN_LINK: &str = "span-link";

/// `log: (span: i32, severity: i32, body: text, attributes) -> ()`: a log record, tied to the span.
///
/// Severities are the numbers 1 to 24 of the OpenTelemetry logs data model, "Field:
/// `SeverityNumber`".
pub const LOG: &str = "log";

/// `instrument: (kind: i32, name: text, unit: text, description: text) -> (instrument: i32)`.
///
/// Names a metric, and gives what stands for it as long as the instance lives; asked
/// twice for the same it may give the same. Kinds are those of [`instrument`]; the unit is of UCUM. Unit and
/// description may be empty. The instrument is positive, or 0 if there is none, with which
/// measurements have no effect.
pub const INSTRUMENT: &str = "instrument";

/// `record-i64: (instrument: i32, value: i64, attributes) -> ()`: adds to a counter, sets a gauge, or
/// gives a histogram a value.
pub const RECORD_I64: &str = "record-i64";

/// `record-f64: (instrument: i32, value: f64, attributes) -> ()`, the same.
pub const RECORD_F64: &str = "record-f64";

/// `context: (buffer: i32, size: i32) -> (length: i32)`.
///
/// Writes the `traceparent` of the innermost open span, [55 bytes](TRACEPARENT_LEN) of ASCII, for
/// calls that go out. If the buffer is too small nothing is written, and 0 is the length outside of a
/// trace.
pub const CONTEXT: &str = "context";

/// `baggage: (buffer: i32, size: i32) -> (length: i32)`.
///
/// Writes what came with the request, in the form of the W3C header `baggage`, as `context`
/// does.
pub const BAGGAGE: &str = "baggage";

/// `submit: (records: i32, count: i32) -> ()`.
///
/// Does what so many [`record`]s say, one after the other, in one call: the optional batch form.
/// Whatever has a time gets that of this call.
pub const SUBMIT: &str = "submit";

/// The length of a `traceparent` of version 00 (W3C Trace Context, section 3.2).
pub const TRACEPARENT_LEN: usize = 55;

/// The bits of what [`INTEREST`] gives.
pub mod interest {
    /// Always set, so that a guest can keep the answer in a word that is 0 until it has asked.
    pub const ANSWERED: u32 = 1 << 31;

    /// Spans, with all that is said of them, and the context.
    pub const SPANS: u32 = 1;

    /// Log records.
    pub const LOGS: u32 = 1 << 1;

    /// Measurements.
    pub const METRICS: u32 = 1 << 2;

    /// From this bit on, in 8 bits: the least severity of log records that the host wants.
    pub const SEVERITY_SHIFT: u32 = 8;
}

/// What a span is to others: the numbers of OTLP's `SpanKind`. Any other is
/// taken for [`INTERNAL`](kind::INTERNAL).
pub mod kind {
    /// A part of a program.
    pub const INTERNAL: i32 = 1;
    /// The answer to a request.
    pub const SERVER: i32 = 2;
    /// A request of another program.
    pub const CLIENT: i32 = 3;
    /// A message that is handed to a broker.
    pub const PRODUCER: i32 = 4;
    /// A message that came from a broker.
    pub const CONSUMER: i32 = 5;
}

/// Whether what a span stands for went well: the numbers of OTLP's `StatusCode`.
pub mod status {
    /// Nothing is said.
    pub const UNSET: i32 = 0;
    /// It went well.
    pub const OK: i32 = 1;
    /// It failed.
    pub const ERROR: i32 = 2;
}

/// How measurements are added up.
pub mod instrument {
    /// A sum that never falls.
    pub const COUNTER: i32 = 1;
    /// A sum that may fall.
    pub const UP_DOWN_COUNTER: i32 = 2;
    /// The last value.
    pub const GAUGE: i32 = 3;
    /// A distribution.
    pub const HISTOGRAM: i32 = 4;
}

/// The record of an attribute: integers are little-endian, and so is all that they point to.
///
/// ```text
/// 0   key      u32  address
/// 4   key_len  u32  bytes
/// 8   type     u32
/// 12  len      u32  bytes of a string or of bytes, elements of an array, otherwise 0
/// 16  value    u64  a bool (0 or not), an i64, the bits of an f64; otherwise an address
/// ```
///
/// Elements of arrays follow each other without gaps: a bool takes one byte, an integer and a
/// double eight, a string eight, of which the first four are its address and the others its
/// length in bytes.
pub mod attribute {
    /// The bytes of a record.
    pub const SIZE: usize = 24;

    /// UTF-8.
    pub const STRING: u32 = 0;
    /// A bool.
    pub const BOOL: u32 = 1;
    /// A signed integer.
    pub const I64: u32 = 2;
    /// An IEEE 754 double.
    pub const F64: u32 = 3;
    /// Any bytes.
    pub const BYTES: u32 = 4;
    /// An array of strings.
    pub const STRINGS: u32 = 5;
    /// An array of bools.
    pub const BOOLS: u32 = 6;
    /// An array of signed integers.
    pub const I64S: u32 = 7;
    /// An array of doubles.
    pub const F64S: u32 = 8;
}

/// A record of a batch:
///
/// ```text
/// 0   what              u32
/// 4   subject           i32  a span or an instrument
/// 8   text              u32  address
/// 12  text_len          u32  bytes
/// 16  attributes        u32  address
/// 20  attributes_count  u32
/// 24  value             u64
/// ```
pub mod record {
    /// The bytes of a record.
    pub const SIZE: usize = 32;

    /// As [`SPAN_ATTRIBUTES`](super::SPAN_ATTRIBUTES).
    pub const SPAN_ATTRIBUTES: u32 = 1;
    /// As [`SPAN_EVENT`](super::SPAN_EVENT).
    pub const SPAN_EVENT: u32 = 2;
    /// As [`LOG`](super::LOG), with the severity as value.
    pub const LOG: u32 = 3;
    /// As [`RECORD_I64`](super::RECORD_I64).
    pub const RECORD_I64: u32 = 4;
    /// As [`RECORD_F64`](super::RECORD_F64), with the bits of the double as value.
    pub const RECORD_F64: u32 = 5;
}
