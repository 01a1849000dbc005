use super::Answer;
use crate::abi::types::LogLevel;
use crate::abi::vm::Vm;

/// `proxy_log` (all versions).
///
/// `BadArgument` for an unknown level, `InvalidMemoryAccess` for a message outside memory.
pub fn proxy_log(vm: &mut Vm<'_>, log_level: u32, message_data: u32, message_size: u32) -> Answer {
    let level = LogLevel::try_from(log_level)?;
    let (message, state) = vm.read_with_state(message_data, message_size)?;
    state.log(level, message);
    Ok(())
}

/// `proxy_get_log_level` (from 0.2.1).
///
/// `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_get_log_level(vm: &mut Vm<'_>, return_log_level: u32) -> Answer {
    let level = vm.state().log_level();
    vm.write_u32(return_log_level, level as u32)
}
