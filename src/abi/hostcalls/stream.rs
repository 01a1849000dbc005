use super::Answer;
use crate::abi::guest::Vm;
use crate::abi::types::{Status, StreamType};
use crate::abi::vm::VmState;

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
            context.wake();
            Ok(())
        }
        StreamType::Downstream | StreamType::Upstream => Err(Status::BadArgument.into()),
    }
}

fn resume(state: &mut VmState, stream_type: StreamType) -> Answer {
    let context = state.stream_mut().ok_or(Status::BadArgument)?;
    match stream_type {
        StreamType::HttpRequest => {
            context.continue_request = true;
            context.wake();
        }
        StreamType::HttpResponse => context.continue_response = true,
        StreamType::Downstream | StreamType::Upstream => return Err(Status::Unimplemented.into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::abi::testing::FakeGuest;
    use crate::abi::types::Status;

    /// Whether the request and the response have been continued.
    fn continued(guest: &FakeGuest) -> (bool, bool) {
        let context = guest.state.stream().unwrap();
        (context.continue_request, context.continue_response)
    }

    #[test]
    fn each_side_is_continued_by_itself() {
        for (name, args, want) in [
            ("proxy_continue_stream", &[0][..], (true, false)),
            ("proxy_continue_stream", &[1], (false, true)),
            ("proxy_continue_request", &[], (true, false)),
            ("proxy_continue_response", &[], (false, true)),
        ] {
            let mut guest = FakeGuest::with_stream();
            assert_eq!(guest.status(name, args), Status::Ok);
            assert_eq!(continued(&guest), want, "{name}");
        }
    }

    #[test]
    fn tcp_streams_and_unknown_ones_are_not_continued() {
        let mut guest = FakeGuest::with_stream();
        for (stream, want) in [
            (2, Status::Unimplemented),
            (3, Status::Unimplemented),
            (4, Status::BadArgument),
            (0xffff_ffff, Status::BadArgument),
        ] {
            assert_eq!(guest.status("proxy_continue_stream", &[stream]), want);
        }
        assert_eq!(continued(&guest), (false, false));
    }

    #[test]
    fn outside_a_request_nothing_is_continued_or_closed() {
        let mut guest = FakeGuest::new();
        for (name, args) in [
            ("proxy_continue_stream", &[0][..]),
            ("proxy_continue_stream", &[1]),
            ("proxy_continue_request", &[]),
            ("proxy_continue_response", &[]),
            ("proxy_close_stream", &[0]),
            ("proxy_close_stream", &[1]),
        ] {
            assert_eq!(guest.status(name, args), Status::BadArgument, "{name}");
        }
    }

    #[test]
    fn either_side_closes_the_request() {
        for side in [0, 1] {
            let mut guest = FakeGuest::with_stream();
            assert_eq!(guest.status("proxy_close_stream", &[side]), Status::Ok);
            assert!(guest.stream.closed.get());
        }
        let mut guest = FakeGuest::with_stream();
        for stream in [2, 3, 4, 0xffff_ffff] {
            let status = guest.status("proxy_close_stream", &[stream]);
            assert_eq!(status, Status::BadArgument);
        }
        assert!(!guest.stream.closed.get());
    }

    #[test]
    fn the_route_cache_can_always_be_cleared() {
        for mut guest in [FakeGuest::new(), FakeGuest::with_stream()] {
            assert_eq!(guest.status("proxy_clear_route_cache", &[]), Status::Ok);
        }
    }
}
