//! What a worker knows while it runs: its requests, and buffers that strings given out live in.

use std::cell::{Cell, Ref, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use rustc_hash::FxBuildHasher;

use super::clock;
use crate::abi::host::{HttpStream, LocalResponse};
use crate::abi::types::LogLevel;
use crate::nginx::body_filter::Replacement;
use crate::nginx::{self, Begun, PathChange, Phase, Request, Semaphore};
use crate::plugin::{Error, PluginContext, Stream};

/// One request and the plugins that look at it.
pub struct Entry {
    request: Rc<Request>,
    seats: RefCell<Vec<Seat>>,
    /// No plugin is to see more of it.
    bypassed: Cell<bool>,
    /// A local response took the place of one whose headers were about to be sent.
    body: RefCell<LocalBody>,
}

/// A plugin that was to look at a request.
enum Seat {
    Stream(Stream),
    /// It could not begin, and sees no more of the request.
    Failed(Rc<PluginContext>),
}

impl Seat {
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

/// What the last call into the library gave out.
pub struct GivenOut {
    pub body: Vec<u8>,
    pub local: LocalResponse,
    pub path: Option<PathChange>,
    pub headers: Vec<super::ProxyWasmHeader>,
    pub text: String,
}

/// What a worker knows while it runs.
pub struct Worker {
    requests: RefCell<HashMap<usize, Rc<Entry>, FxBuildHasher>>,
    /// Requests that have ended, whose room others use again.
    spare: RefCell<Vec<Rc<Entry>>>,
    /// Behind strings given out. Nothing that runs while this is borrowed may call into the library again.
    pub given_out: RefCell<GivenOut>,
    left: RefCell<Vec<Semaphore>>,
}

/// How many are kept.
const MOST_SPARE: usize = 64;

thread_local! {
    /// A worker that is told to be quick exits with requests, when nginx has freed what they are woken with: they are not dropped.
    static WORKER: ManuallyDrop<Worker> = const { ManuallyDrop::new(Worker::new()) };
}

/// Works with what this thread knows.
pub fn with<R>(work: impl FnOnce(&Worker) -> R) -> R {
    WORKER.with(|worker| work(worker))
}

/// Works with the buffers that strings given out live in.
pub fn with_given_out<R>(work: impl FnOnce(&mut GivenOut) -> R) -> R {
    with(|worker| work(&mut worker.given_out.borrow_mut()))
}

/// How many requests have a stream context.
pub fn request_count() -> usize {
    with(|worker| worker.requests.borrow().len())
}

impl Worker {
    const fn new() -> Self {
        Self {
            requests: RefCell::new(HashMap::with_hasher(FxBuildHasher)),
            spare: RefCell::new(Vec::new()),
            given_out: RefCell::new(GivenOut {
                body: Vec::new(),
                local: LocalResponse {
                    status: 0,
                    details: Vec::new(),
                    body: Vec::new(),
                    headers: Vec::new(),
                    grpc_status: -1,
                },
                path: None,
                headers: Vec::new(),
                text: String::new(),
            }),
            left: RefCell::new(Vec::new()),
        }
    }

    /// What is known of the request `r`. `None` where no client made it: lua-nginx-module runs timers on requests of its own.
    ///
    /// # Errors
    /// nginx had no memory.
    ///
    /// # Safety
    /// `r` is a request that has not ended.
    pub unsafe fn entry(&self, r: *mut c_void) -> Result<Option<Rc<Entry>>, Error> {
        let mut requests = self.requests.borrow_mut();
        let place = match requests.entry(r as usize) {
            Place::Occupied(known) => return Ok(Some(Rc::clone(known.get()))),
            Place::Vacant(place) => place,
        };
        clock::start();
        // SAFETY: the caller says that the request has not ended; `ended` takes no more of it than its address.
        match unsafe { nginx::begin_request(r, ended) } {
            Begun::Yes => {}
            Begun::NoRequest => return Ok(None),
            Begun::OutOfMemory => return Err(Error::OutOfMemory),
        }
        let spare = self.spare.borrow_mut().pop();
        // SAFETY: as above, and `ended` will be called.
        let entry = unsafe {
            spare
                .and_then(|entry| Entry::renewed(entry, r))
                .unwrap_or_else(|| Rc::new(Entry::new(r)))
        };
        place.insert(Rc::clone(&entry));
        Ok(Some(entry))
    }
}

impl Entry {
    /// # Safety
    /// `r` is a request that has not ended, and `ended` will be called when it does.
    unsafe fn new(r: *mut c_void) -> Self {
        Self {
            // SAFETY: `ended` detaches it in time.
            request: Rc::new(unsafe { Request::new(r) }),
            seats: RefCell::default(),
            bypassed: Cell::new(false),
            body: RefCell::new(LocalBody::None),
        }
    }

    /// As [`Entry::new`], in the room of one that has ended. `None` where somebody knows that one still.
    ///
    /// # Safety
    /// As [`Entry::new`].
    unsafe fn renewed(mut this: Rc<Self>, r: *mut c_void) -> Option<Rc<Self>> {
        let entry = Rc::get_mut(&mut this)?;
        // SAFETY: `ended` detaches it in time.
        unsafe { Rc::get_mut(&mut entry.request)?.renew(r) };
        entry.bypassed.set(false);
        Some(this)
    }

    pub fn request(&self) -> &Request {
        &self.request
    }

    /// No plugin is to see more of it.
    pub fn is_bypassed(&self) -> bool {
        self.bypassed.get()
    }

    /// The stream of `context` in it, made where it is not there yet. `None` where it could not begin, now or before; the cause was logged then.
    pub fn stream(&self, context: &Rc<PluginContext>) -> Option<Ref<'_, Stream>> {
        let mut seats = self.seats.borrow();
        let is_its = |seat: &Seat| Rc::ptr_eq(seat.context(), context);
        let position = seats.iter().position(is_its);
        if position.is_none() {
            drop(seats);
            let http: Rc<dyn HttpStream> = Rc::clone(&self.request) as _;
            let new = match Stream::new(Rc::clone(context), http) {
                Ok(stream) => Seat::Stream(stream),
                // The cause has been logged.
                Err(_) => Seat::Failed(Rc::clone(context)),
            };
            self.seats.borrow_mut().push(new);
            seats = self.seats.borrow();
        }
        let position = position.unwrap_or(seats.len() - 1);
        Ref::filter_map(seats, |seats| match &seats[position] {
            Seat::Stream(stream) => Some(stream),
            Seat::Failed(_) => None,
        })
        .ok()
    }
}

/// No plugin is to see more of the request `r`, but for its end.
pub fn bypass(r: *mut c_void) {
    with_entry(r, |entry| entry.bypassed.set(true));
}

/// Keeps the body of a local response for our own body filter, and no plugin sees more of the request. False where there is no such
/// filter.
pub fn keep_body(r: *mut c_void, body: &[u8]) -> bool {
    if !nginx::body_filter::is_installed() {
        return false;
    }
    with_entry(r, |entry| {
        let before = entry.body.replace(LocalBody::Kept(body.to_vec()));
        if let LocalBody::None = before {
            nginx::body_filter::count_replacing(true);
        }
        entry.bypassed.set(true);
    });
    true
}

/// Whether the body of a local response to the request `r` has still to be sent by Lua.
pub fn set_owes_body(r: *mut c_void, owes: bool) {
    with_entry(r, |entry| {
        entry.body.replace(if owes {
            LocalBody::Owed
        } else {
            LocalBody::None
        });
    });
}

/// What our body filter is to do with the body of the request `r`.
pub fn replacement(r: *mut c_void) -> Replacement {
    let mut answer = Replacement::None;
    with_entry(r, |entry| {
        answer = match entry.body.replace(LocalBody::Sent) {
            LocalBody::Kept(body) => Replacement::Now(body),
            LocalBody::Sent => Replacement::Done,
            other => {
                entry.body.replace(other);
                Replacement::None
            }
        };
    });
    answer
}

/// Works on the request `r`, if a plugin has looked at it.
pub fn with_request(r: *mut c_void, work: impl FnOnce(&Request)) {
    with_entry(r, |entry| work(entry.request()));
}

fn with_entry(r: *mut c_void, work: impl FnOnce(&Entry)) {
    with(|worker| {
        if let Some(entry) = worker.requests.borrow().get(&(r as usize)) {
            work(entry);
        }
    });
}

/// nginx calls this when a request ends, for whatever reason.
extern "C" fn ended(r: *mut c_void) {
    super::boundary::guard((), || {
        with(|worker| {
            let entry = worker.requests.borrow_mut().remove(&(r as usize));
            if let Some(entry) = entry {
                entry.end(worker);
                worker.keep(entry);
            }
        });
    });
}

impl Entry {
    fn end(&self, worker: &Worker) {
        self.request.set_phase(Phase::Log);
        match self.body.replace(LocalBody::None) {
            LocalBody::None => {}
            LocalBody::Kept(_) | LocalBody::Sent => nginx::body_filter::count_replacing(false),
            LocalBody::Owed => self.request.log(
                LogLevel::Error,
                b"proxy-wasm: a local response from a response phase was sent without its body: no body filter runs the plugins",
            ),
        }
        for seat in &*self.seats.borrow() {
            if let Seat::Stream(stream) = seat {
                stream.finish();
            }
        }
        let left = self.request.detach();
        if !left.is_empty() {
            worker.left.borrow_mut().extend(left);
        }
        self.seats.borrow_mut().clear();
    }
}

impl Worker {
    /// Keeps the room of a request that has ended.
    fn keep(&self, entry: Rc<Entry>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < MOST_SPARE {
            spare.push(entry);
        }
    }
}

/// A semaphore whose light thread was killed as it waited, with its request.
pub fn left_semaphore() -> Option<Semaphore> {
    with(|worker| worker.left.borrow_mut().pop())
}
