//! Envoy's attributes, and where nginx has each.

use crate::abi::host::HeaderMap;

/// How the value of an attribute is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The bytes as they are.
    String,
    /// Eight bytes, little-endian.
    Int,
    /// One byte.
    Bool,
    /// Nanoseconds since 1970, as an `Int`.
    Timestamp,
    /// Nanoseconds, as an `Int`.
    Duration,
    /// Pairs of strings, as all header maps cross to plugins.
    Map,
}

/// Where an attribute comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An nginx variable; absent where it is empty. Where nginx keeps one value for each upstream tried, the last.
    Variable(&'static str),
    /// A header or pseudo-header of the request.
    Header(&'static str),
    /// All headers. A further segment names one of them.
    Headers(HeaderMap),
    /// `:path` without its query.
    UrlPath,
    /// The query of `:path`.
    Query,
    /// The header `x-request-id`, else `$request_id`.
    RequestId,
    /// `$server_protocol`, as Envoy spells it.
    Protocol,
    /// The size of the request's body as its headers tell.
    BodySize,
    /// When the request began.
    StartTime,
    /// The status of the response.
    Status,
    /// `grpc-status` of the response.
    GrpcStatus,
    /// Why a plugin sent a response of its own.
    LocalDetails,
    /// An address, of which the variables are the two parts.
    Address(&'static str, &'static str),
    /// The last server tried, of `$upstream_addr`.
    UpstreamAddress,
    /// The port in the above.
    UpstreamPort,
    /// `$ssl_client_verify` is `SUCCESS`.
    ClientVerified,
    /// Always this.
    Constant(i64),
}

/// An attribute that plugins can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// As Envoy's documentation writes it, with dots.
    pub path: &'static str,
    pub kind: Kind,
    pub source: Source,
}

const fn attribute(path: &'static str, kind: Kind, source: Source) -> Attribute {
    Attribute { path, kind, source }
}

/// All attributes, in the order of their paths.
pub static ATTRIBUTES: &[Attribute] = {
    use Kind::{Bool, Duration, Int, Map, String, Timestamp};
    use Source::{
        Address, BodySize, ClientVerified, Constant, GrpcStatus, Header, Headers, LocalDetails,
        Protocol, Query, RequestId, StartTime, Status, UpstreamAddress, UpstreamPort, UrlPath,
        Variable,
    };
    &[
        attribute("connection.id", Int, Variable("connection")),
        attribute("connection.mtls", Bool, ClientVerified),
        attribute(
            "connection.requested_server_name",
            String,
            Variable("ssl_server_name"),
        ),
        attribute(
            "connection.subject_peer_certificate",
            String,
            Variable("ssl_client_s_dn"),
        ),
        attribute("connection.tls_version", String, Variable("ssl_protocol")),
        attribute(
            "destination.address",
            String,
            Address("server_addr", "server_port"),
        ),
        attribute("destination.port", Int, Variable("server_port")),
        attribute("listener_direction", Int, Constant(1)),
        attribute("request.duration", Duration, Variable("request_time")),
        attribute("request.headers", Map, Headers(HeaderMap::Request)),
        attribute("request.host", String, Header(":authority")),
        attribute("request.id", String, RequestId),
        attribute("request.method", String, Header(":method")),
        attribute("request.path", String, Header(":path")),
        attribute("request.protocol", String, Protocol),
        attribute("request.query", String, Query),
        attribute("request.referer", String, Header("referer")),
        attribute("request.scheme", String, Header(":scheme")),
        attribute("request.size", Int, BodySize),
        attribute("request.time", Timestamp, StartTime),
        attribute("request.total_size", Int, Variable("request_length")),
        attribute("request.url_path", String, UrlPath),
        attribute("request.useragent", String, Header("user-agent")),
        attribute(
            "response.backend_latency",
            Duration,
            Variable("upstream_response_time"),
        ),
        attribute("response.code", Int, Status),
        attribute("response.code_details", String, LocalDetails),
        attribute("response.flags", Int, Constant(0)),
        attribute("response.grpc_status", Int, GrpcStatus),
        attribute("response.headers", Map, Headers(HeaderMap::Response)),
        attribute("response.size", Int, Variable("body_bytes_sent")),
        attribute("response.total_size", Int, Variable("bytes_sent")),
        attribute(
            "source.address",
            String,
            Address("remote_addr", "remote_port"),
        ),
        attribute("source.port", Int, Variable("remote_port")),
        attribute("upstream.address", String, UpstreamAddress),
        attribute("upstream.port", Int, UpstreamPort),
    ]
};

/// The attribute of a path whose segments are separated by NUL, and the name of the one header asked for, if any.
pub fn find(path: &[u8]) -> Option<(&'static Attribute, Option<&[u8]>)> {
    if let Ok(at) = ATTRIBUTES.binary_search_by(|a| compare(a.path, path)) {
        return Some((&ATTRIBUTES[at], None));
    }
    ATTRIBUTES
        .iter()
        .filter(|a| a.kind == Kind::Map)
        .find_map(|a| {
            let (parent, name) = path.split_at_checked(a.path.len())?;
            let name = name.strip_prefix(b"\0")?;
            (compare(a.path, parent).is_eq() && !name.is_empty()).then_some((a, Some(name)))
        })
}

/// `.` in an attribute's path stands for the NUL between segments.
fn compare(attribute: &str, path: &[u8]) -> std::cmp::Ordering {
    let with_nul = attribute.bytes().map(|b| if b == b'.' { 0 } else { b });
    with_nul.cmp(path.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        let nul = |a: &Attribute| a.path.replace('.', "\0");
        assert!(ATTRIBUTES.is_sorted_by_key(nul));
        for a in ATTRIBUTES {
            assert_eq!(find(nul(a).as_bytes()), Some((a, None)));
        }
    }

    #[test]
    fn one_header() {
        let (found, name) = find(b"request\0headers\0x-a").unwrap();
        assert_eq!((found.path, name), ("request.headers", Some(&b"x-a"[..])));
        let (found, name) = find(b"response\0headers\0a.b").unwrap();
        assert_eq!((found.path, name), ("response.headers", Some(&b"a.b"[..])));
    }

    #[test]
    fn no_attribute() {
        for path in [
            &b"request"[..],
            b"request.path",
            b"request\0",
            b"request\0path\0x",
            b"request\0headers\0",
            b"request\0headersx",
            b"",
        ] {
            assert_eq!(find(path), None);
        }
    }
}
