//! One nginx request.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;

use super::headers::HeaderList;
use super::raw::{Raw, Scratch};
use super::semaphore::Semaphore;
use super::uri::PathChange;
use crate::abi::host::{HeaderError, HeaderMap, HttpStream, LocalResponse, Outline, PropertyError};
use crate::abi::types::LogLevel;

/// What nginx is doing with the request while a plugin looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before a response: headers or body of the request.
    Request,
    /// The response's headers are about to be sent.
    ResponseHeaders,
    /// The response's headers have been sent.
    ResponseBody,
    /// The request ends.
    Log,
}

/// A target that a plugin has set.
pub(super) struct NewPath {
    pub target: Vec<u8>,
    pub change: PathChange,
    /// Not yet taken by [`Request::take_path_change`].
    pub pending: bool,
}

/// One nginx request and its response, and what plugins have asked to be done with it.
pub struct Request {
    pub(super) raw: Raw,
    pub(super) scratch: Cell<Scratch>,
    pub(super) text: Cell<Vec<u8>>,
    /// The response's headers as last told, with what was changed since.
    pub(super) response: Cell<HeaderList>,
    /// They have been told.
    pub(super) has_response: Cell<bool>,
    /// What was last found out of a map, for as long as nobody changes it.
    pub(super) outline: Cell<Option<(HeaderMap, Outline)>>,
    pub(super) scheme: RefCell<Option<Vec<u8>>>,
    pub(super) new_path: RefCell<Option<NewPath>>,
    /// Why the last local response was sent.
    pub(super) details: RefCell<Vec<u8>>,
    phase: Cell<Phase>,
    local: RefCell<Option<LocalResponse>>,
    close: Cell<bool>,
    /// A path, a local response or the end of the request was asked for since the last [`Request::take_asked`].
    pub(super) asked: Cell<bool>,
    /// What light threads wait on for a plugin to let the request go.
    waiting: RefCell<Vec<Semaphore>>,
}

impl Request {
    /// A request in [`Phase::Request`].
    ///
    /// # Safety
    /// `r` is a `ngx_http_request_t *` of this thread that does not end before [`Request::detach`] is called.
    pub unsafe fn new(r: *mut c_void) -> Self {
        Self {
            // SAFETY: the caller vouches for `r`.
            raw: unsafe { Raw::new(r) },
            scratch: Cell::default(),
            text: Cell::default(),
            response: Cell::default(),
            has_response: Cell::new(false),
            outline: Cell::new(None),
            scheme: RefCell::default(),
            new_path: RefCell::default(),
            details: RefCell::default(),
            phase: Cell::new(Phase::Request),
            local: RefCell::default(),
            close: Cell::new(false),
            asked: Cell::new(false),
            waiting: RefCell::default(),
        }
    }

    /// Makes of this one, which has ended, one that begins, with the room that it has.
    ///
    /// # Safety
    /// As [`Request::new`].
    pub unsafe fn renew(&mut self, r: *mut c_void) {
        // SAFETY: the caller vouches for `r`.
        unsafe { self.raw.attach(r) };
        self.has_response.set(false);
        self.response.get_mut().shrink();
        self.scheme.get_mut().take();
        self.new_path.get_mut().take();
        self.details.get_mut().clear();
        self.set_phase(Phase::Request);
        self.local.get_mut().take();
        self.close.set(false);
        self.asked.set(false);
        self.waiting.get_mut().clear();
    }

    /// A light thread is about to wait.
    pub fn park(&self, semaphore: Semaphore) {
        self.waiting.borrow_mut().push(semaphore);
    }

    /// It waits no more.
    pub fn unpark(&self, semaphore: Semaphore) {
        self.waiting
            .borrow_mut()
            .retain(|waiting| *waiting != semaphore);
    }

    /// The request is over. From now on there is nothing to read, nothing can be written, and what is logged goes to
    /// nginx's own log. Gives what light threads of it waited on, if it has not let them wait to the end.
    pub fn detach(&self) -> Vec<Semaphore> {
        self.raw.detach();
        self.has_response.set(false);
        self.waiting.take()
    }

    /// A callback of this phase is about to run. Since the last one anything may have changed.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.set(phase);
        self.outline.set(None);
    }

    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// The target that plugins have given the request since the last call, for the caller to hand to nginx.
    pub fn take_path_change(&self) -> Option<PathChange> {
        let mut new = self.new_path.borrow_mut();
        let new = new.as_mut().filter(|n| n.pending)?;
        new.pending = false;
        Some(new.change.clone())
    }

    /// Whether there is something to take since the last call: a path, a local response, or that the request is to be closed.
    pub fn take_asked(&self) -> bool {
        self.asked.take()
    }

    /// Drops what there is to take: the plugin that asked for it has failed.
    pub fn drop_asked(&self) {
        if self.take_asked() {
            self.close.set(false);
            self.local.take();
            self.new_path.borrow_mut().take_if(|new| new.pending);
        }
    }

    pub fn has_local_response(&self) -> bool {
        self.local.borrow().is_some()
    }

    /// The response that a plugin wants to be sent.
    pub fn take_local_response(&self) -> Option<LocalResponse> {
        self.local.take()
    }

    /// Whether a plugin has asked, since the last call, for the request to be closed.
    pub fn take_close(&self) -> bool {
        self.close.take()
    }

    /// Appends the chunk that a body filter is looking at, and tells whether it is the last one. Only to be called
    /// from within a body filter; `None` where nginx does not tell.
    pub fn response_chunk(&self, chunk: &mut Vec<u8>) -> Option<bool> {
        (self.phase() == Phase::ResponseBody)
            .then(|| self.raw.response_chunk(chunk))
            .flatten()
    }

    pub(super) fn request_headers_open(&self) -> bool {
        self.raw.is_live() && self.phase() < Phase::Log
    }

    pub(super) fn response_headers_open(&self) -> bool {
        self.phase() < Phase::ResponseBody && !self.raw.headers_sent()
    }

    /// Appends the value of an nginx variable. False if it has none.
    pub fn var(&self, name: &[u8], value: &mut Vec<u8>) -> bool {
        self.raw.var(name, |v| value.extend_from_slice(v)).is_some()
    }

    pub(super) fn log_line(&self, level: LogLevel, message: &[u8]) {
        self.raw.log(level, message);
    }
}

impl HttpStream for Request {
    fn log(&self, level: LogLevel, message: &[u8]) {
        self.log_line(level, message);
    }

    fn log_level(&self) -> LogLevel {
        self.raw.log_level()
    }

    fn headers(&self, map: HeaderMap, visit: &mut dyn FnMut(&[u8], &[u8])) {
        match map {
            HeaderMap::Request => self.visit_request_headers(visit),
            HeaderMap::Response => self.visit_response_headers(visit),
        }
    }

    fn header(&self, map: HeaderMap, name: &[u8], value: &mut Vec<u8>) -> bool {
        match map {
            HeaderMap::Request => self.request_header(name, value),
            HeaderMap::Response => self.response_header(name, value),
        }
    }

    fn add_header(&self, map: HeaderMap, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        self.outline.set(None);
        match map {
            HeaderMap::Request => self.add_request_header(name, value),
            HeaderMap::Response => self.add_response_header(name, value),
        }
    }

    fn replace_header(&self, map: HeaderMap, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        self.outline.set(None);
        match map {
            HeaderMap::Request => self.replace_request_header(name, value),
            HeaderMap::Response => self.replace_response_header(name, value),
        }
    }

    fn remove_header(&self, map: HeaderMap, name: &[u8]) -> Result<(), HeaderError> {
        self.outline.set(None);
        match map {
            HeaderMap::Request => self.remove_request_header(name),
            HeaderMap::Response => self.remove_response_header(name),
        }
    }

    fn set_headers(&self, map: HeaderMap, headers: &[(&[u8], &[u8])]) -> Result<(), HeaderError> {
        self.outline.set(None);
        match map {
            HeaderMap::Request => self.set_request_headers(headers),
            HeaderMap::Response => self.replace_all_response_headers(headers),
        }
    }

    fn property(&self, path: &[u8], value: &mut Vec<u8>) -> bool {
        self.read_property(path, value)
    }

    fn set_property(&self, path: &[u8], value: &[u8]) -> Result<(), PropertyError> {
        self.outline.set(None);
        self.write_property(path, value)
    }

    fn send_local_response(&self, response: LocalResponse) -> bool {
        if !self.response_headers_open() {
            return false;
        }
        self.details.replace(response.details.clone());
        self.local.replace(Some(response));
        self.asked.set(true);
        true
    }

    fn close(&self) {
        self.close.set(true);
        self.asked.set(true);
    }

    fn wake(&self) {
        for semaphore in self.waiting.borrow().iter() {
            semaphore.post();
        }
    }

    fn is_over(&self) -> bool {
        self.close.get() || self.has_local_response()
    }

    fn outline(&self, map: HeaderMap) -> Outline {
        if let Some((known, outline)) = self.outline.get()
            && known == map
        {
            return outline;
        }
        let outline = match map {
            HeaderMap::Request => self.request_outline(),
            HeaderMap::Response => self.response_outline(),
        };
        self.outline.set(Some((map, outline)));
        outline
    }
}

impl Request {
    pub(super) fn is_method(&self, methods: &[&str]) -> bool {
        self.raw
            .method(|m| methods.iter().any(|name| name.as_bytes() == m))
            .unwrap_or(false)
    }
}
