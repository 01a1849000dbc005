use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Duration;

use super::super::calls::MAX_HELD;
use super::server::{Server, ok};
use super::{PATIENCE, Worker, bytes, id, start};
use crate::abi::host::{CallError, CallEvent, GrpcCall, HttpCall};
use crate::egress::{Egress, Settings};

fn call<'a>(upstream: &'a str) -> HttpCall<'a> {
    HttpCall {
        upstream: upstream.as_bytes(),
        headers: &[],
        body: b"",
        trailers: &[],
        timeout: None,
    }
}

/// Waits for as many events as there are calls.
fn wait(egress: &Egress, wakeup: &mut UnixStream, count: usize) -> Vec<CallEvent> {
    let mut events = Vec::new();
    while events.len() < count {
        wakeup.read_exact(&mut [0]).unwrap();
        egress.take_events(&mut events);
    }
    events.into_iter().map(|(_, event)| event).collect()
}

fn pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    (ours, theirs)
}

fn is_empty(mut wakeup: &UnixStream) -> bool {
    wakeup.set_nonblocking(true).unwrap();
    let read = wakeup.read(&mut [0]);
    wakeup.set_nonblocking(false).unwrap();
    matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn calls_wait_for_the_thread() {
    let server = Server::http1(|_, _| ok(""));
    let egress = Egress::new(Settings::default());
    egress.http_call(id(1), &call(&server.name())).unwrap();
    assert!(!egress.is_started());
    assert_eq!(egress.outstanding(), 1);
    let failed = egress.start(|_| Err(ErrorKind::OutOfMemory.into()));
    assert!(failed.is_err() && !egress.is_started());
    start(&egress);
    assert!(egress.is_started());
    egress.start(|_| panic!("started twice")).unwrap();
    let (mut ours, theirs) = pair();
    egress.set_wakeup(Some(theirs));
    let events = wait(&egress, &mut ours, 1);
    assert!(
        matches!(events[0], CallEvent::Response { .. }),
        "{events:?}"
    );
    assert_eq!(egress.outstanding(), 0);
}

#[test]
fn the_thread_ends_with_its_owner() {
    let (ended, has_ended) = mpsc::channel();
    let egress = Egress::new(Settings::default());
    let spawn = |work: Box<dyn FnOnce() + Send>| {
        std::thread::spawn(move || {
            work();
            ended.send(()).unwrap();
        });
        Ok(())
    };
    egress.start(spawn).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let name = listener.local_addr().unwrap().to_string();
    egress.http_call(id(1), &call(&name)).unwrap();
    drop(egress);
    has_ended.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn one_byte_until_events_are_taken() {
    let egress = Egress::new(Settings::default());
    start(&egress);
    let (mut ours, theirs) = pair();
    egress.set_wakeup(Some(theirs));
    for token in 1..=3 {
        egress
            .http_call(id(token), &call("unix:/nowhere/socket"))
            .unwrap();
    }
    ours.read_exact(&mut [0]).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert!(is_empty(&ours));
    // Events that are there already are told to a new socket.
    let (mut ours, theirs) = pair();
    egress.set_wakeup(Some(theirs));
    ours.read_exact(&mut [0]).unwrap();
    let mut events = Vec::new();
    egress.take_events(&mut events);
    assert_eq!(events.len(), 3);
    egress
        .http_call(id(4), &call("unix:/nowhere/socket"))
        .unwrap();
    ours.read_exact(&mut [0]).unwrap();
    // A worker that is gone is no trouble.
    drop(ours);
    egress.take_events(&mut events);
    egress
        .http_call(id(5), &call("unix:/nowhere/socket"))
        .unwrap();
    egress.set_wakeup(None);
    while events.len() < 5 {
        std::thread::yield_now();
        egress.take_events(&mut events);
    }
}

#[test]
fn as_many_calls_as_there_may_be() {
    let worker = Worker::new(Settings {
        max_calls: 2,
        ..Settings::default()
    });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let name = listener.local_addr().unwrap().to_string();
    let first = worker.http(&name, &[], b"");
    worker.http(&name, &[], b"");
    let refused = worker.egress.http_call(id(9), &call(&name));
    assert_eq!(refused, Err(CallError::Full));
    worker.egress.cancel(id(first));
    // A call counts until its last event is taken.
    let third = worker.http("unix:/nowhere/socket", &[], b"");
    let refused = worker.egress.http_call(id(9), &call(&name));
    assert_eq!(refused, Err(CallError::Full));
    worker.failure(third);
    worker.http(&name, &[], b"");
    assert_eq!(worker.egress.outstanding(), 2);
}

#[test]
fn calls_hold_no_more_than_so_many_bytes() {
    let worker = Worker::new(Settings::default());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let name = listener.local_addr().unwrap().to_string();
    let half = vec![0; MAX_HELD / 2 - 1024];
    let first = worker.http(&name, &[], &half);
    worker.http(&name, &[], &half);
    let third = HttpCall {
        body: &half,
        ..call(&name)
    };
    let refused = worker.egress.http_call(id(9), &third);
    assert_eq!(refused, Err(CallError::Full));
    assert_eq!(worker.egress.http_call(id(9), &call(&name)), Ok(()));
    worker.egress.cancel(id(first));
    assert_eq!(worker.egress.http_call(id(10), &third), Ok(()));
    let failed = worker.http("unix:/nowhere/socket", &[], b"x");
    worker.failure(failed);
    assert_eq!(worker.egress.outstanding(), 3);
}

#[test]
fn what_is_refused_at_once() {
    let egress = Egress::new(Settings::default());
    assert_eq!(
        egress.http_call(id(1), &call("a b")),
        Err(CallError::Upstream)
    );
    let long = "a".repeat(10_000);
    assert_eq!(
        egress.http_call(id(1), &call(&long)),
        Err(CallError::Upstream)
    );
    let header = HttpCall {
        headers: &bytes(&[("a", "b\n")]),
        ..call("a")
    };
    assert_eq!(egress.http_call(id(1), &header), Err(CallError::Invalid));
    for (checked, want) in [
        (call("a b"), Err(CallError::Upstream)),
        (header, Err(CallError::Invalid)),
        (call("a"), Ok(())),
    ] {
        assert_eq!(egress.check_http(&checked), want);
    }
    for (upstream, want) in [("a b", Err(CallError::Upstream)), ("a", Ok(()))] {
        let checked = GrpcCall {
            upstream: upstream.as_bytes(),
            service: b"s",
            method: b"m",
            metadata: &[],
            message: None,
            timeout: None,
        };
        assert_eq!(egress.check_grpc(&checked), want);
    }
    assert_eq!(egress.outstanding(), 0);
}

#[test]
fn no_events_of_a_cancelled_call() {
    let worker = Worker::new(Settings::default());
    let cancelled = worker.http("unix:/nowhere/socket", &[], b"");
    (&worker.wakeup).read_exact(&mut [0]).unwrap();
    worker.egress.cancel(id(cancelled));
    assert_eq!(worker.egress.outstanding(), 0);
    worker.collect();
    let other = worker.http("unix:/nowhere/socket", &[], b"");
    worker.failure(other);
    assert!(!worker.events.borrow().contains_key(&cancelled));
    worker.egress.cancel(id(99));
}

#[test]
fn names_that_the_worker_knows() {
    let server = Server::http1(|request, _| ok(request));
    let worker = Worker::new(Settings::default());
    worker.egress.ask_for_names(true);
    let calls = ["service", "no name", "gone", "odd", "cancelled"].map(|name| {
        let call = worker.call(name, &[], b"", &[], Some(PATIENCE));
        (call, name)
    });
    let own = server.name();
    let last = worker.http(&own, &[], b"");
    (&worker.wakeup).read_exact(&mut [0]).unwrap();
    worker.collect();
    worker.egress.cancel(id(calls[4].0));
    for (call, name) in &calls[..4] {
        let asked = worker.egress.take_unresolved();
        assert_eq!(asked, Some((id(*call), name.as_bytes().to_vec())));
    }
    assert_eq!(worker.egress.take_unresolved().unwrap().0, id(last));
    assert_eq!(worker.egress.take_unresolved(), None);
    let resolve = |at: usize, answer| worker.egress.resolve(id(calls[at].0), answer);
    resolve(0, Ok(Some(own.as_bytes())));
    resolve(1, Ok(None));
    resolve(2, Err("not today"));
    resolve(3, Ok(Some(b"a:b")));
    resolve(4, Ok(None));
    worker.egress.resolve(id(last), Ok(None));
    let answer = worker.answer(calls[0].0);
    assert!(answer.text().contains("\r\nhost: service\r\n"));
    assert_eq!(
        worker.failure(calls[1].0),
        "the upstream's name is not known: no name"
    );
    assert_eq!(worker.failure(calls[2].0), "not today");
    assert_eq!(
        worker.failure(calls[3].0),
        "the upstream's name is not known: a:b"
    );
    assert_eq!(worker.answer(last).status, "200");
    let call = worker.call("service", &[], b"", &[], Some(Duration::from_millis(20)));
    assert_eq!(worker.failure(call), "timed out");
    assert_eq!(worker.egress.outstanding(), 0);
}
