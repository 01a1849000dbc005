use super::Answer;
use crate::abi::host::{LocalResponse, is_header_name, is_header_value};
use crate::abi::types::{LogLevel, Status};
use crate::abi::vm::{Vm, slice};
use crate::abi::wire;

/// `proxy_send_local_response` (all versions).
///
/// `InvalidMemoryAccess` for a piece outside memory or headers whose counts or lengths lie. A header that no response may have
/// is left out, a status that is none becomes 500, and a response after the first byte was sent is dropped, each with an
/// error in the log: the specification has no status for them.
#[allow(
    clippy::too_many_arguments,
    reason = "the specification's own argument list"
)]
pub fn proxy_send_local_response(
    vm: &mut Vm<'_>,
    status_code: u32,
    status_code_details_data: u32,
    status_code_details_size: u32,
    body_data: u32,
    body_size: u32,
    serialized_headers_data: u32,
    serialized_headers_size: u32,
    grpc_status: u32,
) -> Answer {
    let (memory, state) = vm.memory_and_state();
    let details = slice(memory, status_code_details_data, status_code_details_size)?;
    let body = slice(memory, body_data, body_size)?;
    let headers = slice(memory, serialized_headers_data, serialized_headers_size)?;
    let headers = wire::decode(headers).map_err(|_| Status::InvalidMemoryAccess)?;

    let mut response = LocalResponse {
        status: status_code,
        details: details.to_vec(),
        body: body.to_vec(),
        headers: Vec::with_capacity(headers.len()),
        grpc_status: grpc_status.cast_signed(),
    };
    if !(100..=999).contains(&status_code) {
        state.log(
            LogLevel::Error,
            format!("proxy_send_local_response: {status_code} is no HTTP status, 500 is sent")
                .as_bytes(),
        );
        response.status = 500;
    }
    for (name, value) in headers {
        if name.starts_with(b":") {
            continue;
        }
        if is_header_name(name) && is_header_value(value) {
            response.headers.push((name.to_vec(), value.to_vec()));
        } else {
            state.log(
                LogLevel::Error,
                format!(
                    "proxy_send_local_response: header \"{}\" is malformed and left out",
                    name.escape_ascii()
                )
                .as_bytes(),
            );
        }
    }
    let sent = state
        .stream()
        .is_some_and(|context| context.stream.send_local_response(response));
    if !sent {
        state.log(
            LogLevel::Error,
            b"proxy_send_local_response: dropped, there is no request or its response has been sent",
        );
    }
    Ok(())
}
