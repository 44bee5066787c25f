//! The crate from outside: what it writes, what it delivers, what it counts.

mod allocations;
mod channel;
mod crash;
mod delivery;
mod delivery_signals;
mod disk;
mod encode;
mod faults;
mod fixtures;
mod server;
mod signals;
