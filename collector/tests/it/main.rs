//! The crate from outside: what it writes, what it delivers, what it counts.

mod aggregate;
mod allocations;
mod assembly;
mod channel;
mod crash;
mod delivery;
mod delivery_signals;
mod disk;
mod encode;
mod environment;
mod faults;
mod fixtures;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "grpc")]
mod grpc_faults;
#[cfg(feature = "grpc")]
mod grpc_server;
#[cfg(feature = "http-json")]
mod http_json;
mod opentelemetry;
mod profile;
mod sampling;
mod server;
mod signals;
mod telemetry;
mod tls;
