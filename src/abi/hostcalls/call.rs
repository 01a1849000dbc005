use std::time::Duration;

use super::Answer;
use crate::abi::calls::CallKind;
use crate::abi::guest::{Vm, slice};
use crate::abi::host::{CallError, HttpCall};
use crate::abi::types::Status;
use crate::abi::wire;

/// `proxy_http_call` (all versions).
///
/// `proxy_on_http_call_response` runs later, on the plugin context. A `timeout` of 0 is the proxy's own. `BadArgument` for an upstream that
/// is none, a timeout that is negative, header maps whose counts or lengths lie, or a header that no request may have; `InternalFailure`
/// where too many calls are out or there is no plugin context; `InvalidMemoryAccess` for a piece outside memory.
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
    timeout: u32,
    return_call_id: u32,
) -> Answer {
    vm.check(return_call_id, 4)?;
    let (memory, state) = vm.memory_and_state();
    let upstream = slice(memory, upstream_name_data, upstream_name_size)?;
    let headers = slice(memory, serialized_headers_data, serialized_headers_size)?;
    let body = slice(memory, body_data, body_size)?;
    let trailers = slice(memory, serialized_trailers_data, serialized_trailers_size)?;
    let call = HttpCall {
        upstream,
        headers: &wire::decode(headers).map_err(|_| Status::BadArgument)?,
        body,
        trailers: &wire::decode(trailers).map_err(|_| Status::BadArgument)?,
        timeout: milliseconds(timeout).ok_or(Status::BadArgument)?,
    };
    let token = state.begin_call(CallKind::Http, upstream, |host, id| {
        host.http_call(id, &call).map_err(|error| match error {
            CallError::Upstream | CallError::Invalid => Status::BadArgument,
            CallError::Full | CallError::NotFound => Status::InternalFailure,
        })
    })?;
    vm.write_u32(return_call_id, token)
}

/// A timeout as plugins give it: 0 is none. `None` for one that is negative.
pub(super) fn milliseconds(timeout: u32) -> Option<Option<Duration>> {
    match timeout.cast_signed() {
        ..0 => None,
        0 => Some(None),
        _ => Some(Some(Duration::from_millis(timeout.into()))),
    }
}

/// `proxy_get_status` (all versions).
///
/// The status of the call that a callback reports: a gRPC status, or what stands for an HTTP call that failed; 0 and no message where
/// there is none. `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_get_status(
    vm: &mut Vm<'_>,
    return_status_code: u32,
    return_status_message_data: u32,
    return_status_message_size: u32,
) -> Answer {
    vm.check(return_status_code, 4)?;
    vm.give_filled(
        return_status_message_data,
        return_status_message_size,
        |vm, message| {
            let mut status = 0;
            if let Some(report) = &vm.state().report {
                status = report.status;
                message.extend_from_slice(&report.status_message);
            }
            vm.write_u32(return_status_code, status)
        },
    )
}

#[cfg(test)]
mod tests {
    use crate::abi::calls::Report;
    use crate::abi::host::{CallError, CallEvent};
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
    fn calls_are_begun_and_numbered() {
        let mut guest = FakeGuest::with_stream();
        for (token, trailers, text) in [
            (
                1,
                PAIRS,
                "http 1 upstream [:method=GET] a body [:method=GET] Some(1s)",
            ),
            (2, b"", "http 2 upstream [:method=GET] a body [] Some(1s)"),
        ] {
            let (args, id) = arguments(&mut guest, PAIRS, trailers);
            assert_eq!(guest.status("proxy_http_call", &args), Status::Ok);
            assert_eq!(guest.u32_at(id), token);
            assert_eq!(guest.host.calls.take(), [text]);
            let call = guest.state.calls.get(token).unwrap();
            assert_eq!((call.root_id, call.owner, call.outlives), (1, 2, false));
        }
    }

    #[test]
    fn a_timeout_of_none_is_the_proxys_and_a_negative_one_is_bad() {
        let mut guest = FakeGuest::with_stream();
        let (mut args, _) = arguments(&mut guest, PAIRS, PAIRS);
        args[8] = 0;
        assert_eq!(guest.status("proxy_http_call", &args), Status::Ok);
        assert!(guest.host.calls.take()[0].ends_with(" None"));
        for timeout in [0x8000_0000, 0xffff_ffff] {
            args[8] = timeout;
            let status = guest.status("proxy_http_call", &args);
            assert_eq!(status, Status::BadArgument);
        }
        assert!(guest.host.calls.take().is_empty());
    }

    #[test]
    fn what_the_proxy_refuses_is_a_status_and_no_call() {
        let mut guest = FakeGuest::with_stream();
        for (error, want) in [
            (CallError::Upstream, Status::BadArgument),
            (CallError::Invalid, Status::BadArgument),
            (CallError::Full, Status::InternalFailure),
        ] {
            guest.host.refuses.set(Some(error));
            let (args, id) = arguments(&mut guest, PAIRS, PAIRS);
            assert_eq!(guest.status("proxy_http_call", &args), want);
            assert_eq!(guest.bytes_at(id, 4), [0xee; 4]);
            assert!(guest.state.calls.is_empty());
        }
    }

    #[test]
    fn without_a_plugin_context_no_call_is_begun() {
        let mut guest = FakeGuest::new();
        guest.state.current = 0;
        let (args, _) = arguments(&mut guest, PAIRS, PAIRS);
        let status = guest.status("proxy_http_call", &args);
        assert_eq!(status, Status::InternalFailure);
        assert!(guest.host.calls.take().is_empty());
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

    fn get_status(guest: &mut FakeGuest) -> (u32, Vec<u8>) {
        let out = guest.put(&[0xee; 12]);
        let status = guest.status("proxy_get_status", &[out, out + 4, out + 8]);
        assert_eq!(status, Status::Ok);
        (guest.u32_at(out), guest.given(out + 4, out + 8).to_vec())
    }

    #[test]
    fn without_a_call_the_status_is_zero_and_there_is_no_message() {
        let mut guest = FakeGuest::new();
        assert_eq!(get_status(&mut guest), (0, vec![]));
        assert!(guest.calls.is_empty());
    }

    #[test]
    fn the_status_is_the_reported_calls() {
        let mut guest = FakeGuest::new();
        let closed = CallEvent::Closed {
            status: 14,
            message: b"gone".to_vec(),
            answered: true,
        };
        let reason = "connection refused".to_owned();
        for (event, want) in [
            (closed, (14, &b"gone"[..])),
            (CallEvent::Failed { reason }, (11, b"connection refused")),
        ] {
            guest.state.report = Some(Box::new(Report::from(event)));
            assert_eq!(get_status(&mut guest), (want.0, want.1.to_vec()));
        }
    }

    #[test]
    fn pointers_are_checked() {
        let mut guest = FakeGuest::with_stream();
        let (args, _) = arguments(&mut guest, PAIRS, PAIRS);
        guest.assert_bounds("proxy_http_call", &args, (0..8).chain([9]));
        assert!(guest.state.calls.is_empty());
        let out = guest.put(&[0xee; 12]);
        guest.assert_bounds("proxy_get_status", &[out, out + 4, out + 8], 0..3);
    }
}
