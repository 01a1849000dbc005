//! How long something took, for next to nothing: it is asked twice for each callback.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How long ticks are compared with the system's clock before it is known what one is.
const LONG_ENOUGH: Duration = Duration::from_millis(10);

/// What nanoseconds are multiplied with, to tell parts of one.
const PARTS: u32 = 32;

/// How long a tick is, in parts of a nanosecond; 0 as long as it is not known. Processes that were forked have the same ticks.
static TICK: AtomicU64 = AtomicU64::new(0);

/// A moment that ticks are counted from.
struct Begin {
    time: Instant,
    ticks: u64,
}

fn begin() -> &'static Begin {
    static BEGIN: OnceLock<Begin> = OnceLock::new();
    BEGIN.get_or_init(|| Begin {
        time: Instant::now(),
        ticks: counter::ticks().unwrap_or(0),
    })
}

/// The time in ticks. The sooner it is first asked, the sooner it is known how long those are.
pub fn now() -> u64 {
    let begin = begin();
    counter::ticks().unwrap_or_else(|| begin.time.elapsed().as_nanos() as u64)
}

/// How many nanoseconds lie between two times.
pub fn between(then: u64, now: u64) -> u64 {
    let tick = match TICK.load(Relaxed) {
        0 => measure(now),
        tick => tick,
    };
    // Where it takes a worker to another processor, it may be a little earlier there.
    let passed = now.saturating_sub(then);
    let parts = u128::from(passed) * u128::from(tick);
    (parts >> PARTS) as u64
}

#[cold]
fn measure(now: u64) -> u64 {
    let begin = begin();
    let time = begin.time.elapsed();
    let ticks = now.saturating_sub(begin.ticks).max(1);
    let tick = (time.as_nanos() << PARTS) / u128::from(ticks);
    if time > LONG_ENOUGH {
        TICK.store(tick as u64, Relaxed);
    }
    tick as u64
}

#[cfg(target_arch = "x86_64")]
mod counter {
    use std::arch::x86_64::{__cpuid, _rdtsc};
    use std::sync::OnceLock;

    /// The processor's counter, where that always goes at one speed.
    pub fn ticks() -> Option<u64> {
        static STEADY: OnceLock<bool> = OnceLock::new();
        let steady = *STEADY.get_or_init(|| {
            const EXTENDED: u32 = 0x8000_0000;
            const POWER: u32 = EXTENDED + 7;
            __cpuid(EXTENDED).eax >= POWER && __cpuid(POWER).edx & 1 << 8 != 0
        });
        // SAFETY: every processor of this architecture has it.
        steady.then(|| unsafe { _rdtsc() })
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod counter {
    /// The system's clock is asked.
    pub fn ticks() -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn it_goes_as_the_systems_clock_does() {
        now();
        // First while it is not known how long a tick is, then when it is.
        for milliseconds in [2, 20, 5] {
            let (begun, then) = (Instant::now(), now());
            sleep(Duration::from_millis(milliseconds));
            let (least, passed) = (begun.elapsed(), between(then, now()));
            let most = begun.elapsed();
            // Measured with ticks that were measured for a millisecond or more.
            let [least, most] = [least, most].map(|time| time.as_nanos() as u64);
            assert!(
                (least * 9 / 10..=most * 11 / 10).contains(&passed),
                "{least} {passed} {most}"
            );
        }
        assert_ne!(TICK.load(Relaxed), 0);
    }
}
