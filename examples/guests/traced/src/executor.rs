//! Futures that take turns.

use std::future::{self, Future};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Polls each in turn until all are done.
pub(crate) fn join(mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>>) {
    let mut context = Context::from_waker(Waker::noop());
    while !tasks.is_empty() {
        tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
    }
}

/// Lets the others have a turn.
pub(crate) async fn others_turn() {
    let mut had = false;
    future::poll_fn(|_| {
        if std::mem::replace(&mut had, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
