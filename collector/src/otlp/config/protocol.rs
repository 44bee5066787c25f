//! How batches travel: the protocol and the compression.

use std::fmt;

use super::error::ConfigError;

/// How OTLP travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// `http/protobuf`: a POST for each batch.
    HttpProtobuf,
    /// `http/json`: the same, told as JSON when it is sent, which takes several times the work.
    #[cfg(feature = "http-json")]
    HttpJson,
    /// `grpc`: a call for each batch, over HTTP/2.
    #[cfg(feature = "grpc")]
    Grpc,
}

impl Protocol {
    /// Reads the value of the variable `input`.
    pub(super) fn parse(input: &'static str, value: String) -> Result<Self, ConfigError> {
        match &*value {
            "http/protobuf" => Ok(Protocol::HttpProtobuf),
            #[cfg(feature = "http-json")]
            "http/json" => Ok(Protocol::HttpJson),
            #[cfg(not(feature = "http-json"))]
            "http/json" => Err(ConfigError::Feature { input, value, feature: "http-json" }),
            #[cfg(feature = "grpc")]
            "grpc" => Ok(Protocol::Grpc),
            #[cfg(not(feature = "grpc"))]
            "grpc" => Err(ConfigError::Feature { input, value, feature: "grpc" }),
            _ => Err(ConfigError::Protocol { input, value }),
        }
    }

    pub(super) fn is_grpc(self) -> bool {
        #[cfg(feature = "grpc")]
        if self == Protocol::Grpc {
            return true;
        }
        false
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::HttpProtobuf => "http/protobuf",
            #[cfg(feature = "http-json")]
            Protocol::HttpJson => "http/json",
            #[cfg(feature = "grpc")]
            Protocol::Grpc => "grpc",
        })
    }
}

/// What makes requests smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Nothing: requests are as long as they are.
    #[default]
    None,
    /// gzip at its fastest level, which every receiver has to take.
    Gzip,
    /// zstd at level 1: a fifth of the work, for receivers that know it. The specification does not
    /// name it; the OpenTelemetry Collector takes it over HTTP and gRPC, others refuse it.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Compression {
    /// Reads the value of the variable `input`.
    pub(super) fn parse(input: &'static str, value: String) -> Result<Self, ConfigError> {
        match &*value {
            "none" => Ok(Compression::None),
            "gzip" => Ok(Compression::Gzip),
            #[cfg(feature = "zstd")]
            "zstd" => Ok(Compression::Zstd),
            #[cfg(not(feature = "zstd"))]
            "zstd" => Err(ConfigError::Feature { input, value, feature: "zstd" }),
            _ => Err(ConfigError::Compression { input, value }),
        }
    }
}
