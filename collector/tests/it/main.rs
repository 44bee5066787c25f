//! The crate from outside: what it writes, what it delivers, what it counts.

mod channel;
mod delivery;
mod delivery_signals;
mod encode;
mod fixtures;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "grpc")]
mod grpc_faults;
#[cfg(feature = "grpc")]
mod grpc_server;
#[cfg(feature = "http-json")]
mod http_json;
mod server;
mod signals;
