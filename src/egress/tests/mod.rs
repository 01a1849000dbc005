mod failures;
mod grpc;
mod grpc_streams;
mod http;
mod http2;
mod pool;
mod server;
mod tls;
mod worker;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::{Egress, Settings};
use crate::abi::host::{CallEvent, CallId, Fields, GrpcCall, HttpCall};

type Lines<'a> = &'a [(&'a str, &'a str)];

/// Longer than anything here takes, even on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// An nginx worker, as far as calls go.
struct Worker {
    egress: Egress,
    wakeup: UnixStream,
    events: RefCell<HashMap<u32, VecDeque<CallEvent>>>,
    last: Cell<u32>,
}

struct Answer {
    status: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
}

fn start(egress: &Egress) {
    let spawn = |work: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().spawn(work)?;
        Ok(())
    };
    egress.start(spawn).unwrap();
}

fn id(token: u32) -> CallId {
    CallId { vm: 7, token }
}

fn bytes<'a>(lines: Lines<'a>) -> Vec<(&'a [u8], &'a [u8])> {
    let line = |(name, value): &(&'a str, &'a str)| (name.as_bytes(), value.as_bytes());
    lines.iter().map(line).collect()
}

fn texts(fields: Fields) -> Vec<(String, String)> {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let field = |(name, value)| (text(name), text(value));
    fields.into_iter().map(field).collect()
}

impl Worker {
    fn new(settings: Settings) -> Self {
        let (wakeup, theirs) = UnixStream::pair().unwrap();
        wakeup.set_read_timeout(Some(PATIENCE)).unwrap();
        let egress = Egress::new(settings);
        egress.set_wakeup(Some(theirs));
        start(&egress);
        Self {
            egress,
            wakeup,
            events: RefCell::default(),
            last: Cell::new(0),
        }
    }

    fn token(&self) -> u32 {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    fn http(&self, upstream: &str, headers: Lines<'_>, body: &[u8]) -> u32 {
        self.call(upstream, headers, body, &[], None)
    }

    fn call(
        &self,
        upstream: &str,
        headers: Lines<'_>,
        body: &[u8],
        trailers: Lines<'_>,
        timeout: Option<Duration>,
    ) -> u32 {
        let call = HttpCall {
            upstream: upstream.as_bytes(),
            headers: &bytes(headers),
            body,
            trailers: &bytes(trailers),
            timeout,
        };
        let token = self.token();
        self.egress.http_call(id(token), &call).unwrap();
        token
    }

    fn get(&self, upstream: &str) -> Answer {
        self.answer(self.http(upstream, &[], b""))
    }

    fn failure_of(&self, upstream: &str) -> String {
        self.failure(self.http(upstream, &[], b""))
    }

    fn grpc(&self, upstream: &str, message: Option<&[u8]>, timeout: Option<Duration>) -> u32 {
        let call = GrpcCall {
            upstream: upstream.as_bytes(),
            service: b"test.Service",
            method: b"Method",
            metadata: &[(b"X-Meta", b"data")],
            message,
            timeout,
        };
        let token = self.token();
        self.egress.grpc_call(id(token), &call).unwrap();
        token
    }

    fn collect(&self) {
        let mut taken = Vec::new();
        self.egress.take_events(&mut taken);
        for (id, event) in taken {
            assert_eq!(id.vm, 7);
            let mut events = self.events.borrow_mut();
            events.entry(id.token).or_default().push_back(event);
        }
    }

    fn next(&self, token: u32) -> CallEvent {
        loop {
            let waiting = self
                .events
                .borrow_mut()
                .get_mut(&token)
                .and_then(VecDeque::pop_front);
            if let Some(event) = waiting {
                return event;
            }
            (&self.wakeup).read_exact(&mut [0]).unwrap();
            self.collect();
        }
    }

    fn answer(&self, token: u32) -> Answer {
        match self.next(token) {
            CallEvent::Response {
                headers,
                body,
                trailers,
            } => {
                let mut headers = texts(headers);
                let (name, status) = headers.remove(0);
                assert_eq!(name, ":status");
                Answer {
                    status,
                    headers,
                    body,
                    trailers: texts(trailers),
                }
            }
            event => panic!("{event:?}"),
        }
    }

    fn failure(&self, token: u32) -> String {
        match self.next(token) {
            CallEvent::Failed { reason } => reason,
            event => panic!("{event:?}"),
        }
    }

    fn message(&self, token: u32) -> Vec<u8> {
        match self.next(token) {
            CallEvent::Message(message) => message,
            event => panic!("{event:?}"),
        }
    }

    fn initial(&self, token: u32) -> Vec<(String, String)> {
        match self.next(token) {
            CallEvent::InitialMetadata(fields) => texts(fields),
            event => panic!("{event:?}"),
        }
    }

    fn trailing(&self, token: u32) -> Vec<(String, String)> {
        match self.next(token) {
            CallEvent::TrailingMetadata(fields) => texts(fields),
            event => panic!("{event:?}"),
        }
    }

    fn closed(&self, token: u32) -> (u32, String) {
        match self.next(token) {
            CallEvent::Closed {
                status, message, ..
            } => (status, String::from_utf8(message).unwrap()),
            event => panic!("{event:?}"),
        }
    }
}

impl Answer {
    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

fn pairs(lines: Lines<'_>) -> Vec<(String, String)> {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    lines.iter().map(pair).collect()
}
