use std::error::Error;
use std::io;

use h2::Reason;
use tokio_rustls::rustls;

pub const CANCELLED: u32 = 1;
pub const UNKNOWN: u32 = 2;
pub const DEADLINE_EXCEEDED: u32 = 4;
pub const PERMISSION_DENIED: u32 = 7;
pub const RESOURCE_EXHAUSTED: u32 = 8;
pub const UNIMPLEMENTED: u32 = 12;
pub const INTERNAL: u32 = 13;
pub const UNAVAILABLE: u32 = 14;
pub const UNAUTHENTICATED: u32 = 16;

pub const TIMED_OUT: &str = "timed out";
const INCOMPLETE: &str = "connection closed before the response was complete";

/// Why a call has no response.
#[derive(Clone, Debug)]
pub struct Failure {
    pub reason: String,
    /// What it is in gRPC.
    pub status: u32,
    pub replay: Replay,
}

/// Whether the request may be sent again on another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    Never,
    /// The upstream has not seen it.
    Unsent,
    /// Nothing was answered. The upstream may have acted on it.
    Unanswered,
}

impl Failure {
    pub fn new(reason: impl Into<String>, status: u32) -> Self {
        Self {
            reason: reason.into(),
            status,
            replay: Replay::Never,
        }
    }

    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::new(reason, UNAVAILABLE)
    }

    pub fn timed_out() -> Self {
        Self::new(TIMED_OUT, DEADLINE_EXCEEDED)
    }

    pub fn body_too_large(limit: usize) -> Self {
        Self::new(
            format!("response body larger than {limit} bytes"),
            RESOURCE_EXHAUSTED,
        )
    }

    pub fn headers_too_large(limit: usize) -> Self {
        Self::new(
            format!("response headers larger than {limit} bytes"),
            RESOURCE_EXHAUSTED,
        )
    }

    pub fn replay(mut self, replay: Replay) -> Self {
        self.replay = replay;
        self
    }

    pub fn http1(error: &hyper::Error, max_headers: usize) -> Self {
        // hyper tells it to servers only, but by its words.
        if error.to_string().starts_with("message head is too large") {
            return Self::headers_too_large(max_headers);
        }
        if let Some(error) = cause::<io::Error>(error) {
            return Self::io(error);
        }
        if error.is_parse() {
            return Self::unavailable(format!("not an HTTP/1.1 response: {error}"));
        }
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            return Self::unavailable(INCOMPLETE);
        }
        Self::unavailable(error.to_string())
    }

    pub fn http2(error: &h2::Error) -> Self {
        if let Some(error) = error.get_io() {
            return Self::io(error).replay(Replay::Unanswered);
        }
        let Some(reason) = error.reason() else {
            return Self::new(error.to_string(), INTERNAL);
        };
        if error.is_go_away() {
            let replay = match reason {
                Reason::NO_ERROR if error.is_remote() => Replay::Unsent,
                _ => Replay::Unanswered,
            };
            let reason = format!("connection closed: {}", reason.description());
            return Self::unavailable(reason).replay(replay);
        }
        let (status, replay) = match reason {
            Reason::CANCEL => (CANCELLED, Replay::Never),
            Reason::REFUSED_STREAM => (UNAVAILABLE, Replay::Unsent),
            Reason::ENHANCE_YOUR_CALM => (RESOURCE_EXHAUSTED, Replay::Never),
            Reason::INADEQUATE_SECURITY => (PERMISSION_DENIED, Replay::Never),
            _ => (INTERNAL, Replay::Never),
        };
        let whose = if error.is_remote() {
            "stream reset"
        } else {
            "HTTP/2 error"
        };
        Self::new(format!("{whose}: {}", reason.description()), status).replay(replay)
    }

    pub fn handshake(error: &io::Error) -> Self {
        match io_reason(error) {
            reason if reason == INCOMPLETE => {
                Self::unavailable("TLS: connection closed during the handshake")
            }
            reason => Self::unavailable(reason),
        }
    }

    pub fn io(error: &io::Error) -> Self {
        Self::unavailable(io_reason(error))
    }
}

fn io_reason(error: &io::Error) -> String {
    if let Some(error) = cause::<rustls::Error>(error) {
        return format!("TLS: {error}");
    }
    let reason = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset",
        io::ErrorKind::HostUnreachable => "host unreachable",
        io::ErrorKind::NetworkUnreachable => "network unreachable",
        io::ErrorKind::TimedOut => TIMED_OUT,
        io::ErrorKind::NotFound => "no such socket",
        io::ErrorKind::PermissionDenied => "permission denied",
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::ConnectionAborted => INCOMPLETE,
        _ => {
            let text = error.to_string();
            return match text.split_once(" (os error") {
                Some((text, _)) => text.to_owned(),
                None => text,
            };
        }
    };
    reason.to_owned()
}

/// The first of an error's causes that is an `E`, the error itself among them.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // An I/O error hides what it was made from: its source is that one's source.
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
