use super::Answer;
use crate::abi::types::{Status, StreamType};
use crate::abi::vm::{Vm, VmState};

/// `proxy_continue_stream` (from 0.2.0).
///
/// `BadArgument` for an unknown type or outside a request, `Unimplemented` for TCP streams.
pub fn proxy_continue_stream(vm: &mut Vm<'_>, stream_type: u32) -> Answer {
    resume(vm.state(), StreamType::try_from(stream_type)?)
}

/// `proxy_continue_request` (0.1.0; it has no result).
pub fn proxy_continue_request(vm: &mut Vm<'_>) -> Answer {
    resume(vm.state(), StreamType::HttpRequest)
}

/// `proxy_continue_response` (0.1.0; it has no result).
pub fn proxy_continue_response(vm: &mut Vm<'_>) -> Answer {
    resume(vm.state(), StreamType::HttpResponse)
}

/// `proxy_clear_route_cache` (0.1.0; it has no result).
pub fn proxy_clear_route_cache(vm: &mut Vm<'_>) -> Answer {
    if let Some(context) = vm.state().stream() {
        context.stream.clear_route_cache();
    }
    Ok(())
}

/// `proxy_close_stream` (from 0.2.0).
///
/// `BadArgument` for an unknown type, for TCP streams and outside a request.
pub fn proxy_close_stream(vm: &mut Vm<'_>, stream_type: u32) -> Answer {
    match StreamType::try_from(stream_type)? {
        StreamType::HttpRequest | StreamType::HttpResponse => {
            let context = vm.state().stream().ok_or(Status::BadArgument)?;
            context.stream.close();
            Ok(())
        }
        StreamType::Downstream | StreamType::Upstream => Err(Status::BadArgument.into()),
    }
}

fn resume(state: &mut VmState, stream_type: StreamType) -> Answer {
    let context = state.stream_mut().ok_or(Status::BadArgument)?;
    match stream_type {
        StreamType::HttpRequest => context.continue_request = true,
        StreamType::HttpResponse => context.continue_response = true,
        StreamType::Downstream | StreamType::Upstream => return Err(Status::Unimplemented.into()),
    }
    Ok(())
}
