use std::time::Duration;

use super::{Compression, Config, ConfigError, Protocol, SignalConfig};
use crate::env::ListError;
use crate::stats::Signal;

const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");

/// Reads a configuration from an environment of just these variables.
fn read(variables: &[(&str, &str)]) -> Result<Option<Config>, ConfigError> {
    Config::from_lookup(&|name| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    })
}

fn config(variables: &[(&str, &str)]) -> Config {
    read(variables).expect("valid").expect("an endpoint")
}

/// What is read of traces.
fn traces(variables: &[(&str, &str)]) -> SignalConfig {
    config(variables).of(Signal::Traces).expect("traces").clone()
}

fn message(variables: &[(&str, &str)]) -> String {
    read(variables).expect_err("invalid").to_string()
}

/// The endpoint of each signal.
fn endpoints(config: &Config) -> [Option<String>; 3] {
    Signal::ALL.map(|signal| config.endpoint(signal))
}

fn urls(urls: [&str; 3]) -> [Option<String>; 3] {
    urls.map(|url| (!url.is_empty()).then(|| url.to_owned()))
}

fn header(config: &SignalConfig, key: &str) -> Option<String> {
    let (_, value) = config.headers.iter().find(|(name, _)| name == key)?;
    Some(value.to_str().expect("text").to_owned())
}

#[test]
fn nothing_is_sent_without_an_endpoint_or_when_disabled() {
    assert_eq!(read(&[]), Ok(None));
    assert_eq!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), Ok(None));
    assert_eq!(read(&[BASE, ("OTEL_SDK_DISABLED", "true")]), Ok(None));
    assert_eq!(read(&[BASE, ("OTEL_SDK_DISABLED", "TRUE")]), Ok(None));
    let none = ["TRACES", "LOGS", "METRICS"].map(|signal| format!("OTEL_{signal}_EXPORTER"));
    let none: Vec<_> = none.iter().map(|name| (name.as_str(), "none")).collect();
    assert_eq!(read(&[&none[..], &[BASE]].concat()), Ok(None));
    let off = [BASE, ("OTEL_SDK_DISABLED", "true"), ("OTEL_METRIC_EXPORT_INTERVAL", "x")];
    assert_eq!(read(&off), Ok(None));
    assert!(read(&[BASE, ("OTEL_TRACES_EXPORTER", "otlp")]).expect("valid").is_some());
    // By the specification all that is not `true` is false.
    assert!(read(&[BASE, ("OTEL_SDK_DISABLED", "1")]).expect("valid").is_some());
}

#[test]
fn each_signal_can_be_switched_off() {
    for (name, expected) in [
        ("OTEL_TRACES_EXPORTER", ["", "http://h/v1/logs", "http://h/v1/metrics"]),
        ("OTEL_LOGS_EXPORTER", ["http://h/v1/traces", "", "http://h/v1/metrics"]),
        ("OTEL_METRICS_EXPORTER", ["http://h/v1/traces", "http://h/v1/logs", ""]),
    ] {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h");
        assert_eq!(endpoints(&config(&[base, (name, " None ")])), urls(expected), "{name}");
    }
    // What is wrong with a signal that is off does not matter.
    let off = [BASE, ("OTEL_LOGS_EXPORTER", "none"), ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "x")];
    assert!(read(&off).is_ok());
    assert!(read(&[BASE, off[2]]).is_err());
}

#[test]
fn endpoints_of_the_environment() {
    for (base, expected) in [
        ("http://localhost:4318", "http://localhost:4318/v1/"),
        ("http://localhost:4318/", "http://localhost:4318/v1/"),
        ("https://host/prefix", "https://host/prefix/v1/"),
        ("https://host/prefix/", "https://host/prefix/v1/"),
        ("https://host/v1/traces", "https://host/v1/traces/v1/"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/"),
        ("http://[::1]", "http://[::1]/v1/"),
        (" http://host ", "http://host/v1/"),
    ] {
        let expected = ["traces", "logs", "metrics"].map(|signal| format!("{expected}{signal}"));
        let config = config(&[("OTEL_EXPORTER_OTLP_ENDPOINT", base)]);
        assert_eq!(endpoints(&config), expected.map(Some), "{base}");
    }
    let with_query = config(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://host/?key=1")]);
    let logs = with_query.of(Signal::Logs).expect("logs are sent");
    assert_eq!(logs.endpoint, "https://host/v1/logs?key=1");
}

#[test]
fn a_signal_may_have_an_endpoint_of_its_own() {
    for (base, own, expected) in [
        ("http://base", "http://own:4318", ["http://own:4318/", "http://base/v1/"]),
        ("http://base", "http://own/path", ["http://own/path", "http://base/v1/"]),
        ("", "http://own/path", ["http://own/path", ""]),
    ] {
        for (at, name) in ["traces", "logs", "metrics"].into_iter().enumerate() {
            let variable = format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", name.to_uppercase());
            let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", base), (&variable, own)];
            let mut others = ["traces", "logs", "metrics"].map(|other| match expected[1] {
                "" => None,
                base => Some(format!("{base}{other}")),
            });
            others[at] = Some(expected[0].to_owned());
            assert_eq!(endpoints(&config(&variables)), others, "{variable}");
        }
    }
    // A base that no signal needs does not matter.
    let all = ["TRACES", "LOGS", "METRICS"].map(|s| format!("OTEL_EXPORTER_OTLP_{s}_ENDPOINT"));
    let all: Vec<_> = all.iter().map(|name| (name.as_str(), "http://own/")).collect();
    let base = [("OTEL_EXPORTER_OTLP_ENDPOINT", "not a url")];
    assert_eq!(endpoints(&config(&[&all[..], &base].concat())), urls(["http://own/"; 3]));
}

#[test]
fn endpoints_of_the_program() {
    let lookup = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" | "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT" => {
            Some("http://elsewhere".to_owned())
        }
        "OTEL_SDK_DISABLED" => Some("true".to_owned()),
        "OTEL_TRACES_EXPORTER" => Some("none".to_owned()),
        "OTEL_EXPORTER_OTLP_TIMEOUT" => Some("1500".to_owned()),
        "OTEL_EXPORTER_OTLP_HEADERS" => Some("a=b".to_owned()),
        _ => None,
    };
    for (url, expected) in [
        ("http://localhost:4318", "http://localhost:4318/v1/"),
        ("http://localhost:4318/v1/traces", "http://localhost:4318/v1/"),
        ("http://host/prefix", "http://host/prefix/v1/"),
        ("http://host/prefix//v1/traces", "http://host/prefix//v1/"),
    ] {
        let config = Config::for_endpoint_with(url, &lookup).expect("valid");
        let expected = ["traces", "logs", "metrics"].map(|signal| format!("{expected}{signal}"));
        assert_eq!(endpoints(&config), expected.map(Some));
        for signal in Signal::ALL {
            let config = config.of(signal).expect("each signal");
            assert_eq!(config.timeout, Duration::from_millis(1500));
            assert_eq!(header(config, "a").as_deref(), Some("b"));
        }
    }
    let error = Config::for_endpoint_with("localhost:4318", &lookup).expect_err("no scheme");
    let expected = "OTLP endpoint: `localhost:4318` has no scheme, write http://localhost:4318 or https://localhost:4318";
    assert_eq!(error.to_string(), expected);

    let traces_only = |name: &str| name.ends_with("S_EXPORTER").then(|| "none".to_owned());
    let config = Config::for_endpoint_with("http://host", &traces_only).expect("valid");
    assert_eq!(endpoints(&config), urls(["http://host/v1/traces", "", ""]));
}

#[test]
fn bad_endpoints_are_refused_up_front() {
    for variable in [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    ] {
        for (url, expected) in [
            ("localhost:4318", "`localhost:4318` has no scheme"),
            ("localhost:4318/v1/traces", "has no scheme"),
            ("/v1/traces", "has no scheme"),
            ("grpc://localhost:4317", "scheme `grpc` is not supported, use http or https"),
            ("http://", "is not a URL"),
            ("http://:4318", "is not a URL"),
            ("http://a b", "is not a URL"),
            ("http://host:99999", "is not a URL (its port"),
            ("http://host:0/", "is not a URL (its port"),
            ("http://[::1]:x", "is not a URL"),
            ("https://user:secret@host", "holds credentials"),
        ] {
            let message = message(&[(variable, url)]);
            assert!(message.starts_with(&format!("{variable}: ")), "{message}");
            assert!(message.contains(expected), "{url}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }
}

#[test]
fn what_a_query_says_is_not_shown() {
    let given = "https://host/in?api-key=secret";
    let own = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", given)];
    assert_eq!(endpoints(&config(&own))[0].as_deref(), Some("https://host/in?…"));
    assert_eq!(traces(&own).endpoint, given);
    for bad in ["host/in?api-key=secret", "http:///?api-key=secret", "http://h:0/?key=secret"] {
        let text = message(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", bad)]);
        assert!(text.contains("?…") && !text.contains("secret"), "{text}");
    }
}

#[test]
fn protocols() {
    let all = "OTEL_EXPORTER_OTLP_PROTOCOL";
    let protocols = |variables: &[(&str, &str)]| {
        let config = config(&[&[BASE], variables].concat());
        Signal::ALL.map(|signal| config.of(signal).expect("each signal").protocol)
    };
    assert_eq!(protocols(&[]), [Protocol::HttpProtobuf; 3]);
    assert_eq!(protocols(&[(all, "")]), [Protocol::HttpProtobuf; 3]);
    assert_eq!(protocols(&[(all, " http/protobuf ")]), [Protocol::HttpProtobuf; 3]);
    for variable in [all, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL"]
    {
        let message = message(&[BASE, (variable, "http")]);
        let expected =
            format!("{variable}: `http` is not supported, use http/protobuf, http/json or grpc");
        assert_eq!(message, expected);
    }
    let overruled = [
        (all, "http"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
    ];
    assert_eq!(protocols(&overruled), [Protocol::HttpProtobuf; 3]);
}

#[cfg(feature = "grpc")]
#[test]
fn grpc_has_endpoints_without_paths() {
    const GRPC: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    const INSECURE: (&str, &str) = ("OTEL_EXPORTER_OTLP_INSECURE", "True");
    let base = |url| ("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    for (variables, expected) in [
        (&[GRPC, base("http://h:4317")][..], ["http://h:4317"; 3]),
        (&[GRPC, base("https://h/")], ["https://h"; 3]),
        (&[GRPC, base(" [::1]:4317 ")], ["https://[::1]:4317"; 3]),
        (&[GRPC, base("h:4317"), INSECURE], ["http://h:4317"; 3]),
        // The option is for endpoints that do not say themselves.
        (&[GRPC, base("https://h:4317"), INSECURE], ["https://h:4317"; 3]),
        (
            &[GRPC, base("h:4317"), ("OTEL_EXPORTER_OTLP_LOGS_INSECURE", "true")],
            ["https://h:4317", "http://h:4317", "https://h:4317"],
        ),
        (
            &[base("http://h"), ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc")],
            ["http://h/v1/traces", "http://h/v1/logs", "http://h"],
        ),
        (
            &[GRPC, base("http://h"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "own:1")],
            ["https://own:1", "http://h", "http://h"],
        ),
    ] {
        assert_eq!(endpoints(&config(variables)), urls(expected), "{variables:?}");
    }
    let lookup = |name: &str| (name == GRPC.0).then(|| GRPC.1.to_owned());
    let given = Config::for_endpoint_with("http://h:4317", &lookup).expect("valid");
    assert_eq!(endpoints(&given), urls(["http://h:4317"; 3]));

    for (url, expected) in [
        ("http://h:4317/v1/traces", "has a path, which gRPC does not take"),
        ("http://h:4317?a=b", "has a path"),
        ("h:4317/x", "has a path"),
        ("grpc://h:4317", "scheme `grpc` is not supported, use http or https"),
        ("h:99999", "is not a URL (its port"),
        ("user:secret@h:4317", "holds credentials"),
    ] {
        let message = message(&[GRPC, base(url)]);
        assert!(message.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: "), "{message}");
        assert!(message.contains(expected), "{url}: {message}");
        assert!(!message.contains("secret"), "{message}");
    }
    let message = message(&[GRPC, base("h:1"), ("OTEL_EXPORTER_OTLP_INSECURE", "yes")]);
    assert_eq!(message, "OTEL_EXPORTER_OTLP_INSECURE: `yes` is neither true nor false");
}

/// Without the features those protocols are not there, and are named.
#[test]
fn each_protocol_belongs_to_a_feature() {
    for (value, feature, is_there) in [
        ("grpc", "grpc", cfg!(feature = "grpc")),
        ("http/json", "http-json", cfg!(feature = "http-json")),
    ] {
        match read(&[BASE, ("OTEL_EXPORTER_OTLP_PROTOCOL", value)]) {
            Err(ConfigError::Feature { feature: named, .. }) => {
                assert_eq!((named, is_there), (feature, false));
            }
            read => {
                let config = read.expect("valid").expect("an endpoint");
                let protocol = config.of(Signal::Logs).expect("logs").protocol;
                assert_eq!((protocol.to_string().as_str(), is_there), (value, true));
            }
        }
    }
}

#[test]
fn compression() {
    let compression = |variables: &[(&str, &str)]| {
        let config = config(&[&[BASE], variables].concat());
        Signal::ALL.map(|signal| config.of(signal).expect("each signal").compression)
    };
    let all = "OTEL_EXPORTER_OTLP_COMPRESSION";
    assert_eq!(compression(&[]), [Compression::None; 3]);
    assert_eq!(compression(&[(all, "")]), [Compression::None; 3]);
    assert_eq!(compression(&[(all, "none")]), [Compression::None; 3]);
    assert_eq!(compression(&[(all, " gzip ")]), [Compression::Gzip; 3]);
    let own = ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none");
    let expected = [Compression::Gzip, Compression::Gzip, Compression::None];
    assert_eq!(compression(&[(all, "gzip"), own]), expected);
    match read(&[BASE, (all, "zstd")]) {
        Err(ConfigError::Feature { feature, .. }) => {
            assert_eq!((feature, cfg!(feature = "zstd")), ("zstd", false));
        }
        read => assert!(read.is_ok() && cfg!(feature = "zstd")),
    }
    let message = message(&[BASE, ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "lz4")]);
    let expected =
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: `lz4` is not supported, use gzip, zstd or none";
    assert_eq!(message, expected);
}

#[test]
fn headers() {
    let general = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a%3Db, X-Tenant = 7");
    let read = traces(&[BASE, general]);
    assert_eq!(header(&read, "authorization").as_deref(), Some("Bearer a=b"));
    assert_eq!(header(&read, "x-tenant").as_deref(), Some("7"));

    for (own, of) in [
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", Signal::Traces),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", Signal::Logs),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", Signal::Metrics),
    ] {
        let config = config(&[BASE, general, (own, "x-only=1")]);
        for signal in Signal::ALL {
            let config = config.of(signal).expect("each signal");
            let expected = if signal == of { (1, Some("1")) } else { (2, None) };
            let found = header(config, "x-only");
            assert_eq!((config.headers.len(), found.as_deref()), expected, "{own}");
        }
    }
}

#[test]
fn bad_headers_are_refused_without_showing_values() {
    for list in [
        "Bearer secret",
        "a=1,=secret",
        "a=secret%",
        "a b=secret",
        "a=secret%0d%0ab",
        "content-length=secret",
        "Transfer-Encoding=secret",
        "te=secret",
        "grpc-timeout=secret",
    ] {
        let message = message(&[BASE, ("OTEL_EXPORTER_OTLP_HEADERS", list)]);
        assert!(message.starts_with("OTEL_EXPORTER_OTLP_HEADERS: "), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    let cause = ListError::NoEquals { entry: 2 };
    let input = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
    assert_eq!(read(&[BASE, (input, "a=1,b")]), Err(ConfigError::Headers { input, cause }));
}

#[test]
fn numbers() {
    let defaults = config(&[BASE]);
    let of = |config: &Config, signal| config.of(signal).expect("each signal").clone();
    for signal in Signal::ALL {
        assert_eq!(of(&defaults, signal).timeout, Duration::from_secs(10));
        assert!(of(&defaults, signal).queue.items > 2_048);
    }
    let batch = |config: &Config, signal| {
        let batch = of(config, signal).batch;
        (batch.items, batch.delay)
    };
    assert_eq!(batch(&defaults, Signal::Traces), (512, Duration::from_secs(5)));
    assert_eq!(batch(&defaults, Signal::Logs), (512, Duration::from_secs(1)));
    assert_eq!(defaults.metric_interval(), Duration::from_secs(60));

    let own = config(&[
        BASE,
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2000"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "3000"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1000"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "200"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "2000"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "2"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
    ]);
    let timeouts = Signal::ALL.map(|signal| of(&own, signal).timeout.as_secs());
    assert_eq!(timeouts, [2, 3, 1]);
    assert_eq!(batch(&own, Signal::Traces), (100, Duration::ZERO));
    assert_eq!(batch(&own, Signal::Logs), (200, Duration::from_millis(2)));
    assert_eq!(batch(&own, Signal::Metrics), batch(&defaults, Signal::Metrics));
    assert_eq!(of(&own, Signal::Traces).queue.items, 1000);
    assert_eq!(of(&own, Signal::Logs).queue.items, 2000);
    assert_eq!(own.metric_interval(), Duration::from_millis(500));

    // A batch has to fit into the queue.
    assert_eq!(traces(&[BASE, ("OTEL_BSP_MAX_QUEUE_SIZE", "10")]).batch.items, 10);

    for key in [
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_BLRP_MAX_QUEUE_SIZE",
        "OTEL_METRIC_EXPORT_INTERVAL",
    ] {
        for value in ["0", "-1", "1.5", "10s", "99999999999999999999999"] {
            let message = message(&[BASE, (key, value)]);
            let expected = format!("{key}: `{value}` is not a whole number of at least 1");
            assert!(message.starts_with(&expected), "{message}");
        }
    }
}

#[test]
fn no_time_is_without_end() {
    let given_up = ("OTEL_BSP_EXPORT_TIMEOUT", "1000");
    let never_given_up = ("OTEL_BSP_EXPORT_TIMEOUT", "0");
    for key in ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"] {
        let timeout = |others: &[_]| traces(&[&[BASE, (key, "0")], others].concat()).timeout;
        // A batch is given up all the same.
        assert_eq!(timeout(&[]), Duration::from_secs(300));
        assert_eq!(timeout(&[given_up]), Duration::from_secs(1));
        assert_eq!(timeout(&[never_given_up]), Duration::MAX);
        for value in ["-1", "1.5", "10s", "99999999999999999999999"] {
            let message = message(&[BASE, (key, value)]);
            let expected = format!("{key}: `{value}` is not a whole number of at least 0");
            assert!(message.starts_with(&expected), "{message}");
        }
    }
}

#[test]
fn exporters_that_are_not_here_are_refused() {
    for (key, value) in [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_LOGS_EXPORTER", "console"),
        ("OTEL_METRICS_EXPORTER", "Prometheus"),
        ("OTEL_METRICS_EXPORTER", "otlp,prometheus"),
    ] {
        let expected = format!("{key}: `{value}` is not supported, use otlp or none");
        assert_eq!(message(&[BASE, (key, value)]), expected);
        // Nothing would be sent for want of an endpoint.
        let alone = |name: &str| (name == key).then(|| value.to_owned());
        assert_eq!(Config::from_lookup(&alone), Ok(None));
        // The endpoint of the program is for spans in any case.
        let lookup = |name: &str| (name == key).then(|| value.to_owned());
        let given = Config::for_endpoint_with("http://h", &lookup);
        match key {
            "OTEL_TRACES_EXPORTER" => assert!(given.is_ok()),
            _ => assert_eq!(given.expect_err("refused").to_string(), expected),
        }
    }
}
