//! Reading the clock.

use std::time::Duration;

/// The time that this thread has run for, which on a shared machine says more than
/// the time that has passed. Where there is no such clock it is the latter.
pub fn thread_time() -> Duration {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
    }
    #[cfg(not(unix))]
    {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}

/// The time for which all threads of this process have run, those of the system on its behalf
/// included. Where there is no such clock it is the time that has passed.
pub fn process_time() -> Duration {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
    }
    #[cfg(not(unix))]
    thread_time()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_while_the_thread_works() {
        let start = thread_time();
        let mut sum = 0u64;
        while thread_time() == start {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(thread_time() > start);
    }
}
