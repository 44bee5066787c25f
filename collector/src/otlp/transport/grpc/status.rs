//! How a call ended.

use std::time::Duration;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::PREFIX;
use crate::otlp::pipeline::Outcome;
use crate::otlp::response;
use crate::otlp::transport::{Receiver, one_line};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Binary headers have padding or not, as the sender likes.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The names of the [status codes], by number.
///
/// [status codes]: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

const UNKNOWN: u32 = 2;

/// How a call ended, and what was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    code: u32,
    text: String,
    /// When to try again, if the receiver says that this makes sense.
    retry: Option<Duration>,
    /// The framed message before the status.
    message: Vec<u8>,
}

impl Status {
    fn new(code: u32, text: String) -> Self {
        Status { code, text, retry: None, message: Vec::new() }
    }

    /// The status in trailers, or in headers if there is nothing else.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let code = headers.get(GRPC_STATUS)?.to_str().ok();
        let code = code.and_then(|code| code.parse().ok()).unwrap_or(UNKNOWN);
        let text = headers.get(GRPC_MESSAGE).map(HeaderValue::as_bytes).unwrap_or_default();
        let details = headers.get(GRPC_DETAILS);
        let details = details.and_then(|details| BASE64.decode(details).ok());
        Some(Status {
            retry: details.as_deref().and_then(response::retry_info),
            ..Status::new(code, percent_decode(text).decode_utf8_lossy().into_owned())
        })
    }

    /// The status of an answer that is HTTP but not gRPC ([mapping]); `None` if it may be gRPC.
    ///
    /// [mapping]: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
    pub(super) fn from_http(status: StatusCode, kind: Option<&HeaderValue>) -> Option<Self> {
        let code = match status.as_u16() {
            200 if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) => {
                return None;
            }
            400 => 13,
            401 => 16,
            403 => 7,
            404 => 12,
            429 | 502 | 503 | 504 => 14,
            _ => UNKNOWN,
        };
        let text = format!("{status}, but the answer is not gRPC; is this a gRPC endpoint?");
        Some(Status::new(code, text))
    }

    /// The status of a call that ended without one.
    pub(super) fn missing() -> Self {
        Status::new(UNKNOWN, "the answer has no status".to_owned())
    }

    pub(super) fn with_message(self, message: &[u8]) -> Self {
        Status { message: message.to_vec(), ..self }
    }

    /// What a status means, by the [OTLP specification]. One that says that nothing of the kind is
    /// taken there rejects all of it.
    ///
    /// [OTLP specification]: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-response
    pub(super) fn judge(self, receiver: &Receiver) -> Outcome {
        let text = one_line(&self.text);
        let name = match CODES.get(self.code as usize) {
            Some(name) => (*name).to_owned(),
            None => format!("status {}", self.code),
        };
        let separator = if text.is_empty() { "" } else { ": " };
        let error = receiver.error(&format!("{name}{separator}{text}"));
        // The message stands in front of a status that has decided.
        match self.code {
            0 => {
                let message = unframed(&self.message);
                let Some(partial) = message.and_then(response::partial_success) else {
                    let note = receiver.error("OK, but the answer is not OTLP");
                    return Outcome::Delivered { rejected: 0, note: Some(note) };
                };
                receiver.delivered(&partial)
            }
            1 | 4 | 10 | 11 | 14 | 15 => Outcome::Failed {
                error,
                // Without a time it is for us to choose one.
                retry_after: self.retry.filter(|delay| !delay.is_zero()),
            },
            8 => match self.retry {
                Some(delay) => {
                    Outcome::Failed { error, retry_after: Some(delay).filter(|d| !d.is_zero()) }
                }
                None => Outcome::Refused { error },
            },
            // Many receivers take spans only, and say so by having no such service.
            12 => Outcome::Delivered { rejected: u64::MAX, note: Some(error) },
            _ => Outcome::Refused { error },
        }
    }
}

/// The one message of an answer, which is not compressed since we did not offer to take that.
fn unframed(framed: &[u8]) -> Option<&[u8]> {
    let (prefix, message) = framed.split_first_chunk::<PREFIX>()?;
    let [0, length @ ..] = prefix else { return None };
    (u32::from_be_bytes(*length) as usize == message.len()).then_some(message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine;
    use ureq::http::{HeaderMap, HeaderValue, StatusCode};

    use super::{BASE64, CODES, Status, unframed};
    use crate::otlp::pipeline::Outcome;
    use crate::otlp::transport::Receiver;
    use crate::stats::Signal;

    /// `google.rpc.Status` with a `RetryInfo` of so many seconds.
    fn details(seconds: u8) -> Vec<u8> {
        let info = [0x0a, 2, 0x08, seconds];
        let url = b"type.googleapis.com/google.rpc.RetryInfo";
        let mut any = [&[0x0a, url.len() as u8][..], url].concat();
        any.extend([&[0x12, info.len() as u8][..], &info].concat());
        [&[0x08, 14, 0x1a, any.len() as u8][..], &any].concat()
    }

    fn status(code: &str, details: Option<&[u8]>) -> Status {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", HeaderValue::from_str(code).expect("a value"));
        headers.insert("grpc-message", HeaderValue::from_static("so%20%C3%A4%ff%"));
        if let Some(details) = details {
            let details = HeaderValue::from_bytes(details).expect("a value");
            headers.insert("grpc-status-details-bin", details);
        }
        Status::from_headers(&headers).expect("a status")
    }

    fn judge(status: Status) -> Outcome {
        status.judge(&Receiver { label: "here".to_owned(), signal: Signal::Traces })
    }

    /// The table of the specification, and what it says of `RetryInfo`.
    #[test]
    fn exactly_the_retryable_codes_are_retried() {
        let wait = BASE64.encode(details(3));
        let none = BASE64.encode(details(0));
        for (code, name) in CODES.iter().enumerate().skip(1) {
            let error = format!("here: {name}: so ä\u{fffd}%");
            let judged = |details: Option<&str>| {
                judge(status(&code.to_string(), details.map(str::as_bytes)))
            };
            let failed = |retry_after| Outcome::Failed { error: error.clone(), retry_after };
            let refused = || Outcome::Refused { error: error.clone() };
            let second = |seconds| Some(Duration::from_secs(seconds));
            match *name {
                "CANCELLED" | "DEADLINE_EXCEEDED" | "ABORTED" | "OUT_OF_RANGE" | "UNAVAILABLE"
                | "DATA_LOSS" => {
                    assert_eq!(judged(None), failed(None), "{name}");
                    assert_eq!(judged(Some(&wait)), failed(second(3)), "{name}");
                    assert_eq!(judged(Some(&none)), failed(None), "{name}");
                }
                "RESOURCE_EXHAUSTED" => {
                    assert_eq!(judged(None), refused());
                    assert_eq!(judged(Some(&wait)), failed(second(3)));
                    assert_eq!(judged(Some(&none)), failed(None));
                }
                "UNIMPLEMENTED" => {
                    let all = Outcome::Delivered { rejected: u64::MAX, note: Some(error.clone()) };
                    assert_eq!(judged(Some(&wait)), all);
                }
                _ => assert_eq!(judged(Some(&wait)), refused(), "{name}"),
            }
        }
    }

    #[test]
    fn details_have_padding_or_not_and_nonsense_is_no_details() {
        // With another field, of a number that nobody knows.
        let padded = BASE64.encode([&details(3)[..], &[0x20, 0x80, 0]].concat());
        assert!(padded.ends_with('='), "{padded}");
        let wait = Some(Duration::from_secs(3));
        assert_eq!(status("14", Some(padded.as_bytes())).retry, wait);
        assert_eq!(status("14", Some(padded.trim_end_matches('=').as_bytes())).retry, wait);
        for nonsense in [&b"%%%"[..], b"a", b"\xff\xfe", b"AAAA", b""] {
            assert_eq!(status("14", Some(nonsense)).retry, None, "{nonsense:?}");
        }
    }

    #[test]
    fn a_status_that_makes_no_sense_is_final() {
        for code in ["", "x", "-1", "99999999999999999999", "99", "2"] {
            assert!(matches!(judge(status(code, None)), Outcome::Refused { .. }), "{code}");
        }
        assert!(matches!(judge(Status::missing()), Outcome::Refused { .. }));
        assert_eq!(Status::from_headers(&HeaderMap::new()), None);
    }

    #[test]
    fn answers_that_are_http_only_mean_what_the_table_of_grpc_says() {
        let grpc = HeaderValue::from_static("application/grpc+proto");
        let html = HeaderValue::from_static("text/html");
        assert_eq!(Status::from_http(StatusCode::OK, Some(&grpc)), None);
        for (http, code) in [
            (200, 2),
            (302, 2),
            (400, 13),
            (401, 16),
            (403, 7),
            (404, 12),
            (429, 14),
            (500, 2),
            (502, 14),
            (503, 14),
            (504, 14),
        ] {
            let http = StatusCode::from_u16(http).expect("a status");
            let status = Status::from_http(http, Some(&html)).expect("no gRPC");
            assert_eq!(status.code, code, "{http}");
        }
        assert!(Status::from_http(StatusCode::OK, None).is_some());
    }

    #[test]
    fn messages_are_as_long_as_they_say() {
        assert_eq!(unframed(&[0, 0, 0, 0, 0]), Some(&[][..]));
        assert_eq!(unframed(&[0, 0, 0, 0, 2, 7, 8]), Some(&[7, 8][..]));
        for bad in [&[][..], &[0; 4], &[1, 0, 0, 0, 0], &[0, 0, 0, 0, 1], &[0, 255, 255, 255, 255]]
        {
            assert_eq!(unframed(bad), None, "{bad:?}");
        }
        let empty = status("0", None).with_message(&[0; 5]);
        assert_eq!(judge(empty), Outcome::Delivered { rejected: 0, note: None });
        for bad in [&[][..], &[0, 0, 0, 0, 1, 7]] {
            let Outcome::Delivered { rejected: 0, note: Some(note) } =
                judge(status("0", None).with_message(bad))
            else {
                panic!("{bad:?}");
            };
            assert_eq!(note, "here: OK, but the answer is not OTLP");
        }
    }
}
