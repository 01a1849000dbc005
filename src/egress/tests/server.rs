//! Upstreams, good and bad ones, each on a thread of its own.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use hyper::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub type Io = Box<dyn Stream>;
type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

pub struct Server {
    pub port: u16,
    accepted: Arc<AtomicUsize>,
}

impl Server {
    /// `serve` is given each connection, and its number from 0.
    pub fn tcp<F>(serve: impl Fn(Io, usize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::listening(None, serve)
    }

    pub fn tls<F>(
        acceptor: TlsAcceptor,
        serve: impl Fn(Io, usize) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::listening(Some(acceptor), serve)
    }

    fn listening<F>(
        acceptor: Option<TlsAcceptor>,
        serve: impl Fn(Io, usize) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let serve = boxed(serve);
        let (started, port) = mpsc::channel();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        run(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            started.send(listener.local_addr().unwrap().port()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (serve, acceptor) = (Arc::clone(&serve), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(Box::new(stream), number).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(Box::new(stream), number).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            port: port.recv().unwrap(),
            accepted,
        }
    }

    pub fn unix<F>(path: &Path, serve: impl Fn(Io, usize) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let serve = boxed(serve);
        let (started, is_started) = mpsc::channel();
        let path = path.to_owned();
        run(async move {
            let listener = UnixListener::bind(path).unwrap();
            started.send(()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(Box::new(stream), 0));
            }
        });
        is_started.recv().unwrap();
    }

    /// An HTTP/1.1 server that answers each request with what `answer` makes of it and its connection's number.
    pub fn http1(answer: impl Fn(&str, usize) -> String + Send + Sync + 'static) -> Self {
        Self::tcp(http1(answer))
    }

    pub fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

fn boxed<F>(
    serve: impl Fn(Io, usize) -> F + Send + Sync + 'static,
) -> Arc<dyn Fn(Io, usize) -> Serving + Send + Sync>
where
    F: Future<Output = ()> + Send + 'static,
{
    Arc::new(move |io, number| Box::pin(serve(io, number)))
}

fn run(work: impl Future<Output = ()> + Send + 'static) {
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(work);
    });
}

pub fn http1(
    answer: impl Fn(&str, usize) -> String + Send + Sync + 'static,
) -> impl Fn(Io, usize) -> Serving + Send + Sync + 'static {
    let answer = Arc::new(answer);
    move |mut io, number| {
        let answer = Arc::clone(&answer);
        Box::pin(async move {
            while let Some(request) = read_request(&mut io).await {
                let response = answer(&request, number);
                if io.write_all(response.as_bytes()).await.is_err() {
                    return;
                }
                if response
                    .to_ascii_lowercase()
                    .contains("\r\nconnection: close\r\n")
                {
                    return;
                }
            }
        })
    }
}

pub fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// All of a request, as it came.
pub async fn read_request(io: &mut Io) -> Option<String> {
    let mut request = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while !is_whole(&request) {
        match io.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&request).into_owned())
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        return (body.starts_with("0\r\n") || body.contains("\r\n0\r\n"))
            && body.ends_with("\r\n\r\n");
    }
    let length = head.split("content-length: ").nth(1);
    let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    let start = request
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    request.len() - start >= length
}

/// An HTTP/2 connection on which `answer` is given each request.
pub fn http2<F>(
    builder: h2::server::Builder,
    answer: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + Sync + 'static,
) -> impl Fn(Io, usize) -> Serving + Send + Sync + 'static
where
    F: Future<Output = ()> + Send + 'static,
{
    let answer = Arc::new(answer);
    move |io, _| {
        let (builder, answer) = (builder.clone(), Arc::clone(&answer));
        Box::pin(async move {
            let Ok(mut connection) = builder.handshake(io).await else {
                return;
            };
            while let Some(Ok((request, respond))) = connection.accept().await {
                tokio::spawn(answer(request, respond));
            }
        })
    }
}

/// All of a request's body, and its trailers.
pub async fn read_body(body: &mut RecvStream) -> (Vec<u8>, Option<HeaderMap>) {
    let mut bytes = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        bytes.extend_from_slice(&data);
        let _ = body.flow_control().release_capacity(data.len());
    }
    (bytes, body.trailers().await.ok().flatten())
}

/// Sends a response whose end is the trailers' end, or the body's where there are none.
pub fn respond(
    respond: &mut SendResponse<Bytes>,
    response: Response<()>,
    body: &[u8],
    trailers: super::Lines<'_>,
) {
    let only_headers = body.is_empty() && trailers.is_empty();
    let Ok(mut stream) = respond.send_response(response, only_headers) else {
        return;
    };
    if !body.is_empty() {
        let _ = stream.send_data(Bytes::copy_from_slice(body), trailers.is_empty());
    }
    if !trailers.is_empty() {
        let _ = stream.send_trailers(header_map(trailers));
    }
}

pub fn header_map(lines: super::Lines<'_>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        let name: hyper::header::HeaderName = name.parse().unwrap();
        map.append(name, value.parse().unwrap());
    }
    map
}
