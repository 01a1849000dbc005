use super::Answer;
use super::call::milliseconds;
use crate::abi::calls::CallKind;
use crate::abi::guest::{Vm, slice};
use crate::abi::host::{CallError, GrpcCall};
use crate::abi::types::Status;
use crate::abi::wire;

/// `proxy_grpc_call` (all versions).
///
/// `proxy_on_grpc_receive` or `proxy_on_grpc_close` runs later, on the plugin context. A `timeout` of 0 is the proxy's own. `ParseFailure`
/// for an upstream that is none; `InternalFailure` for a timeout that is negative, metadata whose counts or lengths lie or that no
/// request may have, where too many calls are out, or there is no plugin context; `InvalidMemoryAccess` for a piece outside memory.
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
    timeout: u32,
    return_call_id: u32,
) -> Answer {
    let pieces = [
        (upstream_name_data, upstream_name_size),
        (service_name_data, service_name_size),
        (method_name_data, method_name_size),
        (
            serialized_initial_metadata_data,
            serialized_initial_metadata_size,
        ),
    ];
    let message = (message_data, message_size);
    begin(vm, pieces, Some(message), timeout, return_call_id)
}

/// `proxy_grpc_stream` (all versions).
///
/// The callbacks run later, on the plugin context: `proxy_on_grpc_receive_initial_metadata`, `proxy_on_grpc_receive` for each message,
/// `proxy_on_grpc_receive_trailing_metadata` and at last `proxy_on_grpc_close`. Statuses as [`proxy_grpc_call`].
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
    let pieces = [
        (upstream_name_data, upstream_name_size),
        (service_name_data, service_name_size),
        (method_name_data, method_name_size),
        (
            serialized_initial_metadata_data,
            serialized_initial_metadata_size,
        ),
    ];
    begin(vm, pieces, None, 0, return_stream_id)
}

/// Begins a call with a message, or a stream without. The pieces are upstream, service, method and metadata.
fn begin(
    vm: &mut Vm<'_>,
    pieces: [(u32, u32); 4],
    message: Option<(u32, u32)>,
    timeout: u32,
    return_id: u32,
) -> Answer {
    vm.check(return_id, 4)?;
    let (memory, state) = vm.memory_and_state();
    let [upstream, service, method, metadata] =
        pieces.map(|(data, size)| slice(memory, data, size));
    let (upstream, service, method, metadata) = (upstream?, service?, method?, metadata?);
    let message = message
        .map(|(data, size)| slice(memory, data, size))
        .transpose()?;
    let call = GrpcCall {
        upstream,
        service,
        method,
        metadata: &wire::decode(metadata).map_err(|_| Status::InternalFailure)?,
        message,
        timeout: milliseconds(timeout).ok_or(Status::InternalFailure)?,
    };
    let kind = match message {
        Some(_) => CallKind::GrpcCall,
        None => CallKind::GrpcStream,
    };
    let token = state.begin_call(kind, upstream, |host, id| {
        host.grpc_call(id, &call).map_err(|error| match error {
            CallError::Upstream => Status::ParseFailure,
            CallError::Invalid | CallError::Full | CallError::NotFound => Status::InternalFailure,
        })
    })?;
    vm.write_u32(return_id, token)
}

/// `proxy_grpc_send` (all versions).
///
/// `NotFound`: there is no such stream, or its last message has been sent. `InvalidMemoryAccess` for a message outside memory.
pub fn proxy_grpc_send(
    vm: &mut Vm<'_>,
    stream_id: u32,
    message_data: u32,
    message_size: u32,
    end_stream: u32,
) -> Answer {
    let (message, state) = vm.read_with_state(message_data, message_size)?;
    match state.calls.get(stream_id).map(|call| call.kind) {
        Some(CallKind::GrpcStream) => {
            let sent = state
                .host
                .grpc_send(state.call_id(stream_id), message, end_stream != 0);
            Ok(sent.map_err(|_| Status::NotFound)?)
        }
        Some(CallKind::Http | CallKind::GrpcCall) | None => Err(Status::NotFound.into()),
    }
}

/// `proxy_grpc_cancel` (all versions).
///
/// No callback runs for the call or stream any more. `NotFound`: there is none.
pub fn proxy_grpc_cancel(vm: &mut Vm<'_>, call_or_stream_id: u32) -> Answer {
    let state = vm.state();
    match state.calls.get(call_or_stream_id).map(|call| call.kind) {
        Some(CallKind::GrpcCall | CallKind::GrpcStream) => {
            state.host.cancel_call(state.call_id(call_or_stream_id));
            state.end_call(call_or_stream_id);
            Ok(())
        }
        Some(CallKind::Http) | None => Err(Status::NotFound.into()),
    }
}

/// `proxy_grpc_close` (all versions).
///
/// Says that a stream's last message has been sent; its callbacks go on until the other side has ended it too. A call is cancelled.
/// `NotFound`: there is none.
pub fn proxy_grpc_close(vm: &mut Vm<'_>, call_or_stream_id: u32) -> Answer {
    let state = vm.state();
    match state.calls.get(call_or_stream_id).map(|call| call.kind) {
        Some(CallKind::GrpcStream) => {
            state.host.grpc_close(state.call_id(call_or_stream_id));
            Ok(())
        }
        Some(CallKind::GrpcCall | CallKind::Http) | None => {
            proxy_grpc_cancel(vm, call_or_stream_id)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::abi::host::CallError;
    use crate::abi::testing::FakeGuest;
    use crate::abi::types::Status;

    const PAIRS: &[u8] = b"\x01\0\0\0\x01\0\0\0\x01\0\0\0a\x001\0";

    /// Upstream, service, method, metadata and maybe a message, and where an id goes, with something in it.
    fn pieces(guest: &mut FakeGuest, metadata: &[u8], message: bool) -> (Vec<u64>, u64) {
        let pieces = [
            &b"upstream"[..],
            b"pkg.Service",
            b"Method",
            metadata,
            b"a message",
        ];
        let count = if message { 5 } else { 4 };
        let args = pieces[..count]
            .iter()
            .flat_map(|p| guest.string(p))
            .collect();
        (args, guest.put(&[0xee; 4]))
    }

    fn call(guest: &mut FakeGuest, metadata: &[u8], timeout: u64) -> (Status, u64) {
        let (mut args, id) = pieces(guest, metadata, true);
        args.extend([timeout, id]);
        (guest.status("proxy_grpc_call", &args), id)
    }

    fn stream(guest: &mut FakeGuest, metadata: &[u8]) -> (Status, u64) {
        let (mut args, id) = pieces(guest, metadata, false);
        args.push(id);
        (guest.status("proxy_grpc_stream", &args), id)
    }

    #[test]
    fn calls_and_streams_are_begun_and_numbered() {
        let mut guest = FakeGuest::with_stream();
        let (status, id) = call(&mut guest, PAIRS, 20);
        assert_eq!((status, guest.u32_at(id)), (Status::Ok, 1));
        let (status, id) = stream(&mut guest, b"");
        assert_eq!((status, guest.u32_at(id)), (Status::Ok, 2));
        let begun = [
            "grpc 1 upstream pkg.Service/Method [a=1] a message Some(20ms)",
            "grpc 2 upstream pkg.Service/Method [] stream None",
        ];
        assert_eq!(guest.host.calls.take(), begun);
    }

    #[test]
    fn what_is_refused_is_a_status_and_no_call() {
        let mut guest = FakeGuest::with_stream();
        let lie = b"\xff\xff\xff\xff";
        assert_eq!(call(&mut guest, lie, 0).0, Status::InternalFailure);
        assert_eq!(stream(&mut guest, lie).0, Status::InternalFailure);
        assert_eq!(call(&mut guest, b"", 1 << 31).0, Status::InternalFailure);
        for (error, want) in [
            (CallError::Upstream, Status::ParseFailure),
            (CallError::Invalid, Status::InternalFailure),
            (CallError::Full, Status::InternalFailure),
        ] {
            guest.host.refuses.set(Some(error));
            let (status, id) = call(&mut guest, b"", 0);
            assert_eq!((status, guest.bytes_at(id, 4)), (want, &[0xee; 4][..]));
            let (status, id) = stream(&mut guest, b"");
            assert_eq!((status, guest.bytes_at(id, 4)), (want, &[0xee; 4][..]));
        }
        assert!(guest.state.calls.is_empty());
    }

    #[test]
    fn a_stream_is_sent_to_and_ended() {
        let mut guest = FakeGuest::with_stream();
        stream(&mut guest, b"");
        let [message, size] = guest.string(b"message");
        let send = |guest: &mut FakeGuest, id, end| {
            guest.status("proxy_grpc_send", &[id, message, size, end])
        };
        assert_eq!(send(&mut guest, 1, 0), Status::Ok);
        assert_eq!(send(&mut guest, 1, 7), Status::Ok);
        guest.host.refuses.set(Some(CallError::NotFound));
        assert_eq!(send(&mut guest, 1, 0), Status::NotFound);
        assert_eq!(guest.status("proxy_grpc_close", &[1]), Status::Ok);
        assert!(!guest.state.calls.is_empty(), "the other side may go on");
        assert_eq!(guest.status("proxy_grpc_cancel", &[1]), Status::Ok);
        assert!(guest.state.calls.is_empty());
        let done = [
            "send 1 message false",
            "send 1 message true",
            "close 1",
            "cancel 1",
        ];
        assert_eq!(guest.host.calls.take()[1..], done);
    }

    #[test]
    fn a_call_is_cancelled_either_way_and_takes_no_more_messages() {
        for end in ["proxy_grpc_close", "proxy_grpc_cancel"] {
            let mut guest = FakeGuest::with_stream();
            call(&mut guest, b"", 0);
            let status = guest.status("proxy_grpc_send", &[1, 0, 0, 0]);
            assert_eq!(status, Status::NotFound);
            assert_eq!(guest.status(end, &[1]), Status::Ok);
            assert_eq!(guest.host.calls.take()[1..], ["cancel 1"]);
            assert_eq!(guest.status(end, &[1]), Status::NotFound);
        }
    }

    #[test]
    fn there_is_no_call_to_send_to_or_to_end() {
        let mut guest = FakeGuest::with_stream();
        let [message, size] = guest.string(b"message");
        let args = [1, message, size, 1];
        assert_eq!(guest.status("proxy_grpc_send", &args), Status::NotFound);
        assert_eq!(guest.status("proxy_grpc_cancel", &[1]), Status::NotFound);
        assert_eq!(guest.status("proxy_grpc_close", &[1]), Status::NotFound);
    }

    #[test]
    fn pointers_are_checked() {
        let mut guest = FakeGuest::with_stream();
        let (mut args, id) = pieces(&mut guest, PAIRS, true);
        args.extend([1000, id]);
        guest.assert_bounds("proxy_grpc_call", &args, (0..10).chain([11]));
        let (mut args, id) = pieces(&mut guest, PAIRS, false);
        args.push(id);
        guest.assert_bounds("proxy_grpc_stream", &args, 0..9);
        let [message, size] = guest.string(b"message");
        guest.assert_bounds("proxy_grpc_send", &[1, message, size, 1], 1..3);
    }
}
