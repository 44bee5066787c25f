//! What arrives at a backend: a real collector takes it, an independent decoder reads
//! it, and every field is what was recorded.

mod beyond;
mod environment;
mod queue;
mod sent;
mod signals;
mod told;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::{cache, example, observe, output, repository, stderr};
use observe_collector::event::{Chunk, Status};
use observe_collector::{Collector, Counts, Exporter, OnFull, Resource, otlp};
use observe_host::{ObservedModule, Observer, Overhead, Recorder, TraceOptions};
use observe_instrumenter::Selection;
use serde_json::Value as Json;
use wasmtime::{Engine, Linker, Store};

/// A process that ends with the test.
pub(crate) struct Process(Child);

impl Process {
    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server that says on which port it listens.
fn listening(command: &mut Command) -> (Process, u16) {
    let child = command.stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut line = String::new();
    let stdout = child.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
    let port = line.trim().rsplit(' ').next().and_then(|port| port.parse().ok());
    (Process(child), port.unwrap_or_else(|| panic!("no port: {line}")))
}

/// An OTLP/HTTP endpoint that keeps each request in a file of `folder`.
pub(crate) fn capture(folder: &Path) -> (Process, u16) {
    capture_with(&[], folder)
}

/// The same with options.
fn capture_with(options: &[&str], folder: &Path) -> (Process, u16) {
    let script = repository().join("tests/oracle/capture.py");
    listening(Command::new("python3").arg(script).args(options).arg("0").arg(folder))
}

/// A port of the loopback interface that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.expect("the loopback interface").port()
}

/// Waits until somebody listens.
fn wait_for(port: u16) {
    let end = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "nobody listens on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Where a collector listens.
struct Ports {
    http: u16,
    grpc: u16,
}

/// A real collector that forwards what it gets to `port`.
fn rotel(port: u16) -> (Process, Ports) {
    let ports = Ports { http: free_port(), grpc: free_port() };
    let child = Command::new(repository().join("tests/oracle/rotel"))
        .args([ports.http.to_string(), ports.grpc.to_string(), format!("http://127.0.0.1:{port}")])
        .stdout(Stdio::null())
        .spawn()
        .expect("rotel is there");
    wait_for(ports.http);
    wait_for(ports.grpc);
    (Process(child), ports)
}

/// The spans, log records or metrics in the requests that were kept, as the official Python
/// classes decode them.
pub(crate) fn decode(signal: &str, folder: &Path) -> Vec<Json> {
    let python = cache().join("venv/bin/python");
    let mut command = Command::new(python);
    command.arg(repository().join("tests/oracle/decode_otlp.py")).arg(signal).arg(folder);
    let result = output(&mut command, b"");
    assert!(result.status.success(), "{}", stderr(&result));
    serde_json::from_slice(&result.stdout).expect("it prints a list")
}

/// A span in terms of the protocol, however it was come by.
#[derive(Debug, PartialEq)]
struct Span {
    trace: String,
    parent: String,
    name: String,
    start: String,
    end: String,
    failed: bool,
    message: String,
    attributes: BTreeMap<String, Json>,
}

/// An exporter that keeps what it gets, by span id.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<BTreeMap<String, Span>>>);

impl Exporter for Kept {
    fn name(&self) -> &str {
        "kept"
    }

    fn export(&mut self, chunk: &Chunk) {
        let trace = &chunk.trace;
        for span in &chunk.spans {
            let detail = span.detail.as_deref();
            let symbol = span.symbol.map(|id| trace.symbols.get(id).expect("a known symbol"));
            let name = symbol.map(|symbol| symbol.name.clone());
            let shared = symbol.into_iter().flat_map(|symbol| &symbol.attributes);
            let own = detail.into_iter().flat_map(|detail| &detail.attributes);
            let attributes = shared.chain(own).map(|attribute| {
                let value = told::value(&attribute.value);
                (attribute.key.to_string(), value)
            });
            let kept = Span {
                trace: trace.trace_id.to_string(),
                parent: trace.parent_id(span).map(|id| id.to_string()).unwrap_or_default(),
                name: name
                    .or_else(|| detail?.name.clone().map(Into::into))
                    .expect("each span has a name"),
                start: span.start_unix_nanos.to_string(),
                end: span.end_unix_nanos.to_string(),
                failed: span.status == Status::Error,
                message: detail.map(|detail| detail.status_message.clone()).unwrap_or_default(),
                attributes: attributes.collect(),
            };
            let id = trace.span_id(span.number).to_string();
            let before = self.0.lock().expect("not poisoned").insert(id, kept);
            assert!(before.is_none(), "two spans have one id");
        }
    }

    fn flush(&mut self, _: Instant) {}

    fn counts(&self) -> Counts {
        let kept = self.0.lock().expect("not poisoned").len() as u64;
        Counts { accepted: kept, delivered: kept, ..Counts::default() }
    }

    fn last_error(&self) -> Option<String> {
        None
    }
}

/// The decoder's spans, by span id.
fn received(spans: &[Json]) -> BTreeMap<String, Span> {
    let text = |value: &Json| value.as_str().expect("a string").to_owned();
    let id = |value: &Json, bytes: u64| {
        assert_eq!(value["bytes"], bytes, "{value}");
        text(&value["hex"])
    };
    let spans: Vec<_> = spans
        .iter()
        .map(|span| {
            let parent = match text(&span["parent_span_id"]["hex"]) {
                none if none.is_empty() => none,
                _ => id(&span["parent_span_id"], 8),
            };
            let attributes = span["attributes"].as_array().expect("a list").iter();
            let decoded = Span {
                trace: id(&span["trace_id"], 16),
                parent,
                name: text(&span["name"]),
                start: text(&span["start_time_unix_nano"]),
                end: text(&span["end_time_unix_nano"]),
                failed: span["status"]["code"] == "STATUS_CODE_ERROR",
                message: span["status"]["message"].as_str().unwrap_or_default().to_owned(),
                attributes: attributes.map(|pair| (text(&pair[0]), pair[1].clone())).collect(),
            };
            (id(&span["span_id"], 8), decoded)
        })
        .collect();
    let count = spans.len();
    let by_id: BTreeMap<_, _> = spans.into_iter().collect();
    assert_eq!(by_id.len(), count, "a span arrived twice");
    by_id
}

struct State {
    recorder: Recorder,
}

/// Makes a trace of a call in an example, with spans however short.
fn trace(collector: &Collector, module: &str, export: &str, argument: Option<i32>) {
    let engine = Engine::default();
    let wasm = std::fs::read(example(module)).expect("an example");
    let module = ObservedModule::new(&engine, &wasm, &Selection::default()).expect("it compiles");
    let mut linker = Linker::new(&engine);
    let observer = Observer::builder()
        .overhead(Overhead::all())
        .min_duration(Duration::ZERO)
        .sink(collector.handle())
        .build();
    let tracer = observer
        .tracer(&mut linker, |state: &mut State| &mut state.recorder)
        .expect("an empty linker");
    let linked = linker.instantiate_pre(module.module()).expect("it links");
    let mut store = Store::new(&engine, State { recorder: observer.recorder(&module) });
    let traced = tracer.trace(&mut store, TraceOptions::new(export), |store| {
        let instance = tracer.instantiate(store, &linked)?;
        let function = instance.get_func(&mut *store, export).expect("an export");
        let arguments: Vec<_> = argument.map(wasmtime::Val::I32).into_iter().collect();
        let mut results = vec![wasmtime::Val::I32(0); function.ty(&*store).results().len()];
        function.call(store, &arguments, &mut results)
    });
    traced.report.expect("a trace of its own");
}

#[test]
fn a_real_collector_gets_every_field_of_every_span() {
    let folder = tempfile::tempdir().expect("a folder");
    let (captor, port) = capture(folder.path());
    let (gateway, ports) = rotel(port);

    let kept = Kept::default();
    let url = format!("http://127.0.0.1:{}", ports.http);
    let config = otlp::Config::for_endpoint(&url).expect("a URL");
    let resource = Resource::new()
        .with_default("service.name", "observe-tests")
        .with_default("service.version", "naïve ☃");
    let collector = Collector::builder()
        .on_full(OnFull::Block)
        .exporter(Box::new(kept.clone()))
        .exporter(Box::new(otlp::OtlpExporter::new(config, resource)))
        .start();
    trace(&collector, "compute.wasm", "fib", Some(15));
    trace(&collector, "annotated.wasm", "checkout", Some(20));
    trace(&collector, "annotated.wasm", "fail", None);
    let report = collector.shutdown(Duration::from_secs(20));
    gateway.terminate();
    captor.terminate();

    let otlp =
        report.exporters.iter().find(|exporter| exporter.name == "otlp").expect("it is there");
    assert_eq!(otlp.last_error, None);
    assert!(otlp.counts.is_balanced(), "{:?}", otlp.counts);
    let spans = decode("traces", folder.path());
    assert_eq!(otlp.counts.delivered, spans.len() as u64, "{:?}", otlp.counts);

    let expected = kept.0.lock().expect("not poisoned");
    // 2 · fib(16) − 1 calls of fib and a root, at the least.
    assert!(expected.len() > 1974, "{}", expected.len());
    let received = received(&spans);
    assert_eq!(received.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (id, span) in &received {
        assert_eq!(Some(span), expected.get(id), "span {id}");
    }
    for span in &spans {
        let resource = span["resource"].to_string();
        assert!(resource.contains("observe-tests") && resource.contains("naïve ☃"), "{resource}");
        assert!(span["scope"].to_string().contains("observe"), "{}", span["scope"]);
    }
    check_shape(&received);
}

/// What must hold of spans whatever was recorded.
fn check_shape(spans: &BTreeMap<String, Span>) {
    let roots = spans.values().filter(|span| span.parent.is_empty()).count();
    let traces: std::collections::BTreeSet<_> = spans.values().map(|span| &span.trace).collect();
    assert_eq!(roots, traces.len(), "one root a trace");
    let time = |text: &str| text.parse::<u64>().expect("nanoseconds");
    for (id, span) in spans {
        assert!(time(&span.start) <= time(&span.end), "{id} ends before it begins");
        if span.parent.is_empty() {
            continue;
        }
        let parent = spans.get(&span.parent).unwrap_or_else(|| panic!("{id} has no parent"));
        assert_eq!(parent.trace, span.trace, "{id} is in its parent's trace");
        assert!(time(&parent.start) <= time(&span.start), "{id} begins before its parent");
        assert!(time(&span.end) <= time(&parent.end), "{id} ends after its parent");
        if parent.name == "fib" && span.name != "instantiate" {
            let name = serde_json::json!({ "string": "fib" });
            assert_eq!(span.attributes.get("code.function.name"), Some(&name));
        }
    }
    let failed: Vec<_> = spans.values().filter(|span| span.failed).collect();
    let innermost = failed.iter().find(|span| span.attributes.contains_key("error.type"));
    let innermost = innermost.expect("the trap is told");
    assert_eq!(innermost.name, "doomed");
    assert_eq!(innermost.attributes["error.type"]["string"], "unreachable");
    assert_eq!(failed.iter().filter(|span| span.trace == innermost.trace).count(), 4);
}

/// `observe run --otlp`, and the variable, with what the program says of it.
#[test]
fn the_command_delivers_what_it_says() {
    for by_variable in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let (captor, port) = capture(folder.path());
        let url = format!("http://127.0.0.1:{port}");
        let mut command = observe();
        command.args(["run", "examples/vowels.wasm", "--min-duration", "0"]);
        if by_variable {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &url).env("OTEL_SERVICE_NAME", "counter");
        } else {
            command.args(["--otlp", &url]);
        }
        let result = output(&mut command, b"Hello, world!");
        captor.terminate();
        let shown = stderr(&result);
        assert_eq!(result.stdout, b"3\n", "{shown}");
        let spans = decode("traces", folder.path());
        let line = format!("{url}/v1/traces: {} spans delivered", spans.len());
        assert!(shown.contains(&line), "not `{line}`: {shown}");
        let resource = spans[0]["resource"].to_string();
        let service = if by_variable { "\"counter\"" } else { "\"vowels\"" };
        assert!(resource.contains(service), "{resource}");
        assert!(resource.contains("wasmtime"), "{resource}");
        let names: Vec<_> = spans.iter().filter_map(|span| span["name"].as_str()).collect();
        for name in ["run vowels.wasm", "_start", "vowels::main", "vowels::count_vowels"] {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
    }
}

/// What the environment says of the way counts for `--otlp`, too.
#[test]
fn the_command_takes_the_way_that_the_environment_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let (captor, port) = signals::grpc_capture(folder.path());
    let url = format!("http://127.0.0.1:{port}");
    let mut command = observe();
    command.args(["run", "examples/annotated.wasm", "--invoke", "fail", "--otlp", &url]);
    command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    command.env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x,x-tenant=a");
    let shown = stderr(&output(&mut command, b""));
    captor.terminate();
    let lines: Vec<_> = shown.lines().filter(|line| line.contains(&url)).collect();
    assert_eq!(lines, [format!("{url}: 5 spans delivered")]);
    for (signal, items) in [("traces", 5..6), ("logs", 1..2), ("metrics", 1..99)] {
        assert!(items.contains(&decode(signal, folder.path()).len()), "{signal}");
    }
    for number in 1..=3 {
        let call = std::fs::read(folder.path().join(format!("{number}.json"))).expect("a call");
        let call: Json = serde_json::from_slice(&call).expect("an object");
        assert_eq!(call["headers"]["authorization"], "Bearer x", "{call}");
        assert_eq!(call["headers"]["x-tenant"], "a", "{call}");
    }
}

/// Many backends take spans only. What they refuse is told, with how to spare the requests.
#[test]
fn the_command_tells_of_each_signal_that_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let (captor, port) = capture_with(&["--only", "/v1/traces"], folder.path());
    let url = format!("http://127.0.0.1:{port}");
    let told = |quiet: bool, variables: &[(&str, &str)]| {
        let mut command = observe();
        command.args(["run", "examples/annotated.wasm", "--invoke", "fail", "--otlp", &url]);
        command.args(quiet.then_some("--quiet")).envs(variables.iter().copied());
        let result = output(&mut command, b"");
        assert_eq!(result.status.code(), Some(134), "{}", stderr(&result));
        let shown = stderr(&result);
        let lines = shown.lines().filter(|line| line.contains(&url)).map(str::to_owned);
        lines.collect::<Vec<_>>()
    };

    let spans = format!("{url}/v1/traces: 5 spans delivered");
    let logs = format!(
        "observe: {url}/v1/logs: 0 of 1 log record delivered, 1 rejected (404 Not Found); \
         OTEL_LOGS_EXPORTER=none sends none"
    );
    let metrics = |line: &str| {
        let points = line.strip_prefix(&format!("observe: {url}/v1/metrics: 0 of "));
        let points = points.unwrap_or_else(|| panic!("{line}"));
        let (points, rest) = points.split_once(' ').expect("a number");
        let expected = format!(
            "metric points delivered, {points} rejected (404 Not Found); \
             OTEL_METRICS_EXPORTER=none sends none"
        );
        assert_eq!(rest, expected);
    };
    let lines = told(false, &[]);
    assert_eq!(lines[..2], [spans.clone(), logs.clone()]);
    metrics(&lines[2]);
    assert_eq!(lines.len(), 3, "{lines:?}");

    let lines = told(true, &[]);
    assert_eq!(lines[0], logs);
    metrics(&lines[1]);
    assert_eq!(lines.len(), 2, "{lines:?}");

    let none = [("OTEL_LOGS_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "none")];
    assert_eq!(told(false, &none), [spans]);
    assert!(told(true, &none).is_empty());
    captor.terminate();
}
