//! What a receiver answers. Its bytes are not trusted: no length is believed
//! that goes beyond them, and nothing panics.

#[cfg(feature = "grpc")]
use std::time::Duration;

/// `ExportTraceServiceResponse.partial_success`; other signals have other names for the same fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartialSuccess {
    /// `rejected_spans`, `rejected_log_records` or `rejected_data_points`.
    pub(crate) rejected: i64,
    /// `error_message`.
    pub(crate) message: String,
}

/// Decodes the response to any signal; `None` if the bytes are not one.
pub(crate) fn partial_success(body: &[u8]) -> Option<PartialSuccess> {
    let mut found = PartialSuccess::default();
    for field in fields(body) {
        if let (1, Content::Bytes(message)) = field? {
            for field in fields(message) {
                match field? {
                    (1, Content::Varint(rejected)) => found.rejected = rejected.cast_signed(),
                    (2, Content::Bytes(text)) => {
                        found.message = String::from_utf8_lossy(text).into_owned();
                    }
                    _ => {}
                }
            }
        }
    }
    Some(found)
}

/// The message of a `google.rpc.Status`, which is the body of a refusal.
pub(crate) fn status_message(body: &[u8]) -> Option<String> {
    let mut message = None;
    for field in fields(body) {
        if let (2, Content::Bytes(text)) = field? {
            message = Some(std::str::from_utf8(text).ok()?.to_owned());
        }
    }
    message
}

/// The wait that the `RetryInfo` among the details of a `google.rpc.Status` asks for; zero if there
/// is one that names no time, `None` if there is none.
#[cfg(feature = "grpc")]
pub(crate) fn retry_info(status: &[u8]) -> Option<Duration> {
    let mut found = None;
    for field in fields(status) {
        if let (3, Content::Bytes(any)) = field? {
            found = found.or(retry_info_in(any));
        }
    }
    found
}

/// The same of a `google.protobuf.Any`.
#[cfg(feature = "grpc")]
fn retry_info_in(any: &[u8]) -> Option<Duration> {
    let (mut url, mut value) = (&[][..], &[][..]);
    for field in fields(any) {
        match field? {
            (1, Content::Bytes(bytes)) => url = bytes,
            (2, Content::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    if !url.ends_with(b"/google.rpc.RetryInfo") {
        return None;
    }
    let (mut seconds, mut nanos) = (0, 0);
    for field in fields(value) {
        if let (1, Content::Bytes(delay)) = field? {
            for field in fields(delay) {
                match field? {
                    (1, Content::Varint(number)) => seconds = number.cast_signed(),
                    (2, Content::Varint(number)) => nanos = number.cast_signed(),
                    _ => {}
                }
            }
        }
    }
    // A time that is negative or none of protobuf's is no time.
    let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let nanos = u32::try_from(nanos).unwrap_or(0).min(999_999_999);
    Some(seconds.saturating_add(Duration::from_nanos(u64::from(nanos))))
}

enum Content<'a> {
    Varint(u64),
    Fixed,
    Bytes(&'a [u8]),
}

/// The fields of a message with their numbers; a last `None` if the message is malformed.
fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Option<(u64, Content<'_>)>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let field = field(&mut bytes);
        if field.is_none() {
            bytes = &[];
        }
        Some(field)
    })
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Content<'a>)> {
    let tag = varint(bytes)?;
    let number = tag >> 3;
    let content = match tag & 7 {
        0 => Content::Varint(varint(bytes)?),
        1 => {
            *bytes = bytes.get(8..)?;
            Content::Fixed
        }
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            let (content, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Content::Bytes(content)
        }
        5 => {
            *bytes = bytes.get(4..)?;
            Content::Fixed
        }
        // Groups, which no message of OTLP has, and what does not exist.
        _ => return None,
    };
    (number > 0).then_some((number, content))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use prost::Message;

    use super::{PartialSuccess, partial_success, status_message};

    #[cfg(feature = "grpc")]
    #[test]
    fn waits_that_are_asked_for() {
        use std::time::Duration;

        use super::retry_info;

        let message = |number: u8, bytes: &[u8]| {
            [&[number << 3 | 2, u8::try_from(bytes.len()).expect("short")][..], bytes].concat()
        };
        let any = |url: &str, value: &[u8]| {
            message(3, &[message(1, url.as_bytes()), message(2, value)].concat())
        };
        let retry = |delay: &[u8]| any("type.googleapis.com/google.rpc.RetryInfo", delay);
        let other = any("type.googleapis.com/google.rpc.DebugInfo", &[0xff]);
        let minus_one = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        for (delay, expected) in [
            (message(1, &[0x08, 2, 0x10, 5]), Duration::new(2, 5)),
            (message(1, &[]), Duration::ZERO),
            (Vec::new(), Duration::ZERO),
            (message(1, &[&[0x08][..], &minus_one].concat()), Duration::ZERO),
            (message(1, &[&[0x10][..], &minus_one].concat()), Duration::ZERO),
        ] {
            let status = [other.clone(), retry(&delay)].concat();
            assert_eq!(retry_info(&status), Some(expected), "{delay:?}");
            for end in 0..status.len() {
                retry_info(&status[..end]);
            }
        }
        assert_eq!(retry_info(&other), None);
        assert_eq!(retry_info(&[]), None);
    }

    fn response(rejected_spans: i64, error_message: &str) -> Vec<u8> {
        let error_message = error_message.to_owned();
        let partial_success = Some(ExportTracePartialSuccess { rejected_spans, error_message });
        ExportTraceServiceResponse { partial_success }.encode_to_vec()
    }

    #[test]
    fn partial_successes() {
        for rejected in [0, 1, 127, 128, i64::MAX, i64::MIN, -1] {
            for message in ["", "too old", "größer"] {
                let expected = PartialSuccess { rejected, message: message.to_owned() };
                assert_eq!(partial_success(&response(rejected, message)), Some(expected));
            }
        }
        assert_eq!(partial_success(&[]), Some(PartialSuccess::default()));
    }

    #[test]
    fn unknown_fields_are_skipped() {
        // Fields 2 (varint), 3 (fixed64), 4 (bytes) and 5 (fixed32), then the known one.
        let mut bytes =
            vec![0x10, 0x05, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x22, 1, 0xff, 0x2d, 1, 2, 3, 4];
        bytes.extend(response(3, "x"));
        let found = partial_success(&bytes).expect("valid");
        assert_eq!((found.rejected, found.message.as_str()), (3, "x"));
    }

    #[test]
    fn malformed_bytes_are_none() {
        for bytes in [
            &b"<html>"[..],
            b"{}",
            &[0x0a],
            &[0x0a, 0x05, 0x08],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0xff; 20],
            &[0x00, 0x00],
            &[0x0d, 1, 2, 3],
            &[0x09, 1, 2, 3],
        ] {
            assert_eq!(partial_success(bytes), None, "{bytes:x?}");
        }
    }

    /// Every cut of an answer, and every byte of it changed to every value.
    #[test]
    fn hostile_bytes_do_no_harm() {
        let valid = response(300, "too old");
        for end in 0..valid.len() {
            let cut = &valid[..end];
            let expected = ExportTraceServiceResponse::decode(cut).ok();
            assert_eq!(partial_success(cut).is_some(), expected.is_some());
        }
        for at in 0..valid.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = valid.clone();
                bytes[at] = byte;
                let ours = partial_success(&bytes);
                status_message(&bytes);
                // What is valid means the same to both; we also take what is no UTF-8.
                if let Ok(theirs) = ExportTraceServiceResponse::decode(bytes.as_slice()) {
                    let theirs = theirs.partial_success.unwrap_or_default();
                    if let Some(ours) = ours {
                        assert_eq!(ours.rejected, theirs.rejected_spans, "{bytes:x?}");
                        assert_eq!(ours.message, theirs.error_message, "{bytes:x?}");
                    }
                }
            }
        }
    }

    #[test]
    fn messages_of_refusals() {
        // google.rpc.Status { code: 3, message: "no spans" }
        let mut bytes = vec![0x08, 3, 0x12, 8];
        bytes.extend(b"no spans");
        assert_eq!(status_message(&bytes).as_deref(), Some("no spans"));
        assert_eq!(status_message(b"nothing found"), None);
        assert_eq!(status_message(&[]), None);
    }
}
