//! A configuration by a program that does not want the environment's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::ConfigError;
use super::tls::Tls;
use super::variables::Variables;
use super::{
    Compression, Config, DEFAULT_TIMEOUT, GIVEN, Given, Place, Protocol, SignalConfig,
    TemporalityPreference, header,
};
use crate::metrics::DEFAULT_METRIC_INTERVAL;
use crate::otlp::batch::BatchLimits;
use crate::otlp::queue::{QueueLimits, WhenFull};
use crate::otlp::retry::MAX_ELAPSED;
use crate::stats::Signal;

/// Makes a [`Config`] and reads nothing from the environment; see [`Config::builder`].
///
/// What is not told is as the environment has it by default. What cannot be used is an error of
/// [`ConfigBuilder::build`].
#[derive(Clone, Debug)]
pub struct ConfigBuilder {
    endpoint: Option<String>,
    own_endpoints: Vec<(Signal, String)>,
    without: Vec<Signal>,
    protocol: Protocol,
    headers: Vec<(String, String)>,
    timeout: Duration,
    give_up_after: Duration,
    compression: Compression,
    authorities: Option<PathBuf>,
    client: Option<(PathBuf, PathBuf)>,
    batch_items: Option<usize>,
    batch_delay: Option<Duration>,
    queue: QueueLimits,
    temporality: TemporalityPreference,
}

impl ConfigBuilder {
    pub(super) fn new() -> Self {
        ConfigBuilder {
            endpoint: None,
            own_endpoints: Vec::new(),
            without: Vec::new(),
            protocol: Protocol::HttpProtobuf,
            headers: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            give_up_after: MAX_ELAPSED,
            compression: Compression::None,
            authorities: None,
            client: None,
            batch_items: None,
            batch_delay: None,
            queue: QueueLimits::default(),
            temporality: TemporalityPreference::default(),
        }
    }

    /// Where all signals go that have no endpoint of their own: a URL, to which HTTP has
    /// `/v1/traces` appended unless its path ends so, and gRPC appends nothing. Logs and metrics go
    /// beside it.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Where a signal goes: a URL, used as it is.
    pub fn endpoint_of(mut self, signal: Signal, url: impl Into<String>) -> Self {
        self.own_endpoints.retain(|(of, _)| *of != signal);
        self.own_endpoints.push((signal, url.into()));
        self
    }

    /// Sends nothing of a signal, whatever endpoints there are.
    pub fn without(mut self, signal: Signal) -> Self {
        self.without.push(signal);
        self
    }

    /// How batches travel; [`Protocol::HttpProtobuf`] unless told.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Adds a header to each request, over gRPC as metadata. The value is shown nowhere.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// For how long one request goes on; 10 seconds unless told. [`Duration::MAX`]: as long as its
    /// batch is tried.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// For how long a batch is tried, again and again; 5 minutes unless told. [`Duration::MAX`]: for
    /// ever.
    pub fn give_up_after(mut self, time: Duration) -> Self {
        self.give_up_after = time;
        self
    }

    /// What makes requests smaller; [`Compression::None`] unless told.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// A file of the only authorities to trust, in PEM format; without it those of the system are.
    pub fn certificate(mut self, path: impl Into<PathBuf>) -> Self {
        self.authorities = Some(path.into());
        self
    }

    /// Files of a certificate to show and of its private key, both in PEM format.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.client = Some((certificate.into(), key.into()));
        self
    }

    /// Spans, and log records, in a request; 512 unless told, and no more than the queue takes.
    /// Metrics are sent as they are taken.
    pub fn batch_size(mut self, items: usize) -> Self {
        self.batch_items = Some(items);
        self
    }

    /// For how long a batch of spans or log records that is not full waits; 5 seconds for spans and
    /// one for log records unless told.
    pub fn batch_delay(mut self, delay: Duration) -> Self {
        self.batch_delay = Some(delay);
        self
    }

    /// Items and encoded bytes of each signal that wait for the receiver; 262,144 and 64 MiB unless
    /// told.
    pub fn queue_size(mut self, items: usize, bytes: usize) -> Self {
        (self.queue.items, self.queue.bytes) = (items, bytes);
        self
    }

    /// As [`Config::when_full`].
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.queue.when_full = when_full;
        self
    }

    /// As [`Config::temporality`].
    pub fn temporality(mut self, preference: TemporalityPreference) -> Self {
        self.temporality = preference;
        self
    }

    /// The configuration. Files are read here.
    ///
    /// # Errors
    ///
    /// If there is no endpoint, or something cannot be used.
    pub fn build(self) -> Result<Config, ConfigError> {
        let sizes = [
            ("OTLP batch size", self.batch_items.unwrap_or(1), "a number of items"),
            ("OTLP queue size", self.queue.items, "a number of items"),
            ("OTLP queue size", self.queue.bytes, "a number of bytes"),
        ];
        for (input, size, unit) in sizes {
            if size == 0 {
                return Err(ConfigError::Number { input, value: "0".to_owned(), least: 1, unit });
            }
        }
        let given = |path: &'static str, file: &Path| (path, file.to_owned());
        let client = self.client.as_ref();
        let tls = Tls::load(
            self.authorities.as_deref().map(|file| given("OTLP certificate", file)),
            client.map(|(certificate, key)| {
                let certificate = given("OTLP client certificate", certificate);
                (certificate, given("OTLP client key", key))
            }),
        )?;
        let headers = self.headers.iter();
        let headers = headers.map(|(key, value)| header("OTLP header", key.clone(), value));
        let headers: Vec<_> = headers.collect::<Result<_, _>>()?;
        let of = |signal| {
            let Some(endpoint) = self.given(signal) else {
                return Ok::<_, ConfigError>(None);
            };
            let mut batch = BatchLimits::of(signal);
            if Variables::of(signal).batch.is_some() {
                batch.items = self.batch_items.unwrap_or(batch.items);
                batch.delay = self.batch_delay.unwrap_or(batch.delay);
            }
            // A batch that does not fit into the queue could never be sent.
            batch.items = batch.items.min(self.queue.items);
            Ok(Some(SignalConfig {
                signal,
                protocol: self.protocol,
                endpoint: endpoint.resolve(signal, self.protocol, &|_| None)?,
                headers: headers.clone(),
                timeout: self.timeout.min(self.give_up_after),
                give_up_after: self.give_up_after,
                compression: self.compression,
                tls: tls.clone(),
                batch,
                queue: self.queue,
            }))
        };
        let config = Config {
            traces: of(Signal::Traces)?,
            logs: of(Signal::Logs)?,
            metrics: of(Signal::Metrics)?,
            metric_interval: DEFAULT_METRIC_INTERVAL,
            temporality: self.temporality,
        };
        match Signal::ALL.iter().any(|signal| config.of(*signal).is_some()) {
            true => Ok(config),
            false => Err(ConfigError::NoEndpoint),
        }
    }

    fn given(&self, signal: Signal) -> Option<Given> {
        if self.without.contains(&signal) {
            return None;
        }
        let own = self.own_endpoints.iter().find(|(of, _)| *of == signal);
        let (url, place) = match own {
            Some((_, url)) => (url, Place::Whole),
            None => (self.endpoint.as_ref()?, Place::Program),
        };
        Some(Given { input: GIVEN, url: url.clone(), place })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::otlp::{Compression, Config, WhenFull};
    use crate::stats::Signal;

    #[test]
    fn what_is_not_told_is_as_without_an_environment() {
        let built = Config::builder().endpoint("http://h:4318").build();
        assert_eq!(built, Config::for_endpoint_with("http://h:4318", &|_| None));
    }

    #[test]
    fn what_is_told_is_what_the_environment_could_tell() {
        let lookup = |name: &str| {
            let value = match name {
                "OTEL_EXPORTER_OTLP_HEADERS" => "authorization=Bearer%20x,x-tenant=7",
                "OTEL_EXPORTER_OTLP_TIMEOUT" => "1500",
                "OTEL_EXPORTER_OTLP_COMPRESSION" => "gzip",
                "OTEL_BSP_EXPORT_TIMEOUT"
                | "OTEL_BLRP_EXPORT_TIMEOUT"
                | "OTEL_METRIC_EXPORT_TIMEOUT" => "20000",
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE" | "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE" => "100",
                "OTEL_BSP_SCHEDULE_DELAY" | "OTEL_BLRP_SCHEDULE_DELAY" => "250",
                "OTEL_METRICS_EXPORTER" => "none",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let expected = Config::for_endpoint_with("http://h:4318", &lookup).expect("valid");
        let built = Config::builder()
            .endpoint("http://h:4318/v1/traces")
            .without(Signal::Metrics)
            .header("authorization", "Bearer x")
            .header("x-tenant", "7")
            .timeout(Duration::from_millis(1500))
            .give_up_after(Duration::from_secs(20))
            .compression(Compression::Gzip)
            .batch_size(100)
            .batch_delay(Duration::from_millis(250))
            .when_full(WhenFull::DropOld)
            .build();
        assert_eq!(built, Ok(expected.when_full(WhenFull::DropOld)));
    }

    #[test]
    fn signals_may_have_endpoints_of_their_own() {
        let built = Config::builder()
            .endpoint("http://h/base")
            .endpoint_of(Signal::Logs, "http://wrong")
            .endpoint_of(Signal::Logs, "http://logs/in")
            .queue_size(7, 1 << 20)
            .build()
            .expect("valid");
        let endpoints = Signal::ALL.map(|signal| built.endpoint(signal).expect("sent"));
        assert_eq!(
            endpoints,
            ["http://h/base/v1/traces", "http://logs/in", "http://h/base/v1/metrics"]
        );
        for signal in Signal::ALL {
            let config = built.of(signal).expect("sent");
            assert_eq!((config.queue.items, config.queue.bytes), (7, 1 << 20));
            assert_eq!(config.batch.items, 7, "fits into the queue");
        }
        let only = Config::builder().endpoint_of(Signal::Metrics, "http://h/m").build();
        let only = only.expect("valid");
        assert_eq!(Signal::ALL.map(|signal| only.of(signal).is_some()), [false, false, true]);
    }

    #[test]
    fn what_cannot_be_used_is_told_in_one_line() {
        let url = || Config::builder().endpoint("http://h");
        let missing = "/nowhere/file.pem";
        for (builder, expected) in [
            (Config::builder(), "OTLP endpoint: none is given"),
            (
                url().without(Signal::Traces).without(Signal::Logs).without(Signal::Metrics),
                "OTLP endpoint: none is given",
            ),
            (Config::builder().endpoint("h:4318"), "OTLP endpoint: `h:4318` has no scheme"),
            (url().header("host", "x"), "OTLP header: header `host` cannot be sent"),
            (url().header("a", "x\n"), "OTLP header: header `a` cannot be sent"),
            (url().batch_size(0), "OTLP batch size: `0` is not a whole number of at least 1"),
            (url().queue_size(0, 1), "OTLP queue size: `0` is not a whole number of at least 1"),
            (url().queue_size(1, 0), "OTLP queue size: `0` is not a whole number of at least 1"),
            (url().certificate(missing), "OTLP certificate: /nowhere/file.pem: "),
            (
                url().client_certificate(missing, "k"),
                "OTLP client certificate: /nowhere/file.pem: ",
            ),
        ] {
            let error = builder.build().expect_err(expected).to_string();
            assert!(error.starts_with(expected) && error.lines().count() == 1, "{error}");
        }
    }

    #[cfg(feature = "grpc")]
    #[test]
    fn grpc_endpoints_have_no_path() {
        let url = |url: &str| {
            Config::builder().protocol(crate::otlp::Protocol::Grpc).endpoint(url).build()
        };
        let endpoint = |given: &str| url(given).expect("valid").endpoint(Signal::Logs);
        assert_eq!(endpoint("http://h:4317").as_deref(), Some("http://h:4317"));
        assert_eq!(endpoint("h:4317").as_deref(), Some("https://h:4317"));
        assert!(url("http://h:4317/v1/traces").is_err());
    }
}
