use super::Answer;
use crate::abi::guest::{Vm, slice};
use crate::abi::host::{LocalResponse, is_header_name, is_header_value};
use crate::abi::types::{LogLevel, Status};
use crate::abi::wire;

/// Most of the details that are kept, for the log.
const MAX_DETAILS: usize = 64 * 1024;

/// `proxy_send_local_response` (all versions).
///
/// `InvalidMemoryAccess` for a piece outside memory or headers whose counts or lengths lie. A header that no response may have
/// is left out, a status that is none becomes 500, a body longer than bodies may be becomes none, with 500, and a response after the first byte was sent is dropped, each with an
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
    let limit = state.plugin.bounds.body;

    let mut response = LocalResponse {
        status: status_code,
        details: details[..details.len().min(MAX_DETAILS)].to_vec(),
        body: Vec::new(),
        headers: Vec::with_capacity(headers.len()),
        grpc_status: grpc_status.cast_signed(),
    };
    // What is below 200 is no answer yet.
    if !(200..=999).contains(&status_code) {
        state.log(
            LogLevel::Error,
            format!(
                "proxy_send_local_response: {status_code} is no status of a response, 500 is sent"
            )
            .as_bytes(),
        );
        response.status = 500;
    }
    if body.len() <= limit {
        response.body = body.to_vec();
    } else {
        let size = body.len();
        let text = format!(
            "proxy_send_local_response: a body of {size} bytes, {limit} are allowed, 500 is sent"
        );
        state.log(LogLevel::Error, text.as_bytes());
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
    let sent = state.stream().is_some_and(|context| {
        let sent = context.stream.send_local_response(response);
        context.wake();
        sent
    });
    if !sent {
        state.log(
            LogLevel::Error,
            b"proxy_send_local_response: dropped, there is no request or its response has been sent",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::abi::host::LocalResponse;
    use crate::abi::testing::FakeGuest;
    use crate::abi::types::{LogLevel, Status};
    use crate::abi::wire::Encoder;

    const NAME: &str = "proxy_send_local_response";
    const NO_GRPC: u64 = u32::MAX as u64;

    fn arguments(guest: &mut FakeGuest, status: u64, headers: &[(&str, &str)]) -> Vec<u64> {
        let mut map = Vec::new();
        let mut pairs = Encoder::new(&mut map);
        for (name, value) in headers {
            pairs.push(name.as_bytes(), value.as_bytes());
        }
        pairs.finish();
        let pieces = [b"the details", &b"the body"[..], &map].map(|piece| guest.string(piece));
        let pieces = pieces.into_iter().flatten();
        [status]
            .into_iter()
            .chain(pieces)
            .chain([NO_GRPC])
            .collect()
    }

    /// Sends a response and gives what the proxy was given, and how many errors were logged.
    fn send(
        guest: &mut FakeGuest,
        status: u64,
        headers: &[(&str, &str)],
    ) -> (Option<LocalResponse>, usize) {
        let args = arguments(guest, status, headers);
        assert_eq!(guest.status(NAME, &args), Status::Ok);
        let logs = guest.stream.logs.take();
        assert!(logs.iter().all(|(level, _)| *level == LogLevel::Error));
        (guest.stream.local_response.take(), logs.len())
    }

    #[test]
    fn the_response_has_all_that_was_said() {
        let mut guest = FakeGuest::with_stream();
        let headers = [("X-One", "1"), ("x-one", "2"), ("empty", "")];
        let (response, errors) = send(&mut guest, 403, &headers);
        let response = response.unwrap();
        assert_eq!((response.status, response.grpc_status), (403, -1));
        assert_eq!(response.details, b"the details");
        assert_eq!(response.body, b"the body");
        let want = headers.map(|(name, value)| (name.into(), value.into()));
        assert_eq!(response.headers, want);
        assert_eq!(errors, 0);
    }

    #[test]
    fn a_grpc_status_is_passed_on() {
        let mut guest = FakeGuest::with_stream();
        let mut args = arguments(&mut guest, 200, &[]);
        args[7] = 16;
        assert_eq!(guest.status(NAME, &args), Status::Ok);
        let response = guest.stream.local_response.take().unwrap();
        assert_eq!(response.grpc_status, 16);
    }

    #[test]
    fn a_status_that_is_none_becomes_500_with_an_error() {
        let mut guest = FakeGuest::with_stream();
        for (given, sent, errors) in [
            (200, 200, 0),
            (999, 999, 0),
            (0, 500, 1),
            (99, 500, 1),
            (100, 500, 1),
            (101, 500, 1),
            (199, 500, 1),
            (1000, 500, 1),
            (0xffff_ffff, 500, 1),
        ] {
            let (response, logged) = send(&mut guest, given, &[]);
            assert_eq!((response.unwrap().status, logged), (sent, errors));
        }
    }

    #[test]
    fn a_header_that_no_response_may_have_is_left_out_with_an_error() {
        for (bad, errors) in [
            (("", "value"), 1),
            (("a b", "value"), 1),
            (("name\r\n", "value"), 1),
            (("name", "split\r\nx: y"), 1),
            (("name", "nul\0"), 1),
            // The status is an argument, and there is nothing else to say.
            ((":status", "200"), 0),
        ] {
            let mut guest = FakeGuest::with_stream();
            let (response, logged) = send(&mut guest, 200, &[bad, ("good", "1")]);
            let want = [(b"good".to_vec(), b"1".to_vec())];
            assert_eq!(response.unwrap().headers, want, "{bad:?}");
            assert_eq!(logged, errors, "{bad:?}");
        }
    }

    #[test]
    fn after_the_first_byte_it_is_dropped_with_an_error() {
        let mut guest = FakeGuest::with_stream();
        guest.stream.sent.set(true);
        let (response, errors) = send(&mut guest, 200, &[]);
        assert!(response.is_none());
        assert_eq!(errors, 1);
    }

    #[test]
    fn outside_a_request_it_is_dropped_with_an_error() {
        let mut guest = FakeGuest::new();
        let args = arguments(&mut guest, 200, &[]);
        assert_eq!(guest.status(NAME, &args), Status::Ok);
        assert_eq!(guest.host.logs.borrow().len(), 1);
    }

    #[test]
    fn headers_that_lie_or_lead_out_of_memory_send_nothing() {
        let mut guest = FakeGuest::with_stream();
        let mut args = arguments(&mut guest, 200, &[("name", "value")]);
        guest.assert_bounds(NAME, &args, 1..7);
        args[6] -= 1;
        let status = guest.status(NAME, &args);
        assert_eq!(status, Status::InvalidMemoryAccess);
        assert!(guest.stream.local_response.take().is_none());
        assert!(guest.stream.logs.borrow().is_empty());
    }
}
