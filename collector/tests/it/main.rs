//! The crate from outside: what it writes, what it delivers, what it counts.

mod channel;
mod encode;
mod fixtures;
mod http;
mod http_signals;
mod server;
mod signals;
