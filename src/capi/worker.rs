//! What a worker knows while it runs: its requests, and buffers that strings given out live in.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use rustc_hash::FxBuildHasher;

use super::clock;
use crate::abi::host::{HttpStream, LocalResponse};
use crate::abi::types::LogLevel;
use crate::nginx::body_filter::Replacement;
use crate::nginx::{self, PathChange, Phase, Request, Semaphore};
use crate::plugin::{Error, PluginContext, Stream};

/// One request and the plugins that look at it.
struct Entry {
    request: Rc<Request>,
    streams: Vec<Begun>,
    /// No plugin is to see more of it.
    bypassed: bool,
    /// A local response took the place of one whose headers were about to be sent.
    body: LocalBody,
}

/// A plugin that was to look at a request.
#[derive(Clone)]
enum Begun {
    Stream(Rc<Stream>),
    /// It could not begin, and sees no more of the request.
    Failed(Rc<PluginContext>),
}

impl Begun {
    fn context(&self) -> &Rc<PluginContext> {
        match self {
            Self::Stream(stream) => stream.context(),
            Self::Failed(context) => context,
        }
    }
}

/// The body of a local response from a response phase.
enum LocalBody {
    None,
    /// Lua's body filter has to send it.
    Owed,
    /// Our own body filter has to send it.
    Kept(Vec<u8>),
    /// It was sent.
    Sent,
}

/// What a request has to run a callback on.
pub enum Found {
    Stream(Rc<Request>, Rc<Stream>),
    /// The request goes on without plugins.
    Bypassed,
    /// `r` is none that a client made: lua-nginx-module runs timers on requests of its own.
    NoRequest,
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
    /// Requests that have ended, whose room others use again.
    spare: Vec<Entry>,
}

/// How many are kept.
const MOST_SPARE: usize = 64;

impl Entry {
    /// # Safety
    /// `r` is a request that has not ended, and `ended` will be called when it does.
    unsafe fn new(r: *mut c_void) -> Self {
        Self {
            // SAFETY: `ended` detaches it in time.
            request: Rc::new(unsafe { Request::new(r) }),
            streams: Vec::new(),
            bypassed: false,
            body: LocalBody::None,
        }
    }

    /// As [`Entry::new`], in the room of one that has ended. `None` where somebody knows that one still.
    ///
    /// # Safety
    /// As [`Entry::new`].
    unsafe fn renewed(mut self, r: *mut c_void) -> Option<Self> {
        // SAFETY: `ended` detaches it in time.
        unsafe { Rc::get_mut(&mut self.request)?.renew(r) };
        self.bypassed = false;
        self.body = LocalBody::None;
        Some(self)
    }
}

thread_local! {
    /// A worker that is told to be quick exits with requests, when nginx has freed what they are woken with: they are not dropped.
    static WORKER: RefCell<ManuallyDrop<Worker>> = RefCell::default();
    static GIVEN_OUT: RefCell<GivenOut> = RefCell::default();
    static LEFT: RefCell<Vec<Semaphore>> = const { RefCell::new(Vec::new()) };
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
) -> Result<Found, Error> {
    let found = WORKER.with_borrow(|worker| {
        worker.requests.get(&(r as usize)).map(|entry| {
            let begun = entry
                .streams
                .iter()
                .find(|begun| Rc::ptr_eq(begun.context(), context));
            (Rc::clone(&entry.request), begun.cloned(), entry.bypassed)
        })
    });
    match found {
        Some((_, _, true)) => Ok(Found::Bypassed),
        Some((_, Some(Begun::Failed(_)), false)) => Err(Error::Poisoned),
        Some((request, Some(Begun::Stream(stream)), false)) => {
            request.set_phase(phase);
            Ok(Found::Stream(request, stream))
        }
        Some((request, None, false)) => {
            let (begun, found) = begin_stream(request, context, phase);
            with_entry(r, |entry| entry.streams.push(begun));
            found
        }
        None => {
            // SAFETY: the caller says that the request has not ended.
            let Some(mut entry) = (unsafe { begin(r) })? else {
                return Ok(Found::NoRequest);
            };
            let (begun, found) = begin_stream(Rc::clone(&entry.request), context, phase);
            entry.streams.push(begun);
            WORKER.with_borrow_mut(|worker| worker.requests.insert(r as usize, entry));
            found
        }
    }
}

/// Makes the stream of `context` in a request.
fn begin_stream(
    request: Rc<Request>,
    context: &Rc<PluginContext>,
    phase: Phase,
) -> (Begun, Result<Found, Error>) {
    request.set_phase(phase);
    let http: Rc<dyn HttpStream> = Rc::clone(&request) as _;
    match Stream::new(Rc::clone(context), http).map(Rc::new) {
        Ok(stream) => {
            let begun = Begun::Stream(Rc::clone(&stream));
            (begun, Ok(Found::Stream(request, stream)))
        }
        Err(error) => (Begun::Failed(Rc::clone(context)), Err(error)),
    }
}

/// Begins to know of the request `r`. `None` where no client made it.
///
/// # Safety
/// `r` is a request that has not ended.
unsafe fn begin(r: *mut c_void) -> Result<Option<Entry>, Error> {
    // SAFETY: the caller says that the request has not ended.
    if !unsafe { nginx::is_request(r) } {
        return Ok(None);
    }
    clock::start();
    // SAFETY: as above; `ended` takes no more of it than its address.
    if !unsafe { nginx::on_request_end(r, ended, r) } {
        return Err(Error::OutOfMemory);
    }
    let spare = WORKER.with_borrow_mut(|worker| worker.spare.pop());
    // SAFETY: as above, and `ended` will be called.
    Ok(Some(unsafe {
        spare
            .and_then(|entry| entry.renewed(r))
            .unwrap_or_else(|| Entry::new(r))
    }))
}

/// No plugin is to see more of the request `r`, but for its end.
pub fn bypass(r: *mut c_void) {
    with_entry(r, |entry| entry.bypassed = true);
}

/// Keeps the body of a local response for our own body filter, and no plugin sees more of the request. False where there is no such
/// filter.
pub fn keep_body(r: *mut c_void, body: &[u8]) -> bool {
    if !nginx::body_filter::is_installed() {
        return false;
    }
    with_entry(r, |entry| {
        if let LocalBody::None = entry.body {
            nginx::body_filter::count_replacing(true);
        }
        entry.body = LocalBody::Kept(body.to_vec());
        entry.bypassed = true;
    });
    true
}

/// Whether the body of a local response to the request `r` has still to be sent by Lua.
pub fn set_owes_body(r: *mut c_void, owes: bool) {
    with_entry(r, |entry| {
        entry.body = if owes {
            LocalBody::Owed
        } else {
            LocalBody::None
        };
    });
}

/// What our body filter is to do with the body of the request `r`.
pub fn replacement(r: *mut c_void) -> Replacement {
    let mut answer = Replacement::None;
    with_entry(r, |entry| {
        answer = match std::mem::replace(&mut entry.body, LocalBody::Sent) {
            LocalBody::Kept(body) => Replacement::Now(body),
            LocalBody::Sent => Replacement::Done,
            other => {
                entry.body = other;
                Replacement::None
            }
        };
    });
    answer
}

/// Works on the request `r`, if a plugin has looked at it.
pub fn with_request(r: *mut c_void, work: impl FnOnce(&Request)) {
    with_entry(r, |entry| work(&entry.request));
}

fn with_entry(r: *mut c_void, work: impl FnOnce(&mut Entry)) {
    WORKER.with_borrow_mut(|worker| {
        if let Some(entry) = worker.requests.get_mut(&(r as usize)) {
            work(entry);
        }
    });
}

/// nginx calls this when a request ends, for whatever reason.
extern "C" fn ended(r: *mut c_void) {
    super::boundary::guard((), || {
        let entry = WORKER.with_borrow_mut(|worker| worker.requests.remove(&(r as usize)));
        if let Some(mut entry) = entry {
            entry.request.set_phase(Phase::Log);
            if let LocalBody::Kept(_) | LocalBody::Sent = entry.body {
                nginx::body_filter::count_replacing(false);
            }
            if let LocalBody::Owed = entry.body {
                entry.request.log(
                    LogLevel::Error,
                    b"proxy-wasm: a local response from a response phase was sent without its body: no body filter runs the plugins",
                );
            }
            for begun in &entry.streams {
                if let Begun::Stream(stream) = begun {
                    stream.finish();
                }
            }
            let left = entry.request.detach();
            if !left.is_empty() {
                LEFT.with_borrow_mut(|all| all.extend(left));
            }
            entry.streams.clear();
            WORKER.with_borrow_mut(|worker| {
                if worker.spare.len() < MOST_SPARE {
                    worker.spare.push(entry);
                }
            });
        }
    });
}

/// A semaphore whose light thread was killed as it waited, with its request.
pub fn left_semaphore() -> Option<Semaphore> {
    LEFT.with_borrow_mut(Vec::pop)
}
