use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use hyper::{Request, Response};

use super::server::{Server, header_map, http2, read_body, respond};
use super::{Lines, Worker, bytes, id};
use crate::abi::host::{CallError, GrpcCall};
use crate::egress::framing::frame;
use crate::egress::{Egress, Settings};

pub fn builder() -> h2::server::Builder {
    h2::server::Builder::new()
}

pub fn response() -> Response<()> {
    Response::builder()
        .header("content-type", "application/grpc+proto")
        .header("x-initial", "1")
        .body(())
        .unwrap()
}

/// Answers with what was sent, message for message.
pub async fn echo(mut request: Request<RecvStream>, mut answer: SendResponse<Bytes>) {
    let mut stream = answer.send_response(response(), false).unwrap();
    while let Some(Ok(data)) = request.body_mut().data().await {
        let _ = request
            .body_mut()
            .flow_control()
            .release_capacity(data.len());
        if stream.send_data(data, false).is_err() {
            return;
        }
    }
    let _ = stream.send_trailers(header_map(&[("grpc-status", "0"), ("x-trailing", "2")]));
}

/// A server that answers each call with the same.
fn server(
    response: impl Fn() -> Response<()> + Send + Sync + 'static,
    body: Vec<u8>,
    trailers: Lines<'static>,
) -> Server {
    Server::tcp(http2(builder(), move |mut request, mut answer| {
        let (response, body) = (response(), body.clone());
        async move {
            read_body(request.body_mut()).await;
            respond(&mut answer, response, &body, trailers);
        }
    }))
}

/// How a call to such a server ends.
fn end(
    response: impl Fn() -> Response<()> + Send + Sync + 'static,
    body: &[u8],
    trailers: Lines<'static>,
) -> (u32, String) {
    let server = server(response, body.to_vec(), trailers);
    let worker = Worker::new(Settings {
        max_body: 100,
        ..Settings::default()
    });
    worker.closed(worker.grpc(&server.name(), Some(b"hello"), None))
}

#[test]
fn a_call() {
    let server = Server::tcp(http2(builder(), |request, answer| async move {
        assert_eq!(request.method(), "POST");
        let path = request.uri().path();
        assert_eq!(path, "/test.Service/Method");
        let agent = request.headers()["user-agent"].clone();
        assert!(agent.as_bytes().starts_with(b"grpc-"));
        let mut expected = header_map(&[
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("grpc-timeout", "20000m"),
            ("x-meta", "data"),
        ]);
        expected.insert("user-agent", agent);
        assert_eq!(request.headers(), &expected);
        echo(request, answer).await;
    }));
    let worker = Worker::new(Settings::default());
    let large = vec![7; 1 << 20];
    for message in [&b"hello"[..], b"", &large] {
        let timeout = Some(Duration::from_secs(20));
        let call = worker.grpc(&server.name(), Some(message), timeout);
        assert!(worker.message(call) == message);
        let more = worker.egress.grpc_send(id(call), b"more", false);
        assert_eq!(more, Err(CallError::NotFound));
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(worker.egress.outstanding(), 0);
}

#[test]
fn statuses() {
    let message = frame(b"answer");
    let whole: Lines<'static> = &[("grpc-status", "5"), ("grpc-message", "no%20such%2")];
    assert_eq!(end(response, &message, whole), (5, "no such%2".into()));
    assert_eq!(end(response, &[], whole), (5, "no such%2".into()));
    let odd: Lines<'static> = &[("grpc-status", "odd")];
    assert_eq!(end(response, &message, odd), (2, String::new()));
    let none: Lines<'static> = &[("x", "y")];
    assert_eq!(end(response, &message, none), (2, "no gRPC status".into()));
    assert_eq!(end(response, &message, &[]), (2, "no gRPC status".into()));
    let only_trailers = || {
        let mut only = response();
        only.headers_mut().insert("grpc-status", 12.into());
        only
    };
    assert_eq!(end(only_trailers, &[], &[]), (12, String::new()));
    let unavailable = || Response::builder().status(503).body(()).unwrap();
    assert_eq!(
        end(unavailable, b"sorry", &[]),
        (14, "HTTP status 503".into())
    );
    assert_eq!(end(unavailable, &[], &[]), (14, "HTTP status 503".into()));
    let (status, reason) = end(|| Response::new(()), b"<html>", &[]);
    assert_eq!((status, reason.starts_with("content type")), (2, true));
}

#[test]
fn messages_that_cannot_be_taken() {
    let fine: Lines<'static> = &[("grpc-status", "0")];
    assert_eq!(end(response, &[], fine), (13, "no message".into()));
    let two = [frame(b"one"), frame(b"two")].concat();
    assert_eq!(
        end(response, &two, fine),
        (13, "more than one message".into())
    );
    let half = &frame(b"message")[..8];
    assert_eq!(
        end(response, half, fine),
        (13, "the last message is not whole".into())
    );
    let compressed = b"\x01\x00\x00\x00\x01x";
    assert_eq!(
        end(response, compressed, fine),
        (13, "compressed message".into())
    );
    assert_eq!(
        end(response, b"\x07\x00\x00\x00\x00", fine),
        (13, "malformed message".into())
    );
    let large = frame(&[0; 101]);
    assert_eq!(
        end(response, &large, fine),
        (8, "message larger than 100 bytes".into())
    );
    let claimed = b"\x00\xff\xff\xff\xff";
    assert_eq!(
        end(response, claimed, fine),
        (8, "message larger than 100 bytes".into())
    );
}

#[test]
fn resets() {
    let cases = [
        (Reason::CANCEL, 1),
        (Reason::REFUSED_STREAM, 14),
        (Reason::ENHANCE_YOUR_CALM, 8),
        (Reason::INADEQUATE_SECURITY, 7),
        (Reason::INTERNAL_ERROR, 13),
    ];
    for (reason, expected) in cases {
        let server = Server::tcp(http2(builder(), move |_, mut answer| async move {
            answer.send_reset(reason);
        }));
        let worker = Worker::new(Settings::default());
        let (status, text) = worker.closed(worker.grpc(&server.name(), Some(b""), None));
        assert_eq!(status, expected, "{text}");
    }
}

#[test]
fn no_answer() {
    let silent = Server::tcp(http2(builder(), |_, answer| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(answer);
    }));
    let worker = Worker::new(Settings::default());
    let timeout = Some(Duration::from_millis(30));
    let call = worker.grpc(&silent.name(), Some(b""), timeout);
    assert_eq!(worker.closed(call), (4, "timed out".into()));
    let call = worker.grpc("unix:/nowhere/socket", Some(b""), None);
    assert_eq!(worker.closed(call), (14, "no such socket".into()));
    let closed = Server::tcp(|io, _| async move { drop(io) });
    let (status, _) = worker.closed(worker.grpc(&closed.name(), Some(b""), None));
    assert_eq!(status, 14);
}

#[test]
fn envoys_services() {
    let server = Server::tcp(http2(builder(), |request, answer| async move {
        assert_eq!(request.uri().authority().unwrap(), "envoy");
        assert_eq!(request.headers()["key"], "value");
        echo(request, answer).await;
    }));
    let field = |number: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap();
        [&[number << 3 | 2, length], content].concat()
    };
    let envoy = [field(1, server.name().as_bytes()), field(2, b"envoy")].concat();
    let header = [field(1, b"key"), field(2, b"value")].concat();
    let service = [field(1, &envoy), field(5, &header)].concat();
    let worker = Worker::new(Settings::default());
    let call = worker.grpc(str::from_utf8(&service).unwrap(), Some(b"hi"), None);
    assert_eq!(worker.message(call), b"hi");
    worker.egress.ask_for_names(true);
    worker.grpc(str::from_utf8(&service).unwrap(), Some(b"hi"), None);
    let (asked, name) = worker.egress.take_unresolved().unwrap();
    assert_eq!(name, server.name().as_bytes());
    worker.egress.resolve(asked, Ok(None));
    assert_eq!(worker.message(asked.token), b"hi");
}

#[test]
fn what_is_refused_at_once() {
    let egress = Egress::new(Settings::default());
    let call = GrpcCall {
        upstream: b"a b",
        service: b"s",
        method: b"m",
        metadata: &bytes(&[]),
        message: None,
        timeout: None,
    };
    assert_eq!(egress.grpc_call(id(1), &call), Err(CallError::Upstream));
    let message = GrpcCall {
        upstream: b"\x0a\x7f",
        ..call
    };
    assert_eq!(egress.grpc_call(id(1), &message), Err(CallError::Upstream));
    assert_eq!(
        egress.grpc_send(id(1), b"", false),
        Err(CallError::NotFound)
    );
    egress.grpc_close(id(1));
    egress.cancel(id(1));
    assert_eq!(egress.outstanding(), 0);
}
