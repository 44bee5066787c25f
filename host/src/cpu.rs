//! For how long this thread has worked.

use std::time::Duration;

/// The time for which the calling thread has run on a processor; `None` where the operating system
/// does not tell.
#[cfg(unix)]
pub(crate) fn thread_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).ok()
}

/// The time for which the calling thread has run on a processor; `None` where the operating system
/// does not tell.
#[cfg(not(unix))]
pub(crate) fn thread_time() -> Option<Duration> {
    None
}
