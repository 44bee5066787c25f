//! Time, as cheaply as the machine gives it.
//!
//! On x86-64 with an invariant time-stamp counter a reading takes a few
//! nanoseconds; elsewhere it is `std::time::Instant`. Ticks are counted, and turned
//! into nanoseconds only when somebody will see them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::frame::Frame;

/// How long the counter is compared with the operating system's clock before its
/// rate is believed: two readings, each good to some tens of nanoseconds, then
/// give the rate to about one part in 10⁵. It grows better with time.
const CALIBRATION: Duration = Duration::from_millis(5);

/// How long a rate is used before it is measured again.
const RECALIBRATION_NANOS: u64 = 1_000_000_000;

/// A reading of the clock, in ticks since an arbitrary moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticks(pub(crate) u64);

impl Ticks {
    /// Ticks from `earlier` to `self`; 0 where counters of different cores disagree.
    pub(crate) fn since(self, earlier: Ticks) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Which source of time this machine has.
#[derive(Clone, Copy)]
pub(crate) enum Clock {
    #[cfg(target_arch = "x86_64")]
    TimeStampCounter,
    Instant(Instant),
}

/// Two clocks read at one moment.
#[derive(Clone, Copy)]
struct Reading {
    ticks: Ticks,
    instant: Instant,
}

/// The clock of this process, and its first reading.
struct Origin {
    clock: Clock,
    first: Reading,
}

fn origin() -> &'static Origin {
    static ORIGIN: OnceLock<Origin> = OnceLock::new();
    ORIGIN.get_or_init(|| {
        let clock = Clock::detect();
        Origin { clock, first: Reading::take(clock) }
    })
}

impl Clock {
    /// The clock of this process. The first call starts its calibration.
    pub(crate) fn get() -> Clock {
        origin().clock
    }

    #[cfg(target_arch = "x86_64")]
    fn detect() -> Clock {
        use std::arch::x86_64::__cpuid;
        // AMD64 Architecture Programmer's Manual, volume 3, appendix E.4.6, and Intel
        // SDM, volume 3, 19.17.1: CPUID function 8000_0007h, EDX bit 8 says that the
        // counter runs at one rate in all power states.
        const ADVANCED_POWER_MANAGEMENT: u32 = 0x8000_0007;
        let invariant = __cpuid(0x8000_0000).eax >= ADVANCED_POWER_MANAGEMENT
            && __cpuid(ADVANCED_POWER_MANAGEMENT).edx & (1 << 8) != 0;
        match invariant {
            true => Clock::TimeStampCounter,
            false => Clock::Instant(Instant::now()),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn detect() -> Clock {
        Clock::Instant(Instant::now())
    }

    /// Reads the clock at the start of what is to be timed.
    #[inline]
    pub(crate) fn now(self) -> Ticks {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: x86-64 has the instruction, and it has no other effect.
            Clock::TimeStampCounter => Ticks(unsafe { std::arch::x86_64::_rdtsc() }),
            Clock::Instant(origin) => Ticks(nanos(origin.elapsed())),
        }
    }

    /// Reads the clock at the end of what was timed: after all loads before it.
    #[inline]
    pub(crate) fn now_ordered(self) -> Ticks {
        match self {
            #[cfg(target_arch = "x86_64")]
            Clock::TimeStampCounter => {
                // SAFETY: SSE2 is part of x86-64; the fence has no other effect.
                unsafe { std::arch::x86_64::_mm_lfence() };
                self.now()
            }
            Clock::Instant(_) => self.now(),
        }
    }
}

impl Reading {
    /// Takes the reading that was least disturbed of a few.
    fn take(clock: Clock) -> Reading {
        let attempt = || {
            let before = clock.now_ordered();
            let instant = Instant::now();
            let after = clock.now_ordered();
            let width = after.since(before);
            (width, Reading { ticks: Ticks(before.0 + width / 2), instant })
        };
        let (mut width, mut reading) = attempt();
        for _ in 0..8 {
            let (other_width, other) = attempt();
            if other_width < width {
                (width, reading) = (other_width, other);
            }
        }
        reading
    }
}

/// What turns ticks into nanoseconds, and into wall time.
///
/// One is made for each trace, so that a step of the wall clock bends no span.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    anchor: Ticks,
    anchor_unix_nanos: u64,
    /// Nanoseconds a tick, times 2³².
    nanos_per_tick: u64,
}

impl Scale {
    /// A scale whose anchor is now. The first takes up to 5 ms, if the process is
    /// younger than that, and one in each second some microseconds.
    pub(crate) fn new() -> Scale {
        /// The rate that was measured last, and until when it will do.
        static RATE: AtomicU64 = AtomicU64::new(0);
        static GOOD_UNTIL: AtomicU64 = AtomicU64::new(0);
        let clock = Clock::get();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, nanos);
        let anchor = clock.now();
        // Whoever sees this moment sees its rate, or a later one.
        if anchor.0 >= GOOD_UNTIL.load(Ordering::Acquire) {
            let rate = Scale::measure();
            RATE.store(rate, Ordering::Relaxed);
            let scale = Scale { anchor, anchor_unix_nanos: wall, nanos_per_tick: rate };
            let second = scale.ticks(RECALIBRATION_NANOS);
            GOOD_UNTIL.store(clock.now().0.saturating_add(second), Ordering::Release);
        }
        let nanos_per_tick = RATE.load(Ordering::Relaxed);
        Scale { anchor, anchor_unix_nanos: wall, nanos_per_tick }
    }

    /// Nanoseconds a tick, times 2³².
    fn measure() -> u64 {
        let Origin { clock, first } = *origin();
        let mut reading = Reading::take(clock);
        while reading.instant.duration_since(first.instant) < CALIBRATION {
            std::hint::spin_loop();
            reading = Reading::take(clock);
        }
        let elapsed = reading.instant.duration_since(first.instant).as_nanos();
        let ticks = u128::from(reading.ticks.since(first.ticks).max(1));
        u64::try_from((elapsed << 32) / ticks).unwrap_or(u64::MAX)
    }

    /// A number of ticks in nanoseconds.
    pub(crate) fn nanos(&self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.nanos_per_tick)) >> 32) as u64
    }

    /// A number of nanoseconds in ticks.
    pub(crate) fn ticks(&self, nanos: u64) -> u64 {
        let ticks = (u128::from(nanos) << 32) / u128::from(self.nanos_per_tick.max(1));
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// A reading as nanoseconds since the Unix epoch.
    pub(crate) fn unix_nanos(&self, reading: Ticks) -> u64 {
        match reading >= self.anchor {
            true => self.anchor_unix_nanos.saturating_add(self.nanos(reading.since(self.anchor))),
            false => self.anchor_unix_nanos.saturating_sub(self.nanos(self.anchor.since(reading))),
        }
    }
}

/// What observing adds to the durations that it measures, in ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bias {
    /// What a call that takes no time is measured as.
    own: u64,
    /// What the hooks of a call take of its caller's time.
    pair: u64,
}

impl Bias {
    pub(crate) const NONE: Bias = Bias { own: 0, pair: 0 };

    /// The least that was measured. `own` is what an empty call is measured as, `pair` what it
    /// takes in all.
    pub(crate) fn new(own: u64, pair: u64) -> Self {
        Bias { own: own.min(pair), pair }
    }

    /// A call's time of its own, and in all, less what observing it and the calls in it took.
    #[inline]
    pub(crate) fn correct(&self, frame: &Frame, elapsed: u64) -> (u64, u64) {
        let Bias { own, pair } = *self;
        let around = own + u64::from(frame.direct) * (pair - own);
        let within = own + u64::from(frame.nested) * pair;
        let in_all = elapsed.saturating_sub(within);
        let of_its_own = elapsed.saturating_sub(frame.children).saturating_sub(around);
        (of_its_own.min(in_all), in_all)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_as_long_as_the_system_says() {
        let scale = Scale::new();
        let clock = Clock::get();
        // The system's clock is read between two readings of ours, so that a pause in
        // between widens what is allowed and fails nothing.
        let read = || (clock.now_ordered(), Instant::now(), clock.now_ordered());
        let (before, start, after_start) = read();
        std::thread::sleep(Duration::from_millis(50));
        let (before_end, end, after) = read();
        let elapsed = nanos(end.duration_since(start));
        let (least, most) =
            (scale.nanos(before_end.since(after_start)), scale.nanos(after.since(before)));
        let within = least - least / 100..=most + most / 100;
        assert!(within.contains(&elapsed), "{elapsed} is not in {within:?}");
        let wall = nanos(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970"));
        assert!(scale.unix_nanos(after).abs_diff(wall) < 60_000_000_000);
    }

    #[test]
    fn nanoseconds_become_ticks_and_back() {
        let scale = Scale::new();
        for nanos in [0, 1, 20_000, 3_600_000_000_000] {
            let back = scale.nanos(scale.ticks(nanos));
            assert!(back.abs_diff(nanos) <= 1 + nanos / 1_000_000, "{nanos} came back as {back}");
        }
        let earlier = Ticks(scale.anchor.0.saturating_sub(scale.ticks(1000)));
        assert!(scale.unix_nanos(earlier) < scale.anchor_unix_nanos);
    }
}
