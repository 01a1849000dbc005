use super::Answer;
use crate::abi::types::{BufferType, Status};
use crate::abi::vm::{Vm, VmState};

/// `proxy_get_buffer_bytes` (all versions).
///
/// `BadArgument` for an unknown buffer, a start past its end, or a start and size that wrap; `NotFound` for a buffer that is not
/// there now; `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_get_buffer_bytes(
    vm: &mut Vm<'_>,
    buffer_id: u32,
    start: u32,
    max_size: u32,
    return_value_data: u32,
    return_value_size: u32,
) -> Answer {
    let buffer = BufferType::try_from(buffer_id)?;
    vm.give_filled(return_value_data, return_value_size, |vm, value| {
        let bytes = find(vm.state(), buffer)?;
        let end = start
            .checked_add(max_size)
            .map(|end| (end as usize).min(bytes.len()))
            .ok_or(Status::BadArgument)?;
        let part = bytes.get(start as usize..end).ok_or(Status::BadArgument)?;
        value.extend_from_slice(part);
        Ok(())
    })
}

/// `proxy_get_configuration` (0.1.0).
///
/// The VM's configuration while the VM starts, else the plugin's. `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_get_configuration(
    vm: &mut Vm<'_>,
    return_value_data: u32,
    return_value_size: u32,
) -> Answer {
    vm.give_filled(return_value_data, return_value_size, |vm, value| {
        let state = vm.state();
        let configuration = match state.phase {
            crate::abi::vm::Phase::Start => BufferType::VmConfiguration,
            _ => BufferType::PluginConfiguration,
        };
        value.extend_from_slice(find(state, configuration).unwrap_or_default());
        Ok(())
    })
}

/// `proxy_get_buffer_status` (all versions).
///
/// `BadArgument` for an unknown buffer, `NotFound` for one that is not there now, `InvalidMemoryAccess` for a pointer outside
/// memory.
pub fn proxy_get_buffer_status(
    vm: &mut Vm<'_>,
    buffer_id: u32,
    return_buffer_size: u32,
    return_unused: u32,
) -> Answer {
    let size = find(vm.state(), BufferType::try_from(buffer_id)?)?.len();
    vm.check(return_unused, 4)?;
    vm.write_u32(return_buffer_size, size as u32)?;
    vm.write_u32(return_unused, 0)
}

/// `proxy_set_buffer_bytes` (all versions).
///
/// Replaces `size` bytes at `start`; a start past the end appends. `BadArgument` for an unknown buffer or one that cannot be
/// written, `NotFound` for one that is not there now, `InvalidMemoryAccess` for a value outside memory.
pub fn proxy_set_buffer_bytes(
    vm: &mut Vm<'_>,
    buffer_id: u32,
    start: u32,
    size: u32,
    value_data: u32,
    value_size: u32,
) -> Answer {
    let buffer = BufferType::try_from(buffer_id)?;
    let (value, state) = vm.read_with_state(value_data, value_size)?;
    let context = state.stream_mut();
    let body = match buffer {
        BufferType::HttpRequestBody => context.map(|c| &mut c.request_body),
        BufferType::HttpResponseBody => context.map(|c| &mut c.response_body),
        BufferType::DownstreamData
        | BufferType::UpstreamData
        | BufferType::HttpCallResponseBody
        | BufferType::GrpcReceiveBuffer => None,
        BufferType::VmConfiguration
        | BufferType::PluginConfiguration
        | BufferType::ForeignFunctionArguments => return Err(Status::BadArgument.into()),
    };
    if body.is_some_and(|body| body.replace(start, size, value)) {
        Ok(())
    } else {
        Err(Status::NotFound.into())
    }
}

fn find(state: &VmState, buffer: BufferType) -> Result<&[u8], Status> {
    match buffer {
        BufferType::HttpRequestBody => state.stream().and_then(|c| c.request_body.get()),
        BufferType::HttpResponseBody => state.stream().and_then(|c| c.response_body.get()),
        BufferType::VmConfiguration => Some(&state.plugin.vm_config[..]),
        BufferType::PluginConfiguration => state.root().map(|r| &r.config[..]),
        // Neither TCP streams nor calls out: there is never anything in these.
        BufferType::DownstreamData
        | BufferType::UpstreamData
        | BufferType::HttpCallResponseBody
        | BufferType::GrpcReceiveBuffer
        | BufferType::ForeignFunctionArguments => None,
    }
    .ok_or(Status::NotFound)
}
