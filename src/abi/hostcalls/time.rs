use std::time::{SystemTime, UNIX_EPOCH};

use super::Answer;
use crate::abi::vm::Vm;

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
/// Always `Ok`. The period is kept with the plugin context; 0 stops the timer.
pub fn proxy_set_tick_period_milliseconds(vm: &mut Vm<'_>, tick_period: u32) -> Answer {
    if let Some(root) = vm.state().root_mut() {
        root.tick_period = tick_period;
    }
    Ok(())
}
