//! What a worker knows while it runs: its requests, and buffers that strings given out live in.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::rc::Rc;

use rustc_hash::FxBuildHasher;

use crate::abi::host::{HttpStream, LocalResponse};
use crate::nginx::{self, PathChange, Phase, Request};
use crate::plugin::{Error, PluginContext, Stream};

/// One request and the plugins that look at it.
struct Entry {
    request: Rc<Request>,
    streams: Vec<Rc<Stream>>,
}

/// What the last call into the library gave out.
#[derive(Default)]
pub struct GivenOut {
    pub body: Vec<u8>,
    pub local: LocalResponse,
    pub path: Option<PathChange>,
    pub headers: Vec<super::ProxyWasmHeader>,
    pub text: String,
}

#[derive(Default)]
struct Worker {
    requests: HashMap<usize, Entry, FxBuildHasher>,
}

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::default();
    static GIVEN_OUT: RefCell<GivenOut> = RefCell::default();
}

/// Works with the buffers that strings given out live in. Nothing that runs inside may call into the library again.
pub fn with_given_out<R>(work: impl FnOnce(&mut GivenOut) -> R) -> R {
    GIVEN_OUT.with_borrow_mut(work)
}

/// How many requests have a stream context.
pub fn request_count() -> usize {
    WORKER.with_borrow(|worker| worker.requests.len())
}

/// The request `r` and the stream of `context` in it, made where they are not there yet.
///
/// # Errors
/// A callback failed, or nginx had no memory.
///
/// # Safety
/// `r` is a request that has not ended.
pub unsafe fn stream(
    r: *mut c_void,
    context: &Rc<PluginContext>,
    phase: Phase,
) -> Result<(Rc<Request>, Rc<Stream>), Error> {
    let found = WORKER.with_borrow(|worker| {
        worker.requests.get(&(r as usize)).map(|entry| {
            let stream = entry
                .streams
                .iter()
                .find(|s| Rc::ptr_eq(s.context(), context));
            (Rc::clone(&entry.request), stream.cloned())
        })
    });
    let request = match found {
        Some((request, Some(stream))) => {
            request.set_phase(phase);
            return Ok((request, stream));
        }
        Some((request, None)) => request,
        None => {
            // SAFETY: the caller says that the request has not ended; `ended` takes no more of it than its address.
            if !unsafe { nginx::on_request_end(r, ended, r) } {
                return Err(Error::NoMemory);
            }
            // SAFETY: as above, and `ended` detaches it in time.
            let request = Rc::new(unsafe { Request::new(r) });
            WORKER.with_borrow_mut(|worker| {
                worker.requests.insert(
                    r as usize,
                    Entry {
                        request: Rc::clone(&request),
                        streams: Vec::new(),
                    },
                );
            });
            request
        }
    };
    request.set_phase(phase);
    let http: Rc<dyn HttpStream> = Rc::clone(&request) as _;
    let stream = Rc::new(Stream::new(Rc::clone(context), http)?);
    WORKER.with_borrow_mut(|worker| {
        if let Some(entry) = worker.requests.get_mut(&(r as usize)) {
            entry.streams.push(Rc::clone(&stream));
        }
    });
    Ok((request, stream))
}

/// nginx calls this when a request ends, for whatever reason.
extern "C" fn ended(r: *mut c_void) {
    super::boundary::guard((), || {
        let entry = WORKER.with_borrow_mut(|worker| worker.requests.remove(&(r as usize)));
        if let Some(entry) = entry {
            entry.request.set_phase(Phase::Log);
            for stream in &entry.streams {
                stream.finish();
            }
            entry.request.detach();
        }
    });
}
