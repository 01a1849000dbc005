use std::time::{SystemTime, UNIX_EPOCH};

use super::Answer;
use crate::abi::guest::Vm;
use crate::abi::vm::Asked;

/// `proxy_get_current_time_nanoseconds` (all versions).
///
/// `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_get_current_time_nanoseconds(vm: &mut Vm<'_>, return_time: u32) -> Answer {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    vm.write_u64(return_time, now.as_nanos() as u64)
}

/// `proxy_set_tick_period_milliseconds` (all versions).
///
/// Always `Ok`. `proxy_on_tick` runs on the plugin context in that period, from the end of the callback on; 0 stops it.
pub fn proxy_set_tick_period_milliseconds(vm: &mut Vm<'_>, tick_period: u32) -> Answer {
    let state = vm.state();
    if let Some(root) = state.root_mut() {
        root.tick_period = tick_period;
        let asked = Asked::Ticks {
            context: root.serial,
            period: tick_period,
        };
        state.ask(asked);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use crate::abi::testing::FakeGuest;
    use crate::abi::types::Status;
    use crate::abi::vm::Asked;

    #[test]
    fn the_time_is_the_systems() {
        let mut guest = FakeGuest::new();
        let out = guest.room(8);
        let name = "proxy_get_current_time_nanoseconds";
        assert_eq!(guest.status(name, &[out]), Status::Ok);
        let told = UNIX_EPOCH + Duration::from_nanos(guest.u64_at(out));
        assert!(SystemTime::now().duration_since(told).unwrap() < Duration::from_mins(1));
        guest.assert_bounds(name, &[out], [0]);
    }

    #[test]
    fn the_tick_period_is_kept_with_the_plugin_context() {
        for mut guest in [FakeGuest::new(), FakeGuest::with_stream()] {
            for period in [100, 0] {
                let status = guest.status("proxy_set_tick_period_milliseconds", &[period.into()]);
                assert_eq!(status, Status::Ok);
                assert_eq!(guest.state.root().unwrap().tick_period, period);
            }
            let off = Asked::Ticks {
                context: 7,
                period: 0,
            };
            assert_eq!(guest.state.asked, [off]);
        }
    }

    #[test]
    fn without_a_context_the_tick_period_is_dropped() {
        let mut guest = FakeGuest::new();
        guest.state.current = 0;
        let status = guest.status("proxy_set_tick_period_milliseconds", &[100]);
        assert_eq!(status, Status::Ok);
        assert!(guest.state.asked.is_empty());
    }
}
