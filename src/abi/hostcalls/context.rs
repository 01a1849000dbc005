use super::Answer;
use crate::abi::contexts::Finish;
use crate::abi::guest::Vm;
use crate::abi::types::Status;

/// `proxy_set_effective_context` (all versions).
///
/// `BadArgument` for an unknown context.
pub fn proxy_set_effective_context(vm: &mut Vm<'_>, context_id: u32) -> Answer {
    let state = vm.state();
    state.contexts.get(context_id).ok_or(Status::BadArgument)?;
    state.current = context_id;
    Ok(())
}

/// `proxy_done` (all versions).
///
/// `NotFound` unless `proxy_on_done` answered false for the effective context. `proxy_on_log` and `proxy_on_delete` run as soon
/// as the callback that called this returns.
pub fn proxy_done(vm: &mut Vm<'_>) -> Answer {
    let state = vm.state();
    let current = state.current;
    match state.contexts.get_mut(current) {
        Some(context) if context.finish == Finish::Pending => {
            context.finish = Finish::Due;
            state.done_called = true;
            Ok(())
        }
        _ => Err(Status::NotFound.into()),
    }
}

#[cfg(test)]
mod tests {
    use crate::abi::contexts::Finish;
    use crate::abi::testing::FakeGuest;
    use crate::abi::types::Status;

    #[test]
    fn the_effective_context_is_what_hostcalls_are_about() {
        let mut guest = FakeGuest::with_stream();
        let stream = u64::from(guest.state.current);
        assert_eq!(
            guest.status("proxy_set_effective_context", &[1]),
            Status::Ok
        );
        assert!(guest.state.stream().is_none());
        let status = guest.status("proxy_set_effective_context", &[stream]);
        assert_eq!(status, Status::Ok);
        assert!(guest.state.stream().is_some());
    }

    #[test]
    fn an_unknown_context_does_not_become_effective() {
        let mut guest = FakeGuest::new();
        for id in [0, 2, 0xffff_ffff] {
            let status = guest.status("proxy_set_effective_context", &[id]);
            assert_eq!(status, Status::BadArgument);
            assert_eq!(guest.state.current, 1);
        }
    }

    #[test]
    fn done_ends_a_context_that_waits_for_it_once() {
        let mut guest = FakeGuest::with_stream();
        let id = guest.state.current;
        assert_eq!(guest.status("proxy_done", &[]), Status::NotFound);
        assert!(!guest.state.done_called);

        guest.state.contexts.get_mut(id).unwrap().finish = Finish::Pending;
        assert_eq!(guest.status("proxy_done", &[]), Status::Ok);
        assert!(guest.state.done_called);
        assert_eq!(guest.state.contexts.due(), [id]);
        assert_eq!(guest.status("proxy_done", &[]), Status::NotFound);
    }

    #[test]
    fn done_is_about_the_effective_context() {
        let mut guest = FakeGuest::with_stream();
        let id = guest.state.current;
        guest.state.contexts.get_mut(id).unwrap().finish = Finish::Pending;
        guest.state.current = 1;
        assert_eq!(guest.status("proxy_done", &[]), Status::NotFound);
        guest.state.current = 0;
        assert_eq!(guest.status("proxy_done", &[]), Status::NotFound);
        assert!(guest.state.contexts.due().is_empty());
    }
}
