use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, TE, USER_AGENT};

use super::envoy::{self, GrpcService};
use super::name::Upstream;
use super::request::{Request, authority, is_hop_by_hop, line, path};
use crate::abi::host::{CallError, GrpcCall};

/// Metadata that a call may have.
const MAX_LINES: usize = 4096;

/// The most digits that gRPC allows a timeout.
const MAX_TIMEOUT: u128 = 99_999_999;

/// What a plugin wants called.
pub struct Prepared {
    pub upstream: Option<Upstream>,
    pub name: String,
    pub request: Request,
    pub timeout: Duration,
}

pub fn prepare(call: &GrpcCall<'_>, timeout: Duration) -> Result<Prepared, CallError> {
    let service = if envoy::is_message(call.upstream) {
        GrpcService::read(call.upstream).ok_or(CallError::Upstream)?
    } else {
        GrpcService {
            name: String::from_utf8_lossy(call.upstream).into_owned(),
            ..GrpcService::default()
        }
    };
    if call.metadata.len() + service.metadata.len() > MAX_LINES {
        return Err(CallError::Invalid);
    }
    if call.service.is_empty() || call.method.is_empty() {
        return Err(CallError::Invalid);
    }
    let mut headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static("application/grpc")),
        (TE, HeaderValue::from_static("trailers")),
    ];
    // A stream lasts as long as it likes.
    if let (Some(timeout), Some(_)) = (call.timeout, call.message) {
        headers.push((
            HeaderName::from_static("grpc-timeout"),
            timeout_value(timeout)?,
        ));
    }
    let own = call.metadata.iter().copied();
    let services = service.metadata.iter();
    for (name, value) in own.chain(services.map(|(name, value)| (&name[..], &value[..]))) {
        if name.starts_with(b":") {
            continue;
        }
        let (name, value) = line(name, value)?;
        if !is_reserved(&name) {
            headers.push((name, value));
        }
    }
    if !headers.iter().any(|(name, _)| name == USER_AGENT) {
        let agent = concat!("grpc-proxy-wasm/", env!("CARGO_PKG_VERSION"));
        headers.push((USER_AGENT, HeaderValue::from_static(agent)));
    }
    let request = Request {
        method: Method::POST,
        path: path(&[b"/", call.service, b"/", call.method].concat())?,
        authority: match &service.authority {
            Some(text) => authority(text.as_bytes())?,
            None => None,
        },
        tls: service.tls.then_some(true),
        headers,
        body: Bytes::new(),
        trailers: None,
    };
    Ok(Prepared {
        upstream: service.upstream(),
        name: service.name,
        request,
        timeout: call.timeout.unwrap_or(timeout),
    })
}

/// Whether a name is gRPC's own, or HTTP's. Messages go as they are: a plugin cannot say that they are compressed.
fn is_reserved(name: &HeaderName) -> bool {
    is_hop_by_hop(name)
        || [HOST, CONTENT_TYPE, TE].contains(name)
        || matches!(
            name.as_str(),
            "grpc-timeout" | "grpc-encoding" | "grpc-accept-encoding"
        )
}

fn timeout_value(timeout: Duration) -> Result<HeaderValue, CallError> {
    let text = match timeout.as_millis() {
        millis if millis <= MAX_TIMEOUT => format!("{millis}m"),
        millis => format!("{}S", (millis / 1000).min(MAX_TIMEOUT)),
    };
    HeaderValue::try_from(text).map_err(|_| CallError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: GrpcCall<'static> = GrpcCall {
        upstream: b"svc:9090",
        service: b"a.B",
        method: b"C",
        metadata: &[],
        message: Some(b""),
        timeout: None,
    };

    fn lines(call: &GrpcCall<'_>) -> Vec<String> {
        let prepared = prepare(call, Duration::ZERO).unwrap();
        let line = |(name, value): &(HeaderName, HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        prepared.request.headers.iter().map(line).collect()
    }

    #[test]
    fn metadata() {
        let call = GrpcCall {
            metadata: &[
                (b":path", b"/"),
                (b"X-A", b"1"),
                (b"host", b"h"),
                (b"content-type", b"text/plain"),
                (b"te", b"gzip"),
                (b"grpc-timeout", b"1S"),
                (b"grpc-encoding", b"gzip"),
                (b"connection", b"close"),
                (b"x-bin", b"AAEC"),
                (b"user-agent", b"me"),
            ],
            ..CALL
        };
        assert_eq!(
            lines(&call),
            [
                "content-type: application/grpc",
                "te: trailers",
                "x-a: 1",
                "x-bin: AAEC",
                "user-agent: me"
            ]
        );
    }

    #[test]
    fn timeouts() {
        let value = |timeout| timeout_value(timeout).unwrap();
        assert_eq!(value(Duration::from_millis(1500)), "1500m");
        assert_eq!(value(Duration::from_secs(99_999)), "99999000m");
        assert_eq!(value(Duration::from_secs(100_000)), "100000S");
        assert_eq!(value(Duration::MAX), "99999999S");
        let stream = GrpcCall {
            message: None,
            timeout: Some(Duration::from_secs(1)),
            ..CALL
        };
        assert!(
            !lines(&stream)
                .iter()
                .any(|line| line.starts_with("grpc-timeout"))
        );
    }

    #[test]
    fn what_cannot_be_called() {
        let refused = |call: GrpcCall<'_>| prepare(&call, Duration::ZERO).err();
        let invalid = [
            GrpcCall {
                service: b"",
                ..CALL
            },
            GrpcCall {
                method: b"",
                ..CALL
            },
            GrpcCall {
                method: b"a b",
                ..CALL
            },
            GrpcCall {
                metadata: &[(b"a b", b"")],
                ..CALL
            },
            GrpcCall {
                metadata: &[(b"a", b"\n")],
                ..CALL
            },
        ];
        for call in invalid {
            assert_eq!(refused(call), Some(CallError::Invalid));
        }
        let malformed = GrpcCall {
            upstream: b"\x0a\x05",
            ..CALL
        };
        assert_eq!(refused(malformed), Some(CallError::Upstream));
    }
}
