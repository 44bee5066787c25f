//! What takes the place of the host in native programs, such as tests: nothing, until one asks for it.
//!
//! What was said is shown as lines of text, indented by what they stand in, without times and ids:
//!
//! ```
//! use observe::{Counter, attributes, event, info, native, span};
//!
//! static ORDERS: Counter = Counter::new("orders").unit("{order}");
//!
//! fn checkout() {
//!     let order = span!("POST /orders", order.id = 42);
//!     info!(customer = "ada", "order accepted");
//!     {
//!         let _span = observe::span("charge");
//!         event!("declined", attempt = 1);
//!         observe::current().error("card declined");
//!         order.attribute("paid", false);
//!     }
//!     ORDERS.add_with(1, &attributes![express = true]);
//! }
//!
//! let said = native::capture();
//! checkout();
//! assert_eq!(said.text(), "\
//! POST /orders order.id=42
//!   INFO order accepted customer=\"ada\"
//!   charge
//!     event: declined attempt=1
//!     error: card declined
//!     POST /orders: paid=false
//!   orders: +1 {order} express=true
//! ");
//! ```
//!
//! There is no trace, so that there is no `traceparent` and no baggage.

#[cfg(not(feature = "off"))]
pub(crate) mod host;
mod lines;

use std::marker::PhantomData;
use std::string::String;

/// Writes what is said to standard error, from now on. The environment variable `OBSERVE_STDERR`
/// with the value 1 does the same.
///
/// ```
/// observe::native::print();
/// let _span = observe::span("shown");
/// ```
pub fn print() {
    lines::print();
    crate::host::ask_again();
}

/// Keeps what this thread says from now on, until the value is dropped.
///
/// ```
/// let said = observe::native::capture();
/// observe::info!("{} left", 3);
/// assert_eq!(said.text(), "INFO 3 left\n");
/// ```
pub fn capture() -> Capture {
    lines::capture();
    crate::host::ask_again();
    Capture { not_send: PhantomData }
}

/// What a thread said since [`capture`] was called.
///
/// ```
/// let said: observe::native::Capture = observe::native::capture();
/// ```
#[derive(Debug)]
pub struct Capture {
    not_send: PhantomData<*const ()>,
}

impl Capture {
    /// All of it, in lines. With the feature `off` there are none.
    ///
    /// ```
    /// let said = observe::native::capture();
    /// assert_eq!(said.text(), "");
    /// ```
    pub fn text(&self) -> String {
        lines::captured()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        lines::end_capture();
    }
}
