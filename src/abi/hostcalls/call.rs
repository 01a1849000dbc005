use super::Answer;
use crate::abi::types::Status;
use crate::abi::vm::{Vm, slice};
use crate::abi::wire;

/// `proxy_http_call` (all versions).
///
/// No call can be sent yet: `InternalFailure`, after the arguments were checked. `BadArgument` for header maps whose counts or
/// lengths lie, `InvalidMemoryAccess` for a piece outside memory.
#[allow(
    clippy::too_many_arguments,
    reason = "the specification's own argument list"
)]
pub fn proxy_http_call(
    vm: &mut Vm<'_>,
    upstream_name_data: u32,
    upstream_name_size: u32,
    serialized_headers_data: u32,
    serialized_headers_size: u32,
    body_data: u32,
    body_size: u32,
    serialized_trailers_data: u32,
    serialized_trailers_size: u32,
    _timeout: u32,
    return_call_id: u32,
) -> Answer {
    vm.check(return_call_id, 4)?;
    let (memory, _) = vm.memory_and_state();
    slice(memory, upstream_name_data, upstream_name_size)?;
    let headers = slice(memory, serialized_headers_data, serialized_headers_size)?;
    slice(memory, body_data, body_size)?;
    let trailers = slice(memory, serialized_trailers_data, serialized_trailers_size)?;
    wire::decode(headers).map_err(|_| Status::BadArgument)?;
    wire::decode(trailers).map_err(|_| Status::BadArgument)?;
    Err(Status::InternalFailure.into())
}

/// `proxy_get_status` (all versions).
///
/// The status of the call that a callback reports; 0 and no message where none does. `InvalidMemoryAccess` for a pointer outside
/// memory.
pub fn proxy_get_status(
    vm: &mut Vm<'_>,
    return_status_code: u32,
    return_status_message_data: u32,
    return_status_message_size: u32,
) -> Answer {
    vm.check(return_status_message_data, 4)?;
    vm.check(return_status_message_size, 4)?;
    vm.write_u32(return_status_code, 0)?;
    vm.give(return_status_message_data, return_status_message_size, &[])
}
