//! The crate from outside: what it writes, what it delivers, what it counts.

mod channel;
mod delivery;
mod delivery_signals;
mod encode;
mod fixtures;
mod opentelemetry;
mod server;
mod signals;
