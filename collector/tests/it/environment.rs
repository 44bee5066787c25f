//! The environment variables of OpenTelemetry: each is set and its effect is looked for, and
//! `docs/ENVIRONMENT.md` is what was found. `BLESS=1` writes it anew.

mod table;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use observe_collector::otlp::{Config, OtlpExporter};
use observe_collector::{Collector, Dropped, Environment, Resource, Signal};

use crate::delivery::{LONG, config, shutdown};
use crate::fixtures::plain_chunk;
use crate::server::{Act, Server};
use table::{How, SECTIONS, Variable};

/// What stands for `TRACES`, `LOGS` or `METRICS` in a name.
const SIGNAL: &str = "‹SIGNAL›";

const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318");

/// Everything that is read from the environment, as text, or the line that says what is wrong.
fn read(variables: &[(&str, &str)]) -> Result<String, String> {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let config = Config::from_lookup(&lookup).map_err(|error| error.to_string())?;
    let environment = Environment::from_lookup(&lookup).map_err(|error| error.to_string())?;
    let resource = Resource::from_lookup(&lookup);
    if let Some(error) = resource.error() {
        return Err(error.to_string());
    }
    let endpoint = |signal| config.as_ref().and_then(|config| config.endpoint(signal));
    let endpoints = Signal::ALL.map(endpoint);
    Ok(format!("{environment:?} {resource:?} {endpoints:?} config: {config:?}"))
}

/// What is said of one signal.
fn of_signal<'a>(text: &'a str, signal: &str) -> &'a str {
    let name = format!("signal: {}{}", &signal[..1], signal[1..].to_lowercase());
    let (_, after) = text.split_once(&name).unwrap_or_else(|| panic!("no {name} in {text}"));
    after.split_once("signal: ").map_or(after, |(own, _)| own)
}

/// Sets the variable and looks for its effect.
fn check(variable: &Variable, name: &str) {
    if let How::File { .. } = &variable.how {
        let error = read(&[BASE, (name, "/nowhere")]).expect_err(name);
        assert!(error.starts_with(name), "{error}");
    }
    let How::Honoured { with, set, shows, bad, .. } = &variable.how else { return };
    let mut around = with.to_vec();
    if !around.iter().any(|(key, _)| *key == BASE.0) && name != BASE.0 {
        around.push(BASE);
    }
    let without = read(&around).expect("valid without it");
    let with_it = |value| read(&[&[(name, value)], &around[..]].concat());
    let after = with_it(set).unwrap_or_else(|error| panic!("{name}={set}: {error}"));
    let empty = with_it(" ").unwrap_or_else(|error| panic!("{name} empty: {error}"));
    assert_eq!(empty, without, "{name}: empty is unset");
    assert!(!without.contains(shows), "{name}: {shows:?} is there without it: {without}");
    assert!(after.contains(shows), "{name}={set}: no {shows:?} in {after}");
    for value in *bad {
        let error = with_it(value).expect_err(&format!("{name}={value} is no error"));
        assert!(error.starts_with(name), "{name}={value}: {error}");
        let is_secret = name.ends_with("HEADERS") || name.ends_with("ATTRIBUTES");
        assert_eq!(error.contains(&format!("`{value}`")), !is_secret, "{name}={value}: {error}");
        assert_eq!(error.lines().count(), 1);
    }
}

#[test]
fn each_variable_does_what_the_page_says() {
    for variable in SECTIONS.iter().flat_map(|(_, variables)| *variables) {
        if !variable.name.contains(SIGNAL) {
            check(variable, variable.name);
            continue;
        }
        for signal in ["TRACES", "LOGS", "METRICS"] {
            let name = variable.name.replace(SIGNAL, signal);
            check(variable, &name);
            // That of a signal is nothing to the others.
            if let How::Honoured { with, set, shows, .. } = &variable.how
                && variable.name.starts_with("OTEL_EXPORTER_OTLP_")
            {
                let all = [&[(&*name, *set), BASE], *with].concat();
                let text = read(&all).expect("valid");
                for other in ["TRACES", "LOGS", "METRICS"] {
                    let own = of_signal(&text, other);
                    assert_eq!(own.contains(shows), other == signal, "{name}: {other}: {own}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_honoured_changes_nothing_or_is_refused() {
    let without = read(&[BASE]);
    for variable in SECTIONS.iter().flat_map(|(_, variables)| *variables) {
        match variable.how {
            How::Honoured { .. } | How::File { .. } | How::Program { .. } => {}
            How::Ignored { .. } => {
                for signal in ["TRACES", "LOGS", "METRICS"] {
                    let name = variable.name.replace(SIGNAL, signal);
                    assert_eq!(read(&[BASE, (&name, "x")]), without, "{name}");
                }
            }
            How::Refused { .. } => {
                let error = read(&[BASE, (variable.name, "x")]).expect_err(variable.name);
                assert!(error.starts_with(variable.name), "{error}");
            }
        }
    }
}

#[test]
fn the_page_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned();
    let path = root.join("docs/ENVIRONMENT.md");
    let page = page(&root);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, page).expect("can be written");
    } else {
        let documented = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(documented, page, "BLESS=1 writes docs/ENVIRONMENT.md anew");
    }
}

fn page(root: &Path) -> String {
    let sources = sources(root);
    let mut page = String::from(table::HEAD);
    for (title, variables) in SECTIONS {
        let _ = write!(page, "\n## {title}\n\n{}", table::COLUMNS);
        for Variable { name, default, how, rust_sdk, tests } in *variables {
            let what = match how {
                How::Honoured { what, .. } | How::File { what } | How::Program { what } => {
                    format!("yes: {what}")
                }
                How::Ignored { why } => format!("no: {why}"),
                How::Refused { why } => format!("no, and an error: {why}"),
            };
            for test in *tests {
                assert!(sources.contains(&format!("fn {test}(")), "{name}: no test {test}");
            }
            let tests: Vec<_> = tests.iter().map(|test| format!("`{test}`")).collect();
            let (sdk, tests) = (if *rust_sdk { "yes" } else { "no" }, tests.join(", "));
            let _ = writeln!(page, "| `{name}` | {default} | {what} | {sdk} | {tests} |");
        }
    }
    page
}

/// All sources of the crate and of the program, and their tests.
fn sources(root: &Path) -> String {
    let mut folders: Vec<PathBuf> = ["collector/src", "collector/tests", "cli/src", "tests/e2e"]
        .map(|path| root.join(path))
        .into();
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text += &std::fs::read_to_string(path).unwrap_or_default();
            }
        }
    }
    text
}

#[test]
fn a_batch_is_given_up_when_the_environment_says() {
    let server = Server::start(vec![Act::status(503)]);
    let variables = [("OTEL_BSP_EXPORT_TIMEOUT", "1")];
    let exporter = OtlpExporter::new(config(&server.url, &variables), Resource::new());
    let collector = Collector::builder().exporter(Box::new(exporter)).start();
    // A full batch, which goes out at once.
    collector.handle().send(plain_chunk(512));
    let start = Instant::now();
    let counts = loop {
        let report = collector.report(LONG).expect("an answer");
        let counts = report.exporters[0].counts;
        if counts.queued == 0 {
            break counts;
        }
        assert!(start.elapsed() < LONG, "{counts:?}");
        std::thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(counts.dropped, Dropped { retries_exhausted: 512, ..Dropped::default() });
    shutdown(collector, LONG);
}

#[test]
fn the_environment_reaches_the_collector() {
    let lookup = |name: &str| match name {
        "OTEL_TRACES_SAMPLER" => Some("always_off".to_owned()),
        _ => None,
    };
    let environment = Environment::from_lookup(&lookup).expect("valid");
    let collector = Collector::builder().environment(&environment).start();
    collector.handle().send(plain_chunk(10));
    let report = collector.shutdown(LONG);
    assert_eq!((report.stage.spans.received, report.stage.spans.sampled_out), (10, 10));
}
