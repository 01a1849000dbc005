use bytes::Bytes;
use h2::SendStream;
use hyper::HeaderMap;
use tokio::time::{Instant, timeout_at};

use super::failure::{Failure, INTERNAL, Replay, UNKNOWN};
use super::fields::fields;
use super::framing::Frames;
use super::grpc_response::{Status, check};
use super::http2::{self, alongside, next, send, trailers_of};
use super::outgoing::Messages;
use super::pool::Leased;
use super::reporter::Reporter;
use super::request::Request;
use super::target::Destination;
use super::thread::{Client, Limits};
use crate::abi::host::CallEvent;

/// What is sent.
enum Source {
    One(Bytes),
    Many(Messages),
}

/// Who is told what was received.
enum Sink<'a> {
    One(Option<Vec<u8>>),
    Many(&'a Reporter),
}

pub async fn unary(
    client: &Client,
    mut reporter: Reporter,
    destination: Destination,
    request: Request,
    message: Bytes,
    deadline: Instant,
) {
    let (mut source, mut sink) = (Source::One(message), Sink::One(None));
    let ended = call(client, destination, &request, &mut source, &mut sink);
    let ended = match timeout_at(deadline, ended).await {
        Ok(ended) => ended.unwrap_or_else(Status::from),
        Err(_) => Failure::timed_out().into(),
    };
    reporter.last(match sink {
        Sink::One(Some(message)) if ended.status == 0 => CallEvent::Message(message),
        _ if ended.status == 0 => Status::from(Failure::new("no message", INTERNAL)).into_event(),
        _ => ended.into_event(),
    });
}

pub async fn stream(
    client: &Client,
    mut reporter: Reporter,
    destination: Destination,
    request: Request,
    messages: Messages,
) {
    let (mut source, mut sink) = (Source::Many(messages), Sink::Many(&reporter));
    let ended = call(client, destination, &request, &mut source, &mut sink).await;
    reporter.last(ended.unwrap_or_else(Status::from).into_event());
}

async fn call(
    client: &Client,
    destination: Destination,
    request: &Request,
    source: &mut Source,
    sink: &mut Sink<'_>,
) -> Result<Status, Failure> {
    let (target, authority) = client.resolve(destination, request, true).await?;
    let mut again = false;
    loop {
        let lease = client.pool.checkout(&target, again).await?;
        let Leased::Http2(mut connection) = lease.connection else {
            return Err(Failure::unavailable("the upstream does not speak HTTP/2"));
        };
        let head = request.http2(&authority, target.tls.is_some())?;
        let ended = converse(&mut connection, head, source, sink, client.limits).await;
        match ended {
            Err(failure) if !again && failure.replay == Replay::Unsent && !source.is_begun() => {
                again = true;
            }
            ended => return ended,
        }
    }
}

async fn converse(
    connection: &mut http2::Lease,
    head: hyper::Request<()>,
    source: &mut Source,
    sink: &mut Sink<'_>,
    limits: Limits,
) -> Result<Status, Failure> {
    let (response, stream) = connection.open(head, false).await?;
    let receiving = async {
        let (head, mut incoming) = connection.response(response, limits).await?;
        if incoming.is_end_stream()
            && let Some(status) = Status::read(&head.headers)
        {
            sink.trailing(&head.headers);
            return Ok(status);
        }
        check(head.status, &head.headers)?;
        sink.initial(&head.headers);
        let mut frames = Frames::new(limits.max_body);
        while let Some(data) = next(&mut incoming).await? {
            frames.add(&data);
            while let Some(message) = frames.next()? {
                sink.message(message).await?;
            }
        }
        let trailers = trailers_of(&mut incoming, limits).await?;
        let Some((trailers, status)) = trailers.and_then(|trailers| {
            let status = Status::read(&trailers)?;
            Some((trailers, status))
        }) else {
            return Err(Failure::new("no gRPC status", UNKNOWN));
        };
        if !frames.is_empty() && status.status == 0 {
            return Err(Failure::new("the last message is not whole", INTERNAL));
        }
        sink.trailing(&trailers);
        Ok(status)
    };
    alongside(source.send(stream), receiving).await
}

impl Source {
    async fn send(&mut self, mut stream: SendStream<Bytes>) -> Result<(), h2::Error> {
        match self {
            Self::One(message) => send(&mut stream, message.clone(), true).await,
            Self::Many(messages) => {
                while let Some(message) = messages.next().await {
                    let length = message.len();
                    send(&mut stream, message, false).await?;
                    messages.taken(length);
                }
                stream.send_data(Bytes::new(), true)
            }
        }
    }

    /// Whether something was sent that is gone.
    fn is_begun(&self) -> bool {
        match self {
            Self::One(_) => false,
            Self::Many(messages) => messages.is_begun(),
        }
    }
}

impl Sink<'_> {
    fn initial(&self, headers: &HeaderMap) {
        if let Self::Many(reporter) = self {
            reporter.event(CallEvent::InitialMetadata(fields(None, headers)));
        }
    }

    async fn message(&mut self, message: Vec<u8>) -> Result<(), Failure> {
        match self {
            Self::One(Some(_)) => return Err(Failure::new("more than one message", INTERNAL)),
            Self::One(none) => *none = Some(message),
            Self::Many(reporter) => {
                reporter.room().await;
                reporter.event(CallEvent::Message(message));
            }
        }
        Ok(())
    }

    fn trailing(&self, headers: &HeaderMap) {
        if let Self::Many(reporter) = self {
            reporter.event(CallEvent::TrailingMetadata(fields(None, headers)));
        }
    }
}
