//! Futures that belong to a span.

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
    pub async fn follow<F: Future>(self, future: F) -> F::Output {
        within(&self, future).await
    }
}

/// Enters the span on each poll of the future, and when it is dropped.
pub fn within<F: Future>(span: &DetachedSpan, future: F) -> Within<'_, F> {
    Within { span, future: Some(future) }
}

/// See [`within`].
pub struct Within<'a, F> {
    span: &'a DetachedSpan,
    /// Pinned if this is, and dropped as soon as it is ready.
    future: Option<F>,
}

impl<'a, F> Within<'a, F> {
    fn project(self: Pin<&mut Self>) -> (&'a DetachedSpan, Pin<&mut Option<F>>) {
        // SAFETY: nothing gives access to the future but through the pin, and it is dropped where
        // it is.
        unsafe {
            let this = self.get_unchecked_mut();
            (this.span, Pin::new_unchecked(&mut this.future))
        }
    }
}

impl<F: Future> Future for Within<'_, F> {
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

impl<F> Drop for Within<'_, F> {
    fn drop(&mut self) {
        if self.future.is_some() {
            // SAFETY: it is not moved any more.
            let (span, mut future) = unsafe { Pin::new_unchecked(self) }.project();
            let _entered = span.enter();
            future.set(None);
        }
    }
}
