//! What becomes of a VM's calls.

use super::{Turn, Vm};
use crate::abi::calls::{Call, CallKind, Report};
use crate::abi::host::{CallEvent, Fields};
use crate::abi::types::LogLevel;
use crate::abi::vm::{Phase, VmState};
use crate::plugin::Error;

impl Vm {
    /// What the plugin context that a call belongs to is known by.
    pub fn caller(&self, token: u32) -> Option<u32> {
        let serial = self.with_state(|state| {
            let root_id = state.calls.get(token)?.root_id;
            state.contexts.serial(root_id)
        });
        serial.ok().flatten()
    }
}

impl Turn<'_> {
    /// Runs the callback about what has become of a call, on the plugin context that the call belongs to. Nothing where the call is
    /// over.
    ///
    /// # Errors
    /// The callback trapped, or the VM had before.
    pub fn on_call(&mut self, token: u32, event: CallEvent) -> Result<(), Error> {
        let Some(call) = self.state().calls.remove(token) else {
            return Ok(());
        };
        let callbacks = &self.vm.callbacks;
        let count = |fields: &Fields| fields.len() as u32;
        let (name, func, args, over) = match &event {
            CallEvent::Response {
                headers,
                body,
                trailers,
            } => (
                "proxy_on_http_call_response",
                callbacks.on_http_call_response,
                [count(headers), body.len() as u32, count(trailers)],
                true,
            ),
            CallEvent::Failed { .. } => (
                "proxy_on_http_call_response",
                callbacks.on_http_call_response,
                [0; 3],
                true,
            ),
            CallEvent::InitialMetadata(metadata) => (
                "proxy_on_grpc_receive_initial_metadata",
                callbacks.on_grpc_receive_initial_metadata,
                [count(metadata), 0, 0],
                false,
            ),
            CallEvent::Message(message) => (
                "proxy_on_grpc_receive",
                callbacks.on_grpc_receive,
                [message.len() as u32, 0, 0],
                call.kind == CallKind::GrpcCall,
            ),
            CallEvent::TrailingMetadata(metadata) => (
                "proxy_on_grpc_receive_trailing_metadata",
                callbacks.on_grpc_receive_trailing_metadata,
                [count(metadata), 0, 0],
                false,
            ),
            CallEvent::Closed { status, .. } => (
                "proxy_on_grpc_close",
                callbacks.on_grpc_close,
                [*status, 0, 0],
                true,
            ),
        };
        let root_id = call.root_id;
        let failed = event.failure().is_some();
        let state = self.state();
        log_failure(state, &call, &event);
        state.since = Some(call.since);
        state.report = Some(Box::new(Report::from(event)));
        let over = if over {
            Some(call)
        } else {
            state.calls.insert(token, call);
            None
        };
        let [a, b, c] = args;
        let result = self.run(
            name,
            func,
            root_id,
            Phase::Background,
            &[root_id, token, a, b, c],
        );
        self.vm.tell_short();
        let state = self.state();
        state.report = None;
        state.since = None;
        if let Some(call) = &over {
            state.call_is_over(call, failed);
        }
        result.map(|_| ())
    }
}

/// Logs why a call has no answer, with the request that made it as context.
fn log_failure(state: &mut VmState, call: &Call, event: &CallEvent) {
    let Some(reason) = event.failure() else {
        return;
    };
    let upstream = call.upstream.escape_ascii();
    let text = format!("the call to \"{upstream}\" failed: {reason}");
    state.current = call.owner;
    state.log(LogLevel::Error, text.as_bytes());
}
