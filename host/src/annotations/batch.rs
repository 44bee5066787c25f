//! Many things that a guest says in one call.

use observe_abi::guest::record;
use observe_collector::event::Number;

use super::severity;
use crate::clock::Ticks;
use crate::recorder::Inner;
use crate::records::{Records, array, bytes};

impl Inner {
    /// The guest says what so many records do. What has a time gets that of this call.
    pub(crate) fn submit(&mut self, memory: &[u8], at: u32, count: u32) {
        if self.trace.is_none() || count == 0 {
            return;
        }
        let Some(records) = array::<{ record::SIZE }>(memory, at.into(), count) else {
            self.lost.unreadable += 1;
            return;
        };
        let now = self.now();
        for (done, record) in records.iter().enumerate() {
            if !self.has_events_left() {
                // However many there are, this is as far as it goes.
                self.lost.excess_events += (records.len() - done) as u64;
                return;
            }
            let before = self.guarded.events;
            self.say_record(memory, record, now);
            if self.guarded.events == before {
                // So that records without any effect have an end, too.
                self.may_speak();
            }
        }
    }

    fn say_record(&mut self, memory: &[u8], record: &[u8; record::SIZE], now: Ticks) {
        let (words, _) = record.as_chunks::<4>();
        let word = |at: usize| words.get(at).map_or(0, |word| u32::from_le_bytes(*word));
        let span = word(1).cast_signed();
        let text = bytes(memory, word(2).into(), word(3));
        let attributes = Records::at(memory, word(4), word(5));
        match word(0) {
            record::SPAN_ATTRIBUTES => self.span_attributes(span, &attributes),
            record::SPAN_EVENT => self.span_event(span, text, &attributes, now),
            record::LOG => {
                // The upper half is none of a number from 1 to 24.
                let number = if word(7) == 0 { word(6).cast_signed() } else { 0 };
                self.guest_record(span, severity(number), text, &attributes, now);
            }
            record::RECORD_I64 | record::RECORD_F64 => {
                let bits = u64::from(word(6)) | u64::from(word(7)) << 32;
                let value = match word(0) {
                    record::RECORD_I64 => Number::Int(bits.cast_signed()),
                    _ => Number::Double(f64::from_bits(bits)),
                };
                self.measure(span, value, &attributes);
            }
            _ => self.lost.unknown_kinds += 1,
        }
    }
}
