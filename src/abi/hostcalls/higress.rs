//! What Higress adds in 0.2.100. Its plugins link; what needs Envoy's filter chain or Redis is answered with the status that their
//! SDKs take for a failure.

use super::Answer;
use crate::abi::types::Status;
use crate::abi::vm::{Vm, slice};

/// `proxy_redis_init` (0.2.100).
///
/// `InternalFailure`: there is no Redis client. `InvalidMemoryAccess` for a piece outside memory.
#[allow(
    clippy::too_many_arguments,
    reason = "the specification's own argument list"
)]
pub fn proxy_redis_init(
    vm: &mut Vm<'_>,
    upstream_data: u32,
    upstream_size: u32,
    username_data: u32,
    username_size: u32,
    password_data: u32,
    password_size: u32,
    _timeout: u32,
) -> Answer {
    let (memory, _) = vm.memory_and_state();
    slice(memory, upstream_data, upstream_size)?;
    slice(memory, username_data, username_size)?;
    slice(memory, password_data, password_size)?;
    Err(Status::InternalFailure.into())
}

/// `proxy_redis_call` (0.2.100).
///
/// As [`proxy_redis_init`].
pub fn proxy_redis_call(
    vm: &mut Vm<'_>,
    upstream_data: u32,
    upstream_size: u32,
    query_data: u32,
    query_size: u32,
    return_call_id: u32,
) -> Answer {
    let (memory, _) = vm.memory_and_state();
    slice(memory, upstream_data, upstream_size)?;
    slice(memory, query_data, query_size)?;
    slice(memory, return_call_id, 4)?;
    Err(Status::InternalFailure.into())
}

/// `proxy_inject_encoded_data_to_filter_chain` (0.2.100).
///
/// `Unimplemented`: nginx sends what the body callbacks let through, and nothing else. `InvalidMemoryAccess` for a body outside
/// memory.
pub fn proxy_inject_encoded_data_to_filter_chain(
    vm: &mut Vm<'_>,
    body_data: u32,
    body_size: u32,
    _end_stream: u32,
) -> Answer {
    vm.check(body_data, body_size)?;
    Err(Status::Unimplemented.into())
}

/// `proxy_get_upstream_hosts` (0.2.100).
///
/// `NotFound`: nginx chooses the upstream later. `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_get_upstream_hosts(
    vm: &mut Vm<'_>,
    return_hosts_data: u32,
    return_hosts_size: u32,
) -> Answer {
    vm.check(return_hosts_data, 4)?;
    vm.check(return_hosts_size, 4)?;
    Err(Status::NotFound.into())
}

/// `proxy_set_upstream_override_host` (0.2.100).
///
/// `Unimplemented`. `InvalidMemoryAccess` for an address outside memory.
pub fn proxy_set_upstream_override_host(
    vm: &mut Vm<'_>,
    address_data: u32,
    address_size: u32,
) -> Answer {
    vm.check(address_data, address_size)?;
    Err(Status::Unimplemented.into())
}
