#![expect(unused_variables, reason = "only messages matter")]
use observe::instrument;

struct Order {
    id: u32,
}

impl Order {
    #[instrument(fields(self.id, item))]
    fn ship(&self, items: u32) {}

    #[instrument(fields(self.id))]
    fn new(id: u32) -> Self {
        Self { id }
    }
}

#[instrument(fields(customer))]
fn field(items: u32) {}

#[instrument(skip(self))]
fn receiver(items: u32) {}

#[instrument(skip(tiems))]
fn skip(items: u32) {}

#[instrument(fields("order.id"))]
fn text(items: u32) {}

fn main() {}
