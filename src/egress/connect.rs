use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::failure::Failure;
use super::flights::Flights;
use super::target::Endpoint;
use super::transport::Transport;

/// How long an address may take before the next one is tried as well.
const STAGGER: Duration = Duration::from_millis(250);

/// What a host's name stands for; `None` where it stands for nothing.
type Addresses = Option<Arc<[IpAddr]>>;

/// Looks up names and connects.
#[derive(Default)]
pub struct Connect {
    lookups: Arc<Flights<String, Addresses>>,
}

impl Connect {
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Transport, Failure> {
        match endpoint {
            Endpoint::Unix(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Transport::Unix(stream)),
                Err(error) => Err(Failure::io(&error)),
            },
            Endpoint::Host(host, port) => {
                let stream = match host.parse() {
                    Ok(address) => TcpStream::connect(SocketAddr::new(address, *port)).await,
                    Err(_) => first_to_connect(&self.look_up(host).await?, *port).await,
                };
                let stream = stream.map_err(|error| Failure::io(&error))?;
                // Without it a call is only slower.
                let _ = stream.set_nodelay(true);
                Ok(Transport::Tcp(stream))
            }
        }
    }

    async fn look_up(&self, host: &String) -> Result<Arc<[IpAddr]>, Failure> {
        let addresses = self.lookups.join(host, || {
            let host = host.clone();
            async move {
                let found = lookup_host((host, 0)).await.ok()?;
                Some(alternated(found.map(|address| address.ip())))
            }
        });
        match addresses.await.flatten() {
            Some(addresses) if !addresses.is_empty() => Ok(addresses),
            _ => Err(Failure::unavailable(format!("host not found: {host}"))),
        }
    }
}

/// Keeps the resolver's order, but IPv6 and IPv4 take turns: either may not work here at all.
fn alternated(addresses: impl Iterator<Item = IpAddr>) -> Arc<[IpAddr]> {
    let (mut turn, mut other) = (VecDeque::new(), VecDeque::new());
    for address in addresses {
        let first = turn
            .front()
            .is_none_or(|first: &IpAddr| first.is_ipv4() == address.is_ipv4());
        let family = if first { &mut turn } else { &mut other };
        if !family.contains(&address) {
            family.push_back(address);
        }
    }
    let mut order = Vec::with_capacity(turn.len() + other.len());
    while let Some(address) = turn.pop_front() {
        order.push(address);
        if !other.is_empty() {
            std::mem::swap(&mut turn, &mut other);
        }
    }
    order.into()
}

/// Tries one address after the other, without waiting long for any.
async fn first_to_connect(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    if let [address] = addresses {
        return TcpStream::connect(SocketAddr::new(*address, port)).await;
    }
    let mut attempts = JoinSet::new();
    let mut rest = addresses.iter();
    let mut failure = io::Error::from(io::ErrorKind::HostUnreachable);
    loop {
        let next = rest.next();
        if let Some(address) = next {
            attempts.spawn(TcpStream::connect(SocketAddr::new(*address, port)));
        }
        let attempt = if next.is_some() {
            match timeout(STAGGER, attempts.join_next()).await {
                Ok(attempt) => attempt,
                Err(_) => continue,
            }
        } else {
            attempts.join_next().await
        };
        match attempt {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => failure = error,
            Some(Err(error)) => failure = error.into(),
            None => return Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::alternated;

    #[test]
    fn families_take_turns() {
        let order = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|text| text.parse().unwrap());
            let order = alternated(addresses);
            order.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            order(&["::1", "::2", "::1", "1.1.1.1", "::3", "1.1.1.2"]),
            ["::1", "1.1.1.1", "::2", "1.1.1.2", "::3"]
        );
        assert_eq!(order(&["1.1.1.1", "1.1.1.2"]), ["1.1.1.1", "1.1.1.2"]);
        assert_eq!(order(&[]), [""; 0]);
    }
}
