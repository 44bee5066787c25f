use std::time::Duration;

use super::{Config, ConfigError};
use crate::env::ListError;

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

fn message(variables: &[(&str, &str)]) -> String {
    read(variables).expect_err("invalid").to_string()
}

fn header(config: &Config, key: &str) -> Option<String> {
    let (_, value) = config.headers.iter().find(|(name, _)| name == key)?;
    Some(value.to_str().expect("text").to_owned())
}

#[test]
fn nothing_is_sent_without_an_endpoint_or_when_disabled() {
    assert_eq!(read(&[]), Ok(None));
    assert_eq!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), Ok(None));
    assert_eq!(read(&[BASE, ("OTEL_SDK_DISABLED", "true")]), Ok(None));
    assert_eq!(read(&[BASE, ("OTEL_SDK_DISABLED", "TRUE")]), Ok(None));
    assert_eq!(read(&[BASE, ("OTEL_TRACES_EXPORTER", "none")]), Ok(None));
    assert!(read(&[BASE, ("OTEL_TRACES_EXPORTER", "otlp")]).expect("valid").is_some());
    // By the specification all that is not `true` is false.
    assert!(read(&[BASE, ("OTEL_SDK_DISABLED", "1")]).expect("valid").is_some());
}

#[test]
fn endpoints_of_the_environment() {
    for (base, traces, expected) in [
        ("http://localhost:4318", "", "http://localhost:4318/v1/traces"),
        ("http://localhost:4318/", "", "http://localhost:4318/v1/traces"),
        ("https://host/prefix", "", "https://host/prefix/v1/traces"),
        ("https://host/prefix/", "", "https://host/prefix/v1/traces"),
        ("https://host/v1/traces", "", "https://host/v1/traces/v1/traces"),
        ("https://host/?key=1", "", "https://host/v1/traces?key=1"),
        ("http://[::1]:4318", "", "http://[::1]:4318/v1/traces"),
        ("http://[::1]", "", "http://[::1]/v1/traces"),
        (" http://host ", "", "http://host/v1/traces"),
        ("http://base", "http://traces:4318", "http://traces:4318/"),
        ("http://base", "http://traces/own/path", "http://traces/own/path"),
        ("not a url", "http://traces/", "http://traces/"),
    ] {
        let config = config(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", base),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", traces),
        ]);
        assert_eq!(config.endpoint(), expected, "{base} {traces}");
    }
}

#[test]
fn endpoints_of_the_program() {
    let lookup = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => Some("http://elsewhere".to_owned()),
        "OTEL_SDK_DISABLED" => Some("true".to_owned()),
        "OTEL_EXPORTER_OTLP_TIMEOUT" => Some("1500".to_owned()),
        "OTEL_EXPORTER_OTLP_HEADERS" => Some("a=b".to_owned()),
        _ => None,
    };
    for (url, expected) in [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("http://localhost:4318/v1/traces", "http://localhost:4318/v1/traces"),
        ("http://host/prefix", "http://host/prefix/v1/traces"),
    ] {
        let config = Config::for_endpoint_with(url, &lookup).expect("valid");
        assert_eq!(config.endpoint(), expected);
        assert_eq!(config.timeout, Duration::from_millis(1500));
        assert_eq!(header(&config, "a").as_deref(), Some("b"));
    }
    let error = Config::for_endpoint_with("localhost:4318", &lookup).expect_err("no scheme");
    let expected = "OTLP endpoint: `localhost:4318` has no scheme, write http://localhost:4318 or https://localhost:4318";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn bad_endpoints_are_refused_up_front() {
    for variable in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] {
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
fn only_http_protobuf_is_spoken() {
    for (key, value, valid) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", true),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf", true),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "", true),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", false),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", false),
    ] {
        match read(&[BASE, (key, value)]) {
            Ok(_) => assert!(valid, "{key}={value}"),
            Err(error) => {
                assert!(!valid, "{key}={value}");
                let expected = format!("{key}: `{value}` is not supported, use http/protobuf");
                assert_eq!(error.to_string(), expected);
            }
        }
    }
    let overruled = [
        BASE,
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
    ];
    assert!(read(&overruled).is_ok());
}

#[test]
fn headers() {
    let general = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a%3Db, X-Tenant = 7");
    let config_ = config(&[BASE, general]);
    assert_eq!(header(&config_, "authorization").as_deref(), Some("Bearer a=b"));
    assert_eq!(header(&config_, "x-tenant").as_deref(), Some("7"));

    let own = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-only=1");
    let config_ = config(&[BASE, general, own]);
    assert_eq!(config_.headers.len(), 1);
    assert_eq!(header(&config_, "x-only").as_deref(), Some("1"));
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
    assert_eq!(defaults.timeout, Duration::from_secs(10));
    assert_eq!((defaults.batch.spans, defaults.batch.delay), (512, Duration::from_secs(5)));
    assert!(defaults.queue.spans > 2_048);

    let own = config(&[
        BASE,
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2000"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1000"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
    ]);
    assert_eq!(own.timeout, Duration::from_secs(2));
    assert_eq!((own.batch.spans, own.batch.delay), (100, Duration::ZERO));
    assert_eq!(own.queue.spans, 1000);

    // A batch has to fit into the queue.
    assert_eq!(config(&[BASE, ("OTEL_BSP_MAX_QUEUE_SIZE", "10")]).batch.spans, 10);

    for key in [
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_BSP_MAX_QUEUE_SIZE",
    ] {
        for value in ["0", "-1", "1.5", "10s", "99999999999999999999999"] {
            let message = message(&[BASE, (key, value)]);
            let expected = format!("{key}: `{value}` is not a whole number of at least 1");
            assert!(message.starts_with(&expected), "{message}");
        }
    }
}
