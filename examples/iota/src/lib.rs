//! The smallest real host, to be copied: modules come over HTTP, and every run of one is a trace.

mod guest;
mod status;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, Multipart, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use observe_collector::propagation::Propagators;
use observe_collector::{Collector, Handle};
use observe_host::{Builder, Observer, Overhead, TraceContext, TraceOptions};
use serde::Deserialize;
use wasmtime_wasi::I32Exit;

use guest::{Guest, Host};

/// How much clients and guests may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many modules are kept.
    pub modules: usize,
    /// The bytes of an upload.
    pub module_bytes: usize,
    /// The bytes of a guest's standard input.
    pub input_bytes: usize,
    /// The bytes of a guest's standard output.
    pub output_bytes: usize,
    /// The bytes of each of a guest's memories.
    pub memory_bytes: usize,
    /// How long a guest may run, waiting included.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            modules: 100,
            module_bytes: 64 << 20,
            input_bytes: 8 << 20,
            output_bytes: 8 << 20,
            memory_bytes: 128 << 20,
            time: Duration::from_secs(10),
        }
    }
}

/// How this host observes: within a budget, and wholly where the caller samples the trace.
///
/// A host for callers that it does not trust would not let them choose the second.
pub fn observe(sink: Handle) -> Builder {
    Observer::builder()
        .sink(sink)
        .when_sampled(Overhead::all())
        .exit_status(|error| error.downcast_ref::<I32Exit>().map(|exit| exit.0))
}

/// The collector of a host, which tells how it gets on until the end takes it.
pub type Telemetry = Arc<RwLock<Option<Collector>>>;

/// The routes of this host, whose callers tell of their traces in the forms of `propagators`.
///
/// # Errors
///
/// If wasmtime does not start, as on a platform that it does not know.
pub fn app(
    observer: &Observer,
    telemetry: &Telemetry,
    propagators: Propagators,
    limits: Limits,
) -> wasmtime::Result<Router> {
    let host = Host::new(observer, limits)?;
    let server = Server { host, guests: RwLock::default(), propagators, limits };
    let status = status::routes(observer.clone(), Arc::clone(telemetry));
    Ok(Router::new()
        .route("/upload", post(upload).layer(DefaultBodyLimit::max(limits.module_bytes)))
        .route("/run", post(run).layer(DefaultBodyLimit::max(limits.input_bytes)))
        .with_state(Arc::new(server))
        .merge(status))
}

struct Server {
    host: Host,
    guests: RwLock<HashMap<String, Guest>>,
    propagators: Propagators,
    limits: Limits,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// A status that is no success, and one line that says why.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, format!("{}\n", self.1)).into_response()
    }
}

impl From<MultipartError> for Refusal {
    fn from(error: MultipartError) -> Self {
        Refusal(error.status(), error.body_text())
    }
}

/// `POST /upload?name=N` with a module in the multipart field `wasm`.
async fn upload(
    State(server): State<Arc<Server>>,
    Query(Named { name }): Query<Named>,
    mut fields: Multipart,
) -> Result<String, Refusal> {
    let mut wasm = None;
    while let Some(field) = fields.next_field().await? {
        if field.name() == Some("wasm") {
            wasm = Some(field.bytes().await?);
        }
    }
    let bad = |why: String| Refusal(StatusCode::BAD_REQUEST, format!("{name}: {why}"));
    let wasm = wasm.ok_or_else(|| bad("the form has no field `wasm`".to_owned()))?;
    let loading = Arc::clone(&server);
    // It takes a thread for as long as a compiler does.
    let loaded = tokio::task::spawn_blocking(move || loading.host.load(&wasm)).await;
    let loaded = loaded.unwrap_or_else(|panic| Err(panic.into()));
    let guest = loaded.map_err(|error| bad(format!("{error:#}").replace('\n', " ")))?;

    let functions = guest.module.hooked_functions();
    let mut guests = server.guests.write().unwrap_or_else(PoisonError::into_inner);
    if guests.len() >= server.limits.modules && !guests.contains_key(&name) {
        let why = format!("{name}: there are {} modules already", guests.len());
        return Err(Refusal(StatusCode::INSUFFICIENT_STORAGE, why));
    }
    let answer = format!("{name}: {functions} functions are observed\n");
    guests.insert(name, guest);
    Ok(answer)
}

/// `POST /run?name=N`: the body is the guest's standard input, the answer its standard output.
async fn run(
    State(server): State<Arc<Server>>,
    Query(Named { name }): Query<Named>,
    headers: HeaderMap,
    input: Bytes,
) -> Result<Response, Refusal> {
    let found = server.guests.read().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
    let guest = found.ok_or_else(|| {
        Refusal(StatusCode::NOT_FOUND, format!("{name}: no such module, upload it first"))
    })?;
    // What is no `traceparent` is as if there were none, says the specification.
    let carried = server.propagators.extract(&|name| {
        let values: Result<Vec<_>, _> =
            headers.get_all(name).iter().map(HeaderValue::to_str).collect();
        values.ok().filter(|values| !values.is_empty()).map(|values| values.join(","))
    });
    let parent = carried.context.map(TraceContext::from);
    let options = TraceOptions::new(format!("run {name}")).parent(parent).tenant(name);
    let ran = server.host.run(&guest, options, input).await;

    let trace_id = ran.trace_id.map(|id| id.to_string());
    let mut response = match ran.output {
        Ok(output) => output.into_response(),
        Err(why) => {
            let trace = trace_id.as_deref().unwrap_or("none");
            let why = format!("{why} (trace {trace})");
            Refusal(StatusCode::INTERNAL_SERVER_ERROR, why).into_response()
        }
    };
    if let Some(id) = trace_id.and_then(|id| HeaderValue::try_from(id).ok()) {
        response.headers_mut().insert("x-trace-id", id);
    }
    Ok(response)
}
