use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use super::connector::{Connection, Connector};
use super::failure::Failure;
use super::flights::Flights;
use super::http1::Http1;
use super::http2::{self, Http2};
use super::settings::Settings;
use super::target::{Target, Wire};

/// Connections to one upstream that calls share. Where all have as many calls as they take, calls queue.
const MAX_SHARED: usize = 16;

/// How long a connection may take to become usable after a response, such as for the rest of the request.
const SETTLE: Duration = Duration::from_secs(1);

/// The connections that are open.
pub struct Pool {
    connector: Connector,
    origins: Mutex<HashMap<Arc<Target>, Origin>>,
    dials: Arc<Flights<Arc<Target>, Result<(), Failure>>>,
    idle: Duration,
    max_idle: usize,
    reaping: AtomicBool,
}

#[derive(Default)]
struct Origin {
    /// The one used last comes last.
    idle: Vec<Idle>,
    shared: Vec<Http2>,
    /// It has chosen HTTP/1.1 when it last could choose.
    chose_http1: bool,
}

struct Idle {
    connection: Http1,
    since: Instant,
}

/// A connection for a call.
pub struct Lease {
    pub connection: Leased,
    /// Others have used it before: it may have died unnoticed.
    pub reused: bool,
}

pub enum Leased {
    Http1(Http1),
    Http2(http2::Lease),
}

enum Next {
    Use(Leased),
    Dial,
    /// Dial, unless somebody does, and share what comes of it.
    DialForAll,
}

impl Pool {
    pub fn new(settings: &Settings) -> Self {
        Self {
            connector: Connector::new(settings),
            origins: Mutex::default(),
            dials: Arc::default(),
            idle: settings.idle,
            max_idle: settings.max_idle,
            reaping: AtomicBool::new(false),
        }
    }

    /// With `fresh`, none that waits for its next call.
    pub async fn checkout(
        self: &Arc<Self>,
        target: &Arc<Target>,
        mut fresh: bool,
    ) -> Result<Lease, Failure> {
        let mut dialled = false;
        loop {
            match self.next(target, fresh, dialled) {
                Next::Use(connection) => {
                    return Ok(Lease {
                        connection,
                        reused: !dialled,
                    });
                }
                Next::Dial => {
                    let connection = match self.connector.dial(target).await? {
                        Connection::Http1(connection) => Leased::Http1(connection),
                        Connection::Http2(connection) => {
                            let lease = connection.lease();
                            self.add(target, Connection::Http2(connection));
                            Leased::Http2(lease)
                        }
                    };
                    return Ok(Lease {
                        connection,
                        reused: false,
                    });
                }
                Next::DialForAll => {
                    let (pool, wanted) = (Arc::clone(self), Arc::clone(target));
                    let dial = move || async move {
                        let connection = pool.connector.dial(&wanted).await?;
                        pool.add(&wanted, connection);
                        Ok(())
                    };
                    match self.dials.join(target, dial).await {
                        Some(dialled) => dialled?,
                        None => return Err(Failure::unavailable("no connection was made")),
                    }
                    (fresh, dialled) = (false, true);
                }
            }
        }
    }

    fn next(&self, target: &Arc<Target>, fresh: bool, dialled: bool) -> Next {
        let mut origins = self.origins.lock();
        let Some(origin) = origins.get_mut(target) else {
            return match target.wire {
                Wire::Http1 => Next::Dial,
                _ => Next::DialForAll,
            };
        };
        while let Some(idle) = origin.idle.pop_if(|_| !fresh) {
            if idle.connection.is_ready() {
                return Next::Use(Leased::Http1(idle.connection));
            }
        }
        origin.shared.retain(|connection| !connection.is_closed());
        let crowded = dialled || origin.shared.len() >= MAX_SHARED;
        let least = origin.shared.iter().min_by_key(|shared| shared.calls());
        match least {
            Some(shared) if crowded || !shared.is_full() => {
                Next::Use(Leased::Http2(shared.lease()))
            }
            _ if target.wire == Wire::Http1 || origin.chose_http1 => Next::Dial,
            _ => Next::DialForAll,
        }
    }

    /// Takes back a connection whose response has been read.
    pub async fn settle(self: &Arc<Self>, target: &Arc<Target>, mut connection: Http1) {
        if self.max_idle > 0 && timeout(SETTLE, connection.ready()).await == Ok(true) {
            self.add(target, Connection::Http1(connection));
        }
    }

    fn add(self: &Arc<Self>, target: &Arc<Target>, connection: Connection) {
        let mut origins = self.origins.lock();
        let origin = match origins.get_mut(target) {
            Some(origin) => origin,
            None => origins.entry(Arc::clone(target)).or_default(),
        };
        match connection {
            Connection::Http1(connection) => {
                origin.chose_http1 = true;
                // One that was made for all those who wait is kept in any case: one of them takes it.
                if origin.idle.len() >= self.max_idle.max(1) {
                    origin.idle.remove(0);
                }
                origin.idle.push(Idle {
                    connection,
                    since: Instant::now(),
                });
            }
            Connection::Http2(connection) => {
                origin.chose_http1 = false;
                origin.shared.push(connection);
            }
        }
        drop(origins);
        if !self.reaping.swap(true, Ordering::Relaxed) {
            tokio::spawn(Arc::clone(self).reap());
        }
    }

    /// Closes what has not been used for long, until nothing is left.
    async fn reap(self: Arc<Self>) {
        let pause = (self.idle / 4).clamp(Duration::from_millis(10), Duration::from_secs(5));
        loop {
            sleep(pause).await;
            let mut origins = self.origins.lock();
            origins.retain(|_, origin| {
                origin
                    .idle
                    .retain(|idle| idle.connection.is_ready() && idle.since.elapsed() < self.idle);
                origin.shared.retain(|shared| {
                    !shared.is_closed() && shared.idle().is_none_or(|idle| idle < self.idle)
                });
                !origin.idle.is_empty() || !origin.shared.is_empty()
            });
            if origins.is_empty() {
                self.reaping.store(false, Ordering::Relaxed);
                return;
            }
        }
    }
}
