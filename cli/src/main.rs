//! Observability for WebAssembly, on the command line.

mod command;
mod config;
mod exit_code;
mod input;
mod progress;
mod view;

use std::process::ExitCode;

use clap::Parser;

use crate::command::{inspect, instrument, queue, run};
use crate::view::text::{clean, say};

/// See inside WebAssembly modules: spans, calls and durations of any guest.
///
/// `observe run app.wasm` runs a module and shows where its time went; `observe
/// instrument app.wasm` writes a module that reports to any host with the hooks.
#[derive(Parser)]
#[command(name = "observe", version, after_help = exit_code::HELP)]
enum Observe {
    Run(run::Opts),
    Instrument(instrument::Opts),
    Inspect(inspect::Opts),
    Queue(queue::Opts),
}

fn main() -> ExitCode {
    let outcome = match Observe::parse() {
        Observe::Run(opts) => opts.run(),
        Observe::Instrument(opts) => opts.run(),
        Observe::Inspect(opts) => opts.run(),
        Observe::Queue(opts) => opts.run(),
    };
    outcome.unwrap_or_else(|error| {
        if input::is_broken_pipe(&error) {
            return ExitCode::from(exit_code::BROKEN_PIPE);
        }
        // One line, whatever the cause is made of.
        let line = format!("{error:#}").replace('\n', ": ");
        say(&format!("observe: {}\n", clean(&line)));
        ExitCode::from(exit_code::BAD_INPUT)
    })
}
