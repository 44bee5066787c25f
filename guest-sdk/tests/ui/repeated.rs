#![expect(unused_variables, reason = "only messages matter")]
use observe::instrument;

#[instrument(err, name = "a", err)]
fn argument() -> Result<(), ()> {
    Ok(())
}

#[instrument(fields(a = 1, n, a = 2))]
fn field(n: u32) {}

#[instrument(skip(n, n))]
fn skipped(n: u32) {}

#[instrument(skip_all, skip(n))]
fn skipped_with_all(n: u32) {}

fn main() {}
