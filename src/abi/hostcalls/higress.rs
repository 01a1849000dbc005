//! What Higress adds in 0.2.100. Its plugins link; what needs Envoy's filter chain or Redis is answered with the status that their
//! SDKs take for a failure.

use super::Answer;
use crate::abi::guest::{Vm, slice};
use crate::abi::types::Status;

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

#[cfg(test)]
mod tests {
    use crate::abi::testing::FakeGuest;
    use crate::abi::types::Status;

    #[test]
    fn there_is_no_redis_client_and_the_plugin_is_told() {
        let mut guest = FakeGuest::with_stream();
        let id = guest.put(&[0xee; 4]);
        let mut strings =
            |count| -> Vec<u64> { (0..count).flat_map(|_| guest.string(b"string")).collect() };
        let init = [strings(3), vec![1000]].concat();
        let call = [strings(2), vec![id]].concat();
        for (name, args, places) in [
            ("proxy_redis_init", init, 0..6),
            ("proxy_redis_call", call, 0..5),
        ] {
            assert_eq!(guest.status(name, &args), Status::InternalFailure);
            guest.assert_bounds(name, &args, places);
        }
        assert_eq!(guest.bytes_at(id, 4), [0xee; 4]);
    }

    #[test]
    fn nothing_can_be_put_into_the_filter_chain() {
        let mut guest = FakeGuest::with_stream();
        let [body, size] = guest.string(b"body");
        let name = "proxy_inject_encoded_data_to_filter_chain";
        assert_eq!(guest.status(name, &[body, size, 1]), Status::Unimplemented);
        guest.assert_bounds(name, &[body, size, 1], 0..2);
    }

    #[test]
    fn the_upstreams_hosts_are_not_known() {
        let mut guest = FakeGuest::with_stream();
        let out = guest.put(&[0xee; 8]);
        let args = [out, out + 4];
        let status = guest.status("proxy_get_upstream_hosts", &args);
        assert_eq!(status, Status::NotFound);
        guest.assert_bounds("proxy_get_upstream_hosts", &args, 0..2);
        assert_eq!(guest.bytes_at(out, 8), [0xee; 8]);
    }

    #[test]
    fn the_upstreams_host_cannot_be_set() {
        let mut guest = FakeGuest::with_stream();
        let args = guest.string(b"10.0.0.1:80");
        let name = "proxy_set_upstream_override_host";
        assert_eq!(guest.status(name, &args), Status::Unimplemented);
        guest.assert_bounds(name, &args, 0..2);
    }
}
