//! The same answers as JSON, in which 64-bit numbers may be text.

use serde_json::Value;

use super::PartialSuccess;

/// Decodes the response to any signal; `None` if the bytes are not one. Nothing at all is one that
/// says nothing.
pub(crate) fn partial_success_in_json(body: &[u8]) -> Option<PartialSuccess> {
    if body.is_empty() {
        return Some(PartialSuccess::default());
    }
    let response: Value = serde_json::from_slice(body).ok()?;
    let partial = match response.as_object()?.get("partialSuccess") {
        None | Some(Value::Null) => return Some(PartialSuccess::default()),
        Some(partial) => partial.as_object()?,
    };
    let mut found = PartialSuccess::default();
    for name in ["rejectedSpans", "rejectedLogRecords", "rejectedDataPoints"] {
        found.rejected = match partial.get(name) {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => text.parse().ok()?,
            Some(number) => number.as_i64()?,
        };
    }
    if let Some(message) = partial.get("errorMessage").and_then(Value::as_str) {
        message.clone_into(&mut found.message);
    }
    Some(found)
}

/// The message of a `google.rpc.Status`, which is the body of a refusal.
pub(crate) fn status_message_in_json(body: &[u8]) -> Option<String> {
    let status: Value = serde_json::from_slice(body).ok()?;
    Some(status.get("message")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{PartialSuccess, partial_success_in_json, status_message_in_json};

    #[test]
    fn partial_successes() {
        let found = |rejected, message: &str| {
            Some(PartialSuccess { rejected, message: message.to_owned() })
        };
        for (body, expected) in [
            ("", found(0, "")),
            ("{}", found(0, "")),
            (r#"{"partialSuccess":null}"#, found(0, "")),
            (r#"{"partialSuccess":{}}"#, found(0, "")),
            (r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"old"}}"#, found(3, "old")),
            (r#"{"partialSuccess":{"rejectedLogRecords":3}}"#, found(3, "")),
            (
                r#" {"partialSuccess": {"rejectedDataPoints": "-1", "x": []}, "y": 1} "#,
                found(-1, ""),
            ),
            (r#"{"partialSuccess":{"errorMessage":"soon gone"}}"#, found(0, "soon gone")),
            (r#"{"partialSuccess":{"rejectedSpans":"many"}}"#, None),
            (r#"{"partialSuccess":{"rejectedSpans":1.5}}"#, None),
            (r#"{"partialSuccess":7}"#, None),
            ("[]", None),
            ("<html>", None),
            ("{", None),
        ] {
            assert_eq!(partial_success_in_json(body.as_bytes()), expected, "{body}");
        }
        // Neither does depth exhaust the stack.
        assert_eq!(partial_success_in_json(&b"[".repeat(1 << 16)), None);
    }

    #[test]
    fn messages_of_refusals() {
        let message = |body: &str| status_message_in_json(body.as_bytes());
        let status = r#"{"code":3,"message":"no spans","details":[]}"#;
        assert_eq!(message(status).as_deref(), Some("no spans"));
        for other in ["", "{}", "7", r#"{"message":7}"#, "no JSON"] {
            assert_eq!(message(other), None, "{other}");
        }
    }
}
