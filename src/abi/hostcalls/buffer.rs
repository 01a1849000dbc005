use super::Answer;
use crate::abi::guest::Vm;
use crate::abi::types::{BufferType, LogLevel, Status};
use crate::abi::vm::VmState;

/// `proxy_get_buffer_bytes` (all versions).
///
/// `BadArgument` for an unknown buffer, a start past its end, or a start and size that wrap; `NotFound` for a buffer that is not
/// there now; `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_get_buffer_bytes(
    vm: &mut Vm<'_>,
    buffer_id: u32,
    start: u32,
    max_size: u32,
    return_value_data: u32,
    return_value_size: u32,
) -> Answer {
    let buffer = BufferType::try_from(buffer_id)?;
    vm.give_filled(return_value_data, return_value_size, |vm, value| {
        let bytes = find(vm.state(), buffer)?;
        let end = start
            .checked_add(max_size)
            .map(|end| (end as usize).min(bytes.len()))
            .ok_or(Status::BadArgument)?;
        let part = bytes.get(start as usize..end).ok_or(Status::BadArgument)?;
        value.extend_from_slice(part);
        Ok(())
    })
}

/// `proxy_get_configuration` (0.1.0).
///
/// The VM's configuration while the VM starts, else the plugin's. `InvalidMemoryAccess` for a pointer outside memory.
pub fn proxy_get_configuration(
    vm: &mut Vm<'_>,
    return_value_data: u32,
    return_value_size: u32,
) -> Answer {
    vm.give_filled(return_value_data, return_value_size, |vm, value| {
        let state = vm.state();
        let configuration = match state.phase {
            crate::abi::vm::Phase::Start => BufferType::VmConfiguration,
            _ => BufferType::PluginConfiguration,
        };
        value.extend_from_slice(find(state, configuration).unwrap_or_default());
        Ok(())
    })
}

/// `proxy_get_buffer_status` (all versions).
///
/// `BadArgument` for an unknown buffer, `NotFound` for one that is not there now, `InvalidMemoryAccess` for a pointer outside
/// memory.
pub fn proxy_get_buffer_status(
    vm: &mut Vm<'_>,
    buffer_id: u32,
    return_buffer_size: u32,
    return_unused: u32,
) -> Answer {
    let size = find(vm.state(), BufferType::try_from(buffer_id)?)?.len();
    vm.check(return_unused, 4)?;
    vm.write_u32(return_buffer_size, size as u32)?;
    vm.write_u32(return_unused, 0)
}

/// `proxy_set_buffer_bytes` (all versions).
///
/// Replaces `size` bytes at `start`; a start past the end appends. `BadArgument` for an unknown buffer, one that cannot be
/// written, or one that would become longer than bodies may be; `NotFound` for one that is not there now, `InvalidMemoryAccess` for a
/// value outside memory.
pub fn proxy_set_buffer_bytes(
    vm: &mut Vm<'_>,
    buffer_id: u32,
    start: u32,
    size: u32,
    value_data: u32,
    value_size: u32,
) -> Answer {
    let buffer = BufferType::try_from(buffer_id)?;
    let (value, state) = vm.read_with_state(value_data, value_size)?;
    let limit = state.plugin.bounds.body;
    let context = state.stream_mut();
    let body = match buffer {
        BufferType::HttpRequestBody => context.map(|c| &mut c.request_body),
        BufferType::HttpResponseBody => context.map(|c| &mut c.response_body),
        BufferType::DownstreamData
        | BufferType::UpstreamData
        | BufferType::HttpCallResponseBody
        | BufferType::GrpcReceiveBuffer => None,
        BufferType::VmConfiguration
        | BufferType::PluginConfiguration
        | BufferType::ForeignFunctionArguments => return Err(Status::BadArgument.into()),
    };
    let Some(body) = body.filter(|body| body.get().is_some()) else {
        return Err(Status::NotFound.into());
    };
    let new = body.len_with(start, size, value.len());
    if new > limit && new > body.len() {
        let text = format!("proxy_set_buffer_bytes: a body of {new} bytes, {limit} are allowed");
        state.log(LogLevel::Warn, text.as_bytes());
        return Err(Status::BadArgument.into());
    }
    body.replace(start, size, value);
    Ok(())
}

fn find(state: &VmState, buffer: BufferType) -> Result<&[u8], Status> {
    match buffer {
        BufferType::HttpRequestBody => state.stream().and_then(|c| c.request_body.get()),
        BufferType::HttpResponseBody => state.stream().and_then(|c| c.response_body.get()),
        BufferType::VmConfiguration => Some(&state.plugin.vm_config[..]),
        BufferType::PluginConfiguration => state.root().map(|r| &r.config[..]),
        BufferType::HttpCallResponseBody => state.report.as_ref().and_then(|r| r.body.as_deref()),
        BufferType::GrpcReceiveBuffer => state.report.as_ref().and_then(|r| r.message.as_deref()),
        // No TCP streams: there is never anything in these.
        BufferType::DownstreamData
        | BufferType::UpstreamData
        | BufferType::ForeignFunctionArguments => None,
    }
    .ok_or(Status::NotFound)
}

#[cfg(test)]
mod tests {
    use crate::abi::calls::Report;
    use crate::abi::contexts::StreamContext;
    use crate::abi::testing::FakeGuest;
    use crate::abi::types::Status;
    use crate::abi::vm::Phase;

    const REQUEST_BODY: u64 = 0;
    const RESPONSE_BODY: u64 = 1;
    const CALL_BODY: u64 = 4;
    const GRPC_MESSAGE: u64 = 5;
    const VM_CONFIGURATION: u64 = 6;
    const PLUGIN_CONFIGURATION: u64 = 7;
    /// TCP data, which there never is, what calls are answered with, and the arguments of a foreign function.
    const NOT_THERE: [u64; 5] = [2, 3, CALL_BODY, GRPC_MESSAGE, 8];
    const UNKNOWN: [u64; 2] = [9, 0xffff_ffff];
    const MAX: u64 = u32::MAX as u64;

    fn context(guest: &mut FakeGuest) -> &mut StreamContext {
        guest.state.stream_mut().unwrap()
    }

    fn with_bodies(request: &[u8], response: &[u8]) -> FakeGuest {
        let mut guest = FakeGuest::with_stream();
        context(&mut guest).request_body.push(request);
        context(&mut guest).response_body.push(response);
        guest
    }

    /// The status and what was given.
    fn get(guest: &mut FakeGuest, buffer: u64, start: u64, max_size: u64) -> (Status, Vec<u8>) {
        let out = guest.room(8);
        let args = [buffer, start, max_size, out, out + 4];
        let status = guest.status("proxy_get_buffer_bytes", &args);
        (status, guest.given(out, out + 4).to_vec())
    }

    /// The status, and the size and the number of unused bytes where 9 was written before.
    fn status(guest: &mut FakeGuest, buffer: u64) -> (Status, u32, u32) {
        let out = guest.put(&[9, 0, 0, 0, 9, 0, 0, 0]);
        let status = guest.status("proxy_get_buffer_status", &[buffer, out, out + 4]);
        (status, guest.u32_at(out), guest.u32_at(out + 4))
    }

    fn set(guest: &mut FakeGuest, buffer: u64, start: u64, size: u64, value: &[u8]) -> Status {
        let [value, value_size] = guest.string(value);
        let args = [buffer, start, size, value, value_size];
        guest.status("proxy_set_buffer_bytes", &args)
    }

    #[test]
    fn each_buffer_has_its_bytes() {
        let mut guest = with_bodies(b"asked", b"answered");
        for (buffer, want) in [
            (REQUEST_BODY, &b"asked"[..]),
            (RESPONSE_BODY, b"answered"),
            (VM_CONFIGURATION, b"vm config"),
            (PLUGIN_CONFIGURATION, b"config"),
        ] {
            let answer = get(&mut guest, buffer, 0, MAX);
            assert_eq!(answer, (Status::Ok, want.to_vec()));
            let answer = status(&mut guest, buffer);
            assert_eq!(answer, (Status::Ok, want.len() as u32, 0));
        }
    }

    #[test]
    fn a_part_ends_with_the_buffer() {
        let mut guest = with_bodies(b"hello", b"");
        for (start, max_size, want) in [
            (0, 0, &b""[..]),
            (1, 3, b"ell"),
            (3, 100, b"lo"),
            (5, 1, b""),
        ] {
            let answer = get(&mut guest, REQUEST_BODY, start, max_size);
            assert_eq!(answer, (Status::Ok, want.to_vec()));
        }
        assert_eq!(get(&mut guest, RESPONSE_BODY, 0, 1), (Status::Ok, vec![]));
    }

    #[test]
    fn a_part_past_the_end_is_a_bad_argument() {
        let mut guest = with_bodies(b"hello", b"");
        for (start, max_size) in [(6, 1), (1, MAX), (MAX, 1), (MAX, 0)] {
            let answer = get(&mut guest, REQUEST_BODY, start, max_size);
            assert_eq!(answer, (Status::BadArgument, vec![]));
        }
    }

    #[test]
    fn an_unknown_buffer_is_a_bad_argument() {
        let mut guest = with_bodies(b"hello", b"hello");
        for buffer in UNKNOWN {
            assert_eq!(get(&mut guest, buffer, 0, 1).0, Status::BadArgument);
            assert_eq!(status(&mut guest, buffer), (Status::BadArgument, 9, 9));
            let answer = set(&mut guest, buffer, 0, 1, b"x");
            assert_eq!(answer, Status::BadArgument);
        }
    }

    #[test]
    fn a_buffer_that_is_not_there_is_not_found() {
        let nothing_there = [FakeGuest::new(), FakeGuest::with_stream()]
            .map(|guest| (guest, &[REQUEST_BODY, RESPONSE_BODY][..]));
        let only_bodies = [(with_bodies(b"", b""), &NOT_THERE[..])];
        for (mut guest, buffers) in nothing_there.into_iter().chain(only_bodies) {
            for &buffer in buffers {
                let answer = get(&mut guest, buffer, 0, 1);
                assert_eq!(answer, (Status::NotFound, vec![]), "{buffer}");
                assert_eq!(status(&mut guest, buffer), (Status::NotFound, 9, 9));
            }
            assert!(guest.calls.is_empty(), "memory was allocated for nothing");
        }
    }

    #[test]
    fn what_a_call_was_answered_with_is_there_while_the_plugin_is_told_of_it() {
        for mut guest in [FakeGuest::new(), FakeGuest::with_stream()] {
            for (buffer, other, report) in [
                (
                    CALL_BODY,
                    GRPC_MESSAGE,
                    Report {
                        body: Some(b"answer".to_vec()),
                        ..Report::default()
                    },
                ),
                (
                    GRPC_MESSAGE,
                    CALL_BODY,
                    Report {
                        message: Some(b"answer".to_vec()),
                        ..Report::default()
                    },
                ),
            ] {
                guest.state.report = Some(Box::new(report));
                let whole = (Status::Ok, b"answer".to_vec());
                assert_eq!(get(&mut guest, buffer, 0, MAX - 6), whole);
                assert_eq!(get(&mut guest, buffer, 2, 3).1, b"swe");
                assert_eq!(get(&mut guest, buffer, 7, 1).0, Status::BadArgument);
                assert_eq!(status(&mut guest, buffer), (Status::Ok, 6, 0));
                let answer = set(&mut guest, buffer, 0, 6, b"other");
                assert_eq!(answer, Status::NotFound);
                assert_eq!(get(&mut guest, buffer, 0, 6), whole);
                assert_eq!(get(&mut guest, other, 0, 1).0, Status::NotFound);
                guest.state.report = None;
                assert_eq!(get(&mut guest, buffer, 0, 1).0, Status::NotFound);
            }
        }
    }

    #[test]
    fn an_empty_answer_is_there_and_that_of_a_failed_call_is_not() {
        let mut guest = FakeGuest::new();
        let mut answer = |body| {
            guest.state.report = Some(Box::new(Report {
                body,
                ..Report::default()
            }));
            get(&mut guest, CALL_BODY, 0, 1)
        };
        assert_eq!(answer(Some(vec![])), (Status::Ok, vec![]));
        assert_eq!(answer(None), (Status::NotFound, vec![]));
    }

    #[test]
    fn outside_every_context_there_is_no_configuration() {
        let mut guest = FakeGuest::new();
        guest.state.current = 0;
        let answer = get(&mut guest, PLUGIN_CONFIGURATION, 0, 1);
        assert_eq!(answer.0, Status::NotFound);
        assert_eq!(get(&mut guest, VM_CONFIGURATION, 0, 1).0, Status::Ok);
    }

    #[test]
    fn a_body_is_changed_in_place() {
        let mut guest = with_bodies(b"hello", b"world");
        let answer = set(&mut guest, REQUEST_BODY, 1, 3, b"i! hi! i");
        assert_eq!(answer, Status::Ok);
        let answer = set(&mut guest, RESPONSE_BODY, MAX, MAX, b"!");
        assert_eq!(answer, Status::Ok);
        let answer = get(&mut guest, REQUEST_BODY, 0, MAX);
        assert_eq!(answer.1, b"hi! hi! io");
        assert_eq!(get(&mut guest, RESPONSE_BODY, 0, MAX).1, b"world!");
        assert!(context(&mut guest).request_body.changed());
    }

    #[test]
    fn only_a_body_that_is_there_can_be_set() {
        let mut guest = with_bodies(b"hello", b"");
        for buffer in [VM_CONFIGURATION, PLUGIN_CONFIGURATION, 8] {
            let answer = set(&mut guest, buffer, 0, 1, b"x");
            assert_eq!(answer, Status::BadArgument);
        }
        for buffer in [2, 3, 4, 5] {
            assert_eq!(set(&mut guest, buffer, 0, 1, b"x"), Status::NotFound);
        }
        for mut guest in [FakeGuest::new(), FakeGuest::with_stream()] {
            for buffer in [REQUEST_BODY, RESPONSE_BODY] {
                assert_eq!(set(&mut guest, buffer, 0, 1, b"x"), Status::NotFound);
            }
        }
    }

    #[test]
    fn the_configuration_is_the_vms_until_the_plugin_is_configured() {
        let mut guest = FakeGuest::new();
        for (phase, want) in [
            (Phase::Start, &b"vm config"[..]),
            (Phase::Configure, b"config"),
            (Phase::RequestHeaders, b"config"),
        ] {
            guest.state.phase = phase;
            let out = guest.room(8);
            let status = guest.status("proxy_get_configuration", &[out, out + 4]);
            assert_eq!(status, Status::Ok);
            assert_eq!(guest.given(out, out + 4), want);
        }
    }

    #[test]
    fn pointers_are_checked() {
        let mut guest = with_bodies(b"hello", b"");
        let [value, value_size] = guest.string(b"value");
        let out = guest.room(8);
        let args = [REQUEST_BODY, 0, 5, out, out + 4];
        guest.assert_bounds("proxy_get_buffer_bytes", &args, 3..5);
        guest.assert_bounds("proxy_get_configuration", &[out, out + 4], 0..2);
        let args = [REQUEST_BODY, out, out + 4];
        guest.assert_bounds("proxy_get_buffer_status", &args, 1..3);
        let args = [REQUEST_BODY, 0, 5, value, value_size];
        guest.assert_bounds("proxy_set_buffer_bytes", &args, 3..5);
        assert!(!context(&mut guest).request_body.changed());
    }
}
