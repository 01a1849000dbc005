use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::Worker;
use super::server::{Server, http1, read_request};
use crate::egress::Settings;

const INCOMPLETE: &str = "connection closed before the response was complete";
const LONG: Duration = Duration::from_secs(60);

fn settings() -> Settings {
    Settings {
        max_headers: 20_000,
        max_body: 1000,
        ..Settings::default()
    }
}

/// Why there is no response from a server that says this and closes the connection.
fn failure_after(response: &'static [u8]) -> String {
    let server = Server::tcp(move |mut io, _| async move {
        let _ = read_request(&mut io).await;
        let _ = io.write_all(response).await;
        let _ = io.shutdown().await;
    });
    Worker::new(settings()).failure_of(&server.name())
}

#[test]
fn no_connection() {
    let worker = Worker::new(Settings::default());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let name = listener.local_addr().unwrap().to_string();
    drop(listener);
    assert_eq!(worker.failure_of(&name), "connection refused");
    assert_eq!(
        worker.failure_of("nothing.invalid"),
        "host not found: nothing.invalid"
    );
}

#[test]
fn connections_that_close() {
    assert_eq!(failure_after(b""), INCOMPLETE);
    assert_eq!(failure_after(b"HTTP/1.1 200 OK\r\ncontent-le"), INCOMPLETE);
    assert_eq!(
        failure_after(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbod"),
        INCOMPLETE
    );
    assert_eq!(
        failure_after(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbo"),
        INCOMPLETE
    );
}

#[test]
fn connections_that_are_reset() {
    // Closing a socket with something unread in it resets the connection.
    let server = Server::tcp(|mut io, _| async move {
        let _ = io.read(&mut [0]).await;
    });
    let worker = Worker::new(Settings::default());
    let call = worker.http(&server.name(), &[(":method", "POST")], b"");
    assert_eq!(worker.failure(call), "connection reset");
}

#[test]
fn what_is_no_http() {
    let reason = failure_after(b"SSH-2.0-OpenSSH\r\n\r\n");
    assert!(reason.starts_with("not an HTTP/1.1 response: "), "{reason}");
    let reason = failure_after(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n");
    assert!(!reason.is_empty());
    let reason =
        failure_after(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n");
    assert!(reason.starts_with("not an HTTP/1.1 response: "), "{reason}");
}

#[test]
fn bodies_that_are_too_large() {
    let larger = "response body larger than 1000 bytes";
    let huge = b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999999999\r\n\r\n";
    assert_eq!(failure_after(huge), larger);
    assert_eq!(
        failure_after(b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n"),
        larger
    );
    let endless = Server::tcp(|mut io, _| async move {
        let _ = read_request(&mut io).await;
        let _ = io
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        while io.write_all(b"3\r\nabc\r\n").await.is_ok() {}
    });
    assert_eq!(Worker::new(settings()).failure_of(&endless.name()), larger);
    let just = Server::tcp(http1(|_, _| super::server::ok(&"x".repeat(1000))));
    assert_eq!(Worker::new(settings()).get(&just.name()).body.len(), 1000);
}

#[test]
fn headers_that_are_too_large() {
    let larger = "response headers larger than 20000 bytes";
    let endless = Server::tcp(|mut io, _| async move {
        let _ = read_request(&mut io).await;
        let _ = io.write_all(b"HTTP/1.1 200 OK\r\na: ").await;
        while io.write_all(&[b'a'; 1000]).await.is_ok() {}
    });
    let worker = Worker::new(settings());
    assert_eq!(worker.failure_of(&endless.name()), larger);
    let large = Server::http1(|_, _| {
        let line = "a".repeat(19_999);
        format!("HTTP/1.1 200 OK\r\na: {line}\r\ncontent-length: 0\r\n\r\n")
    });
    assert_eq!(worker.failure_of(&large.name()), larger);
    let lines = Server::http1(|_, _| {
        let lines = "a: b\r\n".repeat(1100);
        format!("HTTP/1.1 200 OK\r\n{lines}content-length: 0\r\n\r\n")
    });
    assert_eq!(worker.failure_of(&lines.name()), larger);
}

#[test]
fn time_runs_out() {
    let silent = Server::tcp(|io, _| async move {
        sleep(LONG).await;
        drop(io);
    });
    let stalled = Server::tcp(|mut io, _| async move {
        let _ = read_request(&mut io).await;
        let _ = io
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
            .await;
        sleep(LONG).await;
    });
    let worker = Worker::new(Settings::default());
    let timeout = Some(Duration::from_millis(30));
    let names = [
        silent.name(),
        stalled.name(),
        format!("https://{}", silent.name()),
        format!("h2c://{}", silent.name()),
    ];
    for name in names {
        let call = worker.call(&name, &[], b"", &[], timeout);
        assert_eq!(worker.failure(call), "timed out", "{name}");
    }
    let call = worker.call(&silent.name(), &[], b"", &[], Some(Duration::ZERO));
    assert_eq!(worker.failure(call), "timed out");
    let patient = worker.call(&silent.name(), &[], b"", &[], Some(Duration::MAX));
    worker.egress.cancel(super::id(patient));
}

#[test]
fn connecting_takes_too_long() {
    let silent = Server::tcp(|io, _| async move {
        sleep(LONG).await;
        drop(io);
    });
    let worker = Worker::new(Settings {
        connect_timeout: Duration::from_millis(30),
        ..Settings::default()
    });
    let name = format!("https://{}", silent.name());
    assert_eq!(worker.failure_of(&name), "timed out while connecting");
}

#[test]
fn a_call_that_timed_out_gives_its_connection_up() {
    let (closed, is_closed) = std::sync::mpsc::channel();
    let server = Server::tcp(move |mut io, _| {
        let closed = closed.clone();
        async move {
            let _ = read_request(&mut io).await;
            let _ = io.read(&mut [0]).await;
            closed.send(()).unwrap();
        }
    });
    let worker = Worker::new(Settings::default());
    let timeout = Some(Duration::from_millis(30));
    let call = worker.call(&server.name(), &[], b"", &[], timeout);
    assert_eq!(worker.failure(call), "timed out");
    is_closed.recv_timeout(super::PATIENCE).unwrap();
    let call = worker.http(&server.name(), &[], b"");
    while server.connections() < 2 {
        std::thread::yield_now();
    }
    worker.egress.cancel(super::id(call));
    is_closed.recv_timeout(super::PATIENCE).unwrap();
    assert_eq!(worker.egress.outstanding(), 0);
}
