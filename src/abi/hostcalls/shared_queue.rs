use super::Answer;
use crate::abi::types::Status;
use crate::abi::vm::Vm;

/// `proxy_register_shared_queue` (all versions).
///
/// `InternalFailure` where there are too many queues, `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_register_shared_queue(
    vm: &mut Vm<'_>,
    name_data: u32,
    name_size: u32,
    return_queue_id: u32,
) -> Answer {
    vm.check(return_queue_id, 4)?;
    let (name, state) = vm.read_with_state(name_data, name_size)?;
    let id = state
        .host
        .register_shared_queue(&state.plugin.vm_id, name)?;
    vm.write_u32(return_queue_id, id)
}

/// `proxy_resolve_shared_queue` (all versions).
///
/// `NotFound` for a queue that is not there, `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_resolve_shared_queue(
    vm: &mut Vm<'_>,
    vm_id_data: u32,
    vm_id_size: u32,
    name_data: u32,
    name_size: u32,
    return_queue_id: u32,
) -> Answer {
    let (vm_id, name, state) =
        vm.read2_with_state((vm_id_data, vm_id_size), (name_data, name_size))?;
    let id = state
        .host
        .resolve_shared_queue(vm_id, name)
        .ok_or(Status::NotFound)?;
    vm.write_u32(return_queue_id, id)
}

/// `proxy_enqueue_shared_queue` (all versions).
///
/// `NotFound` for a queue that is not there, `InternalFailure` for a full one, `InvalidMemoryAccess` for a value outside memory.
pub fn proxy_enqueue_shared_queue(
    vm: &mut Vm<'_>,
    queue_id: u32,
    value_data: u32,
    value_size: u32,
) -> Answer {
    let (value, state) = vm.read_with_state(value_data, value_size)?;
    Ok(state.host.enqueue_shared_queue(queue_id, value)?)
}

/// `proxy_dequeue_shared_queue` (all versions).
///
/// `NotFound` for a queue that is not there, `Empty` for an empty one, `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_dequeue_shared_queue(
    vm: &mut Vm<'_>,
    queue_id: u32,
    return_value_data: u32,
    return_value_size: u32,
) -> Answer {
    vm.give_filled(return_value_data, return_value_size, |vm, value| {
        Ok(vm.state().host.dequeue_shared_queue(queue_id, value)?)
    })
}
