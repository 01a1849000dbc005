use std::path::PathBuf;
use std::time::Duration;

/// What holds for all calls of a worker.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many calls there may be at a time.
    pub max_calls: usize,
    /// For HTTP calls and gRPC calls that give none. Streams last as long as they like.
    pub timeout: Duration,
    /// For the look-up of a name, the connection and the TLS handshake.
    pub connect_timeout: Duration,
    /// Bytes of headers in a response.
    pub max_headers: usize,
    /// Bytes of a response's body, or of a gRPC message.
    pub max_body: usize,
    /// Whether certificates are checked.
    pub verify: bool,
    /// A PEM file of the issuers to trust; `None` for the system's.
    pub trusted: Option<PathBuf>,
    pub http2: Http2,
    /// How long a connection without a call is kept.
    pub idle: Duration,
    /// How many connections without a call are kept for one upstream.
    pub max_idle: usize,
}

/// When HTTP calls use HTTP/2. gRPC calls always do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2 {
    /// Over TLS, if the upstream chooses it.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_calls: 1024,
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            max_headers: 64 * 1024,
            max_body: 10 * 1024 * 1024,
            verify: true,
            trusted: None,
            http2: Http2::Auto,
            idle: Duration::from_secs(60),
            max_idle: 32,
        }
    }
}
