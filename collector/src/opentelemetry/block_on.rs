//! Futures on a thread that has nothing else to do.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

struct Unpark {
    thread: Thread,
    /// What the future does may use up the token that unparking leaves.
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// What the future comes to; `None`, and the future dropped, if it does not until the deadline.
/// That is asked for anew whenever this thread is unparked.
pub(super) fn block_on<F: Future>(future: F, deadline: impl Fn() -> Instant) -> Option<F::Output> {
    let unpark = Arc::new(Unpark { thread: thread::current(), woken: AtomicBool::new(true) });
    let waker = Waker::from(Arc::clone(&unpark));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if unpark.woken.swap(false, Ordering::AcqRel)
            && let Poll::Ready(output) = future.as_mut().poll(&mut context)
        {
            return Some(output);
        }
        let left = deadline().saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        if !unpark.woken.load(Ordering::Acquire) {
            thread::park_timeout(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, poll_fn, ready};
    use std::task::Poll;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::block_on;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn futures_are_driven_to_their_end() {
        assert_eq!(block_on(ready(1), later), Some(1));
        // Woken at once, and from another thread.
        let polls = Cell::new(0);
        let future = poll_fn(|context| {
            polls.set(polls.get() + 1);
            let waker = context.waker().clone();
            match polls.get() {
                1 => waker.wake_by_ref(),
                2 => drop(thread::spawn(move || waker.wake())),
                polls => return Poll::Ready(polls),
            }
            Poll::Pending
        });
        assert_eq!(block_on(future, later), Some(3));
    }

    #[test]
    fn one_that_never_ends_is_given_up() {
        assert_eq!(block_on(pending::<()>(), Instant::now), None);
        // The deadline moves while it waits.
        let ours = thread::current();
        let closing = std::sync::atomic::AtomicBool::new(false);
        let deadline = || match closing.load(std::sync::atomic::Ordering::Acquire) {
            true => Instant::now(),
            false => later(),
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                closing.store(true, std::sync::atomic::Ordering::Release);
                ours.unpark();
            });
            assert_eq!(block_on(pending::<()>(), deadline), None);
        });
    }
}
