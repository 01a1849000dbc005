//! The state of one VM instance, as hostcalls see it.

use std::rc::Rc;

use super::calls::{Call, CallKind, Calls, Report};
use super::contexts::{Context, ContextKind, Contexts, RootContext, StreamContext};
use super::host::{CallId, Host};
use super::log;
use super::types::{AbiVersion, LogLevel, Status};
use crate::engine::Func;

/// The callback that is running, for the hostcalls whose answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `_initialize`, `_start`, `proxy_on_vm_start`: there is only the VM's configuration.
    Start,
    /// `proxy_on_configure`.
    Configure,
    RequestHeaders,
    RequestBody,
    ResponseHeaders,
    ResponseBody,
    /// `proxy_on_done`, `proxy_on_log`, `proxy_on_delete`.
    End,
    /// Anything that is not about a request.
    Background,
}

/// What is known of a plugin before its VM starts.
#[derive(Debug)]
pub struct PluginInfo {
    pub name: String,
    pub root_id: Vec<u8>,
    pub vm_id: Vec<u8>,
    pub vm_config: Vec<u8>,
    /// `NAME=value` pairs for WASI.
    pub env: Vec<(String, String)>,
    pub abi: AbiVersion,
}

/// What a plugin prints to.
#[derive(Clone, Copy, Debug)]
pub enum Output {
    Stdout,
    Stderr,
}

impl Output {
    fn level(self) -> LogLevel {
        match self {
            Self::Stdout => LogLevel::Info,
            Self::Stderr => LogLevel::Error,
        }
    }
}

/// Something to be done outside callbacks. Plugin contexts are named by their serials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A plugin context wants ticks with this period, in milliseconds; 0 for none.
    Ticks { context: u32, period: u32 },
    /// A plugin context wants to know of items in a queue.
    Queue { context: u32, id: u32 },
    /// A queue got an item.
    Item { id: u32 },
}

/// The longest line that is waited for.
const LONGEST_LINE: usize = 8 * 1024;

/// The state behind one VM instance.
pub struct VmState {
    pub plugin: Rc<PluginInfo>,
    pub host: Rc<dyn Host>,
    /// Tells the VM instances of a process apart.
    pub serial: u32,
    pub contexts: Contexts,
    /// The calls that are not over.
    pub calls: Calls,
    /// What has become of a call, while the callback about it runs.
    pub report: Option<Box<Report>>,
    /// When that call was made.
    pub since: Option<u64>,
    /// Requests that wait for what others have called for, and are to look again when a call is over.
    pub watchers: Vec<u32>,
    /// What is to be done outside callbacks, asked for since the last one.
    pub asked: Vec<Asked>,
    /// The effective context: the one that hostcalls are about.
    pub current: u32,
    pub phase: Phase,
    /// `proxy_on_memory_allocate` or `malloc`.
    pub allocator: Option<Func>,
    /// Set by `proxy_done`: some context is [`Finish::Due`].
    pub done_called: bool,
    /// The answer of the last foreign function or call, for buffers that outlive one hostcall.
    pub foreign_arguments: Vec<u8>,
    pub(super) scratch: Vec<u8>,
    /// What was printed and has no newline yet, by [`Output`].
    unfinished: [Vec<u8>; 2],
}

impl VmState {
    pub fn new(plugin: Rc<PluginInfo>, host: Rc<dyn Host>, serial: u32) -> Self {
        Self {
            plugin,
            host,
            serial,
            contexts: Contexts::default(),
            calls: Calls::default(),
            report: None,
            since: None,
            watchers: Vec::new(),
            asked: Vec::new(),
            current: 0,
            phase: Phase::Start,
            allocator: None,
            done_called: false,
            foreign_arguments: Vec::new(),
            scratch: Vec::new(),
            unfinished: [const { Vec::new() }; 2],
        }
    }

    /// The stream of the effective context, if that is the context of a request.
    pub fn stream(&self) -> Option<&StreamContext> {
        match &self.contexts.get(self.current)?.kind {
            ContextKind::Stream(stream) => Some(stream),
            ContextKind::Root(_) => None,
        }
    }

    /// See [`VmState::stream`].
    pub fn stream_mut(&mut self) -> Option<&mut StreamContext> {
        match &mut self.contexts.get_mut(self.current)?.kind {
            ContextKind::Stream(stream) => Some(stream),
            ContextKind::Root(_) => None,
        }
    }

    /// The plugin context of the effective context.
    pub fn root(&self) -> Option<&RootContext> {
        let id = self.stream().map_or(self.current, |s| s.root_id);
        match &self.contexts.get(id)?.kind {
            ContextKind::Root(root) => Some(root),
            ContextKind::Stream(_) => None,
        }
    }

    /// See [`VmState::root`].
    pub fn root_mut(&mut self) -> Option<&mut RootContext> {
        let id = self.stream().map_or(self.current, |s| s.root_id);
        match &mut self.contexts.get_mut(id)?.kind {
            ContextKind::Root(root) => Some(root),
            ContextKind::Stream(_) => None,
        }
    }

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

    /// Forgets a call that is over. False if there is none.
    pub fn end_call(&mut self, token: u32) -> bool {
        let Some(call) = self.calls.remove(token) else {
            return false;
        };
        if call.outlives {
            self.contexts.release(call.owner);
        }
        self.wake_watchers();
        true
    }

    /// A call is over.
    pub fn wake_watchers(&mut self) {
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

    /// Writes to the proxy's log under the plugin's name, with the current request as context where there is one.
    pub fn log(&self, level: LogLevel, message: &[u8]) {
        if level < self.log_level() {
            return;
        }
        log::records(&self.plugin.name, message, |record| match self.stream() {
            Some(context) => context.stream.log(level, record),
            None => self.host.log(level, record),
        });
    }

    /// Prints to the log, where a newline ends a record.
    pub fn print(&mut self, output: Output, bytes: &[u8]) {
        let mut line = std::mem::take(&mut self.unfinished[output as usize]);
        line.extend_from_slice(bytes);
        let end = match bytes.iter().rposition(|b| *b == b'\n') {
            Some(newline) => line.len() - bytes.len() + newline + 1,
            None if line.len() > LONGEST_LINE => line.len(),
            None => 0,
        };
        let text = line[..end].trim_ascii_end();
        if !text.is_empty() {
            self.log(output.level(), text);
        }
        line.drain(..end);
        self.unfinished[output as usize] = line;
    }

    /// A callback is over: what it printed is finished.
    pub fn finish_output(&mut self) {
        for output in [Output::Stdout, Output::Stderr] {
            if !self.unfinished[output as usize].is_empty() {
                self.print(output, b"\n");
            }
        }
    }

    /// The least severe level that the proxy's log keeps.
    pub fn log_level(&self) -> LogLevel {
        match self.stream() {
            Some(context) => context.stream.log_level(),
            None => self.host.log_level(),
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
    use super::*;
    use crate::abi::testing::{FakeGuest, FakeStream};

    #[test]
    fn the_root_of_a_stream_is_its_plugin_context() {
        let mut guest = FakeGuest::with_stream();
        assert_eq!(guest.state.current, 2);
        assert_eq!(*guest.state.root().unwrap().config, *b"config");
        guest.state.root_mut().unwrap().tick_period = 5;
        guest.state.current = 1;
        assert_eq!(guest.state.root().unwrap().tick_period, 5);
        guest.state.current = 0;
        assert!(guest.state.root().is_none() && guest.state.root_mut().is_none());
    }

    #[test]
    fn what_is_printed_piece_by_piece_is_one_record_for_each_line() {
        let mut guest = FakeGuest::new();
        for piece in [
            &b"goroutine "[..],
            b"1",
            b" [running]",
            b":\nma",
            b"in\n",
            b"\n",
        ] {
            guest.state.print(Output::Stderr, piece);
        }
        guest.state.print(Output::Stdout, b"and the rest");
        let records = |guest: &FakeGuest| -> Vec<String> {
            let logs = guest.host.logs.borrow();
            logs.iter().map(|(_, record)| record.clone()).collect()
        };
        let lines = [
            "proxy-wasm test: goroutine 1 [running]:",
            "proxy-wasm test: main",
        ];
        assert_eq!(records(&guest), lines);
        guest.state.finish_output();
        guest.state.finish_output();
        assert_eq!(records(&guest)[2..], ["proxy-wasm test: and the rest"]);
    }

    #[test]
    fn a_line_without_end_is_not_waited_for() {
        let mut guest = FakeGuest::new();
        for _ in 0..3 * LONGEST_LINE / 1000 {
            guest.state.print(Output::Stdout, &[b'x'; 1000]);
        }
        assert!(!guest.host.logs.borrow().is_empty());
        assert!(guest.state.unfinished[0].len() <= LONGEST_LINE);
    }

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
        let context = StreamContext::new(1, Rc::<FakeStream>::clone(&guest.stream));
        let kind = ContextKind::Stream(Box::new(context));
        guest.state.contexts.insert(kind)
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
