//! Sends the HTTP and gRPC calls that plugins make.
//!
//! One thread for each nginx worker does the work. The worker hands calls over and takes what has become of them; none
//! of the methods of [`Egress`] waits for the network. A byte on a socket tells the worker that there is something to
//! take.
//!
//! Only `abi::host` may be used here. Start reading at `thread.rs`; `calls.rs` is what worker and thread share.

#![forbid(unsafe_code)]

mod calls;
mod connect;
mod connector;
mod envoy;
mod failure;
mod fields;
mod flights;
mod framing;
mod grpc;
mod grpc_request;
mod grpc_response;
mod http;
mod http1;
mod http2;
mod name;
mod outgoing;
mod pool;
mod reporter;
mod request;
mod settings;
mod target;
mod thread;
mod tls;
mod transport;

#[cfg(test)]
mod tests;

/// What `fuzz/` reaches: what needs no thread.
#[cfg(fuzzing)]
pub mod fuzz {
    pub use super::envoy::{GrpcService, is_message};
    pub use super::framing::{Frames, frame};
    pub use super::name::{Address, Upstream};
    pub use super::request::prepare;
    pub use super::target::{Destination, Wishes};
}

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::abi::host::{CallError, CallEvent, CallId, GrpcCall, HttpCall};
use calls::{Asked, Calls};
use name::Upstream;
use outgoing::Outgoing;
use reporter::Reporter;
use target::Destination;
use thread::{Job, Work};

pub use settings::{Http2, Settings};

/// The calls of one worker process.
pub struct Egress {
    settings: Settings,
    calls: Arc<Calls>,
    jobs: UnboundedSender<Job>,
    /// The thread's end, until the thread takes it.
    pending: Arc<Mutex<Option<UnboundedReceiver<Job>>>>,
}

impl Egress {
    /// Calls can be made at once; they wait for [`Egress::start`].
    pub fn new(settings: Settings) -> Self {
        let (jobs, pending) = unbounded_channel();
        Self {
            calls: Arc::new(Calls::new(settings.max_calls)),
            settings,
            jobs,
            pending: Arc::new(Mutex::new(Some(pending))),
        }
    }

    /// Makes the thread, once. `spawn` is given what the thread is to do, which lasts until the `Egress` is dropped.
    pub fn start(
        &self,
        spawn: impl FnOnce(Box<dyn FnOnce() + Send>) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.is_started() {
            return Ok(());
        }
        let runtime = thread::runtime()?;
        let pending = Arc::clone(&self.pending);
        let calls = Arc::clone(&self.calls);
        let settings = self.settings.clone();
        spawn(Box::new(move || {
            let jobs = pending.lock().take();
            if let Some(jobs) = jobs {
                thread::run(runtime, settings, calls, jobs);
            }
        }))?;
        self.calls.set_started();
        Ok(())
    }

    pub fn is_started(&self) -> bool {
        self.calls.is_started()
    }

    /// Calls that are not over, or whose last event was not taken yet.
    pub fn outstanding(&self) -> usize {
        self.calls.outstanding()
    }

    /// Sends a request.
    pub fn http_call(&self, id: CallId, call: &HttpCall<'_>) -> Result<(), CallError> {
        let held = size_of_http(call)?;
        let request = request::prepare(call)?;
        let own = Upstream::parse(call.upstream);
        let own_name = String::from_utf8_lossy(call.upstream).into_owned();
        let (destination, asked) = self.destination(own, own_name)?;
        let timeout = call.timeout.unwrap_or(self.settings.timeout);
        self.calls.add(id, held, None, asked)?;
        self.hand_over(
            id,
            destination,
            Work::Http {
                request,
                deadline: thread::deadline(timeout),
            },
        );
        Ok(())
    }

    /// Whether [`Egress::http_call`] would take a call, for a process that sends none.
    pub fn check_http(&self, call: &HttpCall<'_>) -> Result<(), CallError> {
        size_of_http(call)?;
        request::prepare(call)?;
        self.destination(Upstream::parse(call.upstream), String::new())
            .map(|_| ())
    }

    /// Whether [`Egress::grpc_call`] would take a call, for a process that sends none.
    pub fn check_grpc(&self, call: &GrpcCall<'_>) -> Result<(), CallError> {
        size_of_grpc(call)?;
        let prepared = grpc_request::prepare(call, self.settings.timeout)?;
        self.destination(prepared.upstream, prepared.name)
            .map(|_| ())
    }

    /// Begins a gRPC call, or opens a stream where there is no message.
    pub fn grpc_call(&self, id: CallId, call: &GrpcCall<'_>) -> Result<(), CallError> {
        let held = size_of_grpc(call)?;
        let prepared = grpc_request::prepare(call, self.settings.timeout)?;
        let (destination, asked) = self.destination(prepared.upstream, prepared.name)?;
        let (work, outgoing) = match call.message {
            Some(message) => (
                Work::Unary {
                    request: prepared.request,
                    message: framing::frame(message),
                    deadline: thread::deadline(prepared.timeout),
                },
                None,
            ),
            None => {
                let (outgoing, messages) = Outgoing::new();
                (
                    Work::Stream {
                        request: prepared.request,
                        messages,
                    },
                    Some(outgoing),
                )
            }
        };
        self.calls.add(id, held, outgoing, asked)?;
        self.hand_over(id, destination, work);
        Ok(())
    }

    /// Sends a message on a stream. After one with `end` there can be no other.
    pub fn grpc_send(&self, id: CallId, message: &[u8], end: bool) -> Result<(), CallError> {
        self.calls.send(id, framing::frame(message), end)
    }

    /// Says that no more messages will be sent on a stream.
    pub fn grpc_close(&self, id: CallId) {
        self.calls.half_close(id);
    }

    /// Gives a call up. No event of it is given any more, not even one that is there already.
    pub fn cancel(&self, id: CallId) {
        self.calls.cancel(id);
    }

    /// The socket that a byte is written to when there is something to take: events, or names without addresses. There
    /// is no other byte until [`Egress::take_events`].
    pub fn set_wakeup(&self, wakeup: Option<UnixStream>) {
        self.calls.set_wakeup(wakeup);
    }

    /// Appends what has become of calls. What one call was told comes in order.
    pub fn take_events(&self, into: &mut impl Extend<(CallId, CallEvent)>) {
        self.calls.take_events(into);
    }

    /// Whether calls wait for [`Egress::resolve`] to say where they go.
    pub fn ask_for_names(&self, ask: bool) {
        self.calls.ask_for_names(ask);
    }

    /// The next call that waits, and its upstream's name.
    pub fn take_unresolved(&self) -> Option<(CallId, Vec<u8>)> {
        self.calls.take_unresolved()
    }

    /// Says where a call goes: to the upstream of that name, to the one that the call itself names, or nowhere, and why.
    pub fn resolve(&self, id: CallId, address: Result<Option<&[u8]>, &str>) {
        let answer = match address {
            Ok(None) => Ok(None),
            Ok(Some(name)) => match Upstream::parse(name) {
                Some(upstream) => Ok(Some(upstream)),
                None => Err(target::unknown(&String::from_utf8_lossy(name))),
            },
            Err(reason) => Err(reason.to_owned()),
        };
        self.calls.resolve(id, answer);
    }

    fn destination(
        &self,
        own: Option<Upstream>,
        name: String,
    ) -> Result<(Destination, Option<Asked>), CallError> {
        if self.calls.asks_for_names() {
            let (answer, answered) = oneshot::channel();
            let asked = Asked {
                name: name.clone().into_bytes(),
                answer,
            };
            let destination = Destination {
                own,
                name,
                answered: Some(answered),
            };
            return Ok((destination, Some(asked)));
        }
        let destination = Destination {
            own: Some(own.ok_or(CallError::Upstream)?),
            name,
            answered: None,
        };
        Ok((destination, None))
    }

    fn hand_over(&self, id: CallId, destination: Destination, work: Work) {
        let grpc = !matches!(work, Work::Http { .. });
        let job = Job {
            reporter: Reporter::new(Arc::clone(&self.calls), id, grpc),
            destination,
            work,
        };
        // Without the thread, which only a panic can end, the job is dropped here, and its reporter says so.
        let _ = self.jobs.send(job);
    }
}

/// The longest name of an upstream, and of one with the metadata that a gRPC service may come with.
const MAX_NAME: usize = 8 << 10;
const MAX_SERVICE: usize = 64 << 10;

/// What a call holds until it is over.
fn size_of_http(call: &HttpCall<'_>) -> Result<usize, CallError> {
    let headers = size_of_pairs(call.headers) + size_of_pairs(call.trailers);
    sized(call.upstream, MAX_NAME, headers + call.body.len())
}

/// See [`size_of_http`].
fn size_of_grpc(call: &GrpcCall<'_>) -> Result<usize, CallError> {
    let message = call.message.map_or(0, <[u8]>::len);
    let path = call.service.len() + call.method.len();
    let metadata = size_of_pairs(call.metadata);
    sized(call.upstream, MAX_SERVICE, path + metadata + message)
}

fn size_of_pairs(pairs: &[(&[u8], &[u8])]) -> usize {
    let size = |(name, value): &(&[u8], &[u8])| name.len() + value.len();
    pairs.iter().map(size).sum()
}

fn sized(name: &[u8], most: usize, more: usize) -> Result<usize, CallError> {
    if name.len() > most {
        return Err(CallError::Upstream);
    }
    Ok(name.len() + more)
}

impl Drop for Egress {
    fn drop(&mut self) {
        self.calls.set_wakeup(None);
    }
}
