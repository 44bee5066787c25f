//! A receiver that takes everything, says so, and counts.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use observe_benches::Result;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// The path that tells [`Totals`].
pub(crate) const TOTALS: &str = "/totals";

/// What stands before the path of a receiver that takes its time.
pub(crate) const SLOW: &str = "/slow";

/// What a slow receiver takes for a request. A sender with one connection and batches of 512 spans
/// gets rid of 51,200 spans a second.
const DELAY: Duration = Duration::from_millis(10);

/// As much as one request of any contender has, so that no flow control but TCP's slows them.
const WINDOW: u32 = 16 << 20;

/// What came.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    pub(crate) spans: u64,
}

/// Serves until it is killed; the first line of its output is its address.
pub(crate) fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let totals = Arc::<Mutex<Totals>>::default();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let totals = Arc::clone(&totals);
            let service = service_fn(move |request| answer(Arc::clone(&totals), request));
            tokio::spawn(async move {
                let mut server = Builder::new(TokioExecutor::new());
                server.http2().initial_stream_window_size(WINDOW);
                server.http2().initial_connection_window_size(WINDOW);
                // One that ends in the middle has ended.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

async fn answer(
    totals: Arc<Mutex<Totals>>,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    if request.uri().path() == TOTALS {
        let totals = *totals.lock().expect("no panic");
        let text = serde_json::to_string(&totals).expect("numbers");
        return Ok(Response::new(Full::from(text).boxed()));
    }
    let kind = request.headers().get(CONTENT_TYPE);
    let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let is_slow = request.uri().path().starts_with(SLOW);
    let body = request.into_body().collect().await?.to_bytes();
    {
        // A message of gRPC comes behind a flag and its length.
        let message = if is_grpc { body.get(5..).unwrap_or_default() } else { &body };
        let mut totals = totals.lock().expect("no panic");
        totals.requests += 1;
        totals.bytes += body.len() as u64;
        totals.spans += spans(message);
    }
    if is_slow {
        tokio::time::sleep(DELAY).await;
    }
    if !is_grpc {
        let mut response = Response::new(Full::default().boxed());
        let kind = HeaderValue::from_static("application/x-protobuf");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        return Ok(response);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let empty_message = Full::new(Bytes::from_static(&[0; 5]));
    let body = empty_message.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed();
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

/// The spans of an `ExportTraceServiceRequest`: `resource_spans` (1), `scope_spans` (2), `spans` (2).
fn spans(request: &[u8]) -> u64 {
    let by_resource = messages(request, 1);
    let by_scope = by_resource.flat_map(|resource| messages(resource, 2));
    by_scope.map(|scope| messages(scope, 2).count() as u64).sum()
}

/// The messages in a field of this number. All fields around spans are messages or strings.
fn messages(mut bytes: &[u8], field: u64) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        loop {
            let tag = varint(&mut bytes)?;
            let length = usize::try_from(varint(&mut bytes)?).ok()?;
            let (content, rest) = bytes.split_at_checked(length)?;
            bytes = rest;
            if tag == field << 3 | 2 {
                return Some(content);
            }
        }
    })
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
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
