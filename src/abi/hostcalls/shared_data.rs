use super::Answer;
use crate::abi::types::Status;
use crate::abi::vm::Vm;

/// `proxy_get_shared_data` (all versions).
///
/// `NotFound` for a key that is not there, `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_get_shared_data(
    vm: &mut Vm<'_>,
    key_data: u32,
    key_size: u32,
    return_value_data: u32,
    return_value_size: u32,
    return_cas: u32,
) -> Answer {
    vm.check(return_cas, 4)?;
    let mut cas = 0;
    vm.give_filled(return_value_data, return_value_size, |vm, value| {
        let (key, state) = vm.read_with_state(key_data, key_size)?;
        cas = state
            .host
            .get_shared_data(&state.plugin.vm_id, key, value)
            .ok_or(Status::NotFound)?;
        Ok(())
    })?;
    vm.write_u32(return_cas, cas)
}

/// `proxy_set_shared_data` (all versions).
///
/// `CasMismatch` where `cas` is neither 0 nor the key's number, `InternalFailure` where the store is full, `InvalidMemoryAccess`
/// for a piece outside memory.
pub fn proxy_set_shared_data(
    vm: &mut Vm<'_>,
    key_data: u32,
    key_size: u32,
    value_data: u32,
    value_size: u32,
    cas: u32,
) -> Answer {
    let (key, value, state) =
        vm.read2_with_state((key_data, key_size), (value_data, value_size))?;
    Ok(state
        .host
        .set_shared_data(&state.plugin.vm_id, key, value, cas)?)
}
