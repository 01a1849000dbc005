use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;

use super::failure::{Failure, Replay};
use super::fields::{Body, check_size, fields};
use super::thread::Limits;
use super::transport::{Transport, Watched};
use crate::abi::host::{CallEvent, Fields};

/// Header lines that a response may have.
const MAX_LINES: usize = 1024;
/// Of a header's bytes, as many as hyper needs at least, and its own more for the first line.
const MIN_BUFFER: usize = 8 * 1024;

/// An HTTP/1.1 connection. It is closed when this is dropped.
pub struct Http1 {
    sender: SendRequest<RequestBody>,
    /// Whether there was anything from the upstream since it was last set to false.
    received: Arc<AtomicBool>,
    driver: AbortHandle,
}

impl Http1 {
    pub async fn open(transport: Transport, max_headers: usize) -> Result<Self, Failure> {
        let (watched, received) = Watched::new(transport);
        let (sender, connection) = http1::Builder::new()
            .max_headers(MAX_LINES)
            .max_buf_size(max_headers.saturating_add(MIN_BUFFER))
            .handshake(TokioIo::new(watched))
            .await
            .map_err(|error| Failure::http1(&error, max_headers))?;
        let driver = tokio::spawn(async move {
            // What goes wrong is told to the call it goes wrong for.
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            received,
            driver: driver.abort_handle(),
        })
    }

    pub fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits until the connection can be used again. False if it cannot.
    pub async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    pub async fn exchange(
        &mut self,
        request: Request<RequestBody>,
        limits: Limits,
    ) -> Result<CallEvent, Failure> {
        self.received.store(false, Ordering::Relaxed);
        let response = match self.sender.try_send_request(request).await {
            Ok(response) => response,
            Err(mut error) => {
                let replay = if error.take_message().is_some() {
                    Replay::Unsent
                } else if self.received.load(Ordering::Relaxed) {
                    Replay::Never
                } else {
                    Replay::Unanswered
                };
                return Err(Failure::http1(error.error(), limits.max_headers).replay(replay));
            }
        };
        let (head, mut incoming) = response.into_parts();
        check_size(&head.headers, limits.max_headers)?;
        let mut body = Body::new(incoming.size_hint().lower(), limits.max_body)?;
        let mut trailers = Fields::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
            let frame = frame.map_err(|error| Failure::http1(&error, limits.max_headers))?;
            match frame.into_data() {
                Ok(data) => body.add(&data)?,
                Err(frame) => {
                    if let Ok(map) = frame.into_trailers() {
                        check_size(&map, limits.max_headers)?;
                        trailers = fields(None, &map);
                    }
                }
            }
        }
        Ok(CallEvent::Response {
            headers: fields(Some(head.status), &head.headers),
            body: body.into_bytes(),
            trailers,
        })
    }
}

impl Drop for Http1 {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What follows a request's headers.
pub struct RequestBody {
    pub data: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl hyper::body::Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let frame = if this.data.is_empty() {
            this.trailers.take().map(Frame::trailers)
        } else {
            Some(Frame::data(std::mem::take(&mut this.data)))
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.trailers {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(self.data.len() as u64),
        }
    }
}
