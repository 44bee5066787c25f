//! An OTLP receiver on the loopback that answers by script.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to do with a request.
#[derive(Clone)]
pub(crate) enum Act {
    /// Answer with this status, headers and body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Send these bytes and close.
    Raw(Vec<u8>),
    /// Send these bytes and go on for as long as the client reads.
    Endless(&'static [u8]),
    /// Close without an answer.
    Close,
    /// Never answer, but keep the connection.
    Hang,
    /// Answer 200 once [`Server::release`] was called.
    Gate,
}

impl Act {
    pub(crate) fn status(status: u16) -> Self {
        Act::Answer(status, Vec::new(), Vec::new())
    }
}

/// What a path takes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Sent {
    Traces(ExportTraceServiceRequest),
    Logs(ExportLogsServiceRequest),
    Metrics(ExportMetricsServiceRequest),
}

impl Sent {
    fn decode(path: &str, body: &[u8]) -> Self {
        match path {
            "/v1/logs" => Sent::Logs(Message::decode(body).expect("valid OTLP logs")),
            "/v1/metrics" => Sent::Metrics(Message::decode(body).expect("valid OTLP metrics")),
            _ => Sent::Traces(Message::decode(body).expect("valid OTLP traces")),
        }
    }

    fn decode_json(path: &str, body: &[u8]) -> Self {
        match path {
            "/v1/logs" => Sent::Logs(serde_json::from_slice(body).expect("valid OTLP logs")),
            "/v1/metrics" => {
                Sent::Metrics(serde_json::from_slice(body).expect("valid OTLP metrics"))
            }
            _ => Sent::Traces(serde_json::from_slice(body).expect("valid OTLP traces")),
        }
    }

    /// The message as prost writes it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Sent::Traces(message) => message.encode_to_vec(),
            Sent::Logs(message) => message.encode_to_vec(),
            Sent::Metrics(message) => message.encode_to_vec(),
        }
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let Sent::Traces(message) = self else { return Vec::new() };
        let scopes = message.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    pub(crate) fn logs(&self) -> Vec<LogRecord> {
        let Sent::Logs(message) = self else { return Vec::new() };
        let scopes = message.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
        scopes.flat_map(|scope| scope.log_records.clone()).collect()
    }

    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let Sent::Metrics(message) = self else { return Vec::new() };
        let scopes = message.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
        scopes.flat_map(|scope| scope.metrics.clone()).collect()
    }
}

#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Unpacked.
    pub(crate) body: Vec<u8>,
    pub(crate) message: Sent,
    pub(crate) connection: usize,
    pub(crate) at: Instant,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.message.spans()
    }

    pub(crate) fn logs(&self) -> Vec<LogRecord> {
        self.message.logs()
    }

    pub(crate) fn metrics(&self) -> Vec<Metric> {
        self.message.metrics()
    }
}

/// What to do with the request of this number, from 0, to a path.
type Script = Box<dyn Fn(&str, usize) -> Act + Send>;

struct State {
    script: Script,
    /// How many requests came to each path.
    seen: HashMap<String, usize>,
    requests: Vec<Request>,
    released: bool,
    /// Connections that the client closed while it was owed an answer.
    hung_up: usize,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

pub(crate) struct Server {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

impl Server {
    /// Answers the first request to a path with the first act, and so on; the last act stays.
    pub(crate) fn start(acts: Vec<Act>) -> Self {
        Server::start_with(move |_, number| acts[number.min(acts.len() - 1)].clone())
    }

    /// Answers a request according to its path and its number, from 0, among those to the path.
    pub(crate) fn start_with(script: impl Fn(&str, usize) -> Act + Send + 'static) -> Self {
        Server::serve(TcpListener::bind("127.0.0.1:0").expect("a port"), script)
    }

    /// As [`Server::start`], at an address that was seen to be free.
    pub(crate) fn start_at(address: SocketAddr, acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind(address).expect("the port is still free");
        Server::serve(listener, move |_, number| acts[number.min(acts.len() - 1)].clone())
    }

    fn serve(listener: TcpListener, script: impl Fn(&str, usize) -> Act + Send + 'static) -> Self {
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let state = State {
            script: Box::new(script),
            seen: HashMap::new(),
            requests: Vec::new(),
            released: false,
            hung_up: 0,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let shared = Arc::clone(&accepting);
                thread::spawn(move || serve(&shared, stream.expect("connection"), connection));
            }
        });
        Server { url, shared }
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    /// The paths of all requests so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.path).collect()
    }

    /// The log records of all requests so far.
    pub(crate) fn logs(&self) -> Vec<LogRecord> {
        self.requests().iter().flat_map(Request::logs).collect()
    }

    /// The metrics of all requests so far.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        self.requests().iter().flat_map(Request::metrics).collect()
    }

    /// The spans of all requests so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.requests().iter().flat_map(Request::spans).collect()
    }

    /// How many spans with ids of their own came.
    pub(crate) fn distinct_spans(&self) -> u64 {
        let ids: HashSet<_> = self.spans().into_iter().map(|span| span.span_id).collect();
        ids.len() as u64
    }

    /// Waits until this many requests have come.
    pub(crate) fn wait_for(&self, requests: usize) {
        let state = self.lock();
        let waiting = |state: &mut State| state.requests.len() < requests;
        let (_state, result) =
            self.shared.changed.wait_timeout_while(state, PATIENCE, waiting).expect("state");
        assert!(!result.timed_out(), "{requests} requests did not come");
    }

    /// Waits until the client closes a connection that [`Act::Hang`] keeps.
    pub(crate) fn wait_for_hang_up(&self) {
        let state = self.lock();
        let waiting = |state: &mut State| state.hung_up == 0;
        let (_state, result) =
            self.shared.changed.wait_timeout_while(state, PATIENCE, waiting).expect("state");
        assert!(!result.timed_out(), "the client keeps the connection");
    }

    /// Lets [`Act::Gate`] go on.
    pub(crate) fn release(&self) {
        self.lock().released = true;
        self.shared.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("state")
    }
}

fn serve(shared: &Shared, stream: TcpStream, connection: usize) {
    let mut reader = BufReader::new(stream.try_clone().expect("clone"));
    let mut writer = stream;
    while let Some(request) = read_request(&mut reader, connection) {
        let mut state = shared.state.lock().expect("state");
        let seen = state.seen.entry(request.path.clone()).or_default();
        let number = std::mem::replace(seen, *seen + 1);
        let act = (state.script)(&request.path, number);
        state.requests.push(request);
        shared.changed.notify_all();
        let answer = match act {
            Act::Answer(status, headers, body) => answer(status, &headers, &body),
            Act::Raw(bytes) => {
                let _ = writer.write_all(&bytes);
                return;
            }
            Act::Endless(start) => {
                drop(state);
                let mut sent = writer.write_all(start);
                while sent.is_ok() {
                    sent = writer.write_all(&[b'x'; 4096]);
                }
                return;
            }
            Act::Close => return,
            Act::Hang => {
                drop(state);
                // Ends when the client closes the connection.
                let _ = reader.read(&mut [0]);
                shared.state.lock().expect("state").hung_up += 1;
                shared.changed.notify_all();
                return;
            }
            Act::Gate => {
                let waiting = |state: &mut State| !state.released;
                drop(shared.changed.wait_while(state, waiting).expect("state"));
                answer(200, &[], &[])
            }
        };
        if writer.write_all(&answer).is_err() {
            return;
        }
    }
}

fn answer(status: u16, headers: &[(&str, String)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for (key, value) in headers {
        bytes += &format!("{key}: {value}\r\n");
    }
    bytes += "\r\n";
    [bytes.as_bytes(), body].concat()
}

fn read_request(reader: &mut BufReader<TcpStream>, connection: usize) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    assert!(line.starts_with("POST "), "{line}");
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((key, value)) = line.split_once(':') else { break };
        headers.push((key.to_owned(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case("content-length"));
    let length = length.expect("a content length").1.parse().expect("a number");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let encoding = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case("content-encoding"));
    if encoding.is_some_and(|(_, encoding)| encoding == "gzip") {
        let compressed = std::mem::take(&mut body);
        GzDecoder::new(&*compressed).read_to_end(&mut body).expect("gzip");
    }
    #[cfg(feature = "zstd")]
    if encoding.is_some_and(|(_, encoding)| encoding == "zstd") {
        body = zstd::decode_all(&*body).expect("zstd");
    }
    let kind = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case("content-type"));
    let message = match kind {
        Some((_, kind)) if kind == "application/json" => Sent::decode_json(&path, &body),
        _ => Sent::decode(&path, &body),
    };
    Some(Request { path, headers, body, message, connection, at: Instant::now() })
}
