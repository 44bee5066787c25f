#![deny(unused_must_use)]

fn main() {
    observe::span("ends at once");
    let delivery = observe::DetachedSpan::open("delivery");
    delivery.enter();
}
