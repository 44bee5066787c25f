//! A backend that takes spans over OTLP and keeps them, and a client.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post as post_to;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::runtime::{Builder, Runtime};
use ureq::Body;
use ureq::http::Response;

/// Serves on a port of its own for as long as the runtime that it gives is kept.
pub(crate) fn serve(app: Router, threads: usize) -> (Runtime, SocketAddr) {
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("loopback");
    let address = listener.local_addr().expect("it is bound");
    runtime.spawn(async move { axum::serve(listener, app).await });
    (runtime, address)
}

/// What arrived, by trace.
type Traces = BTreeMap<String, Vec<Span>>;

pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    kept: Arc<Mutex<Traces>>,
    _runtime: Runtime,
}

impl Backend {
    pub(crate) fn new() -> Self {
        let kept: Arc<Mutex<Traces>> = Arc::default();
        let keeps = Arc::clone(&kept);
        let keep = async move |body: Bytes| {
            let Ok(request) = ExportTraceServiceRequest::decode(body) else {
                return StatusCode::BAD_REQUEST;
            };
            let scopes = request.resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
            let mut kept = keeps.lock().expect("whole");
            for span in scopes.flat_map(|scope| scope.spans) {
                kept.entry(hex(&span.trace_id)).or_default().push(span);
            }
            StatusCode::OK
        };
        // Log records and metrics are taken, too, and not looked at.
        let app = Router::new().route("/v1/traces", post_to(keep)).fallback(async || {});
        let (runtime, address) = serve(app, 1);
        Backend { address, kept, _runtime: runtime }
    }

    pub(crate) fn traces(&self) -> Traces {
        self.kept.lock().expect("whole").clone()
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An attribute of a span, as text.
pub(crate) fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::DoubleValue(number) => Some(number.to_string()),
        other => panic!("the host gives no {other:?}"),
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) trace: Option<String>,
    pub(crate) body: String,
}

pub(crate) fn get(url: &str) -> Answer {
    answer(agent().get(url).call().expect("an answer"))
}

pub(crate) fn post(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = agent().post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request.send(body).expect("an answer"))
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

fn answer(mut response: Response<Body>) -> Answer {
    let trace = response.headers().get("x-trace-id");
    Answer {
        status: response.status().as_u16(),
        trace: trace.map(|id| id.to_str().expect("text").to_owned()),
        body: response.body_mut().read_to_string().expect("text"),
    }
}

pub(crate) fn upload(host: SocketAddr, name: &str, field: &str, wasm: &[u8]) -> Answer {
    let disposition = format!("form-data; name=\"{field}\"; filename=\"{name}.wasm\"");
    let head = format!("--boundary\r\nContent-Disposition: {disposition}\r\n\r\n");
    let body = [head.as_bytes(), wasm, b"\r\n--boundary--\r\n"].concat();
    let form = ("content-type", "multipart/form-data; boundary=boundary");
    post(&format!("http://{host}/upload?name={name}"), &[form], &body)
}
