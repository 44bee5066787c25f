//! The crate from outside: what it writes, what it delivers, what it counts.

mod channel;
mod encode;
mod fixtures;
mod http;
mod server;
mod signals;
