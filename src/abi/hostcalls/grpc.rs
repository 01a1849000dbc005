use super::Answer;
use crate::abi::guest::{Vm, slice};
use crate::abi::types::Status;

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

#[cfg(test)]
mod tests {
    use crate::abi::testing::FakeGuest;
    use crate::abi::types::Status;

    /// Pointers and sizes of `count` pieces, and where an id goes, with something in it.
    fn pieces(guest: &mut FakeGuest, count: usize) -> (Vec<u64>, u64) {
        let pieces = (0..count).flat_map(|_| guest.string(b"piece")).collect();
        (pieces, guest.put(&[0xee; 4]))
    }

    #[test]
    fn no_call_is_sent_and_the_plugin_is_told() {
        let mut guest = FakeGuest::with_stream();
        let (mut args, id) = pieces(&mut guest, 5);
        args.extend([1000, id]);
        let status = guest.status("proxy_grpc_call", &args);
        assert_eq!(status, Status::InternalFailure);
        guest.assert_bounds("proxy_grpc_call", &args, (0..10).chain([11]));
        assert_eq!(guest.bytes_at(id, 4), [0xee; 4]);
    }

    #[test]
    fn no_stream_is_opened_and_the_plugin_is_told() {
        let mut guest = FakeGuest::with_stream();
        let (mut args, id) = pieces(&mut guest, 4);
        args.push(id);
        let status = guest.status("proxy_grpc_stream", &args);
        assert_eq!(status, Status::InternalFailure);
        guest.assert_bounds("proxy_grpc_stream", &args, 0..9);
        assert_eq!(guest.bytes_at(id, 4), [0xee; 4]);
    }

    #[test]
    fn there_is_no_call_to_send_to_or_to_end() {
        let mut guest = FakeGuest::with_stream();
        let [message, size] = guest.string(b"message");
        let args = [1, message, size, 1];
        assert_eq!(guest.status("proxy_grpc_send", &args), Status::NotFound);
        guest.assert_bounds("proxy_grpc_send", &args, 1..3);
        assert_eq!(guest.status("proxy_grpc_cancel", &[1]), Status::NotFound);
        assert_eq!(guest.status("proxy_grpc_close", &[1]), Status::NotFound);
    }
}
