use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use super::failure::Failure;
use super::settings::Settings;
use super::target::Wire;

/// Makes TLS sessions. Certificates are read when the first is made.
pub struct Tls {
    verify: bool,
    trusted: Option<PathBuf>,
    connectors: OnceCell<Connectors>,
}

/// They differ in the protocols they offer.
struct Connectors {
    http1: TlsConnector,
    http2: TlsConnector,
    auto: TlsConnector,
}

const HTTP1: &[u8] = b"http/1.1";
pub const HTTP2: &[u8] = b"h2";

impl Tls {
    pub fn new(settings: &Settings) -> Self {
        Self {
            verify: settings.verify,
            trusted: settings.trusted.clone(),
            connectors: OnceCell::new(),
        }
    }

    pub async fn connector(&self, wire: Wire) -> Result<TlsConnector, Failure> {
        let connectors = self
            .connectors
            .get_or_try_init(|| async {
                let (verify, trusted) = (self.verify, self.trusted.clone());
                // The system's certificates are some hundreds of files.
                tokio::task::spawn_blocking(move || Connectors::new(verify, trusted))
                    .await
                    .map_err(|error| Failure::unavailable(error.to_string()))?
                    .map_err(Failure::unavailable)
            })
            .await?;
        Ok(match wire {
            Wire::Http1 => connectors.http1.clone(),
            Wire::Http2 | Wire::Grpc => connectors.http2.clone(),
            Wire::Auto => connectors.auto.clone(),
        })
    }
}

impl Connectors {
    fn new(verify: bool, trusted: Option<PathBuf>) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS: {error}"))?;
        let config = if verify {
            builder
                .with_root_certificates(roots(trusted)?)
                .with_no_client_auth()
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unverified(provider)))
                .with_no_client_auth()
        };
        let offering = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            TlsConnector::from(Arc::new(config))
        };
        Ok(Self {
            http1: offering(&[HTTP1]),
            http2: offering(&[HTTP2]),
            auto: offering(&[HTTP2, HTTP1]),
        })
    }
}

fn roots(trusted: Option<PathBuf>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(path) = trusted else {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let why = found.errors.first().map(ToString::to_string);
            return Err(match why {
                Some(why) => format!("no trusted certificates on this system: {why}"),
                None => "no trusted certificates on this system".to_owned(),
            });
        }
        return Ok(roots);
    };
    let unreadable = |why: String| format!("no trusted certificates in {}: {why}", path.display());
    let certificates =
        CertificateDer::pem_file_iter(&path).map_err(|error| unreadable(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| unreadable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unreadable("it has none".to_owned()));
    }
    Ok(roots)
}

/// Takes any certificate. Signatures are still checked: a peer has the key of what it shows.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
