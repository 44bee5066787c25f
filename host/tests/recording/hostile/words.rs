//! What such guests say of themselves: each function of the annotations' second version, with records
//! that are right, nearly right and absurd.

use std::fmt::Write as _;

use observe_abi::guest::{self, attribute, record};
use observe_abi::signature;

use super::Generated;

/// Where records of attributes are, of which there are as many as follow.
const ATTRIBUTES: i32 = 256;
const ATTRIBUTE_COUNT: usize = 16;

/// Where records of batches are.
const RECORDS: i32 = 1024;
const RECORD_COUNT: usize = 12;

/// A `traceparent` in memory.
const TRACEPARENT: i32 = 64;

/// The imports, each under its name, and what the guest keeps of their answers.
pub(super) fn imports() -> String {
    let mut wat = String::new();
    for function in signature::of(guest::MODULE).unwrap_or_default() {
        let list =
            |types: &[signature::Type]| types.iter().map(|ty| format!(" {ty}")).collect::<String>();
        let (params, results) = (list(function.params), list(function.results));
        let (module, name) = (guest::MODULE, function.name);
        let _ = writeln!(
            wat,
            r#"(import "{module}" "{name}" (func ${name} (param{params}) (result{results})))"#
        );
    }
    wat
}

/// What stands in memory, for addresses of a type.
pub(super) fn data(made: &mut Generated, address: &str) -> String {
    let mut attributes = Vec::new();
    for _ in 0..ATTRIBUTE_COUNT {
        attributes.extend(made.attribute());
    }
    let mut records = Vec::new();
    for _ in 0..RECORD_COUNT {
        records.extend(made.record());
    }
    let text = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut wat = String::new();
    for (at, bytes) in
        [(TRACEPARENT, &text[..]), (ATTRIBUTES, &attributes[..]), (RECORDS, &records[..])]
    {
        let bytes: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let _ = writeln!(wat, "(data ({address}.const {at}) \"{bytes}\")");
    }
    wat
}

impl Generated {
    /// A text: address and length, which may be anything.
    fn text(&mut self) -> (i32, i32) {
        match self.random.below(8) {
            0 => (self.int(), self.int()),
            _ => (self.random.below(24) as i32, self.random.below(12) as i32),
        }
    }

    /// A record of an attribute.
    fn attribute(&mut self) -> Vec<u8> {
        let (key, len) = self.text();
        let kind = match self.random.below(12) {
            0 => self.int().cast_unsigned(),
            _ => self.random.below(u64::from(attribute::F64S) + 1) as u32,
        };
        let (value, value_len) = match self.random.below(4) {
            0 => (self.long(), self.int()),
            // Records are elements as well as any bytes are.
            _ => (i64::from(ATTRIBUTES), self.random.below(40) as i32),
        };
        let words = [key.cast_unsigned(), len.cast_unsigned(), kind, value_len.cast_unsigned()];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(value.to_le_bytes());
        bytes
    }

    /// A record of a batch.
    fn record(&mut self) -> Vec<u8> {
        let what = match self.random.below(10) {
            0 => self.int().cast_unsigned(),
            _ => 1 + self.random.below(u64::from(record::RECORD_F64)) as u32,
        };
        let subject = match self.random.below(3) {
            0 => self.int(),
            1 => guest::CURRENT,
            _ => self.random.below(4) as i32,
        };
        let (text, len) = self.text();
        let (at, count) = self.records(ATTRIBUTES, attribute::SIZE);
        let words =
            [what, subject.cast_unsigned(), text as u32, len as u32, at as u32, count as u32];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(self.long().to_le_bytes());
        bytes
    }

    /// Where records are, and how many.
    fn records(&mut self, at: i32, size: usize) -> (i32, i32) {
        let at = at + self.random.below(4) as i32 * size as i32;
        match self.random.below(10) {
            0 => (self.int(), self.int()),
            1 => (at, -1),
            // As many as fit the memory, and one more.
            2 => (0, (1 << 16) / size as i32 + self.random.below(2) as i32),
            _ => (at, self.random.below(8) as i32),
        }
    }

    /// The same as operands.
    fn attributes(&mut self) -> String {
        let (at, count) = self.records(ATTRIBUTES, attribute::SIZE);
        format!("(i32.const {at}) (i32.const {count})")
    }

    fn words(&mut self) -> String {
        let (at, len) = self.text();
        format!("(i32.const {at}) (i32.const {len})")
    }

    /// A span: a token, a handle, one that stands for another, or nothing of the kind.
    fn span(&mut self) -> String {
        match self.random.below(8) {
            0 => format!("(i32.const {})", self.int()),
            1 => format!("(i32.const {})", guest::ROOT),
            2 | 3 => format!("(i32.const {})", guest::CURRENT),
            4 | 5 => self.handle(),
            _ => self.token(),
        }
    }

    /// The handle of a detached span: one that was given, or one like it.
    fn handle(&mut self) -> String {
        match self.random.below(6) {
            0 => format!("(i32.const {})", self.int()),
            1 => "(i32.add (global.get $handle) (i32.const 1))".to_owned(),
            2 => "(i32.xor (global.get $handle) (i32.const 0x10000))".to_owned(),
            3 => format!("(i32.const {})", self.random.below(5)),
            _ => "(global.get $handle)".to_owned(),
        }
    }

    /// An instrument: one that was given, or one like it.
    fn instrument(&mut self) -> String {
        match self.random.below(4) {
            0 => format!("(i32.const {})", self.int()),
            1 => "(i32.add (global.get $instrument) (i32.const 1))".to_owned(),
            _ => "(global.get $instrument)".to_owned(),
        }
    }

    fn kind(&mut self) -> i32 {
        if self.random.below(8) == 0 { self.int() } else { self.random.below(6) as i32 }
    }

    /// A call of one of the annotations.
    pub(super) fn say(&mut self) -> String {
        let (text, attributes) = (self.words(), self.attributes());
        let (span, handle, kind) = (self.span(), self.handle(), self.kind());
        match self.random.below(22) {
            0 | 1 => format!(
                "(global.set $other (global.get $kept))
                 (global.set $kept (call $span-begin (i32.const {kind}) {text} {attributes}))"
            ),
            2 => format!("(call $span-end {})", self.token()),
            3 | 4 => format!(
                "(global.set $handle
                   (call $span-open {span} (i32.const {kind}) {text} {attributes}))"
            ),
            5 | 6 => format!("(call $span-enter {handle})"),
            7 => format!("(call $span-exit {handle})"),
            8 => format!("(call $span-close {handle})"),
            9 | 10 => format!("(call $span-attributes {span} {attributes})"),
            11 => format!("(call $span-event {span} {text} {attributes})"),
            12 => format!("(call $span-status {span} (i32.const {kind}) {text})"),
            13 => {
                let len = if self.random.below(4) == 0 { self.int() } else { 55 };
                format!(
                    "(call $span-link {span} (i32.const {TRACEPARENT}) (i32.const {len}) {attributes})"
                )
            }
            14 => format!(
                "(call $log {span} (i32.const {}) {text} {attributes})",
                kind.wrapping_mul(5)
            ),
            15 => format!(
                "(global.set $instrument
                   (call $instrument (i32.const {kind}) {text} {} {}))",
                self.words(),
                self.words()
            ),
            16 => format!(
                "(call $record-i64 {} (i64.const {}) {attributes})",
                self.instrument(),
                self.long()
            ),
            17 => {
                let value = *self.random.one_of(&["1.5", "-1", "nan", "inf", "-inf", "1e308"]);
                format!("(call $record-f64 {} (f64.const {value}) {attributes})", self.instrument())
            }
            18 => format!("(drop (call $context {}))", self.words()),
            19 => format!("(drop (call $baggage {}))", self.words()),
            20 => "(drop (call $interest))".to_owned(),
            _ => {
                let (at, count) = self.records(RECORDS, record::SIZE);
                format!("(call $submit (i32.const {at}) (i32.const {count}))")
            }
        }
    }
}

/// A guest that says one thing 100,000 times; each turn has a text of its own at 0.
pub(super) fn flood(body: &str) -> String {
    format!(
        r#"(module
             {}
             (import "observe:hooks@1" "enter" (func $enter (param i32) (result i32 i32)))
             (memory (export "memory") 16)
             (global $handle (mut i32) (i32.const 0))
             (func $deep (param $n i32)
               (if (local.get $n) (then (call $deep (i32.sub (local.get $n) (i32.const 1)))))
               (call $span-enter (global.get $handle)))
             ;; Attributes from 1024 on, ten thousand and more: the key of each begins with its own
             ;; address, and the value is the text.
             (func $fill (local $at i32)
               (local.set $at (i32.const 1024))
               (loop $l
                 (i32.store (local.get $at) (local.get $at))
                 (i32.store offset=4 (local.get $at) (i32.const 8))
                 (i32.store offset=12 (local.get $at) (i32.const 8))
                 (local.set $at (i32.add (local.get $at) (i32.const {size})))
                 (br_if $l (i32.lt_u (local.get $at) (i32.const 1000000)))))
             (func $text (param $n i32)
               (i64.store (i32.const 0)
                 (i64.or (i64.const 0x2020202020202020)
                   (i64.mul (i64.extend_i32_u (local.get $n)) (i64.const 0x01000193)))))
             (func (export "go") (local $n i32)
               (call $fill)
               (loop $l
                 (local.set $n (i32.add (local.get $n) (i32.const 1)))
                 (call $text (local.get $n))
                 {body}
                 (br_if $l (i32.lt_u (local.get $n) (i32.const 100000))))))"#,
        imports(),
        size = attribute::SIZE
    )
}

/// What such a guest says.
#[cfg(target_os = "linux")]
pub(super) const FLOODS: [&str; 14] = [
    "(drop (call $span-begin (i32.const 1) (i32.const 0) (i32.const 8) (i32.const 1024)
       (i32.const 10000)))",
    "(call $span-end (call $span-begin (i32.const 1) (i32.const 0) (i32.const 8) (i32.const 0)
       (i32.const -1)))",
    "(drop (call $span-open (i32.const 0x7fffffff) (i32.const 1) (i32.const 0) (i32.const 8)
       (i32.const 1024) (i32.const 3)))",
    "(call $span-enter (call $span-open (i32.const 0x7ffffffe) (i32.const 1) (i32.const 0)
       (i32.const 8) (i32.const 1024) (i32.const 3)))",
    "(call $span-close (call $span-open (i32.const 0) (i32.const 1) (i32.const 0)
       (i32.const 8) (i32.const 0) (i32.const 0)))",
    "(if (i32.eq (local.get $n) (i32.const 1)) (then (global.set $handle (call $span-open
       (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 8) (i32.const 0) (i32.const 0)))
       (call $deep (i32.const 2000))))
     (call $span-enter (global.get $handle)) (call $span-enter (local.get $n))",
    "(call $span-attributes (i32.const 0x7fffffff) (i32.const 1024) (i32.const 10000))",
    "(call $span-event (i32.const 0x7fffffff) (i32.const 0) (i32.const 8) (i32.const 1024)
       (i32.const 10000))",
    "(call $log (i32.const 0) (i32.const 9) (i32.const 0) (i32.const 60000) (i32.const 1024)
       (i32.const 10000))
     (call $log (i32.const 0x7fffffff) (i32.const 9) (i32.const 0) (i32.const 60000)
       (i32.const 1024) (i32.const 10000))",
    "(drop (call $instrument (i32.const 1) (i32.const 0) (i32.const 8) (i32.const 0)
       (i32.const 8) (i32.const 0) (i32.const 8)))",
    "(call $record-i64
       (call $instrument (i32.const 4) (i32.const 1024) (i32.const 4) (i32.const 0) (i32.const 0)
         (i32.const 0) (i32.const 0))
       (i64.const -9223372036854775808) (i32.const 1024) (i32.const 10000))",
    "(drop (call $context (i32.const 0) (i32.const -1)))
     (drop (call $baggage (i32.const -1) (i32.const -1)))",
    "(call $submit (i32.const 0) (i32.const -1)) (call $submit (i32.const 64) (i32.const 32766))",
    "(call $span-status (i32.const 0x7fffffff) (i32.const 2) (i32.const 0) (i32.const 1000000))",
];
