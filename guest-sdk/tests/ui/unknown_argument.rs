#![expect(unused_variables, reason = "only messages matter")]
use observe::instrument;

#[instrument(feilds(n))]
fn near(n: u32) {}

#[instrument(target = "orders")]
fn far(n: u32) {}

#[instrument("orders")]
fn literal(n: u32) {}

fn main() {}
