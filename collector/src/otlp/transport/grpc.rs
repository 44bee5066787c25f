//! OTLP over gRPC: a unary call for each batch, on one HTTP/2 connection.
//!
//! A call is a POST whose body is the message behind five bytes, and whose answer ends with its
//! status in trailers ([gRPC over HTTP/2]). The runtime runs on the thread that sends, and only while
//! a call does: a connection that the receiver closed meanwhile is noticed before the next.
//!
//! [gRPC over HTTP/2]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

mod connection;
mod status;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use ureq::http::header::{CONTENT_TYPE, HeaderName, TE, USER_AGENT};
use ureq::http::uri::PathAndQuery;
use ureq::http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};

use self::connection::{Connection, Connector};
use self::status::Status;
use super::compress::Compressor;
use super::{MAX_BODY, Receiver};
use crate::otlp::config::SignalConfig;
use crate::otlp::pipeline::Outcome;
use crate::stats::Signal;

const AGENT_NAME: &str = concat!("observe/", env!("CARGO_PKG_VERSION"), " (otlp; grpc)");

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Before a message: whether it is compressed, and its length in four bytes.
const PREFIX: usize = 5;

pub(crate) struct Grpc {
    receiver: Receiver,
    uri: Uri,
    headers: HeaderMap,
    timeout: Duration,
    connector: Connector,
    closed: Arc<Notify>,
    state: RefCell<State>,
}

/// What lasts from one call to the next.
struct State {
    runtime: Option<Runtime>,
    connection: Option<Connection>,
    compressor: Option<Compressor>,
    /// Memory of the message before.
    spare: Bytes,
}

/// Why there is no answer.
struct Failure {
    what: String,
    /// Whether it would fail in the same way again.
    permanent: bool,
}

impl Failure {
    fn passing(what: impl Into<String>) -> Self {
        Failure { what: what.into(), permanent: false }
    }

    fn permanent(what: impl Into<String>) -> Self {
        Failure { what: what.into(), permanent: true }
    }
}

impl Grpc {
    pub(super) fn new(config: &SignalConfig) -> Self {
        let (service, name) = match config.signal {
            Signal::Traces => {
                ("/opentelemetry.proto.collector.trace.v1.TraceService/Export", "traces")
            }
            Signal::Logs => ("/opentelemetry.proto.collector.logs.v1.LogsService/Export", "logs"),
            Signal::Metrics => {
                ("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", "metrics")
            }
        };
        let label = format!("{} ({name})", config.shown_endpoint());
        let mut uri = config.endpoint.clone().into_parts();
        uri.path_and_query = Some(PathAndQuery::from_static(service));
        // A URL whose path is replaced by another is still one.
        let uri = Uri::from_parts(uri).unwrap_or_default();
        let mut headers: HeaderMap = config.headers.iter().cloned().collect();
        headers.insert(CONTENT_TYPE, GRPC);
        headers.insert(TE, HeaderValue::from_static("trailers"));
        // Whoever gives another name wants that one, and only that one.
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT_NAME));
        let compressor = Compressor::new(config.compression);
        if let Some(compressor) = &compressor {
            headers.insert(GRPC_ENCODING, HeaderValue::from_static(compressor.name()));
        }
        let (runtime, connection, spare) = (None, None, Bytes::new());
        Grpc {
            receiver: Receiver { label, signal: config.signal },
            connector: Connector::new(&uri, &config.tls),
            uri,
            headers,
            timeout: config.timeout,
            closed: Arc::default(),
            state: RefCell::new(State { runtime, connection, compressor, spare }),
        }
    }

    pub(super) fn closer(&self) -> impl FnOnce() + Send + use<> {
        let closed = Arc::clone(&self.closed);
        move || closed.notify_one()
    }

    pub(super) fn post(&self, body: &[u8], limit: Option<Duration>) -> Outcome {
        let timeout = limit.map_or(self.timeout, |limit| limit.min(self.timeout));
        match self.try_post(body, timeout) {
            Ok(answer) => answer.judge(&self.receiver),
            Err(Failure { what, permanent }) => {
                let error = self.receiver.error(&what);
                if permanent {
                    Outcome::Refused { error }
                } else {
                    Outcome::Failed { error, retry_after: None }
                }
            }
        }
    }

    fn try_post(&self, body: &[u8], timeout: Duration) -> Result<Status, Failure> {
        let mut state = self.state.borrow_mut();
        let State { runtime, connection, compressor, spare } = &mut *state;
        let message = frame(body, compressor.as_mut(), std::mem::take(spare))?;
        let runtime = match runtime {
            Some(runtime) => runtime,
            none => {
                let built = Builder::new_current_thread().enable_io().enable_time().build();
                let built = built.map_err(|error| {
                    Failure::passing(format!("the system has too few resources: {error}"))
                })?;
                none.insert(built)
            }
        };
        let answer = runtime.block_on(async {
            let call = self.call(connection, message.clone(), timeout);
            let call = self.unless_closed(tokio::time::timeout(timeout, call));
            match call.await {
                Some(Ok(answer)) => answer,
                Some(Err(_)) => Err(Failure::passing(format!("no answer within {timeout:?}"))),
                None => Err(Failure::passing("no answer before time was up")),
            }
        });
        if answer.is_err() {
            // Of a connection on which a call failed nothing is known.
            *connection = None;
        }
        *spare = message;
        answer
    }

    /// What a future comes to, or `None` if everything is to be closed first.
    async fn unless_closed<F: Future>(&self, future: F) -> Option<F::Output> {
        let (mut closed, mut future) = (pin!(self.closed.notified()), pin!(future));
        poll_fn(|context| {
            if closed.as_mut().poll(context).is_ready() {
                // And it stays so.
                self.closed.notify_one();
                return Poll::Ready(None);
            }
            future.as_mut().poll(context).map(Some)
        })
        .await
    }

    async fn call(
        &self,
        connection: &mut Option<Connection>,
        message: Bytes,
        timeout: Duration,
    ) -> Result<Status, Failure> {
        if let Some(open) = connection
            && !open.is_usable().await
        {
            *connection = None;
        }
        let connection = match connection {
            Some(open) => open,
            none => none.insert(self.connector.connect().await?),
        };
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        request.uri_mut().clone_from(&self.uri);
        request.headers_mut().clone_from(&self.headers);
        // Without it a receiver takes as long as it likes.
        if timeout < Duration::MAX {
            request.headers_mut().insert(GRPC_TIMEOUT, timeout_value(timeout));
        }
        let answer = connection.send(request, message).await.map_err(connection::failure)?;
        read(answer).await
    }
}

impl Drop for Grpc {
    fn drop(&mut self) {
        // A name look-up on a thread of its own cannot be called back, and nobody waits for it.
        if let Some(runtime) = self.state.get_mut().runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The message behind its prefix.
fn frame(body: &[u8], compressor: Option<&mut Compressor>, spare: Bytes) -> Result<Bytes, Failure> {
    let compressed = compressor.is_some();
    let body = match compressor {
        Some(compressor) => compressor.compress(body).map_err(Failure::permanent)?,
        None => body,
    };
    let length = u32::try_from(body.len())
        .map_err(|_| Failure::permanent("the batch has more than 4 GiB"))?;
    // What the last call wrote is sent, so the memory is ours again; else there is new memory.
    let mut message = spare.try_into_mut().unwrap_or_else(|_| BytesMut::new());
    message.clear();
    message.reserve(PREFIX + body.len());
    message.extend_from_slice(&[u8::from(compressed)]);
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(body);
    Ok(message.freeze())
}

/// A time in milliseconds, of which the protocol allows eight digits.
fn timeout_value(timeout: Duration) -> HeaderValue {
    let millis = timeout.as_millis().clamp(1, 99_999_999);
    HeaderValue::try_from(format!("{millis}m")).unwrap_or(HeaderValue::from_static("10S"))
}

/// Reads an answer to its end. A message longer than any that makes sense is not kept: the status
/// behind it decides, and the time that a call may take is the bound for how long one waits for it.
async fn read(answer: Response<RecvStream>) -> Result<Status, Failure> {
    let (head, mut body) = answer.into_parts();
    if let Some(status) = Status::from_headers(&head.headers) {
        // There is nothing else.
        return Ok(status);
    }
    if let Some(status) = Status::from_http(head.status, head.headers.get(CONTENT_TYPE)) {
        return Ok(status);
    }
    let (mut message, mut fits) = (Vec::new(), true);
    while let Some(bytes) = body.data().await {
        let bytes = bytes.map_err(connection::failure)?;
        // An error would mean that more is given back than was taken.
        let _ = body.flow_control().release_capacity(bytes.len());
        fits = fits && message.len() + bytes.len() <= PREFIX + MAX_BODY;
        if fits {
            message.extend_from_slice(&bytes);
        } else {
            message = Vec::new();
        }
    }
    let trailers = body.trailers().await.map_err(connection::failure)?;
    let status = trailers.as_ref().and_then(Status::from_headers);
    Ok(status.unwrap_or_else(Status::missing).with_message(&message))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::{frame, timeout_value};
    use crate::otlp::config::Compression;
    use crate::otlp::transport::compress::Compressor;

    #[test]
    fn a_message_has_a_prefix_and_its_memory_is_used_again() {
        let first = frame(&[7; 300], None, Bytes::new()).ok().expect("short enough");
        assert_eq!(first[..7], [0, 0, 0, 1, 44, 7, 7]);
        assert_eq!(first.len(), 305);
        let memory = first.as_ptr();
        let second = frame(&[8; 2], None, first).ok().expect("short enough");
        assert_eq!((&*second, second.as_ptr()), (&[0, 0, 0, 0, 2, 8, 8][..], memory));
        // Not while somebody reads it.
        let third = frame(&[9], None, second.clone()).ok().expect("short enough");
        assert_eq!((&*second, &*third), (&[0, 0, 0, 0, 2, 8, 8][..], &[0, 0, 0, 0, 1, 9][..]));

        let mut compressor = Compressor::new(Compression::Gzip);
        let packed = frame(&[7; 300], compressor.as_mut(), third).ok().expect("short enough");
        assert_eq!(packed[..3], [1, 0, 0]);
        assert_eq!(packed.len(), 5 + usize::from(packed[4]));
        assert_eq!(packed[5..7], [0x1f, 0x8b]);
    }

    #[test]
    fn timeouts_have_eight_digits_at_the_most() {
        for (timeout, expected) in [
            (Duration::from_secs(10), "10000m"),
            (Duration::from_micros(1), "1m"),
            (Duration::MAX, "99999999m"),
        ] {
            assert_eq!(timeout_value(timeout), expected);
        }
    }
}
