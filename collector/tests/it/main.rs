//! The crate from outside: what it writes, what it delivers, what it counts.

mod aggregate;
mod allocations;
mod assembly;
mod channel;
mod delivery;
mod delivery_signals;
mod encode;
mod faults;
mod fixtures;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "grpc")]
mod grpc_faults;
#[cfg(feature = "grpc")]
mod grpc_server;
mod opentelemetry;
mod sampling;
mod server;
mod signals;
mod telemetry;
