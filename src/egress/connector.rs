use std::time::Duration;

use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;

use super::connect::Connect;
use super::failure::Failure;
use super::http1::Http1;
use super::http2::Http2;
use super::settings::Settings;
use super::target::{Target, Wire};
use super::tls::{self, Tls};
use super::transport::Transport;

/// A connection that a request can be sent on.
pub enum Connection {
    Http1(Http1),
    Http2(Http2),
}

/// Makes connections.
pub struct Connector {
    connect: Connect,
    tls: Tls,
    timeout: Duration,
    max_headers: usize,
}

impl Connector {
    pub fn new(settings: &Settings) -> Self {
        Self {
            connect: Connect::default(),
            tls: Tls::new(settings),
            timeout: settings.connect_timeout,
            max_headers: settings.max_headers,
        }
    }

    pub async fn dial(&self, target: &Target) -> Result<Connection, Failure> {
        match timeout(self.timeout, self.open(target)).await {
            Ok(opened) => opened,
            Err(_) => Err(Failure::unavailable("timed out while connecting")),
        }
    }

    async fn open(&self, target: &Target) -> Result<Connection, Failure> {
        let transport = self.connect.connect(&target.address).await?;
        let (transport, http2) = match &target.tls {
            None => (transport, matches!(target.wire, Wire::Http2 | Wire::Grpc)),
            Some(name) => self.secure(transport, name, target.wire).await?,
        };
        if http2 {
            let connection = Http2::open(transport, self.max_headers).await?;
            return Ok(Connection::Http2(connection));
        }
        let connection = Http1::open(transport, self.max_headers).await?;
        Ok(Connection::Http1(connection))
    }

    /// Tells as well whether HTTP/2 is to be spoken.
    async fn secure(
        &self,
        transport: Transport,
        name: &str,
        wire: Wire,
    ) -> Result<(Transport, bool), Failure> {
        let server_name = ServerName::try_from(name.to_owned())
            .map_err(|_| Failure::unavailable(format!("TLS: no certificate can be for {name}")))?;
        let connector = self.tls.connector(wire).await?;
        let stream = connector
            .connect(server_name, transport)
            .await
            .map_err(|error| Failure::handshake(&error))?;
        let http2 = match stream.get_ref().1.alpn_protocol() {
            Some(chosen) => chosen == tls::HTTP2,
            None => wire == Wire::Grpc,
        };
        Ok((Transport::Tls(Box::new(stream)), http2))
    }
}
