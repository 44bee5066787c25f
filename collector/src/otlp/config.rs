//! What goes where and how, from the environment variables that OpenTelemetry defines.

mod builder;
mod error;
mod protocol;
#[cfg(all(test, feature = "grpc"))]
mod table;
mod temporality;
mod tls;
mod url;
mod variables;

use std::time::Duration;

use ureq::http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE, TRANSFER_ENCODING,
    UPGRADE,
};
use ureq::http::{HeaderName, HeaderValue, Uri};

use self::variables::Variables;
use super::batch::BatchLimits;
use super::queue::{QueueLimits, WhenFull};
use super::retry::MAX_ELAPSED;
use crate::env;
use crate::metrics::DEFAULT_METRIC_INTERVAL;
use crate::stats::Signal;

pub use builder::ConfigBuilder;
pub use error::ConfigError;
pub use protocol::{Compression, Protocol};
pub use temporality::TemporalityPreference;
pub(crate) use tls::Tls;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const SDK_DISABLED: &str = "OTEL_SDK_DISABLED";
const METRIC_INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";
const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";

/// What a URL is called that the program was given.
const GIVEN: &str = "OTLP endpoint";

/// Headers that say how the message is framed. What begins with `grpc-` does, too.
const OURS: [HeaderName; 8] = [
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HOST,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// How long one request may take, by the specification.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// What an [`OtlpExporter`](super::OtlpExporter) needs to know.
///
/// Made by a program ([`Config::builder`]), or read from these variables, in which `‹SIGNAL›` is `TRACES`, `LOGS` or `METRICS`; of two, the
/// first that is set counts:
///
/// | variable | meaning | default |
/// |---|---|---|
/// | `OTEL_EXPORTER_OTLP_‹SIGNAL›_ENDPOINT` | URL, used as it is | |
/// | `OTEL_EXPORTER_OTLP_ENDPOINT` | base URL, `/v1/traces`, `/v1/logs` or `/v1/metrics` is appended; for gRPC a URL without a path, or a host and port | |
/// | `OTEL_EXPORTER_OTLP_‹SIGNAL›_INSECURE`, `OTEL_EXPORTER_OTLP_INSECURE` | `true`: a gRPC endpoint without `http://` or `https://` is spoken to in clear | `false` |
/// | `OTEL_EXPORTER_OTLP_‹SIGNAL›_HEADERS`, `OTEL_EXPORTER_OTLP_HEADERS` | `key=value,…`, percent-encoded | none |
/// | `OTEL_EXPORTER_OTLP_‹SIGNAL›_TIMEOUT`, `OTEL_EXPORTER_OTLP_TIMEOUT` | milliseconds for one request; 0: as long as its batch is tried | 10,000 |
/// | `OTEL_EXPORTER_OTLP_‹SIGNAL›_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf`, `http/json` or `grpc` | `http/protobuf` |
/// | `OTEL_EXPORTER_OTLP_‹SIGNAL›_COMPRESSION`, `OTEL_EXPORTER_OTLP_COMPRESSION` | `gzip`, `zstd` (not every receiver takes it) or `none` | `none` |
/// | `OTEL_EXPORTER_OTLP_‹SIGNAL›_CERTIFICATE`, `OTEL_EXPORTER_OTLP_CERTIFICATE` | file of the authorities to trust, in PEM format | those of the system |
/// | `OTEL_EXPORTER_OTLP_‹SIGNAL›_CLIENT_CERTIFICATE`, `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE` | file of a certificate to show, in PEM format | none |
/// | `OTEL_EXPORTER_OTLP_‹SIGNAL›_CLIENT_KEY`, `OTEL_EXPORTER_OTLP_CLIENT_KEY` | file of its private key, in PEM format | none |
/// | `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`, for logs `OTEL_BLRP_…` | spans, log records in a request | 512 |
/// | `OTEL_BSP_SCHEDULE_DELAY`, for logs `OTEL_BLRP_…` | milliseconds until a batch that is not full is sent | 5,000; logs 1,000 |
/// | `OTEL_BSP_MAX_QUEUE_SIZE`, for logs `OTEL_BLRP_…` | spans, log records that wait for the receiver | 262,144 |
/// | `OTEL_BSP_EXPORT_TIMEOUT`, for logs `OTEL_BLRP_…`, for metrics `OTEL_METRIC_EXPORT_TIMEOUT` | milliseconds for which a batch is tried, 0 for ever | 300,000 |
/// | `OTEL_METRIC_EXPORT_INTERVAL` | [`Config::metric_interval`], in milliseconds | 60,000 |
/// | `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` | `cumulative`, `delta` or `lowmemory`, see [`TemporalityPreference`] | `cumulative` |
/// | `OTEL_SDK_DISABLED` | `true`: nothing is sent | `false` |
/// | `OTEL_‹SIGNAL›_EXPORTER` | `none`: the signal is not sent; other exporters are not here | `otlp` |
///
/// A signal without an endpoint is not sent.
///
/// The specification would have a value that makes no sense ignored with a
/// warning. Here it is an error, because a typing mistake that costs a day's
/// traces is worse than a program that says what is wrong when it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    traces: Option<SignalConfig>,
    logs: Option<SignalConfig>,
    metrics: Option<SignalConfig>,
    metric_interval: Duration,
    temporality: TemporalityPreference,
}

/// What there is to know of one signal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SignalConfig {
    pub(crate) signal: Signal,
    pub(crate) protocol: Protocol,
    pub(crate) endpoint: Uri,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// For how long one request goes on; [`Duration::MAX`] is without end.
    pub(crate) timeout: Duration,
    /// For how long a batch is tried, again and again; [`Duration::MAX`] is without end.
    pub(crate) give_up_after: Duration,
    pub(crate) compression: Compression,
    pub(crate) tls: Tls,
    pub(crate) batch: BatchLimits,
    pub(crate) queue: QueueLimits,
}

/// Reads one variable.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Config {
    /// What the environment of the process says.
    ///
    /// `None` if `OTEL_SDK_DISABLED` is `true`, or if there is no signal that has an endpoint and is
    /// not set to `none`: the specification's default, `http://localhost:4318`, is not assumed, so a
    /// program that was told nothing sends nothing.
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
        let endpoint = |signal| {
            let own = Variables::of(signal).endpoint;
            let given = |input, place| Some(Given { input, url: env::get(lookup, input)?, place });
            let endpoint = given(own, Place::Whole).or_else(|| given(ENDPOINT, Place::Base));
            // Who has no endpoint may mean the exporters of others.
            Ok(if endpoint.is_some() && is_exported(lookup, signal)? { endpoint } else { None })
        };
        let config = Self::with_endpoints(endpoint, lookup)?;
        Ok(Signal::ALL.iter().any(|signal| config.of(*signal).is_some()).then_some(config))
    }

    /// For a URL that the program was given. `/v1/traces` is appended unless its path
    /// ends so; logs and metrics go beside it. All else is as the environment says, except that
    /// neither an endpoint, nor `OTEL_SDK_DISABLED`, nor `OTEL_TRACES_EXPORTER` in the environment
    /// overrules the program.
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
        let endpoint = |signal| {
            let wanted = signal == Signal::Traces || is_exported(lookup, signal)?;
            let given = || Given { input: GIVEN, url: url.to_owned(), place: Place::Program };
            Ok(wanted.then(given))
        };
        Self::with_endpoints(endpoint, lookup)
    }

    /// For a program that does not want the environment's: nothing is read from it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use observe_collector::Signal;
    /// use observe_collector::otlp::{Compression, Config, ConfigError};
    ///
    /// # fn main() -> Result<(), ConfigError> {
    /// let config = Config::builder()
    ///     .endpoint("https://otlp.example:4318")
    ///     .header("authorization", "Bearer secret")
    ///     .compression(Compression::Gzip)
    ///     .timeout(Duration::from_secs(5))
    ///     .without(Signal::Metrics)
    ///     .build()?;
    ///
    /// let traces = config.endpoint(Signal::Traces);
    /// assert_eq!(traces.as_deref(), Some("https://otlp.example:4318/v1/traces"));
    /// assert_eq!(config.endpoint(Signal::Metrics), None);
    ///
    /// let error = Config::builder().endpoint("otlp.example:4318").build().unwrap_err();
    /// assert!(error.to_string().starts_with("OTLP endpoint: `otlp.example:4318` has no scheme"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::new()
    }

    /// The URL that batches of a signal are posted to, for people: of a query, which may hold a key,
    /// it says no more than `?…`. `None` if the signal is not sent.
    pub fn endpoint(&self, signal: Signal) -> Option<String> {
        self.of(signal).map(SignalConfig::shown_endpoint)
    }

    /// How often to ask for metrics, for [`Builder::metrics`](crate::Builder::metrics).
    pub fn metric_interval(&self) -> Duration {
        self.metric_interval
    }

    /// What becomes of a batch for which the queue of its signal has no room;
    /// [`WhenFull::DropNew`] unless told.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        for config in [&mut self.traces, &mut self.logs, &mut self.metrics].into_iter().flatten() {
            config.queue.when_full = when_full;
        }
        self
    }

    /// Since when metrics that go out were added up; [`TemporalityPreference::Cumulative`] unless
    /// told.
    pub fn temporality(mut self, preference: TemporalityPreference) -> Self {
        self.temporality = preference;
        self
    }

    pub(crate) fn temporality_preference(&self) -> TemporalityPreference {
        self.temporality
    }

    pub(crate) fn of(&self, signal: Signal) -> Option<&SignalConfig> {
        match signal {
            Signal::Traces => self.traces.as_ref(),
            Signal::Logs => self.logs.as_ref(),
            Signal::Metrics => self.metrics.as_ref(),
        }
    }

    fn with_endpoints(
        endpoint: impl Fn(Signal) -> Result<Option<Given>, ConfigError>,
        lookup: Lookup<'_>,
    ) -> Result<Self, ConfigError> {
        let read = |signal| match endpoint(signal)? {
            Some(endpoint) => SignalConfig::read(signal, &endpoint, lookup).map(Some),
            None => Ok(None),
        };
        let metrics = read(Signal::Metrics)?;
        let (mut metric_interval, mut temporality) = (None, TemporalityPreference::default());
        if metrics.is_some() {
            metric_interval = number(lookup, &[METRIC_INTERVAL], 1, "milliseconds")?;
            if let Some((input, value)) = first(lookup, &[TEMPORALITY]) {
                temporality = TemporalityPreference::parse(input, value)?;
            }
        }
        Ok(Config {
            traces: read(Signal::Traces)?,
            logs: read(Signal::Logs)?,
            metrics,
            metric_interval: metric_interval.map_or(DEFAULT_METRIC_INTERVAL, Duration::from_millis),
            temporality,
        })
    }
}

/// An endpoint as it was given.
struct Given {
    input: &'static str,
    url: String,
    place: Place,
}

/// What a URL is good for.
#[derive(Clone, Copy)]
enum Place {
    /// It is that of the signal.
    Whole,
    /// The signal's path goes behind it.
    Base,
    /// The same, unless its path is that of traces already.
    Program,
}

impl Given {
    #[cfg_attr(
        not(feature = "grpc"),
        expect(unused_variables, reason = "only gRPC endpoints depend on other variables")
    )]
    fn resolve(
        &self,
        signal: Signal,
        protocol: Protocol,
        lookup: Lookup<'_>,
    ) -> Result<Uri, ConfigError> {
        let (input, own) = (self.input, Variables::of(signal));
        match (protocol, self.place) {
            #[cfg(feature = "grpc")]
            (Protocol::Grpc, _) => {
                let insecure = || Ok(boolean(lookup, &own.insecure)?.unwrap_or(false));
                url::parse_grpc(input, &self.url, insecure)
            }
            (_, Place::Whole) => url::parse(input, &self.url),
            (_, Place::Base) => url::append(input, &url::parse(input, &self.url)?, own.path),
            (_, Place::Program) => {
                let of_traces = Variables::of(Signal::Traces).path;
                let base = url::parse(input, &self.url)?;
                url::append_or_replace(input, &base, own.path, of_traces)
            }
        }
    }
}

impl SignalConfig {
    fn read(signal: Signal, endpoint: &Given, lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let own = Variables::of(signal);
        let protocol = match first(lookup, &own.protocol) {
            Some((input, value)) => Protocol::parse(input, value)?,
            None => Protocol::HttpProtobuf,
        };
        let endpoint = endpoint.resolve(signal, protocol, lookup)?;
        let headers = match first(lookup, &own.headers) {
            Some((input, list)) => parse_headers(input, &list)?,
            None => Vec::new(),
        };
        let compression = match first(lookup, &own.compression) {
            Some((input, value)) => Compression::parse(input, value)?,
            None => Compression::None,
        };
        let tls = Tls::read(own, lookup)?;
        let mut batch = BatchLimits::of(signal);
        let mut queue = QueueLimits::default();
        if let Some(own) = &own.batch {
            let size = |input| {
                let number = number(lookup, &[input], 1, own.unit)?;
                Ok::<_, ConfigError>(number.map(|size| usize::try_from(size).unwrap_or(usize::MAX)))
            };
            if let Some(delay) = number(lookup, &[own.delay], 0, "milliseconds")? {
                batch.delay = Duration::from_millis(delay);
            }
            if let Some(size) = size(own.queue_size)? {
                queue.items = size;
            }
            if let Some(size) = size(own.batch_size)? {
                batch.items = size;
            }
        }
        // A batch that does not fit into the queue could never be sent.
        batch.items = batch.items.min(queue.items);
        let timeout = time(lookup, &own.timeout)?.unwrap_or(DEFAULT_TIMEOUT);
        let give_up_after = time(lookup, &[own.export_timeout])?.unwrap_or(MAX_ELAPSED);
        Ok(SignalConfig {
            signal,
            protocol,
            endpoint,
            headers,
            timeout: timeout.min(give_up_after),
            give_up_after,
            compression,
            tls,
            batch,
            queue,
        })
    }

    /// Where batches go, for people: without what a query says, and without the path of the root,
    /// which gRPC does not have.
    pub(crate) fn shown_endpoint(&self) -> String {
        let shown = url::shown(&self.endpoint.to_string());
        match self.protocol.is_grpc() {
            true => shown.trim_end_matches('/').to_owned(),
            false => shown,
        }
    }
}

/// Whether the environment lets a signal be sent.
fn is_exported(lookup: Lookup<'_>, signal: Signal) -> Result<bool, ConfigError> {
    Ok(env::is_exported(lookup, Variables::of(signal).exporter)?)
}

/// The first of these variables that is set.
fn first(lookup: Lookup<'_>, names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| Some((*name, env::get(lookup, name)?.trim().to_owned())))
}

/// The number in the first of these variables that is set.
fn number(
    lookup: Lookup<'_>,
    names: &[&'static str],
    least: u64,
    unit: &'static str,
) -> Result<Option<u64>, ConfigError> {
    match first(lookup, names) {
        Some((input, value)) => match value.parse::<u64>() {
            Ok(number) if number >= least => Ok(Some(number)),
            _ => Err(ConfigError::Number { input, value, least, unit }),
        },
        None => Ok(None),
    }
}

/// The milliseconds in the first of these variables that is set. 0 is without end, by the
/// [specification].
///
/// [specification]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#timeout
fn time(lookup: Lookup<'_>, names: &[&'static str]) -> Result<Option<Duration>, ConfigError> {
    let millis = number(lookup, names, 0, "milliseconds")?;
    Ok(millis.map(|millis| match millis {
        0 => Duration::MAX,
        millis => Duration::from_millis(millis),
    }))
}

/// What the first of these variables says that is set.
#[cfg(feature = "grpc")]
fn boolean(lookup: Lookup<'_>, names: &[&'static str]) -> Result<Option<bool>, ConfigError> {
    match first(lookup, names) {
        Some((_, value)) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some((_, value)) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some((input, value)) => Err(ConfigError::Bool { input, value }),
        None => Ok(None),
    }
}

fn parse_headers(
    input: &'static str,
    list: &str,
) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
    let pairs = env::list(list).map_err(|cause| ConfigError::Headers { input, cause })?;
    pairs.into_iter().map(|(key, value)| header(input, key, &value)).collect()
}

/// A header as it is sent. Its value is shown nowhere.
fn header(
    input: &'static str,
    key: String,
    value: &str,
) -> Result<(HeaderName, HeaderValue), ConfigError> {
    let may_be_set =
        |name: &HeaderName| !OURS.contains(name) && !name.as_str().starts_with("grpc-");
    let name = HeaderName::from_bytes(key.as_bytes()).ok().filter(may_be_set);
    let value = HeaderValue::from_str(value).ok();
    let header = name.zip(value.map(|mut value| {
        value.set_sensitive(true);
        value
    }));
    header.ok_or(ConfigError::Header { input, key })
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
