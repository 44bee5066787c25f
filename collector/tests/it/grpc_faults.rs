//! What no receiver of OTLP/gRPC should do: all of it ends in time, in bounded memory, with a true
//! account and one line that says what was wrong.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use observe_collector::{Counts, Dropped, ExporterReport};
use tokio::net::TcpStream;
use ureq::http::{HeaderMap, Response};

use crate::delivery::{HUNG, LONG, all_delivered, shutdown};
use crate::fixtures::plain_chunk;
use crate::grpc::start;

/// What to do with a call, below what tonic would let a server do.
#[derive(Clone)]
enum Act {
    /// A status, headers, data and trailers.
    Answer(u16, Headers, Vec<u8>, Option<Headers>),
    /// Nothing, also not when the time that the call was given is over.
    Hang,
    /// Data without end.
    Endless,
    /// A byte every 20 ms, without end.
    Slow,
    /// The beginning of an answer, then the connection is closed.
    CutOff,
    Reset(Reason),
    /// An answer, then the connection is closed in good order.
    OkAndGoAway,
}

type Headers = Vec<(&'static str, &'static str)>;

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const OK: &[u8] = &[0; 5];

fn ok() -> Act {
    Act::Answer(200, vec![GRPC], OK.to_vec(), Some(vec![("grpc-status", "0")]))
}

/// How many came.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    calls: AtomicUsize,
}

/// Answers calls in their order, the last act stays; returns the address and what came.
fn serve(acts: Vec<Act>) -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("bound");
    let all = Arc::<Seen>::default();
    let seen = Arc::clone(&all);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            while let Ok((stream, _)) = listener.accept().await {
                seen.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(connection(stream, acts.clone(), Arc::clone(&seen)));
            }
        });
    });
    (address, all)
}

async fn connection(stream: TcpStream, acts: Vec<Act>, seen: Arc<Seen>) {
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    while let Some(Ok((request, respond))) = connection.accept().await {
        let act = acts[seen.calls.fetch_add(1, Ordering::SeqCst).min(acts.len() - 1)].clone();
        match act {
            Act::CutOff => {
                let mut respond = respond;
                let answer = headers(200, &[GRPC]);
                let mut stream = respond.send_response(answer, false).expect("open");
                stream.send_data(Bytes::from_static(&[0, 0]), false).expect("open");
                // Lets that out, then drops the connection.
                let _ = tokio::time::timeout(Duration::from_millis(50), connection.accept()).await;
                return;
            }
            Act::OkAndGoAway => {
                tokio::spawn(answer(ok(), request.into_body(), respond));
                connection.graceful_shutdown();
            }
            act => drop(tokio::spawn(answer(act, request.into_body(), respond))),
        }
    }
}

fn headers(status: u16, pairs: &[(&str, &'static str)]) -> Response<()> {
    let mut answer = Response::builder().status(status);
    for (key, value) in pairs {
        answer = answer.header(*key, *value);
    }
    answer.body(()).expect("headers")
}

async fn answer(act: Act, mut body: h2::RecvStream, mut respond: SendResponse<Bytes>) {
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
    }
    match act {
        Act::Answer(status, pairs, data, trailers) => {
            let end = data.is_empty() && trailers.is_none();
            let mut stream = respond.send_response(headers(status, &pairs), end).expect("open");
            if !data.is_empty() {
                stream.send_data(data.into(), trailers.is_none()).expect("open");
            }
            if let Some(trailers) = trailers {
                let mut map = HeaderMap::new();
                for (key, value) in trailers {
                    map.insert(key, value.parse().expect("a value"));
                }
                stream.send_trailers(map).expect("open");
            }
        }
        Act::Endless | Act::Slow => {
            let mut stream = respond.send_response(headers(200, &[GRPC]), false).expect("open");
            let (bytes, pause) = match act {
                Act::Endless => (vec![0; 16 << 10], Duration::ZERO),
                _ => (vec![0], Duration::from_millis(20)),
            };
            while stream.send_data(bytes.clone().into(), false).is_ok() {
                tokio::time::sleep(pause).await;
            }
        }
        Act::Hang => std::future::pending().await,
        Act::Reset(reason) => respond.send_reset(reason),
        Act::CutOff | Act::OkAndGoAway => unreachable!("belong to the connection"),
    }
}

/// Ten spans to a receiver with this script, and how many calls it saw.
fn run(acts: Vec<Act>) -> (usize, ExporterReport) {
    let (address, seen) = serve(acts);
    let url = format!("http://{address}");
    let collector = start(&url, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "500")]);
    collector.handle().send(plain_chunk(10));
    let began = Instant::now();
    let mut report = shutdown(collector, LONG);
    assert!(began.elapsed() < HUNG, "{report:?}");
    if let Some(error) = &mut report.last_error {
        let of_whom = format!("{url} (traces): ");
        *error = error.strip_prefix(&of_whom).expect("whom it is about").to_owned();
    }
    (seen.calls.load(Ordering::SeqCst), report)
}

fn refused() -> Counts {
    let dropped = Dropped { refused: 10, ..Dropped::default() };
    Counts { accepted: 10, dropped, ..Counts::default() }
}

#[test]
fn answers_that_are_no_grpc_are_final() {
    let answer = |status, headers: &[_], data: &[u8], trailers: Option<&[_]>| {
        Act::Answer(status, headers.to_vec(), data.to_vec(), trailers.map(<[_]>::to_vec))
    };
    for (act, expected) in [
        (answer(200, &[GRPC], OK, None), "UNKNOWN: the answer has no status"),
        (answer(200, &[GRPC], b"", None), "UNKNOWN: the answer has no status"),
        (answer(200, &[GRPC], OK, Some(&[("x", "y")])), "UNKNOWN: the answer has no status"),
        (answer(200, &[GRPC], OK, Some(&[("grpc-status", "none")])), "UNKNOWN"),
        (answer(200, &[GRPC], OK, Some(&[("grpc-status", "77")])), "status 77"),
        (
            answer(200, &[("content-type", "text/html")], b"<html>", None),
            "UNKNOWN: 200 OK, but the answer is not gRPC; is this a gRPC endpoint?",
        ),
        (
            answer(400, &[], b"", None),
            "INTERNAL: 400 Bad Request, but the answer is not gRPC; is this a gRPC endpoint?",
        ),
        (
            answer(401, &[], b"", None),
            "UNAUTHENTICATED: 401 Unauthorized, but the answer is not gRPC; is this a gRPC endpoint?",
        ),
        (
            Act::Reset(Reason::INTERNAL_ERROR),
            "stream error received: unexpected internal error encountered",
        ),
        (
            Act::Reset(Reason::ENHANCE_YOUR_CALM),
            "stream error received: detected excessive load generating behavior",
        ),
    ] {
        let (calls, report) = run(vec![act]);
        assert_eq!(report.last_error.as_deref(), Some(expected));
        assert_eq!((calls, report.counts), (1, refused()), "{expected}");
    }
}

#[test]
fn what_may_pass_is_tried_again() {
    let answer = |status, headers: &[_]| Act::Answer(status, headers.to_vec(), Vec::new(), None);
    let details = ("grpc-status-details-bin", "this is not base64!");
    for (act, expected) in [
        (Act::CutOff, "connection closed without an answer"),
        (Act::Slow, "no answer within 500ms"),
        (Act::Endless, "no answer within 500ms"),
        (
            Act::Reset(Reason::REFUSED_STREAM),
            "stream error received: refused stream before processing any application logic",
        ),
        (Act::Reset(Reason::CANCEL), "stream error received: stream no longer needed"),
        (
            answer(503, &[]),
            "UNAVAILABLE: 503 Service Unavailable, but the answer is not gRPC; is this a gRPC endpoint?",
        ),
        // Details that make no sense are none.
        (answer(200, &[GRPC, ("grpc-status", "14"), details]), "UNAVAILABLE"),
    ] {
        let (calls, report) = run(vec![act, ok()]);
        assert_eq!(report.last_error.as_deref(), Some(expected));
        assert_eq!((calls, report.counts), (2, all_delivered(10)), "{expected}");
    }
}

#[test]
fn a_status_of_success_stands_whatever_is_in_front_of_it() {
    let trailers = || Some(vec![("grpc-status", "0"), ("grpc-status-details-bin", "%%")]);
    for data in
        [&b""[..], &[0, 0, 0, 0, 9], &[1, 0, 0, 0, 1, 7], b"<html>", &[0xff; 60_000], &[0; 200_000]]
    {
        let (calls, report) = run(vec![Act::Answer(200, vec![GRPC], data.to_vec(), trailers())]);
        assert_eq!(report.last_error.as_deref(), Some("OK, but the answer is not OTLP"));
        assert_eq!((calls, report.counts), (1, all_delivered(10)));
    }
}

#[test]
fn a_call_that_takes_too_long_is_made_again_on_another_connection() {
    let (address, seen) = serve(vec![Act::Hang, ok()]);
    let url = format!("http://{address}");
    let collector = start(&url, &[("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "100")]);
    collector.handle().send(plain_chunk(10));
    let report = shutdown(collector, LONG);
    assert_eq!(report.counts, all_delivered(10));
    let expected = format!("{url} (traces): no answer within 100ms");
    assert_eq!(report.last_error, Some(expected));
    let seen = [&seen.calls, &seen.connections].map(|number| number.load(Ordering::SeqCst));
    assert_eq!(seen, [2, 2]);
}

#[test]
fn a_connection_that_was_closed_meanwhile_costs_no_call() {
    let (address, seen) = serve(vec![Act::OkAndGoAway]);
    let collector = start(&format!("http://{address}"), &[]);
    for round in 1..=5 {
        collector.handle().send(plain_chunk(1));
        assert!(collector.flush(LONG));
        // The call is over for us before the connection is.
        thread::sleep(Duration::from_millis(20));
        assert_eq!(seen.calls.load(Ordering::SeqCst), round);
    }
    let report = shutdown(collector, LONG);
    assert_eq!((report.counts, report.last_error), (all_delivered(5), None));
}

#[test]
fn the_status_behind_an_answer_that_is_too_long_decides() {
    let long = |code| {
        let trailers = Some(vec![("grpc-status", code), ("grpc-message", "so")]);
        Act::Answer(200, vec![GRPC], vec![0; 200_000], trailers)
    };
    let (calls, report) = run(vec![long("14"), ok()]);
    assert_eq!((calls, report.counts), (2, all_delivered(10)));
    assert_eq!(report.last_error.as_deref(), Some("UNAVAILABLE: so"));
    let (calls, report) = run(vec![long("3")]);
    assert_eq!((calls, report.counts), (1, refused()));
    assert_eq!(report.last_error.as_deref(), Some("INVALID_ARGUMENT: so"));
}

#[test]
fn what_is_no_http2_is_waited_for_and_named() {
    for bytes in [
        &b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        &[0xff; 4096],
        &[0; 4096],
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        thread::spawn(move || {
            // A proxy that has nothing behind it, and then has. Kept, since what is closed too early
            // is a connection that failed in another way.
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.write_all(bytes).expect("open");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let (behind, _) = listener.accept().expect("another connection");
                behind.set_nonblocking(true).expect("a socket");
                let behind = TcpStream::from_std(behind).expect("a socket");
                connection(behind, vec![ok()], Arc::default()).await;
            });
        });
        let collector = start(&url, &[]);
        collector.handle().send(plain_chunk(10));
        let began = Instant::now();
        let report = shutdown(collector, LONG);
        assert!(began.elapsed() < HUNG, "{report:?}");
        assert_eq!(report.counts, all_delivered(10), "{report:?}");
        let error = report.last_error.expect("an error");
        assert!(error.contains("the answer is not HTTP/2 ("), "{error}");
        assert!(error.contains("is this a gRPC endpoint?"), "{error}");
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}
