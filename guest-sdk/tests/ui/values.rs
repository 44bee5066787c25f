use observe::{attributes, info, span};

struct Opaque;

#[observe::instrument(fields(opaque = Opaque))]
fn field() {}

fn main() {
    let _span = span!("x", opaque = Opaque);
    let _ = attributes!["key"];
    info!("message", key = 1);
}
