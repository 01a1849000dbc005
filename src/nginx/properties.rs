//! Properties: nginx variables by their bare name, and Envoy's attributes by their path.

use super::attributes::{self, Attribute, Kind, Source};
use super::encoding::{self, Pairs};
use super::request::Request;
use super::uri;
use crate::abi::host::{HeaderMap, HttpStream, PropertyError, is_header_value};

/// Appends the value of a property that needs no request. False if there is none.
pub fn process_property(path: &[u8], value: &mut Vec<u8>) -> bool {
    let Some((attribute, None)) = attributes::find(trim(path)) else {
        return false;
    };
    match attribute.source {
        Source::Constant(number) if attribute.path == "listener_direction" => {
            encoding::int(number, value);
            true
        }
        _ => false,
    }
}

/// Some guests end a path with NUL.
fn trim(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"\0").unwrap_or(path)
}

/// The name of the nginx variable that a path means, if it means one.
fn variable(path: &[u8]) -> Option<&[u8]> {
    let name = path.strip_prefix(b"ngx\0").unwrap_or(path);
    (!name.contains(&0)).then_some(name)
}

impl Request {
    pub(super) fn read_property(&self, path: &[u8], value: &mut Vec<u8>) -> bool {
        let path = trim(path);
        if let Some(name) = variable(path)
            && self.var(name, value)
        {
            return true;
        }
        match attributes::find(path) {
            Some((attribute, None)) => self.attribute(attribute, value).is_some(),
            Some((attribute, Some(header))) => match attribute.source {
                Source::Headers(map) => self.header(map, header, value),
                _ => false,
            },
            None => false,
        }
    }

    pub(super) fn write_property(&self, path: &[u8], value: &[u8]) -> Result<(), PropertyError> {
        let path = trim(path);
        if let Some(name) = variable(path) {
            match self.write_variable(name, value) {
                Err(PropertyError::Unknown) => {}
                known => return known,
            }
        }
        match attributes::find(path) {
            Some(_) => Err(PropertyError::ReadOnly),
            None => Err(PropertyError::Unknown),
        }
    }

    /// The configuration may put a variable into a header, and nginx puts `$args` into a request line: nothing in them may end a line.
    fn write_variable(&self, name: &[u8], value: &[u8]) -> Result<(), PropertyError> {
        if name.eq_ignore_ascii_case(b"args") {
            return self.raw.set_var(name, &uri::escape_args(value));
        }
        if is_header_value(value) {
            return self.raw.set_var(name, value);
        }
        match self.raw.var(name, |_| ()) {
            Some(()) => Err(PropertyError::ReadOnly),
            None => Err(PropertyError::Unknown),
        }
    }

    fn attribute(&self, attribute: &Attribute, out: &mut Vec<u8>) -> Option<()> {
        if !self.raw.is_live() {
            return None;
        }
        match attribute.source {
            Source::Variable(name) => {
                let text = self.variable_text(name)?;
                let text = last_of_list(attribute.kind, &text);
                match attribute.kind {
                    Kind::Int => encoding::int(number(text)?, out),
                    Kind::Duration => encoding::nanoseconds(encoding::seconds(text)?, out),
                    _ => out.extend_from_slice(text),
                }
            }
            Source::Header(name) => {
                return self
                    .header(HeaderMap::Request, name.as_bytes(), out)
                    .then_some(());
            }
            Source::Headers(map) => {
                let mut pairs = Pairs::default();
                self.headers(map, &mut |name, value| pairs.push(name, value));
                pairs.write(out);
            }
            Source::UrlPath => out.extend_from_slice(&self.target().0),
            Source::Query => out.extend_from_slice(&self.target().1),
            Source::RequestId => {
                if !self.header(HeaderMap::Request, b"x-request-id", out) {
                    out.extend_from_slice(&self.variable_text("request_id")?);
                }
            }
            Source::Protocol => {
                let text = self.variable_text("server_protocol")?;
                let of_two = text.strip_suffix(b".0").filter(|t| *t != b"HTTP/1");
                out.extend_from_slice(of_two.unwrap_or(&text));
            }
            Source::BodySize => {
                let length = self.variable_text("content_length");
                encoding::int(length.and_then(|l| number(&l)).unwrap_or(0), out);
            }
            Source::StartTime => {
                let start = encoding::seconds_f64(self.raw.start_time()?)?;
                encoding::nanoseconds(start, out);
            }
            Source::Status => encoding::int(i64::from(self.raw.status()?), out),
            Source::GrpcStatus => {
                let mut text = Vec::new();
                self.header(HeaderMap::Response, b"grpc-status", &mut text);
                encoding::int(number(&text)?, out);
            }
            Source::LocalDetails => {
                let details = self.details.borrow();
                out.extend_from_slice((!details.is_empty()).then_some(&details)?);
            }
            Source::Address(address, port) => {
                let address = self.variable_text(address)?;
                let port = self.variable_text(port);
                out.extend_from_slice(&join_address(&address, port.as_deref()));
            }
            Source::UpstreamAddress => {
                let all = self.variable_text("upstream_addr")?;
                out.extend_from_slice(last(&all));
            }
            Source::UpstreamPort => {
                let all = self.variable_text("upstream_addr")?;
                encoding::int(port_of(last(&all))?, out);
            }
            Source::ClientVerified => {
                let verified = self.raw.var(b"ssl_client_verify", |v| v == b"SUCCESS");
                encoding::boolean(verified == Some(true), out);
            }
            Source::Constant(number) => encoding::int(number, out),
        }
        Some(())
    }

    /// A variable's value if it is not empty.
    fn variable_text(&self, name: &str) -> Option<Vec<u8>> {
        self.raw
            .var(name.as_bytes(), <[u8]>::to_vec)
            .filter(|text| !text.is_empty())
    }

    /// The path and the query of `:path`.
    fn target(&self) -> (Vec<u8>, Vec<u8>) {
        let mut path = Vec::new();
        self.header(HeaderMap::Request, b":path", &mut path);
        match path.iter().position(|&b| b == b'?') {
            Some(at) => {
                let query = path.split_off(at)[1..].to_vec();
                (path, query)
            }
            None => (path, Vec::new()),
        }
    }
}

/// nginx lists times of several upstreams; those of anything else are single values.
fn last_of_list(kind: Kind, text: &[u8]) -> &[u8] {
    if kind == Kind::Duration {
        last(text)
    } else {
        text
    }
}

/// The last item of a list such as `10.0.0.1:80, unix:/s : 10.0.0.2:80`.
fn last(list: &[u8]) -> &[u8] {
    let after = |separator: &[u8]| {
        list.windows(separator.len())
            .rposition(|w| w == separator)
            .map_or(0, |at| at + separator.len())
    };
    &list[after(b", ").max(after(b" : "))..]
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn join_address(address: &[u8], port: Option<&[u8]>) -> Vec<u8> {
    let Some(port) = port else {
        return address.to_vec();
    };
    if address.contains(&b':') && !address.starts_with(b"unix:") {
        [b"[", address, b"]:", port].concat()
    } else if address.starts_with(b"unix:") {
        address.to_vec()
    } else {
        [address, b":", port].concat()
    }
}

fn port_of(address: &[u8]) -> Option<i64> {
    if address.starts_with(b"unix:") {
        return None;
    }
    let colon = address.iter().rposition(|&b| b == b':')?;
    number(&address[colon + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(last(b"10.0.0.1:80"), b"10.0.0.1:80");
        assert_eq!(last(b"10.0.0.1:80, [::1]:81"), b"[::1]:81");
        assert_eq!(last(b"a:1, unix:/s : b:2"), b"b:2");
        assert_eq!(last(b"0.1 : 0.2, -"), b"-");
    }

    #[test]
    fn addresses() {
        assert_eq!(join_address(b"1.2.3.4", Some(b"80")), b"1.2.3.4:80");
        assert_eq!(join_address(b"::1", Some(b"80")), b"[::1]:80");
        assert_eq!(join_address(b"unix:", Some(b"")), b"unix:");
        assert_eq!(join_address(b"1.2.3.4", None), b"1.2.3.4");
        assert_eq!(port_of(b"[::1]:81"), Some(81));
        assert_eq!(port_of(b"unix:/tmp/a:1"), None);
        assert_eq!(port_of(b"name"), None);
    }

    #[test]
    fn variables() {
        assert_eq!(variable(b"remote_addr"), Some(&b"remote_addr"[..]));
        assert_eq!(variable(b"ngx\0remote_addr"), Some(&b"remote_addr"[..]));
        assert_eq!(variable(b"request\0path"), None);
        assert_eq!(trim(b"request\0path\0"), b"request\0path");
    }

    #[test]
    fn outside_a_request() {
        let mut value = Vec::new();
        assert!(process_property(b"listener_direction\0", &mut value));
        assert_eq!(value, 1_i64.to_le_bytes());
        assert!(!process_property(b"request\0path", &mut value));
        assert!(!process_property(b"response\0flags", &mut value));
    }
}
