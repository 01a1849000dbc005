use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::http::uri::Authority;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::calls::Calls;
use super::failure::Failure;
use super::outgoing::Messages;
use super::pool::Pool;
use super::reporter::Reporter;
use super::request::Request;
use super::settings::{Http2, Settings};
use super::target::{Destination, Target, Wishes};
use super::{grpc, http};

/// Threads for what the system only does while one waits: looking up names, reading certificates.
const BLOCKING_THREADS: usize = 4;
const BLOCKING_KEEP_ALIVE: Duration = Duration::from_secs(2);

/// As good as never, and still a point in time.
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A call on its way to the thread.
pub struct Job {
    pub reporter: Reporter,
    pub destination: Destination,
    pub work: Work,
}

pub enum Work {
    Http {
        request: Request,
        deadline: Instant,
    },
    Unary {
        request: Request,
        message: Bytes,
        deadline: Instant,
    },
    Stream {
        request: Request,
        messages: Messages,
    },
}

/// What all calls use.
pub struct Client {
    pub pool: Arc<Pool>,
    pub limits: Limits,
    pub http2: Http2,
}

impl Client {
    /// Where a request goes, and the authority to send with it.
    pub async fn resolve(
        &self,
        destination: Destination,
        request: &Request,
        grpc: bool,
    ) -> Result<(Arc<Target>, Authority), Failure> {
        let wishes = Wishes {
            authority: request.authority.as_ref(),
            tls: request.tls,
            grpc,
            http2: self.http2,
        };
        let resolved = destination.resolve(wishes).await?;
        Ok((Arc::new(resolved.target), resolved.authority))
    }
}

/// What a response may have.
#[derive(Clone, Copy)]
pub struct Limits {
    pub max_headers: usize,
    pub max_body: usize,
}

pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(BLOCKING_KEEP_ALIVE)
        .build()
}

pub fn deadline(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(FAR)
}

/// What the thread does until nobody can hand it a call any more.
pub fn run(
    runtime: Runtime,
    settings: Settings,
    calls: Arc<Calls>,
    mut jobs: UnboundedReceiver<Job>,
) {
    let client = Arc::new(Client {
        pool: Arc::new(Pool::new(&settings)),
        limits: Limits {
            max_headers: settings.max_headers,
            max_body: settings.max_body,
        },
        http2: settings.http2,
    });
    runtime.block_on(async {
        while let Some(job) = jobs.recv().await {
            let id = job.reporter.id();
            let task = tokio::spawn(job.run(Arc::clone(&client)));
            calls.attach(id, task.abort_handle());
        }
    });
    // A name that is being looked up is not waited for.
    runtime.shutdown_background();
}

impl Job {
    async fn run(self, client: Arc<Client>) {
        let Self {
            reporter,
            destination,
            work,
        } = self;
        match work {
            Work::Http { request, deadline } => {
                http::call(&client, reporter, destination, request, deadline).await;
            }
            Work::Unary {
                request,
                message,
                deadline,
            } => grpc::unary(&client, reporter, destination, request, message, deadline).await,
            Work::Stream { request, messages } => {
                grpc::stream(&client, reporter, destination, request, messages).await;
            }
        }
    }
}
