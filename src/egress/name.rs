use std::path::PathBuf;

/// Where an upstream is, as its name tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    pub scheme: Option<Scheme>,
    pub address: Address,
}

/// How to talk to an upstream, where its name says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
    /// HTTP/2 without TLS.
    H2c,
    /// HTTP/2 with TLS.
    H2,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host without the brackets of an IPv6 address, and the port, where the name has one.
    Host(String, Option<u16>),
    Unix(PathBuf),
}

/// The longest host name there can be.
const MAX_HOST: usize = 253;

impl Upstream {
    /// Reads `host`, `host:port`, `[v6]:port`, `unix:/path`, `scheme://host:port`, or a cluster's name as Istio makes
    /// them, `outbound|port|subset|host`.
    pub fn parse(name: &[u8]) -> Option<Self> {
        let name = str::from_utf8(name).ok()?;
        if name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return None;
        }
        if let Some(path) = name.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return path.starts_with('/').then(|| Self {
                scheme: None,
                address: Address::Unix(path.into()),
            });
        }
        if let Some((scheme, rest)) = name.split_once("://") {
            let scheme = scheme_of(scheme)?;
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            return Some(Self {
                scheme: Some(scheme),
                address: host_and_port(rest)?,
            });
        }
        let address = if name.contains('|') {
            cluster(name)?
        } else {
            host_and_port(name)?
        };
        Some(Self {
            scheme: None,
            address,
        })
    }

    /// What a request says it is for, unless it says so itself. A scheme's own port is left out.
    pub fn authority(&self, tls: bool) -> String {
        match &self.address {
            Address::Unix(_) => "localhost".to_owned(),
            Address::Host(host, port) => {
                let host = if host.contains(':') {
                    format!("[{host}]")
                } else {
                    host.clone()
                };
                match port {
                    Some(port) if *port != default_port(tls) => format!("{host}:{port}"),
                    _ => host,
                }
            }
        }
    }
}

pub fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

fn scheme_of(name: &str) -> Option<Scheme> {
    match name.to_ascii_lowercase().as_str() {
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        "h2c" | "grpc" => Some(Scheme::H2c),
        "grpcs" => Some(Scheme::H2),
        _ => None,
    }
}

fn cluster(name: &str) -> Option<Address> {
    let mut parts = name.split('|');
    let (direction, port, _subset, host) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !matches!(direction, "outbound" | "inbound") {
        return None;
    }
    match host_and_port(host)? {
        Address::Host(host, None) => Some(Address::Host(host, Some(port_of(port)?))),
        _ => None,
    }
}

fn host_and_port(text: &str) -> Option<Address> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port_of(port)?),
            None if rest.is_empty() => None,
            None => return None,
        };
        return Some(Address::Host(host.to_owned(), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port_of(port)?)),
        None => (text, None),
    };
    is_host(host).then(|| Address::Host(host.to_ascii_lowercase(), port))
}

fn is_host(host: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    host.len() <= MAX_HOST
        && !host.starts_with('.')
        && !host.contains("..")
        && !host.is_empty()
        && host.bytes().all(allowed)
}

fn port_of(text: &str) -> Option<u16> {
    if text.len() > 5 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::{Address, Scheme, Upstream};

    fn host(name: &str) -> Option<(Option<Scheme>, String, Option<u16>)> {
        match Upstream::parse(name.as_bytes())? {
            Upstream {
                scheme,
                address: Address::Host(host, port),
            } => Some((scheme, host, port)),
            Upstream { .. } => None,
        }
    }

    #[test]
    fn names_of_hosts() {
        let cases = [
            ("api", None, "api", None),
            ("API.example", None, "api.example", None),
            ("my_service:8080", None, "my_service", Some(8080)),
            ("10.0.0.1:65535", None, "10.0.0.1", Some(65535)),
            ("[::1]", None, "::1", None),
            ("[::1]:81", None, "::1", Some(81)),
            ("http://a", Some(Scheme::Http), "a", None),
            ("HTTPS://a:1/", Some(Scheme::Https), "a", Some(1)),
            ("h2c://a", Some(Scheme::H2c), "a", None),
            ("grpc://[::1]:1", Some(Scheme::H2c), "::1", Some(1)),
            ("grpcs://a", Some(Scheme::H2), "a", None),
            ("outbound|443||foo.dns", None, "foo.dns", Some(443)),
            ("inbound|80|v1|a.b.svc", None, "a.b.svc", Some(80)),
        ];
        for (name, scheme, expected, port) in cases {
            assert_eq!(
                host(name),
                Some((scheme, expected.to_owned(), port)),
                "{name}"
            );
        }
    }

    #[test]
    fn names_of_sockets() {
        for name in ["unix:/tmp/s", "unix:///tmp/s"] {
            let upstream = Upstream::parse(name.as_bytes()).unwrap();
            assert_eq!(upstream.address, Address::Unix("/tmp/s".into()));
            assert_eq!(upstream.authority(false), "localhost");
        }
    }

    #[test]
    fn what_is_no_name() {
        let cases = [
            "",
            " ",
            "a b",
            "a\n",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            ":80",
            "::1",
            "[::1",
            "[::1]x",
            "[a]:1",
            "unix:",
            "unix:a",
            "ftp://a",
            "http://",
            "http:///",
            "http://a/b",
            "http://a//",
            "http://u@a",
            "outbound|80|a",
            "outbound|0||a",
            "outbound|80||a:1",
            "outbound|80||a|b",
            "other|80||a",
            "a|b",
            "..",
            ".a",
            "\u{e9}",
            "a/b",
            "a\0",
        ];
        for name in cases {
            assert_eq!(Upstream::parse(name.as_bytes()), None, "{name:?}");
        }
        assert_eq!(Upstream::parse(b"\xff"), None);
        assert_eq!(Upstream::parse("a".repeat(254).as_bytes()), None);
    }

    #[test]
    fn authorities() {
        let authority = |name: &str, tls| Upstream::parse(name.as_bytes()).unwrap().authority(tls);
        assert_eq!(authority("a:8080", false), "a:8080");
        assert_eq!(authority("a:80", false), "a");
        assert_eq!(authority("a:80", true), "a:80");
        assert_eq!(authority("[::1]:443", true), "[::1]");
    }
}
