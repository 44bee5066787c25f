//! Instruments the module on standard input, with `--all` every function of it, and
//! says on standard error what did not survive.

use std::error::Error;
use std::io::{Read, Write};

use observe_instrumenter::{Module, Plan, Selection};

fn main() -> Result<(), Box<dyn Error>> {
    let selection = match std::env::args().nth(1).as_deref() {
        Some("--all") => Selection::all().allocations(true),
        _ => Selection::default(),
    };
    let mut wasm = Vec::new();
    std::io::stdin().read_to_end(&mut wasm)?;
    let module = Module::parse(&wasm)?;
    let instrumented = Plan::new(&module, &selection).apply(&module)?;
    for warning in &instrumented.warnings {
        eprintln!("{warning}");
    }
    std::io::stdout().write_all(&instrumented.wasm)?;
    Ok(())
}
