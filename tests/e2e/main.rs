//! End-to-end tests: what a user does, on real programs, judged from outside.

mod abi;
mod as_wasm;
mod bad_input;
mod beside;
mod c_headers;
mod contract;
mod corpus;
mod dylibso;
mod examples;
mod fuzz;
mod harness;
mod hooks;
mod instrument;
mod integrations;
mod languages;
mod memory;
mod otlp;
mod prometheus;
mod remove;
mod run;
#[path = "../../instrumenter/tests/remove/same.rs"]
mod same;
mod spec;
mod toolchains;
mod wrappers;
