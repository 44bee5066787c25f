#![expect(unused_variables, reason = "only messages matter")]
use observe::instrument;

#[instrument(level = "information")]
fn level() {}

#[instrument(level = 3)]
fn number() {}

#[instrument(kind = "rpc")]
fn kind() {}

#[instrument(name)]
fn name() {}

#[instrument(skip = "n")]
fn skip(n: u32) {}

#[instrument(err(Json))]
fn err() -> Result<(), ()> {
    Ok(())
}

fn main() {}
