//! The same in several processes, one after the other: where code and data come to lie is
//! drawn anew for each, and makes some of the difference.

use std::process::{Command, Stdio};

use observe_benches::{Args, Result};

use crate::table::Table;

/// Set in a process whose tables another one merges.
const MERGED: &str = "OBSERVE_BENCHES_MERGED";

/// Runs this program so often, and prints what it came to.
pub fn run(args: &Args) -> Result<()> {
    let mut all: Vec<Vec<Table>> = Vec::new();
    for process in 1..=args.processes {
        eprintln!("process {process} of {}", args.processes);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args.for_one_process()).env(MERGED, "1").stderr(Stdio::inherit());
        let output = command.output()?;
        if !output.status.success() {
            return Err(format!("process {process} fails: {}", output.status).into());
        }
        let tables = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
        all.push(tables.collect::<Result<_, _>>()?);
    }
    let contests = all.first().map_or(0, Vec::len);
    for contest in 0..contests {
        let tables: Vec<_> = all.iter().filter_map(|tables| tables.get(contest)).cloned().collect();
        Table::merged(&tables).iter().for_each(|table| print!("{table}"));
    }
    Ok(())
}

/// Prints a table, for people or for the process that merges it.
pub fn give(table: &Table) -> Result<()> {
    match std::env::var_os(MERGED) {
        Some(_) => println!("{}", serde_json::to_string(table)?),
        None => print!("{table}"),
    }
    Ok(())
}
