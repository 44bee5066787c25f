//! Where spans go and how, from the environment variables that OpenTelemetry defines.

use std::time::Duration;

use thiserror::Error;
use ureq::http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING,
};
use ureq::http::{HeaderName, HeaderValue, Uri};

use super::batch::BatchLimits;
use super::queue::QueueLimits;
use crate::env::{self, ListError};

const PATH: &str = "/v1/traces";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
const TIMEOUT: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
const PROTOCOL: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const SDK_DISABLED: &str = "OTEL_SDK_DISABLED";
const TRACES_EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const BATCH_SIZE: &str = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
const QUEUE_SIZE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";
const SCHEDULE_DELAY: &str = "OTEL_BSP_SCHEDULE_DELAY";

/// Headers that say how the message is framed.
const OURS: [HeaderName; 5] =
    [CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING];

/// How long one request may take, by the specification.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// What an [`HttpExporter`](super::HttpExporter) needs to know.
///
/// Read from these variables; of two, the first that is set counts:
///
/// | variable | meaning | default |
/// |---|---|---|
/// | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | URL, used as it is | |
/// | `OTEL_EXPORTER_OTLP_ENDPOINT` | base URL, `/v1/traces` is appended | |
/// | `OTEL_EXPORTER_OTLP_TRACES_HEADERS`, `OTEL_EXPORTER_OTLP_HEADERS` | `key=value,…`, percent-encoded | none |
/// | `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`, `OTEL_EXPORTER_OTLP_TIMEOUT` | milliseconds for one request | 10,000 |
/// | `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf` | `http/protobuf` |
/// | `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` | spans in a request | 512 |
/// | `OTEL_BSP_SCHEDULE_DELAY` | milliseconds until a batch that is not full is sent | 5,000 |
/// | `OTEL_BSP_MAX_QUEUE_SIZE` | spans that wait for the receiver | 262,144 |
/// | `OTEL_SDK_DISABLED` | `true`: nothing is sent | `false` |
/// | `OTEL_TRACES_EXPORTER` | `none`: nothing is sent; other exporters are not here | `otlp` |
///
/// The specification would have a value that makes no sense ignored with a
/// warning. Here it is an error, because a typing mistake that costs a day's
/// traces is worse than a program that says what is wrong when it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub(crate) endpoint: Uri,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) timeout: Duration,
    pub(crate) batch: BatchLimits,
    pub(crate) queue: QueueLimits,
}

/// Why a configuration cannot be used. `input` is the variable, or `OTLP endpoint` for
/// a URL that the program was given.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A URL without `http://` or `https://`.
    #[error("{input}: `{url}` has no scheme, write http://{url} or https://{url}")]
    NoScheme {
        /// Where it was given.
        input: &'static str,
        /// The URL.
        url: String,
    },
    /// A URL of another protocol.
    #[error("{input}: scheme `{scheme}` is not supported, use http or https")]
    Scheme {
        /// Where it was given.
        input: &'static str,
        /// The scheme.
        scheme: String,
    },
    /// A URL that is none.
    #[error("{input}: `{url}` is not a URL ({cause}), write for example http://localhost:4318")]
    Url {
        /// Where it was given.
        input: &'static str,
        /// The URL.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A URL with a user name or password, which is not shown.
    #[error(
        "{input}: the URL holds credentials, give them with OTEL_EXPORTER_OTLP_HEADERS instead"
    )]
    Credentials {
        /// Where it was given.
        input: &'static str,
    },
    /// A protocol of OTLP that this version does not speak.
    #[error("{input}: `{value}` is not supported, use http/protobuf")]
    Protocol {
        /// The variable.
        input: &'static str,
        /// Its value.
        value: String,
    },
    /// A number that is none or too small.
    #[error("{input}: `{value}` is not a whole number of at least {least}, give {unit}")]
    Number {
        /// The variable.
        input: &'static str,
        /// Its value.
        value: String,
        /// The smallest number that makes sense.
        least: u64,
        /// What it counts.
        unit: &'static str,
    },
    /// A list of headers that cannot be read.
    #[error("{input}: {cause}")]
    Headers {
        /// The variable.
        input: &'static str,
        /// What is wrong with it.
        cause: ListError,
    },
    /// A header that HTTP does not allow, or that the exporter sets itself. Its value
    /// is not shown.
    #[error("{input}: header `{key}` cannot be sent, check its name and value")]
    Header {
        /// The variable.
        input: &'static str,
        /// The name of the header.
        key: String,
    },
}

impl Config {
    /// What the environment of the process says.
    ///
    /// `None` if `OTEL_SDK_DISABLED` is `true`, or if no endpoint is set: the
    /// specification's default, `http://localhost:4318`, is not assumed, so a program
    /// that was told nothing sends nothing.
    ///
    /// # Errors
    ///
    /// If a variable holds what cannot be used.
    pub fn from_env() -> Result<Option<Self>, ConfigError> {
        Self::from_lookup(&env::process)
    }

    /// As [`Config::from_env`], with variables from elsewhere.
    ///
    /// # Errors
    ///
    /// If a variable holds what cannot be used.
    pub fn from_lookup(
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ConfigError> {
        let disabled = env::get(lookup, SDK_DISABLED);
        if disabled.is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let exporter = env::get(lookup, TRACES_EXPORTER);
        if exporter.is_some_and(|value| value.trim().eq_ignore_ascii_case("none")) {
            return Ok(None);
        }
        let endpoint = if let Some(url) = env::get(lookup, TRACES_ENDPOINT) {
            parse_url(TRACES_ENDPOINT, &url)?
        } else if let Some(url) = env::get(lookup, ENDPOINT) {
            append_path(ENDPOINT, &parse_url(ENDPOINT, &url)?)?
        } else {
            return Ok(None);
        };
        Self::with_endpoint(endpoint, lookup).map(Some)
    }

    /// For a URL that the program was given. `/v1/traces` is appended unless its path
    /// ends so. All else is as the environment says, except that neither an
    /// endpoint nor `OTEL_SDK_DISABLED` in the environment overrules the program.
    ///
    /// # Errors
    ///
    /// If the URL or a variable cannot be used.
    pub fn for_endpoint(url: &str) -> Result<Self, ConfigError> {
        Self::for_endpoint_with(url, &env::process)
    }

    /// As [`Config::for_endpoint`], with variables from elsewhere.
    ///
    /// # Errors
    ///
    /// If the URL or a variable cannot be used.
    pub fn for_endpoint_with(
        url: &str,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        const INPUT: &str = "OTLP endpoint";
        let endpoint = parse_url(INPUT, url)?;
        let endpoint =
            if endpoint.path().ends_with(PATH) { endpoint } else { append_path(INPUT, &endpoint)? };
        Self::with_endpoint(endpoint, lookup)
    }

    /// The URL that batches are posted to.
    pub fn endpoint(&self) -> String {
        self.endpoint.to_string()
    }

    fn with_endpoint(
        endpoint: Uri,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        if let Some((input, value)) = first(lookup, &PROTOCOL)
            && value != "http/protobuf"
        {
            return Err(ConfigError::Protocol { input, value });
        }
        let headers = match first(lookup, &HEADERS) {
            Some((input, list)) => parse_headers(input, &list)?,
            None => Vec::new(),
        };
        let number = |inputs: &[&'static str], least, unit| match first(lookup, inputs) {
            Some((input, value)) => match value.parse::<u64>() {
                Ok(number) if number >= least => Ok(Some(number)),
                _ => Err(ConfigError::Number { input, value, least, unit }),
            },
            None => Ok(None),
        };
        let spans = |input| {
            let number = number(&[input], 1, "a number of spans")?;
            Ok::<_, ConfigError>(number.map(|spans| usize::try_from(spans).unwrap_or(usize::MAX)))
        };
        let mut batch = BatchLimits::default();
        let mut queue = QueueLimits::default();
        if let Some(delay) = number(&[SCHEDULE_DELAY], 0, "milliseconds")? {
            batch.delay = Duration::from_millis(delay);
        }
        if let Some(spans) = spans(QUEUE_SIZE)? {
            queue.spans = spans;
        }
        if let Some(spans) = spans(BATCH_SIZE)? {
            batch.spans = spans;
        }
        // A batch that does not fit into the queue could never be sent.
        batch.spans = batch.spans.min(queue.spans);
        let timeout =
            number(&TIMEOUT, 1, "milliseconds")?.map_or(DEFAULT_TIMEOUT, Duration::from_millis);
        Ok(Config { endpoint, headers, timeout, batch, queue })
    }
}

/// The first of these variables that is set.
fn first(
    lookup: &dyn Fn(&str) -> Option<String>,
    names: &[&'static str],
) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| Some((*name, env::get(lookup, name)?.trim().to_owned())))
}

fn parse_url(input: &'static str, url: &str) -> Result<Uri, ConfigError> {
    let url = url.trim();
    // `localhost:4318` parses as a URI without a scheme, `localhost:4318/x` not at all.
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(ConfigError::NoScheme { input, url: url.to_owned() });
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(ConfigError::Credentials { input });
    }
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(ConfigError::Scheme { input, scheme: scheme.to_owned() });
    }
    let error = |cause: String| ConfigError::Url { input, url: url.to_owned(), cause };
    let uri: Uri = url.parse().map_err(|cause| error(format!("{cause}")))?;
    if uri.host().is_none_or(str::is_empty) {
        return Err(error("it names no host".to_owned()));
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    if has_port && uri.port_u16().is_none_or(|port| port == 0) {
        return Err(error("its port is not a number from 1 to 65535".to_owned()));
    }
    Ok(uri)
}

/// The URL with `/v1/traces` behind its path.
fn append_path(input: &'static str, base: &Uri) -> Result<Uri, ConfigError> {
    let path = base.path().trim_end_matches('/');
    let query = base.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = base.clone().into_parts();
    let error = |cause: String| ConfigError::Url { input, url: base.to_string(), cause };
    let path_and_query = format!("{path}{PATH}{query}").parse();
    parts.path_and_query = Some(path_and_query.map_err(|cause| error(format!("{cause}")))?);
    Uri::from_parts(parts).map_err(|cause| error(cause.to_string()))
}

fn parse_headers(
    input: &'static str,
    list: &str,
) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
    let pairs = env::list(list).map_err(|cause| ConfigError::Headers { input, cause })?;
    pairs
        .into_iter()
        .map(|(key, value)| {
            let name =
                HeaderName::from_bytes(key.as_bytes()).ok().filter(|name| !OURS.contains(name));
            let value = HeaderValue::from_str(&value).ok();
            let header = name.zip(value.map(|mut value| {
                value.set_sensitive(true);
                value
            }));
            header.ok_or(ConfigError::Header { input, key })
        })
        .collect()
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
