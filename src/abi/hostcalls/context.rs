use super::Answer;
use crate::abi::types::Status;
use crate::abi::vm::{Finish, Vm};

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
