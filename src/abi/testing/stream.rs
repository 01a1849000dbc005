use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use super::{Log, keep};
use crate::abi::host::{
    HeaderError, HeaderMap, HttpStream, LocalResponse, Outline, PropertyError, is_header_name,
    is_header_value,
};
use crate::abi::types::LogLevel;

/// Headers by lower-case name, in order.
pub type Headers = RefCell<Vec<(Vec<u8>, Vec<u8>)>>;

/// A request and its response.
pub struct FakeStream {
    pub logs: Log,
    pub level: Cell<LogLevel>,
    pub request: Headers,
    pub response: Headers,
    /// The response's headers can no longer be changed.
    pub sent: Cell<bool>,
    pub properties: RefCell<HashMap<Vec<u8>, Vec<u8>>>,
    /// Properties that are there and cannot be set.
    pub read_only: RefCell<Vec<Vec<u8>>>,
    pub local_response: RefCell<Option<LocalResponse>>,
    pub closed: Cell<bool>,
    /// How often it was woken.
    pub woken: Cell<u32>,
    pub no_bodies: Cell<bool>,
}

impl Default for FakeStream {
    fn default() -> Self {
        Self {
            logs: Log::default(),
            level: Cell::new(LogLevel::Trace),
            request: Headers::default(),
            response: Headers::default(),
            sent: Cell::new(false),
            properties: RefCell::default(),
            read_only: RefCell::default(),
            local_response: RefCell::default(),
            closed: Cell::new(false),
            woken: Cell::new(0),
            no_bodies: Cell::new(false),
        }
    }
}

impl FakeStream {
    /// Puts headers into a map as the proxy would.
    pub fn fill(&self, map: HeaderMap, headers: &[(&str, &str)]) {
        self.map(map)
            .borrow_mut()
            .extend(headers.iter().map(|(n, v)| ((*n).into(), (*v).into())));
    }

    fn map(&self, map: HeaderMap) -> &Headers {
        match map {
            HeaderMap::Request => &self.request,
            HeaderMap::Response => &self.response,
        }
    }

    fn check(&self, map: HeaderMap, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        if map == HeaderMap::Response && self.sent.get() {
            return Err(HeaderError::Sent);
        }
        let token = name.strip_prefix(b":").unwrap_or(name);
        if is_header_name(token) && is_header_value(value) {
            Ok(())
        } else {
            Err(HeaderError::Invalid)
        }
    }
}

impl HttpStream for FakeStream {
    fn log(&self, level: LogLevel, message: &[u8]) {
        keep(&self.logs, level, message);
    }

    fn log_level(&self) -> LogLevel {
        self.level.get()
    }

    fn headers(&self, map: HeaderMap, visit: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in self.map(map).borrow().iter() {
            visit(name, value);
        }
    }

    fn outline(&self, map: HeaderMap) -> Outline {
        Outline {
            count: self.map(map).borrow().len(),
            end_of_stream: self.no_bodies.get(),
        }
    }

    fn header(&self, map: HeaderMap, name: &[u8], value: &mut Vec<u8>) -> bool {
        let headers = self.map(map).borrow();
        let found = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        value.extend(found.into_iter().flat_map(|(_, value)| value));
        found.is_some()
    }

    fn add_header(&self, map: HeaderMap, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        self.check(map, name, value)?;
        let header = (name.to_ascii_lowercase(), value.to_vec());
        self.map(map).borrow_mut().push(header);
        Ok(())
    }

    fn replace_header(&self, map: HeaderMap, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        self.check(map, name, value)?;
        self.remove_header(map, name)?;
        self.add_header(map, name, value)
    }

    fn remove_header(&self, map: HeaderMap, name: &[u8]) -> Result<(), HeaderError> {
        self.check(map, name, b"")?;
        let mut headers = self.map(map).borrow_mut();
        headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        Ok(())
    }

    fn set_headers(&self, map: HeaderMap, headers: &[(&[u8], &[u8])]) -> Result<(), HeaderError> {
        self.check(map, b"any", b"")?;
        let named = |name: &[u8]| headers.iter().any(|(n, _)| *n == name);
        self.map(map)
            .borrow_mut()
            .retain(|(name, _)| name.starts_with(b":") && !named(name));
        headers
            .iter()
            .try_for_each(|(name, value)| self.add_header(map, name, value))
    }

    fn property(&self, path: &[u8], value: &mut Vec<u8>) -> bool {
        let properties = self.properties.borrow();
        let found = properties.get(path);
        value.extend(found.into_iter().flatten());
        found.is_some()
    }

    fn set_property(&self, path: &[u8], value: &[u8]) -> Result<(), PropertyError> {
        if self.read_only.borrow().iter().any(|known| known == path) {
            return Err(PropertyError::ReadOnly);
        }
        let mut properties = self.properties.borrow_mut();
        let known = properties.get_mut(path).ok_or(PropertyError::Unknown)?;
        *known = value.to_vec();
        Ok(())
    }

    fn send_local_response(&self, response: LocalResponse) -> bool {
        if self.sent.get() {
            return false;
        }
        self.local_response.replace(Some(response));
        true
    }

    fn close(&self) {
        self.closed.set(true);
    }

    fn wake(&self) {
        self.woken.set(self.woken.get() + 1);
    }

    fn is_over(&self) -> bool {
        self.closed.get() || self.local_response.borrow().is_some()
    }
}
