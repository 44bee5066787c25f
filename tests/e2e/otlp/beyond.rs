//! The commands of `docs/BEYOND_ONE_MACHINE.md`, run as they stand there: what can be asked of the
//! database, and what is in Kafka, is what left `observe`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json, json};
use tempfile::TempDir;

use super::{Process, capture_with, decode, free_port, listening, wait_for};
use crate::harness::{cache, here, output, repository, stderr, stdout};

const SIGNALS: [&str; 3] = ["traces", "logs", "metrics"];

/// The page's commands, with ports and folders of one test.
struct Page {
    blocks: Vec<String>,
    folder: TempDir,
    clickhouse: u16,
    kafka: u16,
    /// Where guests send to.
    tee: u16,
    /// Where a gateway listens.
    gateway: u16,
}

impl Page {
    fn read() -> Page {
        let page = repository().join("docs/BEYOND_ONE_MACHINE.md");
        let page = std::fs::read_to_string(page).expect("the page");
        let blocks = page.split("```sh\n").skip(1);
        let blocks = blocks.map(|rest| rest.split("```").next().unwrap_or(rest).to_owned());
        Page {
            blocks: blocks.collect(),
            folder: tempfile::tempdir().expect("a folder"),
            clickhouse: 0,
            kafka: 0,
            tee: 0,
            gateway: 0,
        }
    }

    /// The commands in which `what` occurs.
    fn blocks(&self, what: &str) -> Vec<&String> {
        let blocks: Vec<_> = self.blocks.iter().filter(|block| block.contains(what)).collect();
        assert!(!blocks.is_empty(), "the page has nothing of `{what}`");
        blocks
    }

    fn block(&self, what: &str) -> &str {
        let blocks = self.blocks(what);
        assert_eq!(blocks.len(), 1, "the page has more than one of `{what}`");
        blocks[0]
    }

    /// A shell with the page's commands.
    fn shell(&self, commands: &str) -> Command {
        let sends = if commands.contains("observe run") { self.tee } else { self.gateway };
        let commands = commands
            .replace("~/.cache/observe", &cache().display().to_string())
            .replace("clickhouse.py 8123", "clickhouse.py 0")
            .replace("localhost:8123", &format!("localhost:{}", self.clickhouse))
            .replace("localhost:9092", &format!("localhost:{}", self.kafka))
            .replace("localhost:4318", &format!("localhost:{sends}"))
            .replace("0.0.0.0:4318", &format!("127.0.0.1:{}", self.gateway))
            .replace("0.0.0.0:4317", "127.0.0.1:0")
            .replace("messages", &self.messages().display().to_string());
        let observe = Path::new(env!("CARGO_BIN_EXE_observe")).parent().expect("it is in a folder");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = [observe.to_owned(), cache().join("venv/bin")];
        let paths = std::env::join_paths(paths.into_iter().chain(std::env::split_paths(&path)));
        let mut command = here("bash");
        command.args(["-euo", "pipefail", "-c", &commands]);
        command.env("PATH", paths.expect("no colons"));
        command
    }

    fn run(&self, commands: &str, stdin: &[u8]) -> Output {
        output(&mut self.shell(commands), stdin)
    }

    /// Runs commands that go well, and returns what they print.
    fn answer(&self, commands: &str) -> String {
        let result = self.run(commands, b"");
        assert!(result.status.success(), "{commands}\n{}{}", stdout(&result), stderr(&result));
        stdout(&result)
    }

    fn messages(&self) -> PathBuf {
        self.folder.path().join("messages")
    }

    /// What left `observe`.
    fn sent(&self) -> PathBuf {
        self.folder.path().join("sent")
    }

    /// ClickHouse's engine, with the tables.
    fn start_clickhouse(&mut self) -> Process {
        let server = format!("exec {}", self.block("oracle/clickhouse.py"));
        let (process, port) = listening(&mut self.shell(&server));
        self.clickhouse = port;
        self.answer(self.block("docs/clickhouse/*.sql"));
        process
    }

    fn start_kafka(&mut self) -> Process {
        let server = format!("exec {}", self.block("oracle/kafka.py"));
        let (process, port) = listening(&mut self.shell(&server));
        self.kafka = port;
        process
    }

    /// A gateway that writes to `exporter`.
    fn start_gateway(&mut self, exporter: &str) -> Process {
        self.gateway = free_port();
        let server = format!("exec {}", self.block(&format!("--exporter {exporter}")));
        let child = self.shell(&server).stdout(Stdio::null()).spawn().expect("bash is there");
        let process = Process(child);
        wait_for(self.gateway);
        process
    }

    /// Runs the page's guests, which send to the gateway through what keeps what they send.
    fn run_guests(&mut self) {
        let gateway = format!("http://127.0.0.1:{}", self.gateway);
        let (tee, port) = capture_with(&["--forward", &gateway], &self.sent());
        self.tee = port;
        for block in self.blocks("observe run") {
            let result = self.run(block, b"");
            let status = if block.contains("--invoke fail") { 134 } else { 0 };
            assert_eq!(result.status.code(), Some(status), "{block}\n{}", stderr(&result));
            assert!(stderr(&result).contains(" delivered\n"), "{}", stderr(&result));
        }
        tee.terminate();
    }

    /// The rows of a query.
    fn rows(&self, query: &str) -> Vec<String> {
        let url = format!("http://localhost:{}/", self.clickhouse);
        let query = format!("{query} FORMAT JSONEachRow");
        let mut curl = here("curl");
        let result =
            output(curl.args(["--fail-with-body", &url, "--data-binary", "@-"]), query.as_bytes());
        assert!(result.status.success(), "{query}: {}", stdout(&result));
        let rows = stdout(&result);
        let rows = rows.lines().map(|line| serde_json::from_str::<Json>(line).expect("a row"));
        sorted(rows)
    }

    /// Checks that the tables hold what left `observe`, and nothing else.
    fn check_tables(&self) {
        let sent = |signal| decode(signal, &self.sent());
        assert_same(&self.rows(SPANS), &sorted(sent("traces").iter().map(span_row)));
        assert_same(&self.rows(LOGS), &sorted(sent("logs").iter().map(log_row)));
        let metrics = sent("metrics");
        for (kind, query) in [("sum", SUMS), ("gauge", GAUGES)] {
            let metrics = metrics.iter().filter(|metric| metric["kind"] == kind);
            assert_same(&self.rows(query), &sorted(metrics.flat_map(point_rows)));
        }
    }
}

fn sorted(rows: impl IntoIterator<Item = Json>) -> Vec<String> {
    let mut rows: Vec<_> = rows.into_iter().map(|row| row.to_string()).collect();
    rows.sort();
    rows
}

/// Compares rows one by one, to show the first that differs and not all of them.
#[track_caller]
fn assert_same(actual: &[String], expected: &[String]) {
    for (actual, expected) in actual.iter().zip(expected) {
        assert_eq!(actual, expected);
    }
    assert_eq!(actual.len(), expected.len());
    assert!(!expected.is_empty());
}

/// Integers of 64 bits are text on both sides.
const SPANS: &str = "
    SELECT toString(toUnixTimestamp64Nano(Timestamp)) AS Start, toString(Duration) AS Took, TraceId,
        SpanId, ParentSpanId, TraceState, SpanName, SpanKind, ServiceName, ResourceAttributes,
        ScopeName, ScopeVersion, SpanAttributes, StatusCode, StatusMessage,
        length(Events.Name) AS EventCount, length(Links.SpanId) AS LinkCount
    FROM otel.otel_traces";

fn span_row(span: &Json) -> Json {
    let nanos = |field: &str| text(&span[field]).parse::<u64>().expect("nanoseconds");
    let (start, end) = (nanos("start_time_unix_nano"), nanos("end_time_unix_nano"));
    let mut row = origin(span);
    row.extend(object(json!({
        "Start": start.to_string(),
        "Took": (end - start).to_string(),
        "TraceId": span["trace_id"]["hex"],
        "SpanId": span["span_id"]["hex"],
        "ParentSpanId": span["parent_span_id"]["hex"],
        "TraceState": span["trace_state"],
        "SpanName": span["name"],
        "SpanKind": capitalised(text(&span["kind"]).trim_start_matches("SPAN_KIND_")),
        "SpanAttributes": attributes(&span["attributes"]),
        "StatusCode": capitalised(text(&span["status"]["code"]).trim_start_matches("STATUS_CODE_")),
        "StatusMessage": span["status"]["message"],
        "EventCount": span["events"].as_array().map(Vec::len),
        "LinkCount": span["links"].as_array().map(Vec::len),
    })));
    row.into()
}

const LOGS: &str = "
    SELECT toString(toUnixTimestamp64Nano(Timestamp)) AS Time, TraceId, SpanId, TraceFlags,
        SeverityText, ServiceName, Body, ResourceAttributes, ScopeName, ScopeVersion, LogAttributes
    FROM otel.otel_logs";

fn log_row(log: &Json) -> Json {
    let mut row = origin(log);
    row.extend(object(json!({
        "Time": log["time_unix_nano"],
        "TraceId": log["trace_id"]["hex"],
        "SpanId": log["span_id"]["hex"],
        "TraceFlags": log["flags"],
        "SeverityText": log["severity_text"],
        "Body": log["body"]["string"],
        "LogAttributes": attributes(&log["attributes"]),
    })));
    row.into()
}

const GAUGES: &str = "
    SELECT MetricName, MetricDescription, MetricUnit, Attributes, Value, ServiceName,
        toString(toUnixTimestamp64Nano(TimeUnix)) AS Time, ResourceAttributes, ScopeName, ScopeVersion
    FROM otel.otel_metrics_gauge";

const SUMS: &str = "
    SELECT MetricName, MetricDescription, MetricUnit, Attributes, Value, ServiceName,
        toString(toUnixTimestamp64Nano(TimeUnix)) AS Time, ResourceAttributes, ScopeName, ScopeVersion,
        toString(toUnixTimestamp64Nano(StartTimeUnix)) AS Start, AggregationTemporality, IsMonotonic
    FROM otel.otel_metrics_sum";

fn point_rows(metric: &Json) -> Vec<Json> {
    let points = metric["points"].as_array().expect("points");
    let row = |point: &Json| {
        let mut row = origin(metric);
        row.extend(object(json!({
            "MetricName": metric["name"],
            "MetricDescription": metric["description"],
            "MetricUnit": metric["unit"],
            "Attributes": attributes(&point["attributes"]),
            "Value": number(&point["value"]),
            "Time": point["time_unix_nano"],
        })));
        if metric["kind"] == "sum" {
            assert_eq!(metric["temporality"], "AGGREGATION_TEMPORALITY_CUMULATIVE");
            row.extend(object(json!({
                "Start": point["start_time_unix_nano"],
                "AggregationTemporality": 2,
                "IsMonotonic": metric["monotonic"],
            })));
        }
        row.into()
    };
    points.iter().map(row).collect()
}

/// Who sent an item, as all tables have it.
fn origin(item: &Json) -> Map<String, Json> {
    let resource = attributes(&item["resource"]["attributes"]);
    object(json!({
        "ServiceName": resource["service.name"],
        "ResourceAttributes": resource,
        "ScopeName": item["scope"]["name"],
        "ScopeVersion": item["scope"]["version"],
    }))
}

/// Attributes as these tables have them: all are text.
fn attributes(pairs: &Json) -> Json {
    let pairs = pairs.as_array().expect("a list").iter();
    let texts = pairs.map(|pair| {
        let value = pair[1].as_object().and_then(|value| value.values().next());
        let value = value.expect("a value");
        let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (text(&pair[0]).to_owned(), plain.into())
    });
    Json::Object(texts.collect())
}

/// A number as these tables have it: all are doubles, and whole ones print without a point.
fn number(value: &Json) -> Json {
    let double = value["int"].as_str().map(|text| text.parse().expect("a number"));
    let double: f64 = double.or(value["double"].as_f64()).expect("a number");
    if double.fract() == 0.0 { json!(double as i64) } else { json!(double) }
}

fn object(value: Json) -> Map<String, Json> {
    match value {
        Json::Object(fields) => fields,
        other => panic!("no object: {other}"),
    }
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_owned() + &rest.to_lowercase()
}

#[test]
fn a_database_behind_a_gateway_answers_what_was_sent() {
    let mut page = Page::read();
    let clickhouse = page.start_clickhouse();
    let gateway = page.start_gateway("clickhouse");
    page.run_guests();
    // On the way out it writes what it still holds.
    gateway.terminate();
    page.check_tables();
    check_questions(&page);
    clickhouse.terminate();
}

/// The page's questions, and what the decoder would answer.
fn check_questions(page: &Page) {
    let spans = decode("traces", &page.sent());
    let [functions, tree, failures, cost] = page.blocks("SELECT")[..] else {
        panic!("the page has other questions than this test knows");
    };

    let mut calls: BTreeMap<&str, usize> = BTreeMap::new();
    for span in &spans {
        if attributes(&span["attributes"]).get("code.function.name").is_some() {
            *calls.entry(text(&span["name"])).or_default() += 1;
        }
    }
    let answer = page.answer(functions);
    assert_eq!(answer.lines().count(), calls.len().min(10), "{answer}");
    for line in answer.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let counted = calls.get(fields[0]).map(ToString::to_string);
        assert_eq!(counted.as_deref(), Some(fields[1]), "{answer}");
    }

    let failed = |span: &&Json| span["status"]["code"] == "STATUS_CODE_ERROR";
    let root = spans.iter().filter(failed).find(|span| span["parent_span_id"]["hex"] == "");
    let mut expected = Vec::new();
    outline(&spans, root.expect("one failed"), 0, &mut expected);
    let answer = page.answer(tree);
    let shown: Vec<_> = answer.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(shown, expected);
    assert!(expected.len() >= 4, "{answer}");

    let message = "wasm `unreachable` instruction executed";
    let expected = format!("annotated\tdoomed\tERROR\t{message}\tunreachable\n");
    assert_eq!(page.answer(failures), expected);

    let metrics = decode("metrics", &page.sent());
    let metrics = metrics.iter().filter(|metric| metric["name"] == "wasm.cpu.time");
    let mut expected: Vec<_> = metrics
        .map(|metric| {
            let seconds = &metric["points"][0]["value"]["double"];
            format!("{}\t{seconds}", text(&origin(metric)["ServiceName"]))
        })
        .collect();
    expected.sort();
    assert_eq!(page.answer(cost).lines().collect::<Vec<_>>(), expected);
}

/// A span and those under it, by their start, indented as the page's query does.
fn outline(spans: &[Json], span: &Json, depth: usize, lines: &mut Vec<String>) {
    lines.push(format!("{}{}", "  ".repeat(depth), text(&span["name"])));
    let mut children: Vec<_> =
        spans.iter().filter(|child| child["parent_span_id"] == span["span_id"]).collect();
    children.sort_by_key(|child| text(&child["start_time_unix_nano"]));
    for child in children {
        outline(spans, child, depth + 1, lines);
    }
}

#[test]
fn kafka_holds_what_was_sent_until_a_gateway_takes_it() {
    let mut page = Page::read();
    let kafka = page.start_kafka();
    let gateway = page.start_gateway("kafka");
    page.run_guests();

    let end = Instant::now() + Duration::from_secs(20);
    for signal in SIGNALS {
        let topic = page.messages().join(format!("otlp_{signal}"));
        let sent = sorted(decode(signal, &page.sent()));
        assert!(!sent.is_empty(), "no {signal} were sent");
        let mut held = Vec::new();
        while held.len() < sent.len() {
            assert!(Instant::now() < end, "{} of {} {signal} arrived", held.len(), sent.len());
            std::thread::sleep(Duration::from_millis(50));
            held = sorted(decode(signal, &topic));
        }
        assert_same(&held, &sent);
    }
    gateway.terminate();
    kafka.terminate();

    let clickhouse = page.start_clickhouse();
    let gateway = page.start_gateway("clickhouse");
    page.answer(page.block("application/x-protobuf"));
    gateway.terminate();
    page.check_tables();
    clickhouse.terminate();
}
