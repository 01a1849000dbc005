use bytes::Bytes;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{HeaderMap, Method, Uri};

use super::failure::{Failure, INTERNAL};
use super::http1::RequestBody;
use crate::abi::host::{CallError, HttpCall};

/// Header lines that a request may have.
const MAX_LINES: usize = 4096;

/// The longest path that there is for hyper.
const MAX_PATH: usize = u16::MAX as usize - 1;

/// A request that can be sent over any protocol, and more than once.
pub struct Request {
    pub method: Method,
    pub path: PathAndQuery,
    pub authority: Option<Authority>,
    /// What the request's scheme says of TLS.
    pub tls: Option<bool>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Request {
    pub fn http1(&self, authority: &Authority) -> Result<hyper::Request<RequestBody>, Failure> {
        let mut headers = self.header_map();
        let host = HeaderValue::from_str(authority.as_str()).map_err(impossible)?;
        headers.insert(HOST, host);
        if self.trailers.is_some() {
            let chunked = HeaderValue::from_static("chunked");
            headers.append(TRANSFER_ENCODING, chunked);
        }
        self.append_to(&mut headers);
        let body = RequestBody {
            data: self.body.clone(),
            trailers: self.trailers.clone(),
        };
        Ok(self.request(Uri::from(self.path.clone()), headers, body))
    }

    pub fn http2(&self, authority: &Authority, tls: bool) -> Result<hyper::Request<()>, Failure> {
        let uri = Uri::builder()
            .scheme(if tls { Scheme::HTTPS } else { Scheme::HTTP })
            .authority(authority.clone())
            .path_and_query(self.path.clone())
            .build()
            .map_err(impossible)?;
        let mut headers = self.header_map();
        self.append_to(&mut headers);
        Ok(self.request(uri, headers, ()))
    }

    fn header_map(&self) -> HeaderMap {
        HeaderMap::with_capacity(self.headers.len() + 2)
    }

    fn append_to(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
    }

    fn request<B>(&self, uri: Uri, headers: HeaderMap, body: B) -> hyper::Request<B> {
        let mut request = hyper::Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        request
    }
}

/// The parts were checked before, all but how they go together.
fn impossible(error: impl ToString) -> Failure {
    Failure::new(error.to_string(), INTERNAL)
}

/// Reads what a plugin wants sent.
pub fn prepare(call: &HttpCall<'_>) -> Result<Request, CallError> {
    let mut request = Request {
        method: Method::GET,
        path: PathAndQuery::from_static("/"),
        authority: None,
        tls: None,
        headers: Vec::with_capacity(call.headers.len() + 2),
        body: Bytes::copy_from_slice(call.body),
        trailers: None,
    };
    if call.headers.len() > MAX_LINES || call.trailers.len() > MAX_LINES {
        return Err(CallError::Invalid);
    }
    let mut host = None;
    for &(name, value) in call.headers {
        if let Some(pseudo) = name.strip_prefix(b":") {
            match pseudo {
                b"method" => request.method = method(value)?,
                b"path" => request.path = path(value)?,
                b"authority" => request.authority = authority(value)?,
                b"scheme" => request.tls = Some(scheme(value)?),
                _ => return Err(CallError::Invalid),
            }
            continue;
        }
        let (name, value) = line(name, value)?;
        if name == HOST {
            if host.is_none() {
                host = authority(value.as_bytes())?;
            }
        } else if !is_hop_by_hop(&name) && (name != TE || value == "trailers") {
            request.headers.push((name, value));
        }
    }
    request.authority = request.authority.take().or(host);
    add_framing(&mut request, call.trailers)?;
    Ok(request)
}

/// Says how the body ends: by its length, or with trailers.
fn add_framing(request: &mut Request, trailers: &[(&[u8], &[u8])]) -> Result<(), CallError> {
    let mut map = HeaderMap::new();
    for (name, value) in trailers {
        let (name, value) = line(name, value)?;
        if !is_hop_by_hop(&name) && name != HOST && name != TE {
            map.append(name, value);
        }
    }
    if !map.is_empty() {
        let names: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        let names = HeaderValue::try_from(names.join(", ")).map_err(|_| CallError::Invalid)?;
        request.headers.push((TRAILER, names));
        request.trailers = Some(map);
        return Ok(());
    }
    let expects = [Method::POST, Method::PUT, Method::PATCH].contains(&request.method);
    if expects || !request.body.is_empty() {
        let length = HeaderValue::from(request.body.len());
        request.headers.push((CONTENT_LENGTH, length));
    }
    Ok(())
}

/// A header line as HTTP allows it.
pub fn line(name: &[u8], value: &[u8]) -> Result<(HeaderName, HeaderValue), CallError> {
    let name = HeaderName::from_bytes(name).map_err(|_| CallError::Invalid)?;
    let value = HeaderValue::from_bytes(value).map_err(|_| CallError::Invalid)?;
    Ok((name, value))
}

/// Whether a header is about one connection only, or about how a body ends, which is not the plugin's to say.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    [
        CONNECTION,
        TRANSFER_ENCODING,
        UPGRADE,
        CONTENT_LENGTH,
        TRAILER,
    ]
    .contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

fn method(value: &[u8]) -> Result<Method, CallError> {
    match Method::from_bytes(value) {
        // Tunnels are not for calls.
        Ok(method) if method != Method::CONNECT => Ok(method),
        _ => Err(CallError::Invalid),
    }
}

/// A path as it is sent. Bytes that HTTP has no place for there are escaped, those that could end it are refused.
pub fn path(value: &[u8]) -> Result<PathAndQuery, CallError> {
    if value.len() > MAX_PATH || value.iter().any(|b| *b <= b' ' || *b == 0x7f) {
        return Err(CallError::Invalid);
    }
    if value.is_empty() || value == b"*" {
        let path = if value.is_empty() { "/" } else { "*" };
        return Ok(PathAndQuery::from_static(path));
    }
    let mut bytes = Vec::with_capacity(value.len() + 1);
    if value[0] != b'/' {
        bytes.push(b'/');
    }
    bytes.extend_from_slice(value);
    let bytes = Bytes::from(bytes);
    PathAndQuery::from_maybe_shared(bytes.clone())
        .or_else(|_| PathAndQuery::from_maybe_shared(escaped(&bytes)))
        .map_err(|_| CallError::Invalid)
}

fn escaped(path: &[u8]) -> Bytes {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/?#%-._~!$&'()*+,;=:@".contains(&b);
    let mut escaped = Vec::with_capacity(path.len() + 16);
    for &b in path {
        if plain(b) {
            escaped.push(b);
        } else {
            escaped.extend_from_slice(format!("%{b:02X}").as_bytes());
        }
    }
    escaped.into()
}

/// `None` for an empty one, which says nothing.
pub fn authority(value: &[u8]) -> Result<Option<Authority>, CallError> {
    if value.is_empty() {
        return Ok(None);
    }
    match Authority::try_from(value) {
        Ok(authority) if !value.contains(&b'@') => Ok(Some(authority)),
        _ => Err(CallError::Invalid),
    }
}

fn scheme(value: &[u8]) -> Result<bool, CallError> {
    match value {
        b"http" => Ok(false),
        b"https" => Ok(true),
        _ => Err(CallError::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lines<'a> = &'a [(&'a [u8], &'a [u8])];

    fn prepared(
        headers: Lines<'_>,
        body: &[u8],
        trailers: Lines<'_>,
    ) -> Result<Request, CallError> {
        prepare(&HttpCall {
            upstream: b"a",
            headers,
            body,
            trailers,
            timeout: None,
        })
    }

    fn lines(request: &Request) -> Vec<String> {
        let line = |(name, value): &(HeaderName, HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        request.headers.iter().map(line).collect()
    }

    #[test]
    fn nothing_said() {
        let request = prepared(&[], b"", &[]).unwrap();
        assert_eq!(request.method, Method::GET);
        assert_eq!(request.path, "/");
        assert!(request.authority.is_none() && request.tls.is_none() && request.headers.is_empty());
    }

    #[test]
    fn pseudo_headers() {
        let all: Lines<'_> = &[
            (b":method", b"BREW"),
            (b":path", b"tea?milk=1"),
            (b":authority", b"pot:80"),
            (b"host", b"other"),
            (b":scheme", b"https"),
        ];
        let request = prepared(all, b"", &[]).unwrap();
        assert_eq!(request.method.as_str(), "BREW");
        assert_eq!(request.path, "/tea?milk=1");
        assert_eq!(request.authority.unwrap(), "pot:80");
        assert_eq!(request.tls, Some(true));
        assert!(request.headers.is_empty());
        let host = prepared(&[(b"Host", b"other")], b"", &[]).unwrap();
        assert_eq!(host.authority.unwrap(), "other");
    }

    #[test]
    fn paths() {
        let cases: [(&[u8], &str); 6] = [
            (b"", "/"),
            (b"*", "*"),
            (b"//a", "//a"),
            (b"/a<b>\\^`|?{}\"", "/a%3Cb%3E%5C%5E%60%7C?%7B%7D%22"),
            (b"/\xff", "/%FF"),
            ("/\u{e9}".as_bytes(), "/\u{e9}"),
        ];
        for (value, expected) in cases {
            assert_eq!(path(value).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn what_http_does_not_allow() {
        let cases: [(&[u8], &[u8]); 14] = [
            (b":status", b"200"),
            (b":method", b"GET /"),
            (b":method", b""),
            (b":method", b"CONNECT"),
            (b":path", b"/ HTTP/1.1"),
            (b":path", b"/\r\n"),
            (b":scheme", b"ftp"),
            (b":authority", b"a b"),
            (b":authority", b"u@a"),
            (b"host", b"a/b"),
            (b"a b", b""),
            (b"", b""),
            (b"a", b"b\r\nc: d"),
            (b"a", b"\0"),
        ];
        for (name, value) in cases {
            let refused = prepared(&[(name, value)], b"", &[]).err();
            assert_eq!(refused, Some(CallError::Invalid), "{name:?}: {value:?}");
        }
        assert!(prepared(&[], b"", &[(b":path", b"/")]).is_err());
        assert!(prepared(&[(&b"a"[..], &b"b"[..]); MAX_LINES + 1], b"", &[]).is_err());
    }

    #[test]
    fn what_is_not_the_plugins_to_say() {
        let all: Lines<'_> = &[
            (b"Connection", b"close"),
            (b"keep-alive", b"1"),
            (b"X-A", b"1"),
            (b"proxy-connection", b"close"),
            (b"transfer-encoding", b"chunked"),
            (b"upgrade", b"h2c"),
            (b"content-length", b"7"),
            (b"te", b"gzip"),
            (b"te", b"trailers"),
            (b"x-a", b"2"),
        ];
        let request = prepared(all, b"body", &[]).unwrap();
        assert_eq!(
            lines(&request),
            ["x-a: 1", "te: trailers", "x-a: 2", "content-length: 4"]
        );
        let post = prepared(&[(b":method", b"POST")], b"", &[]).unwrap();
        assert_eq!(lines(&post), ["content-length: 0"]);
    }

    #[test]
    fn trailers_are_announced() {
        let trailers: Lines<'_> = &[(b"A", b"1"), (b"content-length", b"1"), (b"b", b"2")];
        let request = prepared(&[(b"trailer", b"c")], b"body", trailers).unwrap();
        assert_eq!(lines(&request), ["trailer: a, b"]);
        assert_eq!(request.trailers.unwrap().len(), 2);
    }
}
