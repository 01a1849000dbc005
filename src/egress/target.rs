use std::net::IpAddr;

use hyper::http::uri::Authority;
use tokio::sync::oneshot;

use super::calls::Answer;
use super::failure::Failure;
use super::name::{Address, Scheme, Upstream, default_port};
use super::settings::Http2;

/// Where a call is to go, as far as that is known.
pub struct Destination {
    /// What the call's own name says, if anything.
    pub own: Option<Upstream>,
    pub name: String,
    /// Tells the worker's answer, where it was asked.
    pub answered: Option<oneshot::Receiver<Answer>>,
}

/// What a request says about where it goes, besides the upstream.
pub struct Wishes<'a> {
    pub authority: Option<&'a Authority>,
    /// By `:scheme`, or credentials.
    pub tls: Option<bool>,
    pub grpc: bool,
    pub http2: Http2,
}

/// What connections are told apart by: one can be used for all calls with an equal target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    pub address: Endpoint,
    /// The name that the certificate is to have.
    pub tls: Option<String>,
    pub wire: Wire,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Host(String, u16),
    Unix(std::path::PathBuf),
}

/// The protocol spoken over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    Http1,
    /// With TLS, HTTP/1.1 if the upstream chooses nothing.
    Http2,
    /// HTTP/2, whatever the upstream chooses.
    Grpc,
    /// With TLS, what the upstream chooses.
    Auto,
}

/// A target, and the authority to send where the request has none.
pub struct Resolved {
    pub target: Target,
    pub authority: Authority,
}

pub fn unknown(name: &str) -> String {
    format!("the upstream's name is not known: {name}")
}

impl Destination {
    pub async fn resolve(self, wishes: Wishes<'_>) -> Result<Resolved, Failure> {
        let Some(answered) = self.answered else {
            return resolved(self.own.as_ref(), None, &self.name, &wishes);
        };
        let answer = match answered.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => return Err(Failure::unavailable(reason)),
            Err(_) => return Err(Failure::unavailable(unknown(&self.name))),
        };
        resolved(self.own.as_ref(), answer.as_ref(), &self.name, &wishes)
    }
}

fn resolved(
    own: Option<&Upstream>,
    answer: Option<&Upstream>,
    name: &str,
    wishes: &Wishes<'_>,
) -> Result<Resolved, Failure> {
    let Some(upstream) = answer.or(own) else {
        return Err(Failure::unavailable(unknown(name)));
    };
    // An answer that is no more than an address leaves it to the call how to speak to it.
    let scheme = upstream.scheme.or(own.and_then(|own| own.scheme));
    let port_of_tls = [Some(upstream), own].into_iter().flatten().any(|upstream| {
        matches!(upstream.address, Address::Host(_, Some(port)) if port == default_port(true))
    });
    let tls = match (scheme, wishes.tls) {
        (Some(scheme), _) => matches!(scheme, Scheme::Https | Scheme::H2),
        (None, Some(tls)) => tls,
        (None, None) => port_of_tls,
    };
    let authority = match wishes.authority {
        Some(authority) => authority.clone(),
        None => Authority::try_from(own.unwrap_or(upstream).authority(tls))
            .map_err(|_| Failure::unavailable(unknown(name)))?,
    };
    let target = Target {
        address: match &upstream.address {
            Address::Host(host, port) => {
                Endpoint::Host(host.clone(), port.unwrap_or(default_port(tls)))
            }
            Address::Unix(path) => Endpoint::Unix(path.clone()),
        },
        tls: tls.then(|| certificate_name(&upstream.address, &authority)),
        wire: wire(scheme, tls, wishes),
    };
    Ok(Resolved { target, authority })
}

fn wire(scheme: Option<Scheme>, tls: bool, wishes: &Wishes<'_>) -> Wire {
    match (scheme, wishes.http2) {
        _ if wishes.grpc => Wire::Grpc,
        (Some(Scheme::H2c | Scheme::H2), _) | (_, Http2::On) => Wire::Http2,
        (_, Http2::Auto) if tls => Wire::Auto,
        (_, Http2::Auto | Http2::Off) => Wire::Http1,
    }
}

/// The upstream's host. An address says less about who is to answer than the name that the request is for.
fn certificate_name(address: &Address, authority: &Authority) -> String {
    let asked = authority.host();
    let asked_name = !asked.starts_with('[') && asked.parse::<IpAddr>().is_err();
    let name = match address {
        Address::Host(host, _) if host.parse::<IpAddr>().is_err() || !asked_name => host,
        _ => asked.trim_start_matches('[').trim_end_matches(']'),
    };
    name.strip_suffix('.').unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str, authority: Option<&str>, tls: Option<bool>, grpc: bool) -> Target {
        let upstream = Upstream::parse(name.as_bytes());
        let authority = authority.map(|text| text.parse().unwrap());
        let wishes = Wishes {
            authority: authority.as_ref(),
            tls,
            grpc,
            http2: Http2::Auto,
        };
        resolved(upstream.as_ref(), None, name, &wishes)
            .unwrap()
            .target
    }

    #[test]
    fn tls_and_port() {
        let port = |name, tls| match target(name, None, tls, false) {
            Target {
                address: Endpoint::Host(_, port),
                tls,
                ..
            } => (port, tls.is_some()),
            Target { .. } => unreachable!("no host"),
        };
        assert_eq!(port("a", None), (80, false));
        assert_eq!(port("a", Some(true)), (443, true));
        assert_eq!(port("a:443", None), (443, true));
        assert_eq!(port("a:443", Some(false)), (443, false));
        assert_eq!(port("http://a:443", Some(true)), (443, false));
        assert_eq!(port("https://a", Some(false)), (443, true));
        assert_eq!(port("outbound|443||a", None), (443, true));
    }

    #[test]
    fn protocols() {
        let wire = |name, grpc| target(name, None, None, grpc).wire;
        assert_eq!(wire("a", false), Wire::Http1);
        assert_eq!(wire("https://a", false), Wire::Auto);
        assert_eq!(wire("h2c://a", false), Wire::Http2);
        assert_eq!(wire("grpcs://a", false), Wire::Http2);
        assert_eq!(wire("a", true), Wire::Grpc);
    }

    #[test]
    fn names_of_certificates() {
        let name = |upstream, authority| target(upstream, authority, Some(true), false).tls;
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(name("a.", Some("b")), some("a"));
        assert_eq!(name("10.0.0.1", Some("b:1")), some("b"));
        assert_eq!(name("10.0.0.1", None), some("10.0.0.1"));
        assert_eq!(name("10.0.0.1", Some("[::2]")), some("10.0.0.1"));
        assert_eq!(name("[::1]", None), some("::1"));
        assert_eq!(name("unix:/s", Some("b")), some("b"));
        assert_eq!(name("unix:/s", Some("[::2]:1")), some("::2"));
    }

    /// What a call to `own` resolves to where the worker answers with `answer`.
    fn answered(own: &str, answer: &str) -> Resolved {
        let [own, answer] = [own, answer].map(|name| Upstream::parse(name.as_bytes()));
        let wishes = Wishes {
            authority: None,
            tls: None,
            grpc: false,
            http2: Http2::Auto,
        };
        resolved(own.as_ref(), answer.as_ref(), "", &wishes).unwrap()
    }

    #[test]
    fn an_answer_changes_the_scheme_only_by_naming_one() {
        let tls = |own, answer| answered(own, answer).target.tls;
        let name = |name: &str| Some(name.to_owned());
        assert_eq!(tls("https://a", "10.0.0.1:99"), name("a"));
        assert_eq!(tls("a:443", "10.0.0.1:99"), name("a"));
        assert_eq!(tls("a:80", "10.0.0.1:443"), name("a"));
        assert_eq!(tls("https://a", "http://10.0.0.1:443"), None);
        assert_eq!(tls("a", "https://10.0.0.1"), name("a"));
        assert_eq!(tls("a", "10.0.0.1:99"), None);
    }

    #[test]
    fn the_authority_is_the_callers_name() {
        let resolved = answered("service:8080", "10.0.0.1:99");
        assert_eq!(resolved.authority, "service:8080");
        assert_eq!(
            resolved.target.address,
            Endpoint::Host("10.0.0.1".into(), 99)
        );
    }
}
