use std::time::Duration;

use super::server::{Server, http1, ok};
use super::{Worker, pairs};
use crate::egress::Settings;

#[test]
fn what_is_sent() {
    let server = Server::http1(|request, _| ok(request));
    let worker = Worker::new(Settings::default());
    let headers = [
        (":method", "POST"),
        (":path", "/a?b=c"),
        ("X-Twice", "1"),
        (":authority", "service.example"),
        ("other", ""),
        ("x-twice", "2"),
    ];
    let answer = worker.answer(worker.http(&server.name(), &headers, b"body"));
    assert_eq!(answer.status, "200");
    assert_eq!(
        answer.text(),
        "POST /a?b=c HTTP/1.1\r\nhost: service.example\r\nx-twice: 1\r\nx-twice: 2\r\nother: \r\n\
         content-length: 4\r\n\r\nbody"
    );
    let answer = worker.get(&server.name());
    let host = server.name();
    assert_eq!(
        answer.text(),
        format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")
    );
    let answer = worker.answer(worker.http(&host, &[(":method", "OPTIONS"), (":path", "*")], b""));
    assert!(answer.text().starts_with("OPTIONS * HTTP/1.1\r\n"));
    assert_eq!(server.connections(), 1);
}

#[test]
fn what_is_received() {
    let server = Server::http1(|_, _| {
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 207 Any\r\nSet-Cookie: a\r\nB: \r\nset-cookie: c\r\n\
         content-length: 3\r\n\r\nyes"
            .into()
    });
    let worker = Worker::new(Settings::default());
    let answer = worker.get(&server.name());
    assert_eq!((answer.status.as_str(), answer.text()), ("207", "yes"));
    let expected = [
        ("set-cookie", "a"),
        ("set-cookie", "c"),
        ("b", ""),
        ("content-length", "3"),
    ];
    assert_eq!(answer.headers, pairs(&expected));
    assert!(answer.trailers.is_empty());
}

#[test]
fn trailers_both_ways() {
    let server =
        Server::http1(|request, _| {
            assert!(request.ends_with(
                "\r\ntrailer: x-sum, y\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 7\r\ny: 1\r\n\r\n"
            ));
            assert!(request.contains("\r\ntransfer-encoding: chunked\r\n"));
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n3\r\none\r\n\
         3\r\ntwo\r\n0\r\nX-End: 1\r\nx-end: 2\r\n\r\n"
                .into()
        });
    let worker = Worker::new(Settings::default());
    for method in ["POST", "GET"] {
        let trailers = [("X-Sum", "7"), ("y", "1")];
        let call = worker.call(
            &server.name(),
            &[(":method", method)],
            b"body",
            &trailers,
            None,
        );
        let answer = worker.answer(call);
        assert_eq!(answer.text(), "onetwo");
        assert_eq!(answer.trailers, pairs(&[("x-end", "1"), ("x-end", "2")]));
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn responses_without_a_body() {
    let server = Server::http1(|request, _| match request.split(' ').nth(1).unwrap() {
        "/head" => "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".into(),
        "/304" => "HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n".into(),
        _ => "HTTP/1.1 204 No Content\r\n\r\n".into(),
    });
    let worker = Worker::new(Settings::default());
    for (method, path, status) in [
        ("HEAD", "/head", "200"),
        ("GET", "/304", "304"),
        ("PUT", "/", "204"),
    ] {
        let headers = [(":method", method), (":path", path)];
        let answer = worker.answer(worker.http(&server.name(), &headers, b""));
        assert_eq!((answer.status.as_str(), answer.text()), (status, ""));
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn bodies_that_end_with_the_connection() {
    let server = Server::http1(|_, _| "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall".into());
    let worker = Worker::new(Settings::default());
    assert_eq!(worker.get(&server.name()).text(), "all");
    assert_eq!(worker.get(&server.name()).text(), "all");
    assert_eq!(server.connections(), 2);
}

#[test]
fn many_header_lines() {
    let server = Server::http1(|_, _| {
        let lines: String = (0..1000).map(|i| format!("x-{i}: {i}\r\n")).collect();
        format!("HTTP/1.1 200 OK\r\n{lines}content-length: 0\r\n\r\n")
    });
    let worker = Worker::new(Settings::default());
    let answer = worker.get(&server.name());
    assert_eq!(answer.headers.len(), 1001);
    assert_eq!(answer.headers[999], ("x-999".into(), "999".into()));
}

#[test]
fn large_bodies() {
    let server = Server::http1(|request, _| ok(request.split("\r\n\r\n").nth(1).unwrap()));
    let worker = Worker::new(Settings::default());
    let body = "x".repeat(1 << 20);
    let answer = worker.answer(worker.http(&server.name(), &[], body.as_bytes()));
    assert!(answer.body == body.as_bytes());
}

#[test]
fn many_at_once() {
    let server = Server::http1(|request, _| ok(request.split(' ').nth(1).unwrap()));
    let worker = Worker::new(Settings::default());
    let paths: Vec<_> = (0..200).map(|i| format!("/{i}")).collect();
    let calls: Vec<_> = paths
        .iter()
        .map(|path| worker.http(&server.name(), &[(":path", path)], b""))
        .collect();
    for (call, path) in calls.into_iter().zip(&paths).rev() {
        assert_eq!(worker.answer(call).text(), path);
    }
    assert_eq!(worker.egress.outstanding(), 0);
}

#[test]
fn unix_sockets() {
    let path = std::env::temp_dir().join(format!("egress-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    Server::unix(&path, http1(|request, _| ok(request)));
    let worker = Worker::new(Settings::default());
    let answer = worker.get(&format!("unix:{}", path.display()));
    assert_eq!(answer.text(), "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    std::fs::remove_file(&path).unwrap();
    let reason = worker.failure_of("unix:/nowhere/socket");
    assert_eq!(reason, "no such socket");
}

#[test]
fn names_are_looked_up() {
    let server = Server::http1(|request, _| ok(request));
    let worker = Worker::new(Settings::default());
    let name = format!("outbound|{}||localhost", server.port);
    let answer = worker.get(&name);
    let host = format!("host: localhost:{}\r\n", server.port);
    assert!(answer.text().contains(&host));
}

#[test]
fn a_response_before_the_request_was_read() {
    let server = Server::tcp(|mut io, _| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let _ = io.read(&mut [0; 1024]).await;
        let _ = io
            .write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
            .await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
    let worker = Worker::new(Settings::default());
    let body = vec![0; 16 << 20];
    let answer = worker.answer(worker.http(&server.name(), &[], &body));
    assert_eq!(answer.status, "413");
}
