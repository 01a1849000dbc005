use std::sync::mpsc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::server::{Server, ok, read_request};
use super::{PATIENCE, Worker};
use crate::egress::Settings;

#[test]
fn connections_are_used_again() {
    let server = Server::http1(|_, number| ok(&number.to_string()));
    let worker = Worker::new(Settings::default());
    for _ in 0..5 {
        assert_eq!(worker.get(&server.name()).text(), "0");
    }
    // By another name it is another upstream.
    let other = format!("localhost:{}", server.port);
    assert_eq!(worker.get(&other).text(), "1");
}

#[test]
fn connections_that_the_upstream_closed() {
    let (closed, is_closed) = mpsc::channel();
    let server = Server::tcp(move |mut io, _| {
        let closed = closed.clone();
        async move {
            let _ = read_request(&mut io).await;
            let _ = io.write_all(ok("").as_bytes()).await;
            drop(io);
            closed.send(()).unwrap();
        }
    });
    let worker = Worker::new(Settings::default());
    for _ in 0..5 {
        let call = worker.http(&server.name(), &[(":method", "POST")], b"");
        assert_eq!(worker.answer(call).status, "200");
        is_closed.recv_timeout(PATIENCE).unwrap();
    }
}

/// A server whose connections each give one answer, and close at the second request.
fn unreliable() -> Server {
    Server::tcp(move |mut io, _| async move {
        let _ = read_request(&mut io).await;
        let _ = io.write_all(ok("").as_bytes()).await;
        let _ = read_request(&mut io).await;
        let _ = io.shutdown().await;
    })
}

#[test]
fn requests_are_sent_again_where_that_does_no_harm() {
    let server = unreliable();
    let worker = Worker::new(Settings::default());
    for _ in 0..4 {
        assert_eq!(worker.get(&server.name()).status, "200");
    }
    assert_eq!(server.connections(), 4);
    let call = worker.http(&server.name(), &[(":method", "POST")], b"");
    assert_eq!(
        worker.failure(call),
        "connection closed before the response was complete"
    );
}

#[test]
fn requests_are_not_sent_again_on_a_fresh_connection() {
    let server = Server::tcp(|mut io, _| async move {
        let _ = read_request(&mut io).await;
        let _ = io.shutdown().await;
    });
    let worker = Worker::new(Settings::default());
    worker.failure_of(&server.name());
    assert_eq!(server.connections(), 1);
}

#[test]
fn idle_connections_are_closed() {
    let (closed, is_closed) = mpsc::channel();
    let server = Server::tcp(move |mut io, _| {
        let closed = closed.clone();
        async move {
            while read_request(&mut io).await.is_some() {
                let _ = io.write_all(ok("").as_bytes()).await;
            }
            closed.send(()).unwrap();
        }
    });
    let worker = Worker::new(Settings {
        idle: Duration::from_millis(40),
        ..Settings::default()
    });
    for _ in 0..2 {
        worker.get(&server.name());
        is_closed.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!(server.connections(), 2);
}

#[test]
fn no_more_idle_connections_than_allowed() {
    let (closed, is_closed) = mpsc::channel();
    let server = Server::tcp(move |mut io, _| {
        let closed = closed.clone();
        async move {
            while read_request(&mut io).await.is_some() {
                sleep(Duration::from_millis(20)).await;
                let _ = io.write_all(ok("").as_bytes()).await;
            }
            closed.send(()).unwrap();
        }
    });
    let worker = Worker::new(Settings {
        max_idle: 2,
        ..Settings::default()
    });
    let calls = [(); 5].map(|()| worker.http(&server.name(), &[], b""));
    for call in calls {
        worker.answer(call);
    }
    for _ in 0..3 {
        is_closed.recv_timeout(PATIENCE).unwrap();
    }
    assert!(is_closed.recv_timeout(Duration::from_millis(30)).is_err());
}

#[test]
fn a_response_that_was_not_read_ends_its_connection() {
    let server = Server::tcp(|mut io, number| async move {
        while read_request(&mut io).await.is_some() {
            let body = "x".repeat(if number == 0 { 1000 } else { 1 });
            let _ = io.write_all(ok(&body).as_bytes()).await;
        }
        let _ = io.read(&mut [0]).await;
    });
    let worker = Worker::new(Settings {
        max_body: 10,
        ..Settings::default()
    });
    worker.failure_of(&server.name());
    assert_eq!(worker.get(&server.name()).text(), "x");
    assert_eq!(server.connections(), 2);
}
