use observe::instrument;

struct Opaque;

#[instrument(ret)]
fn nothing() {}

#[instrument(err)]
fn infallible() {}

#[instrument(err)]
fn no_result() -> Option<u32> {
    None
}

#[instrument(err)]
fn not_shown() -> Result<(), Opaque> {
    Ok(())
}

#[instrument(ret)]
fn not_recorded() -> Opaque {
    Opaque
}

fn main() {}
