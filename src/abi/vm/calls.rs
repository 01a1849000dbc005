//! The calls of a VM: their beginnings and their ends.

use super::{Phase, VmState};
use crate::abi::calls::{Call, CallKind};
use crate::abi::contexts::{Context, ContextKind};
use crate::abi::host::{CallId, Event, Host};
use crate::abi::types::Status;

impl VmState {
    /// What the proxy knows a call by.
    pub fn call_id(&self, token: u32) -> CallId {
        CallId {
            vm: self.serial,
            token,
        }
    }

    /// Begins a call of the effective context and gives what the plugin knows it by.
    ///
    /// # Errors
    /// What `begin` answers; `InternalFailure` where there is no plugin context that callbacks could run on.
    pub fn begin_call(
        &mut self,
        kind: CallKind,
        upstream: &[u8],
        begin: impl FnOnce(&dyn Host, CallId) -> Result<(), Status>,
    ) -> Result<u32, Status> {
        let root_id = self.stream().map_or(self.current, |s| s.root_id);
        if self.root().is_none() {
            return Err(Status::InternalFailure);
        }
        let token = self.calls.next_token();
        begin(&*self.host, self.call_id(token))?;
        self.host.note(Event::CallBegun);
        let owner = self.current;
        let outlives = self.phase == Phase::End && owner != root_id;
        if outlives {
            self.contexts.hold(owner);
        }
        let call = Call {
            kind,
            root_id,
            owner,
            outlives,
            upstream: upstream.into(),
            since: self.since.unwrap_or_else(|| self.calls.next_moment()),
        };
        self.calls.insert(token, call);
        Ok(token)
    }

    /// Whether the plugin may do something that no request asks for.
    pub fn acts_by_itself(&self) -> bool {
        !self.calls.is_empty() || self.contexts.act_by_themselves()
    }

    /// Forgets a call that was given up. False if there is none.
    pub fn end_call(&mut self, token: u32) -> bool {
        let Some(call) = self.calls.remove(token) else {
            return false;
        };
        self.call_is_over(&call, false);
        true
    }

    /// A call that is forgotten already is over: its request's id can be used again, and requests that wait for others look again.
    /// `failed`: the other side has not answered it.
    pub fn call_is_over(&mut self, call: &Call, failed: bool) {
        self.host.note(Event::CallEnded { failed });
        if call.outlives {
            self.contexts.release(call.owner);
        }
        for id in self.watchers.drain(..) {
            if let Some(Context {
                kind: ContextKind::Stream(stream),
                ..
            }) = self.contexts.get(id)
            {
                stream.wake();
            }
        }
    }

    /// Gives up the calls that are to be, and forgets them.
    pub fn cancel_calls(&mut self, which: impl Fn(&Call) -> bool) {
        if self.calls.is_empty() {
            return;
        }
        let open = self.calls.iter();
        let tokens: Vec<_> = open
            .filter(|(_, call)| which(call))
            .map(|(token, _)| token)
            .collect();
        for token in tokens {
            self.host.cancel_call(self.call_id(token));
            self.end_call(token);
        }
    }

    /// A context is about to go. The calls of a plugin context are given up, and so are those that a request still waits for; what else a
    /// request has sent goes on without it, but for gRPC streams, which nobody would end.
    pub fn disown_calls(&mut self, id: u32) {
        if self.calls.is_empty() {
            return;
        }
        let waits = matches!(
            self.contexts.get(id).map(|context| &context.kind),
            Some(ContextKind::Stream(stream)) if stream.abandoned
        );
        self.cancel_calls(|call| {
            let own = call.owner == id && !call.outlives;
            call.root_id == id || own && (waits || call.kind == CallKind::GrpcStream)
        });
        for _ in 0..self.calls.leave(id) {
            self.contexts.hold(id);
        }
    }
}

impl Drop for VmState {
    fn drop(&mut self) {
        self.cancel_calls(|_| true);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::abi::testing::{FakeGuest, FakeStream};

    /// Begins a call that the host takes, and gives its number.
    fn begin(guest: &mut FakeGuest, kind: CallKind) -> u32 {
        let begun = guest.state.begin_call(kind, b"upstream", |_, _| Ok(()));
        begun.unwrap()
    }

    /// What the host was told of calls, in order of their numbers.
    fn told(guest: &FakeGuest) -> Vec<String> {
        let mut calls = guest.host.calls.take();
        calls.sort();
        calls
    }

    fn insert_stream(guest: &mut FakeGuest) -> u32 {
        let stream = Rc::<FakeStream>::clone(&guest.stream);
        guest.state.contexts.insert_stream(1, stream)
    }

    #[test]
    fn a_call_is_of_the_effective_context_and_answered_on_its_plugin_context() {
        let mut guest = FakeGuest::with_stream();
        for (context, token) in [(2, 1), (1, 2)] {
            guest.state.current = context;
            let mut told = None;
            let begun = guest
                .state
                .begin_call(CallKind::Http, b"upstream", |_, id| {
                    told = Some(id);
                    Ok(())
                });
            assert_eq!(begun, Ok(token));
            assert_eq!(told, Some(CallId { vm: 3, token }));
            let call = guest.state.calls.get(token).unwrap();
            assert_eq!(
                (call.root_id, call.owner, call.outlives),
                (1, context, false)
            );
            assert_eq!(*call.upstream, *b"upstream");
        }
        assert!(guest.state.end_call(1) && !guest.state.end_call(1));
        assert!(guest.state.calls.get(1).is_none() && guest.state.calls.get(2).is_some());
        assert!(told(&guest).is_empty(), "what is over is not cancelled");
    }

    #[test]
    fn what_is_not_begun_is_no_call() {
        let mut guest = FakeGuest::with_stream();
        guest.state.phase = Phase::End;
        let refused = guest
            .state
            .begin_call(CallKind::Http, b"", |_, _| Err(Status::BadArgument));
        assert_eq!(refused, Err(Status::BadArgument));
        assert!(guest.state.calls.is_empty() && !guest.state.acts_by_itself());
        guest.state.contexts.remove(2);
        assert_eq!(insert_stream(&mut guest), 2, "it holds no id");

        guest.state.current = 0;
        let outside = guest
            .state
            .begin_call(CallKind::Http, b"", |_, _| panic!("it has no context"));
        assert_eq!(outside, Err(Status::InternalFailure));
    }

    #[test]
    fn each_call_is_counted_when_it_begins_and_when_it_ends() {
        let mut guest = FakeGuest::with_stream();
        let refused = guest
            .state
            .begin_call(CallKind::Http, b"", |_, _| Err(Status::BadArgument));
        assert!(refused.is_err() && guest.host.events.take().is_empty());
        let [cancelled, failed, _left] = [(); 3].map(|()| begin(&mut guest, CallKind::GrpcStream));
        assert_eq!(guest.host.events.take(), [Event::CallBegun; 3]);
        assert!(guest.state.end_call(cancelled) && !guest.state.end_call(cancelled));
        let call = guest.state.calls.remove(failed).unwrap();
        guest.state.call_is_over(&call, true);
        let host = Rc::clone(&guest.host);
        drop(guest);
        let ended = [false, true, false].map(|failed| Event::CallEnded { failed });
        assert_eq!(host.events.take(), ended);
    }

    #[test]
    fn a_call_made_while_a_request_ends_keeps_its_id() {
        let mut guest = FakeGuest::with_stream();
        guest.state.phase = Phase::End;
        let token = begin(&mut guest, CallKind::Http);
        assert!(guest.state.calls.get(token).unwrap().outlives);
        guest.state.disown_calls(2);
        guest.state.contexts.remove(2);
        assert_eq!(insert_stream(&mut guest), 3);
        assert!(guest.state.end_call(token));
        assert_eq!(insert_stream(&mut guest), 2);

        guest.state.current = 1;
        let token = begin(&mut guest, CallKind::Http);
        let call = guest.state.calls.get(token).unwrap();
        assert!(!call.outlives, "a plugin context's calls go with it");
    }

    #[test]
    fn the_calls_that_are_picked_are_cancelled_once() {
        let mut guest = FakeGuest::with_stream();
        for kind in [CallKind::Http, CallKind::GrpcStream, CallKind::Http] {
            begin(&mut guest, kind);
        }
        for _ in 0..2 {
            guest.state.cancel_calls(|call| call.kind == CallKind::Http);
        }
        assert_eq!(told(&guest), ["cancel 1", "cancel 3"]);
        assert!(guest.state.acts_by_itself());
        guest.state.cancel_calls(|_| true);
        assert_eq!(told(&guest), ["cancel 2"]);
        assert!(guest.state.calls.is_empty() && !guest.state.acts_by_itself());
    }

    #[test]
    fn of_a_request_that_goes_only_what_nobody_waits_for_is_left() {
        let kinds = [CallKind::Http, CallKind::GrpcCall, CallKind::GrpcStream];
        for (abandoned, cancelled) in [
            (true, &["cancel 1", "cancel 2", "cancel 3"][..]),
            (false, &["cancel 3"]),
        ] {
            let mut guest = FakeGuest::with_stream();
            for kind in kinds {
                begin(&mut guest, kind);
            }
            guest.state.stream_mut().unwrap().abandoned = abandoned;
            guest.state.current = insert_stream(&mut guest);
            let of_another = begin(&mut guest, CallKind::GrpcStream);
            guest.state.disown_calls(2);
            guest.state.contexts.remove(2);
            assert_eq!(told(&guest), cancelled);
            assert!(guest.state.calls.get(of_another).is_some());
            assert_eq!(insert_stream(&mut guest), if abandoned { 2 } else { 4 });
            for token in [1, 2] {
                assert_eq!(guest.state.end_call(token), !abandoned);
            }
            assert_eq!(insert_stream(&mut guest), if abandoned { 4 } else { 2 });
        }
    }

    #[test]
    fn a_plugin_context_takes_its_requests_calls_with_it() {
        let mut guest = FakeGuest::with_stream();
        begin(&mut guest, CallKind::Http);
        guest.state.phase = Phase::End;
        begin(&mut guest, CallKind::Http);
        guest.state.current = 1;
        begin(&mut guest, CallKind::GrpcStream);
        guest.state.disown_calls(1);
        assert_eq!(told(&guest), ["cancel 1", "cancel 2", "cancel 3"]);
    }

    #[test]
    fn a_vm_that_goes_cancels_its_calls() {
        let mut guest = FakeGuest::new();
        begin(&mut guest, CallKind::GrpcStream);
        let host = Rc::clone(&guest.host);
        drop(guest);
        assert_eq!(host.calls.take(), ["cancel 1"]);
    }
}
