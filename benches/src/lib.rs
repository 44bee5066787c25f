//! What the benchmarks have in common: how time is read, what is run, how results are
//! put.
//!
//! A benchmark runs all its contenders in turn, round after round, in one process,
//! so that what slows the machine for a while slows them all. Nothing is asserted of
//! a time: see docs/BENCHMARKS.md for how to read the tables.
//!
//! The files stand in the order in which they are used: `args` says what to run,
//! `corpus` finds the modules, `program` gives them work, for which `input` makes
//! something to do, and `time`, `memory`, `status` and `spread` measure it.

mod args;
mod corpus;
mod input;
pub mod memory;
mod program;
mod spread;
mod status;
mod time;

pub use args::Args;
pub use corpus::{NO_CORPUS, corpus};
pub use program::{Done, Program, Sandbox, Stdout};
pub use spread::Spread;
pub use status::status;
pub use time::{process_time, thread_time};

/// What a benchmark stops with.
pub type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;
