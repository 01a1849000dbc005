use super::Answer;
use crate::abi::guest::{Vm, slice};
use crate::abi::types::Status;
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

#[cfg(test)]
mod tests {
    use crate::abi::testing::FakeGuest;
    use crate::abi::types::Status;

    const PAIRS: &[u8] = b"\x01\0\0\0\x07\0\0\0\x03\0\0\0:method\0GET\0";
    const LIE: &[u8] = b"\xff\xff\xff\xff";

    /// Arguments of `proxy_http_call`, and where the call's id goes, with something in it.
    fn arguments(guest: &mut FakeGuest, headers: &[u8], trailers: &[u8]) -> (Vec<u64>, u64) {
        let pieces = [b"upstream", headers, b"a body", trailers].map(|piece| guest.string(piece));
        let id = guest.put(&[0xee; 4]);
        (pieces.into_iter().flatten().chain([1000, id]).collect(), id)
    }

    #[test]
    fn no_call_is_sent_and_the_plugin_is_told() {
        let mut guest = FakeGuest::with_stream();
        for trailers in [PAIRS, b""] {
            let (args, id) = arguments(&mut guest, PAIRS, trailers);
            let status = guest.status("proxy_http_call", &args);
            assert_eq!(status, Status::InternalFailure);
            assert_eq!(guest.bytes_at(id, 4), [0xee; 4]);
        }
    }

    #[test]
    fn header_maps_that_lie_are_bad_arguments() {
        let mut guest = FakeGuest::with_stream();
        for (headers, trailers) in [(LIE, PAIRS), (PAIRS, LIE)] {
            let (args, _) = arguments(&mut guest, headers, trailers);
            let status = guest.status("proxy_http_call", &args);
            assert_eq!(status, Status::BadArgument);
        }
    }

    #[test]
    fn without_a_call_the_status_is_zero_and_there_is_no_message() {
        let mut guest = FakeGuest::new();
        let out = guest.put(&[0xee; 12]);
        let status = guest.status("proxy_get_status", &[out, out + 4, out + 8]);
        assert_eq!(status, Status::Ok);
        assert_eq!(guest.bytes_at(out, 12), [0; 12]);
        assert!(guest.calls.is_empty());
    }

    #[test]
    fn pointers_are_checked() {
        let mut guest = FakeGuest::with_stream();
        let (args, _) = arguments(&mut guest, PAIRS, PAIRS);
        guest.assert_bounds("proxy_http_call", &args, (0..8).chain([9]));
        let out = guest.put(&[0xee; 12]);
        guest.assert_bounds("proxy_get_status", &[out, out + 4, out + 8], 0..3);
    }
}
