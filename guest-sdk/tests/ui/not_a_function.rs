#[observe::instrument]
struct Order;

#[observe::instrument]
impl Order {
    fn ship() {}
}

#[observe::instrument]
static COUNT: u32 = 1;

trait Ship {
    #[observe::instrument]
    fn ship(&self);
}

#[observe::instrument]
const fn constant() -> u32 {
    7
}

fn main() {
    // What is refused is there all the same, so that its uses are no errors.
    Order::ship();
    let _: (Order, u32) = (Order, COUNT + constant());
}
