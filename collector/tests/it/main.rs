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
mod profile;
mod server;
mod signals;
