use serde_json::Value;

use super::{MAX_DEPTH, transcode};
use crate::stats::Signal;

/// Requests in which every field occurs, and what the official implementation says of them. Both are
/// written by `tests/json/make.py`.
const OFFICIAL: [(Signal, &[u8], &str); 3] = [
    (
        Signal::Traces,
        include_bytes!("../../tests/json/traces.bin"),
        include_str!("../../tests/json/traces.json"),
    ),
    (
        Signal::Logs,
        include_bytes!("../../tests/json/logs.bin"),
        include_str!("../../tests/json/logs.json"),
    ),
    (
        Signal::Metrics,
        include_bytes!("../../tests/json/metrics.bin"),
        include_str!("../../tests/json/metrics.json"),
    ),
];

fn json(signal: Signal, body: &[u8]) -> Option<String> {
    let mut out = Vec::new();
    transcode(signal, body, &mut out).ok()?;
    Some(String::from_utf8(out).expect("UTF-8"))
}

/// A field of bytes, up to 16,383 of them.
fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = [number << 3 | 2, length as u8 & 0x7f | 0x80, (length >> 7) as u8];
    [&head[..], content].concat()
}

#[test]
fn every_field_is_told_as_the_official_implementation_does() {
    for (signal, body, expected) in OFFICIAL {
        let ours = json(signal, body).expect("a request");
        let ours: Value = serde_json::from_str(&ours).expect("JSON");
        let expected: Value = serde_json::from_str(expected).expect("JSON");
        assert!(ours == expected, "{signal:?}");
    }
}

#[test]
fn the_same_field_is_told_together_wherever_it_stands() {
    // Two lists of resources around a field that nobody knows.
    let resource = bytes(1, &bytes(3, b"url"));
    let body = [&resource[..], &[0x78, 5], &resource, &bytes(1, &[])].concat();
    let expected = r#"{"resourceSpans":[{"schemaUrl":"url"},{"schemaUrl":"url"},{}]}"#;
    assert_eq!(json(Signal::Traces, &body).as_deref(), Some(expected));
    assert_eq!(json(Signal::Logs, &[]).as_deref(), Some("{}"));
}

#[test]
fn packed_and_single_numbers_are_the_same() {
    let of = |point: &[u8]| {
        let histogram = bytes(9, &bytes(1, point));
        let metric = bytes(1, &bytes(2, &bytes(2, &histogram)));
        json(Signal::Metrics, &metric).expect("a request")
    };
    let one = 1_u64.to_le_bytes();
    let single = [&[0x31][..], &one].concat();
    let both = [single.clone(), bytes(6, &[one, one].concat()), single].concat();
    assert!(of(&both).contains(r#"{"bucketCounts":["1","1","1","1"]}"#), "{}", of(&both));
    assert!(of(&bytes(6, &[])).contains(r#"{"bucketCounts":[]}"#));
}

#[test]
fn what_is_no_message_is_refused() {
    let resource = bytes(1, &bytes(3, b"url"));
    for body in [
        &[0xff][..],
        &[0x0a, 5],
        // A number where a message is to be.
        &[0x08, 1],
        // A field twice of which there may be one.
        &bytes(1, &[bytes(3, b"a"), bytes(3, b"b")].concat()),
        // A list of half a number.
        &bytes(1, &bytes(2, &bytes(2, &bytes(9, &bytes(1, &bytes(6, &[1])))))),
    ] {
        assert_eq!(json(Signal::Metrics, body), None, "{body:?}");
    }
    for end in 1..resource.len() {
        assert_eq!(json(Signal::Traces, &resource[..end]), None);
    }
    // Every byte of requests in which everything occurs, with one bit changed: no panic, and what
    // comes out is JSON.
    for (signal, body, _) in OFFICIAL {
        for at in (0..body.len()).step_by(7) {
            let mut body = body.to_vec();
            body[at] ^= 1 << (at % 8);
            if let Some(json) = json(signal, &body) {
                serde_json::from_str::<serde::de::IgnoredAny>(&json).expect("JSON");
            }
        }
    }
}

#[test]
fn depth_is_bounded() {
    // Lists in lists, in an attribute of a resource.
    let nested = |levels| {
        let value = (0..levels).fold(Vec::new(), |inner, _| bytes(5, &bytes(1, &inner)));
        bytes(1, &bytes(1, &bytes(1, &bytes(2, &value))))
    };
    assert!(json(Signal::Logs, &nested(MAX_DEPTH as usize / 2 - 4)).is_some());
    assert!(json(Signal::Logs, &nested(MAX_DEPTH as usize / 2 + 4)).is_none());
    assert!(json(Signal::Logs, &nested(1_000)).is_none());
}
