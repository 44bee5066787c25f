//! Log records as OTLP protobuf, by [`logs.proto`].
//!
//! [`logs.proto`]: https://github.com/open-telemetry/opentelemetry-proto/blob/v1.7.0/opentelemetry/proto/logs/v1/logs.proto

use super::attributes::put_attributes;
use super::proto::{
    LEN, VARINT, put_fixed32, put_fixed64, put_head, put_message, put_string, put_uint, tag,
};
use crate::event::{LogRecord, TraceInfo};

/// `ScopeLogs.log_records`.
const LOG_RECORDS: u8 = 2;
/// `LogRecord.time_unix_nano`.
const TIME: u8 = 1;
/// `LogRecord.severity_number`.
const SEVERITY_NUMBER: u8 = 2;
/// `LogRecord.severity_text`.
const SEVERITY_TEXT: u8 = 3;
/// `LogRecord.body`.
const BODY: u8 = 5;
/// `LogRecord.attributes`.
const ATTRIBUTES: u8 = 6;
/// `LogRecord.dropped_attributes_count`.
const DROPPED_ATTRIBUTES: u8 = 7;
/// `LogRecord.flags`.
const FLAGS: u8 = 8;
/// `LogRecord.trace_id`.
const TRACE_ID: u8 = 9;
/// `LogRecord.span_id`.
const SPAN_ID: u8 = 10;
/// `LogRecord.observed_time_unix_nano`.
const OBSERVED_TIME: u8 = 11;
/// `AnyValue.string_value`.
const STRING_VALUE: u8 = 1;

/// Appends a log record to `out`, as a field of a `ScopeLogs` message. The host sees a record
/// when it is written, so it is observed at its own time.
pub fn put_log(trace: &TraceInfo, log: &LogRecord, out: &mut Vec<u8>) {
    put_message(out, LOG_RECORDS, |out| {
        put_fixed64(out, TIME, log.time_unix_nanos);
        out.extend_from_slice(&[tag(SEVERITY_NUMBER, VARINT), log.severity as u8]);
        put_string(out, SEVERITY_TEXT, log.severity.text());
        put_message(out, BODY, |out| {
            // Part of a `oneof`, so that an empty string is written.
            put_head(out, STRING_VALUE, log.body.len());
            out.extend_from_slice(log.body.as_bytes());
        });
        put_attributes(out, ATTRIBUTES, &log.attributes);
        put_uint(out, DROPPED_ATTRIBUTES, log.dropped_attributes.into());
        put_fixed32(out, FLAGS, trace.trace_flags().0.into());
        out.extend_from_slice(&[tag(TRACE_ID, LEN), 16]);
        out.extend_from_slice(&trace.trace_id.0);
        if let Some(span) = log.span {
            out.extend_from_slice(&[tag(SPAN_ID, LEN), 8]);
            out.extend_from_slice(&trace.span_id(span).0);
        }
        put_fixed64(out, OBSERVED_TIME, log.time_unix_nanos);
    });
}
