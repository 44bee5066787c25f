//! OTLP over HTTP/1.1: a POST for each batch.

mod addresses;

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use ureq::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER, USER_AGENT,
};
use ureq::http::{HeaderValue, StatusCode, Uri};
use ureq::tls::{Certificate, ClientCert, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Error};

use self::addresses::{Addresses, Recent};
use super::compress::Compressor;
use super::{MAX_BODY, Receiver, describe_io, describe_tls, one_line};
use crate::otlp::config::{Protocol, SignalConfig, Tls};
#[cfg(feature = "http-json")]
use crate::otlp::json;
use crate::otlp::pipeline::Outcome;
use crate::otlp::response;

pub(crate) struct Http {
    receiver: Receiver,
    agent: Agent,
    addresses: Recent,
    endpoint: Uri,
    headers: HeaderMap,
    timeout: Duration,
    form: Form,
    state: RefCell<State>,
}

/// What is used from one request to the next.
struct State {
    compressor: Option<Compressor>,
    /// The body as JSON.
    #[cfg(feature = "http-json")]
    json: Vec<u8>,
}

/// What a message looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Protobuf,
    #[cfg(feature = "http-json")]
    Json,
}

impl Form {
    fn of(protocol: Protocol) -> Self {
        match protocol {
            #[cfg(feature = "http-json")]
            Protocol::HttpJson => Form::Json,
            _ => Form::Protobuf,
        }
    }

    /// The form of an answer; without a word about it that of the request.
    fn of_answer(self, headers: &HeaderMap) -> Self {
        match content_type(headers) {
            #[cfg(feature = "http-json")]
            kind if kind.starts_with("application/json") => Form::Json,
            kind if kind.starts_with("application/x-protobuf") => Form::Protobuf,
            _ => self,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Form::Protobuf => "application/x-protobuf",
            #[cfg(feature = "http-json")]
            Form::Json => "application/json",
        }
    }
}

impl Http {
    pub(super) fn new(config: &SignalConfig) -> Self {
        let mut agent = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls_config(&config.tls))
            // A redirect would carry the headers, which may hold a token, elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false);
        if is_loopback(&config.endpoint) {
            agent = agent.proxy(None);
        }
        let mut headers: HeaderMap = config.headers.iter().cloned().collect();
        let form = Form::of(config.protocol);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let compressor = Compressor::new(config.compression);
        if let Some(compressor) = &compressor {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(compressor.name()));
        }
        let agent_name =
            format!("observe/{} (otlp; {})", env!("CARGO_PKG_VERSION"), config.protocol);
        // Whoever gives another name wants that one, and only that one.
        if let Ok(name) = HeaderValue::try_from(agent_name) {
            headers.entry(USER_AGENT).or_insert(name);
        }
        let state = State {
            compressor,
            #[cfg(feature = "http-json")]
            json: Vec::new(),
        };
        let addresses = Addresses::default();
        let recent = addresses.recent();
        Http {
            receiver: Receiver { label: config.shown_endpoint(), signal: config.signal },
            agent: Agent::with_parts(agent.build(), DefaultConnector::default(), addresses),
            addresses: recent,
            endpoint: config.endpoint.clone(),
            headers,
            timeout: config.timeout,
            form,
            state: RefCell::new(state),
        }
    }

    pub(super) fn closer(&self) -> impl FnOnce() + Send + use<> {
        let agent = self.agent.clone();
        || agent.shutdown()
    }

    pub(super) fn post(&self, body: &[u8], limit: Option<Duration>) -> Outcome {
        let mut state = self.state.borrow_mut();
        let body = match self.form(body, &mut state) {
            Ok(body) => body,
            Err(error) => return Outcome::Refused { error: self.receiver.error(&error) },
        };
        let timeout = limit.map_or(self.timeout, |limit| limit.min(self.timeout));
        let mut request = self.agent.post(&self.endpoint);
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&self.headers);
        }
        let bound = (timeout < Duration::MAX).then_some(timeout);
        let answer = request.config().timeout_global(bound).build().send(body);
        match answer {
            Ok(answer) => {
                let (parts, mut body) = answer.into_parts();
                self.judge(parts.status, &parts.headers, &mut body)
            }
            Err(error) => {
                self.addresses.forget();
                let text = self.receiver.error(&describe(&error, timeout));
                if is_permanent(&error) {
                    Outcome::Refused { error: text }
                } else {
                    Outcome::Failed { error: text, retry_after: None }
                }
            }
        }
    }

    /// The body as it is sent.
    fn form<'a>(&self, body: &'a [u8], state: &'a mut State) -> Result<&'a [u8], String> {
        let body = match self.form {
            Form::Protobuf => body,
            #[cfg(feature = "http-json")]
            Form::Json => {
                state.json.clear();
                json::transcode(self.receiver.signal, body, &mut state.json)
                    .map_err(|error| error.to_string())?;
                &state.json
            }
        };
        match &mut state.compressor {
            Some(compressor) => compressor.compress(body),
            None => Ok(body),
        }
    }

    /// What a status means, by the [OTLP specification]: exactly four ask for a retry. One that
    /// says that nothing of the kind is taken here rejects all of it.
    ///
    /// [OTLP specification]: https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
    fn judge(&self, status: StatusCode, headers: &HeaderMap, body: &mut Body) -> Outcome {
        // The status has decided. A body that cannot be read takes nothing back.
        let bytes = body.with_config().limit(MAX_BODY as u64).read_to_vec().ok();
        if status.is_success() {
            let decode = match self.form.of_answer(headers) {
                Form::Protobuf => response::partial_success,
                #[cfg(feature = "http-json")]
                Form::Json => response::partial_success_in_json,
            };
            let partial = bytes.as_deref().and_then(decode);
            let Some(partial) = partial else {
                let note = self.receiver.error(&format!(
                    "{status}, but the answer is not OTLP; is this an OTLP endpoint?"
                ));
                return Outcome::Delivered { rejected: 0, note: Some(note) };
            };
            return self.receiver.delivered(&partial);
        }
        let reason = if status.is_redirection() {
            "redirects are not followed, give the URL it leads to".to_owned()
        } else {
            bytes.as_deref().map(|bytes| reason(headers, bytes)).unwrap_or_default()
        };
        let separator = if reason.is_empty() { "" } else { ": " };
        let error = self.receiver.error(&format!("{status}{separator}{reason}"));
        match status.as_u16() {
            429 | 502 | 503 | 504 => {
                let retry_after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let now = SystemTime::now();
                Outcome::Failed {
                    error,
                    retry_after: retry_after.and_then(|text| parse_retry_after(text, now)),
                }
            }
            // Many receivers take spans only, and say so by having no such address.
            404 => Outcome::Delivered { rejected: u64::MAX, note: Some(error) },
            _ => Outcome::Refused { error },
        }
    }
}

fn tls_config(tls: &Tls) -> TlsConfig {
    let certificate =
        |der: &CertificateDer<'static>| Certificate::from_der(der.as_ref()).to_owned();
    let roots = match &tls.roots {
        Some(roots) => {
            RootCerts::Specific(Arc::new(roots.iter().map(certificate).collect::<Vec<_>>()))
        }
        // The certificates that the system trusts, which a company may have added to.
        None => RootCerts::PlatformVerifier,
    };
    let client = tls.identity.as_ref().map(|identity| {
        let chain: Vec<_> = identity.chain.iter().map(certificate).collect();
        ClientCert::new_with_certs(&chain, identity.key_for_http.to_owned())
    });
    TlsConfig::builder().root_certs(roots).client_cert(client).build()
}

/// Whether the receiver is on this machine, where no proxy is needed.
fn is_loopback(endpoint: &Uri) -> bool {
    let host = endpoint.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Whether the same request would fail in the same way again: it is none, or may not be sent there.
/// All else has to do with the connection, also an answer that is not HTTP: a proxy may give that
/// while what is behind it starts again.
fn is_permanent(error: &Error) -> bool {
    matches!(
        error,
        Error::Http(_)
            | Error::BadUri(_)
            | Error::BodyExceedsLimit(_)
            | Error::InvalidProxyUrl
            | Error::RedirectFailed
            | Error::RequireHttpsOnly(_)
            | Error::TlsRequired
            | Error::TooManyRedirects
    )
}

fn describe(error: &Error, timeout: Duration) -> String {
    match error {
        Error::Timeout(_) => format!("no answer within {timeout:?}"),
        Error::Protocol(cause) => {
            format!("the answer is not HTTP: {}", one_line(&cause.to_string()))
        }
        Error::Io(cause) => describe_io(cause),
        error => describe_tls(&error.to_string()),
    }
}

/// What a refusal says.
fn reason(headers: &HeaderMap, body: &[u8]) -> String {
    let kind = content_type(headers);
    if kind.starts_with("application/x-protobuf") {
        return one_line(&response::status_message(body).unwrap_or_default());
    }
    #[cfg(feature = "http-json")]
    if kind.starts_with("application/json")
        && let Some(message) = response::status_message_in_json(body)
    {
        return one_line(&message);
    }
    if kind.starts_with("text/plain") || kind.starts_with("application/json") {
        return one_line(&String::from_utf8_lossy(body));
    }
    String::new()
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Seconds or a date ([RFC 9110, section 10.2.3]).
///
/// [RFC 9110, section 10.2.3]: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    // A date that has passed asks for no wait.
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{is_loopback, parse_retry_after};

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // The date of RFC 9110's examples, 784,111,777 s after the epoch.
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 5);
        let parse = |text| parse_retry_after(text, now);
        assert_eq!(parse("120"), Some(Duration::from_secs(120)));
        assert_eq!(parse(" 0 "), Some(Duration::ZERO));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(5)));
        assert_eq!(parse("Sunday, 06-Nov-94 08:49:37 GMT"), Some(Duration::from_secs(5)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
        for bad in ["", "-1", "1.5", "soon", "99999999999999999999999999"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn loopback_is_recognised() {
        for (url, expected) in [
            ("http://localhost:4318/", true),
            ("http://127.0.0.1:4318/", true),
            ("http://[::1]:4318/", true),
            ("http://localhost.example/", false),
            ("http://192.0.2.1/", false),
        ] {
            assert_eq!(is_loopback(&url.parse().expect("a URL")), expected, "{url}");
        }
    }
}
