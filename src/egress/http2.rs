use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Ping, RecvStream, SendStream};
use hyper::header::CONTENT_LENGTH;
use hyper::{HeaderMap, Request};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::failure::{Failure, Replay};
use super::fields::{Body, check_size, fields};
use super::thread::Limits;
use super::transport::Transport;
use crate::abi::host::{CallEvent, Fields};

/// What one stream may be sent before it is read, and all streams of a connection together.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// How long a connection in doubt has to answer.
const PING: Duration = Duration::from_secs(5);

/// An HTTP/2 connection. Calls share it.
pub struct Http2 {
    sender: SendRequest<Bytes>,
    load: Arc<Load>,
}

struct Load {
    calls: AtomicUsize,
    /// No new call can use the connection.
    closed: AtomicBool,
    /// When a call last ended.
    since: Mutex<Instant>,
    /// A call was given up with nothing answered to it: the upstream may be gone without a word.
    doubt: Notify,
}

impl Http2 {
    pub async fn open(transport: Transport, max_headers: usize) -> Result<Self, Failure> {
        // h2 counts 32 bytes for each line, and does not say which limit a response went past. Ours is looked at later.
        let max_list = max_headers.saturating_mul(4).saturating_add(64 * 1024);
        let (sender, connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(max_list).unwrap_or(u32::MAX))
            .handshake(transport)
            .await
            .map_err(|error| Failure::http2(&error))?;
        let load = Arc::new(Load {
            calls: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            since: Mutex::new(Instant::now()),
            doubt: Notify::new(),
        });
        tokio::spawn(drive(connection, Arc::clone(&load)));
        Ok(Self { sender, load })
    }

    pub fn is_closed(&self) -> bool {
        self.load.closed.load(Ordering::Relaxed)
    }

    pub fn is_full(&self) -> bool {
        self.calls() >= self.sender.current_max_send_streams()
    }

    pub fn calls(&self) -> usize {
        self.load.calls.load(Ordering::Relaxed)
    }

    /// How long there has been no call; `None` while there is one.
    pub fn idle(&self) -> Option<Duration> {
        (self.calls() == 0).then(|| self.load.since.lock().elapsed())
    }

    pub fn lease(&self) -> Lease {
        self.load.calls.fetch_add(1, Ordering::Relaxed);
        Lease {
            sender: self.sender.clone(),
            load: Arc::clone(&self.load),
            settled: false,
        }
    }
}

/// Lets the connection work, until it ends or an upstream in doubt does not answer.
async fn drive(mut connection: Connection<Transport, Bytes>, load: Arc<Load>) {
    let pings = connection.ping_pong();
    let silent = async {
        let Some(mut pings) = pings else {
            return std::future::pending().await;
        };
        loop {
            load.doubt.notified().await;
            if timeout(PING, pings.ping(Ping::opaque())).await.is_err() {
                return;
            }
        }
    };
    let mut silent = pin!(silent);
    poll_fn(|cx| {
        // What goes wrong is told to the calls it goes wrong for.
        if Pin::new(&mut connection).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        silent.as_mut().poll(cx)
    })
    .await;
    load.closed.store(true, Ordering::Relaxed);
}

/// One call's share of a connection.
pub struct Lease {
    sender: SendRequest<Bytes>,
    load: Arc<Load>,
    /// The upstream has answered, or the call has failed for a reason.
    settled: bool,
}

impl Lease {
    /// Sends a request's headers. With `end`, nothing follows them.
    pub async fn open(
        &mut self,
        request: Request<()>,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), Failure> {
        let ready = poll_fn(|cx| self.sender.poll_ready(cx)).await;
        ready
            .and_then(|()| self.sender.send_request(request, end))
            .map_err(|error| {
                self.load.closed.store(true, Ordering::Relaxed);
                self.settled = true;
                Failure::http2(&error).replay(Replay::Unsent)
            })
    }

    /// Waits for the response's headers.
    pub async fn response(
        &mut self,
        response: ResponseFuture,
        limits: Limits,
    ) -> Result<(hyper::http::response::Parts, RecvStream), Failure> {
        let response = response.await;
        self.settled = true;
        let (head, incoming) = match response {
            Ok(response) => response.into_parts(),
            Err(error) => {
                if error.is_go_away() || error.is_io() {
                    self.load.closed.store(true, Ordering::Relaxed);
                }
                return Err(Failure::http2(&error));
            }
        };
        check_size(&head.headers, limits.max_headers)?;
        Ok((head, incoming))
    }

    pub async fn exchange(
        &mut self,
        request: Request<()>,
        body: Bytes,
        trailers: Option<HeaderMap>,
        limits: Limits,
    ) -> Result<CallEvent, Failure> {
        let head_only = request.method() == hyper::Method::HEAD;
        let end = body.is_empty() && trailers.is_none();
        let (response, mut stream) = self.open(request, end).await?;
        let sending = async move {
            if end {
                return Ok(());
            }
            send(&mut stream, body, trailers.is_none()).await?;
            match trailers {
                Some(trailers) => stream.send_trailers(trailers),
                None => Ok(()),
            }
        };
        let receiving = async {
            let (head, mut incoming) = self.response(response, limits).await?;
            let claimed = match head.headers.get(CONTENT_LENGTH) {
                Some(length) if !head_only => {
                    length.to_str().ok().and_then(|text| text.parse().ok())
                }
                _ => None,
            };
            let mut body = Body::new(claimed.unwrap_or(0), limits.max_body)?;
            while let Some(data) = next(&mut incoming).await? {
                body.add(&data)?;
            }
            Ok(CallEvent::Response {
                headers: fields(Some(head.status), &head.headers),
                body: body.into_bytes(),
                trailers: match trailers_of(&mut incoming, limits).await? {
                    Some(map) => fields(None, &map),
                    None => Fields::new(),
                },
            })
        };
        alongside(sending, receiving).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        *self.load.since.lock() = Instant::now();
        self.load.calls.fetch_sub(1, Ordering::Relaxed);
        if !self.settled {
            self.load.doubt.notify_one();
        }
    }
}

/// Sends as the upstream takes it.
pub async fn send(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    end: bool,
) -> Result<(), h2::Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(room) => room?.min(data.len()),
            None => return Err(h2::Reason::CANCEL.into()),
        };
        let chunk = data.split_to(room);
        stream.send_data(chunk, end && data.is_empty())?;
    }
    Ok(())
}

/// The next bytes of a body.
pub async fn next(incoming: &mut RecvStream) -> Result<Option<Bytes>, Failure> {
    let Some(data) = incoming.data().await else {
        return Ok(None);
    };
    let data = data.map_err(|error| Failure::http2(&error).replay(Replay::Never))?;
    incoming
        .flow_control()
        .release_capacity(data.len())
        .map_err(|error| Failure::http2(&error).replay(Replay::Never))?;
    Ok(Some(data))
}

/// What follows a body that has been read.
pub async fn trailers_of(
    incoming: &mut RecvStream,
    limits: Limits,
) -> Result<Option<HeaderMap>, Failure> {
    let trailers = incoming.trailers().await;
    let trailers = trailers.map_err(|error| Failure::http2(&error).replay(Replay::Never))?;
    if let Some(trailers) = &trailers {
        check_size(trailers, limits.max_headers)?;
    }
    Ok(trailers)
}

/// Receives while sending. What was received counts: an upstream may answer before it has read everything.
pub async fn alongside<T>(
    sending: impl Future<Output = Result<(), h2::Error>>,
    receiving: impl Future<Output = T>,
) -> T {
    let (mut sending, mut receiving) = (pin!(sending), pin!(receiving));
    let mut sent = false;
    poll_fn(|cx| {
        // An error of this side's shows on the other too, and says more there.
        sent = sent || !matches!(sending.as_mut().poll(cx), Poll::Pending);
        receiving.as_mut().poll(cx)
    })
    .await
}
