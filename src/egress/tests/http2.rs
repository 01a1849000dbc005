use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use h2::Reason;
use hyper::Response;
use tokio::time::sleep;

use super::server::{Server, header_map, http2, read_body, respond};
use super::{Worker, pairs};
use crate::egress::{Http2, Settings};

fn builder() -> h2::server::Builder {
    h2::server::Builder::new()
}

fn name(server: &Server) -> String {
    format!("h2c://{}", server.name())
}

#[test]
fn a_whole_exchange() {
    let server = Server::tcp(http2(builder(), |mut request, mut answer| async move {
        assert_eq!(request.uri(), "http://service.example/a?b");
        assert_eq!(request.method(), "PUT");
        assert_eq!(
            request.headers(),
            &header_map(&[("x", "1"), ("x", "2"), ("trailer", "end")])
        );
        let (body, trailers) = read_body(request.body_mut()).await;
        assert_eq!(trailers, Some(header_map(&[("end", "yes")])));
        let response = Response::builder()
            .status(201)
            .header("y", "3")
            .body(())
            .unwrap();
        respond(&mut answer, response, &body, &[("sum", "4")]);
    }));
    let worker = Worker::new(Settings::default());
    let headers = [
        (":method", "PUT"),
        (":path", "/a?b"),
        ("host", "service.example"),
        ("X", "1"),
        ("connection", "keep-alive"),
        ("x", "2"),
    ];
    // More than a window.
    let body = vec![b'x'; 300_000];
    for _ in 0..2 {
        let call = worker.call(&name(&server), &headers, &body, &[("end", "yes")], None);
        let answer = worker.answer(call);
        assert_eq!(answer.status, "201");
        assert_eq!(answer.headers, pairs(&[("y", "3")]));
        assert!(answer.body == body);
        assert_eq!(answer.trailers, pairs(&[("sum", "4")]));
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn one_connection_for_all() {
    let server = Server::tcp(http2(builder(), |_, mut answer| async move {
        sleep(Duration::from_millis(20)).await;
        respond(&mut answer, Response::new(()), b"x", &[]);
    }));
    let worker = Worker::new(Settings {
        http2: Http2::On,
        ..Settings::default()
    });
    for _ in 0..2 {
        let calls = [(); 50].map(|()| worker.http(&server.name(), &[], b""));
        for call in calls {
            assert_eq!(worker.answer(call).text(), "x");
        }
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn more_connections_where_one_takes_no_more() {
    let (most, now) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&most);
    let mut limited = builder();
    limited.max_concurrent_streams(2);
    let server = Server::tcp(http2(limited, move |_, mut answer| {
        let (most, now) = (Arc::clone(&counted), Arc::clone(&now));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(Duration::from_millis(30)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            respond(&mut answer, Response::new(()), b"", &[]);
        }
    }));
    let worker = Worker::new(Settings::default());
    worker.get(&name(&server));
    let calls = [(); 10].map(|()| worker.http(&name(&server), &[], b""));
    for call in calls {
        assert_eq!(worker.answer(call).status, "200");
    }
    assert!(server.connections() > 1);
    assert!(most.load(Ordering::SeqCst) > 2);
}

#[test]
fn connections_that_go_away() {
    let server = Server::tcp(|io, _| async move {
        let mut connection = builder().handshake(io).await.unwrap();
        if let Some(Ok((_, mut answer))) = connection.accept().await {
            respond(&mut answer, Response::new(()), b"", &[]);
        }
        connection.graceful_shutdown();
        while connection.accept().await.is_some() {}
    });
    let worker = Worker::new(Settings::default());
    for _ in 0..5 {
        let call = worker.http(&name(&server), &[(":method", "POST")], b"");
        assert_eq!(worker.answer(call).status, "200");
    }
}

#[test]
fn streams_that_are_refused() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::tcp(http2(builder(), move |_, mut answer| {
        let count = Arc::clone(&count);
        async move {
            match count.fetch_add(1, Ordering::SeqCst) {
                0 => answer.send_reset(Reason::REFUSED_STREAM),
                1 => respond(&mut answer, Response::new(()), b"", &[]),
                _ => answer.send_reset(Reason::INTERNAL_ERROR),
            }
        }
    }));
    let worker = Worker::new(Settings::default());
    let post = || worker.http(&name(&server), &[(":method", "POST")], b"");
    assert_eq!(worker.answer(post()).status, "200");
    let reason = worker.failure(post());
    assert!(reason.starts_with("stream reset: "), "{reason}");
}

#[test]
fn a_call_that_is_given_up_is_reset() {
    let (reset, was_reset) = std::sync::mpsc::channel();
    let server = Server::tcp(http2(builder(), move |_, mut answer| {
        let reset = reset.clone();
        async move {
            let reason = std::future::poll_fn(|cx| answer.poll_reset(cx))
                .await
                .unwrap();
            reset.send(reason).unwrap();
        }
    }));
    let worker = Worker::new(Settings::default());
    let timeout = Some(Duration::from_millis(30));
    let call = worker.call(&name(&server), &[], b"", &[], timeout);
    assert_eq!(worker.failure(call), "timed out");
    assert_eq!(was_reset.recv_timeout(super::PATIENCE), Ok(Reason::CANCEL));
    let call = worker.http(&name(&server), &[], b"");
    std::thread::sleep(Duration::from_millis(30));
    worker.egress.cancel(super::id(call));
    assert_eq!(was_reset.recv_timeout(super::PATIENCE), Ok(Reason::CANCEL));
    assert_eq!(server.connections(), 1);
}

#[test]
fn limits() {
    let server = Server::tcp(http2(builder(), |request, mut answer| async move {
        let response = Response::builder();
        let (response, body) = match request.uri().path() {
            "/headers" => (response.header("a", "x".repeat(2000)), 0),
            "/length" => (response.header("content-length", "1001"), 0),
            _ => (response, 1001),
        };
        let mut stream = answer
            .send_response(response.body(()).unwrap(), false)
            .unwrap();
        let _ = stream.send_data(vec![0; body].into(), false);
        let _ = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
    }));
    let worker = Worker::new(Settings {
        max_headers: 1000,
        max_body: 1000,
        ..Settings::default()
    });
    let failure = |path| worker.failure(worker.http(&name(&server), &[(":path", path)], b""));
    assert_eq!(
        failure("/headers"),
        "response headers larger than 1000 bytes"
    );
    assert_eq!(failure("/length"), "response body larger than 1000 bytes");
    assert_eq!(failure("/body"), "response body larger than 1000 bytes");
}

#[test]
fn what_is_no_http2() {
    let server = Server::http1(|_, _| super::server::ok(""));
    let worker = Worker::new(Settings::default());
    assert!(!worker.failure_of(&name(&server)).is_empty());
}

#[test]
fn idle_connections_are_closed() {
    let (closed, is_closed) = std::sync::mpsc::channel();
    let server = Server::tcp(move |io, _| {
        let closed = closed.clone();
        async move {
            let mut connection = builder().handshake(io).await.unwrap();
            while let Some(Ok((_, mut answer))) = connection.accept().await {
                respond(&mut answer, Response::new(()), b"", &[]);
            }
            closed.send(()).unwrap();
        }
    });
    let worker = Worker::new(Settings {
        idle: Duration::from_millis(40),
        ..Settings::default()
    });
    worker.get(&name(&server));
    is_closed.recv_timeout(super::PATIENCE).unwrap();
}
