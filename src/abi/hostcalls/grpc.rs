use super::Answer;
use crate::abi::types::Status;
use crate::abi::vm::{Vm, slice};

/// `proxy_grpc_call` (all versions).
///
/// No call can be sent yet: `InternalFailure`, after the arguments were checked. `InvalidMemoryAccess` for a piece outside memory.
#[allow(
    clippy::too_many_arguments,
    reason = "the specification's own argument list"
)]
pub fn proxy_grpc_call(
    vm: &mut Vm<'_>,
    upstream_name_data: u32,
    upstream_name_size: u32,
    service_name_data: u32,
    service_name_size: u32,
    method_name_data: u32,
    method_name_size: u32,
    serialized_initial_metadata_data: u32,
    serialized_initial_metadata_size: u32,
    message_data: u32,
    message_size: u32,
    _timeout: u32,
    return_call_id: u32,
) -> Answer {
    check(
        vm,
        &[
            (upstream_name_data, upstream_name_size),
            (service_name_data, service_name_size),
            (method_name_data, method_name_size),
            (
                serialized_initial_metadata_data,
                serialized_initial_metadata_size,
            ),
            (message_data, message_size),
            (return_call_id, 4),
        ],
    )?;
    Err(Status::InternalFailure.into())
}

/// `proxy_grpc_stream` (all versions).
///
/// As [`proxy_grpc_call`].
#[allow(
    clippy::too_many_arguments,
    reason = "the specification's own argument list"
)]
pub fn proxy_grpc_stream(
    vm: &mut Vm<'_>,
    upstream_name_data: u32,
    upstream_name_size: u32,
    service_name_data: u32,
    service_name_size: u32,
    method_name_data: u32,
    method_name_size: u32,
    serialized_initial_metadata_data: u32,
    serialized_initial_metadata_size: u32,
    return_stream_id: u32,
) -> Answer {
    check(
        vm,
        &[
            (upstream_name_data, upstream_name_size),
            (service_name_data, service_name_size),
            (method_name_data, method_name_size),
            (
                serialized_initial_metadata_data,
                serialized_initial_metadata_size,
            ),
            (return_stream_id, 4),
        ],
    )?;
    Err(Status::InternalFailure.into())
}

/// `proxy_grpc_send` (all versions).
///
/// `NotFound`: there is no stream. `InvalidMemoryAccess` for a message outside memory.
pub fn proxy_grpc_send(
    vm: &mut Vm<'_>,
    _stream_id: u32,
    message_data: u32,
    message_size: u32,
    _end_stream: u32,
) -> Answer {
    vm.check(message_data, message_size)?;
    Err(Status::NotFound.into())
}

/// `proxy_grpc_cancel` (all versions).
///
/// `NotFound`: there is no call.
pub fn proxy_grpc_cancel(_vm: &mut Vm<'_>, _call_or_stream_id: u32) -> Answer {
    Err(Status::NotFound.into())
}

/// `proxy_grpc_close` (all versions).
///
/// `NotFound`: there is no call.
pub fn proxy_grpc_close(_vm: &mut Vm<'_>, _call_or_stream_id: u32) -> Answer {
    Err(Status::NotFound.into())
}

fn check(vm: &mut Vm<'_>, pieces: &[(u32, u32)]) -> Answer {
    let (memory, _) = vm.memory_and_state();
    for (data, size) in pieces {
        slice(memory, *data, *size)?;
    }
    Ok(())
}
