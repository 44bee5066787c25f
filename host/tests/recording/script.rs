//! Guests that import `observe:guest@2`, put together from what they say.

use std::fmt::Write as _;
use std::time::Duration;

use observe_abi::guest::attribute;
use observe_host::{Builder, Report, TraceOptions};

use crate::guest::{Guest, Kept, module, observer};

/// All that there is to import.
const IMPORTS: &str = r#"
    (import "observe:guest@2" "interest" (func $interest (result i32)))
    (import "observe:guest@2" "span-begin"
      (func $begin (param i32 i32 i32 i32 i32) (result i32)))
    (import "observe:guest@2" "span-end" (func $end (param i32)))
    (import "observe:guest@2" "span-open"
      (func $open (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "observe:guest@2" "span-enter" (func $enter (param i32)))
    (import "observe:guest@2" "span-exit" (func $exit (param i32)))
    (import "observe:guest@2" "span-close" (func $close (param i32)))
    (import "observe:guest@2" "span-attributes" (func $attributes (param i32 i32 i32)))
    (import "observe:guest@2" "span-event" (func $event (param i32 i32 i32 i32 i32)))
    (import "observe:guest@2" "span-status" (func $status (param i32 i32 i32 i32)))
    (import "observe:guest@2" "span-link" (func $link (param i32 i32 i32 i32 i32)))
    (import "observe:guest@2" "log" (func $log (param i32 i32 i32 i32 i32 i32)))
    (import "observe:guest@2" "instrument"
      (func $instrument (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "observe:guest@2" "record-i64" (func $record_i64 (param i32 i64 i32 i32)))
    (import "observe:guest@2" "record-f64" (func $record_f64 (param i32 f64 i32 i32)))
    (import "observe:guest@2" "context" (func $context (param i32 i32) (result i32)))
    (import "observe:guest@2" "baggage" (func $baggage (param i32 i32) (result i32)))
    (import "observe:guest@2" "submit" (func $submit (param i32 i32)))
    (import "host" "try" (func $try (param i32) (result i32)))"#;

/// What a guest has in its memory, and its functions.
#[derive(Default)]
pub(crate) struct Script {
    data: Vec<u8>,
    functions: String,
}

/// The value of an attribute, as a guest gives it.
pub(crate) enum Given<'a> {
    String(&'a str),
    Bool(bool),
    I64(i64),
    F64(f64),
    Bytes(&'a [u8]),
    Strings(&'a [&'a str]),
    Bools(&'a [bool]),
    I64s(&'a [i64]),
    F64s(&'a [f64]),
}

/// In place of a span: the innermost open one.
pub(crate) const CURRENT: &str = "(i32.const 0x7fffffff)";

impl Script {
    pub(crate) fn place(&mut self, bytes: impl AsRef<[u8]>) -> (usize, usize) {
        let at = self.data.len();
        self.data.extend(bytes.as_ref());
        (at, bytes.as_ref().len())
    }

    /// The two arguments of a text.
    pub(crate) fn text(&mut self, text: impl AsRef<[u8]>) -> String {
        let (at, len) = self.place(text);
        format!("(i32.const {at}) (i32.const {len})")
    }

    /// The two arguments of attributes.
    pub(crate) fn attributes(&mut self, attributes: &[(&str, Given<'_>)]) -> String {
        let records: Vec<u8> =
            attributes.iter().flat_map(|(key, value)| self.record(key, value)).collect();
        let (at, _) = self.place(records);
        format!("(i32.const {at}) (i32.const {})", attributes.len())
    }

    fn record(&mut self, key: &str, value: &Given<'_>) -> Vec<u8> {
        let key = self.place(key);
        let (kind, len, value) = match value {
            Given::String(text) => self.pointed(attribute::STRING, text.len(), text.as_bytes()),
            Given::Bytes(bytes) => self.pointed(attribute::BYTES, bytes.len(), bytes),
            Given::Bool(value) => (attribute::BOOL, 0, u64::from(*value)),
            Given::I64(value) => (attribute::I64, 0, value.cast_unsigned()),
            Given::F64(value) => (attribute::F64, 0, value.to_bits()),
            Given::Bools(values) => {
                let bytes: Vec<u8> = values.iter().map(|&value| u8::from(value)).collect();
                self.pointed(attribute::BOOLS, values.len(), &bytes)
            }
            Given::I64s(values) => {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                self.pointed(attribute::I64S, values.len(), &bytes)
            }
            Given::F64s(values) => {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                self.pointed(attribute::F64S, values.len(), &bytes)
            }
            Given::Strings(texts) => {
                let texts: Vec<_> = texts.iter().map(|text| self.place(text)).collect();
                let bytes: Vec<u8> =
                    texts.into_iter().flat_map(|(at, len)| words(&[at, len])).collect();
                self.pointed(attribute::STRINGS, bytes.len() / 8, &bytes)
            }
        };
        let mut record = words(&[key.0, key.1, kind as usize, len]);
        record.extend(value.to_le_bytes());
        record
    }

    fn pointed(&mut self, kind: u32, len: usize, bytes: &[u8]) -> (u32, usize, u64) {
        (kind, len, self.place(bytes).0 as u64)
    }

    /// Adds a function with the locals `$s` and `$t`.
    pub(crate) fn function(mut self, head: &str, body: &str) -> Self {
        writeln!(self.functions, "(func {head} (local $s i32) (local $t i32) {body})")
            .expect("room");
        self
    }

    pub(crate) fn wat(&self) -> String {
        let data: String = self.data.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let Script { functions, .. } = self;
        format!(
            r#"(module {IMPORTS}
                 (memory (export "memory") 16)
                 (data (i32.const 0) "{data}")
                 (tag $e)
                 (global $g (mut i32) (i32.const 0))
                 {functions})"#
        )
    }

    pub(crate) fn with(&self, builder: Builder) -> (Guest, Report, Kept) {
        let mut guest = Guest::of(module(&self.wat()).expect("valid"), builder);
        let report = guest.trace("go", TraceOptions::new("root").min_duration(Duration::ZERO));
        let arrived = guest.arrived();
        (guest, report, arrived)
    }

    /// What comes of `go`.
    pub(crate) fn run(&self) -> (Report, Kept) {
        let (_, report, arrived) = self.with(observer());
        (report, arrived)
    }
}

pub(crate) fn words(words: &[usize]) -> Vec<u8> {
    words.iter().flat_map(|&word| (word as u32).to_le_bytes()).collect()
}

/// A guest of which `go` does what is said with a script, in a span `s`.
pub(crate) fn within_span(say: impl FnOnce(&mut Script) -> String) -> Script {
    let mut script = Script::default();
    let name = script.text("s");
    let body = say(&mut script);
    let begin =
        format!("(local.set $s (call $begin (i32.const 1) {name} (i32.const 0) (i32.const 0)))");
    script.function(r#"$go (export "go")"#, &format!("{begin} {body} (call $end (local.get $s))"))
}

/// The two arguments of no attributes.
pub(crate) const NONE: &str = "(i32.const 0) (i32.const 0)";

#[track_caller]
pub(crate) fn assert_lost(report: &Report, count: u64, expected: u64) {
    assert_eq!((count, report.lost.total()), (expected, expected), "{}", report.lost);
}
