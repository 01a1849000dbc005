//! Calls that a VM's plugin has made and that are not over.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::host::{CallEvent, Fields};

/// What kind of call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    Http,
    /// One message each way.
    GrpcCall,
    GrpcStream,
}

/// A call that is not over.
#[derive(Debug)]
pub struct Call {
    pub kind: CallKind,
    /// The plugin context, which the callbacks run on.
    pub root_id: u32,
    /// The context that made it.
    pub owner: u32,
    /// It goes on after its request.
    pub outlives: bool,
    /// What it is for, for the log.
    pub upstream: Box<[u8]>,
    /// When it was made, or, in the callback of another call, when that was: see [`Calls::now`].
    pub since: u64,
}

/// The calls by what the plugin knows them by.
#[derive(Debug, Default)]
pub struct Calls {
    last: u32,
    clock: u64,
    open: HashMap<u32, Call, FxBuildHasher>,
}

impl Calls {
    /// A number for the next call.
    pub fn next_token(&mut self) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            if self.last != 0 && !self.open.contains_key(&self.last) {
                return self.last;
            }
        }
    }

    /// The moment, counted in calls: what is made from now on is later.
    pub fn now(&self) -> u64 {
        self.clock
    }

    /// A moment later than all before.
    pub fn next_moment(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub fn insert(&mut self, token: u32, call: Call) {
        self.open.insert(token, call);
    }

    pub fn get(&self, token: u32) -> Option<&Call> {
        self.open.get(&token)
    }

    pub fn remove(&mut self, token: u32) -> Option<Call> {
        self.open.remove(&token)
    }

    /// The calls of a context outlive it from now on. Gives how many they are.
    pub fn leave(&mut self, owner: u32) -> usize {
        let left = self.open.values_mut();
        left.filter(|call| call.owner == owner && !call.outlives)
            .map(|call| call.outlives = true)
            .count()
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Call)> {
        self.open.iter().map(|(token, call)| (*token, call))
    }

    /// Whether a context waits for the response to an HTTP call of its own.
    pub fn awaits_http(&self, owner: u32) -> bool {
        self.open
            .values()
            .any(|call| call.owner == owner && call.kind == CallKind::Http)
    }

    /// Whether a context waits for the answer to a call of its own.
    pub fn awaits_answer(&self, owner: u32) -> bool {
        self.open
            .values()
            .any(|call| call.owner == owner && call.kind != CallKind::GrpcStream)
    }

    /// Whether there is a call that comes to an end by itself: all but the streams of plugin contexts.
    pub fn any_ends(&self) -> bool {
        self.open
            .values()
            .any(|call| call.kind != CallKind::GrpcStream || call.owner != call.root_id)
    }

    /// Whether there is a stream of a context's own.
    pub fn has_stream(&self, owner: u32) -> bool {
        self.open
            .values()
            .any(|call| call.owner == owner && call.kind == CallKind::GrpcStream)
    }

    /// Whether an answer is to come to a call that was made before a moment, or to one that came of it. A stream that a plugin context
    /// keeps open may stay silent for ever.
    pub fn answer_is_due(&self, before: u64) -> bool {
        self.open.values().any(|call| {
            call.since <= before
                && (call.kind != CallKind::GrpcStream || call.owner != call.root_id)
        })
    }
}

/// What a callback about a call reports, for the hostcalls that ask for it.
#[derive(Debug, Default)]
pub struct Report {
    pub headers: Fields,
    pub body: Option<Vec<u8>>,
    pub trailers: Fields,
    pub initial_metadata: Fields,
    pub message: Option<Vec<u8>>,
    pub trailing_metadata: Fields,
    pub status: u32,
    pub status_message: Vec<u8>,
    /// Why an HTTP call failed.
    pub error: Option<String>,
}

/// What `proxy_get_status` gives for an HTTP call that failed: a connection that broke, as in Envoy.
const BROKEN_CONNECTION: u32 = 11;

impl From<CallEvent> for Report {
    fn from(event: CallEvent) -> Self {
        let mut report = Self::default();
        match event {
            CallEvent::Response {
                headers,
                body,
                trailers,
            } => {
                report.headers = headers;
                report.body = Some(body);
                report.trailers = trailers;
            }
            CallEvent::Failed { reason } => {
                report.status = BROKEN_CONNECTION;
                report.status_message = reason.clone().into_bytes();
                report.error = Some(reason);
            }
            CallEvent::InitialMetadata(metadata) => report.initial_metadata = metadata,
            CallEvent::Message(message) => report.message = Some(message),
            CallEvent::TrailingMetadata(metadata) => report.trailing_metadata = metadata,
            CallEvent::Closed {
                status, message, ..
            } => {
                report.status = status;
                report.status_message = message;
            }
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(kind: CallKind, owner: u32) -> Call {
        Call {
            kind,
            root_id: 1,
            owner,
            outlives: false,
            upstream: b"upstream".as_slice().into(),
            since: 0,
        }
    }

    #[test]
    fn numbers_count_from_one_and_skip_what_is_open() {
        let mut calls = Calls::default();
        assert_eq!([calls.next_token(), calls.next_token()], [1, 2]);
        calls.insert(1, call(CallKind::Http, 2));
        calls.last = u32::MAX;
        assert_eq!(calls.next_token(), 2);
    }

    #[test]
    fn who_waits_for_what() {
        let mut calls = Calls::default();
        calls.insert(1, call(CallKind::GrpcStream, 1));
        assert!(!calls.any_ends() && !calls.answer_is_due(0) && !calls.has_stream(2));
        calls.insert(2, call(CallKind::GrpcStream, 2));
        assert!(calls.any_ends() && calls.answer_is_due(0) && calls.has_stream(2));
        assert!(!calls.awaits_answer(2));
        calls.insert(3, call(CallKind::GrpcCall, 2));
        assert!(calls.awaits_answer(2) && !calls.awaits_http(2));
        calls.insert(4, call(CallKind::Http, 3));
        assert!(calls.awaits_http(3) && calls.awaits_answer(3) && !calls.awaits_http(2));
        calls.remove(4);
        assert!(!calls.awaits_answer(3) && calls.get(4).is_none());
    }

    #[test]
    fn answers_to_later_calls_are_not_waited_for() {
        let mut calls = Calls::default();
        let before = calls.now();
        let since = calls.next_moment();
        let later = Call {
            since,
            ..call(CallKind::Http, 3)
        };
        calls.insert(1, later);
        assert!(!calls.answer_is_due(before) && calls.answer_is_due(calls.now()));
    }
}
