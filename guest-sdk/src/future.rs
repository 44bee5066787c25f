//! Futures that belong to a span.

use core::borrow::Borrow;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::DetachedSpan;

impl DetachedSpan {
    /// Gives a future the span: it is entered on each poll, and when the future is dropped, and
    /// ends when the future returns or is dropped.
    ///
    /// ```
    /// use observe::detached_span;
    ///
    /// # async fn fetch(_: u32) {}
    /// async fn fetch_all(ids: &[u32]) {
    ///     for &id in ids {
    ///         detached_span!("fetch", id).follow(fetch(id)).await;
    ///     }
    /// }
    /// ```
    pub fn follow<F: Future>(self, future: F) -> Followed<F> {
        Followed::new(self, future)
    }
}

/// A future with a span that is entered on each poll: what [`DetachedSpan::follow`] gives.
///
/// ```
/// use std::future::{Ready, ready};
///
/// let followed: observe::Followed<Ready<u32>> = observe::DetachedSpan::open("x").follow(ready(1));
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct Followed<F, S: Borrow<DetachedSpan> = DetachedSpan> {
    span: S,
    /// Pinned if this is, and dropped as soon as it is ready.
    future: Option<F>,
}

impl<F, S: Borrow<DetachedSpan>> Followed<F, S> {
    pub(crate) fn new(span: S, future: F) -> Self {
        Self { span, future: Some(future) }
    }

    fn project(self: Pin<&mut Self>) -> (&DetachedSpan, Pin<&mut Option<F>>) {
        // SAFETY: nothing gives access to the future but through the pin, and it is dropped where
        // it is.
        unsafe {
            let this = self.get_unchecked_mut();
            (this.span.borrow(), Pin::new_unchecked(&mut this.future))
        }
    }
}

impl<F: Future, S: Borrow<DetachedSpan>> Future for Followed<F, S> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let (span, mut future) = self.project();
        let _entered = span.enter();
        match future.as_mut().as_pin_mut().map(|future| future.poll(context)) {
            Some(Poll::Ready(output)) => {
                future.set(None);
                Poll::Ready(output)
            }
            // One that was ready is not to be polled again.
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }
}

impl<F, S: Borrow<DetachedSpan>> Drop for Followed<F, S> {
    fn drop(&mut self) {
        if self.future.is_some() {
            // SAFETY: it is not moved any more.
            let (span, mut future) = unsafe { Pin::new_unchecked(self) }.project();
            let _entered = span.enter();
            future.set(None);
        }
    }
}
