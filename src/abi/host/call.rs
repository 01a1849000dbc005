//! Calls that plugins make to other services.

use std::borrow::Cow;
use std::time::Duration;

/// A call, or a gRPC stream, of one VM instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId {
    /// Tells the VM instances of a process apart.
    pub vm: u32,
    /// What the plugin knows it by.
    pub token: u32,
}

/// Names, in lower case, and values.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// An HTTP request to be sent. Names and values are as the plugin gave them, pseudo-headers among the headers.
#[derive(Clone, Copy, Debug)]
pub struct HttpCall<'a> {
    pub upstream: &'a [u8],
    pub headers: &'a [(&'a [u8], &'a [u8])],
    pub body: &'a [u8],
    pub trailers: &'a [(&'a [u8], &'a [u8])],
    /// For the call as a whole; `None` for as long as the proxy lets it take.
    pub timeout: Option<Duration>,
}

/// A gRPC call, or a stream, to be opened.
#[derive(Clone, Copy, Debug)]
pub struct GrpcCall<'a> {
    /// An upstream's name, or Envoy's `GrpcService` message.
    pub upstream: &'a [u8],
    pub service: &'a [u8],
    pub method: &'a [u8],
    pub metadata: &'a [(&'a [u8], &'a [u8])],
    /// The one message of a call; `None` opens a stream.
    pub message: Option<&'a [u8]>,
    /// For the call as a whole; `None` for as long as the proxy lets it take.
    pub timeout: Option<Duration>,
}

/// Why a call was not begun, or not gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// Nothing is known under the upstream's name.
    Upstream,
    /// A header, a method or a path that no request may have.
    Invalid,
    /// There are too many calls already.
    Full,
    /// There is no such call, or it takes no more messages.
    NotFound,
}

/// What has become of a call.
#[derive(Debug)]
pub enum CallEvent {
    /// The response to an HTTP request, `:status` first among its headers. The call is over.
    Response {
        headers: Fields,
        body: Vec<u8>,
        trailers: Fields,
    },
    /// There is no response to an HTTP request, and why. The call is over.
    Failed { reason: String },
    /// The metadata at the start of a gRPC response.
    InitialMetadata(Fields),
    /// A gRPC message. To a call, not a stream, it is the answer, and the call is over.
    Message(Vec<u8>),
    /// The metadata at the end of a gRPC response.
    TrailingMetadata(Fields),
    /// A gRPC call failed, or a stream ended. It is over.
    Closed {
        status: u32,
        message: Vec<u8>,
        /// The other side said so; else there was no answer, or none that could be used.
        answered: bool,
    },
}

impl CallEvent {
    /// Why the other side has not answered, where that is what it says.
    pub fn failure(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Failed { reason } => Some(reason.as_str().into()),
            Self::Closed {
                message,
                answered: false,
                ..
            } => Some(String::from_utf8_lossy(message)),
            Self::Response { .. }
            | Self::InitialMetadata(_)
            | Self::Message(_)
            | Self::TrailingMetadata(_)
            | Self::Closed { answered: true, .. } => None,
        }
    }
}
