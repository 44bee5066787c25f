//! Futures that belong to a span.

use core::future::Future;
use core::mem::ManuallyDrop;
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
    Within { span, future: ManuallyDrop::new(future) }
}

/// See [`within`].
pub struct Within<'a, F> {
    span: &'a DetachedSpan,
    /// Pinned if this is.
    future: ManuallyDrop<F>,
}

impl<F: Future> Future for Within<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future is not moved, and is dropped only where it is.
        let (span, future) = unsafe {
            let this = self.get_unchecked_mut();
            (this.span, Pin::new_unchecked(&mut *this.future))
        };
        let _entered = span.enter();
        future.poll(context)
    }
}

impl<F> Drop for Within<'_, F> {
    fn drop(&mut self) {
        let _entered = self.span.enter();
        // SAFETY: nothing uses it afterwards.
        unsafe { ManuallyDrop::drop(&mut self.future) };
    }
}
