use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;

use super::grpc::{builder, echo, response};
use super::server::{Server, header_map, http2, respond};
use super::{PATIENCE, Worker, id, pairs};
use crate::abi::host::{CallError, CallEvent};
use crate::egress::Settings;
use crate::egress::framing::frame;

#[test]
fn both_directions() {
    let server = Server::tcp(http2(builder(), echo));
    let worker = Worker::new(Settings::default());
    let stream = worker.grpc(&server.name(), None, Some(Duration::ZERO));
    let initial = [
        ("content-type", "application/grpc+proto"),
        ("x-initial", "1"),
    ];
    assert_eq!(worker.initial(stream), pairs(&initial));
    for message in [&b"one"[..], b"", b"three"] {
        worker.egress.grpc_send(id(stream), message, false).unwrap();
        assert_eq!(worker.message(stream), message);
    }
    worker.egress.grpc_send(id(stream), b"last", true).unwrap();
    let more = worker.egress.grpc_send(id(stream), b"more", false);
    assert_eq!(more, Err(CallError::NotFound));
    assert_eq!(worker.message(stream), b"last");
    let trailing = [("grpc-status", "0"), ("x-trailing", "2")];
    assert_eq!(worker.trailing(stream), pairs(&trailing));
    assert_eq!(worker.closed(stream), (0, String::new()));
    assert_eq!(worker.egress.outstanding(), 0);
}

#[test]
fn half_closed() {
    let server = Server::tcp(http2(builder(), echo));
    let worker = Worker::new(Settings::default());
    let stream = worker.grpc(&server.name(), None, None);
    worker.egress.grpc_close(id(stream));
    worker.initial(stream);
    worker.trailing(stream);
    assert_eq!(worker.closed(stream).0, 0);
}

#[test]
fn messages_sent_before_there_is_a_connection() {
    let server = Server::tcp(http2(builder(), echo));
    let worker = Worker::new(Settings::default());
    worker.egress.ask_for_names(true);
    let stream = worker.grpc("echo", None, None);
    for i in 0..100_u8 {
        worker.egress.grpc_send(id(stream), &[i], i == 99).unwrap();
    }
    worker
        .egress
        .resolve(id(stream), Ok(Some(server.name().as_bytes())));
    worker.initial(stream);
    for i in 0..100_u8 {
        assert_eq!(worker.message(stream), [i]);
    }
    worker.trailing(stream);
    worker.closed(stream);
}

#[test]
fn only_trailers() {
    let server = Server::tcp(http2(builder(), |_, mut answer| async move {
        let mut only = response();
        *only.headers_mut() = header_map(&[("grpc-status", "7"), ("grpc-message", "%21")]);
        respond(&mut answer, only, &[], &[]);
    }));
    let worker = Worker::new(Settings::default());
    let stream = worker.grpc(&server.name(), None, None);
    let trailing = [("grpc-status", "7"), ("grpc-message", "%21")];
    assert_eq!(worker.trailing(stream), pairs(&trailing));
    assert_eq!(worker.closed(stream), (7, "!".into()));
}

#[test]
fn ends_without_a_status() {
    let server = Server::tcp(http2(builder(), |request, mut answer| async move {
        let mut stream = answer.send_response(response(), false).unwrap();
        stream.send_data(frame(b"message"), false).unwrap();
        // Let it arrive: a reset discards what is on its way.
        drop(request);
        tokio::time::sleep(Duration::from_millis(30)).await;
        stream.send_reset(Reason::INTERNAL_ERROR);
    }));
    let worker = Worker::new(Settings::default());
    let stream = worker.grpc(&server.name(), None, None);
    worker.initial(stream);
    assert_eq!(worker.message(stream), b"message");
    assert_eq!(worker.closed(stream).0, 13);
    let lost = worker.grpc("unix:/nowhere/socket", None, None);
    assert_eq!(worker.closed(lost).0, 14);
}

#[test]
fn cancelled() {
    let (reset, was_reset) = mpsc::channel();
    let server = Server::tcp(http2(builder(), move |_, mut answer| {
        let reset = reset.clone();
        async move {
            let mut stream = answer.send_response(response(), false).unwrap();
            let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
            reset.send(reason.unwrap()).unwrap();
        }
    }));
    let worker = Worker::new(Settings::default());
    let stream = worker.grpc(&server.name(), None, None);
    worker.initial(stream);
    worker.egress.cancel(id(stream));
    let sent = worker.egress.grpc_send(id(stream), b"", false);
    assert_eq!(sent, Err(CallError::NotFound));
    assert_eq!(was_reset.recv_timeout(PATIENCE), Ok(Reason::CANCEL));
    assert_eq!(worker.egress.outstanding(), 0);
}

#[test]
fn a_server_that_does_not_read() {
    let server = Server::tcp(http2(builder(), |request, mut answer| async move {
        let mut stream = answer.send_response(response(), false).unwrap();
        let _ = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
        drop(request);
    }));
    let worker = Worker::new(Settings::default());
    let stream = worker.grpc(&server.name(), None, None);
    worker.initial(stream);
    let message = vec![0; 1 << 20];
    let mut sent = 0;
    while worker.egress.grpc_send(id(stream), &message, false).is_ok() {
        sent += 1;
        assert!(sent < 100);
    }
    assert!(sent >= 16);
    let (status, reason) = worker.closed(stream);
    assert_eq!(status, 8, "{reason}");
    assert_eq!(worker.egress.outstanding(), 0);
}

#[test]
fn a_worker_that_does_not_take() {
    const MESSAGES: usize = 200;
    const SIZE: usize = 64 * 1024;
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let server = Server::tcp(http2(builder(), move |_, mut answer| {
        let count = Arc::clone(&count);
        async move {
            let mut stream = answer.send_response(response(), false).unwrap();
            for _ in 0..MESSAGES {
                let mut data = frame(&[1; SIZE]);
                while !data.is_empty() {
                    stream.reserve_capacity(data.len());
                    let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
                    let room = room.unwrap().unwrap().min(data.len());
                    count.fetch_add(room, Ordering::SeqCst);
                    let chunk: Bytes = data.split_to(room);
                    stream.send_data(chunk, false).unwrap();
                }
            }
            stream
                .send_trailers(header_map(&[("grpc-status", "0")]))
                .unwrap();
        }
    }));
    let worker = Worker::new(Settings::default());
    worker.grpc(&server.name(), None, None);
    let (mut before, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_millis(200) {
        std::thread::sleep(Duration::from_millis(10));
        let now = written.load(Ordering::SeqCst);
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
    assert!(before < 4 << 20, "{before}");
    let mut events = Vec::new();
    worker.egress.take_events(&mut events);
    assert!(events.len() <= 17, "{}", events.len());
    let mut received = events.len() - 1;
    let last = loop {
        match events.pop() {
            Some((_, CallEvent::Closed { status, .. })) => break status,
            Some(_) => {}
            None => {
                std::thread::yield_now();
                worker.egress.take_events(&mut events);
                let is_message = |event: &(_, CallEvent)| matches!(event.1, CallEvent::Message(_));
                received += events.iter().filter(|event| is_message(event)).count();
            }
        }
    };
    assert_eq!((last, received), (0, MESSAGES));
}

#[test]
fn many_streams_at_once() {
    let server = Server::tcp(http2(builder(), echo));
    let worker = Worker::new(Settings::default());
    let streams = [(); 50].map(|()| worker.grpc(&server.name(), None, None));
    for stream in streams {
        worker
            .egress
            .grpc_send(id(stream), &stream.to_be_bytes(), true)
            .unwrap();
    }
    for stream in streams {
        worker.initial(stream);
        assert_eq!(worker.message(stream), stream.to_be_bytes());
        worker.trailing(stream);
        worker.closed(stream);
    }
    assert_eq!(server.connections(), 1);
}
