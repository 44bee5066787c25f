//! Why a configuration cannot be used.

use thiserror::Error;

use crate::env::{ExporterError, ListError};

/// Why a configuration cannot be used. `input` is the variable, or for what the program was
/// given a name such as `OTLP endpoint`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No endpoint for any signal.
    #[error("OTLP endpoint: none is given, set one for all signals or for one")]
    NoEndpoint,
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
    /// A path where a gRPC endpoint has none.
    #[error(
        "{input}: `{url}` has a path, which gRPC does not take; write a host and port, for example http://localhost:4317"
    )]
    GrpcPath {
        /// Where it was given.
        input: &'static str,
        /// The URL.
        url: String,
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
    #[error("{input}: `{value}` is not supported, use http/protobuf, http/json or grpc")]
    Protocol {
        /// The variable.
        input: &'static str,
        /// Its value.
        value: String,
    },
    /// A protocol or compression that was left out of this build.
    #[error(
        "{input}: `{value}` is not in this build, turn on feature `{feature}` of observe-collector"
    )]
    Feature {
        /// The variable.
        input: &'static str,
        /// Its value.
        value: String,
        /// The feature of this crate.
        feature: &'static str,
    },
    /// What is neither `true` nor `false`.
    #[error("{input}: `{value}` is neither true nor false")]
    Bool {
        /// The variable.
        input: &'static str,
        /// Its value.
        value: String,
    },
    /// A compression that this version does not know.
    #[error("{input}: `{value}` is not supported, use gzip, zstd or none")]
    Compression {
        /// The variable.
        input: &'static str,
        /// Its value.
        value: String,
    },
    /// A temporality that there is not.
    #[error("{input}: `{value}` is not supported, use cumulative, delta or lowmemory")]
    Temporality {
        /// The variable.
        input: &'static str,
        /// Its value.
        value: String,
    },
    /// A file of certificates or a key that cannot be used.
    #[error("{input}: {path}: {cause}")]
    File {
        /// The variable.
        input: &'static str,
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A client certificate without its key, or the other way round.
    #[error("{input} is set, but {missing} is not; a client certificate needs both")]
    Half {
        /// The variable.
        input: &'static str,
        /// What has to be set, too.
        missing: &'static str,
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
    /// An exporter that is not here.
    #[error(transparent)]
    Exporter(#[from] ExporterError),
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
