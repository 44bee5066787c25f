//! How batches travel: the protocol and the compression.

use std::fmt;

use super::error::ConfigError;

/// How OTLP travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// `http/protobuf`: a POST for each batch.
    HttpProtobuf,
    /// `grpc`: a call for each batch, over HTTP/2.
    #[cfg(feature = "grpc")]
    Grpc,
}

impl Protocol {
    /// Reads the value of the variable `input`.
    pub(super) fn parse(input: &'static str, value: String) -> Result<Self, ConfigError> {
        match &*value {
            "http/protobuf" => Ok(Protocol::HttpProtobuf),
            #[cfg(feature = "grpc")]
            "grpc" => Ok(Protocol::Grpc),
            #[cfg(not(feature = "grpc"))]
            "grpc" => Err(ConfigError::Feature { input, value, feature: "grpc" }),
            _ => Err(ConfigError::Protocol { input, value }),
        }
    }

    pub(super) fn is_grpc(self) -> bool {
        match self {
            Protocol::HttpProtobuf => false,
            #[cfg(feature = "grpc")]
            Protocol::Grpc => true,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::HttpProtobuf => "http/protobuf",
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
}

impl Compression {
    /// Reads the value of the variable `input`.
    pub(super) fn parse(input: &'static str, value: String) -> Result<Self, ConfigError> {
        match &*value {
            "none" => Ok(Compression::None),
            "gzip" => Ok(Compression::Gzip),
            _ => Err(ConfigError::Compression { input, value }),
        }
    }
}
