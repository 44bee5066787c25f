//! The imports, as `observe_abi::guest` describes them.

use super::Record;
use crate::value::Attribute;

// An attribute takes no constant; a test holds the names against `observe-abi`.
#[link(wasm_import_module = "observe:guest@2")]
unsafe extern "C" {
    #[link_name = "interest"]
    pub(super) fn interest() -> u32;
    #[link_name = "span-begin"]
    pub(super) fn span_begin(
        kind: i32,
        name: *const u8,
        name_len: usize,
        attributes: *const Attribute<'_>,
        count: usize,
    ) -> i32;
    #[link_name = "span-end"]
    pub(super) fn span_end(token: i32);
    #[link_name = "span-open"]
    pub(super) fn span_open(
        parent: i32,
        kind: i32,
        name: *const u8,
        name_len: usize,
        attributes: *const Attribute<'_>,
        count: usize,
    ) -> i32;
    #[link_name = "span-enter"]
    pub(super) fn span_enter(handle: i32);
    #[link_name = "span-exit"]
    pub(super) fn span_exit(handle: i32);
    #[link_name = "span-close"]
    pub(super) fn span_close(handle: i32);
    #[link_name = "span-attributes"]
    pub(super) fn span_attributes(span: i32, attributes: *const Attribute<'_>, count: usize);
    #[link_name = "span-event"]
    pub(super) fn span_event(
        span: i32,
        name: *const u8,
        name_len: usize,
        attributes: *const Attribute<'_>,
        count: usize,
    );
    #[link_name = "span-status"]
    pub(super) fn span_status(span: i32, status: i32, message: *const u8, message_len: usize);
    #[link_name = "span-link"]
    pub(super) fn span_link(
        span: i32,
        traceparent: *const u8,
        traceparent_len: usize,
        attributes: *const Attribute<'_>,
        count: usize,
    );
    #[link_name = "log"]
    pub(super) fn log(
        span: i32,
        severity: i32,
        body: *const u8,
        body_len: usize,
        attributes: *const Attribute<'_>,
        count: usize,
    );
    #[link_name = "instrument"]
    pub(super) fn instrument(
        kind: i32,
        name: *const u8,
        name_len: usize,
        unit: *const u8,
        unit_len: usize,
        description: *const u8,
        description_len: usize,
    ) -> i32;
    #[link_name = "record-i64"]
    pub(super) fn record_i64(
        instrument: i32,
        value: i64,
        attributes: *const Attribute<'_>,
        count: usize,
    );
    #[link_name = "record-f64"]
    pub(super) fn record_f64(
        instrument: i32,
        value: f64,
        attributes: *const Attribute<'_>,
        count: usize,
    );
    #[link_name = "context"]
    pub(super) fn context(buffer: *mut u8, size: usize) -> usize;
    #[link_name = "baggage"]
    pub(super) fn baggage(buffer: *mut u8, size: usize) -> usize;
    #[link_name = "submit"]
    pub(super) fn submit(records: *const Record<'_>, count: usize);
}
