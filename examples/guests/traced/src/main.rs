//! A program that tells what it does by `tracing` and `log`, and so do crates that it is made of,
//! which know nothing of who listens. One line makes the host the listener.

mod executor;
mod fields;
mod logs;
mod web;

fn main() {
    observe::init();
    match std::env::args().nth(1).as_deref() {
        Some("fields") => fields::tell(),
        Some("logs") => logs::tell(),
        Some("panic") => logs::fail(),
        _ => web::serve(),
    }
}
