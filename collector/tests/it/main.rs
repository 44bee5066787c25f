//! The crate from outside: what it writes, what it delivers, what it counts.

mod allocations;
mod channel;
mod delivery;
mod delivery_signals;
mod encode;
mod faults;
mod fixtures;
mod opentelemetry;
mod server;
mod signals;
