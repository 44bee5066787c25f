//! What becomes of requests, and of their traces.

mod backend;

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier, RwLock};
use std::time::{Duration, Instant};

use observe_collector::event::{MetricData, Number};
use observe_collector::propagation::{Propagator, Propagators};
use observe_collector::{Collector, Report, Resource, otlp};
use observe_host::Observer;
use observe_iota::{Limits, Telemetry, app, observe};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tokio::runtime::Runtime;

use backend::{Answer, Backend, attribute, get, hex, post, serve, upload};

const REQUESTS: usize = 64;

/// A guest that does what the first byte of its input says.
const MOODS: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read"
      (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
      (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff"
      (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
    (import "dylibso:observe/api" "metric" (func $metric (param i32 i32 i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\01\00\00\00")  ;; one byte at 16
    (data (i32.const 8) "\00\00\00\00\00\04\00\00")  ;; 1,024 bytes at 0
    (data (i32.const 80) "\01")                      ;; the monotonic clock,
    (data (i32.const 88) "\80\f0\fa\02")             ;; in 50 ms
    (data (i32.const 512) "latency:50|ms")
    (func $breaks (export "breaks") unreachable)
    (func $turns (export "turns") (loop (br 0)))
    (func $waits (export "waits")
      (call $metric (i32.const 1) (i32.const 512) (i32.const 13))
      (drop (call $poll_oneoff (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 192))))
    (func $grows (export "grows")
      (if (i32.eq (memory.grow (i32.const 1024)) (i32.const -1)) (then unreachable)))
    (func $floods (export "floods")
      (loop (br_if 0
        (i32.eqz (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 200))))))
    (func $is (param $mood i32) (result i32)
      (i32.eq (i32.load8_u (i32.const 16)) (local.get $mood)))
    (func (export "_start")
      (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 200)))
      (if (call $is (i32.const 98)) (then (call $breaks)))   ;; b
      (if (call $is (i32.const 116)) (then (call $turns)))   ;; t
      (if (call $is (i32.const 119)) (then (call $waits)))   ;; w
      (if (call $is (i32.const 103)) (then (call $grows)))   ;; g
      (if (call $is (i32.const 102)) (then (call $floods)))  ;; f
      (if (call $is (i32.const 101)) (then (call $proc_exit (i32.const 3))))))"#;

/// The seconds that a guest waits at least that asks for 50 ms, however clocks differ.
const WAITED: f64 = 0.04;

/// The host under test, on four threads, with all calls as spans.
struct Host {
    address: SocketAddr,
    backend: Backend,
    telemetry: Telemetry,
    observer: Observer,
    _runtime: Runtime,
}

impl Host {
    fn new(limits: Limits) -> Self {
        Host::told(Propagators::default(), limits)
    }

    fn told(propagators: Propagators, limits: Limits) -> Self {
        let backend = Backend::new();
        let config = otlp::Config::for_endpoint(&format!("http://{}", backend.address));
        let exporter = otlp::OtlpExporter::new(config.expect("a URL"), Resource::new());
        let collector = Collector::builder().exporter(Box::new(exporter)).start();
        let observer = observe(collector.handle()).min_duration(Duration::ZERO).build();
        let telemetry = Arc::new(RwLock::new(Some(collector)));
        let app = app(&observer, &telemetry, propagators, limits).expect("it starts");
        let (runtime, address) = serve(app, 4);
        Host { address, backend, telemetry, observer, _runtime: runtime }
    }

    /// Has what was recorded so far arrive.
    fn flush(&self) {
        let collector = self.telemetry.read().expect("whole");
        assert!(collector.as_ref().expect("not over").flush(Duration::from_secs(20)));
    }

    fn shutdown(&self) -> Report {
        let collector = self.telemetry.write().expect("whole").take();
        collector.expect("not over").shutdown(Duration::from_secs(20))
    }

    fn get(&self, path: &str) -> Answer {
        get(&format!("http://{}{path}", self.address))
    }

    fn with_moods(limits: Limits) -> Self {
        let host = Host::new(limits);
        let uploaded =
            upload(host.address, "moods", "wasm", &wat::parse_str(MOODS).expect("valid"));
        assert_eq!((uploaded.status, &*uploaded.body), (200, "moods: 10 functions are observed\n"));
        host
    }

    fn run(&self, name: &str, headers: &[(&str, &str)], input: &[u8]) -> Answer {
        post(&format!("http://{}/run?name={name}", self.address), headers, input)
    }

    /// A run that the caller samples; also its spans.
    fn traced(&self, mood: &str) -> (Answer, Vec<Span>) {
        let trace = hex(format!("mood of {mood:8}").as_bytes());
        let parent = format!("00-{trace}-0102030405060708-01");
        let answer = self.run("moods", &[("traceparent", &parent)], mood.as_bytes());
        assert_eq!(answer.trace.as_ref(), Some(&trace));
        self.flush();
        let spans = self.backend.traces().remove(&trace).expect("it arrived");
        (answer, spans)
    }

    /// So many runs of a module at one time, each with an input and an output of its own; the
    /// spans of each.
    fn all_at_once(
        &self,
        module: &str,
        work: impl Fn(usize) -> (String, String) + Sync,
    ) -> Vec<Vec<Span>> {
        let trace = |number: usize| format!("{:032x}", 0xa000 + number);
        let parent = |number: usize| format!("{:016x}", 0xb000 + number);
        let (together, work) = (Barrier::new(REQUESTS), &work);
        std::thread::scope(|scope| {
            for number in 0..REQUESTS {
                let together = &together;
                scope.spawn(move || {
                    let header = format!("00-{}-{}-01", trace(number), parent(number));
                    let (input, output) = work(number);
                    together.wait();
                    let answer = self.run(module, &[("traceparent", &header)], input.as_bytes());
                    assert_eq!((answer.status, answer.body), (200, output));
                    assert_eq!(answer.trace, Some(trace(number)));
                });
            }
        });

        self.flush();
        let mut traces = self.backend.traces();
        assert_eq!(traces.len(), REQUESTS);
        let spans = (0..REQUESTS).map(|number| {
            let spans = traces.remove(&trace(number)).expect("it arrived");
            assert_eq!(hex(&root(&spans).parent_span_id), parent(number));
            assert_eq!(root(&spans).name, format!("run {module}"));
            spans
        });
        spans.collect()
    }

    /// A number that all traces of a module added up to.
    fn total(&self, name: &str, tenant: &str) -> i64 {
        let metrics = self.observer.metrics();
        let metric = metrics.iter().find(|metric| metric.name == name).expect("a metric");
        let MetricData::Sum { points, .. } = &metric.data else { panic!("{name} is no sum") };
        let of = points.iter().find(|point| point.attributes[0].value == tenant.into());
        match of.expect("a tenant").value {
            Number::Int(number) => number,
            ref other => panic!("{name}: {other:?}"),
        }
    }
}

fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("it is two folders up").to_owned()
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("no {name}: {spans:#?}"))
}

/// The names of the spans of a trace, in order.
fn names(spans: &[Span]) -> Vec<&str> {
    let mut names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    names.sort_unstable();
    names
}

/// The one span of a trace that stands under none of it, and holds all others.
fn root(spans: &[Span]) -> &Span {
    let ids: HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), spans.len(), "a span came twice: {spans:#?}");
    let (inside, outside): (Vec<_>, Vec<_>) =
        spans.iter().partition(|span| ids.contains(&span.parent_span_id));
    let [root] = outside[..] else { panic!("orphans: {outside:#?}") };
    for span in inside {
        assert!(root.start_time_unix_nano <= span.start_time_unix_nano, "{span:#?}");
        assert!(span.end_time_unix_nano <= root.end_time_unix_nano, "{span:#?}");
    }
    root
}

/// The seconds for which nobody worked on a span.
fn waited(span: &Span) -> f64 {
    let time = attribute(span, "wasm.suspended.time").and_then(|time| time.parse().ok());
    time.unwrap_or_else(|| panic!("it did not wait: {span:#?}"))
}

fn is_error(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error)
}

#[test]
fn requests_at_one_time_are_traces_of_their_own() {
    let host = Host::new(Limits::default());
    let vowels = std::fs::read(repository().join("examples/vowels.wasm")).expect("it is there");
    assert_eq!(upload(host.address, "vowels", "wasm", &vowels).status, 200);

    let traces = host.all_at_once("vowels", |number| {
        ("o".repeat(number) + &"x".repeat(REQUESTS - number), format!("{number}\n"))
    });
    let all: usize = traces.iter().map(Vec::len).sum();
    for spans in &traces {
        // Whatever a guest counts, it does by the same calls.
        assert_eq!(names(spans), names(&traces[0]));
        for function in ["_start", "vowels::main", "vowels::count_vowels"] {
            assert_eq!(names(spans).iter().filter(|name| **name == function).count(), 1);
        }
    }

    assert_eq!(host.total("wasm.traces", "vowels"), REQUESTS as i64);
    assert_eq!(host.total("wasm.spans", "vowels"), all as i64);
    assert_eq!(host.total("wasm.events.lost", "vowels"), 0);
    let report = host.shutdown();
    let counts = report.exporters[0].counts;
    assert_eq!((counts.accepted, counts.delivered), (all as u64, all as u64), "{report:?}");
}

#[test]
fn requests_wait_side_by_side() {
    let host = Host::with_moods(Limits::default());
    let traces = host.all_at_once("moods", |_| ("waits".to_owned(), String::new()));
    let calls = ["poll_oneoff", "fd_read"].map(|name| format!("wasi_snapshot_preview1.{name}"));
    for spans in &traces {
        let mut expected =
            vec!["_start", "instantiate", "run moods", "waits", &calls[0], &calls[1]];
        expected.sort_unstable();
        assert_eq!(names(spans), expected);
        // No thread was in it meanwhile.
        assert!(waited(named(spans, &calls[0])) >= WAITED, "{spans:#?}");
    }
}

#[test]
fn a_trap_ends_its_trace_with_the_error() {
    let host = Host::with_moods(Limits::default());
    let (answer, spans) = host.traced("breaks");
    let trace = answer.trace.expect("a trace");
    assert_eq!(answer.status, 500);
    assert!(answer.body.starts_with("unreachable: "), "{}", answer.body);
    assert!(answer.body.ends_with(&format!("(trace {trace})\n")), "{}", answer.body);
    for failed in ["run moods", "_start", "breaks"] {
        assert!(is_error(named(&spans, failed)), "{failed}: {spans:#?}");
    }
    assert!(!is_error(named(&spans, "wasi_snapshot_preview1.fd_read")));
    let innermost = named(&spans, "breaks");
    assert_eq!(attribute(innermost, "error.type").as_deref(), Some("unreachable"));
    let backtrace = attribute(innermost, "code.stacktrace");
    assert_eq!(backtrace.as_deref(), Some("breaks\n_start"));
    assert_eq!(host.total("wasm.failures", "moods"), 1);

    let (answer, _) = host.traced("exits");
    assert_eq!(answer.status, 500);
    assert!(answer.body.starts_with("exit: status 3 (trace "), "{}", answer.body);
    // The next one knows nothing of that.
    let (answer, spans) = host.traced("no mood");
    assert_eq!((answer.status, &*answer.body), (200, ""));
    assert!(!spans.iter().any(is_error), "{spans:#?}");
}

#[test]
fn waiting_for_the_host_is_told_apart_from_work() {
    let host = Host::with_moods(Limits::default());
    let (answer, spans) = host.traced("waits");
    assert_eq!(answer.status, 200);
    for waiting in ["run moods", "_start", "waits", "wasi_snapshot_preview1.poll_oneoff"] {
        let span = named(&spans, waiting);
        let took = (span.end_time_unix_nano - span.start_time_unix_nano) as f64 / 1e9;
        assert!((WAITED..=took).contains(&waited(span)), "{span:#?}");
    }
}

#[test]
fn who_asks_for_too_much_is_stopped() {
    let limits = Limits {
        modules: 1,
        module_bytes: 100_000,
        input_bytes: 1000,
        output_bytes: 10_000,
        memory_bytes: 1 << 20,
        time: Duration::from_millis(200),
    };
    let host = Host::with_moods(limits);
    let (answer, spans) = host.traced("turns");
    assert_eq!(answer.status, 500);
    assert!(answer.body.starts_with("interrupt: "), "{}", answer.body);
    assert_eq!(attribute(named(&spans, "turns"), "error.type").as_deref(), Some("interrupt"));

    let (answer, _) = host.traced("grows");
    assert!(answer.body.starts_with("unreachable: "), "{}", answer.body);
    let (answer, _) = host.traced("floods");
    assert_eq!(answer.status, 500);
    assert!(answer.body.starts_with("output: more than 10000 bytes (trace "), "{}", answer.body);

    assert_eq!(host.run("moods", &[], &[b' '; 1001]).status, 413);
    assert_eq!(host.run("moods", &[], &[b' '; 1000]).status, 200);
    assert_eq!(upload(host.address, "large", "wasm", &[0; 100_001]).status, 413);
    let answer = upload(host.address, "second", "wasm", &wat::parse_str(MOODS).expect("valid"));
    assert_eq!((answer.status, &*answer.body), (507, "second: there are 1 modules already\n"));
    let answer = upload(host.address, "moods", "wasm", &wat::parse_str(MOODS).expect("valid"));
    assert_eq!(answer.status, 200, "it takes the place of another");
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line() {
    let host = Host::new(Limits::default());
    let answer = host.run("nobody", &[], b"");
    assert_eq!((answer.status, &*answer.body), (404, "nobody: no such module, upload it first\n"));
    for (field, wasm, why) in [
        ("file", "(module)", "bad: the form has no field `wasm`\n"),
        ("wasm", "(module)", "bad: exports no function `_start`, so it is no WASI command\n"),
        ("wasm", "(module (func (export \"_start\") (i32.const 1)))", "bad: "),
        ("wasm", "(module (import \"a\" \"b\" (func)) (func (export \"_start\")))", "bad: "),
        ("wasm", "(component)", "bad: "),
        (
            "wasm",
            "(module (import \"observe:guest@3\" \"log\" (func)) (func (export \"_start\")))",
            "bad: imports `observe:guest@3`, and this host provides `observe:guest@1`, ",
        ),
    ] {
        let answer = upload(host.address, "bad", field, &wat::parse_str(wasm).expect("it parses"));
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert!(answer.body.starts_with(why), "{}", answer.body);
        assert_eq!(answer.body.matches('\n').count(), 1, "{}", answer.body);
    }
    assert_eq!(upload(host.address, "bad", "wasm", b"no module").status, 400);
    assert_eq!(host.run("bad", &[], b"").status, 404);
}

#[test]
fn a_malformed_traceparent_is_ignored() {
    let host = Host::with_moods(Limits::default());
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let malformed = format!("00-{trace}-00f067aa0ba902b7");
    let answer = host.run("moods", &[("traceparent", &malformed)], b"");
    assert_eq!(answer.status, 200);
    let own = answer.trace.expect("a trace");
    assert!(own != trace && own.len() == 32, "{own}");
}

/// `OTEL_PROPAGATORS` may say that callers are not asked.
#[test]
fn a_parent_is_taken_in_the_forms_that_are_in_use() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let header = format!("00-{trace}-00f067aa0ba902b7-01");
    for (forms, is_taken) in [(vec![Propagator::TraceContext], true), (Vec::new(), false)] {
        let host = Host::told(Propagators::new(forms), Limits::default());
        upload(host.address, "moods", "wasm", &wat::parse_str(MOODS).expect("valid"));
        let answer = host.run("moods", &[("traceparent", &header)], b"");
        assert_eq!(answer.trace.as_deref() == Some(trace), is_taken, "{:?}", answer.trace);
    }
}

/// What Prometheus asks for is there, and adds up.
#[test]
fn metrics_tell_of_guests_and_of_the_collector() {
    let host = Host::with_moods(Limits::default());
    host.traced("b");
    let (_, spans) = host.traced("waits");
    let page = host.get("/metrics");
    assert_eq!(page.status, 200);
    let value = |series: &str| {
        let mut lines = page.body.lines();
        let line = lines.find(|line| {
            let (name, labels) = line.split_once('{').unwrap_or((line, ""));
            let (wanted, label) = series.split_once('{').unwrap_or((series, ""));
            name == wanted && labels.contains(label)
        });
        let line = line.unwrap_or_else(|| panic!("no {series}: {}", page.body));
        let value = line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok());
        value.unwrap_or_else(|| panic!("{line}"))
    };
    assert_eq!(value("wasm_traces_total{wasm_tenant=\"moods\""), 2);
    assert_eq!(value("wasm_failures_total{wasm_tenant=\"moods\""), 1);
    // The guest's own.
    assert_eq!(value("latency_milliseconds_count{wasm_tenant=\"moods\""), 1);
    assert_eq!(value("latency_milliseconds_bucket{le=\"+Inf\""), 1);
    let processed = value("otel_sdk_processor_span_processed_total");
    assert!(processed > spans.len() as u64, "{}", page.body);
    assert_eq!(value("otel_sdk_exporter_span_exported_total"), processed, "all were flushed");

    host.shutdown();
    let page = host.get("/metrics");
    assert_eq!((page.status, &*page.body), (503, "the collector is busy or gone\n"));
}

/// A process that does not outlive its test.
#[cfg(unix)]
struct Process(std::process::Child);

#[cfg(unix)]
impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The host is well without a backend, and says what is the matter with that.
#[test]
fn health_tells_of_a_backend_that_is_away() {
    // A port that was free a moment ago, on which nobody listens now.
    let away =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let url = format!("http://{}", away.expect("the loopback interface"));
    let exporter =
        otlp::OtlpExporter::new(otlp::Config::for_endpoint(&url).expect("a URL"), Resource::new());
    let collector = Collector::builder().exporter(Box::new(exporter)).start();
    let observer = observe(collector.handle()).build();
    let telemetry = Arc::new(RwLock::new(Some(collector)));
    let app = app(&observer, &telemetry, Propagators::default(), Limits::default());
    let (_runtime, address) = serve(app.expect("it starts"), 2);
    upload(address, "moods", "wasm", &wat::parse_str(MOODS).expect("valid"));
    assert_eq!(post(&format!("http://{address}/run?name=moods"), &[], b"x").status, 200);

    let end = Instant::now() + Duration::from_secs(20);
    let told = loop {
        let collector = telemetry.read().expect("whole");
        collector.as_ref().expect("not over").flush(Duration::from_millis(20));
        let told = get(&format!("http://{address}/health")).body;
        if told.contains("waiting for") || Instant::now() > end {
            break told;
        }
    };
    let spans = told.lines().find(|line| line.starts_with("otlp: spans: waiting for "));
    let spans = spans.unwrap_or_else(|| panic!("{told}"));
    assert!(spans.ends_with(&format!("({url}/v1/traces: connection refused)")), "{told}");
    assert!(told.contains("otlp: log records: nothing to deliver yet\n"), "{told}");
}

/// The commands of the README, against the program itself, and its end by Ctrl-C.
#[cfg(unix)]
#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    let backend = Backend::new();
    let iota = Command::new(env!("CARGO_BIN_EXE_iota"))
        .arg("127.0.0.1:0")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", backend.address))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut iota = Process(iota);
    let mut listening = String::new();
    let mut stdout = BufReader::new(iota.0.stdout.take().expect("it is piped"));
    stdout.read_line(&mut listening).expect("it says where it listens");
    let address = listening.trim().strip_prefix("listening on http://").expect("an address");

    let readme = include_str!("../../README.md");
    let commands: Vec<_> = readme.lines().filter(|line| line.starts_with("curl ")).collect();
    let [upload, run, health, metrics] = commands[..] else { panic!("not four: {commands:?}") };
    let curl = |command: &str| {
        assert!(command.contains("localhost:8080"), "{command}");
        let command = command.replace("localhost:8080", address);
        let output = Command::new("sh").args(["-c", &command]).current_dir(repository()).output();
        let output = output.expect("a shell");
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let uploaded = curl(upload);
    assert!(uploaded.starts_with("vowels: "), "{uploaded}");
    let answer = curl(run).replace('\r', "");
    assert!(readme.contains(uploaded.trim()), "the README says otherwise: {uploaded}");
    let (headers, body) = answer.split_once("\n\n").expect("headers");
    assert_eq!(body, "3\n");
    let trace = headers.lines().find_map(|line| line.strip_prefix("x-trace-id: "));
    let health = curl(health);
    let lines: Vec<_> = health.lines().collect();
    assert_eq!(lines.len(), 4, "{health}");
    assert_eq!(lines[0], "serving");
    for line in lines {
        // Whether anything was sent by now is a matter of time.
        let line = line.replace("nothing to deliver yet", "delivered");
        assert!(readme.contains(&line), "the README says otherwise: {health}");
    }

    let page = curl(metrics);
    for metric in ["wasm_traces_total", "otel_sdk_exporter_span_exported_total"] {
        assert!(page.contains(&format!("\n{metric}{{")), "no {metric}: {page}");
        assert!(readme.contains(metric), "the README does not name {metric}");
    }

    let interrupted = Command::new("kill").args(["-INT", &iota.0.id().to_string()]).status();
    assert!(interrupted.is_ok_and(|status| status.success()));
    assert!(iota.0.wait().expect("it ends").success());
    let mut told = String::new();
    iota.0.stderr.take().expect("it is piped").read_to_string(&mut told).expect("text");
    let traces = backend.traces();
    let spans = &traces[trace.expect("a trace")];
    assert_eq!(told, format!("{0} of {0} spans delivered\n", spans.len()));
    assert_eq!(named(spans, "run vowels").parent_span_id, b"");
}

/// It says what is wrong with the environment, instead of starting.
#[test]
fn a_variable_that_makes_no_sense_is_named() {
    let mut iota = Command::new(env!("CARGO_BIN_EXE_iota"));
    iota.arg("127.0.0.1:0").env("OTEL_TRACES_SAMPLER", "some");
    // With it, errors have the way that they took in the program.
    iota.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
    let ended = iota.output().expect("it starts");
    let told = String::from_utf8(ended.stderr).expect("text");
    assert!(!ended.status.success());
    assert!(told.starts_with("Error: OTEL_TRACES_SAMPLER: `some` is not supported"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}
