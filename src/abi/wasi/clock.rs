use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::errno::{Answer, Errno};
use crate::abi::guest::Vm;

const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;

/// `clock_res_get`: one nanosecond. `NOTSUP` for a clock other than the real-time and the monotonic one, `FAULT` for a pointer
/// outside memory.
pub fn clock_res_get(vm: &mut Vm<'_>, id: u32, resolution: u32) -> Answer {
    match id {
        REALTIME | MONOTONIC => Ok(vm.write_u64(resolution, 1)?),
        _ => Err(Errno::Notsup.into()),
    }
}

/// `clock_time_get`, in nanoseconds. Errors as [`clock_res_get`].
pub fn clock_time_get(vm: &mut Vm<'_>, id: u32, time: u32) -> Answer {
    let now = match id {
        // A system clock before 1970 is not worth an error.
        REALTIME => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
        MONOTONIC => monotonic(),
        _ => return Err(Errno::Notsup.into()),
    };
    let nanoseconds = u64::try_from(now.as_nanos()).map_err(|_| Errno::Overflow)?;
    Ok(vm.write_u64(time, nanoseconds)?)
}

/// Time since some moment in the past. Never 0, which Go's runtime takes for a broken clock.
fn monotonic() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed() + Duration::from_secs(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::testing::FakeGuest;

    #[test]
    fn real_time_is_the_systems() {
        let mut guest = FakeGuest::new();
        let out = guest.room(8);
        assert_eq!(guest.import("clock_time_get", &[0, 1, out]).unwrap(), 0);
        let told = UNIX_EPOCH + Duration::from_nanos(guest.u64_at(out));
        assert!(SystemTime::now().duration_since(told).unwrap() < Duration::from_mins(1));
    }

    #[test]
    fn monotonic_time_grows_from_above_zero() {
        let mut guest = FakeGuest::new();
        let out = guest.room(8);
        let mut last = 0;
        for _ in 0..3 {
            assert_eq!(guest.import("clock_time_get", &[1, 0, out]).unwrap(), 0);
            let now = guest.u64_at(out);
            assert!(now > last);
            last = now;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn other_clocks_are_not_supported() {
        let mut guest = FakeGuest::new();
        let out = guest.room(8);
        for id in [2, 3, 99] {
            let want = Errno::Notsup as u64;
            assert_eq!(guest.import("clock_time_get", &[id, 0, out]).unwrap(), want);
            assert_eq!(guest.import("clock_res_get", &[id, out]).unwrap(), want);
        }
        assert_eq!(guest.u64_at(out), 0);
        assert_eq!(guest.import("clock_res_get", &[0, out]).unwrap(), 0);
        assert_eq!(guest.u64_at(out), 1);
    }

    #[test]
    fn a_pointer_outside_memory_is_a_fault() {
        let mut guest = FakeGuest::new();
        let outside = guest.memory.len() as u64 - 7;
        let want = Errno::Fault as u64;
        assert_eq!(
            guest.import("clock_time_get", &[0, 0, outside]).unwrap(),
            want
        );
        assert_eq!(guest.import("clock_res_get", &[1, outside]).unwrap(), want);
    }
}
