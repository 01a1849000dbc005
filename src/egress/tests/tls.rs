use std::path::PathBuf;
use std::sync::Arc;

use hyper::Response;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::Worker;
use super::server::{Server, http1, http2, ok, respond};
use crate::egress::{Http2, Settings};

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// A file that says to trust it.
    bundle: PathBuf,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let bundle = format!("egress-{}-{name}.pem", std::process::id());
        let bundle = std::env::temp_dir().join(bundle);
        std::fs::write(&bundle, issuer.pem()).unwrap();
        Self { issuer, bundle }
    }

    fn acceptor(&self, names: &[&str], protocols: &[&str]) -> TlsAcceptor {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        self.acceptor_with(CertificateParams::new(names).unwrap(), protocols)
    }

    fn acceptor_with(&self, params: CertificateParams, protocols: &[&str]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate: Certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        TlsAcceptor::from(Arc::new(config))
    }

    fn worker(&self) -> Worker {
        Worker::new(self.settings())
    }

    fn settings(&self) -> Settings {
        Settings {
            trusted: Some(self.bundle.clone()),
            ..Settings::default()
        }
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.bundle);
    }
}

fn http1_server(acceptor: TlsAcceptor) -> Server {
    Server::tls(acceptor, http1(|request, _| ok(request)))
}

fn http2_server(acceptor: TlsAcceptor) -> Server {
    let builder = h2::server::Builder::new();
    Server::tls(
        acceptor,
        http2(builder, |_, mut answer| async move {
            respond(&mut answer, Response::new(()), b"h2", &[]);
        }),
    )
}

#[test]
fn certificates_are_checked() {
    let (known, unknown) = (Authority::new("known"), Authority::new("unknown"));
    let server = http1_server(known.acceptor(&["localhost"], &[]));
    let name = format!("https://localhost:{}", server.port);
    let worker = known.worker();
    assert!(worker.get(&name).text().starts_with("GET / HTTP/1.1\r\n"));
    assert_eq!(worker.get(&name).status, "200");
    assert_eq!(server.connections(), 1);

    let reason = unknown.worker().failure_of(&name);
    assert!(
        reason.starts_with("TLS: invalid peer certificate: "),
        "{reason}"
    );
    let by_address = format!("https://127.0.0.1:{}", server.port);
    let reason = worker.failure_of(&by_address);
    assert!(reason.contains("not valid for name"), "{reason}");
    // Who is to answer at an address is what the request says.
    let call = worker.http(&by_address, &[(":authority", "localhost")], b"");
    assert_eq!(worker.answer(call).status, "200");

    let mut expired = CertificateParams::new(["localhost".to_owned()]).unwrap();
    expired.not_after = date_time_ymd(2001, 1, 1);
    let server = http1_server(known.acceptor_with(expired, &[]));
    let reason = worker.failure_of(&format!("https://localhost:{}", server.port));
    assert!(reason.contains("expired"), "{reason}");
}

#[test]
fn certificates_are_not_checked() {
    let authority = Authority::new("ignored");
    let server = http1_server(authority.acceptor(&["other"], &[]));
    let worker = Worker::new(Settings {
        verify: false,
        ..Settings::default()
    });
    let call = worker.http(&server.name(), &[(":scheme", "https")], b"");
    assert_eq!(worker.answer(call).status, "200");
}

#[test]
fn the_systems_issuers() {
    let authority = Authority::new("private");
    let server = http1_server(authority.acceptor(&["localhost"], &[]));
    let worker = Worker::new(Settings::default());
    let reason = worker.failure_of(&format!("https://localhost:{}", server.port));
    assert!(
        reason.starts_with("TLS: ") || reason.starts_with("no trusted certificates"),
        "{reason}"
    );
}

#[test]
fn bundles_that_cannot_be_read() {
    let authority = Authority::new("bundle");
    let server = http1_server(authority.acceptor(&["localhost"], &[]));
    let name = format!("https://localhost:{}", server.port);
    let missing = Settings {
        trusted: Some("/nowhere/bundle.pem".into()),
        ..Settings::default()
    };
    let reason = Worker::new(missing).failure_of(&name);
    let expected = "no trusted certificates in /nowhere/bundle.pem: ";
    assert!(reason.starts_with(expected), "{reason}");
    std::fs::write(&authority.bundle, "not a certificate").unwrap();
    let reason = authority.worker().failure_of(&name);
    assert!(reason.ends_with(".pem: it has none"), "{reason}");
}

#[test]
fn protocols_are_chosen_by_the_upstream() {
    let authority = Authority::new("alpn");
    let both = ["h2", "http/1.1"];
    let new = http2_server(authority.acceptor(&["localhost"], &both));
    let old = http1_server(authority.acceptor(&["localhost"], &["http/1.1"]));
    let worker = authority.worker();
    // First calls wait for one of them to find out.
    let calls = |server: &Server| {
        let name = format!("https://localhost:{}", server.port);
        let calls = [(); 20].map(|()| worker.http(&name, &[], b""));
        calls.map(|call| worker.answer(call).body)
    };
    assert!(calls(&new).iter().all(|body| body == b"h2"));
    assert_eq!(new.connections(), 1);
    assert!(
        calls(&old)
            .iter()
            .all(|body| body.starts_with(b"GET / HTTP/1.1"))
    );
    // One that was kept may end as it is used again.
    assert!(old.connections() < 40);

    let off = Worker::new(Settings {
        http2: Http2::Off,
        ..authority.settings()
    });
    let both = http1_server(authority.acceptor(&["localhost"], &both));
    let answer = off.get(&format!("https://localhost:{}", both.port));
    assert!(answer.text().starts_with("GET / HTTP/1.1"));
    let on = Worker::new(Settings {
        http2: Http2::On,
        ..authority.settings()
    });
    let silent = http1_server(authority.acceptor(&["localhost"], &[]));
    let answer = on.get(&format!("https://localhost:{}", silent.port));
    assert!(answer.text().starts_with("GET / HTTP/1.1"));
}

#[test]
fn what_is_no_tls() {
    let server = Server::tcp(|mut io, _| async move {
        use tokio::io::AsyncWriteExt;
        let _ = io.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = io.shutdown().await;
    });
    let authority = Authority::new("none");
    let reason = authority
        .worker()
        .failure_of(&format!("https://{}", server.name()));
    assert!(reason.starts_with("TLS: "), "{reason}");
    let closed = Server::tcp(|mut io, _| async move {
        let _ = tokio::io::AsyncReadExt::read(&mut io, &mut [0; 4096]).await;
    });
    let reason = authority
        .worker()
        .failure_of(&format!("https://{}", closed.name()));
    assert_eq!(reason, "TLS: connection closed during the handshake");
}

#[test]
fn grpc_over_tls() {
    let authority = Authority::new("grpc");
    for protocols in [&["h2"][..], &[]] {
        let acceptor = authority.acceptor(&["localhost"], protocols);
        let builder = h2::server::Builder::new();
        let server = Server::tls(
            acceptor,
            http2(builder, |request, answer| async move {
                assert_eq!(request.uri().scheme_str(), Some("https"));
                super::grpc::echo(request, answer).await;
            }),
        );
        let worker = authority.worker();
        let name = format!("grpcs://localhost:{}", server.port);
        let call = worker.grpc(&name, Some(b"hello"), None);
        assert_eq!(worker.message(call), b"hello");
    }
}
